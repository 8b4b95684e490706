//! The arguments of `volume`.

use crate::model::LabName;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// Mount a volume of a lab in a container that runs; it is there until that ends
    Attach {
        /// The volume's name in the topology
        volume: String,
        /// The container and a directory in it: NODE:/PATH or LAB/NODE:/PATH
        at: String,
        /// Nothing can be written to it there
        #[arg(long)]
        ro: bool,
    },
    /// Unmount a volume in a container that runs
    Detach {
        /// The container and the directory: NODE:/PATH or LAB/NODE:/PATH
        at: String,
    },
    /// List a lab's volumes, and which containers have them by the topology
    Ls {
        /// The lab
        #[arg(id = "which", value_name = "LAB")]
        lab: Option<LabName>,
    },
}
