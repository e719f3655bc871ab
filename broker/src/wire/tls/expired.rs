//! A certificate's double whose time is over, for the fault that is named so.
//!
//! It has the same names and the same key, and is signed with that key: the one who signed the original would not lend his.
//! So a client that trusts the original itself, or looks at the dates first, as rustls does, says that it has expired; one that looks for the
//! signer first says that it does not know him.

use std::net::IpAddr;

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::PrivateKeyDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Error;
use super::store::Identity;

/// The first and the last day of its validity: long over for every clock that is not skewed by years.
const FIRST_DAY: (i32, u8, u8) = (2000, 1, 1);
const LAST_DAY: (i32, u8, u8) = (2001, 1, 1);

/// # Errors
/// The certificate cannot be read, or its key cannot sign.
pub fn reissued(identity: &Identity) -> Result<Identity, Error> {
    let original = identity.chain.first().ok_or(Error::NoKeystore)?;
    let (_, parsed) = X509Certificate::from_der(original).map_err(|error| unfit(&error))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = parsed.subject().iter_common_name().find_map(|name| name.as_str().ok()) {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    let named = parsed.subject_alternative_name().map_err(|error| unfit(&error))?;
    let names = named
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    params.subject_alt_names = names.iter().filter_map(name).collect();
    params.not_before = rcgen::date_time_ymd(FIRST_DAY.0, FIRST_DAY.1, FIRST_DAY.2);
    params.not_after = rcgen::date_time_ymd(LAST_DAY.0, LAST_DAY.1, LAST_DAY.2);
    let key = KeyPair::try_from(&identity.key).map_err(|error| unfit(&error))?;
    let double = params.self_signed(&key).map_err(|error| unfit(&error))?;
    Ok(Identity {
        chain: vec![double.der().clone()],
        key: PrivateKeyDer::clone_key(&identity.key),
    })
}

fn name(name: &GeneralName<'_>) -> Option<SanType> {
    match name {
        GeneralName::DNSName(name) => Some(SanType::DnsName((*name).try_into().ok()?)),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?;
            Some(SanType::IpAddress(address))
        }
        _ => None,
    }
}

fn unfit(error: &dyn std::fmt::Display) -> Error {
    Error::Double(error.to_string())
}
