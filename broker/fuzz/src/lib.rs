//! What bytes from outside go through, as functions that must neither panic nor allocate without bound.
//!
//! cargo-fuzz calls them from `fuzz_targets`, and `broker/tests/fuzz.rs` on a stable toolchain. Each takes any bytes;
//! what they come to is not looked at, except where two ways must agree.

mod api;
mod corpus;

use std::path::Path;

use azimuth_broker::auth::sasl::{Offer, Step};
use azimuth_broker::env::clock::Clock;
use azimuth_broker::env::disk::Disk;
use azimuth_broker::image::Image;
use azimuth_broker::log::{Log, LogConfig};
use azimuth_broker::record::{self, BatchBuilder, HEADER_LEN, Header};
use azimuth_broker::wire;
use bytes::Bytes;

pub use corpus::corpus;

/// What a batch may decompress to.
const DECOMPRESSED_MAX: usize = 1 << 20;
/// Where a batch has its CRC, and where what it covers begins.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

/// A frame without its length: a header of any API and a body of any version.
pub fn request(data: &[u8]) {
    let mut frame = Bytes::copy_from_slice(data);
    if let Ok(header) = wire::decode_header(&mut frame) {
        api::decode(header.key, header.version, frame);
    }
}

/// A login: the first byte chooses the mechanism, and the client's messages follow, each behind its length in one byte.
pub fn sasl(data: &[u8]) {
    const NOW_MS: i64 = 1_700_000_000_000;
    let Some((which, mut rest)) = data.split_first() else {
        return;
    };
    let Ok(offer) = Offer::new("clients", &offered) else {
        panic!("the properties are good");
    };
    let names: Vec<_> = offer.names().collect();
    let mechanism = offer.mechanism(names[usize::from(*which) % names.len()]);
    let Some(mut exchange) = mechanism.and_then(|mechanism| offer.begin(mechanism)) else {
        return;
    };
    let image = Image::empty();
    while let Some((length, after)) = rest.split_first() {
        let (message, after) = after.split_at(after.len().min(usize::from(*length)));
        match exchange.step(message, &image, NOW_MS) {
            Step::Challenge(_) => rest = after,
            Step::Success(_) | Step::Failure(_) => return,
        }
    }
}

fn offered(key: &str) -> Option<String> {
    let value = match key {
        "sasl.enabled.mechanisms" => "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "plain.sasl.jaas.config" => {
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"secret\";"
        }
        "oauthbearer.sasl.jaas.config" => {
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
             unsecuredValidatorAllowableClockSkewMs=\"3000\";"
        }
        _ => return None,
    };
    Some(value.to_owned())
}

/// Batches as a producer sends them. Their CRCs are made right first, or nothing would get past them.
pub fn batch(data: &[u8]) {
    let bytes = Bytes::from(sealed(data));
    for batch in record::batches(bytes) {
        let Ok(batch) = batch else { return };
        let _ = batch.check_crc();
        let Ok(records) = batch.records(DECOMPRESSED_MAX) else {
            continue;
        };
        for record in records {
            if record.is_err() {
                break;
            }
        }
    }
}

/// A log's active segment, found at a start after a crash and after a clean stop.
pub fn segment(data: &[u8]) {
    let Ok(dir) = folder() else { return };
    let log = dir.path().join("orders-0");
    for (name, content) in [
        ("00000000000000000000.log", sealed(data)),
        ("partition.metadata", Vec::new()),
    ] {
        if std::fs::create_dir_all(&log)
            .and_then(|()| std::fs::write(log.join(name), content))
            .is_err()
        {
            return;
        }
    }
    for clean in [true, false] {
        use_log(&log, clean);
    }
}

/// The files beside a sound segment of twenty batches: its first byte says which one the rest is.
pub fn index(data: &[u8]) {
    const FILES: [&str; 5] = [
        "00000000000000000000.index",
        "00000000000000000000.timeindex",
        "leader-epoch-checkpoint",
        "00000000000000000020.snapshot",
        "00000000000000000000.snapshot",
    ];
    let Some((which, content)) = data.split_first() else {
        return;
    };
    let Ok(dir) = folder() else { return };
    let log = dir.path().join("orders-0");
    let mut batches = Vec::new();
    for offset in 0..20_i64 {
        let mut builder = BatchBuilder::new().place(offset, 0);
        builder.add(1_700_000_000_000 + offset, Some(b"key"), Some(&[b'v'; 300]));
        batches.extend_from_slice(&builder.build().unwrap_or_default());
    }
    let name = FILES[usize::from(*which) % FILES.len()];
    let written = std::fs::create_dir_all(&log)
        .and_then(|()| std::fs::write(log.join("00000000000000000000.log"), batches))
        .and_then(|()| std::fs::write(log.join(name), content));
    if written.is_ok() {
        use_log(&log, true);
    }
}

/// The metadata log as it is fetched or read at a start.
pub fn metadata(data: &[u8]) {
    let mut image = Image::empty();
    let replayed = image.replay(Bytes::from(sealed(data)));
    if replayed.is_ok() {
        // What is there already is skipped.
        let again = image.replay(Bytes::from(sealed(data)));
        assert!(again.is_ok(), "{again:?}");
    }
}

/// In memory where that is, so that thousands of logs a second are made and synced.
fn folder() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// Opens a log and asks it for everything it can be asked for.
fn use_log(dir: &Path, clean: bool) {
    let clock = Clock::manual(1_700_000_000_000);
    let config = LogConfig::default();
    let Ok(log) = Log::open(&Disk::real(), dir.to_owned(), config, clock, 0, clean) else {
        return;
    };
    let (start, end) = (log.start(), log.end());
    assert!(start <= end);
    let _ = log.active_producers();
    let _ = log.end_offset_for(0);
    let _ = log.offset_for_time(1_700_000_000_010);
    let _ = log.max_timestamp();
    for from in [start, start + (end - start) / 2, end] {
        if let Ok(read) = log.read(from, 4096, end, true) {
            drop(read);
        }
    }
    let mut builder = BatchBuilder::new();
    builder.add(1_700_000_000_000, None, Some(b"next"));
    if let Ok(bytes) = builder.build()
        && let Ok(appended) = log.append_as_leader(bytes, i32::MAX)
    {
        assert_eq!(appended.first_offset, end);
        assert_eq!(log.end(), end + 1);
    }
    let _ = log.truncate_to(start + (end - start) / 2);
    let _ = log.close();
}

/// The same, with the CRC of each batch as it should be.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut at = 0;
    while let Ok(header) = Header::parse_whole(&bytes[at..]) {
        let end = at + header.size();
        let crc = crc32c::crc32c(&bytes[at + CRC_FROM..end]);
        bytes[at + CRC_AT..at + CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        at = end;
        if bytes.len() - at < HEADER_LEN {
            break;
        }
    }
    bytes
}
