//! Images: made of directories and archives, listed, removed, and never half there.

use crate::support::rootfs::busybox;
use crate::support::run::{sh, text};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// A store of the test's own.
pub(crate) struct Images(PathBuf);

impl Images {
    pub(crate) fn of(host: &ThrowAwayHost) -> Self {
        Self(host.scratch().join("images"))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = nslab(arguments);
        command.env("NSLAB_IMAGE_DIR", &self.0);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "nslab {arguments:?}: {}\n{}", output.status, text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "nslab {arguments:?}:\n{}", text(&output));
        text(&output)
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(&[&["--json"], arguments].concat())).unwrap()
    }

    /// The directories of an image's layers, the lowest first.
    pub(crate) fn layers(&self, name: &str) -> Vec<PathBuf> {
        let image = self.json(&["image", "show", name]);
        let digest = |layer: &serde_json::Value| layer["digest"].as_str().unwrap().replace(':', "-");
        let layers = image["layers"].as_array().unwrap().iter().map(digest);
        layers.map(|digest| self.0.join("layers").join(digest).join("files")).collect()
    }

    /// What is in a place of the store.
    pub(crate) fn names(&self, place: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(place)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Nothing is there, and nothing half.
    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        for place in ["layers", "images", "tmp"] {
            assert_eq!(self.names(place), [] as [String; 0], "in {place}");
        }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        self.0.join(path).to_str().unwrap().to_owned()
    }
}

/// Every file below a directory, with all that is said of it but when it was read.
pub(crate) fn listing(directory: &str) -> String {
    sh(&format!(
        "cd {directory} && find . -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort && find . -type f -links 1 -exec sha256sum {{}} + | sort \
         && find . -links +1 -type f -printf '%p %n\\n' | sort"
    ))
}

/// A root file system with a file of each sort in it.
fn sample(host: &ThrowAwayHost) -> String {
    let root = busybox(host, "rootfs");
    sh(&format!(
        "cd {root}; cp bin/busybox bin/su; chmod 4755 bin/su; ln bin/su bin/other; mkdir -m 1777 var; mkdir -m 0 var/closed; \
         echo hers > etc/hers; chown 1234:5678 etc/hers; mkfifo -m 622 var/pipe; ln -s ../../etc/passwd etc/link; \
         truncate -s 32M var/sparse; echo end >> var/sparse; setcap cap_net_raw+ep bin/busybox; \
         touch -d '2001-02-03 04:05:06.789' etc/old; touch 'etc/a name with blanks' 'etc/a\\backslash'"
    ));
    root
}

#[test]
fn an_image_is_the_directory_that_it_is_made_from() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let root = sample(host);
        assert_eq!(images.ok(&["image", "import", &root]), "rootfs\n");
        let [layer] = &images.layers("rootfs")[..] else { panic!("one layer") };
        let layer = layer.to_str().unwrap();
        assert_eq!(listing(layer), listing(&root));
        assert!(sh(&format!("getcap {layer}/bin/busybox")).contains("cap_net_raw=ep"));
        assert!(sh(&format!("du -k {layer}/var/sparse | cut -f1")).trim().parse::<u32>().unwrap() < 1000);
        // The same again is the same layer, and archives of it are the same files.
        images.ok(&["image", "import", &root, "--name", "again"]);
        assert_eq!(images.names("layers").len(), 1);
        let here = host.scratch().to_str().unwrap();
        sh(&format!("tar -C {root} --xattrs --xattrs-include='*' --format=pax -cSf {here}/plain.tar ."));
        sh(&format!("cd {here}; gzip -k plain.tar; xz -0 -k plain.tar; zstd -q plain.tar"));
        for name in ["plain.tar", "plain.tar.gz", "plain.tar.xz", "plain.tar.zst"] {
            assert_eq!(images.ok(&["image", "import", &format!("{here}/{name}")]), "plain\n");
            let [layer] = &images.layers("plain")[..] else { panic!("one layer") };
            assert_eq!(listing(layer.to_str().unwrap()), listing(&root), "{name}");
        }
        // However it is packed, it is one layer.
        assert_eq!(images.names("layers").len(), 2);
        assert_eq!(images.names("tmp"), [] as [String; 0]);
        let mode = sh(&format!("stat -c %a {} {}", images.at(""), images.at("layers")));
        assert_eq!(mode, "700\n700\n", "nobody else finds what is executable as root in there");
    });
}

#[test]
fn what_is_mounted_in_a_directory_is_not_part_of_it_and_no_name_means_anything() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let root = busybox(host, "rootfs");
        let here = host.scratch().to_str().unwrap().to_owned();
        // Of the same file system, too.
        sh(&format!(
            "cd {here}; mkdir other; echo secret > other/secret; touch {root}/etc/file {root}/etc/.wh.x; \
             mount --bind other {root}/tmp; mount --bind other/secret {root}/etc/file"
        ));
        images.ok(&["image", "import", &root]);
        let layer = images.layers("rootfs")[0].to_str().unwrap().to_owned();
        assert_eq!(
            sh(&format!("ls -A {layer}/tmp; ls -A {layer}/etc; ls -d {layer}/tmp")),
            format!(".wh.x\n{layer}/tmp\n")
        );
        assert_eq!(sh(&format!("stat -c %F {layer}/etc/.wh.x")), "regular empty file\n");
        sh(&format!("umount {root}/tmp {root}/etc/file"));
    });
}

#[test]
fn an_import_that_is_killed_at_its_very_end_leaves_nothing_among_the_images() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let root = busybox(host, "rootfs");
        images.ok(&["image", "import", &root, "--name", "a"]);
        // The layer is there already: the image alone is to be written down.
        let mut command = images.command(&["image", "import", &root, "--name", "b"]);
        let output = command.env("NSLAB_TEST_END_AT", "before an image is in its place").output().unwrap();
        assert!(!output.status.success(), "{}", text(&output));
        assert_eq!(images.names("images"), ["a.json"]);
        assert_eq!(images.json(&["image", "prune"])["unfinished"], 1);
    });
}

#[test]
fn images_are_listed_measured_and_removed() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        assert!(text(&images.run(&["image", "ls"])).contains("no images"));
        assert_eq!(images.json(&["image", "ls"]), serde_json::json!([]));
        images.ok(&["image", "prune"]);
        assert!(images.fails(&["image", "show", "a"], 2).contains("there is no image a; there is none"));
        assert!(!std::path::Path::new(&images.at("")).exists(), "looking makes nothing");
        let root = busybox(host, "rootfs");
        images.ok(&["image", "import", &root, "--name", "a"]);
        images.ok(&["image", "import", &root, "--name", "b"]);
        sh(&format!("echo more > {root}/etc/more"));
        images.ok(&["image", "import", &root, "--name", "c"]);
        let names = images.json(&["image", "ls"]);
        let names: Vec<&str> = names.as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let usage = images.json(&["image", "du"]);
        let of = |name: &str, what: &str| usage["images"][name][what].as_u64().unwrap();
        assert_eq!(of("a", "own_bytes"), 0, "{usage}");
        assert!(of("a", "bytes") > 1 << 20 && of("c", "own_bytes") > 1 << 20, "{usage}");
        assert!(images.fails(&["image", "rm", "d"], 2).contains("there is no image d; there is a, b, c"));
        images.ok(&["image", "rm", "a"]);
        assert_eq!(images.names("layers").len(), 2, "b has the same files");
        images.ok(&["image", "rm", "b"]);
        assert_eq!(images.names("layers").len(), 1);
        // Under a name that is taken comes what is new, and what was there goes with the next `prune`.
        sh(&format!("echo other > {root}/etc/more"));
        let said = text(&images.run(&["image", "import", &root, "--name", "c"]));
        assert!(said.contains("takes the place"), "{said}");
        assert_eq!(images.names("layers").len(), 2);
        let pruned = images.json(&["image", "prune"]);
        assert_eq!(pruned["layers"].as_array().unwrap().len(), 1);
        images.ok(&["image", "rm", "c"]);
        images.assert_empty();
    });
}

#[test]
fn what_can_not_be_imported_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let here = host.scratch().to_str().unwrap().to_owned();
        sh(&format!(
            "mkdir {here}/d; head -c 3000000 /dev/zero > {here}/d/zeros; ln -s ../../../.. {here}/d/up; tar -C {here} -cf {here}/t.tar d; \
             head -c 2000000 {here}/t.tar > {here}/cut.tar; gzip -k {here}/t.tar; head -c 1000 {here}/t.tar.gz > {here}/cut.tar.gz; \
             tar -C {here} -cPf {here}/up.tar d/up --transform 's,^d/up,d/../../up,'; echo none > {here}/none.tar; touch {here}/empty.tar"
        ));
        let at = |name: &str| format!("{here}/{name}");
        for (name, options, code, says) in [
            ("cut.tar", &[][..], 1, "is not whole"),
            ("cut.tar.gz", &[], 1, "is not whole"),
            ("empty.tar", &[], 1, "is not whole"),
            ("up.tar", &[], 1, "has `..` in its path"),
            ("t.tar.gz", &["--max-size", "1M"], 1, "larger than 1 MB"),
            ("d", &["--max-size", "1M"], 1, "larger than 1 MB"),
            ("none.tar", &[], 1, "is not whole"),
            ("d/zeros", &["--name", "x", "--max-size", "1"], 1, "larger than 1 B"),
            ("absent", &[], 2, "is not there"),
            ("d/..", &["--name", "../x"], 2, "`../x` has '/' in it"),
        ] {
            let said = images.fails(&[&["image", "import", &at(name)], options].concat(), code);
            assert!(said.contains(says), "{name}: {said}");
            images.assert_empty();
        }
        sh(&format!("head -c 4096 /dev/urandom > {here}/noise.tar"));
        assert!(images.fails(&["image", "import", &at("noise.tar")], 2).contains("is no archive"));
        images.assert_empty();
    });
}

#[test]
fn an_import_into_a_full_disk_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let root = busybox(host, "rootfs");
        let small = images.at("");
        sh(&format!("mkdir {small}; mount -t tmpfs -o size=1M small {small}"));
        let said = images.fails(&["image", "import", &root], 1);
        assert!(said.contains("of the image (remove images that nobody needs") && said.contains("No space"), "{said}");
        images.assert_empty();
        sh(&format!("umount {small}"));
    });
}

#[test]
fn an_import_that_is_stopped_or_killed_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let pipe = host.scratch().join("pipe.tar").to_str().unwrap().to_owned();
        let root = busybox(host, "rootfs");
        sh(&format!("mkfifo {pipe}"));
        let started = || {
            let child = images.command(&["image", "import", &pipe, "--name", "x"]).spawn().unwrap();
            // All but the end: it waits for that.
            let writer = Command::new("sh")
                .arg("-c")
                .arg(format!("(tar -C {root} -c .; exec sleep 1000) > {pipe}"))
                .spawn()
                .unwrap();
            wait_until("it unpacks", Duration::from_secs(30), || {
                let under_way = |name: &String| {
                    std::path::Path::new(&images.at(&format!("tmp/{name}/1/files/bin/busybox"))).exists()
                };
                images.names("tmp").iter().any(under_way)
            });
            (child, writer)
        };
        let (mut child, mut writer) = started();
        // While one is under way, what it has is not taken for left behind.
        images.ok(&["image", "prune"]);
        assert_eq!(images.names("tmp").len(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        let ended = sh(&format!("pkill -KILL -P {}; kill -KILL {}; true", writer.id(), writer.id()));
        assert_eq!(ended, "");
        writer.wait().unwrap();
        assert_eq!(images.names("tmp").len(), 1, "nobody could take it away");
        let pruned = images.json(&["image", "prune"]);
        assert_eq!(pruned["unfinished"], 1);
        images.assert_empty();
        let (mut child, mut writer) = started();
        sh(&format!("kill -INT {}", child.id()));
        // It hears of it with the next bytes.
        sh(&format!("pkill -KILL -P {}; kill -KILL {}; true", writer.id(), writer.id()));
        writer.wait().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        images.assert_empty();
    });
}

#[test]
fn a_zip_archive_is_an_image_and_is_trusted_no_more_than_others() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let here = host.scratch().to_str().unwrap().to_owned();
        let root = busybox(host, "rootfs");
        let zipped = |entries: &str| {
            sh(&format!(
                r#"cd {here}; python3 - <<'END'
import os, zipfile
archive = zipfile.ZipFile("z.zip", "w", zipfile.ZIP_DEFLATED)
def add(name, data, mode):
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
{entries}
archive.close()
END"#
            ));
        };
        zipped(&format!(
            r#"for at, directories, files in os.walk("{root}"):
    for name in directories:
        add(os.path.relpath(os.path.join(at, name), "{root}") + "/", b"", 0o40755)
    for name in files:
        path = os.path.join(at, name)
        inside = os.path.relpath(path, "{root}")
        if os.path.islink(path):
            add(inside, os.readlink(path).encode(), 0o120777)
        else:
            add(inside, open(path, "rb").read(), 0o104755)"#
        ));
        assert_eq!(images.ok(&["image", "import", &format!("{here}/z.zip")]), "z\n");
        let layer = images.layers("z")[0].to_str().unwrap().to_owned();
        let of = |directory: &str| {
            sh(&format!(
                "cd {directory} && find . -printf '%p %y %s %l\\n' | grep -v ' d ' | sort && sha256sum bin/busybox"
            ))
        };
        assert_eq!(of(&layer), of(&root));
        assert_eq!(sh(&format!("stat -c %a {layer}/bin/busybox {layer}/tmp")), "4755\n755\n");
        images.ok(&["image", "rm", "z"]);
        for (entries, says) in [
            (r#"add("../x", b"", 0o100644)"#, "has `..` in its path"),
            (r#"add("/x", b"", 0o100644)"#, "has an absolute path"),
            (r#"add("l", b"..", 0o120777); add("l/x", b"", 0o100644)"#, "goes through a symbolic link"),
            (r#"add("zeros", bytes(20000000), 0o100644)"#, "larger than 10 MB"),
        ] {
            zipped(entries);
            let said = images.fails(&["image", "import", &format!("{here}/z.zip"), "--max-size", "10M"], 1);
            assert!(said.contains(says), "{entries}: {said}");
            images.assert_empty();
        }
        zipped(r#"add("x", os.urandom(10000), 0o100644)"#);
        sh(&format!("cd {here}; printf '\\377\\377\\377' | dd of=z.zip bs=1 seek=100 conv=notrunc status=none"));
        let said = images.fails(&["image", "import", &format!("{here}/z.zip")], 1);
        assert!(said.contains("is damaged"), "{said}");
        images.assert_empty();
    });
}
