//! The practices of "Best Practices for Running Apache Kafka on AWS" (AWS Big Data Blog, 2 March 2018), as rules over a
//! snapshot, with what eight years have changed.
//!
//! [`Check`] is one row: what the article said, whether that still holds, and a pure function that judges it. One file a
//! section of the article, and [`Section::Beyond`] for what incidents taught since. A [`Finding`] has four values and two
//! more that are no verdict: a practice that is not about this cluster is not applicable, and what no API can answer is
//! advice. Unknown is never taken for pass.

mod backup;
mod beyond;
mod deployment;
mod fault;
mod instance;
mod monitoring;
mod network;
mod outcome;
mod security;
mod setting;
mod storage;
mod survey;
#[cfg(test)]
mod tests;
mod tuning;
mod upgrade;

use serde::Serialize;
use strum::IntoEnumIterator;

use super::Facts;
use crate::model::BrokerId;

pub use outcome::{Lack, Outcome, Proof};

/// One practice and how it is judged.
#[derive(Debug)]
pub struct Check {
    /// Stable, for scripts: `replication-factor`.
    pub id: &'static str,
    /// Its number in the article's list of claims: `30`; `+` for what the article does not have.
    pub row: &'static str,
    pub section: Section,
    /// How bad it is when it does not hold.
    pub severity: Severity,
    /// What should be so.
    pub title: &'static str,
    /// What the article says; empty where it says nothing.
    pub said: &'static str,
    pub holds: Holds,
    /// What is right today, and why.
    pub today: &'static str,
    /// What must be seen to judge it. Where one of them has no client here, the check is unknown.
    pub planes: &'static [Plane],
    pub judge: fn(&Facts<'_>) -> Outcome,
}

/// The sections of the article, in its order.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Section {
    Deployment,
    Storage,
    Instance,
    Network,
    Upgrade,
    Tuning,
    Monitoring,
    Security,
    Backup,
    /// Not in the article.
    Beyond,
}

/// Whether what the article says is still right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Holds {
    /// Still right.
    Keep,
    /// The idea is right, the value or the way is not.
    Update,
    /// Following it today is a fault.
    Invert,
    /// The article does not have it.
    New,
}

/// How bad it is where a practice does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    Info,
    Low,
    Medium,
    /// The next single failure is an outage.
    High,
    /// Data or availability is being lost.
    Critical,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Plane {
    /// The brokers' own protocol.
    Kafka,
    /// EC2, EBS and CloudWatch.
    Aws,
    /// The brokers' metrics endpoints.
    Metrics,
    /// What was seen before, for ten minutes at least: a console that is open, or the recorder.
    Recording,
    // What follows has no client here.
    /// Elastic Load Balancing.
    Elb,
    Cloudtrail,
    /// Data Lifecycle Manager.
    Dlm,
    /// Route 53, as far as checks go.
    Dns,
    /// The operating system of the brokers' hosts.
    Host,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::Display, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    Fail,
    Warn,
    Unknown,
    Pass,
    /// It is not about this cluster.
    #[strum(to_string = "n/a")]
    #[serde(rename = "n/a")]
    NotApplicable,
    /// No API can answer it.
    Advice,
}

/// A judged check.
#[derive(Debug, Clone)]
pub struct Finding {
    pub check: &'static Check,
    pub status: Status,
    /// Of this finding: a check may find something worse or better than its usual.
    pub severity: Severity,
    /// One line.
    pub why: String,
    pub evidence: Vec<Proof>,
    /// So many proofs beyond those in `evidence`.
    pub more: usize,
    /// What is missing, where it is unknown.
    pub lack: Option<Lack>,
    /// The command that mends it.
    pub fix: Option<String>,
    /// The operation of ours that explains it while it progresses; then it does not count.
    pub explained_by: Option<String>,
}

/// How many checks of a section stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Score {
    pub section: Section,
    pub pass: u32,
    pub warn: u32,
    pub fail: u32,
    pub unknown: u32,
    /// Unknown because this build has no client for the plane; counted apart.
    pub no_plane: u32,
    pub not_applicable: u32,
    pub advice: u32,
}

impl Section {
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// As the article heads it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment considerations and patterns",
            Self::Storage => "Storage options",
            Self::Instance => "Instance types",
            Self::Network => "Networking",
            Self::Upgrade => "Upgrades",
            Self::Tuning => "Performance tuning",
            Self::Monitoring => "Monitoring",
            Self::Security => "Security",
            Self::Backup => "Backup and restore",
            Self::Beyond => "Beyond the article",
        }
    }
}

impl Plane {
    /// Whether anybody here can ask it.
    pub fn has_client(self) -> bool {
        matches!(self, Self::Kafka | Self::Aws | Self::Metrics | Self::Recording)
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::Aws => "EC2, EBS and CloudWatch",
            Self::Metrics => "the brokers' metrics endpoints",
            Self::Recording => "ten minutes of what was recorded",
            Self::Elb => "Elastic Load Balancing",
            Self::Cloudtrail => "CloudTrail",
            Self::Dlm => "Data Lifecycle Manager",
            Self::Dns => "Route 53",
            Self::Host => "the brokers' hosts",
        }
    }
}

/// Every check, in the order of the article.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let sections: [&'static [Check]; 10] = [
        deployment::CHECKS,
        storage::CHECKS,
        instance::CHECKS,
        network::CHECKS,
        upgrade::CHECKS,
        tuning::CHECKS,
        monitoring::CHECKS,
        security::CHECKS,
        backup::CHECKS,
        beyond::CHECKS,
    ];
    sections.into_iter().flatten()
}

pub fn find(id: &str) -> Option<&'static Check> {
    all().find(|check| check.id == id)
}

impl Check {
    /// Judges it on what is known. Linear in partitions at most.
    pub fn run(&'static self, facts: &Facts<'_>) -> Finding {
        let outcome = match facts.snapshot.cluster.get() {
            None if self.planes.contains(&Plane::Kafka) => {
                let why = facts.snapshot.cluster.problem();
                Outcome::unknown(Lack::Answer, format!("the cluster: {}", why.unwrap_or_default()))
            }
            _ => (self.judge)(facts),
        };
        outcome.finding(self)
    }

    /// The plane without a client that it hangs on.
    pub fn missing_plane(&self) -> Option<Plane> {
        self.planes.iter().copied().find(|plane| !plane.has_client())
    }

    /// For a check that nobody can judge here: the plane it would take.
    fn without(plane: Plane, what: &str) -> Outcome {
        Outcome::unknown(
            Lack::Plane,
            format!("{what}; this Azimuth has no client for {}", plane.words()),
        )
    }
}

impl Finding {
    /// Counts as a no.
    pub fn is_bad(&self) -> bool {
        matches!(self.status, Status::Fail | Status::Warn) && self.explained_by.is_none()
    }
}

/// Judges these checks, worst first in the order of the article.
pub fn judge(facts: &Facts<'_>, checks: impl IntoIterator<Item = &'static Check>) -> Vec<Finding> {
    checks.into_iter().map(|check| check.run(facts)).collect()
}

/// One score for each section that has a finding.
pub fn scores(findings: &[Finding]) -> Vec<Score> {
    let of = |section: Section| {
        let own = || findings.iter().filter(move |finding| finding.check.section == section);
        let count = |wanted: &dyn Fn(&Finding) -> bool| own().filter(|finding| wanted(finding)).count() as u32;
        let score = Score {
            section,
            pass: count(&|finding| finding.status == Status::Pass),
            warn: count(&|finding| finding.status == Status::Warn),
            fail: count(&|finding| finding.status == Status::Fail),
            unknown: count(&|finding| finding.status == Status::Unknown && finding.lack != Some(Lack::Plane)),
            no_plane: count(&|finding| finding.lack == Some(Lack::Plane)),
            not_applicable: count(&|finding| finding.status == Status::NotApplicable),
            advice: count(&|finding| finding.status == Status::Advice),
        };
        (own().count() > 0).then_some(score)
    };
    Section::all().filter_map(of).collect()
}

impl Score {
    /// `7 of 9`: what passes of what could be judged; `-` where nothing could.
    pub fn words(&self) -> String {
        match self.pass + self.warn + self.fail {
            0 => "-".to_owned(),
            judged => format!("{} of {judged}", self.pass),
        }
    }
}

/// `broker 4`.
fn broker(id: BrokerId) -> String {
    format!("broker {id}")
}
