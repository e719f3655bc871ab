//! TLS and SASL of one target: what the control plane and librdkafka are given, from the same settings.
//!
//! Stores are read here and handed to librdkafka as PEM, so that both clients trust and show the same; when a connection is
//! made anew they are read again if they were replaced, or if what was in them was refused. No Debug output holds a key, a
//! password or a token.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use azimuth_broker::wire;
use azimuth_broker::wire::sasl::{Sasl as Login, Scram};
use azimuth_broker::wire::tls;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::token::{Tokens, claims};
use crate::settings::Secret;
use crate::settings::properties::{self, Identity, Mechanism, Sasl, Tls, Trust};
use crate::source::Error;

/// What was refused is looked up again no sooner than this after the last time: a secret may come from a command.
const AGAIN: Duration = Duration::from_secs(10);

/// How connections to one cluster are secured. The default is not at all. Clones share what was read, and read it again when
/// it was replaced: [`Security::renew`].
#[derive(Clone, Default)]
pub struct Security {
    settings: Arc<properties::Security>,
    now: Arc<Mutex<Current>>,
    /// One renewal at a time: many brokers may be lost at once.
    renewing: Arc<tokio::sync::Mutex<()>>,
}

/// What was read last.
#[derive(Default)]
struct Current {
    material: Arc<Material>,
    read_at: Option<Instant>,
    stamps: Vec<Stamp>,
}

/// A file as it was: another size or time means that it was replaced.
type Stamp = (PathBuf, Option<(SystemTime, u64)>);

/// Certificates, keys and passwords, for both clients.
#[derive(Default)]
pub(super) struct Material {
    pub(super) wire: wire::Security,
    pub(super) login: Option<Login>,
    /// For messages: who logs in, where a name is given.
    user: Option<String>,
    tokens: Option<Tokens>,
    rdkafka: Vec<(&'static str, String)>,
}

impl Security {
    /// Who we are to the brokers: `User:alice`. `None` where brokers map it from a certificate.
    pub fn principal(&self) -> Option<String> {
        let has_certificate = self.settings.tls.as_ref().is_some_and(|tls| tls.identity.is_some());
        match self.settings.sasl.is_some() {
            true => self.now().user().map(|user| format!("User:{user}")),
            false if has_certificate => None,
            false => Some("User:ANONYMOUS".to_owned()),
        }
    }

    /// Reads the stores and looks up the passwords that settings name. Blocks on files and commands.
    ///
    /// # Errors
    /// A store or a secret cannot be used; the sentence says which.
    pub fn of(settings: &properties::Security) -> Result<Self, Error> {
        // Before the files are read: what is replaced meanwhile is read again.
        let stamps = stamps(settings);
        let material = Arc::new(Material::of(settings).map_err(Error::Local)?);
        let now = Current {
            material,
            read_at: Some(Instant::now()),
            stamps,
        };
        Ok(Self {
            settings: Arc::new(settings.clone()),
            now: Arc::new(Mutex::new(now)),
            renewing: Arc::default(),
        })
    }

    /// What was read last.
    pub(super) fn now(&self) -> Arc<Material> {
        Arc::clone(&self.current().material)
    }

    /// A token for the login that follows, where one is asked for: who gives none is no broker's fault.
    ///
    /// # Errors
    /// There is none; the sentence names the endpoint.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        match &self.now().tokens {
            Some(tokens @ Tokens::Endpoint(_)) => tokens.get().await.map(|_| ()).map_err(Error::Local),
            _ => Ok(()),
        }
    }

    /// Before connecting anew: reads everything again where a file was replaced, or where the other side has `refused` what
    /// we have. What cannot be read, a file that is half written for example, changes nothing.
    pub(super) async fn renew(&self, refused: bool) {
        if *self.settings == properties::Security::default() {
            return;
        }
        let _one = self.renewing.lock().await;
        let this = self.clone();
        // A panic there is reported there, and what was read before stays.
        let _ = tokio::task::spawn_blocking(move || this.read_again(refused)).await;
    }

    /// The same for a record client, which is made without waiting. Blocks for a moment where files were replaced.
    pub(super) fn renewed(&self) -> Arc<Material> {
        self.read_again(false);
        self.now()
    }

    fn read_again(&self, refused: bool) {
        let stamps = stamps(&self.settings);
        let (replaced, recent) = {
            let now = self.current();
            let recent = now.read_at.is_some_and(|at| at.elapsed() < AGAIN);
            (now.stamps != stamps, recent)
        };
        if !replaced && (!refused || recent) {
            return;
        }
        let material = Material::of(&self.settings);
        let mut now = self.current();
        now.read_at = Some(Instant::now());
        if let Ok(material) = material {
            now.material = Arc::new(material);
            now.stamps = stamps;
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What librdkafka calls back.
    pub(super) fn context(&self) -> Callbacks {
        Callbacks {
            tokens: self.now().tokens.clone(),
            trouble: Arc::default(),
        }
    }

    pub(super) fn has_tls(&self) -> bool {
        self.settings.tls.is_some()
    }

    /// Whether a certificate must be for the host that was asked for.
    pub(super) fn checks_host(&self) -> bool {
        self.settings.tls.as_ref().is_some_and(|tls| tls.checks_host)
    }
}

/// The files that settings name, as they are now.
fn stamps(settings: &properties::Security) -> Vec<Stamp> {
    let stamp = |path: &Path| {
        let told = std::fs::metadata(path).and_then(|told| Ok((told.modified()?, told.len())));
        (path.to_owned(), told.ok())
    };
    settings.files().into_iter().map(stamp).collect()
}

impl Material {
    fn of(settings: &properties::Security) -> Result<Self, String> {
        let mut material = Self::default();
        let protocol = match (&settings.tls, &settings.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        material.give("security.protocol", protocol);
        if let Some(tls) = &settings.tls {
            material.secure(tls)?;
        }
        if let Some(sasl) = &settings.sasl {
            material.log_in(sasl)?;
        }
        Ok(material)
    }

    /// librdkafka's properties for the same.
    pub(super) fn rdkafka(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.rdkafka.iter().map(|(name, value)| (*name, value.as_str()))
    }

    fn give(&mut self, name: &'static str, value: impl Into<String>) {
        self.rdkafka.push((name, value.into()));
    }

    fn secure(&mut self, tls: &Tls) -> Result<(), String> {
        let java = java(tls)?;
        let settings =
            tls::Settings::from_properties(|key| java.get(key).cloned()).map_err(|error| error.to_string())?;
        let connector = tls::Connector::new(&settings).map_err(|error| error.to_string())?;
        self.wire = wire::Security::Tls(Arc::new(connector));
        match settings.trusted_pem().map_err(|error| error.to_string())? {
            Some(trusted) => self.give("ssl.ca.pem", trusted),
            None => self.give("ssl.ca.location", "probe"),
        }
        if let Some((key, chain)) = settings.identity_pem().map_err(|error| error.to_string())? {
            self.give("ssl.key.pem", key.reveal());
            self.give("ssl.certificate.pem", chain);
        }
        let algorithm = if tls.checks_host { "https" } else { "none" };
        self.give("ssl.endpoint.identification.algorithm", algorithm);
        let suites: Vec<_> = tls
            .suites
            .iter()
            .flat_map(|list| list.split(','))
            .filter_map(openssl)
            .collect();
        if !suites.is_empty() {
            self.give("ssl.cipher.suites", suites.join(":"));
        }
        Ok(())
    }

    fn log_in(&mut self, sasl: &Sasl) -> Result<(), String> {
        match sasl {
            Sasl::Password {
                mechanism,
                user,
                password,
            } => {
                let (user, password) = (user.reveal()?, password.reveal()?);
                self.give("sasl.mechanism", mechanism.to_string());
                self.give("sasl.username", &user);
                self.give("sasl.password", &password);
                self.user = Some(user.clone());
                self.login = Some(match mechanism {
                    Mechanism::Plain => Login::plain(user, password),
                    Mechanism::ScramSha256 => Login::scram(Scram::Sha256, user, password),
                    Mechanism::ScramSha512 => Login::scram(Scram::Sha512, user, password),
                });
            }
            Sasl::Token(secret) => {
                // What has no token now is told before anybody is asked.
                self.user = claims(&secret.reveal()?).subject;
                self.bear(Tokens::Place(secret.clone()));
            }
            Sasl::Endpoint(endpoint) => self.bear(Tokens::at(endpoint)?),
        }
        Ok(())
    }

    fn bear(&mut self, tokens: Tokens) {
        self.give("sasl.mechanism", "OAUTHBEARER");
        self.login = Some(Login::oauth_bearer(Arc::new(tokens.clone())));
        self.tokens = Some(tokens);
    }

    /// Who logs in, as far as it is known by now.
    pub(super) fn user(&self) -> Option<String> {
        self.user.clone().or_else(|| self.tokens.as_ref()?.subject())
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        f.debug_struct("Security")
            .field("wire", &now.wire)
            .field("login", &now.login)
            .finish_non_exhaustive()
    }
}

/// The settings in Java's names, which the broker's side of TLS reads.
fn java(tls: &Tls) -> Result<BTreeMap<&'static str, String>, String> {
    let mut java = BTreeMap::new();
    let mut secret = |name: &'static str, secret: &Secret| -> Result<(), String> {
        java.insert(name, secret.reveal()?);
        Ok(())
    };
    match &tls.trust {
        None => {}
        Some(Trust::File { path, password }) => {
            secret("ssl.truststore.location", &Secret::text(path.display().to_string()))?;
            if let Some(password) = password {
                secret("ssl.truststore.password", password)?;
            }
        }
        Some(Trust::Pem(pem)) => secret("ssl.truststore.certificates", pem)?,
    }
    match &tls.identity {
        None => {}
        Some(Identity::File { path, password }) => {
            secret("ssl.keystore.location", &Secret::text(path.display().to_string()))?;
            if let Some(password) = password {
                secret("ssl.keystore.password", password)?;
            }
        }
        Some(Identity::Pair { certificate, key }) => {
            secret("ssl.keystore.certificate.chain", certificate)?;
            secret("ssl.keystore.key", key)?;
        }
    }
    if let Some(password) = &tls.key_password {
        secret("ssl.key.password", password)?;
    }
    if let Some(versions) = &tls.versions {
        java.insert("ssl.enabled.protocols", versions.clone());
    }
    if let Some(suites) = &tls.suites {
        java.insert("ssl.cipher.suites", suites.clone());
    }
    if !tls.checks_host {
        java.insert("ssl.endpoint.identification.algorithm", String::new());
    }
    Ok(java)
}

/// OpenSSL's name of a suite of TLS 1.2 (`openssl ciphers -stdname`); those of 1.3 it chooses by itself.
fn openssl(iana: &str) -> Option<String> {
    let rest = iana.trim().strip_prefix("TLS_ECDHE_")?;
    let (key, cipher) = rest.split_once("_WITH_")?;
    let cipher = match cipher {
        "AES_128_GCM_SHA256" => "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384" => "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256" => "CHACHA20-POLY1305",
        _ => return None,
    };
    Some(format!("ECDHE-{key}-{cipher}"))
}

/// What librdkafka calls back while it runs: for a token, and to say why it has no connection.
#[derive(Debug, Clone)]
pub(super) struct Callbacks {
    tokens: Option<Tokens>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Callbacks {
    /// The last reason for which there was no connection: a client that waits for one only times out.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Callbacks {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        // "All brokers down" follows every other and tells less.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let tokens = self.tokens.as_ref().ok_or("no token is set")?;
        Ok(tokens.for_rdkafka()?)
    }
}

impl ConsumerContext for Callbacks {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clients_are_given_the_same_and_nothing_is_shown() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let settings = properties::Security {
            tls: Some(Tls {
                trust: Some(Trust::Pem(Secret::text(&certificate))),
                identity: Some(Identity::Pair {
                    certificate: Secret::text(&certificate),
                    key: Secret::text(&key),
                }),
                key_password: None,
                checks_host: false,
                versions: Some("TLSv1.3,TLSv1.2".to_owned()),
                suites: Some("TLS_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".to_owned()),
            }),
            sasl: Some(Sasl::Password {
                mechanism: Mechanism::ScramSha256,
                user: Secret::text("alice"),
                password: Secret::text("open sesame"),
            }),
        };
        let security = Security::of(&settings).unwrap();
        let material = security.now();
        let given: BTreeMap<_, _> = material.rdkafka().collect();
        assert_eq!(given["security.protocol"], "sasl_ssl");
        assert_eq!(given["sasl.mechanism"], "SCRAM-SHA-256");
        assert_eq!(given["sasl.password"], "open sesame");
        assert_eq!(given["ssl.endpoint.identification.algorithm"], "none");
        assert_eq!(given["ssl.cipher.suites"], "ECDHE-RSA-AES256-GCM-SHA384");
        let lines = |pem: &str| pem.replace("\r\n", "\n");
        assert_eq!(lines(given["ssl.ca.pem"]), lines(&certificate));
        assert_eq!(lines(given["ssl.key.pem"]), lines(&key));
        assert!(security.has_tls() && material.login.is_some());
        let shown = format!("{security:?}");
        assert!(
            shown.contains("alice") && !shown.contains("sesame") && !shown.contains("PRIVATE"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn what_was_replaced_is_read_again_and_what_is_half_written_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (store, word) = (folder.path().join("ca.pem"), folder.path().join("password"));
        let authority = || {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            made.cert.pem().replace("\r\n", "\n")
        };
        let (first, second) = (authority(), authority());
        std::fs::write(&store, &first).unwrap();
        std::fs::write(&word, "old").unwrap();
        let settings = properties::Security {
            tls: Some(Tls {
                trust: Some(Trust::File {
                    path: store.clone(),
                    password: None,
                }),
                identity: None,
                key_password: None,
                checks_host: true,
                versions: None,
                suites: None,
            }),
            sasl: Some(Sasl::Password {
                mechanism: Mechanism::Plain,
                user: Secret::text("alice"),
                password: Secret::File(word.clone()),
            }),
        };
        let security = Security::of(&settings).unwrap();
        let given = |name: &str| {
            let material = security.now();
            let found = material.rdkafka().find(|(key, _)| *key == name).unwrap().1;
            found.replace("\r\n", "\n")
        };
        let before = security.now();
        security.renew(false).await;
        security.renew(true).await;
        assert!(
            Arc::ptr_eq(&before, &security.now()),
            "nothing was replaced, and it was read moments ago"
        );

        // Another size, so that a clock of whole seconds does not matter.
        std::fs::write(&word, "newer").unwrap();
        std::fs::write(&store, &first[..first.len() / 2]).unwrap();
        security.renew(false).await;
        assert_eq!((given("ssl.ca.pem"), given("sasl.password")), (first, "old".to_owned()));

        std::fs::write(&store, &second).unwrap();
        security.renew(false).await;
        assert_eq!(
            (given("ssl.ca.pem"), given("sasl.password")),
            (second, "newer".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_read_is_our_own_fault() {
        let settings = properties::Security {
            tls: None,
            sasl: Some(Sasl::Password {
                mechanism: Mechanism::Plain,
                user: Secret::text("alice"),
                password: Secret::File("/no/such".into()),
            }),
        };
        let error = Security::of(&settings).unwrap_err();
        assert!(
            matches!(&error, Error::Local(text) if text.contains("/no/such")),
            "{error}"
        );
    }
}
