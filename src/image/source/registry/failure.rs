//! What the client's errors mean to who wants an image.

use super::super::super::error::{ImageError, RegistryError};
use oci_client::errors::{DigestError, OciDistributionError, OciError, OciErrorCode};
use std::io;
use std::time::Duration;

/// How much of what a registry says is shown.
const MOST_CHARACTERS: usize = 300;

/// What has failed of an image, at a registry that may say nothing for so long.
pub(super) fn failed(what: &str, error: OciDistributionError, patience: Duration) -> ImageError {
    let of_registry = |source| ImageError::Registry { what: what.to_owned(), source };
    of_registry(match error {
        OciDistributionError::DigestError(error) => return wrong_digest(what, &error),
        OciDistributionError::IoError(error) => return of_stream(what, error, patience),
        OciDistributionError::RequestError(error) if error.is_timeout() && !error.is_connect() => {
            RegistryError::Silent(patience)
        }
        OciDistributionError::RequestError(error) if error.is_connect() => RegistryError::Unreachable(error.into()),
        OciDistributionError::RequestError(error) => RegistryError::Broken(error.into()),
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            RegistryError::Denied
        }
        OciDistributionError::RegistryError { envelope, .. } => {
            let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
            if has(&[OciErrorCode::Denied, OciErrorCode::Unauthorized]) {
                RegistryError::Denied
            } else if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
                RegistryError::Absent
            } else {
                // A message may be empty; a code never is (OCI distribution specification, "Error Codes").
                let said = |error: &OciError| match error.message.trim() {
                    "" => serde_json::to_string(&error.code).unwrap_or_default(),
                    message => message.to_owned(),
                };
                let all: Vec<String> = envelope.errors.iter().map(said).collect();
                RegistryError::Refused(all.join("; ").chars().take(MOST_CHARACTERS).collect())
            }
        }
        OciDistributionError::ServerError { code: 401 | 403, .. } => RegistryError::Denied,
        OciDistributionError::ServerError { code: 404, .. } => RegistryError::Absent,
        // What else it says may be a page for people.
        OciDistributionError::ServerError { code, .. } => RegistryError::Refused(format!("status {code}")),
        error => RegistryError::Broken(error.into()),
    })
}

/// The same of an error while a part of it is read.
pub(super) fn of_stream(what: &str, error: io::Error, patience: Duration) -> ImageError {
    let other = |error| ImageError::Registry { what: what.to_owned(), source: RegistryError::Broken(error) };
    let Some(inner) = error.into_inner() else { return other("the connection has ended".into()) };
    match inner.downcast() {
        Ok(error) => failed(what, OciDistributionError::RequestError(*error), patience),
        Err(inner) => match inner.downcast::<DigestError>() {
            Ok(error) => wrong_digest(what, &error),
            Err(inner) => other(inner),
        },
    }
}

fn wrong_digest(what: &str, error: &DigestError) -> ImageError {
    let DigestError::VerificationError { expected, actual } = error else {
        return ImageError::Damaged { what: what.to_owned(), why: error.to_string() };
    };
    // The client writes some with what they begin with, and some without.
    let digest = |text: &str| text.parse().or_else(|_| format!("sha256:{text}").parse());
    match (digest(expected), digest(actual)) {
        (Ok(wanted), Ok(found)) => ImageError::WrongDigest { what: format!("a part of {what}"), wanted, found },
        _ => ImageError::Damaged { what: what.to_owned(), why: error.to_string() },
    }
}
