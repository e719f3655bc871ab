//! What is over: captures that hold no secret and open where there is nothing else, and a drill that was recorded and is
//! replayed as it was shown.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use azimuth::check::{self, Triage};
use azimuth::demo::{Begin, Demo, Drill};
use azimuth::feed::past::Past;
use azimuth::feed::{Cadence, Feed, Sources, capture};
use azimuth::model::cloud::{Event, Instance};
use azimuth::model::config::{Config, ConfigSource, Synonym};
use azimuth::model::event::{Event as Change, EventKind, Events};
use azimuth::model::group::{Commit, Member};
use azimuth::model::row::Rows;
use azimuth::model::{Moment, Observed, Snapshot, Trouble, need};
use azimuth::settings::Paths;
use azimuth::settings::target::{self, Asked};
use azimuth::tui;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::PATIENCE;
use crate::drills::GROUND;
use crate::fixture;
use crate::harness::Console;
use crate::pty::Terminal;
use crate::scripts::Home;

/// Every one is planted somewhere, and must be nowhere afterwards.
const SECRETS: [&str; 11] = [
    "hunter2-jaas",
    "hunter2-store",
    "hunter2-plugin",
    "hunter2-synonym",
    "hunter2-metadata",
    "hunter2-tag",
    "hunter2-url",
    "hunter2-event",
    "hunter2-reason",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
];

fn config(name: &str, value: &str, sensitive: bool) -> Config {
    Config {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source: ConfigSource::StaticBroker,
        sensitive,
        read_only: false,
        documentation: None,
        synonyms: vec![Synonym {
            name: name.to_owned(),
            value: Some(value.replace("hunter2-plugin", "hunter2-synonym")),
            source: ConfigSource::StaticBroker,
        }],
    }
}

/// A cluster whose people keep secrets wherever a snapshot has room for text of theirs.
fn planted() -> Snapshot {
    let mut snapshot = fixture::snapshot();
    let jaas =
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"n\" password=\"hunter2-jaas\";";
    let configs = vec![
        config("listener.name.client.plain.sasl.jaas.config", jaas, true),
        config("ssl.keystore.password", "hunter2-store", true),
        // What a broker does not know it calls not sensitive, in versions that do not know better.
        config("my.plugin.api-key", "hunter2-plugin", false),
        config("my.plugin.registry", "https://bob:hunter2-url@registry:8081", false),
    ];
    snapshot
        .broker_configs
        .insert(1, Observed::fresh(configs, fixture::now()));
    let mut groups = Vec::clone(snapshot.groups.value.as_ref().unwrap());
    let group = Arc::make_mut(&mut groups[0]);
    group.members.push(Member {
        id: "app-AKIAIOSFODNN7EXAMPLE-1".to_owned(),
        instance: Some("token-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned()),
        client: "app password=hunter2-tag".to_owned(),
        host: "10.0.0.9".to_owned(),
        assignment: Vec::new(),
    });
    group.commits.push(Commit {
        topic: "zz".into(),
        partition: 0,
        offset: 1,
        metadata: "hunter2-metadata".into(),
    });
    snapshot.groups = Observed::fresh(groups, fixture::now());
    let instance = Instance {
        id: "i-secret".to_owned(),
        tags: BTreeMap::from([
            ("DbPassword".to_owned(), "hunter2-tag".to_owned()),
            (
                "UserData".to_owned(),
                "#!/bin/sh\nexport AWS_SECRET_ACCESS_KEY=hunter2-tag\n".to_owned(),
            ),
            ("Key".to_owned(), "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("Name".to_owned(), "kafka-1".to_owned()),
        ]),
        events: vec![Event {
            code: "system-reboot".to_owned(),
            description: "ask for password: hunter2-event".to_owned(),
            not_before: None,
            deadline: None,
        }],
        ..Instance::default()
    };
    let zone = BTreeMap::from([(instance.id.clone(), instance)]);
    snapshot
        .cloud
        .instances
        .insert("z".to_owned(), Observed::fresh(zone, fixture::now()));
    let mut failing = Observed::default();
    failing.fail(Trouble::Denied, "https://u:hunter2-reason@idp refused", fixture::now());
    snapshot.users = failing;
    let mut events = Events::default();
    let text = "set sasl.jaas.config password=\"hunter2-event\"";
    events.push(Change::new(fixture::now(), EventKind::Config, "broker 1", text, 1));
    snapshot.events = Arc::new(events);
    snapshot
}

#[test]
fn a_capture_holds_none_of_the_secrets_that_people_left_about() {
    let planted = planted();
    let before = serde_json::to_string(&planted).unwrap();
    for secret in SECRETS {
        assert!(before.contains(secret), "{secret} is not planted");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.json");
    capture::save(&path, &planted).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in the capture");
    }
    assert!(
        text.contains("‹hidden›") && text.contains("kafka-1"),
        "the rest is there"
    );
    let loaded = capture::load(&path).unwrap();
    assert_eq!(loaded.topics, planted.topics);
    assert_eq!(loaded.links, planted.links);
}

/// A capture in a folder of its own, as it comes from another machine.
fn sent() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sent.json.zst");
    capture::save(&path, &fixture::snapshot()).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

/// What a read is asked about, as the fixture has it.
fn line(verb: &str) -> Option<String> {
    let more = match verb {
        "broker show" | "broker config" => " 1",
        "topic show" => " orders",
        "group show" | "group lag" => " billing",
        "volume show" => " vol-07a3f44b2c9e3",
        "logdir show" | "logdir relieve" => " 3",
        "config show" => " num.io.threads",
        "acl explain" => " --principal User:billing --operation read --topic orders",
        "whatif az-loss" => " euw1-az1",
        "whatif restart" => " 1",
        // They look at two clusters, at records, or on until something becomes true.
        "context diff" | "mirror list" | "record read" | "record tail" | "recorder" | "acl diff" => return None,
        "wait healthy" | "wait lag" | "wait isr" | "wait reassigned" | "wait quiet" | "wait mirrored" => return None,
        // Names are asked for where they are.
        "dns show" => return None,
        // The way from a capture to another.
        "capture save" => return None,
        // A plan is made for a cluster, whose rules and lock it needs.
        "restart plan" | "reassign plan" => return None,
        _ => "",
    };
    Some(format!("{verb}{more}"))
}

/// No cluster, no AWS, no settings: not even a home.
#[test]
fn every_read_answers_from_a_capture_where_there_is_nothing_else() {
    let (folder, path) = sent();
    let mut answered = 0;
    for verb in need::NEEDS.iter().filter(|need| !need.changes).map(|need| need.verb) {
        let Some(line) = line(verb) else { continue };
        let ran = Command::new(env!("CARGO_BIN_EXE_azimuth"))
            .args(line.split_whitespace())
            .args(["--from", &path, "-o", "json"])
            .env_clear()
            .env("HOME", folder.path().join("nothing"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (told, talk) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        let status = ran.status.code().unwrap();
        // The cluster of the capture is ill, so that some say no, and not all of it was seen.
        assert!(matches!(status, 0 | 1 | 3), "{line}: {status}\n{talk}");
        let envelope: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{line}: {told}{talk}"));
        assert_eq!(envelope["cluster_id"], "lkc-3f9Qx2TsRfKQ", "{line}");
        answered += 1;
    }
    assert!(answered > 25, "{answered}");
}

#[test]
fn a_capture_opens_in_every_screen_and_says_that_it_is_one() {
    let (folder, path) = sent();
    let home = folder.path().join("nothing");
    std::fs::create_dir(&home).unwrap();
    let mut screen = Terminal::sized((120, 40), &home, &["--from", &path]);
    screen.shows("CAPTURE 2026-11-22 21:04:29Z");
    let keys = [
        ("1", "▸ triage"),
        ("2", "▸ broker"),
        ("3", "▸ topic"),
        ("4", "▸ group"),
        ("5", "▸ volume"),
        ("7", "▸ check"),
        ("8", "▸ acl"),
        ("9", "▸ config"),
        ("0", "▸ context"),
    ];
    for (key, shown) in keys {
        screen.press(key);
        screen.shows(shown);
        screen.shows("CAPTURE 2026-11-22 21:04:29Z");
    }
    for noun in [
        "quorum",
        "throttle",
        "reassignment",
        "transaction",
        "whatif",
        "logdir",
        "cost",
        "user",
        "quota",
    ] {
        screen.press(&format!(":{noun}\r"));
        screen.shows(&format!("▸ {noun}"));
    }
    screen.press("q");
    assert_eq!(screen.ends(), 0);
}

fn judge(snapshot: &Snapshot, now: Moment) -> Triage {
    Triage::without_acts(snapshot, &Rows::of(snapshot, now), now)
}

/// Without how long groups are behind: a recording knows moments to the millisecond, so that a second may be another.
fn settled(text: &str) -> String {
    let behind = regex::Regex::new(r"[~>]?\d+ \w+ behind").unwrap();
    behind.replace_all(text, "behind").into_owned()
}

/// Whether the finding of a drill is among the steps, and not the last thing that is.
fn recorded(id: &str, paths: &Paths) -> bool {
    let Ok(past) = Past::of_cluster(id, paths, None, None) else {
        return false;
    };
    let (first, steps) = (past.steps().iter().position(|step| step.finding), past.steps().len());
    first.is_some_and(|first| first + 1 < steps)
}

/// A broker of the demo is killed while a console looks on and records. What triage said then of each snapshot is what it says
/// of the same step of the recording: through the library, through the command, and on the screens.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_replayed_as_it_was_shown() {
    let _room = GROUND.acquire().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    // As the command finds them by XDG_STATE_HOME.
    let paths = Paths {
        config: home.path().join("config/azimuth"),
        state: home.path().join("state/azimuth"),
        cache: home.path().join("cache/azimuth"),
    };
    let (call, called) = oneshot::channel::<()>();
    let begin = Begin::When(Box::pin(async move {
        // Who does not call ends the demo.
        let _ = called.await;
    }));
    let drill = Drill::parse("broker-down").unwrap();
    let demo = Demo::start(Some((drill, begin)), None).await.unwrap();
    let asked = Asked {
        context_file: Some(demo.context_file().to_owned()),
        ..Asked::default()
    };
    let context = target::resolve(&asked, &paths).unwrap();
    let id = context.cluster_id.clone().unwrap();
    let sources = Sources::of(&context, None).unwrap().recorded(&context, &paths);
    let feed = Feed::start(sources, Cadence::default());
    let mut published = feed.snapshots();
    let mut shown: BTreeMap<Moment, Arc<Snapshot>> = BTreeMap::new();
    let mut findings = check::Findings::default();
    let (began, mut call, mut found, mut last) = (Instant::now(), Some(call), None, Instant::now());
    loop {
        assert!(began.elapsed() < PATIENCE, "the drill was not found in {PATIENCE:?}");
        let _ = tokio::time::timeout(Duration::from_secs(1), published.changed()).await;
        let snapshot = published.borrow_and_update().clone();
        let Some(at) = snapshot.taken_at else { continue };
        shown.insert(at, Arc::clone(&snapshot));
        if last.elapsed() >= Duration::from_millis(500) {
            last = Instant::now();
            let judged = tokio::task::spawn_blocking(move || judge(&snapshot, at)).await.unwrap();
            findings
                .news(&judged, at)
                .into_iter()
                .for_each(|event| feed.note(event));
            if judged.causes.iter().any(|cause| cause.rule == "broker-down") {
                found.get_or_insert_with(Instant::now);
            }
        }
        // What is found within the first seconds is taken to have been there before.
        if began.elapsed() > Duration::from_secs(20)
            && let Some(call) = call.take()
        {
            call.send(()).unwrap();
        }
        // Steps are rarer where writing them is slow.
        if found.is_some() && recorded(&id, &paths) {
            break;
        }
    }
    drop(feed);
    let command = {
        let mut command = Command::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(["replay", "--context-file", &demo.context_file().display().to_string()]);
        command.env_clear().env("HOME", home.path());
        command.env("XDG_STATE_HOME", home.path().join("state"));
        command.stdin(Stdio::null());
        command
    };
    let replayed = |mut command: Command, form: &'static str| {
        tokio::task::spawn_blocking(move || command.args(["-o", form]).output().unwrap())
    };
    let json = replayed(command, "json").await.unwrap();
    let markdown = {
        let folder = paths.state.join(&id).join("history");
        let mut command = Command::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(["replay", "--from", &folder.display().to_string()]);
        command
            .env_clear()
            .env("HOME", home.path().join("nothing"))
            .stdin(Stdio::null());
        replayed(command, "md").await.unwrap()
    };
    demo.shutdown().await;

    assert!(json.status.success(), "{}", String::from_utf8_lossy(&json.stderr));
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    let steps = told["steps"].as_array().unwrap();
    let mut past = Past::of_cluster(&id, &paths, None, None).unwrap();
    assert_eq!(steps.len(), past.steps().len());
    let mut rules = BTreeSet::new();
    let (mut compared, mut well) = (0, false);
    for (step, told) in steps.iter().enumerate() {
        let replayed = past.look(step).unwrap();
        let at = replayed.taken_at.unwrap();
        let Some(live) = shown.get(&at) else { continue };
        let (live, again) = (judge(live, at), judge(&replayed, at));
        assert_eq!(
            settled(&format!("{again:#?}")),
            settled(&format!("{live:#?}")),
            "step {step} at {at}"
        );
        assert_eq!(told["taken_at"], at.to_string());
        let lines: Vec<String> = live.lines.iter().map(|line| settled(&line.text)).collect();
        let printed = told["lines"].as_array().unwrap();
        let printed: Vec<String> = printed
            .iter()
            .map(|line| settled(line["text"].as_str().unwrap()))
            .collect();
        assert_eq!(printed, lines, "step {step} by the command");
        well |= !live.causes.iter().any(|cause| cause.rule == "broker-down");
        rules.extend(live.causes.iter().map(|cause| cause.rule));
        compared += 1;
    }
    assert!(
        compared >= 3 && compared * 2 >= steps.len(),
        "{compared} of {} steps were compared",
        steps.len()
    );
    assert!(well, "no step before the drill was compared");
    // It opens with brokers that have answered, or not.
    let first = past.look(0).unwrap();
    let brokers = &first.cluster.get().unwrap().brokers;
    assert!(
        brokers.iter().all(|broker| first.links.contains_key(&broker.id)),
        "{:?}",
        first.links
    );
    assert!(rules.contains("broker-down"), "{rules:?}");
    let text = String::from_utf8(markdown.stdout).unwrap();
    assert!(text.starts_with("# Timeline of demo\n"), "{text}");
    assert!(
        text.contains("| finding | broker-down: broker ") && text.contains(" found |"),
        "{text}"
    );
    assert!(text.contains("| triage | ✖ "), "{text}");

    // The screens go through the same steps, and say so.
    let marked = past.steps().iter().rposition(|step| step.finding);
    let marked = marked.unwrap_or_else(|| panic!("no finding is marked in {:?}", past.steps()));
    let all = past.steps().len();
    let past_findings = past.steps().iter().filter(|step| step.finding).count();
    let mut screens = Console::on(tui::past::console(past, 0).unwrap(), (120, 40)).await;
    screens.press("1").await;
    screens
        .shows(&format!("Z 1/{all}"))
        .shows("REPLAY 20")
        .hides("READ-ONLY");
    screens.press(">").await.shows(&format!("Z 2/{all}"));
    screens.press("<").await.shows(&format!("Z 1/{all}"));
    screens.press("<").await.shows("this is the first step");
    // To the last finding, and no further.
    for _ in 0..=past_findings {
        screens.press("n").await;
    }
    screens.shows("nothing was found or over after this step");
    screens.shows(&format!("Z {}/{all}", marked + 1));
}

/// A page over HTTP, as a scraper asks for it; `None` where it does not answer.
fn page(address: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_tells_prometheus_and_cloudwatch_and_says_what_that_costs() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let _room = GROUND.acquire().await.unwrap();
    let demo = Demo::start(None, None).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut recorder = tokio::process::Command::new(env!("CARGO_BIN_EXE_azimuth"))
        .args(["recorder", "--metrics", "127.0.0.1:0", "--cloudwatch", "Azimuth"])
        .args(["--context-file", &demo.context_file().display().to_string()])
        .env_clear()
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(recorder.stderr.take().unwrap()).lines();
    let (mut address, mut told) = (None, Vec::new());
    let priced = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(at) = line.strip_prefix("azimuth: metrics at http://") {
                address = at.strip_suffix("/metrics").map(str::to_owned);
            }
            told.push(line.clone());
            if line.contains("a month, us-east-1 list") {
                return;
            }
        }
    };
    let priced = tokio::time::timeout(PATIENCE, priced).await;
    assert!(priced.is_ok(), "{told:?}");
    let address = address.unwrap_or_else(|| panic!("{told:?}"));
    let began = Instant::now();
    // A group's lag is known once its coordinator and the leaders have answered.
    let text = loop {
        let from = address.clone();
        let text = tokio::task::spawn_blocking(move || page(&from))
            .await
            .unwrap()
            .unwrap_or_default();
        if text.contains("azimuth_group_lag_records{") {
            break text;
        }
        assert!(began.elapsed() < PATIENCE, "{text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    for line in [
        "# TYPE azimuth_triage_status gauge",
        "azimuth_triage_status{context=\"demo\",cluster_id=",
        "azimuth_triage_complete{",
        "# HELP azimuth_group_lag_records ",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let put = loop {
        let put = demo
            .cloud()
            .asked()
            .into_iter()
            .find(|asked| asked.operation == "PutMetricData");
        if let Some(put) = put {
            break put.parameters.to_string();
        }
        assert!(began.elapsed() < PATIENCE, "nothing was put");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for word in ["\"Azimuth\"", "TriageStatus", "Findings", "\"demo\""] {
        assert!(put.contains(word), "{word} is not in {put}");
    }
    let pid = rustix::process::Pid::from_raw(recorder.id().unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), recorder.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.code(), Some(0));
    demo.shutdown().await;
}

#[test]
fn the_unit_of_the_recorder_runs_this_program_on_this_context() {
    let home = Home::new();
    assert_eq!(home.run("context add prod-eu --bootstrap 127.0.0.1:1").status, 0);
    let ran = home.run("recorder --context prod-eu --metrics 127.0.0.1:9404 --unit");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let line = ran.stdout.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert!(
        line.contains("recorder --metrics 127.0.0.1:9404 --context prod-eu"),
        "{line}"
    );
    assert!(ran.stdout.contains("Restart=always"), "{}", ran.stdout);
}
