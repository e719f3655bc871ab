//! The subject of a certificate, written as Java writes it: what `ssl.principal.mapping.rules` and ACLs see.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::prelude::{ASN1Time, AttributeTypeAndValue, FromDer, X509Certificate};

/// The attributes that RFC 2253 has a word for; others are written as their numbers.
const WORDS: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The tags of the string types: UTF8, printable, T61, IA5, general, BMP.
const STRINGS: [u32; 6] = [12, 19, 20, 22, 27, 30];

/// From when until when a certificate is valid, in ms since 1970.
pub fn validity(der: &[u8]) -> Option<RangeInclusive<i64>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let ms = |time: ASN1Time| time.timestamp().saturating_mul(1_000);
    Some(ms(validity.not_before)..=ms(validity.not_after))
}

/// The distinguished name of a certificate's subject as `X500Principal.getName()` has it: RFC 2253, the most specific
/// part first. `None` if it is no certificate.
pub fn subject(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names: Vec<String> = certificate
        .subject()
        .iter()
        .map(|relative| relative.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    Some(names.into_iter().rev().collect::<Vec<_>>().join(","))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    let word = WORDS.iter().find(|(known, _)| *known == number).map(|(_, word)| *word);
    match word {
        Some(word) if STRINGS.contains(&value.header.tag().0) => {
            format!("{word}={}", escaped(&String::from_utf8_lossy(value.data)))
        }
        _ => format!("{}={}", word.unwrap_or(&number), hex(value)),
    }
}

/// With a backslash before what has a meaning in a name, and before spaces at its ends.
fn escaped(value: &str) -> String {
    let is_space = |char: char| char == ' ' || char == '\r';
    let chars: Vec<char> = value.chars().collect();
    let lead = chars.iter().take_while(|char| is_space(**char)).count();
    let trail = chars.len() - chars.iter().rev().take_while(|char| is_space(**char)).count();
    let mut text = String::with_capacity(value.len());
    for (index, char) in chars.into_iter().enumerate() {
        match char {
            '\0' => text.push_str("\\00"),
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => text.extend(['\\', char]),
            _ if index < lead || index >= trail => text.extend(['\\', char]),
            _ => text.push(char),
        }
    }
    text
}

/// `#` and the value's DER in hexadecimal.
fn hex(value: &Any<'_>) -> String {
    let mut der = vec![u8::try_from(value.header.tag().0 & 0x1f).unwrap_or(0)];
    der[0] |= (value.header.class() as u8) << 6 | u8::from(value.header.is_constructed()) << 5;
    match value.data.len() {
        short @ 0..=127 => der.extend(u8::try_from(short)),
        long => {
            let bytes = long.to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            der.extend(u8::try_from(bytes.len()).map(|count| 0x80 | count));
            der.extend(bytes);
        }
    }
    der.extend(value.data);
    let mut text = String::from("#");
    for byte in der {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::*;

    fn certificate(parts: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params
                .distinguished_name
                .push(kind.clone(), DnValue::Utf8String((*value).to_owned()));
        }
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("signs").der().to_vec()
    }

    #[test]
    fn a_subject_is_written_most_specific_first() {
        let der = certificate(&[
            (DnType::CountryName, "DE"),
            (DnType::StateOrProvinceName, "Hessen"),
            (DnType::LocalityName, "Frankfurt"),
            (DnType::OrganizationName, "Azimuth"),
            (DnType::OrganizationalUnitName, "ServiceUsers"),
            (DnType::CommonName, "client"),
        ]);
        assert_eq!(
            subject(&der).as_deref(),
            Some("CN=client,OU=ServiceUsers,O=Azimuth,L=Frankfurt,ST=Hessen,C=DE")
        );
        assert_eq!(subject(b"no certificate"), None);
        // What rcgen gives: from 1975 to 4096.
        assert_eq!(validity(&der), Some(157_766_400_000..=67_090_118_400_000));
    }

    #[test]
    fn what_has_a_meaning_is_escaped_and_what_has_no_word_is_a_number() {
        let mail = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        let der = certificate(&[(DnType::OrganizationName, " a, \"b\"=c "), (mail, "a@b")]);
        assert_eq!(
            subject(&der).as_deref(),
            Some("1.2.840.113549.1.9.1=#0c03614062,O=\\ a\\, \\\"b\\\"\\=c\\ ")
        );
    }
}
