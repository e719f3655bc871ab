//! What the pages of the guide show of the program: the block after `<!-- captured NAME -->` holds what a test saw, and the test keeps
//! it true. Numbers, times and ids differ each time, so lines are compared without them; a line `…` stands for lines that are left out.
//! `AZIMUTH_SCREENS=1` writes the blocks again, whole.

use std::path::{Path, PathBuf};

use regex::Regex;

const FENCE: &str = "```";

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide").join(page)
}

/// The block of this name shows what was seen; the command that it begins with is not part of that.
#[track_caller]
pub(super) fn keep(page: &str, name: &str, command: &str, seen: &str) {
    let text = std::fs::read_to_string(path(page)).unwrap();
    let mark = format!("<!-- captured {name} -->\n\n{FENCE}\n");
    let Some((before, rest)) = text.split_once(&mark) else {
        panic!("docs/guide/{page} has no block after {mark}");
    };
    let (block, after) = rest.split_once(&format!("\n{FENCE}")).unwrap();
    if std::env::var_os("AZIMUTH_SCREENS").is_some() {
        let seen: String = seen
            .trim_end()
            .lines()
            .map(|line| format!("\n{}", line.trim_end()))
            .collect();
        let text = format!("{before}{mark}$ {command}{seen}\n{FENCE}{after}");
        std::fs::write(path(page), text).unwrap();
        return;
    }
    let (shown, kept) = block.split_once('\n').unwrap();
    assert_eq!(
        plain(shown),
        plain(&format!("$ {command}")),
        "docs/guide/{page}: {name}"
    );
    if let Some(line) = missing(kept, seen) {
        panic!("docs/guide/{page} shows in {name} what is not so:\n{line}\nseen was:\n{seen}");
    }
}

/// The first line that was not seen after those before it.
fn missing<'a>(kept: &'a str, seen: &str) -> Option<&'a str> {
    let mut seen = seen.lines().map(plain);
    let lines = kept.lines().filter(|line| !["", "…"].contains(&line.trim()));
    lines.into_iter().find(|line| {
        let wanted = plain(line);
        !seen.any(|seen| seen == wanted)
    })
}

/// A line without what differs each time.
fn plain(line: &str) -> String {
    let changing = Regex::new(concat!(
        // ids of operations, runs, instances, volumes and snapshots
        r"\b(?:i|vol|snap)-[0-9a-z]+|\b[0-9a-f]{6}\b",
        r"|cluster [\w-]{22}\b",
        // numbers, with the unit that they happen to have
        r"|\d[\d.,:–T-]*Z?(?: ?(?:ms|min|s|m|h|d|k?B|MB|GB|TB)\b)?",
        // where the test keeps its files
        r"|/tmp/\S*|…/\S*"
    ));
    let text = changing.unwrap().replace_all(line, "#").into_owned();
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
