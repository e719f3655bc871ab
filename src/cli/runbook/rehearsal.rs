//! `runbook run --dry-run`: looks and plans are made for real, changes are worked out, and nothing is done.

use std::io::Write as _;

use serde_json::Value;

use super::hands::{Console, exit_of};
use crate::cli::exit::{Exit, Failure, say};
use crate::cli::{out, printed};
use crate::runbook::book::{Book, Changes, Does, ITEM, Step};
use crate::runbook::run::{Act, Hands, Outcome, act, exit, is_fine, items, outputs, plan_file};
use crate::runbook::value::Values;

/// Goes through the steps as they stand now: what an earlier change would bring about is not there.
///
/// A change that would be refused now makes it exit 4; the steps before it may open what is closed.
pub async fn run(book: &Book, values: Values, console: &Console) -> Result<Exit, Failure> {
    let (_kept, folder) = super::scratch()?;
    let mut rehearsal = Rehearsal {
        values,
        folder,
        console,
        lines: Vec::new(),
        refused: false,
    };
    for (at, step) in book.steps.iter().enumerate() {
        let place = format!("{}/{}", at + 1, book.steps.len());
        rehearsal.step(&place, step).await;
    }
    let mut out = out::stdout();
    let text: String = rehearsal.lines.iter().map(|line| format!("{line}\n")).collect();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    say("azimuth: nothing was changed; steps were judged by the cluster as it is now");
    Ok(exit_of(if rehearsal.refused { exit::REFUSED } else { exit::DONE }))
}

struct Rehearsal<'a> {
    values: Values,
    folder: std::path::PathBuf,
    console: &'a Console,
    lines: Vec<String>,
    refused: bool,
}

impl Rehearsal<'_> {
    async fn step(&mut self, place: &str, step: &Step) {
        if let Some((written, condition)) = &step.when
            && !condition.holds(&self.values)
        {
            let open = condition
                .references()
                .into_iter()
                .find(|name| !self.values.contains_key(*name));
            let why = match open {
                Some(name) => format!("depends on {name}: {written}"),
                None => format!("would be skipped, not {written}"),
            };
            self.lines.push(format!("– {place} {}: {why}", step.name));
            return;
        }
        let Some(list) = &step.each else {
            return self.one(place, step).await;
        };
        let all = items(self.values.get(list));
        if all.is_empty() {
            self.lines
                .push(format!("– {place} {}: {list} holds nothing now", step.name));
        }
        for item in all {
            self.values.insert(ITEM.to_owned(), item);
            self.one(place, step).await;
        }
        self.values.remove(ITEM);
    }

    async fn one(&mut self, place: &str, step: &Step) {
        let name = &step.name;
        if let Does::Apply { plan, .. } = &step.does
            && !plan_file(&self.folder, plan).exists()
        {
            return self
                .lines
                .push(format!("– {place} {name}: depends on the plan of {plan}"));
        }
        let reason = format!("runbook step {name}, as a dry run");
        let (order, shown) = match act(step, &self.values, &self.folder, reason) {
            Err(why) => return self.lines.push(format!("? {place} {name}: {why} before the run")),
            Ok(act @ Act::Shell { .. }) => {
                return self.lines.push(format!("○ {place} {name}: would run {}", act.shown()));
            }
            Ok(Act::Ask { question, asked }) => {
                let answer = self.console.ask(name, &question, &asked);
                let said = match &answer {
                    Ok(value) => crate::runbook::value::text(value),
                    Err(_) => "not answered yet".to_owned(),
                };
                self.lines.push(format!("○ {place} {name}: asks: {question} ({said})"));
                // The way on is what is of interest.
                let answer = answer.unwrap_or(Value::Bool(true));
                self.values
                    .insert(format!("{name}.ok"), Value::Bool(answer != Value::Bool(false)));
                self.values.insert(format!("{name}.answer"), answer);
                return;
            }
            Ok(act) => {
                let shown = act.shown();
                match act {
                    Act::Line(order) => (order, shown),
                    _ => return,
                }
            }
        };
        let waits = matches!(&step.does, Does::Line { word: "wait", .. });
        let knows_no_dry_run = matches!(step.does.changes(), Changes::Directly(_));
        if waits || knows_no_dry_run {
            let would = if waits { "would wait" } else { "would run" };
            return self.lines.push(format!("○ {place} {name}: {would}: {shown}"));
        }
        let outcome = self.console.carry_out(&order).await;
        let fine = is_fine(step, &outcome);
        let mark = match (fine, step.does.changes()) {
            (true, Changes::Nothing) => "✓",
            (true, _) => "○",
            (false, _) => "✖",
        };
        self.refused |= !fine && step.does.changes() != Changes::Nothing && outcome.exit == exit::REFUSED;
        self.lines.push(format!("{mark} {place} {name}: {shown}"));
        self.lines.push(format!("      {}", said(&outcome)));
        if step.does.changes() == Changes::Nothing {
            for (output, value) in outputs(step, &outcome, &self.values, &self.folder) {
                self.values.insert(format!("{name}.{output}"), value);
            }
        }
    }
}

fn said(outcome: &Outcome) -> String {
    match outcome.exit {
        exit::DONE => outcome.said.clone(),
        number => format!("exit {number}: {}", outcome.said),
    }
}
