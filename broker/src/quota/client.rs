//! The quotas of users and client ids on one broker, and how much of them is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::bucket::Bucket;
use super::levels::{Levels, Together};
use super::meters::Meters;
use super::{Rate, Window};
use crate::image::quota::{self, Quotas};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of Produce requests.
    Produce,
    /// Bytes of Fetch answers to consumers.
    Fetch,
    /// Time spent on requests, in percent of a second of one thread.
    Request,
    /// Partitions created and deleted.
    Mutation,
}

/// The client quotas of one node, following the metadata.
#[derive(Debug)]
pub struct ClientQuotas {
    window: Window,
    mutation_window: Window,
    began: Instant,
    /// A bit for each kind that has any quota.
    active: AtomicU8,
    /// What the levels were made from.
    source: Mutex<Arc<Quotas>>,
    produce: Counted<Rate>,
    fetch: Counted<Rate>,
    request: Counted<Rate>,
    mutation: Counted<Bucket>,
}

#[derive(Debug)]
struct Counted<M> {
    levels: RwLock<Levels>,
    meters: Mutex<Meters<Together, M>>,
}

/// The controller mutations of one request (KIP-599).
#[derive(Debug)]
pub struct Mutations<'a> {
    quotas: &'a ClientQuotas,
    user: &'a str,
    client_id: &'a str,
    /// Refuses what is above the quota, instead of only making the client wait.
    strict: bool,
    wait: Duration,
}

impl ClientQuotas {
    /// `mutation_window` is that of `controller_mutation_rate`, which has properties of its own.
    pub fn new(window: Window, mutation_window: Window) -> Self {
        Self {
            window,
            mutation_window,
            began: Instant::now(),
            active: AtomicU8::new(0),
            source: Mutex::default(),
            produce: Counted::new(),
            fetch: Counted::new(),
            request: Counted::new(),
            mutation: Counted::new(),
        }
    }

    /// Takes over the quotas of new metadata; cheap when they are the same.
    pub fn update(&self, quotas: &Arc<Quotas>) {
        let mut source = self.source.lock();
        if Arc::ptr_eq(&source, quotas) {
            return;
        }
        *source = Arc::clone(quotas);
        let active = [
            (Kind::Produce, self.produce.update(quotas, quota::PRODUCER_BYTE_RATE)),
            (Kind::Fetch, self.fetch.update(quotas, quota::CONSUMER_BYTE_RATE)),
            (Kind::Request, self.request.update(quotas, quota::REQUEST_PERCENTAGE)),
            (
                Kind::Mutation,
                self.mutation.update(quotas, quota::CONTROLLER_MUTATION_RATE),
            ),
        ];
        let bits = active
            .into_iter()
            .filter(|(_, any)| *any)
            .fold(0, |bits, (kind, _)| bits | kind.bit());
        self.active.store(bits, Ordering::Relaxed);
    }

    /// Whether any client has a quota of that kind.
    pub fn counts(&self, kind: Kind) -> bool {
        self.active.load(Ordering::Relaxed) & kind.bit() != 0
    }

    /// Whether any client has any quota.
    pub fn any(&self) -> bool {
        self.active.load(Ordering::Relaxed) != 0
    }

    /// Counts `amount` and says how long the client has to wait for it; negative takes back what was counted.
    ///
    /// Mutations are counted with [`ClientQuotas::mutations`].
    pub fn record(&self, kind: Kind, user: &str, client_id: &str, amount: f64) -> Duration {
        if !self.counts(kind) {
            return Duration::ZERO;
        }
        let counted = match kind {
            Kind::Produce => &self.produce,
            Kind::Fetch => &self.fetch,
            Kind::Request => &self.request,
            Kind::Mutation => return Duration::ZERO,
        };
        let Some((bound, group)) = counted.levels.read().resolve(user, client_id) else {
            return Duration::ZERO;
        };
        let (window, now) = (self.window, self.now_ms());
        let spent = |rate: &Rate| rate.last_ms().is_none_or(|last| now - last >= window.span_ms());
        let mut meters = counted.meters.lock();
        let rate = meters.of(group, spent);
        rate.set_window(window);
        rate.record(amount, now);
        let wait = rate.throttle(bound, now);
        // Time that was taken is never paid for longer than a sample (KIP-124).
        if kind == Kind::Request {
            wait.min(window.sample())
        } else {
            wait
        }
    }

    /// Counts time spent on a request, and says how long the client has to wait for it.
    pub fn record_time(&self, user: &str, client_id: &str, spent: Duration) -> Duration {
        self.record(Kind::Request, user, client_id, spent.as_secs_f64() * 100.0)
    }

    /// The most bytes that one answer may bring without being throttled for sure; `None` is no quota.
    pub fn fetch_allowance(&self, user: &str, client_id: &str) -> Option<usize> {
        if !self.counts(Kind::Fetch) {
            return None;
        }
        let (bound, _) = self.fetch.levels.read().resolve(user, client_id)?;
        // A float that is too large becomes the largest.
        Some(self.window.allowance(bound) as usize)
    }

    /// The mutations of one request; `None` when there is no quota at all.
    pub fn mutations<'a>(&'a self, user: &'a str, client_id: &'a str, strict: bool) -> Option<Mutations<'a>> {
        self.counts(Kind::Mutation).then_some(Mutations {
            quotas: self,
            user,
            client_id,
            strict,
            wait: Duration::ZERO,
        })
    }

    /// Clients that are being counted, of all kinds.
    pub fn meters(&self) -> usize {
        let rates = [&self.produce, &self.fetch, &self.request];
        rates.iter().map(|counted| counted.meters.lock().len()).sum::<usize>() + self.mutation.meters.lock().len()
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl<M: Default> Counted<M> {
    fn new() -> Self {
        Self {
            levels: RwLock::default(),
            meters: Mutex::new(Meters::new()),
        }
    }

    /// Whether there is any quota now.
    fn update(&self, quotas: &Quotas, key: &str) -> bool {
        let levels = Levels::of(quotas, key);
        let any = !levels.is_empty();
        *self.levels.write() = levels;
        if !any {
            self.meters.lock().clear();
        }
        any
    }
}

impl Kind {
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Mutations<'_> {
    /// Counts `permits` partitions. False when the request is strict and the quota was used up before.
    pub fn take(&mut self, permits: usize) -> bool {
        let quotas = self.quotas;
        let counted = &quotas.mutation;
        let Some((bound, group)) = counted.levels.read().resolve(self.user, self.client_id) else {
            return true;
        };
        let (window, now) = (quotas.mutation_window, quotas.now_ms());
        let mut meters = counted.meters.lock();
        let bucket = meters.of(group, |bucket: &Bucket| bucket.is_full(bound, window, now));
        if self.strict {
            let wait = bucket.wait(bound, window, now);
            self.wait = self.wait.max(wait);
            if !wait.is_zero() {
                return false;
            }
            bucket.take(permits as f64, bound, window, now);
        } else {
            bucket.take(permits as f64, bound, window, now);
            self.wait = self.wait.max(bucket.wait(bound, window, now));
        }
        true
    }

    /// Gives back what was taken for something that did not happen.
    pub fn give_back(&self, permits: usize) {
        let quotas = self.quotas;
        let counted = &quotas.mutation;
        if let Some((bound, group)) = counted.levels.read().resolve(self.user, self.client_id) {
            let (window, now) = (quotas.mutation_window, quotas.now_ms());
            let mut meters = counted.meters.lock();
            let bucket = meters.of(group, |bucket: &Bucket| bucket.is_full(bound, window, now));
            bucket.take(-(permits as f64), bound, window, now);
        }
    }

    /// How long the client has to wait: for `throttle_time_ms`.
    pub fn wait(&self) -> Duration {
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::quota::{QuotaEntity, QuotaName};

    fn quotas(client_id: &str, key: &str, value: f64) -> Arc<Quotas> {
        let entity = QuotaEntity {
            client_id: Some(QuotaName::new(Some(client_id))),
            ..QuotaEntity::default()
        };
        Arc::new(Quotas::from([(entity, [(key.to_owned(), value)].into())]))
    }

    fn of(key: &str, value: f64) -> ClientQuotas {
        let client = ClientQuotas::new(Window::default(), Window::default());
        client.update(&quotas("app", key, value));
        client
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_has_a_quota_is_counted_and_waits() {
        let quotas = of(quota::PRODUCER_BYTE_RATE, 100.0);
        assert_eq!(quotas.record(Kind::Produce, "u", "app", 1_000.0), Duration::ZERO);
        let wait = quotas.record(Kind::Produce, "u", "app", 1_000.0);
        assert_eq!(
            wait,
            Duration::from_secs(10),
            "2,000 bytes in a window of 10 s, where 1,000 are allowed"
        );
        assert_eq!(quotas.record(Kind::Produce, "u", "other", 1e9), Duration::ZERO);
        assert_eq!(quotas.record(Kind::Fetch, "u", "app", 1e9), Duration::ZERO);
        assert_eq!(quotas.meters(), 1);
        assert!(quotas.any() && !quotas.counts(Kind::Fetch));
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_paid_for_at_most_a_sample() {
        let quotas = of(quota::REQUEST_PERCENTAGE, 10.0);
        let wait = quotas.record_time("u", "app", Duration::from_secs(60));
        assert_eq!(wait, Duration::from_secs(1));
        let quotas = of(quota::REQUEST_PERCENTAGE, 10.0);
        assert_eq!(
            quotas.record_time("u", "app", Duration::from_millis(900)),
            Duration::ZERO,
            "9 % of 10 s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_that_goes_leaves_nothing_behind() {
        let client = of(quota::CONSUMER_BYTE_RATE, 10.0);
        client.record(Kind::Fetch, "u", "app", 1e6);
        assert_eq!(client.fetch_allowance("u", "app"), Some(100));
        client.update(&Arc::default());
        assert!(!client.any());
        assert_eq!((client.meters(), client.fetch_allowance("u", "app")), (0, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_strict_client_is_refused_and_an_older_one_waits() {
        let quotas = of(quota::CONTROLLER_MUTATION_RATE, 1.0);
        let mut strict = quotas.mutations("u", "app", true).unwrap();
        assert!(strict.take(20), "11 are there; the one that takes more is let through");
        assert_eq!(strict.wait(), Duration::ZERO);
        assert!(!strict.take(1));
        assert_eq!(strict.wait(), Duration::from_secs(9));
        strict.give_back(20);
        assert!(quotas.mutations("u", "app", true).unwrap().take(1));
        let mut older = quotas.mutations("u", "app", false).unwrap();
        assert!(older.take(12));
        assert_eq!(older.wait(), Duration::from_secs(2));
        assert!(older.take(1), "never refused");
    }
}
