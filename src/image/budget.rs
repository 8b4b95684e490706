//! How much an import may unpack, whether it is to stop, and who is told how far it is.

use super::error::ImageError;
use crate::model::container::MemorySize;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A wish to stop, which whoever has a copy can make.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Makes it.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_made(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Is told how many bytes were read of how many.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// As many files and directories as an image may have: what is to be remembered of each is to fit into memory.
const MOST_ENTRIES: u64 = 5_000_000;

/// What is left of what an import may use.
#[derive(Debug)]
pub struct Budget {
    limit: MemorySize,
    bytes: AtomicU64,
    entries: AtomicU64,
    cancel: Cancel,
}

impl Budget {
    /// For an import that may unpack so much.
    pub fn new(limit: MemorySize, cancel: Cancel) -> Self {
        Self { limit, bytes: AtomicU64::new(limit.bytes()), entries: AtomicU64::new(MOST_ENTRIES), cancel }
    }

    /// The same, with nothing used.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.limit, self.cancel.clone())
    }

    /// Takes so many bytes.
    pub(super) fn take(&self, bytes: u64) -> Result<(), ImageError> {
        if self.cancel.is_made() {
            return Err(ImageError::Interrupted);
        }
        let left = self.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes));
        left.map(drop).map_err(|_| ImageError::TooLarge { limit: self.limit.to_string() })
    }

    #[cfg(test)]
    pub(super) fn entries_taken(&self) -> u64 {
        MOST_ENTRIES - self.entries.load(Ordering::SeqCst)
    }

    /// Takes one file or directory.
    pub(super) fn take_entry(&self) -> Result<(), ImageError> {
        let left = self.entries.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| ImageError::TooMany(MOST_ENTRIES))
    }
}

/// A stream whose bytes come out of a budget. All that is unpacked of an archive comes through one: headers as well as what
/// nobody wants, so that no stream is without an end.
pub(super) struct Metered<'a, R> {
    inner: R,
    budget: &'a Budget,
}

impl<'a, R: Read> Metered<'a, R> {
    pub(super) fn new(inner: R, budget: &'a Budget) -> Self {
        Self { inner, budget }
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.budget.take(count as u64).map_err(ImageError::into_io)?;
        Ok(count)
    }
}

/// A stream that tells how far it was read.
pub(super) struct Told<R> {
    inner: R,
    read: u64,
    all: u64,
    progress: Progress,
}

impl<R: Read> Told<R> {
    pub(super) fn new(inner: R, all: u64, progress: Progress) -> Self {
        Self { inner, read: 0, all, progress }
    }
}

impl<R: Read> Read for Told<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.read += count as u64;
        (self.progress)(self.read, self.all);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_where_its_budget_does() {
        let budget = Budget::new("1000".parse().unwrap(), Cancel::default());
        let mut stream = Metered::new(io::repeat(0), &budget);
        let error = io::copy(&mut stream, &mut io::sink()).unwrap_err();
        assert!(matches!(ImageError::of_stream(error, "it"), ImageError::TooLarge { .. }));
    }

    #[test]
    fn a_wish_to_stop_is_heard_by_who_reads() {
        let cancel = Cancel::default();
        let budget = Budget::new("1G".parse().unwrap(), cancel.clone());
        let mut stream = Metered::new(io::repeat(0), &budget);
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 8);
        cancel.cancel();
        let error = stream.read(&mut [0; 8]).unwrap_err();
        assert!(matches!(ImageError::of_stream(error, "it"), ImageError::Interrupted));
    }
}
