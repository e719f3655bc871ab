//! Everything on the way to a cluster, tried step by step: names, ports, the protocol, each advertised address.

use std::future::Future;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::Sources;
use crate::model::broker::Broker;
use crate::model::cluster::Cluster;
use crate::source::kafka::Kafka;

/// One step and how it went.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    pub step: Step,
    /// What it was tried on, for example `b1:9092` or `broker 4 at b4:9092`.
    pub subject: String,
    /// What was found, or why it failed.
    pub outcome: Result<String, String>,
    pub took: Duration,
}

/// The steps, in the order in which they build on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Step {
    /// The name has an address.
    Resolve,
    /// The port accepts connections.
    Connect,
    /// The peer speaks Kafka's protocol and tells its cluster.
    Cluster,
    /// A broker answers at the address that it advertises.
    Broker,
}

/// Tries every bootstrap address, then every broker of the cluster found behind them. Each step ends within `patience`.
pub async fn kafka(sources: &Sources, patience: Duration) -> (Vec<Trial>, Option<Cluster>) {
    let target = sources.kafka.target();
    let entries = join_all(target.bootstrap.iter().map(|address| entry(sources, address, patience))).await;
    let mut trials = Vec::new();
    let mut cluster = None;
    for (steps, found) in entries {
        trials.extend(steps);
        cluster = cluster.or(found);
    }
    if let Some(cluster) = &cluster {
        let brokers = cluster.brokers.iter().filter(|broker| !broker.fenced);
        trials.extend(join_all(brokers.map(|broker| advertised(sources, broker, patience))).await);
    }
    trials.sort_by_key(|trial| trial.step);
    (trials, cluster)
}

/// One bootstrap address, as far as it leads.
async fn entry(sources: &Sources, address: &str, patience: Duration) -> (Vec<Trial>, Option<Cluster>) {
    let mut trials = Vec::new();
    let resolve = async {
        let found = lookup_host(address).await.map_err(|error| error.to_string())?;
        let hosts: Vec<String> = found.map(|socket| socket.ip().to_string()).collect();
        if hosts.is_empty() {
            Err("the name has no address".to_owned())
        } else {
            Ok(hosts.join(", "))
        }
    };
    trials.push(within(patience, Step::Resolve, address, resolve).await);
    if trials.iter().any(|trial| trial.outcome.is_err()) {
        return (trials, None);
    }
    let connect = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream
            .local_addr()
            .map_or_else(|error| Err(error.to_string()), |from| Ok(format!("from {}", from.ip())))
    };
    trials.push(within(patience, Step::Connect, address, connect).await);
    if trials.iter().any(|trial| trial.outcome.is_err()) {
        return (trials, None);
    }
    let mut target = sources.kafka.target().clone();
    target.bootstrap = vec![address.to_owned()];
    let alone = Kafka::new(target);
    let mut found = None;
    let ask = async {
        let cluster = alone.cluster().await.map_err(|error| error.to_string())?;
        let version = cluster.version.as_deref().unwrap_or("of unknown version");
        let told = format!(
            "cluster {}, Kafka {version}, {} brokers",
            cluster.id,
            cluster.brokers.len()
        );
        found = Some(cluster);
        Ok(told)
    };
    trials.push(within(patience, Step::Cluster, address, ask).await);
    (trials, found)
}

async fn advertised(sources: &Sources, broker: &Broker, patience: Duration) -> Trial {
    let subject = format!("broker {} at {}:{}", broker.id, broker.host, broker.port);
    let ask = async {
        let probe = sources.kafka.link(broker.id).await.map_err(|error| error.to_string())?;
        let rack = broker
            .rack
            .as_deref()
            .map_or_else(|| "no rack".to_owned(), |rack| format!("rack {rack}"));
        Ok(format!("round trip {:.1} ms, {rack}", probe.link.rtt_ms))
    };
    within(patience, Step::Broker, &subject, ask).await
}

async fn within(
    patience: Duration,
    step: Step,
    subject: &str,
    attempt: impl Future<Output = Result<String, String>>,
) -> Trial {
    let started = Instant::now();
    let late = || Err(format!("no answer within {} ms", patience.as_millis()));
    let outcome = timeout(patience, attempt).await.unwrap_or_else(|_| late());
    Trial {
        step,
        subject: subject.to_owned(),
        outcome,
        took: started.elapsed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kafka::Target;

    #[tokio::test]
    async fn each_step_says_how_far_it_came() {
        // Taken and given back, so that nobody listens there.
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bootstrap = format!("{closed},{},no-such-host.invalid:9092", silent.local_addr().unwrap());
        let sources = Sources::of_kafka("test", Kafka::new(Target::new(&bootstrap)));
        let (trials, cluster) = kafka(&sources, Duration::from_millis(300)).await;
        assert!(cluster.is_none());
        let failed: Vec<Step> = trials
            .iter()
            .filter(|trial| trial.outcome.is_err())
            .map(|trial| trial.step)
            .collect();
        assert_eq!(failed, [Step::Resolve, Step::Connect, Step::Cluster]);
        assert!(trials.iter().all(|trial| trial.took < Duration::from_secs(5)));
    }
}
