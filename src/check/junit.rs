//! A check's report as JUnit XML, the form that CI systems read.

use super::{CheckReport, Found, Protocol};
use std::fmt::Write as _;

/// The report as XML: a test case for each probe.
pub fn junit(report: &CheckReport) -> String {
    let failures = report.failures().count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String does not fail.
    let _ = writeln!(
        xml,
        "<testsuite name=\"nslab check {}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" time=\"{:.3}\">",
        escape(report.lab.as_str()),
        report.probes.len(),
        std::time::Duration::from_millis(report.took_ms).as_secs_f64(),
    );
    for probe in &report.probes {
        let protocol = match probe.protocol {
            Protocol::Icmp => "icmp",
            Protocol::Tcp => "tcp",
        };
        let seconds = match probe.found {
            Found::Answer { took_ms } => took_ms / 1000.0,
            Found::NoAnswer { .. } => 0.0,
        };
        let _ = write!(
            xml,
            "  <testcase classname=\"{}.{protocol}\" name=\"{} to {} ({})\" time=\"{seconds:.6}\"",
            escape(report.lab.as_str()),
            escape(probe.from.as_str()),
            escape(probe.to.as_str()),
            probe.address.map_or_else(|| "no address".to_owned(), |address| address.to_string()),
        );
        if probe.holds {
            xml.push_str("/>\n");
        } else {
            let _ = writeln!(xml, ">\n    <failure message=\"{}\"/>\n  </testcase>", escape(&probe.failure()));
        }
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text inside an attribute; characters that XML 1.0 has no place for are replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::{Expected, ProbeReport};
    use super::*;

    #[test]
    fn a_failure_is_told_and_escaped() {
        let probe = |holds, found| ProbeReport {
            from: "a".parse().unwrap(),
            to: "b".parse().unwrap(),
            address: Some("10.0.0.2".parse().unwrap()),
            protocol: Protocol::Tcp,
            expected: Expected::Reachable { within_ms: None },
            found,
            holds,
        };
        let report = CheckReport {
            lab: "lab".parse().unwrap(),
            nodes: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            probes: vec![
                probe(true, Found::Answer { took_ms: 1.5 }),
                probe(false, Found::NoAnswer { reason: "<\"no\" & never>".into() }),
            ],
            took_ms: 20,
        };
        assert_eq!(
            junit(&report),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuite name=\"nslab check lab\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"0.020\">\n\
             \u{20} <testcase classname=\"lab.tcp\" name=\"a to b (10.0.0.2)\" time=\"0.001500\"/>\n\
             \u{20} <testcase classname=\"lab.tcp\" name=\"a to b (10.0.0.2)\" time=\"0.000000\">\n\
             \u{20}   <failure message=\"a does not reach b (10.0.0.2) by TCP: &lt;&quot;no&quot; &amp; never&gt;\"/>\n\
             \u{20} </testcase>\n\
             </testsuite>\n"
        );
    }
}
