//! Lookups by timestamp.

use super::*;
use crate::record::Compression;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 2_000,
        index_interval_bytes: 150,
        ..LogConfig::default()
    }
}

/// Asks for every time around what is stored, and compares with reading everything.
fn check(log: &Log, times: &[(Offset, i64)]) {
    let (first, last) = (
        times.iter().map(|it| it.1).min().unwrap(),
        times.iter().map(|it| it.1).max().unwrap(),
    );
    for wanted in first - 2..=last + 2 {
        let expected = times
            .iter()
            .find(|(offset, at)| *at >= wanted && *offset >= log.start());
        let found = log
            .offset_for_time(wanted)
            .unwrap()
            .map(|found| (found.offset, found.timestamp));
        assert_eq!(found, expected.copied(), "at {wanted}");
    }
    let newest = log.max_timestamp().unwrap().unwrap();
    assert_eq!(newest.timestamp, last);
    assert_eq!(Some(newest.offset), times.iter().find(|it| it.1 == last).map(|it| it.0));
}

#[test]
fn the_first_record_at_or_after_a_time_is_found_also_when_times_go_back() {
    let bench = Bench::with(config());
    let log = bench.open(true);
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let mut times = Vec::new();
    for n in 0..80_i64 {
        let mut builder = BatchBuilder::new().compression(codecs[n as usize % codecs.len()]);
        for record in 0..3 {
            // Every fifth batch is late.
            let at = NOW + n * 3 + record - if n % 5 == 0 { 20 } else { 0 };
            builder.add(at, None, Some(b"v"));
            times.push((n * 3 + record, at));
        }
        log.append_as_leader(builder.build().unwrap(), 2).unwrap();
    }
    assert!(log.state.lock().segments.len() > 3);
    check(&log, &times);
    assert_eq!(log.offset_for_time(NOW).unwrap().unwrap().leader_epoch, 2);
    log.truncate_to(100).unwrap();
    times.truncate(99);
    check(&log, &times);
    log.close().unwrap();
    check(&bench.open(true), &times);
    check(&bench.open(false), &times);
    let log = bench.open(false);
    log.advance_start(31).unwrap();
    let from_start: Vec<_> = times.iter().copied().filter(|(offset, _)| *offset >= 31).collect();
    check(&log, &from_start);
}

#[test]
fn an_empty_log_has_no_times() {
    let bench = Bench::with(config());
    let log = bench.open(true);
    assert_eq!(log.offset_for_time(0).unwrap(), None);
    assert_eq!(log.max_timestamp().unwrap(), None);
}
