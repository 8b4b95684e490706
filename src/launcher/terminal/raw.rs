//! The caller's terminal while somebody else's is shown on it: every key passes through. It is put back on every way out.

use crate::launcher::failure::{During, Failure, Step};
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Standard input, in raw mode as long as this lives and does not rest.
#[derive(Debug)]
pub(in crate::launcher) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Begins it. Standard input is to be a terminal.
    pub(in crate::launcher) fn begin() -> Result<Self, Failure> {
        let before = tcgetattr(stdin()).during(step)?;
        let raw_mode = Self { before };
        raw_mode.put_back_after_panic();
        raw_mode.resume()?;
        Ok(raw_mode)
    }

    /// A release's panic ends the process at once, and drops nothing.
    fn put_back_after_panic(&self) {
        let before = self.before.clone();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &before); // there is a worse thing to be told
            hook(panic);
        }));
    }

    /// Lets it be as it was, for as long as somebody else has the terminal.
    pub(in crate::launcher) fn rest(&self) {
        // It fails for a terminal that is gone, and then there is nothing to put back.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }

    /// Takes it again.
    pub(in crate::launcher) fn resume(&self) -> Result<(), Failure> {
        let mut modes = self.before.clone();
        modes.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &modes).during(step)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.rest();
    }
}

fn step() -> Step {
    Step::of("set the terminal")
}
