//! Why an image can't be had.

use super::digest::Digest;
use crate::model::{ImageName, NameError, Shown};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why something about images failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// What the image comes from can't be read.
    #[error("can't read {}", Shown(what))]
    Read {
        /// The file or directory.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something of the store can't be made, changed or looked at.
    #[error("can't {action} {}{}", Shown(path.display()), advice(source))]
    Store {
        /// What was to be done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of the image can't be made.
    #[error("can't write {} of the image{}", Shown(path.display()), advice(source))]
    Write {
        /// Its path in the image.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something in it is not as it should be, and may be meant to do harm.
    #[error("the image is refused: {} {refusal}", Shown(path.display()))]
    Refused {
        /// Which entry.
        path: PathBuf,
        /// What is wrong with it.
        refusal: Refusal,
    },
    /// It is no archive, or a damaged one.
    #[error("{} is damaged: {}", Shown(what), Shown(why))]
    Damaged {
        /// The file.
        what: String,
        /// What was found.
        why: String,
    },
    /// It ends too early.
    #[error("{} is not whole: it ends in the middle", Shown(what))]
    Truncated {
        /// The file.
        what: String,
    },
    /// It is not what its digest says.
    #[error("{} is not what it is said to be: its digest is {found}, and {wanted} was to be expected", Shown(what))]
    WrongDigest {
        /// What.
        what: String,
        /// What was said.
        wanted: Digest,
        /// What it is.
        found: Digest,
    },
    /// A registry does not give it.
    #[error("can't fetch {what}")]
    Registry {
        /// The image.
        what: String,
        /// Why not.
        #[source]
        source: RegistryError,
    },
    /// There is more in it than is allowed.
    #[error("the image is larger than {limit}, which is the limit: allow more with --max-size")]
    TooLarge {
        /// The limit, as people write it.
        limit: String,
    },
    /// There are more files in it than are allowed.
    #[error("the image has more than {0} files, and so many are refused")]
    TooMany(u64),
    /// Nobody knows what it is.
    #[error("{}", Shown(.0))]
    Unknown(String),
    /// No name was given, and the source has none that can be one.
    #[error("the image needs a name: give one with --name")]
    NoName(#[source] NameError),
    /// There is no such image.
    #[error("there is no image {name}{}", there_is(there))]
    NoSuchImage {
        /// The name.
        name: ImageName,
        /// Those that there are.
        there: Vec<ImageName>,
    },
    /// Containers stand on it.
    #[error("the image {name} is in use by {}", users(running, kept))]
    InUse {
        /// The image.
        name: ImageName,
        /// The containers.
        running: Vec<String>,
        /// Those that are no more, whose files are kept.
        kept: Vec<String>,
    },
    /// Nobody has said what is to run.
    #[error("the image {0} has no command of its own: say which is to run")]
    NoCommand(ImageName),
    /// It names somebody whom it does not have.
    #[error("the image {image} is to be run by the {what}, whom it does not have: say who by a number")]
    NoUser {
        /// The image.
        image: ImageName,
        /// Whom, in words.
        what: String,
    },
    /// Layers that were there a moment ago are not.
    #[error("the image {0} was replaced meanwhile, and what it was is gone: try again")]
    Gone(ImageName),
    /// Somebody else has the place where a container's files are to be.
    #[error("{owner} is there already, and writes to its files in the store ({name})")]
    Claimed {
        /// The place.
        name: String,
        /// Who.
        owner: String,
    },
    /// A program is missing.
    #[error("{program} is not installed: `apt-get install {package}`")]
    Lacking {
        /// The program.
        program: &'static str,
        /// The package that it is in.
        package: &'static str,
    },
    /// The user asked to stop.
    #[error("interrupted: nothing of the image was kept")]
    Interrupted,
}

/// Why a registry does not give an image.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It has none of that name or digest.
    #[error("the registry has no such image, or none of that tag or digest")]
    Absent,
    /// It does not give it to the caller.
    #[error(
        "the registry does not give it to who is not known there: has it such an image? \
         `docker login` or `skopeo login` say who you are (of `auths` in their files; no program that keeps passwords is asked)"
    )]
    Denied,
    /// It has said nothing for so long.
    #[error("the registry has said nothing for {0:?}: try again")]
    Silent(Duration),
    /// It can't be reached, or is not who it says that it is.
    #[error("the registry can't be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It says no, for another reason.
    #[error("the registry says: {}", Shown(.0))]
    Refused(String),
    /// What it says makes no sense, or has ended in the middle.
    #[error("what the registry says can't be read")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is to be short has no end.
    #[error("the registry has sent far more than a manifest has")]
    Endless,
    /// Nobody can be asked from here.
    #[error("nslab can't speak to registries on this machine (`apt-get install ca-certificates`?)")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What is wrong with an entry of an archive. Its text goes on after the entry's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its path has `..` in it.
    #[error("has `..` in its path, and would lead out of the image")]
    DotDot,
    /// Its path begins with a slash.
    #[error("has an absolute path, and would lead out of the image")]
    Absolute,
    /// Its path has a byte in it that no path has, or none at all.
    #[error("is no path")]
    NoPath,
    /// A directory in its path is a symbolic link.
    #[error("goes through a symbolic link that is in the image itself")]
    ThroughLink,
    /// A directory in its path is a file.
    #[error("goes through something that is no directory")]
    ThroughFile,
    /// What it is linked to is not there.
    #[error("is a hard link to {0:?}, which is not in the same layer")]
    NoTarget(PathBuf),
    /// It is linked to a directory, or to what nobody may have.
    #[error("is a hard link to {0:?}, which is no file")]
    LinkToDirectory(PathBuf),
    /// A whiteout without a name.
    #[error("says that a file is gone, and not which")]
    Whiteout,
    /// A number that no user or group has.
    #[error("belongs to a user or a group whose number is too large ({0})")]
    Owner(u64),
    /// A sort of entry that is not known.
    #[error("is of a sort that nobody knows ({0:?})")]
    Sort(char),
    /// A sparse file whose parts are not where they can be.
    #[error("is a sparse file whose parts do not fit together")]
    Sparse,
    /// A path that is too long for the kernel.
    #[error("has a path that is too long")]
    TooLong,
    /// There is more to be remembered than there is memory for.
    #[error("is one too many: the paths of directories and of what is left out are longer than {0} MB together")]
    TooManyNames(usize),
    /// It is in more directories than anybody is to go through.
    #[error("has a path of more than {0} names")]
    TooDeep(usize),
}

impl ImageError {
    /// Whether the caller has asked for something that makes no sense.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::NoName(_) | Self::NoSuchImage { .. } | Self::NoCommand(_) => true,
            Self::Registry { source, .. } => matches!(source, RegistryError::Absent),
            _ => false,
        }
    }

    /// Whether the machine lacks something.
    pub fn is_lacking(&self) -> bool {
        matches!(self, Self::Lacking { .. })
    }

    /// Itself and what it came from, in one line.
    pub(super) fn chain(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// As an error of a stream, from which [`ImageError::of_stream`] takes it.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// What a stream's error means for who reads `what` from it.
    pub(super) fn of_stream(error: io::Error, what: &str) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Truncated { what: what.to_owned() },
            // What the kernel says comes with a number; the rest is said by who decompresses.
            Err(error) if error.raw_os_error().is_none() => {
                Self::Damaged { what: what.to_owned(), why: error.to_string() }
            }
            Err(source) => Self::Read { what: what.to_owned(), source },
        }
    }
}

/// What to do about it.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (remove images that nobody needs, or name another place with --image-dir)"
        }
        io::ErrorKind::PermissionDenied => " (be root, or name a directory of your own with --image-dir)",
        _ => "",
    }
}

/// Who uses an image, and what to do about it.
fn users(running: &[String], kept: &[String]) -> String {
    let kept: Vec<String> = kept.iter().map(|owner| format!("what is kept of {owner}")).collect();
    let all = [running, &kept].concat().join(", ");
    match (running, &kept[..]) {
        (_, []) => format!("{all}: end it first (`nslab down`, `nslab rm`)"),
        ([], _) => format!("{all}: `nslab image prune --kept` removes what is kept of containers that are no more"),
        _ => format!(
            "{all}: end it first (`nslab down`, `nslab rm`), and `nslab image prune --kept` removes what is kept"
        ),
    }
}

fn there_is(names: &[ImageName]) -> String {
    if names.is_empty() {
        return "; there is none: `nslab image import` makes one".to_owned();
    }
    let names: Vec<&str> = names.iter().map(ImageName::as_str).collect();
    format!("; there is {}", names.join(", "))
}

/// Adds to what the store's file system answers what was to be done.
pub(super) trait InStore<T> {
    /// Says what, and to what.
    fn in_store(self, action: &'static str, path: &std::path::Path) -> Result<T, ImageError>;
}

impl<T, E: Into<io::Error>> InStore<T> for Result<T, E> {
    fn in_store(self, action: &'static str, path: &std::path::Path) -> Result<T, ImageError> {
        self.map_err(|error| ImageError::Store { action, path: path.to_owned(), source: error.into() })
    }
}
