//! AllocateProducerIds (67): blocks of producer ids for brokers to hand out (KIP-730).

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerId};

use super::{Ask, Decide, Decision, State};
use crate::id::NodeId;
use crate::image::Record;

/// As many as Kafka gives out at once; ids of a block that a broker did not use before it stopped are lost.
const BLOCK: i32 = 1_000;

impl Decide for AllocateProducerIdsRequest {
    type Response = AllocateProducerIdsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<AllocateProducerIdsResponse> {
        let broker = state.image.brokers.get(&NodeId(self.broker_id.0));
        let start = state.image.next_producer_id;
        let refuse =
            |code: ErrorCode| Decision::only(AllocateProducerIdsResponse::default().with_error_code(code.code()));
        if broker.map(|broker| broker.epoch) != Some(self.broker_epoch) {
            return refuse(ErrorCode::StaleBrokerEpoch);
        }
        let Some(next) = start.checked_add(BLOCK.into()) else {
            return refuse(ErrorCode::UnknownServerError);
        };
        Decision {
            records: vec![Record::ProducerIds { next }],
            response: AllocateProducerIdsResponse::default()
                .with_producer_id_start(ProducerId(start))
                .with_producer_id_len(BLOCK),
        }
    }
}
