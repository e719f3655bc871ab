//! Logs that move between directories, and starts after a kill at any point of it.

use super::*;
use crate::record;

fn index(manager: &LogManager, bench: &Bench, name: &str) -> usize {
    match manager.named(&bench.dir(name)) {
        Named::Online(index) => index,
        other => panic!("{name} is {other:?}"),
    }
}

/// A manager of two directories and a log in the first, with epochs, a producer, and a start that moved.
fn moving(bench: &Bench) -> (LogManager, Arc<Log>) {
    let manager = bench.open(&["a", "b"]);
    let ids: Vec<Uuid> = manager.dirs().iter().map(|dir| dir.id).collect();
    let log = manager
        .create("t", at(1, 0), LogConfig::default(), Some(ids[0]))
        .unwrap();
    for n in 0..20 {
        let mut builder = BatchBuilder::new().producer(7, 0, n * 2);
        builder.add(1_700_000_000_000, None, Some(b"first"));
        builder.add(1_700_000_000_000, None, Some(b"second"));
        log.append_as_leader(builder.build().unwrap(), n / 10).unwrap();
    }
    log.assign_epoch(5, 40).unwrap();
    log.advance_start(3).unwrap();
    log.set_high_watermark(30);
    (manager, log)
}

/// Everything in a log.
fn content(log: &Log) -> Vec<u8> {
    let read = log.read(log.start(), 1 << 20, log.end(), true).unwrap();
    for batch in record::batches(read.records.clone()) {
        batch.unwrap().check_crc().unwrap();
    }
    read.records.to_vec()
}

fn begin(manager: &LogManager, bench: &Bench) -> Arc<Log> {
    assert!(manager.begin_move(at(1, 0), index(manager, bench, "b")).unwrap());
    let mut futures = manager.futures();
    assert_eq!(futures.len(), 1);
    futures.remove(0).log
}

fn catch_up(future: &Log, log: &Log) {
    while !future.follow(log, 100).unwrap().1 {}
    assert_eq!((future.start(), future.end()), (log.start(), log.end()));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// The folders of a directory whose names contain `part`.
fn folders(bench: &Bench, name: &str, part: &str) -> usize {
    let entries = std::fs::read_dir(bench.dir(name)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(part)).count()
}

#[test]
fn a_log_moves_to_another_directory_with_all_it_knows() {
    let bench = Bench::new();
    let (manager, log) = moving(&bench);
    let future = begin(&manager, &bench);
    assert!(future.dir().to_string_lossy().ends_with("-future"));
    future.follow(&log, 200).unwrap();
    assert!(future.lag_behind(&log) > 0 && future.lag_behind(&log) < 40);
    catch_up(&future, &log);
    append_in(&log, 2, 5);
    assert_eq!(future.lag_behind(&log), 2);
    catch_up(&future, &log);
    let (before, producers) = (content(&log), log.active_producers());
    let mut news = manager.news();
    news.mark_unchanged();
    manager.finish_move(at(1, 0)).unwrap();
    assert!(news.has_changed().unwrap());
    assert!(log.dir().starts_with(bench.dir("b")), "{:?}", log.dir());
    assert!(!bench.dir("a/t-0").exists() && bench.dir("b/t-0").is_dir());
    assert!(manager.futures().is_empty());
    assert_eq!(manager.dir_of(at(1, 0)), Some(manager.dirs()[1].id));
    assert_eq!(content(&log), before);
    assert_eq!((log.start(), log.end(), log.high_watermark()), (3, 42, 30));
    assert_eq!((log.latest_epoch(), log.end_offset_for(0)), (Some(5), Some((0, 20))));
    assert_eq!(log.active_producers(), producers);
    append_in(&log, 1, 5);
    manager.close(1).unwrap();
    drop((log, future, manager));
    let manager = bench.open(&["a", "b"]);
    let log = manager.get(at(1, 0)).unwrap();
    assert!(log.dir().starts_with(bench.dir("b")));
    assert_eq!((log.start(), log.end(), log.latest_epoch()), (3, 43, Some(5)));
    assert_eq!(folders(&bench, "a", "t-0"), 0);
}

#[test]
fn a_move_goes_on_after_a_kill_and_can_be_given_up() {
    let bench = Bench::new();
    let (manager, log) = moving(&bench);
    let future = begin(&manager, &bench);
    future.follow(&log, 200).unwrap();
    let copied = future.end();
    // Killed: nothing is closed.
    drop((log, future, manager));
    let manager = bench.open(&["a", "b"]);
    let log = manager.get(at(1, 0)).unwrap();
    assert!(log.dir().starts_with(bench.dir("a")));
    let future = manager.futures().remove(0).log;
    assert_eq!(future.end(), copied);
    catch_up(&future, &log);
    // To where it is already: the move is given up.
    assert!(!manager.begin_move(at(1, 0), index(&manager, &bench, "a")).unwrap());
    assert!(manager.futures().is_empty());
    assert_eq!(folders(&bench, "b", "-delete"), 1);
    assert_eq!(log.end(), 40);
    assert!(matches!(manager.named(Path::new("/nowhere")), Named::Unknown));
}

#[test]
fn a_future_log_follows_a_truncation() {
    let bench = Bench::new();
    let (manager, log) = moving(&bench);
    let future = begin(&manager, &bench);
    catch_up(&future, &log);
    log.truncate_to(30).unwrap();
    let mut other = BatchBuilder::new();
    for _ in 0..20 {
        other.add(1_700_000_000_000, None, Some(b"of another leader"));
    }
    log.append_as_leader(other.build().unwrap(), 6).unwrap();
    catch_up(&future, &log);
    assert_eq!(content(&future), content(&log));
    // And a log that was emptied.
    log.restart_at(100).unwrap();
    append_in(&log, 2, 6);
    catch_up(&future, &log);
    assert_eq!((future.start(), content(&future)), (100, content(&log)));
}

fn append_in(log: &Log, records: usize, epoch: i32) {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.add(1_700_000_000_000, None, Some(b"v"));
    }
    log.append_as_leader(builder.build().unwrap(), epoch).unwrap();
}

#[test]
fn a_kill_between_the_two_renames_leaves_one_log() {
    let bench = Bench::new();
    let (manager, log) = moving(&bench);
    let future = begin(&manager, &bench);
    catch_up(&future, &log);
    copy(&bench.dir("a/t-0"), &bench.dir("old"));
    manager.finish_move(at(1, 0)).unwrap();
    drop((log, future, manager));
    copy(&bench.dir("old"), &bench.dir("a/t-0"));
    let manager = bench.open(&["a", "b"]);
    assert_eq!(manager.logs().len(), 1);
    assert_eq!(manager.get(at(1, 0)).unwrap().end(), 40);
    assert!(bench.dir("a/t-0").exists() ^ bench.dir("b/t-0").exists());
    append_in(&manager.get(at(1, 0)).unwrap(), 1, 6);
    drop(manager);
    // Twins that differ are no move that was cut off: the longer one is used, and nothing is deleted.
    for name in ["a", "b"] {
        if !bench.dir(name).join("t-0").exists() {
            copy(&bench.dir("old"), &bench.dir(name).join("t-0"));
        }
    }
    let manager = bench.open(&["a", "b"]);
    assert_eq!(manager.get(at(1, 0)).unwrap().end(), 41);
    assert_eq!(folders(&bench, "a", "-stray") + folders(&bench, "b", "-stray"), 1);
}

#[test]
fn a_future_log_whose_current_one_was_on_a_replaced_disk_takes_its_place() {
    let bench = Bench::new();
    let (manager, log) = moving(&bench);
    let future = begin(&manager, &bench);
    future.follow(&log, 200).unwrap();
    let copied = future.end();
    drop((log, future, manager));
    bench.disk.inject(Fault::Read, "/a/meta.properties");
    let manager = bench.open(&["a", "b"]);
    assert!(manager.get(at(1, 0)).is_none(), "its directory only failed");
    assert!(manager.futures().is_empty());
    drop(manager);
    bench.disk.heal();
    std::fs::remove_dir_all(bench.dir("a")).unwrap();
    let manager = bench.open(&["a", "b"]);
    assert_eq!(manager.get(at(1, 0)).unwrap().end(), copied);
}

#[test]
fn a_log_that_is_not_there_yet_is_made_where_it_was_wanted() {
    let bench = Bench::new();
    let manager = bench.open(&["a", "b"]);
    append(&manager.create("x", at(9, 0), LogConfig::default(), None).unwrap(), 1);
    let fuller = manager.dir_of(at(9, 0)).unwrap();
    let name = if manager.dirs()[0].id == fuller { "a" } else { "b" };
    manager.want("t", 0, index(&manager, &bench, name));
    manager.create("t", at(1, 0), LogConfig::default(), None).unwrap();
    assert_eq!(manager.dir_of(at(1, 0)), Some(fuller));
    manager.create("t", at(1, 1), LogConfig::default(), None).unwrap();
    assert_ne!(manager.dir_of(at(1, 1)), Some(fuller), "by the number of logs");
}
