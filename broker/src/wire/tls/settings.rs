//! What Kafka's `ssl.*` properties say, as values.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;
use super::store::{self, Identity, Trusted};

/// A password or a key: shown by no one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// `ssl.client.auth`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    None,
    /// A client may show a certificate; one that it shows has to be good.
    Requested,
    Required,
}

/// Where certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Store<T> {
    File {
        path: PathBuf,
        password: Option<Secret>,
    },
    /// PEM in the properties themselves (KIP-651).
    Inline(T),
}

/// The `ssl.*` properties of one listener or one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Inline: the key and its chain.
    keystore: Option<Store<(Secret, Secret)>>,
    key_password: Option<Secret>,
    truststore: Option<Store<Secret>>,
    client_auth: ClientAuth,
    versions: Vec<String>,
    suites: Vec<String>,
    checks_host: bool,
}

impl Settings {
    /// From properties by their name without any prefix.
    ///
    /// `ssl.keystore.type` and `ssl.truststore.type` are not looked at: the content of a store decides.
    ///
    /// # Errors
    /// A value that is not one of Kafka's, or two properties that exclude each other.
    pub fn from_properties(property: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let get = |key: &str| property(key).map(|text| text.trim().to_owned());
        let set = |key: &str| get(key).filter(|text| !text.is_empty());
        let secret = |key: &str| property(key).filter(|text| !text.is_empty()).map(Secret::new);
        Ok(Self {
            keystore: keystore(&set, &secret)?,
            key_password: secret("ssl.key.password"),
            truststore: truststore(&set, &secret)?,
            client_auth: client_auth(set("ssl.client.auth").as_deref())?,
            versions: versions(set("ssl.enabled.protocols").as_deref())?,
            suites: list(set("ssl.cipher.suites").as_deref().unwrap_or_default()),
            checks_host: checks_host(get("ssl.endpoint.identification.algorithm").as_deref())?,
        })
    }

    pub fn client_auth(&self) -> ClientAuth {
        self.client_auth
    }

    /// The files whose content these settings depend on.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let key = match &self.keystore {
            Some(Store::File { path, .. }) => Some(path.as_path()),
            _ => None,
        };
        let trust = match &self.truststore {
            Some(Store::File { path, .. }) => Some(path.as_path()),
            _ => None,
        };
        key.into_iter().chain(trust)
    }

    pub(super) fn checks_host(&self) -> bool {
        self.checks_host
    }

    pub(super) fn speaks(&self, version: &str) -> bool {
        self.versions.iter().any(|spoken| spoken == version)
    }

    pub(super) fn cipher_suites(&self) -> &[String] {
        &self.suites
    }

    /// The key and its certificates; `None` if there is no key store.
    pub(super) fn identity(&self) -> Result<Option<Identity>, Error> {
        let key_password = self.key_password.as_ref();
        match &self.keystore {
            None => Ok(None),
            Some(Store::File { path, password }) => {
                store::identity_of_file(path, password.as_ref(), key_password).map(Some)
            }
            Some(Store::Inline((key, chain))) => store::identity_of_text(key, chain, key_password).map(Some),
        }
    }

    /// Who is trusted; `None` if there is no trust store.
    pub(super) fn roots(&self) -> Result<Option<RootCertStore>, Error> {
        self.trusted()?.map(Trusted::roots).transpose()
    }

    /// The trusted certificates as PEM, for a client that has a TLS of its own; `None` if there is no trust store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn trusted_pem(&self) -> Result<Option<String>, Error> {
        let trusted = self.trusted()?;
        Ok(trusted.map(|trusted| trusted.certificates.iter().map(certificate_pem).collect()))
    }

    /// The private key, not encrypted, and its certificates, both as PEM; `None` if there is no key store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn identity_pem(&self) -> Result<Option<(Secret, String)>, Error> {
        let Some(identity) = self.identity()? else {
            return Ok(None);
        };
        let label = match &identity.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        let key = Secret::new(store::section(label, identity.key.secret_der()));
        Ok(Some((key, identity.chain.iter().map(certificate_pem).collect())))
    }

    fn trusted(&self) -> Result<Option<Trusted>, Error> {
        match &self.truststore {
            None => Ok(None),
            Some(Store::File { path, password }) => store::trusted_of_file(path, password.as_ref()).map(Some),
            Some(Store::Inline(certificates)) => store::trusted_of_text(certificates).map(Some),
        }
    }
}

fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    store::section("CERTIFICATE", certificate)
}

fn keystore(
    set: &impl Fn(&str) -> Option<String>,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<Option<Store<(Secret, Secret)>>, Error> {
    const LOCATION: &str = "ssl.keystore.location";
    const KEY: &str = "ssl.keystore.key";
    const CHAIN: &str = "ssl.keystore.certificate.chain";
    match (set(LOCATION), secret(KEY), secret(CHAIN)) {
        (Some(path), None, None) => Ok(Some(Store::File {
            path: PathBuf::from(path),
            password: secret("ssl.keystore.password"),
        })),
        (Some(_), Some(_), _) => Err(Error::Both(LOCATION, KEY)),
        (Some(_), None, Some(_)) => Err(Error::Both(LOCATION, CHAIN)),
        (None, Some(key), Some(chain)) => Ok(Some(Store::Inline((key, chain)))),
        (None, Some(_), None) => Err(Error::Half(KEY, CHAIN)),
        (None, None, Some(_)) => Err(Error::Half(CHAIN, KEY)),
        (None, None, None) => Ok(None),
    }
}

fn truststore(
    set: &impl Fn(&str) -> Option<String>,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<Option<Store<Secret>>, Error> {
    const LOCATION: &str = "ssl.truststore.location";
    const CERTIFICATES: &str = "ssl.truststore.certificates";
    match (set(LOCATION), secret(CERTIFICATES)) {
        (Some(path), None) => Ok(Some(Store::File {
            path: PathBuf::from(path),
            password: secret("ssl.truststore.password"),
        })),
        (None, Some(certificates)) => Ok(Some(Store::Inline(certificates))),
        (Some(_), Some(_)) => Err(Error::Both(LOCATION, CERTIFICATES)),
        (None, None) => Ok(None),
    }
}

fn client_auth(text: Option<&str>) -> Result<ClientAuth, Error> {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("none") => Ok(ClientAuth::None),
        Some("requested") => Ok(ClientAuth::Requested),
        Some("required") => Ok(ClientAuth::Required),
        Some(other) => Err(Error::Property {
            key: "ssl.client.auth",
            value: other.to_owned(),
            expected: "one of required, requested, none",
        }),
    }
}

fn versions(text: Option<&str>) -> Result<Vec<String>, Error> {
    let spoken = list(text.unwrap_or("TLSv1.2,TLSv1.3"));
    let known = |version: &String| matches!(version.as_str(), "TLSv1.2" | "TLSv1.3");
    if spoken.is_empty() || !spoken.iter().all(known) {
        return Err(Error::Property {
            key: "ssl.enabled.protocols",
            value: spoken.join(","),
            expected: "a list of TLSv1.2, TLSv1.3",
        });
    }
    Ok(spoken)
}

fn checks_host(text: Option<&str>) -> Result<bool, Error> {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("https") => Ok(true),
        Some("") => Ok(false),
        Some(other) => Err(Error::Property {
            key: "ssl.endpoint.identification.algorithm",
            value: other.to_owned(),
            expected: "https, or empty",
        }),
    }
}

fn list(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::from_properties(|key| {
            let pair = pairs.iter().find(|(name, _)| *name == key);
            pair.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_are_kafkas() {
        let settings = settings(&[]).expect("valid");
        assert_eq!(settings.client_auth(), ClientAuth::None);
        assert!(settings.checks_host() && settings.speaks("TLSv1.2") && settings.speaks("TLSv1.3"));
        assert!(settings.identity().expect("no store").is_none());
    }

    #[test]
    fn an_empty_algorithm_checks_no_host_name() {
        let settings = settings(&[("ssl.endpoint.identification.algorithm", "")]).expect("valid");
        assert!(!settings.checks_host());
    }

    #[test]
    fn bad_values_and_halves_name_their_properties() {
        for (pairs, wanted) in [
            (&[("ssl.client.auth", "maybe")][..], "ssl.client.auth"),
            (&[("ssl.enabled.protocols", "TLSv1.1")], "ssl.enabled.protocols"),
            (&[("ssl.endpoint.identification.algorithm", "dns")], "ssl.endpoint"),
            (&[("ssl.keystore.key", "k")], "ssl.keystore.certificate.chain"),
            (
                &[("ssl.truststore.location", "/x"), ("ssl.truststore.certificates", "c")],
                "both set",
            ),
        ] {
            let error = settings(pairs).expect_err("refused").to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = settings(&[
            ("ssl.keystore.location", "/stores/broker.p12"),
            ("ssl.keystore.password", "swordfish"),
            ("ssl.key.password", "swordfish"),
            ("ssl.truststore.certificates", "swordfish"),
        ]);
        let shown = format!("{:?}", settings.expect("valid"));
        assert!(
            shown.contains("/stores/broker.p12") && !shown.contains("swordfish"),
            "{shown}"
        );
    }
}
