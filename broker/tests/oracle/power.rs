//! Whether a power cut of the simulation can do all that one does to a disk, and what a log makes of it.

use std::fs;
use std::path::Path;

use azimuth_broker::env::clock::Clock;
use azimuth_broker::env::disk::{Disk, Lost};
use azimuth_broker::env::random::Random;
use azimuth_broker::id::{NodeId, TopicId, TopicPartition};
use azimuth_broker::log::{Identity, LogConfig, LogManager};
use azimuth_broker::record::BatchBuilder;
use uuid::Uuid;

const TOPIC: TopicPartition = TopicPartition {
    topic: TopicId(Uuid::from_u128(7)),
    partition: 0,
};

/// Stops at the first surprise.
pub fn check() {
    a_power_cut_loses_only_what_was_not_synced_in_every_way();
    a_power_cut_takes_names_back_that_no_directory_was_synced_for();
    a_device_that_lies_loses_what_it_said_to_have();
    a_log_is_found_again_as_far_as_it_was_flushed();
}

fn a_power_cut_loses_only_what_was_not_synced_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let path = root.join("x");
    let (mut none, mut all, mut within_a_page, mut hole, mut old_end) = (0, 0, 0, 0, 0);
    for seed in 0..200 {
        let disk = Disk::real().volatile([root.clone()]);
        disk.create_dir(&root).unwrap();
        let file = disk.create(&path).unwrap();
        file.write_all_at(&[1; 10_000], 0).unwrap();
        file.sync().unwrap();
        disk.sync_dir(&root).unwrap();
        file.write_all_at(&[2; 20_000], 10_000).unwrap();
        // Cut off and written anew, which the device need not know.
        file.truncate(9_000).unwrap();
        file.write_all_at(&[3; 21_000], 9_000).unwrap();
        drop(file);
        disk.cut_power(&root, &Random::seeded(seed)).unwrap();
        let left = fs::read(&path).unwrap();
        assert!(left[..9_000].iter().all(|byte| *byte == 1), "what was synced is there");
        assert!(left[9_000..].iter().all(|byte| [0, 1, 3].contains(byte)));
        none += usize::from(left == [1; 10_000]);
        all += usize::from(left.len() == 30_000 && left[9_000..].iter().all(|byte| *byte == 3));
        within_a_page += usize::from(!left.len().is_multiple_of(4096) && left.len() > 10_000 && left.len() < 30_000);
        hole += usize::from(left.len() > 10_000 && left[10_000..].contains(&0) && left[10_000..].contains(&3));
        old_end += usize::from(left[9_000..].first() == Some(&1));
        fs::remove_dir_all(&root).unwrap();
    }
    for seen in [none, all, within_a_page, hole, old_end] {
        assert!(seen > 0, "{none} {all} {within_a_page} {hole} {old_end}");
    }
}

fn a_power_cut_takes_names_back_that_no_directory_was_synced_for() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let (mut replaced, mut kept, mut gone, mut removed) = (0, 0, 0, 0);
    for seed in 0..100 {
        let disk = Disk::real().volatile([root.clone()]);
        disk.create_dir(&root.join("t-0")).unwrap();
        let checkpoint = root.join("checkpoint");
        disk.replace(&checkpoint, b"old", true).unwrap();
        disk.create(&root.join("t-0/log")).unwrap();
        disk.replace(&checkpoint, b"new", false).unwrap();
        disk.remove(&root.join("t-0/log")).unwrap();
        let lost = disk.cut_power(&root, &Random::seeded(seed)).unwrap();
        let left = fs::read(&checkpoint).unwrap();
        // What was synced, or some of what replaced it, as that was not.
        assert!(
            left == b"old" || b"new".starts_with(&left[..]) || left.contains(&0),
            "{left:?}"
        );
        kept += usize::from(left == b"old");
        replaced += usize::from(left == b"new");
        gone += usize::from(!root.join("t-0/log").exists() && lost.names > 1);
        removed += usize::from(lost.names == 0);
        // The folder was there before something in its own was synced.
        assert!(root.join("t-0").is_dir());
        assert_eq!(disk.cut_power(&root, &Random::seeded(seed)).unwrap(), Lost::default());
        fs::remove_dir_all(&root).unwrap();
    }
    assert!(
        kept > 0 && replaced > 0 && gone > 0 && removed > 0,
        "{kept} {replaced} {gone} {removed}"
    );
}

fn a_device_that_lies_loses_what_it_said_to_have() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let lost = (0..20).any(|seed| {
        let disk = Disk::real().volatile([root.clone()]);
        let path = root.join(seed.to_string());
        disk.lie(&root).unwrap();
        let file = disk.create(&path).unwrap();
        file.write_all_at(&[1; 100], 0).unwrap();
        file.sync().unwrap();
        disk.sync_dir(&root).unwrap();
        disk.cut_power(&root, &Random::seeded(seed)).unwrap();
        !path.exists()
    });
    assert!(lost);
}

fn open(disk: &Disk, root: &Path) -> LogManager {
    let identity = Identity {
        cluster_id: "c1".to_owned(),
        node_id: NodeId(1),
    };
    let (defaults, clock) = (LogConfig::default(), Clock::manual(1_700_000_000_000));
    let opened = LogManager::open(
        &[root.to_owned()],
        disk.clone(),
        &identity,
        defaults,
        clock,
        &Random::seeded(1),
    );
    opened.expect("whatever was lost")
}

fn a_log_is_found_again_as_far_as_it_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let append = |manager: &LogManager| {
        let log = manager.create("orders", TOPIC, LogConfig::default(), None).unwrap();
        let mut batch = BatchBuilder::new();
        batch.add(1_700_000_000_000, None, Some(&[7; 3_000]));
        log.append_as_leader(batch.build().unwrap(), 0).unwrap();
        log
    };
    let (mut none, mut all) = (0, 0);
    for seed in 0..60 {
        let disk = Disk::real().volatile([root.clone()]);
        let flushed = seed % 2;
        let manager = open(&disk, &root);
        if flushed == 1 {
            append(&manager).flush().unwrap();
        }
        append(&manager);
        drop(manager);
        disk.cut_power(&root, &Random::seeded(seed)).unwrap();
        let manager = open(&disk, &root);
        let end = manager.get(TOPIC).map_or(0, |log| log.end());
        assert!(
            (flushed as i64..=flushed as i64 + 1).contains(&end),
            "{flushed} of {end}"
        );
        (none, all) = (none + i64::from(end == 0), all + i64::from(end == 2));
        // What is lost is set aside, and does not stand in the way.
        assert_eq!(append(&manager).end(), end + 1);
        drop(manager);
        fs::remove_dir_all(&root).unwrap();
    }
    assert!(none > 0 && all > 0, "{none} {all}");
}
