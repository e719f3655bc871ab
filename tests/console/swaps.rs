//! Brokers that move to another instance with their volumes, and volumes exchanged for encrypted copies, with the real binary on the
//! demo: its simulated cloud moves volumes as EC2 does, and a broker starts only where its volume is.

use std::time::Instant;

use azimuth::demo::Demo;
use azimuth::demo::cloud::{Asked, Fleet, Script};
use serde_json::{Value, json};

use super::PATIENCE;
use super::operations::{Desk, LOOK};

struct Rig {
    demo: Demo,
    desk: Desk,
}

impl Rig {
    /// EC2's minutes pass sixty times as fast.
    async fn start() -> Self {
        let demo = Demo::start_at_tempo(None, None, 60).await.unwrap();
        let desk = Desk::in_demo(&demo);
        Self { demo, desk }
    }

    fn script(&self, script: Value) {
        let script: Script = serde_json::from_value(script).unwrap();
        self.demo.cloud().script(&script).unwrap();
    }

    /// Calls that changed something.
    fn changed(&self) -> Vec<String> {
        let calls = self.demo.cloud().asked().into_iter();
        let done = calls.filter(|one: &Asked| one.parameters["DryRun"] != "true");
        done.map(|one| one.operation).collect()
    }

    async fn shows(&self, broker: i32, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let shown = self.desk.json(&format!("broker show {broker}")).await;
            let row = shown["items"][0].clone();
            if wanted(&row) {
                return row;
            }
            assert!(started.elapsed() < PATIENCE, "{row:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Tries until no gate is closed any more: what was just restarted may still be catching up.
    async fn plan(&self, line: &str) -> String {
        let started = Instant::now();
        loop {
            let ran = self.desk.run(&format!("{line} --dry-run")).await;
            if ran.status == 0 {
                return ran.stdout;
            }
            assert!(started.elapsed() < PATIENCE, "{}\n{}", ran.stdout, ran.stderr);
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn instance(broker: i32) -> String {
    let fleet = Fleet::of_brokers(6, 1, |_| String::new(), 0);
    fleet.machines[broker as usize - 1].id.clone()
}

fn volume(broker: i32) -> String {
    let fleet = Fleet::of_brokers(6, 1, |_| String::new(), 0);
    fleet.machines[broker as usize - 1].disks[1].id.clone()
}

/// The instance that nobody uses in the zone of a broker.
fn spare(broker: i32) -> String {
    format!(
        "i-0{:016x}",
        0x00c0_ffee_0000_i64 + 90 + Fleet::zone_index(broker) as i64
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_moves_with_its_volume_and_back_and_an_engine_may_die_over_any_step() {
    let _room = super::drills::GROUND.acquire().await.unwrap();
    let rig = Rig::start().await;
    let (old, new) = (instance(2), spare(2));
    rig.shows(2, |row| row["instance"] == old.as_str()).await;
    let line = format!("broker replace 2 --instance {new}");
    // The wrong zone, and one that is somebody's.
    for (id, gate) in [(spare(1), "zone"), (instance(5), "free")] {
        let refused = rig.desk.run(&format!("broker replace 2 --instance {id} --yes")).await;
        refused.ends(4).says(&format!("gate {gate} is closed"));
    }
    let shown = rig.plan(&line).await;
    for text in [
        "by ssm: azimuth-kafka",
        "aws ec2 detach-volume",
        "aws ec2 attach-volume",
        "undo: full",
    ] {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    assert_eq!(rig.changed(), Vec::<String>::new(), "only asked about");

    // Killed again and again on its way: taken up each time, and each call is made once.
    let mut command = rig.desk.command("anna", &format!("{line} --yes --context dev"));
    command.env("AZIMUTH_TEST_CRASH_AT", "6");
    tokio::time::timeout(PATIENCE * 2, command.output())
        .await
        .unwrap()
        .unwrap();
    let mut at = 6;
    let id = loop {
        at += 6;
        let latest = rig.desk.json("operation list").await["items"][0].clone();
        let id = latest["operation"].as_str().unwrap().to_owned();
        if latest["state"] == "finished" {
            break id;
        }
        assert_eq!(latest["state"], "orphaned", "{latest:#}");
        assert!(at < 120, "it gets no further: {latest:#}");
        let mut command = rig
            .desk
            .command("anna", &format!("operation resume {id} --yes --context dev"));
        command.env("AZIMUTH_TEST_CRASH_AT", at.to_string());
        tokio::time::timeout(PATIENCE * 2, command.output())
            .await
            .unwrap()
            .unwrap();
    };
    let count = |name: &str| rig.changed().iter().filter(|one| *one == name).count();
    assert_eq!(
        (count("DetachVolume"), count("AttachVolume")),
        (1, 1),
        "{:?}",
        rig.changed()
    );
    assert_eq!(
        (count("CreateTags"), count("DeleteTags")),
        (1, 1),
        "{:?}",
        rig.changed()
    );
    assert_eq!(
        count("SendCommand"),
        2,
        "stopped once, started once: {:?}",
        rig.changed()
    );
    rig.shows(2, |row| row["instance"] == new.as_str() && row["state"] == "up")
        .await;
    let undo = rig.desk.run(&format!("operation undo {id} --yes")).await;
    undo.says(&format!("azimuth broker replace 2 --instance {old}"));

    // And back, as the plan said, straight.
    rig.plan(&format!("broker replace 2 --instance {old}")).await;
    let back = rig.desk.run(&format!("broker replace 2 --instance {old} --yes")).await;
    back.ends(0).answers("finished (6 of 6 steps done)");
    rig.shows(2, |row| row["instance"] == old.as_str() && row["state"] == "up")
        .await;

    // Encrypted, while it runs; the old volume stays.
    rig.script(json!({ "plain": volume(3) }));
    let line = "volume encrypt --broker 3";
    rig.desk
        .run("volume encrypt --broker 4 --yes")
        .await
        .ends(1)
        .says("encrypted already");
    let started = Instant::now();
    while !rig
        .desk
        .run(&format!("{line} --dry-run"))
        .await
        .stdout
        .contains("create-volume")
    {
        assert!(started.elapsed() < PATIENCE, "{}", rig.desk.run(line).await.stderr);
        tokio::time::sleep(LOOK).await;
    }
    rig.plan(line).await;
    let mut command = rig.desk.command("anna", &format!("{line} --yes --context dev"));
    command.env("AZIMUTH_TEST_CRASH_AT", "12");
    tokio::time::timeout(PATIENCE * 2, command.output())
        .await
        .unwrap()
        .unwrap();
    let latest = rig.desk.json("operation list").await["items"][0].clone();
    assert_eq!(latest["state"], "orphaned", "{latest:#}");
    let resume = format!("operation resume {} --yes", latest["operation"].as_str().unwrap());
    rig.desk
        .run(&resume)
        .await
        .ends(0)
        .answers("finished (7 of 7 steps done)");
    assert_eq!(
        (count("CreateSnapshots"), count("CreateVolume")),
        (1, 1),
        "{:?}",
        rig.changed()
    );
    let made = rig.demo.cloud().asked();
    let made = made
        .iter()
        .rfind(|one| one.operation == "CreateVolume" && one.parameters["DryRun"] != "true");
    assert_eq!(made.unwrap().parameters["Encrypted"], "true");
    let shown = rig.desk.json("volume list").await;
    let own = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["broker"] == 3)
        .unwrap()
        .clone();
    assert_eq!(own["encrypted"], true, "{own:#}");
    assert_ne!(own["volume"], volume(3).as_str());
    rig.demo.shutdown().await;
}
