//! AlterClientQuotas (49): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_client_quotas_request::{EntityData as AskedPart, EntryData as Asked, OpData};
use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use kafka_protocol::protocol::StrBytes;

use super::refuse::{self, Refuse};
use super::{Call, Context, forward};
use crate::image::quota::{QuotaEntity, QuotaName};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

pub async fn handle(cx: &Context, call: &Call, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let (asked, dry) = (request.entries.clone(), request.validate_only);
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => {
            let done = |(_, answer): &(&Asked, &EntryData)| !dry && answer.error_code == 0;
            let done: Vec<&Asked> = asked
                .iter()
                .zip(&response.entries)
                .filter(done)
                .map(|(asked, _)| asked)
                .collect();
            forward::settle(cx, |image| {
                done.iter().all(|entry| {
                    let held = image.quotas.get(&entity(entry));
                    let shown = |op: &OpData| {
                        let value = held.and_then(|values| values.get(op.key.as_str())).copied();
                        value == (!op.remove).then_some(op.value)
                    };
                    entry.ops.iter().all(shown)
                })
            })
            .await;
            response
        }
        Err(unanswered) => refused(asked, unanswered.code, forward::why(&unanswered)),
    }
}

/// Of an entry that the controller took, so its parts are known ones.
fn entity(entry: &Asked) -> QuotaEntity {
    let part = |kind: &str| {
        let part = entry.entity.iter().find(|part| part.entity_type.as_str() == kind)?;
        Some(QuotaName::new(part.entity_name.as_deref()))
    };
    QuotaEntity {
        user: part("user"),
        client_id: part("client-id"),
        ip: part("ip"),
    }
}

fn refused(asked: Vec<Asked>, code: ErrorCode, why: Option<StrBytes>) -> AlterClientQuotasResponse {
    let result = |entry: Asked| {
        let part = |part: AskedPart| {
            EntityData::default()
                .with_entity_type(part.entity_type)
                .with_entity_name(part.entity_name)
        };
        EntryData::default()
            .with_error_code(code.code())
            .with_error_message(why.clone())
            .with_entity(entry.entity.into_iter().map(part).collect())
    };
    AlterClientQuotasResponse::default().with_entries(asked.into_iter().map(result).collect())
}

impl Refuse for AlterClientQuotasRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> AlterClientQuotasResponse {
        refused(self.entries.clone(), code, refuse::why(code))
    }
}
