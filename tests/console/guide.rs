//! The guide says what the program does: its tables of keys, commands and APIs are held against the code.

use std::fmt::Write;
use std::path::Path;

use azimuth::command;
use azimuth::model::need;
use azimuth::settings::keymap::Keymap;
use azimuth::settings::preset::Preset;
use azimuth::tui::app::Action;
use azimuth_broker::handler::{self, Face};
use strum::VariantArray;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_key_of_the_default_keymap_is_in_the_guide() {
    let page = page("screens.md");
    for (layer, chords) in Keymap::load("default", None).unwrap().layers {
        let mut rows = String::new();
        for action in Action::VARIANTS {
            let keys: Vec<String> = chords
                .iter()
                .filter(|(_, name)| *name == action.name())
                .map(|(chord, _)| format!("`{chord}`"))
                .collect();
            if !keys.is_empty() {
                writeln!(rows, "| {} | {} | {} |", keys.join(" "), action.name(), action.help()).unwrap();
            }
        }
        assert!(
            page.contains(&rows),
            "docs/guide/screens.md lacks these rows of [{layer}]:\n{rows}"
        );
    }
}

#[test]
fn every_command_is_in_the_guide() {
    let page = page("commands.md");
    for (noun, verbs) in command::nouns() {
        for verb in verbs {
            assert!(
                page.contains(&format!("`{noun} {verb}")),
                "docs/guide/commands.md lacks `{noun} {verb}`"
            );
        }
        assert!(
            page.contains(&format!("`{noun}")),
            "docs/guide/commands.md lacks `{noun}`"
        );
    }
}

#[test]
fn every_verb_says_which_rights_it_needs() {
    let page = page("rights.md");
    for need in need::NEEDS {
        let row = format!("| `{}` | {} |", need.verb, need.words());
        assert!(page.contains(&row), "docs/guide/rights.md lacks {row}");
    }
    let known: Vec<&str> = need::NEEDS
        .iter()
        .map(|need| need.verb)
        .chain(need::NONE.iter().copied())
        .collect();
    for (noun, verbs) in command::nouns() {
        let all = match verbs.is_empty() {
            true => vec![noun],
            false => verbs.iter().map(|verb| format!("{noun} {verb}")).collect(),
        };
        for verb in all {
            assert!(
                known.contains(&verb.as_str()),
                "src/model/need.rs does not say what {verb} needs"
            );
        }
    }
}

#[test]
fn every_api_of_the_broker_is_in_the_guide_with_its_versions() {
    let page = page("broker.md");
    let apis = handler::apis(Face::Broker);
    for api in &apis {
        let (low, high) = (api.versions.start(), api.versions.end());
        let versions = if low == high {
            low.to_string()
        } else {
            format!("{low}–{high}")
        };
        let row = format!("| {:?} | {versions} |", api.key);
        assert!(page.contains(&row), "docs/guide/broker.md lacks {row}");
    }
    let listed = page
        .split("## ")
        .find(|part| part.starts_with("APIs"))
        .unwrap_or_default();
    let is_api =
        |cell: &&str| !cell.is_empty() && cell.chars().all(char::is_alphanumeric) && cell.contains(char::is_lowercase);
    let names = listed
        .split('|')
        .skip(1)
        .map(str::trim)
        .filter(is_api)
        .filter(|cell| *cell != "versions");
    assert_eq!(
        names.count(),
        apis.len(),
        "docs/guide/broker.md lists an API that is not served"
    );
}
