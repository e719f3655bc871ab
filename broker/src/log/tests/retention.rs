//! Segments close by size and time, and go by time, size and on request; never past the high watermark.

use super::*;

fn segment_bases(log: &Log) -> Vec<Offset> {
    log.state.lock().segments.iter().map(|segment| segment.base).collect()
}

fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 500,
        ..LogConfig::default()
    }
}

#[test]
fn a_segment_closes_before_it_is_too_large_and_when_its_records_span_too_much_time() {
    let bench = Bench::with(LogConfig {
        segment_bytes: 500,
        segment_ms: 1_000,
        ..LogConfig::default()
    });
    let log = bench.open(true);
    fill(&log, 20);
    let bases = segment_bases(&log);
    assert!(bases.len() > 2);
    for base in &bases {
        assert!(std::fs::metadata(bench.file(&format!("{base:020}.log"))).unwrap().len() <= 500);
    }
    assert!(bench.file(&format!("{:020}.snapshot", bases[1])).exists());
    log.append_as_leader(batch_at(NOW + 1_002, 1, "late"), 0).unwrap();
    assert_eq!(segment_bases(&log).last(), Some(&40));
    assert!(matches!(
        log.append_as_leader(batch(30, "huge"), 0),
        Err(Error::LargerThanSegment { max: 500, .. })
    ));
}

#[test]
fn expired_segments_go_but_not_what_followers_still_need() {
    let bench = Bench::with(LogConfig {
        retention_ms: Some(1_000),
        ..small_segments()
    });
    let log = bench.open(true);
    fill(&log, 12);
    let bases = segment_bases(&log);
    assert_eq!(log.retain(log.end()).unwrap(), 0, "nothing is old yet");
    bench.clock.advance_ms(2_000);
    let deleted = log.retain(bases[1] + 1).unwrap();
    assert!(deleted > 0);
    assert_eq!(log.start(), bases[1], "the watermark is in the second segment");
    assert!(!bench.file("00000000000000000000.log").exists());
    assert!(!bench.file("00000000000000000000.timeindex").exists());
    log.retain(log.end()).unwrap();
    assert_eq!((log.start(), log.end(), log.size_bytes()), (24, 24, 0));
    assert!(matches!(
        log.read(23, 1, 24, true),
        Err(Error::OffsetOutOfRange { start: 24, .. })
    ));
    assert_eq!(log.append_as_leader(batch(1, "next"), 0).unwrap().first_offset, 24);
    drop(log);
    assert_eq!(bench.open(false).start(), 24);
}

#[test]
fn surplus_bytes_go_from_the_oldest_end() {
    let bench = Bench::with(LogConfig {
        retention_bytes: Some(1_000),
        ..small_segments()
    });
    let log = bench.open(true);
    fill(&log, 30);
    let before = log.size_bytes();
    let deleted = log.retain(log.end()).unwrap();
    assert_eq!(log.size_bytes(), before - deleted);
    assert!(
        log.size_bytes() >= 1_000 && log.size_bytes() < 1_500,
        "{}",
        log.size_bytes()
    );
    assert_eq!(values(&log).first().map(|(offset, _)| *offset), Some(log.start()));
}

#[test]
fn compacted_topics_keep_everything_but_what_was_deleted_on_request() {
    let bench = Bench::with(LogConfig {
        delete: false,
        compact: true,
        ..small_segments()
    });
    let log = bench.open(true);
    fill(&log, 12);
    bench.clock.advance_ms(365 * 24 * 3_600_000);
    assert_eq!(log.retain(log.end()).unwrap(), 0);
    let middle = segment_bases(&log)[1] + 1;
    log.advance_start(middle).unwrap();
    assert_eq!(log.start(), middle);
    assert_eq!(
        segment_bases(&log)[0],
        middle - 1,
        "its segment holds what is still readable"
    );
    assert!(matches!(
        log.read(middle - 1, 1, 24, true),
        Err(Error::OffsetOutOfRange { .. })
    ));
    assert_eq!(values(&log).first().map(|(offset, _)| *offset), Some(middle));
    assert!(matches!(log.advance_start(25), Err(Error::OffsetOutOfRange { .. })));
    assert_eq!(log.latest_epoch(), Some(0));
}
