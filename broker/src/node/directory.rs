//! A broker's log directories while it runs: what failed goes offline alone, and the controller learns which replica lies
//! where, so that it can move the leadership of a directory's partitions (KIP-112, KIP-858).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use kafka_protocol::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerId};
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::Status;
use crate::env::origin;
use crate::handler::RemoteController;
use crate::id::{NodeId, Offset, TopicId, TopicPartition};
use crate::image::Image;
use crate::log::{DirStatus, LogManager};
use crate::replica::ReplicaManager;
use crate::server::Server;
use crate::wire::ErrorCode;

const DEADLINE: Duration = Duration::from_secs(5);
const BACKOFF: Duration = Duration::from_millis(500);
/// As Kafka: one request does not hold up the controller.
const ASSIGNMENTS_MAX: usize = 2_000;

/// Takes the replicas of directories that fail offline, until all have failed: then the broker stops serving and says why.
pub async fn guard(replicas: Arc<ReplicaManager>, servers: Arc<Mutex<Vec<Server>>>, status: watch::Sender<Status>) {
    let mut news = replicas.logs().news();
    loop {
        news.mark_unchanged();
        let guarded = Arc::clone(&replicas);
        // Waits for an image that is being applied, which blocks on the disk.
        if let Err(panic) = origin::spawn_blocking(move || guarded.drop_failed()).await {
            tracing::error!("taking a directory's replicas offline failed, which is a bug: {panic}");
        }
        let dirs = replicas.logs().dirs();
        if dirs.iter().all(|dir| dir.failure.is_some()) {
            let servers = std::mem::take(&mut *servers.lock());
            status.send_replace(Status::Failed(all_failed(&dirs)));
            futures::future::join_all(servers.into_iter().map(Server::kill)).await;
            return;
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}

fn all_failed(dirs: &[DirStatus]) -> String {
    let why: Vec<&str> = dirs.iter().filter_map(|dir| dir.failure.as_deref()).collect();
    format!(
        "Every log directory has failed, so the broker stops ({}). Repair or replace the disks and start it again.",
        why.join("; ")
    )
}

/// The ids of the directories that failed and of those that are there, for registration and heartbeats.
pub fn ids(logs: &LogManager, failed: bool) -> Vec<Uuid> {
    let dirs = logs.dirs();
    let wanted = dirs.iter().filter(|dir| dir.failure.is_some() == failed);
    // One that failed before its meta.properties was read has no id that the controller knows.
    wanted.map(|dir| dir.id).filter(|id| !id.is_nil()).collect()
}

/// Tells the controller in which directory replicas lie.
pub struct Reporter {
    pub node: NodeId,
    pub replicas: Arc<ReplicaManager>,
    pub images: watch::Receiver<Arc<Image>>,
    /// The metadata offset up to which this node has applied the image.
    pub applied: watch::Receiver<Offset>,
    /// The epoch of this run's registration.
    pub epoch: watch::Receiver<i64>,
    pub controller: RemoteController,
}

impl Reporter {
    /// Runs until it is dropped. A node with one directory tells of it once, in case it had more before: it fails as a
    /// whole, so nobody needs to know more.
    pub async fn run(mut self) {
        let several = self.replicas.logs().dirs().len() > 1;
        let mut news = self.replicas.logs().news();
        let mut said = String::new();
        loop {
            let epoch = *self.epoch.borrow();
            let is_applied = epoch >= 0 && *self.applied.borrow_and_update() >= epoch;
            news.mark_unchanged();
            if is_applied {
                match self.report(epoch, several).await {
                    Ok(()) if !several => return,
                    Ok(()) => said.clear(),
                    Err(reason) => {
                        if said != reason {
                            tracing::warn!("the controller does not know yet where replicas lie: {reason}");
                            said = reason;
                        }
                        tokio::time::sleep(BACKOFF).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                changed = self.applied.changed() => if changed.is_err() { return },
                changed = news.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn report(&self, epoch: i64, several: bool) -> Result<(), String> {
        let mut untold = self.untold(several);
        while !untold.is_empty() {
            let rest = untold.split_off(untold.len().min(ASSIGNMENTS_MAX));
            let request = request(self.node, epoch, &untold);
            let answer = self.controller.call(request, DEADLINE).await;
            check(&answer.map_err(|error| error.to_string())?)?;
            untold = rest;
        }
        Ok(())
    }

    /// The replicas that the image has in another directory, or in none.
    fn untold(&self, several: bool) -> Vec<(TopicPartition, Uuid)> {
        let image = Arc::clone(&self.images.borrow());
        let logs = self.replicas.logs();
        let wrong = |at: TopicPartition| {
            let state = image.partition(at)?;
            let told = state.directory(self.node);
            let dir = logs.dir_of(at).filter(|dir| !dir.is_nil())?;
            let is_news = told != Some(dir) && (several || told.is_some());
            (is_news && state.replicas.contains(&self.node)).then_some((at, dir))
        };
        logs.logs().into_iter().filter_map(|(at, _, _)| wrong(at)).collect()
    }
}

fn request(node: NodeId, epoch: i64, untold: &[(TopicPartition, Uuid)]) -> AssignReplicasToDirsRequest {
    let mut by_dir: BTreeMap<Uuid, BTreeMap<TopicId, Vec<i32>>> = BTreeMap::new();
    for (at, dir) in untold {
        let topics = by_dir.entry(*dir).or_default();
        topics.entry(at.topic).or_default().push(at.partition);
    }
    let topic = |(id, partitions): (TopicId, Vec<i32>)| {
        let partition = |index| PartitionData::default().with_partition_index(index);
        TopicData::default()
            .with_topic_id(id.0)
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    let directory = |(id, topics): (Uuid, BTreeMap<TopicId, Vec<i32>>)| {
        DirectoryData::default()
            .with_id(id)
            .with_topics(topics.into_iter().map(topic).collect())
    };
    AssignReplicasToDirsRequest::default()
        .with_broker_id(BrokerId(node.0))
        .with_broker_epoch(epoch)
        .with_directories(by_dir.into_iter().map(directory).collect())
}

/// An error for all is tried again; one of a single partition is told again with the next image.
fn check(answer: &AssignReplicasToDirsResponse) -> Result<(), String> {
    if let Some(code) = ErrorCode::try_from_code(answer.error_code) {
        return Err(format!("it answers {code}"));
    }
    let partitions = answer.directories.iter().flat_map(|dir| &dir.topics).flat_map(|topic| {
        let id = topic.topic_id;
        topic.partitions.iter().map(move |partition| (id, partition))
    });
    for (topic, partition) in partitions {
        if ErrorCode::try_from_code(partition.error_code) == Some(ErrorCode::KafkaStorageError) {
            tracing::warn!(
                partition = partition.partition_index,
                "the last in-sync copy of a partition of topic {} was in a log directory that is gone; bring that \
                 directory back, or elect another replica uncleanly",
                TopicId(topic)
            );
        }
    }
    Ok(())
}
