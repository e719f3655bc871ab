//! Pages as the three exporters write them, and what is made of them.

use super::*;

/// A broker at this host.
fn broker(host: &str) -> Broker {
    Broker {
        id: 4,
        host: host.to_owned(),
        port: 9092,
        rack: None,
        fenced: false,
    }
}

const KAFKA: &str = "\
# HELP kafka_server_brokertopicmetrics_bytesin_total x
kafka_server_brokertopicmetrics_bytesin_total 1000
kafka_server_brokertopicmetrics_bytesin_total{topic=\"orders\"} 900
kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent 0.62
kafka_network_requestmetrics_localtimems{request=\"Produce\",quantile=\"0.99\",} 41.5
kafka_network_requestmetrics_localtimems{request=\"Produce\",quantile=\"0.5\",} 1.5
kafka_network_requestmetrics_localtimems{request=\"FetchConsumer\",quantile=\"0.99\",} NaN
jvm_threads_current 81
";

const NODE: &str = "\
node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 80
node_cpu_seconds_total{cpu=\"0\",mode=\"iowait\"} 10
node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 10
node_disk_writes_completed_total{device=\"nvme1n1\"} 100
node_disk_write_time_seconds_total{device=\"nvme1n1\"} 0.4
node_filesystem_avail_bytes{mountpoint=\"/data\"} 1
";

#[test]
fn two_pages_make_one_broker() {
    let mut metrics = BrokerMetrics::default();
    take(4, "u", KAFKA, &mut metrics).unwrap();
    take(4, "u", NODE, &mut metrics).unwrap();
    assert_eq!(metrics.counters.in_bytes, Some(1000.0), "not a topic's");
    assert_eq!(metrics.counters.out_bytes, None, "it is not there");
    assert_eq!(metrics.request_handler_idle, Some(0.62));
    assert_eq!(
        (metrics.produce_local_p99_ms, metrics.fetch_local_p99_ms),
        (Some(41.5), None)
    );
    assert_eq!(
        (metrics.counters.cpu_seconds, metrics.counters.cpu_idle_seconds),
        (100.0, 90.0)
    );
    assert_eq!(metrics.counters.disks["nvme1n1"].writes, 100.0);
}

#[test]
fn the_process_that_counts_is_the_brokers() {
    let mut metrics = BrokerMetrics::default();
    let own = "process_open_fds 1200\nprocess_max_fds 100000\njvm_info{version=\"17.0.9+9\",} 1\n\
               jvm_memory_bytes_max{area=\"heap\",} 4294967296\njvm_memory_bytes_max{area=\"nonheap\",} 1\n\
               jvm_gc_collection_seconds_sum{gc=\"young\",} 1.5\njvm_gc_collection_seconds_sum{gc=\"old\",} 0.5\n\
               jvm_gc_collection_seconds_count{gc=\"young\",} 100\n\
               kafka_network_socketserver_networkprocessoravgidle_percent 0.8\n";
    take(4, "u", &format!("{KAFKA}{own}"), &mut metrics).unwrap();
    let host = "process_open_fds 9\nnode_ethtool_bw_in_allowance_exceeded{device=\"eth0\"} 3\n\
                node_ethtool_pps_allowance_exceeded{device=\"eth0\"} 4\nnode_ethtool_received_bytes_total 5\n";
    take(4, "u", &format!("{NODE}{host}"), &mut metrics).unwrap();
    assert_eq!((metrics.open_files, metrics.max_files), (Some(1200.0), Some(100_000.0)));
    assert_eq!(metrics.jvm_version.as_deref(), Some("17.0.9+9"));
    assert_eq!(metrics.heap_max_bytes, Some(4_294_967_296.0));
    assert_eq!((metrics.gc_seconds, metrics.gc_count), (Some(2.0), Some(100.0)));
    assert_eq!(metrics.network_idle, Some(0.8));
    assert_eq!(metrics.allowance_exceeded, Some(7.0));
}

#[test]
fn a_page_of_something_else_says_so() {
    let mut metrics = BrokerMetrics::default();
    let error = take(4, "http://h/", "jvm_threads_current 81\n", &mut metrics).unwrap_err();
    assert!(
        error.to_string().contains("none of the metrics that are known"),
        "{error}"
    );
    let error = take(4, "http://h/", "<html>\n", &mut metrics).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn a_broker_has_its_own_endpoints_or_those_of_all() {
    let endpoints: Endpoints = toml::from_str(
        "url = [\"http://{host}:9404/metrics\", \"http://{host}:9100/metrics\"]\nbrokers = { 5 = \"http://x/\" }\n",
    )
    .unwrap();
    let prometheus = Prometheus::new(endpoints);
    assert_eq!(
        prometheus.urls(&broker("::1")),
        ["http://[::1]:9404/metrics", "http://[::1]:9100/metrics"]
    );
    let five = Broker { id: 5, ..broker("b5") };
    assert_eq!(prometheus.urls(&five), ["http://x/"]);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_fails_alone() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    // Taken and given back, so that nobody listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{KAFKA}", KAFKA.len());
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    });
    let text = format!("url = [\"http://{{host}}:{gone}/metrics\", \"http://{{host}}:{here}/metrics\"]\n");
    let prometheus = Prometheus::new(toml::from_str(&text).unwrap());
    let metrics = prometheus.scrape(&broker("127.0.0.1")).await.unwrap();
    assert_eq!(metrics.request_handler_idle, Some(0.62));
    assert_eq!(metrics.missing.len(), 1);
    assert!(
        metrics.missing[0].contains(&format!(":{gone}/metrics")),
        "{:?}",
        metrics.missing
    );
    let text = format!("url = \"http://{{host}}:{gone}/metrics\"\n");
    let alone = Prometheus::new(toml::from_str(&text).unwrap());
    let error = alone.scrape(&broker("127.0.0.1")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}
