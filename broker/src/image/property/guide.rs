//! docs/guide/properties.md says what the tables say. After a change write it anew with `AZIMUTH_BLESS=1`.

use std::fmt::Write as _;
use std::path::Path;

use super::{Property, Range, Scope, broker_properties, client_metrics_properties, group_properties, topic_properties};

const HEAD: &str = "# Properties\n\nEvery property that the broker knows, with the names, defaults and ranges of Apache Kafka 4.1. Written from the \
                    program's own tables;\n`AZIMUTH_BLESS=1 cargo test -p azimuth-broker --lib property::guide` writes it anew.\n";

fn table(into: &mut String, properties: &[Property]) {
    into.push_str("\n| property | type | default | values | set | meaning |\n|---|---|---|---|---|---|\n");
    for property in properties {
        let default = match property.default {
            None => "not set".to_owned(),
            Some("") => "empty".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let values = match property.range {
            Range::Any => String::new(),
            range => range.to_string(),
        };
        let set = match property.scope {
            Scope::Topic | Scope::Group => property
                .synonyms
                .first()
                .map_or_else(String::new, |synonym| format!("default: `{}`", synonym.name)),
            Scope::Static => "in the file".to_owned(),
            Scope::Dynamic => "also while it runs".to_owned(),
        };
        let fixed = property
            .fixed
            .map_or_else(String::new, |why| format!(" Only the default: {why}"));
        let kind = format!("{:?}", property.kind).to_lowercase();
        let row = [&kind, &default, &values, &set, &format!("{}{fixed}", property.doc)];
        let cells = row.map(|cell| cell.replace('|', "\\|")).join(" | ");
        // Writing to a String does not fail.
        let _ = writeln!(into, "| `{}` | {cells} |", property.name);
    }
}

#[test]
fn the_guide_lists_every_property() {
    let mut text = HEAD.to_owned();
    text.push_str("\n## Topics\n");
    table(&mut text, topic_properties());
    text.push_str("\n## Brokers and the controller\n");
    table(&mut text, broker_properties());
    text.push_str("\n## Groups\n");
    table(&mut text, group_properties());
    text.push_str("\n## Client metrics subscriptions\n");
    table(&mut text, client_metrics_properties());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/properties.md");
    if std::env::var_os("AZIMUTH_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/guide/properties.md is out of date; run this test with AZIMUTH_BLESS=1"
    );
}
