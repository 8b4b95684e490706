//! What the user of `top` wants to see: in which order, which nodes, from which one on. Changed by keys. Pure.

use super::columns::name;
use crate::cli::args_top::Sort;
use crate::report::{NodeUsage, TopReport};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::cmp::Ordering;

/// The order of the columns that are sorted by, for the arrows.
const ORDER: [Sort; 6] = [Sort::Name, Sort::Cpu, Sort::Memory, Sort::Pids, Sort::Io, Sort::Traffic];

/// How the nodes are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) sort: Sort,
    /// Whether the order is the other way round: that of names begins at their end, that of numbers with the smallest.
    pub(super) is_reversed: bool,
    /// What a name has to have in it.
    pub(super) filter: String,
    /// Whether that is being typed.
    pub(super) is_typing: bool,
    /// How many nodes are above the window.
    pub(super) above: usize,
}

/// What a key is for, beyond how the nodes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To see it.
    Show,
    /// The end.
    Quit,
    /// To be back in the shell for a while.
    Suspend,
    /// To have the screen drawn anew, because somebody else has written on it.
    Redraw,
}

impl View {
    pub(super) fn new(sort: Sort) -> Self {
        Self { sort, is_reversed: false, filter: String::new(), is_typing: false, above: 0 }
    }

    /// Does what a key says; `page` is how many nodes the window has room for.
    pub(super) fn press(&mut self, key: KeyEvent, page: usize) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Show;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return self.press_with_control(key.code);
        }
        match key.code {
            KeyCode::Up => self.above = self.above.saturating_sub(1),
            KeyCode::Down => self.above = self.above.saturating_add(1),
            KeyCode::PageUp => self.above = self.above.saturating_sub(page),
            KeyCode::PageDown => self.above = self.above.saturating_add(page),
            KeyCode::Home => self.above = 0,
            KeyCode::End => self.above = usize::MAX,
            KeyCode::Left => self.sort_by_neighbour(ORDER.len() - 1),
            KeyCode::Right => self.sort_by_neighbour(1),
            KeyCode::Esc => {
                self.is_typing = false;
                self.search_for(String::new());
            }
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Backspace if self.is_typing => {
                // What is left was typed before; without anything left, this ends it as in less(1).
                self.is_typing = self.filter.pop().is_some();
                self.above = 0;
            }
            KeyCode::Char(letter) if self.is_typing => self.search_for(format!("{}{letter}", self.filter)),
            KeyCode::Char(letter) => return self.press_letter(letter),
            _ => {}
        }
        Wish::Show
    }

    fn press_with_control(&mut self, code: KeyCode) -> Wish {
        match code {
            KeyCode::Char('c') => Wish::Quit,
            KeyCode::Char('z') => Wish::Suspend,
            KeyCode::Char('l') => Wish::Redraw,
            KeyCode::Char('u') if self.is_typing => {
                self.search_for(String::new());
                Wish::Show
            }
            _ => Wish::Show,
        }
    }

    fn press_letter(&mut self, letter: char) -> Wish {
        match letter {
            'q' | 'Q' => return Wish::Quit,
            'c' => self.sort_by(Sort::Cpu),
            'm' => self.sort_by(Sort::Memory),
            'p' => self.sort_by(Sort::Pids),
            'i' => self.sort_by(Sort::Io),
            'n' => self.sort_by(Sort::Name),
            't' => self.sort_by(Sort::Traffic),
            'r' => self.is_reversed = !self.is_reversed,
            '/' => self.is_typing = true,
            _ => {}
        }
        Wish::Show
    }

    fn sort_by(&mut self, sort: Sort) {
        (self.sort, self.is_reversed, self.above) = (sort, false, 0);
    }

    fn sort_by_neighbour(&mut self, steps: usize) {
        let at = ORDER.iter().position(|sort| *sort == self.sort).unwrap_or(0);
        self.sort_by(ORDER[(at + steps) % ORDER.len()]);
    }

    fn search_for(&mut self, text: String) {
        (self.filter, self.above) = (text, 0);
    }

    /// The nodes that are shown, in their order.
    pub(super) fn of<'a>(&self, report: &'a TopReport) -> Vec<&'a NodeUsage> {
        let filter = self.filter.to_lowercase();
        let mut nodes: Vec<(String, &NodeUsage)> = report.nodes.iter().map(|node| (name(node), node)).collect();
        nodes.retain(|(name, _)| name.to_lowercase().contains(&filter));
        nodes.sort_by(|one, other| {
            let order = if self.sort == Sort::Name { Ordering::Equal } else { self.compare(one.1, other.1) };
            let order = order.then_with(|| natural(&one.0).cmp(&natural(&other.0)));
            if self.is_reversed { order.reverse() } else { order }
        });
        nodes.into_iter().map(|(_, node)| node).collect()
    }

    /// The larger one comes first, and what is not known last.
    fn compare(&self, one: &NodeUsage, other: &NodeUsage) -> Ordering {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
        };
        let of = |node: &NodeUsage| match self.sort {
            Sort::Name | Sort::Cpu => None,
            Sort::Memory => node.memory_bytes,
            Sort::Pids => node.pids,
            Sort::Io => sum(node.io_read_bytes_per_s, node.io_written_bytes_per_s),
            Sort::Traffic => sum(node.received_bits_per_s, node.sent_bits_per_s),
        };
        if self.sort == Sort::Cpu {
            let percent = |node: &NodeUsage| node.cpu_percent.unwrap_or(-1.0);
            return percent(other).total_cmp(&percent(one));
        }
        of(other).cmp(&of(one))
    }

    /// Sees to it that the window is on the nodes, of which it has room for `page`.
    pub(super) fn stay_within(&mut self, nodes: usize, page: usize) {
        self.above = self.above.min(nodes.saturating_sub(page));
    }
}

/// A name such that h2 comes before h10: its runs of digits by their length first.
fn natural(name: &str) -> Vec<(usize, String)> {
    let mut parts: Vec<(usize, String)> = Vec::new();
    for letter in name.chars() {
        match parts.last_mut() {
            Some((digits, text)) if letter.is_ascii_digit() && *digits > 0 => {
                *digits += 1;
                text.push(letter);
            }
            Some((0, text)) if !letter.is_ascii_digit() => text.push(letter),
            _ => parts.push((usize::from(letter.is_ascii_digit()), letter.to_string())),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::samples::{node, report};
    use super::*;

    fn press(view: &mut View, keys: &str) {
        for key in keys.chars() {
            let code = match key {
                '\x1b' => KeyCode::Esc,
                '\n' => KeyCode::Enter,
                '\x7f' => KeyCode::Backspace,
                '<' => KeyCode::Left,
                '>' => KeyCode::Right,
                letter => KeyCode::Char(letter),
            };
            assert_eq!(view.press(KeyEvent::from(code), 10), Wish::Show, "{key:?}");
        }
    }

    fn names(view: &View, report: &TopReport) -> Vec<String> {
        view.of(report).into_iter().map(|node| node.name.clone()).collect()
    }

    #[test]
    fn each_key_sorts_by_what_it_says() {
        let report = report();
        let mut view = View::new(Sort::Cpu);
        assert_eq!(names(&view, &report), ["zion", "moon", "plain"], "what is not known is last");
        for (key, expected) in [
            ("m", ["moon", "zion", "plain"]),
            ("p", ["zion", "moon", "plain"]),
            ("i", ["moon", "zion", "plain"]),
            ("t", ["plain", "moon", "zion"]),
            ("n", ["moon", "plain", "zion"]),
            ("r", ["zion", "plain", "moon"]),
            ("r", ["moon", "plain", "zion"]),
            (">", ["zion", "moon", "plain"]),
            ("r", ["plain", "moon", "zion"]),
            ("<", ["moon", "plain", "zion"]),
            ("<", ["plain", "moon", "zion"]),
        ] {
            press(&mut view, key);
            assert_eq!(names(&view, &report), expected, "{key}");
        }
    }

    #[test]
    fn a_filter_is_typed_and_cleared() {
        let report = report();
        let mut view = View::new(Sort::Name);
        press(&mut view, "/MO");
        assert_eq!(names(&view, &report), ["moon"], "as it is typed");
        press(&mut view, "\nr");
        assert_eq!(
            (names(&view, &report), view.is_reversed),
            (vec!["moon".to_owned()], true),
            "letters are keys again"
        );
        press(&mut view, "\x1b");
        assert_eq!(names(&view, &report).len(), 3);
        press(&mut view, "/q");
        assert_eq!(names(&view, &report).len(), 0, "a q that is typed is a letter");
        press(&mut view, "\x7f");
        assert_eq!((names(&view, &report).len(), view.is_typing), (3, true));
        press(&mut view, "\x7f");
        assert!(!view.is_typing);
        press(&mut view, "/matrix/z\x1b");
        assert_eq!((view.filter.as_str(), view.is_typing), ("", false));
        view.filter = "matrix/".to_owned();
        assert_eq!(names(&view, &report).len(), 3);
    }

    #[test]
    fn it_ends_and_stops_as_others_do() {
        let with_control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        let mut view = View::new(Sort::Cpu);
        assert_eq!(view.press(KeyEvent::from(KeyCode::Char('q')), 10), Wish::Quit);
        for is_typing in [false, true] {
            view.is_typing = is_typing;
            assert_eq!(view.press(with_control('c'), 10), Wish::Quit);
            assert_eq!(view.press(with_control('z'), 10), Wish::Suspend);
            assert_eq!(view.press(with_control('l'), 10), Wish::Redraw);
            assert_eq!(view.press(with_control('q'), 10), Wish::Show);
        }
    }

    #[test]
    fn the_window_stays_on_the_nodes() {
        let mut view = View::new(Sort::Cpu);
        let mut at = |code, nodes| {
            view.press(KeyEvent::from(code), 10);
            view.stay_within(nodes, 10);
            view.above
        };
        assert_eq!(at(KeyCode::Down, 25), 1);
        assert_eq!(at(KeyCode::PageDown, 25), 11);
        assert_eq!(at(KeyCode::PageDown, 25), 15);
        assert_eq!(at(KeyCode::Up, 25), 14);
        assert_eq!(at(KeyCode::End, 25), 15);
        assert_eq!(at(KeyCode::Down, 5), 0, "all of them are seen");
        assert_eq!(at(KeyCode::End, 25), 15);
        assert_eq!(at(KeyCode::Home, 25), 0);
        assert_eq!(at(KeyCode::Up, 25), 0);
        assert_eq!(at(KeyCode::PageUp, 25), 0);
    }

    #[test]
    fn names_with_numbers_are_in_the_order_of_these() {
        let nodes = ["h10", "h2", "h1", "h02", "g9"].map(node).to_vec();
        assert_eq!(names(&View::new(Sort::Name), &TopReport { nodes }), ["g9", "h1", "h2", "h02", "h10"]);
    }
}
