//! A volume that completes no I/O: CloudWatch's `VolumeStalledIOCheck`, or the instance's attached-EBS status check.

use std::collections::BTreeSet;

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step};
use crate::model::BrokerId;
use crate::plan::gate::Verdict;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut told: BTreeSet<BrokerId> = BTreeSet::new();
    for volume in facts
        .rows
        .volumes
        .iter()
        .filter(|volume| volume.stalled.value == Some(true))
    {
        told.extend(volume.broker);
        causes.push(cause(
            facts,
            Culprit::new(Kind::Volume, &volume.id),
            volume.broker,
            "StalledIO 1",
            "CloudWatch",
        ));
    }
    for row in &facts.rows.brokers {
        let instance = facts.snapshot.cloud.instance_of(row.id);
        let impaired = instance.is_some_and(|instance| instance.ebs_check.as_deref() == Some("impaired"));
        if impaired && !told.contains(&row.id) {
            let culprit = match row.volumes.as_slice() {
                [only] => Culprit::new(Kind::Volume, only),
                _ => Culprit::new(Kind::Broker, row.id),
            };
            causes.push(cause(
                facts,
                culprit,
                Some(row.id),
                "attached-EBS check impaired",
                "DescribeInstanceStatus",
            ));
        }
    }
    causes
}

fn cause(facts: &Facts<'_>, culprit: Culprit, broker: Option<BrokerId>, seen: &str, source: &'static str) -> Cause {
    let mut clauses = vec![format!("{culprit}: {seen}")];
    let mut next = Vec::new();
    let mut dont = Vec::new();
    if let Some(id) = broker {
        let leads = facts.led_by(id);
        let misses = facts
            .shrunk()
            .filter(|row| row.replicas.contains(&id) && !row.isr.contains(&id))
            .count();
        clauses.push(format!(
            "behind broker {id}, which leads {leads} and is missing from {misses} of {} shrunk ISRs",
            facts.shrunk().count()
        ));
        if leads > 0 {
            let from = BTreeSet::from([id]);
            next.push(Step::new(
                format!("leader move --from-broker {id}"),
                format!("{leads} leaders, no data moved"),
                vec![facts.gate_leaders_can_move(&from)],
            ));
        }
        match facts.down().contains(&id) {
            true => next.push(Step::new(
                format!("replace the volume of broker {id}, or attach it elsewhere"),
                "the cluster goes on without it meanwhile",
                Vec::new(),
            )),
            false => next.push(Step::new(
                format!("broker stop {id}"),
                "lets the ISRs shrink, so that producers go on",
                vec![facts.gate_last_copy(id)],
            )),
        }
        dont.push(Dont::new(
            format!("restart broker {id}"),
            "an unclean recovery on a stalled disk",
        ));
    }
    if next.is_empty() {
        next.push(Step::new(
            format!("volume show {}", culprit.name),
            "no broker is known to use it",
            Vec::new(),
        ));
    }
    dont.push(Dont::new("reboot the instance first", "the evidence is lost"));
    dont.push(Dont::new("lower min.insync.replicas", "a write would rest on one copy"));
    dont.push(Dont::new("start reassignments", "they read from the stalled disk"));
    Cause {
        rule: "volume-stalled",
        verdict: Verdict::Fail,
        evidence: Evidence::of_disk(&culprit),
        culprit,
        text: clauses.join(" · "),
        since: None,
        source,
        next,
        dont,
    }
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_stalled_volume_is_named_with_its_broker() {
        let mut six = Six::healthy();
        six.cloud().stall(4);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Volume, "vol-4"));
        assert!(causes[0].text.contains("broker 4"), "{}", causes[0].text);
        assert_eq!(causes[0].next[0].action, "leader move --from-broker 4");
        assert_eq!(causes[0].next[0].blocked_by(), None);
        assert!(causes[0].dont.iter().any(|dont| dont.action == "restart broker 4"));
    }

    #[test]
    fn the_last_safe_copy_blocks_the_stop() {
        let mut six = Six::healthy();
        six.cloud().stall(4).isr("orders", 1, &[4]);
        let stop = six.causes()[0].next[1].clone();
        assert_eq!(stop.action, "broker stop 4");
        assert_eq!(stop.blocked_by().map(|gate| gate.name.as_str()), Some("last-safe-copy"));
    }

    #[test]
    fn the_attached_ebs_check_names_the_volume_too() {
        let mut six = Six::healthy();
        six.cloud()
            .instance(5, |instance| instance.ebs_check = Some("impaired".into()));
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Volume, "vol-5"));
    }
}
