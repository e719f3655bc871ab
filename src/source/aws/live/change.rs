//! EC2's calls that change volumes. Each is first tried with DryRun, which asks only whether it would be allowed.

use std::collections::BTreeMap;

use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::operation::describe_snapshots::DescribeSnapshotsOutput;
use aws_sdk_ec2::types::{CopyTagsFromSource, InstanceSpecification, ResourceType, Tag, TagSpecification, VolumeType};

use futures::FutureExt;

use super::{Aws, every_page, filter, moment, tags, volume};
use crate::model::cloud::Volume;
use crate::model::volume::{Change, EbsSnapshot, OPERATION_TAG, Shape};
use crate::source::Error;

/// What EC2 says of a call that it would have carried out.
const WOULD_DO: &str = "DryRunOperation";

/// Carries a change out once, or only tries it; the ids of what it made. `token` names the act, for what can be asked twice
/// and for what is found again.
pub(super) async fn change(aws: &Aws, change: &Change, token: &str, dry_run: bool) -> Result<Vec<String>, Error> {
    match call(aws, change, token, dry_run).await {
        Err(Error::Refused { code, .. }) if dry_run && code == WOULD_DO => Ok(Vec::new()),
        // An endpoint that knows no DryRun has done it: nobody may go on as if it had not.
        Ok(_) if dry_run => Err(Error::Refused {
            peer: "EC2".to_owned(),
            what: change.operation().to_owned(),
            code: "no DryRun".to_owned(),
            reason: "the endpoint carried out what it was only asked about".to_owned(),
        }),
        other => other,
    }
}

/// Each call is a future of its own on the heap: the SDK's are large, and whoever waits may have a small stack.
async fn call(aws: &Aws, change: &Change, token: &str, dry_run: bool) -> Result<Vec<String>, Error> {
    let what = change.operation();
    match change {
        Change::Modify { volume, from, to } => modify(aws, what, volume, (from, to), dry_run).boxed().await,
        Change::Snapshot {
            instance,
            without,
            description,
            ..
        } => {
            let of = InstanceSpecification::builder()
                .instance_id(instance)
                .exclude_boot_volume(true)
                .set_exclude_data_volume_ids((!without.is_empty()).then(|| without.clone()))
                .build();
            snapshot(aws, what, of, description, token, dry_run).boxed().await
        }
        Change::Create { .. } => create(aws, what, change, token, dry_run).boxed().await,
        Change::Attach {
            volume,
            instance,
            device,
        } => attach(aws, what, (volume, instance, device), dry_run).boxed().await,
        Change::Detach { volume, instance, .. } => detach(aws, what, volume, instance, dry_run).boxed().await,
        Change::Tag { key, value, from, to } => tag(aws, (key, value), from, to, dry_run).boxed().await,
    }
}

/// What has no token is asked once.
fn once() -> aws_sdk_ec2::config::Builder {
    aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled())
}

async fn modify(
    aws: &Aws,
    what: &str,
    volume: &str,
    (from, to): (&Shape, &Shape),
    dry_run: bool,
) -> Result<Vec<String>, Error> {
    let call = aws
        .clients()
        .await?
        .ec2
        .modify_volume()
        .volume_id(volume)
        .dry_run(dry_run)
        .set_volume_type((from.volume_type != to.volume_type).then(|| kind(to)))
        .set_size(differs(Some(from.size_gib), Some(to.size_gib)))
        .set_iops(differs(from.iops, to.iops))
        .set_throughput(differs(from.throughput_mib_per_second, to.throughput_mib_per_second));
    let call = call.customize().config_override(once());
    aws.ask("EC2", what, call.send().boxed()).await.map(|_| Vec::new())
}

async fn snapshot(
    aws: &Aws,
    what: &str,
    of: InstanceSpecification,
    description: &str,
    token: &str,
    dry_run: bool,
) -> Result<Vec<String>, Error> {
    let call = aws
        .clients()
        .await?
        .ec2
        .create_snapshots()
        .instance_specification(of)
        .copy_tags_from_source(CopyTagsFromSource::Volume)
        .description(description)
        .tag_specifications(marked(ResourceType::Snapshot, token, &BTreeMap::new()))
        .dry_run(dry_run)
        .customize()
        .config_override(once());
    let answer = aws.ask("EC2", what, call.send().boxed()).await?;
    let made = answer.snapshots().iter().filter_map(|one| one.snapshot_id());
    Ok(made.map(ToOwned::to_owned).collect())
}

async fn create(aws: &Aws, what: &str, change: &Change, token: &str, dry_run: bool) -> Result<Vec<String>, Error> {
    let Change::Create {
        snapshot,
        zone,
        shape,
        encrypted,
        kms_key,
        tags,
    } = change
    else {
        return Ok(Vec::new());
    };
    let call = aws
        .clients()
        .await?
        .ec2
        .create_volume()
        .snapshot_id(snapshot)
        .availability_zone(zone)
        .volume_type(kind(shape))
        .set_size(i32::try_from(shape.size_gib).ok())
        .set_iops(differs(None, shape.iops))
        .set_throughput(differs(None, shape.throughput_mib_per_second))
        .set_encrypted(encrypted.then_some(true))
        .set_kms_key_id(kms_key.clone())
        .tag_specifications(marked(ResourceType::Volume, token, tags))
        .client_token(token)
        .dry_run(dry_run);
    let answer = aws.ask("EC2", what, call.send().boxed()).await?;
    Ok(answer.volume_id().map(ToOwned::to_owned).into_iter().collect())
}

async fn attach(
    aws: &Aws,
    what: &str,
    (volume, instance, device): (&str, &str, &str),
    dry_run: bool,
) -> Result<Vec<String>, Error> {
    let ec2 = &aws.clients().await?.ec2;
    let call = ec2
        .attach_volume()
        .volume_id(volume)
        .instance_id(instance)
        .device(device);
    let call = call.dry_run(dry_run).customize().config_override(once());
    aws.ask("EC2", what, call.send().boxed()).await.map(|_| Vec::new())
}

async fn detach(aws: &Aws, what: &str, volume: &str, instance: &str, dry_run: bool) -> Result<Vec<String>, Error> {
    let ec2 = &aws.clients().await?.ec2;
    let call = ec2.detach_volume().volume_id(volume).instance_id(instance);
    let call = call.dry_run(dry_run).customize().config_override(once());
    aws.ask("EC2", what, call.send().boxed()).await.map(|_| Vec::new())
}

/// Both calls may be made twice. In between both instances have it, which is what is seen of one that was cut short.
async fn tag(aws: &Aws, (key, value): (&str, &str), from: &str, to: &str, dry_run: bool) -> Result<Vec<String>, Error> {
    let ec2 = &aws.clients().await?.ec2;
    let tag = Tag::builder().key(key).value(value).build();
    let call = ec2.create_tags().resources(to).tags(tag.clone()).dry_run(dry_run);
    match aws.ask("EC2", "CreateTags", call.send().boxed()).await {
        Err(Error::Refused { code, .. }) if dry_run && code == WOULD_DO => {}
        other => other.map(drop)?,
    }
    let call = ec2.delete_tags().resources(from).tags(tag).dry_run(dry_run);
    aws.ask("EC2", "DeleteTags", call.send().boxed())
        .await
        .map(|_| Vec::new())
}

/// A volume by its id, whatever it is attached to; `None` where there is none.
pub(super) async fn one_volume(aws: &Aws, id: &str) -> Result<Option<Volume>, Error> {
    let ec2 = &aws.clients().await?.ec2;
    let call = ec2.describe_volumes().volume_ids(id);
    let answer = match aws.ask("EC2", "DescribeVolumes", call.send()).await {
        Err(Error::Refused { code, .. }) if code.starts_with("InvalidVolume") => return Ok(None),
        other => other?,
    };
    let found = answer.volumes().first();
    let attached = found.and_then(|volume| volume.attachments().first()?.instance_id());
    let attached: Vec<String> = attached.map(ToOwned::to_owned).into_iter().collect();
    Ok(found
        .and_then(|found| volume::read(found, &attached))
        .map(|(_, volume)| volume))
}

/// Snapshots by id, or those that an act has made.
pub(super) async fn ebs_snapshots(aws: &Aws, ids: &[String], token: Option<&str>) -> Result<Vec<EbsSnapshot>, Error> {
    const WHAT: &str = "DescribeSnapshots";
    let ec2 = &aws.clients().await?.ec2;
    let made = token.map(|token| filter(format!("tag:{OPERATION_TAG}"), [token.to_owned()]));
    let pages = every_page(WHAT, DescribeSnapshotsOutput::next_token, |page| {
        let call = ec2
            .describe_snapshots()
            .set_snapshot_ids((!ids.is_empty()).then(|| ids.to_vec()))
            .set_owner_ids(ids.is_empty().then(|| vec!["self".to_owned()]))
            .set_filters(made.clone().map(|made| vec![made]))
            .set_next_token(page);
        aws.ask("EC2", WHAT, call.send())
    });
    let pages = match pages.await {
        Err(Error::Refused { code, .. }) if code.starts_with("InvalidSnapshot") => return Ok(Vec::new()),
        other => other?,
    };
    let all = pages.iter().flat_map(DescribeSnapshotsOutput::snapshots);
    let read = all.filter_map(|one| {
        let percent = one.progress().and_then(|text| text.trim_end_matches('%').parse().ok());
        Some(EbsSnapshot {
            id: one.snapshot_id()?.to_owned(),
            volume: one.volume_id().unwrap_or_default().to_owned(),
            size_gib: i64::from(one.volume_size().unwrap_or_default()),
            state: one.state().map_or("unknown", |state| state.as_str()).to_owned(),
            progress_percent: percent,
            encrypted: one.encrypted().unwrap_or(false),
            started_at: moment(one.start_time()),
            tags: tags(one.tags()),
        })
    });
    Ok(read.collect())
}

fn kind(shape: &Shape) -> VolumeType {
    VolumeType::from(shape.volume_type.as_str())
}

fn differs(from: Option<i64>, to: Option<i64>) -> Option<i32> {
    to.filter(|_| from != to).and_then(|to| i32::try_from(to).ok())
}

fn marked(of: ResourceType, token: &str, more: &BTreeMap<String, String>) -> TagSpecification {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let more = more.iter().map(|(key, value)| tag(key, value));
    TagSpecification::builder()
        .resource_type(of)
        .set_tags(Some(std::iter::once(tag(OPERATION_TAG, token)).chain(more).collect()))
        .build()
}
