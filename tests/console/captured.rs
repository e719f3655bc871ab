//! What the pages of the guide show of the program: the block after `<!-- captured run -->` holds what a test saw, and the test keeps
//! it true. Numbers, times and ids differ each time, so lines are compared without them; a line `…` stands for lines that are left out.
//! `AZIMUTH_SCREENS=1` writes the blocks again, whole.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::operations::Ran;

const FENCE: &str = "```";
const MARK: &str = "<!-- captured run -->\n\n```\n";

/// The page of the shipped runbook that a line begins with shows this run of it.
#[track_caller]
pub(super) fn run(line: &str, ran: &Ran) {
    let runbook = line.split(' ').next().unwrap();
    keep(runbook, &format!("azimuth runbook run {line}"), &ran.both());
}

/// The block of a runbook's page shows what was seen; the command that it begins with is not part of that.
#[track_caller]
pub(super) fn keep(runbook: &str, command: &str, seen: &str) {
    let page = format!("docs/guide/tasks/{runbook}.md");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&page);
    let text = std::fs::read_to_string(&path).unwrap();
    let Some((before, rest)) = text.split_once(MARK) else {
        panic!("{page} has no block after {MARK}");
    };
    let (block, after) = rest.split_once(&format!("\n{FENCE}")).unwrap();
    if std::env::var_os("AZIMUTH_SCREENS").is_some() {
        let seen: String = seen
            .trim_end()
            .lines()
            .map(|line| format!("\n{}", line.trim_end()))
            .collect();
        let text = format!("{before}{MARK}$ {command}{seen}\n{FENCE}{after}");
        std::fs::write(path, text).unwrap();
        return;
    }
    let (shown, kept) = block.split_once('\n').unwrap();
    assert_eq!(plain(shown), plain(&format!("$ {command}")), "{page}");
    if let Some(line) = missing(kept, seen) {
        panic!("{page} shows what is not so:\n{line}\nseen was:\n{seen}");
    }
}

/// The first line that was not seen after those before it.
fn missing<'a>(kept: &'a str, seen: &str) -> Option<&'a str> {
    let mut seen = seen.lines().map(plain);
    let mut lines = kept.lines().filter(|line| !["", "…"].contains(&line.trim()));
    lines.find(|line| {
        let wanted = plain(line);
        !seen.any(|seen| seen == wanted)
    })
}

/// What differs each time.
static CHANGING: LazyLock<Regex> = LazyLock::new(|| {
    let parts = concat!(
        // ids of operations, runs, instances, volumes and snapshots
        r"\b(?:i|vol|snap)-[0-9a-z]+|\b[0-9a-f]{6}\b",
        r"|cluster [\w-]{22}\b",
        // numbers, with the unit that they happen to have
        r"|\d[\d.,:–T-]*Z?(?: ?(?:ms|min|s|m|h|d|k?B|MB|GB|TB)\b)?",
        // where the test keeps its files
        r"|/tmp/\S*|…/\S*"
    );
    Regex::new(parts).unwrap()
});

/// A line without that.
fn plain(line: &str) -> String {
    let text = CHANGING.replace_all(line, "#").into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn lines_are_compared_without_what_differs_each_time() {
    let seen = "✓ step 1 of 6: restart broker 1: back after 43 s\nnoise\nrun 3f09ac: finished in 2 m";
    assert_eq!(missing("✓ step 1 of 6: restart broker 1: back after 9 s", seen), None);
    assert_eq!(
        missing(
            "✓ step 2 of 6: restart broker 2: back after 9 s\n…\nrun 000000: finished in 59 s",
            seen
        ),
        None
    );
    assert!(missing("run 000000: failed in 59 s", seen).is_some());
    assert!(
        missing("run 000000: finished in 1 s\nnoise", seen).is_some(),
        "the order counts"
    );
}
