//! Restarts by AWS Systems Manager, with the real binary and the real SDK: the simulated cloud answers as SSM does, and restarts
//! the demo's brokers for it.

use std::process::Stdio;
use std::time::Instant;

use azimuth::demo::Demo;
use azimuth::demo::cloud::{Asked, Fleet, Script};
use serde_json::{Value, json};

use super::PATIENCE;
use super::operations::{Desk, LOOK};

/// The demo, and a home that has its context.
struct Rig {
    demo: Demo,
    desk: Desk,
}

impl Rig {
    async fn start() -> Self {
        let demo = Demo::start(None, None).await.unwrap();
        let desk = Desk::in_demo(&demo);
        Self { demo, desk }
    }

    fn script(&self, script: Value) {
        let script: Script = serde_json::from_value(script).unwrap();
        self.demo.cloud().script(&script).unwrap();
    }

    fn sent(&self) -> Vec<Asked> {
        let asked = self.demo.cloud().asked().into_iter();
        asked.filter(|one| one.operation == "SendCommand").collect()
    }

    /// Waits until nothing but what is wanted stands in the way of a plan.
    async fn plan(&self, broker: i32) {
        let line = format!("restart plan --broker {broker} --soak 1s --out roll.json");
        let started = Instant::now();
        loop {
            let ran = self.desk.run(&line).await.ends(0);
            match ran.stderr.contains("apply would refuse") {
                true => assert!(started.elapsed() < PATIENCE, "the gates stay closed: {}", ran.stderr),
                false => return,
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Two brokers restart. Once the first has been asked to, something comes of which an operation tells `word`: the other waits,
    /// whoever looked on is told that it goes on without him, and when it has gone again the other restarts too. Both scripts are given
    /// the instance of the other.
    async fn held_up(&self, word: &str, comes: impl Fn(&str) -> Value, goes: impl Fn(&str) -> Value) {
        let line = "restart plan --broker 2,3 --soak 1s --out roll.json";
        self.desk.run(line).await.ends(0);
        let before = self.sent().len();
        let mut command = self.desk.command("anna", "restart apply roll.json --yes --context dev");
        let apply = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        while self.sent().len() == before {
            assert!(started.elapsed() < PATIENCE, "nothing is sent");
            tokio::time::sleep(LOOK).await;
        }
        let first = self.sent()[before].parameters["InstanceIds"][0].clone();
        let other = instance(if first == json!(instance(2)) { 3 } else { 2 });
        self.script(comes(&other));
        let id = self.latest().await;
        let waits = |operation: &Value| operation.to_string().contains(word);
        self.desk.until(&id, "held up", waits).await;
        let output = tokio::time::timeout(PATIENCE, apply.wait_with_output()).await;
        assert_eq!(output.unwrap().unwrap().status.code(), Some(4), "it goes on detached");
        assert_eq!(self.sent().len(), before + 1, "nothing is sent meanwhile");
        self.script(goes(&other));
        let finished = |operation: &Value| operation["state"] == "finished";
        self.desk.until(&id, "finished", finished).await;
        assert_eq!(self.sent().len(), before + 2);
    }

    async fn latest(&self) -> String {
        let all = self.desk.json("operation list").await;
        all["items"][0]["operation"].as_str().unwrap().to_owned()
    }
}

/// The instance of a broker of the demo.
fn instance(broker: i32) -> String {
    let fleet = Fleet::of_brokers(6, 1, |_| String::new(), 0);
    fleet.machines[broker as usize - 1].id.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_restarts_by_one_command_and_an_answer_that_was_lost_is_found_again() {
    let rig = Rig::start().await;
    rig.plan(2).await;
    let shown = rig.desk.run("restart plan --broker 2 --soak 1s").await.ends(0);
    let shown = shown.answers(&format!("by ssm: azimuth-kafka {} action=restart", instance(2)));
    assert!(shown.stdout.contains("ssm-agent"), "{}", shown.stdout);
    assert!(shown.stdout.contains("outlives-connection"), "{}", shown.stdout);
    let ran = rig.desk.run("restart apply roll.json --yes").await.ends(0);
    ran.answers("finished (1 of 1 step done)");
    let sent = rig.sent();
    assert_eq!(sent.len(), 1, "{sent:#?}");
    let operation = rig.latest().await;
    assert_eq!(
        sent[0].parameters,
        json!({
            "InstanceIds": [instance(2)],
            "DocumentName": "azimuth-kafka",
            "Parameters": { "action": ["restart"] },
            "Comment": format!("azimuth operation {operation} step 1 run 1"),
            "TimeoutSeconds": 60,
            "MaxConcurrency": "1",
            "MaxErrors": "0",
        })
    );

    // SSM takes it and answers 500: it is looked for by its comment, and not asked again.
    rig.script(json!({ "lose": "SendCommand" }));
    rig.plan(3).await;
    let ran = rig.desk.run("restart apply roll.json --yes").await.ends(0);
    ran.answers("finished (1 of 1 step done)");
    assert_eq!(rig.sent().len(), 2, "{:#?}", rig.sent());
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_that_is_offline_refuses_and_holds_up_until_it_is_back() {
    let rig = Rig::start().await;
    rig.plan(2).await;
    rig.script(json!({ "offline": instance(2) }));
    let refused = rig.desk.run("restart apply roll.json --yes").await.ends(4);
    refused.says("gate ssm-agent is closed").says("ConnectionLost");
    assert_eq!(rig.sent(), []);

    // A denial is no agent that is offline, and names the right.
    rig.script(json!({ "recover": true, "deny": "DescribeInstanceInformation" }));
    let refused = rig.desk.run("restart apply roll.json --yes").await.ends(4);
    refused
        .says("gate ssm-agent is not known to be open")
        .says("ssm:DescribeInstanceInformation");

    // It goes away during a roll.
    rig.script(json!({ "recover": true }));
    rig.plan(2).await;
    let goes = |other: &str| json!({ "offline": other });
    rig.held_up("ssm-agent", goes, |other| json!({ "online": other })).await;
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_that_ec2_announces_refuses_and_holds_up_until_it_is_over() {
    const WHEN: i64 = 4_000_000_000;
    let event = |instance: &str, description: &str| {
        json!({ "event": {
        "instance": instance, "code": "system-reboot", "description": description, "not_before": WHEN,
    } })
    };
    let rig = Rig::start().await;
    rig.plan(2).await;
    rig.script(event(&instance(4), "scheduled reboot"));
    let refused = rig.desk.run("restart apply roll.json --yes").await.ends(4);
    refused
        .says("gate ec2 is closed")
        .says(&format!("system-reboot announced for broker 4 ({})", instance(4)));
    assert_eq!(rig.sent(), []);
    rig.script(event(&instance(4), "[Completed] scheduled reboot"));
    rig.plan(2).await;
    let announced = |other: &str| event(other, "scheduled reboot");
    let over = |other: &str| event(other, "[Completed] scheduled reboot");
    rig.held_up("system-reboot announced", announced, over).await;
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn credentials_that_end_refuse_and_hold_up_until_there_are_new_ones() {
    let rig = Rig::start().await;
    rig.plan(2).await;
    rig.script(json!({ "expire": true }));
    let refused = rig.desk.run("restart apply roll.json --yes").await.ends(4);
    refused
        .says("the credentials for EC2 us-east-1 have expired")
        .says("gate ssm-agent is not known to be open");
    assert_eq!(rig.sent(), []);
    rig.script(json!({ "recover": true }));
    rig.plan(2).await;
    let ended = |_: &str| json!({ "expire": true });
    rig.held_up("have expired", ended, |_| json!({ "recover": true })).await;
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_that_fails_needs_a_person_and_what_it_said_holds_no_secret() {
    let rig = Rig::start().await;
    rig.plan(2).await;
    let said = "unit failed: sasl.password=hunter-two";
    rig.script(json!({ "command": { "instance": instance(2), "code": 3, "said": said } }));
    let ran = rig.desk.run("restart apply roll.json --yes").await.ends(4);
    let ran = ran
        .says("gate driver is closed")
        .says("exit 3 (unit failed: sasl.password=***)");
    assert!(!ran.stderr.contains("hunter"), "{}", ran.stderr);
    rig.desk.holds_nowhere("hunter-two");

    // What stood in the way is gone: a person has it run again.
    rig.script(json!({ "recover": true }));
    let id = rig.latest().await;
    let resume = format!("operation resume {id} --override driver --reason repaired --yes");
    rig.desk.run(&resume).await;
    let finished = |operation: &Value| operation["state"] == "finished";
    rig.desk.until(&id, "finished", finished).await;
    let comments: Vec<Value> = rig.sent().iter().map(|one| one.parameters["Comment"].clone()).collect();
    assert_eq!(comments.len(), 2);
    assert!(comments[1].as_str().unwrap().ends_with("step 1 run 2"), "{comments:?}");
    rig.demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_that_dies_over_a_command_does_not_send_it_twice() {
    let rig = Rig::start().await;
    let mut killed = 0;
    // Each journal entry has a point before and one behind it: these are right before the command is sent, and once it was.
    for at in [7, 8] {
        rig.plan(2).await;
        let before = rig.sent().len();
        let mut command = rig.desk.command("anna", "restart apply roll.json --yes --context dev");
        command.env("AZIMUTH_TEST_CRASH_AT", at.to_string());
        tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let id = rig.latest().await;
        let state = rig.desk.operation(&id).await["state"].clone();
        if state == "orphaned" {
            killed += 1;
            let resumed = rig.desk.run(&format!("operation resume {id} --yes")).await.ends(0);
            resumed.answers("finished (1 of 1 step done)");
        }
        assert_eq!(rig.sent().len(), before + 1, "killed at {at}");
    }
    assert_eq!(killed, 2, "both died around the command");
    rig.demo.shutdown().await;
}
