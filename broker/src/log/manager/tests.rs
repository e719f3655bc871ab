//! Directories: locked, identified, reopened, failing one by one.

mod moves;

use tempfile::TempDir;

use super::*;
use crate::env::disk::Fault;
use crate::id::TopicId;
use crate::record::BatchBuilder;

struct Bench {
    root: TempDir,
    disk: Disk,
    clock: Clock,
}

impl Bench {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            disk: Disk::real().faulty(),
            clock: Clock::manual(1_700_000_000_000),
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn open_as(&self, names: &[&str], cluster: &str, node: i32) -> Result<LogManager, Error> {
        let dirs: Vec<PathBuf> = names.iter().map(|name| self.dir(name)).collect();
        let identity = Identity {
            cluster_id: cluster.to_owned(),
            node_id: NodeId(node),
        };
        LogManager::open(
            &dirs,
            self.disk.clone(),
            &identity,
            LogConfig::default(),
            self.clock.clone(),
            &Random::seeded(1),
        )
    }

    fn open(&self, names: &[&str]) -> LogManager {
        self.open_as(names, "c1", 1).unwrap()
    }
}

fn at(topic: u128, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId(Uuid::from_u128(topic)),
        partition,
    }
}

fn append(log: &Log, records: usize) {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.add(1_700_000_000_000, None, Some(b"v"));
    }
    log.append_as_leader(builder.build().unwrap(), 0).unwrap();
}

#[test]
fn logs_and_their_offsets_are_found_again_after_a_clean_stop() {
    let bench = Bench::new();
    let manager = bench.open(&["d"]);
    assert_eq!(manager.previous_broker_epoch(), None);
    let log = manager
        .create("my-orders", at(7, 3), LogConfig::default(), None)
        .unwrap();
    append(&log, 5);
    log.set_high_watermark(4);
    log.advance_start(2).unwrap();
    manager.close(42).unwrap();
    drop((log, manager));
    let read = |name: &str| std::fs::read_to_string(bench.dir("d").join(name)).unwrap();
    assert_eq!(read("replication-offset-checkpoint"), "0\n1\nmy-orders 3 4\n");
    assert_eq!(read("recovery-point-offset-checkpoint"), "0\n1\nmy-orders 3 5\n");
    assert_eq!(read("log-start-offset-checkpoint"), "0\n1\nmy-orders 3 2\n");
    assert_eq!(
        read("my-orders-3/partition.metadata"),
        "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABw\n"
    );
    assert_eq!(read(".kafka_cleanshutdown"), r#"{"brokerEpoch":42,"version":0}"#);
    assert!(read("meta.properties").contains("cluster.id=c1\n"));

    let manager = bench.open(&["d"]);
    assert_eq!(manager.previous_broker_epoch(), Some(42));
    let log = manager.get(at(7, 3)).unwrap();
    assert_eq!(
        (log.start(), log.high_watermark(), log.end(), log.recovery_point()),
        (2, 4, 5, 5)
    );
    assert_eq!(manager.logs()[0].1, "my-orders");
    append(&log, 1);
    manager.checkpoint_high_watermarks();
    drop((log, manager));
    // Not closed: the mark is gone, the log is recovered.
    let manager = bench.open(&["d"]);
    assert_eq!(manager.previous_broker_epoch(), None);
    assert_eq!(manager.get(at(7, 3)).unwrap().end(), 6);
}

#[test]
fn a_directory_in_use_or_of_another_node_is_refused_by_name() {
    let bench = Bench::new();
    let manager = bench.open(&["d"]);
    assert!(matches!(bench.open_as(&["d"], "c1", 1), Err(Error::InUse { .. })));
    let id = manager.dirs()[0].id;
    drop(manager);
    let foreign = bench.open_as(&["d"], "c2", 1).unwrap_err();
    assert!(
        foreign.to_string().contains("belongs to cluster c1, not to c2"),
        "{foreign}"
    );
    assert!(matches!(
        bench.open_as(&["d"], "c1", 2),
        Err(Error::Foreign { what: "node", .. })
    ));
    let identity = LogManager::identity_of(&bench.disk, &bench.dir("d")).unwrap().unwrap();
    assert_eq!((identity.cluster_id.as_str(), identity.node_id), ("c1", NodeId(1)));
    assert_eq!(LogManager::identity_of(&bench.disk, &bench.dir("none")).unwrap(), None);
    assert_eq!(bench.open(&["d"]).dirs()[0].id, id);
}

#[test]
fn a_recreated_topic_does_not_see_the_old_ones_records() {
    let bench = Bench::new();
    let manager = bench.open(&["d"]);
    append(&manager.create("t", at(1, 0), LogConfig::default(), None).unwrap(), 3);
    let again = manager.create("t", at(2, 0), LogConfig::default(), None).unwrap();
    assert_eq!(again.end(), 0);
    assert!(manager.get(at(1, 0)).is_none());
    append(&again, 1);
    manager.remove(at(2, 0)).unwrap();
    manager.remove(at(2, 0)).unwrap();
    assert!(!bench.dir("d/t-0").exists());
    let left = || {
        let entries = std::fs::read_dir(bench.dir("d")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with("-delete")).count()
    };
    manager.flush_due();
    assert_eq!(left(), 2, "file.delete.delay.ms has not passed");
    bench.clock.advance_ms(60_000);
    manager.flush_due();
    assert_eq!(left(), 0);
    // What a crash between rename and unlink leaves goes at the next start.
    drop((again, manager));
    std::fs::create_dir(bench.dir("d/t-0.0123456789abcdef0123456789abcdef-delete")).unwrap();
    bench.open(&["d"]);
    assert!(!bench.dir("d/t-0.0123456789abcdef0123456789abcdef-delete").exists());
}

#[test]
fn a_failing_directory_takes_only_its_own_logs_offline() {
    let bench = Bench::new();
    let manager = bench.open(&["a", "b"]);
    let ids: Vec<Uuid> = manager.dirs().iter().map(|dir| dir.id).collect();
    let on_a = manager
        .create("t", at(1, 0), LogConfig::default(), Some(ids[0]))
        .unwrap();
    let also_a = manager
        .create("t", at(1, 1), LogConfig::default(), Some(ids[0]))
        .unwrap();
    let on_b = manager.create("t", at(1, 2), LogConfig::default(), None).unwrap();
    assert_eq!(manager.dir_of(at(1, 2)), Some(ids[1]), "the one with fewer logs");
    for log in [&on_a, &also_a, &on_b] {
        append(log, 1);
    }
    bench.disk.inject(Fault::Sync, "/a/t-0");
    assert!(on_a.flush().is_err());
    bench.disk.heal();
    assert!(matches!(also_a.read(0, 1, 1, true), Err(Error::Offline { .. })));
    append(&on_b, 1);
    let dirs = manager.dirs();
    assert!(
        dirs[0].failure.as_ref().is_some_and(|why| why.contains("/a/t-0")),
        "{dirs:?}"
    );
    assert!(dirs[1].failure.is_none());
    let next = manager
        .create("t", at(1, 3), LogConfig::default(), Some(ids[0]))
        .unwrap();
    assert!(next.dir().starts_with(bench.dir("b")));
    manager.close(1).unwrap_err();
    assert!(!bench.dir("a/.kafka_cleanshutdown").exists());
    assert!(bench.dir("b/.kafka_cleanshutdown").exists());
}

#[test]
fn a_directory_that_fails_at_the_start_is_offline_and_the_others_serve() {
    let bench = Bench::new();
    let manager = bench.open(&["a", "b"]);
    let ids: Vec<Uuid> = manager.dirs().iter().map(|dir| dir.id).collect();
    for (index, id) in ids.iter().enumerate() {
        let log = manager
            .create("t", at(1, index as i32), LogConfig::default(), Some(*id))
            .unwrap();
        append(&log, 1);
    }
    manager.close(1).unwrap();
    drop(manager);
    bench.disk.inject(Fault::Read, "/a/meta.properties");
    let manager = bench.open(&["a", "b"]);
    assert!(manager.get(at(1, 0)).is_none());
    assert_eq!(manager.get(at(1, 1)).unwrap().end(), 1);
    assert!(manager.has_failed_dir() && manager.is_online(ids[1]) && !manager.is_online(ids[0]));
    assert_eq!(manager.previous_broker_epoch(), None, "not every directory says so");
    drop(manager);
    bench.disk.heal();
    assert_eq!(bench.open(&["a", "b"]).get(at(1, 0)).unwrap().end(), 1);
}

#[test]
fn a_new_log_goes_to_the_next_directory_when_its_own_is_full() {
    let mut bench = Bench::new();
    let (a, b) = (bench.dir("a"), bench.dir("b"));
    bench.disk = Disk::with_volumes([(a.clone(), 1_000), (b, 1_000)]).unwrap();
    let manager = bench.open(&["a", "b"]);
    let mut news = manager.news();
    let ids: Vec<Uuid> = manager.dirs().iter().map(|dir| dir.id).collect();
    assert!(bench.disk.resize(&a, 1));
    let log = manager
        .create("t", at(1, 0), LogConfig::default(), Some(ids[0]))
        .unwrap();
    assert!(log.dir().starts_with(bench.dir("b")));
    assert_eq!(manager.dir_of(at(1, 0)), Some(ids[1]));
    assert!(news.has_changed().unwrap(), "a directory failed");
    news.mark_unchanged();
    assert!(
        manager.dirs()[0]
            .failure
            .as_ref()
            .is_some_and(|why| why.contains("full"))
    );
}

#[tokio::test]
async fn the_upkeep_checkpoints_and_retains_until_it_is_told_to_stop() {
    let bench = Bench::new();
    let manager = Arc::new(bench.open(&["d"]));
    let interval = std::time::Duration::from_millis(5);
    manager.set_intervals(Intervals {
        retention: interval,
        checkpoint: interval,
        high_watermark: interval,
        flush: interval,
        compaction: None,
    });
    let config = LogConfig {
        retention_ms: Some(0),
        flush_ms: Some(0),
        ..LogConfig::default()
    };
    let log = manager.create("t", at(1, 0), config, None).unwrap();
    let mut old = BatchBuilder::new();
    log.append_as_leader(old.add(1_000, None, Some(b"old")).build().unwrap(), 0)
        .unwrap();
    log.set_high_watermark(1);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let upkeep = tokio::spawn(Arc::clone(&manager).run(stopped));
    let expected = "0\n1\nt 0 1\n";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let read = |name: &str| std::fs::read_to_string(bench.dir("d").join(name)).unwrap_or_default();
    while log.start() < 1
        || read("replication-offset-checkpoint") != expected
        || read("recovery-point-offset-checkpoint") != expected
        || read("log-start-offset-checkpoint") != expected
    {
        assert!(std::time::Instant::now() < deadline, "the upkeep did not do its work");
        tokio::time::sleep(interval).await;
    }
    stop.send(true).unwrap();
    upkeep.await.unwrap();
    manager.close(1).unwrap();
}

#[test]
fn a_log_has_no_files_before_its_first_record() {
    let bench = Bench::new();
    let manager = bench.open(&["d"]);
    let blank = manager.create("t", at(1, 0), LogConfig::default(), None).unwrap();
    let led = manager.create("t", at(1, 1), LogConfig::default(), None).unwrap();
    led.assign_epoch(3, 0).unwrap();
    for log in [&blank, &led] {
        log.flush().unwrap();
        log.retain(0).unwrap();
        log.truncate_to(0).unwrap();
        assert!(log.is_blank() && !log.dir().exists());
        assert!(log.read(0, 1, 10, true).unwrap().records.is_empty());
    }
    manager.retain();
    manager.flush_due();
    manager.checkpoint();
    manager.checkpoint_high_watermarks();
    let left: Vec<_> = std::fs::read_dir(bench.dir("d"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "the lock and meta.properties: {left:?}");
    assert_eq!(manager.made_count(), 0);

    led.assign_epoch(4, 0).unwrap();
    let mut builder = BatchBuilder::new();
    led.append_as_leader(builder.add(1_700_000_000_000, None, Some(b"v")).build().unwrap(), 4)
        .unwrap();
    assert_eq!(manager.made_count(), 1);
    assert_eq!(led.end_offset_for(4), Some((4, 1)));
    let epochs = std::fs::read_to_string(led.dir().join("leader-epoch-checkpoint")).unwrap();
    assert_eq!(epochs, "0\n1\n4 0\n");
    manager.close(1).unwrap();
    drop((blank, led, manager));
    let manager = bench.open(&["d"]);
    assert_eq!(
        manager.logs().len(),
        1,
        "what is blank is known from the metadata alone"
    );
    assert_eq!(manager.get(at(1, 1)).unwrap().end(), 1);
}

#[test]
fn a_follower_that_starts_over_makes_its_log() {
    let bench = Bench::new();
    let manager = bench.open(&["d"]);
    let log = manager.create("t", at(1, 0), LogConfig::default(), None).unwrap();
    log.restart_at(500).unwrap();
    assert_eq!((log.start(), log.end()), (500, 500));
    manager.close(1).unwrap();
    drop((log, manager));
    let manager = bench.open(&["d"]);
    assert_eq!(manager.get(at(1, 0)).unwrap().end(), 500);
}

#[test]
fn a_first_append_that_fails_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let disk = Disk::capped(root.path(), 400).unwrap();
    let identity = Identity {
        cluster_id: "c1".to_owned(),
        node_id: NodeId(1),
    };
    let open = || {
        let dirs = [root.path().join("d")];
        let (clock, random) = (Clock::manual(0), Random::seeded(1));
        LogManager::open(&dirs, disk.clone(), &identity, LogConfig::default(), clock, &random).unwrap()
    };
    let manager = open();
    let log = manager.create("t", at(1, 0), LogConfig::default(), None).unwrap();
    let ballast = disk.create(&root.path().join("ballast")).unwrap();
    let free = usize::try_from(disk.space(root.path()).unwrap().usable_bytes).unwrap();
    ballast.write_all_at(&vec![0; free], 0).unwrap();
    let batch = || BatchBuilder::new().add(0, None, Some(b"v")).build().unwrap();
    let full = log.append_as_leader(batch(), 0).unwrap_err();
    assert!(matches!(full, Error::Full { .. }), "{full}");
    assert!(log.is_blank() && !log.dir().exists());
    drop((log, manager));
    ballast.truncate(0).unwrap();
    let manager = open();
    assert!(manager.logs().is_empty());
    let log = manager.create("t", at(1, 0), LogConfig::default(), None).unwrap();
    log.append_as_leader(batch(), 0).unwrap();
    assert_eq!(log.end(), 1);
}
