//! Stores of every form, and handshakes that go well and badly.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPxcbeFevH4rThUCD
nxg8Xa6s4Xt3Ho8jUiu49ltwjFmhRANCAASRcpbModzA7ktj4+vobPY7/O2CbVDp
EaZ7DYAyXmIMEEa94MEviGji4faECR4IUljCyZrqud+VUCoxEu7rL8Zn
-----END PRIVATE KEY-----
";
/// The same key under the password `secret`.
const SEALED_KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh870Sm9SSoywICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEEoURmkU1hRrchyncFo6TvgEgZAo
x96pbbj4VzYCyGMK5JCdkQWslASXCiaHpegehYy8nmkmFwlX6ncrhxzvzvbd3bDF
HxwI6MWP6OmkRwnr9ive7FnKHjVczIffrBvvsI/B+MHZdw39IyYbwSmBsDFylNzZ
1jQ1JjKnu9rImqk0LX4mlsyb7/GYpqa6hRNL8Pu5O4j96M5QnNrV42MGiSAWg/c=
-----END ENCRYPTED PRIVATE KEY-----
";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signs").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for `host`, and its key, in PEM.
    fn sign(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a host");
        change(&mut params);
        let key = KeyPair::from_pem(KEY).expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        (certificate.pem(), key.serialize_pem())
    }

    fn good(&self) -> (String, String) {
        self.sign("127.0.0.1", |_| {})
    }
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let get = |key: &str| {
        let pair = pairs.iter().find(|(name, _)| *name == key);
        pair.map(|(_, value)| (*value).to_owned())
    };
    Settings::from_properties(get).expect("valid")
}

/// What a server and a client with these properties come to: what each of them says, if anything.
async fn shake(server: &[(&str, &str)], client: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let acceptor = Acceptor::new(&settings(server)).expect("a server");
    let connector = Connector::new(&settings(client)).expect("a client");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound").to_string();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepts");
        let mut stream = acceptor.accept(stream).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        stream.write_all(&byte).await?;
        stream.flush().await
    });
    let asking = async {
        let stream = TcpStream::connect(&addr).await?;
        let mut stream = connector.connect(&addr, stream).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map(|_| ())
    };
    let asked: io::Result<()> = asking.await;
    let served = serving.await.expect("joins");
    let said = |done: io::Result<()>| done.err().map(|error| sentence(&error));
    (said(served), said(asked))
}

#[tokio::test]
async fn both_sides_know_each_other_in_each_version() {
    let authority = Authority::new("ours");
    let (chain, key) = authority.good();
    let both = [
        ("ssl.keystore.certificate.chain", chain.as_str()),
        ("ssl.keystore.key", &key),
        ("ssl.truststore.certificates", &authority.pem),
    ];
    for version in ["TLSv1.2", "TLSv1.3"] {
        let server = [&both[..], &[("ssl.client.auth", "required")]].concat();
        let client = [&both[..], &[("ssl.enabled.protocols", version)]].concat();
        assert_eq!(shake(&server, &client).await, (None, None), "{version}");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_said_on_both_sides() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("strange"));
    let (chain, key) = authority.good();
    let server = [
        ("ssl.keystore.certificate.chain", chain.as_str()),
        ("ssl.keystore.key", &key),
        ("ssl.truststore.certificates", &authority.pem),
        ("ssl.client.auth", "required"),
    ];
    let trusting = [("ssl.truststore.certificates", authority.pem.as_str())];
    let showing = |(chain, key): (String, String)| {
        let shown = [("ssl.keystore.certificate.chain", chain), ("ssl.keystore.key", key)];
        shown.map(|(key, value)| (key, &*value.leak())).to_vec()
    };
    let namesake = Authority::new("ours").good();
    let expired = authority.sign("client", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    for (client, server_says, client_says) in [
        (
            vec![("ssl.truststore.certificates", stranger.pem.as_str())],
            "does not trust the one who signed our certificate",
            "signed by none that our trust store holds",
        ),
        (
            trusting.to_vec(),
            "shows no certificate, which ssl.client.auth=required asks for",
            "asks for a client certificate",
        ),
        (
            [trusting.to_vec(), showing(stranger.good())].concat(),
            "signed by none that our trust store holds",
            "does not trust the one who signed our certificate",
        ),
        (
            [trusting.to_vec(), showing(namesake)].concat(),
            "another authority of the same name",
            "ends the connection with the TLS alert DecryptError",
        ),
        (
            [trusting.to_vec(), showing(expired)].concat(),
            "has expired",
            "says that our certificate has expired",
        ),
    ] {
        let (served, asked) = shake(&server, &client).await;
        let (served, asked) = (served.expect("refuses"), asked.expect("is refused"));
        assert!(served.contains(server_says), "{server_says}: {served}");
        assert!(asked.contains(client_says), "{client_says}: {asked}");
    }
}

#[tokio::test]
async fn the_host_name_counts_unless_it_is_not_to_be_checked() {
    let authority = Authority::new("ours");
    let (chain, key) = authority.sign("broker.example", |_| {});
    let server = [
        ("ssl.keystore.certificate.chain", chain.as_str()),
        ("ssl.keystore.key", &key),
    ];
    let client = [("ssl.truststore.certificates", authority.pem.as_str())];
    let (_, asked) = shake(&server, &client).await;
    let asked = asked.expect("is refused");
    assert!(
        asked.contains("broker.example") && asked.contains("127.0.0.1"),
        "{asked}"
    );
    let lenient = [&client[..], &[("ssl.endpoint.identification.algorithm", "")]].concat();
    assert_eq!(shake(&server, &lenient).await, (None, None));
    // Only the name is not checked.
    let stranger = Authority::new("strange");
    let client = [
        ("ssl.truststore.certificates", stranger.pem.as_str()),
        ("ssl.endpoint.identification.algorithm", ""),
    ];
    let (_, asked) = shake(&server, &client).await;
    assert!(asked.expect("is refused").contains("signed by none"));
}

#[tokio::test]
async fn versions_and_suites_are_held_to() {
    let authority = Authority::new("ours");
    let (chain, key) = authority.good();
    let server = [
        ("ssl.keystore.certificate.chain", chain.as_str()),
        ("ssl.keystore.key", &key),
        ("ssl.enabled.protocols", "TLSv1.3"),
        ("ssl.cipher.suites", "TLS_AES_256_GCM_SHA384"),
    ];
    let old = [
        ("ssl.truststore.certificates", authority.pem.as_str()),
        ("ssl.enabled.protocols", "TLSv1.2"),
    ];
    let (served, asked) = shake(&server, &old).await;
    assert!(served.expect("refuses").contains("in common"));
    assert!(asked.expect("is refused").contains("in common"));
    let new = [("ssl.truststore.certificates", authority.pem.as_str())];
    assert_eq!(shake(&server, &new).await, (None, None));
    let unknown = [&server[..3], &[("ssl.cipher.suites", "TLS_RSA_WITH_RC4_128_MD5")]].concat();
    let error = Acceptor::new(&settings(&unknown)).expect_err("refused").to_string();
    assert!(error.contains("TLS_AES_256_GCM_SHA384"), "{error}");
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_those_who_come_later_and_a_bad_one_to_no_one() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let server = |authority: &Authority| {
        let (chain, key) = authority.good();
        settings(&[("ssl.keystore.certificate.chain", &chain), ("ssl.keystore.key", &key)])
    };
    let acceptor = Arc::new(Acceptor::new(&server(&first)).expect("a server"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound").to_string();
    let serving = Arc::clone(&acceptor);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust it breaks off.
            let _ = serving.accept(stream).await;
        }
    });
    let trusts = async |authority: &Authority| {
        let settings = settings(&[("ssl.truststore.certificates", &authority.pem)]);
        let connector = Connector::new(&settings).expect("a client");
        let stream = TcpStream::connect(&addr).await.expect("connects");
        connector.connect(&addr, stream).await.is_ok()
    };
    assert!(trusts(&first).await && !trusts(&second).await);
    acceptor.replace(&server(&second)).expect("takes it");
    assert!(!trusts(&first).await && trusts(&second).await);
    acceptor.replace(&settings(&[])).expect_err("no key store");
    assert!(trusts(&second).await);
}

#[tokio::test]
async fn a_clock_that_is_wrong_finds_good_certificates_expired() {
    let authority = Authority::new("ours");
    let (chain, key) = authority.sign("127.0.0.1", |params| {
        params.not_after = rcgen::date_time_ymd(2099, 1, 1)
    });
    let server = settings(&[("ssl.keystore.certificate.chain", &chain), ("ssl.keystore.key", &key)]);
    let acceptor = Acceptor::new(&server).expect("a server");
    let clock = Clock::manual(rcgen::date_time_ymd(2098, 12, 31).unix_timestamp() * 1_000);
    let client = settings(&[("ssl.truststore.certificates", &authority.pem)]);
    let connector = Connector::with_clock(&client, clock.clone()).expect("a client");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that finds it expired breaks off.
            let _ = acceptor.accept(stream).await;
        }
    });
    let connect = async || {
        let stream = TcpStream::connect(&addr).await.expect("connects");
        connector.connect(&addr, stream).await
    };
    assert!(connect().await.is_ok());
    clock.advance_ms(2 * 24 * 60 * 60 * 1_000);
    let error = connect().await.err().expect("is refused");
    assert!(sentence(&error).contains("has expired"), "{error}");
}

fn written(folder: &Path, name: &str, content: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("writes");
    path.to_string_lossy().into_owned()
}

#[test]
fn stores_are_told_apart_by_content() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("ours");
    let (chain, key) = authority.good();
    let read = |name: &str, content: &[u8], more: &[(&str, &str)]| {
        let path = written(folder.path(), name, content);
        let pairs = [
            &[("ssl.keystore.location", path.as_str()), ("ssl.keystore.type", "JKS")],
            more,
        ]
        .concat();
        settings(&pairs).identity().map(|identity| {
            let identity = identity.expect("there is a store");
            (identity.chain.len(), identity.key.secret_der().to_vec())
        })
    };
    let (_, plain) = read("pem", format!("{key}{chain}{}", authority.pem).as_bytes(), &[]).expect("PEM");
    let sealed = format!("{chain}{SEALED_KEY}");
    let opened = read("sealed", sealed.as_bytes(), &[("ssl.key.password", "secret")]).expect("opens");
    assert_eq!(opened, (1, plain.clone()));

    let store = pkcs12(&authority, &chain, "swordfish");
    let password = [("ssl.keystore.password", "swordfish")];
    assert_eq!(read("p12", &store, &password).expect("PKCS12"), (2, plain));

    for (name, content, more, wanted) in [
        ("jks", &b"\xfe\xed\xfe\xed\x00"[..], &[][..], "keytool -importkeystore"),
        ("text", b"hello", &[], "neither PEM nor PKCS12"),
        ("empty", b"", &[], "neither PEM nor PKCS12"),
        ("der", b"\x30\x82\x00\x01\x00", &[], "cannot be read as PKCS12"),
        ("p12", &store, &[], "needs its password"),
        (
            "p12",
            &store,
            &[("ssl.keystore.password", "herring")],
            "another password",
        ),
        ("sealed", sealed.as_bytes(), &[], "set ssl.key.password"),
        (
            "sealed",
            sealed.as_bytes(),
            &[("ssl.key.password", "x")],
            "does not open",
        ),
        ("chain", chain.as_bytes(), &[], "holds no private key"),
        ("key", key.as_bytes(), &[], "without a certificate"),
        ("torn", b"-----BEGIN CERTIFICATE-----\nMII", &[], "does not end"),
        (
            "base64",
            b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
            &[],
            "not base64",
        ),
    ] {
        let error = read(name, content, more).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert!(error.contains(&format!("/{name}")), "the file is named: {error}");
    }
    let error = settings(&[("ssl.keystore.location", "/nowhere/at.all")]).identity();
    assert!(error.err().expect("refused").to_string().contains("/nowhere/at.all"));
}

#[test]
fn a_trust_store_may_be_pkcs12_and_pem_may_be_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("ours");
    let mut store = p12_keystore::KeyStore::new();
    let certificate = p12_certificate(&authority.pem);
    store.add_entry("ca", p12_keystore::KeyStoreEntry::Certificate(certificate));
    let bytes = store
        .writer("swordfish")
        .encryption_iterations(10)
        .mac_iterations(10)
        .write();
    let path = written(folder.path(), "trust.p12", &bytes.expect("writes"));
    let of_file = [
        ("ssl.truststore.location", path.as_str()),
        ("ssl.truststore.password", "swordfish"),
    ];
    assert_eq!(settings(&of_file).roots().expect("reads").expect("a store").len(), 1);
    let line = authority.pem.replace('\n', " ");
    let inline = [("ssl.truststore.certificates", line.as_str())];
    assert_eq!(settings(&inline).roots().expect("reads").expect("a store").len(), 1);
}

/// A key store with the key of these tests, its certificate and its authority's.
fn pkcs12(authority: &Authority, chain: &str, password: &str) -> Vec<u8> {
    let key = KeyPair::from_pem(KEY).expect("a key").serialize_der();
    let key = p12_keystore::PrivateKey::from_der(&key).expect("a key");
    let certificates = [p12_certificate(chain), p12_certificate(&authority.pem)];
    let chain = p12_keystore::PrivateKeyChain::new("broker", key, certificates);
    let mut store = p12_keystore::KeyStore::new();
    store.add_entry("broker", p12_keystore::KeyStoreEntry::PrivateKeyChain(chain));
    let writer = store.writer(password).encryption_iterations(10).mac_iterations(10);
    writer.write().expect("writes")
}

fn p12_certificate(pem: &str) -> p12_keystore::Certificate {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    p12_keystore::Certificate::from_der(&der).expect("a certificate")
}

#[tokio::test]
async fn a_certificate_expires_and_is_good_again() {
    let authority = Authority::new("ours");
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let own = (own.cert.pem(), own.signing_key.serialize_pem());
    for ((chain, key), trust) in [(authority.good(), authority.pem.clone()), (own.clone(), own.0.clone())] {
        let shown = [
            ("ssl.keystore.certificate.chain", chain.as_str()),
            ("ssl.keystore.key", &key),
        ];
        let expiry = Expiry::default().settable();
        let acceptor = Acceptor::within(&settings(&shown), Clock::system(), expiry.clone()).expect("a server");
        let sound = acceptor.certificate();
        let connector = Connector::new(&settings(&[("ssl.truststore.certificates", &trust)])).expect("a client");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound").to_string();
        for is_over in [false, true, false] {
            expiry.set(is_over);
            assert_eq!(acceptor.certificate() != sound, is_over);
            let serve = async {
                let (stream, _) = listener.accept().await.expect("accepts");
                acceptor.accept(stream).await.map(|_| ())
            };
            let ask = async {
                let stream = TcpStream::connect(&addr).await?;
                connector.connect(&addr, stream).await.map(|_| ())
            };
            let (_, asked) = tokio::join!(serve, ask);
            match asked {
                Ok(()) => assert!(!is_over, "it was let pass"),
                Err(error) => assert!(is_over && sentence(&error).contains("expired"), "{}", sentence(&error)),
            }
        }
    }
}
