//! The simulated Route 53: one private zone with a weighted name, changed as AWS does it.
//!
//! A change is whole or nothing, PENDING for a while and then INSYNC; at the first question after it nobody knows it, and the first
//! list after it is the old one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use xmlparser::{ElementEnd, Token, Tokenizer};

use super::fault::Refusal;
use super::query::Query;
use super::xml::Xml;

/// The zone.
pub const ZONE: &str = "Z0SIMULATED";
/// Its name.
pub const ZONE_NAME: &str = "demo.internal";
/// The name that clients find the demo by.
pub const RECORD: &str = "bootstrap.demo.internal";
const PREFIX: &str = "/2013-04-01/";
const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
/// How long a change is PENDING, by the cloud's own clock. AWS says 60 s as a rule.
const PENDING_SECONDS: i64 = 20;
/// Short, so that nobody waits for a simulated resolver.
const TTL_SECONDS: i64 = 2;

/// One record set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    name: String,
    kind: String,
    identifier: String,
    weight: i64,
    ttl: i64,
    values: Vec<String>,
}

/// The zone's sets and the changes of them.
#[derive(Debug)]
pub(super) struct Names {
    sets: Vec<Set>,
    /// What the next list still shows.
    before: Option<Vec<Set>>,
    changes: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    id: String,
    at: i64,
    looks: u32,
}

impl Default for Names {
    fn default() -> Self {
        let set = |name: &str, weight| Set {
            name: RECORD.to_owned(),
            kind: "CNAME".to_owned(),
            identifier: name.to_owned(),
            weight,
            ttl: TTL_SECONDS,
            values: vec![format!("{name}.{ZONE_NAME}")],
        };
        Self {
            sets: vec![set("blue", 100), set("green", 0)],
            before: None,
            changes: Vec::new(),
        }
    }
}

/// What a request to Route 53 is called; `None` of a path that is none of its.
pub(super) fn operation(is_post: bool, path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.strip_prefix(PREFIX)?.trim_end_matches('/').split('/').collect();
    Some(match (is_post, parts.as_slice()) {
        (false, ["hostedzonesbyname"]) => "ListHostedZonesByName",
        (false, ["hostedzone", _]) => "GetHostedZone",
        (false, ["hostedzone", _, "rrset"]) => "ListResourceRecordSets",
        (true, ["hostedzone", _, "rrset"]) => "ChangeResourceRecordSets",
        (false, ["change", _]) => "GetChange",
        _ => "UnknownOperation",
    })
}

impl Names {
    /// Answers one operation; the path's zone or change is looked at.
    pub(super) fn answer(
        &mut self,
        operation: &str,
        path: &str,
        query: &Query,
        body: &str,
        now: i64,
    ) -> Result<String, Refusal> {
        let named = path.strip_prefix(PREFIX).unwrap_or_default();
        let id = named.split('/').nth(1).unwrap_or_default();
        let in_zone = operation != "GetChange" && operation != "ListHostedZonesByName";
        if in_zone && id != ZONE {
            return Err(Refusal::new(
                404,
                "NoSuchHostedZone",
                format!("No hosted zone found with ID: {id}"),
            ));
        }
        match operation {
            "ListHostedZonesByName" => Ok(zones(query.get("dnsname").unwrap_or_default())),
            "GetHostedZone" => Ok(whole(operation, |xml| {
                xml.nest("HostedZone", zone);
            })),
            "ListResourceRecordSets" => Ok(self.list(query.get("name").unwrap_or_default())),
            "ChangeResourceRecordSets" => self.change(body, now),
            "GetChange" => self.state(id, now),
            other => Err(Refusal::new(400, "InvalidInput", format!("{other} is not simulated"))),
        }
    }

    fn list(&mut self, from: &str) -> String {
        let sets = self.before.take().unwrap_or_else(|| self.sets.clone());
        let from = from.trim_end_matches('.').to_owned();
        whole("ListResourceRecordSets", |xml| {
            xml.nest("ResourceRecordSets", |xml| {
                // The zone's only name comes last in it.
                for set in sets.iter().filter(|set| set.name >= from) {
                    xml.nest("ResourceRecordSet", |xml| set.write(xml));
                }
            });
            xml.leaf("IsTruncated", false).leaf("MaxItems", 300);
        })
    }

    fn change(&mut self, body: &str, now: i64) -> Result<String, Refusal> {
        let bad = |what: String| Refusal::new(400, "InvalidInput", what);
        let wanted = read(body).map_err(bad)?;
        let mut sets = self.sets.clone();
        for (action, set) in wanted {
            if action != "UPSERT" {
                return Err(bad(format!("{action} is not simulated")));
            }
            if !set.name.ends_with(ZONE_NAME) {
                return Err(bad(format!("{} is not permitted in zone {ZONE_NAME}.", set.name)));
            }
            if !(0..=255).contains(&set.weight) || set.identifier.is_empty() {
                return Err(bad("a weighted record has an identifier and a weight".to_owned()));
            }
            let is_same =
                |one: &&mut Set| (&one.name, &one.kind, &one.identifier) == (&set.name, &set.kind, &set.identifier);
            match sets.iter_mut().find(is_same) {
                Some(old) => *old = set,
                None => sets.push(set),
            }
        }
        self.before = Some(std::mem::replace(&mut self.sets, sets));
        let id = format!("C{:012}", self.changes.len() + 1);
        self.changes.push(Made {
            id: id.clone(),
            at: now,
            looks: 0,
        });
        Ok(whole("ChangeResourceRecordSets", |xml| info(xml, &id, "PENDING", now)))
    }

    fn state(&mut self, id: &str, now: i64) -> Result<String, Refusal> {
        let known = self.changes.iter_mut().find(|made| made.id == id);
        let found = known.and_then(|made| {
            made.looks += 1;
            (made.looks > 1).then_some(made)
        });
        let Some(made) = found else {
            let why = format!("Could not find resource with ID: {id}");
            return Err(Refusal::new(404, "NoSuchChange", why));
        };
        let status = match now - made.at < PENDING_SECONDS {
            true => "PENDING",
            false => "INSYNC",
        };
        Ok(whole("GetChange", |xml| info(xml, id, status, made.at)))
    }
}

impl Set {
    fn write(&self, xml: &mut Xml) {
        xml.leaf("Name", format!("{}.", self.name))
            .leaf("Type", &self.kind)
            .leaf("SetIdentifier", &self.identifier)
            .leaf("Weight", self.weight)
            .leaf("TTL", self.ttl);
        xml.nest("ResourceRecords", |xml| {
            for value in &self.values {
                xml.nest("ResourceRecord", |xml| {
                    xml.leaf("Value", value);
                });
            }
        });
    }
}

fn zones(from: &str) -> String {
    let is_after = ZONE_NAME == from.trim_end_matches('.');
    whole("ListHostedZonesByName", |xml| {
        xml.nest("HostedZones", |xml| {
            if is_after {
                xml.nest("HostedZone", zone);
            }
        });
        xml.leaf("IsTruncated", false).leaf("MaxItems", 100);
    })
}

fn zone(xml: &mut Xml) {
    xml.leaf("Id", format!("/hostedzone/{ZONE}"))
        .leaf("Name", format!("{ZONE_NAME}."))
        .leaf("CallerReference", "azimuth demo");
    xml.nest("Config", |xml| {
        xml.leaf("PrivateZone", true);
    });
}

fn info(xml: &mut Xml, id: &str, status: &str, at: i64) {
    xml.nest("ChangeInfo", |xml| {
        xml.leaf("Id", format!("/change/{id}"))
            .leaf("Status", status)
            .time("SubmittedAt", at);
    });
}

fn whole(operation: &str, inside: impl FnOnce(&mut Xml)) -> String {
    let mut text = String::new();
    let mut xml = Xml::default();
    inside(&mut xml);
    let _ = write!(
        text,
        "<{operation}Response xmlns=\"{NAMESPACE}\">{}</{operation}Response>",
        xml.into_text()
    );
    text
}

/// A refusal in Route 53's words.
pub(super) fn spoken(refusal: &Refusal, request: &str) -> (u16, String) {
    let (status, code) = match refusal.code.as_str() {
        "RequestLimitExceeded" => (400, "Throttling"),
        "UnauthorizedOperation" => (403, "AccessDenied"),
        "RequestExpired" => (403, "ExpiredToken"),
        other => (refusal.status, other),
    };
    let mut xml = Xml::default();
    xml.nest("Error", |xml| {
        xml.leaf("Type", "Sender")
            .leaf("Code", code)
            .leaf("Message", &refusal.message);
    });
    xml.leaf("RequestId", request);
    let text = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\">{}</ErrorResponse>",
        xml.into_text()
    );
    (status, text)
}

/// The changes of a batch: what to do, and with which set.
fn read(body: &str) -> Result<Vec<(String, Set)>, String> {
    let mut path: Vec<String> = Vec::new();
    let mut changes = Vec::new();
    let mut leaves: BTreeMap<String, String> = BTreeMap::new();
    let mut values = Vec::new();
    for token in Tokenizer::from(body) {
        match token.map_err(|error| error.to_string())? {
            Token::ElementStart { local, .. } => path.push(local.as_str().to_owned()),
            Token::Text { text } => match path.last().map(String::as_str) {
                Some("Value") => values.push(unescaped(text.as_str())),
                Some(leaf) => drop(leaves.insert(leaf.to_owned(), unescaped(text.as_str()))),
                None => {}
            },
            Token::ElementEnd {
                end: ElementEnd::Close(..) | ElementEnd::Empty,
                ..
            } => {
                let ended = path.pop();
                if ended.as_deref() == Some("Change") {
                    let mut take = |name: &str| leaves.remove(name).unwrap_or_default();
                    let set = Set {
                        name: take("Name").trim_end_matches('.').to_owned(),
                        kind: take("Type"),
                        identifier: take("SetIdentifier"),
                        weight: take("Weight").parse().unwrap_or(-1),
                        ttl: take("TTL").parse().unwrap_or(0),
                        values: std::mem::take(&mut values),
                    };
                    changes.push((take("Action"), set));
                }
            }
            _ => {}
        }
    }
    match changes.is_empty() {
        true => Err("the batch has no change".to_owned()),
        false => Ok(changes),
    }
}

fn unescaped(text: &str) -> String {
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    named
        .iter()
        .fold(text.to_owned(), |text, (name, letter)| text.replace(name, letter))
}
