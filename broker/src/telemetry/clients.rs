//! Metrics that clients push (KIP-714): what they are asked for, what they sent last, and for how long that counts.
//!
//! Bounded: so many clients, so many series of each; who was not heard of for three intervals is forgotten. Sums are
//! shown as they grew since the client began.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kafka_protocol::ResponseError as ErrorCode;
use parking_lot::Mutex;
use regex::Regex;
use tokio::time::Instant;
use uuid::Uuid;

use super::Exposition;
use super::otlp::{self, Kind, Point};

/// Clients that are kept; the longest silent makes room for a new one.
const CLIENTS_MAX: usize = 1_024;
/// Series of one client; more are dropped, and counted.
const SERIES_MAX: usize = 1_024;
/// A label's value is cut to so many characters.
const LABEL_MAX: usize = 128;
/// How often clients ask that nothing is wanted of.
const INTERVAL_DEFAULT_MS: i32 = 300_000;

/// What clients that match are to push.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Prefixes of names; `*` is all.
    pub metrics: Vec<String>,
    pub interval_ms: i32,
    /// Attributes with what their whole value has to match.
    pub matches: Vec<(String, Regex)>,
}

/// Who a client says it is, and where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub instance: Uuid,
    pub client_id: String,
    pub software_name: String,
    pub software_version: String,
    pub address: String,
    pub port: u16,
}

/// What one client is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub subscription_id: i32,
    pub interval_ms: i32,
    pub metrics: Vec<String>,
}

/// The clients of one node.
#[derive(Debug, Default)]
pub struct Clients {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: HashMap<Uuid, Client>,
    /// Series that had no room.
    dropped: u64,
}

#[derive(Debug)]
struct Client {
    identity: Identity,
    interval: Duration,
    subscription_id: i32,
    asked: Option<Instant>,
    pushed: Option<Instant>,
    /// The last push was refused, so it may ask again at once.
    refused: bool,
    terminated: bool,
    series: BTreeMap<Series, Value>,
}

/// Name and labels, as Prometheus has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    value: f64,
    grows: bool,
}

impl Identity {
    fn attribute(&self, name: &str) -> String {
        match name {
            "client_instance_id" => self.instance.to_string(),
            "client_id" => self.client_id.clone(),
            "client_software_name" => self.software_name.clone(),
            "client_software_version" => self.software_version.clone(),
            "client_source_address" => self.address.clone(),
            _ => self.port.to_string(),
        }
    }

    /// What this client is to push, of all that is wanted.
    pub fn granted(&self, wanted: &[Wanted]) -> Granted {
        let applies = |wanted: &&Wanted| {
            let mut matches = wanted.matches.iter();
            matches.all(|(attribute, regex)| regex.is_match(&self.attribute(attribute)))
        };
        let mut metrics: Vec<String> = Vec::new();
        let mut interval_ms = INTERVAL_DEFAULT_MS;
        let mut first = true;
        for wanted in wanted.iter().filter(applies) {
            metrics.extend(wanted.metrics.iter().cloned());
            interval_ms = if first {
                wanted.interval_ms
            } else {
                interval_ms.min(wanted.interval_ms)
            };
            first = false;
        }
        metrics.sort();
        metrics.dedup();
        if metrics.iter().any(|metric| metric == "*") {
            metrics = vec!["*".to_owned()];
        }
        let hashed = format!("{} {interval_ms} {}", metrics.join(","), self.instance);
        Granted {
            subscription_id: crc32c::crc32c(hashed.as_bytes()).cast_signed(),
            interval_ms,
            metrics,
        }
    }
}

impl Clients {
    /// A client asks what it is to push; it may do so once in an interval, or when that changed.
    ///
    /// # Errors
    /// `THROTTLING_QUOTA_EXCEEDED` when it asks too often.
    pub fn ask(&self, identity: Identity, granted: &Granted) -> Result<(), ErrorCode> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.forget(now);
        if let Some(client) = state.clients.get_mut(&identity.instance) {
            let last = client.asked.max(client.pushed);
            let soon = last.is_some_and(|last| now.duration_since(last) < client.interval);
            let same = client.subscription_id == granted.subscription_id;
            if soon && same && !client.refused {
                return Err(ErrorCode::ThrottlingQuotaExceeded);
            }
            client.identity = identity;
            client.interval = granted.interval();
            client.subscription_id = granted.subscription_id;
            client.asked = Some(now);
            client.refused = false;
            return Ok(());
        }
        state.make_room();
        let client = Client {
            interval: granted.interval(),
            subscription_id: granted.subscription_id,
            asked: Some(now),
            pushed: None,
            refused: false,
            terminated: false,
            series: BTreeMap::new(),
            identity,
        };
        state.clients.insert(client.identity.instance, client);
        Ok(())
    }

    /// Whether a client may push now: with the subscription that it has, once in an interval, and once more when it ends.
    ///
    /// # Errors
    /// `UNKNOWN_SUBSCRIPTION_ID`, `THROTTLING_QUOTA_EXCEEDED`, or `INVALID_REQUEST` after its end.
    pub fn admit(
        &self,
        identity: Identity,
        granted: &Granted,
        subscription_id: i32,
        terminating: bool,
    ) -> Result<(), ErrorCode> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.forget(now);
        if !state.clients.contains_key(&identity.instance) {
            // It asked another broker, or this one before a restart.
            state.make_room();
        }
        let client = state.clients.entry(identity.instance).or_insert_with(|| Client {
            interval: granted.interval(),
            subscription_id: granted.subscription_id,
            asked: None,
            pushed: None,
            refused: false,
            terminated: false,
            series: BTreeMap::new(),
            identity,
        });
        if client.terminated {
            return Err(ErrorCode::InvalidRequest);
        }
        if subscription_id != granted.subscription_id {
            client.refused = true;
            return Err(ErrorCode::UnknownSubscriptionId);
        }
        let soon = client.pushed.is_some_and(|pushed| {
            client.asked.is_none_or(|asked| asked <= pushed) && now.duration_since(pushed) < client.interval
        });
        if soon && !terminating {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        client.pushed = Some(now);
        client.terminated = terminating;
        Ok(())
    }

    /// Its push could not be taken: it may ask at once.
    pub fn refuse(&self, instance: Uuid) {
        if let Some(client) = self.state.lock().clients.get_mut(&instance) {
            client.refused = true;
        }
    }

    /// Keeps what a client pushed, in the place of what it pushed before.
    ///
    /// # Errors
    /// When the push cannot be read.
    pub fn store(&self, instance: Uuid, pushed: &[u8]) -> Result<(), otlp::Malformed> {
        // One more, so that it shows that there are more.
        let points = otlp::points(pushed, 4 * SERIES_MAX)?;
        let mut state = self.state.lock();
        let State { clients, dropped } = &mut *state;
        let Some(client) = clients.get_mut(&instance) else {
            return Ok(());
        };
        let before = std::mem::take(&mut client.series);
        for point in points {
            let (series, grows) = (
                series(&client.identity, &point),
                matches!(point.kind, Kind::Total | Kind::Delta),
            );
            let sum = match point.kind {
                Kind::Delta => before.get(&series).map_or(0.0, |before| before.value) + point.value,
                _ => point.value,
            };
            if client.series.len() >= SERIES_MAX && !client.series.contains_key(&series) {
                *dropped += 1;
                continue;
            }
            client.series.insert(series, Value { value: sum, grows });
        }
        // A delta that did not change is not sent again.
        for (series, value) in before.into_iter().filter(|(_, value)| value.grows) {
            if client.series.len() < SERIES_MAX {
                client.series.entry(series).or_insert(value);
            }
        }
        Ok(())
    }

    /// Everything that clients pushed here.
    pub fn write(&self, out: &mut Exposition) {
        const HELP: &str = "Pushed by clients (KIP-714).";
        let mut state = self.state.lock();
        state.forget(Instant::now());
        out.gauge(
            "kafka_server_clientmetrics_instancecount",
            "Clients that are asked for their metrics, or push them.",
            &[],
            state.clients.len() as f64,
        );
        out.counter(
            "kafka_server_clientmetrics_droppedseries_total",
            "Series of clients that had no room.",
            &[],
            state.dropped as f64,
        );
        for client in state.clients.values() {
            for (series, value) in &client.series {
                let labels: Vec<(&str, &str)> = series
                    .labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                match value.grows {
                    true => out.counter(&series.name, HELP, &labels, value.value),
                    false => out.gauge(&series.name, HELP, &labels, value.value),
                }
            }
        }
    }
}

impl Granted {
    fn interval(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.interval_ms).unwrap_or(0))
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        self.clients.retain(|_, client| {
            let last = client.asked.max(client.pushed);
            last.is_some_and(|last| now.duration_since(last) < client.interval * 3)
        });
    }

    fn make_room(&mut self) {
        if self.clients.len() < CLIENTS_MAX {
            return;
        }
        let silent = self
            .clients
            .iter()
            .min_by_key(|(_, client)| client.asked.max(client.pushed));
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.clients.remove(&id);
        }
    }
}

/// Letters, digits and underscores, as Prometheus wants names.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().take(LABEL_MAX).map(plain).collect()
}

fn series(identity: &Identity, point: &Point) -> Series {
    let mut name = plain(&point.name);
    // No client passes its numbers off as the broker's.
    if !name.starts_with("org_apache_kafka_") {
        name.insert_str(0, "kafka_client_");
    }
    if matches!(point.kind, Kind::Total | Kind::Delta) && !name.ends_with("_total") {
        name.push_str("_total");
    }
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (label, value) in &point.attributes {
        let label = plain(label);
        if label.starts_with(|c: char| c.is_ascii_alphabetic()) {
            labels.insert(label, value.chars().take(LABEL_MAX).collect());
        }
    }
    // Its own words do not hide who it is.
    for own in [
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
    ] {
        labels.insert(
            own.to_owned(),
            identity.attribute(own).chars().take(LABEL_MAX).collect(),
        );
    }
    Series {
        name,
        labels: labels.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::otlp::tests::push;

    fn identity(id: u128, software: &str) -> Identity {
        Identity {
            instance: Uuid::from_u128(id),
            client_id: "app".to_owned(),
            software_name: software.to_owned(),
            ..Identity::default()
        }
    }

    fn wanted(metrics: &[&str], interval_ms: i32, matches: &[(&str, &str)]) -> Wanted {
        Wanted {
            metrics: metrics.iter().map(|metric| (*metric).to_owned()).collect(),
            interval_ms,
            matches: matches
                .iter()
                .map(|(attribute, regex)| ((*attribute).to_owned(), Regex::new(&format!("^(?:{regex})$")).unwrap()))
                .collect(),
        }
    }

    #[test]
    fn what_matches_is_put_together_with_the_shortest_interval() {
        let all = [
            wanted(&["a.", "b."], 20_000, &[]),
            wanted(&["b.", "c."], 10_000, &[("client_software_name", "lib.*")]),
            wanted(&["d."], 100, &[("client_id", "other")]),
        ];
        let granted = identity(1, "librdkafka").granted(&all);
        assert_eq!(
            (granted.interval_ms, granted.metrics),
            (10_000, ["a.", "b.", "c."].map(str::to_owned).to_vec())
        );
        let granted = identity(1, "java").granted(&all);
        assert_eq!((granted.interval_ms, granted.metrics.len()), (20_000, 2));
        let granted = identity(1, "java").granted(&[]);
        assert_eq!((granted.interval_ms, granted.metrics.len()), (300_000, 0));
        let granted = identity(1, "java").granted(&[wanted(&["a", "*"], 100, &[])]);
        assert_eq!(granted.metrics, ["*"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_asks_and_pushes_once_in_an_interval() {
        let clients = Clients::default();
        let all = [wanted(&["*"], 10_000, &[])];
        let who = identity(1, "java");
        let granted = who.granted(&all);
        let ask = |granted: &Granted| clients.ask(who.clone(), granted);
        let push = |id: i32, ends: bool| clients.admit(who.clone(), &granted, id, ends);
        assert_eq!(ask(&granted), Ok(()));
        assert_eq!(ask(&granted), Err(ErrorCode::ThrottlingQuotaExceeded));
        assert_eq!(
            push(granted.subscription_id, false),
            Ok(()),
            "the first one comes when it likes"
        );
        assert_eq!(
            push(granted.subscription_id, false),
            Err(ErrorCode::ThrottlingQuotaExceeded)
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(push(granted.subscription_id, false), Ok(()));
        assert_eq!(
            push(granted.subscription_id + 1, false),
            Err(ErrorCode::UnknownSubscriptionId)
        );
        assert_eq!(ask(&granted), Ok(()), "it was told to");
        assert_eq!(push(granted.subscription_id, true), Ok(()));
        assert_eq!(push(granted.subscription_id, true), Err(ErrorCode::InvalidRequest));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_pushed_is_shown_until_the_client_is_long_silent() {
        let clients = Clients::default();
        let who = identity(1, "java");
        let granted = who.granted(&[wanted(&["*"], 10_000, &[])]);
        clients.ask(who.clone(), &granted).unwrap();
        for _ in 0..2 {
            clients.store(who.instance, &push("requests.total", 1)).unwrap();
        }
        let shown = || {
            let mut out = Exposition::default();
            clients.write(&mut out);
            out.render()
        };
        let text = shown();
        assert!(
            text.contains("kafka_client_requests_total{client_id=\"app\",client_instance_id="),
            "{text}"
        );
        assert!(text.contains("rack=\"a\"} 14\n"), "deltas add up: {text}");
        assert!(
            text.contains("kafka_client_a_gauge{") && text.contains("node=\"n1\""),
            "{text}"
        );
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(!shown().contains("a_gauge"));
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_for_so_many_clients() {
        let clients = Clients::default();
        for id in 0..2 * CLIENTS_MAX as u128 {
            let who = identity(id, "java");
            clients.ask(who.clone(), &who.granted(&[])).unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(clients.state.lock().clients.len(), CLIENTS_MAX);
        assert!(
            clients
                .state
                .lock()
                .clients
                .contains_key(&Uuid::from_u128(2 * CLIENTS_MAX as u128 - 1))
        );
    }
}
