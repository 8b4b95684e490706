//! The log of a container that nobody waits for: what it prints, in two files of limited length, the older of which goes
//! when the newer is full. Process 1 writes it; whoever wants to see it reads it here.
//!
//! A full disk must not hold up the container: what can't be written is lost, and the log says how much.

use super::failure::{During, Failure, Step};
use super::record::{self, Record, Running};
use super::strange;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Take, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The newer file.
const NEWER: &str = "log";
/// The older one.
const OLDER: &str = "log.1";
/// How long either may become, in bytes.
const LONGEST: u64 = 1 << 20;

/// A log that is written.
#[derive(Debug)]
pub(super) struct Log {
    directory: OwnedFd,
    /// None where it could not be opened at the last try.
    file: Option<OwnedFd>,
    length: u64,
    /// What was lost since something was written, in bytes, and why.
    unsaid: Option<(u64, Errno)>,
    lost: u64,
}

impl Log {
    /// The log in a directory; it goes on where there is one.
    pub(super) fn open(directory: OwnedFd) -> Self {
        let mut log = Self { directory, file: None, length: 0, unsaid: None, lost: 0 };
        // Where that fails, the first line is lost, and said to be.
        log.file = log.reopen().ok();
        log
    }

    /// How much could not be written, in bytes.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Writes what a container has printed.
    pub(super) fn write(&mut self, printed: &[u8]) {
        if let Some((bytes, errno)) = self.unsaid {
            let notice = format!("\n[nslab: {bytes} bytes are missing here: {}]\n", io::Error::from(errno));
            if self.append(notice.as_bytes()).is_err() {
                self.lose(printed.len(), errno);
                return;
            }
            self.unsaid = None;
        }
        let mut rest = printed;
        while !rest.is_empty() {
            match self.append(rest) {
                Ok(count) => rest = &rest[count..],
                Err(errno) => {
                    self.lose(rest.len(), errno);
                    return;
                }
            }
        }
    }

    fn lose(&mut self, bytes: usize, errno: Errno) {
        self.lost += bytes as u64;
        let before = self.unsaid.map_or(0, |(before, _)| before);
        self.unsaid = Some((before + bytes as u64, errno));
    }

    fn append(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.length >= LONGEST {
            self.file = None;
            match renameat(&self.directory, NEWER, &self.directory, OLDER) {
                // Done before, and then there was no room for the new one.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        if self.file.is_none() {
            self.file = Some(self.reopen()?);
        }
        let Some(file) = &self.file else { return Err(Errno::BADF) };
        let room = usize::try_from(LONGEST.saturating_sub(self.length)).unwrap_or(usize::MAX).max(1);
        let count = rustix::io::write(file, &bytes[..bytes.len().min(room)])?;
        self.length += count as u64;
        Ok(count)
    }

    fn reopen(&mut self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | strange::CAREFULLY;
        let file = openat(&self.directory, NEWER, flags, Mode::RUSR | Mode::WUSR)?;
        strange::check(&file)?;
        self.length = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        Ok(file)
    }
}

/// Both files of a log, open at one time.
struct Pair {
    older: Option<Part>,
    newer: Option<Part>,
}

/// A file of a log, of which no more is read than it may be long.
type Part = Take<File>;

impl Pair {
    /// Opens them such that the older one is what came right before the newer.
    fn open(directory: &OwnedFd) -> Result<Self, Failure> {
        loop {
            let older = open(directory, OLDER)?;
            let newer = open(directory, NEWER)?;
            // The log may have been turned over in between.
            if inode(older.as_ref()) == inode(open(directory, OLDER)?.as_ref()) {
                return Ok(Self { older, newer });
            }
        }
    }
}

fn open(directory: &OwnedFd, name: &str) -> Result<Option<Part>, Failure> {
    let file =
        strange::open_file(directory, Path::new(name)).during(|| Step::of(format!("open the log's file {name}")))?;
    Ok(file.map(|file| file.take(LONGEST)))
}

fn inode(part: Option<&Part>) -> Option<u64> {
    part.and_then(|part| part.get_ref().metadata().ok()).map(|metadata| metadata.ino())
}

/// A log that is read.
pub struct Reader {
    /// The container's record.
    record: PathBuf,
    /// Where the log is; nowhere if the container was never started. It is held: what is started later in the same place, under the
    /// same name, has another log.
    directory: Option<OwnedFd>,
    /// What is read at the moment.
    newer: Option<Part>,
}

impl Reader {
    /// Reads the log in a container's record as far as it goes.
    ///
    /// # Errors
    /// When a file can't be read, or what is read not be written.
    pub fn read(record: &Path, to: &mut impl Write) -> Result<Self, Failure> {
        let path = record::of_init(record);
        let mut reader = Self { record: record.to_owned(), directory: None, newer: None };
        let directory: OwnedFd = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(reader),
            result => result.during(|| Step::Open { path })?.into(),
        };
        let Pair { older, newer } = Pair::open(&directory)?;
        reader.directory = Some(directory);
        reader.newer = newer;
        if let Some(older) = older {
            copy(older, to)?;
        }
        reader.read_newer(to)?;
        Ok(reader)
    }

    /// Reads on, until the container has ended. If it is started again, that is another one.
    ///
    /// # Errors
    /// When the directory can't be watched, a file not be read, or what is read not be written.
    pub fn follow(mut self, to: &mut impl Write) -> Result<(), Failure> {
        let Some(directory) = self.directory.take() else { return Ok(()) };
        let watch = || Step::of(format!("watch {}", record::of_init(&self.record).display()));
        let events = inotify::init(CreateFlags::CLOEXEC).during(watch)?;
        let of_files = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
        let of_itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        let held = format!("/proc/self/fd/{}", directory.as_raw_fd());
        inotify::add_watch(&events, held, of_files | of_itself).during(watch)?;
        let running = self.running()?;
        // Process 1 may be killed, and then nobody writes down that it has ended.
        let process = running.as_ref().map(super::stop::held).transpose()?.flatten();
        loop {
            // Looked at first: what it has printed before it ended is there by then.
            let has_ended = statat(&directory, record::names::ENDED, AtFlags::SYMLINK_NOFOLLOW).is_ok()
                || is_removed(&directory)
                || running.as_ref().is_some_and(|running| !running.is_alive());
            self.read_on(&directory, to)?;
            if has_ended {
                return Ok(());
            }
            wait(events.as_fd(), process.as_ref()).during(|| Step::of("wait for the log"))?;
        }
    }

    fn running(&self) -> Result<Option<Running>, Failure> {
        Ok(Record::read(&self.record)?.and_then(|record| record.running))
    }

    fn read_on(&mut self, directory: &OwnedFd, to: &mut impl Write) -> Result<(), Failure> {
        loop {
            self.read_newer(to)?;
            let Pair { older, newer } = Pair::open(directory)?;
            if newer.is_none() || inode(newer.as_ref()) == inode(self.newer.as_ref()) {
                return Ok(());
            }
            // It was turned over; what was added since it was read is still in the file that is open.
            self.read_newer(to)?;
            if self.newer.is_some() && inode(older.as_ref()) != inode(self.newer.as_ref()) {
                // More than once: the one in between is read as well.
                if let Some(older) = older {
                    copy(older, to)?;
                }
            }
            self.newer = newer;
        }
    }

    fn read_newer(&mut self, to: &mut impl Write) -> Result<(), Failure> {
        self.newer.as_mut().map_or(Ok(()), |file| copy(file, to))
    }
}

fn copy(mut from: impl Read, to: &mut impl Write) -> Result<(), Failure> {
    io::copy(&mut from, to).and_then(|_| to.flush()).during(|| Step::of("read the log out"))
}

/// Whether a directory that is held is in none any more.
fn is_removed(directory: &OwnedFd) -> bool {
    rustix::fs::fstat(directory).is_ok_and(|directory| directory.st_nlink == 0)
}

/// Waits for events, whatever they are, or for the end of a process.
fn wait(events: impl AsFd, process: Option<&OwnedFd>) -> Result<(), Errno> {
    let mut files = vec![PollFd::new(&events, PollFlags::IN)];
    files.extend(process.map(|process| PollFd::new(process, PollFlags::IN)));
    loop {
        match poll(&mut files, None) {
            Err(Errno::INTR) => {}
            result => break result.map(drop)?,
        }
    }
    if files[0].revents().is_empty() {
        return Ok(());
    }
    let mut what = [0; 4096];
    rustix::io::read(&events, &mut what).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log of a record.
    fn log_in(record: &Path) -> Log {
        let directory = record::of_init(record);
        if !directory.exists() {
            std::fs::create_dir(&directory).unwrap();
        }
        Log::open(File::open(directory).unwrap().into())
    }

    fn text(directory: &Path) -> Vec<u8> {
        let mut text = Vec::new();
        Reader::read(directory, &mut text).unwrap();
        text
    }

    #[test]
    fn a_log_goes_on_after_its_container_was_started_anew() {
        let directory = tempfile::tempdir().unwrap();
        log_in(directory.path()).write(b"one\n");
        log_in(directory.path()).write(b"two\n");
        assert_eq!(text(directory.path()), b"one\ntwo\n");
    }

    #[test]
    fn the_last_of_a_long_log_is_kept_in_two_files_of_limited_length() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = log_in(directory.path());
        let lines: Vec<u8> = (0..400_000).flat_map(|number| format!("{number:07}\n").into_bytes()).collect();
        for portion in lines.chunks(3000) {
            log.write(portion);
        }
        let [newer, older] =
            [NEWER, OLDER].map(|name| record::of_init(directory.path()).join(name).metadata().unwrap().len());
        assert_eq!(older, LONGEST);
        assert!(newer <= LONGEST, "{newer}");
        let kept = text(directory.path());
        assert_eq!(kept, lines[lines.len() - kept.len()..]);
        assert_eq!(log.lost(), 0);
    }

    #[test]
    fn who_follows_a_log_misses_nothing_when_it_is_turned_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut log = log_in(path);
        log.write(b"begin\n");
        let mut seen = Vec::new();
        let mut reader = Reader::read(path, &mut seen).unwrap();
        let directory = reader.directory.take().unwrap();
        let portion = vec![b'x'; 4000];
        let mut all = b"begin\n".to_vec();
        // Less than two files in between, and more than one.
        for round in 0..2_000 {
            log.write(&portion);
            all.extend_from_slice(&portion);
            if round % 400 == 0 {
                reader.read_on(&directory, &mut seen).unwrap();
            }
        }
        log.write(b"end\n");
        all.extend_from_slice(b"end\n");
        reader.read_on(&directory, &mut seen).unwrap();
        assert!(seen == all, "{} bytes of {}", seen.len(), all.len());
    }

    #[test]
    fn what_is_no_file_is_not_written_to_and_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let init = record::of_init(directory.path());
        std::fs::create_dir(&init).unwrap();
        nix::unistd::mkfifo(&init.join(NEWER), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut log = log_in(directory.path());
        log.write(b"lost\n");
        assert_eq!(log.lost(), 5);
        // Somebody reads it, but it is still no file.
        let _reader = File::options().read(true).write(true).open(init.join(NEWER)).unwrap();
        log.write(b"as well\n");
        assert_eq!(log.lost(), 13);
    }

    #[test]
    fn following_ends_with_the_container() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let mut log = log_in(&path);
        let follower = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut seen = Vec::new();
                Reader::read(&path, &mut seen).unwrap().follow(&mut seen).unwrap();
                seen
            }
        });
        log.write(b"last words\n");
        let init = record::of_init(&path);
        std::fs::write(init.join(".ended"), "{}").unwrap();
        std::fs::rename(init.join(".ended"), init.join(record::names::ENDED)).unwrap();
        assert_eq!(follower.join().unwrap(), b"last words\n");
    }
}
