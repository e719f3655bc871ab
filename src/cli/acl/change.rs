//! `azimuth acl diff`, `apply` and `edit`: files of rules against the cluster.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::FutureExt;

use crate::cli::change::{self, Wish};
use crate::cli::exit::{Exit, Failure, say};
use crate::cli::facts::gather;
use crate::cli::output::{Answer, Column, Field, Rank};
use crate::command::Line;
use crate::command::acl::Verb;
use crate::feed::Section;
use crate::model::acl::Rule;
use crate::plan::acl::change::{Difference, Wish as Rules, in_scope};
use crate::plan::acl::text::{self, Scope, Text};
use crate::plan::intent::Intent;
use crate::plan::{Kind, Plan};

/// What `acl apply` and `acl edit` do.
pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Apply {
            file,
            prune,
            detach,
            overrides,
        } => {
            let (intent, saved) = load(file, *prune)?;
            let wish = Wish {
                saved,
                detach: *detach,
                ..Wish::of(intent, overrides)
            };
            change::run(line, wish).boxed().await
        }
        Verb::Edit { of, overrides } => edit(line, of.scope(), overrides).await,
        _ => Err(Failure::usage("that is a question, not a change")),
    }
}

/// A file in whichever form it is; which one is said.
fn load(file: &Path, prune: bool) -> Result<(Intent, Option<Plan>), Failure> {
    let content = change::read(file)?;
    let name = file.display();
    if content.trim_start().starts_with('{') {
        let plan = change::parse(file, &content, Kind::AclApply)?;
        if prune {
            return Err(Failure::usage(format!(
                "{name} is a plan, which says itself what goes; leave out --prune"
            )));
        }
        say(&format!("azimuth: {name} is a plan: {}", plan.title));
        return Ok((Intent::of(&plan), Some(plan)));
    }
    let text = rules(file, &content)?;
    if prune && text.scopes.is_empty() {
        return Err(Failure::usage(format!(
            "{name} has no scope line, so --prune would not know what to remove; begin it with scope topic prefix NAME, \
             scope principal User:NAME or scope all"
        )));
    }
    Ok((Intent::Acl(Rules::Text { text, prune }), None))
}

/// Rules as text; shorthands are told, and every fault with its line.
fn rules(file: &Path, content: &str) -> Result<Text, Failure> {
    let name = file.display();
    let read = Text::parse(content).map_err(|faults| {
        let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Failure::usage(format!("{name} cannot be read:{lines}"))
    })?;
    let form = if text::is_listing(content) {
        "what kafka-acls --list prints"
    } else {
        "rules"
    };
    let scopes: Vec<String> = read.scopes.iter().map(Scope::to_string).collect();
    let scope = if scopes.is_empty() {
        "no scope: only additions".to_owned()
    } else {
        scopes.join(", ")
    };
    say(&format!(
        "azimuth: {name} is {form}, {} of them; {scope}",
        read.rules.len()
    ));
    for note in &read.notes {
        say(&format!("azimuth: {name} {note}"));
    }
    Ok(read)
}

/// One line of a difference.
struct Row {
    sign: &'static str,
    rule: Rule,
}

pub async fn diff(line: &Line, file: &Path) -> Result<Answer, Failure> {
    let content = change::read(file)?;
    let text = rules(file, &content)?;
    let facts = gather(line, &[Section::Cluster, Section::Acls]).await?;
    let seen = facts.snapshot.acls.get();
    let difference = seen.map_or_else(Difference::default, |acls| Difference::of(&text, acls));
    let row = |sign, rule: &Rule| Row {
        sign,
        rule: rule.clone(),
    };
    let added = difference.add.iter().map(|rule| row("add", rule));
    let removed = difference.remove.iter().map(|rule| row("remove", rule));
    let rows: Vec<Row> = added.chain(removed).collect();
    let mut answer = Answer::list(COLUMNS, &rows, "acl", |row| format!("{} {}", row.sign, row.rule));
    answer.is_no = seen.is_some() && !difference.is_none();
    let (add, remove, same) = (difference.add.len(), difference.remove.len(), difference.same);
    say(&format!(
        "azimuth: {add} to add, {remove} in the scope and not in the file (they go with --prune), {same} ACLs the same"
    ));
    Ok(facts.seal(answer))
}

const HEADER: &str = "\
# One rule a line; what you delete is removed, what you add is added. Nothing happens before the plan is confirmed.
# allow|deny PRINCIPAL [from ADDRESS] to OPERATIONS on topic|group|cluster|transactional_id|… [prefix] NAME
";

/// The rules of a scope in the person's editor; what they leave is what shall be.
async fn edit(line: &Line, scope: Scope, overrides: &[String]) -> Result<Exit, Failure> {
    let facts = gather(line, &[Section::Cluster, Section::Acls]).await?;
    let Some(acls) = facts.snapshot.acls.get() else {
        let why = facts.snapshot.acls.problem().unwrap_or_default();
        return Err(Failure::partial(format!("the access rules are not known: {why}")));
    };
    let scopes = [scope];
    let whole = Text {
        scopes: scopes.to_vec(),
        ..Text::default()
    };
    let before = format!("{HEADER}{}", Text::write(&scopes, &in_scope(&whole, acls)));
    let failed = |error: std::io::Error| Failure::usage(format!("the text cannot be kept: {error}"));
    let mut draft = tempfile::Builder::new()
        .prefix("azimuth-")
        .suffix(".acl")
        .tempfile()
        .map_err(failed)?;
    draft.write_all(before.as_bytes()).map_err(failed)?;
    let path = draft.into_temp_path().keep().map_err(|error| failed(error.error))?;
    open(&path)?;
    let after = std::fs::read_to_string(&path).map_err(failed)?;
    if after == before {
        remove(&path);
        say("azimuth: nothing was changed");
        return Ok(Exit::Done);
    }
    let outcome = carry_out(line, &path, &after, overrides).await;
    match &outcome {
        Ok(_) => remove(&path),
        Err(_) => say(&format!(
            "azimuth: your text is kept: azimuth acl apply {} --prune",
            path.display()
        )),
    }
    outcome
}

async fn carry_out(line: &Line, path: &Path, text: &str, overrides: &[String]) -> Result<Exit, Failure> {
    let text = rules(path, text)?;
    let wish = Wish::of(Intent::Acl(Rules::Text { text, prune: true }), overrides);
    change::run(line, wish).boxed().await
}

/// `$VISUAL`, `$EDITOR` or vi, as a shell reads them.
fn open(path: &PathBuf) -> Result<(), Failure> {
    let named = |name: &str| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = named("VISUAL")
        .or_else(|| named("EDITOR"))
        .unwrap_or_else(|| "vi".to_owned());
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(path)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::refused(format!(
            "{editor} ended with {status}; nothing was changed, and the text is kept in {}",
            path.display()
        ))),
        Err(error) => Err(Failure::usage(format!("{editor}: {error}; set EDITOR"))),
    }
}

/// It is in the journal by now, or was never changed.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        key: "change",
        title: "CHANGE",
        rank: Rank::Always,
        field: |row| Field::text(row.sign),
    },
    Column {
        key: "rule",
        title: "RULE",
        rank: Rank::Always,
        field: |row| Field::text(row.rule.to_string()),
    },
];
