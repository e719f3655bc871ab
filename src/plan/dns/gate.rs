//! What must hold before clients are sent elsewhere. Route 53 has no DryRun, so nothing here tells whether a policy allows it.

use super::{Green, LONGEST_TTL_SECONDS, Switch, Want, Wish, weights};
use crate::model::Moment;
use crate::model::snapshot::Snapshot;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::restart::reach;

/// What a switch takes beside the TTL, for how long credentials must last, in seconds. Source: Route 53 developer guide: changes
/// reach all servers within 60 s as a rule.
const SECONDS: u64 = 180;

pub(super) fn gates(snapshot: &Snapshot, wish: &Wish, switch: &Switch, now: Moment) -> Vec<Gate> {
    let saved = format!("the plan and its journal keep {} as it is now", weights(&switch.from));
    let mut gates = vec![
        Gate::new("saved", Class::Hard, Verdict::Pass, saved),
        answers(switch),
        ttl(switch),
    ];
    // The way back must not be barred by what it flees from.
    if matches!(wish.want, Want::Weights { .. }) {
        gates.push(probe(wish.green.as_ref()));
        gates.push(same(wish.green.as_ref()));
    }
    let slowest = switch.from.iter().filter_map(|set| set.ttl_seconds).max().unwrap_or(0);
    gates.push(reach::lasting(snapshot, SECONDS + slowest.unsigned_abs(), now));
    gates
}

/// Where every weight is 0 Route 53 answers with all of them alike, which nobody means.
fn answers(switch: &Switch) -> Gate {
    let gate = |verdict, text: String| Gate::new("weights", Class::Soft, verdict, text);
    let total: i64 = switch.to.iter().filter_map(|set| set.weight).sum();
    match total {
        0 => gate(
            Verdict::Fail,
            "every weight is 0, and Route 53 then answers with all of them alike".to_owned(),
        ),
        total => gate(Verdict::Pass, format!("the weights add up to {total}")),
    }
}

fn ttl(switch: &Switch) -> Gate {
    let gate = |verdict, text: String| Gate::new("ttl", Class::Soft, verdict, text);
    let all = switch.from.iter().chain(&switch.to);
    match all.filter_map(|set| set.ttl_seconds).max() {
        None => gate(Verdict::Pass, "an alias is answered anew within 60 s".to_owned()),
        Some(seconds) if seconds <= LONGEST_TTL_SECONDS => {
            gate(Verdict::Pass, format!("resolvers ask again after {seconds} s"))
        }
        Some(seconds) => gate(
            Verdict::Fail,
            format!(
                "resolvers may keep an answer for {seconds} s, and the way back takes as long: set it to {LONGEST_TTL_SECONDS} s first and wait that long"
            ),
        ),
    }
}

fn probe(green: Option<&Green>) -> Gate {
    let gate = |verdict, text: String| Gate::new("green-probe", Class::Soft, verdict, text);
    match green {
        None => gate(
            Verdict::Unknown,
            "which cluster gets more was not said: --green CONTEXT looks at it".to_owned(),
        ),
        Some(green) => match &green.probe {
            Ok(text) => gate(Verdict::Pass, format!("{}: {text}", green.context)),
            Err(why) => gate(Verdict::Fail, format!("{}: {why}", green.context)),
        },
    }
}

fn same(green: Option<&Green>) -> Gate {
    let gate = |verdict, text: String| Gate::new("same", Class::Soft, verdict, text);
    let Some(green) = green else {
        return gate(
            Verdict::Unknown,
            "which cluster gets more was not said, so nothing was compared".to_owned(),
        );
    };
    match &green.differences {
        Err(why) => gate(Verdict::Unknown, why.clone()),
        Ok(all) if all.is_empty() => gate(
            Verdict::Pass,
            format!(
                "topics, configs, rules, quotas and users are the same on {}",
                green.context
            ),
        ),
        Ok(all) => gate(
            Verdict::Fail,
            format!("{} differ on {}: {}", all.len(), green.context, few(all)),
        ),
    }
}
