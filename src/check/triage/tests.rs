//! The ten lines on clusters that are well, half seen, and in trouble.

use std::sync::Arc;

use strum::IntoEnumIterator;

use super::{Name, Status, Triage};
use crate::check::fixture::{Six, ago};
use crate::check::{Culprit, Facts, Kind};
use crate::model::event::{Event, EventKind, Events, Symptom};
use crate::model::history::Window;
use crate::model::write::LastWrite;
use crate::model::{Snapshot, Trouble};
use crate::plan::gate::Verdict;

#[test]
fn a_healthy_cluster_is_ok_and_proven_by_its_probe() {
    let triage = Six::healthy().triage();
    assert_eq!(
        (triage.status, triage.culprit.clone()),
        (Status::Ok, Culprit::none()),
        "{:?}",
        triage.causes
    );
    let headline = triage.line(Name::Headline).unwrap();
    assert_eq!(headline.verdict, Verdict::Pass);
    assert!(
        headline.text.contains("read back through 6 brokers"),
        "{}",
        headline.text
    );
    assert!(triage.next.is_empty() && triage.dont.is_empty());
    let names: Vec<Name> = triage.lines.iter().map(|line| line.name).collect();
    assert_eq!(names, Name::iter().collect::<Vec<_>>());
}

#[test]
fn without_a_probe_nothing_is_proven_and_nothing_is_wrong() {
    let triage = Six::healthy().no_probes().triage();
    assert_eq!(triage.status, Status::Ok);
    let headline = triage.line(Name::Headline).unwrap();
    assert_eq!(headline.verdict, Verdict::Unknown, "never green");
    assert!(
        headline
            .text
            .starts_with("no fault in metadata · writes NOT PROVEN (no probe_topic)"),
        "{}",
        headline.text
    );
}

#[test]
fn a_cluster_that_was_not_seen_is_never_well() {
    let six = Six {
        snapshot: Snapshot::default(),
    };
    let triage = six.triage();
    assert!(!triage.seen);
    assert!(
        triage.lines.iter().all(|line| line.verdict != Verdict::Fail),
        "not asked yet is no fault"
    );
    assert_eq!(triage.line(Name::Headline).unwrap().verdict, Verdict::Unknown);
    let mut dead = Snapshot::default();
    dead.cluster.fail(
        Trouble::TimedOut,
        "b-1:9092 gave no answer",
        crate::check::fixture::ago(9),
    );
    let triage = Six { snapshot: dead }.triage();
    assert_eq!(triage.status, Status::Fail);
    assert!(
        triage
            .line(Name::Headline)
            .unwrap()
            .text
            .starts_with("NO BROKER ANSWERS")
    );
}

#[test]
fn a_stalled_follower_puts_partitions_at_min_isr_not_under_it() {
    let mut six = Six::healthy();
    six.behind(4);
    let triage = six.triage();
    assert_eq!(triage.culprit, Culprit::new(Kind::Broker, 4));
    let headline = triage.line(Name::Headline).unwrap();
    assert_eq!(headline.verdict, Verdict::Warn);
    assert!(
        headline.text.contains("6 at min ISR, 0 under, 0 offline"),
        "{}",
        headline.text
    );
}

#[test]
fn a_stalled_leader_with_a_full_isr_times_out_though_metadata_is_well() {
    let mut six = Six::healthy();
    six.probe_partitions().probe(4, Some(Trouble::TimedOut));
    let triage = six.triage();
    assert_eq!(
        (triage.status, triage.culprit.clone()),
        (Status::Fail, Culprit::new(Kind::Broker, 4))
    );
    let headline = triage.line(Name::Headline).unwrap();
    assert!(headline.text.starts_with("WRITES TIME OUT"), "{}", headline.text);
    assert!(
        headline.text.contains("0 at min ISR, 0 under, 0 offline"),
        "{}",
        headline.text
    );
    assert!(headline.since.is_some());
}

#[test]
fn a_moment_under_min_isr_warns_and_what_lasts_fails() {
    let status = |seen: Option<i64>| {
        let mut six = Six::healthy();
        six.isr("orders", 0, &[1]);
        if let Some(seconds) = seen {
            six.mark(Symptom::UnderMinIsr, seconds);
        }
        let triage = six.triage();
        assert!(triage.line(Name::Headline).unwrap().text.starts_with("WRITES REFUSED"));
        triage.status
    };
    assert_eq!(status(Some(5)), Status::Warn, "a leader election");
    assert_eq!(status(Some(61)), Status::Fail);
    assert_eq!(status(None), Status::Fail, "it was so when we came");
}

#[test]
fn a_leader_that_shrank_its_isrs_to_itself_is_the_culprit() {
    let mut six = Six::healthy();
    six.alone(4);
    let triage = six.triage();
    assert_eq!(triage.culprit, Culprit::new(Kind::Broker, 4));
    assert!(triage.line(Name::Headline).unwrap().text.starts_with("WRITES REFUSED"));
    assert!(
        triage.dont.iter().any(|dont| dont.action == "restart or stop broker 4"),
        "{:?}",
        triage.dont
    );
}

#[test]
fn the_plane_fails_in_four_words() {
    let cases = [
        (Trouble::Throttled, "THROTTLED"),
        (Trouble::Denied, "DENIED"),
        (Trouble::Expired, "CREDENTIALS EXPIRED"),
        (Trouble::TimedOut, "TIMED OUT"),
    ];
    for (trouble, word) in cases {
        let mut six = Six::healthy();
        six.cloud().ec2("az2", trouble);
        let triage = six.triage();
        let place = triage.line(Name::Where).unwrap();
        assert!(place.text.contains(&format!("az2 {word}")), "{}", place.text);
        let ours = trouble == Trouble::TimedOut;
        assert_eq!(triage.status, if ours { Status::Warn } else { Status::Ok }, "{word}");
    }
}

#[test]
fn what_changed_is_unknown_before_the_first_look() {
    let triage = Six::healthy().triage();
    let changed = &triage.line(Name::Changed).unwrap().text;
    assert_eq!(changed, "nothing seen since 20:54:00 · unknown before 20:54:00");
}

#[test]
fn what_nobody_saw_begin_goes_by_the_last_write() {
    let mut six = Six::healthy();
    six.isr("orders", 0, &[1]);
    let last = LastWrite {
        topic: "orders".to_owned(),
        partition: 0,
        at: ago(130),
    };
    six.snapshot.last_writes.insert(1, last);
    let headline = |six: &Six| six.triage().line(Name::Headline).unwrap().text.clone();
    let told = headline(&six);
    let wanted = format!("last write {} (orders-0)", ago(130).strftime("%H:%M:%S"));
    assert!(told.contains(&wanted), "{told}");

    // A producer's clock that is ahead proves nothing.
    six.snapshot.last_writes.get_mut(&1).unwrap().at = ago(-600);
    assert!(!headline(&six).contains("last write"), "{}", headline(&six));
    six.snapshot.last_writes.clear();
    assert!(!headline(&six).contains("last write"));
}

#[test]
fn what_changed_is_told_of_the_time_that_is_looked_at() {
    let mut six = Six::healthy();
    let mut events = Events::clone(&six.snapshot.events);
    events.watched_since = Some(ago(90 * 60));
    events.push(Event::new(ago(70 * 60), EventKind::Topic, "orders", "created", 1));
    six.snapshot.events = Arc::new(events);
    let changed = |changes: Window| {
        six.with(&[], |facts| {
            let triage = Triage::of(&Facts { changes, ..*facts });
            triage.line(Name::Changed).unwrap().text.clone()
        })
    };
    assert_eq!(changed(Window::CHANGES), "nothing seen for an hour");
    assert_eq!(changed(Window::of(600)), "nothing seen for 10m");
    let told = changed(Window::of(7200));
    assert!(
        told.contains("orders created") && told.contains("unknown before"),
        "{told}"
    );
}

#[test]
fn a_step_that_would_be_refused_says_by_what() {
    let mut six = Six::healthy();
    six.cloud().stall(4).isr("orders", 1, &[4]);
    let triage = six.triage();
    let next = &triage.line(Name::Next).unwrap().text;
    assert!(
        next.contains("broker stop 4") && next.contains("blocked by last-safe-copy"),
        "{next}"
    );
}

#[test]
fn numbers_that_waver_are_no_news() {
    let mut six = Six::healthy();
    six.group("billing", 2, 40, 3);
    let before = six.triage().gist();
    six.group("billing", 2, 90, 3);
    assert_eq!(six.triage().gist(), before);
    six.kill(4);
    assert_ne!(six.triage().gist(), before);
}
