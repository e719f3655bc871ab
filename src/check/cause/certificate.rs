//! A broker that cannot be reached because a certificate has expired.

use std::collections::BTreeSet;

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text};
use crate::model::event::Since;
use crate::model::{BrokerId, Health};
use crate::plan::gate::Verdict;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let mut since: Option<Since> = None;
    let mut guilty: BTreeSet<BrokerId> = BTreeSet::new();
    for (id, link) in &facts.snapshot.links {
        if let Health::Failing { reason, since: at, .. } = &link.health
            && is_expiry(reason)
        {
            guilty.insert(*id);
            let began = Since {
                at: *at,
                recorded: link.seen_at.is_some(),
            };
            since = Some(since.map_or(began, |known| if known.at < began.at { known } else { began }));
        }
    }
    let whole = match &facts.snapshot.cluster.health {
        Health::Failing { reason, .. } if is_expiry(reason) => Some(reason.clone()),
        _ => None,
    };
    if guilty.is_empty() && whole.is_none() {
        return Vec::new();
    }
    let name = text::ids(&guilty).replace(' ', "");
    let who = if guilty.is_empty() {
        "the brokers that were asked".to_owned()
    } else {
        text::brokers(&guilty)
    };
    vec![Cause {
        rule: "certificate-expired",
        verdict: Verdict::Fail,
        culprit: if guilty.is_empty() {
            Culprit::none()
        } else {
            Culprit::new(Kind::Broker, name)
        },
        text: format!("{who}: TLS fails, the certificate has expired · what is connected goes on, nobody new gets in"),
        since,
        source: "TLS handshake",
        evidence: guilty
            .first()
            .map_or(Evidence::list("broker"), |id| Evidence::of("broker", id)),
        next: vec![Step::new(
            format!("replace the key store of {who}"),
            "a broker reads it again when ssl.keystore.location is set anew, without a restart",
            Vec::new(),
        )],
        dont: vec![
            Dont::new(
                format!("restart {who}"),
                "its peers and clients could not connect again",
            ),
            Dont::new(
                "switch off certificate checks in clients",
                "the fault stays and anybody may be the broker",
            ),
        ],
    }]
}

/// What rustls and OpenSSL say of it, whichever side found out.
fn is_expiry(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    reason.contains("certificate") && reason.contains("expired")
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};
    use crate::model::Trouble;

    #[test]
    fn an_expired_certificate_is_not_a_dead_broker() {
        let mut six = Six::healthy();
        six.unreachable(
            5,
            Trouble::Unreachable,
            "TLS with 10.0.3.10:9093: invalid peer certificate: Expired",
        );
        let causes = six.causes();
        assert_eq!(
            (causes[0].rule, causes[0].culprit.clone()),
            ("certificate-expired", Culprit::new(Kind::Broker, 5))
        );
        assert!(causes[0].dont[0].action.contains("restart"), "{:?}", causes[0].dont);
    }
}
