//! Finding a topology by what was written on the command line, and reading it.

use super::builtin::{self, Builtin};
use super::family::{self, Family, FamilyError};
use crate::spec::MAX_TEXT_BYTES;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where a topology is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopologySource {
    /// In the binary, by this name.
    Builtin(&'static str),
    /// Generated from this shorthand.
    Family(Family),
    /// In this file.
    File(PathBuf),
    /// On standard input.
    StandardInput,
}

/// A topology's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Where it came from, as errors name it.
    pub origin: String,
    /// The text.
    pub text: String,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Neither built in nor a file.
    #[error(
        "there is no topology `{argument}`: {suggestion}built in are {known}; or give the path of a file, or - for standard input"
    )]
    Unknown {
        /// What was asked for.
        argument: String,
        /// "did you mean …? " or nothing.
        suggestion: String,
        /// Everything that is built in.
        known: String,
    },
    /// A generated topology with wrong parameters.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// The file, or standard input, can't be read.
    #[error("can't read the topology {origin}")]
    Read {
        /// Which file.
        origin: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More than a topology can be.
    #[error("{origin} is longer than {} MiB, which is the most that is read: is this a topology? If so, split the lab", MAX_TEXT_BYTES >> 20)]
    TooLong {
        /// Which file.
        origin: String,
    },
    /// Not text.
    #[error("{origin}:{line}: there is a byte that is not UTF-8: save the file as UTF-8 text")]
    NotUtf8 {
        /// Which file.
        origin: String,
        /// The line that the byte is on.
        line: usize,
    },
}

/// A topology that comes with nslab, or a family of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// What to write on the command line.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
}

/// Everything that is built in, the families last.
pub fn list() -> Vec<Listed> {
    let builtins = builtin::ALL.iter().map(|b| Listed { name: b.name, description: b.description() });
    let families = family::ALL.iter().map(|f| Listed { name: f.form, description: f.description });
    builtins.chain(families).collect()
}

impl TopologySource {
    /// Finds what an argument means: `-` is standard input, then come the built-in names and the families, then files.
    /// What has a `/` in it or ends like a file is one, whatever else is called so.
    ///
    /// # Errors
    /// [`TopologyError::Family`] for a family with wrong parameters; [`TopologyError::Unknown`] where there is no such
    /// file either.
    pub fn find(argument: &str) -> Result<Self, TopologyError> {
        if argument == "-" {
            return Ok(Self::StandardInput);
        }
        let path = PathBuf::from(argument);
        let is_path = argument.contains('/')
            || path
                .extension()
                .is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e.eq_ignore_ascii_case(known)));
        if is_path {
            return Ok(Self::File(path));
        }
        if let Some(builtin) = Builtin::find(argument) {
            return Ok(Self::Builtin(builtin.name));
        }
        if let Some(family) = Family::parse(argument) {
            return Ok(Self::Family(family?));
        }
        if path.exists() { Ok(Self::File(path)) } else { Err(unknown(argument)) }
    }

    /// The directory from which relative paths in it are meant: that of its file, and else the current one.
    pub fn directory(&self) -> &Path {
        let parent = match self {
            Self::File(path) => path.parent(),
            Self::Builtin(_) | Self::Family(_) | Self::StandardInput => None,
        };
        parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// A file that can't be read, is too long or is not UTF-8.
    pub fn load(&self) -> Result<Loaded, TopologyError> {
        match self {
            Self::Builtin(name) => {
                let builtin = Builtin::find(name).ok_or_else(|| unknown(name))?;
                Ok(Loaded { origin: builtin.name.to_owned(), text: builtin.text.to_owned() })
            }
            Self::Family(family) => Ok(Loaded { origin: family.name(), text: family.text() }),
            Self::StandardInput => read("<standard input>".to_owned(), io::stdin().lock()),
            Self::File(path) => {
                let origin = path.display().to_string();
                match File::open(path) {
                    Ok(file) => read(origin, file),
                    Err(source) => Err(TopologyError::Read { origin, source }),
                }
            }
        }
    }
}

fn unknown(argument: &str) -> TopologyError {
    let names = || list().into_iter().map(|listed| listed.name);
    // Of a family's shorthand, the part before the comma is its name.
    let head = argument.split(',').next().unwrap_or(argument);
    let nearest = crate::spec::nearest(head, names().map(|name| name.split(',').next().unwrap_or(name)));
    let suggestion = nearest.map(|name| names().find(|full| full.split(',').next() == Some(name)).unwrap_or(name));
    TopologyError::Unknown {
        argument: argument.to_owned(),
        suggestion: suggestion.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default(),
        known: names().collect::<Vec<_>>().join(" "),
    }
}

/// Reads up to the limit and a byte, no further: the rest may have no end.
fn read(origin: String, from: impl Read) -> Result<Loaded, TopologyError> {
    let mut bytes = Vec::new();
    let limit = MAX_TEXT_BYTES as u64 + 1;
    if let Err(source) = from.take(limit).read_to_end(&mut bytes) {
        return Err(TopologyError::Read { origin, source });
    }
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(TopologyError::TooLong { origin });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Loaded { origin, text }),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            Err(TopologyError::NotUtf8 { origin, line })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Outcome, Spec, parse, schema};

    fn load(argument: &str) -> Spec {
        let Loaded { origin, text } = TopologySource::find(argument).unwrap().load().unwrap();
        parse(&text, &origin).unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn every_topology_is_right_and_obeys_the_schema() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let families = ["single,4", "linear,4", "linear,4,2", "tree,2,3", "torus,3,3", "mesh,4"];
        for argument in builtin::ALL.map(|b| b.name).into_iter().chain(families) {
            let Loaded { origin, text } = TopologySource::find(argument).unwrap().load().unwrap();
            let spec = load(argument);
            assert_eq!(spec.name.as_str(), origin);
            assert!(spec.description.is_some_and(|d| !d.is_empty()));
            let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{argument}: {errors:?}");
        }
        for listed in list() {
            assert!(!listed.description.is_empty(), "{}", listed.name);
        }
    }

    #[test]
    fn the_two_nodes_are_as_the_comment_says() {
        let spec = load("two-node");
        let addresses: Vec<String> = spec.nodes.iter().map(|n| n.interfaces[0].addresses[0].to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1/24", "10.0.0.2/24"]);
        assert!(spec.expect.is_empty());
    }

    #[test]
    fn the_routers_of_the_three_tiers_know_the_way() {
        let spec = load("three-tier");
        let routes = |node: &str| -> Vec<String> {
            let node = spec.nodes.iter().find(|n| n.name.as_str() == node).unwrap();
            node.routes.iter().map(|r| format!("{} via {} dev {}", r.to, r.via, r.dev)).collect()
        };
        assert_eq!(routes("client"), ["0.0.0.0/0 via 10.1.0.254 dev eth0", "::/0 via fd00:1::fe dev eth0"]);
        assert_eq!(
            routes("r1"),
            [
                "10.2.0.0/24 via 10.0.0.1 dev eth1",
                "10.3.0.0/24 via 10.0.0.1 dev eth1",
                "fd00:2::/64 via fd00::1 dev eth1",
                "fd00:3::/64 via fd00::1 dev eth1",
            ]
        );
        assert_eq!(spec.expect.len(), 6);
    }

    #[test]
    fn the_vlans_are_held_apart() {
        let spec = load("vlan");
        let apart = spec.expect.iter().filter(|e| e.outcome == Outcome::Unreachable).count();
        assert_eq!((spec.expect.len(), apart), (12, 8));
    }

    #[test]
    fn an_argument_is_what_it_looks_like() {
        assert_eq!(TopologySource::find("-").unwrap(), TopologySource::StandardInput);
        assert_eq!(TopologySource::find("ring").unwrap(), TopologySource::Builtin("ring"));
        assert_eq!(TopologySource::find("./ring").unwrap(), TopologySource::File("./ring".into()));
        assert_eq!(TopologySource::find("ring.yaml").unwrap(), TopologySource::File("ring.yaml".into()));
        assert_eq!(TopologySource::find("mesh,3").unwrap(), TopologySource::Family(Family::Mesh { hosts: 3 }));
        assert_eq!(
            TopologySource::find("two-nodes").unwrap_err().to_string(),
            "there is no topology `two-nodes`: did you mean `two-node`? built in are two-node three-tier dumbbell ring \
             vlan slaac single,HOSTS linear,SWITCHES[,HOSTS] tree,DEPTH[,FANOUT] torus,X,Y mesh,HOSTS; or give the path \
             of a file, or - for standard input"
        );
        let error = TopologySource::find("sinlge,4").unwrap_err().to_string();
        assert!(error.contains("did you mean `single,HOSTS`?"), "{error}");
    }

    #[test]
    fn reading_stops_where_no_topology_goes_on() {
        let read = |bytes: &[u8]| read("f.yaml".to_owned(), bytes).map(|l| l.text).map_err(|e| e.to_string());
        assert_eq!(read(b"name: a").unwrap(), "name: a");
        assert_eq!(
            read(b"name: a\nx: \xff\n").unwrap_err(),
            "f.yaml:2: there is a byte that is not UTF-8: save the file as UTF-8 text"
        );
        let endless = super::read("/dev/zero".to_owned(), io::repeat(b'x')).unwrap_err().to_string();
        assert!(endless.starts_with("/dev/zero is longer than 4 MiB"), "{endless}");
        let missing = TopologySource::find("./no/such.yaml").unwrap().load().unwrap_err();
        assert_eq!(missing.to_string(), "can't read the topology ./no/such.yaml");
    }
}
