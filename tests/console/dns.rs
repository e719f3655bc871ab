//! Names switched between two clusters with the real binary and the real SDK: the simulated Route 53 answers PENDING, forgets for a
//! moment, throttles and loses answers; engines die over it.

use std::time::Instant;

use azimuth::demo::cloud::{Asked, Fleet, Script, Simulation, dns};
use azimuth_broker::cluster::{Cluster, ClusterConfig};
use serde_json::{Value, json};

use super::PATIENCE;
use super::captured;
use super::operations::{Desk, LOOK, Ran, volumes};

/// Blue, green, the zone that leads to them, and a home with contexts for both.
struct Rig {
    blue: Cluster,
    green: Cluster,
    cloud: Simulation,
    desk: Desk,
    _folders: [tempfile::TempDir; 2],
}

const SWITCH: &str = "dns switch --record bootstrap.demo.internal --weights blue=10,green=90 --green green --yes";

async fn one() -> (Cluster, tempfile::TempDir) {
    let folder = tempfile::Builder::new().prefix("azimuth-one-").tempdir().unwrap();
    let mut config = ClusterConfig::local(1, &["a".to_owned()], folder.path(), 0);
    volumes(&mut config, folder.path());
    (Cluster::start(config).await.unwrap(), folder)
}

impl Rig {
    /// Route 53's minutes pass sixty times as fast.
    async fn start() -> Self {
        let ((blue, first), (green, second)) = (one().await, one().await);
        let cloud = Simulation::start_at_tempo(Fleet::of_brokers(1, 1, |_| String::new(), 0), 60);
        let cloud = cloud.await.unwrap();
        let desk = Desk::of(&blue.bootstrap());
        let context = |name: &str, cluster: &Cluster| {
            format!(
                "[context.{name}]\nbootstrap = \"{}\"\nclass = \"dev\"\nchanges = true\nprobe_topic = \"probe\"\n",
                cluster.bootstrap()
            )
        };
        let aws = format!(
            "[context.dev.aws]\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\nsimulated = true\n",
            cloud.endpoint_url()
        );
        let text = context("dev", &blue) + &aws + &context("green", &green);
        std::fs::write(desk.path(".config/azimuth/contexts.toml"), text).unwrap();
        let rig = Self {
            blue,
            green,
            cloud,
            desk,
            _folders: [first, second],
        };
        for context in ["dev", "green"] {
            for topic in ["probe", "orders"] {
                rig.on(
                    context,
                    &format!("topic create {topic} --partitions 1 --replication-factor 1 --yes"),
                )
                .await;
            }
        }
        rig
    }

    async fn on(&self, context: &str, line: &str) -> Ran {
        self.desk
            .run_as("anna", &format!("{line} --context {context}"))
            .await
            .ends(0)
    }

    fn script(&self, script: Value) {
        let script: Script = serde_json::from_value(script).unwrap();
        self.cloud.handle().script(&script).unwrap();
    }

    /// The batches that were asked for.
    fn batches(&self) -> Vec<String> {
        let asked = self.cloud.handle().asked().into_iter();
        let changes = asked.filter(|one: &Asked| one.operation == "ChangeResourceRecordSets");
        changes
            .map(|one| one.parameters["body"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn weights(&self) -> Vec<(String, i64)> {
        let ran = self.desk.run(&format!("dns show {} -o json", dns::RECORD)).await;
        let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
        let sets = shown["items"].as_array().unwrap().iter();
        sets.map(|set| (set["set"].as_str().unwrap().to_owned(), set["weight"].as_i64().unwrap()))
            .collect()
    }

    /// Waits until the list of record sets, which is behind for a moment, has these.
    async fn has(&self, blue: i64, green: i64) {
        let wanted = [("blue".to_owned(), blue), ("green".to_owned(), green)];
        let started = Instant::now();
        loop {
            let seen = self.weights().await;
            if seen == wanted {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{seen:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A shipped runbook on blue.
    async fn ran(&self, line: &str) -> Ran {
        let line = format!("runbook run {line} --yes --context dev");
        let output = tokio::time::timeout(PATIENCE * 2, self.desk.command("anna", &line).output()).await;
        Ran::of(output.unwrap_or_else(|_| panic!("{line} does not end")).unwrap())
    }

    /// The same, with its process killed at this point.
    async fn killed(&self, line: &str, at: u32) {
        let line = format!("runbook run {line} --yes --context dev");
        let mut command = self.desk.command("anna", &line);
        command.env("AZIMUTH_TEST_CRASH_RUN_AT", at.to_string());
        let output = tokio::time::timeout(PATIENCE * 2, command.output()).await;
        let ran = Ran::of(output.unwrap_or_else(|_| panic!("{line} does not end")).unwrap());
        assert_eq!(ran.status, -1, "not killed at {at}:\n{}\n{}", ran.stdout, ran.stderr);
    }

    async fn latest(&self) -> String {
        let runs = self.desk.json("runbook list --runs").await;
        runs["items"][0]["run"].as_str().unwrap().to_owned()
    }

    /// What became of the latest run, as the page of the guide shows it.
    async fn shown(&self, runbook: &str) {
        let line = format!("runbook show --run {}", self.latest().await);
        let ran = self.desk.run(&line).await.ends(0);
        captured::keep(runbook, &format!("azimuth {line}"), &ran.stdout);
    }

    /// The latest run goes on and comes to its end.
    async fn resumes(&self, answers: &str) {
        let id = self.latest().await;
        let resume = format!("runbook resume {id} {answers} --yes");
        self.desk.run(&resume).await.ends(0).says("finished");
    }

    async fn end(self) {
        self.blue.shutdown().await;
        self.green.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_are_switched_in_one_batch_and_back_from_the_journal() {
    let rig = Rig::start().await;
    rig.has(100, 0).await;
    // Nobody looked at green.
    let blind = SWITCH.replace(" --green green", "");
    rig.desk
        .run(&blind)
        .await
        .ends(4)
        .says("green-probe")
        .says("--green CONTEXT");
    // Green lacks a topic, and a name that is no set is told.
    rig.on("dev", "topic create extra --partitions 1 --replication-factor 1 --yes")
        .await;
    rig.desk.run(SWITCH).await.ends(4).says("same").says("topics extra");
    rig.on(
        "green",
        "topic create extra --partitions 1 --replication-factor 1 --yes",
    )
    .await;
    let odd = SWITCH.replace("green=90", "gren=90");
    rig.desk
        .run(&odd)
        .await
        .ends(4)
        .says("has no set gren, but blue, green");
    rig.desk
        .run(&SWITCH.replace(dns::RECORD, "a.elsewhere.org"))
        .await
        .ends(3)
        .says("no hosted zone");
    assert_eq!(rig.batches(), Vec::<String>::new());

    let shown = rig.desk.run(&SWITCH.replace("--yes", "--dry-run")).await.ends(0);
    for text in [
        "private zone demo.internal",
        "weight 100 → 10",
        "weight 0 → 90",
        "90 % of answers",
        "✓ saved",
        "✓ ttl",
        "✓ green-probe",
        "✓ same",
        "undo: partial",
    ] {
        assert!(shown.stdout.contains(text), "{text}:\n{}", shown.stdout);
    }
    assert_eq!(
        rig.batches(),
        Vec::<String>::new(),
        "there is no DryRun, so nothing is asked"
    );
    let ran = rig.desk.run(SWITCH).await.ends(0);
    ran.says("nobody reads or writes here any more")
        .answers("finished (2 of 2 steps done)");
    let batches = rig.batches();
    assert_eq!(batches.len(), 1, "{batches:#?}");
    assert_eq!(batches[0].matches("<Action>UPSERT</Action>").count(), 2, "{batches:#?}");
    assert!(!batches[0].contains("DELETE"), "{batches:#?}");
    rig.has(10, 90).await;

    // What was written there stays there.
    rig.on("green", "record send orders --value x --yes").await;
    let back = rig.desk.run("dns rollback --dry-run").await.ends(0);
    assert!(
        back.stdout
            .contains("1 record written to green since the switch stays there"),
        "{}",
        back.stdout
    );
    rig.desk
        .run("dns rollback --yes")
        .await
        .ends(0)
        .answers("finished (2 of 2 steps done)");
    rig.has(100, 0).await;
    rig.desk.run("wait quiet --timeout 30s").await.ends(0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_that_dies_over_a_switch_and_answers_that_are_lost_change_nothing_twice() {
    let rig = Rig::start().await;
    let mut at = 3;
    let mut weight = 1;
    // Until it is not killed any more.
    loop {
        let line = SWITCH.replace("blue=10", &format!("blue={weight}"));
        let mut command = rig.desk.command("anna", &format!("{line} --context dev"));
        command.env("AZIMUTH_TEST_CRASH_AT", at.to_string());
        tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let latest = rig.desk.json("operation list").await["items"][0].clone();
        if latest["state"] == "finished" {
            break;
        }
        assert_eq!(latest["state"], "orphaned", "killed at {at}: {latest:#}");
        let resume = format!("operation resume {} --yes", latest["operation"].as_str().unwrap());
        rig.desk
            .run(&resume)
            .await
            .ends(0)
            .answers("finished (2 of 2 steps done)");
        rig.has(weight, 90).await;
        at += 3;
        weight += 1;
    }
    assert!(at > 9, "killed at {at}");

    // Taken, and the answer lost; throttled; changed by somebody else meanwhile.
    rig.script(json!({ "lose": "ChangeResourceRecordSets" }));
    let child = rig
        .desk
        .command(
            "anna",
            &format!("{} --context dev", SWITCH.replace("blue=10", "blue=200")),
        )
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let before = rig.batches().len();
    let started = Instant::now();
    while rig.batches().len() < before + 2 {
        assert!(started.elapsed() < PATIENCE, "not asked again");
        tokio::time::sleep(LOOK).await;
    }
    rig.script(json!({ "recover": true, "throttle": "ChangeResourceRecordSets" }));
    tokio::time::sleep(LOOK).await;
    rig.script(json!({ "recover": true }));
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    Ran::of(output).ends(0).answers("finished (2 of 2 steps done)");
    let batches = rig.batches();
    let last = &batches[before.min(batches.len() - 1)..];
    let same = |body: &String| body.contains("<Weight>200</Weight>") && body.contains("<Weight>90</Weight>");
    assert!(last.iter().all(same), "the same each time: {last:#?}");
    rig.has(200, 90).await;

    rig.script(json!({ "deny": "ChangeResourceRecordSets" }));
    let denied = rig.desk.run(&SWITCH.replace("blue=10", "blue=7")).await.ends(5);
    denied.answers("the policy lacks route53:ChangeResourceRecordSets");
    rig.has(200, 90).await;
    // What is taken back is the last one that was carried out.
    rig.script(json!({ "recover": true }));
    let back = rig.desk.run("dns rollback --dry-run").await.ends(0);
    back.answers("weight 200 →");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_green_lacks_is_a_runbook_and_the_shipped_one_moves_clients_even_when_it_is_killed() {
    let rig = Rig::start().await;
    rig.on(
        "dev",
        "topic create made --partitions 2 --replication-factor 1 --config retention.ms=1000 --yes",
    )
    .await;
    let made = rig
        .desk
        .run_as("anna", "context diff dev green --only topics,configs -o plan")
        .await;
    let made = made.ends(1);
    std::fs::write(rig.desk.path("green.yaml"), &made.stdout).unwrap();
    rig.on("green", "runbook run green.yaml --yes").await;
    let same = rig
        .desk
        .run_as("anna", "context diff dev green --only topics,configs")
        .await;
    assert_eq!(same.status, 0, "{}", same.stdout);

    let run = format!(
        "blue-green --set green=green --set record={} --set soak=1s --set quiet=1s --set patience=2m --answer agreed=yes",
        dns::RECORD
    );
    // Killed right after the first weights were set: they are not set again.
    rig.killed(&run, 17).await;
    rig.resumes("--answer agreed=yes").await;
    rig.has(0, 100).await;
    assert_eq!(rig.batches().len(), 2, "{:#?}", rig.batches());

    // Straight, and back where green is not agreed to.
    rig.desk
        .run("dns switch --record bootstrap.demo.internal --weights blue=100,green=0 --green green --yes")
        .await
        .ends(0);
    rig.has(100, 0).await;
    rig.ran(&run.replace("agreed=yes", "agreed=no")).await.ends(5);
    rig.has(100, 0).await;
    let ran = rig.ran(&run).await.ends(0).says("finished");
    captured::run(&run, &ran);
    rig.has(0, 100).await;
    rig.end().await;
}

/// The active cluster is `green` here, and what MirrorMaker would copy is written by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_runbooks_of_mirrors_and_of_a_restack_go_on_where_they_stopped_or_were_killed() {
    let rig = Rig::start().await;
    rig.has(100, 0).await;
    let (own, copy) = ("retention.ms=86400000", "retention.ms=3600000");
    for (context, config) in [("green", own), ("dev", copy)] {
        let create = "topic create kept --partitions 2 --replication-factor 1 --yes";
        rig.on(context, &format!("{create} --config {config}")).await;
        rig.on(context, "record send orders --value x --yes").await;
    }
    let backup = "mirror-backup --set source=green --set backup=dev --set probe-topic=probe --set patience=2m";
    // A config differs, and nobody has said that it may.
    rig.ran(backup).await.ends(1).says("stopped at differ").says("kept");
    rig.resumes("--answer differ=yes").await;
    let wanted = format!("{backup} --answer differ=yes");
    let ran = rig.ran(&wanted).await.ends(0).says("finished");
    captured::run(&wanted, &ran);

    let failover = format!(
        "standby-failover --set active=green --set record={} --set weights=blue=20,green=100 --set probe-topic=probe \
         --set hold=1s --set patience=2m --answer stopped=yes --answer started=yes",
        dns::RECORD
    );
    // Clients do not run there: the name leads back.
    rig.ran(&failover.replace("started=yes", "started=no")).await.ends(5);
    rig.has(100, 0).await;
    let before = rig.batches().len();
    rig.killed(&failover, 17).await;
    rig.resumes("--answer started=yes").await;
    rig.shown("standby-failover").await;
    rig.has(20, 100).await;
    assert_eq!(rig.batches().len(), before + 1, "switched once: {:#?}", rig.batches());

    let restack = format!(
        "all-active-restack --set record={} --set set-id=green --set restack=./rebuild \
         --set probe-topic=probe --set quiet=1s --set hold=1s --set patience=2m --answer agreed=yes",
        dns::RECORD
    );
    // What rebuilds it fails, and is mended.
    rig.ran(&restack).await.says("stopped at rebuild");
    rig.has(20, 0).await;
    let script = rig.desk.path("rebuild");
    std::fs::write(&script, "#!/bin/sh\necho rebuilt >> acts\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    rig.resumes("").await;
    rig.has(20, 100).await;
    let before = rig.batches().len();
    // Before the question was answered.
    rig.killed(&restack, 9).await;
    rig.resumes("--answer agreed=yes").await;
    rig.shown("all-active-restack").await;
    rig.has(20, 100).await;
    assert_eq!(
        rig.batches().len(),
        before + 2,
        "out once, in once: {:#?}",
        rig.batches()
    );
    assert_eq!(
        std::fs::read_to_string(rig.desk.path("acts")).unwrap().lines().count(),
        2
    );
    rig.end().await;
}
