//! Monitoring: is what the article names measured, and is it well?

use super::deployment::zookeeper;
use super::setting::{self, SCRAPE, at, cell, machines, scraped};
use super::storage::lag_time_ms;
use super::survey::Survey;
use super::tuning::whole;
use super::{Check, Holds, Lack, Outcome, Plane, Section, Severity, broker};
use crate::check::Facts;
use crate::model::cloud::Point;
use crate::model::row::quorum::{QuorumRole, QuorumRow, QuorumState};

pub const CHECKS: &[Check] = &[
    Check {
        id: "cpu",
        row: "55a",
        section: Section::Monitoring,
        severity: Severity::High,
        title: "no processor is busier than 60 %, and none lives on credit",
        said: "monitor the CPU load",
        holds: Holds::Keep,
        today: "60 % for five minutes is AWS's alarm; t types run on credit and stop at its end",
        planes: &[Plane::Aws],
        judge: cpu,
    },
    Check {
        id: "network-allowance",
        row: "55b",
        section: Section::Monitoring,
        severity: Severity::High,
        title: "EC2 shapes no instance's network",
        said: "monitor network metrics",
        holds: Holds::Keep,
        today: "CloudWatch does not tell it: only the ENA driver counts what exceeded an allowance",
        planes: &[Plane::Metrics],
        judge: network_allowance,
    },
    Check {
        id: "file-handles",
        row: "55c",
        section: Section::Monitoring,
        severity: Severity::High,
        title: "open files are below 80 % of their limit, which is 100,000 or more",
        said: "monitor the use of file handles",
        holds: Holds::Keep,
        today: "three a segment and one a connection; a broker that may open no more stops",
        planes: &[Plane::Metrics],
        judge: file_handles,
    },
    Check {
        id: "disk-space",
        row: "55d",
        section: Section::Monitoring,
        severity: Severity::Medium,
        title: "no log directory is fuller than 60 %",
        said: "monitor disk space",
        holds: Holds::Keep,
        today: "60 % is the time to plan, 85 % or six hours to full the time to act: a full disk stops the broker",
        planes: &[Plane::Kafka],
        judge: disk_space,
    },
    Check {
        id: "disk-io",
        row: "55e",
        section: Section::Monitoring,
        severity: Severity::High,
        title: "no volume is stalled, out of credit, or beyond its limit",
        said: "monitor disk I/O performance",
        holds: Holds::Keep,
        today: "VolumeStalledIOCheck, the exceeded checks, BurstBalance, and latency against the peers",
        planes: &[Plane::Aws],
        judge: disk_io,
    },
    Check {
        id: "gc",
        row: "55f",
        section: Section::Monitoring,
        severity: Severity::Medium,
        title: "garbage collections are short",
        said: "monitor garbage collection",
        holds: Holds::Keep,
        today: "a pause near a third of replica.lag.time.max.ms throws the broker out of its ISRs",
        planes: &[Plane::Metrics],
        judge: gc,
    },
    Check {
        id: "controller-lag",
        row: "55g",
        section: Section::Monitoring,
        severity: Severity::High,
        title: "every controller follows the metadata log",
        said: "monitor ZooKeeper",
        holds: Holds::Invert,
        today: "there is none since 4.0: voters' lag and last fetch, from DescribeQuorum",
        planes: &[Plane::Kafka],
        judge: controller_lag,
    },
    Check {
        id: "client-metrics",
        row: "56",
        section: Section::Monitoring,
        severity: Severity::Info,
        title: "clients are told to report their own metrics",
        said: "of producers: batch size, compression, waiting threads, buffer, queue time, send rate",
        holds: Holds::Keep,
        today: "brokers do not see them unless clients report them (KIP-714, a client-metrics subscription and a plugin)",
        planes: &[Plane::Kafka],
        judge: client_metrics,
    },
    Check {
        id: "consumer-lag",
        row: "57",
        section: Section::Monitoring,
        severity: Severity::Medium,
        title: "no group falls behind or stands still",
        said: "of consumers: batch size, compression, waiting threads, buffer, queue time, send rate",
        holds: Holds::Invert,
        today: "that list is the producers', pasted twice: of consumers watch lag in records and in time, fetch rate, rebalances",
        planes: &[Plane::Kafka],
        judge: consumer_lag,
    },
    Check {
        id: "alarms",
        row: "58",
        section: Section::Monitoring,
        severity: Severity::Low,
        title: "an alarm watches every broker's instance and volumes",
        said: "Intuit used New Relic, Wavefront, CloudWatch and CloudTrail",
        holds: Holds::Update,
        today: "whatever watches, something must: CloudWatch's alarms are those that can be seen from here",
        planes: &[Plane::Aws],
        judge: alarms,
    },
    Check {
        id: "trail",
        row: "58",
        section: Section::Monitoring,
        severity: Severity::Low,
        title: "who changed what in AWS is recorded",
        said: "Intuit used CloudTrail",
        holds: Holds::Keep,
        today: "LookupEvents answers who stopped an instance; two requests a second",
        planes: &[Plane::Cloudtrail],
        judge: |_| Check::without(Plane::Cloudtrail, "whether a trail is on is not asked"),
    },
];

/// AWS's alarm.
const CPU_PERCENT: f64 = 60.0;
/// Credits of a t type below this are nearly none.
const CREDITS: f64 = 100.0;

fn cpu(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("CloudWatch", "CPUUtilization", "below 60 %, not on credit");
    let metrics = facts.snapshot.cloud.metrics.get();
    machines(facts, &mut survey, |survey, row, instance| {
        let limits = facts.snapshot.cloud.types.get(&instance.instance_type);
        let burstable = limits.is_some_and(|limits| limits.burstable);
        let credit = metrics
            .and_then(|all| all.instances.get(&instance.id)?.cpu_credit_balance)
            .map(|point| point.value);
        cell(
            survey,
            &format!("CPU of {}", broker(row.id)),
            &row.cpu_percent,
            |survey, percent| {
                let credit_words = credit
                    .map(|credit| format!(", {credit:.0} credits"))
                    .unwrap_or_default();
                let kind = if burstable {
                    format!(" on {}", instance.instance_type)
                } else {
                    String::new()
                };
                let fits = percent < CPU_PERCENT && !burstable && credit.is_none_or(|credit| credit > CREDITS);
                survey.add(
                    fits,
                    broker(row.id),
                    format!("{percent:.0} %{kind}{credit_words}"),
                    at(&facts.snapshot.cloud.metrics),
                );
            },
        );
    });
    survey
        .end("processors have room", "a busy processor, or one on credit")
        .fix("azimuth broker list -o wide")
}

fn network_allowance(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(SCRAPE, "ENA allowance exceeded", "0 packets");
    scraped(
        facts,
        &mut survey,
        "node_ethtool_*_allowance_exceeded (node exporter, --collector.ethtool)",
        |metrics| metrics.allowance_exceeded,
        |survey, id, packets, seen| survey.add(packets < 1.0, broker(id), format!("{packets:.0} packets"), seen),
    );
    survey.end("EC2 shapes nobody", "EC2 queued or dropped packets")
}

fn file_handles(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(SCRAPE, "open files", "below 80 % of 100,000 or more");
    scraped(
        facts,
        &mut survey,
        "process_open_fds",
        |metrics| metrics.open_files.zip(metrics.max_files),
        |survey, id, (open, most), seen| {
            let fits = open < most * 0.8 && most >= 100_000.0;
            survey.add(fits, broker(id), format!("{open:.0} of {most:.0}"), seen);
        },
    );
    survey
        .end("files can be opened", "near the limit, or a low limit")
        .fix("LimitNOFILE=100000 in the service's unit; then azimuth restart plan --all")
}

fn disk_space(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeLogDirs", "used", "below 60 %");
    let mut urgent = None;
    let mut first = None;
    for row in &facts.rows.logdirs {
        let subject = row.name();
        cell(&mut survey, &subject, &row.used_percent, |survey, percent| {
            let soon = row.full_in_seconds.value.is_some_and(|seconds| seconds < 6.0 * 3600.0);
            if percent >= 85.0 || soon {
                urgent.get_or_insert_with(|| row.name());
            }
            if percent >= 60.0 || soon {
                first.get_or_insert_with(|| row.name());
            }
            let full = row
                .full_in_seconds
                .value
                .map(|seconds| format!(", full in {}", super::super::text::span(seconds)));
            let value = format!("{percent:.0} %{}", full.unwrap_or_default());
            let seen = facts.snapshot.logdirs.get(&row.broker).and_then(|dirs| dirs.seen_at);
            survey.add(percent < 60.0 && !soon, subject.clone(), value, seen);
        });
    }
    for (id, section) in &facts.snapshot.logdirs {
        if section.get().is_none() {
            survey.lacking(Lack::of(section, &format!("log directories of {}", broker(*id))));
        }
    }
    let severity = if urgent.is_some() {
        Severity::Critical
    } else {
        Severity::Medium
    };
    let fix = urgent
        .or(first)
        .map_or_else(String::new, |name| format!("azimuth logdir relieve {name}"));
    survey.end("disks have room", "filling").severity(severity).fix(fix)
}

/// AWS's own warning for credit.
const BURST_PERCENT: f64 = 20.0;

fn disk_io(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.cloud.metrics;
    let mut survey = Survey::new("CloudWatch", "volume", "not stalled, within its limits, with credit");
    let Some(metrics) = section.get() else {
        return Outcome::untold(section, "metrics");
    };
    setting::volumes(facts, &mut survey, |survey, row| {
        let Some(own) = metrics.volumes.get(&row.id) else {
            return survey.lack(Lack::Metric, format!("CloudWatch has no data of {}", row.id));
        };
        let set = |point: &Option<Point>| point.is_some_and(|point| point.value > 0.0);
        let mut faults = Vec::new();
        if set(&own.stalled_io) {
            faults.push("stalled".to_owned());
        }
        if set(&own.throughput_exceeded) {
            faults.push("throughput exceeded".to_owned());
        }
        if set(&own.iops_exceeded) {
            faults.push("IOPS exceeded".to_owned());
        }
        if let Some(credit) = row.burst_percent.value.filter(|percent| *percent < BURST_PERCENT) {
            faults.push(format!("{credit:.0} % credit"));
        }
        if let Some(times) = row.latency_vs_peers.value.filter(|times| *times >= 3.0) {
            faults.push(format!("{times:.1} times its peers' latency"));
        }
        survey.add(faults.is_empty(), &row.id, faults.join(", "), at(section));
    });
    survey
        .end("volumes keep up", "a volume does not keep up")
        .fix("azimuth volume list -o wide")
}

fn gc(facts: &Facts<'_>) -> Outcome {
    let most = lag_time_ms(facts) / 3.0;
    let mut survey = Survey::new(SCRAPE, "mean collection", format!("below {most:.0} ms"));
    scraped(
        facts,
        &mut survey,
        "jvm_gc_collection_seconds",
        |metrics| metrics.gc_seconds.zip(metrics.gc_count),
        |survey, id, (seconds, count), seen| {
            let mean = seconds * 1000.0 / count.max(1.0);
            survey.add(
                mean < most,
                broker(id),
                format!("{mean:.0} ms in {count:.0} collections"),
                seen,
            );
        },
    );
    survey.end("collections are short", "long collections")
}

/// Behind the leader by more than this is not following.
const BEHIND_RECORDS: i64 = 1000;
const BEHIND_SECONDS: f64 = 5.0;

fn controller_lag(facts: &Facts<'_>) -> Outcome {
    if let Some((id, value)) = zookeeper(facts) {
        return Outcome::breach(format!(
            "{} still uses ZooKeeper ({value}), which 4.0 does not have",
            broker(id)
        ))
        .fix("migrate to KRaft with 3.9: kafka.apache.org, \"ZooKeeper to KRaft migration\"");
    }
    let Some(quorum) = QuorumRow::of(facts.snapshot, facts.now) else {
        return Outcome::untold(&facts.snapshot.quorum, "quorum");
    };
    let mut survey = Survey::new("DescribeQuorum", "lag", "below 1000 records and 5 s");
    for node in quorum.nodes.iter().filter(|node| node.role != QuorumRole::Observer) {
        let subject = format!("controller {}", node.id);
        let silent = matches!(node.state, QuorumState::Silent);
        match (node.lag_records.value, node.behind_seconds.value) {
            (Some(lag), Some(seconds)) => {
                let fits = !silent && lag < BEHIND_RECORDS && (seconds < BEHIND_SECONDS || lag == 0);
                survey.add(
                    fits,
                    subject,
                    format!("{lag} records, {seconds:.1} s"),
                    at(&facts.snapshot.quorum),
                );
            }
            _ if node.role == QuorumRole::Leader => survey.add(true, subject, "leads", at(&facts.snapshot.quorum)),
            _ => survey.add(false, subject, "never seen to fetch", at(&facts.snapshot.quorum)),
        }
    }
    survey
        .end("all controllers follow", "a controller does not follow")
        .fix("azimuth quorum show")
}

fn client_metrics(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.client_metrics;
    match section.get() {
        None => Outcome::untold(section, "client-metrics subscriptions"),
        Some(names) if names.is_empty() => {
            Outcome::breach("no client-metrics subscription: nothing is known of producers but what they send")
                .evidence([whole(
                    facts,
                    "ListConfigResources",
                    "client-metrics",
                    "none".to_owned(),
                    "one or more",
                )])
                .fix(
                    "kafka-client-metrics.sh --bootstrap-server HOST:PORT --alter --name all --interval 60000 \
                     --metrics org.apache.kafka.producer.,org.apache.kafka.consumer.",
                )
        }
        Some(names) => Outcome::pass(format!("clients report as {} say", names.join(", "))).evidence([whole(
            facts,
            "ListConfigResources",
            "client-metrics",
            names.join(", "),
            "one or more",
        )]),
    }
}

fn consumer_lag(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.groups;
    let Some(groups) = section.get() else {
        return Outcome::untold(section, "groups");
    };
    if groups.iter().all(|group| group.commits.is_empty()) {
        return Outcome::not_applicable("no group has committed anything");
    }
    let mut survey = Survey::new("OffsetFetch, ListOffsets", "lag", "not growing, not standing");
    let mut first = None;
    for row in facts.rows.groups.iter().filter(|row| row.partitions > 0) {
        let subject = format!("group {}", row.name);
        cell(&mut survey, &subject, &row.lag_records, |survey, lag| {
            let cause = row
                .cause
                .as_ref()
                .map(|cause| format!(", {}", cause.word()))
                .unwrap_or_default();
            if row.cause.is_some() {
                first.get_or_insert_with(|| row.name.clone());
            }
            survey.add(
                row.cause.is_none(),
                subject.clone(),
                format!("{lag} records{cause}"),
                at(section),
            );
        });
    }
    let fix = first.map_or_else(String::new, |name| format!("azimuth group lag {name}"));
    survey
        .end("no group falls behind", "falls behind or stands still")
        .fix(fix)
}

fn alarms(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.cloud.account.alarms;
    let Some(all) = section.get() else {
        return Outcome::untold(section, "alarms");
    };
    let watches = |id: &str| {
        all.iter()
            .find(|alarm| alarm.dimensions.values().any(|value| value == id))
    };
    let mut survey = Survey::new("DescribeAlarms", "alarm", "one or more, with an action");
    let mut first = None;
    machines(facts, &mut survey, |survey, row, instance| {
        let ids = std::iter::once(&instance.id).chain(&row.volumes);
        for id in ids {
            let alarm = watches(id);
            if alarm.is_none() {
                first.get_or_insert_with(|| instance.id.clone());
            }
            let value = alarm.map_or_else(|| "none".to_owned(), |alarm| format!("{} {}", alarm.name, alarm.state));
            survey.add(
                alarm.is_some_and(|alarm| alarm.actions_enabled),
                format!("{} {id}", broker(row.id)),
                value,
                at(section),
            );
        }
    });
    let fix = format!(
        "aws cloudwatch put-metric-alarm --alarm-name kafka-status --namespace AWS/EC2 --metric-name StatusCheckFailed \
         --dimensions Name=InstanceId,Value={} --statistic Maximum --period 60 --evaluation-periods 2 --threshold 1 \
         --comparison-operator GreaterThanOrEqualToThreshold --alarm-actions TOPIC",
        first.unwrap_or_default()
    );
    survey
        .end("every instance and volume has an alarm", "nothing watches")
        .fix(fix)
}
