//! Runbooks with the real binary: files that make sense and files that do not, runs that are killed everywhere and repeat no
//! change, questions, rules of contexts, and every shipped runbook in the demo.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::PATIENCE;
use super::captured;
use super::operations::{Desk, Ran, ours};

/// As anna, in the context that may be changed, with a variable of its environment.
async fn armed(desk: &Desk, line: &str, at: u32) -> Ran {
    let mut command = desk.command("anna", &format!("{line} --context dev"));
    command.env("AZIMUTH_TEST_CRASH_RUN_AT", at.to_string());
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    Ran::of(output.unwrap_or_else(|_| panic!("{line} does not end")).unwrap())
}

async fn latest(desk: &Desk) -> Value {
    desk.json("runbook list --runs").await["items"][0].clone()
}

const WHOLE: &str = "\
azimuth: 1
title: a topic that is made, moved and looked at
parameters:
  name: {about: the topic}
  to: {type: brokers, default: '4,2,3'}
steps:
  - name: make
    command: topic create ${name} --partitions 1 --replication-factor 3
  - name: in-sync
    wait: isr ${name}
    timeout: 60s
  - name: plan
    plan: reassign plan --move ${name}:0=${to}
    expect: any
  - name: move
    when: plan.ok
    apply: plan
  - name: look
    check: topic show ${name}
    outputs:
      replicas: items[0].partitions[0].replicas
  - name: note
    shell: echo \"$REPLICAS\" >> noted
    env: {REPLICAS: '${look.replicas}'}
    repeatable: true
";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_may_be_killed_anywhere_and_repeats_no_change() {
    const STRIDE: u32 = 3;
    let (cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    std::fs::write(desk.path("whole.yaml"), WHOLE).unwrap();
    let mut ends = false;
    let mut at = 1;
    while !ends {
        let name = format!("t{at}");
        armed(&desk, &format!("runbook run whole.yaml --set name={name} --yes"), at).await;
        let run = latest(&desk).await;
        if run.is_null() {
            // Killed before there was a run.
            at += 1;
            continue;
        }
        ends = run["state"] == "finished";
        if !ends {
            assert_eq!(run["state"], "orphaned", "{run:#}");
            let id = run["run"].as_str().unwrap();
            desk.run(&format!("runbook resume {id} --yes"))
                .await
                .ends(0)
                .answers("finished");
        }
        // Made once, moved once, where it was wanted.
        assert_eq!(desk.placement(&name).await, [vec![4, 2, 3]], "killed at {at}");
        let operations = desk.json("operation list").await;
        let about = |operation: &&Value| operation["title"].as_str().is_some_and(|title| title.contains(&name));
        let made: Vec<&Value> = operations["items"].as_array().unwrap().iter().filter(about).collect();
        // It may have been made where it was to be moved.
        let of = |kind: &str| made.iter().filter(|one| one["kind"] == kind).count();
        assert!(
            of("topic.create") == 1 && of("reassign.plan") <= 1,
            "killed at {at}: {made:#?}"
        );
        assert!(
            made.iter().all(|one| one["state"] == "finished"),
            "killed at {at}: {made:#?}"
        );
        at += STRIDE;
    }
    assert!(at > 15, "{at} points");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_checked_runs_are_listed_and_rules_hold() {
    let (cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    std::fs::write(
        desk.path("bad.yaml"),
        "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: brokr list\n",
    )
    .unwrap();
    let bad = desk.run("runbook check bad.yaml").await.ends(1);
    bad.says("bad.yaml:5:12: ").says("brokr").answers("brokr");
    desk.run("runbook run bad.yaml").await.ends(2).says("bad.yaml:5:12: ");
    desk.run("runbook run nothing").await.ends(1).says("no runbook nothing");
    desk.run("runbook run ./nothing.yaml")
        .await
        .ends(2)
        .says("nothing.yaml");

    std::fs::write(desk.path("whole.yaml"), WHOLE).unwrap();
    let shown = desk.json("runbook check whole.yaml").await;
    let steps = shown["items"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 6);
    assert_eq!(steps[3]["changes"], json!(true));
    desk.run("runbook run whole.yaml")
        .await
        .ends(2)
        .says("needs --set name=STRING (the topic)");
    // Nobody may change anything here, and prod wants its name.
    let run = "runbook run whole.yaml --set name=t";
    desk.run_as("anna", &format!("{run} --context viewer --yes"))
        .await
        .ends(4)
        .says("read-only");
    desk.run_as("anna", &format!("{run} --context prod-eu --yes"))
        .await
        .ends(4)
        .says("--confirm");
    desk.run(run).await.ends(4).says("--yes");
    let dry = desk.run(&format!("{run} --dry-run")).await.ends(0);
    dry.answers("would wait")
        .answers("would be skipped, not plan.ok")
        .says("nothing was changed");
    assert_eq!(desk.json("runbook list --runs").await["items"], json!([]));
    assert_eq!(desk.json("operation list").await["items"], json!([]));

    // A user's own hides the shipped one; a question is answered, or waits.
    let own = desk.path(".config/azimuth/runbooks");
    std::fs::create_dir_all(&own).unwrap();
    let asks = "azimuth: 1\ntitle: ours\nsteps:\n  - {name: look, check: quorum show, outputs: {leader: 'items[0].leader'}}\n  \
                - {name: all, when: look.ok, prompt: Go on?}\n  - {name: end, shell: 'echo \"$ANSWER\"', env: {ANSWER: '${all.answer}'}}\n";
    std::fs::write(own.join("az-failure.yaml"), asks).unwrap();
    let listed = desk.json("runbook list").await;
    let ours = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["runbook"] == "az-failure")
        .unwrap();
    assert_eq!(ours["title"], "ours");
    let run = desk.run("runbook run az-failure --yes").await.ends(2).says("Go on?");
    let id = latest(&desk).await["run"].as_str().unwrap().to_owned();
    run.says(&format!("azimuth runbook resume {id}"));
    desk.run(&format!("runbook resume {id} --answer every=yes --yes"))
        .await
        .ends(2)
        .says("it asks all");
    desk.run(&format!("runbook resume {id} --answer all=perhaps --yes"))
        .await
        .ends(2)
        .says("neither yes nor no");
    desk.run(&format!("runbook resume {id} --answer all=no --yes"))
        .await
        .ends(1)
        .says("answered no");
    desk.run(&format!("runbook resume {id} --answer all=yes --yes"))
        .await
        .ends(0)
        .answers("true");
    desk.run(&format!("runbook resume {id} --yes"))
        .await
        .ends(4)
        .says("nothing to resume");
    let shown = desk.json(&format!("runbook show --run {id}")).await;
    let run = &shown["items"][0];
    assert_eq!(run["state"], "finished");
    assert!(run["chain"].as_str().unwrap().starts_with("whole"), "{run:#}");
    assert_eq!(run["steps"].as_array().unwrap().len(), 3);
    cluster.shutdown().await;
}

/// The demo as a process of its own, with an incident.
struct Demo {
    child: Child,
    desk: Desk,
    /// Where its simulated cloud answers.
    aws: String,
}

impl Demo {
    async fn start(drill: Option<&str>) -> Self {
        Self::start_with(&drill.map_or(Vec::new(), |drill| vec!["--drill", drill])).await
    }

    async fn start_with(flags: &[&str]) -> Self {
        let desk = Desk::of("127.0.0.1:1");
        let mut command = Command::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(["demo", "--headless", "--context-file", "demo.toml"]);
        command.args(flags);
        command
            .current_dir(desk.path(""))
            .env("HOME", desk.path(""))
            .env("TMPDIR", desk.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
        let ready = async {
            let mut aws = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.strip_prefix("aws ") {
                    aws = url.to_owned();
                }
                if line.starts_with("context ") {
                    return aws;
                }
            }
            panic!("the demo does not start");
        };
        let aws = tokio::time::timeout(PATIENCE, ready)
            .await
            .expect("the demo does not start");
        Self { child, desk, aws }
    }

    async fn run(&self, line: &str) -> Ran {
        let line = format!("{line} --context-file demo.toml --yes");
        let output = tokio::time::timeout(PATIENCE * 4, self.desk.command("anna", &line).output()).await;
        Ran::of(output.unwrap_or_else(|_| panic!("{line} does not end")).unwrap())
    }

    /// Stops or starts brokers as a service manager would, without asking anybody.
    async fn control(&self, action: &str, brokers: &[i32]) {
        let socket = self.socket();
        for broker in brokers {
            let line = format!("demo --control {socket} --action {action} --broker {broker}");
            let output = tokio::time::timeout(PATIENCE, self.desk.command("anna", &line).output()).await;
            Ran::of(output.unwrap().unwrap()).ends(0);
        }
    }

    /// Where the demo's service manager listens.
    fn socket(&self) -> String {
        let folders = std::fs::read_dir(self.desk.path("")).unwrap().flatten();
        let sockets = folders.map(|folder| folder.path().join("control.sock"));
        let socket = sockets.into_iter().find(|socket| socket.exists()).unwrap();
        socket.display().to_string()
    }

    /// The simulated cloud is told what goes wrong there.
    async fn cloud(&self, script: &str) {
        let url = self.aws.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(url).await.unwrap();
        let request = format!(
            "POST /_script HTTP/1.1\r\nhost: {url}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{script}",
            script.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    }

    async fn end(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let _ = tokio::time::timeout(PATIENCE, self.child.wait()).await;
    }
}

impl Demo {
    /// The shipped runbook, straight.
    async fn straight(&self, line: &str) -> Ran {
        self.run(&format!("runbook run {line}")).await.ends(0).says("finished")
    }

    /// The same, as its page of the guide shows it.
    async fn shown(&self, line: &str) {
        captured::run(line, &self.straight(line).await);
    }

    /// Its process is killed at this point, and another one goes on with it.
    async fn killed(&self, line: &str, at: u32) {
        let mut command = self
            .desk
            .command("anna", &format!("runbook run {line} --context-file demo.toml --yes"));
        command.env("AZIMUTH_TEST_CRASH_RUN_AT", at.to_string());
        let output = tokio::time::timeout(PATIENCE * 4, command.output()).await;
        let ran = Ran::of(output.expect("the run does not end").unwrap());
        assert_eq!(
            ran.status, -1,
            "it is not killed at {at}:\n{}\n{}",
            ran.stdout, ran.stderr
        );
        let id = self.latest().await;
        let answers: Vec<&str> = line.split(" --answer ").skip(1).collect();
        let answers: String = answers.iter().map(|answer| format!(" --answer {answer}")).collect();
        self.run(&format!("runbook resume {id}{answers}"))
            .await
            .ends(0)
            .says("finished");
    }

    async fn latest(&self) -> String {
        let runs = self.run("runbook list --runs -o json").await.ends(0);
        let runs: Value = serde_json::from_str(&runs.stdout).unwrap();
        runs["items"][0]["run"].as_str().unwrap().to_owned()
    }

    /// So many operations of this kind were begun.
    async fn operations(&self, title: &str) -> usize {
        let told = self.run("operation list -o json").await;
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        let titles = told["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["title"].as_str().unwrap_or_default());
        titles.filter(|one| one.contains(title)).count()
    }
}

/// Each shipped runbook once with its process killed in the middle and resumed, once straight, on one demo.
#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_of_a_failed_zone_works_in_the_demo() {
    let _room = super::drills::GROUND.acquire().await.unwrap();
    let demo = Demo::start(Some("zone-down")).await;
    let run = "az-failure --set zone=use1-az2 --set catch-up-rate=50MB --set hold=1s --set patience=3m --answer right-zone=yes \
               --answer lost-until-back=yes";
    // The zone is not back: it rests there, with the leaders moved.
    let rests = demo.run(&format!("runbook run {run} --answer back=no")).await.ends(1);
    rests.says("stopped at back").says("its brokers be started?");
    let id = demo.latest().await;
    demo.cloud(r#"{"recover":true}"#).await;
    // It is killed when a broker has started, and does not start it again.
    let mut command = demo.desk.command(
        "anna",
        &format!("runbook resume {id} --answer back=yes --context-file demo.toml --yes"),
    );
    command.env("AZIMUTH_TEST_CRASH_RUN_AT", "17");
    let killed = tokio::time::timeout(PATIENCE * 4, command.output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(Ran::of(killed).status, -1);
    demo.run(&format!("runbook resume {id}")).await.ends(0).says("finished");
    let shown = demo.run(&format!("runbook show --run {id} -o json")).await;
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let steps = shown["items"][0]["steps"].as_array().unwrap();
    let state = |name: &str| &steps.iter().find(|step| step["step"] == name).unwrap()["state"];
    for step in ["move", "throttle", "start#2", "start#5", "caught-up", "restore", "well"] {
        assert_eq!(state(step), "done", "{step}: {shown:#}");
    }
    let operations = demo.run("operation list -o json").await;
    let operations: Value = serde_json::from_str(&operations.stdout).unwrap();
    assert_eq!(operations["items"].as_array().unwrap().len(), 5, "{operations:#}");

    demo.control("stop", &[2, 5]).await;
    demo.shown(&format!("{run} --answer back=yes")).await;
    demo.end().await;
}

/// The disk is not full in truth: what fills the one of the drill is not Kafka's, so no remedy of records would free it.
#[tokio::test(flavor = "multi_thread")]
async fn the_runbooks_of_disks_snapshots_and_upgrades_work_in_the_demo() {
    let _room = super::drills::GROUND.acquire().await.unwrap();
    let demo = Demo::start(None).await;
    let disk = "disk-filling --set broker=5 --set patience=3m --answer remedy=retention --answer topic=clicks \
                --answer retention=3600000 --answer back=yes";
    // Killed right after the retention was set: it is not set again.
    demo.killed(disk, 21).await;
    assert_eq!(
        demo.operations("retention.ms on topic clicks").await,
        2,
        "set once, taken back once"
    );
    demo.shown(disk).await;
    let grow = "disk-filling --set broker=4 --set patience=3m --answer remedy=grow --answer size=2";
    demo.straight(grow).await;
    assert_eq!(demo.operations("1→2 GiB").await, 1);

    // Killed right after a snapshot was made: it is not made again.
    demo.killed("snapshot-backup --set brokers=3", 11).await;
    assert_eq!(demo.operations("snapshot vol-").await, 1);
    demo.shown("snapshot-backup --set brokers=2").await;

    let roll = "rolling-upgrade --set soak=1s --set hold=1s --set patience=3m --set version=4.1 --answer ready=yes \
                --answer finalize=yes";
    demo.killed(roll, 21).await;
    assert_eq!(demo.operations("6 brokers in 3 zones").await, 1);
    demo.shown(roll).await;

    let socket = demo.socket();
    let azimuth = env!("CARGO_BIN_EXE_azimuth");
    let script = format!(
        "echo $1 >> acts\nfor broker in 1 2 3 4 5 6; do {azimuth} demo --control {socket} --action $1 --broker $broker || exit 1; done\n"
    );
    std::fs::write(demo.desk.path("all"), script).unwrap();
    for action in ["stop", "start"] {
        let path = demo.desk.path(action);
        std::fs::write(&path, format!("#!/bin/sh\nexec /bin/sh ./all {action}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let down = "downtime-upgrade --set stop=./stop --set start=./start --set hold=1s --set patience=3m \
                --set probe-topic=azimuth-probe --set version=9.9 --answer quiet=yes --answer all-new=yes";
    // Killed when the brokers were stopped: nobody knows, somebody looks.
    let mut command = demo
        .desk
        .command("anna", &format!("runbook run {down} --context-file demo.toml --yes"));
    command.env("AZIMUTH_TEST_CRASH_RUN_AT", "17");
    let killed = tokio::time::timeout(PATIENCE * 4, command.output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(Ran::of(killed).status, -1);
    let id = demo.latest().await;
    demo.run(&format!("runbook resume {id}"))
        .await
        .ends(4)
        .says("--done stop");
    let resume = format!("runbook resume {id} --answer all-new=yes");
    demo.run(&format!("{resume} --done stop"))
        .await
        .ends(0)
        .says("finished");
    demo.shown(down).await;
    let acts = std::fs::read_to_string(demo.desk.path("acts")).unwrap();
    assert_eq!(
        acts.split_whitespace().collect::<Vec<_>>(),
        ["stop", "start", "stop", "start"]
    );
    demo.end().await;
}

/// EC2's minutes pass sixty times as fast.
#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread")]
async fn the_runbooks_of_instances_and_volumes_work_in_the_demo() {
    use azimuth::demo::cloud::Fleet;

    let _room = super::drills::GROUND.acquire().await.unwrap();
    let demo = Demo::start_with(&["--clock-factor", "60"]).await;
    let fleet = Fleet::of_brokers(6, 1, |_| String::new(), 0);
    let spare = format!("i-0{:016x}", 0x00c0_ffee_0000_i64 + 90 + Fleet::zone_index(2) as i64);
    let run = |instance: &str| {
        format!(
            "broker-replacement --set broker=2 --set instance={instance} --set hold=1s --set patience=3m --answer agreed=yes"
        )
    };
    // Killed right after the broker had moved: it does not move again.
    demo.killed(&run(&spare), 13).await;
    assert_eq!(demo.operations("broker 2 from").await, 1);
    demo.shown(&run(&fleet.machines[1].id)).await;

    let plain = async |broker: usize| {
        let volume = &fleet.machines[broker - 1].disks[1].id;
        demo.cloud(&format!(r#"{{"plain":"{volume}"}}"#)).await;
    };
    plain(3).await;
    plain(4).await;
    let encrypt = "encrypt-volumes --set hold=1s --set patience=3m --answer left=yes";
    demo.killed(encrypt, 13).await;
    assert_eq!(
        demo.operations("copies that are encrypted").await,
        2,
        "one for each broker"
    );
    plain(5).await;
    demo.shown(encrypt).await;
    demo.end().await;
}
