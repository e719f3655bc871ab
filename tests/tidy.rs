//! Rules about the code itself: who may import whom, which crate is named where, what lies at the top, and that no
//! file is dead. The tables are the architecture; a row changes by a decision in `docs/ARCHITECTURE.md`.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A layer and the layers it may import. A row may name only rows above it, so no cycle can be written down.
type Table = &'static [(&'static str, &'static [&'static str])];

const CONSOLE: Table = &[
    ("model", &[]),
    ("settings", &["model"]),
    ("source", &["model", "settings"]),
    ("feed", &["model", "settings", "source"]),
    ("plan", &["model"]),
    ("check", &["model", "plan"]),
    ("command", &["model", "plan"]),
    ("operation", &["model", "settings", "source", "feed", "plan", "check"]),
    (
        "runbook",
        &["model", "settings", "feed", "plan", "check", "command", "operation"],
    ),
    ("demo", &["model", "settings", "source"]),
    (
        "cli",
        &[
            "model",
            "settings",
            "feed",
            "plan",
            "check",
            "command",
            "operation",
            "runbook",
            "demo",
        ],
    ),
    ("tui::theme", &["settings"]),
    ("tui::app", &["model", "plan", "check", "command", "operation"]),
    ("tui::input", &["settings", "tui::app"]),
    ("tui::widget", &["tui::theme"]),
    (
        "tui::view",
        &["model", "plan", "check", "tui::app", "tui::theme", "tui::widget"],
    ),
    (
        "tui::runtime",
        &[
            "model",
            "settings",
            "feed",
            "plan",
            "check",
            "operation",
            "runbook",
            "tui::app",
        ],
    ),
    (
        "tui",
        &[
            "model",
            "settings",
            "feed",
            "plan",
            "check",
            "command",
            "operation",
            "runbook",
            "demo",
            "tui::theme",
            "tui::app",
            "tui::input",
            "tui::widget",
            "tui::view",
            "tui::runtime",
        ],
    ),
];

const BROKER: Table = &[
    ("id", &[]),
    ("env", &[]),
    ("record", &[]),
    ("wire", &["id", "env"]),
    ("telemetry", &["id", "env"]),
    ("log", &["id", "env", "record", "telemetry"]),
    ("image", &["id", "record", "wire"]),
    ("controller", &["id", "env", "record", "wire", "image", "log"]),
    ("group", &["id", "env", "record", "image"]),
    ("txn", &["id", "env", "record", "image"]),
    ("auth", &["id", "env", "wire", "image"]),
    ("quota", &["id", "env", "image"]),
    (
        "replica",
        &["id", "env", "record", "wire", "log", "image", "quota", "telemetry"],
    ),
    (
        "coordinator",
        &[
            "id",
            "env",
            "record",
            "wire",
            "image",
            "group",
            "txn",
            "replica",
            "telemetry",
        ],
    ),
    (
        "handler",
        &[
            "id",
            "env",
            "record",
            "wire",
            "telemetry",
            "log",
            "image",
            "controller",
            "group",
            "txn",
            "auth",
            "quota",
            "replica",
            "coordinator",
        ],
    ),
    ("server", &["env", "wire", "auth", "quota", "telemetry", "handler"]),
    (
        "node",
        &[
            "id",
            "env",
            "record",
            "wire",
            "telemetry",
            "log",
            "image",
            "controller",
            "group",
            "txn",
            "auth",
            "quota",
            "replica",
            "coordinator",
            "handler",
            "server",
        ],
    ),
    ("cluster", &["id", "env", "record", "wire", "node"]),
];

/// Crates that only these console modules may name.
const FENCES: &[(&str, &[&str])] = &[
    ("rdkafka", &["source::kafka"]),
    ("openssl_sys", &["source::kafka"]),
    ("kafka_protocol", &["source::kafka"]),
    ("azimuth_broker", &["source::kafka", "demo"]),
    ("aws_config", &["source::aws"]),
    ("aws_sdk_ec2", &["source::aws"]),
    ("aws_sdk_cloudwatch", &["source::aws"]),
    ("aws_sdk_ssm", &["source::aws"]),
    ("aws_sdk_route53", &["source::aws"]),
    ("clap", &["command", "cli"]),
    ("clap_complete", &["command", "cli"]),
    ("clap_mangen", &["command", "cli"]),
    (
        "ratatui",
        &["tui::theme", "tui::widget", "tui::view", "tui::run", "tui::terminal"],
    ),
    ("crossterm", &["tui::input", "tui::run", "tui::terminal"]),
    ("tui_textarea", &["tui::app::editor", "tui::widget::editor"]),
];

/// Modules that neither wait nor spawn.
const PURE: &[&str] = &["model", "plan", "check", "command", "tui::app", "tui::view"];

/// What may lie at the top, beside dotfiles and what git ignores.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "broker",
    "docs",
    "keymaps",
    "src",
    "target",
    "tests",
    "themes",
];

/// The text of every file by its path from the top.
type Tree = BTreeMap<PathBuf, String>;

#[test]
fn the_tables_name_only_rows_above() {
    for table in [CONSOLE, BROKER] {
        assert_eq!(upward_rows(table), Vec::<String>::new());
    }
    assert_eq!(
        upward_rows(&[("a", &["b"]), ("b", &[])]),
        ["a lists b, which is not above it"]
    );
}

#[test]
fn modules_import_only_what_their_row_lists() {
    let tree = sources();
    let faults = [imports(&tree, "src", CONSOLE), imports(&tree, "broker/src", BROKER)].concat();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn outside_crates_stay_behind_their_fence() {
    let faults = fences(&sources());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_is_alive_and_says_what_it_is() {
    let faults = [dead(&sources()), silent(&sources())].concat();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_top_holds_exactly_what_it_should() {
    let entries = std::fs::read_dir(top())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let extra: Vec<String> = entries
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()))
        .collect();
    assert!(extra.is_empty(), "not part of the layout: {}", extra.join(", "));
}

#[test]
fn planted_faults_are_found() {
    let plant = |path: &str, text: &str| Tree::from([(PathBuf::from(path), text.to_owned())]);
    let import = |path, text| imports(&plant(path, text), "src", CONSOLE);
    assert_eq!(
        import("src/model/topic.rs", "use crate::tui::app::State;"),
        ["src/model/topic.rs:1: model may not import tui::app"]
    );
    assert_eq!(
        import("src/tui/view/topic.rs", "use super::super::runtime::Task;").len(),
        1,
        "relative paths count"
    );
    assert_eq!(
        import("src/tui/view/topic.rs", "fn f() { crate::source::kafka::ask() }").len(),
        1,
        "paths in code count"
    );
    assert_eq!(
        import("src/model/topic.rs", "use crate::{tui, cli};"),
        ["src/model/topic.rs:1: one `use crate::` for each module"]
    );
    assert_eq!(
        import("src/plan.rs", "use crate::model::Snapshot; // crate::tui::app"),
        Vec::<String>::new()
    );
    assert_eq!(
        import("src/plan.rs", "#[cfg(test)]\nmod tests { use crate::source::Error; }"),
        Vec::<String>::new()
    );
    let broker = imports(
        &plant("broker/src/log.rs", "use crate::server::Connection;"),
        "broker/src",
        BROKER,
    );
    assert_eq!(broker, ["broker/src/log.rs:1: log may not import server"]);

    assert_eq!(fences(&plant("src/cli/topic.rs", "use ratatui::text::Line;")).len(), 1);
    assert_eq!(
        fences(&plant("src/plan.rs", "use tokio::time;")),
        ["src/plan.rs:1: tokio has no place in plan"]
    );
    assert_eq!(
        fences(&plant("src/source/kafka/lag.rs", "use rdkafka::Offset;")),
        Vec::<String>::new()
    );

    let mut tree = plant("src/lib.rs", "//! The crate.\nmod plan;");
    tree.insert("src/plan.rs".into(), "fn documented() {}".into());
    tree.insert("src/plan/lost.rs".into(), "//! Nobody declares it.".into());
    assert_eq!(dead(&tree), ["src/plan/lost.rs: no `mod` declares it"]);
    assert_eq!(silent(&tree), ["src/plan.rs: says nothing about itself"]);
}

fn upward_rows(table: Table) -> Vec<String> {
    let mut faults = Vec::new();
    for (row, (layer, listed)) in table.iter().enumerate() {
        let above = |name: &&str| table[..row].iter().any(|(upper, _)| upper == name);
        faults.extend(
            listed
                .iter()
                .filter(|name| !above(name))
                .map(|name| format!("{layer} lists {name}, which is not above it")),
        );
    }
    faults
}

fn imports(tree: &Tree, root: &str, table: Table) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, text) in tree.iter().filter(|(file, _)| file.starts_with(root)) {
        let module = module_of(root, file);
        let Some(from) = layer(table, &module) else { continue };
        let allowed = table
            .iter()
            .find(|(name, _)| *name == from)
            .map_or(&[][..], |(_, listed)| listed);
        for (number, code) in shipped_lines(text) {
            let at = format!("{}:{number}", file.display());
            if code.contains("crate::{") {
                faults.push(format!("{at}: one `use crate::` for each module"));
            }
            for path in paths(code, &module) {
                let to = layer(table, &path).filter(|to| *to != from && !allowed.contains(to));
                faults.extend(to.map(|to| format!("{at}: {from} may not import {to}")));
            }
        }
    }
    faults
}

fn fences(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, text) in tree.iter().filter(|(file, _)| file.starts_with("src")) {
        let module = module_of("src", file);
        let inside = |homes: &[&str]| {
            homes
                .iter()
                .any(|home| module == *home || module.starts_with(&format!("{home}::")))
        };
        for (number, code) in shipped_lines(text) {
            let at = format!("{}:{number}", file.display());
            for (name, homes) in FENCES
                .iter()
                .filter(|(name, homes)| names(code, name) && !inside(homes))
            {
                faults.push(format!("{at}: {name} belongs to {}", homes.join(", ")));
            }
            if names(code, "tokio") && inside(PURE) {
                faults.push(format!("{at}: tokio has no place in {module}"));
            }
        }
    }
    faults
}

fn dead(tree: &Tree) -> Vec<String> {
    let alive = |file: &Path| {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let folder = file.parent().unwrap_or(Path::new(""));
        // Cargo finds these by itself.
        let is_root = stem == "main"
            || stem == "lib"
            || ["tests", "benches", "fuzz_targets"]
                .iter()
                .any(|name| folder.ends_with(name));
        let parents = [
            folder.with_extension("rs"),
            folder.join("lib.rs"),
            folder.join("main.rs"),
        ];
        let declared = |text: &String| {
            text.lines()
                .any(|line| line.trim_end().ends_with(&format!("mod {stem};")))
        };
        is_root || parents.iter().filter_map(|parent| tree.get(parent)).any(declared)
    };
    tree.keys()
        .filter(|file| !alive(file))
        .map(|file| format!("{}: no `mod` declares it", file.display()))
        .collect()
}

fn silent(tree: &Tree) -> Vec<String> {
    let silent = tree.iter().filter(|(_, text)| !text.starts_with("//! "));
    silent
        .map(|(file, _)| format!("{}: says nothing about itself", file.display()))
        .collect()
}

/// The numbered lines before the file's own tests, without comments.
fn shipped_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let shipped = text.find("#[cfg(test)]\nmod ").map_or(text, |at| &text[..at]);
    shipped
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

/// Every path in the line that leads into this crate, from its root: `crate::a::b` and `super::b` alike.
fn paths(code: &str, module: &str) -> Vec<String> {
    let absolute = code.split("crate::").skip(1).map(path_at);
    let relative = starts(code, "super::").map(|at| {
        let mut rest = &code[at..];
        let mut base: Vec<&str> = module.split("::").collect();
        while let Some(shorter) = rest.strip_prefix("super::") {
            base.pop();
            rest = shorter;
        }
        base.into_iter()
            .map(str::to_owned)
            .chain([path_at(rest)])
            .collect::<Vec<_>>()
            .join("::")
    });
    absolute.chain(relative).collect()
}

/// Where `prefix` begins a path: not in the middle of another `super::` chain.
fn starts<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(prefix)
        .map(|(at, _)| at)
        .filter(|at| !code[..*at].ends_with(|c: char| c == ':' || is_word(c)))
}

fn path_at(text: &str) -> String {
    text.chars().take_while(|c| is_word(*c) || *c == ':').collect()
}

/// Whether the code names the crate as a whole word at the start of a path.
fn names(code: &str, name: &str) -> bool {
    starts(code, name).any(|at| code[at + name.len()..].starts_with("::") || code[at + name.len()..].starts_with(';'))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `src/tui/view/topic.rs` is `tui::view::topic`.
fn module_of(root: &str, file: &Path) -> String {
    let relative = file.strip_prefix(root).unwrap_or(file).with_extension("");
    relative
        .iter()
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join("::")
}

/// The longest layer that the path leads into.
fn layer(table: Table, path: &str) -> Option<&'static str> {
    let leads = |name: &str| {
        path.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    table
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| leads(name))
        .max_by_key(|name| name.len())
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Tree {
    let mut tree = Tree::new();
    let mut pending: Vec<PathBuf> = [
        "src",
        "tests",
        "broker/src",
        "broker/tests",
        "broker/benches",
        "broker/fuzz",
    ]
    .iter()
    .map(|root| top().join(root))
    .collect();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(top()).unwrap().to_path_buf();
                tree.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(tree.len() > 20, "the sources were not found");
    tree
}
