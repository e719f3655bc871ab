//! Which calls a policy lets through, without doing anything: DryRun where EC2 has it, and questions that have no answer.
//!
//! EC2 looks at rights before it looks at what is named (EC2 API reference, "DryRun"), so any other refusal than a denial says that the
//! right is there. SendCommand can only be tried by doing it.

use super::Aws;
use crate::model::volume::{Change, Shape};
use crate::source::Error;

/// A command that nobody ever sent.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// What is there to be asked about: an instance and one of its volumes, with its device.
pub(super) struct About<'a> {
    pub(super) instance: &'a str,
    pub(super) volume: &'a str,
    pub(super) device: &'a str,
    pub(super) zone: &'a str,
    pub(super) shape: Shape,
}

/// Each action and whether it would be let through; `None` where that cannot be tried.
pub(super) async fn trials(aws: &Aws, about: &About<'_>) -> Vec<(&'static str, Option<Result<(), Error>>)> {
    let instances = [about.instance.to_owned()];
    let agents = aws.agents(&instances).await.map(drop);
    let listed = aws
        .sent_command(about.instance, crate::model::Moment::now(), NOBODY)
        .await;
    let told = aws.invocation(NOBODY, about.instance).await;
    let mut all = vec![
        ("ssm:DescribeInstanceInformation", Some(agents)),
        ("ssm:ListCommands", Some(listed.map(drop))),
        ("ssm:GetCommandInvocation", Some(told.map(drop))),
        ("ssm:SendCommand", None),
    ];
    let larger = Shape {
        size_gib: about.shape.size_gib + 1,
        ..about.shape.clone()
    };
    let (volume, instance, device) = (
        about.volume.to_owned(),
        about.instance.to_owned(),
        about.device.to_owned(),
    );
    let changes = [
        (
            "ec2:ModifyVolume",
            Change::Modify {
                volume: volume.clone(),
                from: about.shape.clone(),
                to: larger,
            },
        ),
        (
            "ec2:CreateSnapshots",
            Change::Snapshot {
                instance: instance.clone(),
                volumes: Vec::new(),
                without: Vec::new(),
                description: "a trial of azimuth".to_owned(),
            },
        ),
        (
            "ec2:CreateVolume",
            Change::Create {
                snapshot: "snap-00000000000000000".to_owned(),
                zone: about.zone.to_owned(),
                shape: about.shape.clone(),
                encrypted: false,
                kms_key: None,
                tags: std::collections::BTreeMap::new(),
            },
        ),
        (
            "ec2:AttachVolume",
            Change::Attach {
                volume: volume.clone(),
                instance: instance.clone(),
                device: device.clone(),
            },
        ),
        (
            "ec2:DetachVolume",
            Change::Detach {
                volume,
                instance,
                device,
            },
        ),
    ];
    for (action, change) in &changes {
        let tried = aws.change(change, "azimuth-trial", true).await.map(drop);
        all.push((*action, Some(tried)));
    }
    let words = |(action, tried): (&'static str, Option<Result<(), Error>>)| {
        let tried = tried.map(|tried| match tried {
            // It was looked at, so it would be let through; what was named is only wrong.
            Err(Error::Refused { .. }) => Ok(()),
            other => other,
        });
        (action, tried)
    };
    all.into_iter().map(words).collect()
}
