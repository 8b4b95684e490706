//! The terminal while `top` has it: its other screen, every key as it is pressed. It is put back on every way out but SIGKILL.

use crate::Error;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};
use std::io::{self, Stdout, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many keys may wait to be looked at.
const KEYS: usize = 64;

/// How often is looked whether nobody wants to know of keys any more.
const LOOK: Duration = Duration::from_millis(50);

/// The terminal, as long as this lives.
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes it. Standard output is to be a terminal.
    pub(super) fn open() -> Result<Self, Error> {
        put_back_after_panic();
        let opened = take().and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        opened.map(Self).map_err(|source| {
            put_back();
            failed("use the terminal", source)
        })
    }

    /// Draws what has changed.
    pub(super) fn draw(&mut self, what: impl FnOnce(&mut Frame<'_>)) -> Result<(), Error> {
        self.0.draw(what).map(drop).map_err(|source| failed("draw on the terminal", source))
    }

    /// How many lines it has.
    pub(super) fn height(&self) -> u16 {
        self.0.size().map_or(0, |size| size.height)
    }

    /// Has the next drawing draw all of it: somebody else may have used it, and set it as it was.
    pub(super) fn take_again(&mut self) -> Result<(), Error> {
        let mut again = || {
            // Otherwise crossterm believes that it is set already.
            disable_raw_mode()?;
            take()?;
            let (width, height) = size()?;
            self.0.resize(Rect { x: 0, y: 0, width, height })
        };
        again().map_err(|source| failed("use the terminal", source))
    }

    /// Stops the caller's job, this process with it, as its terminal would have done it; returns when it goes on. Where nobody is
    /// there who could let it go on (an orphaned process group), it is not stopped. To be called by the process's first thread:
    /// the signal comes before kill(2) returns there.
    pub(super) fn suspend(&mut self) -> Result<(), Error> {
        put_back();
        kill(Pid::from_raw(0), Signal::SIGTSTP).map_err(|errno| failed("stop", errno.into()))?;
        self.take_again()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        put_back();
    }
}

/// Whether it is not as it was: put back twice, the cursor would be where it was when it was taken.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

fn take() -> io::Result<()> {
    IS_TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)
}

fn put_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // It fails for a terminal that is gone, and then there is nothing to put back.
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}

/// A release's panic ends the process at once, and drops nothing; and what it says is to be seen.
fn put_back_after_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        put_back();
        hook(panic);
    }));
}

/// What is pressed, and that the window has another size. When this has been dropped nobody reads the terminal any more: what is
/// typed from then on is the shell's, however long the rest of the process takes.
pub(super) struct Keys {
    events: mpsc::Receiver<io::Result<Event>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, Error> {
        let (sender, events) = mpsc::channel(KEYS);
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let listen = move || {
            while !seen.load(Ordering::SeqCst) {
                let event = match event::poll(LOOK) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let is_last = event.is_err();
                if sender.blocking_send(event).is_err() || is_last {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("keys".to_owned()).spawn(listen);
        let thread = thread.map_err(|source| failed("listen to the keyboard", source))?;
        Ok(Self { events, is_over, thread: Some(thread) })
    }

    /// The next one; `None` after an error.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Option<io::Result<Event>> {
        self.events.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.events.close(); // or it would wait for room
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it can't panic, and there would be nothing to do about it
        }
    }
}

pub(super) fn failed(action: &str, source: io::Error) -> Error {
    Error::Io { action: action.to_owned(), source }
}
