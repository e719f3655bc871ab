//! Volumes: looks how a change stands at EC2, and at how large a broker's file system is.

use crate::model::BrokerId;
use crate::model::volume::{Change, Shape};
use crate::source::Error;
use crate::source::aws::{Aws, Scope};
use crate::source::kafka::Kafka;

/// How a change stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing of it is seen.
    Ready,
    Underway {
        note: String,
        percent: Option<i64>,
    },
    Done(String),
    /// The same, with the ids of what it made.
    Made(String, Vec<String>),
    /// It cannot come to be by itself: somebody has changed something else.
    Astray(String),
}

/// Looks. `token` names the act; `made` is what EC2 said that it made.
pub(super) async fn look(aws: Aws, change: Change, token: String, made: Vec<String>) -> Result<Standing, Error> {
    match &change {
        Change::Modify { volume, from, to } => modified(&aws, volume, from, to).await,
        Change::Snapshot { volumes, .. } => snapshotted(&aws, volumes, &token).await,
        Change::Create { .. } => created(&aws, made.first()).await,
        Change::Attach {
            volume,
            instance,
            device,
        } => attached(&aws, volume, instance, device).await,
        Change::Detach { volume, instance, .. } => detached(&aws, volume, instance).await,
        Change::Tag { key, value, from, to } => tagged(&aws, (key, value), from, to).await,
    }
}

fn gone(volume: &str) -> Standing {
    Standing::Astray(format!("volume {volume} is gone"))
}

/// Usable from `optimizing` on. Source: EBS user guide, "Monitor the progress of volume modifications".
async fn modified(aws: &Aws, id: &str, from: &Shape, to: &Shape) -> Result<Standing, Error> {
    let Some(volume) = aws.volume(id).await? else {
        return Ok(gone(id));
    };
    let ids = [id.to_owned()];
    let last = aws.modifications(&ids).await?.remove(id);
    let now = Shape::of(&volume);
    let state = last.as_ref().map_or("completed", |last| last.state.as_str());
    let percent = last.as_ref().and_then(|last| last.progress_percent);
    Ok(match state {
        "modifying" => Standing::Underway {
            note: format!("{id} is modifying"),
            percent,
        },
        "failed" if now != *to => {
            Standing::Astray(format!("EC2 says that modifying {id} failed; it is {}", now.words()))
        }
        _ if now == *to => {
            let goes_on = match (state, percent) {
                ("optimizing", Some(percent)) => format!(", optimizing goes on ({percent} %)"),
                ("optimizing", None) => ", optimizing goes on".to_owned(),
                _ => String::new(),
            };
            Standing::Done(format!("{id} is {}{goes_on}", now.words()))
        }
        _ if now == *from => Standing::Ready,
        _ => Standing::Astray(format!(
            "{id} was {} and is {}: somebody else has modified it",
            from.words(),
            now.words()
        )),
    })
}

async fn snapshotted(aws: &Aws, volumes: &[String], token: &str) -> Result<Standing, Error> {
    let all = aws.ebs_snapshots(&[], Some(token)).await?;
    let ours: Vec<_> = all.iter().filter(|one| volumes.contains(&one.volume)).collect();
    if ours.is_empty() {
        return Ok(Standing::Ready);
    }
    if let Some(bad) = ours.iter().find(|one| one.state == "error") {
        return Ok(Standing::Astray(format!(
            "snapshot {} of {} failed",
            bad.id, bad.volume
        )));
    }
    let named = |of: &[&crate::model::volume::EbsSnapshot]| {
        let names = of.iter().map(|one| format!("{} of {}", one.id, one.volume));
        names.collect::<Vec<_>>().join(", ")
    };
    let pending: Vec<_> = ours.iter().copied().filter(|one| one.state != "completed").collect();
    Ok(match pending.is_empty() {
        true => Standing::Made(named(&ours), ours.iter().map(|one| one.id.clone()).collect()),
        false => Standing::Underway {
            note: format!("the moment is taken, it is copied: {}", named(&pending)),
            percent: pending.iter().filter_map(|one| one.progress_percent).min(),
        },
    })
}

async fn created(aws: &Aws, made: Option<&String>) -> Result<Standing, Error> {
    let Some(id) = made else {
        return Ok(Standing::Ready);
    };
    Ok(match aws.volume(id).await? {
        Some(volume) if matches!(volume.state.as_str(), "available" | "in-use") => {
            let words = format!("{id} is {} in {}", Shape::of(&volume).words(), volume.zone);
            Standing::Made(words, vec![id.clone()])
        }
        Some(volume) if volume.state == "error" => Standing::Astray(format!("{id} could not be made")),
        // EC2 may not know yet what it has just made.
        Some(_) | None => Standing::Underway {
            note: format!("{id} is being made"),
            percent: None,
        },
    })
}

async fn attached(aws: &Aws, id: &str, instance: &str, device: &str) -> Result<Standing, Error> {
    let Some(volume) = aws.volume(id).await? else {
        return Ok(gone(id));
    };
    Ok(match (volume.instance.as_deref(), volume.attachment.as_deref()) {
        (None, _) => Standing::Ready,
        (Some(on), _) if on != instance => Standing::Astray(format!("{id} is attached to {on}")),
        (Some(_), Some(state @ ("attaching" | "busy"))) => Standing::Underway {
            note: format!("{id} is {state}"),
            percent: None,
        },
        (Some(_), _) => Standing::Done(format!(
            "{id} is attached to {instance} as {}",
            volume.device.as_deref().unwrap_or(device)
        )),
    })
}

async fn detached(aws: &Aws, id: &str, instance: &str) -> Result<Standing, Error> {
    let Some(volume) = aws.volume(id).await? else {
        return Ok(gone(id));
    };
    Ok(match (volume.instance.as_deref(), volume.attachment.as_deref()) {
        (None, _) if volume.state == "available" => Standing::Done(format!("{id} is available")),
        (None, _) => Standing::Underway {
            note: format!("{id} is {}", volume.state),
            percent: None,
        },
        (Some(on), _) if on != instance => Standing::Astray(format!("{id} is attached to {on}")),
        (Some(_), Some("detaching")) => Standing::Underway {
            note: format!("{id} is detaching"),
            percent: None,
        },
        (Some(_), Some("busy")) => Standing::Underway {
            note: format!("{id} is busy: its file system is mounted on {instance}; umount it there"),
            percent: None,
        },
        (Some(_), _) => Standing::Ready,
    })
}

async fn tagged(aws: &Aws, (key, value): (&str, &str), from: &str, to: &str) -> Result<Standing, Error> {
    let found = aws.instances(&Scope::Ids(vec![from.to_owned(), to.to_owned()])).await?;
    let of = |id: &str| found.get(id).and_then(|one| one.tags.get(key)).map(String::as_str);
    Ok(match (found.contains_key(to), of(to), of(from)) {
        (false, ..) => Standing::Astray(format!("instance {to} is gone")),
        (_, Some(other), _) if other != value => Standing::Astray(format!("{to} has the tag {key}={other} by now")),
        (_, Some(_), own) if own != Some(value) => Standing::Done(format!("{to} has the tag {key}={value}")),
        _ => Standing::Ready,
    })
}

/// How many bytes the file system of a log directory has, as its broker tells.
pub(super) async fn file_system(kafka: Kafka, broker: BrokerId, path: String) -> Result<Option<u64>, Error> {
    let dirs = kafka.logdirs(broker).await?;
    Ok(dirs
        .into_iter()
        .find(|dir| dir.path == path)
        .and_then(|dir| dir.total_bytes))
}
