//! Which cluster to talk to, and how.

use std::collections::BTreeMap;
use std::time::Duration;

use super::security::Security;

/// Everything a client needs to know of a cluster before it connects.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port` each; all are tried at once and the first that answers wins.
    pub bootstrap: Vec<String>,
    pub client_id: String,
    pub security: Security,
    /// librdkafka properties for the record clients, as given with `-X`. They win over what Azimuth derives.
    pub properties: BTreeMap<String, String>,
    pub deadlines: Deadlines,
}

/// How long to wait, per step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// TCP and ApiVersions.
    pub connect: Duration,
    /// One request to one broker.
    pub call: Duration,
    /// One change, which the controller may need longer for.
    pub change: Duration,
    /// When a second broker is asked the same, because the first has not answered yet.
    pub hedge: Duration,
    /// The longest pause before a broker that failed is tried again; until then calls to it fail at once.
    pub retry: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            call: Duration::from_secs(5),
            change: Duration::from_secs(15),
            hedge: Duration::from_millis(400),
            retry: Duration::from_secs(4),
        }
    }
}

impl Target {
    /// A target with the defaults; `bootstrap` is a comma-separated list of `host:port`, 9092 where the port is missing.
    pub fn new(bootstrap: &str) -> Self {
        let addresses = bootstrap
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty());
        Self {
            bootstrap: addresses.map(with_port).collect(),
            client_id: "azimuth".to_owned(),
            security: Security::default(),
            properties: BTreeMap::new(),
            deadlines: Deadlines::default(),
        }
    }
}

fn with_port(address: &str) -> String {
    let bare_v6 = address.matches(':').count() > 1 && !address.starts_with('[');
    match address.rsplit_once(':') {
        _ if bare_v6 => format!("[{address}]:9092"),
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => address.to_owned(),
        _ => format!("{address}:9092"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_port_is_kafkas_own() {
        let target = Target::new(" kafka-1 , kafka-2:19092,, ::1,[::1]:7 ,[::1]");
        assert_eq!(
            target.bootstrap,
            ["kafka-1:9092", "kafka-2:19092", "[::1]:9092", "[::1]:7", "[::1]:9092"]
        );
    }
}
