//! TLS, logins and rights: one secured cluster of ours, the console's binary with the property files that people have, and
//! every way in which a connection is refused.

mod token;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use azimuth::feed::{Cadence, Feed, Sources};
use azimuth::model::{Health, Trouble};
use azimuth::settings::target::{self, Asked};
use azimuth::settings::{Context, Paths};
use azimuth::source::kafka::NewTopic;
use azimuth::source::kafka::record::{NewRecord, Producer};
use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::sasl::Sasl;
use azimuth_broker::wire::{Client, ClientConfig, Security, tls};
use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::protocol::StrBytes;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::kafka;
use crate::pty::Terminal;
use crate::scripts::{Home, Ran};

/// No refusal may take longer, whatever its cause, on a busy machine.
const SOON: Duration = Duration::from_secs(12);

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"node\" \
    password=\"node-secret\" user_node=\"node-secret\" user_paul=\"paul-secret\";";
const UNSECURED: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
    unsecuredValidatorAllowableClockSkewMs=\"3000\";";
const AUTHORIZER: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
/// The brokers among themselves, the one who gives rights, and one who may do everything.
const SUPER: &str = "User:ANONYMOUS;User:node;User:alice";
const ALICE: &str = "SCRAM-SHA-512=[name=alice,password=alice-secret]";
const DORA: &str = "SCRAM-SHA-256=[name=dora,password=dora-secret]";
const SAM: &str = "SCRAM-SHA-256=[name=sam,password=sam-secret]";

// Codes of the protocol: kinds of resources, and of what is allowed on them.
const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const CLUSTER: i8 = 4;
const LITERAL: i8 = 3;
const ALLOW: i8 = 3;
const DESCRIBE: i8 = 8;

/// A folder, an authority whose certificate lies there, and a key and certificate for brokers of this machine.
fn prepare() -> (TempDir, Authority, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let (key, chain) = authority.sign(
        &["127.0.0.1", "127.0.1.11", "127.0.2.12", "127.0.3.13", "localhost"],
        2099,
    );
    (folder, authority, key, chain)
}

/// Signs certificates, in a folder.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
    pub pem: String,
    pub file: PathBuf,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named(name);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        let (der, pem) = (own.der().to_vec(), own.pem());
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, &pem).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            der,
            pem,
            file,
        }
    }

    /// Key and certificate, PEM, for these hosts, valid until the beginning of a year.
    pub fn sign(&self, hosts: &[&str], until: i32) -> (String, String) {
        // A subject that were its issuer's would look signed by itself.
        let (key, certificate) = self.sign_as("broker", hosts, until);
        (key.serialize_pem(), certificate.pem())
    }

    fn sign_as(&self, subject: &str, hosts: &[&str], until: i32) -> (KeyPair, Certificate) {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.distinguished_name = named(subject);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (key, certificate)
    }

    /// A PKCS12 store with a key, its certificate and ours.
    fn pkcs12(&self, subject: &str, password: &str) -> Vec<u8> {
        let (key, certificate) = self.sign_as(subject, &["localhost"], 2099);
        let key = p12_keystore::PrivateKey::from_der(key.serialized_der()).unwrap();
        let own = p12_keystore::Certificate::from_der(certificate.der()).unwrap();
        let chain = p12_keystore::PrivateKeyChain::new(subject, key, [own, self.certificate()]);
        store(subject, p12_keystore::KeyStoreEntry::PrivateKeyChain(chain), password)
    }

    /// A PKCS12 store that trusts us.
    fn trusting(&self, password: &str) -> Vec<u8> {
        store(
            "ca",
            p12_keystore::KeyStoreEntry::Certificate(self.certificate()),
            password,
        )
    }

    fn certificate(&self) -> p12_keystore::Certificate {
        p12_keystore::Certificate::from_der(&self.der).unwrap()
    }
}

fn store(name: &str, entry: p12_keystore::KeyStoreEntry, password: &str) -> Vec<u8> {
    let mut store = p12_keystore::KeyStore::new();
    store.add_entry(name, entry);
    store.writer(password).write().unwrap()
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// A secured cluster, and a home for the console.
pub struct Secured {
    pub cluster: Running,
    folder: TempDir,
    authority: Authority,
    home: Arc<Home>,
}

pub enum Running {
    Ours(Cluster),
    Apache(kafka::Cluster),
}

impl Secured {
    async fn start() -> Self {
        let (folder, authority, key, chain) = prepare();
        let racks = ["a", "b", "c"].map(str::to_owned);
        let mut config = ClusterConfig::local(3, &racks, folder.path().join("data"), 0);
        config.users = [ALICE, DORA, SAM].map(str::to_owned).to_vec();
        config.overrides = [
            (
                "listener.security.protocol.map",
                "CLIENTS:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            ),
            ("inter.broker.listener.name", "INTERNAL"),
            (
                "listener.name.clients.sasl.enabled.mechanisms",
                "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            ),
            ("listener.name.clients.plain.sasl.jaas.config", PLAIN),
            ("listener.name.clients.oauthbearer.sasl.jaas.config", UNSECURED),
            ("ssl.keystore.certificate.chain", &chain),
            ("ssl.keystore.key", &key),
            ("authorizer.class.name", AUTHORIZER),
            ("super.users", SUPER),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        Self {
            cluster: Running::Ours(Cluster::start(config).await.unwrap()),
            authority,
            home: Arc::new(Home::new()),
            folder,
        }
    }

    /// The same on Apache Kafka; `None` where there are no jars.
    pub async fn apache() -> Option<Self> {
        let (folder, authority, key, chain) = prepare();
        let store = folder.path().join("broker.pem");
        fs::write(&store, format!("{key}{chain}")).unwrap();
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        // Its brokers log in too, unless there is nothing at all to log in with.
        let unsecured = UNSECURED.replace(';', " unsecuredLoginStringClaim_sub=\"node\";");
        let properties = format!(
            "listener.security.protocol.map=CLIENTS:SASL_SSL,MUTUAL:SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\n\
             listener.name.clients.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
             listener.name.clients.oauthbearer.sasl.jaas.config={unsecured}\n\
             listener.name.clients.plain.sasl.jaas.config={PLAIN}\n\
             listener.name.clients.scram-sha-256.sasl.jaas.config={scram}\n\
             listener.name.clients.scram-sha-512.sasl.jaas.config={scram}\n\
             listener.name.clients.ssl.keystore.type=PEM\nlistener.name.clients.ssl.keystore.location={store}\n\
             listener.name.mutual.ssl.keystore.type=PEM\nlistener.name.mutual.ssl.keystore.location={store}\n\
             listener.name.mutual.ssl.truststore.type=PEM\nlistener.name.mutual.ssl.truststore.location={trust}\n\
             listener.name.mutual.ssl.client.auth=required\n\
             authorizer.class.name={AUTHORIZER}\nsuper.users={SUPER};User:CN=ops\n",
            store = store.display(),
            trust = authority.file.display()
        );
        let cluster = kafka::Cluster::start_with(kafka::Shape {
            listeners: &["CLIENTS", "MUTUAL"],
            properties: &properties,
            format: &["--add-scram", ALICE, "--add-scram", DORA, "--add-scram", SAM],
            ..kafka::Shape::default()
        })
        .await?;
        Some(Self {
            cluster: Running::Apache(cluster),
            authority,
            home: Arc::new(Home::new()),
            folder,
        })
    }

    pub fn bootstrap(&self) -> String {
        match &self.cluster {
            Running::Ours(cluster) => cluster.bootstrap(),
            Running::Apache(cluster) => cluster.bootstrap.clone(),
        }
    }

    pub async fn end(self) {
        if let Running::Ours(cluster) = self.cluster {
            cluster.shutdown().await;
        }
    }

    /// Lets dora describe everything, and nothing else.
    pub async fn let_dora_describe(&self) {
        let all = [(CLUSTER, "kafka-cluster"), (TOPIC, "*"), (GROUP, "*")];
        self.let_describe("User:dora", &all).await;
    }

    /// Lets sam describe one topic and one group, and nothing else.
    pub async fn let_sam_describe_some(&self) {
        self.let_describe("User:sam", &[(TOPIC, "orders"), (GROUP, "billing")])
            .await;
    }

    async fn let_describe(&self, principal: &str, things: &[(i8, &str)]) {
        let trust = self.authority.pem.clone();
        let settings =
            tls::Settings::from_properties(|name| (name == "ssl.truststore.certificates").then(|| trust.clone()));
        let config = ClientConfig {
            security: Security::Tls(Arc::new(tls::Connector::new(&settings.unwrap()).unwrap())),
            sasl: Some(Sasl::plain("node", "node-secret")),
            ..ClientConfig::default()
        };
        let bootstrap = self.bootstrap();
        let client = Client::connect(bootstrap.split(',').next().unwrap(), &config)
            .await
            .unwrap();
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let acl = |(kind, name): &(i8, &str)| {
            AclCreation::default()
                .with_resource_type(*kind)
                .with_resource_name(text(name))
                .with_resource_pattern_type(LITERAL)
                .with_principal(text(principal))
                .with_host(text("*"))
                .with_operation(DESCRIBE)
                .with_permission_type(ALLOW)
        };
        let request = CreateAclsRequest::default().with_creations(things.iter().map(acl).collect());
        for result in client.call(request, Duration::from_secs(30)).await.unwrap().results {
            assert_eq!(result.error_code, 0, "{:?}", result.error_message);
        }
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A Java client properties file with a SCRAM user.
    pub fn scram(&self, user: &str, password: &str, mechanism: &str) -> String {
        let text = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nssl.truststore.type=JKS\n\
             ssl.truststore.location={}\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  \
             username=\"{user}\" password=\"{password}\";\n",
            self.authority.file.display()
        );
        self.write(&format!("{user}-{password}.properties"), &text)
    }

    async fn run(&self, line: String) -> Ran {
        let home = self.home.clone();
        tokio::task::spawn_blocking(move || home.run(&line)).await.unwrap()
    }

    /// The console's own settings for a property file, as the library reads them.
    pub fn context(&self, properties: &str) -> Context {
        let asked = Asked {
            bootstrap: Some(self.bootstrap()),
            command_config: Some(properties.into()),
            ..Asked::default()
        };
        target::resolve(&asked, &self.paths()).unwrap()
    }

    fn paths(&self) -> Paths {
        Paths {
            config: self.folder.path().to_owned(),
            state: self.folder.path().join("state"),
            cache: self.folder.path().join("cache"),
        }
    }

    /// One topic with a record, made by alice, who may do everything.
    pub async fn orders(&self, alice: &str) {
        let sources = Sources::of(&self.context(alice), None).unwrap();
        let topic = NewTopic {
            name: "orders".to_owned(),
            partitions: Some(1),
            replication_factor: Some(3),
            ..NewTopic::default()
        };
        for (_, outcome) in sources.kafka.create_topics(&[topic], false).await.unwrap() {
            outcome.unwrap();
        }
        let producer = Producer::new(sources.kafka.target(), &[]).unwrap();
        let record = NewRecord {
            topic: "orders",
            value: Some(b"first"),
            ..NewRecord::default()
        };
        producer.send(record).await.unwrap();
    }
}

/// Over TLS, with each kind of login, in Java's names and librdkafka's, and from a context that `context add` wrote.
#[tokio::test(flavor = "multi_thread")]
async fn property_files_of_both_families_lead_into_a_secured_cluster() {
    let secured = Secured::start().await;
    let bootstrap = secured.bootstrap();
    let ca = secured.authority.file.display().to_string();
    let alice = secured.scram("alice", "alice-secret", "SCRAM-SHA-512");
    secured.orders(&alice).await;

    for line in [
        "broker list",
        "topic list",
        "group list",
        "logdir list",
        "quorum show",
        "context test",
    ] {
        let ran = secured
            .run(format!("{line} --bootstrap {bootstrap} --command-config {alice}"))
            .await;
        assert_eq!(ran.status, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
        assert!(!ran.stdout.contains("alice-secret") && !ran.stderr.contains("alice-secret"));
    }
    let tail = format!("record tail orders --offset 0 --count 1 --bootstrap {bootstrap} --timeout 20s");
    let ran = secured.run(format!("{tail} --command-config {alice}")).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("first"), "{}", ran.stdout);

    let librdkafka = format!(
        "-X security.protocol=sasl_ssl -X sasl.mechanisms=PLAIN -X sasl.username=node -X sasl.password=node-secret \
         -X ssl.ca.location={ca}"
    );
    for line in [format!("broker list --bootstrap {bootstrap}"), tail.clone()] {
        let ran = secured.run(format!("{line} {librdkafka}")).await;
        assert_eq!(ran.status, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
    }

    // The engine of a change is another process, which logs in with the same.
    let create = format!("topic create made --partitions 1 --replication-factor 3 --bootstrap {bootstrap}");
    let ran = secured
        .run(format!("{create} --allow-changes --yes {librdkafka}"))
        .await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("node-secret") && !ran.stderr.contains("node-secret"));
    // One replica less is a change wherever the three were placed.
    let plan = format!("reassign plan --move made:0=1,2 --bootstrap {bootstrap} {librdkafka}");
    let ran = secured.run(plan).await;
    assert!(
        !ran.stdout.contains("node-secret") && !ran.stderr.contains("node-secret"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("sasl.password=…"),
        "the command to copy says what is left out: {}",
        ran.stderr
    );

    let path = secured.write("token", &format!("{}\n", token::unsigned("alice")));
    let bearer = format!(
        "-X security.protocol=SASL_SSL -X sasl.mechanism=OAUTHBEARER -X ssl.ca.location={ca} \
         -X sasl.oauthbearer.token.endpoint.url=file://{path}"
    );
    for line in [format!("broker list --bootstrap {bootstrap}"), tail.clone()] {
        let ran = secured.run(format!("{line} {bearer}")).await;
        assert_eq!(ran.status, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
    }

    let ran = secured
        .run(format!(
            "context add added --bootstrap {bootstrap} --command-config {alice} --class dev"
        ))
        .await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let ran = secured.run("context test added -o json".to_owned()).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let steps = ran.envelope("context.test")["items"].as_array().unwrap().clone();
    let detail = |step: &str| {
        let row = steps
            .iter()
            .find(|row| row["step"] == step)
            .unwrap_or_else(|| panic!("{step}: {}", ran.stdout));
        assert_eq!(row["status"], "pass", "{row}");
        row["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("tls").starts_with("TLSv1.3, "), "{}", detail("tls"));
    assert!(detail("tls").contains("127.0.0.1") && detail("tls").contains("ends 2099-01-01, in "));
    assert_eq!(detail("login"), "SCRAM-SHA-512 as alice");
    assert_eq!(detail("rights"), "Describe on the cluster");
    let ran = secured.run("context list".to_owned()).await;
    assert!(ran.stdout.contains("SASL_SSL SCRAM-SHA-512"), "{}", ran.stdout);
    let bad = secured
        .run(format!(
            "context add bad --bootstrap {bootstrap} -X security.protocol=SSL -X ssl.ca.location={path}"
        ))
        .await;
    assert_eq!(bad.status, 2, "{}", bad.stderr);
    assert!(bad.stderr.contains("is neither PEM nor PKCS12"), "{}", bad.stderr);
    assert!(!fs::read_to_string(secured.home.contexts()).unwrap().contains("bad"));

    // The password of this context is what a command prints.
    let contexts = format!(
        "[context.c]\nbootstrap = \"{bootstrap}\"\n[context.c.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\
         \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = \"alice\"\n\"ssl.ca.pem\" = {{ file = \"ca.pem\" }}\n\
         \"sasl.password\" = {{ command = \"echo alice-secret\" }}\n"
    );
    let contexts = secured.write("contexts.toml", &contexts);
    for line in ["broker list", "record tail orders --offset 0 --count 1"] {
        let ran = secured.run(format!("{line} --context-file {contexts}")).await;
        assert_eq!(ran.status, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
    }
    token::tokens_of_a_server(&secured).await;
    secured.end().await;
}

/// A wrong password, mechanism or protocol: what is wrong and what to change, soon.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_says_why() {
    let secured = Secured::start().await;
    let bootstrap = secured.bootstrap();
    let ca = secured.authority.file.display().to_string();
    let wrong = secured.scram("alice", "wrong", "SCRAM-SHA-512");
    let tls = secured.write(
        "tls.properties",
        &format!("security.protocol=SSL\nssl.ca.location={ca}\n"),
    );
    let none = secured.write("none.properties", "security.protocol=PLAINTEXT\n");
    let gssapi = secured.write(
        "gssapi.properties",
        "# ours\nsecurity.protocol=SASL_SSL\nsasl.mechanism=GSSAPI\n",
    );
    for (properties, status, wanted) in [
        (&wrong, 3, "denies the login of alice with SCRAM-SHA-512"),
        (
            &tls,
            3,
            "a listener with SASL does so to whoever does not log in: see security.protocol",
        ),
        (&none, 3, "security.protocol"),
        (
            &gssapi,
            2,
            "gssapi.properties:3: sasl.mechanism: GSSAPI (Kerberos) is deliberately not supported",
        ),
    ] {
        let began = Instant::now();
        let ran = secured
            .run(format!(
                "broker list --bootstrap {bootstrap} --command-config {properties}"
            ))
            .await;
        assert_eq!(ran.status, status, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(wanted), "wanted {wanted}: {}", ran.stderr);
        assert!(began.elapsed() < SOON, "{:?}: {}", began.elapsed(), ran.stderr);
    }
    secured.end().await;
}

/// A server that shows a certificate and says nothing more.
async fn shows(authority: &Authority, hosts: &[&str], until: i32) -> u16 {
    let (key, chain) = authority.sign(hosts, until);
    let settings = tls::Settings::from_properties(|name| match name {
        "ssl.keystore.key" => Some(key.clone()),
        "ssl.keystore.certificate.chain" => Some(chain.clone()),
        _ => None,
    });
    let acceptor = Arc::new(tls::Acceptor::new(&settings.unwrap()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = Arc::clone(&acceptor);
            tokio::spawn(async move {
                // Held open until the client leaves.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_taken_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let stranger = Authority::new(folder.path(), "other");
    let plain = crate::cluster::start(&folder.path().join("plain")).await;
    let plain_port: u16 = plain
        .bootstrap()
        .split(',')
        .next()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let trust = |authority: &Authority| {
        format!(
            "-X security.protocol=SSL -X ssl.ca.location={}",
            authority.file.display()
        )
    };
    let cases = [
        (
            shows(&authority, &["127.0.0.1"], 2020).await,
            trust(&authority),
            "its certificate has expired",
        ),
        (
            shows(&authority, &["kafka-1.example"], 2099).await,
            trust(&authority),
            "its certificate is for kafka-1.example and not for 127.0.0.1",
        ),
        (
            shows(&authority, &["127.0.0.1"], 2099).await,
            trust(&stranger),
            "its certificate is signed by",
        ),
        (
            plain_port,
            trust(&authority),
            "as a listener without TLS does; there security.protocol is PLAINTEXT",
        ),
        (
            shows(&authority, &["127.0.0.1"], 2099).await,
            String::new(),
            "security.protocol",
        ),
    ];
    let home = Arc::new(Home::new());
    for (port, flags, wanted) in cases {
        let (home, began) = (home.clone(), Instant::now());
        let line = format!("broker list --bootstrap 127.0.0.1:{port} {flags} -o json");
        let ran = tokio::task::spawn_blocking(move || home.run(&line)).await.unwrap();
        assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
        let said: Value = ran.envelope("broker.list")["problems"].clone();
        assert!(
            said.to_string().replace("\\\"", "\"").contains(wanted),
            "wanted {wanted}: {said}"
        );
        assert!(began.elapsed() < SOON, "{:?}: {said}", began.elapsed());
    }
    plain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_describe_sees_that_much_on_our_broker() {
    let secured = Secured::start().await;
    only_describe(&secured).await;
    secured.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_describe_sees_that_much_on_apache_kafka() {
    let Some(secured) = Secured::apache().await else { return };
    only_describe(&secured).await;
    mutual(&secured).await;
    token::tokens_of_a_server(&secured).await;
    secured.end().await;
}

/// Who shows a certificate from a PKCS12 store is let in, by both clients and on the records' screen; who shows none is told.
async fn mutual(secured: &Secured) {
    let Running::Apache(cluster) = &secured.cluster else {
        return;
    };
    let bootstrap = cluster.at("MUTUAL");
    let file = |name: &str, bytes: &[u8]| {
        let path = secured.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let trust = file("trust.p12", &secured.authority.trusting("open trust"));
    let own = file("ops.p12", &secured.authority.pkcs12("ops", "open ops"));
    let trusting = format!(
        "security.protocol=SSL\nssl.truststore.type=PKCS12\nssl.truststore.location={trust}\n\
         ssl.truststore.password=open trust\n"
    );
    let showing = format!("ssl.keystore.type=PKCS12\nssl.keystore.location={own}\nssl.keystore.password=open ops\n");
    let properties = secured.write("mutual.properties", &format!("{trusting}{showing}"));
    let target = format!("--bootstrap {bootstrap} --command-config {properties}");
    for line in ["broker list", "quorum show", "acl list", "context test"] {
        let ran = secured.run(format!("{line} {target}")).await;
        assert_eq!(ran.status, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
    }
    let ran = secured.run(format!("record read orders --timeout 20s {target}")).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("first"), "{}", ran.stdout);

    let arguments: Vec<String> = target.split(' ').map(str::to_owned).collect();
    let screens = tokio::task::spawn_blocking(move || {
        let home = tempfile::tempdir().unwrap();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut terminal = Terminal::run(home.path(), &arguments);
        terminal.shows("3/3");
        terminal.press(":record read orders\r");
        terminal.shows("first");
        terminal.press("q");
        assert_eq!(terminal.ends(), 0);
    });
    screens.await.unwrap();

    let nobody = secured.write("nobody.properties", &trusting);
    let began = Instant::now();
    let ran = secured
        .run(format!("broker list --bootstrap {bootstrap} --command-config {nobody}"))
        .await;
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("ertificate"),
        "it says what is missing: {}",
        ran.stderr
    );
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// Open screens outlive a password: when a connection is made anew, what lies in the file by then is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_replaced_is_read_again_when_a_connection_is_made_anew() {
    let mut secured = Secured::start().await;
    secured.write("password", "alice-secret\n");
    let contexts = format!(
        "[context.c]\nbootstrap = \"{}\"\n[context.c.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\
         \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"sasl.username\" = \"alice\"\n\"ssl.ca.pem\" = {{ file = \"ca.pem\" }}\n\
         \"sasl.password\" = {{ file = \"password\" }}\n",
        secured.bootstrap()
    );
    let asked = Asked {
        context_file: Some(secured.write("contexts.toml", &contexts).into()),
        ..Asked::default()
    };
    let context = target::resolve(&asked, &secured.paths()).unwrap();
    let feed = Feed::start(Sources::of(&context, None).unwrap(), Cadence::default());
    let mut snapshots = feed.snapshots();
    let mut until = async |what: &str, good: fn(&Health) -> bool| {
        let seen = snapshots.wait_for(|snapshot| snapshot.links.get(&1).is_some_and(|link| good(&link.health)));
        let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
        assert!(seen.is_ok(), "broker 1 is never {what}");
    };
    until("fresh", |health| *health == Health::Fresh).await;
    secured.write("password", "not alice's\n");
    let Running::Ours(cluster) = &mut secured.cluster else {
        unreachable!()
    };
    cluster.kill(NodeId(1)).await;
    cluster.restart(NodeId(1)).await.unwrap();
    until("denied", |health| {
        matches!(
            health,
            Health::Failing {
                trouble: Trouble::Denied,
                ..
            }
        )
    })
    .await;
    drop(feed);
    secured.end().await;
}

/// A user that the console makes can log in with the password that it was given, and do what the console lets it.
async fn granted(secured: &Secured) {
    let bootstrap = secured.bootstrap();
    let password = secured.write("carol", "carol-secret\n");
    let rules = secured.write("carol.acl", "allow User:carol to consume on topic orders\n");
    let alice = secured.scram("alice", "alice-secret", "SCRAM-SHA-512");
    let target = format!("--bootstrap {bootstrap} --command-config {alice} --allow-changes --yes");
    let set = secured
        .run(format!("user set carol --password-file {password} {target}"))
        .await;
    assert_eq!(set.status, 0, "{}{}", set.stdout, set.stderr);
    let applied = secured.run(format!("acl apply {rules} {target}")).await;
    assert_eq!(applied.status, 0, "{}{}", applied.stdout, applied.stderr);
    let carol = secured.scram("carol", "carol-secret", "SCRAM-SHA-512");
    let ran = secured
        .run(format!(
            "topic list -o name --bootstrap {bootstrap} --command-config {carol}"
        ))
        .await;
    assert_eq!(ran.stdout, "orders\n", "{}", ran.stderr);
}

/// What may be seen is printed, what may not be is named with the missing right, and nothing is asked for in a loop.
async fn only_describe(secured: &Secured) {
    let bootstrap = secured.bootstrap();
    secured
        .orders(&secured.scram("alice", "alice-secret", "SCRAM-SHA-512"))
        .await;
    secured.let_dora_describe().await;
    let dora = secured.scram("dora", "dora-secret", "SCRAM-SHA-256");
    let target = format!("--bootstrap {bootstrap} --command-config {dora}");
    for (line, kind, count) in [
        ("broker list", "broker.list", 3),
        ("topic list", "topic.list", 1),
        ("partition list", "partition.list", 1),
        ("group list", "group.list", 0),
        ("logdir list", "logdir.list", 3),
    ] {
        let ran = secured.run(format!("{line} {target} -o json")).await;
        let envelope = ran.envelope(kind);
        assert_eq!(
            envelope["items"].as_array().unwrap().len(),
            count,
            "{line}\n{}",
            ran.stdout
        );
        // Whatever is missing is missing for want of one right; that there is no AWS plane is no such thing.
        let problems = envelope["problems"].as_array().unwrap();
        let mut denied = problems
            .iter()
            .filter_map(|problem| problem["reason"].as_str())
            .filter(|why| why.starts_with("denied"));
        assert!(
            denied.all(|why| why.contains("it needs DescribeConfigs on the")),
            "{line}: {problems:?}"
        );
        let whole = envelope["complete"] == true;
        assert_eq!(ran.status, if whole { 0 } else { 3 }, "{line}\n{}", ran.stdout);
    }
    let ran = secured.run(format!("broker config 1 {target}")).await;
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("it needs DescribeConfigs on the cluster"),
        "{}",
        ran.stderr
    );

    let began = Instant::now();
    let ran = secured
        .run(format!(
            "record tail orders --offset 0 --count 1 --timeout 30s {target}"
        ))
        .await;
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("it needs Read on the topic"), "{}", ran.stderr);
    assert!(began.elapsed() < SOON, "{:?}: {}", began.elapsed(), ran.stderr);

    let ran = secured.run(format!("context test {target} -o json")).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let steps = ran.envelope("context.test")["items"].as_array().unwrap().clone();
    let status = |subject: &str| {
        let row = steps.iter().find(|row| row["subject"] == subject);
        row.unwrap_or_else(|| panic!("{subject}: {}", ran.stdout))["status"].clone()
    };
    assert_eq!(
        status("quorum, log dirs, reassignments, ACLs, users, all groups"),
        "pass"
    );
    assert_eq!(status("broker configs, quotas"), "warn");
    assert_eq!(status("records"), "warn");
    let missing = steps
        .iter()
        .find(|row| row["subject"] == "broker configs, quotas")
        .unwrap();
    let detail = missing["detail"].as_str().unwrap();
    assert!(
        detail.contains("; it is lacking for ") && detail.contains("quota list"),
        "{detail}"
    );
    assert!(
        !detail.contains("quota set"),
        "a context that may not change is asked for no right to: {detail}"
    );

    let sources = Sources::of(&secured.context(&dora), None).unwrap();
    let cadence = Cadence {
        configs: Duration::from_millis(50),
        links: Duration::from_millis(50),
        max_backoff: Duration::from_millis(100),
        ..Cadence::default()
    };
    let feed = Feed::start(sources.clone(), cadence);
    let mut snapshots = feed.snapshots();
    let seen = snapshots.wait_for(|snapshot| {
        let rounds = sources.kafka.requests().get("ApiVersions").copied().unwrap_or(0);
        rounds > 120 && snapshot.broker_configs.len() == 3 && snapshot.topic_configs.health != Health::Unasked
    });
    let snapshot = tokio::time::timeout(Duration::from_secs(60), seen)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert!(snapshot.topics.is_fresh() && snapshot.quorum.is_fresh());
    for configs in snapshot.broker_configs.values() {
        assert!(
            matches!(
                &configs.health,
                Health::Failing {
                    trouble: Trouble::Denied,
                    ..
                }
            ),
            "{:?}",
            configs.health
        );
    }
    // Once of each broker, of the topics and of how long things are kept, twice where another broker was asked beside a slow one.
    let asked = sources.kafka.requests()["DescribeConfigs"];
    assert!(asked <= 10, "asked {asked} times");
    granted(secured).await;
}
