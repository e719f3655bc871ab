//! The certificate that brokers show where clients reach them encrypted.

use std::fs;
use std::path::{Path, PathBuf};

use super::Failure;

/// Files in PEM.
pub struct Identity {
    /// The key and the certificate.
    pub store: PathBuf,
    /// The certificate alone, which is its own authority.
    pub trust: PathBuf,
}

impl Identity {
    /// A new one in `folder`, for brokers on this host.
    pub fn in_folder(folder: &Path) -> Result<Self, Failure> {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let (key, certificate) = (own.signing_key.serialize_pem(), own.cert.pem());
        let identity = Self {
            store: folder.join("identity.pem"),
            trust: folder.join("trust.pem"),
        };
        fs::write(&identity.store, format!("{key}{certificate}"))?;
        fs::write(&identity.trust, certificate)?;
        Ok(identity)
    }
}
