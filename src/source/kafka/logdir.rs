//! Log directories of one broker. DescribeLogDirs; sizes of the file system by KIP-827.

use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;

use super::answer::{check, code_name};
use super::pool::{Peer, Pool};
use crate::model::logdir::{LogDir, Replica};
use crate::model::name::Name;
use crate::source::Error;

/// The broker's directories, sorted by path, replicas sorted by topic and partition.
pub(super) async fn logdirs(pool: &Pool, peer: &Peer) -> Result<Vec<LogDir>, Error> {
    let response = pool
        .ask(peer, DescribeLogDirsRequest::default().with_topics(None))
        .await?;
    check(peer.name(), "DescribeLogDirs", response.error_code, None)?;
    let mut dirs: Vec<_> = response.results.into_iter().map(logdir).collect();
    dirs.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(dirs)
}

fn logdir(mut result: DescribeLogDirsResult) -> LogDir {
    // Thousands of replicas are in order once their topics are: a name is compared for each topic, and not for each replica.
    result.topics.sort_by(|one, other| one.name.cmp(&other.name));
    let mut replicas: Vec<_> = result
        .topics
        .into_iter()
        .flat_map(|mut topic| {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
            let name = Name::from(topic.name.as_str());
            topic.partitions.into_iter().map(move |partition| Replica {
                topic: name.clone(),
                partition: partition.partition_index,
                size_bytes: u64::try_from(partition.partition_size).unwrap_or(0),
                lag_records: partition.offset_lag,
                future: partition.is_future_key,
            })
        })
        .collect();
    replicas.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
    LogDir {
        path: result.log_dir.to_string(),
        // -1 is "unknown".
        total_bytes: u64::try_from(result.total_bytes).ok(),
        usable_bytes: u64::try_from(result.usable_bytes).ok(),
        error: code_name(result.error_code),
        top: LogDir::largest_topics(&replicas),
        copies: Vec::new(),
        replicas: replicas.into(),
        growth_bytes_per_second: None,
    }
}
