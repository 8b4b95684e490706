//! The files with a node's names as commands.

use super::shell::{Script, quoted};
use crate::model::HostsFile;

/// Writes them, over what they were before.
pub(super) fn write(script: &mut Script, file: &HostsFile, had_resolv_conf: bool) {
    let HostsFile { directory, content, resolv_conf, leased: _ } = file;
    let directory = quoted(&directory.to_string_lossy());
    script.line(&format!("mkdir -p {directory}"));
    here(script, &format!("{directory}/hosts"), content);
    match resolv_conf {
        Some(content) => here(script, &format!("{directory}/resolv.conf"), content),
        None if had_resolv_conf => script.line(&format!("rm -f {directory}/resolv.conf")),
        None => {}
    }
}

/// Removes them.
pub(super) fn remove(script: &mut Script, file: &HostsFile) {
    let directory = quoted(&file.directory.to_string_lossy());
    let resolv_conf = file.resolv_conf.as_ref().map(|_| format!(" {directory}/resolv.conf"));
    script.line(&format!("rm -f {directory}/hosts{}", resolv_conf.unwrap_or_default()));
    script.line(&format!("rmdir {directory}"));
}

/// A file from lines that stand in the script, each of which ends.
fn here(script: &mut Script, path: &str, content: &str) {
    script.line(&format!("cat > {path} <<'END'"));
    for line in content.lines() {
        script.line(line);
    }
    script.line("END");
}
