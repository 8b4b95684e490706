//! Images and stores that are not as they should be: what is damaged is told, and the rest goes on.

use crate::image::Images;
use crate::support::ThrowAwayHost;
use crate::support::run::{sh, text, write};

/// Imports a directory with one file, whose content is the image's name.
fn import(host: &ThrowAwayHost, images: &Images, name: &str) {
    let directory = host.scratch().join(name);
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("file"), name).unwrap();
    images.ok(&["image", "import", directory.to_str().unwrap()]);
}

#[test]
fn a_damaged_image_keeps_nobody_from_the_others() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        for name in ["good", "bad", "gone"] {
            import(host, &images, name);
        }
        std::fs::write(images.at("images/bad.json"), "{\"name\": \"bad\"").unwrap();
        let told = |output: &str| {
            assert!(output.contains("images/bad.json is damaged: "), "{output}");
            assert!(output.contains("`nslab image rm bad` removes the image bad"), "{output}");
        };
        let listed = images.run(&["image", "ls"]);
        assert!(listed.status.success());
        let out = String::from_utf8_lossy(&listed.stdout);
        assert!(out.contains("good") && out.contains("gone") && !out.contains("bad"), "{out}");
        told(&text(&listed));
        let measured = images.run(&["image", "du"]);
        assert!(measured.status.success() && String::from_utf8_lossy(&measured.stdout).contains("good"));
        told(&text(&measured));
        assert!(images.json(&["image", "du"])["damaged"][0].as_str().unwrap().contains("bad.json"));
        // Nobody knows which layers it has, so none goes.
        let removed = images.run(&["image", "rm", "gone"]);
        assert!(removed.status.success(), "{}", text(&removed));
        told(&text(&removed));
        assert!(text(&removed).contains("no layer was removed"), "{}", text(&removed));
        assert_eq!(
            (images.names("images"), images.names("layers").len()),
            (vec!["bad.json".into(), "good.json".into()], 3)
        );
        told(&text(&images.run(&["image", "prune"])));
        assert!(images.fails(&["image", "show", "bad"], 1).contains("is damaged"));
        // It can be removed as any other one, and what nobody needs goes then.
        images.ok(&["image", "rm", "bad"]);
        assert_eq!((images.names("images"), images.names("layers").len()), (vec!["good.json".into()], 1));
        let listed = images.run(&["image", "ls"]);
        assert!(listed.status.success() && listed.stderr.is_empty(), "{}", text(&listed));
    });
}

#[test]
fn what_a_container_has_claimed_and_nobody_can_read_stays() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        import(host, &images, "good");
        import(host, &images, "gone");
        let place = images.at("containers/strange");
        std::fs::create_dir_all(format!("{place}/files")).unwrap();
        std::fs::write(format!("{place}/claim.json"), "?").unwrap();
        let removed = images.run(&["image", "rm", "gone"]);
        assert!(removed.status.success(), "{}", text(&removed));
        let said = text(&images.run(&["image", "prune"]));
        assert!(said.contains("containers/strange/claim.json is damaged: "), "{said}");
        assert!(said.contains(&format!("when the container strange is no more, `rm -r {place}`")), "{said}");
        assert_eq!((images.names("containers"), images.names("layers").len()), (vec!["strange".into()], 2));
        images.ok(&["image", "ls"]);
        sh(&format!("rm -r {place}"));
        images.ok(&["image", "prune"]);
        assert_eq!(images.names("layers").len(), 1);
    });
}

/// An archive as `docker save` writes it, of one layer with one file; the configuration and the layer are called as `names` says of
/// their digests, and changed as `change` says.
fn saved(host: &ThrowAwayHost, names: &str, change: &str) -> String {
    let script = format!(
        r#"
import gzip, hashlib, io, json, sys, tarfile
hexa = lambda data: hashlib.sha256(data).hexdigest()
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    entry = tarfile.TarInfo("file")
    entry.size = 4
    tar.addfile(entry, io.BytesIO(b"text"))
plain = layer.getvalue()
layer = gzip.compress(plain)
config = json.dumps({{"rootfs": {{"type": "layers", "diff_ids": ["sha256:" + hexa(plain)]}}}}).encode()
{names}
{change}
manifest = json.dumps([{{"Config": of_config, "RepoTags": ["a:b"], "Layers": [of_layer]}}]).encode()
with tarfile.open(sys.argv[1], mode="w") as tar:
    for name, data in [("manifest.json", manifest), (of_config, config), (of_layer, layer)]:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
"#
    );
    let script = write(host, "save.py", &script);
    let archive = host.scratch().join("saved.tar").to_str().unwrap().to_owned();
    sh(&format!("python3 {script} {archive}"));
    archive
}

#[test]
fn a_saved_image_is_what_its_names_say() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let new = "of_config, of_layer = 'blobs/sha256/' + hexa(config), 'blobs/sha256/' + hexa(layer)";
        let old = "of_config, of_layer = hexa(config) + '.json', '0123/layer.tar'";
        let other = "of_config, of_layer = 'sha256:' + hexa(config), hexa(layer) + '.tar.gz'";
        let unsaid = "of_config, of_layer = 'config.json', 'layer.tar'";
        for names in [new, old, other, unsaid] {
            images.ok(&["image", "import", &saved(host, names, ""), "--name", "fine"]);
            assert_eq!(std::fs::read_to_string(images.layers("fine")[0].join("file")).unwrap(), "text");
            images.ok(&["image", "rm", "fine"]);
        }
        // The same JSON with other bytes, and the same files packed otherwise.
        let (config, layer) = ("config += b' '", "layer = gzip.compress(plain, 1, mtime=7)");
        for (names, change) in [(new, config), (old, config), (other, config), (new, layer)] {
            let said = images.fails(&["image", "import", &saved(host, names, change), "--name", "wrong"], 1);
            assert!(said.contains("is not what it is said to be: its digest is"), "{names}, {change}: {said}");
            images.assert_empty();
        }
        let files = "plain = plain.replace(b'text', b'tex!'); layer = gzip.compress(plain)";
        let said = images.fails(&["image", "import", &saved(host, unsaid, files), "--name", "wrong"], 1);
        assert!(said.contains("unpacked, is not what it is said to be"), "{said}");
        images.assert_empty();
    });
}

#[test]
fn a_zip_archive_has_the_permissions_of_a_tar_archive() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let here = host.scratch().to_str().unwrap().to_owned();
        sh(&format!(
            "cd {here}; mkdir -p tree/tmp tree/shared; echo a > tree/su; echo b > tree/group; echo c > tree/plain
             chmod 4755 tree/su; chmod 2711 tree/group; chmod 640 tree/plain; chmod 1777 tree/tmp; chmod 2775 tree/shared
             tar -C tree -cf t.tar .
             python3 - <<'END'
import os, zipfile
archive = zipfile.ZipFile('z.zip', 'w')
for at, directories, files in os.walk('tree'):
    for name in directories + files:
        path = os.path.join(at, name)
        archive.write(path, os.path.relpath(path, 'tree'))
archive.close()
END"
        ));
        let modes = |name: &str| {
            images.ok(&["image", "import", &format!("{here}/{name}"), "--name", "it"]);
            let layer = images.layers("it")[0].to_str().unwrap().to_owned();
            sh(&format!("cd {layer}; stat -c '%n %a' su group plain tmp shared"))
        };
        let expected = "su 4755\ngroup 2711\nplain 640\ntmp 1777\nshared 2775\n";
        assert_eq!((modes("t.tar").as_str(), modes("z.zip").as_str()), (expected, expected));
    });
}
