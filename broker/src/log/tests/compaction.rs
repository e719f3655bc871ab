//! Compaction against the disk: what stays, where it stays, and that no crash loses a key.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::record::Marker;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

type Seen = (Offset, Vec<u8>, Option<Vec<u8>>);

fn bench(segment_bytes: u32) -> Bench {
    Bench::with(LogConfig {
        segment_bytes,
        index_interval_bytes: 200,
        compact: true,
        delete: false,
        min_cleanable_dirty_ppm: 0,
        ..LogConfig::default()
    })
}

/// All records of clients, read as a consumer with `read_uncommitted` does.
fn all(log: &Log) -> Vec<Seen> {
    visible(log, false)
}

/// What a consumer sees; a `stable` one leaves out what the aborted transactions it is told of wrote.
fn visible(log: &Log, stable: bool) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut from = log.start();
    while from < log.end() {
        let (read, mut aborted) = log.read_stable(from, 1 << 20, log.end(), true).unwrap();
        if read.chunks.is_empty() {
            break;
        }
        let mut aborting = std::collections::HashSet::new();
        for chunk in &read.chunks {
            for batch in record::batches(chunk.clone()) {
                let batch: Batch = batch.unwrap();
                batch.check_crc().unwrap();
                let id = batch.header.producer_id;
                // As consumers do: each transaction that they are told of counts until its marker.
                aborted.retain(|(producer, first)| {
                    let begins = *first <= batch.header.last_offset();
                    if begins {
                        aborting.insert(*producer);
                    }
                    !begins
                });
                if batch.header.is_control() {
                    aborting.remove(&id);
                    continue;
                }
                if stable && aborting.contains(&id) {
                    continue;
                }
                for record in batch.records(1 << 20).unwrap() {
                    let record = record.unwrap();
                    seen.push((
                        record.offset,
                        record.key.unwrap().to_vec(),
                        record.value.map(|value| value.to_vec()),
                    ));
                }
            }
        }
        from = read.next;
    }
    seen
}

fn latest(seen: &[Seen]) -> BTreeMap<Vec<u8>, (Offset, Vec<u8>)> {
    let mut latest = BTreeMap::new();
    for (offset, key, value) in seen {
        match value {
            Some(value) => latest.insert(key.clone(), (*offset, value.clone())),
            None => latest.remove(key),
        };
    }
    latest
}

fn put(log: &Log, records: &[(u8, Option<u8>)]) {
    let mut builder = BatchBuilder::new();
    for (key, value) in records {
        let value = value.map(|value| [value; 40]);
        builder.add(NOW, Some(&[*key]), value.as_ref().map(<[u8; 40]>::as_slice));
    }
    log.append_as_leader(builder.build().unwrap(), 0).unwrap();
    log.set_high_watermark(log.end());
}

fn compact(log: &Log) -> bool {
    log.set_high_watermark(log.end());
    log.compact().unwrap().is_some()
}

fn is_subsequence(short: &[Seen], long: &[Seen]) -> bool {
    let mut long = long.iter();
    short.iter().all(|seen| long.any(|other| other == seen))
}

#[test]
fn each_key_stays_once_in_what_was_compacted_and_tombstones_go_later() {
    let home = bench(600);
    let log = home.open(true);
    for round in 0..20 {
        put(&log, &[(1, Some(round)), (2, Some(round)), (3, Some(round))]);
    }
    put(&log, &[(2, None)]);
    for round in 0..10 {
        put(&log, &[(4, Some(round))]);
    }
    let before = all(&log);
    assert!(compact(&log));
    let end = log.cleaned_to();
    let after = all(&log);
    assert!(is_subsequence(&after, &before));
    assert_eq!(latest(&after), latest(&before));
    let cleaned: Vec<&Seen> = after.iter().filter(|(offset, ..)| *offset < end).collect();
    assert!(cleaned.len() <= 4, "{cleaned:?}");
    assert!(
        cleaned.iter().any(|(_, key, value)| key == &[2] && value.is_none()),
        "it is too early"
    );
    assert!(!compact(&log), "nothing is dirty");

    home.clock.advance_ms(DAY_MS + 1);
    for round in 0..30 {
        put(&log, &[(5, Some(round))]);
    }
    assert!(compact(&log));
    assert!(
        all(&log).iter().all(|(_, key, _)| key != &[2]),
        "the tombstone has gone"
    );
    assert_eq!(latest(&all(&log)).len(), 4);
}

#[test]
fn the_end_of_what_was_compacted_can_still_be_reached() {
    let home = bench(600);
    let log = home.open(true);
    for _ in 0..10 {
        put(&log, &[(1, None), (2, None)]);
    }
    compact(&log);
    home.clock.advance_ms(DAY_MS + 1);
    for round in 0..10 {
        put(&log, &[(3, Some(round))]);
    }
    compact(&log);
    let end = log.cleaned_to();
    let mut from = log.start();
    while from < end {
        let read = log.read(from, 1 << 20, end, true).unwrap();
        assert!(read.next > from, "a follower is stuck at {from}");
        from = read.next;
    }
    assert_eq!(from, end);
}

#[test]
fn what_is_young_or_not_stable_is_left_alone() {
    let home = bench(600);
    let log = home.open(true);
    for round in 0..20 {
        put(&log, &[(1, Some(round))]);
    }
    log.set_high_watermark(0);
    assert!(log.compact().unwrap().is_none(), "nothing is committed");
    let open = BatchBuilder::new().producer(9, 0, 0).transactional();
    let mut open = open;
    open.add(NOW, Some(b"t"), Some(b"v"));
    let at = log.append_as_leader(open.build().unwrap(), 0).unwrap().first_offset;
    for round in 0..20 {
        put(&log, &[(1, Some(round))]);
    }
    assert!(compact(&log));
    assert!(log.cleaned_to() <= at, "a transaction is open");
    let mut config = home.config.clone();
    config.min_compaction_lag_ms = 60_000;
    log.set_config(config);
    assert!(!compact(&log), "the rest is too young and not stable");
}

/// A producer's transaction of one record of each key.
fn transaction(log: &Log, producer: i64, sequence: i32, keys: &[u8], value: u8, committed: bool) {
    for (n, key) in (0..).zip(keys) {
        let mut builder = BatchBuilder::new().producer(producer, 0, sequence + n).transactional();
        builder.add(NOW, Some(&[*key]), Some(&[value; 40]));
        log.append_as_leader(builder.build().unwrap(), 0).unwrap();
    }
    let marker = Marker {
        committed,
        coordinator_epoch: 0,
    };
    log.append_internal(marker.batch(NOW, producer, 0).unwrap(), 0).unwrap();
    log.set_high_watermark(log.end());
}

#[test]
fn aborted_records_go_and_markers_stay_as_long_as_they_are_needed() {
    let home = bench(700);
    let log = home.open(true);
    for round in 0..20 {
        let value = u8::try_from(round).unwrap();
        transaction(&log, 7, round * 2, &[1, 2], value, round % 3 != 0);
        transaction(&log, 8, round * 2, &[2, 3], 100 + value, round % 2 == 0);
    }
    let before = visible(&log, true);
    assert!(compact(&log));
    let after = visible(&log, true);
    assert!(is_subsequence(&after, &before));
    assert_eq!(latest(&after), latest(&before));
    let end = log.cleaned_to();
    assert!(all(&log).iter().filter(|(offset, ..)| *offset < end).count() <= 5);
    let sequences: Vec<i32> = log.active_producers().iter().map(|it| it.last_sequence).collect();
    for _ in 0..3 {
        home.clock.advance_ms(DAY_MS + 1);
        for round in 0..20 {
            put(&log, &[(9, Some(round))]);
        }
        compact(&log);
        assert_eq!(
            latest(&visible(&log, true)).get(&vec![1]),
            latest(&before).get(&vec![1])
        );
    }
    drop(log);
    let log = home.open(false);
    let again: Vec<i32> = log.active_producers().iter().map(|it| it.last_sequence).collect();
    assert_eq!(
        again, sequences,
        "producers are remembered by what is left of their batches"
    );
    assert_eq!(log.last_stable(log.end()), log.end());
}

/// What a producer wrote after the last that is compacted may not be committed yet.
#[test]
fn a_producer_is_remembered_by_what_precedes_a_truncation() {
    let home = bench(600);
    let log = home.open(true);
    let write = |producer: i64, sequence: i32, key: u8| {
        let mut batch = BatchBuilder::new().producer(producer, 0, sequence);
        batch.add(NOW, Some(&[key]), Some(&[0; 40]));
        log.append_as_leader(batch.build().unwrap(), 0).unwrap();
    };
    // The producer's first record is the newest of its key, its others are not.
    write(7, 0, 100);
    for sequence in 1..12 {
        write(7, sequence, 1);
        write(8, sequence - 1, 1);
    }
    let committed = log.end();
    write(7, 12, 1);
    log.set_high_watermark(committed);
    assert!(log.compact().unwrap().is_some());
    let end = log.cleaned_to();
    assert!(end > 2 && end < committed);
    let last_within = |log: &Log| {
        let known = log.active_producers();
        known.iter().find(|it| it.id == 7).map(|it| it.last_sequence)
    };
    log.truncate_to(end).unwrap();
    // Two producers took turns after the first record.
    let expected = i32::try_from(end / 2).unwrap();
    assert_eq!(last_within(&log), Some(expected));
    drop(log);
    assert_eq!(last_within(&home.open(false)), Some(expected));
}

#[test]
fn a_crash_at_any_step_of_a_swap_is_made_good_by_the_next_start() {
    let mut home = bench(600);
    let log = home.open(true);
    for round in 0..12 {
        put(&log, &[(round % 4, Some(round)), (100, Some(round))]);
    }
    log.close().unwrap();
    drop(log);
    let keep = |dir: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        let files = Disk::real().list(dir).unwrap();
        files
            .into_iter()
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect()
    };
    let before = keep(&home.path());
    // Several fit into one now.
    home.config.segment_bytes = 4_000;
    let log = home.open(true);
    let olds: Vec<PathBuf> = before
        .keys()
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .cloned()
        .collect();
    assert!(compact(&log));
    let newest = latest(&all(&log));
    drop(log);
    let mut compacted = Disk::real().list(&home.path()).unwrap();
    compacted.retain(|path| path.extension().is_some_and(|it| it == "log"));
    // One group's result, and the segments that it was made of.
    let first = std::fs::read(home.file("00000000000000000000.log")).unwrap();
    let base_of = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<Offset>().unwrap();
    let mut bases: Vec<Offset> = compacted.iter().map(|path| base_of(path)).collect();
    bases.sort_unstable();
    let made_of: Vec<&PathBuf> = olds.iter().filter(|path| base_of(path) < bases[1]).collect();
    assert!(made_of.len() > 1, "several became one");
    for gone in 0..=made_of.len() {
        std::fs::remove_dir_all(home.path()).unwrap();
        std::fs::create_dir_all(home.path()).unwrap();
        for (path, content) in &before {
            std::fs::write(path, content).unwrap();
        }
        std::fs::write(home.file("00000000000000000000.log.swap"), &first).unwrap();
        std::fs::write(home.file("00000000000000000000.index.cleaned"), b"half").unwrap();
        for path in &made_of[..gone] {
            for extension in ["log", "index", "timeindex"] {
                std::fs::remove_file(path.with_extension(extension)).unwrap();
            }
        }
        let log = home.open(false);
        assert_eq!(latest(&all(&log)), newest, "{gone} of {} are gone", made_of.len());
        let left = Disk::real().list(&home.path()).unwrap();
        assert!(
            left.iter().all(|path| !path.to_string_lossy().ends_with(".swap") && !path.to_string_lossy().ends_with(".cleaned")),
            "{left:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_reader_finds_the_newest_of_every_key_in_order_at_its_offset(
        batches in prop::collection::vec(prop::collection::vec((0..6_u8, prop::option::weighted(0.8, any::<u8>())), 1..5), 1..60),
        segment_bytes in 300..2_000_u32,
        passes in prop::collection::vec(0..60_usize, 1..4),
    ) {
        let home = bench(segment_bytes);
        let log = home.open(true);
        let mut written = Vec::new();
        for (index, records) in batches.iter().enumerate() {
            for (n, (key, value)) in (0..).zip(records) {
                written.push((log.end() + n, vec![*key], value.map(|value| vec![value; 40])));
            }
            put(&log, records);
            if passes.contains(&index) {
                compact(&log);
            }
        }
        compact(&log);
        let seen = all(&log);
        prop_assert!(is_subsequence(&seen, &written));
        prop_assert_eq!(latest(&seen), latest(&written));
        drop(log);
        let log = home.open(false);
        prop_assert_eq!(all(&log), seen);
    }
}
