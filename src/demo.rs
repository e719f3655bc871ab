//! What `azimuth demo` is made of: six brokers in three zones in this process, a simulated cloud that the real AWS SDK
//! talks to, producers and consumer groups at work, and incidents to practise on.
//!
//! Everything lies in one temporary folder and on loopback addresses, and is gone when the demo ends. The brokers'
//! addresses are also the simulated instances' private ones, so that the join of the two is the real one.

pub mod cloud;
pub mod control;
mod drill;
mod guard;
mod meter;
mod workload;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azimuth_broker::cluster::{Cluster, ClusterConfig, NodeConfig};
use azimuth_broker::env::disk::Disk;
use azimuth_broker::id::NodeId;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::model::BrokerId;
use crate::settings::context::{Aws, Class, Contexts, Entry};
use crate::settings::{Paths, state};
use crate::source::kafka::Kafka;
use cloud::{Fleet, Machine, Simulation};

pub use drill::Drill;
use drill::Ground;
use guard::Guard;
use workload::Stuck;

/// The context's name, in its file and on screens.
pub const CONTEXT: &str = "demo";

const BROKERS: BrokerId = 6;
/// A broker's volume; its file system takes the usual part of it.
const VOLUME_GIB: i64 = 1;
const FILE_SYSTEM_BYTES: u64 = (VOLUME_GIB as u64) << 30;
const FILE_SYSTEM_SHARE: f64 = 0.98;
/// How long an orderly end may take before the rest is dropped.
const END: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Properties of the demo's brokers: quick to notice a death, and small enough for a laptop.
const PROPERTIES: &[(&str, &str)] = &[
    ("broker.heartbeat.interval.ms", "500"),
    ("broker.session.timeout.ms", "3000"),
    ("replica.lag.time.max.ms", "5000"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("offsets.topic.num.partitions", "12"),
    ("offsets.topic.segment.bytes", "4194304"),
    ("min.insync.replicas", "2"),
    ("num.partitions", "6"),
    ("log.segment.bytes", "4194304"),
    ("log.retention.check.interval.ms", "10000"),
];

/// Why the demo did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the demo's brokers did not start: {0}")]
    Cluster(#[from] azimuth_broker::cluster::Error),
    #[error("the demo's folder: {0}")]
    Folder(#[from] std::io::Error),
    #[error("the demo's context file: {0}")]
    Context(#[from] crate::settings::Error),
    #[error("the demo's workload: {0}")]
    Workload(#[from] crate::source::Error),
    #[error("a certificate for the demo: {0}")]
    Certificate(String),
    #[error("{0}")]
    Drill(String),
    #[error("{0} exists; the demo writes its context file anew, so name one that does not")]
    Taken(PathBuf),
}

/// A running demo. [`Demo::shutdown`] ends it in order; dropping it ends it at once. Either way its folder goes.
pub struct Demo {
    cluster: Arc<Mutex<Cluster>>,
    cloud: Simulation,
    tasks: JoinSet<()>,
    /// Why the drill did not begin.
    failed: Arc<OnceLock<Error>>,
    bootstrap: String,
    kafka: Kafka,
    cluster_id: String,
    context_file: ContextFile,
    /// Last, because it deletes what the others use.
    _folder: tempfile::TempDir,
}

/// When a drill begins.
pub enum Begin {
    /// Before anybody has seen the demo.
    AtOnce,
    /// When this ends; until then the demo is well, so that there is something to compare with.
    When(BoxFuture<'static, ()>),
}

impl Demo {
    /// Returns when clients can produce and consume.
    ///
    /// # Errors
    /// When a loopback address or a folder cannot be had, or `context_file` exists.
    ///
    /// The context goes to `context_file`, or into the demo's own folder.
    pub async fn start(drill: Option<(Drill, Begin)>, context_file: Option<&Path>) -> Result<Self, Error> {
        Self::start_at_tempo(drill, context_file, 1).await
    }

    /// The same, with a simulated cloud whose periods and delays are AWS's divided by `clock_factor`.
    ///
    /// # Errors
    /// As for [`Demo::start`].
    pub async fn start_at_tempo(
        drill: Option<(Drill, Begin)>,
        context_file: Option<&Path>,
        clock_factor: u32,
    ) -> Result<Self, Error> {
        if let Some(path) = context_file.filter(|path| path.exists()) {
            return Err(Error::Taken(path.to_owned()));
        }
        let folder = tempfile::Builder::new().prefix("azimuth-demo-").tempdir()?;
        let dir = |broker: BrokerId| folder.path().join(format!("broker-{broker}")).join("data");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64);
        let mut fleet = Fleet::of_brokers(BROKERS, VOLUME_GIB, |broker| dir(broker).display().to_string(), now);
        for machine in &mut fleet.machines {
            machine.usual = Some(workload::usual());
        }
        let volumes = (1..=BROKERS).map(|broker| (dir(broker), (FILE_SYSTEM_BYTES as f64 * FILE_SYSTEM_SHARE) as u64));
        let disk = Disk::with_volumes(volumes)?;
        let mut config = config(&fleet, folder.path(), disk.clone(), dir);
        let guard = match &drill {
            Some((drill, _)) => drill.prepare(&mut config)?,
            None => None,
        };
        let cluster = Cluster::start(config).await?;
        let bootstrap = cluster.bootstrap();
        // In each zone an instance is there that a broker may move to.
        let mut machines = fleet.clone();
        let spares = fleet.zones.iter().enumerate();
        machines
            .machines
            .extend(spares.map(|(index, zone)| Machine::spare(zone, index, now)));
        let cloud = Simulation::start_at_tempo(machines, clock_factor).await?;
        let kafka = Kafka::new(guard::target(&bootstrap, guard.as_ref())?);
        workload::create_topics(&kafka).await?;
        let socket = folder.path().join("control.sock");
        let entry = Entry {
            driver: Some(control::driver(&socket)?),
            ..entry(&kafka, &cluster, &cloud, &fleet, guard.as_ref()).await?
        };
        let cluster_id = entry.cluster_id.clone().unwrap_or_default();
        let context_file = ContextFile::write(context_file, folder.path(), entry)?;
        let cluster = Arc::new(Mutex::new(cluster));
        let mut tasks = JoinSet::new();
        tasks.spawn(control::serve(control::listen(&socket)?, Arc::clone(&cluster)));
        tasks.spawn(control::obey(
            cloud.handle().hosts(),
            cloud.handle(),
            Arc::clone(&cluster),
            fleet.clone(),
            disk.clone(),
        ));
        let stuck = Stuck::new(false);
        workload::start(kafka.target(), &stuck, &mut tasks)?;
        tasks.spawn(meter::run(fleet.clone(), disk, cloud.handle(), dir_of(folder.path())));
        let ground = Ground {
            fleet,
            cloud: cloud.handle(),
            cluster: Arc::clone(&cluster),
            kafka: kafka.clone(),
            stuck,
        };
        let failed = Arc::new(OnceLock::new());
        match drill {
            Some((drill, Begin::AtOnce)) => {
                if let Some(rest) = drill.begin(ground).await? {
                    tasks.spawn(rest);
                }
            }
            Some((drill, Begin::When(signal))) => {
                let failed = Arc::clone(&failed);
                tasks.spawn(async move {
                    signal.await;
                    match drill.begin(ground).await {
                        Ok(Some(rest)) => rest.await,
                        Ok(None) => {}
                        Err(error) => {
                            // It begins once.
                            let _ = failed.set(error);
                        }
                    }
                });
            }
            None => {}
        }
        Ok(Self {
            cluster,
            cloud,
            tasks,
            failed,
            bootstrap,
            kafka,
            cluster_id,
            context_file,
            _folder: folder,
        })
    }

    /// The brokers' addresses with commas.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where the simulated cloud answers.
    pub fn aws_url(&self) -> String {
        self.cloud.endpoint_url()
    }

    /// Tells the simulated cloud what happens, and what it was asked.
    pub fn cloud(&self) -> cloud::Handle {
        self.cloud.handle()
    }

    /// A context file with the one context `demo`.
    pub fn context_file(&self) -> &Path {
        &self.context_file.0
    }

    /// Why the drill did not begin, if its time came and it could not.
    pub fn failed(&self) -> Option<&Error> {
        self.failed.get()
    }

    /// Waits until every group has committed, at most for `patience`: before that, no lag is known.
    pub async fn settle(&self, patience: Duration) {
        let settled = async {
            // A drill may have killed a broker that is asked; the others go on.
            while !workload::is_settled(&self.kafka).await.unwrap_or(false) {
                tokio::time::sleep(LOOK).await;
            }
        };
        // Not settled in time: the views say what is not known.
        let _ = tokio::time::timeout(patience, settled).await;
    }

    /// Ends the workload, the brokers and the cloud, and deletes the folder and what commands remembered of the cluster.
    pub async fn shutdown(mut self) {
        if let Some(paths) = Paths::of_user()
            && let Ok(state) = state::of(&self.cluster_id, &paths)
            && state.private
        {
            // Not there when no command ran; that is what is wanted.
            let _ = std::fs::remove_dir_all(state.folder);
        }
        self.tasks.shutdown().await;
        if let Some(cluster) = Arc::into_inner(self.cluster) {
            // A broker that does not want to end is dropped, and so ended, with the process.
            let _ = tokio::time::timeout(END, cluster.into_inner().shutdown()).await;
        }
        self.cloud.shutdown();
    }
}

fn dir_of(folder: &Path) -> impl Fn(BrokerId) -> PathBuf + Send + 'static {
    let folder = folder.to_owned();
    move |broker| folder.join(format!("broker-{broker}")).join("data")
}

fn config(fleet: &Fleet, folder: &Path, disk: Disk, dir: impl Fn(BrokerId) -> PathBuf) -> ClusterConfig {
    let node = |(machine, broker): (&cloud::Machine, BrokerId)| NodeConfig {
        id: NodeId(broker),
        rack: fleet.zone(&machine.zone).map(|zone| zone.id.clone()),
        listen: format!("{}:0", machine.address),
        log_dirs: vec![dir(broker)],
    };
    let mut config = ClusterConfig::local(0, &[], folder, 0);
    config.nodes = fleet.machines.iter().zip(1..).map(node).collect();
    config.overrides = PROPERTIES
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    config.disk = disk;
    config
}

/// The file with the context; it goes with the demo.
struct ContextFile(PathBuf);

impl ContextFile {
    fn write(asked: Option<&Path>, folder: &Path, entry: Entry) -> Result<Self, Error> {
        let path = asked.map_or_else(|| folder.join("context.toml"), Path::to_owned);
        Contexts::append(&path, CONTEXT, entry)?;
        Ok(Self(path))
    }
}

impl Drop for ContextFile {
    fn drop(&mut self) {
        // Gone already, with its folder or by hand: that is what is wanted.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The context by which every command reaches the demo.
async fn entry(
    kafka: &Kafka,
    cluster: &Cluster,
    cloud: &Simulation,
    fleet: &Fleet,
    guard: Option<&Guard>,
) -> Result<Entry, Error> {
    Ok(Entry {
        bootstrap: cluster.addresses(),
        properties: guard.map(Guard::properties).unwrap_or_default(),
        class: Class::Dev,
        changes: true,
        reason: false,
        probe_topic: Some(workload::PROBE_TOPIC.to_owned()),
        record: true,
        // Said here, it is not pinned in the user's state: the next demo is another cluster.
        cluster_id: Some(kafka.cluster().await?.id),
        aws: Some(Aws {
            region: Some(fleet.region.clone()),
            endpoint_url: Some(cloud.endpoint_url()),
            simulated: true,
            ..Aws::default()
        }),
        ..Entry::default()
    })
}
