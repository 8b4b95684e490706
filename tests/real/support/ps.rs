//! What `nslab ps` says of containers.

use super::run::json;
use super::wait_until;
use std::time::Duration;

/// Of the one of this name; null where there is none.
pub(crate) fn ps(name: &str) -> serde_json::Value {
    let all = json(&["ps", "--json"]);
    all.as_array().unwrap().iter().find(|one| one["name"] == name).cloned().unwrap_or_default()
}

/// Waits for its end first.
pub(crate) fn ended(name: &str) -> serde_json::Value {
    wait_until("it has ended", Duration::from_secs(30), || ps(name)["state"] != "running");
    ps(name)
}
