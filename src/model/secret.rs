//! What must not be kept: passwords, keys and tokens that clients, brokers or AWS told, wherever somebody put them.
//!
//! Brokers leave out what they call sensitive. People also write secrets into places that nobody protects: tags, client ids,
//! the metadata of commits, URLs, configs of plugins. Whatever looks like one is hidden before a snapshot is written down;
//! what is hidden says so.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};

use super::config::Config;
use super::event::Events;
use super::group::Group;
use super::observed::{Health, Observed};
use super::snapshot::Snapshot;

/// Stands where a secret stood.
pub const HIDDEN: &str = "‹hidden›";

/// Words in the name of something whose value is a secret.
const NAMES: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "jaas.config",
    "credential",
    "private.key",
    "privatekey",
    "keystore.key",
    "api.key",
    "apikey",
    "access.key",
    "accesskey",
];

/// What looks like a secret wherever it stands. Of a pair or an address only the secret part goes.
static LOOKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let looks = [
        // A key in PEM, whole or cut off.
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
        // `password=hunter2`, `"api_key": "…"`, `secret='…'`.
        r#"(?i:(?P<name>[a-z0-9_.-]*(?:password|passwd|passphrase|secret|api[-_.]?key|access[-_.]?key|auth[-_.]?token|credentials?)[a-z0-9_.-]*["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s,;&"']+))"#,
        // `https://user:password@host`.
        r"(?P<user>[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:)[^@\s/]+@",
        // An access key id of AWS: IAM user guide, "IAM identifiers", unique id prefixes.
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        // A JSON web token, RFC 7519.
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",
        // `Bearer …`, `Basic …` of a header.
        r"(?P<scheme>\b(?:Bearer|Basic) )[A-Za-z0-9+/=._~-]{12,}",
    ];
    Regex::new(&looks.join("|")).ok()
});

/// A text without what looks like a secret in it.
pub fn hide(text: &str) -> Cow<'_, str> {
    let Some(looks) = LOOKS.as_ref() else {
        return Cow::Borrowed(HIDDEN);
    };
    looks.replace_all(text, |found: &Captures<'_>| {
        let kept = |name| found.name(name).map_or("", |kept| kept.as_str());
        let end = if found.name("user").is_some() { "@" } else { "" };
        format!("{}{}{}{HIDDEN}{end}", kept("name"), kept("user"), kept("scheme"))
    })
}

/// Whether something of this name is a secret: a config, a tag.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_', ' ', ':', '/'], ".");
    // How passwords are encoded is no secret, with what is.
    let encoder = name.starts_with("password.encoder.") && !name.contains("secret");
    !encoder && NAMES.iter().any(|word| name.contains(word))
}

/// The snapshot without secrets. What holds none is shared, not copied; names that other things refer to stay.
pub fn without(snapshot: &Snapshot) -> Snapshot {
    let mut clean = snapshot.clone();
    for configs in clean.broker_configs.values_mut() {
        section(configs, |all| list(all, config));
    }
    section(&mut clean.topic_configs, |topics| map(topics, |all| list(all, config)));
    section(&mut clean.groups, |groups| list(groups, |one| group(one).map(Arc::new)));
    reasons(&mut clean);
    let cloud = &mut clean.cloud;
    for instances in cloud.instances.values_mut() {
        section(instances, |all| {
            map(all, |instance| {
                let mut clean = instance.clone();
                clean.tags = tags(&instance.tags);
                for event in &mut clean.events {
                    event.description = hide(&event.description).into_owned();
                }
                (clean != *instance).then_some(clean)
            })
        });
    }
    for volumes in cloud.volumes.values_mut() {
        section(volumes, |all| {
            map(all, |volume| {
                let clean = tags(&volume.tags);
                (clean != volume.tags).then(|| super::cloud::Volume {
                    tags: clean,
                    ..volume.clone()
                })
            })
        });
    }
    if let Some(events) = events(&clean.events) {
        clean.events = Arc::new(events);
    }
    clean
}

/// Replaces a section's value, where `clean` finds anything in it.
fn section<T>(section: &mut Observed<T>, clean: impl Fn(&T) -> Option<T>) {
    if let Some(value) = &section.value
        && let Some(clean) = clean(value)
    {
        section.value = Some(Arc::new(clean));
    }
}

fn list<T: Clone>(all: &[T], clean: impl Fn(&T) -> Option<T>) -> Option<Vec<T>> {
    let mut copy: Option<Vec<T>> = None;
    for (at, one) in all.iter().enumerate() {
        if let Some(clean) = clean(one) {
            copy.get_or_insert_with(|| all.to_vec())[at] = clean;
        }
    }
    copy
}

fn map<K: Clone + Ord, T: Clone>(all: &BTreeMap<K, T>, clean: impl Fn(&T) -> Option<T>) -> Option<BTreeMap<K, T>> {
    let mut copy: Option<BTreeMap<K, T>> = None;
    for (key, one) in all {
        if let Some(clean) = clean(one) {
            copy.get_or_insert_with(|| all.clone()).insert(key.clone(), clean);
        }
    }
    copy
}

fn config(config: &Config) -> Option<Config> {
    let secret = config.sensitive || is_secret(&config.name);
    let told = |value: &Option<String>| match value {
        Some(value) if secret && !value.is_empty() => None,
        Some(value) => Some(hide(value).into_owned()),
        None => None,
    };
    let stands = |value: &Option<String>| match value {
        Some(value) => (!secret || value.is_empty()) && matches!(hide(value), Cow::Borrowed(_)),
        None => true,
    };
    if stands(&config.value) && config.synonyms.iter().all(|synonym| stands(&synonym.value)) {
        return None;
    }
    let mut clean = config.clone();
    clean.value = told(&config.value);
    for synonym in &mut clean.synonyms {
        synonym.value = told(&synonym.value);
    }
    clean.sensitive |= clean.value.is_none() && config.value.is_some();
    Some(clean)
}

fn group(group: &Group) -> Option<Group> {
    let plain = |text: &str| matches!(hide(text), Cow::Borrowed(_));
    let members = group.members.iter();
    let named = members.map(|member| (&member.id, &member.client, member.instance.as_deref().unwrap_or("")));
    let mut named = named.filter(|(id, client, instance)| !(plain(id) && plain(client) && plain(instance)));
    if named.next().is_none() && group.commits.iter().all(|commit| commit.metadata.is_empty()) {
        return None;
    }
    let mut clean = group.clone();
    for member in &mut clean.members {
        for text in [&mut member.id, &mut member.client]
            .into_iter()
            .chain(&mut member.instance)
        {
            hide_in(text);
        }
    }
    for commit in &mut clean.commits {
        // What a client keeps there is its own business; no screen shows it.
        commit.metadata = Box::default();
    }
    Some(clean)
}

fn hide_in(text: &mut String) {
    let clean = match hide(text) {
        Cow::Owned(clean) => clean,
        Cow::Borrowed(_) => return,
    };
    *text = clean;
}

fn tags(tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let clean = |(key, value): (&String, &String)| {
        let value = match is_secret(key) || key.to_ascii_lowercase().contains("token") {
            true => HIDDEN.to_owned(),
            false => hide(value).into_owned(),
        };
        (key.clone(), value)
    };
    tags.iter().map(clean).collect()
}

fn events(events: &Events) -> Option<Events> {
    let is_clean = |text: &str| matches!(hide(text), Cow::Borrowed(_));
    if events
        .iter()
        .all(|event| is_clean(&event.text) && is_clean(&event.subject))
    {
        return None;
    }
    let mut clean = events.clone();
    for event in clean.iter_mut() {
        hide_in(&mut event.text);
        hide_in(&mut event.subject);
    }
    Some(clean)
}

/// What went wrong is told in the words of whoever refused.
fn reasons(clean: &mut Snapshot) {
    fn of<T>(section: &mut Observed<T>) {
        match &mut section.health {
            Health::Failing { reason, .. } | Health::Absent { reason } => hide_in(reason),
            Health::Unasked | Health::Fresh => {}
        }
    }
    of(&mut clean.cluster);
    of(&mut clean.topics);
    of(&mut clean.quorum);
    of(&mut clean.reassignments);
    of(&mut clean.groups);
    of(&mut clean.retentions);
    of(&mut clean.topic_configs);
    of(&mut clean.acls);
    of(&mut clean.users);
    of(&mut clean.quotas);
    of(&mut clean.client_metrics);
    clean.coordinators.values_mut().for_each(of);
    clean.links.values_mut().for_each(of);
    clean.offsets.values_mut().for_each(of);
    clean.backlogs.values_mut().for_each(of);
    clean.logdirs.values_mut().for_each(of);
    clean.broker_configs.values_mut().for_each(of);
    clean.broker_metrics.values_mut().for_each(of);
    clean.transactions.values_mut().for_each(of);
    clean.probes.values_mut().for_each(of);
    let cloud = &mut clean.cloud;
    of(&mut cloud.zones);
    of(&mut cloud.snapshots);
    of(&mut cloud.metrics);
    of(&mut cloud.account.security_groups);
    of(&mut cloud.account.subnets);
    of(&mut cloud.account.alarms);
    of(&mut cloud.account.encryption_by_default);
    cloud.instances.values_mut().for_each(of);
    cloud.volumes.values_mut().for_each(of);
    cloud.calls.values_mut().for_each(of);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_goes_and_the_rest_stands() {
        let cases = [
            ("orders-service-1", "orders-service-1"),
            ("key AKIAIOSFODNN7EXAMPLE of bob", "key ‹hidden› of bob"),
            (
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"bob\" password=\"hunter2\";",
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"bob\" password=‹hidden›;",
            ),
            (
                "https://bob:hunter2@registry:8081/x",
                "https://bob:‹hidden›@registry:8081/x",
            ),
            (
                "{\"api_key\": \"abc-123\", \"n\": 1}",
                "{\"api_key\": ‹hidden›, \"n\": 1}",
            ),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "‹hidden›"),
            (
                "Authorization: Bearer abcdefghijklmnop",
                "Authorization: Bearer ‹hidden›",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- x",
                "‹hidden› x",
            ),
            ("PLAINTEXT://b-1.internal:9092", "PLAINTEXT://b-1.internal:9092"),
        ];
        for (text, clean) in cases {
            assert_eq!(hide(text), clean);
        }
    }

    #[test]
    fn names_of_secrets_are_known_and_others_are_not_taken_for_them() {
        for name in [
            "ssl.keystore.password",
            "listener.name.client.plain.sasl.jaas.config",
            "password.encoder.secret",
            "aws_secret_access_key",
            "DB-Password",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "password.encoder.iterations",
            "delegation.token.expiry.time.ms",
            "log.retention.bytes",
            "sasl.oauthbearer.token.endpoint.url",
            "Name",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_snapshot_without_secrets_is_shared() {
        let six = crate::check::fixture::Six::healthy();
        let clean = without(&six.snapshot);
        let shared = |a: &Observed<_>, b: &Observed<_>| match (&a.value, &b.value) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        assert_eq!(clean, six.snapshot);
        assert!(shared(&clean.topics, &six.snapshot.topics));
    }
}
