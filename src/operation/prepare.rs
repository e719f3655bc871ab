//! What a plan is worked out from: one look at just those parts of the cluster that the wish is about.

use std::time::Duration;

use crate::feed::{self, Needs, Section, Sources};
use crate::model::Snapshot;
use crate::plan::intent::Intent;
use crate::plan::leader;
use crate::plan::reassign::Goal;

/// Between the two looks that tell whether somebody writes to a topic.
const APART: Duration = Duration::from_secs(1);

/// Looks at what planning this takes, within `deadline`; what was not seen by then says so.
pub async fn look(sources: &Sources, intent: &Intent, deadline: Duration) -> Snapshot {
    let needs = |sections: &[Section]| sections.iter().copied().collect::<Needs>();
    match intent {
        Intent::CreateTopic(_) => feed::collect(sources, &needs(&[Section::Cluster, Section::Topics]), deadline).await,
        Intent::DeleteTopics(_) => {
            let needs = needs(&[Section::Cluster, Section::Topics, Section::Groups, Section::Offsets]);
            feed::collect_rates(sources, &needs, deadline, APART).await
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
