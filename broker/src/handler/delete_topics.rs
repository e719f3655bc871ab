//! DeleteTopics (20): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::mutation::{self, Permits};
use super::refuse::{self, Refuse};
use super::{Call, Context, Rights, forward};
use crate::auth::Object;
use crate::id::TopicId;
use crate::image::Image;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=6;

/// Since this version what is above the quota is refused (KIP-599).
const STRICT: i16 = 5;

/// A topic as a request or an answer names it: by name, or since v6 by id.
type Named = (Option<TopicName>, Uuid);

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    mut request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let denied = deny(&cx.image(), rights, &mut request);
    let mut response = match request.topics.is_empty() && request.topic_names.is_empty() {
        true => DeleteTopicsResponse::default(),
        false => within_quota(cx, call, request).await,
    };
    let code = ErrorCode::TopicAuthorizationFailed;
    let denied = refused(denied, call.version, code, refuse::why(code));
    response.responses.extend(denied.responses);
    response
}

/// Takes out of the request what the caller may not delete. Whoever may not describe it either does not learn the name
/// behind an id, nor whether there is a topic of a name.
fn deny(image: &Image, rights: &Rights<'_>, request: &mut DeleteTopicsRequest) -> Vec<Named> {
    let mut denied = Vec::new();
    if rights.shows(Operation::Delete, Object::Cluster) {
        return denied;
    }
    let mut allowed = |named: Named| {
        let by_id = image.topic(TopicId(named.1)).map(|topic| topic.name.as_str());
        // Only the controller knows what to say of an id that is nobody's.
        let Some(name) = named.0.as_ref().map(|name| name.as_str()).or(by_id) else {
            return true;
        };
        if rights.allow(Operation::Delete, Object::Topic(name)) {
            return true;
        }
        let shown = named.0.is_none() && rights.shows(Operation::Describe, Object::Topic(name));
        let name = shown.then(|| TopicName(StrBytes::from_string(name.to_owned())));
        denied.push((named.0.or(name), named.1));
        false
    };
    request
        .topic_names
        .retain(|name| allowed((Some(name.clone()), Uuid::nil())));
    request
        .topics
        .retain(|topic| allowed((topic.name.clone(), topic.topic_id)));
    denied
}

/// What a request asks for.
fn asked(request: &DeleteTopicsRequest, version: i16) -> Vec<Named> {
    match version >= 6 {
        true => {
            let topics = request.topics.iter();
            topics.map(|topic| (topic.name.clone(), topic.topic_id)).collect()
        }
        false => {
            let names = request.topic_names.iter();
            names.map(|name| (Some(name.clone()), Uuid::nil())).collect()
        }
    }
}

/// Deletes the topics that the client's quota leaves room for.
async fn within_quota(cx: &Context, call: &Call, mut request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut permits = Permits::of(cx, call, STRICT);
    let mut above = Vec::new();
    if permits.count() {
        let image = cx.image();
        let mut granted = |name: Option<&TopicName>, id: Uuid| {
            let topic = match name {
                Some(name) => image.topic_named(name),
                None => image.topic(TopicId(id)),
            };
            // Of one that is not there the controller says so.
            let granted = topic.is_none_or(|topic| permits.take(&topic.name, topic.partitions.len()));
            if !granted {
                above.push((name.cloned(), id));
            }
            granted
        };
        request.topic_names.retain(|name| granted(Some(name), Uuid::nil()));
        request
            .topics
            .retain(|topic| granted(topic.name.as_ref(), topic.topic_id));
    }
    let nothing = request.topics.is_empty() && request.topic_names.is_empty() && !above.is_empty();
    let mut response = match nothing {
        true => DeleteTopicsResponse::default(),
        false => delete(cx, call, request).await,
    };
    for topic in response.responses.iter().filter(|topic| topic.error_code != 0) {
        if let Some(name) = &topic.name {
            permits.give_back(name);
        }
    }
    let above = refused(above, call.version, mutation::EXCEEDED, mutation::why());
    response.responses.extend(above.responses);
    response.throttle_time_ms = permits.throttle_time_ms();
    response
}

async fn delete(cx: &Context, call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let asked = asked(&request, call.version);
    let deadline = forward::deadline(request.timeout_ms);
    match cx.controller.ask(request, call.version, deadline).await {
        Ok(response) => {
            let gone = response.responses.iter().filter(|topic| topic.error_code == 0);
            let gone: Vec<TopicId> = gone.map(|topic| TopicId(topic.topic_id)).collect();
            forward::settle(cx, |image| !gone.iter().any(|id| image.topics.contains_key(id))).await;
            response
        }
        Err(unanswered) => refused(asked, call.version, unanswered.code, forward::why(&unanswered)),
    }
}

fn refused(asked: Vec<Named>, version: i16, code: ErrorCode, why: Option<StrBytes>) -> DeleteTopicsResponse {
    let result = |(name, id)| {
        let result = DeletableTopicResult::default()
            .with_name(name)
            .with_error_code(code.code());
        let result = if version >= 6 { result.with_topic_id(id) } else { result };
        match version >= 5 {
            true => result.with_error_message(why.clone()),
            false => result,
        }
    };
    DeleteTopicsResponse::default().with_responses(asked.into_iter().map(result).collect())
}

impl Refuse for DeleteTopicsRequest {
    fn refuse(&self, version: i16, code: ErrorCode) -> DeleteTopicsResponse {
        refused(asked(self, version), version, code, refuse::why(code))
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::delete_topics_request::DeleteTopicState;

    use super::super::rights::testing::{Caller, topic_id};
    use super::*;
    use crate::image::acl::Kind;

    fn name(name: &'static str) -> TopicName {
        TopicName(StrBytes::from_static_str(name))
    }

    #[test]
    fn the_name_behind_an_id_is_told_only_to_who_may_describe_it() {
        let rights = [
            (Operation::Delete, Kind::Topic, "mine"),
            (Operation::Read, Kind::Topic, "readable"),
        ];
        let caller = Caller::new(6, &["mine", "readable", "other"], &rights);
        let by_id = |id| {
            DeleteTopicState::default()
                .with_name(None)
                .with_topic_id(topic_id(id).0)
        };
        let by_name = |text| DeleteTopicState::default().with_name(Some(name(text)));
        let topics = vec![
            by_id(1),
            by_id(2),
            by_id(3),
            by_id(9),
            by_name("readable"),
            by_name("none"),
        ];
        let mut request = DeleteTopicsRequest::default().with_topics(topics);
        let denied = deny(&caller.image, &caller.rights(), &mut request);
        let left: Vec<Uuid> = request.topics.iter().map(|topic| topic.topic_id).collect();
        assert_eq!(
            left,
            [topic_id(1).0, topic_id(9).0],
            "what nobody has, the controller answers"
        );
        let expected: [Named; 4] = [
            (Some(name("readable")), topic_id(2).0),
            (None, topic_id(3).0),
            (Some(name("readable")), Uuid::nil()),
            (Some(name("none")), Uuid::nil()),
        ];
        assert_eq!(denied, expected);
    }

    #[test]
    fn who_may_delete_on_the_cluster_may_delete_all() {
        let caller = Caller::new(5, &["a"], &[(Operation::Delete, Kind::Cluster, "kafka-cluster")]);
        let mut request = DeleteTopicsRequest::default().with_topic_names(vec![name("a"), name("b")]);
        assert!(deny(&caller.image, &caller.rights(), &mut request).is_empty());
        assert_eq!(request.topic_names.len(), 2);
    }
}
