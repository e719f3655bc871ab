//! Finalizing a level of a feature, and looking whether every broker knows of it.

use futures::future::join_all;

use super::status::Progress;
use super::step::{Act, Seen, act_of};
use crate::feed::Sources;
use crate::model::feature::Features;
use crate::plan::feature::Finalize;
use crate::source::kafka::Kafka;

/// What every broker tells of features.
pub async fn of_cluster(sources: &Sources) -> Result<Features, String> {
    let cluster = sources.kafka.cluster().await.map_err(|error| error.to_string())?;
    let asked = cluster.brokers.iter().map(async |broker| {
        let told = sources.kafka.features(broker.id).await;
        (broker.id, told.map_err(|error| error.to_string()))
    });
    Ok(Features {
        brokers: join_all(asked).await.into_iter().collect(),
    })
}

/// Only while it is at the level that was seen, or there already.
pub(super) async fn act(kafka: &Kafka, step: &Finalize) -> Act {
    match level(kafka, &step.name).await {
        Err(error) => return act_of(error),
        Ok(level) if level == step.to => return Act::Asked,
        Ok(level) if level != step.from => {
            return Act::Refused(format!(
                "{} was at level {} and is at {level} now",
                step.name, step.from
            ));
        }
        Ok(_) => {}
    }
    match kafka.finalize(&step.name, step.to, step.is_lower(), false).await {
        Ok(()) => Act::Asked,
        Err(error) => act_of(error),
    }
}

/// The level that the brokers know: what most of them say is not asked, for they learn of it within a moment.
async fn level(kafka: &Kafka, name: &str) -> Result<i16, crate::source::Error> {
    let cluster = kafka.cluster().await?;
    let mut last = None;
    for broker in cluster.brokers.iter().filter(|broker| !broker.fenced) {
        match kafka.features(broker.id).await {
            Ok(told) => return Ok(told.finalized.get(name).copied().unwrap_or(0)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| crate::source::Error::Local("no broker of the cluster is alive".to_owned())))
}

pub(super) async fn look(kafka: &Kafka, step: &Finalize, at: usize) -> Seen {
    let cluster = match kafka.cluster().await {
        Ok(cluster) => cluster,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let live: Vec<_> = cluster.brokers.iter().filter(|broker| !broker.fenced).collect();
    let asked = live
        .iter()
        .map(async |broker| (broker.id, kafka.features(broker.id).await));
    let mut late = Vec::new();
    for (id, told) in join_all(asked).await {
        match told {
            Ok(told) if told.finalized.get(&step.name).copied().unwrap_or(0) == step.to => {}
            Ok(_) => late.push(format!("broker {id} does not know of it yet")),
            Err(error) => late.push(error.to_string()),
        }
    }
    match late.first() {
        None => Seen::Done(format!("{} brokers know of it", live.len())),
        Some(first) => Seen::Waiting(Progress {
            step: at,
            done: (live.len() - late.len()) as u32,
            total: live.len() as u32,
            note: first.clone(),
            ..Progress::default()
        }),
    }
}
