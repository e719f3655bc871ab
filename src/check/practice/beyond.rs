//! What the article does not have, and incidents taught: partitions, leftovers, identities, disks, settings of restarts.

use super::fault::none_with;
use super::setting::{self, CONFIGS, at, cell, ids, machines, survey, topics, value, volumes};
use super::survey::Survey;
use super::{Check, Holds, Lack, Outcome, Plane, Section, Severity, broker};
use crate::check::Facts;
use crate::model::config::ConfigSource;
use crate::model::event::EventKind;
use crate::model::identity::Identity;
use crate::model::row::partition::Badge;
use crate::model::row::throttle::Standing;

/// What the article does not say.
const NEW: Check = Check {
    id: "",
    row: "+",
    section: Section::Beyond,
    severity: Severity::High,
    title: "",
    said: "",
    holds: Holds::New,
    today: "",
    planes: &[Plane::Kafka],
    judge: |_| Outcome::advice(""),
};

pub const CHECKS: &[Check] = &[
    Check {
        id: "offline-partitions",
        severity: Severity::Critical,
        title: "every partition has a leader",
        today: "without one nobody writes or reads; the first thing to watch, and not in the article",
        judge: |facts| {
            none_with(
                facts,
                Badge::Offline,
                "a leader",
                "every partition has a leader",
                "partitions have no leader",
            )
            .fix("azimuth triage")
        },
        ..NEW
    },
    Check {
        id: "under-min-isr",
        severity: Severity::Critical,
        title: "no partition refuses acks=all",
        today: "fewer in sync than min.insync.replicas: producers with acks=all are refused",
        judge: |facts| {
            let well = "nothing is under min ISR";
            none_with(
                facts,
                Badge::UnderMinIsr,
                "min ISR or more in sync",
                well,
                "partitions refuse acks=all",
            )
            .fix("azimuth triage")
        },
        ..NEW
    },
    Check {
        id: "under-replicated",
        title: "all replicas are in sync",
        today: "a replica that stays out of sync is a copy less when something else breaks",
        judge: |facts| {
            none_with(
                facts,
                Badge::UnderReplicated,
                "all in sync",
                "all replicas are in sync",
                "partitions miss a replica",
            )
            .fix("azimuth triage")
        },
        ..NEW
    },
    Check {
        id: "isr-churn",
        severity: Severity::Medium,
        title: "replicas do not leave and join again and again",
        today: "shrinks and expansions without a restart mean that a broker, a disk or the network only just keeps up",
        planes: &[Plane::Kafka, Plane::Recording],
        judge: isr_churn,
        ..NEW
    },
    Check {
        id: "replica-lag",
        severity: Severity::Medium,
        title: "no replica is far behind",
        today: "ReplicaMaxLag before it becomes an ISR shrink",
        judge: replica_lag,
        ..NEW
    },
    Check {
        id: "offline-logdirs",
        severity: Severity::Critical,
        title: "no log directory is offline",
        today: "one I/O error takes a directory offline, and all its replicas with it",
        judge: offline_logdirs,
        ..NEW
    },
    Check {
        id: "elr",
        severity: Severity::Low,
        title: "min.insync.replicas is set for the cluster, not broker by broker",
        today: "with eligible leader replicas (KIP-966, on by default for new clusters since 4.1) a broker's own value is removed",
        judge: elr,
        ..NEW
    },
    Check {
        id: "leftover-throttle",
        title: "no throttle is left behind",
        today: "what a tool forgot slows the next recovery, when it hurts most",
        judge: leftover_throttle,
        ..NEW
    },
    Check {
        id: "stuck-reassignment",
        title: "no reassignment stands still",
        today: "a move to a dead broker never ends, and holds an extra replica until then",
        judge: stuck_reassignment,
        ..NEW
    },
    Check {
        id: "leader-imbalance",
        severity: Severity::Medium,
        title: "leaders are spread over zones and brokers",
        today: "one zone with most leaders takes most clients with it",
        judge: leader_imbalance,
        ..NEW
    },
    Check {
        id: "auto-leader-rebalance",
        severity: Severity::Low,
        title: "leaders go back by themselves",
        today: "auto.leader.rebalance.enable=true, unless somebody moves leaders by hand",
        judge: |facts| {
            survey(facts, "auto.leader.rebalance.enable", "true", |_, value| {
                value == "true"
            })
            .end("leaders go back by themselves", "leaders stay where they fled to")
            .fix("auto.leader.rebalance.enable=true in server.properties; or azimuth leader elect")
        },
        ..NEW
    },
    Check {
        id: "scheduled-event",
        title: "AWS has scheduled nothing for an instance",
        today: "stop the broker in your hour, not in theirs",
        planes: &[Plane::Aws],
        judge: scheduled_event,
        ..NEW
    },
    Check {
        id: "colocated-controller",
        severity: Severity::Medium,
        title: "no broker is a controller too",
        today: "process.roles=broker,controller is for small test clusters: load of data delays elections",
        judge: colocated_controller,
        ..NEW
    },
    Check {
        id: "advertised-host",
        title: "every advertised address can be reached from here",
        today: "who cannot resolve or reach it cannot use the broker, whatever bootstrap says",
        judge: advertised_host,
        ..NEW
    },
    Check {
        id: "identity-mismatch",
        title: "nothing contradicts which instance a broker runs on",
        today: "a wrong join would stop the wrong instance: changes to it are locked until it is settled",
        planes: &[Plane::Aws],
        judge: identity_mismatch,
        ..NEW
    },
    Check {
        id: "mixed-types",
        severity: Severity::Low,
        title: "all brokers run on one type of instance",
        today: "the smallest sets the pace, and replicas are spread as if all were alike",
        planes: &[Plane::Aws],
        judge: mixed_types,
        ..NEW
    },
    Check {
        id: "root-log-dir",
        title: "no log directory lies on the root volume",
        today: "a full log stops the system too, and a restack loses it",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: root_log_dir,
        ..NEW
    },
    Check {
        id: "logdir-imbalance",
        severity: Severity::Medium,
        title: "a broker's log directories are filled alike",
        today: "Kafka places by number of partitions, not by bytes; one full directory goes offline while others are empty",
        judge: logdir_imbalance,
        ..NEW
    },
    Check {
        id: "filesystem-grown",
        severity: Severity::Medium,
        title: "file systems are as large as their volumes",
        today: "a volume that was grown helps only after growpart and xfs_growfs or resize2fs",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: filesystem_grown,
        ..NEW
    },
    Check {
        id: "recovery-threads",
        severity: Severity::Medium,
        title: "logs are recovered by more than one thread",
        today: "num.recovery.threads.per.data.dir=1 reads thousands of partitions one after the other after an unclean stop: hours",
        judge: recovery_threads,
        ..NEW
    },
    Check {
        id: "stop-timeout",
        severity: Severity::Medium,
        title: "the service manager waits for a controlled shutdown",
        today: "TimeoutStopSec below the time of a controlled shutdown kills the broker, and the next start recovers its logs",
        planes: &[Plane::Host],
        judge: |_| {
            Check::without(
                Plane::Host,
                "units are not read from hosts: systemctl show kafka -p TimeoutStopUSec",
            )
        },
        ..NEW
    },
    Check {
        id: "rebalance-delay",
        severity: Severity::Low,
        title: "a new group waits for its members before it assigns",
        today: "group.initial.rebalance.delay.ms=3000: with 0 every member that starts is a rebalance",
        judge: |facts| {
            survey(facts, "group.initial.rebalance.delay.ms", "above 0", |_, value| {
                value.parse::<i64>().is_ok_and(|ms| ms > 0)
            })
            .end(
                "groups wait for their members",
                "every member that starts is a rebalance",
            )
            .fix("group.initial.rebalance.delay.ms=3000 in server.properties; then azimuth restart plan --all")
        },
        ..NEW
    },
];

/// More replicas in and out than this within ten minutes, at rest, are unrest.
const CHURN: u32 = 50;
const WINDOW_SECONDS: i64 = 600;

fn isr_churn(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = topics(facts) {
        return untold;
    }
    let events = &facts.snapshot.events;
    let age = |at: crate::model::Moment| facts.now.duration_since(at).as_secs();
    let recent = || events.iter().filter(|event| age(event.at) < WINDOW_SECONDS);
    let moves: u32 = recent()
        .filter(|event| event.kind == EventKind::Isr)
        .map(|event| event.count)
        .sum();
    let explained = recent().any(|event| matches!(event.kind, EventKind::Reassignment | EventKind::Operation));
    let mut survey = Survey::new(
        "Metadata, seen again and again",
        "ISR changes in 10 m",
        "no more than 50, or explained",
    );
    let watched = events.watched_since.map_or(0, age);
    if watched < WINDOW_SECONDS {
        survey.lack(
            Lack::Answer,
            format!("watched for {watched} s only, of 600; keep a console open, or ask again"),
        );
    }
    let words = if explained {
        format!("{moves}, with moves or operations of that time")
    } else {
        moves.to_string()
    };
    survey.add(moves <= CHURN || explained, "all partitions", words, Some(facts.now));
    survey.end("ISRs rest", "ISRs shrink and grow")
}

/// Behind by more records than this.
const FAR_RECORDS: i64 = 100_000;

fn replica_lag(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeLogDirs", "largest lag", "below 100,000 records");
    for (id, section) in &facts.snapshot.logdirs {
        match section.get() {
            Some(dirs) => {
                let replicas = dirs
                    .iter()
                    .flat_map(|dir| dir.replicas.iter())
                    .filter(|replica| !replica.future);
                let worst = replicas.max_by_key(|replica| replica.lag_records);
                let lag = worst.map_or(0, |replica| replica.lag_records);
                let name = worst
                    .map(|replica| format!(" ({}-{})", replica.topic, replica.partition))
                    .unwrap_or_default();
                survey.add(lag < FAR_RECORDS, broker(*id), format!("{lag}{name}"), section.seen_at);
            }
            None => survey.lacking(Lack::of(section, &format!("log directories of {}", broker(*id)))),
        }
    }
    survey.end("no replica is far behind", "far behind")
}

fn offline_logdirs(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeLogDirs", "error", "none");
    for (id, section) in &facts.snapshot.logdirs {
        match section.get() {
            Some(dirs) => {
                for dir in dirs {
                    let error = dir.error.as_deref().unwrap_or_default();
                    survey.add(
                        dir.error.is_none(),
                        format!("{} {}", broker(*id), dir.path),
                        error,
                        section.seen_at,
                    );
                }
            }
            None => survey.lacking(Lack::of(section, &format!("log directories of {}", broker(*id)))),
        }
    }
    survey
        .end("all log directories are online", "offline")
        .fix("azimuth logdir list")
}

fn elr(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(CONFIGS, "min.insync.replicas set on", "the cluster or nowhere");
    for id in ids(facts) {
        match setting::config(facts, id, "min.insync.replicas") {
            Ok((config, seen)) => {
                let own = config.source == ConfigSource::DynamicBroker;
                survey.add(!own, broker(id), config.source.to_string(), seen);
            }
            Err(why) => survey.lacking(why),
        }
    }
    survey
        .end("no broker has its own", "set broker by broker")
        .fix("azimuth config set min.insync.replicas=2 --all-brokers")
}

fn leftover_throttle(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = topics(facts) {
        return untold;
    }
    let mut survey = Survey::new(CONFIGS, "throttle", "none without a move");
    for row in &facts.rows.throttles {
        let left = matches!(row.standing, Standing::Stale | Standing::Inert);
        survey.add(!left, &row.subject, format!("{} {}", row.property, row.standing), None);
    }
    for (id, section) in &facts.snapshot.broker_configs {
        if section.get().is_none() {
            survey.lacking(Lack::of(section, &format!("configs of {}", broker(*id))));
        }
    }
    if facts.snapshot.broker_configs.is_empty() {
        survey.lack(Lack::Answer, "configs of the brokers were not asked for");
    }
    if facts.snapshot.topic_configs.get().is_none() {
        survey.lacking(Lack::of(&facts.snapshot.topic_configs, "topic configs"));
    }
    if survey.is_empty() {
        survey.add(
            true,
            "all brokers and topics",
            "none",
            at(&facts.snapshot.topic_configs),
        );
    }
    survey
        .end("no throttle is left behind", "left behind")
        .fix("azimuth throttle list; then azimuth throttle clear")
}

fn stuck_reassignment(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.reassignments;
    if section.get().is_none() {
        return Outcome::untold(section, "reassignments");
    }
    let mut survey = Survey::new("ListPartitionReassignments", "progress", "it moves");
    for row in &facts.rows.reassignments {
        let stuck = row.stuck.clone().unwrap_or_default();
        survey.add(row.stuck.is_none(), row.name(), stuck, at(section));
    }
    if survey.is_empty() {
        return Outcome::pass("nothing is being reassigned");
    }
    survey
        .end("all moves progress", "stands still")
        .fix("azimuth reassign list")
}

/// From an equal share.
const SKEW_PERCENT: f64 = 30.0;
/// Below this many leaders a share says nothing.
const FEW_LEADERS: usize = 30;

fn leader_imbalance(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = topics(facts) {
        return untold;
    }
    if facts.rows.partitions.len() < FEW_LEADERS {
        return Outcome::not_applicable("fewer than 30 partitions: a share says nothing");
    }
    let mut survey = Survey::new("Metadata", "leaders", "within 30 % of an equal share");
    for zone in &facts.rows.zones {
        cell(&mut survey, &zone.key, &zone.leader_skew_percent, |survey, skew| {
            survey.add(
                skew.abs() <= SKEW_PERCENT,
                &zone.key,
                format!("{skew:+.0} %"),
                at(&facts.snapshot.topics),
            );
        });
    }
    for row in &facts.rows.brokers {
        cell(
            &mut survey,
            &broker(row.id),
            &row.leader_skew_percent,
            |survey, skew| {
                survey.add(
                    skew.abs() <= SKEW_PERCENT,
                    broker(row.id),
                    format!("{skew:+.0} %"),
                    at(&facts.snapshot.topics),
                );
            },
        );
    }
    survey
        .end("leaders are spread evenly", "more or fewer leaders than their share")
        .fix("azimuth reassign plan --balance leaders --out leaders.json")
}

fn scheduled_event(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeInstanceStatus", "scheduled events", "none");
    let mut first = None;
    machines(facts, &mut survey, |survey, row, instance| {
        let event = instance.events.first();
        if event.is_some() {
            first.get_or_insert(row.id);
        }
        let words = event.map(|event| {
            let at = event
                .not_before
                .map(|at| format!(" not before {at}"))
                .unwrap_or_default();
            format!("{}{at}", event.code)
        });
        survey.add(
            event.is_none(),
            format!("{} {}", broker(row.id), instance.id),
            words.unwrap_or_default(),
            None,
        );
    });
    let told = facts.snapshot.cloud.calls.get("DescribeInstanceStatus");
    if let Some(section) = told.filter(|section| section.get().is_none()) {
        survey.lacking(Lack::of(section, "status of instances"));
    }
    let fix = first.map_or_else(String::new, |id| format!("azimuth broker stop {id}"));
    survey.end("nothing is scheduled", "AWS will act").fix(fix)
}

fn colocated_controller(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.quorum;
    let Some(quorum) = section.get() else {
        return Outcome::untold(section, "quorum");
    };
    let mut survey = Survey::new("DescribeQuorum", "role", "broker only");
    for id in ids(facts) {
        let votes = quorum.voters.iter().any(|voter| voter.id == id);
        survey.add(
            !votes,
            broker(id),
            if votes { "votes too" } else { "broker" },
            at(section),
        );
    }
    survey.end("controllers are apart from brokers", "broker and controller in one")
}

fn advertised_host(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("ApiVersions", "reached at its advertised address", "yes");
    for row in &facts.rows.brokers {
        let link = facts.snapshot.links.get(&row.id);
        let subject = format!("{} {}:{}", broker(row.id), row.host, row.port);
        match link {
            None => survey.lack(Lack::Answer, format!("{} was not asked", broker(row.id))),
            Some(link) if link.is_fresh() => survey.add(true, subject, "yes", link.seen_at),
            Some(link) => match link.get() {
                // Asked before and answered: it is down, not badly advertised.
                Some(_) => survey.lacking(Lack::of(link, &broker(row.id))),
                None if matches!(link.health, crate::model::Health::Unasked) => {
                    survey.lacking(Lack::of(link, &broker(row.id)))
                }
                None => survey.add(false, subject, link.problem().unwrap_or_default(), None),
            },
        }
    }
    survey
        .end("every advertised address answers", "not reached from here")
        .fix("azimuth context test")
}

fn identity_mismatch(facts: &Facts<'_>) -> Outcome {
    let identities = &facts.snapshot.cloud.identities;
    let mut survey = Survey::new("DescribeInstances", "identity", "one instance, nothing against it");
    for id in ids(facts) {
        match identities.get(&id) {
            Some(Identity::Identified { instance, method, .. }) => {
                survey.add(true, broker(id), format!("{instance} by {method}"), None)
            }
            Some(Identity::Mismatch { instance, reason }) => {
                survey.add(false, broker(id), format!("{instance}: {reason}"), None)
            }
            Some(Identity::Ambiguous { reason, .. } | Identity::Unknown { reason }) => {
                survey.lack(Lack::Answer, format!("{}: {reason}", broker(id)));
            }
            None => survey.lacking(setting::call(
                facts,
                "DescribeInstances",
                &format!("the instance of {}", broker(id)),
            )),
        }
    }
    survey.end(
        "every broker's instance is known for sure",
        "something contradicts its instance",
    )
}

fn mixed_types(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeInstances", "type", "the same as most");
    let mut all: Vec<(i32, String)> = Vec::new();
    machines(facts, &mut survey, |_, row, instance| {
        all.push((row.id, instance.instance_type.clone()))
    });
    let count = |name: &str| all.iter().filter(|(_, other)| other == name).count();
    let usual = all.iter().map(|(_, name)| name.clone()).max_by_key(|name| count(name));
    for (id, name) in &all {
        survey.add(Some(name) == usual.as_ref(), broker(*id), name, None);
    }
    survey.end("one type everywhere", "another type than the others")
}

fn root_log_dir(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeVolumes", "volume of the log directory", "not the root volume");
    let cloud = &facts.snapshot.cloud;
    for id in ids(facts) {
        let backings = cloud.backings.get(&id);
        let Some(instance) = cloud.instance_of(id) else {
            survey.lacking(setting::call(
                facts,
                "DescribeInstances",
                &format!("the instance of {}", broker(id)),
            ));
            continue;
        };
        let Some(backings) = backings.filter(|all| !all.is_empty()) else {
            survey.lack(Lack::Answer, format!("volumes of {} are not known", broker(id)));
            continue;
        };
        for (dir, backing) in backings {
            let subject = format!("{} {dir}", broker(id));
            match backing {
                crate::model::backing::Backing::Identified { volumes, .. } => {
                    let root = volumes.iter().find(|volume| {
                        let device = cloud.volume(volume).and_then(|volume| volume.device.clone());
                        device.is_some() && device == instance.root_device
                    });
                    survey.add(root.is_none(), subject, root.unwrap_or(&volumes.join(", ")), None);
                }
                _ => survey.lack(
                    Lack::Answer,
                    format!("which volume holds {dir} of {} is not known", broker(id)),
                ),
            }
        }
    }
    survey.end("logs lie on volumes of their own", "on the root volume")
}

/// Between the fullest and the emptiest.
const APART_PERCENT: f64 = 20.0;

fn logdir_imbalance(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeLogDirs", "used from … to", "within 20 %");
    let mut several = false;
    for (id, section) in &facts.snapshot.logdirs {
        let Some(dirs) = section.get() else {
            survey.lacking(Lack::of(section, &format!("log directories of {}", broker(*id))));
            continue;
        };
        several |= dirs.len() > 1;
        let used: Vec<f64> = dirs
            .iter()
            .filter_map(crate::model::logdir::LogDir::used_percent)
            .collect();
        let range = used
            .iter()
            .copied()
            .reduce(f64::min)
            .zip(used.iter().copied().reduce(f64::max));
        if let Some((least, most)) = range {
            survey.add(
                most - least <= APART_PERCENT,
                broker(*id),
                format!("{least:.0} % to {most:.0} %"),
                section.seen_at,
            );
        }
    }
    match several || survey.is_empty() {
        true => survey.end("directories are filled alike", "filled unlike"),
        false => Outcome::not_applicable("no broker has more than one log directory"),
    }
}

fn filesystem_grown(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        "DescribeLogDirs, DescribeVolumes",
        "file system of volume",
        "93 % or more",
    );
    volumes(facts, &mut survey, |survey, row| {
        cell(survey, &row.id, &row.filesystem_percent, |survey, percent| {
            survey.add(percent >= 93.0, &row.id, format!("{percent:.0} %"), None);
        });
    });
    survey
        .end("file systems fill their volumes", "smaller than its volume")
        .fix("on the host: growpart DEVICE PARTITION; xfs_growfs DIR (or resize2fs DEVICE)")
}

/// From so many replicas on one thread takes long.
const MANY_REPLICAS: u32 = 1000;

fn recovery_threads(facts: &Facts<'_>) -> Outcome {
    let mut all = Survey::new(
        CONFIGS,
        "num.recovery.threads.per.data.dir",
        "2 or more from 1000 replicas on",
    );
    for id in ids(facts) {
        match value(facts, id, "num.recovery.threads.per.data.dir") {
            Ok((value, seen)) => {
                let replicas = facts.broker(id).and_then(|row| row.replicas.value).unwrap_or_default();
                let fits = value
                    .parse::<i64>()
                    .is_ok_and(|threads| threads >= 2 || replicas < MANY_REPLICAS);
                all.add(fits, broker(id), format!("{value} for {replicas} replicas"), seen);
            }
            Err(why) => all.lacking(why),
        }
    }
    all.end("recovery has threads", "one thread for a thousand logs")
        .fix("azimuth config set num.recovery.threads.per.data.dir=4 --all-brokers")
}
