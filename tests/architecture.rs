//! Holds the code to the table of who may use whom in docs/architecture.md.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules that every other one may use: errors that tests inject.
const EVERYWHERE: &[&str] = &["fault"];

/// Who may use whom. A module that isn't here is a mistake, too.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("fault", &[]),
    ("directory", &[]),
    ("process", &[]),
    ("name_service", &[]),
    ("entry", &[]),
    ("topology", &["spec"]),
    ("observed", &["model"]),
    ("spec", &["model"]),
    ("desired", &["model", "spec", "observed"]),
    ("plan", &["model", "desired", "observed"]),
    ("state", &["model", "spec", "plan", "directory"]),
    ("host", &["model", "observed", "directory", "process", "name_service"]),
    ("launcher", &["model", "observed", "directory", "process", "name_service"]),
    ("image", &["model", "directory", "process", "name_service"]),
    ("observe", &["model", "desired", "observed", "host", "launcher"]),
    ("apply", &["model", "spec", "desired", "observed", "plan", "state", "host", "launcher", "observe", "directory"]),
    ("check", &["model", "spec", "host"]),
    ("report", &["model", "plan"]),
    (
        "error",
        &["model", "topology", "spec", "desired", "plan", "state", "host", "launcher", "image", "apply", "check"],
    ),
    (
        "lab",
        &[
            "model", "spec", "desired", "observed", "plan", "state", "host", "launcher", "image", "observe", "apply",
            "check", "report", "error", "process",
        ],
    ),
    (
        "cli",
        &[
            "model", "topology", "spec", "plan", "state", "host", "launcher", "image", "apply", "check", "report",
            "error", "lab",
        ],
    ),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a file holds nothing but tests, or what they need.
fn is_test(path: &Path) -> bool {
    ["tests.rs", "samples.rs"].iter().any(|name| path.ends_with(name))
        || path.parent().is_some_and(|directory| directory.ends_with("tests") || directory.ends_with("simulator"))
}

/// The top-level module that a file belongs to.
fn module(path: &Path, root: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The top-level modules that a file names by `crate::`, in its code outside `mod tests`.
fn used(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    code.lines()
        .map(|line| line.split("//").next().unwrap())
        .flat_map(|line| line.split("crate::").skip(1))
        .flat_map(|rest| {
            let names = rest.strip_prefix('{').map_or(rest, |inside| inside);
            let many = rest.starts_with('{');
            names
                .split(',')
                .take(if many { usize::MAX } else { 1 })
                .map(|name| name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
                .collect::<Vec<_>>()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40, "the walk found only {} files", files.len());

    let mut wrong = Vec::new();
    for file in &files {
        let module = module(file, &root);
        if module == "lib" || module == "main" || is_test(file) {
            continue;
        }
        let Some(may) = allowed.get(module.as_str()) else {
            wrong.push(format!("{}: the table has no `{module}`", file.display()));
            continue;
        };
        for name in used(&fs::read_to_string(file).unwrap()) {
            // `crate::Error` is error.rs, re-exported.
            let name = if name == "Error" { "error".to_owned() } else { name };
            if name != module && !may.contains(&name.as_str()) && !EVERYWHERE.contains(&name.as_str()) {
                wrong.push(format!("{}: `{module}` uses `{name}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_reads_them() {
    let text =
        "use crate::model::{A, B};\n// use crate::not_this;\nlet x = crate::state::Y;\nuse crate::{host, spec::Z};\n";
    let names: Vec<String> = used(text).into_iter().collect();
    assert_eq!(names, ["host", "model", "spec", "state"]);
}

#[test]
fn files_stay_short_enough_to_be_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let long: Vec<String> = files
        .iter()
        .filter(|file| !is_test(file))
        .filter_map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let lines = text.split("#[cfg(test)]\nmod ").next().unwrap().lines().count();
            (lines > 450).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "each is asking to be two:\n{}", long.join("\n"));
}
