//! Can clients write and read? From a write probe where the context allows one; metadata alone proves nothing.

use super::{Line, Name, unknown};
use crate::check::cause::failed_probes;
use crate::check::{Cause, Evidence, Facts, text};
use crate::model::event::{Since, Symptom};
use crate::model::row::partition::Badge;
use crate::model::{Health, Trouble};
use crate::plan::gate::Verdict;

/// A leader election, or a broker that restarts, leaves partitions under their min ISR for seconds: it fails once it lasts for so
/// long (Amazon MSK's guidance on UnderMinIsrPartitionCount), or where nobody saw it begin.
const GRACE_SECONDS: i64 = 60;
/// Replicas that catch up after a restart are no fault for so long.
const PATIENCE_SECONDS: i64 = 300;

pub(super) fn line(facts: &Facts<'_>, causes: &[Cause]) -> Line {
    let snapshot = facts.snapshot;
    if snapshot.cluster.get().is_none() {
        return unseen(facts);
    }
    if snapshot.topics.get().is_none() {
        return Line::new(
            Name::Headline,
            Verdict::Unknown,
            "topics not seen yet · writes NOT PROVEN",
            "Metadata",
        )
        .why(Some(unknown(&snapshot.topics)));
    }
    let count = |badge| facts.count(badge);
    let (offline, under, at) = (count(Badge::Offline), count(Badge::UnderMinIsr), count(Badge::AtMinIsr));
    let tally = format!("{at} at min ISR, {under} under, {offline} offline");
    let since = |symptom| snapshot.events.since(&symptom);
    let proof = proof(facts);
    let from = snapshot
        .seen_from()
        .map(|host| format!(" · seen from {host}"))
        .unwrap_or_default();
    let line = |verdict, text: String, since: Option<Since>| {
        // Nobody saw it begin: the last record that was written tells more than when it was first looked at.
        let unseen = verdict == Verdict::Fail && since.is_none_or(|since| !since.recorded);
        let written = snapshot.last_write(facts.now).filter(|_| unseen);
        let written = written.map(|last| {
            format!(
                " · last write {} ({}-{})",
                last.at.strftime("%H:%M:%S"),
                last.topic,
                last.partition
            )
        });
        let text = format!("{text}{}{from}", written.unwrap_or_default());
        Line::new(Name::Headline, verdict, text, proof.source)
            .since(since)
            .at(Evidence::list("topic"))
    };
    if offline > 0 {
        let text = format!(
            "WRITES AND READS FAIL  {} offline · {tally}",
            text::plural(offline, "partition")
        );
        return line(Verdict::Fail, text, since(Symptom::Offline));
    }
    if under > 0 {
        let text = format!(
            "WRITES REFUSED  {} under min ISR refuse acks=all · {tally}",
            text::plural(under, "partition")
        );
        let verdict = refusing(facts);
        let grace = match verdict {
            Verdict::Warn => format!(" · fails when it lasts {GRACE_SECONDS} s"),
            _ => String::new(),
        };
        return line(verdict, text + &grace, since(Symptom::UnderMinIsr));
    }
    if let Some(cause) = causes.iter().find(|cause| cause.rule == "writes-stop") {
        let text = format!(
            "WRITES TIME OUT  {} that {} leads or must copy · {tally}",
            text::plural(touched(facts, cause), "partition"),
            cause.culprit
        );
        return line(Verdict::Fail, text, cause.since);
    }
    if proof.verdict == Verdict::Fail {
        let text = format!("WRITES TIME OUT  {} · {tally}", proof.text);
        return line(Verdict::Fail, text, proof.since);
    }
    if let Some(cause) = causes.iter().find(|cause| cause.verdict == Verdict::Fail) {
        let text = format!("{}  {} · {tally} · {}", words(cause.rule), cause.who(), proof.text);
        return line(Verdict::Fail, text, cause.since);
    }
    let moved = facts.all_moved_by(Badge::AtMinIsr);
    if at > 0 && moved.is_none() {
        let text = format!("ONE LOSS FROM REFUSED WRITES  {tally} · {}", proof.text);
        return line(Verdict::Warn, text, since(Symptom::AtMinIsr));
    }
    if let Some(cause) = causes.first() {
        let text = format!("{}  {} · {}", words(cause.rule), cause.who(), proof.text);
        return line(Verdict::Warn, text, cause.since);
    }
    let shrunk = facts.shrunk().count();
    let lasts = since(Symptom::UnderReplicated)
        .is_some_and(|since| facts.now.duration_since(since.at).as_secs() > PATIENCE_SECONDS);
    let lasts = lasts && facts.all_moved_by(Badge::UnderReplicated).is_none();
    let tail = match facts.all_moved_by(Badge::UnderReplicated).or(moved) {
        Some(act) => format!(
            " · {} out of sync, explained by operation {}",
            text::plural(shrunk.max(at), "partition"),
            act.id
        ),
        None if shrunk > 0 => format!(" · {} catching up", text::plural(shrunk, "partition")),
        None => String::new(),
    };
    let (verdict, why) = match proof.verdict {
        _ if lasts => (Verdict::Warn, None),
        Verdict::Pass => (Verdict::Pass, None),
        _ => (Verdict::Unknown, Some(proof.text.clone())),
    };
    let text = match proof.verdict {
        Verdict::Pass => format!("CLIENTS WRITE AND READ  {}{tail}", proof.text),
        _ => format!("no fault in metadata · {}{tail}", proof.text),
    };
    line(verdict, text, since(Symptom::UnderReplicated)).why(why)
}

/// What partitions under their min ISR mean: a failure once it has lasted, or where nobody saw it begin.
pub(super) fn refusing(facts: &Facts<'_>) -> Verdict {
    let since = facts.snapshot.events.since(&Symptom::UnderMinIsr);
    let begun = since.filter(|since| since.recorded);
    match begun.is_some_and(|since| facts.now.duration_since(since.at).as_secs() < GRACE_SECONDS) {
        true => Verdict::Warn,
        false => Verdict::Fail,
    }
}

/// Partitions that a broker leads or has to copy before a write is acknowledged.
fn touched(facts: &Facts<'_>, cause: &Cause) -> usize {
    let id = cause.culprit.name.parse().ok();
    facts
        .rows
        .partitions
        .iter()
        .filter(|row| id.is_some_and(|id| row.isr.contains(&id)))
        .count()
}

/// Nothing is known of the cluster: why, and what that means.
fn unseen(facts: &Facts<'_>) -> Line {
    let cluster = &facts.snapshot.cluster;
    let from = facts.snapshot.seen_from().unwrap_or_else(|| "here".to_owned());
    let (verdict, text, since) = match &cluster.health {
        Health::Failing {
            trouble: Trouble::Unreachable | Trouble::TimedOut | Trouble::Refused,
            reason,
            since,
        } => (
            Verdict::Fail,
            format!("NO BROKER ANSWERS from {from}  {reason}"),
            Some(*since),
        ),
        Health::Failing { trouble, reason, since } => (
            Verdict::Unknown,
            format!("NOT SEEN  {}: {reason}", text::trouble(*trouble)),
            Some(*since),
        ),
        _ => (Verdict::Unknown, "asking the cluster".to_owned(), None),
    };
    let since = since.map(|at| Since {
        at,
        recorded: cluster.seen_at.is_some(),
    });
    // A failure has its reason in its words.
    let why = cluster.problem().filter(|_| verdict == Verdict::Unknown);
    Line::new(Name::Headline, verdict, text, "Metadata")
        .why(why)
        .since(since)
        .at(Evidence::list("broker"))
}

/// What a rule has found, for the first words that are read.
fn words(rule: &str) -> &'static str {
    match rule {
        "zone-down" => "ZONE DOWN",
        "certificate-expired" => "CERTIFICATE EXPIRED",
        "volume-stalled" => "VOLUME STALLED",
        "host-impaired" => "HOST IMPAIRED",
        "logdir-offline" => "LOG DIR OFFLINE",
        "disk-full" => "DISK FILLS",
        "broker-down" => "BROKER DOWN",
        "controller-lost" => "CONTROLLER LOST",
        "voter-lost" => "VOTER LOST",
        "leader-alone" => "LEADER ALONE IN ITS ISRS",
        "follower-behind" => "FOLLOWER BEHIND",
        "reassignment-load" => "REASSIGNMENT HURTS",
        "volume-slow" => "VOLUME SLOW",
        "throttle-left" => "THROTTLE LEFT BEHIND",
        "producer-surge" => "PRODUCER RUNS AWAY",
        "group-stuck" => "GROUP STUCK",
        "group-losing" => "GROUP LOSES RECORDS",
        "rack-mismatch" => "RACK IS NOT THE ZONE",
        _ => "NOT WELL",
    }
}

/// What is known of writes getting through.
struct Proof {
    verdict: Verdict,
    text: String,
    since: Option<Since>,
    source: &'static str,
}

fn proof(facts: &Facts<'_>) -> Proof {
    let snapshot = facts.snapshot;
    let failed = failed_probes(facts);
    let not_proven = |why: &str| Proof {
        verdict: Verdict::Unknown,
        text: format!("writes NOT PROVEN ({why})"),
        since: None,
        source: "Metadata, ListOffsets",
    };
    if let Some((id, (reason, since))) = failed.iter().next() {
        return Proof {
            verdict: Verdict::Fail,
            text: format!(
                "the write probe fails through {} of {} brokers, first {id}: {reason}",
                failed.len(),
                snapshot.probes.len()
            ),
            since: Some(*since),
            source: "write probe",
        };
    }
    let Some(topic) = &snapshot.probe_topic else {
        return not_proven("no probe_topic");
    };
    let fresh: Vec<_> = snapshot
        .probes
        .values()
        .filter(|probe| probe.is_fresh())
        .filter_map(|probe| probe.get())
        .collect();
    if fresh.is_empty() {
        let why = snapshot
            .probes
            .values()
            .find_map(|probe| probe.problem())
            .unwrap_or_else(|| "not tried yet".to_owned());
        return not_proven(&format!("{topic}: {why}"));
    }
    let slowest = fresh.iter().map(|probe| probe.append_ms).fold(0.0, f64::max);
    let all = facts.rows.brokers.len();
    if fresh.len() < all {
        return not_proven(&format!("{topic} proves {} of {all} brokers", fresh.len()));
    }
    Proof {
        verdict: Verdict::Pass,
        text: format!(
            "written and read back through {} in ≤ {} ms",
            text::plural(all, "broker"),
            coarse(slowest)
        ),
        since: None,
        source: "write probe",
    }
}

/// The next of 10, 20, 50, 100, … milliseconds: a line that says it stays still.
fn coarse(ms: f64) -> u64 {
    let steps = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
    steps.into_iter().find(|step| ms <= *step as f64).unwrap_or(10_000)
}
