//! `azimuth acl …`: reading and explaining rules; what changes them is in [`change`].

mod change;

use super::exit::{Exit, Failure};
use super::facts::{Facts, gather};
use super::output::{Answer, Block, Column, Data, Field, Problem, Rank, Sheet};
use crate::command::Line;
use crate::command::acl::{On, Verb};
use crate::feed::Section;
use crate::model::acl::{self, Acls, Operation, Permission, Rule};
use crate::plan::acl::{Explanation, Question, Settings, explain};

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    match verb {
        Verb::List {
            principal,
            on,
            host,
            operation,
            deny,
        } => {
            let facts = gather(line, &[Section::Cluster, Section::Acls]).await?;
            let principal = principal.as_deref().map(acl::principal);
            let bears = |rule: &&Rule| {
                principal.as_ref().is_none_or(|principal| rule.holds_for(principal))
                    && on.resource().is_none_or(|(kind, name)| rule.is_about(kind, name))
                    && host.as_ref().is_none_or(|host| rule.holds_from(host))
                    && operation.is_none_or(|operation| rule.covers(operation))
                    && (!deny || rule.permission == Permission::Deny)
            };
            Ok(list(facts, bears))
        }
        Verb::Explain {
            principal,
            operation,
            on,
            host,
        } => {
            let question = question(principal, *operation, on, host.as_ref())?;
            let facts = gather(line, &[Section::Cluster, Section::Acls, Section::BrokerConfigs]).await?;
            Ok(explained(facts, &question))
        }
        Verb::Diff { file } => change::diff(line, file).await,
        Verb::Apply { .. } | Verb::Edit { .. } => Err(Failure::usage("that is a change, not a question")),
    }
}

pub async fn change(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    change::run(line, verb).await
}

fn list(facts: Facts, bears: impl Fn(&&Rule) -> bool) -> Answer {
    let rules = facts.snapshot.acls.get().map_or(&[][..], |acls| &acls.rules);
    let mut answer = Answer::list(COLUMNS, rules.iter().filter(bears), "acl", Rule::to_string);
    if facts.snapshot.acls.get().is_some_and(|acls| !acls.authorizer) {
        answer.blocks[0].title = Some(NO_AUTHORIZER.to_owned());
        answer.problems.push(Problem {
            subjects: vec!["acls".to_owned()],
            fields: Vec::new(),
            reason: NO_AUTHORIZER.to_owned(),
        });
    }
    facts.seal(answer)
}

const NO_AUTHORIZER: &str = "the cluster has no authorizer (SECURITY_DISABLED): everybody may do everything";

fn question(principal: &str, operation: Operation, on: &On, host: Option<&String>) -> Result<Question, Failure> {
    let Some((resource, name)) = on.resource() else {
        return Err(Failure::usage(
            "acl explain needs a resource: --topic, --group, --transactional-id, --cluster, --delegation-token or --user",
        ));
    };
    let operations = resource.operations();
    if !operations.contains(&operation) {
        let all: Vec<String> = operations.iter().map(Operation::to_string).collect();
        return Err(Failure::usage(format!(
            "there is no {operation} on a {}; there are {}",
            resource.words(),
            all.join(", ")
        )));
    }
    Ok(Question {
        principal: acl::principal(principal),
        operation,
        resource,
        name: name.to_owned(),
        host: host.cloned(),
    })
}

fn explained(facts: Facts, question: &Question) -> Answer {
    let Some(acls) = facts.snapshot.acls.get() else {
        return facts.seal(Answer {
            complete: true,
            ..Answer::default()
        });
    };
    let settings = Settings::of(&facts.snapshot);
    let explanation = explain(acls, &settings, question);
    let answer = verdict(acls, question, &explanation);
    // That one broker did not tell its configs matters only where something depends on them.
    let depends = explanation.super_unknown || explanation.ruling.allows().is_none();
    facts
        .only(|subject| depends || !subject.ends_with("configs"))
        .seal(answer)
}

fn verdict(acls: &Acls, question: &Question, explanation: &Explanation<'_>) -> Answer {
    let allowed = explanation.ruling.allows();
    let word = match allowed {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let sheet = Sheet::of(COLUMNS, explanation.considered.iter().copied());
    let item = Data::Map(vec![
        ("principal", question.principal.as_str().into()),
        ("operation", question.operation.to_string().into()),
        ("resource_type", question.resource.to_string().into()),
        ("resource", question.name.as_str().into()),
        ("host", question.host.clone().into()),
        ("allowed", allowed.into()),
        ("why", explanation.ruling.why().into()),
        ("rule", explanation.ruling.rule().map(Rule::to_string).into()),
        ("differs_from", explanation.differs_from.clone().into()),
        ("authorizer", acls.authorizer.into()),
        ("rules", Data::List(sheet.items())),
    ]);
    let mut blocks = vec![Block {
        title: Some(sentence(word, question, explanation)),
        ..Block::default()
    }];
    if !explanation.considered.is_empty() {
        blocks.push(Block {
            title: Some(format!("rules on it for {}:", question.principal)),
            sheet,
            upright: false,
        });
    }
    Answer {
        complete: allowed.is_some() && !explanation.super_unknown,
        is_no: allowed == Some(false),
        problems: problems(explanation),
        items: vec![item],
        names: vec![word.to_owned()],
        blocks,
        ..Answer::default()
    }
}

/// `no: User:billing may not Write topic orders from any address: …`.
fn sentence(word: &str, question: &Question, explanation: &Explanation<'_>) -> String {
    let may = match explanation.ruling.allows() {
        Some(true) => "may",
        Some(false) => "may not",
        None => "may or may not",
    };
    let from = question.host.as_deref().unwrap_or("any address that no rule names");
    let what = match question.name.as_str() {
        acl::CLUSTER => "the cluster".to_owned(),
        name => format!("{} {name}", question.resource.words()),
    };
    let mut sentence = format!(
        "{word}: {} {may} {} {what} from {from}: {}",
        question.principal,
        question.operation,
        explanation.ruling.why()
    );
    if !explanation.differs_from.is_empty() {
        sentence += &format!(
            "\nthe answer is another one from {}",
            explanation.differs_from.join(", ")
        );
    }
    sentence
}

fn problems(explanation: &Explanation<'_>) -> Vec<Problem> {
    let unknown = |what: &str, reason: &str| Problem {
        subjects: vec![what.to_owned()],
        fields: Vec::new(),
        reason: reason.to_owned(),
    };
    let mut problems = Vec::new();
    if explanation.super_unknown {
        problems.push(unknown(
            "super.users",
            "the brokers do not tell who is a super user; one may do everything, whatever the rules say",
        ));
    }
    if explanation.ruling.allows().is_none() {
        problems.push(unknown(
            "allow.everyone.if.no.acl.found",
            "the brokers do not tell it, and no rule speaks of the resource",
        ));
    }
    problems
}

const COLUMNS: &[Column<Rule>] = &[
    Column {
        key: "permission",
        title: "RULE",
        rank: Rank::Always,
        field: |rule| Field::text(rule.permission.to_string()),
    },
    Column {
        key: "principal",
        title: "PRINCIPAL",
        rank: Rank::Always,
        field: |rule| Field::text(&rule.principal),
    },
    Column {
        key: "host",
        title: "FROM",
        rank: Rank::Usual,
        field: |rule| Field::text(&rule.host),
    },
    Column {
        key: "operations",
        title: "TO",
        rank: Rank::Always,
        field: |rule| {
            let names: Vec<String> = rule.operations.iter().map(Operation::to_string).collect();
            Field::list(&names)
        },
    },
    Column {
        key: "resource_type",
        title: "ON",
        rank: Rank::Always,
        field: |rule| Field::text(rule.resource.to_string()),
    },
    Column {
        key: "pattern",
        title: "PATTERN",
        rank: Rank::Usual,
        field: |rule| Field::text(rule.pattern.to_string()),
    },
    Column {
        key: "resource",
        title: "NAME",
        rank: Rank::Always,
        field: |rule| Field::text(&rule.name),
    },
    Column {
        key: "rule",
        title: "LINE",
        rank: Rank::Wide,
        field: |rule| Field::text(rule.to_string()),
    },
];
