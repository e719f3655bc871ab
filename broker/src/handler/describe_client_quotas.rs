//! DescribeClientQuotas (48): the quotas that a filter selects (KIP-546), from this broker's metadata.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use kafka_protocol::protocol::StrBytes;

use super::refuse::{self, Refuse};
use super::{Call, Context};
use crate::image::quota::QuotaEntity;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY_SPECIFIED: i8 = 2;

pub async fn handle(cx: &Context, _: &Call, request: DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    match Filter::of(request.components, request.strict) {
        Ok(filter) => {
            let image = cx.image();
            let found = image.quotas.iter().filter(|(entity, _)| filter.selects(entity));
            let entries = found.map(|(entity, values)| described(entity, values));
            DescribeClientQuotasResponse::default().with_entries(Some(entries.collect()))
        }
        Err((code, why)) => refused(code, Some(StrBytes::from_string(why))),
    }
}

fn refused(code: ErrorCode, why: Option<StrBytes>) -> DescribeClientQuotasResponse {
    DescribeClientQuotasResponse::default()
        .with_error_code(code.code())
        .with_error_message(why)
        .with_entries(None)
}

impl Refuse for DescribeClientQuotasRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeClientQuotasResponse {
        refused(code, refuse::why(code))
    }
}

fn described(entity: &QuotaEntity, values: &BTreeMap<String, f64>) -> EntryData {
    let part = |(kind, name): (&'static str, Option<&str>)| {
        EntityData::default()
            .with_entity_type(StrBytes::from_static_str(kind))
            .with_entity_name(name.map(|name| StrBytes::from_string(name.to_owned())))
    };
    let value = |(key, value): (&String, &f64)| {
        ValueData::default()
            .with_key(StrBytes::from_string(key.clone()))
            .with_value(*value)
    };
    EntryData::default()
        .with_entity(entity.parts().map(part).collect())
        .with_values(values.iter().map(value).collect())
}

/// Which entities are asked for.
struct Filter {
    /// By kind.
    wanted: BTreeMap<&'static str, Wanted>,
    /// Entities have no other parts than those.
    strict: bool,
}

enum Wanted {
    Named(StrBytes),
    Default,
    Any,
}

impl Filter {
    fn of(components: Vec<ComponentData>, strict: bool) -> Result<Self, (ErrorCode, String)> {
        let invalid = |why: String| (ErrorCode::InvalidRequest, why);
        let mut wanted = BTreeMap::new();
        for component in components {
            let kind = match component.entity_type.as_str() {
                "" => return Err(invalid("Invalid empty entity type.".to_owned())),
                "user" => "user",
                "client-id" => "client-id",
                "ip" => "ip",
                other => {
                    return Err((
                        ErrorCode::UnsupportedVersion,
                        format!("Unsupported entity type {other}"),
                    ));
                }
            };
            let one = match (component.match_type, component._match) {
                (EXACT, Some(name)) => Wanted::Named(name),
                (EXACT, None) => {
                    let why = "Request specified MATCH_TYPE_EXACT, but set match string to null.";
                    return Err(invalid(why.to_owned()));
                }
                (DEFAULT, None) => Wanted::Default,
                (ANY_SPECIFIED, None) => Wanted::Any,
                (DEFAULT, Some(_)) => {
                    let why = "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.";
                    return Err(invalid(why.to_owned()));
                }
                (ANY_SPECIFIED, Some(_)) => {
                    let why = "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.";
                    return Err(invalid(why.to_owned()));
                }
                (other, _) => return Err(invalid(format!("Unknown match type {other}"))),
            };
            if wanted.insert(kind, one).is_some() {
                return Err(invalid(format!(
                    "Entity type {kind} cannot appear more than once in the filter."
                )));
            }
        }
        if wanted.contains_key("ip") && wanted.len() > 1 {
            return Err(invalid(
                "Invalid entity filter component combination. IP filter component should not be used with user or \
                 clientId filter component."
                    .to_owned(),
            ));
        }
        Ok(Self { wanted, strict })
    }

    fn selects(&self, entity: &QuotaEntity) -> bool {
        if self.strict && entity.parts().count() != self.wanted.len() {
            return false;
        }
        self.wanted.iter().all(|(kind, wanted)| {
            let part = entity.part(kind);
            match wanted {
                Wanted::Named(name) => part == Some(Some(name.as_str())),
                Wanted::Default => part == Some(None),
                Wanted::Any => part.is_some(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::quota::QuotaName;

    fn entity(user: Option<Option<&str>>, client_id: Option<Option<&str>>) -> QuotaEntity {
        QuotaEntity {
            user: user.map(QuotaName::new),
            client_id: client_id.map(QuotaName::new),
            ip: None,
        }
    }

    fn component(kind: &'static str, how: i8, name: Option<&'static str>) -> ComponentData {
        ComponentData::default()
            .with_entity_type(StrBytes::from_static_str(kind))
            .with_match_type(how)
            .with_match(name.map(StrBytes::from_static_str))
    }

    fn selected(components: Vec<ComponentData>, strict: bool) -> Vec<bool> {
        let filter = Filter::of(components, strict).unwrap();
        [
            entity(Some(Some("alice")), None),
            entity(Some(None), None),
            entity(Some(Some("alice")), Some(Some("app"))),
            entity(None, Some(Some("app"))),
        ]
        .iter()
        .map(|entity| filter.selects(entity))
        .collect()
    }

    #[test]
    fn a_filter_selects_by_name_default_and_kind_and_strictly() {
        let alice = || component("user", EXACT, Some("alice"));
        assert_eq!(selected(vec![], false), [true; 4]);
        assert_eq!(selected(vec![], true), [false; 4]);
        assert_eq!(selected(vec![alice()], false), [true, false, true, false]);
        assert_eq!(selected(vec![alice()], true), [true, false, false, false]);
        let default = || component("user", DEFAULT, None);
        assert_eq!(selected(vec![default()], false), [false, true, false, false]);
        let any = component("client-id", ANY_SPECIFIED, None);
        assert_eq!(selected(vec![any.clone()], false), [false, false, true, true]);
        assert_eq!(selected(vec![alice(), any], true), [false, false, true, false]);
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_as_kafka_refuses_it() {
        let refused = |components| Filter::of(components, false).err().unwrap();
        let (code, why) = refused(vec![component("group", EXACT, Some("g"))]);
        assert_eq!(
            (code, why.as_str()),
            (ErrorCode::UnsupportedVersion, "Unsupported entity type group")
        );
        for components in [
            vec![component("", EXACT, Some("x"))],
            vec![component("user", EXACT, None)],
            vec![component("user", DEFAULT, Some("x"))],
            vec![component("user", ANY_SPECIFIED, Some("x"))],
            vec![component("user", 7, None)],
            vec![component("user", DEFAULT, None), component("user", EXACT, Some("x"))],
            vec![component("ip", DEFAULT, None), component("user", DEFAULT, None)],
        ] {
            assert_eq!(refused(components).0, ErrorCode::InvalidRequest);
        }
    }
}
