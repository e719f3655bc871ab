//! Managers that replicate in one process over links without sockets: what is acknowledged stays, and histories agree.

mod rig;

use std::time::Duration;

use kafka_protocol::ResponseError;

use super::{Acks, At, Client, Fetch, FetchFrom, Reader};
use crate::id::NodeId;
use rig::{Rig, batch, eventually};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_acknowledged_record_is_on_every_in_sync_replica() {
    let rig = Rig::start(3, 1).await;
    rig.elect(1, &[1, 2, 3]);
    for n in 0..20 {
        let produced = rig
            .produce(1, &format!("record {n}"), Acks::All)
            .await
            .expect("acknowledged");
        assert_eq!(produced.base_offset, n);
        for id in [2, 3] {
            assert!(rig.end(id) > n, "broker {id} has what was acknowledged");
        }
    }
    assert_eq!(rig.position(1).high_watermark, 20);
    assert_eq!(rig.records(2), rig.records(1));
    assert_eq!(rig.records(3), rig.records(1));
    eventually("followers learn the watermark", || {
        rig.position(2).high_watermark == 20 && rig.position(3).high_watermark == 20
    })
    .await;
}

#[tokio::test]
async fn a_restarted_follower_keeps_what_was_acknowledged_though_its_watermark_is_behind() {
    // KIP-101, scenario 1: truncating to the watermark would lose the second record for good.
    let mut rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.produce(1, "m1", Acks::All).await.expect("acknowledged");
    rig.produce(1, "m2", Acks::All).await.expect("acknowledged");
    rig.stop(2).await;
    rig.forget_watermark(2);
    rig.restart(2).await;
    rig.stop(1).await;
    rig.elect(2, &[2]);
    assert_eq!(rig.records(2), ["m1", "m2"]);
    rig.produce(2, "m3", Acks::All).await.expect("the only in-sync replica");
    assert_eq!(rig.records(2), ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn a_returning_leader_gives_up_what_only_it_had() {
    // KIP-101, scenario 2: both wrote offset 1, in different epochs.
    let mut rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.produce(1, "m1", Acks::All).await.expect("acknowledged");
    rig.cut(2, true);
    rig.produce(1, "lost", Acks::Leader).await.expect("on the leader");
    rig.stop(1).await;
    rig.cut(2, false);
    rig.elect(2, &[2]);
    rig.produce(2, "m2", Acks::All).await.expect("acknowledged");
    rig.produce(2, "m3", Acks::All).await.expect("acknowledged");
    rig.restart(1).await;
    eventually("histories agree", || rig.records(1) == ["m1", "m2", "m3"]).await;
    eventually("it is in sync again", || rig.isr().len() == 2).await;
}

#[tokio::test]
async fn histories_agree_after_two_fast_failovers() {
    // KIP-279: the follower's last epoch is one that the leader never had, and the leader's end of the epoch before
    // is past the follower's own.
    let mut rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    for n in 0..5 {
        rig.produce(1, &format!("common {n}"), Acks::All)
            .await
            .expect("acknowledged");
    }
    rig.cut(2, true);
    for n in 0..3 {
        rig.produce(1, &format!("first {n}"), Acks::Leader)
            .await
            .expect("on the leader");
    }
    rig.stop(1).await;
    rig.elect(2, &[2]);
    rig.produce(2, "second", Acks::Leader).await.expect("on the leader");
    rig.stop(2).await;
    rig.cut(2, false);
    rig.restart(1).await;
    rig.elect(1, &[1]);
    rig.produce(1, "third", Acks::All).await.expect("acknowledged");
    rig.restart(2).await;
    eventually("histories agree", || rig.records(2) == rig.records(1)).await;
    assert_eq!(rig.records(1).len(), 9);
}

#[tokio::test]
async fn an_epoch_without_records_is_no_divergence_for_ever() {
    let rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.produce(1, "m1", Acks::All).await.expect("acknowledged");
    // 2 leads and writes nothing; 1, which never heard of that epoch, leads again.
    rig.cut(1, true);
    rig.elect_unseen(2, &[1, 2], &[2]);
    rig.cut(1, false);
    rig.elect(1, &[1, 2]);
    rig.produce(1, "m2", Acks::All).await.expect("acknowledged");
    assert_eq!(rig.records(2), ["m1", "m2"]);
}

#[tokio::test]
async fn a_cut_off_follower_leaves_and_comes_back() {
    let rig = Rig::start(3, 1).await;
    rig.elect(1, &[1, 2, 3]);
    rig.produce(1, "m1", Acks::All).await.expect("acknowledged");
    rig.cut(3, true);
    rig.produce(1, "m2", Acks::All)
        .await
        .expect("acknowledged once 3 has left");
    assert_eq!(rig.isr(), [1, 2]);
    rig.cut(3, false);
    eventually("3 is back", || rig.isr().contains(&3)).await;
    assert_eq!(rig.records(3), ["m1", "m2"]);
}

#[tokio::test]
async fn nothing_is_acknowledged_below_min_insync_replicas() {
    let rig = Rig::start(2, 2).await;
    rig.elect(1, &[1, 2]);
    rig.produce(1, "m1", Acks::All).await.expect("acknowledged");
    rig.cut(2, true);
    let after = rig.produce(1, "m2", Acks::All).await.expect_err("2 left meanwhile");
    assert_eq!(after.code, ResponseError::NotEnoughReplicasAfterAppend);
    let refused = rig.produce(1, "m3", Acks::All).await.expect_err("1 is alone");
    assert_eq!(refused.code, ResponseError::NotEnoughReplicas);
    assert_eq!(rig.end(1), 2, "the last one was not even appended");
    rig.produce(1, "m4", Acks::Leader).await.expect("acks=1 does not ask");
}

#[tokio::test]
async fn a_leader_that_was_replaced_without_knowing_acknowledges_nothing() {
    let rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.produce(1, "m1", Acks::All).await.expect("acknowledged");
    // 1 does not hear of the election, and the controller does not take its changes any more.
    rig.elect_unseen(2, &[2], &[2]);
    let refused = rig
        .produce_within(1, "ghost", Acks::All, rig::LAG * 4)
        .await
        .expect_err("2 fetches from 1 no more");
    assert_eq!(refused.code, ResponseError::RequestTimedOut);
    rig.produce(2, "m2", Acks::All).await.expect("acknowledged");
    rig.publish();
    eventually("1 follows", || rig.records(1) == ["m1", "m2"]).await;
    let refused = rig.produce(1, "late", Acks::Leader).await.expect_err("1 follows");
    assert_eq!(refused.code, ResponseError::NotLeaderOrFollower);
}

#[tokio::test]
async fn a_producer_learns_when_the_leader_changes_under_it() {
    let rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.cut(2, true);
    let (refused, ()) = tokio::join!(rig.produce(1, "m1", Acks::All), async {
        rig.elect(2, &[2]);
    });
    assert_eq!(
        refused.expect_err("not acknowledged").code,
        ResponseError::NotLeaderOrFollower
    );
}

#[tokio::test]
async fn a_follower_behind_the_log_start_starts_over_there() {
    let rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.produce(1, "m0", Acks::All).await.expect("acknowledged");
    rig.cut(2, true);
    rig.produce(1, "m1", Acks::All)
        .await
        .expect("acknowledged once 2 has left");
    rig.produce(1, "m2", Acks::All).await.expect("acknowledged");
    rig.manager(1)
        .delete_records(rig.at(), 2, SOON)
        .await
        .expect("1 is alone");
    rig.cut(2, false);
    eventually("2 is back", || rig.isr().contains(&2)).await;
    assert_eq!(rig.position(2).log_start, 2);
    assert_eq!(rig.records(2), ["m2"]);
}

#[tokio::test]
async fn deleting_records_waits_for_the_followers() {
    let rig = Rig::start(3, 1).await;
    rig.elect(1, &[1, 2, 3]);
    for n in 0..5 {
        rig.produce(1, &n.to_string(), Acks::All).await.expect("acknowledged");
    }
    let beyond = rig.manager(1).delete_records(rig.at(), 6, SOON).await;
    assert_eq!(beyond.expect_err("past the end").code, ResponseError::OffsetOutOfRange);
    let low = rig.manager(1).delete_records(rig.at(), 3, SOON).await.expect("deleted");
    assert_eq!(low, 3);
    for id in [1, 2, 3] {
        assert_eq!(rig.position(id).log_start, 3, "broker {id}");
    }
}

#[tokio::test]
async fn a_consumer_waits_for_committed_records_and_sees_no_others() {
    let rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.cut(2, true);
    let fetch = Fetch {
        reader: Reader::Consumer(None),
        stable: false,
        max_wait: SOON,
        min_bytes: 1,
        max_bytes: 1 << 20,
    };
    let from = FetchFrom {
        at: rig.at(),
        offset: 0,
        max_bytes: 1 << 20,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start: -1,
    };
    rig.produce(1, "m1", Acks::Leader).await.expect("on the leader");
    let hurried = Fetch {
        max_wait: Duration::ZERO,
        ..fetch
    };
    let fetched = rig.manager(1).fetch(hurried, &[from]).await;
    assert!(fetched[0].records.is_empty(), "not committed yet");
    let (fetched, ()) = tokio::join!(async { rig.manager(1).fetch(fetch, &[from]).await }, async {
        rig.cut(2, false);
    });
    assert!(!fetched[0].records.is_empty());
    assert_eq!(fetched[0].high_watermark, 1);
    let stale = FetchFrom {
        current_leader_epoch: 0,
        ..from
    };
    let newer = FetchFrom {
        current_leader_epoch: 99,
        ..from
    };
    let beyond = FetchFrom { offset: 5, ..from };
    let fetched = rig.manager(1).fetch(fetch, &[stale, newer, beyond]).await;
    let errors: Vec<_> = fetched.iter().map(|fetched| fetched.error).collect();
    let expected = [
        ResponseError::FencedLeaderEpoch,
        ResponseError::UnknownLeaderEpoch,
        ResponseError::OffsetOutOfRange,
    ];
    assert_eq!(errors, expected.map(Some));
    let follower = rig.manager(2).fetch(fetch, &[from]).await;
    assert_eq!(follower[0].error, Some(ResponseError::NotLeaderOrFollower));
}

#[tokio::test]
async fn offsets_are_found_by_place_time_and_epoch() {
    let rig = Rig::start(1, 1).await;
    rig.elect(1, &[1]);
    let manager = rig.manager(1);
    for (n, timestamp) in [(0, 100), (1, 300), (2, 200)] {
        let records = batch(&n.to_string(), timestamp);
        manager
            .append(rig.at(), records, Acks::All, SOON)
            .await
            .expect("acknowledged");
    }
    let offset = |asked| {
        manager
            .offset_at(rig.at(), asked, -1, false)
            .expect("leads")
            .map(|found| found.offset)
    };
    assert_eq!(offset(At::Earliest), Some(0));
    assert_eq!(offset(At::Latest), Some(3));
    assert_eq!(offset(At::MaxTimestamp), Some(1));
    assert_eq!(offset(At::Time(150)), Some(1));
    assert_eq!(offset(At::Time(301)), None);
    let epoch = manager.leader_epoch(rig.at()).expect("leads");
    rig.elect(1, &[1]);
    rig.produce(1, "next", Acks::All).await.expect("acknowledged");
    let end = manager.epoch_end(rig.at(), epoch, -1).expect("leads");
    assert_eq!(end, Some((epoch, 3)));
}

#[tokio::test]
async fn replicas_that_are_placed_elsewhere_are_deleted() {
    let mut rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.produce(1, "m1", Acks::All).await.expect("acknowledged");
    rig.stop(2).await;
    rig.place(&[1], 1, &[1]);
    rig.restart(2).await;
    eventually("the stray is deleted", || rig.manager(2).logs().get(rig.at()).is_none()).await;
    rig.delete_topic();
    assert!(rig.manager(1).logs().get(rig.at()).is_none());
    let refused = rig
        .produce(1, "m2", Acks::Leader)
        .await
        .expect_err("there is no such topic");
    assert_eq!(refused.code, ResponseError::NotLeaderOrFollower);
}

/// Copies 6 MB to a replica that was away, with these throttles, and returns the bytes per second that it got.
async fn catch_up(topic_configs: &[(&str, &str)], rate: &str) -> f64 {
    const CHUNK: usize = 10_000;
    let rig = Rig::start(2, 1).await;
    rig.elect(1, &[1, 2]);
    rig.produce(1, "first", Acks::All).await.expect("acknowledged");
    rig.cut(2, true);
    rig.elect(1, &[1]);
    for side in [
        "leader.replication.throttled.rate",
        "follower.replication.throttled.rate",
    ] {
        rig.set(None, side, rate);
    }
    for (key, value) in topic_configs {
        rig.set(Some("orders"), key, value);
    }
    let value = "x".repeat(CHUNK);
    for _ in 0..600 {
        rig.produce(1, &value, Acks::All).await.expect("1 is alone");
    }
    let before = rig.end(2);
    rig.cut(2, false);
    eventually("2 begins, after a pause of its own", || rig.end(2) > before).await;
    let began = std::time::Instant::now();
    eventually("2 has everything", || rig.end(2) == rig.end(1)).await;
    let rate = (rig.end(2) - before) as f64 * CHUNK as f64 / began.elapsed().as_secs_f64();
    eventually("2 is in sync", || rig.isr().contains(&2)).await;
    for side in [
        "leader.replication.throttled.rate",
        "follower.replication.throttled.rate",
    ] {
        rig.set(None, side, "100");
    }
    for _ in 0..20 {
        rig.produce(1, &value, Acks::All)
            .await
            .expect("in sync it is not throttled");
    }
    rate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_out_of_sync_is_throttled_on_either_side_and_no_other() {
    let at_leader = [("leader.replication.throttled.replicas", "0:1")];
    let at_follower = [("follower.replication.throttled.replicas", "0:2")];
    let elsewhere = [("leader.replication.throttled.replicas", "0:2,1:1")];
    let (sent, received, free) = tokio::join!(
        catch_up(&at_leader, "2000000"),
        catch_up(&at_follower, "2000000"),
        catch_up(&elsewhere, "2000000")
    );
    for rate in [sent, received] {
        // The leader counts records with their headers, and what is left is less than a quantum.
        assert!((1_700_000.0..=2_300_000.0).contains(&rate), "{rate} bytes/s");
    }
    assert!(free > 8_000_000.0, "{free} bytes/s");
}

#[tokio::test]
async fn a_consumer_is_sent_to_a_follower_of_its_rack_and_served_there_up_to_the_watermark() {
    let rig = Rig::start(3, 1).await;
    rig.elect(1, &[1, 2, 3]);
    rig.produce(1, "m1", Acks::All).await.expect("acknowledged");
    eventually("followers learn the watermark", || rig.position(3).high_watermark == 1).await;
    let fetch = |rack| Fetch {
        reader: Reader::Consumer(Some(Client {
            rack,
            listener: "PLAINTEXT",
        })),
        stable: false,
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes: 1 << 20,
    };
    let from = FetchFrom {
        at: rig.at(),
        offset: 0,
        max_bytes: 1 << 20,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start: -1,
    };
    for (rack, preferred) in [
        ("rack-3", Some(NodeId(3))),
        ("rack-1", None),
        ("nowhere", None),
        ("", None),
    ] {
        let fetched = rig.manager(1).fetch(fetch(rack), &[from]).await;
        assert_eq!(fetched[0].preferred, preferred, "rack {rack}");
        assert_eq!(fetched[0].records.is_empty(), preferred.is_some(), "rack {rack}");
    }
    let fetched = rig.manager(3).fetch(fetch("rack-3"), &[from]).await;
    assert_eq!((fetched[0].error, fetched[0].preferred), (None, None));
    assert!(!fetched[0].records.is_empty());

    // What the follower does not know to be committed it does not give, and what it does not have it refuses.
    let next = FetchFrom { offset: 1, ..from };
    let waits = Fetch {
        max_wait: SOON,
        ..fetch("rack-3")
    };
    let next = [next];
    let follower = rig.manager(3);
    let (fetched, ()) = tokio::join!(follower.fetch(waits, &next), async {
        rig.produce(1, "m2", Acks::All).await.expect("acknowledged");
    });
    assert!(!fetched[0].records.is_empty(), "woken by the watermark");
    let beyond = FetchFrom { offset: 9, ..from };
    let fetched = follower.fetch(fetch("rack-3"), &[beyond]).await;
    assert_eq!(fetched[0].error, Some(ResponseError::OffsetOutOfRange));
    rig.cut(3, true);
    rig.produce(1, "m3", Acks::All)
        .await
        .expect("acknowledged once 3 has left");
    eventually("3 leaves", || !rig.isr().contains(&3)).await;
    rig.publish();
    let fetched = rig.manager(1).fetch(fetch("rack-3"), &[from]).await;
    assert_eq!(fetched[0].preferred, None, "it is not in sync");
}
