//! `azimuth cost`

use std::time::Duration;

use super::exit::Failure;
use super::facts::{gather_over, tell_window};
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, mb_per_second, percent};
use crate::command::Line;
use crate::command::cost::Cost;
use crate::feed::Section;
use crate::plan::cost::sizing::{BrokerFit, VolumeFit};
use crate::plan::cost::{self, Bill, Share};

const NEEDS: [Section; 10] = [
    Section::Cluster,
    Section::Links,
    Section::Topics,
    Section::Offsets,
    Section::Groups,
    Section::Logdirs,
    Section::BrokerConfigs,
    Section::Instances,
    Section::Volumes,
    Section::Metrics,
];

/// Between the two looks that rates are made of.
const APART: Duration = Duration::from_secs(10);
/// So many topics and groups are told to people; JSON has all.
const TOLD: usize = 10;

pub async fn answer(line: &Line, asked: &Cost) -> Result<Answer, Failure> {
    let apart = asked.window.map_or(APART, |window| window.0);
    let facts = gather_over(line, &NEEDS, Some(apart)).await?;
    if line.global.from.is_none() {
        tell_window(asked.window);
    }
    let bill = cost::bill(&facts.snapshot, &facts.rows()).map_err(Failure::partial)?;
    Ok(facts.seal(told(&bill)))
}

/// One pair of zones.
struct Pair {
    from: String,
    to: String,
    flow: cost::Flow,
}

fn told(bill: &Bill) -> Answer {
    let mut answer = Answer::list(BILL, [bill], "cost", |_| "month".to_owned());
    answer.blocks[0].upright = true;
    let zones = || bill.zones.iter().enumerate();
    let pairs: Vec<Pair> = zones()
        .flat_map(|(from, name)| {
            zones().map(move |(to, other)| Pair {
                from: name.clone(),
                to: other.clone(),
                flow: bill.flows[from][to],
            })
        })
        .collect();
    let mut add = |key: &'static str, title: &str, all: Sheet, shown: Sheet| {
        answer.beside.insert(key, all.items());
        answer.blocks.push(Block {
            title: Some(title.to_owned()),
            sheet: shown,
            upright: false,
        });
    };
    add(
        "zones",
        "BETWEEN ZONES",
        Sheet::of(PAIRS, &pairs),
        Sheet::of(PAIRS, &pairs),
    );
    for (key, title, shares) in [("topics", "TOPICS", &bill.topics), ("groups", "GROUPS", &bill.groups)] {
        let few = shares.iter().filter(|share| share.bytes_per_second > 0.0).take(TOLD);
        add(key, title, Sheet::of(SHARES, shares), Sheet::of(SHARES, few));
    }
    let volumes = || Sheet::of(VOLUMES, &bill.sizing.volumes);
    add("volumes", "VOLUMES", volumes(), volumes());
    let brokers = || Sheet::of(BROKERS, &bill.sizing.brokers);
    add("brokers", "INSTANCES", brokers(), brokers());
    if bill.unmeasured > 0 {
        answer.complete = false;
        answer.problems.push(super::output::Problem {
            subjects: vec!["cost".to_owned()],
            fields: Vec::new(),
            reason: format!(
                "the bytes a second of {} partitions are not known, and not in the numbers",
                bill.unmeasured
            ),
        });
    }
    answer
}

fn usd(usd: f64) -> Field {
    Field::number(usd, format!("${usd:.2}"))
}

fn maybe_usd(amount: Option<f64>) -> Field {
    match amount {
        Some(amount) => Field::number(
            amount,
            format!("{}${:.2}", if amount < 0.0 { "-" } else { "" }, amount.abs()),
        ),
        None => Field::data(Data::Null, "-"),
    }
}

fn rate(bytes: f64) -> Field {
    Field::number(bytes, mb_per_second(bytes))
}

const BILL: &[Column<Bill>] = &[
    Column {
        key: "usd_per_month",
        title: "BETWEEN ZONES $/MONTH",
        rank: Rank::Always,
        field: |bill| usd(bill.usd_per_month),
    },
    Column {
        key: "crossing_bytes_per_second",
        title: "CROSSING",
        rank: Rank::Always,
        field: |bill| rate(bill.crossing_bytes_per_second),
    },
    Column {
        key: "saved_usd_per_month",
        title: "FOLLOWER FETCHING SAVES $/MONTH",
        rank: Rank::Always,
        field: |bill| usd(bill.saved_usd_per_month),
    },
    Column {
        key: "follower_fetching",
        title: "BROKERS ALLOW IT",
        rank: Rank::Always,
        field: |bill| match bill.follower_fetching {
            Some(true) => Field::data(true, "yes; whether clients set client.rack is not visible to Kafka"),
            Some(false) => Field::data(false, "no: set replica.selector.class"),
            None => Field::data(Data::Null, "? broker configs were not seen"),
        },
    },
    Column {
        key: "volumes_usd_per_month",
        title: "VOLUMES $/MONTH",
        rank: Rank::Always,
        field: |bill| usd(bill.sizing.volumes_usd_per_month),
    },
    Column {
        key: "console_usd",
        title: "THIS LOOK AT CLOUDWATCH",
        rank: Rank::Always,
        field: |bill| Field::number(bill.console_usd, format!("${:.4}", bill.console_usd)),
    },
    Column {
        key: "console_usd_per_month",
        title: "A CONSOLE THAT STAYS OPEN $/MONTH",
        rank: Rank::Always,
        field: |bill| usd(bill.console_usd_per_month),
    },
    Column {
        key: "unmeasured_partitions",
        title: "PARTITIONS NOT MEASURED",
        rank: Rank::Always,
        field: |bill| Field::number(bill.unmeasured as i64, bill.unmeasured),
    },
];

const PAIRS: &[Column<Pair>] = &[
    Column {
        key: "from",
        title: "FROM",
        rank: Rank::Always,
        field: |pair| Field::text(pair.from.as_str()),
    },
    Column {
        key: "to",
        title: "TO",
        rank: Rank::Always,
        field: |pair| Field::text(pair.to.as_str()),
    },
    Column {
        key: "produced_bytes_per_second",
        title: "PRODUCED",
        rank: Rank::Usual,
        field: |pair| rate(pair.flow.produced),
    },
    Column {
        key: "replicated_bytes_per_second",
        title: "REPLICATED",
        rank: Rank::Usual,
        field: |pair| rate(pair.flow.replicated),
    },
    Column {
        key: "consumed_bytes_per_second",
        title: "CONSUMED",
        rank: Rank::Usual,
        field: |pair| rate(pair.flow.consumed),
    },
    Column {
        key: "usd_per_month",
        title: "$/MONTH",
        rank: Rank::Always,
        field: |pair| match pair.from == pair.to {
            true => usd(0.0),
            false => usd(cost::usd_per_month(pair.flow.bytes_per_second())),
        },
    },
];

const SHARES: &[Column<Share>] = &[
    Column {
        key: "name",
        title: "NAME",
        rank: Rank::Always,
        field: |share| Field::text(share.name.as_str()),
    },
    Column {
        key: "bytes_per_second",
        title: "BYTES",
        rank: Rank::Always,
        field: |share| rate(share.bytes_per_second),
    },
    Column {
        key: "crossing_bytes_per_second",
        title: "CROSSING",
        rank: Rank::Always,
        field: |share| rate(share.crossing_bytes_per_second),
    },
    Column {
        key: "usd_per_month",
        title: "$/MONTH",
        rank: Rank::Always,
        field: |share| usd(share.usd_per_month),
    },
    Column {
        key: "saved_usd_per_month",
        title: "SAVED",
        rank: Rank::Always,
        field: |share| usd(share.saved_usd_per_month),
    },
    Column {
        key: "basis",
        title: "BASIS",
        rank: Rank::Wide,
        field: |share| Field::text(share.basis.as_str()),
    },
];

const VOLUMES: &[Column<VolumeFit>] = &[
    Column {
        key: "volume",
        title: "VOLUME",
        rank: Rank::Always,
        field: |fit| Field::text(fit.volume.as_str()),
    },
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |fit| Field::data(fit.broker, fit.broker.map_or("-".to_owned(), |id| id.to_string())),
    },
    Column {
        key: "now",
        title: "NOW",
        rank: Rank::Always,
        field: |fit| Field::text(fit.now.as_str()),
    },
    Column {
        key: "usd_per_month",
        title: "$/MONTH",
        rank: Rank::Always,
        field: |fit| maybe_usd(fit.usd_per_month),
    },
    Column {
        key: "wanted",
        title: "FITS BETTER",
        rank: Rank::Always,
        field: |fit| Field::maybe(fit.wanted.as_ref()),
    },
    Column {
        key: "change_usd_per_month",
        title: "CHANGE",
        rank: Rank::Always,
        field: |fit| maybe_usd(fit.change_usd_per_month),
    },
    Column {
        key: "why",
        title: "WHY",
        rank: Rank::Wide,
        field: |fit| Field::text(fit.why.as_str()),
    },
];

const BROKERS: &[Column<BrokerFit>] = &[
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |fit| Field::number(fit.broker, fit.broker),
    },
    Column {
        key: "instance_type",
        title: "NOW",
        rank: Rank::Always,
        field: |fit| Field::maybe(fit.instance_type.as_ref()),
    },
    Column {
        key: "limit",
        title: "FIRST LIMIT",
        rank: Rank::Usual,
        field: |fit| Field::maybe(fit.limit.as_ref()),
    },
    Column {
        key: "limit_percent",
        title: "USED",
        rank: Rank::Always,
        field: |fit| Field::number(fit.percent, fit.percent.map_or("?".to_owned(), percent)),
    },
    Column {
        key: "zone_down_percent",
        title: "ZONE LOST",
        rank: Rank::Always,
        field: |fit| {
            Field::number(
                fit.zone_down_percent,
                fit.zone_down_percent.map_or("?".to_owned(), percent),
            )
        },
    },
    Column {
        key: "wanted",
        title: "FITS BETTER",
        rank: Rank::Always,
        field: |fit| Field::maybe(fit.wanted.as_ref()),
    },
    Column {
        key: "change_usd_per_month",
        title: "CHANGE",
        rank: Rank::Always,
        field: |fit| maybe_usd(fit.change_usd_per_month),
    },
    Column {
        key: "why",
        title: "WHY",
        rank: Rank::Wide,
        field: |fit| Field::text(fit.why.as_str()),
    },
];
