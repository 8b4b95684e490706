//! Images of a registry: Debian's own docker-registry, which skopeo has filled.

use crate::image::Images;
use crate::support::managed_street::Daemon;
use crate::support::run::{sh, text};
use crate::support::{ThrowAwayHost, wait_until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a state is waited for.
const LONG: Duration = Duration::from_secs(30);

/// As many bytes as a layer has that can't be packed.
const NOISE: usize = 1 << 20;

/// The password of `me` is `secret`.
const PASSWORDS: &str = "me:$2b$04$fS1I5yZakyWcA/IlgN1wG.7TvsSeiRb1FhV8wrBCknxuCftUjifli\n";

/// A registry, of which the host and the port are `at`, and whose files are in `store`.
struct Registry {
    _daemon: Daemon,
    at: String,
    store: String,
    here: String,
}

impl Registry {
    fn start(host: &ThrowAwayHost, at: &str, http: &str, rest: &str) -> Self {
        let here = host.scratch().to_str().unwrap().to_owned();
        let store = format!("{here}/store");
        let configuration = format!(
            "{{version: '0.1', log: {{accesslog: {{disabled: true}}}}, storage: {{filesystem: {{rootdirectory: {store}}}}}, \
             http: {{addr: '{at}'{http}}}{rest}}}"
        );
        let path = host.scratch().join("registry.yml");
        std::fs::write(&path, configuration).unwrap();
        let mut command = Command::new("docker-registry");
        let daemon = Daemon::start(host.scratch(), "registry", command.arg("serve").arg(&path));
        wait_until("the registry listens", LONG, || TcpStream::connect(at).is_ok());
        Self { _daemon: daemon, at: at.to_owned(), store, here }
    }

    /// On loopback.
    fn plain(host: &ThrowAwayHost) -> Self {
        Self::start(host, "127.0.0.1:5000", "", "")
    }

    /// Has an image of two layers, the second of which is noise, in a layout `l`; puts it in by this name.
    fn fill(&self, name: &str, options: &str) {
        let Self { here, at, .. } = self;
        sh(&format!(
            "cd {here}; export TMPDIR={here} HOME={here}; mkdir -p one/bin two; cp /bin/busybox one/bin; ln -s busybox one/bin/sh; \
             head -c {NOISE} /dev/urandom > two/noise; tar -C one -cf one.tar .; tar -C two -cf two.tar .; \
             umoci init --layout l; umoci new --image l:i; umoci raw add-layer --image l:i one.tar; umoci raw add-layer --image l:i two.tar; \
             umoci config --image l:i --config.cmd /bin/sh --config.cmd -c --config.cmd 'echo $WHO' --config.env WHO=image; \
             skopeo --insecure-policy copy -q {options} oci:l:i docker://{at}/{name}"
        ));
    }

    fn digest(&self, name: &str) -> String {
        let options = "--tls-verify=false --format '{{.Digest}}'";
        sh(&format!("skopeo inspect {options} docker://{}/{name}", self.at)).trim().to_owned()
    }

    /// The file of the largest part that it has, which is the noise.
    fn largest(&self) -> String {
        sh(&format!(
            "find {} -path '*/blobs/*' -name data -printf '%s %p\\n' | sort -n | tail -n 1 | cut -d' ' -f2",
            self.store
        ))
        .trim()
        .to_owned()
    }

    fn source(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.at)
    }
}

#[test]
fn an_image_of_a_registry_is_what_was_put_there_and_its_layers_are_fetched_once() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let registry = Registry::plain(host);
        registry.fill("some/box:v1", "--dest-tls-verify=false");
        let here = &registry.here;
        // A proxy is not asked for what is on the machine.
        let mut command = images.command(&["image", "import", &registry.source("some/box:v1")]);
        let output = command.env("HTTP_PROXY", "http://127.0.0.1:9").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(output.stdout, b"box\n");
        let digest = registry.digest("some/box:v1");
        let shown = images.json(&["image", "show", "box"]);
        assert_eq!(shown["source"], registry.source(&format!("some/box:v1@{digest}")));
        assert_eq!(images.ok(&["launch", "--image", "box"]), "image\n");
        let layers = images.layers("box");
        assert_eq!(layers.len(), 2);
        sh(&format!("cmp {here}/two/noise {}/noise", layers[1].display()));
        images.ok(&["image", "import", &format!("{here}/l"), "--name", "layout"]);
        assert_eq!(images.layers("layout"), layers);
        // An index, in which another machine's is the first, and one by a digest.
        sh(&format!(
            "cd {here}; export TMPDIR={here}; other=$(test $(uname -m) = x86_64 && echo arm64 || echo amd64); echo other > one/other; \
             tar -C one -cf other.tar other; umoci tag --image l:i o; umoci raw add-layer --image l:o other.tar; \
             umoci config --image l:o --architecture $other; \
             skopeo --insecure-policy copy -q --dest-tls-verify=false oci:l:o docker://{}/some/box:other",
            registry.at
        ));
        sh(&format!(
            r#"python3 - <<'END'
import json, platform, urllib.request
machines = ["arm64", "amd64"] if platform.machine() == "x86_64" else ["amd64", "arm64"]
digests = ["{}", "{digest}"]
at = "http://{}/v2/some/box/manifests/"
def size(digest):
    kind = "application/vnd.oci.image.manifest.v1+json"
    return len(urllib.request.urlopen(urllib.request.Request(at + digest, headers={{"Accept": kind}})).read())
kind = "application/vnd.oci.image.index.v1+json"
manifests = [{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size(digest),
              "platform": {{"os": "linux", "architecture": machine}}}} for digest, machine in zip(digests, machines)]
body = json.dumps({{"schemaVersion": 2, "mediaType": kind, "manifests": manifests}}).encode()
urllib.request.urlopen(urllib.request.Request(at + "all", data=body, method="PUT", headers={{"Content-Type": kind}}))
END"#,
            registry.digest("some/box:other"),
            registry.at
        ));
        // What is here is not fetched: the registry does not have it any more.
        sh(&format!("rm {}", registry.largest()));
        for (name, of) in
            [("again", "some/box:v1"), ("digest", &*format!("some/box@{digest}")), ("index", "some/box:all")]
        {
            images.ok(&["image", "import", &registry.source(of), "--name", name]);
            assert_eq!(images.layers(name), layers, "{of}");
        }
        images.ok(&["image", "rm", "box", "layout", "again", "digest", "index"]);
        let said = images.fails(&["image", "import", &registry.source("some/box:v1")], 1);
        assert!(said.contains("the registry says") && said.contains("unknown"), "{said}");
        images.assert_empty();
        // A manifest that was changed where it lies is not what an index, or a digest, stands for.
        let hash = digest.strip_prefix("sha256:").unwrap();
        sh(&format!("echo >> {}/docker/registry/v2/blobs/sha256/{}/{hash}/data", registry.store, &hash[..2]));
        for of in ["some/box:all", &*format!("some/box@{digest}")] {
            let said = images.fails(&["image", "import", &registry.source(of), "--name", "changed"], 1);
            assert!(said.contains("is not what it is said to be"), "{of}: {said}");
            images.assert_empty();
        }
    });
}

#[test]
fn what_a_registry_does_not_have_or_has_damaged_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let registry = Registry::plain(host);
        registry.fill("box:v1", "--dest-tls-verify=false");
        let fails = |name: &str, options: &[&str], code: i32, says: &str| {
            let said = images.fails(&[&["image", "import", &registry.source(name)], options].concat(), code);
            assert!(said.contains(says), "{name}: {said}");
            images.assert_empty();
        };
        fails("box", &[], 2, "the registry has no such image, or none of that tag");
        fails("other:v1", &[], 2, "the registry has no such image");
        fails(&format!("box@sha256:{}", "0".repeat(64)), &[], 2, "the registry has no such image");
        fails("box@sha256:0", &[], 2, "names no image of a registry");
        fails("box:v1", &["--tag", "v1"], 2, "docker://IMAGE:v1");
        fails("box:v1", &["--max-size", "1M"], 1, "larger than 1 MB");
        let said = images.fails(&["image", "import", "docker://127.0.0.1:9/box"], 1);
        assert!(said.contains("the registry can't be reached") && said.contains("Connection refused"), "{said}");
        let said = images.fails(&["image", "import", "/", "--plain-http", "--name", "x"], 2);
        assert!(said.contains("--plain-http is for docker://IMAGE"), "{said}");
        images.assert_empty();
        let data = registry.largest();
        sh(&format!("cp {data} {}/kept", registry.here));
        for damage in [
            "truncate -s 500000",
            "printf 0123456789 | dd conv=notrunc status=none bs=1 seek=500000 of=",
            "printf x >>",
        ] {
            let glue = if damage.ends_with('=') { "" } else { " " };
            sh(&format!("cp {}/kept {data}; {damage}{glue}{data}", registry.here));
            let said = images.fails(&["image", "import", &registry.source("box:v1")], 1);
            assert!(
                said.contains("is not what it is said to be") || said.contains("is longer than"),
                "{damage}: {said}"
            );
            images.assert_empty();
        }
        sh(&format!("cp {}/kept {data}", registry.here));
        images.ok(&["image", "import", &registry.source("box:v1")]);
        images.ok(&["image", "rm", "box"]);
        // A manifest that was changed where it lies is not what its tag stands for.
        sh(&format!(
            "manifest=$(grep -l '\"layers\":\\[' -r {}/docker/registry/v2/blobs); printf '\\n' >> $manifest",
            registry.store
        ));
        let said = images.fails(&["image", "import", &registry.source("box:v1")], 1);
        assert!(said.contains("is not what it is said to be") || said.contains("the registry says"), "{said}");
        images.assert_empty();
    });
}

#[test]
fn a_registry_behind_tls_is_proved_and_told_who_asks() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let here = host.scratch().to_str().unwrap().to_owned();
        std::fs::write(host.scratch().join("passwords"), PASSWORDS).unwrap();
        // It is not on loopback for who does not know better.
        sh("ip address add 192.0.2.1/32 dev lo");
        sh(&format!(
            "cd {here}; printf '[req]\\ndistinguished_name=name\\n[name]\\n' > request; \
             for who in certificate other; do openssl req -x509 -config request -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
               -days 2 -subj /CN=$who -addext subjectAltName=IP:192.0.2.1 -keyout $who.key -out $who.pem 2> openssl.log; done"
        ));
        let tls = format!(", tls: {{certificate: {here}/certificate.pem, key: {here}/certificate.key}}");
        let passwords = format!(", auth: {{htpasswd: {{realm: r, path: {here}/passwords}}}}");
        let registry = Registry::start(host, "192.0.2.1:5000", &tls, &passwords);
        registry.fill("box:v1", "--dest-tls-verify=false --dest-creds me:secret");
        let import = |options: &[&str], certificates: &str| {
            let mut command = images.command(&["image", "import", &registry.source("box:v1")]);
            command.args(options).env("HOME", &here).env("SSL_CERT_FILE", certificates);
            command.env_remove("XDG_RUNTIME_DIR").env_remove("XDG_CONFIG_HOME").output().unwrap()
        };
        let known = format!("{here}/certificate.pem");
        let fails = |output: std::process::Output, says: &str| {
            assert_eq!(output.status.code(), Some(1), "{}", text(&output));
            assert!(text(&output).contains(says), "{}", text(&output));
            images.assert_empty();
        };
        // Whom nobody vouches for is not asked.
        fails(import(&[], &format!("{here}/other.pem")), "invalid peer certificate");
        fails(import(&["--plain-http"], &known), "the registry says: status 400");
        fails(import(&[], &known), "does not give it to who is not known there");
        let login = |password: &str| {
            sh(&format!(
                "mkdir -p {here}/.docker; printf '{{\"auths\": {{\"192.0.2.1:5000\": {{\"auth\": \"%s\"}}}}}}' \
                 $(printf me:{password} | base64) > {here}/.docker/config.json"
            ));
        };
        login("wrong");
        fails(import(&[], &known), "does not give it to who is not known there");
        login("secret");
        let output = import(&[], &known);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(images.ok(&["launch", "--image", "box"]), "image\n");
        sh("ip address delete 192.0.2.1/32 dev lo");
    });
}

/// Stands before a registry at port 5001, and gives on what that says on a connection until it was so many bytes; then it says
/// nothing more.
fn relay(to: &str, most: usize) {
    let (listener, to) = (TcpListener::bind("127.0.0.1:5001").unwrap(), to.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut registry) = (client.unwrap(), TcpStream::connect(&to).unwrap());
            let (mut asks, mut asked) = (client.try_clone().unwrap(), registry.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut asks, &mut asked));
            std::thread::spawn(move || {
                let (mut buffer, mut given) = ([0; 4096], 0);
                while let Ok(count @ 1..) = registry.read(&mut buffer) {
                    given += count;
                    if given > most {
                        loop {
                            std::thread::park();
                        }
                    }
                    if client.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn a_fetch_that_is_stopped_or_killed_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let images = Images::of(host);
        let registry = Registry::plain(host);
        registry.fill("box:v1", "--dest-tls-verify=false");
        relay(&registry.at, NOISE);
        let started = || {
            let mut command = images.command(&["image", "import", "docker://127.0.0.1:5001/box:v1"]);
            let child = command.stderr(Stdio::piped()).spawn().unwrap();
            wait_until("half of it is here", LONG, || {
                let parts = format!("find {} -path '*/blobs/sha256/*' -size +1k | wc -l", images.at("tmp"));
                sh(&parts).trim() != "0"
            });
            child
        };
        let mut child = started();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(images.names("tmp").len(), 1, "nobody could take it away");
        assert_eq!(images.json(&["image", "prune"])["unfinished"], 1);
        images.assert_empty();
        let child = started();
        // It is not for the registry to say something first.
        sh(&format!("kill -INT {}", child.id()));
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("interrupted: nothing of the image was kept"), "{}", text(&output));
        images.assert_empty();
        // From the registry itself all of it comes.
        images.ok(&["image", "import", &registry.source("box:v1")]);
    });
}
