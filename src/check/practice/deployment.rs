//! Deployment considerations and patterns: clusters, zones, controllers, mirrors.

use super::setting::{self, CONFIGS, at, ids, release, value};
use super::survey::Survey;
use super::{Check, Holds, Lack, Outcome, Plane, Proof, Section, Severity, broker};
use crate::check::Facts;
use crate::model::BrokerId;
use crate::model::config::ConfigSource;
use crate::model::event::EventKind;
use crate::model::identity::{Identity, Method};
use crate::model::row::config::ConfigRow;
use crate::model::row::partition::Badge;
use crate::plan::whatif;

pub const CHECKS: &[Check] = &[
    Check {
        id: "workload",
        row: "1",
        section: Section::Deployment,
        severity: Severity::Medium,
        title: "no broker has more replicas than its kind carries",
        said: "consider the number of messages, their size, monitoring, failures and operations",
        holds: Holds::Keep,
        today: "size from mean and peak with a zone lost; AWS's soft limit is 1000 replicas a broker up to xlarge, 2000 for 2xlarge, 4000 above",
        planes: &[Plane::Kafka],
        judge: workload,
    },
    Check {
        id: "several-zones",
        row: "2",
        section: Section::Deployment,
        severity: Severity::High,
        title: "the cluster lies in more than one zone",
        said: "one independent cluster in each zone, all of them active",
        holds: Holds::Invert,
        today: "one cluster stretched over three zones; a cluster in one zone is down with that zone",
        planes: &[Plane::Kafka],
        judge: several_zones,
    },
    Check {
        id: "load-balancer",
        row: "3",
        section: Section::Deployment,
        severity: Severity::Medium,
        title: "clients reach each broker at an address of its own",
        said: "a load balancer spreads data over three clusters",
        holds: Holds::Invert,
        today: "a load balancer is good for the bootstrap address only: a client must reach the leader of its partition",
        planes: &[Plane::Kafka],
        judge: load_balancer,
    },
    Check {
        id: "several-clusters",
        row: "4",
        section: Section::Deployment,
        severity: Severity::Info,
        title: "several clusters are watched together",
        said: "consumers aggregate from all three clusters",
        holds: Holds::Keep,
        today: "a context for each cluster",
        planes: &[],
        judge: |_| {
            Outcome::advice(
                "add a context for each cluster: azimuth context add; how consumers aggregate is theirs to say",
            )
        },
    },
    Check {
        id: "failover-order",
        row: "5",
        section: Section::Deployment,
        severity: Severity::Info,
        title: "failover goes in the right order",
        said: "producers down, consumers down, debug and restack, consumers up, producers up",
        holds: Holds::Update,
        today: "right for separate clusters; a stretched cluster needs no client stopped",
        planes: &[],
        judge: |_| {
            Outcome::advice("rehearse it: azimuth wait lag --all --below 0 is the gate before producers come back")
        },
    },
    Check {
        id: "zone-loss-partitions",
        row: "6",
        section: Section::Deployment,
        severity: Severity::High,
        title: "every partition goes on when a zone is lost",
        said: "all active sustains the loss of two zones",
        holds: Holds::Update,
        today: "RF 3 over 3 zones with min ISR 2 goes on writing when one is lost; of two it may keep the data, not the writes",
        planes: &[Plane::Kafka],
        judge: zone_loss_partitions,
    },
    Check {
        id: "config-drift",
        row: "7",
        section: Section::Deployment,
        severity: Severity::Medium,
        title: "all brokers have the same configs",
        said: "all changes are deployed three times, once for each cluster",
        holds: Holds::Keep,
        today: "no drift between brokers, but for what is a broker's own by nature",
        planes: &[Plane::Kafka],
        judge: config_drift,
    },
    Check {
        id: "shadowed-config",
        row: "8",
        section: Section::Deployment,
        severity: Severity::Low,
        title: "no dynamic config hides another value in the file",
        said: "patches and upgrades need a restart, cluster by cluster",
        holds: Holds::Keep,
        today: "many configs are dynamic since KIP-226; the file should not contradict them",
        planes: &[Plane::Kafka],
        judge: shadowed_config,
    },
    Check {
        id: "zones-even",
        row: "9,13",
        section: Section::Deployment,
        severity: Severity::High,
        title: "brokers are spread evenly over their racks, and each has one",
        said: "one cluster, its brokers spread evenly over three zones",
        holds: Holds::Keep,
        today: "a multiple of the zones; broker.rack is the AZ id, because zone names differ from account to account",
        planes: &[Plane::Kafka],
        judge: zones_even,
    },
    Check {
        id: "mirror",
        row: "10",
        section: Section::Deployment,
        severity: Severity::Medium,
        title: "a mirror is complete",
        said: "MirrorMaker copies to a standby cluster",
        holds: Holds::Update,
        today: "MirrorMaker 2 (MirrorMaker 1 is gone since 4.0), with heartbeats and checkpoints",
        planes: &[Plane::Kafka],
        judge: mirror,
    },
    Check {
        id: "client-zones",
        row: "11",
        section: Section::Deployment,
        severity: Severity::Medium,
        title: "consumers are in every zone that has brokers",
        said: "producers and consumers are deployed in all zones",
        holds: Holds::Keep,
        today: "evenly, with client.rack set to the AZ id; of producers Kafka tells no address",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: client_zones,
    },
    Check {
        id: "quorum",
        row: "12",
        section: Section::Deployment,
        severity: Severity::High,
        title: "an odd number of controllers votes, three or more, and all follow",
        said: "a ZooKeeper node in each zone",
        holds: Holds::Invert,
        today: "KRaft: 3 or 5 dedicated controllers, one a zone; Kafka 4.0 has no ZooKeeper",
        planes: &[Plane::Kafka],
        judge: quorum,
    },
    Check {
        id: "failover-offsets",
        row: "14,15",
        section: Section::Deployment,
        severity: Severity::Medium,
        title: "offsets of groups are translated to the standby",
        said: "switch traffic to the standby, restart consumers to read from it",
        holds: Holds::Update,
        today: "MirrorMaker 2 checkpoints with sync.group.offsets.enabled; rehearse the switch",
        planes: &[Plane::Kafka],
        judge: failover_offsets,
    },
    Check {
        id: "zone-loss-ready",
        row: "16,21",
        section: Section::Deployment,
        severity: Severity::High,
        title: "the loss of a zone stops nothing: topics, min ISR, controllers, headroom",
        said: "a failed zone won't cause Kafka downtime",
        holds: Holds::Update,
        today: "only if all hold: replicas in 3 racks, RF 3, min ISR 2, a majority of controllers left, every limit below 66 %",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: zone_loss_ready,
    },
    Check {
        id: "broker-latency",
        row: "17",
        section: Section::Deployment,
        severity: Severity::Low,
        title: "no broker is farther away than zones are apart",
        said: "latency is added by transfer between zones",
        holds: Holds::Keep,
        today: "0.5 to 2 ms between zones are normal; 5 ms more than the nearest broker are not",
        planes: &[Plane::Kafka],
        judge: broker_latency,
    },
    Check {
        id: "rack-spread",
        row: "18",
        section: Section::Deployment,
        severity: Severity::High,
        title: "the replicas of every partition lie in as many racks as they can",
        said: "before 0.10, replicas must be assigned to zones by hand",
        holds: Holds::Update,
        today: "rack-aware since 0.10, but a reassignment can break it",
        planes: &[Plane::Kafka],
        judge: |facts| {
            super::fault::none_with(
                facts,
                Badge::RackViolation,
                "as many racks as replicas and racks allow",
                "every partition lies in as many racks as it can",
                "partitions share a rack though they need not",
            )
            .fix("azimuth reassign plan --spread --out spread.json")
        },
    },
    Check {
        id: "controller-churn",
        row: "19",
        section: Section::Deployment,
        severity: Severity::High,
        title: "the controllers are stable and no broker is fenced",
        said: "the cluster can become unavailable when ZooKeeper does not see the brokers",
        holds: Holds::Update,
        today: "KRaft: more than 3 elections in 10 minutes, or a fenced broker, is the same fault",
        planes: &[Plane::Kafka, Plane::Recording],
        judge: controller_churn,
    },
    Check {
        id: "mirror-moves",
        row: "20",
        section: Section::Deployment,
        severity: Severity::Medium,
        title: "a mirror replicates now",
        said: "messages in transit may be lost in a failover",
        holds: Holds::Keep,
        today: "stop writes and wait until the mirror's heartbeats are level before the switch",
        planes: &[Plane::Kafka, Plane::Recording],
        judge: mirror_moves,
    },
];

/// AWS's soft limits by size of instance, from "Best practices for Amazon MSK": replicas a broker.
fn carries(instance_type: Option<&str>) -> u32 {
    match instance_type
        .and_then(|name| name.split_once('.'))
        .map(|(_, size)| size)
    {
        Some("nano" | "micro" | "small" | "medium" | "large" | "xlarge") => 1000,
        Some("2xlarge") => 2000,
        _ => 4000,
    }
}

fn workload(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("Metadata", "replicas", "no more than its kind of instance carries");
    for row in &facts.rows.brokers {
        let most = carries(row.instance_type.value.as_deref());
        setting::cell(&mut survey, &broker(row.id), &row.replicas, |survey, replicas| {
            survey.add(
                replicas <= most,
                broker(row.id),
                format!("{replicas} of {most}"),
                at(&facts.snapshot.topics),
            );
        });
    }
    let topics = facts.rows.topics.len();
    let partitions = facts.rows.partitions.len();
    survey.end(
        format!("{topics} topics, {partitions} partitions: no broker holds more than its kind carries"),
        "more replicas than the instance carries",
    )
}

/// Where each broker is: its zone's key, `?` where nobody tells.
fn several_zones(facts: &Facts<'_>) -> Outcome {
    let zones = facts.zones();
    if zones.contains_key("?") {
        let unplaced = super::super::text::ids(&zones["?"]);
        return Outcome::unknown(
            Lack::Metric,
            format!("nobody tells where brokers {unplaced} are: broker.rack is unset, and EC2 does not know them"),
        );
    }
    let proof = |(zone, ids): (&&str, &std::collections::BTreeSet<BrokerId>)| Proof {
        source: "DescribeCluster",
        subject: (*zone).to_owned(),
        field: "brokers".to_owned(),
        value: super::super::text::ids(ids),
        expected: "more than one zone".to_owned(),
        seen_at: facts.snapshot.cluster.seen_at,
    };
    let proofs: Vec<Proof> = zones.iter().map(proof).collect();
    match zones.len() {
        0 => Outcome::unknown(Lack::Answer, "no broker is known"),
        1 => Outcome::breach("all brokers are in one zone: it is down with it").evidence(proofs),
        many => Outcome::pass(format!("brokers are in {many} zones")).evidence(proofs),
    }
}

fn load_balancer(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeCluster", "advertised host", "an address of its own");
    let rows = &facts.rows.brokers;
    for row in rows {
        let shared = rows.iter().any(|other| other.id != row.id && other.host == row.host);
        let balanced = row.host.ends_with(".elb.amazonaws.com") || shared;
        let own = matches!(
            facts.snapshot.cloud.identities.get(&row.id),
            Some(Identity::Identified {
                method: Method::Address | Method::AddressName | Method::InstanceName | Method::ResolvedName,
                ..
            })
        );
        match (balanced, own) {
            (true, _) => survey.add(false, broker(row.id), &row.host, at(&facts.snapshot.cluster)),
            (false, true) => survey.add(true, broker(row.id), &row.host, at(&facts.snapshot.cluster)),
            (false, false) => survey.lack(
                Lack::Plane,
                format!(
                    "whether {} of {} is a load balancer's; this Azimuth has no client for Elastic Load Balancing",
                    row.host,
                    broker(row.id)
                ),
            ),
        }
    }
    survey.end(
        "every broker advertises its instance's own address",
        "an address that brokers share, or a load balancer's",
    )
}

fn zone_loss_partitions(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        "Metadata",
        "without this zone",
        "nothing offline, nothing under min ISR",
    );
    for zone in &facts.rows.zones {
        match whatif::zone_loss(facts.snapshot, facts.rows, &zone.key) {
            Err(whatif::Error::Unseen(why) | whatif::Error::NoSuch(why)) => survey.lack(Lack::Answer, why),
            Ok(loss) => {
                let (offline, under) = (loss.offline.len(), loss.under_min_isr.len());
                let first = loss.offline.first().or(loss.under_min_isr.first());
                let value = match first {
                    None => "nothing".to_owned(),
                    Some(first) => {
                        let rule = format!("{}: {}", first.name(), first.rule);
                        format!("{offline} offline, {under} under min ISR; {rule}")
                    }
                };
                survey.add(first.is_none(), &zone.key, value, at(&facts.snapshot.topics));
                if first.is_none() && loss.unjudged > 0 {
                    survey.lacking(Lack::of(&facts.snapshot.topic_configs, "min.insync.replicas"));
                }
            }
        }
    }
    let zone = survey.bad().first().map(|proof| proof.subject.clone());
    let fix = zone.map_or_else(String::new, |zone| format!("azimuth whatif az-loss {zone}"));
    survey
        .end(
            "every partition goes on without any one zone",
            "partitions stop without",
        )
        .fix(fix)
}

fn config_drift(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(CONFIGS, "value", "the same on all brokers");
    for id in ids(facts) {
        if let Err(why @ (Lack::Permission | Lack::Answer, _)) = setting::config(facts, id, "num.io.threads") {
            survey.lacking(why);
        }
    }
    let rows = ConfigRow::all(facts.snapshot, facts.now);
    for row in rows.iter().filter(|row| row.drifts()) {
        for outlier in row.outliers() {
            let own = outlier.held.value.as_ref().map(|held| held.words()).unwrap_or_default();
            survey.add(false, broker(outlier.broker), format!("{} {own}", row.name), None);
        }
    }
    if survey.bad().is_empty() && !rows.is_empty() {
        survey.add(true, "all brokers", format!("{} configs alike", rows.len()), None);
    }
    survey
        .end("no config differs from broker to broker", "not what the others have")
        .fix("azimuth config list --drift")
}

fn shadowed_config(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(CONFIGS, "dynamic and static value", "the same, or the file silent");
    for (id, section) in &facts.snapshot.broker_configs {
        let Some(configs) = section.get() else {
            survey.lacking(Lack::of(section, &format!("configs of {}", broker(*id))));
            continue;
        };
        let mut shadows = 0;
        for config in configs {
            let by = |source: ConfigSource| config.synonyms.iter().find(|one| one.source == source);
            let dynamic = matches!(
                config.source,
                ConfigSource::DynamicBroker | ConfigSource::DynamicDefaultBroker
            );
            let Some(file) = by(ConfigSource::StaticBroker).filter(|_| dynamic && !config.sensitive) else {
                continue;
            };
            let same = match (&file.value, &config.value) {
                (Some(one), Some(other)) => crate::model::config::is_same(one, other),
                (one, other) => one == other,
            };
            if !same {
                shadows += 1;
                let words = |value: &Option<String>| value.clone().unwrap_or_default();
                let value = format!("{} {} over {}", config.name, words(&config.value), words(&file.value));
                survey.add(false, broker(*id), value, section.seen_at);
            }
        }
        if shadows == 0 {
            survey.add(true, broker(*id), "no dynamic value over another one", section.seen_at);
        }
    }
    survey.end("no dynamic config contradicts its file", "the file says something else")
}

fn zones_even(facts: &Facts<'_>) -> Outcome {
    let cluster = &facts.snapshot.cluster;
    let rows = &facts.rows.brokers;
    let seen = at(cluster);
    let mut racks: std::collections::BTreeMap<Option<&str>, u32> = std::collections::BTreeMap::new();
    for row in rows {
        *racks.entry(row.rack.as_deref()).or_default() += 1;
    }
    let proofs: Vec<Proof> = racks
        .iter()
        .map(|(rack, brokers)| Proof {
            source: "DescribeCluster",
            subject: rack.unwrap_or("no rack").to_owned(),
            field: "brokers".to_owned(),
            value: brokers.to_string(),
            expected: "as many as the other racks".to_owned(),
            seen_at: seen,
        })
        .collect();
    if rows.is_empty() {
        return Outcome::unknown(Lack::Answer, "no broker is known");
    }
    if let Some(without) = racks.get(&None) {
        return Outcome::breach(format!("{without} of {} brokers have no broker.rack", rows.len()))
            .evidence(proofs)
            .fix("broker.rack=AZ-ID in each broker's server.properties; then azimuth restart plan --all");
    }
    let (least, most) = (racks.values().min().copied(), racks.values().max().copied());
    match (least.zip(most), racks.len()) {
        (Some((least, most)), _) if most - least > 1 => {
            Outcome::breach(format!("racks have from {least} to {most} brokers"))
                .severity(Severity::Medium)
                .evidence(proofs)
        }
        (_, few) if few < 3 => Outcome::breach(format!("{few} racks only; three survive one loss with a majority"))
            .severity(Severity::Medium)
            .evidence(proofs),
        (_, many) => Outcome::pass(format!("{} brokers over {many} racks, even", rows.len())).evidence(proofs),
    }
}

/// What MirrorMaker 2 leaves: its heartbeats, checkpoints and offset syncs.
#[derive(Debug, Default)]
struct Mirror {
    heartbeats: Vec<String>,
    checkpoints: Vec<String>,
    syncs: Vec<String>,
}

impl Mirror {
    fn of(facts: &Facts<'_>) -> Self {
        let mut mirror = Self::default();
        for topic in facts.snapshot.topics() {
            let name = topic.name.as_str();
            if name == "heartbeats" || name.ends_with(".heartbeats") {
                mirror.heartbeats.push(name.to_owned());
            } else if name.ends_with(".checkpoints.internal") {
                mirror.checkpoints.push(name.to_owned());
            } else if name.starts_with("mm2-offset-syncs.") {
                mirror.syncs.push(name.to_owned());
            }
        }
        mirror
    }

    fn is_absent(&self) -> bool {
        self.heartbeats.is_empty() && self.checkpoints.is_empty() && self.syncs.is_empty()
    }
}

/// The mirror, or what is to be said without one.
fn with_mirror(facts: &Facts<'_>, judge: impl FnOnce(&Mirror) -> Outcome) -> Outcome {
    if let Some(untold) = setting::topics(facts) {
        return untold;
    }
    let mirror = Mirror::of(facts);
    match mirror.is_absent() {
        true => Outcome::not_applicable("no topic of MirrorMaker 2 is here: this cluster mirrors nothing"),
        false => judge(&mirror),
    }
}

fn topic_proof(facts: &Facts<'_>, name: &str, expected: &str) -> Proof {
    Proof {
        source: "Metadata",
        subject: format!("topic {name}"),
        field: "exists".to_owned(),
        value: "yes".to_owned(),
        expected: expected.to_owned(),
        seen_at: at(&facts.snapshot.topics),
    }
}

fn mirror(facts: &Facts<'_>) -> Outcome {
    with_mirror(facts, |mirror| {
        let all = mirror.heartbeats.iter().chain(&mirror.checkpoints).chain(&mirror.syncs);
        let proofs: Vec<Proof> = all
            .map(|name| topic_proof(facts, name, "heartbeats and the rest"))
            .collect();
        match mirror.heartbeats.is_empty() {
            true => Outcome::breach("MirrorMaker 2 runs without heartbeats: nobody can tell how far behind it is")
                .fix("emit.heartbeats.enabled=true in the mirror's properties")
                .evidence(proofs),
            false => Outcome::pass("MirrorMaker 2 with heartbeats").evidence(proofs),
        }
    })
}

fn failover_offsets(facts: &Facts<'_>) -> Outcome {
    with_mirror(facts, |mirror| match mirror.checkpoints.is_empty() {
        true => Outcome::breach("no checkpoints topic: after a switch consumers begin where their reset policy says")
            .fix("emit.checkpoints.enabled=true, sync.group.offsets.enabled=true in the mirror's properties"),
        false => Outcome::pass("checkpoints translate the groups' offsets").evidence(
            mirror
                .checkpoints
                .iter()
                .map(|name| topic_proof(facts, name, "present")),
        ),
    })
}

fn mirror_moves(facts: &Facts<'_>) -> Outcome {
    with_mirror(facts, |mirror| {
        let mut survey = Survey::new("ListOffsets", "records/s", "more than 0");
        for name in &mirror.heartbeats {
            let row = facts.rows.topics.iter().find(|row| row.name == *name);
            let Some(row) = row else { continue };
            setting::cell(&mut survey, &format!("topic {name}"), &row.rate, |survey, rate| {
                survey.add(
                    rate > 0.0,
                    format!("topic {name}"),
                    format!("{rate:.2}"),
                    at(&facts.snapshot.topics),
                );
            });
        }
        if survey.is_empty() {
            survey.lack(Lack::Answer, "heartbeats were not seen twice yet");
        }
        survey.end(
            "heartbeats arrive",
            "heartbeats stand still, a switch now loses what is not copied",
        )
    })
}

/// Whether an IPv4 address lies in `10.0.1.0/24`.
fn holds(cidr: &str, address: &str) -> bool {
    let parse = |text: &str| text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
    let Some((net, bits)) = cidr.split_once('/') else {
        return false;
    };
    match (parse(net), parse(address), bits.parse::<u32>()) {
        (Some(net), Some(address), Ok(bits @ 1..=32)) => (net ^ address) >> (32 - bits) == 0,
        _ => false,
    }
}

fn client_zones(facts: &Facts<'_>) -> Outcome {
    let (groups, subnets) = (&facts.snapshot.groups, &facts.snapshot.cloud.account.subnets);
    let Some(groups) = groups.get() else {
        return Outcome::untold(groups, "groups");
    };
    let members: Vec<_> = groups.iter().flat_map(|group| &group.members).collect();
    if members.is_empty() {
        return Outcome::not_applicable("no group has a member now");
    }
    let Some(known) = subnets.get() else {
        return Outcome::untold(subnets, "subnets");
    };
    let mut placed: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    let mut strangers = 0;
    for member in &members {
        match known.values().find(|subnet| holds(&subnet.cidr, &member.host)) {
            Some(subnet) => {
                *placed
                    .entry(subnet.zone_id.clone().unwrap_or_else(|| subnet.zone.clone()))
                    .or_default() += 1
            }
            None => strangers += 1,
        }
    }
    if placed.is_empty() {
        let host = &members[0].host;
        return Outcome::unknown(
            Lack::Metric,
            format!("{strangers} members are in no subnet of the brokers' VPC, the first at {host}"),
        );
    }
    let mut survey = Survey::new("DescribeSubnets", "members", "some in every zone that has brokers");
    for zone in &facts.rows.zones {
        let names = [zone.zone_id.as_ref(), zone.zone_name.as_ref(), Some(&zone.key)];
        let here = names
            .into_iter()
            .flatten()
            .find_map(|name| placed.get(name))
            .copied()
            .unwrap_or_default();
        survey.add(here > 0, &zone.key, format!("{here} members"), at(subnets));
    }
    survey.end("members are in every zone", "no consumer in")
}

fn quorum(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.quorum;
    let Some(quorum) = section.get() else {
        return Outcome::untold(section, "quorum");
    };
    let voters = quorum.voters.len();
    let proof = |field: &str, value: String, expected: &str| Proof {
        source: "DescribeQuorum",
        subject: "quorum".to_owned(),
        field: field.to_owned(),
        value,
        expected: expected.to_owned(),
        seen_at: section.seen_at,
    };
    let proofs = [
        proof(
            "leader",
            quorum.leader.map_or_else(|| "none".to_owned(), |id| id.to_string()),
            "one",
        ),
        proof("voters", voters.to_string(), "3 or 5"),
    ];
    let crowded = facts.zones().into_iter().find(|(zone, ids)| {
        *zone != "?" && voters > 1 && quorum.voters.iter().filter(|voter| ids.contains(&voter.id)).count() > voters / 2
    });
    if quorum.leader.is_none() {
        return Outcome::breach("no controller leads: nothing about topics, leaders or members changes")
            .severity(Severity::Critical)
            .evidence(proofs);
    }
    match (voters, crowded) {
        (1, _) => Outcome::breach("one controller votes: without it nothing is elected").evidence(proofs),
        (even, _) if even % 2 == 0 => {
            Outcome::breach(format!("{even} controllers vote: an even one adds no safety")).evidence(proofs)
        }
        (_, Some((zone, _))) => Outcome::breach(format!("a majority of the voters is in {zone}")).evidence(proofs),
        (many, None) => Outcome::pass(format!("{many} voters, one leads")).evidence(proofs),
    }
    .fix("kafka-metadata-quorum.sh --bootstrap-controller HOST:PORT add-controller")
}

/// Two thirds: with one of three zones lost the rest does half as much again.
const HEADROOM: f64 = 100.0;

fn zone_loss_ready(facts: &Facts<'_>) -> Outcome {
    if let Some(untold) = setting::topics(facts) {
        return untold;
    }
    let mut survey = Survey::new("snapshot", "zone loss", "holds");
    let mut leg = |name: &str, fits: Result<bool, (Lack, String)>, value: String| match fits {
        Ok(fits) => survey.add(fits, name, value, None),
        Err((lack, why)) => survey.lack(lack, format!("{name}: {why}")),
    };
    let racks: std::collections::BTreeMap<BrokerId, &str> = facts
        .rows
        .brokers
        .iter()
        .map(|row| (row.id, row.zone.as_str()))
        .collect();
    let spread = |replicas: &[BrokerId]| {
        let zones: std::collections::BTreeSet<_> = replicas.iter().filter_map(|id| racks.get(id)).collect();
        zones.len()
    };
    let narrow = facts
        .rows
        .partitions
        .iter()
        .filter(|row| spread(&row.replicas) < 3)
        .count();
    let unplaced = racks.values().any(|zone| *zone == "?");
    let racks_known = match unplaced {
        true => Err((Lack::Metric, "nobody tells the zone of some brokers".to_owned())),
        false => Ok(narrow == 0),
    };
    leg(
        "replicas in 3 zones",
        racks_known,
        format!("{narrow} partitions in fewer"),
    );
    let thin = facts
        .rows
        .topics
        .iter()
        .filter(|row| row.replication_factor < 3)
        .count();
    leg("RF 3", Ok(thin == 0), format!("{thin} topics with less"));
    let untold = facts.rows.topics.iter().any(|row| row.min_isr.value.is_none());
    let unlike = facts
        .rows
        .topics
        .iter()
        .filter(|row| row.min_isr.value.is_some_and(|least| least != 2))
        .count();
    let least = match (unlike, untold) {
        (0, true) => Err(Lack::of(&facts.snapshot.topic_configs, "topic configs")),
        (unlike, _) => Ok(unlike == 0),
    };
    leg("min ISR 2", least, format!("{unlike} topics with another"));
    let mut quorum = Ok(true);
    let mut text = "a majority is left without any zone".to_owned();
    for zone in &facts.rows.zones {
        if let Ok(loss) = whatif::zone_loss(facts.snapshot, facts.rows, &zone.key) {
            match loss.quorum.holds {
                Some(true) => {}
                Some(false) => (quorum, text) = (Ok(false), format!("without {}: {}", zone.key, loss.quorum.text)),
                None if quorum == Ok(true) => quorum = Err((Lack::Metric, loss.quorum.text)),
                None => {}
            }
        }
    }
    leg("controllers", quorum, text);
    let mut worst: Result<f64, (Lack, String)> = Ok(0.0);
    for row in &facts.rows.brokers {
        worst = match (worst, row.zone_down_percent.value) {
            (Ok(worst), Some(percent)) => Ok(worst.max(percent)),
            (Err(why), Some(percent)) if percent < HEADROOM => Err(why),
            (_, Some(percent)) => Ok(percent),
            (Ok(worst), None) if worst < HEADROOM => {
                let reason = row.zone_down_percent.reason.clone().unwrap_or_default();
                Err((Lack::Answer, format!("{}: {reason}", broker(row.id))))
            }
            (worst, None) => worst,
        };
    }
    let text = worst
        .as_ref()
        .map_or_else(|_| String::new(), |worst| format!("{worst:.0} % of the tightest limit"));
    leg("headroom", worst.map(|worst| worst < HEADROOM), text);
    let fix = facts
        .rows
        .zones
        .first()
        .map(|zone| format!("azimuth whatif az-loss {}", zone.key));
    survey
        .end("all five hold: a lost zone stops nothing", "a lost zone stops clients")
        .fix(fix.unwrap_or_default())
}

/// More than zones are apart, in ms.
const FAR_MS: f64 = 5.0;

fn broker_latency(facts: &Facts<'_>) -> Outcome {
    let nearest = facts
        .rows
        .brokers
        .iter()
        .filter_map(|row| row.rtt_ms.value)
        .min_by(f64::total_cmp);
    let mut survey = Survey::new("ApiVersions", "rtt", "within 5 ms of the nearest broker");
    for row in &facts.rows.brokers {
        setting::cell(&mut survey, &broker(row.id), &row.rtt_ms, |survey, rtt| {
            let seen = facts.snapshot.links.get(&row.id).and_then(|link| link.seen_at);
            let far = nearest.is_some_and(|nearest| rtt - nearest > FAR_MS);
            survey.add(!far, broker(row.id), format!("{rtt:.1} ms"), seen);
        });
    }
    survey.end(
        "all brokers answer about as fast",
        "slower than the nearest broker by more than 5 ms",
    )
}

/// More elections than this within ten minutes are unrest.
const ELECTIONS: u32 = 3;
const WINDOW_SECONDS: i64 = 600;

fn controller_churn(facts: &Facts<'_>) -> Outcome {
    let fenced: Vec<BrokerId> = match facts.snapshot.cluster.get() {
        Some(cluster) => cluster
            .brokers
            .iter()
            .filter(|one| one.fenced)
            .map(|one| one.id)
            .collect(),
        None => return Outcome::untold(&facts.snapshot.cluster, "cluster"),
    };
    let events = &facts.snapshot.events;
    let age = |at: crate::model::Moment| facts.now.duration_since(at).as_secs();
    let recent = events
        .iter()
        .filter(|event| event.kind == EventKind::Controller && age(event.at) < WINDOW_SECONDS);
    let elections: u32 = recent.map(|event| event.count).sum();
    let proof = |field: &str, value: String, expected: &str| Proof {
        source: "DescribeQuorum, seen again and again",
        subject: "controllers".to_owned(),
        field: field.to_owned(),
        value,
        expected: expected.to_owned(),
        seen_at: Some(facts.now),
    };
    let proofs = [
        proof("elections in 10 m", elections.to_string(), "no more than 3"),
        proof("fenced brokers", format!("{fenced:?}"), "none"),
    ];
    let watched = events.watched_since.map_or(0, age);
    match (fenced.first(), elections > ELECTIONS) {
        (Some(_), _) => Outcome::breach(format!("fenced by the controller: {fenced:?}")).evidence(proofs),
        (None, true) => {
            Outcome::breach(format!("{elections} controllers were elected within 10 minutes")).evidence(proofs)
        }
        (None, false) if watched < WINDOW_SECONDS => Outcome::unknown(
            Lack::Answer,
            format!("watched for {watched} s only, of 600; keep a console open, or ask again"),
        )
        .evidence(proofs),
        (None, false) => Outcome::pass(format!("{elections} elections in 10 minutes, nobody fenced")).evidence(proofs),
    }
}

/// Kafka before 4.0 may have ZooKeeper still.
pub(super) fn is_before(facts: &Facts<'_>, major: u32, minor: u32) -> Option<bool> {
    let version = facts.snapshot.cluster.get()?.version.as_deref()?;
    Some(release(version)? < (major, minor))
}

/// A broker that names ZooKeeper.
pub(super) fn zookeeper<'a>(facts: &Facts<'a>) -> Option<(BrokerId, &'a str)> {
    let told = |id| Some((id, value(facts, id, "zookeeper.connect").ok()?.0));
    ids(facts).filter_map(told).find(|(_, value)| !value.is_empty())
}
