//! A node's metrics endpoint, and what is looked up when it is asked.

use std::sync::Arc;

use super::Error;
use crate::handler::{Context, ControllerLink};
use crate::id::NodeId;
use crate::image::property::Config;
use crate::image::{Image, Partition};
use crate::telemetry::{self, Endpoint, Exposition, Telemetry};

const PROPERTY: &str = "azimuth.metrics.listener";

/// Takes the port, if there is to be an endpoint.
///
/// # Errors
/// The address is in use, or is none.
pub async fn bind(config: &Config) -> Result<Option<Endpoint>, Error> {
    let Some(address) = config.set(PROPERTY).filter(|address| !address.is_empty()) else {
        return Ok(None);
    };
    let bound = telemetry::bind(address).await;
    bound.map(Some).map_err(|error| {
        Error::Failed(format!(
            "{PROPERTY}={address} cannot be listened on: {error}; it must be host:port of this host, port 0 takes a free one"
        ))
    })
}

/// Counts only if somebody may ask.
pub fn counters(endpoint: Option<&Endpoint>) -> Arc<Telemetry> {
    let workers = tokio::runtime::Handle::current().metrics().num_workers();
    Arc::new(Telemetry::new(endpoint.is_some(), workers))
}

/// Answers until the task ends.
pub async fn serve(endpoint: Endpoint, cx: Arc<Context>) {
    tracing::info!("metrics of node {} are on http://{}/metrics", cx.node, endpoint.addr());
    endpoint
        .serve(Arc::new(move |out: &mut Exposition| collect(&cx, out)))
        .await;
}

fn collect(cx: &Context, out: &mut Exposition) {
    let image = cx.image();
    cx.telemetry.write(out, |topic| image.topic_named(topic).is_some());
    for (listener, open) in cx.connections.open() {
        out.gauge(
            "kafka_server_socket_server_metrics_connection_count",
            "Connections that are open.",
            &[("listener", &listener)],
            open as f64,
        );
    }
    match &cx.controller {
        ControllerLink::Local(controller) => {
            out.gauge(
                "kafka_controller_kafkacontroller_activecontrollercount",
                "1 on the controller that decides.",
                &[],
                1.0,
            );
            of_cluster(&image, out);
            let (elections, unclean) = controller.elections();
            let kinds = [
                (
                    "leaderelectionrateandtimems_count",
                    "How often leadership moved to another replica.",
                    elections,
                ),
                (
                    "uncleanleaderelections_total",
                    "How often it moved to a replica that was not in sync.",
                    unclean,
                ),
            ];
            for (name, help, count) in kinds {
                let name = format!("kafka_controller_controllerstats_{name}");
                out.counter(&name, help, &[], count as f64);
            }
        }
        ControllerLink::Remote(_) => {
            of_broker(cx, out);
            cx.telemetry.clients.write(out);
        }
    }
    of_process(out);
}

/// What the controller knows of all.
fn of_cluster(image: &Image, out: &mut Exposition) {
    let partitions = || image.topics.values().flat_map(|topic| &topic.partitions);
    let counted = |which: &dyn Fn(&Partition) -> bool| partitions().filter(|partition| which(partition)).count();
    let leaderless = |partition: &Partition| partition.leader == NodeId::NONE;
    let misled =
        |partition: &Partition| !leaderless(partition) && partition.replicas.first() != Some(&partition.leader);
    let fenced = image.brokers.values().filter(|broker| broker.fenced).count();
    for (name, help, value) in [
        (
            "activebrokercount",
            "Brokers that are registered and not fenced.",
            image.brokers.len() - fenced,
        ),
        ("fencedbrokercount", "Brokers that are registered and fenced.", fenced),
        ("globaltopiccount", "Topics.", image.topics.len()),
        ("globalpartitioncount", "Partitions.", partitions().count()),
        (
            "offlinepartitionscount",
            "Partitions without a leader.",
            counted(&leaderless),
        ),
        (
            "preferredreplicaimbalancecount",
            "Partitions that are not led by the first of their replicas.",
            counted(&misled),
        ),
    ] {
        let name = format!("kafka_controller_kafkacontroller_{name}");
        out.gauge(&name, help, &[], value as f64);
    }
}

fn of_broker(cx: &Context, out: &mut Exposition) {
    let stats = cx.replicas.stats();
    for (name, help, value) in [
        ("partitioncount", "Replicas here.", stats.replicas),
        ("leadercount", "Of those, led from here.", stats.leaders),
        (
            "offlinereplicacount",
            "Replicas here whose logs cannot be used.",
            stats.offline,
        ),
        (
            "underreplicatedpartitions",
            "Partitions led from here of which not all replicas are in sync.",
            stats.under_replicated,
        ),
        (
            "underminisrpartitioncount",
            "Partitions led from here with fewer replicas in sync than min.insync.replicas.",
            stats.under_min_isr,
        ),
        (
            "atminisrpartitioncount",
            "Partitions led from here with exactly min.insync.replicas in sync.",
            stats.at_min_isr,
        ),
        (
            "reassigningpartitions",
            "Partitions led from here that are being reassigned.",
            stats.reassigning,
        ),
    ] {
        out.gauge(&format!("kafka_server_replicamanager_{name}"), help, &[], value as f64);
    }
    for (name, help, value) in [
        ("isrshrinks_total", "Replicas that fell out of sync.", stats.isr_shrinks),
        (
            "isrexpands_total",
            "Replicas that came back in sync.",
            stats.isr_expands,
        ),
        (
            "failedisrupdates_total",
            "Changes of in-sync replicas that the controller refused.",
            stats.failed_isr_updates,
        ),
    ] {
        out.counter(&format!("kafka_server_replicamanager_{name}"), help, &[], value as f64);
    }
    out.counter(
        "kafka_server_brokertopicmetrics_replicationbytesin_total",
        "Bytes of records taken from leaders.",
        &[],
        stats.replicated_in as f64,
    );
    out.gauge(
        "kafka_server_fetchsessioncache_numincrementalfetchsessions",
        "Fetch sessions of readers.",
        &[],
        cx.replicas.sessions().len() as f64,
    );
    if let Ok(shards) = cx.groups.shards() {
        let groups: usize = shards.iter().map(|shard| shard.list().len()).sum();
        out.gauge(
            "kafka_coordinator_group_groupmetadatamanager_numgroups",
            "Groups coordinated here.",
            &[],
            groups as f64,
        );
    }
    of_logs(cx, out);
}

/// Of partitions that hold records, or did: the others cost nothing.
fn of_logs(cx: &Context, out: &mut Exposition) {
    for kept in cx.replicas.kept() {
        let labels = [("topic", &*kept.topic), ("partition", &kept.partition.to_string())];
        for (name, help, value) in [
            ("size", "Bytes of the log.", kept.size_bytes as f64),
            ("logstartoffset", "The first offset.", kept.start as f64),
            ("logendoffset", "The offset after the last.", kept.end as f64),
        ] {
            out.gauge(&format!("kafka_log_log_{name}"), help, &labels, value);
        }
    }
    let dirs = cx.replicas.logs().dirs();
    let offline = dirs.iter().filter(|dir| dir.failure.is_some()).count();
    out.gauge(
        "kafka_log_logmanager_offlinelogdirectorycount",
        "Log directories that failed.",
        &[],
        offline as f64,
    );
    for dir in dirs {
        let failed = dir.failure.is_some();
        out.gauge(
            "kafka_log_logmanager_logdirectoryoffline",
            "1 if the log directory failed.",
            &[("logDirectory", &dir.path.to_string_lossy())],
            f64::from(u8::from(failed)),
        );
    }
}

/// Of the process, which may hold other nodes too; what the system does not tell is left out.
fn of_process(out: &mut Exposition) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    if let Some(kib) = kib {
        let bytes = kib * 1_024.0;
        out.gauge("process_resident_memory_bytes", "Memory of the process.", &[], bytes);
    }
    if let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") {
        out.gauge(
            "process_open_fds",
            "File descriptors of the process.",
            &[],
            descriptors.count() as f64,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TopicId;
    use crate::image::Record;

    #[test]
    fn the_controller_counts_what_is_wrong_with_partitions() {
        let mut image = Image::empty();
        let topic = TopicId(uuid::Uuid::from_u128(1));
        let name = "orders".to_owned();
        image.apply(&Record::Topic { id: topic, name }, 0, 1);
        for (partition, leader) in [(0, 1), (1, 2), (2, -1)] {
            let mut state: Partition = serde_json::from_str(
                r#"{"replicas":[1,2],"isr":[1,2],"leader":1,"leader_epoch":0,"partition_epoch":0}"#,
            )
            .unwrap();
            state.leader = NodeId(leader);
            let record = Record::Partition {
                topic,
                partition,
                state,
            };
            image.apply(&record, i64::from(partition) + 1, 1);
        }
        let mut out = Exposition::default();
        of_cluster(&image, &mut out);
        let text = out.render();
        for line in [
            "globalpartitioncount 3\n",
            "offlinepartitionscount 1\n",
            "preferredreplicaimbalancecount 1\n",
            "activebrokercount 0\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn the_process_tells_its_memory() {
        let mut out = Exposition::default();
        of_process(&mut out);
        let text = out.render();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(value.unwrap().parse::<f64>().unwrap() > 1e6, "{text}");
    }
}
