//! Everything on the way to a cluster, tried step by step: names, ports, TLS, the login, the protocol, each advertised
//! address, and what we may do there. A step that fails says why and what to do.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::{Error, Sources};
use crate::model::broker::Broker;
use crate::model::cloud::Volume;
use crate::model::cluster::Cluster;
use crate::model::right::{Operation, Operations, Rights};
use crate::model::{Health, Moment, Observed, Snapshot, Trouble, acl, need, permission};
use crate::source::kafka::{Handshake, Kafka};

/// A certificate that ends sooner deserves a word: most authorities of companies need days.
const CERTIFICATE_DAYS: i64 = 21;

/// One step and how it went.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    pub step: Step,
    /// What it was tried on, for example `b1:9092` or `broker 4 at b4:9092`.
    pub subject: String,
    pub outcome: Outcome,
    /// What was found, or why it failed and what to do.
    pub detail: String,
    pub took: Duration,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    Pass,
    /// It goes on, but not everything will be seen, or not for long.
    Warn,
    Fail,
    /// There is nothing to try; never shown as good.
    Unknown,
}

/// The steps, in the order in which they build on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Step {
    /// The name has an address.
    Resolve,
    /// The port accepts connections.
    Connect,
    /// A handshake, and the certificate.
    Tls,
    /// SASL.
    Login,
    /// The peer speaks Kafka's protocol and tells its cluster.
    Cluster,
    /// A broker answers at the address that it advertises.
    Broker,
    /// What we may do there.
    Rights,
}

/// A step's result: how it went, and what is to be said.
type Found = (Outcome, String);

/// Tries every bootstrap address, then every broker of the cluster found behind them, then what may be done. Each step ends
/// within `patience`. With `changes` the rights for changing are looked at too.
pub async fn kafka(sources: &Sources, changes: bool, patience: Duration) -> (Vec<Trial>, Option<Cluster>) {
    let target = sources.kafka.target();
    let entries = join_all(target.bootstrap.iter().map(|address| entry(sources, address, patience))).await;
    let mut trials = Vec::new();
    let mut cluster = None;
    for (steps, found) in entries {
        trials.extend(steps);
        cluster = cluster.or(found);
    }
    if let Some(cluster) = &cluster {
        // Fenced ones too: one that hangs is fenced after seconds, and that it does not answer is what is to be told.
        let brokers = cluster.brokers.iter();
        trials.extend(join_all(brokers.map(|broker| advertised(sources, broker, patience))).await);
        trials.extend(rights(sources, changes, patience).await);
    }
    trials.sort_by_key(|trial| trial.step);
    (trials, cluster)
}

/// One bootstrap address, as far as it leads.
async fn entry(sources: &Sources, address: &str, patience: Duration) -> (Vec<Trial>, Option<Cluster>) {
    let mut target = sources.kafka.target().clone();
    target.bootstrap = vec![address.to_owned()];
    let alone = Kafka::new(target);
    let mut found = None;
    let mut trials = vec![within(patience, Step::Resolve, address, resolve(address)).await];
    for step in [Step::Connect, Step::Tls, Step::Login, Step::Cluster] {
        if trials.iter().any(|trial| trial.outcome == Outcome::Fail) {
            break;
        }
        trials.push(match step {
            Step::Connect => within(patience, step, address, connect(address)).await,
            Step::Tls => within(patience, step, address, tls(&alone, address)).await,
            Step::Login => within(patience, step, address, login(&alone, address)).await,
            _ => within(patience, step, address, cluster(&alone, &mut found)).await,
        });
    }
    (trials, found)
}

async fn resolve(address: &str) -> Result<Found, String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let advice = |reason: &dyn std::fmt::Display| {
        format!("{reason}; check {host} in the context, and this machine's DNS (VPN, private hosted zone)")
    };
    let found = lookup_host(address).await.map_err(|error| advice(&error))?;
    let hosts: Vec<String> = found.map(|socket| socket.ip().to_string()).collect();
    match hosts.is_empty() {
        true => Err(advice(&"the name has no address")),
        false => pass(hosts.join(", ")),
    }
}

async fn connect(address: &str) -> Result<Found, String> {
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("{error}: nobody listens there; check the port, and whether the broker runs")
        }
        _ => format!("{error}; check the security group and the route from this machine"),
    };
    let stream = TcpStream::connect(address).await.map_err(refused)?;
    let from = stream.local_addr().map_err(|error| error.to_string())?;
    pass(format!("from {}", from.ip()))
}

async fn tls(kafka: &Kafka, address: &str) -> Result<Found, String> {
    match kafka.handshake(address).await.map_err(said)? {
        None => Ok((
            Outcome::Unknown,
            "not encrypted: security.protocol has no TLS".to_owned(),
        )),
        Some(handshake) => Ok(shown(&handshake)),
    }
}

/// A certificate that was taken.
fn shown(handshake: &Handshake) -> Found {
    let names = match (handshake.names.as_slice(), handshake.checks_host) {
        ([], true) => "for its common name".to_owned(),
        (names, true) => format!("for {}", names.join(", ")),
        (names, false) => format!("for {} (not checked)", names.join(", ")),
    };
    let told = format!("{}, {}, {names}", handshake.version, handshake.subject);
    let Some(ends_at) = handshake.ends_at else {
        return (Outcome::Pass, told);
    };
    let days = ends_at.duration_since(Moment::now()).as_hours() / 24;
    let date = ends_at.strftime("%Y-%m-%d");
    match days < CERTIFICATE_DAYS {
        true => (
            Outcome::Warn,
            format!("{told}; ends {date}, in {days} days: renew it, clients refuse it after that"),
        ),
        false => (Outcome::Pass, format!("{told}; ends {date}, in {days} days")),
    }
}

async fn login(kafka: &Kafka, address: &str) -> Result<Found, String> {
    match kafka.login(address).await.map_err(said)? {
        None => Ok((
            Outcome::Unknown,
            "nobody logs in: security.protocol has no SASL".to_owned(),
        )),
        Some((mechanism, Some(user))) => pass(format!("{mechanism} as {user}")),
        Some((mechanism, None)) => pass(format!("{mechanism}; the token does not name its subject")),
    }
}

async fn cluster(kafka: &Kafka, found: &mut Option<Cluster>) -> Result<Found, String> {
    let cluster = kafka.cluster().await.map_err(said)?;
    let version = cluster.version.as_deref().unwrap_or("of unknown version");
    let told = format!(
        "cluster {}, Kafka {version}, {} brokers",
        cluster.id,
        cluster.brokers.len()
    );
    *found = Some(cluster);
    pass(told)
}

async fn advertised(sources: &Sources, broker: &Broker, patience: Duration) -> Trial {
    let host = match broker.host.contains(':') {
        true => format!("[{}]", broker.host),
        false => broker.host.clone(),
    };
    let address = format!("{host}:{}", broker.port);
    let ask = async {
        let probe = sources.kafka.link(broker.id).await;
        let probe = probe.map_err(|error| match error {
            Error::Unreachable { .. } | Error::TimedOut { .. } => format!(
                "{error}; clients are sent to this address: check advertised.listeners of broker {}, and the route from here",
                broker.id
            ),
            error => error.to_string(),
        })?;
        let rack = broker
            .rack
            .as_deref()
            .map_or_else(|| "no rack".to_owned(), |rack| format!("rack {rack}"));
        let told = format!("round trip {:.1} ms, {rack}", probe.link.rtt_ms);
        let shown = sources
            .kafka
            .handshake(&address)
            .await
            .ok()
            .flatten()
            .as_ref()
            .map(shown);
        match shown {
            Some((Outcome::Warn, certificate)) => Ok((Outcome::Warn, format!("{told}, {certificate}"))),
            _ => pass(told),
        }
    };
    within(
        patience,
        Step::Broker,
        &format!("broker {} at {address}", broker.id),
        ask,
    )
    .await
}

/// What a right is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Topics,
}

/// A right, what needs it, and whether that changes the cluster. From the authorization table of Kafka's documentation
/// (security, "Operations and resources on protocols").
const NEEDS: &[(Scope, Operation, &str, bool)] = &[
    (
        Scope::Cluster,
        Operation::Describe,
        "quorum, log dirs, reassignments, ACLs, users, all groups",
        false,
    ),
    (
        Scope::Cluster,
        Operation::DescribeConfigs,
        "broker configs, quotas",
        false,
    ),
    (Scope::Topics, Operation::Describe, "topics, partitions, offsets", false),
    (Scope::Topics, Operation::DescribeConfigs, "topic configs", false),
    (Scope::Topics, Operation::Read, "records", false),
    (Scope::Cluster, Operation::Create, "creating topics", true),
    (
        Scope::Cluster,
        Operation::Alter,
        "moving replicas and leaders, changing ACLs and users",
        true,
    ),
    (
        Scope::Cluster,
        Operation::AlterConfigs,
        "broker configs and throttles",
        true,
    ),
    (Scope::Topics, Operation::Alter, "adding partitions", true),
    (Scope::Topics, Operation::AlterConfigs, "changing topic configs", true),
    (Scope::Topics, Operation::Delete, "deleting topics", true),
];

/// The verbs that lack it, for a sentence; none where nothing of the console needs it.
fn lacking(scope: Scope, operation: Operation, changes: bool) -> String {
    let kind = match scope {
        Scope::Cluster => acl::ResourceKind::Cluster,
        Scope::Topics => acl::ResourceKind::Topic,
    };
    let verbs = operation
        .to_string()
        .parse()
        .map_or(Vec::new(), |operation| need::verbs(kind, operation, changes));
    match verbs.is_empty() {
        true => String::new(),
        false => format!("; it is lacking for {}", verbs.join(", ")),
    }
}

async fn rights(sources: &Sources, changes: bool, patience: Duration) -> Vec<Trial> {
    let started = Instant::now();
    let told = timeout(patience, sources.kafka.rights()).await;
    let took = started.elapsed();
    let row = |subject: &str, (outcome, detail): Found| Trial {
        step: Step::Rights,
        subject: subject.to_owned(),
        outcome,
        detail,
        took,
    };
    match told {
        Ok(Ok(rights)) => NEEDS
            .iter()
            .filter(|(.., is_change)| changes || !is_change)
            .map(|(scope, operation, what, _)| {
                let (outcome, detail) = held(&rights, *scope, *operation);
                let more = match outcome {
                    Outcome::Warn => lacking(*scope, *operation, changes),
                    _ => String::new(),
                };
                row(what, (outcome, detail + &more))
            })
            .collect(),
        Ok(Err(error)) => vec![row("our principal", (Outcome::Fail, error.to_string()))],
        Err(_) => vec![row("our principal", (Outcome::Fail, late(patience)))],
    }
}

fn held(rights: &Rights, scope: Scope, operation: Operation) -> Found {
    let advice =
        |flags: &str| format!("give it with kafka-acls --add --allow-principal … --operation {operation} {flags}");
    let has = |operations: &Option<Operations>| operations.is_some_and(|operations| operations.has(operation));
    match scope {
        Scope::Cluster if rights.cluster.is_none() => (Outcome::Unknown, "this release does not tell".to_owned()),
        Scope::Cluster if has(&rights.cluster) => (Outcome::Pass, format!("{operation} on the cluster")),
        // What is allowed is only told to whoever may describe the cluster.
        Scope::Cluster if operation != Operation::Describe && rights.cluster == Some(Operations::default()) => {
            (Outcome::Unknown, "not told without Describe on the cluster".to_owned())
        }
        Scope::Cluster => (
            Outcome::Warn,
            format!("{operation} on the cluster is missing; {}", advice("--cluster")),
        ),
        Scope::Topics if rights.topics.is_empty() => (
            Outcome::Unknown,
            format!("no topic is seen: there is none, or {operation} on topics is missing"),
        ),
        Scope::Topics => {
            let held = rights.topics.values().filter(|operations| has(operations)).count();
            let all = rights.topics.len();
            match held == all {
                true => (Outcome::Pass, format!("{operation} on all {all} topics that are seen")),
                false => (
                    Outcome::Warn,
                    format!(
                        "{operation} on {held} of {all} topics that are seen; {}",
                        advice("--topic '*'")
                    ),
                ),
            }
        }
    }
}

/// What the policy lets through: of reads as they were just asked, of changes by trying them without doing them.
pub async fn permissions(
    sources: &Sources,
    snapshot: &Snapshot,
    changes: bool,
    patience: Duration,
) -> Vec<(Outcome, String)> {
    let Ok(plane) = &sources.aws else {
        return Vec::new();
    };
    let mut tried: Vec<(String, Option<Result<(), String>>)> = snapshot
        .cloud
        .calls
        .iter()
        .map(|(operation, seen)| {
            let service = if operation == "GetMetricData" {
                "cloudwatch"
            } else {
                "ec2"
            };
            let denied = matches!(
                seen.health,
                Health::Failing {
                    trouble: Trouble::Denied,
                    ..
                }
            );
            let outcome = match (denied, seen.problem()) {
                (true, Some(why)) => Some(Err(why)),
                (false, Some(_)) => None,
                (_, None) => Some(Ok(())),
            };
            (format!("{service}:{operation}"), outcome)
        })
        .collect();
    if changes {
        let attached = |volume: &&Volume| volume.instance.is_some() && volume.device.is_some();
        let all = snapshot.cloud.volumes.values().filter_map(Observed::get);
        let volume = all.flat_map(BTreeMap::values).find(attached).cloned();
        let Some(volume) = volume else {
            let why = "no volume of a broker is seen to try changes on".to_owned();
            return summed(tried, true)
                .into_iter()
                .chain([(Outcome::Unknown, why)])
                .collect();
        };
        let Ok(trials) = timeout(patience, plane.trials(&volume)).await else {
            let why = format!("changes: no answer within {} ms", patience.as_millis());
            return summed(tried, true)
                .into_iter()
                .chain([(Outcome::Unknown, why)])
                .collect();
        };
        tried.extend(trials.into_iter().map(|(action, outcome)| {
            let outcome = outcome.and_then(|outcome| match outcome {
                Ok(()) => Some(Ok(())),
                Err(error @ Error::Denied { .. }) => Some(Err(error.to_string())),
                Err(_) => None,
            });
            (action.to_owned(), outcome)
        }));
    }
    summed(tried, changes)
}

/// A line for each action that is missing, with the verbs that lack it, and one for the rest.
fn summed(tried: Vec<(String, Option<Result<(), String>>)>, changes: bool) -> Vec<(Outcome, String)> {
    let mut lines = Vec::new();
    let (mut held, mut untold) = (0, Vec::new());
    for (action, outcome) in tried {
        let verbs = permission::verbs(&action, changes).join(", ");
        match outcome {
            Some(Ok(())) => held += 1,
            Some(Err(_)) if verbs.is_empty() => {}
            Some(Err(_)) => lines.push((Outcome::Warn, format!("{action} is denied; {verbs} need it"))),
            None => untold.push(action),
        }
    }
    if held > 0 {
        lines.insert(
            0,
            (
                Outcome::Pass,
                format!("{held} calls are let through, tried without doing anything"),
            ),
        );
    }
    if !untold.is_empty() {
        let text = format!("{}: whether it is let through could not be tried", untold.join(", "));
        lines.push((Outcome::Unknown, text));
    }
    lines
}
fn pass(detail: String) -> Result<Found, String> {
    Ok((Outcome::Pass, detail))
}

fn said(error: Error) -> String {
    error.to_string()
}

fn late(patience: Duration) -> String {
    format!("no answer within {} ms", patience.as_millis())
}

async fn within(
    patience: Duration,
    step: Step,
    subject: &str,
    attempt: impl Future<Output = Result<Found, String>>,
) -> Trial {
    let started = Instant::now();
    let outcome = timeout(patience, attempt).await.unwrap_or_else(|_| Err(late(patience)));
    let (outcome, detail) = outcome.unwrap_or_else(|reason| (Outcome::Fail, reason));
    Trial {
        step,
        subject: subject.to_owned(),
        outcome,
        detail,
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
        let (trials, cluster) = kafka(&sources, false, Duration::from_millis(300)).await;
        assert!(cluster.is_none());
        let failed: Vec<Step> = trials
            .iter()
            .filter(|trial| trial.outcome == Outcome::Fail)
            .map(|trial| trial.step)
            .collect();
        assert_eq!(failed, [Step::Resolve, Step::Connect, Step::Cluster]);
        assert!(trials.iter().all(|trial| trial.took < Duration::from_secs(5)));
    }

    #[test]
    fn rights_that_are_missing_come_with_the_line_that_gives_them() {
        let operations = |all: &[Operation]| Operations::of_bits(all.iter().map(|one| 1 << (*one as i32)).sum());
        let mut rights = Rights {
            cluster: Some(operations(&[Operation::Describe])),
            topics: [
                (
                    "a".to_owned(),
                    Some(operations(&[Operation::Describe, Operation::Read])),
                ),
                ("b".to_owned(), Some(operations(&[Operation::Describe]))),
            ]
            .into(),
        };
        let at = |rights: &Rights, scope, operation| held(rights, scope, operation);
        assert_eq!(at(&rights, Scope::Cluster, Operation::Describe).0, Outcome::Pass);
        let missing = at(&rights, Scope::Cluster, Operation::DescribeConfigs);
        assert_eq!(missing.0, Outcome::Warn);
        assert!(
            missing.1.contains("--operation DescribeConfigs --cluster"),
            "{}",
            missing.1
        );
        let some = at(&rights, Scope::Topics, Operation::Read);
        assert!(some.1.starts_with("Read on 1 of 2 topics"), "{}", some.1);
        rights.cluster = Some(Operations::default());
        assert_eq!(
            at(&rights, Scope::Cluster, Operation::Alter).0,
            Outcome::Unknown,
            "it is not told"
        );
        assert_eq!(at(&rights, Scope::Cluster, Operation::Describe).0, Outcome::Warn);
    }
}
