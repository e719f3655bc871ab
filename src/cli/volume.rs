//! `azimuth volume …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Column, Data, Field, Rank, bytes, duration, mb_per_second, percent, plain};
use crate::command::Line;
use crate::command::volume::Verb;
use crate::feed::Section;
use crate::model::row::volume::VolumeRow;

const NEEDS: [Section; 7] = [
    Section::Cluster,
    Section::Topics,
    Section::Reassignments,
    Section::Logdirs,
    Section::Instances,
    Section::Volumes,
    Section::Metrics,
];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let window = match verb {
        Verb::List { window } | Verb::Show { window, .. } => *window,
        _ => None,
    };
    let facts = gather(line, &NEEDS).await?.over(window);
    let volumes = facts.rows().volumes;
    let name = |row: &VolumeRow| row.id.clone();
    let mut answer = match verb {
        Verb::List { .. } => Answer::list(COLUMNS, &volumes, "volume", name),
        Verb::Show { ids, .. } => {
            let find = |id: &String| {
                volumes.iter().find(|row| row.id == *id).ok_or_else(|| {
                    let known: Vec<&str> = volumes.iter().map(|row| row.id.as_str()).collect();
                    facts.unknown("volume", id, &known)
                })
            };
            let chosen: Vec<&VolumeRow> = ids.iter().map(find).collect::<Result<_, _>>()?;
            let mut answer = Answer::list(COLUMNS, chosen, "volume", name);
            answer.blocks[0].upright = true;
            answer
        }
        _ => return Err(Failure::usage("that is a change")),
    };
    if volumes.is_empty()
        && let Some(reason) = facts.snapshot.cloud.zones.problem()
    {
        answer.problems.push(super::output::Problem {
            subjects: vec!["volumes".to_owned()],
            fields: Vec::new(),
            reason,
        });
    }
    Ok(facts.seal(answer))
}

const COLUMNS: &[Column<VolumeRow>] = &[
    Column {
        key: "volume",
        title: "VOLUME",
        rank: Rank::Always,
        field: |row| Field::text(&row.id),
    },
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |row| match row.broker {
            Some(id) => Field::number(id, id),
            None => Field::number(Data::Null, "-"),
        },
    },
    Column {
        key: "logdir",
        title: "LOG DIR",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.logdir.as_ref()),
    },
    Column {
        key: "method",
        title: "FOUND BY",
        rank: Rank::Wide,
        field: |row| Field::text(&row.method),
    },
    Column {
        key: "volume_type",
        title: "TYPE",
        rank: Rank::Always,
        field: |row| Field::text(&row.volume_type),
    },
    Column {
        key: "size_gib",
        title: "SIZE",
        rank: Rank::Always,
        field: |row| Field::number(row.size_gib, format!("{} GiB", row.size_gib)),
    },
    Column {
        key: "used_percent",
        title: "DISK",
        rank: Rank::Always,
        field: |row| Field::cell(&row.used_percent, |value| percent(*value)),
    },
    Column {
        key: "used_bytes",
        title: "USED",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.used_bytes, |value| bytes(*value)),
    },
    Column {
        key: "growth_bytes_per_second",
        title: "GROWTH",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.growth_bytes_per_second, |value| mb_per_second(*value)),
    },
    Column {
        key: "full_in_seconds",
        title: "FULL IN",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.full_in_seconds, |value| duration(*value)),
    },
    Column {
        key: "incoming_bytes",
        title: "INCOMING",
        rank: Rank::Wide,
        field: |row| Field::number(row.incoming_bytes, bytes(row.incoming_bytes)),
    },
    Column {
        key: "throughput_mb_per_second",
        title: "THROUGHPUT",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.throughput_mb_per_second, |value| format!("{} MB/s", plain(*value))),
    },
    Column {
        key: "throughput_limit_mb_per_second",
        title: "LIMIT",
        rank: Rank::Usual,
        field: |row| {
            Field::cell(&row.throughput_limit_mb_per_second, |value| {
                format!("{} MB/s", plain(*value))
            })
        },
    },
    Column {
        key: "iops",
        title: "IOPS",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.iops, |value| plain(*value)),
    },
    Column {
        key: "iops_limit",
        title: "LIMIT",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.iops_limit, |value| plain(*value)),
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
        key: "raise",
        title: "TO RAISE IT",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.raise, String::clone).left(),
    },
    Column {
        key: "queue_length",
        title: "QUEUE",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.queue_length, |value| plain(*value)),
    },
    Column {
        key: "read_latency_ms",
        title: "READ",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.read_latency_ms, |value| format!("{} ms", plain(*value))),
    },
    Column {
        key: "write_latency_ms",
        title: "WRITE",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.write_latency_ms, |value| format!("{} ms", plain(*value))),
    },
    Column {
        key: "latency_vs_peers",
        title: "VS PEERS",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.latency_vs_peers, |value| format!("{}x", plain(*value))),
    },
    Column {
        key: "burst_percent",
        title: "BURST",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.burst_percent, |value| percent(*value)),
    },
    Column {
        key: "instance_burst_percent",
        title: "EC2 BURST",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.instance_burst_percent, |value| percent(*value)),
    },
    Column {
        key: "stalled",
        title: "STALLED",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.stalled, |stalled| if *stalled { "YES" } else { "no" }.to_owned()),
    },
    Column {
        key: "modification",
        title: "MODIFICATION",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.modification.as_ref()),
    },
    Column {
        key: "modification_state",
        title: "ITS STATE",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.modification_state.as_ref()),
    },
    Column {
        key: "modification_progress_percent",
        title: "DONE",
        rank: Rank::Wide,
        field: |row| match row.modification_progress_percent {
            Some(done) => Field::number(done, percent(done as f64)),
            None => Field::number(Data::Null, "-"),
        },
    },
    Column {
        key: "modifications_24h",
        title: "IN 24 H",
        rank: Rank::Wide,
        field: |row| Field::number(row.modifications_24h, format!("{} of 4", row.modifications_24h)),
    },
    Column {
        key: "snapshot_age_seconds",
        title: "SNAPSHOT",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.snapshot_age_seconds, |age| duration(*age as f64)),
    },
    Column {
        key: "filesystem_percent",
        title: "FILE SYSTEM",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.filesystem_percent, |value| percent(*value)),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Wide,
        field: |row| Field::text(&row.state),
    },
    Column {
        key: "zone",
        title: "ZONE",
        rank: Rank::Wide,
        field: |row| Field::text(&row.zone),
    },
    Column {
        key: "instance",
        title: "INSTANCE",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.instance.as_ref()),
    },
    Column {
        key: "device",
        title: "DEVICE",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.device.as_ref()),
    },
    Column {
        key: "encrypted",
        title: "ENCRYPTED",
        rank: Rank::Wide,
        field: |row| Field::data(row.encrypted, if row.encrypted { "yes" } else { "no" }),
    },
    Column {
        key: "stale_seconds",
        title: "AGE",
        rank: Rank::Wide,
        field: |row| match row.stale_seconds {
            Some(age) => Field::number(age, duration(age as f64)),
            None => Field::number(Data::Null, ""),
        },
    },
];
