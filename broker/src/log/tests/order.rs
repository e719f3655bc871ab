//! Offsets, epochs, whole batches, and who may append what.

use super::*;

#[test]
fn offsets_are_given_without_gaps_and_the_stored_bytes_are_the_producers() {
    let bench = Bench::new();
    let log = bench.open(true);
    let sent = batch(3, "a");
    let first = log.append_as_leader(sent.clone(), 7).unwrap();
    assert_eq!(
        (first.first_offset, first.last_offset, first.log_append_time),
        (0, 2, -1)
    );
    let two: Bytes = [batch(1, "b"), batch(2, "c")].concat().into();
    let second = log.append_as_leader(two, 7).unwrap();
    assert_eq!((second.first_offset, second.last_offset), (3, 5));
    assert_eq!(log.end(), 6);
    let stored = std::fs::read(bench.file("00000000000000000000.log")).unwrap();
    assert_eq!(stored.len() as u64, log.size_bytes());
    assert_eq!(
        stored[16..sent.len()],
        sent[16..],
        "only base offset, length and epoch may differ"
    );
    assert_eq!(stored[12..16], 7_i32.to_be_bytes());
    let offsets: Vec<Offset> = values(&log).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn the_disk_and_the_memory_answer_every_read_alike() {
    let bench = Bench::with(LogConfig {
        segment_bytes: 900,
        index_interval_bytes: 200,
        ..LogConfig::default()
    });
    let log = bench.open(true);
    fill(&log, 40);
    let other = Bench {
        dir: tempfile::tempdir().unwrap(),
        ..Bench::with(bench.config.clone())
    };
    let mut config = other.config.clone();
    config.tail_cache_bytes = 0;
    let cold = Log::open(&other.disk, other.path(), config, other.clock.clone(), 0, true).unwrap();
    fill(&cold, 40);
    assert!(cold.state.lock().segments.len() > 3);
    for from in 0..=80 {
        for max in [0, 1, 100, 250, 1_000, 1 << 20] {
            for below in [from, from + 1, from + 2, from + 7, 80] {
                for must in [false, true] {
                    let warm_read = log.read(from, max, below, must).unwrap();
                    let cold_read = cold.read(from, max, below, must).unwrap();
                    let what = format!("from {from} max {max} below {below} at least one {must}");
                    // A read of the disk ends with the segment; the beginning is what must agree.
                    assert!(warm_read.records.starts_with(&cold_read.records), "{what}");
                    assert_eq!(warm_read.records.is_empty(), cold_read.records.is_empty(), "{what}");
                    assert!(cold_read.next <= below.max(from), "{what}");
                }
            }
        }
    }
    assert_eq!(values_in_steps(&cold, 1), values(&log));
}

#[test]
fn an_offset_within_a_batch_gives_that_batch_whole() {
    let bench = Bench::new();
    let log = bench.open(true);
    let size = batch(5, "a").len();
    log.append_as_leader(batch(5, "a"), 0).unwrap();
    log.append_as_leader(batch(5, "b"), 0).unwrap();
    let read = log.read(3, 1, 10, true).unwrap();
    assert_eq!((read.records.len(), read.next), (size, 5));
    assert!(log.read(3, 1, 10, false).unwrap().records.is_empty());
    assert!(log.read(10, 1_000, 10, true).unwrap().records.is_empty());
    assert!(matches!(
        log.read(11, 1, 11, true),
        Err(Error::OffsetOutOfRange {
            offset: 11,
            start: 0,
            end: 10
        })
    ));
    assert!(matches!(log.read(-1, 1, 11, true), Err(Error::OffsetOutOfRange { .. })));
}

#[test]
fn bad_batches_are_refused_with_the_protocols_codes_and_change_nothing() {
    use kafka_protocol::ResponseError as Code;
    let bench = Bench::with(LogConfig {
        max_message_bytes: 500,
        compact: true,
        ..LogConfig::default()
    });
    let log = bench.open(true);
    let code = |bytes: Bytes| log.append_as_leader(bytes, 0).unwrap_err().code();
    let sound = batch(2, "a");

    let mut flipped = sound.to_vec();
    flipped[70] ^= 1;
    assert_eq!(code(flipped.into()), Code::CorruptMessage);
    assert_eq!(code(sound.slice(..sound.len() - 1)), Code::CorruptMessage);
    assert_eq!(code(Bytes::new()), Code::InvalidRecord);
    let mut old = sound.to_vec();
    old[16] = 1;
    assert_eq!(code(old.into()), Code::UnsupportedForMessageFormat);
    assert_eq!(code(batch(40, "large")), Code::MessageTooLarge);
    assert_eq!(code(batch_at(NOW + 2 * 3_600_000, 1, "future")), Code::InvalidTimestamp);
    let mut control = BatchBuilder::new().control();
    assert_eq!(
        code(control.add(NOW, Some(b"k"), None).build().unwrap()),
        Code::InvalidRecord
    );
    let mut keyless = BatchBuilder::new();
    assert_eq!(
        code(keyless.add(NOW, None, Some(b"v")).build().unwrap()),
        Code::InvalidRecord
    );

    assert_eq!((log.end(), log.size_bytes()), (0, 0));
    log.append_as_leader(sound, 0).unwrap();
    log.append_internal(control.build().unwrap(), 0).unwrap();
    assert_eq!(log.end(), 3);
}

#[test]
fn log_append_time_stamps_the_batch_and_seals_it_again() {
    let bench = Bench::with(LogConfig {
        timestamp_type: TimestampType::LogAppend,
        ..LogConfig::default()
    });
    let log = bench.open(true);
    let appended = log.append_as_leader(batch_at(5, 3, "a"), 0).unwrap();
    assert_eq!(appended.log_append_time, NOW);
    let read = log.read(0, 1_000, 3, true).unwrap();
    let stored = record::batches(read.records).next().unwrap().unwrap();
    stored.check_crc().unwrap();
    assert!(
        stored
            .records(1_000)
            .unwrap()
            .all(|record| record.unwrap().timestamp == NOW)
    );
}

#[test]
fn a_retried_batch_gets_its_first_offsets_and_is_not_stored_twice() {
    let bench = Bench::new();
    let sent = |sequence, tag: &str| {
        let mut builder = BatchBuilder::new().producer(9, 0, sequence);
        builder
            .add(NOW, None, Some(tag.as_bytes()))
            .add(NOW, None, Some(tag.as_bytes()))
            .build()
            .unwrap()
    };
    let check = |log: &Log, oldest: i32| {
        for sequence in (oldest..6).step_by(2) {
            let again = log.append_as_leader(sent(sequence, "again"), 0).unwrap();
            assert!(again.duplicate);
            assert_eq!(
                (again.first_offset, again.last_offset),
                (i64::from(sequence), i64::from(sequence) + 1)
            );
        }
        assert_eq!(log.end(), 6);
        assert_eq!(
            log.append_as_leader(sent(9, "gap"), 0).unwrap_err().code(),
            kafka_protocol::ResponseError::OutOfOrderSequenceNumber
        );
    };
    let log = bench.open(true);
    for sequence in [0, 2, 4] {
        assert!(!log.append_as_leader(sent(sequence, "first"), 0).unwrap().duplicate);
    }
    check(&log, 0);
    drop(log);
    // After a crash the headers are read again, after a clean shutdown the snapshot, which knows one batch.
    check(&bench.open(false), 0);
    bench.open(false).close().unwrap();
    assert!(bench.file("00000000000000000006.snapshot").exists());
    check(&bench.open(true), 4);
}

#[test]
fn a_follower_takes_only_what_continues_its_log() {
    let bench = Bench::new();
    let leader = bench.open(true);
    leader.append_as_leader(batch(3, "a"), 4).unwrap();
    leader.append_as_leader(batch(3, "b"), 6).unwrap();
    let fetched = leader.read(0, 1 << 20, 6, true).unwrap().records;

    let other = Bench::new();
    let follower = other.open(true);
    follower.append_as_follower(fetched.clone()).unwrap();
    assert_eq!(values(&follower), values(&leader));
    assert_eq!(follower.end_offset_for(4), Some((4, 3)));
    assert_eq!(follower.latest_epoch(), Some(6));
    assert!(matches!(
        follower.append_as_follower(fetched.clone()),
        Err(Error::NotContiguous { found: 0, end: 6 })
    ));
    let mut damaged = fetched.to_vec();
    damaged[65] ^= 1;
    follower.truncate_to(0).unwrap();
    assert!(follower.append_as_follower(damaged.into()).is_err());
    assert_eq!(follower.end(), 0);
}

#[test]
fn an_older_leader_cannot_append() {
    let bench = Bench::new();
    let log = bench.open(true);
    log.assign_epoch(5, 0).unwrap();
    assert!(matches!(
        log.append_as_leader(batch(1, "a"), 4),
        Err(Error::StaleEpoch { found: 4, latest: 5 })
    ));
    log.append_as_leader(batch(1, "a"), 5).unwrap();
    assert_eq!(
        std::fs::read_to_string(bench.file("leader-epoch-checkpoint")).unwrap(),
        "0\n1\n5 0\n"
    );
}

#[test]
fn truncation_removes_whole_batches_on_disk_and_in_memory() {
    for tail_cache_bytes in [0, 1 << 20] {
        for target in 0..=60 {
            let config = LogConfig {
                segment_bytes: 900,
                index_interval_bytes: 200,
                tail_cache_bytes,
                ..LogConfig::default()
            };
            let bench = Bench::with(config);
            let log = bench.open(true);
            fill(&log, 30);
            log.truncate_to(target).unwrap();
            let end = target / 2 * 2;
            assert_eq!(log.end(), end, "target {target}");
            assert_eq!(values(&log).len() as i64, end);
            let appended = log.append_as_leader(batch(1, "new"), 3).unwrap();
            assert_eq!(appended.first_offset, end);
            assert_eq!(values(&log).pop().unwrap(), (end, "new-0".to_owned()));
            let before = values(&log);
            drop(log);
            assert_eq!(values(&bench.open(false)), before, "target {target}");
        }
    }
}

#[test]
fn restarting_elsewhere_forgets_everything() {
    let bench = Bench::new();
    let log = bench.open(true);
    fill(&log, 3);
    log.restart_at(1_000).unwrap();
    assert_eq!(
        (log.start(), log.end(), log.size_bytes(), log.latest_epoch()),
        (1_000, 1_000, 0, None)
    );
    log.append_as_leader(batch(1, "a"), 0).unwrap();
    drop(log);
    let log = bench.open(false);
    assert_eq!((log.start(), log.end()), (1_000, 1_001));
}

#[test]
fn readers_and_a_writer_do_not_disturb_each_other() {
    let bench = Bench::with(LogConfig {
        segment_bytes: 4_000,
        tail_cache_bytes: 2_000,
        ..LogConfig::default()
    });
    let log = bench.open(true);
    std::thread::scope(|scope| {
        scope.spawn(|| fill(&log, 500));
        for _ in 0..2 {
            scope.spawn(|| {
                let mut from = 0;
                while from < 1_000 {
                    let read = log.read(from, 700, log.end(), true).unwrap();
                    for batch in record::batches(read.records) {
                        let batch = batch.unwrap();
                        batch.check_crc().unwrap();
                        assert_eq!(batch.header.base_offset, from);
                        from = batch.header.next_offset();
                    }
                }
            });
        }
    });
    assert_eq!(log.end(), 1_000);
}

#[test]
fn an_idle_log_gives_up_its_memory_and_still_answers() {
    let bench = Bench::new();
    let log = bench.open(true);
    fill(&log, 3);
    let before = values(&log);
    log.cool(1_000).unwrap();
    assert!(
        log.state.lock().tail.read(0, 1_000, 6, true).is_some(),
        "it is not idle"
    );
    bench.clock.advance_ms(1_000);
    log.cool(1_000).unwrap();
    assert!(log.state.lock().tail.read(0, 1_000, 6, true).is_none());
    assert_eq!(values(&log), before);
    log.append_as_leader(batch(1, "next"), 0).unwrap();
    assert_eq!(values(&log).len(), 7);
}
