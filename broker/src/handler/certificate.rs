//! Certificates that are about to be set while the broker runs: tried out before the controller is asked, as in Kafka
//! (KIP-226).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Context;
use crate::auth;
use crate::env::origin;
use crate::image::property::{Config, listener_property};
use crate::image::{Image, Record, Resource};
use crate::wire::tls;

/// Why a listener of this broker could not be served after these changes of its configs, a name and a new value each;
/// `None` if nothing speaks against them.
pub async fn refusal(cx: &Context, changes: Vec<(String, Option<String>)>) -> Option<String> {
    let of_tls = |key: &str| {
        let (listener, property) = listener_property(key)?;
        property.name.starts_with("ssl.").then(|| listener.to_owned())
    };
    let touched: BTreeSet<String> = changes.iter().filter_map(|(key, _)| of_tls(key)).collect();
    if touched.is_empty() {
        return None;
    }
    let mut image = Image::clone(&cx.image());
    for (key, value) in changes {
        let resource = Resource::Broker(cx.node.to_string());
        let (offset, epoch) = (image.offset, image.epoch);
        image.apply(&Record::Config { resource, key, value }, offset, epoch);
    }
    let config = Arc::clone(&cx.config);
    // Stores are read, and their keys derived from passwords.
    let tried = origin::spawn_blocking(move || unusable(&config, &image, &touched));
    tried
        .await
        .unwrap_or_else(|panic| Some(format!("reading certificates failed, which is a bug: {panic}")))
}

fn unusable(config: &Config, image: &Image, touched: &BTreeSet<String>) -> Option<String> {
    let of_tls = config.listeners().iter().filter(|listener| listener.protocol.is_tls());
    let mut changed = of_tls.filter(|listener| touched.contains(&listener.name.to_lowercase()));
    changed.find_map(|listener| {
        let settings = auth::tls_settings(config, image, &listener.name);
        let error = settings.and_then(|settings| tls::Acceptor::new(&settings)).err()?;
        Some(format!(
            "The listener {} could not be served with it: {error}.",
            listener.name
        ))
    })
}
