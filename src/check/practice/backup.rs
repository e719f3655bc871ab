//! Backup and restore: mirrors, snapshots.

use super::setting::{self, call, machines, volumes};
use super::survey::Survey;
use super::{Check, Holds, Outcome, Plane, Section, Severity, broker};
use crate::check::Facts;

pub const CHECKS: &[Check] = &[
    Check {
        id: "mirror-backup",
        row: "65",
        section: Section::Backup,
        severity: Severity::High,
        title: "what lies on instance store is mirrored to another cluster",
        said: "with instance store: a second cluster and MirrorMaker",
        holds: Holds::Update,
        today: "MirrorMaker 2; tiered storage is no backup, a deleted topic is deleted there too",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: mirror_backup,
    },
    Check {
        id: "snapshots",
        row: "66",
        section: Section::Backup,
        severity: Severity::Medium,
        title: "every data volume has a snapshot of the last day",
        said: "enable automatic snapshots of EBS volumes",
        holds: Holds::Update,
        today: "CreateSnapshots is consistent over one instance's volumes only: a restored cluster is truncated to what all have",
        planes: &[Plane::Aws],
        judge: snapshots,
    },
    Check {
        id: "snapshot-policy",
        row: "66",
        section: Section::Backup,
        severity: Severity::Medium,
        title: "a policy makes the snapshots",
        said: "enable automatic snapshots of EBS volumes",
        holds: Holds::Update,
        today: "Data Lifecycle Manager, with scripts before and after",
        planes: &[Plane::Dlm],
        judge: |_| Check::without(Plane::Dlm, "which policy covers a volume's tags is not asked"),
    },
    Check {
        id: "snapshot-store",
        row: "67",
        section: Section::Backup,
        severity: Severity::Low,
        title: "backups are kept in S3",
        said: "store backup files in Amazon S3",
        holds: Holds::Update,
        today: "snapshots are in S3 already; copy one to another region or account now and then",
        planes: &[Plane::Aws],
        judge: snapshot_store,
    },
    Check {
        id: "kinesis",
        row: "68",
        section: Section::Backup,
        severity: Severity::Info,
        title: "whether to run Kafka oneself is decided, not inherited",
        said: "Amazon Kinesis Data Streams is an alternative",
        holds: Holds::Update,
        today: "so are MSK and MSK Express; no API knows what suits you",
        planes: &[],
        judge: |_| Outcome::advice("weigh it against MSK Express once a year; no API answers this"),
    },
];

fn mirror_backup(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = setting::topics(facts) {
        return untold;
    }
    let mut survey = Survey::new("DescribeInstanceTypes, Metadata", "backup", "EBS, or a mirror");
    let mirrors = facts
        .snapshot
        .topics()
        .iter()
        .any(|topic| topic.name.starts_with("mm2-offset-syncs."));
    let types = &facts.snapshot.cloud.types;
    let mut stores = 0;
    machines(facts, &mut survey, |survey, row, instance| {
        let store = types
            .get(&instance.instance_type)
            .and_then(|limits| limits.instance_storage_gb)
            .unwrap_or(0)
            > 0;
        if store && row.volumes.is_empty() {
            stores += 1;
            survey.add(
                mirrors,
                broker(row.id),
                if mirrors {
                    "instance store, mirrored"
                } else {
                    "instance store"
                },
                None,
            );
        } else {
            survey.add(true, broker(row.id), "EBS", None);
        }
    });
    survey.end(
        "logs lie on EBS, or are mirrored",
        "on instance store, and nothing mirrors them",
    )
}

/// A day, and a while for the snapshot to be begun.
const DAY_SECONDS: i64 = 26 * 3600;

fn snapshots(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.cloud.snapshots;
    let mut survey = Survey::new("DescribeSnapshots", "last snapshot", "within a day");
    let Some(all) = section.get() else {
        survey.lacking(call(facts, "DescribeSnapshots", "snapshots"));
        return survey.end("", "");
    };
    let mut first = None;
    volumes(facts, &mut survey, |survey, row| {
        let age = all.get(&row.id).map(|at| facts.now.duration_since(*at).as_secs());
        let fits = age.is_some_and(|age| age <= DAY_SECONDS);
        if !fits {
            first = first.or(row.broker);
        }
        let value = age.map_or_else(
            || "none in a month".to_owned(),
            |age| format!("{} ago", super::super::text::span(age as f64)),
        );
        survey.add(fits, &row.id, value, section.seen_at);
    });
    survey
        .end("every data volume has a fresh snapshot", "no snapshot of the last day")
        .fix(format!(
            "azimuth volume snapshot --broker {}",
            first.unwrap_or_default()
        ))
}

fn snapshot_store(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.cloud.snapshots;
    let mut survey = Survey::new("DescribeSnapshots", "in S3", "a snapshot of each data volume");
    let Some(all) = section.get() else {
        survey.lacking(call(facts, "DescribeSnapshots", "snapshots"));
        return survey.end("", "");
    };
    volumes(facts, &mut survey, |survey, row| {
        let kept = all.contains_key(&row.id);
        survey.add(
            kept,
            &row.id,
            if kept { "yes" } else { "none in a month" },
            section.seen_at,
        );
    });
    survey
        .end("each data volume has a snapshot in S3", "nothing in S3")
        .fix("aws ec2 copy-snapshot --source-region REGION --source-snapshot-id SNAPSHOT --region OTHER")
}
