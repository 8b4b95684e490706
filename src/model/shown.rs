//! What somebody else has written, who may not be trusted, for people to read at a terminal.

use std::fmt::{self, Display, Formatter, Write};

/// It as it is, but for control characters, which could be orders to the terminal: those are written as Rust writes them.
#[derive(Debug, Clone, Copy)]
pub struct Shown<T>(pub T);

impl<T: Display> Display for Shown<T> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(Harmless(formatter), "{}", self.0)
    }
}

struct Harmless<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Harmless<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let control = part.chars().next_back().filter(|last| last.is_control());
            let Some(control) = control else { return self.0.write_str(part) };
            self.0.write_str(&part[..part.len() - control.len_utf8()])?;
            write!(self.0, "{}", control.escape_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn no_control_character_comes_through() {
        let shown = |text: &str| Shown(Path::new(text).display()).to_string();
        assert_eq!(shown("etc/a name, ä, 1\\2"), "etc/a name, ä, 1\\2");
        assert_eq!(shown("\u{1b}[2Ja\nb\u{9b}31m\u{7f}"), "\\u{1b}[2Ja\\nb\\u{9b}31m\\u{7f}");
        assert_eq!(shown(""), "");
    }
}
