//! Kafka's own tool reads what the broker wrote: segments, all indexes, producer snapshots, and what compaction leaves.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use azimuth_broker::env::clock::Clock;
use azimuth_broker::env::disk::Disk;
use azimuth_broker::log::{Log, LogConfig};
use azimuth_broker::record::{BatchBuilder, Compression, Marker};

const NOW: i64 = 1_700_000_000_000;
const BATCHES: usize = 400;

/// The folder of Kafka's jars, which `tests/run` provides; without it the test says so, and fails under CI=true.
pub fn jars() -> Option<PathBuf> {
    let jars = std::env::var_os("AZIMUTH_KAFKA_JARS").map(PathBuf::from);
    if jars.is_none() {
        eprintln!("not run: Kafka's dump tool on our segments (AZIMUTH_KAFKA_JARS is not set; tests/run sets it)");
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "CI must provide Kafka's jars"
        );
    }
    jars
}

/// Several segments in every codec, from an idempotent producer and two leaders, closed properly.
fn write_log(dir: &Path) {
    let config = LogConfig {
        segment_bytes: 20_000,
        ..LogConfig::default()
    };
    let log = Log::open(&Disk::real(), dir.to_owned(), config, Clock::manual(NOW), 0, true).unwrap();
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for n in 0..BATCHES {
        let sequence = i32::try_from(n * 3).unwrap();
        let mut builder = BatchBuilder::new()
            .compression(codecs[n % codecs.len()])
            .producer(4_711, 2, sequence);
        for record in 0..3 {
            // Every seventh batch is older than the one before it.
            let at = NOW + n as i64 * 10 + record - if n.is_multiple_of(7) { 100 } else { 0 };
            let value = format!("{}-{n}-{record}", "x".repeat(200));
            builder.add(at, Some(b"key"), Some(value.as_bytes()));
        }
        log.append_as_leader(builder.build().unwrap(), if n < 100 { 3 } else { 5 })
            .unwrap();
    }
    log.close().unwrap();
}

pub fn dump(jars: &Path, files: &[PathBuf], options: &[&str]) -> String {
    let list: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let run = Command::new("java")
        .args([
            "-Xshare:auto",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            &format!("{}/*", jars.display()),
        ])
        .args(["org.apache.kafka.tools.DumpLogSegments", "--files", &list.join(",")])
        .args(options)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{text}");
    text
}

/// The files of a log with this extension, in order.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

#[test]
fn kafkas_dump_tool_finds_nothing_wrong() {
    let Some(jars) = jars() else { return };
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("orders-0");
    write_log(&dir);
    let with = |extension| files(&dir, extension);
    assert!(with("log").len() > 3);

    let log = dump(&jars, &with("log"), &["--deep-iteration"]);
    for sound in [
        "offset: 0 ",
        "offset: 1199 ",
        "compresscodec: zstd",
        "compresscodec: snappy",
        "producerId: 4711",
    ] {
        assert!(log.contains(sound), "`{sound}` is missing in {log}");
    }
    assert_eq!(log.matches("isvalid: true").count(), BATCHES);
    assert!(!log.contains("isvalid: false"));
    assert!(log.contains("partitionLeaderEpoch: 3") && log.contains("partitionLeaderEpoch: 5"));

    for extension in ["index", "timeindex"] {
        let text = dump(&jars, &with(extension), &[]);
        assert!(text.matches("offset: ").count() > 10, "{text}");
        for complaint in ["ismatch", "not found", "Found", "corrupt", "Exception"] {
            assert!(!text.contains(complaint), "{extension}: {text}");
        }
        let sanity = dump(&jars, &with(extension), &["--index-sanity-check"]);
        assert_eq!(
            sanity.matches("passed sanity check").count(),
            with(extension).len(),
            "{sanity}"
        );
    }

    // The tool does complain when there is something wrong: an entry with another batch's offset.
    let index = &with("index")[0];
    let mut raw = std::fs::read(index).unwrap();
    raw[11] ^= 1;
    std::fs::write(index, raw).unwrap();
    let complaint = dump(&jars, &with("index")[..1], &[]);
    assert!(
        complaint.contains("ismatch") || complaint.contains("Exception"),
        "{complaint}"
    );

    let snapshots = dump(&jars, &with("snapshot"), &[]);
    assert!(snapshots.contains("producerId: 4711 producerEpoch: 2"), "{snapshots}");
    assert!(snapshots.contains("lastSequence: 1199"), "{snapshots}");
}

/// Keys that come again and again, tombstones, and transactions of two producers of which one aborts; compacted.
fn write_compacted(dir: &Path) {
    let config = LogConfig {
        segment_bytes: 20_000,
        compact: true,
        delete: false,
        min_cleanable_dirty_ppm: 0,
        ..LogConfig::default()
    };
    let log = Log::open(&Disk::real(), dir.to_owned(), config, Clock::manual(NOW), 0, true).unwrap();
    for n in 0..300_i32 {
        let producer = i64::from(n % 2);
        let mut builder = BatchBuilder::new()
            .compression(if n % 3 == 0 {
                Compression::Zstd
            } else {
                Compression::None
            })
            .producer(producer, 0, n / 2 * 2)
            .transactional();
        let key = format!("key-{}", n % 10);
        let value = "x".repeat(200);
        builder.add(NOW + i64::from(n), Some(key.as_bytes()), Some(value.as_bytes()));
        builder.add(NOW + i64::from(n), Some(b"gone"), None);
        log.append_as_leader(builder.build().unwrap(), 0).unwrap();
        let marker = Marker {
            committed: producer == 0,
            coordinator_epoch: 3,
        };
        let marker = marker.batch(NOW + i64::from(n), producer, 0).unwrap();
        log.append_internal(marker, 0).unwrap();
    }
    log.set_high_watermark(log.end());
    let done = log.compact().unwrap().expect("it is dirty");
    assert!(done.bytes_after < done.bytes_before / 2, "{done:?}");
    log.close().unwrap();
}

#[test]
fn kafkas_dump_tool_finds_nothing_wrong_after_compaction() {
    let Some(jars) = jars() else { return };
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("orders-0");
    write_compacted(&dir);
    let with = |extension| files(&dir, extension);
    let log = dump(&jars, &with("log"), &["--deep-iteration"]);
    assert!(
        log.contains("isvalid: true") && !log.contains("isvalid: false"),
        "{log}"
    );
    for sound in [
        "endTxnMarker: ABORT coordinatorEpoch: 3",
        "endTxnMarker: COMMIT",
        "deleteHorizonMs: OptionalLong[",
    ] {
        assert!(log.contains(sound), "`{sound}` is missing in {log}");
    }
    let beside = [with("index"), with("timeindex"), with("txnindex")].concat();
    assert!(!with("txnindex").is_empty());
    let text = dump(&jars, &beside, &[]);
    for complaint in ["ismatch", "not found", "Found", "corrupt", "Exception"] {
        assert!(!text.contains(complaint), "{text}");
    }
    assert!(
        text.contains("producerId: 1"),
        "the aborted transactions are told: {text}"
    );
}
