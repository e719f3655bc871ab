//! Rolls that are harder than most: several brokers of a zone at a time; and, with `AZIMUTH_HEAVY`, the engine, the screens and the login
//! shell killed at every point of a restart under load, on both brokers.

use std::time::{Duration, Instant};

use azimuth::source::kafka::{Kafka, NewTopic, Target};
use azimuth_broker::cluster::{Cluster as Ours, ClusterConfig, Fault, Selection};
use azimuth_broker::env::disk::DirFault;
use azimuth_broker::id::NodeId;
use serde_json::{Value, json};

use super::PATIENCE;
use super::kafka;
use super::killed::{Killed, orphaned, print};
use super::load::nothing_lost;
use super::operations::{LOOK, volumes};
use super::restarts::{Hosts, Manager, all_is_well, answers, loaded, our_hosts, plan, until_asked};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn brokers_of_a_zone_restart_together_and_an_engine_killed_between_them_leaves_none_stopped() {
    let folder = tempfile::Builder::new().prefix("azimuth-six-").tempdir().unwrap();
    let racks = ["a", "b", "c", "a", "b", "c"].map(str::to_owned);
    let cluster = Ours::start(ClusterConfig::local(6, &racks, folder.path(), 0)).await;
    let manager = Manager::of(Hosts::Ours(Box::new(cluster.unwrap())));
    let desk = manager.desk().await;
    let bootstrap = manager.hosts.lock().await.bootstrap();
    let load = loaded(&desk, &bootstrap).await;

    // One partition on both brokers of a zone: that zone goes one by one, the others two at a time.
    let both = NewTopic {
        name: "both".to_owned(),
        assignments: vec![vec![3, 6]],
        ..NewTopic::default()
    };
    let kafka = Kafka::new(Target::new(&bootstrap));
    for (_, outcome) in kafka.create_topics(&[both], false).await.unwrap() {
        outcome.unwrap();
    }
    plan(&desk, "--all --parallel 2 --soak 1ms --drain-leaders").await;
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(desk.path("roll.json")).unwrap()).unwrap();
    let steps = saved["steps"].as_array().unwrap().iter();
    let batches: Vec<(i64, i64)> = steps
        .map(|step| {
            (
                step["place"]["broker"].as_i64().unwrap(),
                step["batch"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(batches, [(1, 1), (4, 1), (2, 2), (5, 2), (3, 3), (6, 4)]);
    let gates = saved["gates"].as_array().unwrap();
    let parallel = gates.iter().find(|gate| gate["name"] == "parallel").unwrap();
    let why = "one after the other: 3 and 6, both-0 has replicas on both";
    assert_eq!(
        (&parallel["verdict"], &parallel["evidence"]),
        (&json!("warn"), &json!(why))
    );

    // Both of the first batch are on their way before either is back. There the engine dies.
    manager.may.forget_permits(usize::MAX);
    let begin = desk.run("restart apply roll.json --yes --detach").await;
    begin.ends(0);
    until_asked(&manager, 2).await;
    let mut first = manager.asked().await;
    first.sort();
    assert_eq!(first, ["restart 1", "restart 4"]);
    let id = desk.json("operation list").await["items"][0]["operation"].clone();
    let id = id.as_str().unwrap().to_owned();
    desk.kill_engine(&desk.operation(&id).await);
    manager.may.add_permits(1000);
    for broker in [1, 4] {
        answers(&desk, broker).await;
    }
    let ran = desk.run(&format!("operation resume {id} --yes")).await.ends(0);
    let ran = ran.answers("finished (6 of 6 steps done)");
    assert_eq!(ran.stderr.matches(", together with ").count(), 4, "{}", ran.stderr);
    let mut asked = manager.asked().await;
    asked.sort();
    let each_once: Vec<String> = (1..=6).map(|id| format!("restart {id}")).collect();
    assert_eq!(asked, each_once);
    all_is_well(&desk).await;
    nothing_lost(&desk, "load", load).await;
}

/// One broker restarts again and again while clients write. Each time somebody is killed at the next point of the engine's way, and
/// afterwards all is as it was before.
async fn walk(manager: Manager, brokers: usize) {
    const ROLL: &str = "--broker 1 --soak 1ms --drain-leaders";
    let desk = manager.desk().await;
    let bootstrap = manager.hosts.lock().await.bootstrap();
    let load = loaded(&desk, &bootstrap).await;
    all_is_well(&desk).await;
    let order = desk.placement("load").await;
    let mut table = Vec::new();
    for whom in ["engine", "screens", "login shell"] {
        for at in 1.. {
            plan(&desk, ROLL).await;
            let before = manager.asked().await.len();
            let killed = match whom {
                "engine" => {
                    desk.dying(at, "restart apply roll.json").await;
                    let (id, shown) = desk.settled().await;
                    if shown["state"] == "finished" {
                        None
                    } else {
                        assert_eq!(shown["state"], "orphaned", "{shown:#}");
                        // Whoever was stopped is started, although nobody has taken the operation up.
                        answers(&desk, 1).await;
                        let ran = desk.run(&format!("operation resume {id} --yes")).await.ends(0);
                        let last = shown["journal"].as_array().unwrap().last().unwrap()["event"].clone();
                        Some(Killed {
                            kind: "restart",
                            whom,
                            at,
                            found: last.as_str().unwrap().chars().take(47).collect(),
                            way: "resume",
                            end: Killed::end(&ran.stdout),
                        })
                    }
                }
                _ => {
                    let line = format!("restart plan {ROLL}");
                    orphaned(&desk, at, brokers, ("restart", &line), whom).await
                }
            };
            let started = Instant::now();
            while manager.asked().await.len() == before {
                assert!(started.elapsed() < PATIENCE, "{whom} at {at}: never restarted");
                tokio::time::sleep(LOOK).await;
            }
            assert_eq!(manager.asked().await.len(), before + 1, "{whom} at {at}: once");
            all_is_well(&desk).await;
            assert_eq!(
                desk.placement("load").await,
                order,
                "the order of preference, {whom} at {at}"
            );
            match killed {
                Some(killed) => table.push(killed),
                None => break,
            }
        }
    }
    print(&table.iter().collect::<Vec<_>>());
    assert!(desk.throttles().await.is_empty());
    nothing_lost(&desk, "load", load).await;
    for whom in ["engine", "screens", "login shell"] {
        let points = table.iter().filter(|killed| killed.whom == whom).count();
        assert!(points >= 12, "{points} points for {whom}");
    }
}

/// A broker takes minutes to recover, long after what was run on its host has ended; then the ISRs shrink because another one's disk
/// stalls, which answers all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_recovery_of_minutes_is_waited_for_and_isrs_that_shrink_hold_up_the_next() {
    const MINUTES: Duration = Duration::from_secs(150);
    if !is_heavy() {
        return;
    }
    let folder = tempfile::Builder::new().prefix("azimuth-slow-").tempdir().unwrap();
    let racks = ["a", "b", "c", "a"].map(str::to_owned);
    let mut config = ClusterConfig::local(4, &racks, folder.path(), 0);
    volumes(&mut config, folder.path());
    config.allow_faults = true;
    config.overrides = vec![("replica.lag.time.max.ms".to_owned(), "3000".to_owned())];
    let cluster = Ours::start(config).await.unwrap();
    let manager = Manager::of(Hosts::Ours(Box::new(cluster)));
    let desk = manager.desk().await;
    let bootstrap = manager.hosts.lock().await.bootstrap();
    let load = loaded(&desk, &bootstrap).await;
    plan(&desk, "--broker 1,2 --soak 1ms").await;

    manager.back.forget_permits(usize::MAX);
    let begun = desk.run("restart apply roll.json --yes --detach -o name").await.ends(0);
    let id = begun.stdout.trim().to_owned();
    let ran = |operation: &Value| operation["journal"].to_string().contains("exit 0");
    desk.until(&id, "done with what it ran", ran).await;
    let since = Instant::now();
    while since.elapsed() < MINUTES {
        let shown = desk.operation(&id).await;
        assert_eq!(shown["state"], "running", "{shown:#}");
        assert_eq!(manager.asked().await, ["restart 1"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    desk.run(&format!("operation pause {id}")).await.ends(0);
    manager.back.add_permits(1000);
    let paused = |operation: &Value| operation["state"] == "paused";
    let shown = desk.until(&id, "paused", paused).await;
    assert_eq!(shown["steps_done"], json!(1), "{shown:#}");

    let stall = Fault::Dir {
        dir: None,
        fault: DirFault::Stall,
    };
    let stalled = manager.hosts.lock().await.ours().inject(NodeId(3), stall).await;
    let stalled = stalled.unwrap();
    let started = Instant::now();
    loop {
        let all = desk.json("partition list --under-replicated").await["items"]
            .as_array()
            .unwrap()
            .clone();
        if !all.is_empty() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "no ISR shrinks");
        tokio::time::sleep(LOOK).await;
    }
    let held = desk.run(&format!("operation resume {id} --yes")).await.ends(4);
    assert!(held.both().contains("in-sync"), "{}", held.both());
    assert_eq!(manager.asked().await, ["restart 1"], "broker 2 is left alone");
    manager
        .hosts
        .lock()
        .await
        .ours()
        .mend(Selection::Number(stalled.number))
        .await
        .unwrap();
    let ran = desk.run(&format!("operation attach {id}")).await.ends(0);
    ran.answers("finished (2 of 2 steps done)");
    all_is_well(&desk).await;
    nothing_lost(&desk, "load", load).await;
}

fn is_heavy() -> bool {
    let heavy = std::env::var_os("AZIMUTH_HEAVY").is_some();
    if !heavy {
        eprintln!("not walked: AZIMUTH_HEAVY is not set; tests/run --heavy sets it");
    }
    heavy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_is_killed_at_every_point_of_a_restart_of_our_broker_under_load() {
    if is_heavy() {
        let (manager, _folder) = our_hosts().await;
        walk(manager, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_is_killed_at_every_point_of_a_restart_of_apache_kafka_under_load() {
    if is_heavy()
        && let Some(cluster) = kafka::Cluster::start().await
    {
        walk(Manager::of(Hosts::Kafka(cluster)), 3).await;
    }
}
