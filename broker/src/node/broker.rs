//! A broker: its logs and replicas, what it knows of the cluster, its listeners, and the way in and out of the cluster.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::directory::Reporter;
use super::listener::{self, Bound};
use super::metadata::Known;
use super::registration::{Identity, Registration};
use super::security::Security;
use super::task::Tasks;
use super::{Error, Status, Surroundings, directory, dynamic, metadata, metrics, quotas};
use crate::auth::Authorizer;
use crate::coordinator::{GroupCoordinator, Peers, Setup, TransactionCoordinator, TransactionSetup, Verifier};
use crate::env::disk::Disk;
use crate::env::origin;
use crate::group;
use crate::handler::{Context, ControllerLink, Face, RemoteController};
use crate::id::Offset;
use crate::image::Image;
use crate::image::property::{self, Config};
use crate::log::{self, LogConfig, LogManager};
use crate::replica::{AlterPartition, LinkError, Options, QuotaWindow, ReplicaManager, WireLinks};
use crate::server::Server;
use crate::txn;

/// Leadership has to have moved by then, or it is lost to a slower election.
const LEAVE_DEADLINE: Duration = Duration::from_secs(10);
/// Requests in flight have to be answered by then.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);
const ALTER_PARTITION_DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

pub struct Broker {
    /// Set when it wants to leave the cluster.
    leaving: watch::Sender<bool>,
    registration: Tasks,
    /// Taken and stopped early when the last log directory fails.
    servers: Arc<Mutex<Vec<Server>>>,
    /// What follows the metadata.
    followers: Tasks,
    groups: Arc<GroupCoordinator>,
    transactions: Arc<TransactionCoordinator>,
    replicas: Arc<ReplicaManager>,
    upkeep: Upkeep,
    logs: Arc<LogManager>,
    epoch: watch::Receiver<i64>,
    /// Held while an image is applied.
    applying: Arc<Semaphore>,
}

/// What looks after the logs and the replicas.
struct Upkeep {
    stop: watch::Sender<bool>,
    tasks: Tasks,
}

impl Broker {
    /// A broker with empty folders waits for the controller here: they are made for the cluster it belongs to.
    pub async fn start(
        config: Arc<Config>,
        around: Surroundings,
        status: watch::Sender<Status>,
    ) -> Result<(Self, Vec<String>), Error> {
        let security = Arc::new(Security::open(&config, &around.clock, &around.expiry).await?);
        let bound = listener::bind(&config).await?;
        let scraped = metrics::bind(&config).await?;
        let mut followers = Tasks::default();
        for keys in security.keys() {
            followers.spawn(keys.run());
        }
        let controller = |purpose: &str| remote(&config, &around, &security, purpose);
        let known = match &around.together {
            Some(together) => together.known(),
            None => {
                let known = Known::default();
                let follower = metadata::follow(config.node_id(), controller("metadata"), known.clone());
                followers.spawn(follower);
                known
            }
        };
        let (images, mut knows_all) = (known.images, known.caught_up.subscribe());
        followers.spawn(Arc::clone(&security).renew(images.subscribe()));

        let cluster_id = cluster_id(&config, &around.disk, images.subscribe()).await?;
        let logs = open_logs(&config, &around, cluster_id.clone()).await?;
        let requests = Arc::new(controller("requests"));
        let incarnation = around.random.uuid();
        let replicas = replicas(&config, &around, &security, incarnation, &logs, &requests);
        let applied = watch::Sender::new(-1);
        let applying = Arc::new(Semaphore::new(1));
        let turn = Arc::clone(&applying);
        followers.spawn(apply(
            Arc::clone(&config),
            Arc::clone(&replicas),
            images.subscribe(),
            applied.clone(),
            turn,
        ));
        logs.set_intervals(log::Intervals {
            retention: config.millis("log.retention.check.interval.ms"),
            checkpoint: config.millis("log.flush.offset.checkpoint.interval.ms"),
            high_watermark: config.millis("replica.high.watermark.checkpoint.interval.ms"),
            compaction: config
                .boolean("log.cleaner.enable")
                .then(|| config.millis("log.cleaner.backoff.ms")),
            ..log::Intervals::default()
        });
        let upkeep = Upkeep::start(&replicas, &logs);
        let groups = coordinator(&config, &around, images.subscribe(), &replicas);
        followers.spawn(Arc::clone(&groups).run());
        let (transactions, verifier) =
            transactions(&config, &around, &security, images.subscribe(), &replicas, &groups);
        followers.spawn(Arc::clone(&transactions).run());

        let cx = Arc::new(Context {
            node: config.node_id(),
            face: Face::Broker,
            config: Arc::clone(&config),
            authorizer: Authorizer::of(&config),
            image: images.subscribe(),
            controller: ControllerLink::Remote(requests),
            knock: None,
            replicas: Arc::clone(&replicas),
            groups: Arc::clone(&groups),
            transactions: Arc::clone(&transactions),
            verifier,
            clock: around.clock.clone(),
            producer_ids: Arc::default(),
            quotas: quotas::of_clients(&config),
            connections: quotas::of_connections(&config),
            telemetry: metrics::counters(scraped.as_ref()),
        });
        followers.spawn(quotas::follow(Arc::clone(&cx)));
        if let Some(scraped) = scraped {
            followers.spawn(metrics::serve(scraped, Arc::clone(&cx)));
        }
        let endpoints: Vec<_> = bound.iter().map(|bound| bound.endpoint.clone()).collect();
        if cx.authorizer.is_some() {
            // As in Kafka: nobody is let in before the ACLs are known. A sender that is gone stops the node anyway.
            let _ = knows_all.wait_for(|knows| *knows).await;
        }
        let servers = Arc::new(Mutex::new(serve(bound, &cx, &security, &config)?));
        followers.spawn(directory::guard(
            Arc::clone(&replicas),
            Arc::clone(&servers),
            status.clone(),
        ));

        let (leaving, left) = watch::channel(false);
        let epoch = watch::Sender::new(-1);
        let registration = Registration {
            identity: Identity {
                node: config.node_id(),
                cluster_id,
                incarnation,
                rack: config.rack().map(str::to_owned),
                endpoints: endpoints
                    .iter()
                    .map(|endpoint| (endpoint.clone(), config.protocol(&endpoint.listener).code()))
                    .collect(),
                log_dirs: directory::ids(&logs, false),
                previous_epoch: logs.previous_broker_epoch().unwrap_or(-1),
            },
            controller: controller("heartbeats"),
            interval: config.millis("broker.heartbeat.interval.ms"),
            applied: applied.subscribe(),
            status,
            epoch: epoch.clone(),
            offline_dirs: offline_dirs(&logs),
            news: logs.news(),
        };
        let reporter = Reporter {
            node: config.node_id(),
            replicas: Arc::clone(&replicas),
            images: images.subscribe(),
            applied: applied.subscribe(),
            epoch: epoch.subscribe(),
            controller: controller("directories"),
        };
        followers.spawn(reporter.run());
        let mut tasks = Tasks::default();
        tasks.spawn(registration.run(left));
        let broker = Self {
            leaving,
            registration: tasks,
            servers,
            followers,
            groups,
            transactions,
            replicas,
            upkeep,
            logs,
            epoch: epoch.subscribe(),
            applying,
        };
        Ok((broker, endpoints.iter().map(listener::address).collect()))
    }

    pub async fn shutdown(mut self) {
        self.leaving.send_replace(true);
        std::mem::take(&mut self.registration).finish(LEAVE_DEADLINE).await;
        self.drain().await;
    }

    /// As [`Self::shutdown`], but leadership stays where it is: all other brokers stop too.
    pub async fn shutdown_with_all(mut self) {
        std::mem::take(&mut self.registration).end().await;
        self.drain().await;
    }

    /// Finishes what is being worked on and closes the logs.
    async fn drain(self) {
        // Members that wait in a join would hold up the draining of their connections.
        self.groups.resign();
        self.transactions.resign();
        let servers = std::mem::take(&mut *self.servers.lock());
        futures::future::join_all(servers.into_iter().map(|server| server.stop(DRAIN_DEADLINE))).await;
        self.followers.end().await;
        settled(&self.applying).await;
        self.transactions.stop().await;
        self.groups.stop().await;
        self.replicas.shutdown().await;
        self.upkeep.stop.send_replace(true);
        self.upkeep.tasks.finish(DRAIN_DEADLINE).await;
        self.logs.halt().await;
        let (logs, epoch) = (self.logs, *self.epoch.borrow());
        let closing = Arc::clone(&logs);
        let closed = origin::spawn_blocking(move || closing.close(epoch)).await;
        logs.release();
        if let Ok(Err(error)) = closed {
            tracing::error!("the logs were not closed cleanly and are recovered at the next start: {error}");
        }
    }

    pub async fn kill(self) {
        self.registration.end().await;
        let servers = std::mem::take(&mut *self.servers.lock());
        futures::future::join_all(servers.into_iter().map(Server::kill)).await;
        self.followers.end().await;
        settled(&self.applying).await;
        self.transactions.stop().await;
        self.groups.stop().await;
        self.replicas.shutdown().await;
        self.upkeep.tasks.end().await;
        self.logs.halt().await;
        self.logs.release();
    }
}

impl Upkeep {
    fn start(replicas: &Arc<ReplicaManager>, logs: &Arc<LogManager>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Tasks::default();
        tasks.spawn(Arc::clone(replicas).run());
        tasks.spawn(Arc::clone(logs).run(stopped));
        Self { stop, tasks }
    }
}

/// The coordinator of the groups whose offsets this node leads.
pub(super) fn coordinator(
    config: &Config,
    around: &Surroundings,
    image: watch::Receiver<Arc<Image>>,
    replicas: &Arc<ReplicaManager>,
) -> Arc<GroupCoordinator> {
    GroupCoordinator::new(Setup {
        node: config.node_id(),
        settings: group::Settings {
            session_timeout_min_ms: config.int("group.min.session.timeout.ms"),
            session_timeout_max_ms: config.int("group.max.session.timeout.ms"),
            initial_delay_ms: config.int("group.initial.rebalance.delay.ms"),
            size_max: config.size("group.max.size"),
            metadata_max_bytes: config.size("offset.metadata.max.bytes"),
            retention_ms: config.int("offsets.retention.minutes") * 60_000,
            retention_check_ms: config.int("offsets.retention.check.interval.ms"),
            consumer: consumer_settings(config),
        },
        write_timeout: config.millis("offsets.commit.timeout.ms"),
        verify_transactions: config.boolean("transaction.partition.verification.enable"),
        clock: around.clock.clone(),
        image,
        replicas: Arc::clone(replicas),
    })
}

fn consumer_settings(config: &Config) -> group::ConsumerSettings {
    let migration = config.text("group.consumer.migration.policy").to_ascii_lowercase();
    let assignors = config.list("group.consumer.assignors");
    group::ConsumerSettings {
        session_timeout_ms: config.int("group.consumer.session.timeout.ms"),
        heartbeat_interval_ms: i32::try_from(config.int("group.consumer.heartbeat.interval.ms")).unwrap_or(i32::MAX),
        size_max: config.size("group.consumer.max.size"),
        assignors: assignors.iter().filter_map(|name| name.parse().ok()).collect(),
        upgrades: matches!(migration.as_str(), "bidirectional" | "upgrade"),
        downgrades: matches!(migration.as_str(), "bidirectional" | "downgrade"),
        regex_refresh_ms: config.int("group.consumer.regex.refresh.interval.ms"),
    }
}

/// The coordinator of the transactional ids whose partitions this node leads, and who asks the others.
pub(super) fn transactions(
    config: &Config,
    around: &Surroundings,
    security: &Security,
    image: watch::Receiver<Arc<Image>>,
    replicas: &Arc<ReplicaManager>,
    groups: &Arc<GroupCoordinator>,
) -> (Arc<TransactionCoordinator>, Arc<Verifier>) {
    let listener = config.inter_broker_listener();
    let client_id = format!("broker-{}-transactions", config.node_id());
    let client = security.client(listener, client_id, CONNECT_DEADLINE);
    let peers = Arc::new(Peers::new(around.net.clone(), client, listener.to_owned()));
    let timeout = config.millis("request.timeout.ms");
    let transactions = TransactionCoordinator::new(TransactionSetup {
        node: config.node_id(),
        settings: txn::Settings {
            timeout_max_ms: i32::try_from(config.int("transaction.max.timeout.ms")).unwrap_or(i32::MAX),
            expiration_ms: config.int("transactional.id.expiration.ms"),
        },
        abort_interval: config.millis("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
        expire_interval: config.millis("transaction.remove.expired.transaction.cleanup.interval.ms"),
        timeout,
        clock: around.clock.clone(),
        image: image.clone(),
        replicas: Arc::clone(replicas),
        groups: Arc::clone(groups),
        peers: Arc::clone(&peers),
    });
    let verifier = Verifier {
        node: config.node_id(),
        image,
        transactions: Arc::clone(&transactions),
        peers,
        timeout,
    };
    (transactions, Arc::new(verifier))
}

/// Starts serving what was bound.
pub(super) fn serve(
    bound: Vec<Bound>,
    cx: &Arc<Context>,
    security: &Security,
    config: &Config,
) -> Result<Vec<Server>, Error> {
    let start = |bound: Bound| {
        let name = &bound.endpoint.listener;
        Server::start(
            bound.socket,
            name,
            Arc::clone(cx),
            listener::limits(config),
            security.of(name),
        )
    };
    bound.into_iter().map(|bound| Ok(start(bound)?)).collect()
}

/// A connection to the controller of its own for each purpose, so that a slow answer holds up nothing else.
fn remote(config: &Config, around: &Surroundings, security: &Security, purpose: &str) -> RemoteController {
    let client_id = format!("broker-{}-{purpose}", config.node_id());
    let client = security.client(config.controller_listener(), client_id, CONNECT_DEADLINE);
    RemoteController::new(
        config.controller_address().to_owned(),
        around.net.clone(),
        client,
        around.random.clone(),
    )
}

/// Of the data folders; of the controller, when they are new.
async fn cluster_id(config: &Config, disk: &Disk, mut images: watch::Receiver<Arc<Image>>) -> Result<String, Error> {
    let dirs = config.log_dirs();
    for dir in &dirs {
        match LogManager::identity_of(disk, dir) {
            Ok(Some(identity)) => return Ok(identity.cluster_id),
            Ok(None) => {}
            // One of several may fail; which are left is seen when they are opened.
            Err(log::Error::Io { .. }) if dirs.len() > 1 => {}
            Err(error) => return Err(error.into()),
        }
    }
    let known = images.wait_for(|image| !image.cluster_id.is_empty()).await;
    known
        .map(|image| image.cluster_id.clone())
        .map_err(|_| Error::Failed("it was stopped".to_owned()))
}

pub(super) async fn open_logs(
    config: &Arc<Config>,
    around: &Surroundings,
    cluster_id: String,
) -> Result<Arc<LogManager>, Error> {
    let dirs = config.log_dirs();
    open_dirs(dirs, config, around, cluster_id).await
}

pub(super) async fn open_dirs(
    dirs: Vec<PathBuf>,
    config: &Config,
    around: &Surroundings,
    cluster_id: String,
) -> Result<Arc<LogManager>, Error> {
    let identity = log::Identity {
        cluster_id,
        node_id: config.node_id(),
    };
    let defaults = LogConfig {
        producer_id_expiration_ms: config.int("producer.id.expiration.ms"),
        ..LogConfig::default()
    };
    let around = around.clone();
    // Recovery reads whole segments.
    let opened = origin::spawn_blocking(move || {
        LogManager::open(&dirs, around.disk, &identity, defaults, around.clock, &around.random)
    });
    match opened.await {
        Ok(logs) => Ok(Arc::new(logs?)),
        Err(panic) => Err(Error::Failed(format!(
            "opening the logs failed, which is a bug: {panic}"
        ))),
    }
}

fn replicas(
    config: &Arc<Config>,
    around: &Surroundings,
    security: &Security,
    incarnation: uuid::Uuid,
    logs: &Arc<LogManager>,
    controller: &Arc<RemoteController>,
) -> Arc<ReplicaManager> {
    let bytes = |key: &str| i32::try_from(config.int(key)).unwrap_or(i32::MAX);
    let options = Options {
        node: config.node_id(),
        incarnation,
        listener: config.inter_broker_listener().to_owned(),
        lag_time_max: config.millis("replica.lag.time.max.ms"),
        fetch_wait_max: config.millis("replica.fetch.wait.max.ms"),
        fetch_min_bytes: bytes("replica.fetch.min.bytes"),
        fetch_max_bytes: bytes("replica.fetch.max.bytes"),
        fetch_response_max_bytes: bytes("replica.fetch.response.max.bytes"),
        fetch_backoff: config.millis("replica.fetch.backoff.ms"),
        rack_aware: config.set("replica.selector.class") == Some(property::RACK_AWARE_SELECTOR),
        quota_window: QuotaWindow {
            samples: config.size("replication.quota.window.num"),
            sample: config.millis("replication.quota.window.size.seconds") * 1_000,
        },
        ..Options::new(config.node_id(), incarnation)
    };
    let client_id = format!("broker-{}-fetcher", config.node_id());
    let links = security.client(config.inter_broker_listener(), client_id, CONNECT_DEADLINE);
    let (settings, properties) = (Arc::clone(config), Arc::clone(config));
    let surroundings = crate::replica::Surroundings {
        logs: Arc::clone(logs),
        controller: Arc::new(Ear(Arc::clone(controller))),
        leaders: Arc::new(WireLinks::new(around.net.clone(), links)),
        settings: Box::new(move |image, topic| settings.topic(image, topic)),
        property: Box::new(move |image, key| properties.value(image, key)),
        nearby: around.together.as_ref().map(|together| together.nearby()),
    };
    ReplicaManager::new(options, surroundings)
}

/// The controller's ear for changes of in-sync replicas.
struct Ear(Arc<RemoteController>);

impl AlterPartition for Ear {
    fn alter_partition(
        &self,
        request: AlterPartitionRequest,
    ) -> BoxFuture<'_, Result<AlterPartitionResponse, LinkError>> {
        async move { Ok(self.0.call(request, ALTER_PARTITION_DEADLINE).await?) }.boxed()
    }
}

/// Waits until an image that was being applied is: that goes on on its thread when its task has ended.
async fn settled(applying: &Semaphore) {
    // It is never closed.
    let _ = applying.acquire().await;
}

/// Brings each image to the replicas, and tells how far they are. Holds `turn` while it is at work.
async fn apply(
    config: Arc<Config>,
    replicas: Arc<ReplicaManager>,
    mut images: watch::Receiver<Arc<Image>>,
    applied: watch::Sender<Offset>,
    turn: Arc<Semaphore>,
) {
    loop {
        let image = Arc::clone(&images.borrow_and_update());
        let offset = image.offset;
        if offset >= 0 {
            dynamic::apply(&config, &image, &replicas);
            let replicas = Arc::clone(&replicas);
            let Ok(held) = Arc::clone(&turn).acquire_owned().await else {
                return;
            };
            // Creating and deleting logs blocks on the disk.
            let done = origin::spawn_blocking(move || {
                replicas.apply(&image);
                // In this order: who gets the turn finds nothing of it left.
                drop(replicas);
                drop(held);
            })
            .await;
            if let Err(panic) = done {
                tracing::error!("applying metadata failed, which is a bug: {panic}");
            }
            applied.send_replace(offset);
        }
        if images.changed().await.is_err() {
            return;
        }
    }
}

fn offline_dirs(logs: &Arc<LogManager>) -> Arc<dyn Fn() -> Vec<uuid::Uuid> + Send + Sync> {
    let logs = Arc::clone(logs);
    Arc::new(move || directory::ids(&logs, true))
}
