//! Picks a face and turns its end into an exit status.

// The AWS SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::Duration;

use azimuth::cli::{self, Exit};
use azimuth::command::demo::Demo;
use azimuth::command::{Command, Line, Output};
use azimuth::demo::Begin;
use azimuth::feed;
use azimuth::tui;
use azimuth::tui::open::{Ended, Failure};
use tikv_jemallocator::Jemalloc;

/// Rows and snapshots of a wide cluster are millions of small pieces, made on one thread and freed on another: what the C
/// library's allocator keeps of them doubles the memory.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What jemalloc is told, as its manual names it: one arena, for threads that each keep their own waste it, threads that keep
/// little of what is freed, and the rest goes back to the system at once.
#[expect(unsafe_code, reason = "jemalloc finds its options by the name of a symbol")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static OPTIONS: &[u8; 99] =
    b"narenas:1,tcache_max:1024,tcache_nslots_small_max:20,dirty_decay_ms:100,muzzy_decay_ms:0,thp:never\0";

/// How long clients that move records may take to close.
const CLOSING: Duration = Duration::from_secs(3);

/// Bytes of stack for each thread of the runtime. The EC2 SDK reads an instance in functions that nest deep and, as it is compiled
/// without optimisation, each hold much: tokio's default of 2 MiB has been seen to overflow.
const STACK: usize = 8 << 20;

/// How long a drill leaves the screens to show the cluster well.
const HEAD_START: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if let Err(error) = tui::terminal::install_reports() {
        eprintln!("azimuth: reports will be plain: {error}");
    }
    // The report has been printed by the hook; what is left is the status.
    panic::catch_unwind(AssertUnwindSafe(start)).unwrap_or(Exit::Bug).into()
}

fn start() -> Exit {
    let line = match Line::of_arguments(std::env::args_os()) {
        Ok(line) => line,
        Err(error) => return cli::usage(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run(&line));
            feed::wait_closed(CLOSING);
            // A name that resolves slowly holds nobody up.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            eprintln!("azimuth: cannot start: {error}");
            Exit::Bug
        }
    }
}

async fn run(line: &Line) -> Exit {
    match &line.command {
        None if !cli::has_terminal() => cli::no_terminal(),
        None => screens(line).await,
        Some(Command::Demo(asked)) if !asked.headless && cli::has_terminal() => demo(line, asked).await,
        Some(Command::Replay(asked)) if cli::has_terminal() && line.global.output == Output::Table => {
            ended(tui::past::replay(line, asked).await)
        }
        Some(_) => cli::run(line).await,
    }
}

/// The screens on the demo, which ends with them.
async fn demo(line: &Line, asked: &Demo) -> Exit {
    let begin = Begin::When(Box::pin(tokio::time::sleep(HEAD_START)));
    match cli::demo::start(line, asked, begin).await {
        Ok(demo) => {
            let exit = ended(tui::open::open(&cli::demo::at(line, &demo, None)).await);
            let failed = demo
                .failed()
                .map(|error| format!("azimuth: the drill did not begin: {error}"));
            demo.shutdown().await;
            match failed {
                Some(text) => {
                    eprintln!("{text}");
                    Exit::Partial
                }
                None => exit,
            }
        }
        Err(failure) => failure.tell(),
    }
}

async fn screens(line: &Line) -> Exit {
    match tui::open::open(line).await {
        Ok(Ended::Demo) => demo(line, &Demo::default()).await,
        end => ended(end),
    }
}

fn ended(end: Result<Ended, Failure>) -> Exit {
    let Err(failure) = end else { return Exit::Done };
    eprintln!("azimuth: {failure}");
    match failure {
        Failure::Settings(_) => Exit::Usage,
        Failure::Screens(_) => Exit::Bug,
    }
}
