//! `azimuth group …`

use super::exit::Failure;
use super::facts::{Facts, gather};
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, count};
use crate::command::Line;
use crate::command::group::Verb;
use crate::feed::Section;
use crate::model::group::Member;
use crate::model::row::group::{GroupPartition, GroupRow};

const NEEDS: [Section; 4] = [Section::Cluster, Section::Topics, Section::Groups, Section::Offsets];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let facts = gather(line, &NEEDS).await?;
    let groups = facts.groups();
    // A leader that did not answer matters only where a lag hangs on it.
    let told = groups
        .iter()
        .all(|row| row.lag_records.value.is_some() && !row.lag_records.is_stale());
    let facts = facts.only(|subject| !(told && subject.ends_with(" offsets")));
    match verb {
        Verb::List { state } => {
            let wanted = |row: &&GroupRow| state.as_ref().is_none_or(|state| row.state.eq_ignore_ascii_case(state));
            let answer = Answer::list(COLUMNS, groups.iter().filter(wanted), "group", |row| row.name.clone());
            Ok(facts.seal(answer))
        }
        Verb::Show { names } => {
            let chosen = choose(&facts, &groups, names)?;
            Ok(show(facts, &chosen))
        }
        Verb::Lag { all: true, .. } => {
            let chosen: Vec<&GroupRow> = groups.iter().collect();
            Ok(lag(facts, &chosen))
        }
        Verb::Lag { names, all: false } => {
            let chosen = choose(&facts, &groups, names)?;
            Ok(lag(facts, &chosen))
        }
    }
}

fn choose<'a>(facts: &Facts, groups: &'a [GroupRow], names: &[String]) -> Result<Vec<&'a GroupRow>, Failure> {
    let find = |name: &String| {
        groups.iter().find(|row| row.name == *name).ok_or_else(|| {
            let known: Vec<&str> = groups.iter().map(|row| row.name.as_str()).collect();
            facts.unknown("group", name, &known)
        })
    };
    names.iter().map(find).collect()
}

fn show(facts: Facts, chosen: &[&GroupRow]) -> Answer {
    let mut whole = Answer {
        complete: true,
        ..Answer::default()
    };
    for group in chosen {
        let known = facts.snapshot.groups.get().into_iter().flatten();
        let members = known
            .filter(|known| known.name == group.name)
            .flat_map(|known| &known.members);
        let mut one = Answer::list(COLUMNS, [*group], "group", |row| row.name.clone());
        one.blocks[0].upright = true;
        let sheet = Sheet::of(MEMBERS, members);
        let items = one.items.into_iter();
        whole.items.extend(items.map(|item| {
            let Data::Map(fields) = item else { return item };
            let kept = fields.into_iter().filter(|(key, _)| *key != "members").collect();
            Data::Map(kept).with("members", Data::List(sheet.items()))
        }));
        whole.names.append(&mut one.names);
        whole.problems.append(&mut one.problems);
        whole.blocks.append(&mut one.blocks);
        whole.blocks.push(Block {
            title: None,
            sheet,
            upright: false,
        });
    }
    facts.seal(whole)
}

/// A partition of a group.
struct Part {
    group: String,
    part: GroupPartition,
}

fn lag(facts: Facts, chosen: &[&GroupRow]) -> Answer {
    let parts: Vec<Part> = chosen
        .iter()
        .flat_map(|group| {
            let parts = group.parts.iter();
            parts.map(|part| Part {
                group: group.name.clone(),
                part: part.clone(),
            })
        })
        .collect();
    let name = |row: &Part| format!("{} {}:{}", row.group, row.part.topic, row.part.partition);
    let answer = Answer::list(LAG, &parts, "group", name);
    facts.seal(answer)
}

const COLUMNS: &[Column<GroupRow>] = &[
    Column {
        key: "group",
        title: "GROUP",
        rank: Rank::Always,
        field: |row| Field::text(&row.name),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |row| Field::text(&row.state),
    },
    Column {
        key: "kind",
        title: "KIND",
        rank: Rank::Wide,
        field: |row| Field::text(&row.kind),
    },
    Column {
        key: "protocol",
        title: "PROTOCOL",
        rank: Rank::Usual,
        field: |row| Field::text(&row.protocol),
    },
    Column {
        key: "coordinator",
        title: "COORDINATOR",
        rank: Rank::Usual,
        field: |row| match row.coordinator {
            Some(id) => Field::number(id, id),
            None => Field::number(Data::Null, "?"),
        },
    },
    Column {
        key: "members",
        title: "MEMBERS",
        rank: Rank::Always,
        field: |row| Field::number(row.members, row.members),
    },
    Column {
        key: "topics",
        title: "TOPICS",
        rank: Rank::Usual,
        field: |row| Field::number(row.topics, row.topics),
    },
    Column {
        key: "lag_records",
        title: "LAG",
        rank: Rank::Always,
        field: |row| Field::cell(&row.lag_records, count),
    },
    Column {
        key: "worst",
        title: "WORST",
        rank: Rank::Usual,
        field: |row| match &row.worst {
            Some((topic, partition, lag)) => Field::data(
                Data::Map(vec![
                    ("topic", topic.as_str().into()),
                    ("partition", (*partition).into()),
                    ("lag_records", (*lag).into()),
                ]),
                format!("{topic}:{partition} {lag}"),
            ),
            None => Field::data(Data::Null, "-"),
        },
    },
];

const MEMBERS: &[Column<Member>] = &[
    Column {
        key: "member",
        title: "MEMBER",
        rank: Rank::Wide,
        field: |member| Field::text(&member.id),
    },
    Column {
        key: "instance",
        title: "INSTANCE",
        rank: Rank::Usual,
        field: |member| Field::maybe(member.instance.as_ref()),
    },
    Column {
        key: "client",
        title: "CLIENT",
        rank: Rank::Always,
        field: |member| Field::text(&member.client),
    },
    Column {
        key: "host",
        title: "HOST",
        rank: Rank::Always,
        field: |member| Field::text(&member.host),
    },
    Column {
        key: "assignment",
        title: "ASSIGNED",
        rank: Rank::Always,
        field: |member| {
            let parts: Vec<String> = member
                .assignment
                .iter()
                .map(|(topic, partition)| format!("{topic}:{partition}"))
                .collect();
            Field::list(&parts)
        },
    },
];

const LAG: &[Column<Part>] = &[
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
        field: |row| Field::text(&row.part.topic),
    },
    Column {
        key: "partition",
        title: "P",
        rank: Rank::Always,
        field: |row| Field::number(row.part.partition, row.part.partition),
    },
    Column {
        key: "committed_offset",
        title: "COMMITTED",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.part.committed, count),
    },
    Column {
        key: "end_offset",
        title: "END",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.part.end, count),
    },
    Column {
        key: "lag_records",
        title: "LAG",
        rank: Rank::Always,
        field: |row| Field::cell(&row.part.lag_records, count),
    },
    Column {
        key: "client",
        title: "CLIENT",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.part.client.as_ref()),
    },
    Column {
        key: "member",
        title: "MEMBER",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.part.member.as_ref()),
    },
];
