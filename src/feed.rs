//! A live snapshot of one cluster: every section polled at its own pace, each failing alone.
//!
//! [`Feed`] is for screens, [`collect`] is one look for commands. Answers replace their section or leave it with its
//! age and the reason; nothing here blanks a value, and no poller waits for another.

mod cloud;
mod collect;
mod event;
mod history;
mod live;
mod look;
pub mod mirror;
pub mod mirrored;
mod pace;
pub mod past;
mod rate;
mod recorder;
mod reel;
mod ring;
mod section;
mod store;
pub mod trial;
#[cfg(test)]
mod tests;

pub use crate::source::Error;
pub use crate::source::aws::{Aws, Datum};
pub use crate::source::capture;
pub use crate::source::kafka::record::{
    Delivered, NewRecord, Overflow, Producer, Start, Tail, TailRequest, Until, wait_closed,
};
pub use section::{Cadence, Needs, Section};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::model::event::Event;
use crate::model::identity::Rules;
use crate::model::transaction;
use crate::model::{BrokerId, Snapshot};
use crate::settings::Paths;
use crate::settings::context::Context;
use crate::source::aws;
use crate::source::kafka::record::Prober;
use crate::source::kafka::{Kafka, Partitions, Security, Target, record};
use crate::source::prometheus::Prometheus;
use cloud::Plane;
use live::Control;
use look::Look;
use store::Store;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The context's name, as shown.
    pub context: String,
    pub kafka: Kafka,
    /// The AWS plane, or why there is none.
    pub aws: Result<Aws, String>,
    /// Where brokers are scraped; `None` where the context does not say.
    pub prometheus: Option<Prometheus>,
    /// How brokers are joined to instances.
    pub rules: Rules,
    /// Where writes are tried; `None` tries none.
    pub probe_topic: Option<String>,
    /// The folder of what is remembered between runs; `None` remembers nothing.
    pub state: Option<PathBuf>,
    /// Where the clusters of this user are recorded, each in its state folder; `None` records nothing and recalls nothing.
    pub record: Option<Paths>,
}

impl Sources {
    /// Only Kafka.
    pub fn of_kafka(context: impl Into<String>, kafka: Kafka) -> Self {
        Self {
            context: context.into(),
            kafka,
            aws: Err("this context has no AWS plane".to_owned()),
            prometheus: None,
            rules: Rules::default(),
            probe_topic: None,
            state: None,
            record: None,
        }
    }

    /// What a context names. Nothing is connected yet; files with certificates and secrets are read, and the commands that
    /// tell a secret are run.
    ///
    /// # Errors
    /// [`Error::Local`] with the store or the secret that cannot be used.
    pub fn of(context: &Context, state: Option<PathBuf>) -> Result<Self, Error> {
        let kafka = Kafka::new(target(context)?);
        let mut sources = Self::of_kafka(&context.name, kafka);
        sources.state = state;
        sources.probe_topic.clone_from(&context.probe_topic);
        sources.prometheus = context.prometheus.clone().map(Prometheus::new);
        if let Some(aws) = &context.aws {
            let options = aws::Options {
                profile: aws.profile.clone(),
                region: aws.region.clone(),
                endpoint_url: aws.endpoint_url.clone(),
                role_arn: aws.role_arn.clone(),
                simulated: aws.simulated,
                tags: aws.tags.clone(),
                vpc: aws.vpc.clone(),
                mapped: aws.brokers.values().cloned().collect(),
                ..aws::Options::default()
            };
            sources.aws = Aws::connect(options).map_err(|error| error.to_string());
            sources.rules.map = aws.brokers.clone();
        }
        Ok(sources)
    }

    /// The same, recorded below this user's folders unless the context says `record = false`.
    pub fn recorded(mut self, context: &Context, paths: &Paths) -> Self {
        self.record = context.record.then(|| paths.clone());
        self
    }

    fn look(&self) -> Look {
        let plane = Arc::new(Plane::new(self.aws.clone(), self.state.clone()));
        let snapshot = Snapshot {
            context: self.context.clone(),
            cloud: plane.unasked(),
            vantage: host(),
            principal: self.kafka.principal(),
            probe_topic: self.probe_topic.clone(),
            ..Snapshot::default()
        };
        Look {
            kafka: self.kafka.clone(),
            plane,
            prometheus: self.prometheus.clone(),
            store: Arc::new(Store::new(snapshot, self.rules.clone())),
            prober: self
                .probe_topic
                .as_ref()
                .map(|topic| Arc::new(Prober::new(self.kafka.target(), topic))),
            record: self.record.clone(),
        }
    }
}

/// The name of the host that we look from.
fn host() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!name.is_empty()).then_some(name)
}

/// How to reach the cluster of a context.
///
/// # Errors
/// As [`Sources::of`].
pub fn target(context: &Context) -> Result<Target, Error> {
    let mut target = Target::new("");
    target.security = Security::of(&context.connection.security)?;
    target.bootstrap.clone_from(&context.bootstrap);
    target.properties.clone_from(&context.connection.rdkafka);
    if let Some(client_id) = &context.connection.client_id {
        target.client_id.clone_from(client_id);
    }
    if let Some(timeout) = context.connection.request_timeout {
        target.deadlines.call = timeout;
    }
    Ok(target)
}

/// The pollers of one cluster. They stop when it is dropped.
#[derive(Debug)]
pub struct Feed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    control: Arc<Control>,
    store: Arc<Store>,
    plane: Arc<Plane>,
    task: AbortHandle,
}

impl Feed {
    /// Starts polling on the current tokio runtime.
    pub fn start(sources: Sources, cadence: Cadence) -> Self {
        let look = sources.look();
        let control = Arc::new(Control::new(cadence));
        let store = Arc::clone(&look.store);
        let plane = Arc::clone(&look.plane);
        let (sender, snapshots) = watch::channel(store.publish());
        let task = tokio::spawn(live::run(look, Arc::clone(&control), sender)).abort_handle();
        Self {
            snapshots,
            control,
            store,
            plane,
            task,
        }
    }

    /// The latest snapshot, always; what lies between two looks is skipped, never queued.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Asks for a section now, whatever its cadence and back-off say, and though it was denied.
    pub fn refresh(&self, section: Section) {
        if section.is_cloud() {
            self.plane.ask_again();
        }
        self.control.kick(section);
    }

    /// Remembers a change that is worked out from snapshots, and records it with the others.
    pub fn note(&self, event: Event) {
        self.store.note(event);
    }

    /// No question is asked while paused.
    pub fn pause(&self, paused: bool) {
        self.control.paused.send_replace(paused);
    }

    /// The sections on screen: these are polled at their fast cadence.
    pub fn focus(&self, sections: BTreeSet<Section>) {
        self.control.focus.send_if_modified(|focus| {
            let news = *focus != sections;
            *focus = sections;
            news
        });
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One look at the sections in `needs`, in parallel, within `deadline` in all. What did not arrive says why.
pub async fn collect(sources: &Sources, needs: &Needs, deadline: Duration) -> Snapshot {
    collect::collect(&sources.look(), needs, deadline).await
}

/// The same, and unless so long a time was recorded a second look `apart` later at what rates are made of: log ends, groups,
/// log directories, scraped counters.
pub async fn collect_rates(sources: &Sources, needs: &Needs, deadline: Duration, apart: Duration) -> Snapshot {
    let look = sources.look();
    let began = tokio::time::Instant::now();
    let first = collect::collect(&look, needs, deadline).await;
    // What logs and their directories grow is not recorded.
    let recorded = needs.contains(&Section::Groups) && !needs.contains(&Section::Logdirs);
    if recorded && is_recorded(&first, apart) {
        return first;
    }
    tokio::time::sleep(apart).await;
    let twice = [
        Section::Offsets,
        Section::Groups,
        Section::Logdirs,
        Section::BrokerMetrics,
    ];
    let again = twice.into_iter().filter(|section| needs.contains(section)).collect();
    collect::collect(&look, &again, deadline.saturating_sub(began.elapsed())).await
}

/// Whether the past of some group reaches back so far, but for the time between two samples.
fn is_recorded(snapshot: &Snapshot, apart: Duration) -> bool {
    let wanted = apart.as_secs_f64();
    let enough = wanted - history::INTERVAL.as_secs_f64();
    let seconds = apart.as_secs() as i64;
    let mut series = snapshot.history.group_lag.values();
    enough > 0.0 && series.any(|series| series.span_seconds(seconds).is_some_and(|span| span >= enough))
}

/// The producers of one topic's partitions, asked of each leader at once, within `deadline`. DescribeProducers.
pub async fn producers(
    sources: &Sources,
    topic: &str,
    led: &BTreeMap<BrokerId, Vec<i32>>,
    deadline: Duration,
) -> Vec<(BrokerId, Result<Vec<transaction::Producer>, Error>)> {
    let asked = led.iter().map(|(leader, partitions)| async move {
        let partitions = Partitions::from([(topic.to_owned(), partitions.clone())]);
        let answer = tokio::time::timeout(deadline, sources.kafka.producers(*leader, &partitions)).await;
        let timed_out = |_| {
            Err(Error::TimedOut {
                peer: format!("broker {leader}"),
                what: "DescribeProducers".to_owned(),
                after: deadline,
            })
        };
        (*leader, answer.unwrap_or_else(timed_out))
    });
    futures::future::join_all(asked).await
}

/// A client that writes records; `more` are librdkafka properties.
pub fn producer(sources: &Sources, more: &[(&str, &str)]) -> Result<Producer, Error> {
    Producer::new(sources.kafka.target(), more)
}

/// Starts reading; see [`record::tail`].
pub fn tail(sources: &Sources, request: TailRequest) -> Result<Tail, Error> {
    record::tail(sources.kafka.target(), request)
}
