//! The command line as scripts meet it: stdout, stderr and exit status of the real binary.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A home of its own for each test, so that no context of the machine is seen.
pub struct Home {
    folder: tempfile::TempDir,
}

pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(line.split_whitespace()).stdin(Stdio::null()).env_clear();
        command.env("HOME", self.folder.path());
        command
    }

    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn run(&self, line: &str) -> Ran {
        Ran::of(self.command(line).output().unwrap())
    }

    pub fn contexts(&self) -> PathBuf {
        self.folder.path().join(".config/azimuth/contexts.toml")
    }

    fn with_contexts(text: &str) -> Self {
        let home = Self::new();
        std::fs::create_dir_all(home.contexts().parent().unwrap()).unwrap();
        std::fs::write(home.contexts(), text).unwrap();
        home
    }
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The envelope, after a look at what every envelope holds.
    pub fn envelope(&self, kind: &str) -> Value {
        let envelope: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{}{}", self.stdout, self.stderr));
        assert_eq!(envelope["azimuth"], 1);
        assert_eq!(envelope["kind"], kind);
        envelope
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/console/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a read on a capture.
fn read(line: &str, capture: &str) -> Ran {
    Home::new().run(&format!("{line} --from {}", fixture(capture)))
}

#[test]
fn every_read_of_a_healthy_cluster_exits_0_in_every_form() {
    let reads = [
        "broker list",
        "broker show 1",
        "broker config 1",
        "topic list",
        "topic show orders clicks",
        "partition list",
        "group list",
        "group show billing",
        "group lag billing",
        "group lag --all",
        "volume list",
        "quorum show",
        "logdir list",
        "reassign list",
    ];
    for line in reads {
        for form in ["table", "wide", "json", "yaml", "csv", "name"] {
            let ran = read(&format!("{line} -o {form}"), "all-well");
            assert_eq!(ran.status, 0, "{line} -o {form}\n{}", ran.stderr);
        }
    }
}

#[test]
fn triage_names_the_culprit_and_what_not_to_do_and_says_no() {
    let ran = read("triage -o json", "broker-4-stalled");
    let document = ran.envelope("triage");
    assert_eq!(
        ran.status, 1,
        "a no that was seen outranks what was not: {}",
        ran.stderr
    );
    assert_eq!(
        (&document["status"], &document["complete"]),
        (&Value::from("fail"), &Value::from(false))
    );
    assert_eq!(document["culprit"]["kind"], "volume");
    assert_eq!(document["culprit"]["name"], "vol-00000000000000004");
    let names: Vec<&str> = document["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["name"].as_str().unwrap())
        .collect();
    let order = [
        "headline", "where", "who", "quorum", "disk", "limits", "changed", "hurt", "next", "dont",
    ];
    assert_eq!(names, order);
    assert_eq!(document["dont"][0]["action"], "restart broker 4");
    let next = document["next"].as_array().unwrap();
    assert!(
        !next.is_empty() && next.iter().all(|step| step["action"] != "broker start 4"),
        "{next:?}"
    );
    for form in ["table", "wide", "yaml"] {
        let ran = read(&format!("triage -o {form}"), "broker-4-stalled");
        assert!(
            ran.status == 1 && ran.stdout.contains("WRITES AND READS FAIL"),
            "{form}: {}",
            ran.stdout
        );
    }
    assert_eq!(read("triage -o csv", "broker-4-stalled").status, 2);
    assert_eq!(read("triage --watch", "broker-4-stalled").status, 2);
}

#[test]
fn triage_of_a_cluster_that_was_not_seen_is_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let ran = Home::new().run(&format!("triage --bootstrap {address} --timeout 3s"));
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("NO BROKER ANSWERS"), "{}", ran.stdout);
    assert!(ran.stdout.contains("NEXT    1 context test"), "{}", ran.stdout);
    // It did not take the time that it was given.
    assert!(!ran.stdout.contains("no answer within"), "{}", ran.stdout);
}

#[test]
fn a_broker_that_does_not_answer_leaves_part_of_the_answer_and_3() {
    let ran = read("broker list -o json", "broker-4-stalled");
    let envelope = ran.envelope("broker.list");
    assert_eq!(ran.status, 3);
    assert_eq!(envelope["context"], "prod-eu");
    assert_eq!(envelope["cluster_id"], "MkU3OEVBNTcwNTJENDM2Qg");
    assert_eq!(envelope["taken_at"], "2026-11-23T21:04:00Z");
    assert_eq!(envelope["complete"], false);
    let brokers = envelope["items"].as_array().unwrap();
    assert_eq!(brokers.len(), 6);
    let four = brokers.iter().find(|broker| broker["id"] == 4).unwrap();
    assert_eq!(four["state"], "unreachable");
    assert_eq!(four["disk_used_percent"], Value::Null);
    assert_eq!(four["isr_misses"], 1);
    assert_eq!(four["instance"], "i-00000000000000004");
    assert_eq!(four["volumes"][0], "vol-00000000000000004");
    let problems = envelope["problems"].to_string();
    assert!(
        problems.contains("disk_used_percent") && problems.contains("no answer within 2000 ms"),
        "{problems}"
    );
}

#[test]
fn the_shapes_that_scripts_lean_on_hold() {
    let has = |value: &Value, keys: &[&str]| {
        for key in keys {
            assert!(value.get(key).is_some(), "{key} in {value}");
        }
    };
    let first = |line: &str, kind: &str| {
        read(&format!("{line} -o json"), "broker-4-stalled").envelope(kind)["items"][0].clone()
    };
    has(
        &first("broker list", "broker.list"),
        &[
            "id",
            "host",
            "port",
            "rack",
            "az_id",
            "state",
            "is_controller",
            "leaders",
            "replicas",
            "isr_misses",
            "instance",
            "volumes",
        ],
    );
    let topic = first("topic show orders", "topic.show");
    let partition = ["partition", "leader", "replicas", "isr", "adding", "removing"];
    has(&topic["partitions"][2], &partition);
    assert_eq!(topic["partitions"][2]["adding"], serde_json::json!([2]));
    let row = first("partition list", "partition.list");
    has(&row, &partition);
    has(&row, &["topic"]);
    has(
        &first("group list", "group.list"),
        &["group", "state", "protocol", "members", "lag_records"],
    );
    assert_eq!(first("group list", "group.list")["lag_records"], 300);
}

#[test]
fn partition_filters_find_what_they_name_and_finding_is_no_failure() {
    let names = |flags: &str| {
        let ran = read(&format!("partition list {flags} -o name"), "broker-4-stalled");
        assert_eq!(ran.status, 0, "{flags}: {}", ran.stderr);
        ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names("--offline"), ["audit:0"]);
    assert_eq!(names("--under-replicated"), ["orders:1"]);
    assert_eq!(names("--offline --under-replicated"), ["audit:0", "orders:1"]);
    assert_eq!(names("--rack-violation"), ["clicks:0"]);
    assert_eq!(names("--leader-not-preferred --topic ^orders$"), ["orders:1"]);
    assert_eq!(names("--broker 4"), ["audit:0", "orders:1"]);
    assert_eq!(names("--under-min-isr --topic orders"), Vec::<String>::new());
}

#[test]
fn what_is_not_there_is_a_no_with_the_nearest_name() {
    let ran = read("topic show ordres", "all-well");
    assert_eq!(ran.status, 1);
    assert_eq!(ran.stderr, "azimuth: there is no topic ordres; did you mean orders?\n");
    assert!(ran.stdout.is_empty());
    assert_eq!(read("broker show 99", "all-well").status, 1);
    // It may merely not have been seen.
    assert_eq!(read("volume show vol-1", "broker-4-stalled").status, 3);
}

#[test]
fn what_was_not_seen_has_an_envelope_too() {
    let home = Home::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for noun in ["broker", "topic", "group"] {
        let ran = home.run(&format!("{noun} show 4 --bootstrap {nobody} --timeout 5s -o json"));
        assert_eq!(ran.status, 3, "{}", ran.stderr);
        let answer = ran.envelope(&format!("{noun}.show"));
        assert_eq!(answer["complete"], false);
        assert_eq!(answer["items"].as_array().map(Vec::len), Some(0));
        let problems = answer["problems"].as_array().unwrap();
        assert!(
            problems.iter().any(|one| one["subjects"][0] == "the cluster"),
            "{answer:#}"
        );
        let itself = problems
            .iter()
            .find(|one| one["subjects"][0] == format!("{noun} 4").as_str());
        assert!(
            itself.is_some_and(|one| one["reason"].as_str().unwrap().contains("was not seen")),
            "{answer:#}"
        );
        assert!(
            ran.stderr.contains("was not seen, and not everything was"),
            "{}",
            ran.stderr
        );
        let table = home.run(&format!("{noun} show 4 --bootstrap {nobody} --timeout 5s"));
        assert_eq!((table.status, table.stdout.as_str()), (3, ""));
    }
}

#[test]
fn usage_and_settings_are_2_and_say_the_way_out() {
    let home = Home::new();
    let cases = [
        ("brokr list", "unrecognized subcommand"),
        ("broker list --frm x", "unexpected argument"),
        ("broker show x", "invalid value"),
        ("group lag", "required"),
        ("broker list", "azimuth context add"),
        ("broker list --bootstrap nowhere", "HOST:PORT"),
        ("broker list --context a --bootstrap b:1", "two targets"),
        ("broker list --context-file /none.toml", "no context file /none.toml"),
        ("broker list --from /none.json", "/none.json"),
        ("broker list --from 25:99", "write a time in UTC"),
        ("replay --from 25:99 -o md", "a file of this name is ./25:99"),
        (
            "broker list --bootstrap b:1 -X ssl.ca.location=/x",
            "-X: ssl.ca.location",
        ),
        ("partition list --topic ( --bootstrap b:1", "--topic"),
        ("", "a terminal"),
    ];
    for (line, wanted) in cases {
        let ran = home.run(line);
        assert_eq!(ran.status, 2, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(wanted), "{line}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{line}: {}", ran.stdout);
    }
}

#[test]
fn help_version_and_completions_are_answers() {
    let home = Home::new();
    for (line, wanted) in [
        ("--version", "azimuth "),
        ("--help", "Exit status:"),
        ("partition list --help", "Examples:"),
        ("completions bash", "complete"),
        ("completions zsh", "#compdef azimuth"),
    ] {
        let ran = home.run(line);
        assert_eq!(ran.status, 0, "{line}");
        assert!(ran.stdout.contains(wanted), "{line}: {}", ran.stdout);
    }
}

#[test]
fn of_several_contexts_none_is_guessed() {
    let home = Home::with_contexts("[context.a]\nbootstrap = \"a:1\"\n[context.b]\nbootstrap = \"b:1\"\n");
    let ran = home.run("broker list");
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr,
        "azimuth: several contexts; choose one with --context: a, b\n"
    );
    let ran = home.run("context list -o json");
    let items = ran.envelope("context.list")["items"].clone();
    assert_eq!(items[0]["class"], "prod");
    assert_eq!(items[0]["changes"], false);
}

#[test]
fn a_fault_in_the_context_file_names_the_line() {
    let home = Home::with_contexts("[context.a]\nbootstrap = \"a:1\"\nclas = \"dev\"\n");
    let ran = home.run("context list");
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr
            .contains("contexts.toml:3: unknown name `clas`; did you mean `class`?"),
        "{}",
        ran.stderr
    );
}

#[test]
fn context_add_writes_a_file_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let ran = home.run("context add dev --bootstrap 127.0.0.1:9092 --class dev --changes --region eu-west-1");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let mode = std::fs::metadata(home.contexts()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = home.run("context show -o json").envelope("context.show");
    assert_eq!(shown["items"][0]["changes"], true);
    assert_eq!(shown["items"][0]["aws_region"], "eu-west-1");
    assert_eq!(home.run("context add dev --bootstrap 127.0.0.1:9092").status, 2);
    assert_eq!(
        home.run("context add two --bootstrap 127.0.0.1:9092 --dry-run").status,
        0
    );
    assert!(!std::fs::read_to_string(home.contexts()).unwrap().contains("two"));
}

#[test]
fn a_dead_cluster_is_answered_within_the_timeout() {
    // It accepts and never answers, as a stalled broker does.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!(
        "broker list --bootstrap {} --timeout 1s -o json",
        silent.local_addr().unwrap()
    );
    let started = Instant::now();
    let ran = Home::new().run(&line);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    let envelope = ran.envelope("broker.list");
    assert_eq!(envelope["complete"], false);
    assert_eq!(envelope["items"], serde_json::json!([]));
    assert!(!envelope["problems"].as_array().unwrap().is_empty());
}

#[test]
fn context_test_names_the_step_that_fails() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = Home::new().run(&format!("context test --bootstrap {closed} --timeout 5s -o json"));
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let items = ran.envelope("context.test")["items"].clone();
    assert_eq!(
        (&items[0]["step"], &items[0]["status"]),
        (&"resolve".into(), &"pass".into())
    );
    assert_eq!(
        (&items[1]["step"], &items[1]["status"]),
        (&"connect".into(), &"fail".into())
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = Home::new()
        .command(&format!("partition list -o json --from {}", fixture("all-well")))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn csv_has_a_header_and_a_row_for_each_item() {
    let ran = read("partition list -o csv", "all-well");
    let mut lines = ran.stdout.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("topic,partition,leader,replicas,isr,")
    );
    assert!(ran.stdout.contains("\norders,1,4,4 6 2,4 6 2,"), "{}", ran.stdout);
    assert_eq!(lines.count(), 6);
}
