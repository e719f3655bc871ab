//! Picks a face and turns its end into an exit status.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use azimuth::cli::{self, Exit};
use azimuth::command::Line;
use azimuth::tui::{self, open::Failure};

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
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(&line));
            // A name that resolves slowly, or a client that closes slowly, holds nobody up.
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
    if line.command.is_none() && !cli::has_terminal() {
        return cli::no_terminal();
    }
    if line.command.is_some() {
        return cli::run(line).await;
    }
    match tui::open::open(line).await {
        Ok(()) => Exit::Done,
        Err(failure) => {
            eprintln!("azimuth: {failure}");
            match failure {
                Failure::Settings(_) => Exit::Usage,
                Failure::Screens(_) => Exit::Bug,
            }
        }
    }
}
