//! Where OAUTHBEARER's tokens are asked for: the grant of client credentials (RFC 6749, section 4.4) as Kafka's Java clients
//! (KIP-768, KIP-1139) and librdkafka (`sasl.oauthbearer.method=oidc`) name it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Bag, Sasl, TOKEN, Trust};
use crate::settings::properties::jaas::Jaas;
use crate::settings::secret::Secret;

pub(super) const URL: &str = "sasl.oauthbearer.token.endpoint.url";

/// An endpoint that gives tokens to whoever knows a client's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// http or https.
    pub url: String,
    pub client_id: Secret,
    pub client_secret: Secret,
    pub scope: Option<String>,
    /// Extensions of SASL (KIP-342), sent to brokers beside each token.
    pub extensions: BTreeMap<String, String>,
    /// Whom an https URL's certificate is signed by; `None`: the roots of this system. Brokers' authorities are others.
    pub trust: Option<Trust>,
    /// `sasl.oauthbearer.header.urlencode`: id and secret are encoded before they go into the header, as RFC 6749 has it
    /// and most servers do not.
    pub encodes_header: bool,
}

impl TokenEndpoint {
    /// The files that it is read from.
    pub(super) fn files(&self) -> Vec<Option<&Path>> {
        let trust = match &self.trust {
            Some(Trust::File { path, .. }) => Some(path.as_path()),
            Some(Trust::Pem(pem)) => pem.file(),
            None => None,
        };
        vec![self.client_id.file(), self.client_secret.file(), trust]
    }
}

impl Bag<'_> {
    /// The endpoint that properties and a login module name; `None` once what is missing is told under `key`.
    pub(super) fn endpoint(&mut self, key: &str) -> Option<Sasl> {
        let jaas = self.jaas().ok()?;
        let option = |name: &str| jaas.as_ref().and_then(|jaas| jaas.options.get(name)).cloned();
        let Some(url) = self.text(URL) else {
            self.fault(key, TOKEN.to_owned());
            return None;
        };
        let secret = |names: [&str; 2], of_module: &str| {
            let written = names.iter().find_map(|name| self.secret(name));
            written.or_else(|| option(of_module).map(Secret::text))
        };
        let client_id = secret(
            [
                "sasl.oauthbearer.client.credentials.client.id",
                "sasl.oauthbearer.client.id",
            ],
            "clientId",
        );
        let client_secret = secret(
            [
                "sasl.oauthbearer.client.credentials.client.secret",
                "sasl.oauthbearer.client.secret",
            ],
            "clientSecret",
        );
        let (Some(client_id), Some(client_secret)) = (client_id, client_secret) else {
            self.fault(
                URL,
                "it needs a client and its secret: sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret, or \
                 clientId=\"…\" and clientSecret=\"…\" in sasl.jaas.config"
                    .to_owned(),
            );
            return None;
        };
        if url.starts_with("http://") {
            self.notes
                .push(format!("{URL}: the client's secret goes to {url} in the clear"));
        }
        Some(Sasl::Endpoint(Box::new(TokenEndpoint {
            client_id,
            client_secret,
            scope: self.text("sasl.oauthbearer.scope").or_else(|| option("scope")),
            extensions: self.extensions(jaas.as_ref()),
            trust: self.endpoint_trust(jaas.as_ref()),
            encodes_header: self.text("sasl.oauthbearer.header.urlencode").as_deref() == Some("true"),
            url,
        })))
    }

    /// `a=b,c=d` of librdkafka's, or Java's options `extension_a=b`.
    fn extensions(&self, jaas: Option<&Jaas>) -> BTreeMap<String, String> {
        let pairs = self.text("sasl.oauthbearer.extensions").unwrap_or_default();
        let pairs = pairs.split(',').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        let options = jaas.into_iter().flat_map(|jaas| &jaas.options);
        let options = options.filter_map(|(name, value)| Some((name.strip_prefix("extension_")?, value)));
        let options = options.map(|(name, value)| (name.to_owned(), value.clone()));
        pairs.chain(options).collect()
    }

    fn endpoint_trust(&self, jaas: Option<&Jaas>) -> Option<Trust> {
        if let Some(path) = self.path("https.ca.location") {
            return Some(Trust::File { path, password: None });
        }
        if let Some(pem) = self.secret("https.ca.pem") {
            return Some(Trust::Pem(pem));
        }
        let option = |name: &str| jaas.and_then(|jaas| jaas.options.get(name));
        if let Some(path) = option("ssl.truststore.location") {
            let password = option("ssl.truststore.password").map(Secret::text);
            return Some(Trust::File {
                path: PathBuf::from(path),
                password,
            });
        }
        option("ssl.truststore.certificates").map(|pem| Trust::Pem(Secret::text(pem)))
    }
}

/// Why a URL is none that tokens can be asked of.
pub(super) fn refusal(url: &str) -> Option<String> {
    let known = ["https://", "http://", "file://"];
    let host = known.iter().find_map(|scheme| url.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() => None,
        _ => Some(format!(
            "`{url}` is no URL that begins with https://, http:// or file://"
        )),
    }
}
