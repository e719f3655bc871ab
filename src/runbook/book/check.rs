//! Goes through the file of a runbook: what refers to nothing, fits no step or is no command is remembered with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::{Book, Changes, Does, ITEM, OnFailure, Parameter, Problem, Retry, Step, changes_of};
use crate::command::value::Time;
use crate::command::words::quote;
use crate::command::{Command, Global, Line};
use crate::runbook::condition::Condition;
use crate::runbook::file::{self, Expect, File, VERSION};
use crate::runbook::path::Path;
use crate::runbook::text::{Template, Text, reference};
use crate::runbook::value::{Kind, Values, is_name};
/// What waits for a person, or never ends.
const UNFIT: [&str; 11] = [
    "runbook",
    "demo",
    "completions",
    "man",
    "replay",
    "recorder",
    "acl.edit",
    "record.tail",
    "operation.engine",
    "operation.unit",
    "capture.serve",
];

/// A value of some kind for what is not known before the run.
const SAMPLES: [&str; 11] = [
    "1",
    "orders",
    "10m",
    "1GB",
    "orders:0",
    "true",
    "orders:0=1,2,3",
    "1=2",
    "use1-az1",
    "i-0c3fd1a2b4c5d6e7f",
    "4.3.1",
];

/// Goes through a file and remembers what is wrong.
#[derive(Default)]
pub(super) struct Check {
    pub(super) problems: Vec<Problem>,
    parameters: BTreeMap<String, Parameter>,
    /// What steps before have, by their names.
    outputs: BTreeMap<String, BTreeSet<String>>,
    /// Nouns of plans, by the steps that make them.
    plans: BTreeMap<String, String>,
    rescues: BTreeSet<String>,
    /// Whether there is an item now.
    within_each: bool,
}

impl Check {
    pub(super) fn book(&mut self, name: &str, text: &str, file: &File) -> Book {
        if file.azimuth.value != VERSION {
            let what = format!(
                "version {} is not known; this azimuth reads {VERSION}",
                file.azimuth.value
            );
            self.at(file.azimuth.referenced, what);
        }
        for (name, parameter) in &file.parameters {
            if name == ITEM {
                self.at(
                    parameter.referenced,
                    "item is what a step with each has at hand; name it otherwise".to_owned(),
                );
            }
            let checked = self.parameter(name, parameter);
            self.parameters.insert(name.clone(), checked);
        }
        self.rescues = file.rescue.keys().cloned().collect();
        let steps = self.steps(&file.steps);
        if file.steps.is_empty() {
            self.at(file.azimuth.referenced, "there is no step".to_owned());
        }
        let mut rescue = BTreeMap::new();
        for (name, steps) in &file.rescue {
            let known: BTreeSet<String> = self.outputs.keys().cloned().collect();
            let checked = self.steps(steps);
            rescue.insert(name.clone(), checked);
            // A rescue sees the steps of the book, and its own; names stay taken.
            for (step, outputs) in &mut self.outputs {
                if !known.contains(step) {
                    outputs.clear();
                }
            }
        }
        Book {
            name: name.to_owned(),
            title: file.title.trim().to_owned(),
            about: file.about.trim().to_owned(),
            parameters: self.parameters.clone(),
            steps,
            rescue,
            text: text.to_owned(),
        }
    }

    fn at(&mut self, location: Location, what: String) {
        self.problems.push(Problem {
            line: location.line(),
            column: location.column(),
            what,
        });
    }

    /// The value, or the sentence at its place.
    fn read<T, U>(&mut self, text: &Spanned<U>, parse: impl FnOnce(&U) -> Result<T, String>) -> Option<T> {
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(what) => {
                self.at(text.referenced, what);
                None
            }
        }
    }

    fn parameter(&mut self, name: &str, parameter: &Spanned<file::Parameter>) -> Parameter {
        let place = parameter.referenced;
        let parameter = &parameter.value;
        if !is_name(name) {
            self.at(
                place,
                format!("{name:?} is no name; write small letters, digits, - and _"),
            );
        }
        let mut checked = Parameter {
            kind: parameter.kind,
            about: parameter.about.trim().to_owned(),
            default: None,
            choices: parameter.choices.clone(),
        };
        checked.default = self.default_of(&checked, parameter.default.as_ref());
        checked
    }

    fn default_of(&mut self, parameter: &Parameter, default: Option<&Spanned<Value>>) -> Option<Value> {
        let default = default?;
        // An empty text is no value of any other kind, and says that it may be left out.
        if default.value == "" {
            return Some(default.value.clone());
        }
        self.read(default, |value| match parameter.choices.is_empty() {
            true => parameter.kind.check(value),
            false => parameter.read(&crate::runbook::value::text(value)),
        })
    }

    fn steps(&mut self, steps: &[Spanned<file::Step>]) -> Vec<Step> {
        steps.iter().filter_map(|step| self.step(step)).collect()
    }

    fn step(&mut self, spanned: &Spanned<file::Step>) -> Option<Step> {
        let (place, step) = (spanned.referenced, &spanned.value);
        let Some(name) = &step.name else {
            self.at(place, "the step has no name".to_owned());
            return None;
        };
        if !is_name(&name.value) {
            let what = format!("{:?} is no name; write small letters, digits, - and _", name.value);
            self.at(name.referenced, what);
        }
        if self.outputs.contains_key(&name.value) {
            self.at(name.referenced, format!("there is a step {} already", name.value));
        }
        let each = step.each.as_ref().and_then(|each| {
            let reference = self.read(each, |text| reference(text.trim()).map(ToOwned::to_owned))?;
            self.known(each.referenced, vec![&reference]);
            Some(reference)
        });
        self.within_each = each.is_some();
        let does = self.does(place, step);
        self.fits(step, does.as_ref());
        let when = step.when.as_ref().and_then(|when| {
            let condition = self.read(when, |text| Condition::parse(text))?;
            self.known(when.referenced, condition.references());
            Some((when.value.trim().to_owned(), condition))
        });
        let context = step.context.as_ref().and_then(|context| {
            let text = self.read(context, |text| Text::parse(text))?;
            self.known(context.referenced, text.references().collect());
            Some(text)
        });
        let timeout = step.timeout.as_ref().and_then(|timeout| {
            let text = self.read(timeout, |text| Text::parse(text))?;
            self.known(timeout.referenced, text.references().collect());
            if text.references().next().is_none() {
                self.read(timeout, |text| text.parse::<Time>());
            }
            Some(text)
        });
        let retry = self.retry(step.retry.as_ref());
        let on_failure = self.on_failure(step.on_failure.as_ref());
        let mut outputs = BTreeMap::new();
        for (output, path) in &step.outputs {
            if !is_name(output) {
                self.at(path.referenced, format!("{output:?} is no name"));
            }
            let Some(parsed) = self.read(path, |text| Path::parse(text)) else {
                continue;
            };
            self.known(path.referenced, parsed.references());
            outputs.insert(output.clone(), parsed);
        }
        self.within_each = false;
        let mut has: BTreeSet<String> = step.outputs.keys().cloned().collect();
        has.extend(given(step).iter().map(|name| (*name).to_owned()));
        self.outputs.insert(name.value.clone(), has);
        if let (Some(Does::Line { word: "plan", .. }), Some(plan)) = (&does, &step.plan) {
            let noun = plan.value.split_whitespace().next().unwrap_or_default();
            self.plans.insert(name.value.clone(), noun.to_owned());
        }
        Some(Step {
            name: name.value.clone(),
            about: step.about.trim().to_owned(),
            does: does?,
            each,
            when,
            expect: step.expect.as_ref().map_or(Expect::Yes, |expect| expect.value),
            retry,
            on_failure,
            outputs,
            context,
            timeout,
            line: place.line(),
        })
    }

    /// Exactly one of the seven.
    fn does(&mut self, place: Location, step: &file::Step) -> Option<Does> {
        let all = [
            ("check", &step.check),
            ("wait", &step.wait),
            ("plan", &step.plan),
            ("apply", &step.apply),
            ("command", &step.command),
            ("shell", &step.shell),
            ("prompt", &step.prompt),
        ];
        let said: Vec<_> = all
            .into_iter()
            .filter_map(|(word, text)| Some((word, text.as_ref()?)))
            .collect();
        let [(word, text)] = said.as_slice() else {
            let words: Vec<&str> = said.iter().map(|(word, _)| *word).collect();
            let what = match words.is_empty() {
                true => "the step does nothing; give it check, wait, plan, apply, command, shell or prompt".to_owned(),
                false => format!("the step has {}; one of them is a step", words.join(" and ")),
            };
            self.at(place, what);
            return None;
        };
        match *word {
            "apply" => self.apply(text, step.with.as_ref()),
            "shell" => {
                let mut env = BTreeMap::new();
                for (name, value) in &step.env {
                    let text = self.read(value, |text| Text::parse(text))?;
                    self.known(value.referenced, text.references().collect());
                    env.insert(name.clone(), text);
                }
                Some(Does::Shell {
                    script: text.value.clone(),
                    env,
                    repeatable: step.repeatable.as_ref().is_some_and(|one| one.value),
                })
            }
            "prompt" => {
                let kind = step.kind.as_ref().map_or(Kind::Boolean, |kind| kind.value);
                let kind = if step.choices.is_empty() { kind } else { Kind::String };
                let mut asked = Parameter {
                    kind,
                    about: String::new(),
                    default: None,
                    choices: step.choices.clone(),
                };
                let refers = |default: &&Spanned<Value>| default.value.as_str().is_some_and(|text| text.contains("${"));
                asked.default = match step.default.as_ref().filter(refers) {
                    // What a step has found is only known then.
                    Some(default) => {
                        let text = self.read(default, |value| Text::parse(&crate::runbook::value::text(value)))?;
                        self.known(default.referenced, text.references().collect());
                        Some(default.value.clone())
                    }
                    None => self.default_of(&asked, step.default.as_ref()),
                };
                let template = self.read(text, |text| Text::parse(text))?;
                self.known(text.referenced, template.references().collect());
                Some(Does::Prompt {
                    text: template,
                    written: text.value.trim().to_owned(),
                    asked,
                })
            }
            word => {
                let repeatable = step.repeatable.as_ref().is_some_and(|one| one.value);
                self.line(word, text, repeatable)
            }
        }
    }

    fn line(&mut self, word: &'static str, text: &Spanned<String>, repeatable: bool) -> Option<Does> {
        let words = self.template(text)?;
        let before: &[&str] = if word == "wait" { &["wait"] } else { &[] };
        let command = self.command(text.referenced, before, &words)?;
        let changes = changes_of(&command, repeatable);
        let kind = command.kind();
        let wrong = match word {
            "plan" if !kind.ends_with(".plan") => Some(format!("{kind} works out no plan; make it a command")),
            "check" if changes != Changes::Nothing => Some(format!("{kind} changes something; make it a command")),
            "check" | "command" if kind.ends_with(".plan") => Some(format!("{kind} saves a plan; make it a plan")),
            "command" if kind.ends_with(".apply") && !kind.starts_with("acl") => Some(format!(
                "{kind} carries a plan out; make it an apply of the step that planned"
            )),
            _ => None,
        };
        if let Some(what) = wrong {
            self.at(text.referenced, what);
        }
        Some(Does::Line {
            word,
            words,
            changes,
            written: text.value.trim().to_owned(),
        })
    }

    fn apply(&mut self, plan: &Spanned<String>, with: Option<&Spanned<String>>) -> Option<Does> {
        let Some(noun) = self.plans.get(&plan.value).cloned() else {
            self.at(plan.referenced, format!("no step before makes a plan {}", plan.value));
            return None;
        };
        let template = match with {
            Some(with) => {
                let template = self.template(with)?;
                self.command(with.referenced, &[&noun, "apply", "plan.json"], &template)?;
                template
            }
            None => Template::default(),
        };
        Some(Does::Apply {
            plan: plan.value.clone(),
            noun,
            with: template,
        })
    }

    fn template(&mut self, text: &Spanned<String>) -> Option<Template> {
        let template = self.read(text, |text| Template::parse(text))?;
        self.known(text.referenced, template.references().collect());
        Some(template)
    }

    /// The command, with samples for what is not known yet.
    fn command(&mut self, place: Location, before: &[&str], template: &Template) -> Option<Command> {
        let mut told = None;
        for sample in SAMPLES {
            let line = match self.sampled(before, template, sample) {
                Ok(line) => line,
                Err(what) => {
                    told.get_or_insert(what);
                    continue;
                }
            };
            return match fit(&line) {
                Ok(command) => Some(command),
                Err(what) => {
                    self.at(place, what);
                    None
                }
            };
        }
        self.at(place, told.unwrap_or_default());
        None
    }

    fn sampled(&self, before: &[&str], template: &Template, sample: &str) -> Result<Line, String> {
        let mut values = Values::new();
        for reference in template.references() {
            let value = match self.parameters.get(reference) {
                Some(parameter) => {
                    let default = parameter.default.as_ref().map(crate::runbook::value::text);
                    let choice = parameter.choices.first().cloned();
                    let own = match parameter.kind {
                        Kind::String => sample,
                        kind => kind.sample(),
                    };
                    default
                        .filter(|text| !text.is_empty())
                        .or(choice)
                        .unwrap_or_else(|| own.to_owned())
                }
                None => sample.to_owned(),
            };
            values.insert(reference.to_owned(), Value::from(value));
        }
        let before = before.iter().map(|word| (*word).to_owned());
        let words: Vec<String> = before.chain(template.fill(&values)?).map(|word| quote(&word)).collect();
        words.join(" ").parse::<Line>().map_err(|error| error.to_string())
    }

    /// Every reference leads to a parameter, or to an output of a step before.
    fn known(&mut self, place: Location, references: Vec<&str>) {
        for reference in references {
            let what = match reference.split_once('.') {
                None if self.parameters.contains_key(reference) => continue,
                None if reference == ITEM && self.within_each => continue,
                None => format!("there is no parameter {reference}"),
                Some((step, output)) => match self.outputs.get(step) {
                    Some(outputs) if outputs.contains(output) => continue,
                    Some(_) => format!("step {step} has no output {output}"),
                    None => format!("there is no step {step} before this one"),
                },
            };
            self.at(place, what);
        }
    }

    fn retry(&mut self, retry: Option<&Spanned<file::Retry>>) -> Retry {
        let once = Retry {
            times: 1,
            every: Duration::ZERO,
        };
        let Some(retry) = retry else { return once };
        if !(1..=1000).contains(&retry.value.times) {
            self.at(retry.referenced, "times is from 1 to 1000".to_owned());
        }
        let every = self.read(&retry.value.every, |text| text.parse::<Time>());
        Retry {
            times: retry.value.times,
            every: every.map_or(Duration::ZERO, |time| time.0),
        }
    }

    fn on_failure(&mut self, word: Option<&Spanned<String>>) -> OnFailure {
        match word.map(|word| (word, word.value.as_str())) {
            None | Some((_, "stop")) => OnFailure::Stop,
            Some((_, "continue")) => OnFailure::Continue,
            Some((_, name)) if self.rescues.contains(name) => OnFailure::Rescue(name.to_owned()),
            Some((word, name)) => {
                let what = format!("on-failure is stop, continue or a rescue of this file; there is no rescue {name}");
                self.at(word.referenced, what);
                OnFailure::Stop
            }
        }
    }

    /// What belongs to another kind of step.
    fn fits(&mut self, step: &file::Step, does: Option<&Does>) {
        let Some(does) = does else { return };
        let word = does.word();
        let strays = [
            ("with", step.with.as_ref().map(|one| one.referenced), &["apply"][..]),
            ("type", step.kind.as_ref().map(|one| one.referenced), &["prompt"]),
            ("default", step.default.as_ref().map(|one| one.referenced), &["prompt"]),
            ("env", step.env.values().next().map(|one| one.referenced), &["shell"]),
            (
                "repeatable",
                step.repeatable.as_ref().map(|one| one.referenced),
                &["shell", "command"],
            ),
            (
                "context",
                step.context.as_ref().map(|one| one.referenced),
                &["check", "wait", "plan", "apply", "command"],
            ),
        ];
        for (field, place, words) in strays {
            if let Some(place) = place.filter(|_| !words.contains(&word)) {
                self.at(
                    place,
                    format!("{field} is of no use to a {word}; it belongs to {}", words.join(", ")),
                );
            }
        }
        let expects = step.expect.as_ref().filter(|one| one.value == Expect::No);
        if let Some(expects) = expects.filter(|_| does.changes() != Changes::Nothing) {
            self.at(
                expects.referenced,
                format!("a {word} that changes something is done or has failed"),
            );
        }
    }
}

/// What every step has without saying so, and some have by what they are.
fn given(step: &file::Step) -> Vec<&'static str> {
    let mut names = vec!["ok", "exit", "state"];
    if step.plan.is_some() {
        names.push("file");
    }
    if step.apply.is_some() || step.command.is_some() {
        names.push("operation");
    }
    if step.prompt.is_some() {
        names.push("answer");
    }
    if step.shell.is_some() {
        names.push("text");
    }
    names
}

/// A command that a runbook may have, with nothing that the run itself says.
fn fit(line: &Line) -> Result<Command, String> {
    let Some(command) = &line.command else {
        return Err("a command is missing".to_owned());
    };
    if line.global != Global::default() {
        return Err(
            "the cluster, the form of answers and consent are the run's; leave out flags such as --context, -o and --yes".to_owned(),
        );
    }
    let kind = command.kind();
    let noun = kind.split('.').next().unwrap_or_default();
    if UNFIT.contains(&kind.as_str()) || UNFIT.contains(&noun) {
        return Err(format!(
            "{} is no step: it waits for a person, or does not end",
            kind.replace('.', " ")
        ));
    }
    let text = command.to_string();
    if text.split(' ').any(|word| word == "--watch") {
        return Err("a step comes to an end; leave out --watch".to_owned());
    }
    Ok(command.clone())
}
