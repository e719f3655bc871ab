//! What guards a node's listeners, and what the node shows and trusts on its way to others.
//!
//! Both come from its properties: a listener's own before the node's, and what was set while it runs before the file
//! (KIP-226). Stores are looked at every few seconds: when a file or such a property has changed, new connections get the
//! new certificates, and open ones keep theirs. A store that cannot be used is named once in the log, and the old one stays.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Error;
use crate::auth::{self, Mapping, sasl};
use crate::env::clock::Clock;
use crate::env::expiry::Expiry;
use crate::env::origin;
use crate::image::Image;
use crate::image::property::{Config, Invalid, Role, broker_property, listener_key};
use crate::server;
use crate::wire::sasl::Sasl;
use crate::wire::{self, ClientConfig, tls};

/// How often the stores are looked at.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(3);

/// The guards of all listeners that a node serves or speaks to.
pub struct Security {
    config: Arc<Config>,
    clock: Clock,
    guards: BTreeMap<String, Guard>,
    /// What each listener of this node with SASL offers.
    offers: BTreeMap<String, Arc<server::Sasl>>,
    /// The public keys of the tokens of those.
    keys: Vec<Arc<sasl::Jwks>>,
    /// How this node logs in at each listener with SASL that it speaks to.
    logins: BTreeMap<String, Sasl>,
}

/// TLS of one listener, from both sides.
struct Guard {
    acceptor: Option<Arc<tls::Acceptor>>,
    connector: Option<Arc<tls::Connector>>,
    mapping: Mapping,
    /// What was tried last.
    source: Mutex<Source>,
    /// Whether the certificate was when it was last looked at.
    was_valid: AtomicBool,
}

/// What certificates were made from.
#[derive(PartialEq, Eq)]
struct Source {
    settings: tls::Settings,
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// What changes when a file does, also when another one is renamed to its name.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Security {
    /// Reads all stores, and what SASL needs.
    ///
    /// # Errors
    /// A store of a listener cannot be used, or a property of SASL is missing or wrong.
    pub async fn open(config: &Arc<Config>, clock: &Clock, expiry: &Expiry) -> Result<Self, Error> {
        let (config, clock, expiry) = (Arc::clone(config), clock.clone(), expiry.clone());
        let opened = origin::spawn_blocking(move || {
            let served: BTreeSet<&str> = config
                .listeners()
                .iter()
                .map(|listener| listener.name.as_str())
                .collect();
            let spoken_to = match config.role() {
                Role::Broker => BTreeSet::from([config.inter_broker_listener(), config.controller_listener()]),
                Role::Controller => BTreeSet::new(),
            };
            let mut guards = BTreeMap::new();
            for name in served.union(&spoken_to) {
                if config.protocol(name).is_tls() {
                    let acceptor = served.contains(name).then_some(&expiry);
                    let guard = Guard::new(&config, &clock, name, acceptor, spoken_to.contains(name))?;
                    guards.insert((*name).to_owned(), guard);
                }
            }
            for (name, guard) in &guards {
                guard.look_at_validity(&clock, name);
            }
            let mut security = Self {
                guards,
                clock: clock.clone(),
                offers: BTreeMap::new(),
                keys: Vec::new(),
                logins: BTreeMap::new(),
                config: Arc::clone(&config),
            };
            for name in served.iter().filter(|name| config.protocol(name).is_sasl()) {
                security.offer(name)?;
            }
            for name in spoken_to.iter().filter(|name| config.protocol(name).is_sasl()) {
                let login = login(&config, name, &clock)?;
                security.logins.insert((*name).to_owned(), login);
            }
            Ok(security)
        });
        opened.await.unwrap_or_else(|panic| {
            Err(Error::Failed(format!(
                "reading certificates failed, which is a bug: {panic}"
            )))
        })
    }

    /// What a listener of this node asks of its clients.
    pub fn of(&self, listener: &str) -> server::Security {
        let tls = self.guards.get(listener).and_then(|guard| {
            Some(server::Tls {
                acceptor: Arc::clone(guard.acceptor.as_ref()?),
                mapping: guard.mapping.clone(),
            })
        });
        let sasl = self.offers.get(listener).cloned();
        server::Security { tls, sasl }
    }

    /// How this node speaks to a listener of another.
    pub fn client(&self, listener: &str, client_id: String, connect_timeout: Duration) -> ClientConfig {
        let connector = self.guards.get(listener).and_then(|guard| guard.connector.as_ref());
        ClientConfig {
            client_id,
            connect_timeout,
            security: match connector {
                Some(connector) => wire::Security::Tls(Arc::clone(connector)),
                None => wire::Security::Plaintext,
            },
            sasl: self.logins.get(listener).cloned(),
            ..ClientConfig::default()
        }
    }

    fn offer(&mut self, listener: &str) -> Result<(), Error> {
        let offer = sasl::Offer::new(listener, &|key| of_sasl(&self.config, listener, key)).map_err(refused)?;
        self.keys.extend(offer.jwks());
        let own = self.config.of_listener(listener, "max.connections");
        // Values were checked when they were read.
        let connections = own
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| self.config.size("max.connections"));
        let offered = Arc::new(server::Sasl::new(offer, connections));
        self.offers.insert(listener.to_owned(), offered);
        Ok(())
    }

    /// The keys that have to be kept fresh, each with [`sasl::Jwks::run`].
    pub fn keys(&self) -> impl Iterator<Item = Arc<sasl::Jwks>> {
        self.keys.iter().cloned()
    }

    /// Keeps certificates up to date until it is dropped.
    pub async fn renew(self: Arc<Self>, images: watch::Receiver<Arc<Image>>) {
        if self.guards.is_empty() {
            return;
        }
        loop {
            tokio::time::sleep(RENEWAL_INTERVAL).await;
            let image = Arc::clone(&images.borrow());
            let security = Arc::clone(&self);
            let looked = origin::spawn_blocking(move || {
                for (listener, guard) in &security.guards {
                    guard.renew(&security.config, &image, listener);
                    guard.look_at_validity(&security.clock, listener);
                }
            });
            if let Err(panic) = looked.await {
                tracing::error!("looking at certificates failed, which is a bug: {panic}");
            }
        }
    }
}

/// How a program beside the nodes, with a broker's properties, speaks to the listener that brokers use among themselves.
///
/// # Errors
/// A store of that listener cannot be used.
pub fn peer_client(config: &Config, client_id: &str) -> Result<ClientConfig, Error> {
    let listener = config.inter_broker_listener();
    let mut client = ClientConfig {
        client_id: client_id.to_owned(),
        ..ClientConfig::default()
    };
    if config.protocol(listener).is_tls() {
        let said = |error| failed(listener, &error);
        let settings = auth::tls_settings(config, &Image::empty(), listener).map_err(said)?;
        client.security = wire::Security::Tls(Arc::new(tls::Connector::new(&settings).map_err(said)?));
    }
    if config.protocol(listener).is_sasl() {
        client.sasl = Some(login(config, listener, &Clock::system())?);
    }
    Ok(client)
}

/// How a node logs in at a listener of its peers.
fn login(config: &Config, listener: &str, clock: &Clock) -> Result<Sasl, Error> {
    let key = match listener == config.controller_listener() {
        true => "sasl.mechanism.controller.protocol",
        false => "sasl.mechanism.inter.broker.protocol",
    };
    sasl::login(key, listener, &|key| of_sasl(config, listener, key), clock).map_err(refused)
}

/// A listener's own property, else the node's; of a mechanism only the listener's own.
fn of_sasl(config: &Config, listener: &str, key: &str) -> Option<String> {
    let own = config.set(&listener_key(listener, key));
    let nodes = || broker_property(key).and_then(|_| config.set(key));
    own.or_else(nodes).map(str::to_owned)
}

fn refused(invalid: Invalid) -> Error {
    Error::Failed(invalid.to_string())
}

impl Guard {
    /// `served` is there where the node listens itself.
    fn new(
        config: &Config,
        clock: &Clock,
        listener: &str,
        served: Option<&Expiry>,
        is_spoken_to: bool,
    ) -> Result<Self, Error> {
        let said = |error| failed(listener, &error);
        let source = Source::of(auth::tls_settings(config, &Image::empty(), listener).map_err(said)?);
        let acceptor = served
            .map(|expiry| tls::Acceptor::within(&source.settings, clock.clone(), expiry.clone()))
            .transpose();
        let connector = is_spoken_to
            .then(|| tls::Connector::with_clock(&source.settings, clock.clone()))
            .transpose();
        let rules = config.of_listener(listener, "ssl.principal.mapping.rules");
        let mapping = Mapping::parse(rules.unwrap_or_default())
            .map_err(|error| Error::Failed(format!("The listener {listener} cannot be guarded: {error}")))?;
        Ok(Self {
            acceptor: acceptor.map_err(said)?.map(Arc::new),
            connector: connector.map_err(said)?.map(Arc::new),
            mapping,
            source: Mutex::new(source),
            was_valid: AtomicBool::new(true),
        })
    }

    /// Says when the certificate that a listener shows begins to be out of date: nobody lets it pass then.
    fn look_at_validity(&self, clock: &Clock, listener: &str) {
        let Some(acceptor) = &self.acceptor else { return };
        let certificate = acceptor.certificate();
        let is_valid = auth::validity(&certificate).is_none_or(|validity| validity.contains(&clock.now_ms()));
        if self.was_valid.swap(is_valid, Ordering::Relaxed) && !is_valid {
            let subject = auth::subject(&certificate).unwrap_or_default();
            tracing::error!("the certificate of the listener {listener}, {subject}, has expired or is not valid yet");
        }
    }

    /// Takes what has changed, if it can be used.
    fn renew(&self, config: &Config, image: &Image, listener: &str) {
        let settings = match auth::tls_settings(config, image, listener) {
            Ok(settings) => settings,
            // The values were checked one by one; together they may still make no sense.
            Err(error) => return tracing::debug!("the listener {listener} keeps its certificates: {error}"),
        };
        let source = Source::of(settings);
        let mut last = self.source.lock();
        if *last == source {
            return;
        }
        match self.take(&source.settings) {
            Ok(()) => tracing::info!("the listener {listener} takes its changed certificates"),
            Err(error) => tracing::error!(
                "the listener {listener} keeps its certificates, because the changed ones cannot be used: {error}"
            ),
        }
        *last = source;
    }

    fn take(&self, settings: &tls::Settings) -> Result<(), tls::Error> {
        if let Some(acceptor) = &self.acceptor {
            acceptor.replace(settings)?;
        }
        if let Some(connector) = &self.connector {
            connector.replace(settings)?;
        }
        Ok(())
    }
}

impl Source {
    fn of(settings: tls::Settings) -> Self {
        let stamp = |path: &std::path::Path| (path.to_owned(), Stamp::of(path));
        Self {
            files: settings.files().map(stamp).collect(),
            settings,
        }
    }
}

impl Stamp {
    /// `None` if there is no such file.
    fn of(path: &std::path::Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

fn failed(listener: &str, error: &tls::Error) -> Error {
    Error::Failed(format!("The listener {listener} cannot be guarded: {error}."))
}
