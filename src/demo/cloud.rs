//! The simulated cloud: EC2, EBS, CloudWatch, Route 53 and Systems Manager on a loopback port, for the demo and for tests. The real AWS SDK talks
//! to it.
//!
//! It answers what [`Fleet`] describes and what [`Handle`] is told of the work the brokers do, at AWS's periods and
//! with AWS's delays: a new measurement shows up minutes later, as it does there. One clock factor shortens them all, and
//! is told with every answer (see [`time`]). What can go wrong is scripted, from
//! Rust or with `POST /_script` (see [`Script`]). Its request ids start with `simulated-` and its instances carry the
//! tag `azimuth:simulated`, so that nobody takes it for AWS. It checks no credentials and listens on 127.0.0.1 only.

mod credit;
pub mod dns;
mod ec2;
mod fault;
mod fleet;
mod meter;
mod metric;
mod query;
mod server;
mod ssm;
mod time;
mod xml;

#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

pub use fault::{EventScript, Faults, LagScript, ModifyScript, Script, SlowScript, StateScript};
pub use fleet::{Disk, Fleet, Machine, Place, Usual};
pub use meter::Io;
pub use ssm::Task;

use meter::Meter;
use time::Tempo;

/// What time it is, in seconds since the epoch. Tests bring their own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A running simulated cloud. It stops, connections and all, when this is dropped.
#[derive(Debug)]
pub struct Simulation {
    address: SocketAddr,
    handle: Handle,
    server: AbortHandle,
}

/// Tells the simulated cloud what happens; clones tell the same one.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    tempo: Tempo,
    /// Items a page at most, whatever the request asks for.
    page: usize,
    state: Mutex<State>,
    faults: watch::Sender<Faults>,
}

struct State {
    fleet: Fleet,
    meter: Meter,
    modifications: Vec<ec2::Change>,
    /// When each volume was modified.
    history: Vec<(String, i64)>,
    /// Client token to what it made.
    tokens: BTreeMap<String, String>,
    commands: ssm::Commands,
    names: dns::Names,
    requests: BTreeMap<String, u64>,
    asked: VecDeque<Asked>,
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Asked {
    pub operation: String,
    /// Its parameters, as the service names them.
    pub parameters: serde_json::Value,
}

/// So many requests are remembered, the newest.
const ASKED: usize = 2000;

impl Simulation {
    /// Listens on a free port of 127.0.0.1 and answers for the fleet. With [`Usual`] work in the fleet the past hour is
    /// filled with it.
    ///
    /// # Errors
    /// When no port can be bound. Must be called within a tokio runtime.
    pub async fn start(fleet: Fleet) -> io::Result<Self> {
        Self::start_at_tempo(fleet, 1).await
    }

    /// The same, with a clock that runs faster than AWS's by a factor: all its periods and delays are that much shorter.
    ///
    /// # Errors
    /// As for [`Simulation::start`].
    pub async fn start_at_tempo(fleet: Fleet, clock_factor: u32) -> io::Result<Self> {
        let clock: Clock = Arc::new(|| jiff::Timestamp::now().as_second());
        Self::begin(fleet, clock, ec2::PAGE, clock_factor).await
    }

    /// The same with a clock and a page size of one's own.
    ///
    /// # Errors
    /// As for [`Simulation::start`].
    pub async fn start_with(fleet: Fleet, clock: Clock, page: usize) -> io::Result<Self> {
        Self::begin(fleet, clock, page, 1).await
    }

    async fn begin(fleet: Fleet, clock: Clock, page: usize, clock_factor: u32) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut meter = Meter::default();
        meter.fill_past(&fleet, clock());
        let state = State {
            fleet,
            meter,
            modifications: Vec::new(),
            history: Vec::new(),
            tokens: BTreeMap::new(),
            commands: ssm::Commands::default(),
            names: dns::Names::default(),
            requests: BTreeMap::new(),
            asked: VecDeque::new(),
        };
        let shared = Shared {
            tempo: Tempo::new(clock(), clock_factor),
            clock,
            page: page.max(1),
            state: Mutex::new(state),
            faults: watch::Sender::new(Faults::default()),
        };
        let handle = Handle {
            shared: Arc::new(shared),
        };
        let server = tokio::spawn(server::serve(listener, handle.clone())).abort_handle();
        Ok(Self {
            address,
            handle,
            server,
        })
    }

    /// For `AWS_ENDPOINT_URL` or a context's `endpoint_url`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops answering; open connections are cut.
    pub fn shutdown(self) {}
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Handle {
    /// Makes something fail, or everything well again.
    ///
    /// # Errors
    /// A sentence, when the script names a zone, instance or volume that the fleet does not have.
    pub fn script(&self, script: &Script) -> Result<(), String> {
        let now = self.now();
        let mut state = self.state();
        let mut faults = self.shared.faults.borrow().clone();
        fault::apply(script, &mut state, &mut faults, now)?;
        drop(state);
        self.shared.faults.send_replace(faults);
        Ok(())
    }

    /// What is broken now. The demo follows it, so that a stalled volume stalls the broker on it as well.
    pub fn faults(&self) -> watch::Receiver<Faults> {
        self.shared.faults.subscribe()
    }

    /// Work done on a volume since the last call.
    pub fn add_io(&self, volume: &str, io: Io) {
        let minute = self.now().div_euclid(60);
        let factor = u64::from(self.shared.tempo.factor());
        let io = Io {
            read_bytes: io.read_bytes * factor,
            write_bytes: io.write_bytes * factor,
            read_ops: io.read_ops * factor,
            write_ops: io.write_ops * factor,
        };
        self.state().meter.add_io(volume, minute, io);
    }

    /// Bytes an instance received and sent since the last call.
    pub fn add_network(&self, instance: &str, bytes_in: u64, bytes_out: u64) {
        let minute = self.now().div_euclid(60);
        let factor = f64::from(self.shared.tempo.factor());
        self.state()
            .meter
            .add_network(instance, minute, bytes_in as f64 * factor, bytes_out as f64 * factor);
    }

    /// A sample of an instance's CPU use, 0..=100.
    pub fn add_cpu(&self, instance: &str, percent: f64) {
        let minute = self.now().div_euclid(60);
        self.state().meter.add_cpu(instance, minute, percent);
    }

    /// What the instances are told by Systems Manager from now on. Without anybody to hear it, each command is done at once.
    pub fn hosts(&self) -> mpsc::UnboundedReceiver<Task> {
        let (tasks, hosts) = mpsc::unbounded_channel();
        self.state().commands.attach(tasks);
        hosts
    }

    /// What became of a command that a host was told.
    pub fn end_command(&self, command: &str, code: i32, said: impl Into<String>) {
        self.state().commands.end(command, code, said.into());
    }

    /// How large the volumes of an instance are that hold this log directory, by their tag.
    pub fn size_gib(&self, instance: &str, log_dir: &str) -> Option<i64> {
        let state = self.state();
        let machine = state.fleet.machine(instance)?;
        let holds = |disk: &&Disk| disk.tags.get("kafka:log-dir").is_some_and(|dir| dir == log_dir);
        machine.disks.iter().find(holds).map(|disk| disk.size_gib)
    }

    /// The log directories whose volumes an instance has now, by their tags.
    pub fn log_dirs(&self, instance: &str) -> Vec<String> {
        let state = self.state();
        let disks = state
            .fleet
            .machine(instance)
            .into_iter()
            .flat_map(|machine| &machine.disks);
        disks
            .filter_map(|disk| disk.tags.get("kafka:log-dir").cloned())
            .collect()
    }

    /// An address goes to another instance, which gives its own for it: what follows a broker that moved.
    pub fn lend_address(&self, address: &str, to: &str) {
        let mut state = self.state();
        let machines = &mut state.fleet.machines;
        let from = machines.iter().position(|machine| machine.address == address);
        let to = machines.iter().position(|machine| machine.id == to);
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            let own = std::mem::replace(&mut machines[to].address, address.to_owned());
            machines[from].address = own;
        }
    }

    /// The last requests that change or command anything, the oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.iter().cloned().collect()
    }

    fn remember(&self, operation: &str, parameters: impl FnOnce() -> serde_json::Value) {
        if ["Describe", "Get", "List"]
            .iter()
            .any(|read| operation.starts_with(read))
        {
            return;
        }
        let mut state = self.state();
        if state.asked.len() == ASKED {
            state.asked.pop_front();
        }
        state.asked.push_back(Asked {
            operation: operation.to_owned(),
            parameters: parameters(),
        });
    }

    /// Requests answered so far by operation, refused ones included.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.state().requests.clone()
    }

    /// By the cloud's own clock.
    fn now(&self) -> i64 {
        self.shared.tempo.inside((self.shared.clock)())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
