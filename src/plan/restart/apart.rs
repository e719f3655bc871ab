//! Controllers that are no brokers: voters of the metadata quorum with a process of their own, one at a time, the active one last.
//! Source: KIP-853 (where voters listen); KIP-631, "Rolling restarts": a majority of the voters must stay.

use std::collections::BTreeSet;

use super::{Turn, Way, Whom, Wish};
use crate::model::BrokerId;
use crate::model::driver::{Action, Place};
use crate::model::snapshot::Snapshot;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::{Error, known};

/// A voter that is no broker.
pub fn is(snapshot: &Snapshot, id: BrokerId) -> bool {
    ids(snapshot).contains(&id)
}

/// All of them.
pub fn ids(snapshot: &Snapshot) -> BTreeSet<BrokerId> {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let voters = snapshot.quorum.get().map_or(&[][..], |quorum| &quorum.voters);
    let voters = voters.iter().map(|voter| voter.id);
    voters
        .filter(|id| brokers.iter().all(|broker| broker.id != *id))
        .collect()
}

/// Those that are wanted, as far as the quorum is known.
pub fn chosen_of(snapshot: &Snapshot, whom: &Whom) -> Vec<BrokerId> {
    chosen(snapshot, whom).unwrap_or_default()
}

/// Those that are wanted, the active one last.
pub(super) fn chosen(snapshot: &Snapshot, whom: &Whom) -> Result<Vec<BrokerId>, Error> {
    let mut chosen: Vec<BrokerId> = match whom {
        Whom::All | Whom::Zone(_) => return Ok(Vec::new()),
        Whom::Brokers(wanted) => ids(snapshot).into_iter().filter(|id| wanted.contains(id)).collect(),
        Whom::Controllers => {
            known(&snapshot.quorum, "the controller quorum")?;
            let all = ids(snapshot);
            if all.is_empty() {
                return Err(Error::Impossible(
                    "every voter of the controller quorum is a broker, too, and restarts as one: --all".to_owned(),
                ));
            }
            all.into_iter().collect()
        }
    };
    let active = snapshot.quorum.get().and_then(|quorum| quorum.leader);
    chosen.sort_by_key(|id| (Some(*id) == active, *id));
    Ok(chosen)
}

/// One controller's turn.
pub(super) fn turn(snapshot: &Snapshot, wish: &Wish, way: &Way, id: BrokerId) -> Result<Turn, Error> {
    let quorum = known(&snapshot.quorum, "the controller quorum")?;
    let address = quorum.addresses.get(&id).ok_or_else(|| {
        Error::Impossible(format!(
            "where controller {id} listens is told by no broker (Kafka 3.9 and later do): nobody would see it come back"
        ))
    })?;
    let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut instances = snapshot
        .cloud
        .instances
        .values()
        .filter_map(|zone| zone.get())
        .flatten();
    let instance = instances.find(|(_, one)| {
        let names = [one.private_dns.as_deref(), Some(one.id.as_str())];
        one.private_addresses.iter().any(|own| own == host) || names.contains(&Some(host))
    });
    let instance = instance.map(|(_, one)| one);
    let zones = snapshot.cloud.zones.get();
    let zone = instance.and_then(|one| zones?.get(&one.zone).map(|zone| zone.id.clone()));
    let place = Place {
        broker: id,
        host: host.to_owned(),
        instance: instance.map(|one| one.id.clone()),
        az: zone.clone(),
    };
    Ok(Turn {
        action: wish.action,
        zone: zone.unwrap_or_else(|| "?".to_owned()),
        driver: way.driver,
        words: match &wish.upgrade_to {
            Some(version) => way.upgrading(&place, version),
            None => way.words(wish.action, &place),
        }
        .map_err(Error::Impossible)?,
        upgrade_to: wish.upgrade_to.clone(),
        deadline_seconds: way.deadline_seconds,
        soak_seconds: match wish.action {
            Action::Stop => 0,
            Action::Restart | Action::Start => wish.soak_seconds.unwrap_or(way.soak_seconds),
        },
        drain: false,
        voter: true,
        controller: quorum.leader == Some(id),
        apart: Some(address.clone()),
        batch: None,
        leaders: 0,
        replicas: 0,
        place,
    })
}

/// Who would not be seen to come back is not stopped; none where no controller's turn is in the plan.
pub(super) fn gate(snapshot: &Snapshot, turns: &[Turn]) -> Option<Gate> {
    let apart: Vec<&Turn> = turns.iter().filter(|turn| turn.apart.is_some()).collect();
    let stops = apart.iter().any(|turn| turn.action != Action::Start);
    if !stops {
        return None;
    }
    let silent = apart.iter().filter_map(|turn| {
        let link = snapshot.links.get(&turn.broker());
        let address = turn.apart.as_deref().unwrap_or_default();
        match link.and_then(|link| link.problem()) {
            Some(why) => Some(format!("{} at {address}: {why}", turn.who())),
            None if link.is_none_or(|link| link.get().is_none()) => Some(format!("nobody asked {}", turn.who())),
            None => None,
        }
    });
    let silent: Vec<String> = silent.collect();
    let gate = |verdict, text| Gate::new("controllers", Class::Soft, verdict, text);
    Some(match silent.is_empty() {
        true => gate(
            Verdict::Pass,
            "they answer here, so that it is seen when they are back".to_owned(),
        ),
        false => gate(
            Verdict::Fail,
            format!(
                "no answer here, so that nobody sees when they are back: {}",
                few(&silent)
            ),
        ),
    })
}
