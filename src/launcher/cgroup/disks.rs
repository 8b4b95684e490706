//! The disks whose speed is limited, and the files that say so: in version 2 `io.max`, a line a disk; in version 1 of the
//! controller `blkio` a file a direction (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/blkio-controller.rst).
//!
//! The kernel knows no limit of all disks together, and what a container writes to is known when it does. So each whole disk that
//! there is has the limit for itself: also those that are made of others (device-mapper, md), because their parts carry the same
//! bytes at the same rate, and what is on parts is not always counted for whom it is. Left out is what is in memory, and loop
//! devices: what they read and write the kernel counts for their users on the disk that their file is on.

use super::error::{CgroupError, While};
use super::hierarchy::{Controller, Version};
use super::limits::Setting;
use crate::model::container::{IoRate, Limits};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel tells of them.
const PLACE: &str = "/sys/block";

/// The same by their numbers.
const NUMBERS: &str = "/sys/dev/block";

/// What is in memory, or on a disk that is another one: by the beginnings of their names (Documentation/admin-guide/devices.txt).
const OTHERS: [&str; 3] = ["loop", "ram", "zram"];

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    /// Its numbers, as the kernel writes them: `254:0`.
    pub(super) number: String,
    /// Its device file.
    pub(super) node: PathBuf,
    /// Whether it is made of others.
    pub(super) has_parts: bool,
}

/// A direction in which is limited, with what the versions call it.
struct Direction {
    key: &'static str,
    file_one: &'static str,
    property: &'static str,
    of: fn(&Limits) -> Option<IoRate>,
}

const FILE_TWO: &str = "io.max";

const DIRECTIONS: [Direction; 2] = [
    Direction {
        key: "rbps",
        file_one: "blkio.throttle.read_bps_device",
        property: "IOReadBandwidthMax",
        of: |limits| limits.io_read,
    },
    Direction {
        key: "wbps",
        file_one: "blkio.throttle.write_bps_device",
        property: "IOWriteBandwidthMax",
        of: |limits| limits.io_write,
    },
];

/// The disks that these limits are to be written of: none where they are not about disks.
pub(super) fn of(limits: &Limits) -> Result<Vec<Disk>, CgroupError> {
    if DIRECTIONS.iter().all(|direction| (direction.of)(limits).is_none()) { Ok(Vec::new()) } else { look() }
}

/// All that there are now.
pub(super) fn look() -> Result<Vec<Disk>, CgroupError> {
    look_in(Path::new(PLACE))
}

fn look_in(place: &Path) -> Result<Vec<Disk>, CgroupError> {
    let entries = fs::read_dir(place).while_to("see the disks in", place)?;
    let mut disks: Vec<Disk> = entries.flatten().filter_map(|entry| disk(&entry.path())).collect();
    disks.sort_by(|one, other| one.number.cmp(&other.number));
    Ok(disks)
}

/// One that can be read and written: a path of a disk of many (`hidden`) can't, nor what nothing is in yet. One that goes while it
/// is looked at is none.
fn disk(directory: &Path) -> Option<Disk> {
    let name = directory.file_name()?.to_str()?;
    let is_of =
        |kind: &&str| name.strip_prefix(*kind).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    if OTHERS.iter().any(is_of) {
        return None;
    }
    let read = |file: &str| fs::read_to_string(directory.join(file)).ok();
    let is_zero = |text: String| text.trim() == "0";
    if !read("hidden").is_none_or(is_zero) || read("size").is_none_or(is_zero) {
        return None;
    }
    let number = read("dev")?.trim().to_owned();
    // What is a slash below /dev is `!` here, as in cciss!c0d0.
    Some(Disk { number, node: Path::new("/dev").join(name.replace('!', "/")), has_parts: has_parts(directory) })
}

/// What is to be written for these limits.
pub(super) fn settings(limits: &Limits, version: Version, disks: &[Disk]) -> Vec<Setting> {
    all(version, disks, |direction| (direction.of)(limits).map(|rate| rate.bytes().to_string()))
}

/// What is to be written where there is to be no limit.
pub(super) fn lifted(limits: &Limits, version: Version, disks: &[Disk]) -> Vec<Setting> {
    let none = if version == Version::Two { "max" } else { "0" };
    all(version, disks, |direction| (direction.of)(limits).is_none().then(|| none.to_owned()))
}

fn all(version: Version, disks: &[Disk], value: impl Fn(&Direction) -> Option<String>) -> Vec<Setting> {
    let of = |disk: &Disk, direction: &Direction| {
        let value = value(direction)?;
        let (file, value) = match version {
            Version::Two => (FILE_TWO, format!("{} {}={value}", disk.number, direction.key)),
            Version::One => (direction.file_one, format!("{} {value}", disk.number)),
        };
        Some(Setting { controller: Controller::Io, limit: "io", file, value })
    };
    disks.iter().flat_map(|disk| DIRECTIONS.iter().filter_map(|direction| of(disk, direction))).collect()
}

/// The rates that files say, for reading and writing: the highest that there is of a disk; none where one of them has none.
pub(super) fn told(version: Version, disks: &[Disk], read: impl Fn(&str) -> Option<String>) -> [Option<IoRate>; 2] {
    DIRECTIONS.map(|direction| {
        let (file, key) = match version {
            Version::Two => (FILE_TWO, Some(direction.key)),
            Version::One => (direction.file_one, None),
        };
        let text = read(file)?;
        let rates: Option<Vec<u64>> = disks.iter().map(|disk| rate(&text, &disk.number, key)).collect();
        rates?.into_iter().max().and_then(IoRate::nearest)
    })
}

/// The limits as properties of a unit of systemd's: each disk's device file with a rate, but for those that are made of others
/// ([`is_of_others`]). Where there is none, no disk.
pub(super) fn properties(limits: &Limits, disks: &[Disk]) -> Vec<(&'static str, Vec<(String, u64)>)> {
    let of = |direction: &Direction| {
        let rate = (direction.of)(limits).map(IoRate::bytes);
        let own = disks.iter().filter(|disk| !disk.has_parts);
        (direction.property, own.filter_map(|disk| Some((disk.node.display().to_string(), rate?))).collect())
    };
    DIRECTIONS.iter().map(of).collect()
}

/// What a text of these files says of a disk; `None` where it is not limited.
fn rate(text: &str, number: &str, key: Option<&str>) -> Option<u64> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(number)?.strip_prefix(' '))?;
    let value = match key {
        None => Some(line.trim()),
        Some(key) => line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')),
    };
    value?.parse().ok().filter(|rate| *rate != 0)
}

/// The parts of a setting's value: the disk, what is limited in version 2, and the rate.
fn parts(value: &str) -> (&str, Option<&str>, &str) {
    let (number, rest) = value.split_once(' ').unwrap_or((value, ""));
    match rest.split_once('=') {
        Some((key, rate)) => (number, Some(key), rate),
        None => (number, None, rest),
    }
}

/// Whether a setting takes a disk's limit away.
pub(super) fn is_none(value: &str) -> bool {
    ["max", "0"].contains(&parts(value).2)
}

/// Whether the kernel has a setting when its file says this.
pub(super) fn is_met_by(value: &str, found: &str) -> bool {
    let (number, key, wanted) = parts(value);
    rate(found, number, key) == wanted.parse().ok().filter(|rate| *rate != 0)
}

/// What takes a setting back, where its file said this before.
pub(super) fn before(value: &str, found: &str) -> String {
    let (number, key, _) = parts(value);
    match (key, rate(found, number, key)) {
        (Some(key), Some(rate)) => format!("{number} {key}={rate}"),
        (Some(key), None) => format!("{number} {key}=max"),
        (None, rate) => format!("{number} {}", rate.unwrap_or(0)),
    }
}

/// Whether the disk of a setting has been taken away.
pub(super) fn is_gone(value: &str) -> bool {
    !Path::new(NUMBERS).join(parts(value).0).exists()
}

/// Whether the disk of a setting is made of others. systemd takes it for the one that it is on (lookup_block_device(), src/core/cgroup.c
/// in systemd), where not all that is written is counted for whom it is: dm-crypt's threads write it. So such a line of a unit's file is
/// nslab's to write; systemd lets it be.
pub(super) fn is_of_others(value: &str) -> bool {
    has_parts(&Path::new(NUMBERS).join(parts(value).0))
}

fn has_parts(directory: &Path) -> bool {
    fs::read_dir(directory.join("slaves")).is_ok_and(|mut parts| parts.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(read: Option<&str>, write: Option<&str>) -> Limits {
        let rate = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        Limits { io_read: rate(read), io_write: rate(write), ..Limits::default() }
    }

    fn disks() -> [Disk; 2] {
        ["8:0", "8:16"].map(|number| Disk {
            number: number.to_owned(),
            node: format!("/dev/{number}").into(),
            has_parts: false,
        })
    }

    fn lines(settings: &[Setting]) -> Vec<String> {
        settings.iter().map(|one| format!("{} < {}", one.file, one.value)).collect()
    }

    #[test]
    fn every_disk_has_the_limit() {
        let given = limits(Some("10M"), Some("5M"));
        let expected = [
            "io.max < 8:0 rbps=10485760",
            "io.max < 8:0 wbps=5242880",
            "io.max < 8:16 rbps=10485760",
            "io.max < 8:16 wbps=5242880",
        ];
        assert_eq!(lines(&settings(&given, Version::Two, &disks())), expected);
        let given = limits(None, Some("5M"));
        let expected =
            ["blkio.throttle.write_bps_device < 8:0 5242880", "blkio.throttle.write_bps_device < 8:16 5242880"];
        assert_eq!(lines(&settings(&given, Version::One, &disks())), expected);
        let expected = ["io.max < 8:0 rbps=max", "io.max < 8:16 rbps=max"];
        assert_eq!(lines(&lifted(&given, Version::Two, &disks())), expected);
        let none = lifted(&given, Version::One, &disks());
        assert_eq!(lines(&none)[0], "blkio.throttle.read_bps_device < 8:0 0");
        assert!(none.iter().all(|setting| is_none(&setting.value)));
        let told = [
            ("IOReadBandwidthMax", vec![]),
            ("IOWriteBandwidthMax", vec![("/dev/8:0".to_owned(), 5 << 20), ("/dev/8:16".to_owned(), 5 << 20)]),
        ];
        assert_eq!(properties(&given, &disks()), told);
    }

    #[test]
    fn a_setting_is_a_line_among_others() {
        let found = "8:160 rbps=1 wbps=1\n8:16 rbps=10485760 wbps=max riops=max wiops=12\n";
        assert!(is_met_by("8:16 rbps=10485760", found) && is_met_by("8:16 wbps=max", found));
        assert!(is_met_by("8:0 rbps=max", found) && is_met_by("8:0 rbps=max", ""));
        assert!(
            !is_met_by("8:16 rbps=1", found) && !is_met_by("8:16 rbps=max", found) && !is_met_by("8:0 wbps=1", found)
        );
        assert_eq!(before("8:16 rbps=7", found), "8:16 rbps=10485760");
        assert_eq!(before("8:16 wbps=7", found), "8:16 wbps=max");
        let found = "8:0 5242880\n";
        assert!(is_met_by("8:0 5242880", found) && is_met_by("8:16 0", found) && !is_met_by("8:0 0", found));
        assert_eq!((before("8:0 1", found), before("8:16 1", found)), ("8:0 5242880".into(), "8:16 0".into()));
        assert!(is_gone("1023:77 rbps=1"));
    }

    #[test]
    fn what_is_told_is_what_holds_on_any_disk() {
        let given = limits(Some("10M"), Some("5M"));
        for version in [Version::One, Version::Two] {
            let all = settings(&given, version, &disks());
            let read = |but: usize| {
                let all = all.clone();
                move |file: &str| {
                    let of = all.iter().take(all.len() - but).filter(|one| one.file == file);
                    // As the kernel has it: a line a disk.
                    let mut lines: Vec<String> = Vec::new();
                    for one in of {
                        let (number, rest) = one.value.split_once(' ').unwrap();
                        match lines.iter_mut().find(|line| line.starts_with(&format!("{number} "))) {
                            Some(line) => {
                                line.push(' ');
                                line.push_str(rest);
                            }
                            None => lines.push(one.value.clone()),
                        }
                    }
                    Some(lines.join("\n"))
                }
            };
            assert_eq!(told(version, &disks(), read(0)), [given.io_read, given.io_write]);
            assert_eq!(told(version, &disks(), read(1)), [given.io_read, None], "one disk has no limit");
            assert_eq!(told(version, &[], read(0)), [None, None]);
            let other = |file: &str| {
                read(0)(file)
                    .map(|text| text.replace("8:0 5242880", "8:0 4096").replace("wbps=5242880\n", "wbps=4096\n"))
            };
            assert_eq!(told(version, &disks(), other)[1], given.io_write, "the highest");
        }
    }

    #[test]
    fn disks_are_those_that_are_there() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str, number: &str, size: &str, hidden: Option<&str>| {
            let directory = place.path().join(name);
            fs::create_dir(&directory).unwrap();
            let write = |file: &str, text: &str| fs::write(directory.join(file), format!("{text}\n")).unwrap();
            write("dev", number);
            write("size", size);
            if let Some(text) = hidden {
                write("hidden", text);
            }
        };
        make("sda", "8:0", "1000", Some("0"));
        make("dm-0", "253:0", "900", None);
        make("cciss!c0d0", "104:0", "8", None);
        make("ramen", "300:0", "8", None);
        make("nbd0", "43:0", "0", None);
        make("nvme0c0n1", "259:1", "1000", Some("1"));
        for name in ["loop0", "ram3", "zram0"] {
            make(name, "7:0", "100", None);
        }
        fs::create_dir(place.path().join("sda/slaves")).unwrap();
        fs::create_dir_all(place.path().join("dm-0/slaves/sda1")).unwrap();
        let all = look_in(place.path()).unwrap();
        let of_others: Vec<&str> = all.iter().filter(|disk| disk.has_parts).map(|disk| disk.number.as_str()).collect();
        assert_eq!(of_others, ["253:0"]);
        let told = properties(&limits(None, Some("5M")), &all);
        assert_eq!(
            told[1].1.iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>(),
            ["/dev/cciss/c0d0", "/dev/ramen", "/dev/sda"]
        );
        let found: Vec<(&str, &str)> =
            all.iter().map(|disk| (disk.number.as_str(), disk.node.to_str().unwrap())).collect();
        let expected =
            [("104:0", "/dev/cciss/c0d0"), ("253:0", "/dev/dm-0"), ("300:0", "/dev/ramen"), ("8:0", "/dev/sda")];
        assert_eq!(found, expected);
        assert!(look_in(&place.path().join("nothing")).unwrap_err().to_string().contains("can't see the disks in"));
        assert_eq!(of(&limits(None, None)).unwrap(), []);
    }
}
