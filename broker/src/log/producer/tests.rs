//! Sequence numbers and transactions as Kafka judges them.

use super::*;

const COMMIT: Marker = Marker {
    committed: true,
    coordinator_epoch: 0,
};
const ABORT: Marker = Marker {
    committed: false,
    coordinator_epoch: 0,
};

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
    assert_eq!(producers.judge(&[batch], Verify::Off).unwrap(), Verdict::Append);
    producers.record(&batch, None);
}

#[test]
fn the_last_five_batches_are_recognised_and_older_ones_are_out_of_order() {
    let mut producers = Producers::default();
    for n in 0..6 {
        append(&mut producers, batch(0, n * 2, 2, i64::from(n) * 2));
    }
    for n in 1..6 {
        match producers.judge(&[batch(0, n * 2, 2, 0)], Verify::Off).unwrap() {
            Verdict::Duplicate(past) => assert_eq!(past.first_offset(), i64::from(n) * 2),
            Verdict::Append => panic!("batch {n} was appended twice"),
        }
    }
    assert!(matches!(
        producers.judge(&[batch(0, 0, 2, 0)], Verify::Off),
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
        producers.judge(&[batch(3, 6, 1, 0)], Verify::Off),
        Err(Error::OutOfOrderSequence {
            expected: 5,
            found: 6,
            ..
        })
    ));
    assert!(matches!(
        producers.judge(&[batch(2, 5, 1, 0)], Verify::Off),
        Err(Error::FencedProducer {
            found: 2,
            current: 3,
            ..
        })
    ));
    assert!(matches!(
        producers.judge(&[batch(4, 5, 1, 0)], Verify::Off),
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
        producers.judge(&[batch(0, i32::MAX - 1, 4, 0)], Verify::Off),
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
        producers
            .judge(&[batch(0, 1, 1, 0), batch(0, 2, 1, 0)], Verify::Off)
            .unwrap(),
        Verdict::Append
    );
    assert!(
        producers
            .judge(&[batch(0, 1, 1, 0), batch(0, 3, 1, 0)], Verify::Off)
            .is_err()
    );
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
    assert_eq!(producers.first_unstable(), Some(1));
    producers.expire(1_001);
    assert_eq!(producers.active().len(), 1);
    let mut marker = open;
    marker.attributes = 0x30;
    producers.record(&marker, Some(COMMIT));
    producers.settle(2);
    assert_eq!(producers.first_unstable(), None);
    producers.expire(1_001);
    assert!(producers.active().is_empty());
}

#[test]
fn a_snapshot_remembers_the_last_batch() {
    let mut producers = Producers::default();
    append(&mut producers, batch(0, 0, 5, 0));
    append(&mut producers, batch(0, 5, 5, 5));
    let again = snapshot::tests::round_trip(&producers).unwrap();
    assert!(matches!(
        again.judge(&[batch(0, 5, 5, 0)], Verify::Off),
        Ok(Verdict::Duplicate(_))
    ));
    assert_eq!(
        again.judge(&[batch(0, 10, 1, 0)], Verify::Off).unwrap(),
        Verdict::Append
    );
    assert!(again.judge(&[batch(0, 11, 1, 0)], Verify::Off).is_err());
}

fn transactional(id: i64, base_sequence: i32, base_offset: Offset) -> Header {
    Header {
        producer_id: id,
        attributes: 0x10,
        ..batch(0, base_sequence, 1, base_offset)
    }
}

fn marker(id: i64, epoch: i16, base_offset: Offset) -> Header {
    Header {
        producer_id: id,
        attributes: 0x30,
        ..batch(epoch, -1, 1, base_offset)
    }
}

#[test]
fn what_is_unstable_begins_with_the_oldest_transaction_until_its_marker_is_committed() {
    let mut producers = Producers::default();
    producers.record(&transactional(7, 0, 10), None);
    producers.record(&transactional(8, 0, 11), None);
    producers.record(&transactional(7, 1, 12), None);
    assert_eq!(producers.first_unstable(), Some(10));
    assert_eq!(producers.record(&marker(7, 0, 13), Some(COMMIT)), None);
    assert_eq!(producers.first_unstable(), Some(10), "the marker may be lost");
    producers.settle(13);
    assert_eq!(producers.first_unstable(), Some(10));
    producers.settle(14);
    assert_eq!(producers.first_unstable(), Some(11));
    let aborted = producers.record(&marker(8, 1, 14), Some(ABORT)).expect("aborted");
    let expected = Aborted {
        producer: 8,
        first: 11,
        last: 14,
        last_stable: 15,
    };
    assert_eq!(aborted, expected);
    assert_eq!(
        producers.record(&marker(8, 1, 15), Some(ABORT)),
        None,
        "nothing was open"
    );
}

#[test]
fn a_transaction_begins_only_with_a_guard_that_holds() {
    let mut producers = Producers::default();
    let first = transactional(7, 0, 0);
    let judge = |producers: &Producers, batch: &Header, guard| producers.judge(&[*batch], Verify::With(guard));
    assert!(matches!(
        judge(&producers, &first, None),
        Err(Error::NotInTransaction { .. })
    ));
    let guard = producers.begin_verification(&first, 0);
    assert!(guard.is_some());
    assert_eq!(judge(&producers, &first, guard).unwrap(), Verdict::Append);
    let late = transactional(7, 5, 0);
    assert!(
        matches!(
            judge(&producers, &late, guard),
            Err(Error::OutOfOrderSequence { expected: 0, .. })
        ),
        "the batch before it is still being verified"
    );
    producers.record(&first, None);
    let second = transactional(7, 1, 1);
    assert_eq!(producers.begin_verification(&second, 0), None, "it is open");
    assert_eq!(judge(&producers, &second, None).unwrap(), Verdict::Append);
    let plain = Header {
        attributes: 0,
        ..second
    };
    assert!(matches!(
        judge(&producers, &plain, None),
        Err(Error::NotInTransaction { .. })
    ));
    // Verified, and held up until the transaction has ended.
    let mut other = Producers::default();
    let guard = other.begin_verification(&first, 0);
    other.record(&marker(7, 0, 0), Some(ABORT));
    assert!(matches!(
        judge(&other, &first, guard),
        Err(Error::NotInTransaction { .. })
    ));
}

#[test]
fn an_older_coordinator_and_an_older_producer_end_nothing() {
    let mut producers = Producers::default();
    producers.record(&transactional(7, 0, 0), None);
    let of = |coordinator_epoch| Marker {
        coordinator_epoch,
        ..ABORT
    };
    producers.record(&marker(7, 2, 1), Some(of(5)));
    assert!(matches!(
        producers.judge_marker(&marker(7, 2, 2), of(4)),
        Err(Error::FencedCoordinator { found: 4, current: 5 })
    ));
    assert!(matches!(
        producers.judge_marker(&marker(7, 1, 2), of(5)),
        Err(Error::FencedProducer {
            found: 1,
            current: 2,
            ..
        })
    ));
    assert!(producers.judge_marker(&marker(7, 2, 2), of(5)).is_ok());
    assert!(
        matches!(
            producers.judge(
                &[Header {
                    producer_epoch: 2,
                    ..transactional(7, 3, 2)
                }],
                Verify::Off
            ),
            Err(Error::OutOfOrderSequence { expected: 0, .. })
        ),
        "the marker began the epoch"
    );
}

#[test]
fn a_snapshot_remembers_an_open_transaction() {
    let mut producers = Producers::default();
    producers.record(&transactional(7, 0, 3), None);
    let again = snapshot::tests::round_trip(&producers).unwrap();
    assert_eq!(again.first_unstable(), Some(3));
}
