//! docs/guide/broker.md lists the APIs that are served. After a change write it anew with `AZIMUTH_BLESS=1`.

use std::fmt::Write as _;
use std::path::Path;

use super::{Face, apis};

const FROM: &str = "## APIs\n\n";
const TO: &str = "\nWhat is not there is not advertised.";

/// Two APIs in a row, by key.
fn table() -> String {
    let mut all = apis(Face::Broker);
    all.sort_by_key(|api| api.key as i16);
    let cells = all.iter().map(|api| {
        let (first, last) = (api.versions.start(), api.versions.end());
        let versions = match first == last {
            true => first.to_string(),
            false => format!("{first}–{last}"),
        };
        format!("{} | {:?} | {versions}", api.key as i16, api.key)
    });
    let cells: Vec<String> = cells.collect();
    let mut text = "| key | API | versions | key | API | versions |\n|---|---|---|---|---|---|\n".to_owned();
    for pair in cells.chunks(2) {
        let second = pair.get(1).map_or("| |", String::as_str);
        // Writing to a String does not fail.
        let _ = writeln!(text, "| {} | {second} |", pair[0]);
    }
    text
}

#[test]
fn the_guide_lists_every_api_with_its_versions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/broker.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let from = guide.find(FROM).unwrap() + FROM.len();
    let to = guide.find(TO).unwrap();
    let text = format!("{}{}{}", &guide[..from], table(), &guide[to..]);
    if std::env::var_os("AZIMUTH_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
        return;
    }
    assert!(
        guide == text,
        "docs/guide/broker.md is out of date; run this test with AZIMUTH_BLESS=1"
    );
}
