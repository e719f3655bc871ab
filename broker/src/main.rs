//! `azimuth-broker`: runs one node from a server.properties, or a whole cluster on this host.
//!
//! Exit codes: 0 stopped as asked, 1 it could not go on or did not stop in an orderly way, 2 usage or settings.

mod command;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use azimuth_broker::cluster::socket::Inbox;
use azimuth_broker::cluster::{self, Cluster, ClusterConfig, Content};
use azimuth_broker::env::origin;
use azimuth_broker::node::{self, Config, NewUser, Node, Role, Surroundings};
use clap::{Args, Parser, Subcommand};
use command::service::{self, State};
use tokio::signal::unix::{SignalKind, signal};

/// A Kafka-wire-compatible broker.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one node, a broker or a controller, with Kafka's property names.
    Serve(Serve),
    /// Run a controller and a number of brokers on this host.
    Cluster(Many),
    /// Let something go wrong in a cluster or node that was started with --allow-faults, and heal it.
    Fault(command::fault::Args),
}

#[derive(Args)]
struct Serve {
    /// The server.properties file.
    file: PathBuf,
    /// Set a property over what the file says.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = property)]
    overrides: Vec<(String, String)>,
    /// Take faults from `azimuth-broker fault`, through a socket in the first of log.dirs.
    #[arg(long)]
    allow_faults: bool,
    /// How long an orderly stop may take, in seconds; then it ends as it is, with exit code 1.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    stop_within: u64,
    #[command(flatten)]
    users: Users,
    /// End when standard input does: the parent that holds it is gone.
    #[arg(long, hide = true)]
    with_parent: bool,
}

#[derive(Args)]
struct Users {
    /// Add a user to the cluster before it serves, unless it is there: SCRAM-SHA-512=[name=alice,password=secret].
    #[arg(long, value_name = "USER")]
    add_scram: Vec<String>,
    /// Add the users of this file, one a line, so that no password is in a list of processes.
    #[arg(long, value_name = "FILE")]
    add_scram_file: Option<PathBuf>,
}

impl Users {
    fn lines(self) -> Result<Vec<String>, Failure> {
        let mut lines = self.add_scram;
        if let Some(file) = self.add_scram_file {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Failure::settings(format!("{} cannot be read: {error}", file.display())))?;
            let wanted = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines.extend(wanted.map(str::to_owned));
        }
        Ok(lines)
    }
}

#[derive(Args)]
struct Many {
    /// How many brokers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    nodes: u16,
    /// Racks, given to the brokers in turn.
    #[arg(long, value_delimiter = ',')]
    racks: Vec<String>,
    /// The folder that holds all data; it is kept.
    #[arg(long)]
    dir: PathBuf,
    /// The first broker's port; the others follow, then the controller's. 0 takes free ones.
    #[arg(long, default_value_t = 19092)]
    port: u16,
    /// Serve each node's metrics over HTTP: the first broker's at this port, the others' follow, then the controller's.
    /// 0 takes free ones; the log names them.
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,
    /// One process for each node.
    #[arg(long, conflicts_with = "wide")]
    processes: bool,
    /// For many brokers in one process: they share what they know, and are linked only while something is to be copied.
    /// The cluster is filled before it is ready; racks are a, b and c unless named.
    #[arg(long)]
    wide: bool,
    /// Topics to fill a wide cluster with; 100 for each broker unless said.
    #[arg(long, requires = "wide", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    topics: Option<u32>,
    /// Partitions of each of those topics.
    #[arg(long, requires = "wide", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    partitions: u16,
    /// Consumer groups to fill a wide cluster with; 10 for each broker unless said.
    #[arg(long, requires = "wide", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    groups: Option<u32>,
    /// Take faults from `azimuth-broker fault`, through a socket in the folder.
    #[arg(long, conflicts_with = "wide")]
    allow_faults: bool,
    /// How long an orderly stop may take, in seconds; then it ends as it is, with exit code 1.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    stop_within: u64,
    /// Set a property of every node.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = property)]
    overrides: Vec<(String, String)>,
    #[command(flatten)]
    users: Users,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

/// A message for the user and the exit code that goes with it.
struct Failure(u8, String);

impl Failure {
    fn settings(text: impl ToString) -> Self {
        Self(2, text.to_string())
    }

    fn run(text: impl ToString) -> Self {
        Self(1, text.to_string())
    }

    fn report(self) -> ExitCode {
        eprintln!("azimuth-broker: {}", self.1);
        ExitCode::from(self.0)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(text) = command::log::init() {
        return Failure::settings(text).report();
    }
    // A hundred nodes that take over an image at once would otherwise have as many threads.
    let blocking = match &cli.command {
        Command::Cluster(many) if many.wide => 16,
        _ => cluster::TASKS_MAX,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(blocking)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(async {
                match cli.command {
                    Command::Serve(serve) => self::serve(serve).await,
                    Command::Cluster(many) => self::cluster(many).await,
                    Command::Fault(args) => command::fault::run(args).await.map_err(Failure::run),
                }
            });
            // What was given up on may still wait for a disk.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::run(error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn serve(args: Serve) -> Result<(), Failure> {
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| Failure::settings(format!("{} cannot be read: {error}", args.file.display())))?;
    let config = Config::parse(&text, &args.overrides)
        .map_err(|error| Failure::settings(format!("{}: {error}", args.file.display())))?;
    for warning in config.warnings() {
        tracing::warn!("{}: {warning}", args.file.display());
    }
    let users = args.users.lines()?;
    if !users.is_empty() && config.role() != Role::Controller {
        return Err(Failure::settings(
            "users are kept by the controller: give --add-scram to the node with process.roles=controller",
        ));
    }
    let users = users.iter().map(|line| NewUser::parse(line)).collect::<Result<_, _>>();
    let users = users.map_err(|why| Failure::settings(format!("a user to add cannot be taken: {why}")))?;
    let id = config.node_id();
    origin::is_whole_process(id.0);
    service::notify(State::Starting(&format!("node {id} starts")));
    let mut end = std::pin::pin!(end_of(args.with_parent));
    let mut around = Surroundings {
        users,
        apart: true,
        ..Surroundings::default()
    };
    let mut faults = None;
    if args.allow_faults {
        let (bad, handle) = around.at_fault();
        around = bad;
        faults = Some(command::fault::Alone::of(&config, handle));
    }
    let node = tokio::select! {
        node = start(config, around, args.allow_faults) => node.map_err(Failure::run)?,
        ended = &mut end => return ended,
    };
    // Not before: the folder is another's until its lock is had.
    if let Some(faults) = &mut faults {
        faults.listen().map_err(Failure::run)?;
    }
    announce("listening", &node.addresses().join(","))?;
    tokio::select! {
        error = run(&node) => return Err(Failure::run(error)),
        ended = end => ended?,
        () = command::fault::attend(&mut faults) => {}
    }
    stopping(&format!("node {id} stops"));
    if let Some(faults) = faults {
        faults.end();
    }
    let deadline = Duration::from_secs(args.stop_within);
    service::within(deadline, node.shutdown(), once_more())
        .await
        .map_err(Failure::run)
}

async fn start(config: Config, around: Surroundings, allow_faults: bool) -> Result<Node, node::Error> {
    let starting = Node::start(config, around);
    if allow_faults {
        // A stalled volume is to hold up those who need it and nobody else.
        origin::threaded(starting).await
    } else {
        starting.await
    }
}

/// Says when the node serves; ends only with what the node fails with.
async fn run(node: &Node) -> node::Error {
    if let Err(error) = node.serving().await {
        return error;
    }
    let serves = format!("node {} serves on {}", node.id(), node.addresses().join(","));
    tracing::info!("{serves}");
    service::notify(State::Ready(&serves));
    node.failed().await
}

/// Waits for a signal, or for the end of a parent, which is a failure.
async fn end_of(parent: bool) -> Result<(), Failure> {
    if !parent {
        return asked_to_stop().await;
    }
    tokio::select! {
        stopped = asked_to_stop() => stopped,
        () = parent_gone() => Err(Failure::run("its parent is gone")),
    }
}

async fn cluster(args: Many) -> Result<(), Failure> {
    let racks = match args.wide && args.racks.is_empty() {
        true => ["a", "b", "c"].map(str::to_owned).to_vec(),
        false => args.racks,
    };
    let mut config = ClusterConfig::local(args.nodes, &racks, args.dir, args.port);
    config.overrides = args.overrides;
    config.allow_faults = args.allow_faults;
    let dir = config.dir.clone();
    config.users = args.users.lines()?;
    if let Some(port) = args.metrics_port {
        config.serve_metrics(port).await.map_err(Failure::run)?;
    }
    config.wide = args.wide;
    let content = Content {
        topics: many(args.topics, args.nodes, 100),
        partitions: usize::from(args.partitions),
        groups: many(args.groups, args.nodes, 10),
    };
    if args.processes {
        config.processes = Some(std::env::current_exe().map_err(Failure::run)?);
    }
    let mut stop = std::pin::pin!(asked_to_stop());
    let mut cluster = tokio::select! {
        cluster = Cluster::start(config) => cluster.map_err(|error| match error {
            cluster::Error::Config(_) | cluster::Error::User(_) => Failure::settings(error),
            _ => Failure::run(error),
        })?,
        stopped = &mut stop => return stopped,
    };
    let mut inbox = if args.allow_faults {
        Some(Inbox::open(&dir).map_err(Failure::run)?)
    } else {
        None
    };
    if args.wide {
        let filled = tokio::select! {
            filled = cluster.fill(&content) => filled.map_err(Failure::run)?,
            stopped = &mut stop => {
                cluster.shutdown().await;
                return stopped;
            }
        };
        tracing::info!(
            "made {} topics, {} records and {} groups",
            filled.topics,
            filled.records,
            filled.groups
        );
    }
    announce("ready", &cluster.bootstrap())?;
    service::notify(State::Ready(&format!(
        "a cluster of {} brokers serves on {}",
        cluster.ids().len(),
        cluster.bootstrap()
    )));
    loop {
        tokio::select! {
            stopped = &mut stop => break stopped?,
            (request, reply) = command::fault::next(&mut inbox) => {
                // Who asked may be gone.
                let _ = reply.send(cluster.answer(request).await);
            }
        }
    }
    stopping("the cluster stops");
    let deadline = Duration::from_secs(args.stop_within);
    service::within(deadline, cluster.shutdown(), once_more())
        .await
        .map_err(Failure::run)
}

fn stopping(sentence: &str) {
    tracing::info!("{sentence}");
    service::notify(State::Stopping(sentence));
}

/// Waits for a second SIGTERM or SIGINT; for ever where signals cannot be had, which the first would have told.
async fn once_more() {
    if asked_to_stop().await.is_err() {
        std::future::pending().await
    }
}

/// What was asked for, else so many for each broker.
fn many(asked: Option<u32>, nodes: u16, each: u32) -> usize {
    let count = asked.unwrap_or_else(|| u32::from(nodes) * each);
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// One line on standard output, for scripts and the parent process.
fn announce(what: &str, addresses: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {addresses}")
        .and_then(|()| out.flush())
        .map_err(Failure::run)
}

/// Waits for SIGTERM or SIGINT.
async fn asked_to_stop() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::run)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::run)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Waits until whoever holds the other end of standard input is gone.
async fn parent_gone() {
    let (tell, gone) = tokio::sync::oneshot::channel();
    // A thread of its own: it blocks until the end, which the runtime would wait for.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut [0_u8; 64]), Ok(1..)) {}
        // Whoever waited may have stopped for another reason.
        let _ = tell.send(());
    });
    // The thread sends before it ends.
    let _ = gone.await;
}
