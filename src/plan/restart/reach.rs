//! Whether what a plan is carried out with will do: agents that listen, and credentials that last.

use super::{Turn, batch};
use crate::model::Moment;
use crate::model::cloud::{Credentials, Renewal};
use crate::model::driver::DriverName;
use crate::model::snapshot::Snapshot;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::summary::plural;

/// What one broker takes besides being watched, in seconds. Source: MSK developer guide, "Patching": 5 to 15 minutes a broker.
pub(super) const TURN_SECONDS: u64 = 300;
/// Credentials must last so much longer than the plan is thought to take: thoughts are often wrong by half.
const MARGIN: f64 = 1.5;
/// Shorter plans may be carried out against it: somebody still looks.
const SHORT_SECONDS: u64 = 600;

/// Of the driver that these turns need; none where it needs neither.
pub fn gates(snapshot: &Snapshot, turns: &[Turn], now: Moment) -> Vec<Gate> {
    if !turns.iter().any(|turn| turn.driver == DriverName::Ssm) {
        return Vec::new();
    }
    let hosts: Vec<(String, Option<&str>)> = turns
        .iter()
        .map(|turn| (format!("broker {}", turn.broker()), turn.place.instance.as_deref()))
        .collect();
    vec![agents(snapshot, &hosts), lasting(snapshot, batch::seconds(turns), now)]
}

/// The agent of each host answers Systems Manager.
pub fn agents(snapshot: &Snapshot, hosts: &[(String, Option<&str>)]) -> Gate {
    let gate = |verdict, text: String| Gate::new("ssm-agent", Class::Soft, verdict, text);
    let Some(agents) = snapshot.cloud.agents.get() else {
        let why = snapshot.cloud.agents.problem().unwrap_or_default();
        return gate(
            Verdict::Unknown,
            format!("whether the SSM agents answer is not known: {why}"),
        );
    };
    let (mut silent, mut unasked) = (Vec::new(), Vec::new());
    for (name, instance) in hosts {
        let Some(instance) = instance else {
            silent.push(format!("{name}: its instance is not known"));
            continue;
        };
        match agents.get(*instance) {
            None => unasked.push(format!("{name} ({instance})")),
            Some(None) => silent.push(format!(
                "{name}: no SSM agent of {instance} ever registered (agent running? instance profile with AmazonSSMManagedInstanceCore?)"
            )),
            Some(Some(agent)) if agent.ping != "Online" => {
                let last = agent.last_ping_at.map(|at| format!(", last heard at {at}")).unwrap_or_default();
                silent.push(format!("{name}: the SSM agent of {instance} is {}{last}", agent.ping));
            }
            Some(Some(_)) => {}
        }
    }
    if !silent.is_empty() {
        return gate(Verdict::Fail, format!("offline: {}", few(&silent)));
    }
    match unasked.is_empty() {
        true => gate(Verdict::Pass, format!("{} online", plural(hosts.len(), "SSM agent"))),
        // EC2 did not tell now which instance it is.
        false => gate(
            Verdict::Unknown,
            format!("whether the SSM agent answers was not asked of {}", few(&unasked)),
        ),
    }
}

/// The credentials last as long as what is done with them.
pub fn lasting(snapshot: &Snapshot, seconds: u64, now: Moment) -> Gate {
    let class = match seconds > SHORT_SECONDS {
        true => Class::Hard,
        false => Class::Soft,
    };
    let gate = |verdict, text: String| Gate::new("outlives-connection", class, verdict, text);
    let Some(credentials) = snapshot
        .cloud
        .credentials
        .get()
        .filter(|_| snapshot.cloud.credentials.is_fresh())
    else {
        let why = snapshot.cloud.credentials.problem().unwrap_or_default();
        return gate(
            Verdict::Unknown,
            format!("until when the AWS credentials last is not known: {why}"),
        );
    };
    let span = |seconds: u64| super::super::reassign::throttle::span(seconds);
    match *credentials {
        Credentials {
            renewed: Renewal::Itself,
            ..
        } => gate(Verdict::Pass, "the AWS credentials are renewed by themselves".to_owned()),
        Credentials {
            ends_at: Some(end), ..
        } => {
            let left = end.duration_since(now).as_secs();
            let wanted = (seconds as f64 * MARGIN) as i64;
            let text = format!("the AWS credentials end {end}, the plan takes ~{}", span(seconds));
            match left {
                left if left <= 0 => gate(Verdict::Fail, format!("the AWS credentials ended {end}")),
                left if left < wanted => {
                    let way = "use the instance profile, or export ones that last longer";
                    gate(Verdict::Fail, format!("{text}; {way}"))
                }
                _ => gate(Verdict::Pass, text),
            }
        }
        Credentials { temporary: true, .. } => gate(
            Verdict::Warn,
            "the AWS credentials were exported into the environment and do not tell when they end; the plan pauses between brokers when they do".to_owned(),
        ),
        Credentials { .. } => gate(Verdict::Pass, "the AWS credentials have no end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::cloud::Agent;
    use crate::model::{Observed, Trouble};

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn snapshot(ping: &str, credentials: Credentials) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let agent = Agent {
            ping: ping.to_owned(),
            last_ping_at: Some(at(-600)),
            version: None,
        };
        let agents = BTreeMap::from([("i-1".to_owned(), Some(agent)), ("i-2".to_owned(), None)]);
        snapshot.cloud.agents = Observed::fresh(agents, at(0));
        snapshot.cloud.credentials = Observed::fresh(credentials, at(0));
        snapshot
    }

    const FOR_EVER: Credentials = Credentials {
        ends_at: None,
        renewed: Renewal::Itself,
        temporary: true,
    };

    #[test]
    fn an_agent_that_does_not_answer_closes_the_gate() {
        let verdict = |ping: &str, instance| {
            let gate = agents(&snapshot(ping, FOR_EVER), &[("broker 1".to_owned(), instance)]);
            (gate.verdict, gate.evidence)
        };
        assert_eq!(verdict("Online", Some("i-1")).0, Verdict::Pass);
        let (lost, why) = verdict("ConnectionLost", Some("i-1"));
        assert!(
            lost == Verdict::Fail && why.contains("ConnectionLost, last heard at"),
            "{why}"
        );
        let (absent, why) = verdict("Online", Some("i-2"));
        assert!(absent == Verdict::Fail && why.contains("ever registered"), "{why}");
        assert_eq!(verdict("Online", None).0, Verdict::Fail);
        let (unasked, why) = verdict("Online", Some("i-3"));
        assert_eq!(
            (unasked, why.as_str()),
            (
                Verdict::Unknown,
                "whether the SSM agent answers was not asked of broker 1 (i-3)"
            )
        );
        let mut denied = snapshot("Online", FOR_EVER);
        denied.cloud.agents = Observed::default();
        denied.cloud.agents.fail(Trouble::Denied, "the policy lacks it", at(0));
        assert_eq!(agents(&denied, &[]).verdict, Verdict::Unknown);
    }

    #[test]
    fn credentials_must_outlast_the_plan_by_half() {
        let ends = |seconds: i64| Credentials {
            ends_at: Some(at(seconds)),
            renewed: Renewal::Never,
            temporary: true,
        };
        let told = |credentials, seconds| {
            let gate = lasting(&snapshot("Online", credentials), seconds, at(0));
            (gate.class, gate.verdict)
        };
        assert_eq!(told(FOR_EVER, 100_000), (Class::Hard, Verdict::Pass));
        assert_eq!(told(ends(1500), 1000), (Class::Hard, Verdict::Pass));
        assert_eq!(told(ends(1499), 1000), (Class::Hard, Verdict::Fail));
        assert_eq!(
            told(ends(100), 300),
            (Class::Soft, Verdict::Fail),
            "short plans may be dared"
        );
        assert_eq!(told(ends(-1), 300).1, Verdict::Fail);
        let untold = Credentials {
            ends_at: None,
            renewed: Renewal::Never,
            temporary: true,
        };
        assert_eq!(told(untold, 1000).1, Verdict::Warn);
        let mut expired = snapshot("Online", FOR_EVER);
        expired.cloud.credentials.fail(Trouble::Expired, "sso login", at(1));
        assert_eq!(lasting(&expired, 300, at(1)).verdict, Verdict::Unknown);
    }
}
