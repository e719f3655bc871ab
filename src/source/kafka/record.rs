//! Records in motion, over librdkafka: tailing a topic, producing, and reading as a member of a group.

mod member;
mod probe;
mod producer;
mod tail;

pub use crate::model::record::range::{Start, Until};
pub use member::Member;
pub use probe::Prober;
pub use producer::{Delivered, NewRecord, Producer};
pub use tail::{Overflow, Tail, TailRequest, tail};

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message, Timestamp};

use super::pool::locked;
use super::target::Target;
use crate::model::record::{Record, TimestampType};
use crate::source::Error;

/// What every librdkafka client starts from: `ours` is about the purpose, the target's own properties win.
fn config(target: &Target, ours: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", target.bootstrap.join(","));
    config.set("client.id", &target.client_id);
    for (name, value) in target.security.renewed().rdkafka() {
        config.set(name, value);
    }
    let patience = target.deadlines.connect.as_millis().max(1000);
    config.set("socket.connection.setup.timeout.ms", patience.to_string());
    for (name, value) in ours {
        config.set(*name, *value);
    }
    for (name, value) in &target.properties {
        config.set(name, value);
    }
    config
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        timestamp_type: match message.timestamp() {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(_) => Some(TimestampType::CreateTime),
            Timestamp::LogAppendTime(_) => Some(TimestampType::LogAppendTime),
        },
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    }
}

/// librdkafka's error as one of ours.
fn failure(what: &str, error: &KafkaError, patience: Duration) -> Error {
    let peer = "the cluster".to_owned();
    let what = what.to_owned();
    let reason = error.to_string();
    let Some(code) = error.rdkafka_error_code() else {
        // A property that librdkafka does not take is the one error without a code.
        return Error::Local(format!("cannot start {what}: {reason}"));
    };
    use RDKafkaErrorCode as Code;
    match code {
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => Error::Unreachable { peer, reason },
        Code::OperationTimedOut | Code::MessageTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => {
            Error::TimedOut {
                peer,
                what,
                after: patience,
            }
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::Authentication
        | Code::SaslAuthenticationFailed => Error::Denied {
            reason: right(&what, code).map_or(reason, str::to_owned),
            peer,
            what,
        },
        Code::InvalidArgument | Code::UnknownPartition | Code::UnknownTopic => {
            Error::Local(format!("cannot start {what}: {reason}"))
        }
        code => Error::Refused {
            peer,
            what,
            code: format!("{code:?}"),
            reason,
        },
    }
}

/// Which right is missing, where the code says so.
fn right(what: &str, code: RDKafkaErrorCode) -> Option<&'static str> {
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed if what.starts_with("producing") => {
            Some("it needs Write on the topic")
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => Some("it needs Read on the topic"),
        RDKafkaErrorCode::GroupAuthorizationFailed => Some("it needs Read on the group"),
        _ => None,
    }
}

/// How many librdkafka clients this process has, and what wakes who waits for their end.
static LIVE: Mutex<usize> = Mutex::new(0);
static CLOSED: Condvar = Condvar::new();

/// Counts one client for as long as it is there, its closing included.
#[derive(Debug)]
struct Live;

impl Live {
    /// Before the client is made: who comes first decides that OpenSSL does not take its state away when the process ends,
    /// where threads of librdkafka that close slowly would crash over it and spoil the exit status.
    fn new() -> Self {
        openssl_sys::init();
        *locked(&LIVE) += 1;
        Self
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        *locked(&LIVE) -= 1;
        CLOSED.notify_all();
    }
}

/// Waits until every client is closed, for as long as `patience`. To be called before the process ends, so that members
/// leave their groups. Blocks.
pub fn wait_closed(patience: Duration) {
    let waited = CLOSED.wait_timeout_while(locked(&LIVE), patience, |live| *live > 0);
    // What has not closed by then is left to its fate.
    drop(waited);
}

/// Puts librdkafka's closing where it holds up nobody. It waits for the client's threads and, for a member, until what was
/// read is committed: minutes when the coordinator is gone, since a commit is tried three times for 60 s each. A runtime waits
/// at its end for what it was given to do, hence a thread that is nobody's.
fn close_aside<T: Send + 'static>(client: T) {
    let close = thread::Builder::new().name("close".to_owned());
    // A process that may have no more threads closes here.
    drop(close.spawn(move || drop(client)));
}
