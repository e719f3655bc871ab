//! The life of transactional ids, decision by decision.

use super::*;

const FRESH: i64 = 9_000;
const TIMEOUT: i32 = 60_000;

/// One partition of `__transaction_state` whose writes all succeed.
#[derive(Default)]
struct Bench {
    transactions: Transactions,
    now_ms: i64,
}

impl Bench {
    fn run(&mut self, write: Option<Write>) -> Option<Markers> {
        self.transactions.written(write?, Ok(()))
    }

    fn init(&mut self, expected: Option<Producer>) -> Result<Producer, ResponseError> {
        self.init_as(1_000, expected).0
    }

    fn init_as(
        &mut self,
        fresh_producer: i64,
        expected: Option<Producer>,
    ) -> (Result<Producer, ResponseError>, Option<Markers>) {
        let (reply, mut answer) = oneshot::channel();
        let init = Init {
            timeout_ms: TIMEOUT,
            expected,
            fresh_producer,
        };
        let write = self.transactions.init("tx", init, reply, self.now_ms);
        let markers = self.run(write);
        (answer.try_recv().unwrap(), markers)
    }

    fn add(&mut self, by: Producer, partition: i32, version: i16) -> Result<(), ResponseError> {
        let (reply, mut answer) = oneshot::channel();
        let places = vec![("orders".to_owned(), partition)];
        let write = self.transactions.add("tx", by, places, version, reply, self.now_ms);
        self.run(write);
        answer.try_recv().unwrap()
    }

    fn end(&mut self, by: Producer, commit: bool, bumps: bool) -> (Result<Producer, ResponseError>, Option<Markers>) {
        let (reply, mut answer) = oneshot::channel();
        let ending = Ending {
            by,
            commit,
            bumps: bumps.then_some(FRESH),
        };
        let write = self.transactions.end("tx", ending, reply, self.now_ms);
        let markers = self.run(write);
        (answer.try_recv().unwrap(), markers)
    }

    fn complete(&mut self, markers: &Markers) {
        let (reply, mut answer) = oneshot::channel();
        let write = self.transactions.complete(markers, reply, self.now_ms);
        self.run(write);
        assert_eq!(answer.try_recv(), Ok(Ok(())), "it was not being ended");
    }

    fn state(&self) -> State {
        self.transactions.describe("tx").unwrap().state
    }
}

#[test]
fn a_transaction_is_begun_filled_and_committed() {
    let mut bench = Bench::default();
    let by = bench.init(None).unwrap();
    assert_eq!(by, (1_000, 0));
    assert_eq!(bench.add(by, 0, 0), Ok(()));
    assert_eq!(bench.add(by, 3, 0), Ok(()));
    assert_eq!(bench.state(), State::Ongoing);
    let (answer, markers) = bench.end(by, true, false);
    assert_eq!(answer, Ok(by), "the epoch of version 1 stays");
    let markers = markers.expect("markers to be written");
    assert!(markers.committed);
    assert_eq!(markers.producer, by);
    assert_eq!(markers.partitions["orders"], BTreeSet::from([0, 3]));
    assert_eq!(bench.state(), State::PrepareCommit);
    assert_eq!(bench.add(by, 1, 0), Err(ResponseError::ConcurrentTransactions));
    assert_eq!(bench.end(by, true, false).0, Err(ResponseError::ConcurrentTransactions));
    assert_eq!(bench.end(by, false, false).0, Err(ResponseError::InvalidTxnState));
    bench.complete(&markers);
    assert_eq!(bench.state(), State::CompleteCommit);
    assert_eq!(bench.end(by, true, false), (Ok(by), None), "asked again");
    assert_eq!(bench.end(by, false, false).0, Err(ResponseError::InvalidTxnState));
    assert_eq!(bench.add(by, 5, 0), Ok(()), "the next one");
    assert_eq!(
        bench.transactions.describe("tx").unwrap().partitions["orders"],
        BTreeSet::from([5])
    );
}

#[test]
fn a_second_instance_fences_the_first() {
    let mut bench = Bench::default();
    let first = bench.init(None).unwrap();
    let second = bench.init(None).unwrap();
    assert_eq!(second, (1_000, 1));
    assert_eq!(bench.add(first, 0, 0), Err(ResponseError::ProducerFenced));
    assert_eq!(bench.end(first, true, false).0, Err(ResponseError::ProducerFenced));
    assert_eq!(bench.init(Some(first)), Err(ResponseError::ProducerFenced));
    assert_eq!(bench.add((7, 0), 0, 0), Err(ResponseError::InvalidProducerIdMapping));
    assert_eq!(bench.add(second, 0, 0), Ok(()));
}

#[test]
fn what_a_dead_instance_left_open_is_aborted_before_the_next_one_begins() {
    for version in [0, 2] {
        let mut bench = Bench::default();
        let first = bench.init(None).unwrap();
        bench.add(first, 0, version).unwrap();
        let (answer, markers) = bench.init_as(1_000, None);
        assert_eq!(answer, Err(ResponseError::ConcurrentTransactions));
        let markers = markers.expect("an abort");
        assert!(!markers.committed);
        assert!(markers.producer.1 > first.1, "the marker fences it in the partitions");
        assert_eq!(bench.init(None), Err(ResponseError::ConcurrentTransactions));
        assert!(bench.end(first, true, version == 2).0.is_err());
        bench.complete(&markers);
        assert_eq!(
            bench.end(first, false, version == 2).0,
            Err(ResponseError::ProducerFenced)
        );
        let second = bench.init(None).unwrap();
        assert_eq!(second, (1_000, markers.producer.1 + 1));
    }
}

#[test]
fn with_version_2_every_end_begins_an_epoch_and_may_be_asked_again() {
    let mut bench = Bench::default();
    let by = bench.init(None).unwrap();
    bench.add(by, 0, 2).unwrap();
    let (answer, markers) = bench.end(by, true, true);
    let next = (1_000, 1);
    assert_eq!(answer, Ok(next));
    let markers = markers.unwrap();
    assert_eq!(markers.producer, next, "markers are of the new epoch");
    assert_eq!(bench.end(by, true, true).0, Err(ResponseError::ConcurrentTransactions));
    bench.complete(&markers);
    assert_eq!(bench.end(by, true, true), (Ok(next), None), "it missed the answer");
    assert_eq!(bench.end(by, false, true).0, Err(ResponseError::InvalidTxnState));
    assert_eq!(
        bench.end(next, true, true).0,
        Err(ResponseError::InvalidTxnState),
        "nothing to commit"
    );
    let (answer, markers) = bench.end(next, false, true);
    assert_eq!(answer, Ok((1_000, 2)), "an abort of nothing still begins an epoch");
    let markers = markers.unwrap();
    assert!(markers.partitions.is_empty());
    bench.complete(&markers);
    assert_eq!(bench.state(), State::CompleteAbort);
}

#[test]
fn used_up_epochs_change_the_producer_id() {
    let mut bench = Bench::default();
    let mut by = bench.init(None).unwrap();
    bench.transactions.held.get_mut("tx").unwrap().now.epoch = LAST_EPOCH;
    by.1 = LAST_EPOCH;
    bench.add(by, 0, 2).unwrap();
    let (answer, markers) = bench.end(by, true, true);
    assert_eq!(answer, Ok((FRESH, 0)));
    let markers = markers.unwrap();
    assert_eq!(
        markers.producer,
        (1_000, i16::MAX),
        "the log's producer is still the old one"
    );
    bench.complete(&markers);
    assert_eq!(bench.end(by, true, true), (Ok((FRESH, 0)), None));
    bench.transactions.held.get_mut("tx").unwrap().now.epoch = LAST_EPOCH;
    assert_eq!(bench.init_as(2_000, None).0, Ok((2_000, 0)), "also for who begins");
}

#[test]
fn a_producer_that_goes_on_may_ask_again_for_its_epoch() {
    let mut bench = Bench::default();
    let by = bench.init(None).unwrap();
    assert_eq!(bench.init(Some(by)), Ok((1_000, 1)));
    assert_eq!(bench.init(Some(by)), Ok((1_000, 1)), "it missed the answer");
    assert_eq!(bench.init(Some((1_000, 1))), Ok((1_000, 2)));
    assert_eq!(bench.init(Some(by)), Err(ResponseError::ProducerFenced));
    assert_eq!(bench.init(Some((5, 2))), Err(ResponseError::ProducerFenced));
}

#[test]
fn partitions_are_verified_one_by_one() {
    let mut bench = Bench::default();
    let places = [0, 1].map(|partition| ("orders".to_owned(), partition));
    let unknown = Err(ResponseError::InvalidProducerIdMapping);
    assert_eq!(bench.transactions.verify("tx", (1, 0), &places), [unknown, unknown]);
    let by = bench.init(None).unwrap();
    bench.add(by, 1, 0).unwrap();
    let verify = |bench: &Bench, by| bench.transactions.verify("tx", by, &places);
    assert_eq!(verify(&bench, by), [Err(ResponseError::TransactionAbortable), Ok(())]);
    assert_eq!(verify(&bench, (by.0, 9))[1], Err(ResponseError::ProducerFenced));
    let (_, markers) = bench.end(by, true, false);
    assert_eq!(verify(&bench, by)[1], Err(ResponseError::ConcurrentTransactions));
    bench.complete(&markers.unwrap());
    assert_eq!(verify(&bench, by)[1], Err(ResponseError::TransactionAbortable));
}

#[test]
fn timeouts_are_bounded_and_end_what_is_late() {
    let mut bench = Bench::default();
    let by = bench.init(None).unwrap();
    let (reply, mut answer) = oneshot::channel();
    let init = Init {
        timeout_ms: 900_001,
        expected: None,
        fresh_producer: 1,
    };
    assert!(bench.transactions.init("other", init, reply, 0).is_none());
    assert_eq!(
        answer.try_recv().unwrap(),
        Err(ResponseError::InvalidTransactionTimeout)
    );
    bench.add(by, 0, 0).unwrap();
    assert!(bench.transactions.abort_timed_out(i64::from(TIMEOUT)).is_empty());
    let mut writes = bench.transactions.abort_timed_out(i64::from(TIMEOUT) + 1);
    assert_eq!(writes.len(), 1);
    assert!(
        bench.transactions.abort_timed_out(i64::from(TIMEOUT) + 1).is_empty(),
        "it is under way"
    );
    let markers = bench.transactions.written(writes.remove(0), Ok(())).expect("an abort");
    assert_eq!(markers.producer, (by.0, by.1 + 1));
    assert_eq!(bench.add(by, 1, 0), Err(ResponseError::ProducerFenced));
}

#[test]
fn what_could_not_be_written_did_not_happen() {
    let mut bench = Bench::default();
    let by = bench.init(None).unwrap();
    let (reply, mut answer) = oneshot::channel();
    let places = vec![("orders".to_owned(), 0)];
    let write = bench.transactions.add("tx", by, places, 0, reply, 0).unwrap();
    assert_eq!(
        bench.add(by, 1, 0),
        Err(ResponseError::ConcurrentTransactions),
        "one change at a time"
    );
    bench
        .transactions
        .written(write, Err(ResponseError::NotLeaderOrFollower));
    assert_eq!(answer.try_recv().unwrap(), Err(ResponseError::NotCoordinator));
    assert_eq!(bench.state(), State::Empty);
    bench.add(by, 1, 0).unwrap();
    let fence = |bench: &mut Bench| {
        let write = bench.transactions.fence("tx", None, 0).unwrap();
        let epoch = write.to.as_ref().unwrap().epoch;
        bench.transactions.written(write, Err(ResponseError::RequestTimedOut));
        epoch
    };
    assert_eq!(fence(&mut bench), by.1 + 1);
    assert_eq!(fence(&mut bench), by.1 + 1, "the same epoch again");
}

#[test]
fn ids_that_nobody_used_for_long_are_forgotten() {
    let mut bench = Bench::default();
    let by = bench.init(None).unwrap();
    let week = 7 * 24 * 3_600_000;
    assert!(bench.transactions.expire(week - 1).is_empty());
    bench.add(by, 0, 0).unwrap();
    assert!(bench.transactions.expire(week).is_empty(), "it is open");
    let (_, markers) = bench.end(by, true, false);
    bench.complete(&markers.unwrap());
    let mut writes = bench.transactions.expire(week);
    assert_eq!(writes.len(), 1);
    assert!(writes[0].to.is_none());
    bench.transactions.written(writes.remove(0), Ok(()));
    assert!(bench.transactions.describe("tx").is_none());
}

#[test]
fn the_next_coordinator_finishes_what_was_decided() {
    let mut bench = Bench::default();
    let by = bench.init(None).unwrap();
    bench.add(by, 4, 2).unwrap();
    let (_, markers) = bench.end(by, true, true);
    let decided = bench.transactions.describe("tx").unwrap().clone();
    let mut next = Bench::default();
    let load = |next: &mut Bench, value: Option<bytes::Bytes>| {
        next.transactions.load(&record::key("tx"), value.as_deref()).unwrap();
    };
    load(&mut next, Some(record::value(&decided, true)));
    let unfinished = next.transactions.unfinished();
    assert_eq!(unfinished, [markers.unwrap()]);
    next.complete(&unfinished[0]);
    assert_eq!(next.state(), State::CompleteCommit);
    assert!(next.transactions.unfinished().is_empty());
    load(&mut next, None);
    assert!(next.transactions.describe("tx").is_none());
}
