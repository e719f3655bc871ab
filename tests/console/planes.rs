//! Every view while a part of what it shows is dark: rights that are missing, a broker that is stopped, an AWS that denies,
//! throttles, refuses and keeps silent. Each says what it does not know and why, shows the rest unchanged, and asks for
//! nothing in a loop.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azimuth::feed::Sources;
use azimuth::source::kafka::record::Member;
use azimuth::tui::app::place::Noun;
use futures::StreamExt;
use serde_json::Value;
use strum::IntoEnumIterator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::Instant;

use crate::pty::Terminal;
use crate::security::{Running, Secured};

/// The whole command answers within it; a broker that is silent costs a part of it.
const TIMEOUT: Duration = Duration::from_secs(20);
/// What a busy machine may add to start and end a process.
const SLACK: Duration = Duration::from_secs(20);
/// Commands at a time: each is a process, and there are few cores.
const AT_ONCE: usize = 3;
/// What the second line of a screen says that is still read.
const WAITS: &str = "reading ";
/// How often a view is asked again whose answer a busy machine has spoilt.
const TRIES: usize = 5;

/// Nobody checks them.
const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];

/// Every view's command, with the kind of its answer.
const VIEWS: [(&str, &str); 18] = [
    ("triage", "triage"),
    ("broker list", "broker.list"),
    ("broker show 1", "broker.show"),
    ("topic list", "topic.list"),
    ("topic show orders", "topic.show"),
    ("partition list", "partition.list"),
    ("group list", "group.list"),
    ("group show billing", "group.show"),
    ("volume list", "volume.list"),
    ("logdir list", "logdir.list"),
    ("quorum show", "quorum.show"),
    ("throttle list", "throttle.list"),
    ("reassign list", "reassign.list"),
    ("transaction list", "transaction.list"),
    ("acl list", "acl.list"),
    ("user list", "user.list"),
    ("quota list", "quota.list"),
    ("config list", "config.list"),
];

/// Commands that judge or count: what they say when all is well is theirs to say.
const JUDGED: [(&str, &str); 4] = [
    ("check run", "check.run"),
    ("cost", "cost"),
    ("dashboard", "dashboard"),
    ("whatif restart 2", "whatif.restart"),
];

/// Views of which a part comes from AWS.
const OF_AWS: [&str; 8] = [
    "triage",
    "broker list",
    "broker show 1",
    "volume list",
    "logdir list",
    "check run",
    "cost",
    "dashboard",
];

/// What one command said.
struct Told {
    status: i32,
    document: Value,
    stderr: String,
}

impl Told {
    fn items(&self) -> &[Value] {
        self.document["items"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Every reason for which something is unknown.
    fn reasons(&self) -> Vec<&str> {
        let problems = self.document["problems"].as_array().into_iter().flatten();
        problems.filter_map(|problem| problem["reason"].as_str()).collect()
    }

    /// Those of them for which a right is missing.
    fn denied(&self) -> Vec<&str> {
        let all = self.reasons().into_iter();
        all.filter(|reason| reason.starts_with("denied")).collect()
    }

    /// Whether somebody else than who is dark has not answered in time.
    fn is_spoilt(&self, dark: &[&str]) -> bool {
        self.reasons().iter().any(|reason| {
            let silent = reason.contains("no answer") || reason.contains("unreachable");
            silent && !dark.iter().any(|name| reason.contains(name))
        })
    }

    /// The item of this name.
    fn item(&self, key: &str, name: &Value) -> &Value {
        let found = self.items().iter().find(|item| &item[key] == name);
        found.unwrap_or_else(|| panic!("no {key} {name}: {:#}", self.document))
    }
}

/// Who looks, and from where: a home of its own, and the flags of the target.
struct Seat {
    home: tempfile::TempDir,
    target: Vec<String>,
    /// Commands that were run.
    asked: AtomicUsize,
}

impl Seat {
    fn of(target: &str) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            target: target.split(' ').map(str::to_owned).collect(),
            asked: AtomicUsize::default(),
        }
    }

    /// The same cluster with an AWS plane at this endpoint.
    fn with_aws(secured: &Secured, properties: &str, endpoint: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("contexts.toml");
        let text = format!(
            "[context.dark]\nbootstrap = \"{}\"\ncommand_config = \"{properties}\"\n[context.dark.aws]\n\
             region = \"us-east-1\"\nendpoint_url = \"{endpoint}\"\n",
            secured.bootstrap()
        );
        std::fs::write(&file, text).unwrap();
        Self {
            target: vec!["--context-file".to_owned(), file.display().to_string()],
            asked: AtomicUsize::default(),
            home,
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(line.split(' ')).args(&self.target);
        command.stdin(Stdio::null()).env_clear().kill_on_drop(true);
        command.env("HOME", self.home.path());
        command.envs(KEYS).env("AWS_EC2_METADATA_DISABLED", "true");
        // A build without optimisation has deep frames; cargo's configuration says how large stacks are there.
        command.envs(std::env::var_os("RUST_MIN_STACK").map(|bytes| ("RUST_MIN_STACK", bytes)));
        command
    }

    async fn ask(&self, line: &str, kind: &str) -> Told {
        let began = Instant::now();
        self.asked.fetch_add(1, Ordering::Relaxed);
        let whole = format!("{line} -o json --timeout {}s", TIMEOUT.as_secs());
        let output = tokio::time::timeout(TIMEOUT + SLACK, self.command(&whole).output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("{line}: no answer in {:?}", began.elapsed()))
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let status = output.status.code().unwrap_or(-1);
        let document: Value =
            serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{line}: {error}\n{stdout}{stderr}"));
        assert_eq!(document["kind"], kind, "{line}");
        Told {
            status,
            document,
            stderr,
        }
    }

    /// Asks for these views, a few at a time. Nobody but who is called `dark` may keep silent: on a busy machine one may, and
    /// is asked again.
    async fn visit<'a>(&self, views: &[(&'a str, &'a str)], dark: &[&str]) -> BTreeMap<&'a str, Told> {
        let asked = views.iter().map(|(line, kind)| async move {
            let mut told = self.ask(line, kind).await;
            for _ in 1..TRIES {
                if !told.is_spoilt(dark) {
                    break;
                }
                told = self.ask(line, kind).await;
            }
            (*line, told)
        });
        futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
    }
}

/// What is known of a broker whatever moves meanwhile.
fn facts(broker: &Value) -> [&Value; 6] {
    ["id", "host", "port", "rack", "state", "replicas"].map(|key| &broker[key])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_of_apache_kafka_says_what_it_may_not_or_cannot_see() {
    let Some(secured) = Secured::apache().await else { return };
    let alice = secured.scram("alice", "alice-secret", "SCRAM-SHA-512");
    let dora = secured.scram("dora", "dora-secret", "SCRAM-SHA-256");
    let sam = secured.scram("sam", "sam-secret", "SCRAM-SHA-256");
    secured.orders(&alice).await;
    billing(&secured, &alice).await;
    secured.let_dora_describe().await;
    secured.let_sam_describe_some().await;
    let seat = |properties: &str| {
        Seat::of(&format!(
            "--bootstrap {} --command-config {properties}",
            secured.bootstrap()
        ))
    };
    let (alice_here, dora_here, sam_here) = (seat(&alice), seat(&dora), seat(&sam));

    let healthy = alice_here.visit(&VIEWS, &[]).await;
    for (line, told) in &healthy {
        assert_eq!(told.status, 0, "{line}: {:#}\n{}", told.document, told.stderr);
        assert_eq!(told.document["complete"], true, "{line}: {:#}", told.document);
    }
    for (line, told) in &alice_here.visit(&JUDGED, &[]).await {
        assert!(matches!(told.status, 0 | 1 | 3), "{line}: {}", told.stderr);
    }
    let describing = dora_here.visit(&VIEWS, &[]).await;
    may_only_describe(&healthy, &describing);
    may_describe_some(&sam_here.visit(&VIEWS, &[]).await);
    on_screens(&dora_here, |terminal| every_screen(terminal, &["3/3"], &|_| None)).await;
    on_screens(&sam_here, screens_with_few_rights).await;
    aws_is_dark(&secured, &alice, &healthy).await;

    let Running::Apache(cluster) = &secured.cluster else {
        unreachable!()
    };
    cluster.pause(3, true);
    let (full, partial) = tokio::join!(
        alice_here.visit(&VIEWS, &["broker 3"]),
        dora_here.visit(&VIEWS, &["broker 3"])
    );
    one_is_silent(&healthy, &full);
    one_is_silent_for_who_may_describe(&describing, &full, &partial);
    for (line, told) in &alice_here.visit(&JUDGED, &["broker 3"]).await {
        assert!(matches!(told.status, 1 | 3), "{line}: {:#}", told.document);
    }
    on_screens(&dora_here, |terminal| every_screen(terminal, &["2/3"], &|_| None)).await;
    on_screens(&alice_here, screens_with_one_silent).await;
    cluster.pause(3, false);
    secured.end().await;
}

/// A group that has read what there is.
async fn billing(secured: &Secured, properties: &str) {
    let sources = Sources::of(&secured.context(properties), None).unwrap();
    let member = Member::join(sources.kafka.target(), "billing", &["orders"], &[]).unwrap();
    member.next().await.unwrap();
}

/// Describe on everything: what needs DescribeConfigs is unknown, all else is as it is for whoever may do everything.
fn may_only_describe(healthy: &BTreeMap<&str, Told>, seen: &BTreeMap<&str, Told>) {
    for (line, told) in seen {
        let denied = told.denied();
        for reason in &denied {
            assert!(reason.contains("it needs DescribeConfigs on the"), "{line}: {reason}");
        }
        let whole = denied.is_empty();
        assert_eq!(
            told.status,
            if whole { 0 } else { 3 },
            "{line}: {:#}\n{}",
            told.document,
            told.stderr
        );
        assert_eq!(told.document["complete"], whole, "{line}: {:#}", told.document);
    }
    for line in ["quota list", "config list", "triage"] {
        assert_eq!(seen[line].status, 3, "{line} needs configs: {:#}", seen[line].document);
    }
    assert_eq!(seen["triage"].document["culprit"]["kind"], "none");
    for line in ["quorum show", "logdir list", "acl list", "group list", "reassign list"] {
        let names = |told: &Told| told.items().len();
        assert_eq!(names(&seen[line]), names(&healthy[line]), "{line}");
    }
    for broker in healthy["broker list"].items() {
        assert_eq!(facts(broker), facts(seen["broker list"].item("id", &broker["id"])));
    }
    // Unknown is not 0, nor the default that may have been changed.
    for partition in seen["partition list"].items() {
        assert!(partition["min_isr"].is_null(), "{partition}");
    }
}

/// Describe on one topic and one group: the rest of the cluster is denied, soon, and nothing of it is made up.
fn may_describe_some(seen: &BTreeMap<&str, Told>) {
    for line in [
        "quorum show",
        "logdir list",
        "acl list",
        "user list",
        "quota list",
        "reassign list",
        "triage",
    ] {
        let told = &seen[line];
        assert_eq!(told.status, 3, "{line}: {:#}\n{}", told.document, told.stderr);
        let denied = told.denied();
        assert!(
            denied.iter().any(|reason| reason.contains("; it needs Describe")),
            "{line}: {denied:?}"
        );
        // Nobody is called silent who only refuses.
        for reason in told.reasons() {
            assert!(
                !reason.contains("no answer") && !reason.contains("Session@"),
                "{line}: {reason}"
            );
        }
    }
    for line in ["topic show orders", "group show billing"] {
        assert!(!seen[line].items().is_empty(), "{line}: {:#}", seen[line].document);
    }
    for broker in seen["broker list"].items() {
        assert_eq!(broker["state"], "up", "{broker}");
        assert!(
            broker["disk_used_bytes"].is_null(),
            "its log dirs are not told: {broker}"
        );
    }
    let triage = &seen["triage"].document;
    assert_eq!(
        triage["culprit"]["kind"], "none",
        "what we may not see is nobody's fault: {triage:#}"
    );
}

/// Broker 3 is stopped: everything else is as it was, and broker 3 is named wherever it would have told something.
fn one_is_silent(healthy: &BTreeMap<&str, Told>, seen: &BTreeMap<&str, Told>) {
    for line in [
        "broker list",
        "logdir list",
        "group list",
        "config list",
        "transaction list",
    ] {
        let told = &seen[line];
        assert_eq!(told.status, 3, "{line}: {:#}\n{}", told.document, told.stderr);
        assert!(
            told.document["problems"].to_string().contains("broker 3"),
            "{line}: {:#}",
            told.document["problems"]
        );
    }
    for broker in healthy["broker list"].items() {
        let now = seen["broker list"].item("id", &broker["id"]);
        match broker["id"] == 3 {
            false => assert_eq!(facts(broker), facts(now)),
            true => {
                assert_eq!(now["state"], "unreachable", "{now}");
                assert!(now["disk_used_bytes"].is_null() && now["rtt_ms"].is_null(), "{now}");
            }
        }
    }
    for dir in healthy["logdir list"].items().iter().filter(|dir| dir["broker"] != 3) {
        let here = |other: &&Value| ["broker", "path"].iter().all(|key| other[key] == dir[key]);
        let now = seen["logdir list"].items().iter().find(here);
        assert_eq!(
            now.unwrap_or_else(|| panic!("{dir}"))["total_bytes"],
            dir["total_bytes"]
        );
    }
    for line in ["topic list", "acl list", "user list", "reassign list"] {
        let names = |told: &Told| told.items().len();
        assert_eq!(
            names(&seen[line]),
            names(&healthy[line]),
            "{line}: {:#}",
            seen[line].document
        );
    }
    let triage = &seen["triage"].document;
    assert!(matches!(seen["triage"].status, 1 | 3), "{triage:#}");
    assert_eq!(
        (&triage["culprit"]["kind"], &triage["culprit"]["name"]),
        (&Value::from("broker"), &Value::from("3")),
        "{triage:#}"
    );
}

/// Both at once: what the silent broker does not tell and what the principal may not see are told apart, and the rest is there.
fn one_is_silent_for_who_may_describe(
    describing: &BTreeMap<&str, Told>,
    full: &BTreeMap<&str, Told>,
    seen: &BTreeMap<&str, Told>,
) {
    for (line, told) in seen {
        assert!(
            matches!(told.status, 0 | 1 | 3),
            "{line}: {:#}\n{}",
            told.document,
            told.stderr
        );
        let names = |told: &Told| told.document["problems"].to_string().contains("broker 3");
        assert!(
            names(told) || !names(&full[line]),
            "{line} names the silent broker to who may do everything only: {:#}",
            told.document["problems"]
        );
        let denied = |told: &Told| !told.denied().is_empty();
        assert!(
            denied(told) || !denied(&describing[line]) || names(told),
            "{line}: {:#}",
            told.document["problems"]
        );
        // What it may not see it does not see of those that answer either.
        let most = full[line].items().len().min(describing[line].items().len());
        assert_eq!(told.items().len(), most, "{line}: {:#}", told.document);
    }
    let triage = &seen["triage"].document;
    assert_eq!(
        (&triage["culprit"]["kind"], &triage["culprit"]["name"]),
        (&Value::from("broker"), &Value::from("3")),
        "{triage:#}"
    );
}

/// Goes to every screen that there is: its title, these words in the header, and on some what they are to say.
fn every_screen<'a>(terminal: &mut Terminal, header: &[&str], says: &dyn Fn(Noun) -> Option<&'a str>) {
    let header = |screen: &str| {
        let first = screen.lines().next().unwrap_or_default();
        header.iter().all(|word| first.contains(word))
    };
    terminal.until("knows the planes", header);
    // Records are of a topic, and need no plane but the brokers.
    for noun in Noun::iter().filter(|noun| *noun != Noun::Record) {
        let title = format!("▸ {}", noun.name());
        terminal.press(&format!(":{}\r", noun.name()));
        terminal.until(&format!("shows {}", noun.name()), |screen| {
            let first = screen.lines().next().unwrap_or_default();
            let is_there = !screen.lines().nth(1).unwrap_or_default().contains(WAITS);
            first.contains(&title)
                && header(screen)
                && is_there
                && says(noun).is_none_or(|words| screen.contains(words))
        });
        assert_eq!(terminal.beyond(), [], "{}", noun.name());
    }
}

/// Opens the screens, looks at them, and closes them.
async fn on_screens(seat: &Seat, look: impl FnOnce(&mut Terminal) + Send + 'static) {
    let target = seat.target.clone();
    let screens = tokio::task::spawn_blocking(move || {
        let home = tempfile::tempdir().unwrap();
        let arguments: Vec<&str> = target.iter().map(String::as_str).collect();
        let mut terminal = Terminal::with((120, 40), home.path(), &arguments, &KEYS);
        look(&mut terminal);
        terminal.press("q");
        assert_eq!(terminal.ends(), 0);
    });
    screens.await.unwrap();
}

/// Whoever may describe one topic and one group: each screen says which right is missing, and a refusal is no outage.
fn screens_with_few_rights(terminal: &mut Terminal) {
    terminal.shows("3/3");
    terminal.press("3");
    terminal.shows("orders");
    for noun in ["user", "quota", "quorum", "acl"] {
        terminal.press(&format!(":{noun}\r"));
        terminal.shows("denied");
        terminal.shows("needs Describe");
    }
    terminal.press("1");
    terminal.until("counts nobody as silent", |screen| {
        screen.contains("3/3") && screen.contains("QUORUM") && !screen.contains("stopped answering")
    });
}

/// With broker 3 stopped each screen is there, and the header says how many answer.
fn screens_with_one_silent(terminal: &mut Terminal) {
    every_screen(terminal, &["2/3"], &|noun| {
        Some(match noun {
            Noun::Broker => "unreachable",
            Noun::Topic => "orders",
            Noun::Group => "billing",
            Noun::Triage => "BROKER DOWN",
            Noun::Config => "advertised.listeners",
            Noun::User => "alice",
            Noun::Whatif => "restart 2",
            Noun::Check => "pass",
            _ => return None,
        })
    });
}

/// How an endpoint of AWS misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dark {
    Denied,
    Throttled,
    Silent,
}

impl Dark {
    /// The status and the code of every answer.
    fn answer(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Denied => Some(("403 Forbidden", "UnauthorizedOperation")),
            Self::Throttled => Some(("503 Service Unavailable", "RequestLimitExceeded")),
            Self::Silent => None,
        }
    }
}

/// An endpoint of EC2, STS and CloudWatch, and how often each action was asked for.
async fn endpoint(dark: Dark) -> (String, Arc<Mutex<BTreeMap<String, usize>>>) {
    let asked: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let counts = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counts = Arc::clone(&counts);
            tokio::spawn(async move {
                let mut request = Vec::new();
                loop {
                    let mut bytes = [0; 4096];
                    let Ok(count @ 1..) = stream.read(&mut bytes).await else {
                        return;
                    };
                    request.extend_from_slice(&bytes[..count]);
                    let Some(action) = action(&request) else { continue };
                    *counts.lock().unwrap().entry(action.clone()).or_default() += 1;
                    request.clear();
                    let Some((status, code)) = dark.answer() else { continue };
                    // CloudWatch speaks CBOR, and alarms are only read.
                    let (kind, body) = match action == "DescribeAlarms" {
                        true => {
                            let mut body = Vec::new();
                            let error = BTreeMap::from([("__type", code), ("message", "no")]);
                            ciborium::into_writer(&error, &mut body).unwrap();
                            ("application/cbor\r\nsmithy-protocol: rpc-v2-cbor", body)
                        }
                        false => {
                            let body = format!(
                                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
                                 <Message>no</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
                            );
                            ("text/xml", body.into_bytes())
                        }
                    };
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
                    let told = [head.into_bytes(), body].concat();
                    if stream.write_all(&told).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, asked)
}

/// What a request asks for, once it is whole: an `Action` of the query protocol, or the end of a path (Smithy RPC v2).
fn action(request: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(request);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let length: usize = length.unwrap_or(0);
    // The head is ASCII: it has as many bytes as characters.
    let body = request.get(head.len() + 4..)?.get(..length)?;
    if let Some((_, operation)) = path.split_once("/operation/") {
        return Some(operation.to_owned());
    }
    let body = String::from_utf8_lossy(body);
    let (_, rest) = body.split_once("Action=")?;
    rest.split('&').next().map(str::to_owned)
}

/// Kafka's facts are all there, instances and volumes are unknown with AWS's word for it, and a refusal is no reason to ask
/// again and again.
async fn aws_is_dark(secured: &Secured, properties: &str, healthy: &BTreeMap<&str, Told>) {
    // The others have nothing of AWS, and are looked at with `tests/run --heavy`.
    let all = std::env::var_os("AZIMUTH_HEAVY").is_some();
    let views = VIEWS.into_iter().chain(JUDGED);
    let views: &Vec<(&str, &str)> = &views.filter(|(line, _)| all || OF_AWS.contains(line)).collect();
    // Taken and given back, so that nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut cases = vec![(format!("http://{closed}"), "unreachable", None)];
    for (dark, word) in [
        (Dark::Denied, "denied"),
        (Dark::Throttled, "throttled"),
        (Dark::Silent, "timed out"),
    ] {
        let (url, asked) = endpoint(dark).await;
        cases.push((url, word, Some((dark, asked))));
    }
    let rounds = cases.iter().map(|(url, word, asked)| async move {
        let seat = Seat::with_aws(secured, properties, url);
        let seen = seat.visit(views, &["EC2"]).await;
        let mut wrong = Vec::new();
        for (line, told) in &seen {
            let of_aws = OF_AWS.contains(line);
            match healthy.get(line) {
                Some(well) if !of_aws => {
                    if told.status != 0 || told.items().len() != well.items().len() {
                        wrong.push(format!("{line}: {} {:?}", told.status, told.reasons()));
                    }
                }
                Some(_) if told.status == 3 => {}
                None if matches!(told.status, 0 | 1 | 3) => {}
                _ => wrong.push(format!("{line}: {} {}", told.status, told.stderr)),
            }
            if of_aws && !told.document.to_string().contains(word) {
                wrong.push(format!("{line} does not say so: {:?}", told.reasons()));
            }
            for reason in told.reasons() {
                // What hangs on instances is not asked for where none is known.
                let follows = ["CloudWatch was not asked", "instances is known"];
                let about_aws = reason.contains(word) || follows.iter().any(|words| reason.contains(words));
                let ours = [
                    "seen only once",
                    "no rate yet",
                    "[context.",
                    "no Prometheus endpoints",
                    "no client is told to push",
                ];
                let about_us = ours.iter().any(|words| reason.contains(words));
                if !about_aws && !about_us {
                    wrong.push(format!("{line}: {reason}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{word}: {wrong:#?}");
        for broker in healthy["broker list"].items() {
            let now = seen["broker list"].item("id", &broker["id"]);
            assert_eq!(facts(broker), facts(now), "{word}");
            assert!(now["instance"].is_null(), "{word}: {now}");
        }
        assert_eq!(seen["triage"].document["culprit"]["kind"], "none", "{word}");
        assert_ne!(seen["triage"].document["status"], "fail", "{word}");
        let test = seat.ask("context test", "context.test").await;
        assert_eq!(test.status, 1, "{word}: {:#}", test.document);
        let step = |name: &str| test.item("step", &Value::from(name)).clone();
        assert_eq!(step("aws")["status"], "fail", "{word}");
        assert!(
            step("aws")["detail"].as_str().unwrap().contains(word),
            "{}",
            step("aws")
        );
        // It needs no right, but somebody who answers.
        assert_eq!(step("aws_identity")["status"], "unknown", "{word}");
        if let Some((dark, asked)) = asked {
            // Each command asks once, and once more where that may help.
            let commands = seat.asked.load(Ordering::Relaxed);
            let most = commands * if *dark == Dark::Denied { 1 } else { 2 };
            for (action, count) in &*asked.lock().unwrap() {
                assert!(
                    *count <= most,
                    "{word}: {action} was asked {count} times by {commands} commands"
                );
            }
        }
        let word: &'static str = word;
        let header = match word {
            "denied" | "throttled" => format!("aws ▲ {word}"),
            _ => format!("aws ✖ {word}"),
        };
        on_screens(&seat, move |terminal| {
            every_screen(terminal, &["3/3", header.as_str()], &|noun| {
                Some(match noun {
                    Noun::Broker => "● up",
                    Noun::Topic => "orders",
                    Noun::Group => "billing",
                    Noun::Triage => "EC2",
                    Noun::Config => "advertised.listeners",
                    Noun::Whatif => "restart 2",
                    Noun::Check => "pass",
                    _ => return None,
                })
            });
        })
        .await;
    });
    futures::future::join_all(rounds).await;
}
