//! `azimuth dns …`

use futures::FutureExt;
use futures::future::join;
use strum::VariantArray;

use super::change;
use super::context::diff;
use super::exit::{Exit, Failure, say};
use super::facts;
use super::output::{Answer, Block, Column, Data, Field, Problem, Rank, Sheet, percent, plain};
use crate::command::Line;
use crate::command::dns::{Switch, Verb};
use crate::feed::{self, Needs, Section};
use crate::model::Moment;
use crate::model::dns::{RecordSet, Records};
use crate::model::row::Rows;
use crate::model::row::difference::{Part, between};
use crate::operation::{Ground, dns, saved_switch};
use crate::plan::dns::{Green, Mark, StillGroup, StillTopic, Want, Wish, still};
use crate::plan::intent::Intent;

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage("a capture has no names; leave out --from"));
    }
    match verb {
        Verb::Show { record, zone } => show(line, record, zone.as_deref()).await,
        Verb::Switch(switch) => {
            let mut wish = switch.wish();
            wish.green = match &switch.green {
                Some(name) => Some(green(line, switch, name).boxed().await?),
                None => None,
            };
            change::begin(line, Intent::Dns(wish), &switch.how.overrides, switch.how.detach).await
        }
        Verb::Rollback { id, record, how } => {
            let wish = back(line, id.as_deref(), record.as_deref()).boxed().await?;
            change::begin(line, Intent::Dns(wish), &how.overrides, how.detach).await
        }
    }
}

/// Another context than the line's own.
fn ground_of(line: &Line, name: &str) -> Result<Ground, Failure> {
    Ok(Ground::of(facts::asked_for(&line.global, Some(name)), facts::paths()?)?)
}

/// The cluster that clients move to: whether a record goes through it, how it differs, and how far it was written.
async fn green(line: &Line, switch: &Switch, name: &str) -> Result<Green, Failure> {
    let here = change::ground(&line.global)?;
    let there = ground_of(line, name)?;
    if here.context.name == there.context.name {
        return Err(Failure::usage(format!(
            "--green {name} is the context that {} leads to now; name the other cluster's",
            switch.record
        )));
    }
    let patience = facts::patience(&line.global);
    let parts: Vec<Part> = Part::VARIANTS
        .iter()
        .copied()
        .filter(|part| *part != Part::Offsets)
        .collect();
    let needs: Needs = parts.iter().flat_map(|part| diff::sections(*part)).copied().collect();
    let mut more = needs.clone();
    more.extend([Section::Probes, Section::Links, Section::Offsets]);
    let (a, b) = join(
        feed::collect(&here.sources, &needs, patience),
        feed::collect(&there.sources, &more, patience),
    )
    .await;
    here.hold(&a)?;
    there.hold(&b)?;
    let problem = |name: &str, snapshot| {
        let problem = super::missing::problems(snapshot, &needs).into_iter().next()?;
        Some(format!("{name}: {}: {}", problem.subjects.join(", "), problem.reason))
    };
    let unseen = problem(&here.context.name, &a).or_else(|| problem(name, &b));
    let differences = between(&a, &b, &parts);
    let named: Vec<String> = differences
        .iter()
        .map(|one| format!("{} {} {}", one.part, one.name, one.field).trim_end().to_owned())
        .collect();
    Ok(Green {
        context: name.to_owned(),
        probe: probed(&b),
        differences: match unseen {
            Some(why) if named.is_empty() => Err(why),
            _ => Ok(named),
        },
        mark: Mark::of(&b, name),
    })
}

/// Whether a write went through every broker that leads a partition of the probe's topic.
fn probed(snapshot: &crate::model::Snapshot) -> Result<String, String> {
    let Some(topic) = &snapshot.probe_topic else {
        return Err("its context names no probe_topic, so nothing proves that writes work".to_owned());
    };
    if snapshot.probes.is_empty() {
        return Err(format!(
            "no write to {topic} was tried: {}",
            snapshot.topics.problem().unwrap_or_default()
        ));
    }
    let failed = snapshot.probes.iter().filter(|(_, probe)| !probe.is_fresh());
    let failed: Vec<String> = failed
        .map(|(broker, probe)| format!("broker {broker}: {}", probe.problem().unwrap_or_default()))
        .collect();
    match failed.is_empty() {
        true => Ok(format!(
            "writes to {topic} go through {} brokers",
            snapshot.probes.len()
        )),
        false => Err(failed.join(", ")),
    }
}

/// What a journal of this cluster says was there before.
async fn back(line: &Line, id: Option<&str>, record: Option<&str>) -> Result<Wish, Failure> {
    let ground = change::ground(&line.global)?;
    let patience = facts::patience(&line.global);
    let cluster_id = ground.cluster_id(patience).await?;
    let (id, mut wish) = saved_switch(&ground.folder(&cluster_id)?, id, record)?;
    say(&format!("azimuth: the weights that operation {id} found"));
    let Want::Back(saved) = &wish.want else { return Ok(wish) };
    if let Some(mark) = &saved.mark {
        // Unreachable is no reason not to go back: rather the opposite.
        let mark = match ground_of(line, &mark.context) {
            Ok(there) => dns::mark(&there.sources, &mark.context, patience / 2).await,
            Err(failure) => Err(failure.message),
        };
        let unasked = || Err("not asked on the way back".to_owned());
        wish.green = Some(Green {
            context: saved.mark.as_ref().map(|mark| mark.context.clone()).unwrap_or_default(),
            probe: unasked(),
            differences: Err("not asked on the way back".to_owned()),
            mark,
        });
    }
    Ok(wish)
}

/// One record set, ready to show.
struct Row {
    set: RecordSet,
    share_percent: f64,
}

async fn show(line: &Line, record: &str, zone: Option<&str>) -> Result<Exit, Failure> {
    let ground = change::ground(&line.global)?;
    let patience = facts::patience(&line.global);
    let asked = dns::found(&ground.sources, record, zone).boxed();
    let (found, snapshot) = join(asked, dns::look(&ground.sources, patience)).await;
    let cluster_id = ground.hold(&snapshot)?;
    let still = still(&snapshot, &Rows::of(&snapshot, Moment::now()));
    let (zone, rows): (_, Vec<Row>) = match &found {
        Ok(Records { zone, sets }) => {
            let row = |set: &RecordSet| Row {
                share_percent: Records::share_percent(sets, set),
                set: set.clone(),
            };
            (Some(zone.clone()), sets.iter().map(row).collect())
        }
        Err(_) => (None, Vec::new()),
    };
    if let Some(zone) = &zone
        && rows.is_empty()
    {
        let why = format!("there is no record {record} in zone {} ({})", zone.name, zone.id);
        return Err(Failure::new(Exit::No, why));
    }
    let mut answer = Answer::list(COLUMNS, &rows, "record", |row| row.set.title().to_owned());
    let mut problems = Vec::new();
    if let Err(reason) = found {
        problems.push(Problem {
            subjects: vec![record.to_owned()],
            fields: Vec::new(),
            reason,
        });
    }
    for reason in &still.unknown {
        problems.push(Problem {
            subjects: vec!["still here".to_owned()],
            fields: Vec::new(),
            reason: reason.clone(),
        });
    }
    answer.complete = problems.is_empty();
    answer.problems = problems;
    answer.is_no = !still.is_quiet();
    answer.context = Some(ground.context.name.clone());
    answer.cluster_id = Some(cluster_id);
    answer.taken_at = Some(Moment::now());
    let (groups, topics) = (Sheet::of(GROUPS, &still.groups), Sheet::of(TOPICS, &still.topics));
    for (key, title, sheet) in [
        ("groups", "GROUPS STILL HERE", groups),
        ("topics", "TOPICS STILL WRITTEN HERE", topics),
    ] {
        answer.beside.insert(key, sheet.items());
        answer.blocks.push(Block {
            title: Some(title.to_owned()),
            sheet,
            upright: false,
        });
    }
    say(&format!("azimuth: {}", still.words()));
    let Some(command) = &line.command else {
        return Err(Failure::usage("no command"));
    };
    super::print(line, command, &answer)
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        key: "set",
        title: "SET",
        rank: Rank::Always,
        field: |row| Field::text(row.set.title()),
    },
    Column {
        key: "type",
        title: "TYPE",
        rank: Rank::Always,
        field: |row| Field::text(&row.set.kind),
    },
    Column {
        key: "weight",
        title: "WEIGHT",
        rank: Rank::Always,
        field: |row| match row.set.weight {
            Some(weight) => Field::number(weight, weight),
            None => Field::number(Data::Null, "-"),
        },
    },
    Column {
        key: "share_percent",
        title: "ANSWERS",
        rank: Rank::Always,
        field: |row| Field::number(row.share_percent, percent(row.share_percent)),
    },
    Column {
        key: "ttl_seconds",
        title: "TTL",
        rank: Rank::Always,
        field: |row| match row.set.ttl_seconds {
            Some(ttl) => Field::number(ttl, format!("{ttl} s")),
            None => Field::number(Data::Null, "-"),
        },
    },
    Column {
        key: "answer",
        title: "LEADS TO",
        rank: Rank::Always,
        field: |row| Field::text(row.set.answer()),
    },
    Column {
        key: "health_check",
        title: "HEALTH CHECK",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.set.health_check.as_ref()),
    },
];

const GROUPS: &[Column<StillGroup>] = &[
    Column {
        key: "group",
        title: "GROUP",
        rank: Rank::Always,
        field: |one| Field::text(&one.group),
    },
    Column {
        key: "members",
        title: "MEMBERS",
        rank: Rank::Always,
        field: |one| Field::number(one.members as u64, one.members),
    },
    Column {
        key: "hosts",
        title: "HOSTS",
        rank: Rank::Always,
        field: |one| Field::list(&one.hosts),
    },
];

const TOPICS: &[Column<StillTopic>] = &[
    Column {
        key: "topic",
        title: "TOPIC",
        rank: Rank::Always,
        field: |one| Field::text(&one.topic),
    },
    Column {
        key: "records_per_second",
        title: "RECORDS/S",
        rank: Rank::Always,
        field: |one| Field::number(one.records_per_second, plain(one.records_per_second)),
    },
];
