//! What `kill -9` and a power cut leave behind.

use super::*;

/// Where the last batch of a file begins.
fn last_batch(file: &[u8]) -> usize {
    let batches: Vec<Batch> = record::batches(Bytes::copy_from_slice(file))
        .map(Result::unwrap)
        .collect();
    file.len() - batches.last().unwrap().header.size()
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_the_rest_survives() {
    let bench = Bench::new();
    let log = bench.open(true);
    fill(&log, 5);
    let whole = values(&log);
    drop(log);
    let path = bench.file("00000000000000000000.log");
    let file = std::fs::read(&path).unwrap();
    let last = last_batch(&file);
    for torn in last..=file.len() {
        std::fs::write(&path, &file[..torn]).unwrap();
        let log = bench.open(false);
        let expected = if torn == file.len() { 10 } else { 8 };
        assert_eq!(log.end(), expected, "torn at byte {torn}");
        assert_eq!(values(&log), whole[..expected as usize]);
        assert_eq!(
            log.append_as_leader(batch(1, "after"), 0).unwrap().first_offset,
            expected
        );
        assert_eq!(values(&log).len() as i64, expected + 1);
        drop(log);
        assert_eq!(bench.open(false).end(), expected + 1, "the second crash");
        for stale in [
            "leader-epoch-checkpoint",
            "00000000000000000000.index",
            "00000000000000000000.timeindex",
        ] {
            let _ = std::fs::remove_file(bench.file(stale));
        }
    }
}

#[test]
fn any_damaged_byte_of_the_last_batch_is_noticed() {
    let bench = Bench::new();
    let log = bench.open(true);
    fill(&log, 3);
    drop(log);
    let path = bench.file("00000000000000000000.log");
    let file = std::fs::read(&path).unwrap();
    let last = last_batch(&file);
    // The leader epoch and the low bytes of the base offset are not covered by the CRC.
    for at in (last + 16..file.len()).chain([last + 8]) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(bench.open(false).end(), 4, "byte {}", at - last);
    }
    let zeroes = [file.as_slice(), &[0; 5_000]].concat();
    std::fs::write(&path, zeroes).unwrap();
    assert_eq!(bench.open(false).end(), 6);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), file.len() as u64);
}

#[test]
fn what_follows_a_torn_segment_is_gone() {
    let bench = Bench::with(LogConfig {
        segment_bytes: 500,
        ..LogConfig::default()
    });
    let log = bench.open(true);
    fill(&log, 12);
    let second = log.state.lock().segments[1].path().to_owned();
    let base = log.state.lock().segments[1].base;
    drop(log);
    let file = std::fs::read(&second).unwrap();
    std::fs::write(&second, &file[..file.len() - 3]).unwrap();
    let log = bench.open(false);
    assert!(log.end() > base && log.end() < 24);
    assert_eq!(values(&log).len() as i64, log.end());
    assert!(log.append_as_leader(batch(1, "x"), 0).is_ok());
}

#[test]
fn torn_missing_and_lying_indexes_are_built_anew() {
    let bench = Bench::with(LogConfig {
        segment_bytes: 2_000,
        index_interval_bytes: 200,
        ..LogConfig::default()
    });
    let log = bench.open(true);
    fill(&log, 60);
    let whole = values(&log);
    log.close().unwrap();
    drop(log);
    let index = bench.file("00000000000000000000.index");
    let sound = std::fs::read(&index).unwrap();
    assert!(sound.len() > 24);
    let damages: [&[u8]; 4] = [&sound[..13], &[0; 24], &[0xff; 16], &[]];
    for damaged in damages {
        std::fs::write(&index, damaged).unwrap();
        let log = bench.open(true);
        for offset in 0..120 {
            let read = log.read(offset, 1, 120, true).unwrap();
            let found = record::batches(read.records).next().unwrap().unwrap();
            assert_eq!(found.header.base_offset, offset / 2 * 2);
        }
        assert_eq!(values(&log), whole);
    }
    for name in ["00000000000000000000.index", "00000000000000000000.timeindex"] {
        std::fs::remove_file(bench.file(name)).unwrap();
    }
    assert_eq!(values(&bench.open(true)), whole);
    assert_eq!(std::fs::read(&index).unwrap(), sound);
}

#[test]
fn a_recovery_point_spares_the_segments_before_it() {
    let bench = Bench::with(LogConfig {
        segment_bytes: 500,
        ..LogConfig::default()
    });
    let log = bench.open(true);
    fill(&log, 12);
    log.flush().unwrap();
    let point = log.recovery_point();
    assert_eq!(point, log.end());
    drop(log);
    let first = bench.file("00000000000000000000.log");
    let mut file = std::fs::read(&first).unwrap();
    file[70] ^= 1;
    std::fs::write(&first, &file).unwrap();
    assert_eq!(bench.open_from(point, false).end(), 24, "not read, so not noticed");
    assert_eq!(bench.open_from(0, false).end(), 0, "read from the beginning");
}

#[test]
fn epochs_are_found_in_the_batches_when_their_file_is_lost() {
    let bench = Bench::new();
    let log = bench.open(true);
    log.append_as_leader(batch(2, "a"), 3).unwrap();
    log.append_as_leader(batch(2, "b"), 8).unwrap();
    drop(log);
    std::fs::remove_file(bench.file("leader-epoch-checkpoint")).unwrap();
    let log = bench.open(false);
    assert_eq!(log.end_offset_for(3), Some((3, 2)));
    assert_eq!(log.latest_epoch(), Some(8));
}

#[test]
fn half_deleted_segments_and_temporary_files_are_swept() {
    let bench = Bench::new();
    let log = bench.open(true);
    fill(&log, 2);
    drop(log);
    for name in [
        "00000000000000000000.log.deleted",
        "leader-epoch-checkpoint.tmp",
        "00000000000000000077.index",
    ] {
        std::fs::write(bench.file(name), b"x").unwrap();
    }
    assert_eq!(bench.open(false).end(), 4);
    let mut left: Vec<String> = std::fs::read_dir(bench.path())
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let expected = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
    ];
    assert_eq!(left, [&expected[..], &["leader-epoch-checkpoint"]].concat());
}
