//! What a topic's configs do to its log.

use super::*;
use crate::record::Compression;

/// The codecs of the batches in the log.
fn codecs(log: &Log) -> Vec<Compression> {
    let read = log.read(log.start(), 1 << 20, log.end(), true).unwrap();
    let batches = record::batches(read.records);
    batches
        .map(|batch| batch.unwrap().header.compression().unwrap())
        .collect()
}

fn compressed(codec: Compression, records: usize) -> Bytes {
    let mut builder = BatchBuilder::new().compression(codec);
    for n in 0..records {
        builder.add(NOW + n as i64, Some(b"key"), Some(format!("{n:0>100}").as_bytes()));
    }
    builder.build().unwrap()
}

fn log_of(config: LogConfig) -> (Bench, Log) {
    let bench = Bench::with(config);
    let log = bench.open(true);
    (bench, log)
}

#[test]
fn compression_type_decides_how_batches_are_stored_whatever_was_sent() {
    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for wanted in ALL {
        let (_bench, log) = log_of(LogConfig {
            compression: Some((wanted, None)),
            ..LogConfig::default()
        });
        for sent in ALL {
            let appended = log.append_as_leader(compressed(sent, 10), 3).unwrap();
            assert_eq!(appended.last_offset - appended.first_offset, 9);
        }
        assert_eq!(codecs(&log), [wanted; 5]);
        // Offsets, epochs, times and content are right, and so are the CRCs, which this checks.
        let values = values(&log);
        assert_eq!(values.len(), 50);
        assert_eq!(values[49], (49, format!("{:0>100}", 9)));
        assert_eq!(log.latest_epoch(), Some(3));
        assert_eq!(log.offset_for_time(NOW + 9).unwrap().unwrap().offset, 9);
    }
    let (_bench, log) = log_of(LogConfig::default());
    for sent in ALL {
        log.append_as_leader(compressed(sent, 10), 0).unwrap();
    }
    assert_eq!(codecs(&log), ALL, "producer keeps them as they are");
}

#[test]
fn an_idempotent_batch_that_is_stored_otherwise_is_still_known_as_a_duplicate() {
    let (_bench, log) = log_of(LogConfig {
        compression: Some((Compression::Zstd, Some(19))),
        ..LogConfig::default()
    });
    let mut builder = BatchBuilder::new().producer(7, 0, 0);
    let batch = builder.add(NOW, None, Some(b"once")).build().unwrap();
    log.append_as_leader(batch.clone(), 0).unwrap();
    assert!(log.append_as_leader(batch, 0).unwrap().duplicate);
    assert_eq!((log.end(), codecs(&log)), (1, vec![Compression::Zstd]));
}

#[test]
fn a_level_makes_a_difference_and_a_batch_that_grows_too_large_is_refused() {
    let text: Vec<u8> = (0..5_000_u32)
        .flat_map(|n| {
            format!(
                "order {n} of customer {} costs {} euros; ",
                n * 7_919 % 1_013,
                n * 31 % 89
            )
            .into_bytes()
        })
        .collect();
    let mut builder = BatchBuilder::new();
    let batch = builder.add(NOW, None, Some(&text)).build().unwrap();
    let size = |level| {
        let (_bench, log) = log_of(LogConfig {
            compression: Some((Compression::Gzip, Some(level))),
            ..LogConfig::default()
        });
        log.append_as_leader(batch.clone(), 0).unwrap();
        log.size_bytes()
    };
    assert!(size(9) < size(1));
    let (_bench, log) = log_of(LogConfig {
        compression: Some((Compression::None, None)),
        max_message_bytes: 2_000,
        ..LogConfig::default()
    });
    let zipped = compressed(Compression::Zstd, 100);
    assert!(zipped.len() < 2_000);
    let refused = log.append_as_leader(zipped, 0).unwrap_err();
    assert_eq!(
        refused.code(),
        kafka_protocol::ResponseError::MessageTooLarge,
        "{refused}"
    );
    assert_eq!(log.end(), 0);
}

#[test]
fn records_that_are_too_old_are_refused_one_by_one_unless_the_broker_stamps_them() {
    let config = LogConfig {
        timestamp_before_max_ms: Some(1_000),
        ..LogConfig::default()
    };
    let mut builder = BatchBuilder::new();
    for age in [1_001, 1_000, 5_000] {
        builder.add(NOW - age, None, Some(b"v"));
    }
    let old = builder.build().unwrap();
    let (_bench, log) = log_of(config.clone());
    match log.append_as_leader(old.clone(), 0) {
        Err(error @ Error::TooOld { .. }) => {
            assert_eq!(error.code(), kafka_protocol::ResponseError::InvalidTimestamp);
            let Error::TooOld { records, .. } = error else {
                unreachable!()
            };
            assert_eq!(records, [0, 2]);
        }
        other => panic!("{other:?}"),
    }
    let (_bench, log) = log_of(LogConfig {
        timestamp_type: TimestampType::LogAppend,
        ..config
    });
    log.append_as_leader(old, 0).unwrap();
    let late = log_of(LogConfig::default())
        .1
        .append_as_leader(batch_at(NOW + 3_700_000, 1, "late"), 0);
    assert!(matches!(late, Err(Error::Timestamp { .. })), "{late:?}");
}

#[test]
fn a_segment_ends_when_its_index_is_full() {
    let (_bench, log) = log_of(LogConfig {
        index_interval_bytes: 0,
        segment_index_bytes: 80,
        ..LogConfig::default()
    });
    fill(&log, 40);
    let segments = log.state.lock().segments.len();
    assert!(segments >= 4, "{segments} segments");
    log.close().unwrap();
    for segment in &log.state.lock().segments {
        let (index, times) = (
            segment.path().with_extension("index"),
            segment.path().with_extension("timeindex"),
        );
        for path in [index, times] {
            let size = std::fs::metadata(&path).unwrap().len();
            assert!(size <= 80, "{} has {size} bytes", path.display());
        }
    }
}

#[test]
fn jitter_ends_segments_earlier_and_not_all_at_once() {
    let lifetimes = |jitter| -> Vec<i64> {
        let (_bench, log) = log_of(LogConfig {
            segment_ms: 10_000,
            segment_jitter_ms: jitter,
            segment_bytes: 500,
            ..LogConfig::default()
        });
        fill(&log, 40);
        let config = log.config();
        let state = log.state.lock();
        state
            .segments
            .iter()
            .map(|segment| segment.lifetime_ms(&config))
            .collect()
    };
    assert!(lifetimes(0).iter().all(|lifetime| *lifetime == 10_000));
    let mut shortened = lifetimes(4_000);
    assert!(
        shortened.iter().all(|lifetime| (6_001..=10_000).contains(lifetime)),
        "{shortened:?}"
    );
    shortened.sort_unstable();
    shortened.dedup();
    assert!(shortened.len() > 3, "{shortened:?}");
}

#[test]
fn preallocate_reserves_room_that_is_given_back_when_the_segment_ends() {
    use std::os::unix::fs::MetadataExt;
    let (bench, log) = log_of(LogConfig {
        preallocate: true,
        segment_bytes: 1 << 20,
        ..LogConfig::default()
    });
    let reserved = |base: Offset| {
        std::fs::metadata(bench.file(&format!("{base:020}.log")))
            .unwrap()
            .blocks()
            * 512
    };
    log.append_as_leader(batch(1, "first"), 0).unwrap();
    assert!(reserved(0) >= 1 << 20, "{} bytes", reserved(0));
    let size = std::fs::metadata(bench.file("00000000000000000000.log")).unwrap().len();
    assert_eq!(size, log.size_bytes(), "only records count");
    log.state.lock().segments.last_mut().unwrap().seal(&bench.disk).unwrap();
    assert!(reserved(0) < 1 << 20, "{} bytes", reserved(0));
}

#[test]
fn the_files_of_deleted_segments_stay_for_a_while() {
    let (bench, log) = log_of(LogConfig {
        segment_bytes: 500,
        file_delete_delay_ms: 5_000,
        ..LogConfig::default()
    });
    fill(&log, 20);
    log.advance_start(log.end()).unwrap();
    let deleted = || {
        let entries = std::fs::read_dir(bench.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|it| it == "deleted"))
            .count()
    };
    assert!(deleted() >= 3);
    bench.clock.advance_ms(4_999);
    log.unlink_due().unwrap();
    assert!(deleted() >= 3);
    bench.clock.advance_ms(1);
    log.unlink_due().unwrap();
    assert_eq!(deleted(), 0);
}
