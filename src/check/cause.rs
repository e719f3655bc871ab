//! What can be wrong, one rule a file. The order of [`ALL`] is that of precedence: of two causes that are as grave, the
//! first one's culprit is named, because it explains the second.

mod alone;
mod certificate;
mod consumer;
mod disk;
mod host;
mod missing;
mod moving;
mod producer;
mod quorum;
mod rack;
mod slow;
mod stalled;
mod stopped;
mod throttle;
mod unanswered;
mod zone;

use super::{Cause, Facts};
use crate::plan::gate::Verdict;

/// A rule: what is wrong by it, if anything.
type Rule = fn(&Facts<'_>) -> Vec<Cause>;

const ALL: &[Rule] = &[
    zone::judge,
    certificate::judge,
    stalled::judge,
    host::judge,
    disk::full,
    unanswered::judge,
    quorum::judge,
    alone::judge,
    stopped::judge,
    missing::judge,
    disk::filling,
    moving::judge,
    slow::judge,
    throttle::judge,
    producer::judge,
    consumer::judge,
    rack::judge,
];

/// What one disk's fill means.
pub use disk::verdict as disk_verdict;
/// The write probes that failed, by leader.
pub use stopped::failed as failed_probes;

/// What is wrong with the controller quorum alone.
pub fn of_quorum(facts: &Facts<'_>) -> Vec<Cause> {
    quorum::judge(facts)
}

/// Every cause, the one to act on first.
pub fn all(facts: &Facts<'_>) -> Vec<Cause> {
    let mut causes: Vec<Cause> = ALL.iter().flat_map(|rule| rule(facts)).collect();
    causes.sort_by_key(|cause| cause.verdict != Verdict::Fail);
    causes
}
