//! Replication throttles (KIP-73): how fast replicas that are not in sync may be copied to and from this node.
//!
//! A replica is throttled if its topic lists it in `leader.replication.throttled.replicas` (at the leader that sends) or in
//! `follower.replication.throttled.replicas` (at the follower that fetches), and only while it is out of sync: a throttle
//! must never shrink an ISR. As in Kafka all traffic of the listed replicas is counted, and only the late ones wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::TopicSettings;
use crate::id::NodeId;

/// What a throttled replica may take at once, so that neither side works in crumbs.
const QUANTUM: Duration = Duration::from_millis(100);
const UNLIMITED: i64 = i64::MAX;

/// On which sides the replication of one replica is throttled by this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Throttled {
    pub leader: bool,
    pub follower: bool,
}

impl Throttled {
    pub fn of(settings: &TopicSettings, partition: i32, node: NodeId) -> Self {
        Self {
            leader: lists(&settings.leader_throttled_replicas, partition, node),
            follower: lists(&settings.follower_throttled_replicas, partition, node),
        }
    }
}

/// Whether a list of `partition:broker`, or `*`, names the replica.
fn lists(list: &str, partition: i32, node: NodeId) -> bool {
    let named = |entry: &str| {
        let (of, on) = entry.trim().split_once(':')?;
        Some((of.parse::<i32>().ok()?, on.parse::<i32>().ok()?))
    };
    if list.is_empty() {
        return false;
    }
    list.trim() == "*" || list.split(',').any(|entry| named(entry) == Some((partition, node.0)))
}

/// The span a rate is measured over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaWindow {
    /// `replication.quota.window.num`
    pub samples: usize,
    /// `replication.quota.window.size.seconds`
    pub sample: Duration,
}

impl Default for QuotaWindow {
    fn default() -> Self {
        Self {
            samples: 11,
            sample: Duration::from_secs(1),
        }
    }
}

/// One side's rate, which all throttled replicas of a node share.
#[derive(Debug)]
pub(super) struct Meter {
    /// Bytes per second.
    bound: AtomicI64,
    taken: Mutex<Taken>,
}

/// What passed in the last samples, as Kafka's `SimpleRate`: silence before the oldest of them earns nothing.
#[derive(Debug)]
struct Taken {
    window: QuotaWindow,
    /// The start of each, and the bytes in it; the oldest first.
    samples: VecDeque<(Instant, u64)>,
}

impl Meter {
    pub fn new(window: QuotaWindow) -> Self {
        let window = QuotaWindow {
            samples: window.samples.max(1),
            sample: window.sample.max(Duration::from_millis(1)),
        };
        Self {
            bound: AtomicI64::new(UNLIMITED),
            taken: Mutex::new(Taken {
                window,
                samples: VecDeque::new(),
            }),
        }
    }

    /// `None` takes the limit away.
    pub fn set_bound(&self, bytes_per_second: Option<i64>) {
        self.bound
            .store(bytes_per_second.unwrap_or(UNLIMITED), Ordering::Relaxed);
    }

    /// In bytes per second.
    fn bound(&self) -> Option<f64> {
        Some(self.bound.load(Ordering::Relaxed))
            .filter(|bound| *bound != UNLIMITED)
            .map(|bound| bound as f64)
    }

    pub fn record(&self, bytes: usize) {
        if bytes > 0 && self.bound().is_some() {
            self.taken.lock().record(bytes as u64, Instant::now());
        }
    }

    /// How much may pass now; `None` without a limit, 0 while the rate is above it.
    pub fn allowance(&self) -> Option<usize> {
        let bound = self.bound()?;
        let mut taken = self.taken.lock();
        let (sum, elapsed) = taken.measure(Instant::now());
        let left = bound * elapsed.max(taken.window.sample).as_secs_f64() - sum;
        if left < 0.0 || bound <= 0.0 {
            return Some(0);
        }
        Some(left.max(bound * QUANTUM.as_secs_f64()).max(1.0) as usize)
    }

    /// When the rate is back at the limit if nothing passes meanwhile.
    pub fn free_at(&self) -> Instant {
        let now = Instant::now();
        let Some(bound) = self.bound() else { return now };
        let mut taken = self.taken.lock();
        let (sum, elapsed) = taken.measure(now);
        let longest = taken.window.sample.as_secs_f64() * taken.window.samples as f64;
        let needed = if bound > 0.0 { sum / bound } else { f64::INFINITY };
        let wait = (needed - elapsed.as_secs_f64()).clamp(0.001, longest);
        now + Duration::from_secs_f64(wait)
    }
}

impl Taken {
    fn record(&mut self, bytes: u64, now: Instant) {
        self.forget(now);
        match self.samples.back_mut() {
            Some((start, sum)) if now.duration_since(*start) < self.window.sample => *sum = sum.saturating_add(bytes),
            _ => self.samples.push_back((now, bytes)),
        }
    }

    /// The bytes, and the time since the first of them. A rate is measured over at least one sample.
    fn measure(&mut self, now: Instant) -> (f64, Duration) {
        self.forget(now);
        let sum: u64 = self.samples.iter().map(|(_, bytes)| bytes).sum();
        let since = self
            .samples
            .front()
            .map_or(Duration::ZERO, |(start, _)| now.duration_since(*start));
        (sum as f64, since)
    }

    fn forget(&mut self, now: Instant) {
        let span = self.window.sample * u32::try_from(self.window.samples).unwrap_or(u32::MAX);
        while self
            .samples
            .front()
            .is_some_and(|(start, _)| now.duration_since(*start) >= span)
        {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_partitions_of_brokers_and_a_star_names_all() {
        let node = NodeId(2);
        assert!(lists("0:1,3:2", 3, node));
        assert!(lists(" 0:1 , 3:2 ", 3, node));
        assert!(!lists("0:1,3:2", 0, node), "partition 0 is throttled on broker 1");
        assert!(lists("*", 7, node));
        assert!(!lists("", 0, node));
        assert!(!lists("3:x,:,3", 3, node));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_what_is_allowed_keeps_to_the_rate_from_the_first_second_on() {
        for chunk in [10_000, 150_000, 1_000_000] {
            let meter = Meter::new(QuotaWindow::default());
            meter.set_bound(Some(1_000_000));
            let (began, mut sent) = (Instant::now(), 0_usize);
            let elapsed = || began.elapsed().as_secs_f64();
            while elapsed() < 30.0 {
                match meter.allowance() {
                    Some(0) => tokio::time::sleep_until(meter.free_at()).await,
                    _ => {
                        meter.record(chunk);
                        sent += chunk;
                        tokio::time::advance(Duration::from_millis(1)).await;
                    }
                }
            }
            let rate = sent as f64 / elapsed();
            assert!((900_000.0..=1_100_000.0).contains(&rate), "{rate} in chunks of {chunk}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_earns_nothing_and_what_is_old_is_forgotten() {
        let meter = Meter::new(QuotaWindow::default());
        meter.set_bound(Some(1_000));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(meter.allowance(), Some(1_000), "one sample's worth");
        meter.record(5_000);
        assert_eq!(meter.allowance(), Some(0));
        assert_eq!(meter.free_at() - Instant::now(), Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(meter.allowance(), Some(1_000));
    }

    #[tokio::test]
    async fn without_a_limit_everything_passes_and_with_zero_nothing() {
        let meter = Meter::new(QuotaWindow::default());
        meter.record(1 << 40);
        assert_eq!(meter.allowance(), None);
        meter.set_bound(Some(0));
        assert_eq!(meter.allowance(), Some(0));
        assert!(meter.free_at() > Instant::now());
        meter.set_bound(None);
        assert_eq!(meter.allowance(), None);
    }
}
