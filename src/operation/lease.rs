//! An advisory lease between hosts: who moves data or stops brokers is there for others to see, and the gate `lease` says so.
//!
//! On one host the lock files decide; between hosts there is what members of the cluster's group say of themselves
//! ([`presence`]), and looking for what others do.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::presence::{self, Holding, Kind as Member, Presence, Seen};
use super::{Id, Who};
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::{Kind, Plan};
use crate::source::kafka::Kafka;

/// How long reading it may take.
const DEADLINE: Duration = Duration::from_secs(6);
/// The same of a plan that nobody's lease holds up.
const GLANCE: Duration = Duration::from_secs(2);

/// What `--override` names.
pub(super) const GATE: &str = "lease";

/// Whether a plan is one that two operators must not carry out at once from two hosts: what holds the lock of data. Moving
/// leaders out of a zone that dies, bringing a broker back and taking a throttle away are not held up by anybody's lease.
pub fn is_leased(plan: &Plan) -> bool {
    let urgent = matches!(
        plan.kind,
        Kind::LeaderMove
            | Kind::LeaderRestore
            | Kind::LeaderElect
            | Kind::BrokerStart
            | Kind::ThrottleSet
            | Kind::ThrottleClear
    );
    !urgent && super::lock::scopes(plan).iter().any(|scope| scope == "data")
}

/// The gate of a plan that wants to be alone. Any other plan says who else is there, where that is seen at a glance.
pub async fn gate(kafka: &Kafka, plan: &Plan) -> Option<Gate> {
    let gate = |verdict, evidence: String| Some(Gate::new(GATE, Class::Soft, verdict, evidence));
    let others = presence::others(kafka, &plan.cluster_id);
    if !is_leased(plan) {
        let Ok(Ok(Some(seen))) = timeout(GLANCE, others).await else {
            return None;
        };
        return beside(&seen).and_then(|words| gate(Verdict::Warn, words));
    }
    let name = presence::group(&plan.cluster_id);
    match timeout(DEADLINE, others).await {
        Ok(Ok(Some(seen))) => {
            let (verdict, evidence) = judge(&seen, &Who::me().host);
            gate(verdict, evidence)
        }
        Ok(Ok(None)) => gate(
            Verdict::Warn,
            "this cluster has no consumer groups, so none can be kept between hosts".to_owned(),
        ),
        Ok(Err(error)) => gate(Verdict::Unknown, format!("group {name} cannot be read: {error}")),
        Err(_) => gate(
            Verdict::Unknown,
            format!("group {name} did not answer within {} s", DEADLINE.as_secs()),
        ),
    }
}

/// Of a plan that wants to be alone. On this host locks decide.
fn judge(seen: &Seen, host: &str) -> (Verdict, String) {
    let in_the_way = |one: &&Presence| one.host != host && one.scopes.iter().any(|scope| scope == "data");
    let at_it: Vec<String> = seen.there.iter().filter(in_the_way).map(Presence::words).collect();
    if !at_it.is_empty() {
        return (Verdict::Fail, format!("somebody else is at it: {}", few(&at_it)));
    }
    if !seen.silent.is_empty() {
        let hosts = few(&seen.silent);
        return (
            Verdict::Unknown,
            format!("an engine of {hosts} is there and does not say yet what it does"),
        );
    }
    match beside(seen) {
        Some(words) => (
            Verdict::Warn,
            format!("nobody moves data here from another host; {words}"),
        ),
        None => (Verdict::Pass, "nobody moves data here from another host".to_owned()),
    }
}

/// Whoever else is there, in the way or not.
fn beside(seen: &Seen) -> Option<String> {
    let words: Vec<String> = seen.there.iter().map(Presence::words).collect();
    (!words.is_empty()).then(|| format!("also here: {}", few(&words)))
}

/// Being there as the engine of a plan that wants to be alone; `None` of one that does not.
pub(super) fn hold(kafka: Kafka, plan: &Plan, id: &Id) -> Option<Holding> {
    if !is_leased(plan) {
        return None;
    }
    let said = Presence {
        operation: id.to_string(),
        title: plan.title.clone(),
        scopes: super::lock::scopes(plan),
        ..Presence::mine()
    };
    // It never says anything else.
    let (_, said) = watch::channel(said);
    Some(Holding::begin(kafka, &plan.cluster_id, Member::Engine, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(host: &str, scope: &str) -> Presence {
        Presence {
            user: "carl".into(),
            host: host.into(),
            operation: "7f3c21".into(),
            title: "drain broker 4".into(),
            scopes: vec![scope.to_owned()],
            ..Presence::default()
        }
    }

    #[test]
    fn only_who_moves_data_on_another_host_is_in_the_way() {
        let of = |there: Vec<Presence>, silent: &[&str]| Seen {
            there,
            silent: silent.iter().map(|host| (*host).to_owned()).collect(),
        };
        let judged = |seen: &Seen| judge(seen, "bastion-b");
        let all = vec![
            engine("bastion-b", "data"),
            engine("bastion-c", "topic-x"),
            engine("bastion-c", "data"),
        ];
        assert_eq!(
            judged(&of(all, &["bastion-d"])),
            (
                Verdict::Fail,
                "somebody else is at it: operation 7f3c21 of carl@bastion-c (drain broker 4)".to_owned()
            )
        );
        // Who does not say what it does may be at it.
        assert_eq!(judged(&of(Vec::new(), &["bastion-d"])).0, Verdict::Unknown);
        let screens = Presence {
            screen: Some("topic".into()),
            ..engine("bastion-c", "")
        };
        let (verdict, words) = judged(&of(vec![screens], &[]));
        assert_eq!(verdict, Verdict::Warn);
        assert!(
            words.ends_with("also here: carl@bastion-c has the screens open (topic)"),
            "{words}"
        );
        assert_eq!(judged(&Seen::default()).0, Verdict::Pass);
    }
}
