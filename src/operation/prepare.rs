//! What a plan is worked out from: one look at just those parts of the cluster that the wish is about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;

use crate::feed::{self, Needs, Section, Sources};
use crate::model::{BrokerId, Snapshot};
use crate::plan::group::{Reset, To};
use crate::plan::intent::Intent;
use crate::plan::leader;
use crate::plan::reassign::Goal;

/// Between the two looks that tell whether somebody writes to a topic.
const APART: Duration = Duration::from_secs(1);

/// Fills in what the wish leaves to the brokers: where a time lies in their logs. Who does not answer leaves its partitions
/// unknown.
pub async fn asked(sources: &Sources, intent: Intent, snapshot: &Snapshot) -> Intent {
    let Intent::ResetGroup(Reset {
        group,
        names,
        to: To::Since { time, .. },
    }) = intent
    else {
        return intent;
    };
    let partitions = snapshot
        .partitions()
        .filter_map(|(topic, one)| Some((one.leader?, topic, one.partition)));
    let mut led: BTreeMap<BrokerId, Vec<(String, i32)>> = BTreeMap::new();
    let topics: BTreeSet<&str> = names
        .iter()
        .map(|name| name.split(':').next().unwrap_or(name))
        .collect();
    let commits = snapshot
        .groups
        .get()
        .into_iter()
        .flatten()
        .filter(|one| one.name == group);
    let read: BTreeSet<&str> = commits
        .flat_map(|one| &one.commits)
        .map(|one| one.topic.as_str())
        .collect();
    for (leader, topic, partition) in partitions {
        if topics.contains(topic) || (topics.is_empty() && read.contains(topic)) {
            led.entry(leader).or_default().push((topic.to_owned(), partition));
        }
    }
    let answers = led
        .iter()
        .map(|(leader, own)| sources.kafka.offsets_since(*leader, own, time.as_millisecond()));
    let found = join_all(answers)
        .await
        .into_iter()
        .flat_map(Result::unwrap_or_default)
        .collect();
    Intent::ResetGroup(Reset {
        group,
        names,
        to: To::Since { time, found },
    })
}

/// Looks at what planning this takes, within `deadline`; what was not seen by then says so.
pub async fn look(sources: &Sources, intent: &Intent, deadline: Duration) -> Snapshot {
    let needs = |sections: &[Section]| sections.iter().copied().collect::<Needs>();
    match intent {
        Intent::CreateTopic(_) => feed::collect(sources, &needs(&[Section::Cluster, Section::Topics]), deadline).await,
        Intent::DeleteTopics(_) => {
            let needs = needs(&[Section::Cluster, Section::Topics, Section::Groups, Section::Offsets]);
            feed::collect_rates(sources, &needs, deadline, APART).await
        }
        Intent::ResetGroup(_) | Intent::DeleteGroups(_) => {
            let needs = needs(&[Section::Cluster, Section::Topics, Section::Groups, Section::Offsets]);
            feed::collect(sources, &needs, deadline).await
        }
        Intent::Leaders(wish) => {
            let mut needs = needs(&[
                Section::Cluster,
                Section::Links,
                Section::Topics,
                Section::Reassignments,
            ]);
            if matches!(wish, leader::Wish::Unclean(_)) {
                needs.insert(Section::Logdirs);
            }
            let snapshot = feed::collect(sources, &needs, deadline).await;
            if !leader::asks_ec2(wish, &snapshot) {
                return snapshot;
            }
            needs.insert(Section::Instances);
            feed::collect(sources, &needs, deadline).await
        }
        Intent::Reassign(wish) => {
            let mut needs = needs(&[
                Section::Cluster,
                Section::Links,
                Section::Topics,
                Section::Reassignments,
                Section::Logdirs,
            ]);
            if matches!(wish.goal, Goal::Factor(_)) {
                needs.insert(Section::TopicConfigs);
            }
            feed::collect(sources, &needs, deadline).await
        }
    }
}
