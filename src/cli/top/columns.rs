//! The columns of `top`: what stands in them, and which of them a window has room for. Pure.

use crate::report::{ContainerState, NodeUsage};

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) width: usize,
    /// Those with the highest number go first where a window is too narrow.
    rank: u8,
    cell: fn(&NodeUsage) -> String,
}

const fn column(head: &'static str, width: usize, rank: u8, cell: fn(&NodeUsage) -> String) -> Column {
    Column { head, width, rank, cell }
}

/// Those behind the names.
pub(super) const COLUMNS: [Column; 12] = [
    column("STATE", 7, 5, |node| state(node.state).to_owned()),
    column("CPU%", 6, 0, |node| or_unknown(node.cpu_percent, |percent| format!("{percent:.1}"))),
    column("MEMORY", 7, 0, |node| or_unknown(node.memory_bytes, bytes)),
    column("MEM LIMIT", 9, 6, |node| or_unknown(node.memory_limit_bytes, bytes)),
    column("PIDS", 6, 1, |node| or_unknown(node.pids, |pids| pids.to_string())),
    column("PID LIMIT", 9, 8, |node| or_unknown(node.pids_limit, |pids| pids.to_string())),
    column("READ/s", 7, 3, |node| or_unknown(node.io_read_bytes_per_s, bytes)),
    column("WRITE/s", 7, 3, |node| or_unknown(node.io_written_bytes_per_s, bytes)),
    column("IN pkt/s", 8, 7, |node| or_unknown(node.received_packets_per_s, packets)),
    column("IN bit/s", 8, 2, |node| or_unknown(node.received_bits_per_s, bits)),
    column("OUT pkt/s", 9, 7, |node| or_unknown(node.sent_packets_per_s, packets)),
    column("OUT bit/s", 9, 2, |node| or_unknown(node.sent_bits_per_s, bits)),
];

impl Column {
    pub(super) fn cell(&self, node: &NodeUsage) -> String {
        (self.cell)(node)
    }
}

/// The columns that there is room for in a window, in their order, beside the names.
pub(super) fn fitting(room: usize) -> Vec<Column> {
    let mut columns = COLUMNS.to_vec();
    let width = |columns: &[Column]| columns.iter().map(|column| column.width + 1).sum::<usize>();
    while width(&columns) > room {
        let Some(highest) = columns.iter().map(|column| column.rank).max() else { break };
        // Those of a rank belong together.
        columns.retain(|column| column.rank != highest);
    }
    columns
}

/// What a node is called: `LAB/NODE`, or the name of a container of no lab.
pub(super) fn name(node: &NodeUsage) -> String {
    node.lab.as_ref().map_or_else(|| node.name.clone(), |lab| format!("{lab}/{}", node.name))
}

fn state(state: Option<ContainerState>) -> &'static str {
    match state {
        None => "-",
        Some(ContainerState::Running) => "running",
        Some(ContainerState::Exited) => "exited",
        Some(ContainerState::Killed) => "killed",
        Some(ContainerState::Gone) => "gone",
        Some(ContainerState::New) => "new",
    }
}

fn or_unknown<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn packets(per_s: f64) -> String {
    if per_s < 10_000.0 { short(per_s) } else { scaled(per_s, 1000.0) }
}

fn bits(bits: u64) -> String {
    scaled(as_float(bits), 1000.0)
}

/// Memory and files are counted in powers of 1024, as limits are.
fn bytes(bytes: u64) -> String {
    scaled(as_float(bytes), 1024.0)
}

#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// `1.5M`: at most four digits, and the unit's first letter.
fn scaled(number: f64, base: f64) -> String {
    let (mut number, mut unit) = (number, "");
    for next in ["K", "M", "G", "T", "P", "E"] {
        // What would be rounded up to the next unit is of that.
        if (number * 10.0).round() / 10.0 < base {
            break;
        }
        (number, unit) = (number / base, next);
    }
    short(number) + unit
}

fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_their_columns() {
        let expected = [(0, "0"), (1023, "1023"), (1024, "1K"), (1536, "1.5K"), (100 << 20, "100M"), (1_048_575, "1M")];
        for (number, text) in expected {
            assert_eq!(bytes(number), text);
        }
        assert_eq!((bits(999), bits(1500), bits(10_000_000)), ("999".into(), "1.5K".into(), "10M".into()));
        for number in [u64::MAX, u64::MAX / 1000, 999_949, 999_950, 999_999_999, 1_048_524, 1_072_693_248] {
            assert!(bytes(number).len() <= 7 && bits(number).len() <= 7, "{} {}", bytes(number), bits(number));
        }
        assert_eq!(
            (packets(0.1), packets(9999.0), packets(14_880_952.4)),
            ("0.1".into(), "9999".into(), "14.9M".into())
        );
    }

    #[test]
    fn a_narrow_window_has_what_matters_most() {
        let heads = |room| fitting(room).iter().map(|column| column.head).collect::<Vec<_>>();
        assert_eq!(heads(200).len(), COLUMNS.len());
        let narrower = ["STATE", "CPU%", "MEMORY", "PIDS", "READ/s", "WRITE/s", "IN bit/s", "OUT bit/s"];
        assert_eq!(heads(65), narrower);
        assert_eq!(heads(20), ["CPU%", "MEMORY"]);
        assert_eq!(heads(3), [] as [&str; 0]);
    }
}
