//! What an upgrade ends with, and what comes before clients move to another cluster: features, and two clusters beside each
//! other; on our brokers and on Apache Kafka.

use serde_json::{Value, json};

use super::kafka;
use super::operations::{Desk, ours};

fn feature<'a>(told: &'a Value, name: &str) -> &'a Value {
    let items = told["items"].as_array().unwrap();
    items
        .iter()
        .find(|one| one["feature"] == name)
        .unwrap_or_else(|| panic!("{name}: {told:#}"))
}

/// A feature goes a level down and comes back.
async fn down_and_up(desk: &Desk, name: &str, brokers: usize) {
    let told = desk.json("feature list").await;
    assert_eq!(told["brokers"].as_array().unwrap().len(), brokers);
    assert_eq!(feature(&told, "metadata.version")["behind"], json!(false));
    assert!(
        feature(&told, "metadata.version")["undo"]
            .as_str()
            .unwrap()
            .starts_with("none")
    );
    let level = feature(&told, name)["finalized_level"].as_i64().unwrap();
    let finalize = format!("feature finalize {name}");
    desk.run(&format!("{finalize} --yes")).await.ends(1).says("already");
    desk.run("feature finalize metadata.versio --yes")
        .await
        .ends(4)
        .says("did you mean metadata.version");
    desk.run(&format!("{finalize} --level 99 --yes"))
        .await
        .ends(4)
        .says("spoken");
    desk.run(&format!("{finalize} --level 99 --override spoken --reason why --yes"))
        .await
        .ends(4)
        .says("spoken");
    let lower = level - 1;
    desk.run(&format!("{finalize} --level {lower} --dry-run"))
        .await
        .ends(0)
        .answers("undo: full");
    let down = desk.run(&format!("{finalize} --level {lower} --yes")).await.ends(0);
    down.says("brokers know of it");
    let told = desk.json("feature list").await;
    assert_eq!(feature(&told, name)["finalized_level"], json!(lower));
    assert_eq!(feature(&told, name)["behind"], json!(true));
    let id = desk.json("operation list").await["items"][0]["operation"]
        .as_str()
        .unwrap()
        .to_owned();
    desk.run(&format!("operation undo {id} --yes")).await.ends(0);
    assert_eq!(
        feature(&desk.json("feature list").await, name)["finalized_level"],
        json!(level)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn features_of_our_brokers_are_finalized_and_taken_back() {
    let (cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    down_and_up(&desk, "transaction.version", 4).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn features_of_apache_kafka_are_finalized_and_taken_back() {
    let Some(cluster) = kafka::shared().await else { return };
    let desk = Desk::of(&cluster.bootstrap);
    down_and_up(&desk, "share.version", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_are_compared() {
    let (blue, _blue) = ours().await;
    let (other, _other) = ours().await;
    // The other one is Apache Kafka where there is one.
    // It ends when nobody holds it.
    let shared = kafka::shared().await;
    let green = match &shared {
        Some(kafka) => kafka.bootstrap.clone(),
        None => other.bootstrap(),
    };
    let desk = Desk::of(&blue.bootstrap());
    let contexts = desk.path(".config/azimuth/contexts.toml");
    let text = std::fs::read_to_string(&contexts).unwrap();
    let added = format!("[context.green]\nbootstrap = \"{green}\"\nclass = \"dev\"\nchanges = true\n");
    std::fs::write(&contexts, text + &added).unwrap();
    let diff = async |only: &str, status: i32| {
        let ran = desk
            .run_as("anna", &format!("context diff dev green --only {only} -o json"))
            .await
            .ends(status);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["items"]
            .as_array()
            .unwrap()
            .clone()
    };
    let on = async |context: &str, line: &str| {
        desk.run_as("anna", &format!("{line} --yes --context {context}"))
            .await
            .ends(0);
    };
    on(
        "dev",
        "topic create diff-a --partitions 3 --replication-factor 3 --config retention.ms=60000",
    )
    .await;
    on(
        "green",
        "topic create diff-a --partitions 4 --replication-factor 3 --config retention.ms=90000",
    )
    .await;
    on("dev", "topic create diff-b --partitions 1 --replication-factor 3").await;
    on("dev", "quota set producer_byte_rate=1000000 --user diff-anna").await;
    let about = |items: &[Value], name: &str| -> Vec<(String, String)> {
        let own = items.iter().filter(|one| one["name"] == name);
        own.map(|one| {
            (
                one["field"].as_str().unwrap().to_owned(),
                one["side"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
    };
    let pair = |field: &str, side: &str| (field.to_owned(), side.to_owned());
    let topics = diff("topics", 1).await;
    assert_eq!(about(&topics, "diff-a"), [pair("partitions", "differs")]);
    assert_eq!(about(&topics, "diff-b"), [pair("", "only_a")]);
    let configs = diff("configs", 1).await;
    assert!(
        about(&configs, "diff-a").contains(&pair("retention.ms", "differs")),
        "{configs:#?}"
    );
    let quotas = diff("quotas", 1).await;
    assert_eq!(about(&quotas, "user diff-anna"), [pair("producer_byte_rate", "only_a")]);

    desk.run_as("anna", "context diff dev viewer").await.ends(0);
    desk.run_as("anna", "context diff dev nothing")
        .await
        .ends(2)
        .says("nothing");
    desk.run("context diff dev green")
        .await
        .ends(2)
        .says("names both contexts itself");
    on("green", "topic delete diff-a").await;
    blue.shutdown().await;
    desk.run_as("anna", "context diff dev green --only users --timeout 3s")
        .await
        .ends(3);
    other.shutdown().await;
}
