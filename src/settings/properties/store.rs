//! Key and trust stores, told apart by their content: `ssl.truststore.type` is wrong too often to be believed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pem,
    Pkcs12,
    Jks,
}

/// Why a store cannot be used whatever else is set, and what to do; `None` where the store itself is no obstacle.
pub fn refusal(path: &Path) -> Option<String> {
    let shown = path.display();
    match kind(path) {
        Ok(Some(Kind::Jks)) => Some(format!(
            "{shown} is a JKS store, which only Java can read; convert it: keytool -importkeystore -srckeystore {shown} \
             -destkeystore {} -deststoretype pkcs12",
            path.with_extension("p12.new").display()
        )),
        Ok(Some(Kind::Pem | Kind::Pkcs12)) => None,
        Ok(None) => Some(format!("{shown} is neither PEM nor PKCS12")),
        Err(error) => Some(format!("cannot read {shown}: {error}")),
    }
}

fn kind(path: &Path) -> std::io::Result<Option<Kind>> {
    let mut head = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut head)?;
    Ok(match head.as_slice() {
        // The magic numbers of JKS and of its relative JCEKS.
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Some(Kind::Jks),
        // A DER sequence with a long length, as every PFX begins.
        [0x30, 0x80..=0x84, ..] => Some(Kind::Pkcs12),
        text if text.windows(11).any(|window| window == b"-----BEGIN ") => Some(Kind::Pem),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let cases: [(&[u8], Option<Kind>); 5] = [
            (b"\xfe\xed\xfe\xed\x00", Some(Kind::Jks)),
            (b"\x30\x82\x0a\x01", Some(Kind::Pkcs12)),
            (b"# mine\n-----BEGIN CERTIFICATE-----\n", Some(Kind::Pem)),
            (b"hello", None),
            (b"", None),
        ];
        for (content, wanted) in cases {
            std::fs::write(&path, content).unwrap();
            assert_eq!(kind(&path).unwrap(), wanted);
        }
    }
}
