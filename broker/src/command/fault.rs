//! `azimuth-broker fault`: what goes wrong, said from outside; and a single node that listens for it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use azimuth_broker::cluster::socket::{self, Answer, Inbox, Request};
use azimuth_broker::cluster::{Active, Fault, Ground, Peer, Place, Registry, Selection};
use azimuth_broker::env::clock::Clock;
use azimuth_broker::env::disk::DirFault;
use azimuth_broker::env::net::Effect;
use azimuth_broker::id::NodeId;
use azimuth_broker::node::{Config, Effects, Faults};
use clap::Subcommand;
use tokio::sync::oneshot;

#[derive(clap::Args)]
pub struct Args {
    /// The cluster's --dir, or the first of a node's log.dirs.
    #[arg(long)]
    dir: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Reads, writes and syncs in a log directory do not complete.
    StallDir(Dir),
    /// Each read, write and sync in a log directory takes longer.
    SlowDir {
        #[command(flatten)]
        dir: Dir,
        /// By how much, in milliseconds.
        #[arg(long)]
        by_ms: u64,
    },
    /// Everything in a log directory fails with EIO.
    FailDir(Dir),
    /// A log directory has no room left: ENOSPC.
    FillDir {
        #[command(flatten)]
        dir: Dir,
        /// How many bytes can still be written.
        #[arg(long, default_value_t = 0)]
        free_bytes: u64,
    },
    /// A node's links to one other node, or to all, are cut; clients still reach it.
    Cut {
        #[command(flatten)]
        link: Link,
        /// Lose what is sent instead of ending and refusing connections.
        #[arg(long)]
        silent: bool,
    },
    /// What goes over a node's links arrives later.
    Delay {
        #[command(flatten)]
        link: Link,
        /// By how much, in milliseconds, in each direction.
        #[arg(long)]
        by_ms: u64,
    },
    /// A node does nothing, and its connections stay open: SIGSTOP.
    Freeze(Node),
    /// A node's clock goes wrong.
    SkewClock {
        #[command(flatten)]
        node: Node,
        /// How far it is ahead, in milliseconds; negative: behind.
        #[arg(long, allow_negative_numbers = true)]
        by_ms: i64,
    },
    /// A node's listeners show certificates that have run out, to whoever connects from now on.
    ExpireCertificate(Node),
    /// End a node as `kill -9` does; healing starts it again.
    Kill(Node),
    /// Heal one fault by its number, those of a node, or all.
    Heal {
        /// As `fault list` shows it.
        #[arg(required_unless_present_any = ["node", "all"], conflicts_with_all = ["node", "all"])]
        number: Option<u32>,
        #[arg(long, conflicts_with = "all")]
        node: Option<i32>,
        #[arg(long)]
        all: bool,
    },
    /// Show what is wrong.
    List,
}

#[derive(clap::Args)]
struct Node {
    /// Its id; may be left out where only one node listens.
    #[arg(long)]
    node: Option<i32>,
}

#[derive(clap::Args)]
struct Dir {
    #[command(flatten)]
    node: Node,
    /// One of the node's log directories; all unless given.
    #[arg(long)]
    log_dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Link {
    #[command(flatten)]
    node: Node,
    /// The other node's id, or an address as host:port; all other nodes unless given.
    #[arg(long, value_parser = peer)]
    peer: Option<Peer>,
}

fn peer(text: &str) -> Result<Peer, String> {
    match (text.parse(), text.rsplit_once(':')) {
        (Ok(id), _) => Ok(Peer::Node(NodeId(id))),
        (_, Some((host, port))) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(Peer::Address(text.to_owned()))
        }
        _ => Err(format!("`{text}` is neither a node's id nor host:port")),
    }
}

impl What {
    fn request(self) -> Request {
        let inject = |node: Node, fault| Request::Inject {
            node: node.node.map(NodeId),
            fault,
        };
        let dir = |dir: Dir, fault| {
            let target = dir.log_dir;
            inject(dir.node, Fault::Dir { dir: target, fault })
        };
        let link = |link: Link, effect| {
            let peer = link.peer;
            inject(link.node, Fault::Link { peer, effect })
        };
        match self {
            Self::StallDir(at) => dir(at, DirFault::Stall),
            Self::SlowDir { dir: at, by_ms } => dir(at, DirFault::Slow(by_ms)),
            Self::FailDir(at) => dir(at, DirFault::Fail),
            Self::FillDir { dir: at, free_bytes } => dir(at, DirFault::Full(free_bytes)),
            Self::Cut { link: at, silent } => link(at, if silent { Effect::Silence } else { Effect::Cut }),
            Self::Delay { link: at, by_ms } => link(at, Effect::Delay(by_ms)),
            Self::Freeze(node) => inject(node, Fault::Freeze),
            Self::SkewClock { node, by_ms } => inject(node, Fault::SkewClock(by_ms)),
            Self::ExpireCertificate(node) => inject(node, Fault::ExpireCertificate),
            Self::Kill(node) => inject(node, Fault::Kill),
            Self::Heal {
                number: Some(number), ..
            } => Request::Heal(Selection::Number(number)),
            Self::Heal { node: Some(node), .. } => Request::Heal(Selection::Node(NodeId(node))),
            Self::Heal { .. } => Request::Heal(Selection::All),
            Self::List => Request::List,
        }
    }
}

/// Asks the cluster or node, and prints what it says.
pub async fn run(args: Args) -> Result<(), String> {
    let request = args.what.request();
    let healed = matches!(request, Request::Heal(_));
    let answer = socket::ask(&args.dir, &request).await?;
    let now_ms = Clock::system().now_ms();
    let mut out = std::io::stdout().lock();
    let line = |active: &Active| {
        let seconds = (now_ms - active.since_ms).max(0) / 1000;
        let verb = if healed { "healed" } else { "since" };
        format!("{active}  ({verb} {seconds} s)")
    };
    let text: String = answer.iter().map(|active| line(active) + "\n").collect();
    let text = if text.is_empty() {
        "no faults\n".to_owned()
    } else {
        text
    };
    out.write_all(text.as_bytes()).map_err(|error| error.to_string())
}

/// The next request of an inbox; never one where there is none.
pub async fn next(inbox: &mut Option<Inbox>) -> (Request, oneshot::Sender<Answer>) {
    match inbox {
        Some(inbox) => inbox.next().await,
        None => std::future::pending().await,
    }
}

/// One node that listens for faults.
pub struct Alone {
    node: NodeId,
    ground: Ground,
    faults: Faults,
    registry: Registry,
    inbox: Option<Inbox>,
}

impl Alone {
    pub fn of(config: &Config, faults: Faults) -> Self {
        let place = Place {
            addresses: Vec::new(),
            dirs: config.log_dirs(),
            is_tls: config.has_tls(),
        };
        Self {
            node: config.node_id(),
            ground: Ground(BTreeMap::from([(config.node_id(), place)])),
            faults,
            registry: Registry::default(),
            inbox: None,
        }
    }

    /// Takes requests in the first log directory.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(&mut self) -> std::io::Result<()> {
        let dirs = self.ground.0.values().flat_map(|place| &place.dirs);
        let dir = dirs.map(PathBuf::as_path).next().unwrap_or(Path::new("."));
        self.inbox = Some(Inbox::open(dir)?);
        Ok(())
    }

    /// Ends all faults, so that the node can close its logs.
    pub fn end(self) {
        self.faults.set(&Effects::default());
    }

    fn answer(&mut self, request: Request) -> Answer {
        let answer = match request {
            Request::Set(effects) => {
                self.faults.set(&effects);
                return Ok(Vec::new());
            }
            Request::Inject {
                fault: fault @ (Fault::Freeze | Fault::Kill),
                ..
            } => return Err(self.by_signal(&fault)),
            Request::Inject { node, fault } => {
                let node = node.unwrap_or(self.node);
                let active = self
                    .registry
                    .inject(&self.ground, node, fault, Clock::system().now_ms())?;
                tracing::warn!("fault injected: {active}");
                vec![active]
            }
            Request::Heal(selection) => self.registry.heal(selection)?,
            Request::List => self.registry.active().to_vec(),
        };
        self.faults.set(&self.registry.effects(&self.ground, self.node));
        Ok(answer)
    }

    /// What a process cannot do to itself and undo again.
    fn by_signal(&self, fault: &Fault) -> String {
        let (node, pid) = (self.node, std::process::id());
        match fault {
            Fault::Kill => format!("node {node} is a process of its own: kill -KILL {pid}"),
            _ => format!("node {node} is a process of its own: kill -STOP {pid}, and kill -CONT {pid} to heal it"),
        }
    }
}

/// Answers for as long as it is polled; a node that takes no faults has nothing to do.
pub async fn attend(alone: &mut Option<Alone>) {
    let Some(alone) = alone else {
        return std::future::pending().await;
    };
    loop {
        let (request, reply) = next(&mut alone.inbox).await;
        // Who asked may be gone.
        let _ = reply.send(alone.answer(request));
    }
}
