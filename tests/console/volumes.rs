//! Volumes changed with the real binary and the real SDK: the simulated cloud answers with EC2's delays and refusals, and the
//! demo's broker tells of its larger file system.

use std::time::Instant;

use azimuth::demo::Demo;
use azimuth::demo::cloud::{Asked, Fleet, Script};
use serde_json::{Value, json};

use super::PATIENCE;
use super::operations::{Desk, LOOK, Screen};

/// So many times as fast as AWS.
pub(super) const TEMPO: u32 = 60;

pub(super) struct Rig {
    pub(super) demo: Demo,
    pub(super) desk: Desk,
}

impl Rig {
    /// EC2's minutes are seconds.
    pub(super) async fn start() -> Self {
        let demo = Demo::start_at_tempo(None, None, TEMPO).await.unwrap();
        let desk = Desk::in_demo(&demo);
        Self { demo, desk }
    }

    fn script(&self, script: Value) {
        let script: Script = serde_json::from_value(script).unwrap();
        self.demo.cloud().script(&script).unwrap();
    }

    /// Operations with whether they only asked.
    fn calls(&self) -> Vec<(String, bool)> {
        let of = |one: Asked| (one.operation, one.parameters["DryRun"] == "true");
        self.demo.cloud().asked().into_iter().map(of).collect()
    }

    fn count(&self, operation: &str) -> usize {
        let calls = self.calls();
        calls.iter().filter(|(name, dry)| name == operation && !dry).count()
    }

    /// Waits until AWS's plane has told of the volume what is wanted.
    pub(super) async fn shows(&self, volume: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let shown = self.desk.json(&format!("volume show {volume}")).await;
            let row = shown["items"][0].clone();
            if wanted(&row) {
                return row;
            }
            assert!(started.elapsed() < PATIENCE, "{row:#}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

pub(super) fn volume(broker: i32) -> String {
    let fleet = Fleet::of_brokers(6, 1, |_| String::new(), 0);
    fleet.machines[broker as usize - 1].disks[1].id.clone()
}

pub(super) fn instance(broker: i32) -> String {
    let fleet = Fleet::of_brokers(6, 1, |_| String::new(), 0);
    fleet.machines[broker as usize - 1].id.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_volume_grows_and_its_file_system_with_it() {
    let rig = Rig::start().await;
    let id = volume(2);
    rig.shows(&id, |row| row["broker"] == 2).await;
    let shown = rig
        .desk
        .run(&format!("volume modify {id} --size 2 --dry-run"))
        .await
        .ends(0);
    for text in [
        "1→2 GiB",
        "$0.08→$0.16/month",
        "undo: none (a volume cannot shrink)",
        "aws ec2 modify-volume",
        "by ssm: azimuth-grow",
        "✓ permission",
        "✓ modifications",
        "✓ ssm-agent",
    ] {
        assert!(shown.stdout.contains(text), "{text}:\n{}", shown.stdout);
    }
    assert_eq!(rig.calls(), [("ModifyVolume".to_owned(), true)], "only asked about");
    let line = format!("volume modify {id} --size 2 --yes");
    let ran = rig.desk.run(&line).await.ends(0);
    let ran = ran.answers("finished (2 of 2 steps done)");
    assert!(
        ran.stderr.contains("/broker-2/data of broker 2 has 2.1 GB"),
        "{}",
        ran.stderr
    );
    let calls = rig.calls();
    let of = |name: &str, dry| (name.to_owned(), dry);
    let tail = &calls[calls.len() - 3..];
    assert_eq!(
        tail,
        [
            of("ModifyVolume", true),
            of("ModifyVolume", false),
            of("SendCommand", false)
        ],
        "tried, done, and extended: {calls:?}"
    );
    rig.shows(&id, |row| {
        row["size_gib"] == 2 && row["filesystem_percent"].as_f64() > Some(97.0)
    })
    .await;

    // It cannot shrink, and EBS has its bounds.
    let shrink = rig.desk.run(&format!("volume modify {id} --size 1 --dry-run")).await;
    assert_ne!(shrink.status, 0);
    shrink.says("cannot shrink");
    let fast = format!("volume modify {id} --throughput 1000 --dry-run");
    rig.desk.run(&fast).await.says("add --iops 4000");
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_ec2_refuses_or_loses_is_told_or_found_again() {
    let rig = Rig::start().await;
    let id = volume(3);
    rig.shows(&id, |row| row["broker"] == 3).await;
    let faster = format!("volume modify {id} --throughput 250 --yes");

    rig.script(json!({ "deny": "ModifyVolume" }));
    let refused = rig.desk.run(&faster).await.ends(4);
    refused.says("gate permission is closed").says("ec2:ModifyVolume");
    assert_eq!(rig.count("ModifyVolume"), 0);

    // Taken, and answered with an error: it is looked for, and not asked again.
    rig.script(json!({ "recover": true, "lose": "ModifyVolume" }));
    let ran = rig.desk.run(&faster).await.ends(0);
    ran.answers("finished (1 of 1 step done)");
    assert_eq!(rig.count("ModifyVolume"), 1);

    // EC2 takes no other while that goes on.
    rig.script(json!({ "recover": true }));
    let again = format!("volume modify {id} --throughput 500 --yes");
    rig.desk.run(&again).await.ends(4).says("modif");
    rig.shows(&id, |row| row["modification_state"] == "completed").await;

    // And back, as the plan said.
    let operation = rig.desk.json("operation list").await["items"][0]["operation"].clone();
    let undo = format!("operation undo {} --yes", operation.as_str().unwrap());
    rig.desk.run(&undo).await.ends(0).says("125 MiB/s");
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_becomes_a_volume_that_is_attached_and_detached() {
    let rig = Rig::start().await;
    let id = volume(4);
    rig.shows(&id, |row| row["broker"] == 4).await;
    let ran = rig.desk.run("volume snapshot --broker 4 --yes").await.ends(0);
    let ran = ran.answers("finished (1 of 1 step done)");
    let snapshot = ran
        .stderr
        .split("snap-")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let snapshot = format!("snap-{snapshot}");
    let asked = rig.demo.cloud().asked();
    let asked = asked.iter().rfind(|one| one.operation == "CreateSnapshots").unwrap();
    assert_eq!(asked.parameters["InstanceSpecification.ExcludeBootVolume"], "true");
    assert_eq!(
        asked.parameters["InstanceSpecification.InstanceId"],
        instance(4).as_str()
    );
    assert_eq!(asked.parameters["CopyTagsFromSource"], "volume");

    let create = format!("volume create --from-snapshot {snapshot} --broker 4 --yes");
    let ran = rig.desk.run(&create).await.ends(0);
    let made = ran
        .stderr
        .split("vol-0000000ee")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let made = format!("vol-0000000ee{made}");
    let other = rig
        .desk
        .run(&format!("volume attach {made} --broker 2 --yes"))
        .await
        .ends(4);
    other.says("gate zone is closed");
    let attach = format!("volume attach {made} --broker 4 --device /dev/sdg --yes");
    rig.desk.run(&attach).await.ends(0).says("as /dev/sdg");

    // A broker that runs keeps its volumes.
    let detach = format!("volume detach {made} --yes");
    rig.desk
        .run(&detach)
        .await
        .ends(4)
        .says("gate stopped is closed")
        .says("azimuth broker stop 4");
    assert_eq!(rig.count("DetachVolume"), 0);
    rig.desk.run("broker stop 4 --yes").await.ends(0);
    rig.desk.run(&detach).await.ends(0).says("is available");
    rig.desk.run("broker start 4 --yes").await.ends(0);
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_that_dies_over_a_change_does_not_ask_twice() {
    let rig = Rig::start().await;
    let id = volume(5);
    rig.shows(&id, |row| row["broker"] == 5).await;
    // Right before the call, and right behind it.
    for (at, mib) in [(5, 250), (6, 251)] {
        rig.shows(&id, |row| {
            ["completed", ""].contains(&row["modification_state"].as_str().unwrap_or(""))
        })
        .await;
        let before = rig.count("ModifyVolume");
        let line = format!("volume modify {id} --throughput {mib} --yes --context dev");
        let mut command = rig.desk.command("anna", &line);
        command.env("AZIMUTH_TEST_CRASH_AT", at.to_string());
        tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let latest = rig.desk.json("operation list").await["items"][0].clone();
        assert_eq!(latest["state"], "orphaned", "killed at {at}: {latest:#}");
        let resume = format!("operation resume {} --yes", latest["operation"].as_str().unwrap());
        rig.desk
            .run(&resume)
            .await
            .ends(0)
            .answers("finished (1 of 1 step done)");
        assert_eq!(rig.count("ModifyVolume"), before + 1, "killed at {at}");
    }
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn from_the_screens_a_volume_is_modified_and_snapshotted() {
    let rig = Rig::start().await;
    rig.shows(&volume(2), |row| row["broker"] == 2).await;
    let mut screen = Screen::open(&rig.desk, "dev");
    screen.press("5").shows(&volume(2)).await;
    screen.press(&format!("/{}\r", volume(2))).shows("1 of").await;
    screen.press("M").shows("volume modify vol-").await;
    screen.press("\r").shows("1→2 GiB").await;
    screen.shows("cannot shrink").await;
    // The plan ignores keys at first.
    let started = Instant::now();
    while screen.text().contains("PLAN volume modify") {
        assert!(started.elapsed() < PATIENCE, "never left:\n{}", screen.text());
        screen.press("\u{1b}");
        tokio::time::sleep(LOOK).await;
    }
    screen.press("S").shows("volume snapshot:").await;
    screen.apply().await;
    let started = Instant::now();
    while rig.count("CreateSnapshots") == 0 {
        assert!(started.elapsed() < PATIENCE, "nothing was asked");
        tokio::time::sleep(LOOK).await;
    }
    screen.quit().await;
    assert_eq!(rig.count("ModifyVolume"), 0, "a plan that was left changes nothing");
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_relieves_a_disk_is_done_by_its_number() {
    let rig = Rig::start().await;
    let id = volume(2);
    rig.shows(&id, |row| row["broker"] == 2).await;
    let told = rig.desk.json("logdir relieve 2").await;
    let remedies = told["items"][0]["remedies"].as_array().unwrap().clone();
    let at = remedies.iter().position(|one| one["kind"] == "grow").unwrap() + 1;
    let shown = rig
        .desk
        .run(&format!("logdir relieve 2 --apply {at} --dry-run"))
        .await
        .ends(0);
    let shown = shown.says(&format!("volume modify {id} --size"));
    assert!(shown.stdout.contains("PLAN volume modify"), "{}", shown.stdout);
    rig.desk
        .run("logdir relieve 2 --apply 99")
        .await
        .ends(2)
        .says("there is no remedy 99");

    // A volume that grew alone, as by somebody's console, is extended by itself.
    rig.script(json!({ "modify": { "volume": id, "size_gib": 2 } }));
    rig.shows(&id, |row| row["size_gib"] == 2).await;
    let ran = rig.desk.run(&format!("volume extend {id} --yes")).await.ends(0);
    ran.answers("finished (1 of 1 step done)");
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn context_test_names_the_right_that_is_missing_and_the_verbs_that_lack_it() {
    let rig = Rig::start().await;
    rig.shows(&volume(2), |row| row["broker"] == 2).await;
    let rights = async || {
        let told = rig.desk.json("context test dev").await;
        let items = told["items"].as_array().unwrap().clone();
        let rows = items.iter().filter(|one| one["step"] == "aws_rights");
        rows.map(|one| {
            format!(
                "{} {}",
                one["status"].as_str().unwrap(),
                one["detail"].as_str().unwrap()
            )
        })
        .collect::<Vec<String>>()
    };
    let well = rights().await;
    assert_eq!(well.len(), 2, "{well:#?}");
    assert!(well[0].starts_with("pass 16 calls are let through"), "{well:#?}");
    assert!(well[1].starts_with("unknown ssm:SendCommand"), "{well:#?}");
    assert!(
        rig.calls().iter().all(|(_, dry)| *dry),
        "nothing is done: {:?}",
        rig.calls()
    );

    rig.script(json!({ "deny": "DetachVolume" }));
    let missing = rights().await;
    let wanted = "warn ec2:DetachVolume is denied; volume detach, broker replace, volume encrypt need it";
    assert!(missing.iter().any(|line| line == wanted), "{missing:#?}");
    rig.script(json!({ "recover": true, "deny": "DescribeInstanceInformation" }));
    let missing = rights().await;
    let found = missing
        .iter()
        .any(|line| line.starts_with("warn ssm:DescribeInstanceInformation is denied; restart apply"));
    assert!(found, "{missing:#?}");
    rig.demo.shutdown().await;
}
