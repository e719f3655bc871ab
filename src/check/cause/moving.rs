//! Self-inflicted: a reassignment is running while several brokers fall out of ISRs.

use std::collections::BTreeSet;

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Step};
use crate::model::BrokerId;
use crate::plan::gate::Verdict;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let moving = facts.snapshot.reassignments.get().map_or(0, Vec::len);
    let missing: BTreeSet<BrokerId> = facts.shrunk().flat_map(|row| row.placed().missing()).collect();
    if moving == 0 || missing.len() < 2 || !missing.is_disjoint(&facts.down()) {
        return Vec::new();
    }
    vec![Cause {
        rule: "reassignment-load",
        verdict: Verdict::Warn,
        culprit: Culprit::none(),
        text: format!(
            "{moving} reassignments are running and replicas on {} brokers have left their ISRs",
            missing.len()
        ),
        since: None,
        source: "ListPartitionReassignments, Metadata",
        evidence: Evidence::list("topic"),
        next: vec![
            Step::new(
                "reassign list",
                "what is moving; lower its throttle, if it has one",
                Vec::new(),
            ),
            Step::new("reassign cancel --all", "finished moves stay", Vec::new()),
        ],
        dont: vec![
            Dont::new("start more reassignments", "they load the same disks"),
            Dont::new("restart brokers", "their catch-up comes on top"),
        ],
    }]
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;

    #[test]
    fn a_reassignment_that_hurts_is_named_for_what_it_is() {
        let mut six = Six::healthy();
        six.behind(4).behind(5).reassign("orders", 0, 2);
        assert_eq!(six.causes()[0].rule, "reassignment-load");
    }
}
