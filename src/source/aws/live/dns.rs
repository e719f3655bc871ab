//! Route 53: the record sets of a name, changed in one batch, and how far the change is.

use futures::FutureExt;

use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType,
};

use super::{Aws, MAX_PAGES};
use crate::model::dns::{Alias, RecordSet, Records, Zone, plain};
use crate::source::Error;

/// Zones of one name: a public one and a private one for each VPC, as a rule.
const ZONES: i32 = 100;

/// The sets of a name, in the zone that is named, or in the one whose name is the longest end of it. ListHostedZonesByName,
/// GetHostedZone, ListResourceRecordSets.
pub(super) async fn records(aws: &Aws, record: &str, zone: Option<&str>) -> Result<Records, Error> {
    let zone = match zone {
        Some(id) => named(aws, id).await?,
        None => around(aws, record).await?,
    };
    let mut sets = Vec::new();
    let mut from: (String, Option<RrType>, Option<String>) = (record.to_owned(), None, None);
    for _ in 0..MAX_PAGES {
        const WHAT: &str = "ListResourceRecordSets";
        let call = aws.clients().await?.route53.list_resource_record_sets();
        let call = call
            .hosted_zone_id(&zone.id)
            .start_record_name(&from.0)
            .set_start_record_type(from.1.clone())
            .set_start_record_identifier(from.2.clone());
        let page = aws.ask("Route53", WHAT, call.send().boxed()).await?;
        let all = page.resource_record_sets();
        sets.extend(all.iter().filter(|set| plain(set.name()) == record).map(read));
        // They are sorted by name, so that what follows another name is none of ours.
        let next = page
            .next_record_name()
            .filter(|next| page.is_truncated() && plain(next) == record);
        let Some(next) = next else { break };
        from = (
            next.to_owned(),
            page.next_record_type().cloned(),
            page.next_record_identifier().map(ToOwned::to_owned),
        );
    }
    sets.sort_by(|one, other| (&one.kind, &one.set).cmp(&(&other.kind, &other.set)));
    Ok(Records { zone, sets })
}

/// Makes the sets so, all or none; the id of the change. ChangeResourceRecordSets with UPSERT.
pub(super) async fn upsert(aws: &Aws, zone: &str, sets: &[RecordSet], comment: &str) -> Result<String, Error> {
    const WHAT: &str = "ChangeResourceRecordSets";
    let changes: Vec<Change> = sets.iter().map(change).collect::<Result<_, _>>()?;
    let batch = ChangeBatch::builder()
        .comment(comment)
        .set_changes(Some(changes))
        .build()
        .map_err(unbuilt)?;
    let call = aws.clients().await?.route53.change_resource_record_sets();
    let call = call.hosted_zone_id(zone).change_batch(batch);
    let answer = aws.ask("Route53", WHAT, call.send().boxed()).await?;
    let id = answer
        .change_info()
        .map(aws_sdk_route53::types::ChangeInfo::id)
        .unwrap_or_default();
    Ok(id.trim_start_matches("/change/").to_owned())
}

/// Whether all servers have it; `None` where it is not known. GetChange.
pub(super) async fn state(aws: &Aws, id: &str) -> Result<Option<bool>, Error> {
    let call = aws.clients().await?.route53.get_change().id(id);
    match aws.ask("Route53", "GetChange", call.send().boxed()).await {
        Err(Error::Refused { code, .. }) if code == "NoSuchChange" => Ok(None),
        Err(error) => Err(error),
        Ok(answer) => Ok(answer.change_info().map(|info| *info.status() == ChangeStatus::Insync)),
    }
}

async fn named(aws: &Aws, id: &str) -> Result<Zone, Error> {
    let call = aws.clients().await?.route53.get_hosted_zone().id(id);
    let answer = aws.ask("Route53", "GetHostedZone", call.send().boxed()).await?;
    let zone = answer.hosted_zone().map(zone);
    zone.ok_or_else(|| Error::Local(format!("there is no hosted zone {id}")))
}

/// The zone whose name is the longest end of a record's.
async fn around(aws: &Aws, record: &str) -> Result<Zone, Error> {
    let ends = record.match_indices('.').map(|(at, _)| &record[at + 1..]);
    for end in std::iter::once(record).chain(ends) {
        let call = aws.clients().await?.route53.list_hosted_zones_by_name();
        let call = call.dns_name(end).max_items(ZONES);
        let answer = aws.ask("Route53", "ListHostedZonesByName", call.send().boxed()).await?;
        let zones = answer.hosted_zones().iter().map(zone);
        let mut zones: Vec<Zone> = zones.filter(|zone| zone.name == end).collect();
        match zones.len() {
            0 => {}
            1 => return Ok(zones.remove(0)),
            many => {
                let word = |zone: &Zone| {
                    let kind = if zone.private { "private" } else { "public" };
                    format!("{} ({kind})", zone.id)
                };
                let all: Vec<String> = zones.iter().map(word).collect();
                return Err(Error::Local(format!(
                    "{many} hosted zones are named {end}: --zone names one of {}",
                    all.join(", ")
                )));
            }
        }
    }
    Err(Error::Local(format!(
        "no hosted zone of this account holds {record}: --zone ID names one, a role of its account reaches another's"
    )))
}

fn zone(zone: &aws_sdk_route53::types::HostedZone) -> Zone {
    Zone {
        id: zone.id().trim_start_matches("/hostedzone/").to_owned(),
        name: plain(zone.name()),
        private: zone
            .config()
            .is_some_and(aws_sdk_route53::types::HostedZoneConfig::private_zone),
    }
}

fn read(set: &ResourceRecordSet) -> RecordSet {
    RecordSet {
        name: plain(set.name()),
        kind: set.r#type().as_str().to_owned(),
        set: set.set_identifier().map(ToOwned::to_owned),
        weight: set.weight(),
        ttl_seconds: set.ttl(),
        values: set
            .resource_records()
            .iter()
            .map(|one| one.value().to_owned())
            .collect(),
        alias: set.alias_target().map(|alias| Alias {
            zone: alias.hosted_zone_id().to_owned(),
            name: alias.dns_name().to_owned(),
            evaluates_health: alias.evaluate_target_health(),
        }),
        health_check: set.health_check_id().map(ToOwned::to_owned),
    }
}

fn change(set: &RecordSet) -> Result<Change, Error> {
    let record = |value: &String| ResourceRecord::builder().value(value).build().map_err(unbuilt);
    let values: Vec<ResourceRecord> = set.values.iter().map(record).collect::<Result<_, _>>()?;
    let alias = set.alias.as_ref().map(|alias| {
        AliasTarget::builder()
            .hosted_zone_id(&alias.zone)
            .dns_name(&alias.name)
            .evaluate_target_health(alias.evaluates_health)
            .build()
            .map_err(unbuilt)
    });
    let built = ResourceRecordSet::builder()
        .name(&set.name)
        .r#type(RrType::from(set.kind.as_str()))
        .set_set_identifier(set.set.clone())
        .set_weight(set.weight)
        .set_ttl(set.ttl_seconds)
        .set_resource_records((!values.is_empty()).then_some(values))
        .set_alias_target(alias.transpose()?)
        .set_health_check_id(set.health_check.clone())
        .build()
        .map_err(unbuilt)?;
    Change::builder()
        .action(ChangeAction::Upsert)
        .resource_record_set(built)
        .build()
        .map_err(unbuilt)
}

fn unbuilt(error: impl std::fmt::Display) -> Error {
    Error::Local(format!("the change of record sets cannot be put: {error}"))
}
