//! Key and trust stores: PEM and PKCS12, told apart by their content. JKS is refused with the line that converts it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{Pkcs12Archive, error::Error as Pkcs12Error};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::Error;
use super::settings::Secret;

/// The largest store that is read: 1 MiB, some hundred certificates.
const MAX_BYTES: u64 = 1024 * 1024;

/// A private key and its certificates, its own first.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// What a store holds.
#[derive(Default)]
struct Content {
    key: Option<PrivateKeyDer<'static>>,
    certificates: Vec<CertificateDer<'static>>,
}

pub fn identity_of_file(
    path: &Path,
    password: Option<&Secret>,
    key_password: Option<&Secret>,
) -> Result<Identity, Error> {
    let store = path.display().to_string();
    // In PEM the key alone is encrypted.
    let content = content(path, password, key_password)?;
    identity(&store, content)
}

pub fn identity_of_text(key: &Secret, chain: &Secret, password: Option<&Secret>) -> Result<Identity, Error> {
    let mut content = pem("ssl.keystore.key", key.reveal(), password)?;
    content.certificates = pem("ssl.keystore.certificate.chain", chain.reveal(), None)?.certificates;
    identity("ssl.keystore.key with ssl.keystore.certificate.chain", content)
}

/// The certificates of a trust store, as far as they can be read.
pub struct Trusted {
    store: String,
    pub certificates: Vec<CertificateDer<'static>>,
}

pub fn trusted_of_file(path: &Path, password: Option<&Secret>) -> Result<Trusted, Error> {
    Ok(Trusted {
        store: path.display().to_string(),
        certificates: content(path, password, None)?.certificates,
    })
}

pub fn trusted_of_text(certificates: &Secret) -> Result<Trusted, Error> {
    let store = "ssl.truststore.certificates";
    Ok(Trusted {
        store: store.to_owned(),
        certificates: pem(store, certificates.reveal(), None)?.certificates,
    })
}

/// DER as a PEM section, in lines of 64 letters (RFC 7468).
pub fn section(label: &str, der: &[u8]) -> String {
    let digits = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in digits.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn identity(store: &str, content: Content) -> Result<Identity, Error> {
    let Some(key) = content.key else {
        return Err(fault(store, "holds no private key"));
    };
    if content.certificates.is_empty() {
        return Err(fault(store, "holds a private key without a certificate"));
    }
    Ok(Identity {
        chain: content.certificates,
        key,
    })
}

impl Trusted {
    pub fn roots(self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates {
            roots
                .add(certificate)
                .map_err(|error| fault(&self.store, format!("holds a certificate that cannot be read: {error}")))?;
        }
        if roots.is_empty() {
            return Err(fault(&self.store, "holds no certificate to trust"));
        }
        Ok(roots)
    }
}

fn content(path: &Path, password: Option<&Secret>, key_password: Option<&Secret>) -> Result<Content, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let store = path.display().to_string();
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_BYTES {
        return Err(fault(
            &store,
            format!("has {length} bytes, more than a store may have ({MAX_BYTES})"),
        ));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    match bytes.as_slice() {
        // The magic numbers of JKS and of its relative JCEKS.
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Err(fault(
            &store,
            format!(
                "is a JKS store, which only Java can read; convert it: keytool -importkeystore -srckeystore {store} \
                 -destkeystore {} -deststoretype pkcs12",
                path.with_extension("p12.new").display()
            ),
        )),
        // A DER sequence with a long length, as every PFX begins.
        [0x30, 0x80..=0x84, ..] => pkcs12(&store, &bytes, password),
        _ => match std::str::from_utf8(&bytes) {
            Ok(text) if text.contains(BEGIN) => pem(&store, text, key_password.or(password)),
            _ => Err(fault(&store, "is neither PEM nor PKCS12")),
        },
    }
}

fn pkcs12(store: &str, bytes: &[u8], password: Option<&Secret>) -> Result<Content, Error> {
    let password = password.map_or("", Secret::reveal);
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| {
        let reason = match error {
            Pkcs12Error::MacError(_) if password.is_empty() => {
                "needs its password (ssl.keystore.password, ssl.truststore.password)".to_owned()
            }
            Pkcs12Error::MacError(_) => "has another password than the one that is set".to_owned(),
            other => format!("cannot be read as PKCS12: {other}"),
        };
        fault(store, reason)
    })?;
    let Some(bag) = archive.keys.first() else {
        let certificates = archive.certs.iter().map(|bag| der(&bag.cert)).collect();
        return Ok(Content {
            key: None,
            certificates,
        });
    };
    if archive.keys.len() > 1 {
        return Err(fault(
            store,
            "holds more than one private key; keep the one that is to be used",
        ));
    }
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(bag.key.as_der().to_vec()));
    Ok(Content {
        key: Some(key),
        certificates: chain(&archive, bag.local_key_id.as_ref().map(AsRef::as_ref)),
    })
}

/// The certificate that belongs to the key, and those that sign it, as far as the store holds them.
fn chain(archive: &Pkcs12Archive, key_id: Option<&[u8]>) -> Vec<CertificateDer<'static>> {
    let of_key = |bag: &&p12_keystore::CertificateBag| key_id.is_some() && bag.local_key_id.as_deref() == key_id;
    let Some(mut last) = archive.certs.iter().find(of_key).or(archive.certs.first()) else {
        return Vec::new();
    };
    let mut chain = vec![der(&last.cert)];
    // A chain that goes in a circle is as long as the store at most.
    while chain.len() < archive.certs.len() && last.cert.issuer() != last.cert.subject() {
        let Some(issuer) = archive
            .certs
            .iter()
            .find(|bag| bag.cert.subject() == last.cert.issuer())
        else {
            break;
        };
        chain.push(der(&issuer.cert));
        last = issuer;
    }
    chain
}

fn der(certificate: &p12_keystore::Certificate) -> CertificateDer<'static> {
    CertificateDer::from(certificate.as_der().to_vec())
}

const BEGIN: &str = "-----BEGIN ";

/// All sections of a PEM text. As in Kafka, line breaks may be missing, so that a whole store fits into one property.
fn pem(store: &str, text: &str, password: Option<&Secret>) -> Result<Content, Error> {
    let mut content = Content::default();
    for section in text.split(BEGIN).skip(1) {
        let torn = || fault(store, "has a PEM section that does not end");
        let (label, rest) = section.split_once("-----").ok_or_else(torn)?;
        let (body, _) = rest.split_once("-----END").ok_or_else(torn)?;
        if body.contains("Proc-Type:") {
            return Err(fault(
                store,
                "holds a private key in OpenSSL's old encrypted form; convert it: openssl pkcs8 -topk8 -in FILE",
            ));
        }
        let digits: String = body.chars().filter(|char| !char.is_whitespace()).collect();
        let der = STANDARD
            .decode(digits)
            .map_err(|_| fault(store, format!("has a {label} section that is not base64")))?;
        let key = match label {
            "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
                content.certificates.push(CertificateDer::from(der));
                continue;
            }
            "PRIVATE KEY" => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
            "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
            "EC PRIVATE KEY" => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
            "ENCRYPTED PRIVATE KEY" => decrypted(store, &der, password)?,
            // Parameters, requests and the like.
            _ => continue,
        };
        if content.key.replace(key).is_some() {
            return Err(fault(
                store,
                "holds more than one private key; keep the one that is to be used",
            ));
        }
    }
    Ok(content)
}

fn decrypted(store: &str, der: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, Error> {
    let Some(password) = password else {
        return Err(fault(store, "holds an encrypted private key; set ssl.key.password"));
    };
    let sealed = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der).map_err(|error| {
        fault(
            store,
            format!("holds an encrypted private key that cannot be read: {error}"),
        )
    })?;
    let open = sealed.decrypt(password.reveal()).map_err(|_| {
        fault(
            store,
            "holds an encrypted private key that ssl.key.password does not open (PBES2 with AES is understood)",
        )
    })?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(open.as_bytes().to_vec())))
}

fn fault(store: &str, reason: impl Into<String>) -> Error {
    Error::Store {
        store: store.to_owned(),
        reason: reason.into(),
    }
}
