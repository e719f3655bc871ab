//! Storage options: instance store or EBS, types of volumes, replication factor.

use super::setting::{self, at, ids, machines, number, survey, topics, types, value, volumes};
use super::survey::Survey;
use super::{Check, Holds, Lack, Outcome, Plane, Section, Severity, broker};
use crate::check::Facts;
use crate::model::BrokerId;

pub const CHECKS: &[Check] = &[
    Check {
        id: "instance-store",
        row: "22",
        section: Section::Storage,
        severity: Severity::Info,
        title: "a broker whose logs lie on instance store is known as one",
        said: "instance store gives high IOPS",
        holds: Holds::Keep,
        today: "great throughput for the money, and gone with the instance: tag such instances kafka:storage=ephemeral",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: instance_store,
    },
    Check {
        id: "volume-type",
        row: "23",
        section: Section::Storage,
        severity: Severity::Medium,
        title: "logs lie on gp3, io1 or io2",
        said: "EBS is more resilient, and its IOPS can be chosen",
        holds: Holds::Update,
        today: "gp3: 3,000 IOPS and 125 MiB/s come with it, up to 80,000 and 2,000; st1 and gp2 live on credit, sc1 and standard are too slow",
        planes: &[Plane::Aws],
        judge: volume_type,
    },
    Check {
        id: "catch-up-throttle",
        row: "24",
        section: Section::Storage,
        severity: Severity::High,
        title: "a large catch-up is throttled",
        said: "copying a broker's data again affects the network and the cluster",
        holds: Holds::Keep,
        today: "throttle the catch-up of whoever comes back: unthrottled, it is the second outage",
        planes: &[Plane::Kafka],
        judge: catch_up_throttle,
    },
    Check {
        id: "store-small-cluster",
        row: "25",
        section: Section::Storage,
        severity: Severity::Medium,
        title: "a small cluster does not keep its logs on instance store",
        said: "instance store is for large and medium clusters",
        holds: Holds::Update,
        today: "up to six brokers: gp3, or tiered storage (KIP-405), because a lost broker is copied by few",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: store_small_cluster,
    },
    Check {
        id: "old-types",
        row: "26,32",
        section: Section::Storage,
        severity: Severity::Medium,
        title: "no broker runs on a type that the article praises",
        said: "h1, i3 and d2 are ideal; Intuit used r3.xlarge with st1",
        holds: Holds::Invert,
        today: "i4i, i7i, i7ie, i8g, im4gn or d3en for instance store, r7g, m7g and newer with gp3 else; EC2 still calls h1 and i3 current",
        planes: &[Plane::Aws],
        judge: old_types,
    },
    Check {
        id: "delete-on-termination",
        row: "27",
        section: Section::Storage,
        severity: Severity::High,
        title: "data volumes outlive their instance",
        said: "data on EBS persists when an instance is terminated",
        holds: Holds::Keep,
        today: "only with DeleteOnTermination off; a volume attached at launch may have it on",
        planes: &[Plane::Aws],
        judge: delete_on_termination,
    },
    Check {
        id: "volume-tag",
        row: "28",
        section: Section::Storage,
        severity: Severity::Low,
        title: "a data volume says which log directory it holds",
        said: "a volume can be mounted on a new instance, and only the rest is copied",
        holds: Holds::Keep,
        today: "tag it kafka:log-dir, so that whoever replaces an instance at night finds it",
        planes: &[Plane::Aws],
        judge: volume_tag,
    },
    Check {
        id: "restack",
        row: "29",
        section: Section::Storage,
        severity: Severity::Low,
        title: "no instance is older than a year",
        said: "Intuit restacks often",
        holds: Holds::Keep,
        today: "an image that is built anew and a data volume that stays; what nobody restacked for a year nobody dares to",
        planes: &[Plane::Aws],
        judge: restack,
    },
    Check {
        id: "replication-factor",
        row: "30",
        section: Section::Storage,
        severity: Severity::High,
        title: "every topic has three replicas",
        said: "three in general; Intuit chose two, because EBS replicates too",
        holds: Holds::Invert,
        today: "three: EBS replicates within one zone only, so that of two replicas a zone and a broker take both; with one a restart is an outage",
        planes: &[Plane::Kafka],
        judge: replication_factor,
    },
    Check {
        id: "min-isr",
        row: "30",
        section: Section::Storage,
        severity: Severity::High,
        title: "min ISR is above one and below the replication factor",
        said: "(nothing)",
        holds: Holds::Update,
        today: "2 of 3: with 1 a leader alone acknowledges what is lost with it, with RF one loss stops writes",
        planes: &[Plane::Kafka],
        judge: min_isr,
    },
    Check {
        id: "replication-defaults",
        row: "30",
        section: Section::Storage,
        severity: Severity::High,
        title: "new topics, offsets and transactions get three replicas by default",
        said: "(nothing)",
        holds: Holds::Update,
        today: "default.replication.factor, offsets.topic.replication.factor and transaction.state.log.replication.factor 3",
        planes: &[Plane::Kafka],
        judge: replication_defaults,
    },
    Check {
        id: "unclean-election",
        row: "30",
        section: Section::Storage,
        severity: Severity::High,
        title: "nobody out of sync becomes leader",
        said: "(nothing)",
        holds: Holds::Update,
        today: "unclean.leader.election.enable=false, on the brokers and on every topic",
        planes: &[Plane::Kafka],
        judge: unclean_election,
    },
];

/// Types whose generation is over, whatever EC2 calls them.
const OLD: [&str; 15] = [
    "h1", "i2", "i3", "d2", "r3", "r4", "c3", "c4", "m3", "m4", "m1", "m2", "c1", "x1", "p2",
];

/// `r3` of `r3.xlarge`.
pub(super) fn family(instance_type: &str) -> &str {
    instance_type.split('.').next().unwrap_or_default()
}

/// Brokers whose type has instance store and of whose log directories no volume is known.
fn on_store<'a>(facts: &Facts<'a>, survey: &mut Survey, mut found: impl FnMut(&mut Survey, BrokerId, &'a str, bool)) {
    let snapshot = facts.snapshot;
    machines(facts, survey, |survey, row, instance| {
        let Some(limits) = snapshot.cloud.types.get(&instance.instance_type) else {
            survey.lacking(setting::call(
                facts,
                "DescribeInstanceTypes",
                &format!("what {} has", instance.instance_type),
            ));
            return;
        };
        let ephemeral = limits.instance_storage_gb.unwrap_or(0) > 0 && row.volumes.is_empty();
        found(survey, row.id, &instance.instance_type, ephemeral);
    });
}

fn instance_store(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        "DescribeInstanceTypes",
        "storage of the logs",
        "EBS, or tagged ephemeral",
    );
    let mut untagged = Vec::new();
    on_store(facts, &mut survey, |survey, id, name, ephemeral| {
        let tagged = facts
            .snapshot
            .cloud
            .instance_of(id)
            .is_some_and(|one| one.tags.get("kafka:storage").is_some_and(|tag| tag == "ephemeral"));
        if ephemeral && !tagged {
            untagged.extend(facts.snapshot.cloud.instance_of(id).map(|one| one.id.clone()));
        }
        let value = if ephemeral { "instance store" } else { "EBS" };
        survey.add(!ephemeral || tagged, broker(id), format!("{value} ({name})"), None);
    });
    survey
        .end(
            "no log lies on instance store unawares",
            "logs on instance store, and no tag says so",
        )
        .fix(format!(
            "aws ec2 create-tags --resources {} --tags Key=kafka:storage,Value=ephemeral",
            untagged.join(" ")
        ))
}

fn store_small_cluster(facts: &Facts<'_>) -> Outcome {
    let brokers = facts.rows.brokers.len();
    let mut survey = Survey::new("DescribeInstanceTypes", "storage of the logs", "EBS up to six brokers");
    on_store(facts, &mut survey, |survey, id, name, ephemeral| {
        let rebuild = facts.rows.brokers.iter().find(|row| row.id == id).and_then(|row| {
            let limits = facts.snapshot.cloud.types.get(name)?;
            let bytes = row.size_bytes.value? as f64;
            let mb = limits.network_baseline_gbit_per_second? * 125.0;
            Some(format!(
                ", rebuilt in {} at least",
                super::super::text::span(bytes / (mb * 1e6))
            ))
        });
        let value = format!(
            "{}{}",
            if ephemeral { "instance store" } else { "EBS" },
            rebuild.unwrap_or_default()
        );
        survey.add(!ephemeral || brokers > 6, broker(id), value, None);
    });
    survey.end("small clusters' logs lie on EBS", "instance store in a small cluster")
}

fn volume_type(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeVolumes", "type", "gp3, io1 or io2");
    let mut slow = false;
    let mut first = None;
    volumes(facts, &mut survey, |survey, row| {
        let fits = matches!(row.volume_type.as_str(), "gp3" | "io1" | "io2");
        slow |= matches!(row.volume_type.as_str(), "standard" | "sc1");
        if !fits {
            first.get_or_insert_with(|| row.id.clone());
        }
        survey.add(fits, &row.id, &row.volume_type, None);
    });
    let fix = format!(
        "azimuth volume modify {} --type gp3 --throughput 250",
        first.unwrap_or_default()
    );
    let severity = if slow { Severity::High } else { Severity::Medium };
    survey
        .end(
            "all data volumes are gp3 or better",
            "volumes that live on credit or are slow",
        )
        .severity(severity)
        .fix(fix)
}

/// A catch-up below this is over before a throttle is set.
const LARGE: u64 = 1_000_000_000;

fn catch_up_throttle(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = topics(facts) {
        return untold;
    }
    let mut missing: std::collections::BTreeMap<BrokerId, u64> = std::collections::BTreeMap::new();
    let mut unsized_ = 0;
    for row in facts.shrunk() {
        for id in row.replicas.iter().filter(|id| !row.isr.contains(id)) {
            match row.size_bytes().value {
                Some(size) => *missing.entry(*id).or_default() += size,
                None => unsized_ += 1,
            }
        }
    }
    let mut survey = Survey::new("DescribeLogDirs", "to catch up at most", "below 1 GB, or throttled");
    let throttled = |id: BrokerId| facts.rows.throttles.iter().any(|row| row.broker == Some(id));
    for (id, bytes) in &missing {
        let up = facts.broker(*id).is_some_and(|row| !row.state.is_down());
        let value = format!("{:.1} GB", *bytes as f64 / 1e9);
        survey.add(!up || *bytes < LARGE || throttled(*id), broker(*id), value, None);
    }
    if unsized_ > 0 {
        survey.lack(
            Lack::Answer,
            format!("the size of {unsized_} partitions that are not in sync is not known"),
        );
    }
    if survey.is_empty() && unsized_ == 0 {
        return Outcome::pass("nobody has to catch up");
    }
    let fix = missing
        .keys()
        .next()
        .map(|id| format!("azimuth throttle set --catch-up --broker {id}"));
    survey
        .end(
            "what catches up is small, throttled, or down still",
            "catches up without a throttle",
        )
        .fix(fix.unwrap_or_default())
}

fn old_types(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        "DescribeInstances",
        "type",
        "i4i, i7i, i8g, im4gn, d3en, r7g, m7g or newer",
    );
    machines(facts, &mut survey, |survey, row, instance| {
        let old = OLD.contains(&family(&instance.instance_type));
        survey.add(!old, broker(row.id), &instance.instance_type, None);
    });
    survey
        .end("no broker runs on a type of 2018", "types of the article's time")
        .fix("azimuth broker list -o wide")
}

fn delete_on_termination(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeVolumes", "DeleteOnTermination", "false");
    let mut fix = None;
    let cloud = &facts.snapshot.cloud;
    volumes(facts, &mut survey, |survey, row| {
        let known = cloud.volume(&row.id);
        match known.and_then(|volume| volume.delete_on_termination) {
            Some(deletes) => {
                if let (true, Some(instance), Some(device)) = (deletes, &row.instance, &row.device) {
                    fix.get_or_insert_with(|| {
                        format!(
                            "aws ec2 modify-instance-attribute --instance-id {instance} --block-device-mappings \
                             DeviceName={device},Ebs={{DeleteOnTermination=false}}"
                        )
                    });
                }
                survey.add(!deletes, &row.id, deletes.to_string(), None);
            }
            None => survey.lack(
                Lack::Metric,
                format!("EC2 does not tell DeleteOnTermination of {}", row.id),
            ),
        }
    });
    survey
        .end("data volumes outlive their instances", "goes with its instance")
        .fix(fix.unwrap_or_default())
}

fn volume_tag(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeVolumes", "tag kafka:log-dir", "the log directory's path");
    let mut bare = Vec::new();
    let cloud = &facts.snapshot.cloud;
    volumes(facts, &mut survey, |survey, row| {
        let Some(volume) = cloud.volume(&row.id) else { return };
        let tag = volume.tags.get("kafka:log-dir");
        if tag.is_none() {
            bare.push((row.id.clone(), row.logdir.clone().unwrap_or_else(|| "DIR".to_owned())));
        }
        survey.add(tag.is_some(), &row.id, tag.map_or("none", String::as_str), None);
    });
    let fix = bare
        .first()
        .map(|(id, dir)| format!("aws ec2 create-tags --resources {id} --tags Key=kafka:log-dir,Value={dir}"));
    survey
        .end("every data volume names its log directory", "no tag says what it holds")
        .fix(fix.unwrap_or_default())
}

const YEAR_SECONDS: i64 = 365 * 86_400;

fn restack(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeInstances", "launched", "within a year");
    machines(facts, &mut survey, |survey, row, instance| match instance.launched_at {
        Some(at) => {
            let age = facts.now.duration_since(at).as_secs();
            survey.add(
                age < YEAR_SECONDS,
                broker(row.id),
                format!("{} days ago", age / 86_400),
                None,
            );
        }
        None => survey.lack(
            Lack::Metric,
            format!("EC2 does not tell when the instance of {} was launched", broker(row.id)),
        ),
    });
    survey
        .end("no instance is older than a year", "older than a year")
        .fix("azimuth restart plan --all")
}

fn replication_factor(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = topics(facts) {
        return untold;
    }
    let mut survey = Survey::new("Metadata", "replication factor", "3 or more");
    let mut least = u32::MAX;
    for row in facts.rows.topics.iter() {
        least = least.min(row.replication_factor);
        let fits = row.replication_factor >= 3;
        survey.add(
            fits,
            format!("topic {}", row.name),
            row.replication_factor.to_string(),
            at(&facts.snapshot.topics),
        );
    }
    if survey.is_empty() {
        return Outcome::not_applicable("there is no topic");
    }
    let severity = if least < 2 { Severity::Critical } else { Severity::High };
    survey
        .end("every topic has three replicas or more", "fewer than three replicas")
        .severity(severity)
        .fix("azimuth reassign plan --rf 3 --out rf.json")
}

fn min_isr(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = topics(facts) {
        return untold;
    }
    let mut survey = Survey::new(setting::CONFIGS, "min.insync.replicas", "above 1 and below RF");
    let seen = at(&facts.snapshot.topic_configs);
    for row in facts.rows.topics.iter() {
        let least = row.min_isr.value;
        match least {
            Some(least) => {
                let fits = least >= 2 && least < row.replication_factor;
                survey.add(
                    fits,
                    format!("topic {}", row.name),
                    format!("{least} of {}", row.replication_factor),
                    seen,
                );
            }
            None => survey.lacking(Lack::of(&facts.snapshot.topic_configs, "topic configs")),
        }
    }
    if facts.rows.topics.is_empty() {
        return Outcome::not_applicable("there is no topic");
    }
    survey
        .end("min ISR is 2 or more everywhere, and below RF", "1, or not below RF")
        .fix("azimuth config set min.insync.replicas=2 --all-brokers")
}

fn replication_defaults(facts: &Facts<'_>) -> Outcome {
    const NAMES: [&str; 3] = [
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
    ];
    let mut all = Survey::new(setting::CONFIGS, "replication factors", "3 or more");
    for name in NAMES {
        for id in ids(facts) {
            match value(facts, id, name) {
                Ok((value, seen)) => {
                    let fits = value.parse::<i64>().is_ok_and(|factor| factor >= 3);
                    all.add(fits, broker(id), format!("{name}={value}"), seen);
                }
                Err(why) => all.lacking(why),
            }
        }
    }
    all.end("all defaults are 3", "fewer by default")
        .fix("default.replication.factor=3 (and the two others) in each broker's server.properties; then azimuth restart plan --all")
}

fn unclean_election(facts: &Facts<'_>) -> Outcome {
    const NAME: &str = "unclean.leader.election.enable";
    let mut all = survey(facts, NAME, "false", |_, value| value.eq_ignore_ascii_case("false"));
    match facts.snapshot.topic_configs.get() {
        None => all.lacking(Lack::of(&facts.snapshot.topic_configs, "topic configs")),
        Some(topics) => {
            for (topic, configs) in topics {
                if let Some(own) = configs.iter().find(|config| config.name == NAME) {
                    let value = own.value.as_deref().unwrap_or_default();
                    all.add(
                        value.eq_ignore_ascii_case("false"),
                        format!("topic {topic}"),
                        value,
                        at(&facts.snapshot.topic_configs),
                    );
                }
            }
        }
    }
    all.end("only who is in sync becomes leader", "may be led by who is not in sync")
        .fix("azimuth config set unclean.leader.election.enable=false --all-brokers")
}

/// Types whose EBS is not optimised, or hardly.
pub(super) fn ebs_optimized(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        "DescribeInstanceTypes",
        "EBS baseline",
        "more than 62.5 MB/s, optimised",
    );
    types(facts, &mut survey, |survey, row, limits| {
        let unsupported = limits.ebs_optimized.as_deref() == Some("unsupported");
        match (unsupported, limits.ebs_baseline_mb_per_second) {
            (true, _) => survey.add(false, broker(row.id), format!("{}: not optimised", limits.name), None),
            (false, Some(mb)) => survey.add(
                mb > 62.5,
                broker(row.id),
                format!("{}: {mb:.0} MB/s", limits.name),
                None,
            ),
            (false, None) => survey.lack(Lack::Metric, format!("EC2 tells no EBS baseline of {}", limits.name)),
        }
    });
    survey.end(
        "EBS is optimised on every type",
        "no more EBS than the article's r3.xlarge",
    )
}

/// The number of log directories of a broker.
pub(super) fn directories(facts: &Facts<'_>, id: BrokerId) -> Option<usize> {
    facts.snapshot.logdirs.get(&id)?.get().map(Vec::len)
}

/// `replica.lag.time.max.ms`, or Kafka's default.
pub(super) fn lag_time_ms(facts: &Facts<'_>) -> f64 {
    number(facts, "replica.lag.time.max.ms").unwrap_or(30_000.0)
}
