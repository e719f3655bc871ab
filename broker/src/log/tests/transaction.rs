//! Open and ended transactions: what is stable, what was aborted, and that both survive a restart and a truncation.

use super::*;
use crate::record::Marker;

fn files(home: &Bench, extension: &str) -> Vec<PathBuf> {
    let mut files = Disk::real().list(&home.path()).unwrap();
    files.retain(|path| path.extension().is_some_and(|it| it == extension));
    files
}

/// `count` records of a transaction.
fn written(producer: i64, sequence: i32, count: usize) -> Bytes {
    let mut builder = BatchBuilder::new().producer(producer, 0, sequence).transactional();
    for _ in 0..count {
        builder.add(1_000, Some(b"k"), Some(&[b'x'; 50]));
    }
    builder.build().unwrap()
}

fn end(log: &Log, producer: i64, committed: bool) -> Offset {
    let marker = Marker {
        committed,
        coordinator_epoch: 0,
    };
    let batch = marker.batch(1_000, producer, 0).unwrap();
    log.append_internal(batch, 0).unwrap().last_offset
}

/// Transactions of three producers, interleaved; returns those that were aborted.
fn interleaved(log: &Log) -> Vec<(i64, Offset)> {
    let mut aborted = Vec::new();
    for round in 0..20 {
        let mut first = [0; 3];
        for producer in 0..3 {
            let batch = written(producer, round * 2, 2);
            first[producer as usize] = log.append_as_leader(batch, 0).unwrap().first_offset;
        }
        for producer in 0..3 {
            let committed = (i64::from(round) + producer) % 3 != 0;
            end(log, producer, committed);
            if !committed {
                aborted.push((producer, first[producer as usize]));
            }
        }
    }
    aborted.sort_unstable();
    aborted
}

fn all_aborted(log: &Log) -> Vec<(i64, Offset)> {
    let mut aborted = log.aborted(0, log.end());
    aborted.sort_unstable();
    aborted
}

#[test]
fn readers_wait_before_the_first_open_transaction() {
    let home = Bench::new();
    let log = home.open(true);
    log.append_as_leader(batch(2, "plain"), 0).unwrap();
    assert_eq!(log.last_stable(log.end()), 2);
    log.append_as_leader(written(1, 0, 1), 0).unwrap();
    log.append_as_leader(written(2, 0, 1), 0).unwrap();
    assert_eq!(log.last_stable(log.end()), 2);
    let marker = end(&log, 1, true);
    assert_eq!(log.last_stable(marker), 2, "the marker is not committed");
    assert_eq!(log.last_stable(marker + 1), 3, "the second one is open");
    let marker = end(&log, 2, false);
    assert_eq!(log.last_stable(marker + 1), marker + 1);
    assert_eq!(log.aborted(0, log.end()), [(2, 3)]);
    assert_eq!(log.aborted(0, 3), [], "it begins after what was read");
    assert_eq!(log.aborted(marker + 1, marker + 1), [], "it ended before");
}

#[test]
fn aborted_transactions_are_found_in_every_segment_and_after_every_kind_of_restart() {
    let home = Bench::with(LogConfig {
        segment_bytes: 2_000,
        index_interval_bytes: 200,
        ..LogConfig::default()
    });
    let log = home.open(true);
    let aborted = interleaved(&log);
    assert!(files(&home, "log").len() > 3, "several segments");
    assert!(!files(&home, "txnindex").is_empty());
    assert_eq!(all_aborted(&log), aborted);
    // Each read is told of those that concern it.
    for (producer, first) in &aborted {
        assert!(log.aborted(*first, first + 2).contains(&(*producer, *first)));
    }
    log.append_as_leader(written(0, 40, 1), 0).unwrap();
    let open = log.end() - 1;
    log.close().unwrap();
    drop(log);
    for clean in [true, false] {
        let log = home.open(clean);
        assert_eq!(all_aborted(&log), aborted, "clean={clean}");
        assert_eq!(log.last_stable(log.end()), open, "clean={clean}");
        drop(log);
    }
    for index in files(&home, "txnindex") {
        std::fs::write(index, b"damaged").unwrap();
    }
    let log = home.open(true);
    assert_eq!(all_aborted(&log), aborted, "built anew");
}

#[test]
fn a_truncation_forgets_the_markers_that_it_cuts_off() {
    let home = Bench::new();
    let log = home.open(true);
    log.append_as_leader(written(1, 0, 1), 0).unwrap();
    end(&log, 1, false);
    log.append_as_leader(written(2, 0, 1), 0).unwrap();
    let marker = end(&log, 2, false);
    log.truncate_to(marker).unwrap();
    assert_eq!(log.aborted(0, 10), [(1, 0)]);
    assert_eq!(log.last_stable(log.end()), 2, "it is open again");
    let again = end(&log, 2, true);
    assert_eq!(log.last_stable(again + 1), again + 1);
    assert_eq!(log.aborted(0, 10), [(1, 0)]);
}
