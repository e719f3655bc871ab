//! A broker whose `broker.rack` is not the zone of its instance: replicas that should be apart may share a zone.

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step};
use crate::model::cloud::Instance;
use crate::model::identity::Identity;
use crate::plan::gate::Verdict;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let cloud = &facts.snapshot.cloud;
    let mut causes = Vec::new();
    for row in &facts.rows.brokers {
        let instance = match cloud.identities.get(&row.id) {
            Some(Identity::Identified { instance, .. } | Identity::Mismatch { instance, .. }) => {
                cloud.instance(instance)
            }
            _ => None,
        };
        let (Some(instance), Some(rack)) = (instance, row.rack.as_deref()) else {
            continue;
        };
        let zone_id = zone_id(facts, instance);
        let is_zone = cloud
            .zones
            .get()
            .is_some_and(|zones| zones.values().any(|zone| zone.id == rack || zone.name == rack));
        if !is_zone || rack == instance.zone || zone_id.as_deref() == Some(rack) {
            continue;
        }
        let real = zone_id.unwrap_or_else(|| instance.zone.clone());
        causes.push(Cause {
            rule: "rack-mismatch",
            verdict: Verdict::Warn,
            culprit: Culprit::new(Kind::Broker, row.id),
            text: format!(
                "broker {} says broker.rack {rack}, and its instance {} is in {real} · replicas taken for apart may share {real}",
                row.id, instance.id
            ),
            since: None,
            source: "DescribeCluster, DescribeInstances",
            evidence: Evidence::of("broker", row.id),
            next: vec![Step::new(
                format!("set broker.rack={real} on broker {} and restart it", row.id),
                "then move the replicas that share a zone",
                vec![facts.gate_last_copy(row.id)],
            )],
            dont: vec![
                Dont::new("reassign or create topics by rack before", "placement would follow the wrong rack"),
                Dont::new(format!("stop another broker of {real}"), "both copies may be there"),
            ],
        });
    }
    causes
}

fn zone_id(facts: &Facts<'_>, instance: &Instance) -> Option<String> {
    let zones = facts.snapshot.cloud.zones.get();
    instance
        .zone_id
        .clone()
        .or_else(|| Some(zones?.get(&instance.zone)?.id.clone()))
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_rack_that_is_not_the_instances_zone_is_named() {
        let mut six = Six::healthy();
        six.cloud().rack(6, "az1");
        let causes = six.causes();
        assert_eq!(
            (causes[0].rule, causes[0].culprit.clone()),
            ("rack-mismatch", Culprit::new(Kind::Broker, 6))
        );
        assert!(causes[0].text.contains("az3"), "{}", causes[0].text);
    }

    #[test]
    fn racks_that_are_no_zones_are_names() {
        let mut six = Six::healthy();
        six.cloud().rack(6, "rack-7");
        assert!(six.causes().is_empty());
    }
}
