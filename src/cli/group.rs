//! `azimuth group …`

use super::exit::Failure;
use super::facts::{Facts, gather_over};
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, count, duration, moment, plain};
use crate::command::Line;
use crate::command::group::Verb;
use crate::feed::Section;
use crate::model::row::Cell;
use crate::model::row::group::{Behind, BehindBasis, Drain, Expiry, GroupPartition, GroupRow, MemberRow, Safe};

const NEEDS: [Section; 6] = [
    Section::Cluster,
    Section::Topics,
    Section::Groups,
    Section::Offsets,
    Section::Backlogs,
    Section::Retentions,
];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let facts = gather_over(line, &NEEDS, verb.window()).await?;
    let groups = facts.groups();
    tell_basis(&facts, &groups);
    // A leader that did not answer matters only where a lag hangs on it.
    let told = groups
        .iter()
        .all(|row| row.lag_records.value.is_some() && !row.lag_records.is_stale());
    // What it would have said of backlogs and retention is missing where it shows, with the reason.
    let beside = |subject: &str| subject.ends_with("backlogs") || subject == "retention";
    let facts = facts.only(|subject| {
        let of_lag = !told || !subject.ends_with(" offsets");
        of_lag && !beside(subject)
    });
    match verb {
        Verb::List { state, .. } => {
            let wanted = |row: &&GroupRow| state.as_ref().is_none_or(|state| row.state.eq_ignore_ascii_case(state));
            let answer = Answer::list(COLUMNS, groups.iter().filter(wanted), "group", |row| row.name.clone());
            Ok(facts.seal(answer))
        }
        Verb::Show { names, .. } => {
            let chosen = choose(&facts, &groups, names)?;
            Ok(show(facts, &chosen))
        }
        Verb::Lag { all: true, .. } => {
            let chosen: Vec<&GroupRow> = groups.iter().collect();
            Ok(lag(facts, &chosen))
        }
        Verb::Lag { names, all: false, .. } => {
            let chosen = choose(&facts, &groups, names)?;
            Ok(lag(facts, &chosen))
        }
        Verb::Reset { .. } | Verb::Delete { .. } => Err(Failure::usage("that is a change, not a question")),
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
        let members = MemberRow::all(&facts.snapshot, group, facts.now);
        let mut one = Answer::list(COLUMNS, [*group], "group", |row| row.name.clone());
        one.blocks[0].upright = true;
        let sheet = Sheet::of(MEMBERS, &members);
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
            title: Some(format!("MEMBERS OF {}", group.name)),
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
    let parts = GroupPartition::all(&facts.snapshot, chosen.iter().copied(), facts.now).into_iter();
    let parts: Vec<Part> = parts
        .map(|(group, part)| Part {
            group: group.to_owned(),
            part,
        })
        .collect();
    let name = |row: &Part| format!("{} {}:{}", row.group, row.part.topic, row.part.partition);
    let answer = Answer::list(LAG, &parts, "group", name);
    facts.seal(answer)
}

/// Where rates come from; without a basis there are none.
fn tell_basis(facts: &Facts, groups: &[GroupRow]) {
    if facts.snapshot.groups.get().is_none() || groups.is_empty() {
        return;
    }
    let bases: Vec<&str> = groups.iter().filter_map(|row| row.rate_basis.as_deref()).collect();
    match bases.iter().max_by_key(|basis| basis.len()) {
        Some(basis) => super::exit::say(&format!("azimuth: rates: {basis}")),
        None => super::exit::say(
            "azimuth: no rates: nothing was recorded in the last minute; --window 5s looks twice, and an open console records",
        ),
    }
}

fn behind(cell: &Cell<Behind>) -> Field {
    let text = |behind: &Behind| match behind.basis {
        BehindBasis::Sampled | BehindBasis::Timestamps => duration(behind.seconds),
        BehindBasis::AtLeast => format!(">{}", duration(behind.seconds)),
        BehindBasis::Rate => format!("~{}", duration(behind.seconds)),
    };
    let field = Field::cell(&cell.map(|behind| Some(behind.seconds)), |_| String::new());
    let text = match &cell.value {
        Some(behind) if cell.is_stale() => format!("{}~", text(behind)),
        Some(behind) => text(behind),
        None => "?".to_owned(),
    };
    Field { text, ..field }
}

fn behind_basis(cell: &Cell<Behind>) -> Field {
    Field::maybe(cell.value.map(|behind| behind.basis.to_string()).as_ref())
}

fn safe(cell: &Cell<Safe>) -> Field {
    let (data, text) = match cell.value {
        None => (Data::Null, "?".to_owned()),
        Some(Safe::Losing) => ("losing".into(), "already losing".to_owned()),
        Some(Safe::Until(at)) => (at.to_string().into(), moment(at)),
        Some(Safe::Forever) => ("forever".into(), "forever".to_owned()),
        Some(Safe::Compacted) => ("n/a".into(), "n/a compacted".to_owned()),
        Some(Safe::Read) => (Data::Null, "-".to_owned()),
    };
    Field {
        reason: cell.reason.clone().filter(|_| cell.value.is_none()),
        ..Field::data(data, text)
    }
}

fn drains(cell: &Cell<Drain>) -> Field {
    let (data, text) = match cell.value {
        None => (Data::Null, "?".to_owned()),
        Some(Drain::Done) => (0.0.into(), "-".to_owned()),
        Some(Drain::InSeconds(seconds)) => (seconds.into(), duration(seconds)),
        Some(Drain::Steady) => (Data::Null, "steady".to_owned()),
        Some(Drain::Never) => (Data::Null, "never".to_owned()),
    };
    Field {
        reason: cell.reason.clone().filter(|_| cell.value.is_none()),
        ..Field::number(data, text)
    }
}

fn expiry(cell: &Cell<Expiry>) -> Field {
    let (data, text) = match cell.value {
        None => (Data::Null, "?".to_owned()),
        Some(Expiry::None) => (Data::Null, "-".to_owned()),
        Some(Expiry::At(at)) => (at.to_string().into(), moment(at)),
        Some(Expiry::By(at)) => (at.to_string().into(), format!("by {}", moment(at))),
    };
    Field {
        reason: cell.reason.clone().filter(|_| cell.value.is_none()),
        ..Field::data(data, text)
    }
}

fn rate(cell: &Cell<f64>) -> Field {
    Field::cell(cell, |rate| plain(*rate))
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
        key: "state_since",
        title: "SINCE",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.since.map(|since| since.words()).as_ref()),
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
        rank: Rank::Wide,
        field: |row| Field::text(&row.protocol),
    },
    Column {
        key: "coordinator",
        title: "COORDINATOR",
        rank: Rank::Wide,
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
        rank: Rank::Wide,
        field: |row| Field::number(row.topics, row.topics),
    },
    Column {
        key: "lag_records",
        title: "LAG",
        rank: Rank::Always,
        field: |row| Field::cell(&row.lag_records, count),
    },
    Column {
        key: "rate_in_per_second",
        title: "IN/S",
        rank: Rank::Usual,
        field: |row| rate(&row.rate_in),
    },
    Column {
        key: "rate_out_per_second",
        title: "OUT/S",
        rank: Rank::Usual,
        field: |row| rate(&row.rate_out),
    },
    Column {
        key: "lag_change_per_second",
        title: "CHANGE/S",
        rank: Rank::Wide,
        field: |row| rate(&row.lag_change),
    },
    Column {
        key: "rate_basis",
        title: "BASIS",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.rate_basis.as_ref()),
    },
    Column {
        key: "drains_in_seconds",
        title: "DRAINS IN",
        rank: Rank::Usual,
        field: |row| drains(&row.drains),
    },
    Column {
        key: "behind_seconds",
        title: "BEHIND",
        rank: Rank::Always,
        field: |row| behind(&row.behind),
    },
    Column {
        key: "behind_basis",
        title: "MEASURED",
        rank: Rank::Wide,
        field: |row| behind_basis(&row.behind),
    },
    Column {
        key: "safe_until",
        title: "SAFE UNTIL",
        rank: Rank::Always,
        field: |row| safe(&row.safe),
    },
    Column {
        key: "offsets_expire",
        title: "OFFSETS EXPIRE",
        rank: Rank::Wide,
        field: |row| expiry(&row.offsets_expire),
    },
    Column {
        key: "cause",
        title: "STUCK",
        rank: Rank::Always,
        field: |row| Field::maybe(row.cause.as_ref().map(ToString::to_string).as_ref()),
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

const MEMBERS: &[Column<MemberRow>] = &[
    Column {
        key: "zone",
        title: "ZONE",
        rank: Rank::Always,
        field: |member| Field {
            right: false,
            ..Field::cell(&member.zone, Clone::clone)
        },
    },
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
        key: "lag_records",
        title: "LAG",
        rank: Rank::Always,
        field: |member| Field::cell(&member.lag_records, count),
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
        key: "start_offset",
        title: "START",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.part.start, count),
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
        key: "rate_in_per_second",
        title: "IN/S",
        rank: Rank::Wide,
        field: |row| rate(&row.part.rate_in),
    },
    Column {
        key: "behind_seconds",
        title: "BEHIND",
        rank: Rank::Always,
        field: |row| behind(&row.part.behind),
    },
    Column {
        key: "behind_basis",
        title: "MEASURED",
        rank: Rank::Wide,
        field: |row| behind_basis(&row.part.behind),
    },
    Column {
        key: "safe_until",
        title: "SAFE UNTIL",
        rank: Rank::Always,
        field: |row| safe(&row.part.safe),
    },
    Column {
        key: "not_moving_since",
        title: "NOT MOVING SINCE",
        rank: Rank::Wide,
        field: |row| match row.part.standing {
            Some(standing) => Field::data(standing.since.to_string(), moment(standing.since)),
            None => Field::data(Data::Null, "-"),
        },
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
