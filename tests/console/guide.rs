//! The guide says what the program does: its tables of keys, commands and APIs are held against the code.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use azimuth::check::practice;
use azimuth::command;
use azimuth::model::{need, permission};
use azimuth::settings::keymap::Keymap;
use azimuth::settings::preset::Preset;
use azimuth::tui::app::Action;
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
fn every_check_is_on_the_page_of_its_section_and_no_other_is() {
    for section in practice::Section::all() {
        let name = format!("{section}.md");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/practice").join(&name);
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(page.starts_with(&format!("# {}\n", section.title())), "{name}");
        let own = practice::all().filter(|check| check.section == section);
        let mut rows = String::new();
        for check in own {
            let plain = |text: &str| match text {
                "" => "nothing".to_owned(),
                text => text.replace('|', "\\|"),
            };
            writeln!(
                rows,
                "| `{}` | {} | {} | {} | {} | {} |",
                check.id,
                check.row,
                plain(check.title),
                plain(check.said),
                check.holds,
                plain(check.today)
            )
            .unwrap();
        }
        assert!(
            page.contains(&rows),
            "docs/practice/{name} should have exactly these rows:\n{rows}"
        );
        assert_eq!(
            page.matches("\n| `").count(),
            rows.lines().count(),
            "docs/practice/{name} has more rows"
        );
    }
}

/// What a check names as its fix is a command that exists.
#[test]
fn commands_on_the_pages_of_practices_can_be_typed() {
    for section in practice::Section::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/practice/{section}.md"));
        let page = std::fs::read_to_string(path).unwrap();
        for words in page
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|words| words.starts_with("azimuth "))
        {
            let words = words
                .replace("BROKER", "4")
                .replace(" N", " 3")
                .replace("NAME=VALUE", "a=b");
            let bare = ["azimuth throttle set --catch-up", "azimuth acl explain"];
            if !bare.contains(&words.as_str()) {
                words
                    .parse::<command::Line>()
                    .unwrap_or_else(|error| panic!("{section}.md: {words}: {error}"));
            }
        }
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
fn policies_hold_what_the_verbs_need_and_nothing_else() {
    let needed = |changes: bool| -> BTreeSet<String> {
        let all = permission::PERMISSIONS.iter().filter(|one| one.changes == changes);
        all.flat_map(|one| one.actions)
            .map(|action| (*action).to_owned())
            .collect()
    };
    assert_eq!(allowed("policy-read"), needed(false));
    assert_eq!(allowed("policy-operate"), needed(true));
    let page = page("rights.md");
    for action in needed(false).iter().chain(&needed(true)) {
        assert!(
            page.contains(&format!("`{action}`")),
            "docs/guide/rights.md lacks {action}"
        );
    }
}

/// The actions that the statements of a policy allow.
fn allowed(policy: &str) -> BTreeSet<String> {
    let text = page(&format!("aws/{policy}.json"));
    let policy: serde_json::Value = serde_json::from_str(&text).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|one| match &one["Action"] {
        serde_json::Value::String(only) => vec![only.clone()],
        many => many
            .as_array()
            .unwrap()
            .iter()
            .map(|action| action.as_str().unwrap().to_owned())
            .collect(),
    });
    actions.collect()
}

/// The names of operations in the source that talks to AWS, by service.
#[test]
fn every_call_to_aws_is_one_that_a_policy_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/aws/live");
    let mut called = BTreeSet::new();
    // A constant is the name for the calls that follow it.
    let marks = regex::Regex::new(
        r#"const WHAT: &str = "(?<constant>\w+)"|\.ask\(\s*"(?<service>EC2|CloudWatch|SSM|STS|Route53)",\s*(?:WHAT|what|"(?<name>\w+)")"#,
    )
    .unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut last = "";
        for mark in marks.captures_iter(&text) {
            if let Some(constant) = mark.name("constant") {
                last = constant.as_str();
            }
            if let Some(service) = mark.name("service") {
                let name = mark.name("name").map_or(last, |name| name.as_str());
                called.insert(format!("{}:{name}", service.as_str().to_lowercase()));
            }
        }
    }
    let named: BTreeSet<String> = allowed("policy-read")
        .union(&allowed("policy-operate"))
        .cloned()
        .collect();
    // It needs no right.
    called.remove("sts:GetCallerIdentity");
    // Changes name their operation themselves; the last constant of that file is a read.
    let changes = [
        "ModifyVolume",
        "CreateSnapshots",
        "CreateVolume",
        "AttachVolume",
        "DetachVolume",
    ];
    called.extend(changes.map(|name| format!("ec2:{name}")));
    called.remove("ec2:");
    // A right of its own, asked by the calls that make something with tags.
    called.insert("ec2:CreateTags".to_owned());
    assert_eq!(called, named);
}

#[test]
fn every_shipped_runbook_has_a_page_whose_commands_parse() {
    let index = page("tasks.md");
    let runbooks = page("runbooks.md");
    for (name, _) in azimuth::runbook::preset::SHIPPED {
        assert!(
            runbooks.contains(&format!("| `{name}` |")),
            "docs/guide/runbooks.md lacks {name}"
        );
        assert!(
            index.contains(&format!("(tasks/{name}.md)")),
            "docs/guide/tasks.md lacks {name}"
        );
        let text = page(&format!("tasks/{name}.md"));
        assert!(text.contains("**What can go wrong**"), "{name}");
        let mut lines = 0;
        for line in text
            .lines()
            .filter(|line| line.starts_with("azimuth ") && !line.ends_with('\\'))
        {
            let line = line.split("    ").next().unwrap_or_default().trim();
            line.parse::<command::Line>()
                .unwrap_or_else(|error| panic!("docs/guide/tasks/{name}.md: {line}: {error}"));
            lines += 1;
        }
        assert!(lines > 2, "{name}: {lines} commands");
        for link in text.split("](../../").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(
                Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(link).exists(),
                "{name}: {link}"
            );
        }
    }
}

/// As they are written in the code: a fix that is worked out has a number for what it names.
#[test]
fn every_fix_of_a_check_is_a_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/practice");
    let fixes = regex::Regex::new(r#"(?:fix\(|format!\()\s*"([^"]*azimuth [^"]*)""#).unwrap();
    let named = regex::Regex::new(r"\{[^}]*\}|\bID\b").unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for fix in fixes.captures_iter(&text) {
            let fix = named.replace_all(&fix[1], "1").into_owned();
            let words = fix.replace("; then ", "; ").replace("; or ", "; ");
            for line in words.split("; ").filter_map(|part| part.strip_prefix("azimuth ")) {
                let parsed = line.parse::<command::Line>();
                assert!(parsed.is_ok(), "azimuth {line}: {}", parsed.unwrap_err());
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "only {seen} are found");
}
