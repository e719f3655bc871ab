//! Why TLS settings cannot be used, and why a handshake failed, as sentences with the property that changes it.

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError};

/// Why there is no TLS with these settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "ssl.keystore.location is not set (nor ssl.keystore.key with ssl.keystore.certificate.chain); a TLS listener needs a certificate"
    )]
    NoKeystore,
    #[error(
        "ssl.truststore.location is not set (nor ssl.truststore.certificates); without it no client certificate can be checked, which ssl.client.auth asks for"
    )]
    NoTruststore,
    #[error("ssl.truststore.location is not set, and this system has no root certificates of its own")]
    NoRoots,
    #[error("Invalid value {value} for configuration {key}: must be {expected}.")]
    Property {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("{0} and {1} are both set; leave out one of them")]
    Both(&'static str, &'static str),
    #[error("{0} is set without {1}")]
    Half(&'static str, &'static str),
    #[error("ssl.cipher.suites holds no suite that is there; there are {known}")]
    NoSuite { known: String },
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// `store`: a path, or the property that holds it.
    #[error("{store} {reason}")]
    Store { store: String, reason: String },
    #[error("the trusted certificates cannot be used: {0}")]
    Trust(String),
    #[error("the certificate cannot be made to expire: {0}")]
    Double(String),
    #[error("the key and its certificate cannot be used: {}", said(.0))]
    Unusable(rustls::Error),
}

/// Why a handshake or a connection failed, for people: what the other side did, and what may be done.
pub fn sentence(error: &io::Error) -> String {
    match rustls_error(error) {
        Some(error) => said(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        None => error.to_string(),
    }
}

/// Whether TLS itself failed, and not the connection below it: the same again would fail again.
pub fn is_tls(error: &io::Error) -> bool {
    rustls_error(error).is_some() || error.kind() == io::ErrorKind::InvalidInput
}

/// The TLS error inside an I/O error.
fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

pub fn said(error: &rustls::Error) -> String {
    let text = match error {
        rustls::Error::InvalidCertificate(reason) => return certificate(reason),
        rustls::Error::AlertReceived(alert) => return alerted(*alert),
        rustls::Error::NoCertificatesPresented => "it shows no certificate, which ssl.client.auth=required asks for",
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        rustls::Error::PeerIncompatible(reason) => {
            return format!("it has no TLS version or cipher suite in common with us ({reason:?})");
        }
        rustls::Error::InconsistentKeys(_) => "the private key is not the certificate's",
        other => return other.to_string(),
    };
    text.to_owned()
}

fn certificate(reason: &CertificateError) -> String {
    let text = match reason {
        CertificateError::UnknownIssuer => "its certificate is signed by none that our trust store holds",
        CertificateError::BadSignature => {
            "its certificate is signed by another authority of the same name as one that our trust store holds"
        }
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            return match days {
                0 => "its certificate has expired within the last day".to_owned(),
                1 => "its certificate has expired 1 day ago".to_owned(),
                days => format!("its certificate has expired {days} days ago"),
            };
        }
        CertificateError::Expired => "its certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; compare the clocks"
        }
        CertificateError::NotValidForName => {
            "its certificate is for other host names; an empty ssl.endpoint.identification.algorithm does not check them"
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            return format!(
                "its certificate is for {} and not for {}; an empty ssl.endpoint.identification.algorithm does not check that",
                if presented.is_empty() {
                    "no host name".to_owned()
                } else {
                    presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
                },
                expected.to_str()
            );
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate's extended key usage does not allow this side of a connection"
        }
        other => return format!("its certificate is refused: {other}"),
    };
    text.to_owned()
}

/// A name without the kind that rustls wraps it in: `DnsName("b1")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn alerted(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::CertificateRequired => {
            "it asks for a client certificate, and there is none (ssl.keystore.location)"
        }
        AlertDescription::UnknownCA => "it does not trust the one who signed our certificate",
        AlertDescription::CertificateExpired => "it says that our certificate has expired",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => "it refuses our certificate",
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "it has no TLS version or cipher suite in common with us, or misses our certificate"
        }
        other => return format!("it ends the connection with the TLS alert {other:?}"),
    };
    text.to_owned()
}
