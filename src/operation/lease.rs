//! Who else works on this cluster, from another host: an advisory lease, kept in the cluster itself.
//!
//! An engine that moves data or stops brokers is a member of the consumer group `azimuth.<cluster-id>` and says there who runs what from
//! where. It needs Read on that group and expires with the session. On one host the lock files decide; between hosts this
//! is all there is, beside looking for what others do. A cluster that has never had a group keeps no lease either: joining
//! would make `__consumer_offsets`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Error, Id, Who};
use crate::model::Moment;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::{Kind, Plan};
use crate::source::kafka::{Kafka, presence};

/// How long reading it may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// A group that changes tells no metadata for a moment.
const SETTLE: Duration = Duration::from_millis(300);
const TRIES: u32 = 5;
/// Where offsets are kept; without it there is no group.
const OFFSETS: &str = "__consumer_offsets";

/// What `--override` names.
pub(super) const GATE: &str = "lease";

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The shape's version.
    pub azimuth: u32,
    pub user: String,
    pub host: String,
    pub operation: String,
    /// What it does.
    pub title: String,
    /// Lock scopes that it holds on its host; `data` is exclusive.
    pub scopes: Vec<String>,
    pub since: Moment,
}

/// The group of a cluster.
pub fn group(cluster_id: &str) -> String {
    format!("azimuth.{cluster_id}")
}

/// Whether a plan is one that two operators must not carry out at once from two hosts: what holds the lock of data. Moving
/// leaders out of a zone that dies, bringing a broker back and taking a throttle away are not held up by anybody's lease.
pub fn is_leased(plan: &Plan) -> bool {
    let urgent = matches!(
        plan.kind,
        Kind::LeaderMove
            | Kind::LeaderRestore
            | Kind::LeaderElect
            | Kind::BrokerStart
            | Kind::ThrottleSet
            | Kind::ThrottleClear
    );
    !urgent && super::lock::scopes(plan).iter().any(|scope| scope == "data")
}

impl Lease {
    fn of(plan: &Plan, id: &Id, who: &Who, now: Moment) -> Self {
        Self {
            azimuth: 1,
            user: who.user.clone(),
            host: who.host.clone(),
            operation: id.to_string(),
            title: plan.title.clone(),
            scopes: super::lock::scopes(plan),
            since: now,
        }
    }

    fn words(&self) -> String {
        format!(
            "operation {} of {}@{} ({})",
            self.operation, self.user, self.host, self.title
        )
    }
}

/// Everybody who says something of themselves. `None` where the cluster keeps no groups.
///
/// # Errors
/// When it cannot be read.
pub async fn holders(kafka: &Kafka, cluster_id: &str) -> Result<Option<Vec<Lease>>, Error> {
    let topics = kafka.topics().await?;
    if !topics.iter().any(|topic| topic.name == OFFSETS) {
        return Ok(None);
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let present = kafka.present(&group(cluster_id)).await?;
        let silent = present.iter().any(|one| one.metadata.is_empty());
        if !silent || tries >= TRIES {
            let leases = present
                .iter()
                .filter_map(|one| serde_json::from_slice(&one.metadata).ok());
            return Ok(Some(leases.collect()));
        }
        sleep(SETTLE).await;
    }
}

/// The gate of a plan that wants to be alone; `None` of one that does not.
pub async fn gate(kafka: &Kafka, plan: &Plan) -> Option<Gate> {
    if !is_leased(plan) {
        return None;
    }
    let told = timeout(DEADLINE, holders(kafka, &plan.cluster_id)).await;
    let name = group(&plan.cluster_id);
    let gate = |verdict, evidence: String| Some(Gate::new(GATE, Class::Soft, verdict, evidence));
    match told {
        Ok(Ok(Some(leases))) => {
            let others = others(leases, &Who::me().host);
            let words: Vec<String> = others.iter().map(Lease::words).collect();
            match words.is_empty() {
                true => gate(Verdict::Pass, "nobody moves data here from another host".to_owned()),
                false => gate(Verdict::Fail, format!("somebody else is at it: {}", few(&words))),
            }
        }
        Ok(Ok(None)) => gate(
            Verdict::Warn,
            "this cluster has no consumer groups, so none can be kept between hosts".to_owned(),
        ),
        Ok(Err(error)) => gate(Verdict::Unknown, format!("group {name} cannot be read: {error}")),
        Err(_) => gate(
            Verdict::Unknown,
            format!("group {name} did not answer within {} s", DEADLINE.as_secs()),
        ),
    }
}

/// Those of other hosts that want to be alone; on this one locks decide.
fn others(leases: Vec<Lease>, host: &str) -> Vec<Lease> {
    let elsewhere = |lease: &Lease| lease.host != host && lease.scopes.iter().any(|scope| scope == "data");
    leases.into_iter().filter(elsewhere).collect()
}

/// Ours, for as long as an engine runs.
#[derive(Debug)]
pub(super) struct Holding {
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Holding {
    /// Joins beside what the engine does; what cannot be joined is tried again with the next beat.
    pub fn begin(kafka: Kafka, plan: &Plan, id: &Id) -> Option<Self> {
        if !is_leased(plan) {
            return None;
        }
        let lease = Lease::of(plan, id, &Who::me(), Moment::now());
        let name = group(&plan.cluster_id);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(hold(kafka, name, lease, stopped));
        Some(Self { stop, task })
    }

    /// Gives it back, within a moment.
    pub async fn end(self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let abort = self.task.abort_handle();
        let _ = self.stop.send(());
        if timeout(PATIENCE, self.task).await.is_err() {
            abort.abort();
        }
    }
}

async fn hold(kafka: Kafka, name: String, lease: Lease, mut stopped: tokio::sync::oneshot::Receiver<()>) {
    let metadata = serde_json::to_vec(&lease).unwrap_or_default();
    let mut member = None;
    loop {
        let beat = async {
            match &mut member {
                // A beat that is not answered is followed by another.
                Some(member) => drop(presence::Member::beat(member).await),
                None => {
                    let topics = kafka.topics().await.unwrap_or_default();
                    if topics.iter().any(|topic| topic.name == OFFSETS) {
                        member = kafka.join(&name, metadata.clone()).await.ok();
                    }
                }
            }
            sleep(presence::BEAT).await;
        };
        tokio::select! {
            () = beat => {}
            _ = &mut stopped => break,
        }
    }
    if let Some(member) = member {
        member.leave().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_moves_data_on_another_host_is_in_the_way() {
        let lease = |host: &str, scope: &str| Lease {
            azimuth: 1,
            user: "carl".into(),
            host: host.into(),
            operation: "7f3c21".into(),
            title: "drain broker 4".into(),
            scopes: vec![scope.to_owned()],
            since: "2026-11-26T12:00:00Z".parse().unwrap(),
        };
        let all = vec![
            lease("bastion-b", "data"),
            lease("bastion-c", "topic-x"),
            lease("bastion-c", "data"),
        ];
        let words: Vec<String> = others(all, "bastion-b").iter().map(Lease::words).collect();
        assert_eq!(words, ["operation 7f3c21 of carl@bastion-c (drain broker 4)"]);
    }
}
