//! TLS between the demo's clients and its brokers, for the drill that is about certificates. Brokers talk in plain text
//! among themselves, so that only clients are hurt.

use std::collections::BTreeMap;

use azimuth_broker::cluster::ClusterConfig;

use super::Error;
use crate::settings::properties::{Connection, Place, Property};
use crate::settings::secret::Secret;
use crate::source::kafka::{Security, Target};

/// One key and one certificate for all brokers, made for this demo.
pub(super) struct Guard {
    certificate: String,
    key: String,
}

impl Guard {
    /// For brokers at these hosts.
    pub fn new(hosts: impl Iterator<Item = String>) -> Result<Self, Error> {
        let made = rcgen::generate_simple_self_signed(hosts.collect::<Vec<_>>());
        let own = made.map_err(|error| Error::Certificate(error.to_string()))?;
        Ok(Self {
            certificate: own.cert.pem(),
            key: own.signing_key.serialize_pem(),
        })
    }

    /// Has clients come by TLS.
    pub fn guard(&self, config: &mut ClusterConfig) {
        let properties = [
            (
                "listener.security.protocol.map",
                "CLIENTS:SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            ),
            ("inter.broker.listener.name", "INTERNAL"),
            ("listener.name.clients.ssl.keystore.type", "PEM"),
            (
                "listener.name.clients.ssl.keystore.certificate.chain",
                &self.certificate,
            ),
            ("listener.name.clients.ssl.keystore.key", &self.key),
        ];
        let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
        config.overrides.extend(properties);
    }

    /// What a client has to be told.
    pub fn properties(&self) -> BTreeMap<String, Secret> {
        [
            ("security.protocol", "SSL"),
            ("ssl.truststore.certificates", &self.certificate),
        ]
        .map(|(key, value)| (key.to_owned(), Secret::text(value)))
        .into()
    }

    pub fn security(&self) -> Result<Security, Error> {
        let property = |(key, value)| Property {
            key,
            value,
            place: Place::Argument,
        };
        let properties: Vec<Property> = self.properties().into_iter().map(property).collect();
        let connection = Connection::of(&properties)?;
        Ok(Security::of(&connection.security)?)
    }
}

/// The brokers at `bootstrap`, through their guard if they have one.
pub(super) fn target(bootstrap: &str, guard: Option<&Guard>) -> Result<Target, Error> {
    let mut target = Target::new(bootstrap);
    if let Some(guard) = guard {
        target.security = guard.security()?;
    }
    Ok(target)
}
