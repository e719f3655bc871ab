//! What a certificate says of itself, for people.

use std::net::{Ipv4Addr, Ipv6Addr};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The parts of a certificate that decide whether it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    /// Seconds since the epoch, both.
    pub not_before: i64,
    pub not_after: i64,
    /// Its subject alternative names: DNS names and IP addresses.
    pub names: Vec<String>,
}

impl Certificate {
    /// Reads one from DER.
    ///
    /// # Errors
    /// It is no X.509 certificate.
    pub fn of_der(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        let names = alternatives
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(name);
        Ok(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            names: names.collect(),
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => <[u8; 16]>::try_from(bytes)
                .ok()
                .map(|bytes| Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_are_read() {
        let made = rcgen::generate_simple_self_signed(["b1.example".to_owned(), "10.0.1.4".to_owned()]);
        let certificate = Certificate::of_der(made.expect("a certificate").cert.der()).expect("readable");
        assert_eq!(certificate.names, ["b1.example", "10.0.1.4"]);
        assert_eq!(certificate.subject, certificate.issuer);
        assert!(certificate.not_before < certificate.not_after);
        assert!(Certificate::of_der(b"no").is_err());
    }
}
