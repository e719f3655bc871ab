//! What the two APIs of client metrics share (KIP-714): who asks, and what is wanted of it.

use uuid::Uuid;

use super::{Call, Context};
use crate::image::Resource;
use crate::image::property::{Config, Entry, client_match};
use crate::telemetry::{Identity, Wanted};

pub fn identity(call: &Call, instance: Uuid) -> Identity {
    let (name, version) = call.software.get().cloned().unwrap_or_default();
    Identity {
        instance,
        client_id: call.client().to_owned(),
        software_name: name,
        software_version: version,
        address: call.client_addr.ip().to_string(),
        port: call.client_addr.port(),
    }
}

/// Every subscription there is.
pub fn wanted(cx: &Context) -> Vec<Wanted> {
    let image = cx.image();
    let names = image.configs.keys().filter_map(|resource| match resource {
        Resource::ClientMetrics(name) => Some(name),
        _ => None,
    });
    names
        .map(|name| {
            let entries = Config::client_metrics_entries(&image, name);
            Wanted {
                metrics: items(&entries, "metrics").map(str::to_owned).collect(),
                interval_ms: items(&entries, "interval.ms")
                    .find_map(|value| value.parse().ok())
                    .unwrap_or(i32::MAX),
                matches: items(&entries, "match")
                    .filter_map(client_match)
                    .map(|(attribute, regex)| (attribute.to_owned(), regex))
                    .collect(),
            }
        })
        .collect()
}

fn items<'a>(entries: &'a [Entry], name: &'a str) -> impl Iterator<Item = &'a str> {
    let value = entries
        .iter()
        .find(|entry| entry.name == name)
        .and_then(|entry| entry.value.as_deref());
    let items = value.unwrap_or_default().split(',');
    items.map(str::trim).filter(|item| !item.is_empty())
}
