//! The pool's promises, on brokers that can be killed and made to hang.

use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiKey;
use tokio::net::TcpListener;

use super::fake::{Fake, Shape};
use super::{Kafka, NewTopic, Partitions};
use crate::model::Trouble;
use crate::source::Error;

fn trouble<T: std::fmt::Debug>(answer: Result<T, Error>) -> Trouble {
    answer.unwrap_err().trouble()
}

#[tokio::test]
async fn a_silent_bootstrap_address_costs_a_moment_not_a_timeout() {
    let fake = Fake::start(Shape::default()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = fake.target();
    target.deadlines.connect = Duration::from_secs(30);
    target.deadlines.call = Duration::from_secs(30);
    target.bootstrap.insert(0, silent.local_addr().unwrap().to_string());
    let started = Instant::now();
    let cluster = Kafka::new(target).cluster().await.unwrap();
    assert_eq!(cluster.brokers.len(), 3);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn when_nobody_answers_the_error_says_so() {
    let mut fake = Fake::start(Shape::default()).await;
    for id in 1..=3 {
        fake.kill(id);
    }
    let error = Kafka::new(fake.target()).cluster().await.unwrap_err();
    assert_eq!(error.trouble(), Trouble::Unreachable);
    assert!(error.to_string().contains("2 more failed likewise"), "{error}");
    let nowhere = Kafka::new(super::Target::new("")).cluster().await.unwrap_err();
    assert!(nowhere.to_string().contains("--bootstrap"), "{nowhere}");
}

#[tokio::test]
async fn a_dead_broker_fails_at_once_and_the_others_answer() {
    let mut fake = Fake::start(Shape::default()).await;
    let kafka = Kafka::new(fake.target());
    kafka.cluster().await.unwrap();
    fake.kill(2);
    assert_eq!(trouble(kafka.link(2).await), Trouble::Unreachable);
    kafka.link(1).await.unwrap();
    kafka.topics().await.unwrap();
    fake.revive(2).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while kafka.link(2).await.is_err() {
        assert!(Instant::now() < deadline, "the pool never tried broker 2 again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_broker_that_hangs_costs_its_deadline_and_then_nothing() {
    let fake = Fake::start(Shape::default()).await;
    let mut target = fake.target();
    target.deadlines.retry = Duration::from_secs(60);
    let kafka = Kafka::new(target);
    kafka.cluster().await.unwrap();
    kafka.link(3).await.unwrap();
    fake.hang(3);
    assert_eq!(trouble(kafka.link(3).await), Trouble::TimedOut);
    // The second call tries to connect anew, in vain; until the back-off has passed nobody waits for it again.
    assert_eq!(trouble(kafka.link(3).await), Trouble::TimedOut);
    let asked = fake.received(ApiKey::ApiVersions);
    assert_eq!(trouble(kafka.link(3).await), Trouble::TimedOut);
    assert_eq!(fake.received(ApiKey::ApiVersions), asked, "it was asked again at once");
}

#[tokio::test]
async fn questions_about_the_cluster_go_round_a_broker_that_hangs() {
    let fake = Fake::start(Shape::default()).await;
    let mut target = fake.target();
    target.deadlines.call = Duration::from_secs(30);
    let kafka = Kafka::new(target);
    kafka.cluster().await.unwrap();
    fake.hang(1);
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(kafka.topics().await.unwrap().len(), 4);
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_answer_that_is_the_last_one_is_not_taken_apart_again() {
    let fake = Fake::start(Shape::default()).await;
    let kafka = Kafka::new(fake.target());
    kafka.cluster().await.unwrap();
    let (mark, topics) = kafka.topics_unless(None).await.unwrap().unwrap();
    assert_eq!(topics.len(), 4);
    for _ in 0..3 {
        assert_eq!(kafka.topics_unless(Some(mark)).await.unwrap(), None);
    }
    let (again, topics) = kafka.topics_unless(Some(mark ^ 1)).await.unwrap().unwrap();
    assert_eq!((again, topics.len()), (mark, 4));
}

#[tokio::test]
async fn a_change_that_may_have_been_made_is_not_sent_again() {
    let fake = Fake::start(Shape::default()).await;
    let kafka = Kafka::new(fake.target());
    kafka.cluster().await.unwrap();
    for id in 1..=3 {
        kafka.link(id).await.unwrap();
        fake.hang(id);
    }
    let topic = NewTopic {
        name: "orders".to_owned(),
        ..NewTopic::default()
    };
    assert_eq!(trouble(kafka.create_topics(&[topic], false).await), Trouble::TimedOut);
    assert_eq!(fake.received(ApiKey::CreateTopics), 1);
}

#[tokio::test]
async fn an_older_coordinator_is_asked_group_by_group() {
    let fake = Fake::start(Shape {
        offset_fetch: 7,
        groups: 6,
        ..Shape::default()
    })
    .await;
    let kafka = Kafka::new(fake.target());
    let groups = kafka.groups(1).await.unwrap();
    assert_eq!(groups.len(), 2);
    assert!(groups.iter().all(|group| group.commits.len() == 6), "{groups:?}");
    assert_eq!(fake.received(ApiKey::OffsetFetch), 2);
}

#[tokio::test]
async fn an_api_that_is_missing_is_unsupported_and_not_unreachable() {
    let fake = Fake::start(Shape::default()).await;
    let kafka = Kafka::new(fake.target());
    assert_eq!(
        trouble(kafka.delete_topics(&["orders".to_owned()]).await),
        Trouble::Unsupported
    );
}

#[tokio::test]
async fn a_broker_that_is_not_listed_is_named() {
    let fake = Fake::start(Shape::default()).await;
    let error = Kafka::new(fake.target()).link(9).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach broker 9: the cluster does not list it");
}

#[tokio::test]
async fn offsets_take_two_requests_however_many_partitions() {
    let fake = Fake::start(Shape::default()).await;
    let kafka = Kafka::new(fake.target());
    let partitions: Partitions = (0..500)
        .map(|topic| (format!("topic-{topic:05}"), (0..20).collect()))
        .collect();
    let offsets = kafka.offsets(1, &partitions).await.unwrap();
    assert_eq!(offsets.iter().len(), 10_000);
    assert_eq!(kafka.requests()["ListOffsets"], 2);
}

#[tokio::test]
async fn offsets_that_are_told_again_are_not_taken_apart() {
    let fake = Fake::start(Shape::default()).await;
    let kafka = Kafka::new(fake.target());
    let of = |topics: &[&str]| -> Partitions { topics.iter().map(|topic| ((*topic).to_owned(), vec![0, 1])).collect() };
    let asked = of(&["topic-00000"]);
    let told = kafka.offsets_unless(1, &asked, None).await.unwrap();
    let (marks, offsets) = told.expect("nothing was known");
    let known = Some((marks.expect("all were told"), &offsets));
    assert_eq!(
        offsets.get("topic-00000", 1).map(|span| (span.start, span.end)),
        Some((0, 100))
    );
    assert!(kafka.offsets_unless(1, &asked, known).await.unwrap().is_none());
    // Where only the ends are others, the starts are those that were known.
    fake.append(7);
    let told = kafka.offsets_unless(1, &asked, known).await.unwrap();
    let (marks, offsets) = told.expect("the ends have moved");
    assert_eq!(
        offsets.get("topic-00000", 1).map(|span| (span.start, span.end)),
        Some((0, 107))
    );
    // Other partitions are another answer.
    let known = Some((marks.expect("all were told"), &offsets));
    let told = kafka
        .offsets_unless(1, &of(&["topic-00000", "topic-00001"]), known)
        .await;
    let (_, offsets) = told.unwrap().expect("two topics are not one");
    assert_eq!(offsets.by_topic().count(), 2);
}
