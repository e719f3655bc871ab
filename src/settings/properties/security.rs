//! TLS and SASL, from the properties of Java's clients and of librdkafka.
//!
//! A property that would make the connection something else than its file says is a fault, named with its place and the
//! way round. Secrets are kept where they are and looked up by whoever connects.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::jaas::Jaas;
use super::{Property, store};
use crate::settings::secret::Secret;

mod endpoint;

pub use endpoint::TokenEndpoint;

/// How a connection is protected, and how it logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// `None`: what is sent can be read on the way.
    pub tls: Option<Tls>,
    pub sasl: Option<Sasl>,
}

impl Security {
    /// The files that it is read from; who replaces one means it to be read again.
    pub fn files(&self) -> Vec<&Path> {
        let tls = self.tls.iter().flat_map(Tls::files);
        let login = self.sasl.iter().flat_map(|sasl| match sasl {
            Sasl::Password { user, password, .. } => vec![user.file(), password.file()],
            // Looked up at every login.
            Sasl::Token(_) => Vec::new(),
            Sasl::Endpoint(endpoint) => endpoint.files(),
        });
        tls.chain(login).flatten().collect()
    }
}

impl Tls {
    fn files(&self) -> Vec<Option<&Path>> {
        let mut files = vec![within(&self.key_password)];
        files.extend(match &self.trust {
            None => [None, None],
            Some(Trust::File { path, password }) => [Some(path.as_path()), within(password)],
            Some(Trust::Pem(pem)) => [pem.file(), None],
        });
        files.extend(match &self.identity {
            None => [None, None],
            Some(Identity::File { path, password }) => [Some(path.as_path()), within(password)],
            Some(Identity::Pair { certificate, key }) => [certificate.file(), key.file()],
        });
        files
    }
}

fn within(password: &Option<Secret>) -> Option<&Path> {
    password.as_ref().and_then(Secret::file)
}

/// Whom a connection trusts, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `None`: the roots of this system.
    pub trust: Option<Trust>,
    /// For mutual TLS.
    pub identity: Option<Identity>,
    pub key_password: Option<Secret>,
    /// Whether a certificate must be for the host that was asked for.
    pub checks_host: bool,
    /// `ssl.enabled.protocols`
    pub versions: Option<String>,
    /// `ssl.cipher.suites`, in IANA's names.
    pub suites: Option<String>,
}

/// The certificates that are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// PEM or PKCS12.
    File {
        path: PathBuf,
        password: Option<Secret>,
    },
    Pem(Secret),
}

/// A key and its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// One store, PEM or PKCS12.
    File { path: PathBuf, password: Option<Secret> },
    /// PEM in two files or texts, as librdkafka has it.
    Pair { certificate: Secret, key: Secret },
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sasl {
    Password {
        mechanism: Mechanism,
        user: Secret,
        password: Secret,
    },
    /// OAUTHBEARER, with a token that is looked up at every login.
    Token(Secret),
    /// OAUTHBEARER, with tokens that are asked for.
    Endpoint(Box<TokenEndpoint>),
}

/// The mechanisms that a user and a password serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::Display)]
pub enum Mechanism {
    #[strum(serialize = "PLAIN")]
    Plain,
    #[strum(serialize = "SCRAM-SHA-256")]
    ScramSha256,
    #[strum(serialize = "SCRAM-SHA-512")]
    ScramSha512,
}

/// `SASL_SSL SCRAM-SHA-512`, in Kafka's words.
impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        })?;
        match &self.sasl {
            None => Ok(()),
            Some(Sasl::Token(_) | Sasl::Endpoint(_)) => f.write_str(" OAUTHBEARER"),
            Some(Sasl::Password { mechanism, .. }) => write!(f, " {mechanism}"),
        }
    }
}

/// The properties about security of one connection.
#[derive(Default)]
pub struct Bag<'a> {
    properties: BTreeMap<&'a str, &'a Property>,
    faults: Vec<String>,
    notes: Vec<String>,
}

const PROTOCOL: &str = "security.protocol";
const PROTOCOLS: &str = "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL";

const KERBEROS: &str = "GSSAPI (Kerberos) is deliberately not supported; use a listener with SCRAM, or mutual TLS";
const IAM: &str =
    "IAM needs a Java class of AWS; use the cluster's SCRAM listener (port 9096 on MSK) or mutual TLS (9094)";
const TOKEN: &str = "it needs a token: sasl.oauthbearer.token.endpoint.url with sasl.oauthbearer.client.id and \
                     sasl.oauthbearer.client.secret, or in the context \"sasl.oauthbearer.token\" = { command = \"…\" }, or \
                     { file = \"…\" } where something else renews it";
const UNSECURED: &str = "tokens are not made here, only asked for; name who gives them with \
                         sasl.oauthbearer.token.endpoint.url, or one in the context: \"sasl.oauthbearer.token\" = { file = \"…\" }";

impl<'a> Bag<'a> {
    pub fn put(&mut self, property: &'a Property) {
        self.properties.insert(&property.key, property);
    }

    /// What the properties ask for, every fault of theirs, and what has no effect.
    pub fn security(mut self) -> (Security, Vec<String>, Vec<String>) {
        let (wants_tls, wants_sasl) = self.protocol();
        self.check();
        let tls = self.tls();
        let sasl = match wants_sasl {
            true => self.sasl(),
            false => None,
        };
        for (prefix, wanted) in [("ssl.", wants_tls), ("sasl.", wants_sasl)] {
            if !wanted {
                self.without_effect(prefix);
            }
        }
        let security = Security {
            tls: tls.filter(|_| wants_tls),
            sasl,
        };
        (security, self.faults, self.notes)
    }

    fn protocol(&mut self) -> (bool, bool) {
        match self.text(PROTOCOL).map(|name| name.to_ascii_uppercase()).as_deref() {
            None => {
                let first = self.properties.values().find(|property| property.key != PROTOCOL);
                if let Some(Property { key, place, .. }) = first {
                    self.faults.push(format!(
                        "{place}: {key} is set and {PROTOCOL} is not, whose default is PLAINTEXT; add {PROTOCOL}, one of {PROTOCOLS}"
                    ));
                }
                (false, false)
            }
            Some("PLAINTEXT") => (false, false),
            Some("SSL") => (true, false),
            Some("SASL_PLAINTEXT") => (false, true),
            Some("SASL_SSL") => (true, true),
            Some(other) => {
                self.fault(PROTOCOL, format!("`{other}` is not one of {PROTOCOLS}"));
                (false, false)
            }
        }
    }

    fn without_effect(&mut self, prefix: &str) {
        let protocol = self.text(PROTOCOL).unwrap_or_default();
        for (key, property) in &self.properties {
            if key.starts_with(prefix) {
                let place = &property.place;
                self.notes
                    .push(format!("{place}: {key} has no effect with {PROTOCOL}={protocol}"));
            }
        }
    }

    /// What cannot be honoured, whether it would be used or not.
    fn check(&mut self) {
        let refused: Vec<(&str, String)> = self
            .properties
            .iter()
            .filter_map(|(key, property)| Some((*key, refusal(key, property.value.written()?)?)))
            .collect();
        for (key, why) in refused {
            self.fault(key, why);
        }
    }

    fn tls(&mut self) -> Option<Tls> {
        Some(Tls {
            trust: self.trust(),
            identity: self.identity(),
            key_password: self.secret("ssl.key.password"),
            checks_host: !matches!(
                self.raw("ssl.endpoint.identification.algorithm").map(str::trim),
                Some("" | "none")
            ),
            versions: self.text("ssl.enabled.protocols"),
            suites: self.text("ssl.cipher.suites"),
        })
    }

    fn trust(&mut self) -> Option<Trust> {
        let named = ["ssl.truststore.location", "ssl.ca.location"].map(|key| self.path(key));
        let written = ["ssl.truststore.certificates", "ssl.ca.pem"].map(|key| self.secret(key));
        let [path, written] = [named.iter().flatten().count(), written.iter().flatten().count()];
        if path + written > 1 {
            self.faults.push(
                "two of ssl.truststore.location, ssl.ca.location, ssl.truststore.certificates and ssl.ca.pem are set; \
                 leave one"
                    .to_owned(),
            );
        }
        if let Some(path) = named.into_iter().flatten().next() {
            let password = self.secret("ssl.truststore.password");
            return Some(Trust::File { path, password });
        }
        let written = ["ssl.truststore.certificates", "ssl.ca.pem"].map(|key| self.secret(key));
        written.into_iter().flatten().next().map(Trust::Pem)
    }

    fn identity(&mut self) -> Option<Identity> {
        if let Some(path) = self.path("ssl.keystore.location") {
            let password = self.secret("ssl.keystore.password");
            return Some(Identity::File { path, password });
        }
        for (certificate, key) in [
            ("ssl.keystore.certificate.chain", "ssl.keystore.key"),
            ("ssl.certificate.pem", "ssl.key.pem"),
            ("ssl.certificate.location", "ssl.key.location"),
        ] {
            match (self.pem(certificate), self.pem(key)) {
                (Some(certificate), Some(key)) => return Some(Identity::Pair { certificate, key }),
                (Some(_), None) => self.fault(certificate, format!("it needs {key} beside it")),
                (None, Some(_)) => self.fault(key, format!("it needs {certificate} beside it")),
                (None, None) => {}
            }
        }
        None
    }

    fn sasl(&mut self) -> Option<Sasl> {
        let key = ["sasl.mechanism", "sasl.mechanisms"];
        let key = key.into_iter().find(|key| self.properties.contains_key(key));
        let Some(key) = key else {
            self.fault(
                PROTOCOL,
                "it needs sasl.mechanism beside it: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER".to_owned(),
            );
            return None;
        };
        let name = self.text(key).unwrap_or_default();
        if name == "OAUTHBEARER" {
            return self.token(key);
        }
        match name.parse() {
            Ok(mechanism) => self.password(key, mechanism),
            // Already told, with the way round.
            Err(_) if refusal(key, &name).is_some() => None,
            Err(_) => {
                self.fault(
                    key,
                    format!("`{name}` is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
                );
                None
            }
        }
    }

    fn password(&mut self, key: &str, mechanism: Mechanism) -> Option<Sasl> {
        let (mut user, mut password) = (self.secret("sasl.username"), self.secret("sasl.password"));
        match self.jaas() {
            Ok(Some(jaas)) => {
                let option = |name: &str| jaas.options.get(name).map(Secret::text);
                user = user.or(option("username"));
                password = password.or(option("password"));
            }
            Ok(None) => {}
            Err(()) => return None,
        }
        let (Some(user), Some(password)) = (user, password) else {
            self.fault(
                key,
                format!(
                    "{mechanism} needs a user and a password: sasl.username and sasl.password, or username=\"…\" and \
                     password=\"…\" in sasl.jaas.config"
                ),
            );
            return None;
        };
        Some(Sasl::Password {
            mechanism,
            user,
            password,
        })
    }

    fn token(&mut self, key: &str) -> Option<Sasl> {
        if let Some(token) = self.secret("sasl.oauthbearer.token") {
            return Some(Sasl::Token(token));
        }
        let url = self.text(endpoint::URL);
        if let Some(path) = url.as_deref().and_then(|url| url.strip_prefix("file://")) {
            return Some(Sasl::Token(Secret::File(PathBuf::from(path))));
        }
        // Already told, with what is possible.
        if url.as_deref().and_then(endpoint::refusal).is_some() {
            return None;
        }
        self.endpoint(key)
    }

    /// `Err` once a fault of it is told.
    fn jaas(&mut self) -> Result<Option<Jaas>, ()> {
        const KEY: &str = "sasl.jaas.config";
        let Some(secret) = self.secret(KEY) else {
            return Ok(None);
        };
        let read = secret.reveal().and_then(|text| Jaas::parse(&text));
        match read.and_then(|jaas| login_module(&jaas).map_or(Ok(jaas), Err)) {
            Ok(jaas) => Ok(Some(jaas)),
            Err(why) => {
                if secret.written().and_then(|text| refusal(KEY, text)).is_none() {
                    self.fault(KEY, why);
                }
                Err(())
            }
        }
    }

    fn fault(&mut self, key: &str, message: String) {
        let place = self.properties.get(key).map(|property| format!("{}: ", property.place));
        self.faults
            .push(format!("{}{key}: {message}", place.unwrap_or_default()));
    }

    fn secret(&self, key: &str) -> Option<Secret> {
        let value = &self.properties.get(key)?.value;
        (value.written() != Some("")).then(|| value.clone())
    }

    fn raw(&self, key: &str) -> Option<&str> {
        self.properties.get(key)?.value.written()
    }

    fn text(&self, key: &str) -> Option<String> {
        let text = self.raw(key)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// PEM, written here or in the file of a `.location`.
    fn pem(&self, key: &str) -> Option<Secret> {
        match key.ends_with(".location") {
            true => self.path(key).map(Secret::File),
            false => self.secret(key),
        }
    }
}

/// Why a property cannot be honoured, and the way round.
fn refusal(key: &str, value: &str) -> Option<String> {
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    let why = match key {
        "sasl.mechanism" | "sasl.mechanisms" if value.eq_ignore_ascii_case("GSSAPI") => KERBEROS,
        "sasl.mechanism" | "sasl.mechanisms" if value == "AWS_MSK_IAM" => IAM,
        "sasl.jaas.config" => return Jaas::parse(value).map_or_else(Some, |jaas| login_module(&jaas)),
        "sasl.client.callback.handler.class" | "sasl.login.callback.handler.class" => match value {
            value if value.contains("IAM") => IAM,
            value if value.ends_with("OAuthBearerLoginCallbackHandler") => return None,
            _ => "a Java class cannot be run here; use PLAIN, SCRAM, or OAUTHBEARER with \"sasl.oauthbearer.token\"",
        },
        endpoint::URL => return endpoint::refusal(value),
        "sasl.oauthbearer.method" if !["default", "oidc"].contains(&value.to_ascii_lowercase().as_str()) => {
            return Some(format!("`{value}` is not default or oidc"));
        }
        "sasl.oauthbearer.grant.type" if value != "client_credentials" => {
            "only client_credentials is spoken here; where a token comes of another grant, name what fetches it in the \
             context: \"sasl.oauthbearer.token\" = { command = \"…\" }"
        }
        "enable.ssl.certificate.verification" if value != "true" => {
            "certificates are always checked; name who signed the brokers' with ssl.ca.location"
        }
        "ssl.endpoint.identification.algorithm"
            if !["https", "none"].contains(&value.to_ascii_lowercase().as_str()) =>
        {
            return Some(format!("`{value}` is not https, or empty"));
        }
        key if key.ends_with(".location") => return store::refusal(Path::new(value)),
        _ => return None,
    };
    Some(why.to_owned())
}

/// Why a login module cannot be used; `None` where it can.
fn login_module(jaas: &Jaas) -> Option<String> {
    let why = match jaas.class() {
        "PlainLoginModule" => return None,
        "ScramLoginModule" if jaas.options.get("tokenauth").is_some_and(|value| value == "true") => {
            "delegation tokens are not supported; use a SCRAM user of the console's own"
        }
        "ScramLoginModule" => return None,
        "OAuthBearerLoginModule" => match jaas.options.keys().any(|name| name.starts_with("unsecured")) {
            false => return None,
            true => UNSECURED,
        },
        "Krb5LoginModule" => KERBEROS,
        "IAMLoginModule" => IAM,
        class => {
            return Some(format!(
                "the login module {class} cannot be run here; use PlainLoginModule, ScramLoginModule or mutual TLS"
            ));
        }
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests;
