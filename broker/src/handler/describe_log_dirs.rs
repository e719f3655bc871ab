//! DescribeLogDirs: what lies in which directory of this broker, and how full its volumes are (KIP-827).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::refuse::Refuse;
use super::{Call, Context};
use crate::id::{TopicId, TopicPartition};
use crate::log::DirStatus;
use crate::log::Log;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=4;

/// Partitions by topic, of one directory.
type Topics = BTreeMap<String, Vec<DescribeLogDirsPartition>>;

pub async fn handle(cx: &Context, call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let asked = asked(&request);
    let logs = cx.replicas.logs();
    let mut by_dir: HashMap<Uuid, Topics> = HashMap::new();
    for (at, topic, log) in logs.logs() {
        let wanted = asked
            .as_ref()
            .is_none_or(|asked| asked.contains(&(topic.to_string(), at.partition)));
        if !wanted || at.topic == TopicId::METADATA {
            continue;
        }
        if let Some(dir) = logs.dir_of(at) {
            let topics = by_dir.entry(dir).or_default();
            topics
                .entry(topic.to_string())
                .or_default()
                .push(describe(cx, at, &log));
        }
    }
    for future in logs.futures() {
        let wanted = asked
            .as_ref()
            .is_none_or(|asked| asked.contains(&(future.topic.to_string(), future.at.partition)));
        if wanted && let Some(current) = logs.get(future.at) {
            let topics = by_dir.entry(future.dir).or_default();
            let described = DescribeLogDirsPartition::default()
                .with_partition_index(future.at.partition)
                .with_partition_size(signed(future.log.size_bytes()))
                .with_offset_lag(future.log.lag_behind(&current))
                .with_is_future_key(true);
            topics.entry(future.topic.to_string()).or_default().push(described);
        }
    }
    let results = logs.dirs().into_iter().map(|dir| {
        let topics = by_dir.remove(&dir.id).unwrap_or_default();
        match dir.failure {
            // As Kafka: what lies in there is not known any more, and neither is its size.
            Some(_) => DescribeLogDirsResult::default()
                .with_error_code(ErrorCode::KafkaStorageError.code())
                .with_log_dir(StrBytes::from_string(dir.path.display().to_string())),
            None => result(call, dir, topics),
        }
    });
    DescribeLogDirsResponse::default().with_results(results.collect())
}

impl Refuse for DescribeLogDirsRequest {
    fn refuse(&self, version: i16, code: ErrorCode) -> DescribeLogDirsResponse {
        // Before v3 there is no error of the whole: no directories is all that is said.
        let code = if version >= 3 { code.code() } else { 0 };
        DescribeLogDirsResponse::default().with_error_code(code)
    }
}

fn asked(request: &DescribeLogDirsRequest) -> Option<HashSet<(String, i32)>> {
    let topics = request.topics.as_ref()?;
    let pairs = topics.iter().flat_map(|topic| {
        let pair = |partition: &i32| (topic.topic.to_string(), *partition);
        topic.partitions.iter().map(pair)
    });
    Some(pairs.collect())
}

fn describe(cx: &Context, at: TopicPartition, log: &Log) -> DescribeLogDirsPartition {
    let lag = cx
        .replicas
        .position(at)
        .map_or(0, |position| position.high_watermark - position.log_end);
    DescribeLogDirsPartition::default()
        .with_partition_index(at.partition)
        .with_partition_size(signed(log.size_bytes()))
        .with_offset_lag(lag.max(0))
}

fn result(call: &Call, dir: DirStatus, topics: Topics) -> DescribeLogDirsResult {
    let topic = |(name, partitions): (String, Vec<DescribeLogDirsPartition>)| {
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(name)))
            .with_partitions(partitions)
    };
    let result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(dir.path.display().to_string()))
        .with_topics(topics.into_iter().map(topic).collect());
    match dir.space {
        Some(space) if call.version >= 4 => result
            .with_total_bytes(signed(space.total_bytes))
            .with_usable_bytes(signed(space.usable_bytes)),
        _ => result,
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
