//! The oracle: a cluster in a simulated world is written to while nodes die and links break, all of it by a seed, and what
//! is left must keep every promise.
//!
//! ```text
//! cargo test --release -p azimuth-broker --test oracle                     a few seeds, as a change must pass
//! cargo test --release -p azimuth-broker --test oracle -- --seeds 1000     more of them
//! cargo test --release -p azimuth-broker --test oracle -- --seed 17        one again, with the nodes' log
//! ```
//!
//! Each seed runs in a process of its own, twice for the first ones: both runs must pass the same bytes over the same links at
//! the same times. What one seed observed is then spoilt in each way that the oracle is there for, and it must notice.

// `getrandom` below is the C library's by name, and writes where its caller says.
#![expect(
    unsafe_code,
    reason = "the process's chance is replaced where the C library takes it from"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and tells what it finds"
)]

mod client;
mod history;
mod judge;
mod simulation;
mod spoil;

use std::io::Read as _;
use std::process::{Command, ExitCode, Stdio};

/// Set for a process that is one simulation.
const SEED: &str = "AZIMUTH_ORACLE_SEED";
/// Of those that are run by default.
const SEEDS: u64 = 6;
/// So many are run twice.
const TWICE: u64 = 2;

/// The chance that the standard library and tokio take their own from: a seeded process takes the same.
///
/// # Safety
/// As getrandom(2): `into` is `length` bytes that may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(into: *mut u8, length: usize, _flags: u32) -> isize {
    let Some(seed) = std::env::var_os(SEED) else {
        // SAFETY: the caller's promise, passed on.
        let bytes = unsafe { std::slice::from_raw_parts_mut(into, length) };
        return match std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(bytes)) {
            Ok(()) => length as isize,
            Err(_) => -1,
        };
    };
    // The same for every call: threads ask for theirs in no fixed order.
    for at in 0..length {
        let byte = seed
            .as_encoded_bytes()
            .get(at % seed.len().max(1))
            .copied()
            .unwrap_or(7);
        // SAFETY: `at` is below `length`.
        unsafe { *into.add(at) = byte.wrapping_mul(31).wrapping_add(at as u8) };
    }
    length as isize
}

fn main() -> ExitCode {
    if let Some(seed) = std::env::var_os(SEED) {
        let seed = seed.to_str().and_then(|seed| seed.parse().ok()).expect("a number");
        return simulation::run_and_print(seed);
    }
    let mut words = std::env::args().skip(1);
    let (mut first, mut seeds, mut loud) = (1, SEEDS, false);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => seeds = words.next().and_then(|count| count.parse().ok()).expect("how many"),
            "--seed" => {
                first = words.next().and_then(|seed| seed.parse().ok()).expect("which");
                (seeds, loud) = (1, true);
            }
            // For cargo, which asks every test.
            "--list" => return ExitCode::SUCCESS,
            _ => {}
        }
    }
    all(first, seeds, loud)
}

/// What the process of one seed says, and whether it ended well.
fn one(seed: u64, loud: bool) -> (String, bool) {
    let mut command = Command::new(std::env::current_exe().expect("it has a name"));
    command.env(SEED, seed.to_string()).stdin(Stdio::null());
    let logging = if loud { "info" } else { "off" };
    if std::env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", logging);
    }
    command.stderr(Stdio::inherit());
    let output = command.output().expect("it runs");
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        output.status.success(),
    )
}

fn all(first: u64, seeds: u64, loud: bool) -> ExitCode {
    let mut failed = Vec::new();
    for seed in first..first + seeds {
        let (said, well) = one(seed, loud);
        print!("seed {seed}: {said}");
        if !well {
            failed.push(seed);
        } else if seed - first < TWICE {
            let (again, _) = one(seed, false);
            if again != said {
                println!("seed {seed}: differs the second time: {again}");
                failed.push(seed);
            }
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!(
        "failed: {failed:?}; one again with its log: cargo test --release -p azimuth-broker --test oracle -- --seed {}",
        failed[0]
    );
    ExitCode::FAILURE
}
