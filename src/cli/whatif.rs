//! `azimuth whatif …`

use super::exit::{Exit, Failure};
use super::facts::gather;
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, bytes, percent};
use crate::command::Line;
use crate::command::whatif::Verb;
use crate::feed::Section;
use crate::plan::whatif::{self, Addition, After, Error, Loss, Struck};

const NEEDS: [Section; 10] = [
    Section::Cluster,
    Section::Links,
    Section::Topics,
    Section::TopicConfigs,
    Section::Quorum,
    Section::Reassignments,
    Section::Logdirs,
    Section::Instances,
    Section::Volumes,
    Section::Metrics,
];

/// So many partitions are named to people; JSON has all.
const NAMED: usize = 20;

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let facts = gather(line, &NEEDS).await?;
    let rows = facts.rows();
    let refused = |error: Error| match error {
        Error::NoSuch(text) => Failure::new(Exit::No, text),
        Error::Unseen(text) => Failure::partial(text),
    };
    let mut answer = match verb {
        Verb::List => {
            let zones = rows
                .zones
                .iter()
                .map(|zone| whatif::zone_loss(&facts.snapshot, &rows, &zone.key));
            let restarts = rows
                .brokers
                .iter()
                .map(|row| whatif::restart(&facts.snapshot, &rows, row.id));
            let losses: Vec<Loss> = zones.chain(restarts).collect::<Result<_, _>>().map_err(refused)?;
            let mut answer = Answer::list(LOSS, &losses, "loss", |loss| loss.what.clone());
            answer.complete = losses.iter().all(|loss| loss.holds().is_some());
            answer
        }
        Verb::AzLoss { zone } => loss(&whatif::zone_loss(&facts.snapshot, &rows, zone).map_err(refused)?),
        Verb::Restart { broker } => loss(&whatif::restart(&facts.snapshot, &rows, *broker).map_err(refused)?),
        Verb::AddBroker { count } => addition(&whatif::add(&facts.snapshot, &rows, *count).map_err(refused)?),
    };
    let no = answer.is_no;
    answer = facts.seal(answer);
    answer.is_no = no;
    Ok(answer)
}

fn loss(loss: &Loss) -> Answer {
    let partitions = [
        struck("offline", &loss.offline),
        struck("under_min_isr", &loss.under_min_isr),
    ]
    .concat();
    let mut answer = Answer::list(LOSS, [loss], "loss", |loss| loss.what.clone());
    answer.blocks[0].upright = true;
    let listed = Sheet::of(STRUCK, &partitions);
    answer.beside = [
        ("partitions", listed.items()),
        ("brokers", Sheet::of(AFTER, &loss.left).items()),
    ]
    .into();
    if !partitions.is_empty() {
        let more = partitions.len().saturating_sub(NAMED);
        answer.blocks.push(Block {
            title: Some(match more {
                0 => "partitions that stop".to_owned(),
                more => format!("partitions that stop ({more} more with -o json)"),
            }),
            sheet: Sheet::of(STRUCK, partitions.iter().take(NAMED)),
            upright: false,
        });
    }
    answer.blocks.push(Block {
        title: Some("brokers that are left".to_owned()),
        sheet: Sheet::of(AFTER, &loss.left),
        upright: false,
    });
    answer.is_no = loss.holds() == Some(false);
    answer.complete = loss.holds().is_some();
    answer
}

fn addition(addition: &Addition) -> Answer {
    let mut answer = Answer::list(ADDED, [addition], "addition", |one| {
        format!("{} brokers", one.brokers_after)
    });
    answer.blocks[0].upright = true;
    answer
}

/// A partition with what becomes of it.
#[derive(Clone)]
struct Stopped {
    how: &'static str,
    struck: Struck,
}

fn struck(how: &'static str, all: &[Struck]) -> Vec<Stopped> {
    all.iter()
        .map(|one| Stopped {
            how,
            struck: one.clone(),
        })
        .collect()
}

const LOSS: &[Column<Loss>] = &[
    Column {
        key: "what",
        title: "WITHOUT",
        rank: Rank::Always,
        field: |loss| Field::text(loss.what.as_str()),
    },
    Column {
        key: "clients_go_on",
        title: "CLIENTS GO ON",
        rank: Rank::Always,
        field: |loss| match loss.holds() {
            Some(true) => Field::data(true, "yes"),
            Some(false) => Field::data(false, "NO"),
            None => Field::data(Data::Null, "? not all was seen"),
        },
    },
    Column {
        key: "brokers_lost",
        title: "BROKERS LOST",
        rank: Rank::Always,
        field: |loss| Field::list(&loss.brokers.iter().copied().collect::<Vec<i32>>()),
    },
    Column {
        key: "partitions_touched",
        title: "PARTITIONS TOUCHED",
        rank: Rank::Always,
        field: |loss| Field::number(loss.touched, loss.touched).left(),
    },
    Column {
        key: "offline",
        title: "OFFLINE",
        rank: Rank::Always,
        field: |loss| Field::number(loss.offline.len() as u64, loss.offline.len()).left(),
    },
    Column {
        key: "under_min_isr",
        title: "UNDER MIN ISR",
        rank: Rank::Always,
        field: |loss| Field::number(loss.under_min_isr.len() as u64, loss.under_min_isr.len()).left(),
    },
    Column {
        key: "at_min_isr",
        title: "AT MIN ISR",
        rank: Rank::Always,
        field: |loss| {
            Field::number(
                loss.at_min_isr,
                format!("{}: the next loss stops them", loss.at_min_isr),
            )
            .left()
        },
    },
    Column {
        key: "min_isr_unknown",
        title: "MIN ISR NOT KNOWN",
        rank: Rank::Always,
        field: |loss| Field::number(loss.unjudged, loss.unjudged).left(),
    },
    Column {
        key: "leaders_moving",
        title: "LEADERS MOVE",
        rank: Rank::Always,
        field: |loss| Field::number(loss.moving, loss.moving).left(),
    },
    Column {
        key: "quorum",
        title: "CONTROLLERS",
        rank: Rank::Always,
        field: |loss| Field::data(loss.quorum.text.as_str(), &loss.quorum.text),
    },
    Column {
        key: "rebuild_bytes",
        title: "TO REBUILD",
        rank: Rank::Always,
        field: |loss| Field::cell(&loss.rebuild_bytes, |size| bytes(*size)).left(),
    },
];

const STRUCK: &[Column<Stopped>] = &[
    Column {
        key: "partition",
        title: "PARTITION",
        rank: Rank::Always,
        field: |one| Field::text(one.struck.name()),
    },
    Column {
        key: "becomes",
        title: "BECOMES",
        rank: Rank::Always,
        field: |one| Field::text(one.how),
    },
    Column {
        key: "rule",
        title: "BECAUSE",
        rank: Rank::Always,
        field: |one| Field::text(one.struck.rule.as_str()),
    },
    Column {
        key: "replicas",
        title: "REPLICAS",
        rank: Rank::Usual,
        field: |one| Field::list(&one.struck.replicas),
    },
    Column {
        key: "isr",
        title: "IN SYNC",
        rank: Rank::Usual,
        field: |one| Field::list(&one.struck.isr),
    },
    Column {
        key: "left",
        title: "LEFT",
        rank: Rank::Usual,
        field: |one| Field::list(&one.struck.left),
    },
    Column {
        key: "min_isr",
        title: "MIN ISR",
        rank: Rank::Wide,
        field: |one| {
            Field::number(
                one.struck.min_isr,
                one.struck
                    .min_isr
                    .map_or_else(|| "?".to_owned(), |least| least.to_string()),
            )
        },
    },
];

const AFTER: &[Column<After>] = &[
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |after| Field::number(after.broker, after.broker),
    },
    Column {
        key: "zone",
        title: "ZONE",
        rank: Rank::Usual,
        field: |after| Field::text(after.zone.as_str()),
    },
    Column {
        key: "leaders_now",
        title: "LEADERS",
        rank: Rank::Always,
        field: |after| Field::number(after.leaders_now, after.leaders_now),
    },
    Column {
        key: "leaders_after",
        title: "AFTER",
        rank: Rank::Always,
        field: |after| Field::number(after.leaders_after, after.leaders_after),
    },
    Column {
        key: "limit_now_percent",
        title: "LIMIT",
        rank: Rank::Always,
        field: |after| Field::cell(&after.limit_now_percent, |share| percent(*share)),
    },
    Column {
        key: "limit_after_percent",
        title: "AFTER",
        rank: Rank::Always,
        field: |after| Field::cell(&after.limit_after_percent, |share| percent(*share)),
    },
    Column {
        key: "limit",
        title: "BINDS",
        rank: Rank::Usual,
        field: |after| Field::maybe(after.limit.as_ref()),
    },
    Column {
        key: "used_now_percent",
        title: "DISK",
        rank: Rank::Always,
        field: |after| Field::cell(&after.used_now_percent, |share| percent(*share)),
    },
    Column {
        key: "used_after_percent",
        title: "AFTER REBUILD",
        rank: Rank::Always,
        field: |after| Field::cell(&after.used_after_percent, |share| percent(*share)),
    },
];

const ADDED: &[Column<Addition>] = &[
    Column {
        key: "brokers_now",
        title: "BROKERS",
        rank: Rank::Always,
        field: |one| Field::number(one.brokers_now, one.brokers_now).left(),
    },
    Column {
        key: "brokers_after",
        title: "AFTER",
        rank: Rank::Always,
        field: |one| Field::number(one.brokers_after, one.brokers_after).left(),
    },
    Column {
        key: "zones_after",
        title: "BY ZONE",
        rank: Rank::Always,
        field: |one| {
            let zones: Vec<String> = one
                .zones
                .iter()
                .map(|(zone, brokers)| format!("{zone} {brokers}"))
                .collect();
            Field::list(&zones)
        },
    },
    Column {
        key: "leaders_each_now",
        title: "LEADERS EACH",
        rank: Rank::Always,
        field: |one| {
            Field::number(
                one.leaders_each_now,
                format!("{:.0}, after {:.0}", one.leaders_each_now, one.leaders_each_after),
            )
            .left()
        },
    },
    Column {
        key: "leaders_each_after",
        title: "LEADERS EACH AFTER",
        rank: Rank::Wide,
        field: |one| Field::number(one.leaders_each_after, format!("{:.0}", one.leaders_each_after)).left(),
    },
    Column {
        key: "replicas_each_now",
        title: "REPLICAS EACH",
        rank: Rank::Always,
        field: |one| {
            Field::number(
                one.replicas_each_now,
                format!("{:.0}, after {:.0}", one.replicas_each_now, one.replicas_each_after),
            )
            .left()
        },
    },
    Column {
        key: "replicas_each_after",
        title: "REPLICAS EACH AFTER",
        rank: Rank::Wide,
        field: |one| Field::number(one.replicas_each_after, format!("{:.0}", one.replicas_each_after)).left(),
    },
    Column {
        key: "copied_bytes",
        title: "COPIED",
        rank: Rank::Always,
        field: |one| Field::cell(&one.copied_bytes, |size| bytes(*size)).left(),
    },
    Column {
        key: "used_now_percent",
        title: "FULLEST DISK",
        rank: Rank::Always,
        field: |one| Field::cell(&one.used_now_percent, |share| percent(*share)).left(),
    },
    Column {
        key: "used_after_percent",
        title: "EACH DISK AFTER",
        rank: Rank::Always,
        field: |one| Field::cell(&one.used_after_percent, |share| percent(*share)).left(),
    },
    Column {
        key: "limit",
        title: "BINDS",
        rank: Rank::Always,
        field: |one| Field::maybe(one.limit.as_ref()),
    },
    Column {
        key: "limit_now_percent",
        title: "BUSIEST LIMIT",
        rank: Rank::Always,
        field: |one| Field::cell(&one.limit_now_percent, |share| percent(*share)).left(),
    },
    Column {
        key: "limit_after_percent",
        title: "EACH LIMIT AFTER",
        rank: Rank::Always,
        field: |one| Field::cell(&one.limit_after_percent, |share| percent(*share)).left(),
    },
    Column {
        key: "command",
        title: "THEN",
        rank: Rank::Always,
        field: |one| Field::text(one.command.as_str()),
    },
];
