//! How many connections a node takes, and how fast: in all, through one listener, from one address (KIP-402, KIP-612).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::meters::Meters;
use super::{Rate, Window};
use crate::image::Image;
use crate::image::property::{self, Config};
use crate::image::quota::{CONNECTION_CREATION_RATE, QuotaName, Quotas};

/// What a node grants, as its properties say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectionLimits {
    pub window: Window,
    /// `max.connections`
    pub connections: usize,
    /// `max.connections.per.ip`
    pub per_ip: usize,
    /// `max.connections.per.ip.overrides`
    pub overrides: HashMap<IpAddr, usize>,
    /// `max.connection.creation.rate`, for each second; `None` is no limit.
    pub rate: Option<f64>,
    /// The same with the prefix `listener.name.<listener>.`, by the listener's name.
    pub listeners: HashMap<String, ListenerLimits>,
    /// The listener that brokers use among themselves, if clients have others: it is exempt from the node's own limits.
    pub exempt: Option<String>,
}

/// What one listener grants.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ListenerLimits {
    /// `None` is no limit.
    pub connections: Option<usize>,
    /// For each second; `None` is no limit.
    pub rate: Option<f64>,
}

/// The connections of one node.
#[derive(Debug)]
pub struct ConnectionQuotas {
    began: Instant,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limits: ConnectionLimits,
    total: usize,
    rate: Rate,
    listeners: HashMap<Arc<str>, Through>,
    addresses: HashMap<IpAddr, usize>,
    /// Where `ip_rates` comes from.
    source: Arc<Quotas>,
    ip_rates: IpRates,
    meters: Meters<IpAddr, Rate>,
}

#[derive(Debug, Default)]
struct Through {
    connections: usize,
    rate: Rate,
}

/// `connection_creation_rate` by address.
#[derive(Debug, Default)]
struct IpRates {
    any: Option<f64>,
    named: HashMap<IpAddr, f64>,
}

/// One connection's place; dropping it makes room for another.
#[derive(Debug)]
pub struct Slot {
    quotas: Arc<ConnectionQuotas>,
    listener: Arc<str>,
    ip: Option<IpAddr>,
}

/// Why a connection is closed before anything was read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("its address has {0} connections already (max.connections.per.ip)")]
    TooMany(usize),
    /// It is closed after that long, so that a client that comes back at once is slowed down.
    #[error("its address connects too often (connection_creation_rate)")]
    TooFast(Duration),
}

impl ConnectionLimits {
    /// What the properties of this node say, with those that were changed while it runs.
    pub fn of(config: &Config, image: &Image) -> Self {
        let number = |key: &str| -> Option<i64> { config.value(image, key)?.trim().parse().ok() };
        let size = |key: &str| number(key).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let rate = |n: i64| (n < i64::from(i32::MAX)).then_some(n as f64);
        let listeners = config.listeners().iter().map(|listener| {
            // What a listener has not for itself it has from the node, also the one that is exempt.
            let own = |key: &str| -> Option<i64> {
                let value = config.listener_value(image, &listener.name, key)?;
                value.trim().parse().ok()
            };
            let limits = ListenerLimits {
                connections: own("max.connections").and_then(|n| usize::try_from(n).ok()),
                rate: own("max.connection.creation.rate").and_then(rate),
            };
            (listener.name.clone(), limits)
        });
        let inter_broker = config.inter_broker_listener();
        Self {
            window: Window {
                samples: config.size("quota.window.num"),
                sample_ms: config.int("quota.window.size.seconds").saturating_mul(1_000),
            },
            connections: size("max.connections"),
            per_ip: size("max.connections.per.ip"),
            overrides: config
                .value(image, "max.connections.per.ip.overrides")
                .map(|text| property::ip_limits(&text).collect())
                .unwrap_or_default(),
            rate: number("max.connection.creation.rate").and_then(rate),
            listeners: listeners.collect(),
            exempt: (config.listeners().len() > 1).then(|| inter_broker.to_owned()),
        }
    }
}

impl ConnectionQuotas {
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            state: Mutex::new(State {
                total: 0,
                rate: Rate::new(limits.window),
                listeners: HashMap::new(),
                addresses: HashMap::new(),
                source: Arc::default(),
                ip_rates: IpRates::default(),
                meters: Meters::new(),
                limits,
            }),
            freed: Notify::new(),
        })
    }

    /// Takes over changed limits and quotas. Connections that are there already stay.
    pub fn update(&self, limits: ConnectionLimits, quotas: &Arc<Quotas>) {
        let mut state = self.state.lock();
        if !Arc::ptr_eq(&state.source, quotas) {
            state.source = Arc::clone(quotas);
            state.ip_rates = IpRates::of(quotas);
            if state.ip_rates.is_empty() {
                state.meters.clear();
            }
        }
        if state.limits != limits {
            state.limits = limits;
            drop(state);
            self.freed.notify_waiters();
        }
    }

    /// Counts a connection that was accepted; how long it has to wait because of the rate of its listener and of the node.
    pub fn arrived(&self, listener: &Arc<str>) -> Duration {
        let now = self.now_ms();
        let mut state = self.state.lock();
        let state = &mut *state;
        let (window, sample) = (state.limits.window, state.limits.window.sample());
        let count = |rate: &mut Rate, bound: Option<f64>| {
            let Some(bound) = bound else { return Duration::ZERO };
            rate.set_window(window);
            rate.record(1.0, now);
            rate.throttle(bound, now).min(sample)
        };
        let own = state.limits.of_name(listener).rate;
        let through = state.listeners.entry(Arc::clone(listener)).or_default();
        let wait = count(&mut through.rate, own);
        if state.limits.exempts(listener) {
            return wait;
        }
        wait.max(count(&mut state.rate, state.limits.rate))
    }

    /// Waits until there is room for one more connection through that listener.
    pub async fn slot(self: &Arc<Self>, listener: &Arc<str>) -> Slot {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on no release is missed.
            freed.as_mut().enable();
            if let Some(slot) = self.try_slot(listener) {
                return slot;
            }
            freed.await;
        }
    }

    fn try_slot(self: &Arc<Self>, listener: &Arc<str>) -> Option<Slot> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let own = state.limits.of_name(listener).connections.unwrap_or(usize::MAX);
        let full = state.total >= state.limits.connections && !state.limits.exempts(listener);
        let through = state.listeners.entry(Arc::clone(listener)).or_default();
        if full || through.connections >= own {
            return None;
        }
        through.connections += 1;
        state.total += 1;
        Some(Slot {
            quotas: Arc::clone(self),
            listener: Arc::clone(listener),
            ip: None,
        })
    }

    /// Connections that are open, by listener.
    pub fn open(&self) -> Vec<(Arc<str>, usize)> {
        let state = self.state.lock();
        let mut open: Vec<_> = state
            .listeners
            .iter()
            .map(|(listener, through)| (Arc::clone(listener), through.connections))
            .collect();
        open.sort();
        open
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl ConnectionLimits {
    fn of_name(&self, listener: &str) -> ListenerLimits {
        self.listeners.get(listener).copied().unwrap_or_default()
    }

    fn exempts(&self, listener: &str) -> bool {
        self.exempt.as_deref() == Some(listener)
    }
}

impl IpRates {
    fn of(quotas: &Quotas) -> Self {
        let mut rates = Self::default();
        for (entity, values) in quotas {
            let (Some(ip), Some(rate)) = (&entity.ip, values.get(CONNECTION_CREATION_RATE)) else {
                continue;
            };
            match ip {
                QuotaName::Default => rates.any = Some(*rate),
                QuotaName::Named(ip) => {
                    if let Ok(ip) = ip.parse() {
                        rates.named.insert(ip, *rate);
                    }
                }
            }
        }
        rates
    }

    fn is_empty(&self) -> bool {
        self.any.is_none() && self.named.is_empty()
    }

    fn bound(&self, ip: IpAddr) -> Option<f64> {
        self.named.get(&ip).copied().or(self.any)
    }
}

impl Slot {
    /// Holds the connection against the limits of its address.
    ///
    /// # Errors
    /// [`Denied`]; the slot is free again.
    pub fn admit(mut self, ip: IpAddr) -> Result<Self, Denied> {
        let ip = ip.to_canonical();
        let quotas = Arc::clone(&self.quotas);
        let now = quotas.now_ms();
        let mut state = quotas.state.lock();
        let state = &mut *state;
        if let Some(bound) = state.ip_rates.bound(ip) {
            let window = state.limits.window;
            let spent = |rate: &Rate| rate.last_ms().is_none_or(|last| now - last >= window.span_ms());
            let rate = state.meters.of(ip, spent);
            rate.set_window(window);
            rate.record(1.0, now);
            let wait = rate.throttle(bound, now).min(window.sample());
            if !wait.is_zero() {
                // What is not taken does not count, or a client that keeps trying would never get in.
                rate.record(-1.0, now);
                return Err(Denied::TooFast(wait));
            }
        }
        let most = state.limits.overrides.get(&ip).copied().unwrap_or(state.limits.per_ip);
        let held = state.addresses.entry(ip).or_default();
        if *held >= most {
            let held = *held;
            if held == 0 {
                state.addresses.remove(&ip);
            }
            return Err(Denied::TooMany(held));
        }
        *held += 1;
        self.ip = Some(ip);
        Ok(self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.quotas.state.lock();
        state.total -= 1;
        if let Some(through) = state.listeners.get_mut(&self.listener) {
            through.connections -= 1;
        }
        if let Some(ip) = self.ip
            && let Some(held) = state.addresses.get_mut(&ip)
        {
            *held -= 1;
            if *held == 0 {
                state.addresses.remove(&ip);
            }
        }
        drop(state);
        self.quotas.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::image::quota::QuotaEntity;

    fn limits() -> ConnectionLimits {
        ConnectionLimits {
            connections: 2,
            per_ip: usize::MAX,
            ..ConnectionLimits::default()
        }
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn names() -> (Arc<str>, Arc<str>) {
        ("CLIENTS".into(), "BROKERS".into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_node_waits_and_brokers_still_reach_it() {
        let (clients, brokers) = names();
        let quotas = ConnectionQuotas::new(ConnectionLimits {
            exempt: Some("BROKERS".to_owned()),
            ..limits()
        });
        let first = quotas.slot(&clients).await;
        let _second = quotas.slot(&clients).await;
        let mut third = Box::pin(quotas.slot(&clients));
        assert!(third.as_mut().now_or_never().is_none());
        let _broker = quotas.slot(&brokers).await;
        assert_eq!(quotas.open(), [(Arc::clone(&brokers), 1), (Arc::clone(&clients), 2)]);
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the broker took the place");
        quotas.update(
            ConnectionLimits {
                connections: 9,
                ..limits()
            },
            &Arc::default(),
        );
        third.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_has_a_limit_of_its_own() {
        let (clients, brokers) = names();
        let own = ListenerLimits {
            connections: Some(1),
            rate: None,
        };
        let quotas = ConnectionQuotas::new(ConnectionLimits {
            listeners: [("CLIENTS".to_owned(), own)].into(),
            ..limits()
        });
        let _first = quotas.slot(&clients).await;
        assert!(quotas.slot(&clients).now_or_never().is_none());
        assert!(quotas.slot(&brokers).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_own_number_and_overrides() {
        let (clients, _) = names();
        let quotas = ConnectionQuotas::new(ConnectionLimits {
            connections: 10,
            per_ip: 1,
            overrides: property::ip_limits("10.0.0.2:2, [::1]:0").collect(),
            ..limits()
        });
        let held = quotas.slot(&clients).await.admit(ip(1)).unwrap();
        assert_eq!(
            quotas.slot(&clients).await.admit(ip(1)).unwrap_err(),
            Denied::TooMany(1)
        );
        let _two = [
            quotas.slot(&clients).await.admit(ip(2)).unwrap(),
            quotas.slot(&clients).await.admit(ip(2)).unwrap(),
        ];
        let loopback = "::1".parse().unwrap();
        assert_eq!(
            quotas.slot(&clients).await.admit(loopback).unwrap_err(),
            Denied::TooMany(0)
        );
        drop(held);
        quotas.slot(&clients).await.admit(ip(1)).unwrap();
        assert_eq!(quotas.state.lock().addresses.len(), 1, "only those that are connected");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_connects_too_often_is_turned_away_until_it_slows_down() {
        let (clients, _) = names();
        let quotas = ConnectionQuotas::new(ConnectionLimits {
            connections: 100,
            ..limits()
        });
        let entity = QuotaEntity {
            ip: Some(QuotaName::new(Some("10.0.0.1"))),
            ..QuotaEntity::default()
        };
        let rates = Quotas::from([(entity, [(CONNECTION_CREATION_RATE.to_owned(), 1.0)].into())]);
        let unchanged = quotas.state.lock().limits.clone();
        quotas.update(unchanged, &Arc::new(rates));
        for _ in 0..10 {
            quotas.slot(&clients).await.admit(ip(1)).unwrap();
        }
        for _ in 0..50 {
            let denied = quotas.slot(&clients).await.admit(ip(1)).unwrap_err();
            assert_eq!(denied, Denied::TooFast(Duration::from_secs(1)));
        }
        quotas.slot(&clients).await.admit(ip(2)).unwrap();
        tokio::time::advance(Duration::from_secs(11)).await;
        quotas.slot(&clients).await.admit(ip(1)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_connected_to_too_fast_takes_its_time() {
        let (clients, brokers) = names();
        let quotas = ConnectionQuotas::new(ConnectionLimits {
            rate: Some(2.0),
            exempt: Some("BROKERS".to_owned()),
            ..limits()
        });
        for _ in 0..20 {
            assert_eq!(quotas.arrived(&clients), Duration::ZERO);
        }
        assert_eq!(quotas.arrived(&clients), Duration::from_millis(500));
        assert_eq!(quotas.arrived(&brokers), Duration::ZERO);
    }
}
