//! Reading answers: error codes as sentences, names as strings.

use azimuth_broker::wire::ErrorCode;
use kafka_protocol::messages::{ApiKey, BrokerId as WireBroker, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::model::BrokerId;
use crate::source::Error;

/// `Metadata`, not `MetadataRequest` and not 3.
pub(super) fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| format!("API {key}"), |api| format!("{api:?}"))
}

/// Fails with a sentence when `code` is an error.
pub(super) fn check(peer: &str, what: &str, code: i16, message: Option<&StrBytes>) -> Result<(), Error> {
    match ErrorCode::try_from_code(code) {
        None => Ok(()),
        Some(error) => Err(refusal(peer, what, error, message.map(StrBytes::as_str))),
    }
}

fn refusal(peer: &str, what: &str, error: ErrorCode, message: Option<&str>) -> Error {
    let (peer, what) = (peer.to_owned(), what.to_owned());
    let code = kafka_name(error);
    let reason = match message {
        // A request printed by Java, a thousand characters of addresses: the code says as much.
        Some(message) if message.contains("org.apache.kafka.") => code.to_lowercase().replace('_', " "),
        Some(message) if !message.is_empty() => message.trim_end_matches('.').to_owned(),
        _ => code.to_lowercase().replace('_', " "),
    };
    match error {
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => {
            let reason = match right(&what, error) {
                Some(right) => format!("{reason}; it needs {right}"),
                None => reason,
            };
            Error::Denied { peer, what, reason }
        }
        ErrorCode::SaslAuthenticationFailed => Error::Denied { peer, what, reason },
        ErrorCode::ThrottlingQuotaExceeded => Error::Throttled { peer, what, reason },
        ErrorCode::UnsupportedVersion => Error::Unsupported { peer, what },
        _ => Error::Refused {
            peer,
            what,
            code,
            reason,
        },
    }
}

/// Which right is missing, by what was asked. From the table "Operations and resources on protocols" of Kafka's
/// documentation of its authorizer.
fn right(what: &str, error: ErrorCode) -> Option<&'static str> {
    let right = match (what, error) {
        ("DescribeLogDirs" | "DescribeQuorum" | "ListPartitionReassignments", _)
        | ("DescribeAcls" | "DescribeUserScramCredentials", _) => "Describe on the cluster",
        ("DescribeClientQuotas", _) => "DescribeConfigs on the cluster",
        ("AlterPartitionReassignments" | "ElectLeaders", _) => "Alter on the cluster",
        ("ListGroups", _) => "Describe on the cluster, or on the groups",
        ("DescribeProducers", _) => "Read on the topic",
        (_, ErrorCode::GroupAuthorizationFailed) => "Describe on the group",
        (what, ErrorCode::TopicAuthorizationFailed) if what.starts_with("the configs of ") => {
            "DescribeConfigs on the topic"
        }
        (what, ErrorCode::ClusterAuthorizationFailed) if what.starts_with("the configs of ") => {
            "DescribeConfigs on the cluster"
        }
        (_, ErrorCode::TransactionalIdAuthorizationFailed) => "Describe on the transactional id",
        _ => return None,
    };
    Some(right)
}

/// Kafka's own spelling: `NOT_LEADER_OR_FOLLOWER`.
pub(super) fn kafka_name(error: ErrorCode) -> String {
    if let ErrorCode::Unknown(code) = error {
        return format!("ERROR_{code}");
    }
    let mut name = String::new();
    for letter in format!("{error:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Kafka's spelling of a code; `None` for success.
pub(super) fn code_name(code: i16) -> Option<String> {
    ErrorCode::try_from_code(code).map(kafka_name)
}

pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(super) fn ids<I: FromIterator<BrokerId>>(brokers: &[WireBroker]) -> I {
    brokers.iter().map(|broker| broker.0).collect()
}

pub(super) fn wire_ids(brokers: &[BrokerId]) -> Vec<WireBroker> {
    brokers.iter().copied().map(WireBroker).collect()
}

/// `None` for the protocol's -1.
pub(super) fn known(id: WireBroker) -> Option<BrokerId> {
    (id.0 >= 0).then_some(id.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Trouble;

    #[test]
    fn codes_are_spelled_as_kafka_spells_them() {
        assert_eq!(kafka_name(ErrorCode::NotLeaderOrFollower), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(
            code_name(ErrorCode::UnknownTopicOrPartition.code()).as_deref(),
            Some("UNKNOWN_TOPIC_OR_PARTITION")
        );
        assert_eq!(code_name(0), None);
        assert_eq!(code_name(31_000).as_deref(), Some("ERROR_31000"));
    }

    #[test]
    fn a_refusal_says_who_what_and_why() {
        let code = ErrorCode::InvalidReplicaAssignment.code();
        let error = check(
            "broker 1",
            "the move of orders-3",
            code,
            Some(&text("No such broker 9.")),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "broker 1 refused the move of orders-3: No such broker 9 (INVALID_REPLICA_ASSIGNMENT)"
        );
        let denied = check("broker 1", "groups", ErrorCode::GroupAuthorizationFailed.code(), None).unwrap_err();
        assert_eq!(denied.trouble(), Trouble::Denied);
        let code = ErrorCode::ClusterAuthorizationFailed.code();
        let denied = check("broker 1", "DescribeLogDirs", code, None).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "broker 1 denies DescribeLogDirs: cluster authorization failed; it needs Describe on the cluster"
        );
        let printed =
            "Request Request(processor=0, session=org.apache.kafka.network.Session@1, buffer=null) is not authorized.";
        let denied = check("broker 1", "DescribeAcls", code, Some(&text(printed))).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "broker 1 denies DescribeAcls: cluster authorization failed; it needs Describe on the cluster"
        );
    }
}
