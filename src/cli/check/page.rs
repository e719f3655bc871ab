//! Findings as other monitors read them: a page for the textfile collector of Prometheus' node exporter, and a line for Nagios.
//!
//! Sources: Prometheus' "Exposition formats"; Monitoring Plugins' "Development Guidelines", output and return codes.

use std::fmt::Write;

use super::super::output::Answer;
use super::{Report, seconds};
use crate::check::practice::Status;
use crate::cli::exit::{Exit, Failure};
use crate::model::Moment;
use crate::model::foreign::plain;
use strum::IntoEnumIterator;

pub(super) fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = crate::cli::out::stdout();
    super::super::printed(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_| ())
}

/// A label's value, as the format quotes it.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

pub(super) fn prometheus(report: &Report, answer: &Answer, now: Moment) -> String {
    let context = quoted(answer.context.as_deref().unwrap_or_default());
    let cluster = quoted(answer.cluster_id.as_deref().unwrap_or_default());
    let of = format!("context={context},cluster_id={cluster}");
    let mut text = String::new();
    text.push_str(
        "# HELP azimuth_check How a practice stands: 1 for its status, 0 for the others.\n# TYPE azimuth_check gauge\n",
    );
    for finding in &report.findings {
        let (id, section) = (finding.check.id, finding.check.section);
        for status in Status::iter() {
            let on = u8::from(status == finding.status);
            let labels = format!(
                "{of},id={},section=\"{section}\",severity=\"{}\",status=\"{status}\"",
                quoted(id),
                finding.severity
            );
            let _ = writeln!(text, "azimuth_check{{{labels}}} {on}");
        }
    }
    text.push_str(
        "# HELP azimuth_brokers Brokers that are registered, and that should be.\n# TYPE azimuth_brokers gauge\n",
    );
    let _ = writeln!(text, "azimuth_brokers{{{of},what=\"registered\"}} {}", report.brokers.0);
    if let Some(expected) = report.brokers.1 {
        let _ = writeln!(text, "azimuth_brokers{{{of},what=\"expected\"}} {expected}");
    }
    text.push_str("# HELP azimuth_check_seen_seconds When this was seen, since the epoch.\n# TYPE azimuth_check_seen_seconds gauge\n");
    let _ = writeln!(text, "azimuth_check_seen_seconds{{{of}}} {}", seconds(now));
    text
}

/// One line, with numbers behind the bar.
pub(super) fn nagios(report: &Report, answer: &Answer, exit: Exit) -> String {
    let count = |status: Status| {
        report
            .findings
            .iter()
            .filter(|finding| finding.status == status)
            .count()
    };
    let word = match exit {
        Exit::Done => "OK",
        Exit::No => "WARNING",
        Exit::Partial => "UNKNOWN",
        _ => "CRITICAL",
    };
    let worst = report
        .findings
        .iter()
        .filter(|finding| finding.is_bad())
        .max_by_key(|finding| (finding.severity, std::cmp::Reverse(finding.status)));
    let brokers = match report.brokers {
        (seen, Some(expected)) if seen < expected => format!("{seen} of {expected} brokers; "),
        _ => String::new(),
    };
    let unknown = || report.findings.iter().find(|finding| finding.status == Status::Unknown);
    let why = worst.or_else(|| unknown().filter(|_| exit == Exit::Partial));
    let why = why.map_or_else(
        || "all that was seen is well".to_owned(),
        |finding| format!("{}: {}", finding.check.id, finding.why),
    );
    let (fail, warn) = (count(Status::Fail), count(Status::Warn));
    let (unknown, pass) = (count(Status::Unknown), count(Status::Pass));
    // What stands behind a bar is numbers.
    let why = plain(&why).replace('|', "/");
    let context = answer.context.as_deref().unwrap_or_default();
    format!("AZIMUTH {word} - {context}: {brokers}{why} | fail={fail} warn={warn} unknown={unknown} pass={pass}\n")
}
