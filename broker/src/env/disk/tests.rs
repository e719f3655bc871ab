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
fn a_read_is_as_long_as_it_was_asked_for_and_shorter_only_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = Disk::real().create(&dir.path().join("a")).unwrap();
    file.write_all_at(b"0123456789", 0).unwrap();
    let read = |len, position| String::from_utf8(file.read(len, position).unwrap()).unwrap();
    assert_eq!(read(4, 3), "3456");
    assert_eq!(read(100, 3), "3456789");
    assert_eq!(read(4, 10), "");
    assert_eq!(read(0, 3), "");
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

#[test]
fn a_stalled_directory_holds_its_operations_until_it_is_healed_or_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real().faulty();
    let (sick, sound) = (dir.path().join("sick"), dir.path().join("sound"));
    for folder in [&sick, &sound] {
        disk.create_dir(folder).unwrap();
    }
    let file = disk.create(&sick.join("x")).unwrap();
    for healed in [true, false] {
        disk.set_dir_faults(&[(sick.clone(), DirFault::Stall)]);
        disk.create(&sound.join("y"))
            .unwrap()
            .write_all_at(b"goes on", 0)
            .unwrap();
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let file = &file;
            scope.spawn(move || done.send(file.write_all_at(b"waits", 0)).unwrap());
            assert!(ended.recv_timeout(std::time::Duration::from_millis(50)).is_err());
            if healed {
                disk.set_dir_faults(&[]);
            } else {
                disk.abandon();
            }
            assert_eq!(ended.recv().unwrap().is_ok(), healed);
        });
    }
}

#[test]
fn a_stall_leaves_the_threads_of_a_runtime_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real().faulty();
    let file = Arc::new(disk.create(&dir.path().join("x")).unwrap());
    disk.set_dir_faults(&[(dir.path().to_owned(), DirFault::Stall)]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let stalled: Vec<_> = (0..4)
            .map(|at| {
                let file = Arc::clone(&file);
                tokio::spawn(async move { file.write_all_at(&[1], at) })
            })
            .collect();
        // On the only thread, from which each of the four has to make way.
        for _ in 0..10 {
            tokio::spawn(tokio::task::yield_now()).await.unwrap();
        }
        disk.set_dir_faults(&[]);
        for write in stalled {
            write.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_slow_directory_takes_its_time_and_a_failed_one_fails() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real().faulty();
    let file = disk.create(&dir.path().join("x")).unwrap();
    disk.set_dir_faults(&[(dir.path().to_owned(), DirFault::Slow(30))]);
    let begun = std::time::Instant::now();
    file.write_all_at(&[1], 0).unwrap();
    file.sync().unwrap();
    assert!(begun.elapsed() >= std::time::Duration::from_millis(60));
    disk.set_dir_faults(&[(dir.path().to_owned(), DirFault::Fail)]);
    assert_eq!(
        file.write_all_at(&[1], 0).unwrap_err().raw_os_error(),
        Some(rustix::io::Errno::IO.raw_os_error())
    );
    assert!(disk.list(dir.path()).is_err());
}

#[test]
fn a_full_directory_takes_what_is_left_and_what_is_freed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::real().faulty();
    let file = disk.create(&dir.path().join("x")).unwrap();
    file.write_all_at(&[1; 50], 0).unwrap();
    let full = [(dir.path().to_owned(), DirFault::Full(10))];
    disk.set_dir_faults(&full);
    file.write_all_at(&[2; 50], 0).unwrap();
    assert!(is_full(&file.write_all_at(&[2; 11], 50)));
    file.write_all_at(&[2; 10], 50).unwrap();
    assert_eq!(disk.space(dir.path()).unwrap().usable_bytes, 0);
    // The same again does not forget what was written.
    disk.set_dir_faults(&full);
    assert!(is_full(&file.write_all_at(&[2; 1], 60)));
    file.truncate(55).unwrap();
    file.write_all_at(&[2; 5], 55).unwrap();
    disk.set_dir_faults(&[]);
    file.write_all_at(&[2; 500], 60).unwrap();
}
