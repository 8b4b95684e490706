//! A window of tmux(1): a real terminal, with what stands on it as its user sees it.

use super::wait_until;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(1);

/// A server of the test's own, with one window in which a shell with job control runs. Dropping it ends both.
pub(crate) struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Of a size in characters; its socket is in a directory of the test's own.
    pub(crate) fn start(host: &super::ThrowAwayHost, columns: u16, lines: u16) -> Self {
        let this = Self { socket: host.scratch().join("tmux") };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        // Another server of this user's has another socket, and its own configuration is not read.
        this.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &lines, "env PS1='$ ' bash --norc"]);
        this.until("the shell is there", |screen| screen.contains('$'));
        this
    }

    #[track_caller]
    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.env("TERM", "xterm").env_remove("TMUX").arg("-u").arg("-S").arg(&self.socket).args(arguments);
        let output = command.output().expect("the package tmux is installed");
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types this.
    pub(crate) fn text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses a key, as tmux calls it: `Enter`, `C-c`.
    pub(crate) fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    pub(crate) fn line(&self, line: &str) {
        self.text(line);
        self.key("Enter");
    }

    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &lines.to_string()]);
    }

    /// What stands there now.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Whether the other screen is shown, that full-screen programs have.
    pub(crate) fn is_other_screen(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    pub(crate) fn has_cursor(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{cursor_flag}"]).trim() == "1"
    }

    /// Waits until what stands there is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> String {
        let mut screen = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(what, PATIENCE, || {
                screen = self.screen();
                is_so(&screen)
            });
        }));
        assert!(seen.is_ok(), "waited in vain until {what}, on:\n{screen}");
        screen
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}
