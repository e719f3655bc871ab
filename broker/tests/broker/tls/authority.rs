//! An authority that signs certificates, in files as brokers and clients want them.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

/// Signs, and can be trusted: its own certificate is in a file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    /// The file to trust, PEM.
    pub trust: String,
}

/// A key and its certificate.
pub struct Signed {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
    /// Both in one PEM file, as `ssl.keystore.location` wants them, and each in one of its own, as librdkafka wants them.
    pub store: String,
    pub certificate_file: String,
    pub key_file: String,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named(name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signs").pem();
        Self {
            trust: write(&folder.join(format!("{name}.pem")), &pem),
            issuer: Issuer::new(params, key),
            folder: folder.to_owned(),
        }
    }

    /// A certificate for a broker on 127.0.0.1 or for a client, which is both in one.
    pub fn sign(&self, name: &str) -> Signed {
        self.sign_until(name, 2099)
    }

    /// Valid until the beginning of a year.
    pub fn sign_until(&self, name: &str, year: i32) -> Signed {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a host");
        params.distinguished_name = named(name);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        let (public, private) = (certificate.pem(), key.serialize_pem());
        let file = |kind: &str| self.folder.join(format!("{name}.{kind}"));
        Signed {
            store: write(&file("store.pem"), &format!("{private}{public}")),
            certificate_file: write(&file("crt"), &public),
            key_file: write(&file("key"), &private),
            certificate,
            key,
        }
    }
}

impl Signed {
    /// As a PKCS12 store.
    pub fn pkcs12(&self, password: &str) -> Vec<u8> {
        let key = p12_keystore::PrivateKey::from_der(self.key.serialized_der()).expect("a key");
        let certificate = p12_keystore::Certificate::from_der(self.certificate.der()).expect("a certificate");
        let chain = p12_keystore::PrivateKeyChain::new("key", key, [certificate]);
        let mut store = p12_keystore::KeyStore::new();
        store.add_entry("key", p12_keystore::KeyStoreEntry::PrivateKeyChain(chain));
        store.writer(password).write().expect("writes")
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Azimuth");
    subject.push(DnType::CommonName, name);
    subject
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).expect("writes");
    path.to_string_lossy().into_owned()
}
