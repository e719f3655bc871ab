//! `azimuth broker …`

use super::exit::Failure;
use super::facts::{Facts, gather, gather_over, tell_window};
use super::logdir;
use super::output::{
    Answer, Block, Column, Data, Field, Rank, Sheet, bytes, count, duration, mb_per_second, percent, plain,
};
use crate::command::Line;
use crate::command::broker::Verb;
use crate::command::value::Time;
use crate::feed::Section;
use crate::model::BrokerId;
use crate::model::config::{Config, ConfigSource};
use crate::model::row::Rows;
use crate::model::row::broker::{BrokerRow, ZoneRow};

const NEEDS: [Section; 9] = [
    Section::Cluster,
    Section::Links,
    Section::Topics,
    Section::Reassignments,
    Section::Logdirs,
    Section::Instances,
    Section::Volumes,
    Section::Metrics,
    Section::BrokerMetrics,
];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    match verb {
        Verb::List { window } => {
            let facts = gather_over(line, &NEEDS, window.map(|window| window.0)).await?;
            tell_window(*window);
            let Rows { mut brokers, zones, .. } = facts.rows();
            brokers.sort_by(|one, other| (&one.zone, one.id).cmp(&(&other.zone, other.id)));
            let mut answer = Answer::list(COLUMNS, &brokers, "broker", |row| row.id.to_string());
            let sheet = Sheet::of(ZONES, &zones);
            answer.beside.insert("zones", sheet.items());
            answer.blocks.push(Block {
                title: Some("ZONES".to_owned()),
                sheet,
                upright: false,
            });
            Ok(facts.seal(answer))
        }
        Verb::Show { id, window } => show(line, *id, *window).await,
        Verb::Config { id, all, key } => config(line, *id, *all, key.as_deref()).await,
        Verb::Stop(_) | Verb::Start(_) | Verb::Replace { .. } => {
            Err(Failure::usage("that is a change, not a question"))
        }
    }
}

async fn show(line: &Line, id: BrokerId, window: Option<Time>) -> Result<Answer, Failure> {
    let facts = gather_over(line, &NEEDS, window.map(|window| window.0)).await?;
    tell_window(window);
    let facts = about(facts, id);
    let rows = facts.rows();
    let broker = rows.brokers.iter().find(|row| row.id == id);
    let broker = broker.ok_or_else(|| unknown(&facts, id))?;
    let mut answer = Answer::list(COLUMNS, [broker], "broker", |row| row.id.to_string());
    answer.blocks[0].upright = true;
    let dirs: Vec<_> = rows.logdirs.iter().filter(|row| row.broker == id).cloned().collect();
    let sheet = Sheet::of(logdir::COLUMNS, &dirs);
    let items = std::mem::take(&mut answer.items).into_iter();
    answer.items = items
        .map(|item| {
            item.with("state_reason", broker.state_reason.clone())
                .with("logdirs", Data::List(sheet.items()))
        })
        .collect();
    answer.blocks.push(Block {
        title: Some("LOG DIRS".to_owned()),
        sheet,
        upright: false,
    });
    Ok(facts.seal(answer))
}

async fn config(line: &Line, id: BrokerId, all: bool, key: Option<&str>) -> Result<Answer, Failure> {
    let pattern = super::pattern("--key", key)?;
    let facts = about(gather(line, &[Section::Cluster, Section::BrokerConfigs]).await?, id);
    let brokers = facts.snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    if !brokers.iter().any(|broker| broker.id == id) {
        return Err(unknown(&facts, id));
    }
    let configs = facts.snapshot.broker_configs.get(&id).and_then(|seen| seen.get());
    let shown: Vec<&Config> = configs
        .into_iter()
        .flatten()
        .filter(|config| all || config.source != ConfigSource::Default)
        .filter(|config| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&config.name)))
        .collect();
    let answer = Answer::list(CONFIG, shown, "config", |config| config.name.clone());
    Ok(facts.seal(answer))
}

/// What other brokers did not tell is not this one's problem.
fn about(facts: Facts, id: BrokerId) -> Facts {
    let own = format!("broker {id}");
    facts.only(|subject| !subject.starts_with("broker ") || subject == own || subject.starts_with(&format!("{own} ")))
}

fn unknown(facts: &Facts, id: BrokerId) -> Failure {
    facts.unknown("broker", &id.to_string(), &[])
}

pub const COLUMNS: &[Column<BrokerRow>] = &[
    Column {
        key: "zone",
        title: "ZONE",
        rank: Rank::Usual,
        field: |row| Field::text(&row.zone),
    },
    Column {
        key: "id",
        title: "ID",
        rank: Rank::Always,
        field: |row| Field::number(row.id, row.id),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |row| Field::text(row.state.to_string()),
    },
    Column {
        key: "is_controller",
        title: "CTRL",
        rank: Rank::Usual,
        field: |row| Field::mark(row.is_controller, "*"),
    },
    Column {
        key: "host",
        title: "HOST",
        rank: Rank::Wide,
        field: |row| Field::text(&row.host),
    },
    Column {
        key: "port",
        title: "PORT",
        rank: Rank::Wide,
        field: |row| Field::number(i64::from(row.port), row.port),
    },
    Column {
        key: "rack",
        title: "RACK",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.rack.as_ref()),
    },
    Column {
        key: "az_id",
        title: "AZ ID",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.zone_id.as_ref()),
    },
    Column {
        key: "leaders",
        title: "LEAD",
        rank: Rank::Always,
        field: |row| Field::cell(&row.leaders, count),
    },
    Column {
        key: "replicas",
        title: "REPL",
        rank: Rank::Always,
        field: |row| Field::cell(&row.replicas, count),
    },
    Column {
        key: "isr_misses",
        title: "MISS",
        rank: Rank::Always,
        field: |row| Field::cell(&row.isr_misses, count),
    },
    Column {
        key: "leader_skew_percent",
        title: "LEAD ±",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.leader_skew_percent, skew),
    },
    Column {
        key: "size_bytes",
        title: "BYTES",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.size_bytes, |value| bytes(*value)),
    },
    Column {
        key: "size_skew_percent",
        title: "BYTES ±",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.size_skew_percent, skew),
    },
    Column {
        key: "led_elsewhere",
        title: "LED ELSEWHERE",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.led_elsewhere, count),
    },
    Column {
        key: "rack_violations",
        title: "RACK FAULTS",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.rack_violations, count),
    },
    Column {
        key: "disk_used_percent",
        title: "DISK",
        rank: Rank::Always,
        field: |row| Field::cell(&row.used_percent, |value| percent(*value)),
    },
    Column {
        key: "disk_used_bytes",
        title: "USED",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.used_bytes, |value| bytes(*value)),
    },
    Column {
        key: "disk_total_bytes",
        title: "SIZE",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.total_bytes, |value| bytes(*value)),
    },
    Column {
        key: "disk_offline_dirs",
        title: "OFFLINE",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.offline_dirs, count),
    },
    Column {
        key: "ebs_throughput_percent",
        title: "EBS",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.throughput_percent, |value| percent(*value)),
    },
    Column {
        key: "ebs_throughput_limit_mb_per_second",
        title: "EBS LIMIT",
        rank: Rank::Wide,
        field: |row| {
            Field::cell(&row.throughput_limit_mb_per_second, |value| {
                format!("{} MB/s", plain(*value))
            })
        },
    },
    Column {
        key: "ebs_throughput_limit_name",
        title: "SET BY",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.throughput_limit_name.as_ref()),
    },
    Column {
        key: "binding_limit",
        title: "BINDS",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.binding.map(|load| Some(load.kind.to_string())), String::clone).left(),
    },
    Column {
        key: "binding_name",
        title: "SET BY",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.binding.map(|load| Some(load.name.clone())), String::clone).left(),
    },
    Column {
        key: "binding_percent",
        title: "OF IT",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.binding.map(|load| Some(load.percent())), |value| percent(*value)),
    },
    Column {
        key: "zone_down_percent",
        title: "AZ LOST",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.zone_down_percent, |value| percent(*value)),
    },
    Column {
        key: "zone_down",
        title: "WHICH",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.zone_down.as_ref()),
    },
    Column {
        key: "ebs_iops_percent",
        title: "IOPS",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.iops_percent, |value| percent(*value)),
    },
    Column {
        key: "network_percent",
        title: "NET",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.network_percent, |value| percent(*value)),
    },
    Column {
        key: "network_in_bytes_per_second",
        title: "IN",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.network_in_bytes_per_second, |value| mb_per_second(*value)),
    },
    Column {
        key: "network_out_bytes_per_second",
        title: "OUT",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.network_out_bytes_per_second, |value| mb_per_second(*value)),
    },
    Column {
        key: "ebs_burst_percent",
        title: "EBS BURST",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.burst_percent, |value| percent(*value)),
    },
    Column {
        key: "cpu_percent",
        title: "CPU",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.cpu_percent, |value| percent(*value)),
    },
    Column {
        key: "bytes_in_per_second",
        title: "BYTES IN",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.bytes_in_per_second, |value| mb_per_second(*value)),
    },
    Column {
        key: "bytes_out_per_second",
        title: "BYTES OUT",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.bytes_out_per_second, |value| mb_per_second(*value)),
    },
    Column {
        key: "request_idle_percent",
        title: "REQ IDLE",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.request_idle_percent, |value| percent(*value)),
    },
    Column {
        key: "produce_p99_ms",
        title: "PRODUCE p99",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.produce_p99_ms, |value| format!("{} ms", plain(*value))),
    },
    Column {
        key: "fetch_p99_ms",
        title: "FETCH p99",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.fetch_p99_ms, |value| format!("{} ms", plain(*value))),
    },
    Column {
        key: "disk_write_ms",
        title: "DISK WRITE",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.disk_write_ms, |value| format!("{} ms", plain(*value))),
    },
    Column {
        key: "host_cpu_percent",
        title: "HOST CPU",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.host_cpu_percent, |value| percent(*value)),
    },
    Column {
        key: "rtt_ms",
        title: "RTT",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.rtt_ms, |value| format!("{} ms", plain(*value))),
    },
    Column {
        key: "instance",
        title: "INSTANCE",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.instance, String::clone).left(),
    },
    Column {
        key: "instance_type",
        title: "TYPE",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.instance_type, String::clone).left(),
    },
    Column {
        key: "instance_state",
        title: "EC2",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.instance_state, String::clone).left(),
    },
    Column {
        key: "instance_method",
        title: "FOUND BY",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.instance_method.as_ref()),
    },
    Column {
        key: "up_seconds",
        title: "UP",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.up_seconds, |value| duration(*value as f64)),
    },
    Column {
        key: "volumes",
        title: "VOLUMES",
        rank: Rank::Wide,
        field: |row| Field::list(&row.volumes),
    },
];

/// `+6%`: how far from a fair share.
fn skew(percent: &f64) -> String {
    match percent.abs() < 0.5 {
        true => "0%".to_owned(),
        false => format!("{percent:+.0}%"),
    }
}

/// The zones that brokers lie in: what a person adds up by eye otherwise.
const ZONES: &[Column<ZoneRow>] = &[
    Column {
        key: "zone",
        title: "ZONE",
        rank: Rank::Always,
        field: |row| Field::text(&row.key),
    },
    Column {
        key: "zone_name",
        title: "NAME",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.zone_name.as_ref()),
    },
    Column {
        key: "up",
        title: "UP",
        rank: Rank::Always,
        field: |row| Field::number(row.up, format!("{}/{}", row.up, row.brokers)),
    },
    Column {
        key: "brokers",
        title: "BROKERS",
        rank: Rank::Wide,
        field: |row| Field::number(row.brokers, row.brokers),
    },
    Column {
        key: "leaders",
        title: "LEAD",
        rank: Rank::Always,
        field: |row| Field::cell(&row.leaders, count),
    },
    Column {
        key: "leader_skew_percent",
        title: "LEAD ±",
        rank: Rank::Always,
        field: |row| Field::cell(&row.leader_skew_percent, skew),
    },
    Column {
        key: "replicas",
        title: "REPL",
        rank: Rank::Always,
        field: |row| Field::cell(&row.replicas, count),
    },
    Column {
        key: "size_bytes",
        title: "BYTES",
        rank: Rank::Always,
        field: |row| Field::cell(&row.size_bytes, |value| bytes(*value)),
    },
    Column {
        key: "size_skew_percent",
        title: "BYTES ±",
        rank: Rank::Always,
        field: |row| Field::cell(&row.size_skew_percent, skew),
    },
    Column {
        key: "in_bytes_per_second",
        title: "IN",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.in_bytes_per_second, |value| mb_per_second(*value)),
    },
    Column {
        key: "out_bytes_per_second",
        title: "OUT",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.out_bytes_per_second, |value| mb_per_second(*value)),
    },
];

const CONFIG: &[Column<Config>] = &[
    Column {
        key: "name",
        title: "KEY",
        rank: Rank::Always,
        field: |config| Field::text(&config.name),
    },
    Column {
        key: "value",
        title: "VALUE",
        rank: Rank::Always,
        field: |config| match (&config.value, config.sensitive) {
            (_, true) => Field::data(Data::Null, "(sensitive)"),
            (value, false) => Field::maybe(value.as_ref()),
        },
    },
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Usual,
        field: |config| Field::text(config.source.to_string()),
    },
    Column {
        key: "read_only",
        title: "READ-ONLY",
        rank: Rank::Wide,
        field: |config| Field::mark(config.read_only, "yes"),
    },
    Column {
        key: "sensitive",
        title: "SENSITIVE",
        rank: Rank::Wide,
        field: |config| Field::mark(config.sensitive, "yes"),
    },
];
