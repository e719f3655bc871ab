//! Slow, not dead: a volume's write latency, or a broker's write probe, is three times its peers' median or more.

use crate::check::facts::gate_no_modification;
use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text, vote};
use crate::model::BrokerId;
use crate::model::row::partition::PartitionRow;
use crate::plan::gate::Verdict;

const TIMES: f64 = 3.0;
/// Milliseconds; below that a volume's latency hurts nobody. gp3 writes in one or two.
const VOLUME_FLOOR_MS: f64 = 8.0;
/// Milliseconds; below that an append is no trouble, whatever its peers do.
const APPEND_FLOOR_MS: f64 = 150.0;
/// A median of fewer says nothing.
const PEERS: usize = 3;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let latencies = facts
        .rows
        .volumes
        .iter()
        .filter_map(|row| Some((row, row.write_latency_ms.value?)));
    let latencies: Vec<_> = latencies.collect();
    for (row, latency) in &latencies {
        let peers = latencies
            .iter()
            .filter(|(other, _)| other.id != row.id)
            .map(|(_, latency)| *latency);
        if let Some(usual) = outlier(*latency, peers.collect(), VOLUME_FLOOR_MS) {
            let seen = format!(
                "volume {} writes in {latency:.0} ms, its peers in {usual:.1} ms",
                row.id
            );
            causes.push(cause(
                facts,
                Culprit::new(Kind::Volume, &row.id),
                row.broker,
                seen,
                "CloudWatch",
            ));
        }
    }
    if let Some((id, append, usual)) = slow_append(facts) {
        let volumes = facts.broker(id).map_or(&[][..], |row| row.volumes.as_slice());
        let told = causes.iter().any(|cause| volumes.contains(&cause.culprit.name));
        let seen = format!("writes that wait for broker {id} take up to {append:.0} ms, others {usual:.0} ms");
        let culprit = match volumes {
            [only] => Culprit::new(Kind::Volume, only),
            _ => Culprit::new(Kind::Broker, id),
        };
        if !told {
            causes.push(cause(facts, culprit, Some(id), seen, "write probe"));
        }
    }
    causes
}

/// The broker that slow probes wait for, the slowest of them, and what the others take.
fn slow_append(facts: &Facts<'_>) -> Option<(BrokerId, f64, f64)> {
    // While some writes do not get through at all, the others wait for the same.
    if !super::failed_probes(facts).is_empty() {
        return None;
    }
    let topic = facts.snapshot.probe_topic.as_deref()?;
    let probes = facts
        .snapshot
        .probes
        .values()
        .filter(|probe| probe.is_fresh())
        .filter_map(|probe| probe.get());
    let placed = probes.filter_map(|probe| {
        let mut rows = facts.rows.partitions.of_topic(topic);
        Some((probe.append_ms, rows.find(|row| row.partition == probe.partition)?))
    });
    let placed: Vec<(f64, PartitionRow<'_>)> = placed.collect();
    // Those that wait for a slow broker may be half of all: the faster half tells what is usual.
    let mut appends: Vec<f64> = placed.iter().map(|(append, _)| *append).collect();
    appends.sort_by(f64::total_cmp);
    let usual = text::median(appends.iter().copied().take(appends.len().div_ceil(2)))?;
    let is_slow = |append: f64| append >= APPEND_FLOOR_MS && append >= TIMES * usual;
    let rows = |slow: bool| {
        placed
            .iter()
            .filter(move |(append, _)| is_slow(*append) == slow)
            .map(|(_, row)| *row)
    };
    let (slow, quick): (Vec<PartitionRow<'_>>, Vec<PartitionRow<'_>>) = (rows(true).collect(), rows(false).collect());
    if quick.len() < PEERS {
        return None;
    }
    let id = match slow.as_slice() {
        [only] => only.leader,
        all => vote::culprit(all, &quick),
    }?;
    Some((id, *appends.last()?, usual))
}

/// The peers' median, when `value` is far above it.
fn outlier(value: f64, peers: Vec<f64>, floor: f64) -> Option<f64> {
    let enough = peers.len() >= PEERS;
    text::median(peers).filter(|usual| enough && value >= floor && value >= TIMES * usual)
}

fn cause(facts: &Facts<'_>, culprit: Culprit, broker: Option<BrokerId>, seen: String, source: &'static str) -> Cause {
    let mut clauses = vec![seen];
    let volume = facts.rows.volumes.iter().find(|row| row.id == culprit.name);
    if let Some(used) = volume.and_then(|row| row.throughput_percent.value) {
        clauses.push(format!("at {} of its throughput", text::percent(used)));
    }
    let mut next = Vec::new();
    if let Some(id) = broker {
        let leads = facts.led_by(id);
        clauses.push(format!("behind broker {id}, which leads {leads}"));
        if leads > 0 {
            next.push(Step::new(
                format!("leader move --from-broker {id}"),
                format!("{leads} leaders, no data moved"),
                vec![facts.gate_leaders_can_move(&[id].into())],
            ));
        }
    }
    if let Some(row) = volume.filter(|row| row.throughput_percent.value.is_some_and(|used| used >= 80.0)) {
        next.push(Step::new(
            format!("volume modify {} --throughput", row.id),
            "it is at its own limit",
            vec![gate_no_modification(row)],
        ));
    }
    if next.is_empty() {
        next.push(Step::new("volume list", "compare it with its peers", Vec::new()));
    }
    let restart = broker.map_or_else(|| "restart its broker".to_owned(), |id| format!("restart broker {id}"));
    Cause {
        rule: "volume-slow",
        verdict: Verdict::Warn,
        evidence: Evidence::of_disk(&culprit),
        culprit,
        text: clauses.join(" · "),
        since: None,
        source,
        next,
        dont: vec![
            Dont::new(restart, "its catch-up saturates the peers: the second outage"),
            Dont::new("start reassignments", "they read from the slow disk"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::Six;

    #[test]
    fn only_far_above_the_peers_and_above_the_floor_is_slow() {
        let peers = || vec![1.0, 1.2, 1.1, 0.9];
        assert_eq!(outlier(40.0, peers(), 8.0), Some(1.05));
        assert_eq!(outlier(5.0, peers(), 8.0), None);
        assert_eq!(outlier(40.0, vec![1.0, 1.0], 8.0), None, "too few peers");
        assert_eq!(outlier(40.0, vec![30.0, 35.0, 38.0], 8.0), None, "all are slow");
    }

    #[test]
    fn a_slow_broker_is_found_by_all_who_wait_for_it() {
        let mut six = Six::healthy();
        six.probe_partitions();
        for id in [2, 4, 5] {
            six.append(id, 900.0);
        }
        assert_eq!(
            six.causes()[0].culprit,
            Culprit::new(Kind::Broker, 4),
            "2 and 5 wait for it"
        );
        six.append(2, 4.0).append(5, 4.0);
        assert_eq!(
            six.causes()[0].culprit,
            Culprit::new(Kind::Broker, 4),
            "it alone is slow"
        );
        six.append(4, 60.0);
        assert!(six.causes().is_empty(), "slower than its peers, and hurting nobody");
    }

    #[test]
    fn a_gray_volume_is_named_with_its_broker() {
        let mut six = Six::healthy();
        six.cloud().latency(5, 60.0);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Volume, "vol-5"));
        assert_eq!(causes[0].next[0].action, "leader move --from-broker 5");
    }
}
