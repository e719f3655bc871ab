//! The practices and what-if questions as scripts meet them: on captures, in a home where there is no context, no cluster and
//! no AWS; and on the demo, whose failing checks are a list with a reason for each.

use std::time::Duration;

use azimuth::demo::Demo;
use serde_json::Value;
use tokio::time::Instant;

use crate::PATIENCE;
use crate::drills::GROUND;
#[cfg(feature = "aws")]
use crate::kafka;
use crate::scripts::{Home, Ran};

fn on(capture: &str, line: &str) -> Ran {
    let path = format!("{}/tests/console/fixtures/{capture}.json", env!("CARGO_MANIFEST_DIR"));
    Home::new().run(&format!("{line} --from {path}"))
}

fn item<'a>(envelope: &'a Value, id: &str) -> &'a Value {
    let mut items = envelope["items"].as_array().unwrap().iter();
    items.find(|item| item["id"] == id).unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn every_check_is_judged_with_evidence_on_a_capture() {
    let ran = on("broker-4-stalled", "check run -o json");
    let envelope = ran.envelope("check.run");
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let failing = item(&envelope, "rack-spread");
    let all = envelope["items"].as_array().unwrap().len();
    assert!(all > 100, "{all}");
    assert!(failing["status"].is_string() && failing["seed_ref"] == "18");
    for item in envelope["items"].as_array().unwrap() {
        let bad = item["status"] == "fail" || item["status"] == "warn";
        assert!(item["why"].as_str().is_some_and(|why| !why.is_empty()), "{item}");
        assert_eq!(item["status"] == "unknown", item["missing"].is_string(), "{item}");
        if bad && item["id"] != "failover-offsets" {
            let proof = &item["evidence"][0];
            let told = ["source", "subject", "field", "expected"].map(|key| proof[key].is_string());
            assert_eq!(told, [true; 4], "{item}");
        }
    }
    assert_eq!(envelope["scores"].as_array().unwrap().len(), 10);
}

#[test]
fn what_was_not_seen_is_3_and_may_be_left_out() {
    // Of a capture nobody knows the placement of what brokers do not tell.
    let line = "check run stop-timeout kinesis";
    assert_eq!(
        on("all-well", line).status,
        0,
        "what has no plane and advice never count"
    );
    let line = "check run network-allowance";
    assert_eq!(on("all-well", line).status, 3);
    assert_eq!(on("all-well", &format!("{line} --unknown ignore")).status, 0);
    let ran = on("all-well", &format!("{line} --plane kafka -o json"));
    assert_eq!(
        (ran.status, ran.envelope("check.run")["items"].as_array().unwrap().len()),
        (0, 0)
    );
}

#[test]
fn cron_gets_no_word_while_all_is_well_and_a_loud_one_when_brokers_are_missing() {
    let quiet = on("all-well", "check run offline-partitions --quiet");
    assert_eq!((quiet.status, quiet.stdout.as_str()), (0, ""), "{}", quiet.stderr);
    let missing = on("all-well", "check run offline-partitions --quiet --expect-brokers 99");
    assert_eq!(missing.status, 1);
    assert!(
        missing.stdout.contains("of 99 brokers are registered"),
        "{}",
        missing.stdout
    );
}

#[test]
fn monitors_are_told_in_their_own_form() {
    let page = on("broker-4-stalled", "check run -o prom");
    assert!(page.stdout.contains("# TYPE azimuth_check gauge\n"), "{}", page.stdout);
    let statuses = page
        .stdout
        .lines()
        .filter(|line| line.contains("id=\"rack-spread\"") && line.ends_with(" 1"));
    assert_eq!(statuses.count(), 1, "one status holds");
    let line = on("broker-4-stalled", "check run -o nagios");
    assert!(line.stdout.starts_with("AZIMUTH CRITICAL - "), "{}", line.stdout);
    assert_eq!((line.status, line.stdout.lines().count()), (2, 1));
    assert!(line.stdout.contains(" | fail="), "{}", line.stdout);
    let well = on("all-well", "check run offline-partitions -o nagios");
    assert!(well.stdout.starts_with("AZIMUTH OK - "), "{}", well.stdout);
    assert_eq!(well.status, 0);
    let triage = on("broker-4-stalled", "triage -o nagios");
    assert!(triage.stdout.starts_with("AZIMUTH "), "{}", triage.stdout);
    let page = on("broker-4-stalled", "triage -o prom");
    assert!(page.stdout.contains("azimuth_triage_status{"), "{}", page.stdout);
    let wrong = on("all-well", "broker list -o prom");
    assert_eq!(wrong.status, 2);
    assert!(wrong.stderr.contains("check run and triage"), "{}", wrong.stderr);
}

#[test]
fn checks_are_listed_and_explained_without_a_cluster() {
    let home = Home::new();
    let list = home.run("check list -o json");
    let envelope = list.envelope("check.list");
    for key in ["id", "title", "seed_ref", "severity"] {
        assert!(envelope["items"][0][key].is_string(), "{key}");
    }
    let explained = home.run("check explain replication-factor");
    assert!(
        explained.stdout.contains("EBS replicates within one zone only"),
        "{}",
        explained.stdout
    );
    assert!(explained.stdout.contains("invert"), "{}", explained.stdout);
    let typo = home.run("check explain replication-facto");
    assert_eq!(typo.status, 2);
    assert!(
        typo.stderr.contains("did you mean replication-factor?"),
        "{}",
        typo.stderr
    );
    let typo = home.run("check run --section securty");
    assert_eq!(typo.status, 2, "{}", typo.stderr);
    assert!(typo.stderr.contains("security"), "{}", typo.stderr);
}

#[test]
fn a_lost_zone_and_a_restart_are_answered_from_a_capture() {
    let brokers = on("all-well", "broker list -o json").envelope("broker.list");
    let zone = brokers["items"][0]["rack"].as_str().unwrap().to_owned();
    let ran = on("all-well", &format!("whatif az-loss {zone} -o json"));
    let envelope = ran.envelope("whatif.az-loss");
    let loss = &envelope["items"][0];
    assert_eq!(loss["what"], zone.as_str());
    assert!(loss["partitions_touched"].as_u64().unwrap() > 0, "{loss}");
    let left = envelope["brokers"].as_array().unwrap();
    let moved: u64 = left
        .iter()
        .map(|broker| broker["leaders_after"].as_u64().unwrap())
        .sum();
    let before: u64 = brokers["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["leaders"].as_u64())
        .sum();
    let offline = loss["offline"].as_u64().unwrap();
    assert_eq!(moved + offline, before, "every leader lands or is lost");
    let all = on("all-well", "whatif list -o json").envelope("whatif.list");
    let what: Vec<&str> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["what"].as_str())
        .collect();
    assert!(what.contains(&zone.as_str()) && what.contains(&"broker 1"), "{what:?}");
    let ran = on("all-well", "whatif restart 1");
    assert!(ran.stdout.contains("CLIENTS GO ON"), "{}", ran.stdout);
    let wrong = on("all-well", "whatif az-loss nowhere");
    assert_eq!(wrong.status, 1);
    assert!(wrong.stderr.contains("there is no zone nowhere"), "{}", wrong.stderr);
    let more = on("all-well", "whatif add-broker 3 -o json").envelope("whatif.add-broker");
    assert!(
        more["items"][0]["command"]
            .as_str()
            .unwrap()
            .starts_with("reassign plan --add-broker ")
    );
}

/// What the demo does not hold to, each with the reason for which that is true of it.
const DEMO: &[(&str, &str)] = &[
    (
        "quorum",
        "one controller leads six brokers of one host, apart from them",
    ),
    (
        "listener-separate",
        "brokers and clients share the one listener of each broker",
    ),
    (
        "follower-fetching",
        "no replica selector is set, and reads from followers are not served",
    ),
    ("socket-buffers", "Kafka's own defaults are told"),
    ("client-metrics", "nobody told the clients of the demo to report"),
    ("alarms", "the simulated CloudWatch has no alarm"),
    ("authorizer", "the demo has neither logins nor rules"),
    (
        "mixed-types",
        "broker 4 is larger, so that limits differ as they do in life",
    ),
    ("rebalance-delay", "groups of the demo are to be seen at once"),
];

/// The checks that fail or warn, looked for until they are those that are expected.
async fn failing(file: String, expected: &[&str]) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let line = format!("check run --plane kafka,aws -o json --context-file {file}");
        let ran = tokio::task::spawn_blocking(move || Home::new().run(&line))
            .await
            .unwrap();
        let envelope = ran.envelope("check.run");
        // How far brokers are is a matter of what else this machine does.
        let bad =
            |item: &&Value| (item["status"] == "fail" || item["status"] == "warn") && item["id"] != "broker-latency";
        let items = envelope["items"].as_array().unwrap();
        let failing = items
            .iter()
            .filter(bad)
            .map(|item| item["id"].as_str().unwrap().to_owned());
        let failing: Vec<String> = failing.collect();
        // Clients are still coming, and CloudWatch is late.
        if failing == expected || Instant::now() > until {
            return failing;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn ids(list: &[(&'static str, &str)]) -> Vec<&'static str> {
    assert!(list.iter().all(|(_, reason)| !reason.is_empty()));
    list.iter().map(|(id, _)| *id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_the_demo_is_what_the_list_says() {
    let _room = GROUND.acquire().await.unwrap();
    let demo = Demo::start(None, None).await.unwrap();
    let expected = ids(DEMO);
    let failing = failing(demo.context_file().display().to_string(), &expected).await;
    demo.shutdown().await;
    assert_eq!(failing, expected);
}

/// The same of Apache Kafka 4.3.1 as its own quickstart sets it up, but for three nodes in three zones, on the instances and
/// volumes of `tests/tools/moto_seed.py`.
#[cfg(feature = "aws")]
const KAFKA: &[(&str, &str)] = &[
    (
        "listener-separate",
        "PLAINTEXT is the inter-broker listener and the one that clients use",
    ),
    (
        "follower-fetching",
        "replica.selector.class is not set, which is Kafka's default",
    ),
    ("socket-buffers", "100 KiB are Kafka's defaults"),
    ("client-metrics", "nobody told the clients to report"),
    ("alarms", "the seed puts no alarm"),
    (
        "encryption-default",
        "an account of moto's has it off, as one of AWS's has",
    ),
    (
        "authorizer",
        "authorizer.class.name is not set, which is Kafka's default",
    ),
    (
        "imdsv2",
        "moto's instances answer without a token unless told otherwise",
    ),
    ("snapshots", "the seed takes no snapshot"),
    ("snapshot-store", "the seed takes no snapshot"),
    ("colocated-controller", "all three nodes are broker and controller"),
    ("rebalance-delay", "groups of tests are to be seen at once"),
];

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_apache_kafka_and_moto_is_what_the_list_says() {
    let Some(moto) = crate::moto::url() else { return };
    let shape = kafka::Shape {
        racks: Some(["us-east-1a", "us-east-1b", "us-east-1c"]),
        ..kafka::Shape::default()
    };
    let Some(cluster) = kafka::Cluster::start_with(shape).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contexts.toml");
    let text = format!(
        "[context.kafka]\nbootstrap = \"{}\"\n\n[context.kafka.aws]\nendpoint_url = \"{moto}\"\nregion = \"us-east-1\"\n\
         simulated = true\ntags = {{ \"kafka:cluster\" = \"test\" }}\n",
        cluster.bootstrap
    );
    std::fs::write(&file, text).unwrap();
    let expected = ids(KAFKA);
    let failing = failing(file.display().to_string(), &expected).await;
    assert_eq!(failing, expected);
}
