//! The table of `top`, as plain text and on a screen. Pure.

use super::columns::{COLUMNS, Column, fitting, name};
use super::view::View;
use crate::cli::args_top::Sort;
use crate::cli::render::{plural, table};
use crate::report::{ContainerState, NodeUsage, TopReport};
use clap::ValueEnum;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use std::fmt::Write as _;

const NAME: &str = "NODE";

/// The longest name that is shown whole.
const LONGEST_NAME: usize = 32;

/// The lines that are no nodes: what is shown, the head of the table, the keys.
const OTHER_LINES: u16 = 3;

const KEYS: &str = "q quit  / filter  sort: c cpu  m memory  p pids  i io  t traffic  n name  r reverse";

/// How many nodes there is room for in a window.
pub(super) fn page(height: u16) -> usize {
    usize::from(height.saturating_sub(OTHER_LINES))
}

/// All columns.
pub(super) fn plain(nodes: &[&NodeUsage]) -> String {
    let head: Vec<&str> = std::iter::once(NAME).chain(COLUMNS.iter().map(|column| column.head)).collect();
    let row = |node: &&NodeUsage| {
        let cells = COLUMNS.iter().map(|column| column.cell(node));
        std::iter::once(name(node)).chain(cells).collect()
    };
    table(&head, &nodes.iter().map(row).collect::<Vec<Vec<String>>>())
}

/// What is said above the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Title {
    /// When it was looked.
    pub(super) time: String,
    /// What there is to say where there is no node.
    pub(super) nothing: String,
}

/// Draws what the user wants to see.
pub(super) fn draw(frame: &mut Frame<'_>, report: &TopReport, view: &View, title: &Title) {
    let lines = [Constraint::Length(1), Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)];
    let [above, head, body, below] = Layout::vertical(lines).areas(frame.area());
    let nodes = view.of(report);
    let order = if view.is_reversed { ", reversed" } else { "" };
    let counted = if report.nodes.is_empty() { title.nothing.clone() } else { counted(report, &nodes) };
    let text = format!("nslab top  {}  {counted}, by {}{order}", title.time, word(view.sort));
    frame.render_widget(Line::from(text), above);
    let names = nodes.iter().map(|node| name(node).chars().count());
    let width = names.chain([NAME.len()]).max().unwrap_or(0).min(LONGEST_NAME);
    let columns = fitting(usize::from(frame.area().width).saturating_sub(width));
    let mut spans = vec![cell(format!("{NAME:width$}"), view.sort == Sort::Name)];
    for Column { head, width, .. } in &columns {
        spans.push(Span::raw(" "));
        spans.push(cell(format!("{head:>width$}"), is_sorted_by(view.sort, head)));
    }
    frame.render_widget(Line::from(spans).style(Style::new().add_modifier(Modifier::REVERSED)), head);
    for (row, node) in nodes.iter().skip(view.above).take(usize::from(body.height)).enumerate() {
        let mut text = fitted(&name(node), width);
        for column in &columns {
            let _ = write!(text, " {:>1$}", column.cell(node), column.width);
        }
        let is_still = node.state.is_some_and(|state| state != ContainerState::Running);
        let style = if is_still { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
        let place = Rect { y: body.y.saturating_add(u16::try_from(row).unwrap_or(u16::MAX)), height: 1, ..body };
        frame.render_widget(Line::from(text).style(style), place);
    }
    let typed = if view.is_typing {
        format!("/{}_  Enter keeps it, Esc clears it", view.filter)
    } else if view.filter.is_empty() {
        KEYS.to_owned()
    } else {
        format!("/{}  Esc clears it  {KEYS}", view.filter)
    };
    frame.render_widget(Line::from(typed), below);
}

/// How many nodes there are, and are shown.
fn counted(report: &TopReport, shown: &[&NodeUsage]) -> String {
    let all = report.nodes.len();
    let running = report.nodes.iter().filter(|node| node.state == Some(ContainerState::Running)).count();
    let containers = report.nodes.iter().filter(|node| node.state.is_some()).count();
    let mut text = plural(all, "node");
    if containers > 0 {
        let _ = write!(text, ", {} ({running} running)", plural(containers, "container"));
    }
    if shown.len() < all {
        let _ = write!(text, ", {} shown", shown.len());
    }
    text
}

fn is_sorted_by(sort: Sort, head: &str) -> bool {
    match sort {
        Sort::Name => false,
        Sort::Cpu => head == "CPU%",
        Sort::Memory => head == "MEMORY",
        Sort::Pids => head == "PIDS",
        Sort::Io => ["READ/s", "WRITE/s"].contains(&head),
        Sort::Traffic => ["IN bit/s", "OUT bit/s"].contains(&head),
    }
}

/// A column's head; bold where it is sorted by.
fn cell(text: String, is_sorted: bool) -> Span<'static> {
    Span::styled(text, if is_sorted { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() })
}

/// As the command line calls it.
fn word(sort: Sort) -> String {
    sort.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A name in this many places, with an ellipsis where it has more.
fn fitted(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return format!("{name:width$}");
    }
    let mut text: String = name.chars().take(width.saturating_sub(1)).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::super::samples::report;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(width: u16, height: u16, report: &TopReport, view: &View) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let title = Title { time: "13:11:00".to_owned(), nothing: "nothing is there".to_owned() };
        terminal.draw(|frame| draw(frame, report, view, &title)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    #[test]
    fn a_wide_window_has_all() {
        let expected = [
            "nslab top  13:11:00  3 nodes, 2 containers (2 running), by cpu",
            "NODE           STATE   CPU%  MEMORY MEM LIMIT   PIDS PID LIMIT  READ/s WRITE/s IN pkt/s IN bit/s OUT pkt/s OUT bit/s",
            "matrix/zion  running   99.8   12.3M      100M      3        64       0      4K        1      784         0         0",
            "matrix/moon  running    0.2      1G         -      2         -    4.9K       0        1     1.5K         1      1.5K",
            "matrix/plain       -      -       -         -      -         -       -       -    812.4     9.8M       400      211K",
            "",
            "q quit  / filter  sort: c cpu  m memory  p pids  i io  t traffic  n name  r reverse",
        ];
        assert_eq!(screen(130, 7, &report(), &View::new(Sort::Cpu)), expected);
    }

    #[test]
    fn a_narrow_one_has_what_fits() {
        let view = View { is_reversed: true, ..View::new(Sort::Traffic) };
        let expected = [
            "nslab top  13:11:00  3 nodes, 2 containers (2 running), by traffic, reversed",
            "NODE           STATE   CPU%  MEMORY   PIDS  READ/s WRITE/s IN bit/s OUT bit/s",
            "matrix/zion  running   99.8   12.3M      3       0      4K      784         0",
            "matrix/moon  running    0.2      1G      2    4.9K       0     1.5K      1.5K",
            "q quit  / filter  sort: c cpu  m memory  p pids  i io  t traffic  n name  r reve",
        ];
        assert_eq!(screen(80, 5, &report(), &view), expected);
        for (width, height) in [(1, 1), (2, 2), (20, 3), (0, 0), (400, 1)] {
            screen(width, height, &report(), &view);
        }
    }

    #[test]
    fn the_window_begins_where_the_user_is() {
        let view = View { above: 2, filter: "ma".to_owned(), ..View::new(Sort::Cpu) };
        let lines = screen(80, 4, &report(), &view);
        assert!(lines[2].starts_with("matrix/plain") && lines[3].starts_with("/ma  Esc clears it"), "{lines:?}");
        let view = View { is_typing: true, filter: "zi".to_owned(), ..View::new(Sort::Cpu) };
        let lines = screen(80, 5, &report(), &view);
        assert!(lines[0].contains(", 1 shown") && lines[2].starts_with("matrix/zion"), "{lines:?}");
        assert_eq!((lines[3].as_str(), lines[4].as_str()), ("", "/zi_  Enter keeps it, Esc clears it"));
        assert_eq!(page(5), 2);
    }

    #[test]
    fn it_is_said_where_nothing_is() {
        let lines = screen(80, 4, &TopReport::default(), &View::new(Sort::Cpu));
        assert_eq!(lines[0], "nslab top  13:11:00  nothing is there, by cpu");
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        let mut report = report();
        report.nodes[0].name = "a".repeat(60);
        let lines = screen(60, 6, &report, &View::new(Sort::Cpu));
        assert!(lines[2].starts_with(&format!("matrix/{}… ", "a".repeat(24))), "{lines:?}");
    }

    #[test]
    fn plain_text_is_a_table_of_all_columns() {
        let report = report();
        let text = plain(&View::new(Sort::Name).of(&report));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("NODE          STATE    CPU%  MEMORY  MEM LIMIT"), "{text}");
        assert_eq!(
            lines[3].split_whitespace().take(5).collect::<Vec<_>>(),
            ["matrix/zion", "running", "99.8", "12.3M", "100M"]
        );
        assert_eq!(lines.len(), 4);
    }
}
