//! DescribeVolumes, DescribeVolumesModifications and DescribeSnapshots.

use std::collections::BTreeMap;

use aws_sdk_ec2::operation::describe_snapshots::DescribeSnapshotsOutput;
use aws_sdk_ec2::operation::describe_volumes::DescribeVolumesOutput;
use aws_sdk_ec2::operation::describe_volumes_modifications::DescribeVolumesModificationsOutput;
use aws_sdk_ec2::types;

use crate::model::Moment;
use crate::model::cloud::{Modification, SNAPSHOT_DAYS, Volume};
use crate::source::Error;

use super::{Aws, every_page, filter, moment, tags};

/// Values a filter, EC2's own limit.
const VALUES: usize = 200;

const PAGE: i32 = 500;

/// Snapshots a page, EC2's own limit.
const SNAPSHOT_PAGE: i32 = 1000;

pub(super) async fn volumes(aws: &Aws, instances: &[String]) -> Result<BTreeMap<String, Volume>, Error> {
    const WHAT: &str = "DescribeVolumes";
    let ec2 = &aws.clients().await?.ec2;
    let mut found = BTreeMap::new();
    for instances in instances.chunks(VALUES) {
        let attached = filter("attachment.instance-id", instances.iter().cloned());
        let pages = every_page(WHAT, DescribeVolumesOutput::next_token, |token| {
            let call = ec2
                .describe_volumes()
                .filters(attached.clone())
                .max_results(PAGE)
                .set_next_token(token);
            aws.ask("EC2", WHAT, call.send())
        });
        let pages = pages.await?;
        let volumes = pages.iter().flat_map(DescribeVolumesOutput::volumes);
        found.extend(volumes.filter_map(|volume| read(volume, instances)));
    }
    Ok(found)
}

/// By filter and not by ids: a volume that was never modified is an error when it is asked for by id.
pub(super) async fn modifications(aws: &Aws, volumes: &[String]) -> Result<BTreeMap<String, Modification>, Error> {
    const WHAT: &str = "DescribeVolumesModifications";
    let ec2 = &aws.clients().await?.ec2;
    let mut found: BTreeMap<String, Modification> = BTreeMap::new();
    for volumes in volumes.chunks(VALUES) {
        let these = filter("volume-id", volumes.iter().cloned());
        let pages = every_page(WHAT, DescribeVolumesModificationsOutput::next_token, |token| {
            let call = ec2
                .describe_volumes_modifications()
                .filters(these.clone())
                .max_results(PAGE);
            aws.ask("EC2", WHAT, call.set_next_token(token).send())
        });
        let pages = pages.await?;
        let changes = pages
            .iter()
            .flat_map(DescribeVolumesModificationsOutput::volumes_modifications);
        for (volume, change) in changes.filter_map(read_modification) {
            // AWS tells the last one only; others tell all.
            if found
                .get(&volume)
                .is_none_or(|known| known.started_at <= change.started_at)
            {
                found.insert(volume, change);
            }
        }
    }
    Ok(found)
}

/// By day, because an account keeps years of snapshots and only the last one counts.
pub(super) async fn snapshots(aws: &Aws, volumes: &[String], now: Moment) -> Result<BTreeMap<String, Moment>, Error> {
    const WHAT: &str = "DescribeSnapshots";
    let ec2 = &aws.clients().await?.ec2;
    let days: Vec<String> = last_days(now).collect();
    let mut found: BTreeMap<String, Moment> = BTreeMap::new();
    for volumes in volumes.chunks(VALUES) {
        let filters = vec![
            filter("volume-id", volumes.iter().cloned()),
            filter("status", ["completed".to_owned()]),
            filter("start-time", days.iter().cloned()),
        ];
        let pages = every_page(WHAT, DescribeSnapshotsOutput::next_token, |token| {
            let call = ec2
                .describe_snapshots()
                .owner_ids("self")
                .set_filters(Some(filters.clone()))
                .max_results(SNAPSHOT_PAGE)
                .set_next_token(token);
            aws.ask("EC2", WHAT, call.send())
        });
        for page in pages.await? {
            for snapshot in page.snapshots() {
                let Some((volume, at)) = snapshot.volume_id().zip(moment(snapshot.start_time())) else {
                    continue;
                };
                let last = found.entry(volume.to_owned()).or_insert(at);
                *last = at.max(*last);
            }
        }
    }
    Ok(found)
}

/// `2026-11-25*` and the days before it, as far back as a snapshot is looked for.
fn last_days(now: Moment) -> impl Iterator<Item = String> {
    let day = move |ago: i64| Moment::from_second(now.as_second() - ago * 86_400).unwrap_or(now);
    (0..=SNAPSHOT_DAYS).map(move |ago| format!("{}*", day(ago).strftime("%Y-%m-%d")))
}

pub(super) fn read(volume: &types::Volume, instances: &[String]) -> Option<(String, Volume)> {
    let id = volume.volume_id()?.to_owned();
    let attachment = volume.attachments().iter().find(|attachment| {
        attachment
            .instance_id()
            .is_some_and(|id| instances.iter().any(|known| known == id))
    });
    let value = Volume {
        id: id.clone(),
        volume_type: volume.volume_type().map_or("", types::VolumeType::as_str).to_owned(),
        size_gib: i64::from(volume.size().unwrap_or_default()),
        iops: volume.iops().map(i64::from),
        throughput_mib_per_second: volume.throughput().map(i64::from),
        zone: volume.availability_zone().unwrap_or_default().to_owned(),
        state: volume.state().map_or("unknown", types::VolumeState::as_str).to_owned(),
        encrypted: volume.encrypted().unwrap_or(false),
        instance: attachment
            .and_then(types::VolumeAttachment::instance_id)
            .map(ToOwned::to_owned),
        device: attachment
            .and_then(types::VolumeAttachment::device)
            .map(ToOwned::to_owned),
        delete_on_termination: attachment.and_then(types::VolumeAttachment::delete_on_termination),
        attachment: attachment
            .and_then(types::VolumeAttachment::state)
            .map(|state| state.as_str().to_owned()),
        tags: tags(volume.tags()),
        modification: None,
    };
    Some((id, value))
}

fn read_modification(change: &types::VolumeModification) -> Option<(String, Modification)> {
    let value = Modification {
        state: change
            .modification_state()
            .map_or("unknown", |state| state.as_str())
            .to_owned(),
        progress_percent: change.progress(),
        started_at: moment(change.start_time()),
        ended_at: moment(change.end_time()),
        change: describe(change),
    };
    Some((change.volume_id()?.to_owned(), value))
}

/// What changes, for example `gp3 125→250 MiB/s`; what stays is left out.
fn describe(change: &types::VolumeModification) -> String {
    let (before, after) = (change.original_volume_type(), change.target_volume_type());
    let mut parts = vec![match (before, after) {
        (Some(before), Some(after)) if before != after => format!("{}→{}", before.as_str(), after.as_str()),
        (_, Some(kind)) | (Some(kind), None) => kind.as_str().to_owned(),
        (None, None) => String::new(),
    }];
    let amounts = [
        (change.original_size(), change.target_size(), "GiB"),
        (change.original_iops(), change.target_iops(), "IOPS"),
        (change.original_throughput(), change.target_throughput(), "MiB/s"),
    ];
    for (before, after, unit) in amounts {
        match (before, after) {
            (Some(before), Some(after)) if before != after => parts.push(format!("{before}→{after} {unit}")),
            _ => {}
        }
    }
    parts.join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_looked_for_day_by_day() {
        let days: Vec<String> = last_days("2026-03-02T00:00:01Z".parse().unwrap()).collect();
        assert_eq!(days.len(), 32);
        assert_eq!((days[0].as_str(), days[2].as_str()), ("2026-03-02*", "2026-02-28*"));
    }

    #[test]
    fn a_modification_tells_only_what_changes() {
        let change = types::VolumeModification::builder()
            .original_volume_type(types::VolumeType::Gp3)
            .target_volume_type(types::VolumeType::Gp3)
            .original_size(100)
            .target_size(100)
            .original_throughput(125)
            .target_throughput(250)
            .build();
        assert_eq!(describe(&change), "gp3 125→250 MiB/s");
        let change = types::VolumeModification::builder()
            .original_volume_type(types::VolumeType::St1)
            .target_volume_type(types::VolumeType::Gp3)
            .original_size(500)
            .target_size(1000)
            .build();
        assert_eq!(describe(&change), "st1→gp3 500→1000 GiB");
    }
}
