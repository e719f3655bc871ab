//! Client quotas, all of them in one request to one broker, and changing them. DescribeClientQuotas and AlterClientQuotas
//! (KIP-546).

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_client_quotas_request as altering;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData};
use kafka_protocol::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};

use super::answer::{check, text};
use super::pool::Pool;
use crate::model::quota::{Entity, Quota, Whom};
use crate::source::Error;

/// All of them, sorted by entity.
pub(super) async fn quotas(pool: &Pool) -> Result<Vec<Quota>, Error> {
    let (peer, response) = pool
        .ask_any(|_| DescribeClientQuotasRequest::default().with_components(Vec::new()))
        .await?;
    check(
        peer.name(),
        "DescribeClientQuotas",
        response.error_code,
        response.error_message.as_ref(),
    )?;
    let mut quotas = Vec::new();
    for entry in response.entries.unwrap_or_default() {
        quotas.push(quota(entry).map_err(|kind| Error::Refused {
            peer: peer.name().to_owned(),
            what: "DescribeClientQuotas".to_owned(),
            code: "protocol".to_owned(),
            reason: format!("its answer has an entity type {kind} that this version of azimuth does not know"),
        })?);
    }
    quotas.sort_by(|one, other| one.entity.cmp(&other.entity));
    Ok(quotas)
}

/// Sets limits of one entity, or takes them away; those that are not named stay.
pub(super) async fn alter(pool: &Pool, entity: &Entity, limits: &BTreeMap<String, Option<f64>>) -> Result<(), Error> {
    let parts = [
        ("user", &entity.user),
        ("client-id", &entity.client_id),
        ("ip", &entity.ip),
    ];
    let parts = parts.into_iter().filter_map(|(kind, whom)| {
        let name = match whom.as_ref()? {
            Whom::Named(name) => Some(text(name)),
            Whom::Default => None,
        };
        let part = altering::EntityData::default().with_entity_type(text(kind));
        Some(part.with_entity_name(name))
    });
    let ops = limits.iter().map(|(name, value)| {
        altering::OpData::default()
            .with_key(text(name))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none())
    });
    let entry = altering::EntryData::default()
        .with_entity(parts.collect())
        .with_ops(ops.collect());
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let (peer, response) = pool.tell(|_| request).await?;
    let what = format!("changing the quota of {}", entity.words());
    for entry in response.entries {
        check(peer.name(), &what, entry.error_code, entry.error_message.as_ref())?;
    }
    Ok(())
}

/// The name of an entity's type that is none of ours is the error.
fn quota(entry: EntryData) -> Result<Quota, String> {
    let mut entity = Entity::default();
    for part in entry.entity {
        let EntityData {
            entity_type,
            entity_name,
            ..
        } = part;
        let whom = entity_name.map_or(Whom::Default, |name| Whom::Named(name.to_string()));
        match entity_type.as_str() {
            "user" => entity.user = Some(whom),
            "client-id" => entity.client_id = Some(whom),
            "ip" => entity.ip = Some(whom),
            other => return Err(other.to_owned()),
        }
    }
    let limits = entry
        .values
        .into_iter()
        .map(|value| (value.key.to_string(), value.value));
    Ok(Quota {
        entity,
        limits: limits.collect(),
    })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_client_quotas_response::ValueData;

    use super::super::answer::text;
    use super::*;

    #[test]
    fn a_part_without_a_name_is_whoever_has_none_of_its_own() {
        let part = |kind: &str, name: Option<&str>| {
            EntityData::default()
                .with_entity_type(text(kind))
                .with_entity_name(name.map(text))
        };
        let value = ValueData::default()
            .with_key(text("producer_byte_rate"))
            .with_value(1e6);
        let entry = EntryData::default()
            .with_entity(vec![part("client-id", None), part("user", Some("etl"))])
            .with_values(vec![value]);
        let read = quota(entry).unwrap();
        assert_eq!(read.entity.words(), "user etl, default client-id");
        assert_eq!(read.limits["producer_byte_rate"], 1e6);
        let strange = EntryData::default().with_entity(vec![part("tenant", None)]);
        assert_eq!(quota(strange), Err("tenant".to_owned()));
    }
}
