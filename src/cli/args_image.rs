//! The arguments of `image`.

use crate::model::ImageName;
use crate::model::container::MemorySize;
use clap::{Args, Subcommand};

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// Make an image
    Import(ImportArguments),
    /// List the images
    Ls,
    /// Show an image: its layers, and how it is run
    Show {
        /// The image
        #[arg(value_name = "NAME")]
        name: ImageName,
    },
    /// Remove images that no container stands on
    Rm {
        /// The images
        #[arg(value_name = "NAME", required = true)]
        names: Vec<ImageName>,
    },
    /// Remove what no image and no container needs
    Prune {
        /// Also what was kept of containers that are no more
        #[arg(long)]
        kept: bool,
    },
    /// Show how much the images take on the disk
    Du,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// A directory; an archive (.tar, .tar.gz, .tar.xz, .tar.zst, .zip); an OCI image layout, or what `docker save` has written;
    /// docker://IMAGE of a registry; busybox; debootstrap:SUITE
    pub(crate) source: String,
    /// What it is to be called; what its source is called without
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<ImageName>,
    /// Which image is meant, where there are several in it
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// How much may be unpacked at most
    #[arg(long, value_name = "SIZE", default_value = "16G")]
    pub(crate) max_size: MemorySize,
    /// Make device nodes, too; without, they are left out
    #[arg(long)]
    pub(crate) devices: bool,
    /// Speak to the registry without TLS, which is what is done anyway with one on the machine itself
    #[arg(long)]
    pub(crate) plain_http: bool,
}
