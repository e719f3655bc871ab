//! `azimuth mirror …`

use futures::FutureExt;
use futures::future::join;

use super::exit::Failure;
use super::facts::{self, patience};
use super::missing::problems;
use super::output::{Answer, Block, Column, Data, Field, Problem, Rank, Sheet, duration};
use crate::command::mirror::Verb;
use crate::command::{Global, Line};
use crate::feed::{self, Needs, Section};
use crate::model::mirror::{Left, Sync};
use crate::model::row::Cell;
use crate::model::row::mirror::{self, FlowRow, GroupRow, Mirrors, Source, TopicRow};
use crate::model::{Moment, Snapshot, nearest};

const NEEDS: [Section; 4] = [Section::Cluster, Section::Topics, Section::Offsets, Section::Groups];

/// A cluster and what MirrorMaker left in it.
struct Seen {
    snapshot: Snapshot,
    left: Left,
    problems: Vec<Problem>,
}

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::List { source, alias, this } = verb;
    if line.global.from.is_some() {
        return Err(Failure::usage(
            "a capture holds no records, and a mirror is known by those of MirrorMaker; leave --from out",
        ));
    }
    let here = look(&line.global, None).boxed();
    let there = async {
        match source {
            Some(name) => look(&line.global, Some(name)).boxed().await.map(Some),
            None => Ok(None),
        }
    };
    let (here, there) = join(here, there).await;
    let (here, there) = (here?, there?);
    let now = Moment::now();
    let names: Vec<String> = mirror::sources(&here.snapshot).into_iter().collect();
    let asks = source.is_some();
    let nothing = names.is_empty() && here.snapshot.topics.get().is_some();
    let asked = match &there {
        Some(there) if !nothing => {
            let alias = chosen(&names, alias.as_ref(), "--alias", "clusters are mirrored here")?;
            Some((alias, syncs(&here.left, &there.left, alias, this.as_ref())?, there))
        }
        _ => None,
    };
    let source = asked.as_ref().map(|(alias, syncs, there)| {
        let source = Source {
            snapshot: &there.snapshot,
            syncs,
        };
        (*alias, source)
    });
    let mirrors = Mirrors::of(&here.snapshot, &here.left, source, now);
    let mut answer = told(&mirrors);
    if source_is_missing(&mut answer) {
        super::exit::say("azimuth: --source names the context of what is copied, so that records are counted too");
    }
    answer.problems.extend(here.problems);
    answer
        .problems
        .extend(there.into_iter().flat_map(|there| there.problems));
    if nothing {
        super::exit::say("azimuth: no topic of MirrorMaker 2 is here: nothing is mirrored into this cluster");
    }
    answer.complete = answer.problems.is_empty();
    answer.is_no = mirrors.stands_still() || (nothing && asks);
    answer.taken_at = Some(now);
    answer.context = Some(here.snapshot.context.clone()).filter(|name| !name.is_empty());
    answer.cluster_id = here.snapshot.cluster.get().map(|cluster| cluster.id.clone());
    Ok(answer)
}

/// Takes out what is only unknown because nobody asked the source, and says whether there was any.
fn source_is_missing(answer: &mut Answer) -> bool {
    let all = answer.problems.len();
    answer.problems.retain(|problem| problem.reason != mirror::NO_SOURCE);
    answer.problems.len() < all
}

async fn look(global: &Global, name: Option<&String>) -> Result<Seen, Failure> {
    let needs: Needs = NEEDS.into();
    let (snapshot, sources) = facts::look_at(global, name.map(String::as_str), &needs).await?;
    let left = feed::mirror::read(&sources, &snapshot, patience(global)).await;
    let subject = |text: &str| match name {
        Some(name) => format!("{name}: {text}"),
        None => text.to_owned(),
    };
    let mut problems = problems(&snapshot, &needs);
    for problem in &mut problems {
        problem.subjects = problem.subjects.iter().map(|text| subject(text)).collect();
    }
    problems.extend(left.unread.iter().map(|(topic, reason)| Problem {
        subjects: vec![subject(&format!("topic {topic}"))],
        fields: Vec::new(),
        reason: reason.clone(),
    }));
    Ok(Seen {
        snapshot,
        left,
        problems,
    })
}

/// The one that is named, or the only one there is.
fn chosen<'a>(all: &'a [String], named: Option<&String>, flag: &str, what: &str) -> Result<&'a str, Failure> {
    let list = || all.join(", ");
    match (named, all) {
        (Some(named), _) => all.iter().find(|one| *one == named).map(String::as_str).ok_or_else(|| {
            let near = nearest(named, all.iter().map(String::as_str));
            let hint = near.map_or_else(
                || format!("there are: {}", list()),
                |near| format!("did you mean {near}?"),
            );
            Failure::usage(format!("{flag}: there is no {named}; {hint}"))
        }),
        (None, [one]) => Ok(one),
        (None, []) => Err(Failure::partial(format!("no {what}"))),
        (None, _) => Err(Failure::usage(format!("several {what}: {}; {flag} says which", list()))),
    }
}

/// The offset syncs of this mirror: they lie at the source, or here where `offset-syncs.topic.location` is `target`.
fn syncs(here: &Left, there: &Left, alias: &str, this: Option<&String>) -> Result<Vec<Sync>, Failure> {
    let names: Vec<String> = there.syncs.keys().cloned().collect();
    match (names.as_slice(), here.syncs.get(alias)) {
        ([], Some(own)) => Ok(own.clone()),
        ([], None) => Ok(Vec::new()),
        _ => {
            let name = chosen(&names, this, "--this", "mirrors of the source are told there")?;
            Ok(there.syncs.get(name).cloned().unwrap_or_default())
        }
    }
}

fn told(mirrors: &Mirrors) -> Answer {
    let mut answer = Answer::list(FLOWS, &mirrors.flows, "mirror of", |flow| flow.source.clone());
    let mut add = |key: &'static str, title: &str, sheet: Sheet, names: Vec<String>| {
        answer.problems.extend(sheet.problems(&names));
        answer.beside.insert(key, sheet.items());
        if !sheet.rows.is_empty() {
            answer.blocks.push(Block {
                title: Some(title.to_owned()),
                sheet,
                upright: false,
            });
        }
    };
    let topics = mirrors
        .topics
        .iter()
        .map(|row| format!("topic {}", row.topic))
        .collect();
    add("topics", "TOPICS", Sheet::of(TOPICS, &mirrors.topics), topics);
    let groups = mirrors
        .groups
        .iter()
        .map(|row| format!("group {} {}", row.group, row.topic))
        .collect();
    add("groups", "GROUPS", Sheet::of(GROUPS, &mirrors.groups), groups);
    answer
}

fn seconds(cell: &Cell<f64>) -> Field {
    Field::cell(cell, |seconds| duration(*seconds))
}

fn records(cell: &Cell<i64>) -> Field {
    Field::cell(cell, i64::to_string)
}

const FLOWS: &[Column<FlowRow>] = &[
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Always,
        field: |row| Field::text(&row.source),
    },
    Column {
        key: "behind_seconds",
        title: "BEHIND",
        rank: Rank::Always,
        field: |row| seconds(&row.behind_seconds),
    },
    Column {
        key: "behind_records",
        title: "RECORDS",
        rank: Rank::Always,
        field: |row| records(&row.behind_records),
    },
    Column {
        key: "topics",
        title: "TOPICS",
        rank: Rank::Always,
        field: |row| Field::number(row.topics as i64, row.topics),
    },
    Column {
        key: "groups",
        title: "GROUPS",
        rank: Rank::Always,
        field: |row| Field::number(row.groups as i64, row.groups),
    },
    Column {
        key: "checkpoint_seconds",
        title: "CHECKPOINT",
        rank: Rank::Always,
        field: |row| seconds(&row.checkpoint_seconds),
    },
];

const TOPICS: &[Column<TopicRow>] = &[
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Always,
        field: |row| Field::text(&row.source),
    },
    Column {
        key: "topic",
        title: "TOPIC",
        rank: Rank::Always,
        field: |row| Field::text(&row.topic),
    },
    Column {
        key: "mirror",
        title: "HERE",
        rank: Rank::Always,
        field: |row| match &row.mirror {
            Some(name) => Field::text(name),
            None => Field::data(Data::Null, "missing"),
        },
    },
    Column {
        key: "partitions",
        title: "PARTITIONS",
        rank: Rank::Usual,
        field: |row| Field::number(row.partitions as i64, row.partitions),
    },
    Column {
        key: "behind_records",
        title: "BEHIND",
        rank: Rank::Always,
        field: |row| records(&row.behind_records),
    },
];

const GROUPS: &[Column<GroupRow>] = &[
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Always,
        field: |row| Field::text(&row.source),
    },
    Column {
        key: "group",
        title: "GROUP",
        rank: Rank::Always,
        field: |row| Field::text(&row.group),
    },
    Column {
        key: "topic",
        title: "TOPIC",
        rank: Rank::Always,
        field: |row| Field::text(&row.topic),
    },
    Column {
        key: "partitions",
        title: "PARTITIONS",
        rank: Rank::Usual,
        field: |row| Field::number(row.partitions as i64, row.partitions),
    },
    Column {
        key: "behind_records",
        title: "BEHIND",
        rank: Rank::Always,
        field: |row| records(&row.behind_records),
    },
    Column {
        key: "committed_partitions",
        title: "COMMITTED HERE",
        rank: Rank::Always,
        field: |row| Field::number(row.committed as i64, format!("{} of {}", row.committed, row.partitions)),
    },
    Column {
        key: "checkpoint_seconds",
        title: "CHECKPOINT",
        rank: Rank::Always,
        field: |row| seconds(&row.checkpoint_seconds),
    },
];
