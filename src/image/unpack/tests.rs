//! Archives that mean harm, and layers as overlayfs wants them.

use super::super::budget::Cancel;
use super::super::source::unpack as unpack_archive;
use super::super::tree::OPAQUE_ATTRIBUTES;
use super::*;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use tar::{Builder, EntryType, Header};

/// A directory in a directory: what comes into the outer one has got out.
struct Scratch {
    outer: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir(outer.path().join("files")).unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        Self { outer }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.outer.path().join("files").join(path)
    }

    fn unpack(&self, archive: &[u8], limit: &str, devices: Devices) -> Result<Contents, ImageError> {
        let budget = Budget::new(limit.parse().unwrap(), Cancel::default());
        let unpacker = Unpacker::new(&self.at(""), &budget, devices)?;
        let stream = super::super::budget::Metered::new(archive, &budget);
        let result = unpack_archive(unpacker, stream, "it");
        // Whatever has come of it.
        let mut there: Vec<_> =
            fs::read_dir(self.outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        there.sort();
        assert_eq!(there, ["files", "secret"]);
        let secret = self.outer.path().join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        assert_eq!(fs::metadata(secret).unwrap().nlink(), 1);
        result.map(|(contents, _)| contents)
    }

    #[track_caller]
    fn unpacked(&self, archive: &[u8]) -> Contents {
        self.unpack(archive, "1G", Devices::LeaveOut).unwrap()
    }

    #[track_caller]
    fn refused(archive: &[u8]) -> Refusal {
        match Self::new().unpack(archive, "1G", Devices::LeaveOut).unwrap_err() {
            ImageError::Refused { refusal, .. } => refusal,
            other => panic!("{other:?}"),
        }
    }
}

/// An archive whose entries are not checked by who writes it.
#[derive(Default)]
struct Written(Vec<u8>);

impl Written {
    fn entry(mut self, kind: EntryType, path: &str, link: &str, data: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o4755);
        let root = rustix::process::geteuid().as_raw();
        header.set_uid(root.into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(1000);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str) -> Self {
        self.entry(EntryType::Regular, path, "", b"data")
    }

    fn directory(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    fn hard(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, b"")
    }

    fn done(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn archive() -> Written {
    Written::default()
}

#[test]
fn nothing_leads_out_of_the_image() {
    assert_eq!(Scratch::refused(&archive().file("../secret").done()), Refusal::DotDot);
    assert_eq!(Scratch::refused(&archive().file("a/../../secret").done()), Refusal::DotDot);
    assert_eq!(Scratch::refused(&archive().file("/tmp/secret").done()), Refusal::Absolute);
    assert_eq!(Scratch::refused(&archive().hard("a", "../secret").done()), Refusal::DotDot);
    assert_eq!(Scratch::refused(&archive().hard("a", "/etc/passwd").done()), Refusal::Absolute);
    assert_eq!(Scratch::refused(&archive().file("..").done()), Refusal::DotDot);
    assert_eq!(Scratch::refused(&archive().link("l", "..").file("l/secret").done()), Refusal::ThroughLink);
    assert_eq!(Scratch::refused(&archive().link("l", "/").directory("l/a/b").done()), Refusal::ThroughLink);
    assert_eq!(Scratch::refused(&archive().link("l", "..").hard("a", "l/secret").done()), Refusal::ThroughLink);
    // What is gone below a link of the same layer is gone with what the link hides.
    let gone = archive().link("l", "..").file("l/.wh.secret").file("l/.wh..wh..opq").file("f").file("f/.wh.x");
    Scratch::new().unpacked(&gone.done());
    let scratch = Scratch::new();
    scratch.unpacked(&archive().file("f/.wh.x").file("f/.wh.y").file("f").done());
    assert!(scratch.at("f").is_file());
    let deep = archive().directory("a/b/c").link("a/b/d", "../../..").file("a/b/d/secret").done();
    assert_eq!(Scratch::refused(&deep), Refusal::ThroughLink);
    // A directory that was there, and is asked for again after something else has taken its place.
    let swapped = archive().file("d/x").entry(EntryType::Regular, "d/.wh.x", "", b"").done();
    Scratch::new().unpacked(&swapped);
    let swapped = archive().directory("d").link("d", "..").file("d/secret").done();
    assert_eq!(Scratch::refused(&swapped), Refusal::ThroughLink);
    let swapped = archive().directory("d/e").link("d/e", "../..").file("d/e/secret").done();
    assert_eq!(Scratch::refused(&swapped), Refusal::ThroughLink);
}

#[test]
fn a_link_is_replaced_and_not_written_through() {
    let scratch = Scratch::new();
    scratch.unpacked(&archive().link("a", "../secret").file("a").link("b", "..").directory("b").file("b/c").done());
    assert_eq!(fs::read_to_string(scratch.at("a")).unwrap(), "data");
    assert!(fs::symlink_metadata(scratch.at("b")).unwrap().is_dir());
    // Neither is a file that has another name.
    let scratch = Scratch::new();
    scratch.unpacked(&archive().entry(EntryType::Regular, "a", "", b"one").hard("b", "a").file("a").done());
    assert_eq!(fs::read_to_string(scratch.at("b")).unwrap(), "one");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    assert_eq!(Scratch::refused(&archive().file("a").file("a/b").done()), Refusal::ThroughFile);
    assert_eq!(Scratch::refused(&archive().file("a/b").hard("a", "a/b").done()), Refusal::NoTarget("a/b".into()));
    assert_eq!(Scratch::refused(&archive().hard("a", "b").done()), Refusal::NoTarget("b".into()));
    assert_eq!(Scratch::refused(&archive().file("a").hard("a", "a").done()), Refusal::NoTarget("a".into()));
    assert_eq!(Scratch::refused(&archive().directory("d").hard("a", "d").done()), Refusal::LinkToDirectory("d".into()));
    assert_eq!(Scratch::refused(&archive().hard("a", ".").done()), Refusal::LinkToDirectory(".".into()));
    assert_eq!(Scratch::refused(&archive().file("").done()), Refusal::NoPath);
    assert_eq!(Scratch::refused(&archive().directory("./").link(".", "x").done()), Refusal::NoPath);
    assert_eq!(Scratch::refused(&archive().file(".wh.").done()), Refusal::Whiteout);
    assert_eq!(Scratch::refused(&archive().file(".wh...").done()), Refusal::Whiteout);
    assert_eq!(Scratch::refused(&archive().file(".wh.x").hard("a", "x").done()), Refusal::NoTarget("x".into()));
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(0);
    let long = format!("{}/", "n".repeat(100)).repeat(60);
    builder.append_data(&mut header, long, std::io::empty()).unwrap();
    assert_eq!(Scratch::refused(&builder.into_inner().unwrap()), Refusal::TooLong);
    let mut builder = Builder::new(Vec::new());
    builder.append_pax_extensions([("uid", &b"4294967295"[..])]).unwrap();
    builder.append_data(&mut header, "a", std::io::empty()).unwrap();
    assert_eq!(Scratch::refused(&builder.into_inner().unwrap()), Refusal::Owner(4_294_967_295));
}

#[test]
fn a_bomb_of_zeros_ends_at_the_limit() {
    let scratch = Scratch::new();
    let bomb = archive().entry(EntryType::Regular, "zeros", "", &vec![0; 3 << 20]).done();
    let error = scratch.unpack(&bomb, "1M", Devices::LeaveOut).unwrap_err();
    assert!(matches!(&error, ImageError::TooLarge { limit } if limit == "1 MB"), "{error:?}");
    // What nobody wants is counted, too.
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XGlobalHeader);
    header.set_size(512);
    header.set_cksum();
    let one = [header.as_bytes().as_slice(), b"512 a=", &[b'b'; 505], b"\n"].concat();
    let error = Scratch::new().unpack(&one.repeat(2000), "1M", Devices::LeaveOut).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error:?}");
}

#[test]
fn devices_are_left_out_and_so_is_what_is_linked_to_one() {
    let scratch = Scratch::new();
    let bytes = archive().entry(EntryType::Char, "null", "", b"").hard("zero", "null").file("a").done();
    let contents = scratch.unpacked(&bytes);
    assert_eq!(contents.left_out, LeftOut { count: 2, first: vec!["null".into(), "zero".into()] });
    assert!(!scratch.at("null").exists() && !scratch.at("zero").exists() && scratch.at("a").exists());
    if rustix::process::geteuid().is_root() {
        let scratch = Scratch::new();
        assert_eq!(scratch.unpack(&bytes, "1G", Devices::Make).unwrap().left_out.count, 0);
        assert_eq!(fs::metadata(scratch.at("null")).unwrap().rdev(), makedev(1, 3));
        // What overlayfs would take for something else is not made even then.
        let mut whiteout = archive().entry(EntryType::Char, "gone", "", b"").done();
        for number in [329..337, 337..345] {
            whiteout[number].copy_from_slice(b"0000000\0");
        }
        let mut header = Header::from_byte_slice(&whiteout[..512]).clone();
        header.set_cksum();
        whiteout[..512].copy_from_slice(header.as_bytes());
        let contents = Scratch::new().unpack(&whiteout, "1G", Devices::Make).unwrap();
        assert_eq!(contents.left_out.count, 1);
    }
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(1000);
    rustix::fs::lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value)).ok().map(|_| value)
}

fn is_opaque(path: &Path) -> bool {
    OPAQUE_ATTRIBUTES.iter().any(|name| attribute(path, name).as_deref() == Some(b"y"))
}

#[test]
fn whiteouts_become_what_overlayfs_knows() {
    let scratch = Scratch::new();
    let is_gone =
        |path| fs::symlink_metadata(scratch.at(path)).is_ok_and(|it| it.file_type().is_char_device() && it.rdev() == 0);
    let bytes = archive()
        .file("d/.wh.gone")
        .file("d/own")
        .file("d/.wh.own") // this layer's stays
        .directory("opaque")
        .file("opaque/.wh..wh..opq")
        .file("opaque/kept")
        .file(".wh.again")
        .directory("again")
        .directory("late")
        .file(".wh.late")
        .file(".wh..wh.plnk")
        .file(".wh.file")
        .file("file")
        .done();
    let contents = scratch.unpacked(&bytes);
    assert!(is_gone("d/gone") && !is_gone("d/own") && !is_gone("file"));
    let opaque: Vec<&str> =
        ["", "d", "opaque", "again", "late"].into_iter().filter(|path| is_opaque(&scratch.at(path))).collect();
    assert_eq!(opaque, ["opaque", "again", "late"]);
    assert!(scratch.at("opaque/kept").exists() && !scratch.at(".wh..wh.plnk").exists() && !contents.is_opaque);
    assert!(Scratch::new().unpacked(&archive().file(".wh..wh..opq").done()).is_opaque);
}

#[test]
fn what_is_said_of_files_is_kept_and_what_overlayfs_would_take_for_its_own_is_not() {
    let scratch = Scratch::new();
    let mut builder = Builder::new(Vec::new());
    let attributes: [(&str, &[u8]); 6] = [
        ("SCHILY.xattr.user.note", b"two\nlines\0"),
        ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.trusted.overlay.metacopy", b""),
        ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("mtime", b"1000.5"),
    ];
    builder.append_pax_extensions(attributes).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o6755);
    header.set_uid(1234);
    header.set_gid(5678);
    builder.append_data(&mut header, "d/f", &b"data"[..]).unwrap();
    header.set_entry_type(EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o1777);
    header.set_mtime(7);
    builder.append_data(&mut header, "d", std::io::empty()).unwrap();
    scratch.unpacked(&builder.into_inner().unwrap());
    let file = fs::metadata(scratch.at("d/f")).unwrap();
    let directory = fs::metadata(scratch.at("d")).unwrap();
    assert_eq!((file.mtime(), file.mtime_nsec()), (1000, 500_000_000));
    assert_eq!((directory.mode() & 0o7777, directory.mtime()), (0o1777, 7));
    let at = scratch.at("d/f");
    assert_eq!(attribute(&at, "user.note").as_deref(), Some(&b"two\nlines\0"[..]));
    for name in ["user.overlay.redirect", "trusted.overlay.redirect", "trusted.overlay.metacopy"] {
        assert_eq!(attribute(&at, name), None, "{name}");
    }
    if rustix::process::geteuid().is_root() {
        assert_eq!((file.uid(), file.gid(), file.permissions().mode() & 0o7777), (1234, 5678, 0o6755));
        assert_eq!(attribute(&at, "security.capability").as_deref(), Some(attributes[4].1));
    }
}

#[test]
fn holes_stay_holes() {
    let scratch = Scratch::new();
    let source = tempfile::tempdir().unwrap();
    let sparse = fs::File::create(source.path().join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &[7; 4096], 8 << 20).unwrap();
    sparse.set_len(64 << 30).unwrap();
    let tar = std::process::Command::new("tar").arg("-C").arg(source.path()).args(["-cS", "."]).output().unwrap();
    let contents = scratch.unpack(&tar.stdout, "1M", Devices::LeaveOut).unwrap();
    let made = fs::metadata(scratch.at("sparse")).unwrap();
    assert_eq!((made.len(), contents.bytes), (64 << 30, 4096));
    assert!(made.blocks() * 512 < 1 << 20, "{}", made.blocks());
    let mut read = [0; 4096];
    let file = fs::File::open(scratch.at("sparse")).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut read, 8 << 20).unwrap();
    assert_eq!(read, [7; 4096]);
}

/// A path of names that mean something.
fn some_path() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let name = prop::sample::select(vec!["a", "b", "c", "..", ".", "", ".wh.a", ".wh.b", ".wh..wh..opq", "secret"]);
    prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 512, ..Default::default() })]
    /// Whatever an archive says, what is outside of the directory stays as it is, and what is inside is what was asked for.
    #[test]
    fn whatever_comes_stays_inside(entries in proptest::collection::vec((0..6_u8, some_path(), some_path()), 1..12)) {
        let scratch = Scratch::new();
        let archive = entries.iter().fold(archive(), |archive, (kind, path, link)| match kind {
            0 | 1 => archive.file(path),
            2 => archive.directory(path),
            3 => archive.link(path, link),
            4 => archive.hard(path, link),
            _ => archive.entry(EntryType::Char, path, "", b""),
        });
        // Refused or not: `unpack` looks whether anything has got out.
        let _ = scratch.unpack(&archive.done(), "1M", Devices::LeaveOut);
        let mut left = vec![scratch.at("")];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let found = entry.metadata().unwrap();
                assert!(!found.file_type().is_char_device() || found.rdev() == 0, "{}", entry.path().display());
                if found.is_dir() {
                    left.push(entry.path());
                }
            }
        }
    }
}

#[test]
fn directories_that_nobody_has_named_are_counted_and_not_without_end() {
    let scratch = Scratch::new();
    let budget = Budget::new("1G".parse().unwrap(), Cancel::default());
    let unpacker = Unpacker::new(&scratch.at(""), &budget, Devices::LeaveOut).unwrap();
    let archive = archive().file("a/b/c/file").done();
    let stream = super::super::budget::Metered::new(&archive[..], &budget);
    unpack_archive(unpacker, stream, "it").map(drop).unwrap();
    assert_eq!(budget.entries_taken(), 4);
    let deep = |names: usize| Inside::of(Path::new(&"a/".repeat(names))).map(drop);
    assert_eq!((deep(200), deep(201)), (Ok(()), Err(Refusal::TooDeep(200))));
}

#[test]
fn what_comes_later_takes_the_place_of_what_is_there() {
    // A directory with all that is in it.
    let scratch = Scratch::new();
    let contents = scratch.unpacked(&archive().file("d/e/f").directory("d/e").file("d").file("dd/x").done());
    assert_eq!(fs::read_to_string(scratch.at("d")).unwrap(), "data");
    assert_eq!(contents.implied, ["", "dd"].map(inside), "it is no directory any more");
    // A file, by a directory: of that name there was something else in this layer, which has hidden what is below.
    let scratch = Scratch::new();
    scratch.unpacked(&archive().file("f").directory("f").link("l", "x").directory("l").directory("new").done());
    let opaque: Vec<&str> = ["f", "l", "new"].into_iter().filter(|path| is_opaque(&scratch.at(path))).collect();
    assert_eq!(opaque, ["f", "l"]);
    // What is gone, by a directory that nobody has named.
    let scratch = Scratch::new();
    scratch.unpacked(&archive().file("a/.wh.d").file("a/d/e/n").file("a/.wh.g").file("a/g/.wh.x").done());
    assert_eq!(fs::read_to_string(scratch.at("a/d/e/n")).unwrap(), "data");
    let opaque: Vec<&str> = ["a", "a/d", "a/d/e"].into_iter().filter(|path| is_opaque(&scratch.at(path))).collect();
    assert_eq!(opaque, ["a/d"]);
    assert!(fs::symlink_metadata(scratch.at("a/g")).unwrap().file_type().is_char_device(), "it is still gone");
}

fn inside(path: &str) -> Inside {
    if path.is_empty() { Inside::default() } else { Inside::of(Path::new(path)).unwrap() }
}

#[test]
fn directories_that_nobody_has_named_are_written_down() {
    let bytes = archive().file("a/b/x").directory("a").file("c/.wh.y").done();
    let contents = Scratch::new().unpacked(&bytes);
    assert_eq!(contents.implied, ["", "a/b", "c"].map(inside));
    assert_eq!(Scratch::new().unpacked(&archive().directory("./").done()).implied, [] as [Inside; 0]);
    // Whatever bytes their names are of.
    let contents =
        Contents { implied: vec![Inside::of(Path::new(OsStr::from_bytes(b"\xff\xfe/a b"))).unwrap()], ..contents };
    let text = serde_json::to_string(&contents).unwrap();
    assert_eq!(serde_json::from_str::<Contents>(&text).unwrap(), contents);
    let old = r#"{"bytes": 0, "files": 0, "is_opaque": false, "left_out": {"count": 0, "first": []}}"#;
    assert_eq!(serde_json::from_str::<Contents>(old).unwrap(), Contents::default());
}

#[test]
fn what_is_remembered_has_an_end() {
    for name in ["n".repeat(256), "a/".repeat(2048) + "a", "./".repeat(300_000) + "a"] {
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Char);
        header.set_size(0);
        builder.append_pax_extensions([("path", name.as_bytes())]).unwrap();
        header.set_path("null").unwrap();
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
        assert_eq!(Scratch::refused(&builder.into_inner().unwrap()), Refusal::TooLong, "{}", name.len());
    }
    let scratch = Scratch::new();
    let budget = Budget::new("1G".parse().unwrap(), Cancel::default());
    for entries in [
        archive().entry(EntryType::Char, "null", "", b"").entry(EntryType::Char, "zero", "", b""),
        archive().directory("a").directory("b"),
        archive().file("c/d/x"),
    ] {
        let mut unpacker = Unpacker::new(&scratch.at(""), &budget, Devices::LeaveOut).unwrap();
        unpacker.room = size_of::<Inside>() + 10; // for one
        let error = unpack_archive(unpacker, &entries.done()[..], "it").map(drop).unwrap_err();
        assert!(matches!(error, ImageError::Refused { refusal: Refusal::TooManyNames(_), .. }), "{error:?}");
    }
}

#[test]
fn a_name_of_no_characters_that_is_left_out_is_told() {
    let mut bytes = archive().entry(EntryType::Char, "null", "", b"").done();
    bytes[0] = 0xff;
    let mut header = Header::from_byte_slice(&bytes[..512]).clone();
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    let contents = Scratch::new().unpacked(&bytes);
    assert!(serde_json::to_string(&contents).unwrap().contains("\u{fffd}ull"), "{contents:?}");
}

#[test]
fn where_there_are_no_layers_every_name_is_that_of_a_file() {
    let scratch = Scratch::new();
    let budget = Budget::new("1G".parse().unwrap(), Cancel::default());
    let unpacker = Unpacker::new(&scratch.at(""), &budget, Devices::LeaveOut).unwrap().with_plain_names();
    unpack_archive(unpacker, &archive().file("d/.wh.x").file(".wh..wh..opq").done()[..], "it").map(drop).unwrap();
    assert_eq!(fs::read_to_string(scratch.at("d/.wh.x")).unwrap(), "data");
    assert!(scratch.at(".wh..wh..opq").is_file() && !is_opaque(&scratch.at("")));
}

#[test]
fn a_name_does_nothing_to_a_terminal() {
    let bytes = archive().file("\u{1b}[2J/../x").done();
    let said = Scratch::new().unpack(&bytes, "1G", Devices::LeaveOut).unwrap_err().to_string();
    assert!(!said.contains('\u{1b}') && said.contains("\\u{1b}[2J/../x has `..` in its path"), "{said}");
}
