//! Leaders on real clusters with the real binary: off a broker and back, for as long as it was dead, and elected against
//! what is safe.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use azimuth::source::kafka::record::{NewRecord, Producer};
use azimuth::source::kafka::{Kafka, NewTopic, Target};
use azimuth_broker::id::NodeId;

use super::PATIENCE;
use super::kafka;
use super::operations::{Desk, ours};

const LOOK: Duration = Duration::from_millis(100);

/// Leader and replicas of each partition.
type Led = Vec<(Option<i64>, Vec<i64>)>;

async fn led(desk: &Desk, topic: &str) -> Led {
    let shown = desk.json(&format!("topic show {topic}")).await;
    let partitions = shown["items"][0]["partitions"].as_array().unwrap().clone();
    let leaders = partitions.iter().map(|one| one["leader"].as_i64());
    leaders.zip(desk.placement(topic).await).collect()
}

async fn until(desk: &Desk, topic: &str, what: &str, wanted: impl Fn(&Led) -> bool) -> Led {
    let started = Instant::now();
    loop {
        let led = led(desk, topic).await;
        if wanted(&led) {
            return led;
        }
        assert!(started.elapsed() < PATIENCE, "never {what}: {led:?}");
        tokio::time::sleep(LOOK).await;
    }
}

async fn in_sync(desk: &Desk, topic: &str, wanted: &[i64]) {
    let started = Instant::now();
    loop {
        let shown = desk.json(&format!("topic show {topic}")).await;
        let isr = shown["items"][0]["partitions"][0]["isr"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let isr: Vec<i64> = isr.iter().filter_map(serde_json::Value::as_i64).collect();
        if sorted(&isr) == sorted(wanted) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "never in sync on {wanted:?}: {isr:?}");
        tokio::time::sleep(LOOK).await;
    }
}

async fn create(desk: &Desk, topic: &str, options: &str) {
    desk.run(&format!("topic create {topic} {options} --yes")).await.ends(0);
}

fn preferred(led: &Led) -> bool {
    led.iter()
        .all(|(leader, replicas)| *leader == replicas.first().copied())
}

fn sorted(ids: &[i64]) -> Vec<i64> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

async fn there_and_back(bootstrap: &str) {
    let desk = Desk::of(bootstrap);
    create(&desk, "leads", "--partitions 9 --replication-factor 3").await;
    let before = until(&desk, "leads", "led as preferred", preferred).await;
    let own = before.iter().filter(|(leader, _)| *leader == Some(1)).count();
    assert!(own > 0, "broker 1 leads something: {before:?}");

    let line = "leader move --from-broker 1 --topic leads";
    let plan = desk.run(&format!("{line} --dry-run")).await.ends(0);
    plan.answers(&format!("PLAN leader move: {own} leader"))
        .answers("no data moved")
        .answers("undo: full (leader restore, no bytes)")
        .answers("✓ isr");
    assert_eq!(led(&desk, "leads").await, before, "a dry run moves nothing");

    desk.run(&format!("{line} --yes")).await.ends(0).answers("finished");
    let after = led(&desk, "leads").await;
    for ((_, old), (leader, new)) in before.iter().zip(&after) {
        assert_ne!(*leader, Some(1));
        assert_eq!(sorted(old), sorted(new), "no replica moved");
        assert!(new.first() != Some(&1) || old.first() != Some(&1), "{new:?}");
    }
    assert!(preferred(&after), "{after:?}");
    desk.run(&format!("{line} --yes")).await.ends(1).says("leads nothing");

    let back = desk.run("leader restore --yes").await.ends(0).answers("finished");
    back.says("the order that operation ");
    assert_eq!(led(&desk, "leads").await, before);
    desk.run("leader restore --yes")
        .await
        .ends(1)
        .says("the saved order holds");
    desk.run("leader elect leads --yes")
        .await
        .ends(1)
        .says("preferred replica");

    desk.run("leader move --from-broker 77 --yes")
        .await
        .ends(4)
        .says("there is no broker 77");
    desk.run("leader move --from-az nowhere --yes")
        .await
        .ends(4)
        .says("no broker is in zone nowhere");
    desk.run("leader elect leads:0 --unclean --yes")
        .await
        .ends(4)
        .says("is led by broker");
    desk.run("leader elect --unclean --yes").await.ends(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_of_apache_kafka_leave_a_broker_and_come_back() {
    let Some(cluster) = kafka::shared().await else { return };
    there_and_back(&cluster.bootstrap).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_of_our_broker_leave_it_and_come_back_and_one_that_died_is_preferred_no_more() {
    let (mut cluster, _folder) = ours().await;
    there_and_back(&cluster.bootstrap()).await;
    let desk = Desk::of(&cluster.bootstrap());

    cluster.kill(NodeId(2)).await;
    let two_leads = |led: &Led| led.iter().any(|(leader, _)| *leader == Some(2));
    until(&desk, "leads", "led by others", |led| !two_leads(led)).await;
    // Nobody need be elected; broker 2 must only not get its leaders back when it returns.
    desk.run("leader move --from-broker 2 --topic leads --yes")
        .await
        .ends(0)
        .answers("finished");
    cluster.restart(NodeId(2)).await.unwrap();
    cluster.serving(NodeId(2)).await.unwrap();
    let after = led(&desk, "leads").await;
    assert!(
        after.iter().all(|(_, replicas)| replicas.first() != Some(&2)),
        "{after:?}"
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclean_election_needs_its_override_and_its_reason() {
    let (mut cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    create(&desk, "risky", "--partitions 1 --replication-factor 2").await;
    let start = until(&desk, "risky", "led", |led| led[0].0.is_some()).await;
    let [ahead, behind] = start[0].1[..] else {
        panic!("{start:?}")
    };
    let node = |id: i64| NodeId(i32::try_from(id).unwrap());

    // One with a min ISR: who leaves the ISR below it stays eligible (KIP-966).
    let third = (1..=4).find(|id| ![ahead, behind].contains(id)).unwrap();
    let thin = NewTopic {
        name: "thin".to_owned(),
        assignments: vec![[ahead, behind, third].map(|id| node(id).0).to_vec()],
        configs: BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]),
        ..NewTopic::default()
    };
    let kafka = Kafka::new(Target::new(&cluster.bootstrap()));
    for (_, outcome) in kafka.create_topics(&[thin], false).await.unwrap() {
        outcome.unwrap();
    }
    in_sync(&desk, "thin", &[ahead, behind, third]).await;
    cluster.kill(node(third)).await;
    in_sync(&desk, "thin", &[ahead, behind]).await;

    // The one that is behind dies first, so that the other is alone in the ISR when it dies.
    cluster.kill(node(behind)).await;
    in_sync(&desk, "thin", &[ahead]).await;
    let producer = Producer::new(&Target::new(&cluster.bootstrap()), &[]).unwrap();
    let record = NewRecord {
        topic: "risky",
        partition: Some(0),
        value: Some(b"only one has it"),
        ..NewRecord::default()
    };
    producer.send(record).await.unwrap();
    cluster.kill(node(ahead)).await;
    in_sync(&desk, "thin", &[]).await;
    cluster.restart(node(third)).await.unwrap();
    cluster.serving(node(third)).await.unwrap();
    let safe = |id: i64| {
        format!(
            "broker {id}, dead, had all that was committed, and still has it if its end was orderly: start it first"
        )
    };
    desk.run("leader elect thin:0 --unclean --yes")
        .await
        .ends(4)
        .says(&safe(ahead))
        .says(&safe(behind));
    cluster.restart(node(behind)).await.unwrap();
    cluster.serving(node(behind)).await.unwrap();
    until(&desk, "risky", "without a leader", |led| led[0].0.is_none()).await;

    let line = "leader elect risky:0 --unclean --yes";
    desk.run(line)
        .await
        .ends(4)
        .says("gate unclean is closed: acknowledged records may be lost: risky-0")
        .says("--override unclean --reason TEXT");
    desk.run(&format!("{line} --override unclean"))
        .await
        .ends(2)
        .says("--reason");
    let reason = "--override unclean --reason gone";
    desk.run(&format!("{line} {reason}")).await.ends(0).answers("finished");
    assert_eq!(led(&desk, "risky").await[0].0, Some(behind));
    cluster.shutdown().await;
}
