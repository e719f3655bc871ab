//! A host that EC2 says is not well: a failed system or instance check, an instance that is not running.

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step};
use crate::plan::gate::Verdict;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for row in &facts.rows.brokers {
        let Some(instance) = facts.snapshot.cloud.instance_of(row.id) else {
            continue;
        };
        let impaired = |check: &Option<String>| check.as_deref() == Some("impaired");
        let seen = match instance.state.as_str() {
            "running" if impaired(&instance.system_check) => "system check impaired: AWS's side".to_owned(),
            "running" if impaired(&instance.instance_check) => {
                "instance check impaired: the operating system".to_owned()
            }
            "running" | "pending" | "" => continue,
            state => format!("the instance is {state}"),
        };
        let leads = facts.led_by(row.id);
        let from = [row.id].into();
        let mut next = Vec::new();
        if leads > 0 {
            next.push(Step::new(
                format!("leader move --from-broker {}", row.id),
                format!("{leads} leaders, no data moved"),
                vec![facts.gate_leaders_can_move(&from)],
            ));
        }
        next.push(Step::new(
            format!("throttle set --catch-up --broker {}", row.id),
            "before the host comes back",
            Vec::new(),
        ));
        causes.push(Cause {
            rule: "host-impaired",
            verdict: Verdict::Fail,
            culprit: Culprit::new(Kind::Broker, row.id),
            text: format!("broker {}: {seen} ({}) · leads {leads}", row.id, instance.id),
            since: None,
            source: "DescribeInstanceStatus",
            evidence: Evidence::of("broker", row.id),
            next,
            dont: vec![
                Dont::new("terminate the instance", "its volumes may go with it"),
                Dont::new("start reassignments", "copies of a host that may return in minutes"),
            ],
        });
    }
    causes
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_failed_system_check_names_the_broker() {
        let mut six = Six::healthy();
        six.cloud()
            .instance(2, |instance| instance.system_check = Some("impaired".into()));
        let causes = six.causes();
        assert_eq!(
            (causes[0].rule, causes[0].culprit.clone()),
            ("host-impaired", Culprit::new(Kind::Broker, 2))
        );
    }
}
