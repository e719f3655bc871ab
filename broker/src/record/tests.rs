//! Round trips, golden bytes and damaged input.

use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// The same two records in every codec, as kafka-clients 4.3.1 writes them (`MemoryRecords.withIdempotentRecords`):
/// base offset 42, producer 7, epoch 3, sequence 11, leader epoch 5.
const GOLDEN: [&str; 5] = [
    "000000000000002a000000620000000502aff4b77600000000000100000000000003e800000000000003ed000000000000000700030000000b0000000214000000046b31047631004a000a0201307632763276327632763276327632763276327632763276320402680278026801",
    "000000000000002a0000006100000005027b4b7eae00010000000100000000000003e800000000000003ed000000000000000700030000000b000000021f8b08000000000000ff1361606060c93664293364f062e06262342833c20e599832982a98321801a106588431000000",
    "000000000000002a0000006600000005028ccbcdc200020000000100000000000003e800000000000003ed000000000000000700030000000b0000000282534e4150505900000000010000000100000021314814000000046b31047631004a000a02013076325602001c0402680278026801",
    "000000000000002a0000006100000005021b2e839000030000000100000000000003e800000000000003ed000000000000000700030000000b0000000204224d1860408221000000ff0414000000046b31047631004a000a020130763202000380040268027802680100000000",
    "000000000000002a0000005e00000005028a22854e00040000000100000000000003e800000000000003ed000000000000000700030000000b0000000228b52ffd00580c0100d814000000046b31047631004a000a020130763204026802780268010100535c18010000",
];

const LIMIT: usize = 1 << 20;

fn golden(index: usize) -> Bytes {
    let digits = GOLDEN[index].as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn only(bytes: Bytes) -> Batch {
    let mut all = batches(bytes);
    let batch = all.next().unwrap().unwrap();
    assert!(all.next().is_none());
    batch
}

fn golden_builder() -> BatchBuilder {
    let mut builder = BatchBuilder::new().producer(7, 3, 11).place(42, 5);
    builder.add(1_000, Some(b"k1"), Some(b"v1")).add_with_headers(
        1_005,
        None,
        Some(b"v2v2v2v2v2v2v2v2v2v2v2v2"),
        &[(b"h", Some(b"x")), (b"h", None)],
    );
    builder
}

#[test]
fn what_the_java_client_writes_is_read_in_every_codec() {
    for (index, codec) in CODECS.into_iter().enumerate() {
        let batch = only(golden(index));
        batch.check_crc().unwrap();
        assert_eq!(batch.header.compression(), Ok(codec));
        let header = batch.header;
        assert_eq!(
            (header.base_offset, header.last_offset(), header.leader_epoch),
            (42, 43, 5)
        );
        assert_eq!(
            (header.producer_id, header.producer_epoch, header.base_sequence),
            (7, 3, 11)
        );
        assert_eq!(
            (header.base_timestamp, header.max_timestamp, header.last_sequence()),
            (1_000, 1_005, 12)
        );
        let records: Vec<Record> = batch.records(LIMIT).unwrap().map(Result::unwrap).collect();
        assert_eq!((records[0].offset, records[0].timestamp), (42, 1_000));
        assert_eq!(
            (records[0].key.as_deref(), records[0].value.as_deref()),
            (Some(&b"k1"[..]), Some(&b"v1"[..]))
        );
        assert_eq!(
            (records[1].offset, records[1].timestamp, records[1].key.clone()),
            (43, 1_005, None)
        );
        let expected = vec![(Bytes::from("h"), Some(Bytes::from("x"))), (Bytes::from("h"), None)];
        assert_eq!(records[1].headers, expected, "repeated keys stay");
    }
}

#[test]
fn what_the_builder_writes_is_the_java_clients_to_the_byte() {
    assert_eq!(golden_builder().build().unwrap(), golden(0));
}

#[test]
fn the_place_is_outside_of_the_crc_and_the_time_is_inside() {
    let mut bytes = golden(0).to_vec();
    let mut header = Header::parse_whole(&bytes).unwrap();
    header.assign(&mut bytes, 1 << 40, 77);
    header.check_crc(&bytes).unwrap();
    assert_eq!(Header::parse_whole(&bytes).unwrap(), header);
    let before = header.crc;
    header.set_log_append_time(&mut bytes, 5_000);
    assert_ne!(header.crc, before);
    let batch = only(bytes.into());
    batch.check_crc().unwrap();
    assert!(
        batch
            .records(LIMIT)
            .unwrap()
            .all(|record| record.unwrap().timestamp == 5_000)
    );
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_memory() {
    for codec in CODECS {
        let mut builder = BatchBuilder::new().compression(codec);
        builder.add(1, None, Some(&vec![0; 4 << 20]));
        let batch = only(builder.build().unwrap());
        assert_eq!(
            batch.records(LIMIT).unwrap_err(),
            Error::TooLarge { limit: LIMIT },
            "{codec:?}"
        );
        assert_eq!(batch.records(8 << 20).unwrap().count(), 1);
    }
    // A snappy block that claims 4 GiB in front of three bytes.
    let lie = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]);
    assert!(Compression::Snappy.decompress(&lie, usize::MAX).is_err());
}

/// Everything a broker asks of bytes from outside.
fn use_all(bytes: Bytes) {
    for batch in batches(bytes) {
        let Ok(batch) = batch else { return };
        let _ = (
            batch.check_crc(),
            batch.header.last_sequence(),
            batch.header.compression(),
        );
        if let Ok(records) = batch.records(LIMIT) {
            for record in records {
                let _ = record;
            }
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    for index in 0..GOLDEN.len() {
        let whole = golden(index);
        for end in 1..whole.len() {
            assert!(batches(whole.slice(..end)).next().unwrap().is_err());
        }
    }
}

proptest! {
    #[test]
    fn records_survive_the_way_there_and_back(
        codec in 0..CODECS.len(),
        base in 0..i64::MAX / 2,
        records in prop::collection::vec(
            (0..i64::MAX / 4, prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
             prop::option::of(prop::collection::vec(any::<u8>(), 0..300))), 1..20),
    ) {
        let mut builder = BatchBuilder::new().compression(CODECS[codec]).place(base, 1);
        for (at, key, value) in &records {
            builder.add(*at, key.as_deref(), value.as_deref());
        }
        let batch = only(builder.build().unwrap());
        batch.check_crc().unwrap();
        prop_assert_eq!(batch.header.next_offset(), base + records.len() as i64);
        let read: Vec<Record> = batch.records(LIMIT).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), records.len());
        for (index, (record, (at, key, value))) in read.iter().zip(&records).enumerate() {
            prop_assert_eq!(record.offset, base + index as i64);
            prop_assert_eq!(record.timestamp, *at);
            prop_assert_eq!(record.key.as_deref(), key.as_deref());
            prop_assert_eq!(record.value.as_deref(), value.as_deref());
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        use_all(bytes.into());
    }

    #[test]
    fn damaged_batches_are_read_without_a_panic(
        index in 0..GOLDEN.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = golden(index).to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            // Keeps the magic, so that the damage reaches deeper.
            if at != 16 {
                bytes[at] = byte;
            }
        }
        use_all(bytes.into());
    }

    #[test]
    fn one_changed_bit_of_the_content_is_noticed(bit in 21 * 8..GOLDEN[0].len() * 4) {
        let mut bytes = golden(0).to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let noticed = batches(bytes.into()).any(|batch| batch.and_then(|batch| batch.check_crc()).is_err());
        prop_assert!(noticed);
    }
}
