//! What of an image runs in a container: what its configuration says, where nobody has said something else.

use super::error::ImageError;
use super::store::{ImageRecord, Store};
use super::tree::OPAQUE_ATTRIBUTES;
use crate::model::container::User;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fgetxattr, openat, statat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// What an image says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command, its entry point in front; never empty.
    pub command: Vec<String>,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// The directory that it starts in.
    pub working_directory: Option<PathBuf>,
    /// Who runs it.
    pub user: User,
}

/// As much of a list of users as is read, in bytes.
const LONGEST: u64 = 1 << 20;

impl Store {
    /// What runs in a container of an image: the command, or what the image says, where that is empty; as the user, or whom the
    /// image names, where that is the caller.
    ///
    /// # Errors
    /// When neither says a command, or the image names a user whom it does not have.
    pub fn run_of(&self, image: &ImageRecord, command: &[String], user: User) -> Result<Run, ImageError> {
        let config = &image.config;
        let own = || config.entrypoint.iter().chain(&config.command).cloned().collect();
        let command: Vec<String> = if command.is_empty() { own() } else { command.to_vec() };
        if command.is_empty() {
            return Err(ImageError::NoCommand(image.name.clone()));
        }
        let mut environment = config.environment.clone();
        let mut whose = user;
        if let (User::Callers, Some(text)) = (user, &config.user) {
            let found = self.user(image, text)?;
            whose = User::Ids { uid: found.uid, gid: found.gid };
            if let Some(home) = found.home {
                environment.entry("HOME".to_owned()).or_insert(home);
            }
        }
        Ok(Run {
            command,
            environment,
            working_directory: config.working_directory.clone().map(Into::into),
            user: whose,
        })
    }

    /// A user as images name them: a name or a number, and perhaps a colon and the same of a group.
    fn user(&self, image: &ImageRecord, text: &str) -> Result<Found, ImageError> {
        let unknown = |what| ImageError::NoUser { image: image.name.clone(), what };
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let users = self.file(image, "passwd")?;
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number != u32::MAX);
        // name:password:UID:GID:comment:home:shell (passwd(5))
        let lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let is_meant = |fields: &Vec<&str>| match number(user) {
            Some(uid) => fields.get(2).and_then(|text| number(text)) == Some(uid),
            None => fields.first() == Some(&user),
        };
        let known = lines.into_iter().find(is_meant);
        let field = |at: usize| known.as_ref().and_then(|fields| fields.get(at).copied());
        let uid = number(user).or_else(|| number(field(2)?));
        let uid = uid.ok_or_else(|| unknown(format!("user {user:?}")))?;
        let gid = match group {
            None | Some("") => field(3).and_then(number).unwrap_or(0),
            Some(group) => {
                let groups = self.file(image, "group")?;
                let mut lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
                let named = || number(lines.find(|fields| fields.first() == Some(&group))?.get(2)?);
                number(group).or_else(named).ok_or_else(|| unknown(format!("group {group:?}")))?
            }
        };
        let home = field(5).filter(|home| home.starts_with('/')).map(str::to_owned);
        Ok(Found { uid, gid, home })
    }

    /// A file in /etc as a container would see it; nothing where there is none. No link is followed: it could lead anywhere.
    fn file(&self, image: &ImageRecord, name: &str) -> Result<String, ImageError> {
        let failed = |errno: Errno| ImageError::Read {
            what: format!("/etc/{name} of the image {}", image.name),
            source: errno.into(),
        };
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for layer in image.layers.iter().rev() {
            let files = openat(CWD, self.files_of(&layer.digest), directory, Mode::empty()).map_err(failed)?;
            let etc = match openat(&files, "etc", directory, Mode::empty()) {
                Err(Errno::NOENT) => continue,
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(String::new()), // it is gone, or a link
                found => found.map_err(failed)?,
            };
            match statat(&etc, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile => {
                    return Ok(String::new());
                }
                found => {
                    found.map_err(failed)?;
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    let file = openat(&etc, name, flags, Mode::empty()).map_err(failed)?;
                    let mut text = Vec::new();
                    File::from(file).take(LONGEST).read_to_end(&mut text).map_err(|source| ImageError::Read {
                        what: format!("/etc/{name} of the image {}", image.name),
                        source,
                    })?;
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
            }
            let is_opaque = |name: &&str| fgetxattr(&etc, *name, &mut [0; 8]).is_ok();
            if OPAQUE_ATTRIBUTES.iter().any(is_opaque) {
                break;
            }
        }
        Ok(String::new())
    }
}

/// A user of an image.
struct Found {
    uid: u32,
    gid: u32,
    home: Option<String>,
}
