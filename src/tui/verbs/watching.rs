//! The operations of a cluster as they change, whoever started them: their journals, and what live engines tell.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::check::Reach;
use crate::model::Snapshot;
use crate::model::throttle::Setting;
use crate::operation::client::Client;
use crate::operation::shelf::Shelf;
use crate::operation::{Entry, Folder, Ground, Id, Status, StepState};
use crate::plan::summary;
use crate::plan::{Kind, Plan};
use crate::tui::app::operation::{Operation, Step};

/// How often it is looked; a look at journals that did not change reads none of them.
const LOOK: Duration = Duration::from_secs(1);
/// How long an engine may take to tell.
const TELL: Duration = Duration::from_millis(500);

/// Publishes the operations whenever they change, until nobody listens.
pub async fn watch(
    ground: Ground,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    publish: watch::Sender<Arc<Vec<Operation>>>,
) {
    let Some(folder) = folder(&ground, &mut snapshots).await else {
        return;
    };
    let mut shelf = Shelf::default();
    while !publish.is_closed() {
        let there = folder.clone();
        let looked = tokio::task::spawn_blocking(move || {
            shelf.look(&there);
            shelf
        });
        shelf = looked.await.unwrap_or_default();
        let claims = shelf.claims();
        let mut operations = Vec::new();
        for (id, (status, entries)) in shelf.read() {
            let live = if status.alive { live(&folder, id).await } else { None };
            let held = claims.iter().filter(|claim| claim.operation == id.as_str());
            let held = held.map(|claim| claim.setting.clone()).collect();
            operations.push(shape(live.as_ref().unwrap_or(status), entries, held));
        }
        publish.send_if_modified(|known| {
            let changed = **known != operations;
            if changed {
                *known = Arc::new(operations);
            }
            changed
        });
        tokio::time::sleep(LOOK).await;
    }
}

/// The folder of the cluster's operations, once it is known which cluster it is.
async fn folder(ground: &Ground, snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Option<Folder> {
    loop {
        let id = snapshots
            .borrow_and_update()
            .cluster
            .get()
            .map(|cluster| cluster.id.clone());
        if let Some(folder) = id.and_then(|id| ground.folder(&id).ok()) {
            return Some(folder);
        }
        snapshots.changed().await.ok()?;
    }
}

/// What the engine says of itself; it knows how far its step is.
async fn live(folder: &Folder, id: &Id) -> Option<Status> {
    let told = async {
        let mut client = Client::connect(folder, id).await.ok()?;
        client.next().await.ok()?
    };
    timeout(TELL, told).await.ok()?
}

fn shape(status: &Status, entries: &[Entry], held: Vec<Setting>) -> Operation {
    let progress = status.progress.as_ref().filter(|_| !status.phase.is_over());
    Operation {
        id: status.id.to_string(),
        verb: verb(&status.plan).to_owned(),
        title: status.plan.title.clone(),
        state: status.word(),
        by: status.begun_by.to_string(),
        started_at: Some(status.begun_at),
        percent: Some(status.percent()),
        eta_seconds: progress.and_then(|progress| progress.eta_seconds).map(|eta| eta as f64),
        reach: Reach::of(&status.plan),
        note: status
            .way_out()
            .or_else(|| waits(status))
            .or_else(|| status.note.clone()),
        held,
        steps: (0..status.steps.len()).map(|at| step(status, at)).collect(),
        log: entries
            .iter()
            .rev()
            .map(|entry| (entry.at, entry.event.to_string()))
            .collect(),
    }
}

/// What it waits for, while it does.
fn waits(status: &Status) -> Option<String> {
    let waiting = status.waits.as_ref().filter(|_| status.word() == "waiting");
    waiting.map(ToString::to_string)
}

fn verb(plan: &Plan) -> &'static str {
    match plan.kind {
        Kind::Reassign | Kind::ReassignCancel => "reassign",
        Kind::RecordSend | Kind::RecordCheck => "record",
        Kind::LeaderMove | Kind::LeaderRestore | Kind::LeaderElect => "leader",
        Kind::GroupReset | Kind::GroupDelete => "group",
        Kind::TransactionAbort => "transaction",
        Kind::TopicAddPartitions | Kind::TopicTruncate => "topic",
        Kind::TopicCreate => "create",
        Kind::TopicDelete => "delete",
        Kind::ConfigSet | Kind::ConfigUnset => "config",
        Kind::ThrottleSet => "throttle",
        Kind::ThrottleClear => "clear",
        Kind::AclApply => "acl",
        Kind::UserSet | Kind::UserDelete => "user",
        Kind::QuotaSet => "quota",
        Kind::FeatureFinalize => "feature",
        Kind::Restart => "restart",
        Kind::BrokerStop => "stop",
        Kind::BrokerStart => "start",
        Kind::VolumeModify
        | Kind::VolumeSnapshot
        | Kind::VolumeCreate
        | Kind::VolumeAttach
        | Kind::VolumeExtend
        | Kind::VolumeDetach => "volume",
        Kind::DnsSwitch | Kind::DnsRollback => "dns",
        Kind::BrokerReplace => "replace",
        Kind::VolumeEncrypt => "encrypt",
    }
}

fn step(status: &Status, at: usize) -> Step {
    let name = status.plan.steps.get(at).map(summary::step_name).unwrap_or_default();
    let progress = status.progress.as_ref().filter(|progress| progress.step == at);
    match &status.steps[at] {
        StepState::Next => Step {
            at: None,
            state: "next".to_owned(),
            text: name,
        },
        StepState::Doing { since } => Step {
            at: Some(*since),
            state: if status.alive { "doing" } else { "half done" }.to_owned(),
            text: match progress {
                Some(progress) => {
                    let paced = progress.paced.as_ref().map(|paced| format!(" · {paced}"));
                    let (done, total, paced) = (progress.done, progress.total, paced.unwrap_or_default());
                    format!("{name} · {done} of {total} · {}{paced}", progress.note)
                }
                None => name,
            },
        },
        StepState::Done { at, outcome } => Step {
            at: Some(*at),
            state: "done".to_owned(),
            text: format!("{name}: {outcome}"),
        },
    }
}
