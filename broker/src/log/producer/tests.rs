//! Sequence numbers as Kafka judges them.

use super::*;

fn batch(producer_epoch: i16, base_sequence: i32, count: i32, base_offset: Offset) -> Header {
    Header {
        base_offset,
        length: 100,
        leader_epoch: 0,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 1_000,
        max_timestamp: 1_000,
        producer_id: 7,
        producer_epoch,
        base_sequence,
        count,
    }
}

fn append(producers: &mut Producers, batch: Header) {
    assert_eq!(producers.judge(&[batch]).unwrap(), Verdict::Append);
    producers.record(&batch);
}

#[test]
fn the_last_five_batches_are_recognised_and_older_ones_are_out_of_order() {
    let mut producers = Producers::default();
    for n in 0..6 {
        append(&mut producers, batch(0, n * 2, 2, i64::from(n) * 2));
    }
    for n in 1..6 {
        match producers.judge(&[batch(0, n * 2, 2, 0)]).unwrap() {
            Verdict::Duplicate(past) => assert_eq!(past.first_offset(), i64::from(n) * 2),
            Verdict::Append => panic!("batch {n} was appended twice"),
        }
    }
    assert!(matches!(
        producers.judge(&[batch(0, 0, 2, 0)]),
        Err(Error::OutOfOrderSequence {
            expected: 12,
            found: 0,
            ..
        })
    ));
}

#[test]
fn a_gap_is_refused_and_an_old_epoch_is_fenced() {
    let mut producers = Producers::default();
    append(&mut producers, batch(3, 0, 5, 0));
    assert!(matches!(
        producers.judge(&[batch(3, 6, 1, 0)]),
        Err(Error::OutOfOrderSequence {
            expected: 5,
            found: 6,
            ..
        })
    ));
    assert!(matches!(
        producers.judge(&[batch(2, 5, 1, 0)]),
        Err(Error::FencedProducer {
            found: 2,
            current: 3,
            ..
        })
    ));
    assert!(matches!(
        producers.judge(&[batch(4, 5, 1, 0)]),
        Err(Error::OutOfOrderSequence { expected: 0, .. })
    ));
    append(&mut producers, batch(4, 0, 1, 5));
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    let mut producers = Producers::default();
    append(&mut producers, batch(0, 500, 1, 0));
    append(&mut producers, batch(0, 501, 1, 1));
}

#[test]
fn sequences_wrap_around() {
    let mut producers = Producers::default();
    append(&mut producers, batch(0, i32::MAX - 1, 4, 0));
    assert_eq!(producers.active()[0].last_sequence, 1);
    assert!(matches!(
        producers.judge(&[batch(0, i32::MAX - 1, 4, 0)]),
        Ok(Verdict::Duplicate(_))
    ));
    append(&mut producers, batch(0, 2, i32::MAX - 1, 4));
    append(&mut producers, batch(0, 0, 1, 9));
}

#[test]
fn several_batches_of_one_append_follow_each_other() {
    let mut producers = Producers::default();
    append(&mut producers, batch(0, 0, 1, 0));
    assert_eq!(
        producers.judge(&[batch(0, 1, 1, 0), batch(0, 2, 1, 0)]).unwrap(),
        Verdict::Append
    );
    assert!(producers.judge(&[batch(0, 1, 1, 0), batch(0, 3, 1, 0)]).is_err());
    assert_eq!(producers.active()[0].last_sequence, 0, "judging changes nothing");
}

#[test]
fn silent_producers_are_forgotten_but_not_within_a_transaction() {
    let mut producers = Producers::default();
    append(&mut producers, batch(0, 0, 1, 0));
    let mut open = batch(0, 0, 1, 1);
    open.producer_id = 8;
    open.attributes = 0x10;
    append(&mut producers, open);
    assert_eq!(producers.first_open(), Some(1));
    producers.expire(1_001);
    assert_eq!(producers.active().len(), 1);
    let mut marker = open;
    marker.attributes = 0x30;
    producers.record(&marker);
    assert_eq!(producers.first_open(), None);
    producers.expire(1_001);
    assert!(producers.active().is_empty());
}

#[test]
fn a_snapshot_remembers_the_last_batch() {
    let mut producers = Producers::default();
    append(&mut producers, batch(0, 0, 5, 0));
    append(&mut producers, batch(0, 5, 5, 5));
    let again = snapshot::tests::round_trip(&producers).unwrap();
    assert!(matches!(again.judge(&[batch(0, 5, 5, 0)]), Ok(Verdict::Duplicate(_))));
    assert_eq!(again.judge(&[batch(0, 10, 1, 0)]).unwrap(), Verdict::Append);
    assert!(again.judge(&[batch(0, 11, 1, 0)]).is_err());
}
