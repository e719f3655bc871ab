//! Rules, users and quotas on real clusters with an authorizer: the same seeds, the same answers, on our broker and on
//! Apache Kafka. One principal and one client id are written as an attacker would.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use azimuth::model::quota::Whom;
use azimuth::source::kafka::{Kafka, Target};
use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::wire::{Client, ClientConfig, ErrorCode};
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest};
use kafka_protocol::protocol::StrBytes;

use crate::PATIENCE;
use crate::grants;
use crate::kafka;
use crate::operations::{Desk, Screen};
use crate::scripts::{Home, Ran};

const HOSTILE: &str = "User:\u{1b}]0;owned\u{7}\u{1b}[2Jevil";

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Principal, host, operation, permission, resource type, pattern, name: the numbers are Kafka's.
fn acl(
    principal: &str,
    host: &str,
    (operation, permission): (i8, i8),
    (kind, pattern, name): (i8, i8, &str),
) -> AclCreation {
    AclCreation::default()
        .with_principal(text(principal))
        .with_host(text(host))
        .with_operation(operation)
        .with_permission_type(permission)
        .with_resource_type(kind)
        .with_resource_pattern_type(pattern)
        .with_resource_name(text(name))
}

pub async fn seed(bootstrap: &str) {
    let address = bootstrap.split(',').next().unwrap();
    let client = Client::connect(address, &ClientConfig::default()).await.unwrap();
    let (read, write, describe, allow, deny) = (3, 4, 8, 3, 2);
    let (topic, literal, prefixed) = (2, 3, 4);
    let creations = vec![
        acl("User:billing", "*", (read, allow), (topic, prefixed, "orders-")),
        acl("User:billing", "*", (describe, allow), (topic, prefixed, "orders-")),
        acl("User:billing", "10.0.0.9", (read, deny), (topic, literal, "orders-eu")),
        acl("User:audit", "*", (write, allow), (topic, prefixed, "orders-")),
        acl("User:audit", "*", (write, deny), (topic, literal, "orders-eu")),
        acl(HOSTILE, "*", (read, allow), (topic, literal, "orders-eu")),
    ];
    let done = client
        .call(CreateAclsRequest::default().with_creations(creations), PATIENCE)
        .await
        .unwrap();
    let codes: Vec<_> = done
        .results
        .iter()
        .map(|result| ErrorCode::try_from_code(result.error_code))
        .collect();
    assert_eq!(codes, [None; 6]);
    limit(&client, "\u{1b}[31mred").await;
}

/// Gives user billing a password and limits, and limits a client id, everybody and every address.
pub async fn limit(client: &Client, client_id: &str) {
    let password = ScramCredentialUpsertion::default()
        .with_name(text("billing"))
        .with_mechanism(2)
        .with_iterations(8192)
        .with_salt(b"of the sea".to_vec().into())
        .with_salted_password(vec![7; 64].into());
    let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![password]);
    let done = client.call(request, PATIENCE).await.unwrap();
    assert_eq!(ErrorCode::try_from_code(done.results[0].error_code), None);

    let entry = |entity: &[(&str, Option<&str>)], key: &str, value: f64| {
        let part = |(kind, name): &(&str, Option<&str>)| {
            EntityData::default()
                .with_entity_type(text(kind))
                .with_entity_name(name.map(text))
        };
        let op = OpData::default()
            .with_key(text(key))
            .with_value(value)
            .with_remove(false);
        EntryData::default()
            .with_entity(entity.iter().map(part).collect())
            .with_ops(vec![op])
    };
    let entries = vec![
        entry(&[("user", Some("billing"))], "producer_byte_rate", 2e6),
        entry(
            &[("user", Some("billing")), ("client-id", Some("nightly"))],
            "producer_byte_rate",
            9e6,
        ),
        entry(&[("client-id", Some(client_id))], "consumer_byte_rate", 3e6),
        entry(&[("user", None)], "request_percentage", 50.0),
        entry(&[("ip", None)], "connection_creation_rate", 100.0),
    ];
    let request = AlterClientQuotasRequest::default().with_entries(entries);
    let done = client.call(request, PATIENCE).await.unwrap();
    for entry in done.entries {
        assert_eq!(
            ErrorCode::try_from_code(entry.error_code),
            None,
            "{:?}",
            entry.error_message
        );
    }
}

/// The console's own binary; the cluster lives on this runtime, so it is waited for on another thread.
async fn run(home: &Arc<Home>, line: String) -> Ran {
    let home = home.clone();
    tokio::task::spawn_blocking(move || home.run(&line)).await.unwrap()
}

async fn told(bootstrap: &str) {
    seed(bootstrap).await;
    let kafka = Kafka::new(Target::new(bootstrap));
    let started = Instant::now();
    // Metadata reaches one broker after another.
    let (acls, users, quotas) = loop {
        let all = (
            kafka.acls().await.unwrap(),
            kafka.users().await.unwrap(),
            kafka.quotas().await.unwrap(),
        );
        if all.0.rules.len() == 5 && all.1.len() == 1 && all.2.len() == 5 {
            break all;
        }
        assert!(started.elapsed() < PATIENCE, "{all:?}");
        tokio::time::sleep(kafka::PAUSE).await;
    };
    assert!(acls.authorizer);
    let lines: Vec<String> = acls.rules.iter().map(ToString::to_string).collect();
    assert!(
        lines.contains(&"allow User:billing from * to Read,Describe on topic prefix orders-".to_owned()),
        "{lines:?}"
    );
    assert_eq!(users[0].name, "billing");
    assert_eq!(users[0].credentials[0].mechanism, "SCRAM-SHA-512");
    assert_eq!(users[0].credentials[0].iterations, 8192);
    let of_billing = quotas
        .iter()
        .filter(|quota| quota.entity.user == Some(Whom::Named("billing".to_owned())));
    assert_eq!(of_billing.count(), 2);
    commands(bootstrap).await;
}

async fn commands(bootstrap: &str) {
    let home = Arc::new(Home::new());
    let on = |line: &str| format!("{line} --bootstrap {bootstrap}");
    let explain = |who: &str, what: &str| on(&format!("acl explain --principal {who} --operation {what} -o json"));
    let cases = [
        (
            "billing",
            "read --topic orders-us",
            0,
            "allow User:billing from * to Read,Describe on topic prefix orders-",
        ),
        (
            "billing",
            "describe --topic orders-us",
            0,
            "allow User:billing from * to Read,Describe on topic prefix orders-",
        ),
        (
            "billing",
            "read --topic orders-eu --host 10.0.0.9",
            1,
            "deny User:billing from 10.0.0.9 to Read on topic orders-eu",
        ),
        (
            "audit",
            "write --topic orders-eu",
            1,
            "deny User:audit from * to Write on topic orders-eu",
        ),
        (
            "audit",
            "write --topic orders-us",
            0,
            "allow User:audit from * to Write on topic prefix orders-",
        ),
        (
            "nobody",
            "read --topic orders-us",
            1,
            "rules speak of it and none allows this",
        ),
    ];
    for (who, what, status, why) in cases {
        let ran = run(&home, explain(who, what)).await;
        let item = &ran.envelope("acl.explain")["items"][0];
        assert_eq!(
            (ran.status, item["why"].as_str()),
            (status, Some(why)),
            "{who} {what}\n{}",
            ran.stderr
        );
    }
    let ran = run(
        &home,
        on("acl explain --principal billing --operation read --topic orders-eu"),
    )
    .await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("the answer is another one from 10.0.0.9"),
        "{}",
        ran.stdout
    );

    let ran = run(&home, on("acl list --principal billing -o name")).await;
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    let ran = run(&home, on("quota list --user billing --client-id nightly -o json")).await;
    let items = ran.envelope("quota.list")["items"].clone();
    let decides = |client_id: &str| {
        let row = items
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["client_id"] == client_id && row["user"] == "billing");
        row.unwrap()["decides"].clone()
    };
    assert_eq!(decides("nightly"), serde_json::json!(["producer_byte_rate"]));

    // What a principal or a client id is called must not reach the terminal as it is; in JSON it is whole.
    for line in [
        "acl list",
        "acl list -o wide",
        "acl list -o name",
        "user list",
        "quota list",
        "quota list -o name",
    ] {
        let ran = run(&home, on(line)).await;
        assert_eq!(ran.status, 0, "{line}\n{}", ran.stderr);
        let raw: Vec<char> = ran.stdout.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert!(raw.is_empty(), "{line}: {raw:?}\n{}", ran.stdout);
    }
    let ran = run(&home, on("acl list -o json")).await;
    let rules = ran.envelope("acl.list")["items"].clone();
    assert!(
        rules
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| rule["principal"] == HOSTILE),
        "{rules}"
    );
}

pub(super) const AUTHORIZER: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";

/// What makes our nodes ask who is who; whoever does not log in may do everything.
pub(super) fn authorizes() -> Vec<(String, String)> {
    let properties = [("authorizer.class.name", AUTHORIZER), ("super.users", "User:ANONYMOUS")];
    properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Three nodes with such rules, at which nobody is refused.
pub async fn ruled(folder: &Path) -> Cluster {
    let racks = ["a", "b", "c"].map(str::to_owned);
    let mut config = ClusterConfig::local(3, &racks, folder, 0);
    config.overrides = authorizes();
    Cluster::start(config).await.unwrap()
}

/// The same in a folder of its own.
async fn authorizing() -> (Cluster, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (ruled(folder.path()).await, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_broker_tells_rules_users_and_quotas() {
    let (cluster, _folder) = authorizing().await;
    told(&cluster.bootstrap()).await;
    grants::changed(&cluster.bootstrap()).await;
    grants::edited(&cluster.bootstrap()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_tells_rules_users_and_quotas() {
    let properties = format!(
        "authorizer.class.name={AUTHORIZER}\nsuper.users=User:ANONYMOUS\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT\n"
    );
    let shape = kafka::Shape {
        listeners: &["CLIENTS"],
        properties: &properties,
        ..kafka::Shape::default()
    };
    let Some(cluster) = kafka::Cluster::start_with(shape).await else {
        return;
    };
    told(&cluster.bootstrap).await;
    grants::changed(&cluster.bootstrap).await;
    grants::edited(&cluster.bootstrap).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_an_authorizer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(ClusterConfig::local(1, &[], folder.path(), 0))
        .await
        .unwrap();
    let bootstrap = cluster.bootstrap();
    let home = Arc::new(Home::new());
    let ran = run(&home, format!("acl list --bootstrap {bootstrap}")).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("everybody may do everything"), "{}", ran.stdout);
    let line = format!("acl explain --principal a --operation write --topic x --bootstrap {bootstrap}");
    let ran = run(&home, line).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("no authorizer"), "{}", ran.stdout);
    let ran = run(
        &home,
        format!("acl explain --principal a --operation write --group x --bootstrap {bootstrap}"),
    )
    .await;
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("there is no Write on a group; there are Read"),
        "{}",
        ran.stderr
    );
    cluster.shutdown().await;
}

/// A key is seen so soon on a machine that has little else to do: a frame, and the way through a terminal.
const SOON: Duration = Duration::from_millis(100);
const MANY: usize = 5000;

/// Presses keys and tells how long it takes until the screen shows what comes of them.
async fn seen_after(screen: &mut Screen, keys: &str, what: &str, wanted: impl Fn(&str) -> bool) -> Duration {
    let started = Instant::now();
    screen.press(keys);
    while !wanted(&screen.text()) {
        assert!(started.elapsed() < PATIENCE, "never {what}:\n{}", screen.text());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    started.elapsed()
}

/// Many rules are listed, filtered, edited and compared as quickly as few. Its times mean something alone, so `tests/run`
/// leaves it to `--heavy`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_thousand_rules_are_seen_filtered_and_edited_at_once() {
    if std::env::var_os("AZIMUTH_HEAVY").is_none() {
        return;
    }
    let (cluster, _folder) = authorizing().await;
    let desk = Desk::of(&cluster.bootstrap());
    let rules: String = (0..MANY)
        .map(|at| format!("allow User:u{:04} to Read on topic t{at:04}\n", at % 997))
        .collect();
    std::fs::write(desk.path("many.acl"), format!("scope all\n{rules}")).unwrap();
    let began = Instant::now();
    desk.run("acl apply many.acl --yes --timeout 300s").await.ends(0);
    let applied = began.elapsed();
    let began = Instant::now();
    desk.run("acl diff many.acl").await.ends(0);
    let compared = began.elapsed();

    let mut screen = Screen::open(&desk, "dev");
    screen.shows("azimuth  dev ").await;
    let listed = seen_after(&mut screen, "8", "listed", |text| text.contains("User:u0000")).await;
    let filtered = seen_after(&mut screen, "/t4999", "filtered", |text| {
        text.contains("1 of 5 000 rules")
    })
    .await;
    let opened = seen_after(&mut screen, "\x1b", "all of them again", |text| {
        text.contains("User:u0001")
    })
    .await;
    let edited = seen_after(&mut screen, "E", "the text", |text| {
        text.contains("has exactly these rules")
    })
    .await;
    let mut typed: Vec<Duration> = Vec::new();
    for letter in ["# a", "b", "c", "d", "e", "f", "g", "h"] {
        let so_far = format!("# {}", &"abcdefgh"[..typed.len() + 1]);
        typed.push(seen_after(&mut screen, letter, "typed", |text| text.contains(&so_far)).await);
    }
    typed.sort_unstable();
    let gains = seen_after(
        &mut screen,
        "\rallow User:tui to Read on topic orders\r",
        "the difference",
        |text| text.contains("User:tui gains Read on topic orders"),
    )
    .await;
    println!(
        "{MANY} rules: applied in {applied:?}, diff in {compared:?}; listed {listed:?}, filtered {filtered:?}, back {opened:?}, \
         editor {edited:?}, a key in it {:?} (worst {:?}), the difference of a line {gains:?}",
        typed[typed.len() / 2],
        typed[typed.len() - 1]
    );
    assert!(typed[typed.len() / 2] < SOON, "{typed:?}");
    cluster.shutdown().await;
}
