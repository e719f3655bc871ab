//! The oracle: a cluster in a simulated world is written to while nodes die and links break, all of it by a seed, and what
//! is left must keep every promise.
//!
//! ```text
//! cargo test --release -p azimuth-broker --test oracle                     a few seeds and the faults, as a change must pass
//! cargo test --release -p azimuth-broker --test oracle -- --seeds 1000     more of them
//! cargo test --release -p azimuth-broker --test oracle -- --seed 17        one again, with the nodes' log
//! cargo test --release -p azimuth-broker --test oracle -- --planted        faults that are put in, each to be found
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
mod member;
mod plant;
mod power;
mod read;
mod simulation;
mod spoil;
mod trouble;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

/// Set for a process that is one simulation.
const SEED: &str = "AZIMUTH_ORACLE_SEED";
/// The fault that is planted in it, if any.
const PLANT: &str = "AZIMUTH_ORACLE_PLANT";
/// Of those that are run by default.
const SEEDS: u64 = 6;
/// So many are run twice.
const TWICE: u64 = 2;
/// A planted fault is found with one of so many.
const PLANTED_SEEDS: u64 = 30;

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
        let plant = std::env::var(PLANT).ok();
        let plant = plant.map(|name| plant::Plant::named(&name).expect("a fault to plant"));
        return simulation::run_and_print(seed, plant);
    }
    let mut words = std::env::args().skip(1);
    let (mut wanted, mut seeds, mut planted) = (Wanted::default(), false, false);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|count| count.parse().ok());
        match word.as_str() {
            "--seeds" => {
                wanted.seeds = number().expect("how many");
                seeds = true;
            }
            "--from" => wanted.first = number().expect("which is the first"),
            "--jobs" => wanted.jobs = number().expect("how many at a time"),
            "--seed" => {
                wanted.first = number().expect("which");
                (wanted.seeds, wanted.loud) = (1, true);
                seeds = true;
            }
            "--planted" => planted = true,
            // For cargo, which asks every test.
            "--list" => return ExitCode::SUCCESS,
            _ => {}
        }
    }
    power::check();
    let (seeds, planted) = match (seeds, planted) {
        (false, false) => (true, true),
        asked => asked,
    };
    let well = (!seeds || all(&wanted)) && (!planted || all_planted(wanted.first));
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Which seeds to run.
struct Wanted {
    first: u64,
    seeds: u64,
    /// At a time.
    jobs: u64,
    /// With the nodes' log.
    loud: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            first: 1,
            seeds: SEEDS,
            jobs: jobs as u64,
            loud: false,
        }
    }
}

/// What the process of one seed says, and whether it ended well.
fn one(seed: u64, plant: Option<&str>, loud: bool) -> (String, bool) {
    let mut command = Command::new(std::env::current_exe().expect("it has a name"));
    command.env(SEED, seed.to_string()).stdin(Stdio::null());
    command.env_remove(PLANT).envs(plant.map(|plant| (PLANT, plant)));
    let logging = if loud { "info" } else { "off" };
    if std::env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", logging);
    }
    // A panic of one that has a fault planted is no news.
    command.stderr(match plant.is_some() && !loud {
        true => Stdio::null(),
        false => Stdio::inherit(),
    });
    let output = command.output().expect("it runs");
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        output.status.success(),
    )
}

/// What is wrong about a seed; the first ones are run twice.
fn judged(seed: u64, wanted: &Wanted) -> (String, bool) {
    let (mut said, mut well) = one(seed, None, wanted.loud);
    if well && seed - wanted.first < TWICE && !wanted.loud {
        let (again, _) = one(seed, None, false);
        if again != said {
            said.push_str(&format!("  it differs the second time: {again}"));
            well = false;
        }
    }
    (said, well)
}

/// Whether each seed keeps every promise.
fn all(wanted: &Wanted) -> bool {
    let (next, failed) = (AtomicU64::new(wanted.first), Mutex::new(BTreeSet::new()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= wanted.first + wanted.seeds {
                        return;
                    }
                    let (said, well) = judged(seed, wanted);
                    let mut failed = failed.lock();
                    print!("seed {seed}: {said}");
                    if !well {
                        failed.insert(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} of {} seeds keep every promise; {:.0} seeds a minute",
        wanted.seeds - failed.len() as u64,
        wanted.seeds,
        wanted.seeds as f64 / minutes
    );
    let Some(first) = failed.first() else {
        return true;
    };
    println!(
        "failed: {failed:?}; one again with its log: cargo test --release -p azimuth-broker --test oracle -- --seed {first}"
    );
    false
}

/// Plants each fault in one seed after another, until it is found; whether each was.
fn all_planted(first: u64) -> bool {
    let mut all = true;
    for (name, _) in plant::ALL {
        let finds = |seed: u64| {
            let (said, _) = one(seed, Some(name), false);
            let found = said
                .lines()
                .skip(1)
                .find(|line| !line.trim().is_empty())?
                .trim()
                .to_owned();
            Some((seed, found))
        };
        match (first..first + PLANTED_SEEDS).find_map(finds) {
            Some((seed, found)) => println!("{name}: found with seed {seed}: {found}"),
            None => {
                println!("{name}: not found with {PLANTED_SEEDS} seeds");
                all = false;
            }
        }
    }
    all
}
