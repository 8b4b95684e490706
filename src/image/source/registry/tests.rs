use super::super::super::budget::{Budget, Cancel};
use super::super::super::store::Store;
use super::super::super::unpack::Devices;
use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// As long as no test takes.
const LONG: Duration = Duration::from_mins(1);

/// What comes of asking a registry for an image which answers a path so.
fn asked(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Result<Made, ImageError> {
    asked_with(LONG, answer)
}

fn asked_with(
    patience: Duration,
    answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static,
) -> Result<Made, ImageError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 {
                        break;
                    }
                    request.extend(byte);
                }
                let request = String::from_utf8(request).unwrap();
                if let Some(path) = request.split(' ').nth(1) {
                    answer(path, &mut stream);
                }
            });
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path());
    let work = store.begin().unwrap();
    let budget = Budget::new("1G".parse().unwrap(), Cancel::default());
    let progress: super::super::Progress = Arc::new(|_, _| {});
    let making = Making { work: &work, budget: &budget, devices: Devices::LeaveOut, progress: &progress };
    let reference = format!("{address}/some/image:tag").parse().unwrap();
    let made = make_patiently(&reference, false, &making, patience);
    work.end().unwrap();
    made
}

fn whole(stream: &mut TcpStream, body: &str) {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
    let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
}

/// A manifest of an image whose parts have these digests and sizes.
fn manifest(config: (Digest, usize), layer: (Digest, usize)) -> String {
    let part = |(digest, size): (Digest, usize)| serde_json::json!({"digest": digest, "size": size});
    serde_json::json!({"schemaVersion": 2, "config": part(config), "layers": [part(layer)]}).to_string()
}

/// A registry of an image whose layer is answered so.
fn with_layer(
    patience: Duration,
    size: usize,
    answer: impl Fn(&mut TcpStream) + Send + Sync + 'static,
) -> Result<Made, ImageError> {
    let layer = Digest::of(b"a layer");
    let config = serde_json::json!({"rootfs": {"diff_ids": [layer]}}).to_string();
    let config_digest = Digest::of(config.as_bytes());
    let manifest = manifest((config_digest, config.len()), (layer, size));
    asked_with(patience, move |path, stream| match path {
        "/v2/" => whole(stream, "{}"),
        "/v2/some/image/manifests/tag" => whole(stream, &manifest),
        path if path.ends_with(&config_digest.to_string()) => whole(stream, &config),
        _ => answer(stream),
    })
}

fn why(made: Result<Made, ImageError>) -> RegistryError {
    match made {
        Err(ImageError::Registry { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_registry_that_falls_silent_is_not_waited_for() {
    let short = Duration::from_millis(300);
    let made = with_layer(short, 7, |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\na la");
        std::mem::forget(stream.try_clone().unwrap()); // it stays open
    });
    assert!(matches!(why(made), RegistryError::Silent(_)));
    let made = asked_with(short, |_, stream| std::mem::forget(stream.try_clone().unwrap()));
    assert!(matches!(why(made), RegistryError::Silent(_)));
}

#[test]
fn a_part_that_is_not_what_was_asked_for_is_refused() {
    let made = with_layer(LONG, 7, |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\na la");
    });
    assert!(matches!(why(made), RegistryError::Broken(_)), "cut off");
    let made = with_layer(LONG, 7, |stream| whole(stream, "a liar."));
    assert!(matches!(made, Err(ImageError::WrongDigest { .. })), "{made:?}");
    let made = with_layer(LONG, 7, |stream| whole(stream, "a la"));
    assert!(matches!(made, Err(ImageError::WrongDigest { .. })), "{made:?}");
    let made = with_layer(LONG, 6, |stream| whole(stream, "a layer"));
    assert!(matches!(made, Err(ImageError::Damaged { .. })), "{made:?}");
    // What was asked for, and no archive.
    let made = with_layer(LONG, 7, |stream| whole(stream, "a layer"));
    assert!(matches!(made, Err(ImageError::Truncated { .. })), "{made:?}");
}

#[test]
fn what_has_no_end_is_not_read_to_it() {
    for path in ["/v2/", "/v2/some/image/manifests/tag"] {
        let made = asked(move |asked, stream| {
            if !asked.starts_with(path) {
                return whole(stream, "{}");
            }
            // As who asks for a token does, and as a manifest.
            let realm = format!("http://{}/v2/", stream.local_addr().unwrap());
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nWWW-Authenticate: Bearer realm=\"{realm}\"\r\n\r\n");
            let much = vec![b' '; 1 << 20];
            while stream.write_all(&much).is_ok() {}
        });
        assert!(matches!(why(made), RegistryError::Endless), "{path}");
    }
}

#[test]
fn what_is_neither_an_image_nor_an_index_is_refused() {
    let both =
        r#"{"manifests":[],"config":{"digest":"@","size":1},"layers":[]}"#.replace('@', &Digest::of(b"").to_string());
    for text in ["{}", "none", &both, r#"{"manifests":[{"digest":"sha256:../../../etc/passwd"}]}"#] {
        let body = text.to_owned();
        let made = asked(move |_, stream| whole(stream, &body));
        assert!(matches!(made, Err(ImageError::Damaged { .. })), "{text}: {made:?}");
    }
    let foreign = r#"{"manifests":[{"digest":"@","platform":{"os":"plan9","architecture":"amd64"}}]}"#;
    let body = foreign.replace('@', &Digest::of(b"").to_string());
    let made = asked(move |_, stream| whole(stream, &body));
    assert!(matches!(made, Err(ImageError::Unknown(_))), "{made:?}");
}

#[test]
fn a_token_that_is_none_is_refused() {
    let made = asked(|path, stream| match path {
        "/v2/" => {
            let realm = format!("http://{}/token", stream.local_addr().unwrap());
            let _ = write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nWWW-Authenticate: Bearer realm=\"{realm}\"\r\nContent-Length: 0\r\n\r\n"
            );
        }
        _ => whole(stream, r#"{"token":"a\nb"}"#),
    });
    assert!(matches!(made, Err(ImageError::Damaged { .. })), "{made:?}");
}

#[test]
fn a_reference_is_read_as_docker_reads_it() {
    let of = |text: &str| reference_of(text).unwrap();
    assert_eq!(of("debian").to_string(), "docker.io/library/debian:latest");
    assert_eq!(own_name(&of("here:5000/some/box:v1")), "box");
    let digest = Digest::of(b"");
    assert_eq!(
        origin(&of(&format!("here:5000/some/box:v1@{digest}")), digest),
        format!("docker://here:5000/some/box:v1@{digest}")
    );
    for bad in ["", "a b", "Box", "here:5000/", &format!("box@{}", digest.to_string().to_uppercase()), "../x"] {
        assert!(matches!(reference_of(bad), Err(ImageError::Unknown(_))), "{bad}");
    }
    for (registry, here) in [
        ("localhost", true),
        ("localhost:5000", true),
        ("127.0.0.2:5000", true),
        ("127.0.0.1.example", false),
        ("localhost.example:5000", false),
        ("192.0.2.1:5000", false),
    ] {
        assert_eq!(is_here(registry), here, "{registry}");
    }
}
