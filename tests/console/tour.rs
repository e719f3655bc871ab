//! A tour of every screen: the real binary on the demo, in a pseudo-terminal, at the two sizes that have to do.
//!
//! Each screen is gone to by key and by name, and must show its title, its command and what one acts on, and draw nothing
//! beyond the last column. What was seen is kept in `docs/screens`, a file for each screen and size; `AZIMUTH_SCREENS=1`
//! writes them again. Their numbers and names differ each time, so only that they are all there, and no others, is compared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use azimuth::demo::{Begin, Demo, Drill};
use azimuth::source::kafka::{ConfigChange, Edit, Kafka, Move, Resource, Target};
use azimuth::tui::app::place::Noun;
use azimuth_broker::cluster::{Cluster, ClusterConfig, Content};
use azimuth_broker::env::disk::Disk;
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::{Client, ClientConfig};
use strum::IntoEnumIterator;
use tokio::sync::oneshot;

use crate::drills::GROUND;
use crate::pty::{Size, Terminal};
use crate::rules;
use crate::scripts::Home;
use crate::source::transact;

/// Somebody's who has not committed yet.
const TRANSACTION: &str = "invoicing-1";

const SIZES: [Size; 2] = [(120, 40), (80, 24)];

/// A screen: how one comes there, and what must be on it.
struct Stop {
    /// Of its file.
    name: &'static str,
    keys: &'static str,
    /// The way by name, where there is one; it must lead to the same title.
    named: Option<&'static str>,
    /// After the context, in the first line.
    title: &'static str,
    /// How the command in the last line goes on after `azimuth`; empty where a prompt or a dialog lies above it.
    command: &'static str,
    /// On the screen at both sizes, whole.
    shows: &'static [&'static str],
}

const fn stop(
    name: &'static str,
    keys: &'static str,
    (title, command): (&'static str, &'static str),
    shows: &'static [&'static str],
) -> Stop {
    Stop {
        name,
        keys,
        named: None,
        title,
        command,
        shows,
    }
}

impl Stop {
    const fn by_name(self, keys: &'static str) -> Self {
        Self {
            named: Some(keys),
            ..self
        }
    }
}

/// While all is well.
const WELL: &[Stop] = &[
    stop(
        "triage-well",
        "!",
        ("triage", "triage"),
        &["CLIENTS WRITE AND READ", "WHERE", "HURT"],
    )
    .by_name(":triage\r"),
    stop(
        "broker",
        "2",
        ("broker", "broker list"),
        &["6 brokers in 3 zones", "2/2 up", "● up"],
    )
    .by_name(":broker\r"),
];

/// With a move that is held back by a throttle.
const TOUR: &[Stop] = &[
    stop("triage", "1", ("triage", "triage"), &["WHERE", "WHO"]),
    stop(
        "broker-partitions",
        ":broker 5\r",
        ("broker ▸ 5", "broker show 5"),
        // The transactions' topic may be there by then: with its partitions no other topic is on a small screen.
        &["__consumer_offsets", "leader"],
    ),
    stop(
        "broker-logdirs",
        "\t",
        ("broker ▸ 5", "logdir list --broker 5"),
        &["vol-0"],
    ),
    stop(
        "broker-configs",
        "\t",
        ("broker ▸ 5", "broker config 5"),
        &["min.insync.replicas"],
    ),
    stop("topic", "3", ("topic", "topic list"), &["clicks", "orders", "payments"]).by_name(":topic\r"),
    stop("topic-heat", "h", ("topic", "topic list"), &["heat: bytes"]),
    stop(
        "topic-partitions",
        ":topic clicks\r",
        ("topic ▸ clicks", "topic show clicks"),
        &["12 partitions"],
    ),
    stop(
        "topic-configs",
        "\t",
        ("topic ▸ clicks", "config list --topic clicks"),
        &["retention.bytes"],
    ),
    stop(
        "group",
        "4",
        ("group", "group list"),
        &["analytics", "archive", "billing", "fraud"],
    )
    .by_name(":group\r"),
    stop(
        "group-partitions",
        ":group billing\r",
        ("group ▸ billing", "group lag billing"),
        &["orders", "payments"],
    ),
    stop(
        "group-members",
        "\t",
        ("group ▸ billing", "group show billing"),
        &["billing-1", "3 members"],
    ),
    stop("volume", "5", ("volume", "volume list"), &["vol-0", "6 volumes"]).by_name(":volume\r"),
    stop(
        "volume-partitions",
        "\r",
        ("volume ▸ vol-0", "volume show vol-0"),
        &["payments"],
    ),
    stop("logdir", ":logdir\r", ("logdir", "logdir list"), &["6 log dirs"]),
    stop(
        "logdir-topics",
        "\r",
        ("logdir ▸ ", "logdir show "),
        &["clicks", "of the logs"],
    ),
    stop(
        "logdir-replicas",
        "\t",
        ("logdir ▸ ", "logdir show "),
        &["clicks", "records behind"],
    ),
    stop("logdir-relieve", "\t", ("logdir ▸ ", "logdir relieve "), &["retention"]),
    stop("quorum", ":quorum\r", ("quorum", "quorum show"), &["1000"]),
    stop(
        "throttle",
        ":throttle\r",
        ("throttle", "throttle list"),
        &["replication.throttled"],
    ),
    stop(
        "reassignment",
        ":reassignment\r",
        ("reassignment", "reassign list"),
        &["clicks"],
    ),
    stop(
        "transaction",
        ":transaction\r",
        ("transaction", "transaction list"),
        &[TRANSACTION, "Ongoing"],
    ),
    stop(
        "transaction-partitions",
        "\r",
        ("transaction ▸ ", "transaction list"),
        &["invoices"],
    ),
    stop("acl", "8", ("acl", "acl list"), &["acl"]).by_name(":acl\r"),
    stop("user", ":user\r", ("user", "user list"), &["User:billing"]),
    stop(
        "user-rules",
        "\r",
        ("user ▸ ", "acl list --principal User:billing"),
        &["User:billing"],
    ),
    stop(
        "user-quotas",
        "\t",
        ("user ▸ ", "quota list --user billing"),
        &["producer_byte_rate"],
    ),
    stop("quota", ":quota\r", ("quota", "quota list"), &["billing", "nightly"]),
    stop("config", "9", ("config", "config list"), &["throttled.rate"]).by_name(":config\r"),
    stop(
        "config-brokers",
        ":config min.insync.replicas\r",
        ("config ▸ ", "config show min.insync.replicas"),
        &["6 brokers"],
    ),
    stop(
        "config-topics",
        "\t",
        ("config ▸ ", "config show min.insync.replicas"),
        &["brokers have"],
    ),
    stop("check", "7", ("check", "check run"), &["pass", "worst first"]).by_name(":check\r"),
    stop(
        "check-one",
        ":check disk-space\r",
        ("check ▸ disk-space", "check run disk-space"),
        &["said in 2018", "evidence"],
    ),
    stop(
        "whatif",
        ":whatif\r",
        ("whatif", "whatif list"),
        &["az-loss use1-az1", "restart 6", "clients go on"],
    ),
    stop(
        "whatif-az-loss",
        ":whatif az-loss use1-az1\r",
        ("whatif ▸ az-loss use1-az1", "whatif az-loss use1-az1"),
        &["without use1-az1", "brokers that are left"],
    ),
    stop(
        "whatif-restart",
        ":whatif restart 5\r",
        ("whatif ▸ restart 5", "whatif restart 5"),
        &["without broker 5"],
    ),
    stop(
        "whatif-add-broker",
        ":whatif add-broker 3\r",
        ("whatif ▸ add-broker 3", "whatif add-broker 3"),
        &["leaders each"],
    ),
    stop(
        "dashboard",
        ":dashboard\r",
        ("dashboard", "dashboard"),
        &["CPU", "alarms"],
    ),
    stop("dashboard-one", "j\r", ("dashboard ▸ ", "dashboard "), &["system"]),
    stop("cost", ":cost\r", ("cost", "cost"), &["between zones", "$/month"]),
    stop("context", "0", ("context", "context list"), &["demo"]).by_name(":context\r"),
    stop(
        "operation",
        "6",
        ("operation", "operation list"),
        &["create topic invoices"],
    )
    .by_name(":operation\r"),
    stop(
        "operation-steps",
        "\r",
        ("operation ▸ ", "operation show "),
        &["invoices"],
    ),
    stop(
        "operation-log",
        "\t",
        ("operation ▸ ", "operation show "),
        &["begun by"],
    ),
    stop(
        "record-tail",
        ":record tail orders --offset=-20\r",
        ("record ▸ ", "record tail orders --offset=-20"),
        &["following", "customer-"],
    ),
    stop(
        "record-one",
        ":record read orders --partition 0 --offset 0 --limit 1\r",
        ("record ▸ ", "record read orders"),
        &["orders:0:0"],
    ),
    stop(
        "record-text",
        "\t",
        ("record ▸ ", "record read orders"),
        &["orders:0:0"],
    ),
    stop("record-hex", "\t", ("record ▸ ", "record read orders"), &["00000000"]),
    stop("filter", "2/ctrl", ("broker", ""), &["shown"]),
    stop("actions", "2.", ("broker", ""), &["Plan to move leaders"]),
    stop(
        "plan",
        ":leader move --from-broker 5\r",
        ("broker", ""),
        &["leader move --from-broker 5", "undo"],
    ),
    stop("help", "?", ("broker", ""), &["keys on broker"]),
    stop(
        "palette",
        ":",
        ("broker", ""),
        &["tab completes", "EBS volumes and their limits."],
    ),
];

/// On a cluster that asks who may do what.
const RULED: &[Stop] = &[
    stop(
        "acl-rules",
        "8",
        ("acl", "acl list"),
        &["User:billing", "User:audit", "orders-eu"],
    ),
    stop(
        "acl-principal",
        ":acl User:billing\r",
        ("acl ▸ User:billing", "acl list --principal User:billing"),
        &["orders-eu"],
    ),
    stop("acl-edit", "8E", ("acl", ""), &["scope all", "allow User:billing"]),
];

/// What the consoles of the tour have recorded until then.
const REPLAY: &[Stop] = &[stop("replay", "1", ("triage", "triage"), &["REPLAY 20", "WHERE"])];

/// Where no cluster is known yet.
const FIRST: &[Stop] = &[stop(
    "first",
    "k",
    ("", ""),
    &["no cluster is known here yet", "the demo", "azimuth context add"],
)];

/// With broker 5's volume stalled.
const STALLED: &[Stop] = &[
    stop(
        "triage-volume-stalled",
        "!",
        ("triage", "triage"),
        &[
            "WRITES TIME OUT",
            "WHO",
            "NEXT",
            "leader move --from-broker 5",
            "DON'T",
            "restart broker 5",
        ],
    ),
    stop(
        "broker-volume-stalled",
        "2",
        ("broker", "broker list"),
        &["6 brokers in 3 zones"],
    ),
    stop(
        "volume-stalled",
        "5",
        ("volume", "volume list"),
        &["6 volumes", "vol-0"],
    ),
];

/// On 60 brokers, of which one is gone.
const WIDE: &[Stop] = &[
    stop(
        "triage-60-brokers",
        "!",
        ("triage", "triage"),
        &["WHERE", "WHO", "broker 17"],
    ),
    stop(
        "broker-60-brokers",
        "2",
        ("broker", "broker list"),
        &["60 brokers in 3 zones", "more ●", "unreachable"],
    ),
    stop("topic-60-brokers", "3", ("topic", "topic list"), &["topics", "✖17"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens")
}

fn file(stop: &Stop, (columns, rows): Size) -> String {
    format!("{}-{columns}x{rows}.txt", stop.name)
}

/// Waits for a stop's screen, looks at it, and keeps it where that is asked for.
fn look(terminal: &Terminal, stop: &Stop) {
    let title = match stop.title {
        "" => String::new(),
        title => format!("▸ {title}"),
    };
    let command = format!("azimuth {}", stop.command);
    terminal.until(&format!("is at {}", stop.name), |screen| {
        let (first, last) = (
            screen.lines().next().unwrap_or_default(),
            screen.lines().last().unwrap_or_default(),
        );
        first.contains(&title)
            && (stop.command.is_empty() || last.contains(&command))
            && stop.shows.iter().all(|text| screen.contains(text))
    });
    let lines = terminal.still();
    let screen = lines.join("\n");
    assert_eq!(terminal.beyond(), [], "{} is drawn too far:\n{screen}", stop.name);
    assert!(!screen.contains("panicked"), "{}:\n{screen}", stop.name);
    if std::env::var_os("AZIMUTH_SCREENS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(
            folder().join(file(stop, terminal.size())),
            format!("{}\n", screen.trim_end()),
        )
        .unwrap();
    }
}

/// Goes from stop to stop.
fn visit(terminal: &mut Terminal, stops: &[Stop]) {
    for stop in stops {
        terminal.press(stop.keys);
        look(terminal, stop);
        if stop.command.is_empty() && !stop.title.is_empty() {
            close(terminal, stop);
        }
        if let Some(named) = stop.named {
            terminal.press("0");
            terminal.until("leaves", |screen| {
                screen.lines().next().is_some_and(|line| line.contains("▸ context"))
            });
            terminal.press(named);
            look(terminal, stop);
        }
    }
}

/// Closes what lies above a screen. Escape and a key that follows at once would be one key with Alt, so that it is pressed again
/// only where it has to be: a plan drops keys for a moment.
fn close(terminal: &mut Terminal, stop: &Stop) {
    let is_closed = |screen: &str| !stop.shows.iter().all(|text| screen.contains(text));
    match stop.name {
        "plan" => terminal.press_until("\u{1b}", "is closed", is_closed),
        _ => {
            terminal.press("\u{1b}");
            terminal.until(&format!("closes {}", stop.name), is_closed);
        }
    }
    terminal.still();
}

/// The console at each size, side by side.
fn open(home: &Path, arguments: &[&str]) -> [Terminal; 2] {
    SIZES.map(|size| Terminal::sized(size, home, arguments))
}

fn visit_all(terminals: &mut [Terminal], stops: &[Stop]) {
    std::thread::scope(|scope| {
        for terminal in terminals {
            scope.spawn(|| visit(terminal, stops));
        }
    });
}

fn leave(terminals: [Terminal; 2]) {
    for mut terminal in terminals {
        terminal.press("q");
        assert_eq!(terminal.ends(), 0);
    }
}

/// A runtime that is not waited for when a test fails: what runs on it ends with the process.
struct Hall(Option<tokio::runtime::Runtime>);

impl Hall {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        Self(Some(runtime.unwrap()))
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.as_ref().unwrap().block_on(work)
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Something for the screens that are empty when all is well: limits, a finished operation, and a move to broker 6 that a
/// throttle holds back.
async fn furnish(demo: &Demo) {
    let address = demo.bootstrap().split(',').next().unwrap();
    let client = Client::connect(address, &ClientConfig::default()).await.unwrap();
    rules::limit(&client, "nightly-export").await;
    let kafka = Kafka::new(Target::new(demo.bootstrap()));
    let topics = kafka.topics().await.unwrap();
    let clicks = topics.iter().find(|topic| topic.name == "clicks").unwrap();
    let partition = &clicks.partitions[0];
    let mut replicas = partition.replicas.to_vec();
    let newcomer = (1..=6).rev().find(|id| !replicas.contains(id)).unwrap();
    let gone = replicas.pop().unwrap();
    replicas.push(newcomer);
    let set = |resource: Resource, name: &str, value: String| ConfigChange {
        resource,
        name: name.to_owned(),
        edit: Edit::Set(value),
    };
    let mut changes = Vec::new();
    for (side, list) in [("leader", gone), ("follower", newcomer)] {
        let list = match side {
            "leader" => format!("0:{},0:{list}", replicas[0]),
            _ => format!("0:{list}"),
        };
        let name = format!("{side}.replication.throttled.replicas");
        changes.push(set(Resource::Topic("clicks".to_owned()), &name, list));
        for broker in 1..=6 {
            let name = format!("{side}.replication.throttled.rate");
            changes.push(set(Resource::Broker(Some(broker)), &name, "1000".to_owned()));
        }
    }
    for (what, outcome) in kafka.incremental_alter_configs(&changes, false).await.unwrap() {
        outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    let moves = [Move {
        topic: "clicks".to_owned(),
        partition: 0,
        replicas: Some(replicas),
    }];
    for (_, outcome) in kafka.alter_partition_reassignments(&moves).await.unwrap() {
        outcome.unwrap();
    }
}

#[test]
fn every_screen_of_the_demo() {
    let runtime = Hall::open();
    let _room = runtime.block_on(GROUND.acquire()).unwrap();
    let demo = runtime.block_on(Demo::start(None, None)).unwrap();
    let home = Home::new();
    let at = format!("--context-file {}", demo.context_file().display());
    let arguments: Vec<&str> = at.split(' ').collect();
    let mut terminals = open(home.path(), &arguments);
    let ran = home.run(&format!(
        "topic create invoices --partitions 3 --replication-factor 3 --yes {at}"
    ));
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    visit_all(&mut terminals, WELL);
    runtime.block_on(furnish(&demo));
    let transaction = runtime.block_on(transact(demo.bootstrap(), TRANSACTION, "invoices", 600_000));
    visit_all(&mut terminals, TOUR);
    drop(transaction);
    leave(terminals);
    let arguments: Vec<&str> = std::iter::once("replay").chain(arguments).collect();
    let mut terminals = open(home.path(), &arguments);
    visit_all(&mut terminals, REPLAY);
    leave(terminals);
    runtime.block_on(demo.shutdown());
}

#[test]
fn the_screens_of_rules() {
    let runtime = Hall::open();
    let folder = tempfile::tempdir().unwrap();
    let cluster = runtime.block_on(async {
        let cluster = rules::ruled(folder.path()).await;
        rules::seed(&cluster.bootstrap()).await;
        cluster
    });
    let home = Home::new();
    let bootstrap = cluster.bootstrap();
    let mut terminals = open(home.path(), &["--bootstrap", &bootstrap, "--allow-changes"]);
    visit_all(&mut terminals, RULED);
    leave(terminals);
    runtime.block_on(cluster.shutdown());
}

#[test]
fn the_screen_where_no_cluster_is_known() {
    let home = Home::new();
    std::fs::write(
        home.path().join("client.properties"),
        "bootstrap.servers=b-1.prod.example:9096,b-2.prod.example:9096\nsecurity.protocol=SASL_SSL\n",
    )
    .unwrap();
    let mut terminals = open(home.path(), &[]);
    visit_all(&mut terminals, FIRST);
    leave(terminals);
}

/// A noun of the command line is a screen's too, or it is known why not.
#[test]
fn the_tour_leaves_no_screen_out() {
    let all: Vec<&Stop> = tours().collect();
    for noun in Noun::iter() {
        let name = noun.name();
        let lists = all.iter().filter(|stop| stop.title == name).count();
        // Records are always of a topic.
        assert!(lists > 0 || noun == Noun::Record, "the tour does not visit {name}");
        let pages = match (noun, noun.tabs().len()) {
            // The kinds of questions.
            (Noun::Whatif, _) => 3,
            (Noun::Check | Noun::Dashboard, _) => 1,
            (_, tabs) => tabs,
        };
        let opened = all
            .iter()
            .filter(|stop| stop.title.starts_with(&format!("{name} ▸ ")))
            .count();
        assert!(
            opened >= pages,
            "the tour visits {opened} of the {pages} pages of an opened {name}"
        );
    }
    let screens: BTreeSet<&str> = Noun::iter().map(Noun::name).collect();
    let nouns: BTreeSet<String> = azimuth::command::verbs()
        .into_iter()
        .filter_map(|(words, _)| Some(words.split_once(' ')?.0.to_owned()))
        .filter(|noun| !screens.contains(noun.as_str()))
        .collect();
    // A partition is on its topic's screen, reassign is the verb of reassignment; plans and operations of leaders, restarts and
    // runbooks are on theirs; the others look at two clusters, at files or at names, and answer in text.
    let without = [
        "capture",
        "dns",
        "feature",
        "leader",
        "mirror",
        "partition",
        "reassign",
        "restart",
        "runbook",
        "wait",
    ];
    assert_eq!(nouns, without.map(str::to_owned).into());
}

fn tours() -> impl Iterator<Item = &'static Stop> {
    [WELL, TOUR, RULED, REPLAY, FIRST, STALLED, WIDE].into_iter().flatten()
}

#[test]
fn the_screens_of_a_stalled_volume() {
    let runtime = Hall::open();
    let _room = runtime.block_on(GROUND.acquire()).unwrap();
    let drill = Drill::parse("volume-stalled").unwrap();
    let (call, called) = oneshot::channel::<()>();
    let begin = Begin::When(Box::pin(async move {
        // Who does not call ends the demo.
        let _ = called.await;
    }));
    let demo = runtime.block_on(Demo::start(Some((drill, begin)), None)).unwrap();
    let home = Home::new();
    let at = demo.context_file().display().to_string();
    let mut terminals = open(home.path(), &["--context-file", &at]);
    // There has to be something to compare with.
    for terminal in &mut terminals {
        terminal.press("!");
        terminal.shows("CLIENTS WRITE AND READ");
    }
    call.send(()).unwrap();
    visit_all(&mut terminals, STALLED);
    leave(terminals);
    runtime.block_on(demo.shutdown());
}

#[test]
fn the_screens_of_sixty_brokers() {
    let runtime = Hall::open();
    let folder = tempfile::tempdir().unwrap();
    let racks = ["a", "b", "c"].map(str::to_owned);
    let mut config = ClusterConfig::local(60, &racks, folder.path(), 0);
    config.wide = true;
    // Disks of their own: how full the machine's is shall not matter.
    for node in &mut config.nodes {
        node.log_dirs = vec![folder.path().join(format!("broker-{}", node.id.0))];
    }
    let dirs = config.nodes.iter().flat_map(|node| node.log_dirs.clone());
    config.disk = Disk::with_volumes(dirs.map(|dir| (dir, 1 << 30))).unwrap();
    let content = Content {
        topics: 120,
        partitions: 6,
        groups: 20,
    };
    let mut cluster = runtime.block_on(async {
        let cluster = Cluster::start(config).await.unwrap();
        cluster.fill(&content).await.unwrap();
        cluster
    });
    let home = tempfile::tempdir().unwrap();
    let bootstrap = cluster.bootstrap();
    let some: Vec<&str> = bootstrap.split(',').take(3).collect();
    let mut terminals = open(home.path(), &["--bootstrap", &some.join(",")]);
    for terminal in &terminals {
        terminal.shows("60/60");
    }
    runtime.block_on(cluster.kill(NodeId(17)));
    visit_all(&mut terminals, WIDE);
    leave(terminals);
    runtime.block_on(cluster.shutdown());
}

#[test]
fn the_pictures_in_the_docs_are_those_of_the_tour() {
    let wanted: BTreeSet<String> = tours().flat_map(|stop| SIZES.map(|size| file(stop, size))).collect();
    let files = std::fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().file_name());
    let kept: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(
        kept, wanted,
        "AZIMUTH_SCREENS=1 cargo test --test console tour:: writes them"
    );
    let guide = std::fs::read_to_string(folder().join("../guide/screens.md")).unwrap();
    for name in wanted.iter().filter(|name| name.contains("120x40")) {
        assert!(
            guide.contains(&format!("../screens/{name}")),
            "docs/guide/screens.md does not link {name}"
        );
    }
}
