//! The fuzz targets on a stable toolchain: real inputs, changed at random from a seed, for some seconds each.
//!
//! `AZIMUTH_FUZZ_SECONDS` (20) is how long, all targets side by side; `AZIMUTH_FUZZ_SEED` (1) gives another sequence.
//! `AZIMUTH_FUZZ_CORPUS=DIR` writes the seeds to DIR/TARGET, for cargo-fuzz, and changes nothing.
//! Coverage guides cargo-fuzz further: `cd broker && cargo +nightly fuzz run request`.

#![expect(
    unsafe_code,
    reason = "counting what is allocated takes an allocator, whose trait is unsafe"
)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use azimuth_broker::env::random::Random;

type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("request", targets::request),
    ("sasl", targets::sasl),
    ("batch", targets::batch),
    ("segment", targets::segment),
    ("index", targets::index),
    ("metadata", targets::metadata),
];
/// Inputs do not grow beyond it.
const INPUT_MAX: usize = 64 << 10;
/// The largest single allocation that an input of that size may cause: decompression's limit, and what grows by doubling.
const ALLOCATION_MAX: usize = 16 << 20;

/// Remembers the largest allocation of a thread.
struct Measuring;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // Gone while a thread ends.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call is the system allocator's.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's layout, as it is.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's layout, as it is.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's block and layout, as they are.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's block and layout, as they are.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// Changes to an input, one after the other.
struct Mutator {
    random: Random,
}

impl Mutator {
    fn below(&self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn next(&self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut input, corpus);
        }
        input.truncate(INPUT_MAX);
        input
    }

    fn change(&self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        const NUMBERS: [i64; 14] = [
            0,
            1,
            2,
            -1,
            -2,
            127,
            128,
            255,
            256,
            32_767,
            65_535,
            i32::MAX as i64,
            i32::MIN as i64,
            i64::MAX,
        ];
        let at = self.below(input.len() + 1);
        match self.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.random.next_u64() as u8,
            2 => input.truncate(at),
            3 => {
                let end = (at + self.below(16)).min(input.len());
                input.drain(at..end);
            }
            4 => {
                let new: Vec<u8> = (0..self.below(16)).map(|_| self.random.next_u64() as u8).collect();
                input.splice(at..at, new);
            }
            // A number where one may be, in the sizes that numbers have.
            5 | 6 => {
                let width = [1, 2, 4, 8][self.below(4)];
                let number = NUMBERS[self.below(NUMBERS.len())].wrapping_add(self.below(3) as i64 - 1);
                if at + width <= input.len() {
                    input[at..at + width].copy_from_slice(&number.to_be_bytes()[8 - width..]);
                }
            }
            // The largest varint, or one too long.
            7 => {
                let length = self.below(11);
                let end = (at + length).min(input.len());
                input[at..end].fill(0xff);
            }
            _ => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                let length = self.below(64).min(other.len() - from);
                let end = (at + length).min(input.len());
                input.splice(at..end, other[from..from + length].iter().copied());
            }
        }
    }
}

/// Runs one input; a sentence when it panics or allocates too much.
fn run(target: fn(&[u8]), input: &[u8]) -> Result<(), String> {
    LARGEST.set(0);
    let ended = catch_unwind(AssertUnwindSafe(|| target(input)));
    let largest = LARGEST.get();
    match ended {
        Err(_) => Err("it panics".to_owned()),
        Ok(()) if largest > ALLOCATION_MAX => Err(format!("it allocates {largest} bytes at once")),
        Ok(()) => Ok(()),
    }
}

/// How many inputs were run, or which one failed and how.
fn fuzz((name, target): Target, seed: u64, budget: Duration) -> Result<u64, String> {
    let corpus = targets::corpus(name);
    assert!(!corpus.is_empty(), "{name} has no seeds");
    let failed = |input: &[u8], why: String| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}: {why}; the input of {} bytes: {hex}", input.len())
    };
    for input in &corpus {
        run(target, input).map_err(|why| failed(input, why))?;
    }
    let mutator = Mutator {
        random: Random::seeded(seed),
    };
    let until = Instant::now() + budget;
    let mut runs = corpus.len() as u64;
    while Instant::now() < until {
        for _ in 0..16 {
            let input = mutator.next(&corpus);
            run(target, &input).map_err(|why| failed(&input, why))?;
            runs += 1;
        }
    }
    Ok(runs)
}

#[test]
fn no_input_panics_or_allocates_without_bound() {
    if let Some(dir) = std::env::var_os("AZIMUTH_FUZZ_CORPUS") {
        for (name, _) in TARGETS {
            let folder = std::path::Path::new(&dir).join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            for (at, seed) in targets::corpus(name).iter().enumerate() {
                std::fs::write(folder.join(format!("seed-{at}")), seed).expect("writes");
            }
        }
        return;
    }
    let seed = setting("AZIMUTH_FUZZ_SEED", 1);
    let budget = Duration::from_secs(setting("AZIMUTH_FUZZ_SECONDS", 20));
    let threads: Vec<_> = TARGETS
        .iter()
        .map(|target| std::thread::spawn(move || (target.0, fuzz(*target, seed, budget))))
        .collect();
    let mut failures = Vec::new();
    for thread in threads {
        let (name, done) = thread.join().expect("it catches panics");
        match done {
            Ok(runs) => println!(
                "{name}: {runs} inputs, {:.0} a second",
                runs as f64 / budget.as_secs_f64()
            ),
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn what_is_looked_for_is_found() {
    let panics = |input: &[u8]| assert!(input.is_empty());
    assert_eq!(run(panics, b"x"), Err("it panics".to_owned()));
    let allocates = |_: &[u8]| drop(Vec::<u8>::with_capacity(ALLOCATION_MAX + 1));
    assert!(run(allocates, b"").expect_err("found").contains("allocates"));
    assert_eq!(run(|_| {}, b""), Ok(()));
}
