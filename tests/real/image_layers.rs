//! Images of layers, as real tools write them: umoci makes them, skopeo copies them from form to form.

use crate::image::Images;
use crate::support::ThrowAwayHost;
use crate::support::rootfs::busybox;
use crate::support::run::{sh, text};

/// A layout with an image of four layers, of which the second takes files and directories away, the third hides all that is in a
/// directory, and the fourth has files in directories that it says nothing of. Gives back where it is.
fn layout(host: &ThrowAwayHost) -> String {
    let here = host.scratch().to_str().unwrap().to_owned();
    let root = busybox(host, "base");
    sh(&format!(
        "cd {here}; export TMPDIR={here}; umoci init --layout l; umoci new --image l:i; umoci unpack --image l:i b1 2>/dev/null; \
         cp -a {root}/. b1/rootfs/; cd b1/rootfs; mkdir -p d/gone d/kept hidden/below; echo 1 > d/gone/x; echo 1 > d/kept/x; echo 1 > file; \
         echo 1 > hidden/below/x; echo 1 > turned; mkdir turned-too; echo 1 > turned-too/x; chown 12:34 file; ln file other; \
         mkdir -m 1777 sticky; mkdir -m 700 closed; echo 1 > closed/secret; echo 1 > closed/own; chown 5:6 closed; \
         cd {here}; umoci repack --image l:i b1; rm -r b1; \
         umoci unpack --image l:i b2; cd b2/rootfs; rm -r d/gone other turned turned-too; mkdir turned; echo 2 > turned/x; echo 2 > turned-too; \
         echo 2 > d/kept/y; chmod 4711 file; cd {here}; umoci repack --image l:i b2; rm -r b2; \
         mkdir -p t/hidden; touch t/hidden/.wh..wh..opq; echo 3 > t/hidden/own; tar -C t --sort=name -cf t.tar hidden; \
         umoci raw add-layer --image l:i t.tar; \
         mkdir -p u/sticky u/closed; echo 4 > u/sticky/x; touch u/closed/.wh.secret; tar -C u -cf u.tar sticky/x closed/.wh.secret; \
         umoci raw add-layer --image l:i u.tar; \
         umoci config --image l:i --config.entrypoint /bin/sh --config.entrypoint -c --config.cmd 'echo $WHO; id -u; id -g; pwd' \
           --config.env WHO=image --config.workingdir /d --config.user 7:8"
    ));
    format!("{here}/l")
}

/// What can be seen of layers through overlayfs, but the times of directories.
fn seen(layers: &[std::path::PathBuf], host: &ThrowAwayHost) -> String {
    let at = host.scratch().join("seen").to_str().unwrap().to_owned();
    let lower: Vec<&str> = layers.iter().rev().map(|layer| layer.to_str().unwrap()).collect();
    let lower = lower.join(":");
    sh(&format!("mkdir -p {at}; mount -t overlay -o ro,lowerdir={lower} overlay {at}"));
    let files = files(&at);
    sh(&format!("umount {at}"));
    files
}

fn files(directory: &str) -> String {
    sh(&format!(
        "cd {directory}; find . ! -type d -printf '%p %y %m %U:%G %s %T@ %l %n\\n' -o -printf '%p %y %m %U:%G\\n' | sort; \
         find . -type f -exec sha256sum {{}} + | sort"
    ))
}

#[test]
fn an_image_of_layers_is_the_same_whatever_it_comes_in() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let layout = layout(host);
        let here = host.scratch().to_str().unwrap().to_owned();
        images.ok(&["image", "import", &layout, "--name", "layout"]);
        let layers = images.layers("layout");
        // The last one says nothing of the directories that its files are in: another one does.
        assert_eq!(layers.len(), 5);
        // As the tool that has made it unpacks it.
        sh(&format!("cd {here}; umoci unpack --image l:i whole"));
        assert_eq!(seen(&layers, host), files(&format!("{here}/whole/rootfs")));
        assert_eq!(images.json(&["image", "show", "layout"])["config"]["user"], "7:8");
        sh(&format!(
            "cd {here}; export TMPDIR={here}; copy() {{ skopeo --insecure-policy copy -q oci:l:i \"$@\"; }}; \
             copy docker-archive:saved.tar:some/name:tag; copy oci-archive:archive.tar:i; copy --dest-compress-format zstd oci:zstd:i; \
             gzip -k saved.tar"
        ));
        let all = ["saved.tar", "saved.tar.gz", "archive.tar", "zstd"];
        for (at, source) in all.iter().enumerate() {
            let name = format!("i{at}");
            // None of the layers is there, and then all are.
            images.ok(&["image", "rm", if at == 0 { "layout".to_owned() } else { format!("i{}", at - 1) }.as_str()]);
            assert_eq!(images.names("layers"), [] as [String; 0]);
            images.ok(&["image", "import", &format!("{here}/{source}"), "--name", &name]);
            assert_eq!(images.layers(&name), layers, "{source}");
            assert_eq!(seen(&images.layers(&name), host), files(&format!("{here}/whole/rootfs")), "{source}");
        }
        let said = images.ok(&["launch", "--image", "i3"]);
        assert_eq!(said, "image\n7\n8\n/d\n");
        assert_eq!(
            images.ok(&[
                "launch",
                "--image",
                "i3",
                "--user",
                "0:0",
                "--env",
                "WHO=me",
                "--workdir",
                "/",
                "--",
                "/bin/sh",
                "-c",
                "echo $WHO; id -u; pwd; ls /hidden"
            ]),
            "me\n0\n/\nown\n"
        );
    });
}

#[test]
fn a_layer_that_is_not_what_its_image_says_is_refused() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let layout = layout(host);
        let here = host.scratch().to_str().unwrap().to_owned();
        let blobs = sh(&format!("ls -S {here}/l/blobs/sha256"));
        let largest = blobs.lines().next().unwrap();
        let changed = |how: &str| {
            sh(&format!(
                "rm -rf {here}/bad; cp -a {layout} {here}/bad; cd {here}/bad/blobs/sha256; {}",
                how.replace('@', largest)
            ));
            let said = images.fails(&["image", "import", &format!("{here}/bad")], 1);
            images.assert_empty();
            said
        };
        let said = changed("truncate -s -1 @");
        assert!(said.contains("is not whole") || said.contains("is damaged"), "{said}");
        let said = changed("head -c 4096 /dev/urandom | gzip -c > x; mv x @");
        assert!(said.contains("is damaged") && !said.contains("is no archive"), "{said}");
        let said = changed("gunzip -c @ | (cat; head -c 512 /dev/zero) | gzip -c > x; mv x @");
        assert!(said.contains("is not what it is said to be"), "{said}");
        let said = changed("for manifest in $(grep -l '\"layers\":\\[' *); do printf '\\n' >> $manifest; done");
        assert!(said.contains("is not what it is said to be"), "{said}");
        let said = changed("rm @");
        assert!(said.contains("No such file"), "{said}");
        let said = changed("rm @; ln -s /etc/passwd @");
        assert!(said.contains("can't read"), "{said}");
        sh(&format!("cd {here}; umoci tag --image l:i other"));
        sh(&format!("cd {here}; umoci config --image l:other --config.user 9"));
        let said = images.fails(&["image", "import", &layout], 2);
        assert!(said.contains("several images: say which with --tag"), "{said}");
        images.ok(&["image", "import", &layout, "--tag", "other", "--name", "o"]);
        assert_eq!(images.json(&["image", "show", "o"])["config"]["user"], "9");
        let said = images.fails(&["image", "import", &layout, "--tag", "absent"], 2);
        assert!(said.contains("has no image \"absent\""), "{said}");
    });
}

#[test]
fn the_machines_busybox_is_an_image() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        assert_eq!(images.ok(&["image", "import", "busybox"]), "busybox\n");
        let script = "echo $(id -un) $(ls /proc/self/exe /tmp -d) $(grep -c localhost /etc/hosts); ping -c1 -W1 127.0.0.1 > /dev/null; echo $?";
        assert_eq!(images.ok(&["launch", "--image", "busybox", "sh", "-c", script]), "root /proc/self/exe /tmp 2\n0\n");
        // Whenever it is made.
        let layers = images.layers("busybox");
        images.ok(&["image", "import", "busybox", "--name", "again"]);
        assert_eq!(images.layers("again"), layers);
    });
}

#[test]
fn debootstrap_makes_an_image_where_it_is_there() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let root = busybox(host, "base");
        let tools = host.scratch().join("tools").to_str().unwrap().to_owned();
        // It would fetch hundreds of packages; what is asked of it, and what becomes of what it leaves, is the same.
        sh(&format!(
            "mkdir {tools}; printf '%s\\n' '#!/bin/sh' 'echo \"I: $*\"' '[ \"$3\" != none ] || exit 1' 'cp -a {root}/. \"$4\"' \
             'mkdir -p \"$4/var/cache/apt/archives\"; touch \"$4/var/cache/apt/archives/x.deb\"' 'mount -t tmpfs t \"$4/proc\"' \
             'echo \"$*\" > \"$4/etc/asked\"' > {tools}/debootstrap; chmod +x {tools}/debootstrap"
        ));
        let import = |source: &str| {
            let mut command = images.command(&["image", "import", source]);
            command.env("PATH", format!("{tools}:{}", std::env::var("PATH").unwrap())).output().unwrap()
        };
        let output = import("debootstrap:bookworm,http://mirror.invalid/debian");
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(output.stdout, b"bookworm\n");
        let said =
            images.ok(&["launch", "--image", "bookworm", "sh", "-c", "cat /etc/asked; ls /var/cache/apt/archives"]);
        assert!(
            said.starts_with("--variant=minbase --force-check-gpg bookworm /")
                && said.ends_with(" http://mirror.invalid/debian\n"),
            "{said}"
        );
        assert_eq!(images.json(&["image", "show", "bookworm"])["config"]["command"][0], "/bin/bash");
        let output = import("debootstrap:none");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert_eq!(images.names("images").len() + images.names("tmp").len(), 1);
    });
}

#[test]
fn an_image_of_many_layers_is_stood_on_whatever_the_kernel_knows() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let root = busybox(host, "base");
        let here = host.scratch().to_str().unwrap().to_owned();
        // As `docker save` writes them: more than can be named by their paths in what the kernel takes of a mount's options.
        sh(&format!(
            r#"cd {here}; mkdir many; tar -C {root} -cf many/0.tar .; cd many; python3 - <<'END'
import hashlib, io, json, tarfile
names = ["0.tar"]
for at in range(1, 300):
    names.append(f"{{at}}.tar")
    with tarfile.open(names[-1], "w") as layer:
        for path, kind in (("./", tarfile.DIRTYPE), (f"./file{{at}}", tarfile.REGTYPE)):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = kind, 0o755
            layer.addfile(entry, io.BytesIO())
digests = ["sha256:" + hashlib.sha256(open(name, "rb").read()).hexdigest() for name in names]
json.dump({{"rootfs": {{"diff_ids": digests}}}}, open("config.json", "w"))
json.dump([{{"Config": "config.json", "Layers": names}}], open("manifest.json", "w"))
END"#
        ));
        images.ok(&["image", "import", &format!("{here}/many")]);
        assert_eq!(images.layers("many").len(), 300);
        let script = "ls -d /file1 /file299; ls / | grep -c file";
        for (lacking, options) in [("", &[][..]), ("overlay_by_descriptor", &[]), ("overlay_by_descriptor", &["-U"])] {
            let all = [&["launch", "--image", "many"][..], options, &["sh", "-c", script]].concat();
            let output = images.command(&all).env("NSLAB_TEST_LACKS", lacking).output().unwrap();
            assert_eq!(text(&output), "/file1\n/file299\n299\n", "{lacking} {options:?}");
        }
    });
}
