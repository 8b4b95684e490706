//! Who the caller is to a registry: what `docker login`, `podman login` and `skopeo login` have written down.
//!
//! Programs that keep passwords (`credsStore`, `credHelpers`) are not asked.

use super::super::super::error::ImageError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::Reference;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// By which Docker's own registry is known.
const OF_DOCKER: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Such a file (containers-auth.json(5)); there is more in it than matters here.
#[derive(Deserialize)]
struct Logins {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    /// `USER:PASSWORD`, in base64. Where a program keeps it, there is none.
    auth: Option<String>,
}

/// That for an image; the first file that has one says so.
pub(super) fn of(reference: &Reference) -> Result<RegistryAuth, ImageError> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = variable("REGISTRY_AUTH_FILE");
    let is_named = named.is_some();
    let home = || variable("HOME");
    let runtime = || PathBuf::from(format!("/run/containers/{}", rustix::process::geteuid().as_raw()));
    let places = match named {
        Some(path) => vec![path],
        None => [
            Some(variable("XDG_RUNTIME_DIR").map_or_else(runtime, |at| at.join("containers")).join("auth.json")),
            variable("XDG_CONFIG_HOME")
                .or_else(|| Some(home()?.join(".config")))
                .map(|at| at.join("containers/auth.json")),
            variable("DOCKER_CONFIG").or_else(|| Some(home()?.join(".docker"))).map(|at| at.join("config.json")),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    for path in places {
        let what = path.display().to_string();
        let text = match fs::read(&path) {
            // One that nobody has asked for may be somebody else's.
            Err(error) if !is_named && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                continue;
            }
            text => text.map_err(|source| ImageError::Read { what: what.clone(), source })?,
        };
        if let Some(login) = find(&text, reference).map_err(|why| ImageError::Damaged { what, why })? {
            return Ok(login);
        }
    }
    Ok(RegistryAuth::Anonymous)
}

/// What a file has for an image: what is said of the most of its path.
fn find(text: &[u8], reference: &Reference) -> Result<Option<RegistryAuth>, String> {
    let Logins { auths } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let matching = auths.into_iter().filter_map(|(key, login)| Some((fits(&key, reference)?, login.auth?)));
    let Some((_, encoded)) = matching.filter(|(_, auth)| !auth.is_empty()).max_by_key(|(length, _)| *length) else {
        return Ok(None);
    };
    let wrong = || format!("what it has for {} is no USER:PASSWORD in base64", reference.registry());
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
    // Docker has filled it up with zeros.
    Ok(Some(RegistryAuth::Basic(user.to_owned(), password.trim_matches('\0').to_owned())))
}

/// How much of an image's path a key says, where it is meant: `registry:5000`, `registry:5000/path`, `https://registry:5000/v1/`.
fn fits(key: &str, reference: &Reference) -> Option<usize> {
    let plain = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (registry, path) = plain.split_once('/').unwrap_or((plain, ""));
    let of_docker = |name: &str| OF_DOCKER.contains(&name);
    let is_same = registry == reference.registry() || of_docker(registry) && of_docker(reference.registry());
    if !is_same {
        return None;
    }
    let path = path.trim_end_matches('/');
    if matches!(path, "" | "v1" | "v2") {
        return Some(0);
    }
    let rest = reference.repository().strip_prefix(path)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(path.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, image: &str) -> Option<(String, String)> {
        match find(text.as_bytes(), &image.parse().unwrap()).unwrap()? {
            RegistryAuth::Basic(user, password) => Some((user, password)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_login_is_that_of_the_registry_and_of_the_most_of_the_path() {
        let encoded = |text: &str| STANDARD.encode(text);
        let text = serde_json::json!({
            "auths": {
                "https://index.docker.io/v1/": {"auth": encoded("hub:a:b")},
                "here:5000": {"auth": encoded("all:1")},
                "here:5000/some/path": {"auth": encoded("some:2")},
                "http://old.example/v2/": {"auth": encoded("old:3\0\0")},
                "kept.example": {},
            },
            "credsStore": "secretservice",
        })
        .to_string();
        let is = |image: &str, user: &str, password: &str| {
            assert_eq!(of(&text, image), Some((user.to_owned(), password.to_owned())), "{image}");
        };
        is("debian", "hub", "a:b");
        is("here:5000/x", "all", "1");
        is("here:5000/some/path:tag", "some", "2");
        is("here:5000/some/path/deeper", "some", "2");
        is("here:5000/some/pathological", "all", "1");
        is("old.example/x", "old", "3");
        for image in ["here:5001/x", "kept.example/x", "there.example/here/x"] {
            assert_eq!(of(&text, image), None, "{image}");
        }
    }

    #[test]
    fn a_login_that_is_none_is_told() {
        let image = "here:5000/x".parse().unwrap();
        for text in [r#"{"auths":{"here:5000":{"auth":"%"}}}"#, r#"{"auths":{"here:5000":{"auth":"bm9uZQ=="}}}"#] {
            let why = find(text.as_bytes(), &image).unwrap_err();
            assert_eq!(why, "what it has for here:5000 is no USER:PASSWORD in base64");
        }
        assert!(find(b"none", &image).is_err());
    }
}
