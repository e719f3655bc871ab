//! A plan about volumes in words.

use super::{Act, Extend};
use crate::model::volume::Change;
use crate::plan::restart::spoken;
use crate::plan::{Kind, Plan, Step};

/// What is changed.
pub fn title(plan: &Plan) -> String {
    let verb = match plan.kind {
        Kind::VolumeModify => "volume modify",
        Kind::VolumeSnapshot => "volume snapshot",
        Kind::VolumeCreate => "volume create",
        Kind::VolumeAttach => "volume attach",
        Kind::VolumeExtend => "volume extend",
        _ => "volume detach",
    };
    let what = plan.title.split_once(' ').map_or(plan.title.as_str(), |(_, rest)| rest);
    format!("{verb}: {what}")
}

/// Prices, and how soon it helps.
pub fn figures(plan: &Plan) -> Vec<String> {
    let changes = plan.steps.iter().filter_map(|step| match step {
        Step::Volume(Act::Change { change, .. }) => Some(change),
        _ => None,
    });
    changes.flat_map(of_change).collect()
}

fn of_change(change: &Change) -> Vec<String> {
    match change {
        Change::Modify { from, to, .. } => {
            let price = match (from.usd_per_month(), to.usd_per_month()) {
                (Some(before), Some(after)) => format!("${before:.2}→${after:.2}/month (us-east-1 list)"),
                _ => format!("price of {}→{} not known here", from.volume_type, to.volume_type),
            };
            vec![price, "usable when it is optimizing, within minutes".to_owned()]
        }
        Change::Snapshot { volumes, .. } => {
            let count = match volumes.len() {
                1 => "1 volume".to_owned(),
                many => format!("{many} volumes at one moment"),
            };
            vec![
                count,
                "as after a power cut".to_owned(),
                "$0.05 a GiB that is stored and month (us-east-1 list)".to_owned(),
            ]
        }
        Change::Create { shape, .. } => match shape.usd_per_month() {
            Some(price) => vec![
                format!("${price:.2}/month (us-east-1 list)"),
                "read from S3 as it is touched: slow at first".to_owned(),
            ],
            None => vec!["price not known here".to_owned()],
        },
        Change::Attach { .. } | Change::Detach { .. } | Change::Tag { .. } => Vec::new(),
    }
}

/// What a step does, for a list of steps.
pub fn name(act: &Act) -> String {
    match act {
        Act::Change { change, .. } => change.words(),
        Act::Extend(extend) => format!(
            "extend {} of broker {} to {} GiB",
            extend.path, extend.broker, extend.size_gib
        ),
        Act::Verify(verify) => format!("verify that broker {} runs on {}", verify.broker, verify.instance),
    }
}

/// What a step does and by what, with everything that a person has to do.
pub fn lines(act: &Act) -> Vec<String> {
    match act {
        Act::Change { change, .. } => vec![format!("  {}", change.equivalent())],
        Act::Extend(extend) => match &extend.run {
            Some(run) => vec![format!(
                "  then {}  by {}: {}",
                name(act),
                run.driver,
                spoken(&run.words)
            )],
            None => by_hand(extend),
        },
        Act::Verify(verify) => vec![format!(
            "  then {}, registered as who it was, with {} online",
            name(act),
            verify.paths.join(", ")
        )],
    }
}

/// The exact lines, and what is waited for.
fn by_hand(extend: &Extend) -> Vec<String> {
    let Extend { broker, path, .. } = extend;
    vec![
        format!("  then, by hand on the host of broker {broker} (the context has no driver that does it):"),
        format!(
            "    d=$(findmnt -no SOURCE --target {path}); lsblk -no PKNAME,TYPE \"$d\"      # on a partition? then: sudo growpart /dev/DISK NUMBER"
        ),
        format!("    sudo xfs_growfs {path}      # ext4: sudo resize2fs \"$d\""),
        "    the plan waits until the broker tells of the larger file system".to_owned(),
    ]
}
