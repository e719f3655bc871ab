//! Capped volumes and injected faults behave like the devices they stand for.

use super::*;

fn is_full(result: &io::Result<()>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::StorageFull)
}

#[test]
fn a_capped_volume_refuses_what_does_not_fit_and_takes_back_what_is_freed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::capped(dir.path(), 100).unwrap();
    let path = dir.path().join("a");
    let file = disk.create(&path).unwrap();
    file.write_all_at(&[1; 60], 0).unwrap();
    file.write_all_at(&[2; 60], 0).unwrap();
    assert_eq!(disk.space(&path).unwrap().usable_bytes, 40);

    assert!(is_full(&file.write_all_at(&[3; 41], 60)));
    assert_eq!(file.size(), 60);
    file.write_all_at(&[3; 40], 60).unwrap();
    assert_eq!(disk.space(&path).unwrap().usable_bytes, 0);

    file.truncate(10).unwrap();
    assert_eq!(disk.space(&path).unwrap().usable_bytes, 90);
    disk.remove(&path).unwrap();
    assert_eq!(
        disk.space(dir.path()).unwrap(),
        Space {
            total_bytes: 100,
            usable_bytes: 100
        }
    );
}

#[test]
fn a_volume_counts_what_was_there_and_can_be_grown() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("t-0")).unwrap();
    fs::write(dir.path().join("t-0/x"), [0; 70]).unwrap();
    let disk = Disk::capped(dir.path(), 80).unwrap();
    assert_eq!(disk.space(dir.path()).unwrap().usable_bytes, 10);
    assert!(is_full(&disk.replace(&dir.path().join("y"), &[0; 20], false)));
    assert!(disk.resize(dir.path(), 200));
    disk.replace(&dir.path().join("y"), &[0; 20], false).unwrap();
    disk.replace(&dir.path().join("y"), &[0; 30], true).unwrap();
    assert_eq!(disk.space(dir.path()).unwrap().usable_bytes, 100);
    disk.remove_dir(&dir.path().join("t-0")).unwrap();
    assert_eq!(disk.space(dir.path()).unwrap().usable_bytes, 170);
}

#[test]
fn the_real_disk_tells_its_space() {
    let dir = tempfile::tempdir().unwrap();
    let space = Disk::real().space(dir.path()).unwrap();
    assert!(space.total_bytes >= space.usable_bytes && space.total_bytes > 0);
}

#[test]
fn faults_hit_only_their_operation_and_path_until_healed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real().faulty();
    let bad = disk.create(&dir.path().join("bad")).unwrap();
    let good = disk.create(&dir.path().join("good")).unwrap();
    disk.inject(Fault::TornWrite, "bad");
    assert!(bad.write_all_at(&[7; 10], 0).is_err());
    assert_eq!(bad.size(), 5);
    good.write_all_at(&[7; 10], 0).unwrap();
    disk.inject(Fault::Sync, "good");
    assert!(good.sync().is_err());
    disk.heal();
    good.sync().unwrap();
    bad.write_all_at(&[7; 10], 0).unwrap();
}

#[test]
fn a_lock_is_held_by_one_handle() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real();
    let first = disk.create(&dir.path().join(".lock")).unwrap();
    let second = disk.create(&dir.path().join(".lock")).unwrap();
    assert!(first.try_lock().unwrap());
    assert!(!second.try_lock().unwrap());
    drop(first);
    assert!(second.try_lock().unwrap());
}
