//! Security: encryption at rest and on the way, who logs in, who may do what.

use super::deployment::zookeeper;
use super::network::{listeners, protocol};
use super::setting::{self, at, ids, machines, types, value, volumes};
use super::survey::Survey;
use super::{Check, Holds, Lack, Outcome, Plane, Section, Severity, broker};
use crate::check::Facts;
use crate::model::acl::{Operation, Pattern, Permission};
use crate::model::{BrokerId, Health};

pub const CHECKS: &[Check] = &[
    Check {
        id: "volume-encryption",
        row: "59",
        section: Section::Security,
        severity: Severity::High,
        title: "data volumes are encrypted",
        said: "use encrypted EBS volumes, with KMS",
        holds: Holds::Keep,
        today: "the same; a volume cannot be encrypted later, only copied",
        planes: &[Plane::Aws],
        judge: volume_encryption,
    },
    Check {
        id: "encryption-default",
        row: "59",
        section: Section::Security,
        severity: Severity::Low,
        title: "the account encrypts new volumes unasked",
        said: "(nothing)",
        holds: Holds::Update,
        today: "EBS encryption by default, per region: the next restack cannot forget it",
        planes: &[Plane::Aws],
        judge: encryption_default,
    },
    Check {
        id: "store-encryption",
        row: "60",
        section: Section::Security,
        severity: Severity::Medium,
        title: "instance store is encrypted",
        said: "use instance store encryption",
        holds: Holds::Update,
        today: "Nitro encrypts NVMe stores always; d2 and r3 never",
        planes: &[Plane::Aws],
        judge: store_encryption,
    },
    Check {
        id: "tls",
        row: "61",
        section: Section::Security,
        severity: Severity::High,
        title: "no listener beyond loopback is in the clear",
        said: "Kafka uses TLS for clients and between brokers",
        holds: Holds::Keep,
        today: "SSL or SASL_SSL on every listener, between brokers too",
        planes: &[Plane::Kafka],
        judge: tls,
    },
    Check {
        id: "certificate",
        row: "61",
        section: Section::Security,
        severity: Severity::Critical,
        title: "no certificate has expired",
        said: "(nothing)",
        holds: Holds::Update,
        today: "nobody new gets in with an expired one; key stores are read anew without a restart",
        planes: &[Plane::Kafka],
        judge: certificate,
    },
    Check {
        id: "authentication",
        row: "62",
        section: Section::Security,
        severity: Severity::High,
        title: "everybody who connects logs in, and no password goes in the clear",
        said: "SSL or SASL, and Kerberos",
        holds: Holds::Update,
        today: "SCRAM-SHA-512, mTLS or OAUTHBEARER; PLAIN only under TLS",
        planes: &[Plane::Kafka],
        judge: authentication,
    },
    Check {
        id: "authorizer",
        row: "63",
        section: Section::Security,
        severity: Severity::High,
        title: "an authorizer decides, and says no by default",
        said: "authorization is pluggable",
        holds: Holds::Update,
        today: "org.apache.kafka.metadata.authorizer.StandardAuthorizer; allow.everyone.if.no.acl.found=false",
        planes: &[Plane::Kafka],
        judge: authorizer,
    },
    Check {
        id: "wildcard-rules",
        row: "63",
        section: Section::Security,
        severity: Severity::High,
        title: "no rule gives everything to everybody",
        said: "(nothing)",
        holds: Holds::Update,
        today: "no User:* with more than reading, no principal with All on all topics but administrators",
        planes: &[Plane::Kafka],
        judge: wildcard_rules,
    },
    Check {
        id: "controller-listener",
        row: "64",
        section: Section::Security,
        severity: Severity::High,
        title: "the controllers' listener is secured",
        said: "set up ACLs in ZooKeeper",
        holds: Holds::Invert,
        today: "there is no ZooKeeper: who reaches the controllers' listener in the clear may rewrite the metadata",
        planes: &[Plane::Kafka],
        judge: controller_listener,
    },
    Check {
        id: "imdsv2",
        row: "+",
        section: Section::Security,
        severity: Severity::Medium,
        title: "instances answer IMDSv2 only",
        said: "",
        holds: Holds::New,
        today: "HttpTokens=required: a request forged through a process on the host cannot take the role's credentials",
        planes: &[Plane::Aws],
        judge: imdsv2,
    },
];

fn volume_encryption(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeVolumes", "Encrypted", "true");
    let mut first = None;
    volumes(facts, &mut survey, |survey, row| {
        if !row.encrypted {
            first = first.or(row.broker);
        }
        survey.add(row.encrypted, &row.id, row.encrypted.to_string(), None);
    });
    survey
        .end("all data volumes are encrypted", "not encrypted")
        .fix(format!("azimuth volume encrypt --broker {}", first.unwrap_or_default()))
}

fn encryption_default(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.cloud.account.encryption_by_default;
    let Some(on) = section.get() else {
        return Outcome::untold(section, "EBS encryption by default");
    };
    let mut survey = Survey::new("GetEbsEncryptionByDefault", "EbsEncryptionByDefault", "true");
    survey.add(*on, "the account", on.to_string(), at(section));
    survey
        .end(
            "new volumes are encrypted unasked",
            "new volumes are encrypted only when asked",
        )
        .fix("aws ec2 enable-ebs-encryption-by-default")
}

fn store_encryption(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeInstanceTypes", "instance store encryption", "required");
    let mut stores = 0;
    types(facts, &mut survey, |survey, row, limits| {
        if limits.instance_storage_gb.unwrap_or(0) == 0 {
            return;
        }
        stores += 1;
        match limits.store_encryption.as_deref() {
            Some(support) => survey.add(
                support == "required",
                broker(row.id),
                format!("{} {support}", limits.name),
                None,
            ),
            None => survey.lack(
                Lack::Metric,
                format!("EC2 does not tell the encryption of {}", limits.name),
            ),
        }
    });
    let silent = facts.rows.brokers.iter().any(|row| row.instance.value.is_none());
    match (stores, silent) {
        (0, false) if !facts.rows.brokers.is_empty() && survey_is_settled(facts) => {
            Outcome::not_applicable("no instance has a store of its own")
        }
        _ => survey.end(
            "instance stores are encrypted by Nitro",
            "a store that is not encrypted",
        ),
    }
}

/// Whether every broker's type is known.
fn survey_is_settled(facts: &Facts<'_>) -> bool {
    let cloud = &facts.snapshot.cloud;
    let known = |id: BrokerId| {
        cloud
            .instance_of(id)
            .is_some_and(|one| cloud.types.contains_key(&one.instance_type))
    };
    ids(facts).all(known)
}

/// A broker's listeners that leave the host, with their protocol.
fn open_listeners<'a>(facts: &Facts<'a>, id: BrokerId) -> Result<Vec<(&'a str, &'a str)>, (Lack, String)> {
    let (all, _) = value(facts, id, "listeners")?;
    let (map, _) = value(facts, id, "listener.security.protocol.map").unwrap_or_default();
    let host = |address: &'a str| address.rsplit_once(':').map_or("", |(host, _)| host);
    let beyond = |address: &'a str| {
        let host = host(address).trim_matches(['[', ']']);
        host != "localhost" && !host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    let named = listeners(all).filter(|(_, address)| beyond(address));
    Ok(named.map(|(name, _)| (name, protocol(map, name))).collect())
}

fn tls(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(setting::CONFIGS, "listeners", "SSL or SASL_SSL beyond loopback");
    for id in ids(facts) {
        match open_listeners(facts, id) {
            Ok(all) => {
                let clear: Vec<&str> = all
                    .iter()
                    .filter(|(_, protocol)| !protocol.ends_with("SSL"))
                    .map(|(name, _)| *name)
                    .collect();
                survey.add(clear.is_empty(), broker(id), clear.join(", "), None);
            }
            Err(why) => survey.lacking(why),
        }
    }
    survey
        .end("every listener beyond loopback is encrypted", "in the clear")
        .fix("listener.security.protocol.map=…:SASL_SSL in server.properties; then azimuth restart plan --all")
}

fn certificate(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("TLS handshake", "certificate", "valid");
    for (id, link) in &facts.snapshot.links {
        match &link.health {
            Health::Failing { reason, .. } if reason.contains("expired") => {
                survey.add(false, broker(*id), reason, link.seen_at)
            }
            Health::Fresh => survey.add(true, broker(*id), "accepted", link.seen_at),
            _ => survey.lacking(Lack::of(link, &broker(*id))),
        }
    }
    let encrypted = ids(facts).any(|id| {
        let all = value(facts, id, "listeners").map_or("", |(all, _)| all);
        let map = value(facts, id, "listener.security.protocol.map").map_or("", |(map, _)| map);
        listeners(all).any(|(name, _)| protocol(map, name).ends_with("SSL"))
    });
    let told = ids(facts).any(|id| value(facts, id, "listeners").is_ok());
    match (survey.bad().is_empty(), told && !encrypted) {
        (true, true) => Outcome::not_applicable("no listener has TLS"),
        _ => survey
            .end("every broker's certificate was accepted", "expired")
            .fix("azimuth config set ssl.keystore.location=PATH --broker ID"),
    }
}

fn authentication(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        setting::CONFIGS,
        "listeners",
        "SASL, or SSL with ssl.client.auth=required",
    );
    let mut worst = Severity::High;
    for id in ids(facts) {
        let all = match open_listeners(facts, id) {
            Ok(all) => all,
            Err(why) => {
                survey.lacking(why);
                continue;
            }
        };
        let auth = value(facts, id, "ssl.client.auth").map_or("none", |(auth, _)| auth);
        let plain = value(facts, id, "sasl.enabled.mechanisms")
            .is_ok_and(|(list, _)| list.split(',').any(|one| one.trim() == "PLAIN"));
        let mut faults = Vec::new();
        for (name, protocol) in all {
            let own = value(
                facts,
                id,
                &format!("listener.name.{}.ssl.client.auth", name.to_lowercase()),
            )
            .map_or(auth, |(auth, _)| auth);
            match protocol {
                "SASL_PLAINTEXT" if plain => {
                    worst = Severity::Critical;
                    faults.push(format!("{name}: PLAIN passwords in the clear"));
                }
                "PLAINTEXT" => faults.push(format!("{name}: nobody logs in")),
                "SSL" if own != "required" => faults.push(format!("{name}: no client certificate asked for")),
                _ => {}
            }
        }
        survey.add(faults.is_empty(), broker(id), faults.join(", "), None);
    }
    survey.end("everybody logs in", "anybody may connect").severity(worst)
}

fn authorizer(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new(
        setting::CONFIGS,
        "authorizer.class.name",
        "StandardAuthorizer, and no by default",
    );
    let acls = &facts.snapshot.acls;
    if let Some(known) = acls.get() {
        survey.add(
            known.authorizer,
            "the cluster",
            if known.authorizer {
                "answers DescribeAcls"
            } else {
                "security is disabled"
            },
            at(acls),
        );
    }
    for id in ids(facts) {
        match value(facts, id, "authorizer.class.name") {
            Ok((class, seen)) => {
                let open = value(facts, id, "allow.everyone.if.no.acl.found").is_ok_and(|(open, _)| open == "true");
                let words = if open {
                    format!("{class}, everybody where no rule is")
                } else {
                    class.to_owned()
                };
                survey.add(!class.is_empty() && !open, broker(id), words, seen);
            }
            // The cluster's own answer stands for a broker that hides its configs.
            Err(_) if acls.get().is_some() => {}
            Err(why) => survey.lacking(why),
        }
    }
    survey
        .end("an authorizer decides", "everybody may do everything")
        .fix("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer in server.properties; then azimuth restart plan --all")
}

fn wildcard_rules(facts: &Facts<'_>) -> Outcome {
    let section = &facts.snapshot.acls;
    let Some(acls) = section.get() else {
        return Outcome::untold(section, "access rules");
    };
    if !acls.authorizer {
        return Outcome::not_applicable("there is no authorizer: see authorizer");
    }
    let mut survey = Survey::new("DescribeAcls", "rule", "not everything, and not to everybody");
    for rule in acls.rules.iter().filter(|rule| rule.permission == Permission::Allow) {
        let everybody = rule.principal == "User:*";
        let everything = rule.name == "*" && rule.pattern == Pattern::Literal;
        let harmless = |operation: &Operation| {
            matches!(
                operation,
                Operation::Describe | Operation::Read | Operation::DescribeConfigs
            )
        };
        let bad = everybody && (everything || !rule.operations.iter().all(harmless));
        survey.add(!bad, rule.to_string(), if bad { "too much" } else { "" }, at(section));
    }
    if survey.is_empty() {
        return Outcome::pass("no rule allows anything");
    }
    survey
        .end("no rule gives everybody everything", "gives too much")
        .fix("azimuth acl list")
}

fn controller_listener(facts: &Facts<'_>) -> Outcome {
    if let Some((id, _)) = zookeeper(facts) {
        return Outcome::breach(format!(
            "{} still uses ZooKeeper; migrate, and secure it until then",
            broker(id)
        ));
    }
    let mut survey = Survey::new(setting::CONFIGS, "controller.listener.names", "SSL or SASL_SSL");
    for id in ids(facts) {
        let told = value(facts, id, "controller.listener.names")
            .and_then(|(names, seen)| Ok((names, seen, value(facts, id, "listener.security.protocol.map")?.0)));
        match told {
            Ok(("", _, _)) => survey.lack(Lack::Metric, format!("{} names no controller listener", broker(id))),
            Ok((names, seen, map)) => {
                let name = names.split(',').next().unwrap_or_default().trim();
                let kind = protocol(map, name);
                // A name without an entry is not told; on loopback nobody else listens.
                let local = facts
                    .broker(id)
                    .and_then(|row| row.host.parse::<std::net::IpAddr>().ok())
                    .is_some_and(|ip| ip.is_loopback());
                let words = format!("{name}:{kind}");
                survey.add(kind.ends_with("SSL") || local, broker(id), words, seen);
            }
            Err(why) => survey.lacking(why),
        }
    }
    survey.end(
        "the controllers' listener is encrypted, or on loopback",
        "controllers are reached in the clear",
    )
}

fn imdsv2(facts: &Facts<'_>) -> Outcome {
    let mut survey = Survey::new("DescribeInstances", "HttpTokens", "required");
    let mut first = None;
    machines(facts, &mut survey, |survey, row, instance| {
        match instance.metadata_tokens.as_deref() {
            Some(tokens) => {
                if tokens != "required" {
                    first.get_or_insert_with(|| instance.id.clone());
                }
                survey.add(
                    tokens == "required",
                    broker(row.id),
                    format!("{} {tokens}", instance.id),
                    None,
                );
            }
            None => survey.lack(
                Lack::Metric,
                format!("EC2 does not tell the metadata options of {}", instance.id),
            ),
        }
    });
    survey
        .end("IMDSv2 is required everywhere", "IMDSv1 is answered")
        .fix(format!(
            "aws ec2 modify-instance-metadata-options --instance-id {} --http-tokens required",
            first.unwrap_or_default()
        ))
}
