//! Who? The culprit of the gravest cause, and what speaks against it.

use super::{Line, Name, unknown};
use crate::check::{Cause, Evidence, Explained, Facts};
use crate::plan::gate::Verdict;

/// Other culprits told in the line.
const OTHERS: usize = 2;

pub(super) fn line(facts: &Facts<'_>, causes: &[Cause], explained: &[Explained]) -> Line {
    let mut line = named(facts, causes, explained.is_empty());
    for one in explained {
        let (id, title) = (&one.by, &one.title);
        line.text
            .push_str(&format!(" · explained by operation {id} ({title}): {}", one.cause.text));
    }
    if let (true, Some(one)) = (causes.is_empty(), explained.first()) {
        line = line.at(Evidence::of("operation", &one.by));
    }
    line
}

fn named(facts: &Facts<'_>, causes: &[Cause], unexplained: bool) -> Line {
    let Some(first) = causes.first() else {
        if facts.snapshot.topics.get().is_none() {
            return Line::new(Name::Who, Verdict::Unknown, "?", "Metadata").why(Some(unknown(&facts.snapshot.topics)));
        }
        let shrunk = facts.shrunk().count();
        let text = match shrunk {
            _ if !unexplained => "nobody".to_owned(),
            0 => "nobody".to_owned(),
            _ => format!("nobody in particular: the misses in {shrunk} shrunk ISRs are spread"),
        };
        return Line::new(Name::Who, Verdict::Pass, text, "Metadata").at(Evidence::list("broker"));
    };
    let mut others: Vec<(String, Vec<&str>)> = Vec::new();
    for cause in causes.iter().skip(1).filter(|cause| cause.culprit != first.culprit) {
        let who = cause.who();
        match others.iter_mut().find(|(other, _)| *other == who) {
            Some((_, rules)) if rules.contains(&cause.rule) => {}
            Some((_, rules)) => rules.push(cause.rule),
            None => others.push((who, vec![cause.rule])),
        }
    }
    let mut text = first.text.clone();
    for (who, rules) in others.iter().take(OTHERS) {
        text.push_str(&format!(" · also {who}: {}", rules.join(", ")));
    }
    if others.len() > OTHERS {
        text.push_str(&format!(" · {} more", others.len() - OTHERS));
    }
    Line::new(Name::Who, first.verdict, text, first.source)
        .since(first.since)
        .at(first.evidence.clone())
}
