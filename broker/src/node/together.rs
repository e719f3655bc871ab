//! What the nodes of a wide cluster's one process share: each image, and the bell that followers wait for.
//!
//! One task follows the metadata log over the wire, as every node of an ordinary cluster does for itself, and all nodes
//! hold the same `Arc` of what it brings. Nothing else is shared (`docs/ARCHITECTURE.md`, decision 9).

use std::sync::Arc;
use std::time::Duration;

use super::metadata::Known;
use super::security::Security;
use super::task::Tasks;
use super::{Config, Error, metadata};
use crate::env::clock::Clock;
use crate::env::expiry::Expiry;
use crate::env::net::Net;
use crate::env::random::Random;
use crate::handler::RemoteController;
use crate::id::NodeId;
use crate::replica::{Links, Nearby};

const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// Of one process; nodes that are started with it belong together.
pub struct Together {
    known: Known,
    nearby: Arc<Nearby>,
    _follower: Tasks,
}

impl Together {
    /// Begins to follow the controller as `config`'s node would. At most `links` links between the nodes are open at once.
    ///
    /// # Errors
    /// The node's certificates cannot be used.
    pub async fn start(config: Config, links: usize) -> Result<Arc<Self>, Error> {
        let config = Arc::new(config);
        let security = Arc::new(Security::open(&config, &Clock::system(), &Expiry::default()).await?);
        let known = Known::default();
        let client = security.client(
            config.controller_listener(),
            "brokers-metadata".to_owned(),
            CONNECT_DEADLINE,
        );
        let link = RemoteController::new(
            config.controller_address().to_owned(),
            Net::default(),
            client,
            Random::system(),
        );
        let mut follower = Tasks::default();
        for keys in security.keys() {
            follower.spawn(keys.run());
        }
        follower.spawn(Arc::clone(&security).renew(known.images.subscribe()));
        // In no node's name: the controller sees how far each is from its heartbeats.
        follower.spawn(metadata::follow(NodeId::NONE, link, known.clone()));
        Ok(Arc::new(Self {
            known,
            nearby: Nearby::new(links),
            _follower: follower,
        }))
    }

    /// The links between the nodes.
    pub fn links(&self) -> Links {
        self.nearby.links()
    }

    pub(super) fn known(&self) -> Known {
        self.known.clone()
    }

    pub(super) fn nearby(&self) -> Arc<Nearby> {
        Arc::clone(&self.nearby)
    }
}
