//! Networking: headroom, listeners, who may reach the brokers, what crossing zones costs.

use std::net::IpAddr;

use super::instance::below;
use super::setting::{self, at, ids, machines, survey, types, value};
use super::survey::Survey;
use super::{Check, Holds, Lack, Outcome, Plane, Proof, Section, Severity, broker};
use crate::check::Facts;
use crate::model::BrokerId;

pub const CHECKS: &[Check] = &[
    Check {
        id: "network-headroom",
        row: "36",
        section: Section::Network,
        severity: Severity::High,
        title: "no instance uses more than 80 % of its network baseline",
        said: "network and disk govern the size of a cluster",
        holds: Holds::Keep,
        today: "keep below two thirds of the baseline, so that a lost zone fits in",
        planes: &[Plane::Aws],
        judge: |facts| {
            below(facts, "CloudWatch", "network", 80.0, |row| &row.network_percent)
                .end("every network has room", "near its network baseline")
                .fix("azimuth broker list -o wide")
        },
    },
    Check {
        id: "network-baseline",
        row: "37,52",
        section: Section::Network,
        severity: Severity::Medium,
        title: "the network baseline carries what EBS carries",
        said: "pick a type with 10 Gb/s for high traffic and large messages",
        holds: Holds::Update,
        today: "\"up to 10 Gigabit\" is credit; each byte written is sent to two followers too, so look at the baseline: r6in.xlarge has 6.25 Gb/s, r7g.xlarge 1.88",
        planes: &[Plane::Aws],
        judge: network_baseline,
    },
    Check {
        id: "listener-separate",
        row: "38",
        section: Section::Network,
        severity: Severity::Medium,
        title: "brokers talk to each other on a listener of their own",
        said: "clients and brokers use the same interface and port",
        holds: Holds::Invert,
        today: "a listener each for clients, replication and controllers, so that each can be secured, throttled and closed alone",
        planes: &[Plane::Kafka],
        judge: listener_separate,
    },
    Check {
        id: "broker-public",
        row: "38",
        section: Section::Network,
        severity: Severity::High,
        title: "brokers have private addresses only",
        said: "keep traffic between brokers on the private subnet",
        holds: Holds::Keep,
        today: "the same; and no public address on the instance",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: broker_public,
    },
    Check {
        id: "world-open",
        row: "38",
        section: Section::Network,
        severity: Severity::Critical,
        title: "no security group lets the world in to Kafka's ports",
        said: "(nothing)",
        holds: Holds::Update,
        today: "0.0.0.0/0 and ::/0 never on the ports of listeners",
        planes: &[Plane::Kafka, Plane::Aws],
        judge: world_open,
    },
    Check {
        id: "one-region",
        row: "39",
        section: Section::Network,
        severity: Severity::High,
        title: "a cluster lies in one region",
        said: "several regions are connected by VPC peering",
        holds: Holds::Update,
        today: "peering or a transit gateway carries a mirror between clusters; one cluster over two regions waits for the distance on every write",
        planes: &[Plane::Kafka],
        judge: one_region,
    },
    Check {
        id: "follower-fetching",
        row: "40",
        section: Section::Network,
        severity: Severity::Medium,
        title: "consumers may read from the replica in their own zone",
        said: "mind the cost of traffic between zones",
        holds: Holds::Keep,
        today: "$0.02 for each GB that crosses, both ways counted; RackAwareReplicaSelector and client.rack save what consumers cross",
        planes: &[Plane::Kafka],
        judge: follower_fetching,
    },
];

fn network_baseline(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        "DescribeInstanceTypes",
        "network baseline",
        "no less than its EBS baseline",
    );
    types(facts, &mut survey, |survey, row, limits| {
        match (
            limits.network_baseline_gbit_per_second,
            limits.ebs_baseline_mb_per_second,
        ) {
            (Some(gbit), Some(ebs)) => {
                let value = format!("{}: {:.0} MB/s of network, {ebs:.0} of EBS", limits.name, gbit * 125.0);
                survey.add(gbit * 125.0 >= ebs, broker(row.id), value, None);
            }
            _ => survey.lack(
                Lack::Metric,
                format!("EC2 does not tell the baselines of {}", limits.name),
            ),
        }
    });
    survey.end("every network carries its disks", "less network than disk")
}

/// Names of listeners in `PLAINTEXT://h:1,SSL://h:2`.
pub(super) fn listeners(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(',').filter_map(|one| one.trim().split_once("://"))
}

/// What a listener's name means, by the map; a name that is a protocol means itself.
pub(super) fn protocol<'a>(map: &'a str, listener: &'a str) -> &'a str {
    let pairs = map.split(',').filter_map(|pair| pair.trim().split_once(':'));
    let mut own = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(listener));
    own.next().map_or(listener, |(_, protocol)| protocol)
}

/// The listener between brokers: by its name, or the first with the protocol between brokers.
pub(super) fn between_brokers<'a>(facts: &Facts<'a>, id: BrokerId) -> Result<&'a str, (Lack, String)> {
    let (name, _) = value(facts, id, "inter.broker.listener.name")?;
    if !name.is_empty() {
        return Ok(name);
    }
    let (wanted, _) = value(facts, id, "security.inter.broker.protocol")?;
    let (map, _) = value(facts, id, "listener.security.protocol.map").unwrap_or_default();
    let (all, _) = value(facts, id, "listeners")?;
    let mut named = listeners(all).map(|(name, _)| name);
    Ok(named
        .find(|name| protocol(map, name).eq_ignore_ascii_case(wanted))
        .unwrap_or(wanted))
}

fn listener_separate(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(setting::CONFIGS, "listeners", "one for clients beside the brokers' own");
    for id in ids(facts) {
        let told = between_brokers(facts, id).and_then(|own| Ok((own, value(facts, id, "listeners")?)));
        match told {
            Ok((own, (all, seen))) => {
                let controllers = value(facts, id, "controller.listener.names").map_or("", |(names, _)| names);
                let is_controllers =
                    |name: &str| controllers.split(',').any(|one| one.trim().eq_ignore_ascii_case(name));
                let mut others =
                    listeners(all).filter(|(name, _)| !name.eq_ignore_ascii_case(own) && !is_controllers(name));
                survey.add(others.next().is_some(), broker(id), all, seen);
            }
            Err(why) => survey.lacking(why),
        }
    }
    survey
        .end("clients have listeners of their own", "clients and brokers share a listener")
        .fix("listeners=CLIENT://…,REPLICATION://… and inter.broker.listener.name=REPLICATION in server.properties; then azimuth restart plan --all")
}

/// Reachable from the internet only by chance: RFC 1918, RFC 4193, loopback, link-local, RFC 6598.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            four.is_private()
                || four.is_loopback()
                || four.is_link_local()
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(six) => {
            six.is_loopback() || (six.segments()[0] & 0xfe00) == 0xfc00 || (six.segments()[0] & 0xffc0) == 0xfe80
        }
    }
}

fn broker_public(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeInstances, DescribeCluster", "address", "private");
    machines(facts, &mut survey, |survey, row, instance| {
        let advertised = row.host.parse::<IpAddr>().ok().filter(|address| !is_private(*address));
        match (&instance.public_address, advertised) {
            (Some(public), _) => survey.add(false, broker(row.id), format!("{} has {public}", instance.id), None),
            (None, Some(public)) => survey.add(false, broker(row.id), format!("advertises {public}"), None),
            (None, None) => survey.add(true, broker(row.id), &row.host, None),
        }
    });
    survey.end("no broker has a public address", "has a public address")
}

/// The ports of a broker's listeners; the advertised one where the others are not told.
fn ports(facts: &Facts<'_>, id: BrokerId, advertised: u16) -> Vec<u16> {
    let told = value(facts, id, "listeners").map_or("", |(all, _)| all);
    let mut ports: Vec<u16> = listeners(told)
        .filter_map(|(_, address)| address.rsplit_once(':')?.1.parse().ok())
        .collect();
    ports.push(advertised);
    ports
}

fn world_open(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.cloud.account.security_groups;
    let Some(groups) = section.get() else {
        return Outcome::untold(section, "security groups");
    };
    let mut survey = Survey::new("DescribeSecurityGroups", "open to the world", "not on Kafka's ports");
    let mut fix = None;
    machines(facts, &mut survey, |survey, row, instance| {
        let ports = ports(facts, row.id, row.port);
        let mut open = Vec::new();
        for group in instance.security_groups.iter().filter_map(|id| groups.get(id)) {
            for (first, last) in &group.open_to_world {
                for port in ports.iter().filter(|port| (first..=last).contains(port)) {
                    open.push(format!("{} lets everybody in to {port}", group.id));
                    fix.get_or_insert_with(|| {
                        format!("aws ec2 revoke-security-group-ingress --group-id {} --protocol tcp --port {port} --cidr 0.0.0.0/0", group.id)
                    });
                }
            }
        }
        let unknown = instance.security_groups.iter().any(|id| !groups.contains_key(id));
        match (open.first(), instance.security_groups.is_empty() || unknown) {
            (Some(first), _) => survey.add(false, broker(row.id), first, at(section)),
            (None, true) => survey.lack(
                Lack::Metric,
                format!("EC2 tells not all security groups of {}", broker(row.id)),
            ),
            (None, false) => survey.add(true, broker(row.id), "closed", at(section)),
        }
    });
    survey
        .end("the world is shut out of Kafka's ports", "open to the world")
        .fix(fix.unwrap_or_default())
}

/// `euw1` of `euw1-az1`, `eu-west-1` of `eu-west-1a`.
fn region_of(zone: &str) -> Option<&str> {
    if let Some((region, az)) = zone.rsplit_once("-az") {
        return az.parse::<u8>().is_ok().then_some(region);
    }
    let region = zone.strip_suffix(|letter: char| letter.is_ascii_lowercase())?;
    let parts: Vec<&str> = region.split('-').collect();
    (parts.len() >= 3 && parts.last()?.parse::<u8>().is_ok()).then_some(region)
}

fn one_region(facts: &Facts<'_>) -> Outcome {
    let mut regions: std::collections::BTreeMap<&str, Vec<BrokerId>> = std::collections::BTreeMap::new();
    for row in &facts.rows.brokers {
        let zone = row.zone_id.as_deref().or(row.rack.as_deref()).unwrap_or_default();
        match region_of(zone) {
            Some(region) => regions.entry(region).or_default().push(row.id),
            None => {
                let why = format!(
                    "the rack {zone:?} of {} names no zone of AWS, so its region is not known",
                    broker(row.id)
                );
                return Outcome::unknown(Lack::Metric, why);
            }
        }
    }
    let proofs = regions.iter().map(|(region, brokers)| Proof {
        source: "DescribeCluster",
        subject: (*region).to_owned(),
        field: "brokers".to_owned(),
        value: format!("{brokers:?}"),
        expected: "one region".to_owned(),
        seen_at: at(&facts.snapshot.cluster),
    });
    let proofs: Vec<Proof> = proofs.collect();
    match regions.len() {
        0 => Outcome::unknown(Lack::Answer, "no broker is known"),
        1 => Outcome::pass(format!("all brokers are in {}", proofs[0].subject)).evidence(proofs),
        many => Outcome::breach(format!(
            "brokers lie in {many} regions: every write waits for the distance"
        ))
        .evidence(proofs),
    }
}

/// Dollars for a GB that crosses between zones, both ways counted (EC2 on-demand pricing, data transfer).
const USD_PER_GB: f64 = 0.02;
const MONTH_SECONDS: f64 = 30.0 * 86_400.0;

/// What consumers cross at the present rate without follower fetching: of three zones two thirds.
fn crossing_usd(facts: &Facts<'_>) -> Option<f64> {
    let zones = facts.zones().len().max(1) as f64;
    let out: Option<f64> = facts
        .rows
        .brokers
        .iter()
        .map(|row| row.bytes_out_per_second.value)
        .sum();
    Some(out? * (zones - 1.0) / zones / 1e9 * MONTH_SECONDS * USD_PER_GB)
}

fn follower_fetching(facts: &Facts<'_>) -> Outcome {
    if facts.zones().len() == 1 && !facts.zones().contains_key("?") {
        return Outcome::not_applicable("all brokers are in one zone: nothing crosses");
    }
    let survey = survey(
        facts,
        "replica.selector.class",
        "RackAwareReplicaSelector",
        |_, class| class.ends_with("RackAwareReplicaSelector"),
    );
    let cost = crossing_usd(facts).map(|usd| format!(" (consumers cross for ${usd:.0}/month now)"));
    let ill = format!("consumers always read from the leader{}", cost.unwrap_or_default());
    survey.end("consumers may read in their zone", &ill).fix(
        "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector in server.properties; then azimuth restart plan --all",
    )
}
