//! AlterClientQuotas (49): who may take how much (KIP-546), with Kafka's rules for entities and values.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData as Asked, EntryData, OpData};
use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData as Altered};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Ask, Decide, Decision, State};
use crate::image::quota::{
    CONNECTION_CREATION_RATE, CONSUMER_BYTE_RATE, CONTROLLER_MUTATION_RATE, PRODUCER_BYTE_RATE, QuotaEntity, QuotaName,
    REQUEST_PERCENTAGE,
};
use crate::image::{Image, Record};

/// Names are principals, client ids and addresses; none of them is longer.
const NAME_BYTES_MAX: usize = 1_024;

/// What a value must be.
#[derive(Debug, Clone, Copy)]
enum Number {
    Any,
    Int,
    Long,
}

/// The keys of users and client ids.
const CLIENT_KEYS: &[(&str, Number)] = &[
    (PRODUCER_BYTE_RATE, Number::Long),
    (CONSUMER_BYTE_RATE, Number::Long),
    (REQUEST_PERCENTAGE, Number::Any),
    (CONTROLLER_MUTATION_RATE, Number::Any),
];
const IP_KEYS: &[(&str, Number)] = &[(CONNECTION_CREATION_RATE, Number::Int)];

impl Decide for AlterClientQuotasRequest {
    type Response = AlterClientQuotasResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<AlterClientQuotasResponse> {
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        let mut answers = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            let altered = entity(&entry.entity).and_then(|entity| {
                if !seen.insert(entity.clone()) {
                    return Err("Ignoring duplicate entity; the request names it twice.".to_owned());
                }
                alter(&state.image, &entity, &entry.ops)
            });
            let (code, why) = match altered {
                Ok(changes) => {
                    records.extend(changes);
                    (0, None)
                }
                Err(why) => (ErrorCode::InvalidRequest.code(), Some(StrBytes::from_string(why))),
            };
            answers.push(answer(entry, code, why));
        }
        Decision {
            records: if self.validate_only { Vec::new() } else { records },
            response: AlterClientQuotasResponse::default().with_entries(answers),
        }
    }
}

fn answer(entry: EntryData, code: i16, why: Option<StrBytes>) -> Altered {
    let named = |part: Asked| {
        EntityData::default()
            .with_entity_type(part.entity_type)
            .with_entity_name(part.entity_name)
    };
    Altered::default()
        .with_error_code(code)
        .with_error_message(why)
        .with_entity(entry.entity.into_iter().map(named).collect())
}

/// The entity that the parts name together.
fn entity(parts: &[Asked]) -> Result<QuotaEntity, String> {
    let mut entity = QuotaEntity::default();
    for part in parts {
        let kind = part.entity_type.as_str();
        let slot = match kind {
            "user" => &mut entity.user,
            "client-id" => &mut entity.client_id,
            "ip" => &mut entity.ip,
            _ => return Err(format!("Unhandled client quota entity type: {kind}")),
        };
        if slot.is_some() {
            return Err(format!("Invalid client quota entity, duplicate entity entry {kind}"));
        }
        let name = part.entity_name.as_deref();
        match name {
            Some("") => return Err(format!("Empty {kind} not supported")),
            Some(name) if name.len() > NAME_BYTES_MAX => {
                return Err(format!(
                    "The {kind} has {} bytes; {NAME_BYTES_MAX} is the limit.",
                    name.len()
                ));
            }
            _ => *slot = Some(QuotaName::new(name)),
        }
    }
    match &entity {
        QuotaEntity {
            user: None,
            client_id: None,
            ip: None,
        } => Err("Invalid empty client quota entity".to_owned()),
        QuotaEntity {
            user: None,
            client_id: None,
            ip: Some(QuotaName::Named(ip)),
        } if ip.parse::<IpAddr>().is_err() => Err(format!(
            "{ip} is not a valid IP address; host names are not resolved here."
        )),
        QuotaEntity { ip: Some(_), .. } if entity.user.is_some() || entity.client_id.is_some() => {
            Err("Invalid quota entity combination, IP entity should not be combined with User or ClientId".to_owned())
        }
        _ => Ok(entity),
    }
}

fn alter(image: &Image, entity: &QuotaEntity, ops: &[OpData]) -> Result<Vec<Record>, String> {
    let keys = if entity.ip.is_some() { IP_KEYS } else { CLIENT_KEYS };
    let current = image.quotas.get(entity);
    let mut seen = BTreeSet::new();
    let mut records = Vec::new();
    for op in ops {
        let key = op.key.as_str();
        if !seen.insert(key) {
            return Err(format!("Duplicate quota key {key} not updating quota for this entity"));
        }
        if !op.remove {
            check(keys, key, op.value)?;
        }
        let value = (!op.remove).then_some(op.value);
        let held = current.and_then(|values| values.get(key)).copied();
        if held != value {
            records.push(Record::ClientQuota {
                entity: entity.clone(),
                key: key.to_owned(),
                value,
            });
        }
    }
    Ok(records)
}

fn check(keys: &[(&str, Number)], key: &str, value: f64) -> Result<(), String> {
    let Some((_, number)) = keys.iter().find(|(known, _)| *known == key) else {
        return Err(format!("Invalid configuration key {key}"));
    };
    // Written so that NaN fails.
    if !(value.is_finite() && value > 0.0) {
        return Err(format!("Quota {key} must be greater than 0"));
    }
    let (most, name) = match number {
        Number::Any => return Ok(()),
        Number::Int => (f64::from(i32::MAX), "INT"),
        Number::Long => (i64::MAX as f64, "LONG"),
    };
    if value > most {
        return Err(format!("Proposed value for {key} is too large for a {name}."));
    }
    if value % 1.0 > 1e-6 {
        return Err(format!("{key} cannot be a fractional value."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: &str, name: Option<&str>) -> Asked {
        Asked::default()
            .with_entity_type(StrBytes::from_string(kind.to_owned()))
            .with_entity_name(name.map(|name| StrBytes::from_string(name.to_owned())))
    }

    fn op(key: &str, value: Option<f64>) -> OpData {
        OpData::default()
            .with_key(StrBytes::from_string(key.to_owned()))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none())
    }

    fn refused(parts: &[Asked], key: &str, value: f64) -> String {
        entity(parts)
            .and_then(|entity| alter(&Image::empty(), &entity, &[op(key, Some(value))]))
            .unwrap_err()
    }

    #[test]
    fn entities_are_combined_as_kafka_allows() {
        let user = part("user", Some("alice"));
        let both = entity(&[user.clone(), part("client-id", None)]).unwrap();
        assert_eq!(both.client_id, Some(QuotaName::Default));
        for (parts, why) in [
            (vec![], "Invalid empty client quota entity"),
            (vec![user.clone(), user.clone()], "duplicate entity entry user"),
            (vec![part("user", Some(""))], "Empty user not supported"),
            (vec![part("group", None)], "Unhandled client quota entity type: group"),
            (vec![user.clone(), part("ip", None)], "should not be combined"),
            (vec![part("ip", Some("example.org"))], "example.org is not a valid IP"),
        ] {
            let error = entity(&parts).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn values_are_checked_as_kafka_checks_them() {
        let user = [part("user", Some("alice"))];
        for (key, value, why) in [
            ("producer_byte_rate", 0.0, "must be greater than 0"),
            ("producer_byte_rate", f64::NAN, "must be greater than 0"),
            ("producer_byte_rate", 1.5, "cannot be a fractional value"),
            ("producer_byte_rate", 1e30, "too large for a LONG"),
            ("connection_creation_rate", 5.0, "Invalid configuration key"),
            ("speed", 5.0, "Invalid configuration key speed"),
        ] {
            let error = refused(&user, key, value);
            assert!(error.contains(why), "{error}");
        }
        let ip = [part("ip", None)];
        assert!(refused(&ip, "connection_creation_rate", 3e9).contains("too large for a INT"));
        assert!(refused(&ip, "producer_byte_rate", 3.0).contains("Invalid configuration key"));
        let fractions = entity(&user).unwrap();
        assert!(alter(&Image::empty(), &fractions, &[op("request_percentage", Some(12.5))]).is_ok());
    }

    #[test]
    fn only_what_changes_is_written() {
        let entity = entity(&[part("client-id", Some("app"))]).unwrap();
        let mut image = Image::empty();
        let ops = [op("producer_byte_rate", Some(10.0)), op("consumer_byte_rate", None)];
        let records = alter(&image, &entity, &ops).unwrap();
        assert_eq!(records.len(), 1, "nothing is removed that is not there");
        image.apply(&records[0], 0, 1);
        assert_eq!(alter(&image, &entity, &ops).unwrap(), []);
        let twice = [op("producer_byte_rate", None), op("producer_byte_rate", Some(1.0))];
        assert!(
            alter(&image, &entity, &twice)
                .unwrap_err()
                .starts_with("Duplicate quota key")
        );
        let removed = alter(&image, &entity, &[op("producer_byte_rate", None)]).unwrap();
        image.apply(&removed[0], 1, 1);
        assert!(image.quotas.is_empty());
    }
}
