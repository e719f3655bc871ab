//! Durations of the last minutes: recorded with one atomic add, read as quantiles that are at most an eighth too high.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Each power of two of microseconds is cut into so many parts.
const PARTS_BITS: u32 = 3;
const PARTS: usize = 1 << PARTS_BITS;
/// Up to 2^36 microseconds, 19 hours; what is longer counts as that.
const POWERS: usize = 34;
const BUCKETS: usize = PARTS * POWERS;
/// Quantiles are over this long, and up to twice as long.
const SPAN: Duration = Duration::from_secs(60);

/// What is read of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Summary {
    /// All that was ever recorded.
    pub count: u64,
    /// Of all of them, in milliseconds.
    pub sum_ms: f64,
    /// The recent ones, in milliseconds; empty when there are none.
    pub quantiles: Vec<(&'static str, f64)>,
}

#[derive(Debug)]
pub(super) struct Histogram {
    count: AtomicU64,
    sum_us: AtomicU64,
    /// The current span and the one before; `current` says which is which.
    spans: [Box<[AtomicU32]>; 2],
    current: AtomicUsize,
    turned: Mutex<Instant>,
}

impl Default for Histogram {
    fn default() -> Self {
        let span = || (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Self {
            count: AtomicU64::new(0),
            sum_us: AtomicU64::new(0),
            spans: [span(), span()],
            current: AtomicUsize::new(0),
            turned: Mutex::new(Instant::now()),
        }
    }
}

impl Histogram {
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        let span = &self.spans[self.current.load(Ordering::Relaxed) & 1];
        span[bucket(us)].fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> Summary {
        self.turn();
        let counts: Vec<u64> = (0..BUCKETS)
            .map(|at| {
                self.spans
                    .iter()
                    .map(|span| u64::from(span[at].load(Ordering::Relaxed)))
                    .sum()
            })
            .collect();
        let recent: u64 = counts.iter().sum();
        let quantile = |(name, share): (&'static str, f64)| (name, upper_us(place(&counts, recent, share)) / 1_000.0);
        Summary {
            count: self.count.load(Ordering::Relaxed),
            sum_ms: self.sum_us.load(Ordering::Relaxed) as f64 / 1_000.0,
            quantiles: match recent {
                0 => Vec::new(),
                _ => QUANTILES.map(quantile).to_vec(),
            },
        }
    }

    /// Begins a new span when the current one is full, and forgets the one before.
    fn turn(&self) {
        let mut turned = self.turned.lock();
        let spans = turned.elapsed().as_secs() / SPAN.as_secs();
        if spans == 0 {
            return;
        }
        *turned = Instant::now();
        let current = self.current.load(Ordering::Relaxed);
        for forgotten in 1..=spans.min(2) as usize {
            let next = (current + forgotten) & 1;
            for count in &self.spans[next] {
                count.store(0, Ordering::Relaxed);
            }
        }
        self.current.store((current + 1) & 1, Ordering::Relaxed);
    }
}

/// Those of Kafka's histograms.
const QUANTILES: [(&str, f64); 6] = [
    ("0.50", 0.5),
    ("0.75", 0.75),
    ("0.95", 0.95),
    ("0.98", 0.98),
    ("0.99", 0.99),
    ("0.999", 0.999),
];

fn bucket(us: u64) -> usize {
    if us < PARTS as u64 {
        return us as usize;
    }
    let power = u64::BITS - 1 - us.leading_zeros();
    let part = (us >> (power - PARTS_BITS)) as usize & (PARTS - 1);
    ((power - PARTS_BITS + 1) as usize * PARTS + part).min(BUCKETS - 1)
}

/// The end of a bucket, in microseconds.
fn upper_us(bucket: usize) -> f64 {
    if bucket < PARTS {
        return bucket as f64;
    }
    let (power, part) = (bucket / PARTS - 1, bucket % PARTS);
    ((PARTS + part + 1) as f64) * (1_u64 << power) as f64
}

/// The bucket that holds the given share.
fn place(counts: &[u64], all: u64, share: f64) -> usize {
    let wanted = (all as f64 * share).ceil().max(1.0) as u64;
    let mut seen = 0;
    let reached = counts.iter().position(|count| {
        seen += count;
        seen >= wanted
    });
    reached.unwrap_or(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_at_most_an_eighth_above_what_is_in_it() {
        for us in (0..2_000).chain([65_535, 1_000_000, 3_600_000_000]) {
            let end = upper_us(bucket(us));
            let us = us as f64;
            assert!(
                end >= us && end <= us * 1.125 + 1.0,
                "{us} is in one that ends at {end}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn quantiles_are_of_the_last_minutes_and_the_count_of_all_time() {
        let histogram = Histogram::default();
        for ms in 1..=1_000 {
            histogram.record(Duration::from_millis(ms));
        }
        let read = histogram.read();
        assert_eq!(read.count, 1_000);
        let of = |name: &str| read.quantiles.iter().find(|(known, _)| *known == name).unwrap().1;
        assert!((500.0..=563.0).contains(&of("0.50")), "{}", of("0.50"));
        assert!((990.0..=1_120.0).contains(&of("0.99")), "{}", of("0.99"));
        tokio::time::advance(SPAN).await;
        histogram.record(Duration::from_millis(1));
        assert_eq!(histogram.read().quantiles.len(), 6);
        tokio::time::advance(SPAN * 3).await;
        let read = histogram.read();
        assert_eq!((read.count, read.quantiles.len()), (1_001, 0));
    }
}
