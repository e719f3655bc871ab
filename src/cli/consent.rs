//! Leave to change a cluster: the rule of its context, and the question where a person is there to answer it.

use std::io::{BufRead, IsTerminal, Write};

use super::exit::Failure;
use crate::command::Global;
use crate::settings::context::Contexts;
use crate::settings::pin::Pins;
use crate::settings::rule::{self, Consent, Rule, Verdict};
use crate::settings::target::Asked;
use crate::settings::{Class, Context, Paths};

/// Leave was given, or need not be given because nothing will be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    DryRun,
    Go,
}

/// May `what` (a sentence such as "delete topic orders with 412 MB") be done to this cluster? Asks on a terminal where
/// the rule wants an answer and the line has none. Exit 4 otherwise.
pub fn permit(
    global: &Global,
    context: &Context,
    cluster_id: &str,
    paths: &Paths,
    what: &str,
) -> Result<Permit, Failure> {
    let file = Asked {
        context_file: global.context_file.clone(),
        ..Asked::default()
    }
    .file(paths);
    let contexts = Contexts::load(&file)?;
    let rule = rule::of(context, cluster_id, &contexts, &Pins::load(paths)?);
    let consent = Consent {
        dry_run: global.dry_run,
        yes: global.yes,
        confirm: global.confirm.clone(),
    };
    match rule.verdict(&consent) {
        Verdict::DryRun => Ok(Permit::DryRun),
        Verdict::Go => Ok(Permit::Go),
        Verdict::Refused(refusal) => Err(Failure::refused(refusal)),
        Verdict::Ask(_) if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) => {
            Err(Failure::refused(rule.unconfirmed()))
        }
        Verdict::Ask(_) => {
            let asked = ask(&rule, what, &mut std::io::stdin().lock(), &mut std::io::stderr());
            match asked {
                Ok(true) => Ok(Permit::Go),
                Ok(false) => Err(Failure::refused("not confirmed; nothing was changed")),
                Err(error) => Err(Failure::refused(format!("cannot ask for confirmation: {error}"))),
            }
        }
    }
}

/// On prod the name must be typed; elsewhere a y will do.
fn ask(rule: &Rule, what: &str, answers: &mut dyn BufRead, talk: &mut dyn Write) -> std::io::Result<bool> {
    let prod = rule.class == Class::Prod;
    if prod {
        write!(talk, "{what}\n{} is prod. Type its name to go on: ", rule.name)?;
    } else {
        write!(talk, "{what}\nGo on ({}, {})? [y/N] ", rule.name, rule.class)?;
    }
    talk.flush()?;
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let answer = line.trim();
    Ok(if prod {
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
        };
        let mut talk = Vec::new();
        let yes = ask(&rule, "delete topic orders", &mut typed.as_bytes(), &mut talk).unwrap();
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
