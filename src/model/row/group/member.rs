//! One member of a group: where it runs, and how far its partitions are behind.

use std::collections::BTreeMap;

use serde::Serialize;

use super::GroupRow;
use crate::model::Moment;
use crate::model::name::Name;
use crate::model::row::Cell;
use crate::model::snapshot::Snapshot;

/// One member, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberRow {
    pub id: String,
    pub instance: Option<String>,
    pub client: String,
    pub host: String,
    /// The AZ id or rack that its address is known to be in.
    pub zone: Cell<String>,
    pub lag_records: Cell<i64>,
    pub assignment: Vec<(Name, i32)>,
}

impl MemberRow {
    /// By zone, then client; members whose zone is unknown come last.
    pub fn all(snapshot: &Snapshot, row: &GroupRow, now: Moment) -> Vec<Self> {
        let Some(group) = snapshot.group(&row.name) else {
            return Vec::new();
        };
        let zones = zones(snapshot);
        let parts = row.parts(snapshot, now);
        let member = |member: &crate::model::group::Member| {
            let own = parts
                .iter()
                .filter(|part| part.member.as_deref() == Some(member.id.as_str()));
            let lag: Option<i64> = own.map(|part| part.lag_records.value).sum();
            Self {
                id: member.id.clone(),
                instance: member.instance.clone(),
                client: member.client.clone(),
                host: member.host.clone(),
                zone: match zones.get(member.host.as_str()) {
                    Some(zone) => Cell::known((*zone).to_owned()),
                    None => Cell::unknown(format!("no broker and no instance that is known has {}", member.host)),
                },
                lag_records: match lag {
                    Some(lag) => Cell::known(lag),
                    None => Cell::unknown("the lag of one of its partitions is unknown"),
                },
                assignment: member.assignment.clone(),
            }
        };
        let mut members: Vec<Self> = group.members.iter().map(member).collect();
        let key = |member: &Self| {
            (
                member.zone.value.is_none(),
                member.zone.value.clone(),
                member.client.clone(),
            )
        };
        members.sort_by_key(key);
        members
    }
}

/// The zone of each address: of instances, else of brokers that run on the same hosts. An address in two zones tells nothing.
pub fn zones(snapshot: &Snapshot) -> BTreeMap<&str, &str> {
    let mut zones: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for instance in snapshot.cloud.all_instances() {
        let zone = instance.zone_id.as_deref().unwrap_or(&instance.zone);
        for address in &instance.private_addresses {
            let known = zones.entry(address).or_insert(Some(zone));
            if *known != Some(zone) {
                *known = None;
            }
        }
    }
    let seen: Vec<&str> = zones.keys().copied().collect();
    for broker in snapshot.cluster.get().into_iter().flat_map(|cluster| &cluster.brokers) {
        if let (Some(rack), Err(_)) = (broker.rack.as_deref(), seen.binary_search(&broker.host.as_str())) {
            let known = zones.entry(&broker.host).or_insert(Some(rack));
            if *known != Some(rack) {
                *known = None;
            }
        }
    }
    zones
        .into_iter()
        .filter_map(|(address, zone)| Some((address, zone?)))
        .collect()
}
