//! Leave to change a cluster: the rule of its context, and the question where a person is there to answer it.

use std::io::{BufRead, IsTerminal, Write};

use super::exit::Failure;
use crate::command::Global;
use crate::plan::{Plan, Undo};
use crate::settings::Class;
use crate::settings::rule::{Consent, Rule, Verdict};

/// Leave was given, or need not be given because nothing will be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    DryRun,
    Go,
}

/// What the flags say.
pub fn given(global: &Global) -> Consent {
    Consent {
        dry_run: global.dry_run,
        yes: global.yes,
        confirm: global.confirm.clone(),
        // Where it is kept in a journal, whoever asks looks for it: [`ask_why`].
        reasoned: true,
    }
}

/// Leave to carry out a plan. One that cannot be undone wants the name typed in every class.
pub fn ask_leave(global: &Global, rule: &Rule, plan: &Plan) -> Result<Permit, Failure> {
    let whole = plan.wants_name() && !matches!(plan.undo, Undo::None { .. });
    if whole && global.yes && global.confirm.is_none() {
        return Err(Failure::refused(format!(
            "--yes is not enough: whatever the file leaves out is removed; --confirm {} goes on",
            rule.name
        )));
    }
    ask(global, rule, &plan.title, plan.wants_name())
}

/// The same as [`ask`] of what a command does itself: with why, where the context wants that.
pub fn ask_why(global: &Global, rule: &Rule, what: &str) -> Result<Permit, Failure> {
    let given = Consent {
        reasoned: global.reason.is_some(),
        ..given(global)
    };
    match rule.verdict(&given) {
        Verdict::Refused(refusal) => Err(Failure::refused(refusal)),
        Verdict::DryRun | Verdict::Go | Verdict::Ask(_) => ask(global, rule, what, false),
    }
}

/// May `what` (a sentence such as "delete topic orders") be done? Asks on a terminal where the rule wants an answer and
/// the line has none. Exit 4 otherwise.
pub fn ask(global: &Global, rule: &Rule, what: &str, by_name: bool) -> Result<Permit, Failure> {
    match rule.verdict(&given(global)) {
        Verdict::DryRun => Ok(Permit::DryRun),
        Verdict::Go => Ok(Permit::Go),
        Verdict::Refused(refusal) => Err(Failure::refused(refusal)),
        Verdict::Ask(_) if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) => {
            Err(Failure::refused(rule.unconfirmed()))
        }
        Verdict::Ask(_) => {
            let asked = question(
                rule,
                what,
                by_name,
                &mut std::io::stdin().lock(),
                &mut std::io::stderr(),
            );
            match asked {
                Ok(true) => Ok(Permit::Go),
                Ok(false) => Err(Failure::refused("not confirmed; nothing was changed")),
                Err(error) => Err(Failure::refused(format!("cannot ask for confirmation: {error}"))),
            }
        }
    }
}

/// On prod, and where nothing can be undone, the name must be typed; elsewhere a y will do.
fn question(
    rule: &Rule,
    what: &str,
    by_name: bool,
    answers: &mut dyn BufRead,
    talk: &mut dyn Write,
) -> std::io::Result<bool> {
    let by_name = by_name || rule.class == Class::Prod;
    if by_name {
        write!(
            talk,
            "{what}\n{} is {}. Type its name to go on: ",
            rule.name, rule.class
        )?;
    } else {
        write!(talk, "{what}\nGo on ({}, {})? [y/N] ", rule.name, rule.class)?;
    }
    talk.flush()?;
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let answer = line.trim();
    Ok(if by_name {
        answer == rule.name
    } else {
        matches!(answer, "y" | "Y" | "yes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(class: Class, typed: &str) -> (bool, String) {
        let rule = Rule {
            name: "prod-eu".to_owned(),
            class,
            changes: true,
            reason: false,
        };
        let mut talk = Vec::new();
        let yes = question(&rule, "delete topic orders", false, &mut typed.as_bytes(), &mut talk).unwrap();
        (yes, String::from_utf8(talk).unwrap())
    }

    #[test]
    fn prod_wants_the_name_and_the_rest_a_y() {
        assert!(answer(Class::Prod, "prod-eu\n").0);
        assert!(!answer(Class::Prod, "y\n").0);
        assert!(!answer(Class::Prod, "").0);
        assert!(answer(Class::Dev, "y\n").0);
        assert!(!answer(Class::Dev, "\n").0);
        assert!(answer(Class::Dev, "n").1.contains("delete topic orders"));
    }
}
