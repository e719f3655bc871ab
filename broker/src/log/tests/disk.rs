//! Full volumes and failing ones.

use super::*;
use crate::env::disk::Fault;

#[test]
fn a_full_volume_refuses_the_append_whole_and_takes_the_log_offline_until_there_is_room() {
    let mut bench = Bench::new();
    bench.disk = Disk::capped(bench.dir.path(), 2_000).unwrap();
    let log = bench.open(true);
    let refused = (0..100)
        .find_map(|n| log.append_as_leader(batch(2, &format!("b{n}")), 0).err())
        .unwrap();
    assert!(matches!(refused, Error::Full { .. }), "{refused}");
    assert_eq!(refused.code(), kafka_protocol::ResponseError::KafkaStorageError);
    let end = log.end();
    assert!(matches!(log.read(0, 1_000, end, true), Err(Error::Offline { .. })));
    assert!(bench.disk.resize(bench.dir.path(), 10_000));
    assert!(matches!(
        log.append_as_leader(batch(1, "room"), 0),
        Err(Error::Offline { .. })
    ));
    drop(log);
    let log = bench.open(false);
    assert_eq!(values(&log).len() as i64, end);
    log.append_as_leader(batch(1, "room"), 0).unwrap();
    assert_eq!(log.end(), end + 1);
}

#[test]
fn a_torn_write_leaves_no_trace_but_takes_the_log_offline() {
    let mut bench = Bench::new();
    bench.disk = Disk::real().faulty();
    let log = bench.open(true);
    fill(&log, 3);
    bench.disk.inject(Fault::TornWrite, ".log");
    assert!(matches!(
        log.append_as_leader(batch(2, "torn"), 0),
        Err(Error::Io { .. })
    ));
    bench.disk.heal();
    assert!(matches!(
        log.append_as_leader(batch(2, "later"), 0),
        Err(Error::Offline { .. })
    ));
    assert!(matches!(log.read(0, 1_000, 6, true), Err(Error::Offline { .. })));
    drop(log);
    let log = bench.open(false);
    assert_eq!(values(&log).len(), 6);
}

#[test]
fn a_failed_read_takes_the_log_offline() {
    let mut bench = Bench::new();
    bench.disk = Disk::real().faulty();
    let log = bench.open(true);
    fill(&log, 3);
    log.close().unwrap();
    drop(log);
    let log = bench.open(true);
    bench.disk.inject(Fault::Read, ".log");
    assert!(matches!(log.read(0, 1_000, log.end(), true), Err(Error::Io { .. })));
    bench.disk.heal();
    assert!(matches!(
        log.append_as_leader(batch(1, "later"), 0),
        Err(Error::Offline { .. })
    ));
}

#[test]
fn after_a_failed_fsync_nothing_is_trusted_until_the_next_start() {
    let mut bench = Bench::with(LogConfig {
        flush_messages: Some(1),
        ..LogConfig::default()
    });
    bench.disk = Disk::real().faulty();
    let log = bench.open(true);
    log.append_as_leader(batch(1, "a"), 0).unwrap();
    assert_eq!(log.recovery_point(), 1);
    bench.disk.inject(Fault::Sync, ".log");
    assert!(matches!(log.append_as_leader(batch(1, "b"), 0), Err(Error::Io { .. })));
    bench.disk.heal();
    assert!(matches!(log.flush(), Err(Error::Offline { .. })));
    assert_eq!(log.recovery_point(), 1);
    assert!(log.close().is_err());
}

#[test]
fn a_deleted_log_is_gone_and_says_so() {
    let bench = Bench::new();
    let log = bench.open(true);
    fill(&log, 3);
    let left = log.delete().unwrap().unwrap();
    assert!(left.extension().unwrap().to_str().unwrap().ends_with("-delete") && left.is_dir());
    assert_eq!(log.delete().unwrap(), None);
    assert!(!bench.path().exists());
    assert!(matches!(
        log.append_as_leader(batch(1, "x"), 0),
        Err(Error::Deleted { .. })
    ));
    assert!(matches!(log.read(0, 1, 1, true), Err(Error::Deleted { .. })));
}

#[test]
fn a_topic_of_the_longest_name_can_be_deleted() {
    let bench = Bench::new();
    let dir = bench.dir.path().join(format!("{}-99999", "x".repeat(249)));
    let log = Log::open(&bench.disk, dir, LogConfig::default(), bench.clock.clone(), 0, true).unwrap();
    fill(&log, 1);
    assert!(log.delete().unwrap().unwrap().is_dir());
}
