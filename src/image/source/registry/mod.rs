//! Images of registries (OCI distribution specification): their parts are fetched as files, of which layers are made as of those
//! that somebody has copied here.
//!
//! A registry is trusted no more than a file: what it sends has the digest that was asked for, or is refused, when it comes and when
//! it is read again; and it can send neither more than is allowed, nor nothing for ever.

mod failure;
mod fetch;
mod login;

use super::super::digest::Digest;
use super::super::error::{ImageError, RegistryError};
use super::oci::Files;
use super::{Made, Making};
use fetch::Fetch;
use oci_client::Reference;
use std::fs;
use std::time::Duration;

/// How long a registry may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon it is seen that somebody wants to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// By how much the process may grow while it fetches, in bytes: all but the layers' files is read whole by the client, however long it is,
/// and none of it is to be longer than [`super::oci::LONGEST`].
const MOST_MEMORY: u64 = 256 << 20;

/// What stands behind `docker://`.
pub(super) fn reference_of(text: &str) -> Result<Reference, ImageError> {
    let wrong = |why: String| {
        let as_in = "one reads docker://debian:12, or docker://registry.example:5000/path/name:tag";
        ImageError::Unknown(format!("docker://{text} names no image of a registry ({why}): {as_in}"))
    };
    let reference = text.parse::<Reference>().map_err(|error| wrong(error.to_string()))?;
    if let Some(digest) = reference.digest() {
        digest.parse::<Digest>().map_err(|error| wrong(error.to_string()))?;
    }
    Ok(reference)
}

/// What a reference calls the image: the last part of its path.
pub(super) fn own_name(reference: &Reference) -> String {
    reference.repository().rsplit('/').next().unwrap_or_default().to_owned()
}

/// Whether a registry is on the machine itself: then nobody listens to what goes there, and it is spoken to without TLS, as Docker does.
fn is_here(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Makes its layers.
pub(super) fn make(reference: &Reference, plain_http: bool, making: &Making<'_>) -> Result<Made, ImageError> {
    make_patiently(reference, plain_http, making, PATIENCE)
}

fn make_patiently(
    reference: &Reference,
    plain_http: bool,
    making: &Making<'_>,
    patience: Duration,
) -> Result<Made, ImageError> {
    let what = format!("docker://{reference}");
    let directory = making.work.directory()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ImageError::Read { what: what.clone(), source })?;
    let fetched = runtime.block_on(async {
        let fetch = Fetch::new(reference, &what, &directory, plain_http, patience, making)?;
        tokio::select! {
            fetched = fetch.all() => fetched,
            refused = watch(&what, making) => Err(refused),
        }
    });
    // A name that is being looked up is not waited for.
    runtime.shutdown_background();
    let (digest, manifest) = fetched?;
    let files = Files::named(&directory, what)?;
    // What is unpacked of it has nothing to do with how large it was packed.
    let budget = making.budget.anew();
    let made = files.layers(files.of_manifest(&manifest)?, &Making { budget: &budget, ..*making })?;
    Ok(Made { origin: Some(origin(reference, digest)), ..made })
}

/// What is written down of where it was: where nothing but a tag was said, another one may have that soon.
fn origin(reference: &Reference, digest: Digest) -> String {
    let (registry, path) = (reference.registry(), reference.repository());
    let tag = reference.tag().map_or_else(String::new, |tag| format!(":{tag}"));
    format!("docker://{registry}/{path}{tag}@{digest}")
}

/// Ends when somebody wants to stop, or when more is being read than is good.
async fn watch(what: &str, making: &Making<'_>) -> ImageError {
    let before = resident_bytes();
    loop {
        tokio::time::sleep(GLANCE).await;
        if let Err(interrupted) = making.budget.take(0) {
            return interrupted;
        }
        if resident_bytes().saturating_sub(before) > MOST_MEMORY {
            return ImageError::Registry { what: what.to_owned(), source: RegistryError::Endless };
        }
    }
}

/// How much memory the process has (proc_pid_status(5), VmRSS); nothing where nobody says so.
fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0).saturating_mul(1 << 10)
}

#[cfg(test)]
mod tests;
