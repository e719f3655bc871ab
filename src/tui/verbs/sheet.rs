//! A plan as a person reads it: what happens, against which gates, when, and the command that does the same.

use super::{Desk, Proposal, Work, file_name, read_only, told};
use crate::command::Command;
use crate::command::schedule::When;
use crate::command::words::quote;
use crate::model::Moment;
use crate::operation::{Secrets, pace};
use crate::plan::gate::{self, Gate};
use crate::plan::{Kind, summary};
use crate::settings::Class;
use crate::settings::rule::Rule;
use crate::tui::app::field::{Field, Tone};
use crate::tui::app::operation::Sheet;

impl Desk {
    /// A plan as it can be read, and remembered until it is applied.
    pub(super) fn sheet(&self, proposal: Proposal, secrets: Secrets, rule: &Rule) -> Sheet {
        let launch = &proposal.launch;
        let plan = &launch.plan;
        let refusal = summary::refusal(plan, &launch.overrides);
        let closed: Vec<&Gate> = plan.refused_by(&launch.overrides).collect();
        let soft = closed.iter().all(|gate| gate.class == gate::Class::Soft);
        let blocked = read_only(rule);
        let unfit = pace::fits(plan, &launch.schedule).err();
        let against = match blocked.is_none() && soft {
            true => closed.iter().map(|gate| gate.name.clone()).collect(),
            false => Vec::new(),
        };
        let by_name = rule.class == Class::Prod || plan.wants_name();
        let mut lines = vec![Field::new(summary::figures(plan)).tone(Tone::Title)];
        lines.extend(summary::body(plan).into_iter().map(Field::from));
        if let Some(reason) = &launch.reason {
            let why = match launch.overrides.is_empty() {
                true => format!("because: {reason}"),
                false => format!("against {}: {reason}", launch.overrides.join(", ")),
            };
            lines.push(Field::new(why).tone(Tone::Warn));
        }
        if let Some(words) = launch.schedule.words() {
            lines.push(Field::new(format!("when: {words}")).tone(Tone::Warn));
        }
        let sheet = Sheet {
            id: uuid::Uuid::new_v4().to_string(),
            title: summary::title(plan),
            lines,
            command: self.same_on_the_command_line(&proposal),
            confirm: by_name.then(|| rule.name.clone()),
            blocked: blocked.or(refusal).or(unfit),
            against,
            wants_reason: rule.reason && launch.reason.is_none(),
            when: is_paced(&proposal).then(|| proposal.when.flags()),
        };
        self.remember(&sheet.id, Work::Plan(Box::new(proposal), secrets));
        sheet
    }

    /// The same plan with why: it goes on against the gates that a reason opens.
    pub(super) fn reasoned(&self, sheet: &str, reason: String) -> Result<Sheet, String> {
        let (mut proposal, secrets, rule) = self.at_hand(sheet)?;
        let launch = &mut proposal.launch;
        let closed = launch.plan.refused_by(&launch.overrides);
        let soft: Vec<String> = closed
            .filter(|gate| gate.class == gate::Class::Soft)
            .map(|gate| gate.name.clone())
            .collect();
        launch.overrides.extend(soft);
        launch.reason = Some(reason.clone());
        proposal.line.global.reason = Some(reason);
        Ok(self.sheet(proposal, secrets, &rule))
    }

    /// The same plan, when it may go on.
    pub(super) fn scheduled(&self, sheet: &str, when: When) -> Result<Sheet, String> {
        let (mut proposal, secrets, rule) = self.at_hand(sheet)?;
        proposal.launch.schedule = when.schedule(Moment::now());
        if let Some(own) = proposal.line.command.as_mut().and_then(Command::when_mut) {
            *own = when.clone();
        }
        proposal.when = when;
        Ok(self.sheet(proposal, secrets, &rule))
    }

    fn at_hand(&self, sheet: &str) -> Result<(Proposal, Secrets, Rule), String> {
        let Some(Work::Plan(proposal, secrets)) = self.recall(sheet) else {
            return Err("that plan is no longer at hand; make it again".to_owned());
        };
        let rule = self.ground.rule(&proposal.launch.plan.cluster_id).map_err(told)?;
        Ok((*proposal, secrets, rule))
    }

    /// The command that does the same, with its context. What is saved is applied from a file.
    fn same_on_the_command_line(&self, proposal: &Proposal) -> String {
        let Proposal { line, when, launch } = proposal;
        let target = self.ground.target();
        let target = target.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        let mut line = line.without_consent();
        // Where the line itself does not say it.
        let against = match launch.overrides.is_empty() || line.to_string().contains("--override") {
            true => String::new(),
            false => format!(" --override {}", launch.overrides.join(",")),
        };
        let Some(noun) = saved_as(proposal) else {
            return format!("{line}{against} {target}");
        };
        let why = line.global.reason.take();
        let why = why.map_or_else(String::new, |why| format!(" --reason {}", quote(&why)));
        let when = match when.flags() {
            flags if flags.is_empty() => flags,
            flags => format!(" {flags}"),
        };
        let file = file_name(&launch.plan);
        format!("{line} --out {file} {target} && azimuth {noun} apply {file}{when}{against}{why} {target}")
    }
}

/// The noun whose `apply` carries the plan out from a file; `None` of what one line does.
fn saved_as(proposal: &Proposal) -> Option<&'static str> {
    match proposal.launch.plan.kind {
        Kind::Restart => Some("restart"),
        // Which is not worked out from a goal when it is an undo.
        Kind::Reassign if matches!(proposal.line.command, Some(Command::Reassign(_))) => Some("reassign"),
        _ => None,
    }
}

/// Whether the command that does the same can be told when it may go on.
fn is_paced(proposal: &Proposal) -> bool {
    let says = proposal.line.command.as_ref().and_then(Command::when);
    says.is_some() || saved_as(proposal).is_some()
}
