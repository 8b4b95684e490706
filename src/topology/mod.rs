//! Where topologies come from: those that are built in, generated families, files, standard input. Yields text, which
//! [`crate::spec`] reads, so that all of them go the same way and a person can look at any.

mod builtin;
mod family;
mod source;

pub use family::{Family, FamilyError};
pub use source::{Listed, Loaded, TopologyError, TopologySource, list};
