//! `azimuth-broker`: runs one node from a server.properties, or a whole cluster on this host.
//!
//! Exit codes: 0 stopped as asked, 1 it could not go on, 2 usage or settings.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use azimuth_broker::cluster::{self, Cluster, ClusterConfig};
use azimuth_broker::node::{self, Config, Node, Surroundings};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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
}

#[derive(Args)]
struct Serve {
    /// The server.properties file.
    file: PathBuf,
    /// Set a property over what the file says.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = property)]
    overrides: Vec<(String, String)>,
    /// End when standard input does: the parent that holds it is gone.
    #[arg(long, hide = true)]
    with_parent: bool,
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
    /// One process for each node.
    #[arg(long)]
    processes: bool,
    /// Set a property of every node.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = property)]
    overrides: Vec<(String, String)>,
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
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("AZIMUTH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match cli.command {
                Command::Serve(serve) => self::serve(serve).await,
                Command::Cluster(many) => self::cluster(many).await,
            }
        }),
        Err(error) => Err(Failure::run(error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, text)) => {
            eprintln!("azimuth-broker: {text}");
            ExitCode::from(code)
        }
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
    let mut end = std::pin::pin!(end_of(args.with_parent));
    let node = tokio::select! {
        node = Node::start(config, Surroundings::default()) => node.map_err(Failure::run)?,
        ended = &mut end => return ended,
    };
    announce("listening", &node.addresses().join(","))?;
    tokio::select! {
        error = run(&node) => return Err(Failure::run(error)),
        ended = end => ended?,
    }
    tracing::info!("node {} shuts down", node.id());
    node.shutdown().await;
    Ok(())
}

/// Says when the node serves; ends only with what the node fails with.
async fn run(node: &Node) -> node::Error {
    if let Err(error) = node.serving().await {
        return error;
    }
    tracing::info!("node {} serves on {}", node.id(), node.addresses().join(","));
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
    let mut config = ClusterConfig::local(args.nodes, &args.racks, args.dir, args.port);
    config.overrides = args.overrides;
    if args.processes {
        config.processes = Some(std::env::current_exe().map_err(Failure::run)?);
    }
    let mut stop = std::pin::pin!(asked_to_stop());
    let cluster = tokio::select! {
        cluster = Cluster::start(config) => cluster.map_err(|error| match error {
            cluster::Error::Config(_) => Failure::settings(error),
            _ => Failure::run(error),
        })?,
        stopped = &mut stop => return stopped,
    };
    announce("ready", &cluster.bootstrap())?;
    stop.await?;
    cluster.shutdown().await;
    Ok(())
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
