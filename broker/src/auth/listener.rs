//! The TLS of one listener, from the properties of its node and what was set while it runs.

use crate::image::Image;
use crate::image::property::{Config, Protocol, listener_key};
use crate::wire::tls;

/// What the `ssl.*` properties of a listener say, its own before the node's.
///
/// # Errors
/// A value is none of Kafka's, or two exclude each other.
pub fn tls_settings(config: &Config, image: &Image, listener: &str) -> Result<tls::Settings, tls::Error> {
    tls::Settings::from_properties(|key| match key {
        // With SASL the certificate is not what a client is known by: it is asked for only where the listener's own
        // property says so (KIP-684).
        "ssl.client.auth" if config.protocol(listener) == Protocol::SaslSsl => {
            config.set(&listener_key(listener, key)).map(str::to_owned)
        }
        _ => config.listener_value(image, listener, key),
    })
}
