//! Upgrades: versions, rolling, blue/green.

use super::deployment::is_before;
use super::setting::{self, at, ids, release, value};
use super::survey::Survey;
use super::{Check, Holds, Lack, Outcome, Plane, Section, Severity, broker};
use crate::check::Facts;
use crate::plan::whatif;

pub const CHECKS: &[Check] = &[
    Check {
        id: "client-versions",
        row: "41",
        section: Section::Upgrade,
        severity: Severity::High,
        title: "no client is too old for the next release",
        said: "keep clients at or below the version you upgrade from",
        holds: Holds::Update,
        today: "clients and brokers understand each other both ways since 0.10.2; 4.0 shuts out clients before 2.1 and old message formats (KIP-896)",
        planes: &[Plane::Kafka],
        judge: client_versions,
    },
    Check {
        id: "roll-gates",
        row: "42",
        section: Section::Upgrade,
        severity: Severity::High,
        title: "any one broker can be restarted without stopping a client",
        said: "in a rolling upgrade, one broker at a time",
        holds: Holds::Keep,
        today: "zone by zone, the controller last, on only when all is in sync; a partition with nobody else blocks the roll",
        planes: &[Plane::Kafka],
        judge: roll_gates,
    },
    Check {
        id: "downtime-upgrade",
        row: "43",
        section: Section::Upgrade,
        severity: Severity::Info,
        title: "a downtime upgrade is a choice, not an accident",
        said: "if you can afford it, take the whole cluster down",
        holds: Holds::Keep,
        today: "hardly ever needed: every release since 3.3 upgrades by rolling",
        planes: &[],
        judge: |_| {
            Outcome::advice("azimuth restart plan --all rolls without downtime; whether you may stop is yours to say")
        },
    },
    Check {
        id: "blue-green",
        row: "44",
        section: Section::Upgrade,
        severity: Severity::High,
        title: "the green cluster has what the blue one has before DNS is switched",
        said: "new cluster, producers, topics, test, then switch Route 53",
        holds: Holds::Update,
        today: "DNS moves bootstrap only: who is connected stays until it reconnects; TTL of 60 s or less",
        planes: &[Plane::Dns],
        judge: |_| {
            Check::without(
                Plane::Dns,
                "the weights of the record are looked at by the verbs of dns, not by checks",
            )
        },
    },
    Check {
        id: "versions",
        row: "45",
        section: Section::Upgrade,
        severity: Severity::Medium,
        title: "all brokers run one release, a recent one, and it is finalised",
        said: "keep clusters up to date with the latest version",
        holds: Holds::Keep,
        today: "4.3 is the newest known here; finalise metadata.version after a soak, it does not go back",
        planes: &[Plane::Kafka],
        judge: versions,
    },
    Check {
        id: "rollback",
        row: "46",
        section: Section::Upgrade,
        severity: Severity::High,
        title: "a switch can be taken back",
        said: "switch Route 53 to the old stack",
        holds: Holds::Keep,
        today: "the same, less what was written to green since: mirror back, or accept the loss",
        planes: &[Plane::Dns],
        judge: |_| {
            Check::without(
                Plane::Dns,
                "whether the old record set is kept is looked at by the verbs of dns, not by checks",
            )
        },
    },
];

/// The newest release that this Azimuth knows, and how many minor releases behind it are still near.
const NEWEST: (u32, u32) = (4, 3);

fn client_versions(facts: &Facts<'_>) -> Outcome {
    match is_before(facts, 4, 0) {
        Some(false) => {
            let version = facts
                .snapshot
                .cluster
                .get()
                .and_then(|cluster| cluster.version.clone())
                .unwrap_or_default();
            return Outcome::pass(format!("Kafka {version} already refuses clients before 2.1"));
        }
        None => return Outcome::unknown(Lack::Metric, "the cluster does not tell its version"),
        Some(true) => {}
    }
    let mut survey = Survey::new(setting::CONFIGS, "log.message.format.version", "3.0 or newer");
    for id in ids(facts) {
        if let Ok((format, seen)) = value(facts, id, "log.message.format.version") {
            let old = release(format).is_some_and(|known| known < (3, 0));
            if old {
                survey.add(false, broker(id), format, seen);
            }
        }
    }
    survey.lack(
        Lack::Metric,
        "brokers before 4.0 tell clients' versions by JMX only (kafka.server:type=socket-server-metrics, softwareversion)",
    );
    survey.end("", "an old message format, which 4.0 does not write")
}

fn roll_gates(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = setting::topics(facts) {
        return untold;
    }
    let mut survey = Survey::new(
        "Metadata",
        "while it restarts",
        "nothing offline, nothing under min ISR",
    );
    let blocked = whatif::blocked(facts.rows);
    for id in ids(facts) {
        let struck = blocked.get(&id).map_or(&[][..], Vec::as_slice);
        let value = struck
            .first()
            .map(|one| format!("{} blocked, {}: {}", struck.len(), one.name(), one.rule));
        survey.add(
            struck.is_empty(),
            broker(id),
            value.unwrap_or_default(),
            at(&facts.snapshot.topics),
        );
    }
    if facts.rows.topics.iter().any(|row| row.min_isr.value.is_none()) {
        survey.lacking(Lack::of(&facts.snapshot.topic_configs, "min.insync.replicas"));
    }
    let fix = blocked
        .keys()
        .next()
        .map_or_else(String::new, |id| format!("azimuth whatif restart {id}"));
    survey
        .end("each broker can be restarted alone", "a restart stops clients")
        .fix(fix)
}

fn versions(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.cluster;
    let finalised = section.get().and_then(|cluster| cluster.version.as_deref());
    let mut survey = Survey::new(
        "ApiVersions",
        "release",
        format!("one, finalised, {}.{} or near", NEWEST.0, NEWEST.1),
    );
    let Some(final_release) = finalised.and_then(release) else {
        return Outcome::unknown(
            Lack::Metric,
            "the cluster tells no finalised metadata.version (it is older than 3.0, or hides it)",
        );
    };
    for (id, link) in &facts.snapshot.links {
        match link.get().map(|link| link.release.as_deref()) {
            Some(Some(own)) => {
                let fits = release(own) == Some(final_release) || own.starts_with('>');
                let finalised = finalised.unwrap_or_default();
                survey.add(fits, broker(*id), format!("{own}, finalised {finalised}"), link.seen_at);
            }
            Some(None) => survey.lack(Lack::Metric, format!("{} does not tell its release", broker(*id))),
            None => survey.lacking(Lack::of(link, &broker(*id))),
        }
    }
    let behind = final_release.0 < NEWEST.0 || final_release.1 + 2 < NEWEST.1;
    survey.add(
        !behind,
        "cluster",
        format!("{}.{}", final_release.0, final_release.1),
        at(section),
    );
    survey.end("one recent release, finalised", "mixed, not finalised, or far behind")
}
