//! What nslab remembers of its labs: `/run/nslab`, or another root.
//!
//! Files only; what they mean for the machine is `plan`'s and `apply`'s business.
//!
//! ```text
//! /run/nslab/nslab.lock           held for the moments in which what is beside it changes
//! /run/nslab/root.json            which directories nslab made to have this one
//! /run/nslab/shared.json          which of the machine's directories nslab made, for the labs of all state directories
//! /run/nslab/users/…              links to those labs' directories
//! /run/nslab/labs/LAB/lock        held while a command changes the lab
//! /run/nslab/labs/LAB/instance    what tells the lab from others of its name
//! /run/nslab/labs/LAB/lab.json    the lab as it was last brought up: topology and what was made
//! /run/nslab/labs/LAB/plan.json   the plan that is being carried out, or was when nslab was stopped
//! /run/nslab/labs/LAB/etc/…       hosts files, which /etc/netns/LAB-NODE points at
//! /run/nslab/labs/LAB/containers/…  what the launcher writes down of the nodes' containers
//! /run/nslab/labs/LAB/log/…       what the nodes' commands printed
//! /run/nslab/launched/NAME/…      a container of no lab: what the launcher writes down of it, its log
//! ```

mod error;
mod files;
mod host_network;
mod journal;
mod launched;
mod lock;
mod paths;
mod root;
mod shared;

pub use error::StateError;
pub use host_network::{LockedHostNetwork, sysctls_of_others};
pub use journal::{LabState, LockedLab, Pending, Record, Verb, read_instance};
pub use paths::{LabPaths, StateRoot};
pub use root::LockedRoot;
pub use shared::{LockedShared, SharedDirectories, instances};
