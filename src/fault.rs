//! Points at which the tests stop or fail nslab, to show that nothing is left behind wherever it ends.
//!
//! Without the feature `fault-injection` every function here is empty.
//!
//! - `NSLAB_TEST_CRASH_AT=N`: SIGKILL to itself at the Nth point.
//! - `NSLAB_TEST_INTERRUPT_AT=N`: SIGINT to itself at the Nth point; another signal where `NSLAB_TEST_SIGNAL` names one.
//! - `NSLAB_TEST_FAIL_AT=N,M…`: the Nth chance to fail is taken, and the Mth.
//! - `NSLAB_TEST_END_AT=PLACE|PLACE…`, `NSLAB_TEST_FAIL_IN=PLACE|PLACE…`: the launcher's processes end there, as by SIGKILL, or fail.
//!   They share an environment, and count for themselves: so places have names.
//! - `NSLAB_TEST_HANG_AT=PLACE|PLACE…`: they go on no more there, and don't end.
//! - `NSLAB_TEST_STOP_AT=PLACE|PLACE…`: they stop there, until SIGCONT.
//! - `NSLAB_TEST_PATIENCE_S=SECONDS`: how long is waited for one of them.
//! - `NSLAB_TEST_LACKS=NAME`: the kernel is taken for one without that.
//! - `NSLAB_TEST_HELPER_CRASH_AT`, `NSLAB_TEST_HELPER_POINTS`, `NSLAB_TEST_HELPER_HANG_AT`, `NSLAB_TEST_HELPER_STOP_AT`: the same
//!   of the helpers that it starts, which inherit nothing otherwise.
//! - `NSLAB_TEST_POINTS=FILE`: a line is added to FILE for each point passed, and for each chance.

/// A failure that a test asked for.
#[derive(Debug, thiserror::Error)]
#[error("a test made this fail")]
pub struct Injected;

/// A place between two things that must not be torn apart; may not return.
#[cfg(not(feature = "fault-injection"))]
#[inline]
pub(crate) fn point(_name: impl FnOnce() -> String) {}

/// A place where the kernel could refuse.
///
/// # Errors
/// When a test asked for it.
#[cfg(not(feature = "fault-injection"))]
#[inline]
pub(crate) fn chance() -> Result<(), Injected> {
    Ok(())
}

/// A place in one of the launcher's processes, or in what is done about them; may not return.
///
/// # Errors
/// When a test asked for it.
#[cfg(not(feature = "fault-injection"))]
#[inline]
pub(crate) fn at(_place: &str) -> Result<(), Injected> {
    Ok(())
}

/// Whether a test wants a kernel without this.
#[cfg(not(feature = "fault-injection"))]
#[inline]
pub(crate) fn lacks(_what: &str) -> bool {
    false
}

/// How long is waited for somebody.
#[cfg(not(feature = "fault-injection"))]
#[inline]
pub(crate) fn patience(usual: std::time::Duration) -> std::time::Duration {
    usual
}

/// What a helper is to find in its environment.
#[cfg(not(feature = "fault-injection"))]
pub(crate) fn of_helpers() -> impl Iterator<Item = (&'static str, String)> {
    std::iter::empty()
}

/// What a launcher is to find in its environment, besides what it has from there.
#[cfg(not(feature = "fault-injection"))]
pub(crate) fn variables() -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
    std::iter::empty()
}

#[cfg(feature = "fault-injection")]
pub(crate) use enabled::{at, chance, lacks, of_helpers, patience, point, variables};

#[cfg(feature = "fault-injection")]
mod enabled {
    use super::Injected;
    use nix::sys::signal::{Signal, raise};
    use std::io::Write;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    fn number(variable: &str) -> Option<u32> {
        std::env::var(variable).ok()?.parse().ok()
    }

    static CRASH_AT: LazyLock<Option<u32>> = LazyLock::new(|| number("NSLAB_TEST_CRASH_AT"));
    static INTERRUPT_AT: LazyLock<Option<u32>> = LazyLock::new(|| number("NSLAB_TEST_INTERRUPT_AT"));
    static SIGNAL: LazyLock<Signal> = LazyLock::new(|| {
        let named = std::env::var("NSLAB_TEST_SIGNAL").ok();
        named.and_then(|name| name.parse().ok()).unwrap_or(Signal::SIGINT)
    });
    static FAIL_AT: LazyLock<Vec<u32>> = LazyLock::new(|| {
        let numbers = std::env::var("NSLAB_TEST_FAIL_AT").unwrap_or_default();
        numbers.split(',').filter_map(|number| number.parse().ok()).collect()
    });
    static POINTS_FILE: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("NSLAB_TEST_POINTS").ok());
    static POINTS: AtomicU32 = AtomicU32::new(0);
    static CHANCES: AtomicU32 = AtomicU32::new(0);

    /// See the module's head.
    pub(crate) fn point(name: impl FnOnce() -> String) {
        let number = POINTS.fetch_add(1, Ordering::SeqCst) + 1;
        note(|| format!("point {number} {}", name()));
        if *CRASH_AT == Some(number) {
            let _ = raise(Signal::SIGKILL);
        }
        if *INTERRUPT_AT == Some(number) {
            let _ = raise(*SIGNAL);
        }
    }

    /// See the module's head.
    pub(crate) fn of_helpers() -> impl Iterator<Item = (&'static str, String)> {
        let names = [
            ("NSLAB_TEST_HELPER_CRASH_AT", "NSLAB_TEST_CRASH_AT"),
            ("NSLAB_TEST_HELPER_POINTS", "NSLAB_TEST_POINTS"),
            ("NSLAB_TEST_HELPER_HANG_AT", "NSLAB_TEST_HANG_AT"),
            ("NSLAB_TEST_HELPER_STOP_AT", "NSLAB_TEST_STOP_AT"),
        ];
        names.into_iter().filter_map(|(from, to)| Some((to, std::env::var(from).ok()?)))
    }

    pub(crate) fn variables() -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
        std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"NSLAB_TEST_"))
    }

    /// See the module's head.
    ///
    /// # Errors
    /// When this is the chance that the test chose.
    pub(crate) fn chance() -> Result<(), Injected> {
        let number = CHANCES.fetch_add(1, Ordering::SeqCst) + 1;
        note(|| format!("chance {number}"));
        if FAIL_AT.contains(&number) { Err(Injected) } else { Ok(()) }
    }

    /// See the module's head.
    ///
    /// # Errors
    /// When this is the place that the test chose.
    pub(crate) fn at(place: &str) -> Result<(), Injected> {
        let is_chosen =
            |variable: &str| std::env::var(variable).is_ok_and(|chosen| chosen.split('|').any(|one| one == place));
        if is_chosen("NSLAB_TEST_END_AT") {
            let _ = raise(Signal::SIGKILL);
            // The first process of a PID namespace does not hear it from within.
            std::process::exit(128 + Signal::SIGKILL as i32);
        }
        if is_chosen("NSLAB_TEST_STOP_AT") {
            let _ = raise(Signal::SIGSTOP);
        }
        while is_chosen("NSLAB_TEST_HANG_AT") {
            std::thread::park();
        }
        if is_chosen("NSLAB_TEST_FAIL_IN") { Err(Injected) } else { Ok(()) }
    }

    /// See the module's head.
    pub(crate) fn patience(usual: Duration) -> Duration {
        number("NSLAB_TEST_PATIENCE_S").map_or(usual, |seconds| Duration::from_secs(seconds.into()))
    }

    /// See the module's head.
    pub(crate) fn lacks(what: &str) -> bool {
        std::env::var("NSLAB_TEST_LACKS").is_ok_and(|lacking| lacking == what)
    }

    fn note(line: impl FnOnce() -> String) {
        if let Some(path) = &*POINTS_FILE
            && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
        {
            // The test that reads the file notices a missing line.
            let _ = writeln!(file, "{}", line());
        }
    }
}
