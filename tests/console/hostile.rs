//! What strangers write, through a real cluster and the real binary to a real terminal: escape sequences, marks that turn
//! the direction, wide letters, names and values at the limit. Nothing of it acts on the terminal, and columns stay columns.

use std::time::{Duration, Instant};

use azimuth::model::Moment;
use azimuth::source::kafka::record::{Member, NewRecord, Producer};
use azimuth::source::kafka::{ConfigChange, Edit, Kafka, NewTopic, Resource, Target};
use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::wire::{Client, ClientConfig};
use jiff::SignedDuration;

use crate::PATIENCE;
use crate::pty::Terminal;
use crate::rules;
use crate::scripts::Home;

/// Names the window, rings the bell, clears, colours (in both of CSI's spellings), turns the direction, joins and hides.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[41mevil\r\n\u{9b}31m\u{202e}שלום\u{2066}日本\u{200d}👩\u{feff}";
/// As it would reach a terminal raw.
const RAW: [&str; 7] = [
    "\u{1b}]0;owned",
    "\u{1b}[41mevil",
    "\u{9b}31m",
    "\u{202e}",
    "\u{2066}",
    "\u{200d}",
    "\u{feff}",
];
const WIDE: &str = "請求書-γ";
/// The first lines below the titles, where the rows are.
const ROWS: std::ops::Range<u16> = 3..6;
/// Not today, so that the list shows the date.
fn written() -> Moment {
    Moment::now() - SignedDuration::from_hours(48)
}

/// A legal name of a topic as long as there may be.
fn longest() -> String {
    format!("{}-end", "t".repeat(245))
}

/// A list of replicas is the longest value that a topic's config takes.
fn long_value() -> String {
    let mut value = "0:1".to_owned();
    for partition in 1..400 {
        value.push_str(&format!(",{partition}:1"));
    }
    assert!(value.len() > 2000);
    value
}

/// A record's value of which a screen shows the beginning, with something in its middle that would act.
fn long_text() -> String {
    format!("{}{EVIL}{}end", "a".repeat(1000), "日".repeat(1000))
}

/// Waits until something can be done; metadata reaches one broker after another.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come to pass");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn seed(bootstrap: &str) -> Member {
    let target = Target::new(bootstrap);
    let kafka = Kafka::new(target.clone());
    let topic = |name: String| NewTopic {
        name,
        partitions: Some(2),
        replication_factor: Some(3),
        ..NewTopic::default()
    };
    let topics = [topic(longest()), topic("orders".to_owned())];
    for (name, outcome) in kafka.create_topics(&topics, false).await.unwrap() {
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let change = ConfigChange {
        resource: Resource::Topic("orders".to_owned()),
        name: "leader.replication.throttled.replicas".to_owned(),
        edit: Edit::Set(long_value()),
    };
    eventually("the topics", || async {
        let done = kafka
            .incremental_alter_configs(std::slice::from_ref(&change), false)
            .await
            .ok()?;
        done.into_iter().all(|(_, outcome)| outcome.is_ok()).then_some(())
    })
    .await;
    let client = Client::connect(bootstrap.split(',').next().unwrap(), &ClientConfig::default())
        .await
        .unwrap();
    rules::limit(&client, EVIL).await;
    let producer = Producer::new(&target, &[("linger.ms", "0"), ("client.id", EVIL)]).unwrap();
    let json = serde_json::json!({ EVIL: EVIL }).to_string();
    let long = long_text();
    for (key, value) in [(EVIL, EVIL), (WIDE, json.as_str()), ("long", long.as_str())] {
        let record = NewRecord {
            topic: "orders",
            partition: Some(0),
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[(EVIL, EVIL.as_bytes())],
            timestamp_ms: Some(written().as_millisecond()),
        };
        producer.send(record).await.unwrap();
    }
    for group in [WIDE, "billing"] {
        // Joined, committed, and left behind.
        let member = Member::join(&target, group, &["orders"], &[]).unwrap();
        tokio::time::timeout(PATIENCE, member.next()).await.unwrap().unwrap();
        drop(member);
    }
    let member = Member::join(&target, EVIL, &["orders"], &[("client.id", EVIL)]).unwrap();
    tokio::time::timeout(PATIENCE, member.next()).await.unwrap().unwrap();
    member
}

/// Where a screen must lead to, by keys, and what must be on it.
const VISITS: &[(&str, &str, &[&str])] = &[
    ("2", "▸ broker", &["3 brokers"]),
    ("\r\t\t", "▸ broker ▸", &["broker.rack"]),
    ("3", "▸ topic", &["orders", "tttt"]),
    ("4", "▸ group", &["billing", "請求書"]),
    ("9", "▸ config", &["broker.rack"]),
    (":config broker.rack\r", "▸ config ▸", &["3 brokers"]),
    (":topic orders\r\t", "▸ topic ▸", &["throttled.replicas"]),
    (":quota\r", "▸ quota", &["billing"]),
    (":throttle\r", "▸ throttle", &["orders"]),
    (
        ":record tail orders --offset earliest\r",
        "▸ record",
        &["3 records", "請求書", "long"],
    ),
    ("g\r", "▸ record ▸", &["orders:0:0"]),
    ("\t", "▸ record ▸", &["header"]),
    ("\t", "▸ record ▸", &["00000000"]),
    ("!", "▸ triage", &["QUORUM", "HURT"]),
    ("7", "▸ check", &["pass"]),
    (":whatif\r", "▸ whatif", &["restart 1"]),
    (":user\r", "▸ user", &["user"]),
    (":logdir\r", "▸ logdir", &["log dirs"]),
    (":", "▸ logdir", &["tab completes"]),
];

fn visit(terminal: &mut Terminal) {
    for (keys, title, shows) in VISITS {
        terminal.press(keys);
        terminal.until(&format!("comes to {title} by {keys:?}"), |screen| {
            let first = screen.lines().next().unwrap_or_default();
            (*title != "▸ group" || screen.matches("Empty").count() >= 2)
                && first.contains(title)
                && shows.iter().all(|text| screen.contains(text))
        });
        let screen = terminal.still().join("\n");
        assert_eq!(terminal.beyond(), [], "after {keys:?}:\n{screen}");
        for raw in RAW {
            assert!(
                !terminal.wrote(raw.as_bytes()),
                "{raw:?} came raw after {keys:?}:\n{screen}"
            );
        }
        // Each row's next column begins where it does in all rows, whatever stands before it.
        let column = match *title {
            "▸ group" => "Empty".to_owned(),
            "▸ record" => written().strftime("%Y-%m-").to_string(),
            _ => continue,
        };
        let columns = terminal.columns_of(ROWS, &column);
        assert!(columns.len() >= 2, "{column:?} in\n{screen}");
        assert!(
            columns.iter().all(|at| *at == columns[0]),
            "{column:?} at {columns:?} in\n{screen}"
        );
    }
}

#[test]
fn what_strangers_write_acts_on_no_terminal_and_moves_no_column() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let racks = ["a".to_owned(), WIDE.to_owned(), "c\u{1b}[41mevil\u{202e}".to_owned()];
    let (cluster, member) = runtime.block_on(async {
        let cluster = Cluster::start(ClusterConfig::local(3, &racks, folder.path(), 0))
            .await
            .unwrap();
        let member = seed(&cluster.bootstrap()).await;
        (cluster, member)
    });
    let home = Home::new();
    let bootstrap = cluster.bootstrap();
    let mut terminals =
        [(120, 40), (80, 24)].map(|size| Terminal::sized(size, home.path(), &["--bootstrap", &bootstrap]));
    std::thread::scope(|scope| {
        for terminal in &mut terminals {
            scope.spawn(|| visit(terminal));
        }
    });
    for mut terminal in terminals {
        terminal.press("\u{1b}");
        terminal.until("closes the palette", |screen| !screen.contains("tab completes"));
        terminal.press("q");
        assert_eq!(terminal.ends(), 0);
    }
    for line in [
        "group list",
        "group lag --all",
        "topic list",
        "quota list",
        "broker list",
        "record read orders",
        "triage",
        "check run",
        "quota list -o csv",
        "group list -o csv",
        "group list -o name",
        "broker list -o wide",
        "config list -o csv",
        "quota list -o yaml",
        "group list -o yaml",
        "broker list -o yaml",
        "record read orders -o yaml",
        "triage -o yaml",
    ] {
        let ran = home.run(&format!("{line} --bootstrap {bootstrap}"));
        // Judgements may be a no.
        assert!(matches!(ran.status, 0 | 1 | 3), "{line}: {}", ran.stderr);
        assert!(!ran.stdout.is_empty(), "{line}: {}", ran.stderr);
        for raw in RAW {
            assert!(!ran.stdout.contains(raw), "{line} printed {raw:?}:\n{}", ran.stdout);
            assert!(!ran.stderr.contains(raw), "{line} said {raw:?}:\n{}", ran.stderr);
        }
    }
    // Scripts get all of it, and a person who looks at it sees nothing act.
    let ran = home.run(&format!("record read orders -o json --bootstrap {bootstrap}"));
    let first: serde_json::Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["key"], EVIL, "{}", ran.stdout);
    assert_eq!(first["value"], EVIL, "{}", ran.stdout);
    let third: serde_json::Value = serde_json::from_str(ran.stdout.lines().nth(2).unwrap()).unwrap();
    assert_eq!(third["value"], long_text(), "a value of 2,000 letters is whole");
    let ran = home.run(&format!("record read orders --limit 1 -o yaml --bootstrap {bootstrap}"));
    let same: serde_json::Value = serde_saphyr::from_str(&ran.stdout).unwrap();
    assert_eq!(same, first, "YAML tells what JSON tells:\n{}", ran.stdout);
    let quotas = home.run(&format!("quota list -o json --bootstrap {bootstrap}"));
    assert!(
        quotas.envelope("quota.list")["items"].to_string().contains("owned"),
        "{}",
        quotas.stdout
    );
    for raw in RAW {
        assert!(!ran.stdout.contains(raw), "{raw:?} in\n{}", ran.stdout);
        assert!(!quotas.stdout.contains(raw), "{raw:?} in\n{}", quotas.stdout);
    }
    let ran = home.run(&format!("config list --topic orders -o json --bootstrap {bootstrap}"));
    let configs = ran.envelope("config.list");
    let long = long_value();
    let found = configs["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|item| item.to_string().contains(&long));
    assert!(found, "the long value is not whole:\n{}", ran.stdout);
    let ran = home.run(&format!("topic show {} -o json --bootstrap {bootstrap}", longest()));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains(&longest()));
    drop(member);
    runtime.block_on(cluster.shutdown());
}
