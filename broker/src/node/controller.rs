//! The controller's node: the metadata log, the decider over it, and the listener the brokers reach it by.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::listener;
use super::security::Security;
use super::task::Tasks;
use super::{Error, Status, Surroundings, broker, metrics, quotas};
use crate::auth::Authorizer;
use crate::controller::{Controller, METADATA_DIR, Setup, log_config};
use crate::env::origin;
use crate::env::random::Random;
use crate::handler::{Context, ControllerLink, Face};
use crate::image::Endpoint;
use crate::image::property::Config;
use crate::log::{Log, LogManager};
use crate::replica::{AlterPartition, LinkError, Options, ReplicaManager, WireLinks};
use crate::server::Server;

const DRAIN_DEADLINE: Duration = Duration::from_secs(2);

pub struct ControllerNode {
    servers: Vec<Server>,
    tasks: Tasks,
    metadata: Arc<Log>,
    logs: Arc<LogManager>,
}

impl ControllerNode {
    pub async fn start(
        config: Arc<Config>,
        around: Surroundings,
        status: watch::Sender<Status>,
    ) -> Result<(Self, Vec<String>), Error> {
        let security = Arc::new(Security::open(&config, &around.clock, &around.expiry).await?);
        let bound = listener::bind(&config).await?;
        let scraped = metrics::bind(&config).await?;
        let endpoints: Vec<Endpoint> = bound.iter().map(|bound| bound.endpoint.clone()).collect();
        let Some(endpoint) = endpoints
            .iter()
            .find(|endpoint| endpoint.listener == config.controller_listener())
        else {
            return Err(Error::Failed(format!(
                "no listener is named {}",
                config.controller_listener()
            )));
        };
        let dir = config.metadata_dir();
        let cluster_id = match LogManager::identity_of(&around.disk, &dir)? {
            Some(identity) => identity.cluster_id,
            None => new_cluster_id(&around.random),
        };
        // Holds no partitions; it locks the folder and says whose it is.
        let logs = broker::open_dirs(vec![dir.clone()], &config, &around, cluster_id.clone()).await?;
        let metadata = open_metadata(&dir, &around).await?;
        let controller = Controller::open(Setup {
            users: around.users.clone(),
            node: config.node_id(),
            cluster_id,
            endpoint: endpoint.clone(),
            config: Arc::clone(&config),
            log: Arc::clone(&metadata),
            clock: around.clock.clone(),
        })?;
        let replicas = no_replicas(&config, &around, &logs);
        let groups = broker::coordinator(&config, &around, controller.image(), &replicas);
        let (transactions, verifier) =
            broker::transactions(&config, &around, &security, controller.image(), &replicas, &groups);
        let cx = Arc::new(Context {
            node: config.node_id(),
            face: Face::Controller,
            config: Arc::clone(&config),
            authorizer: Authorizer::of(&config),
            image: controller.image(),
            controller: ControllerLink::Local(controller.clone()),
            knock: around.apart.then(|| around.net.clone()),
            groups,
            transactions,
            verifier,
            replicas,
            clock: around.clock.clone(),
            producer_ids: Arc::default(),
            quotas: quotas::of_clients(&config),
            connections: quotas::of_connections(&config),
            telemetry: metrics::counters(scraped.as_ref()),
        });
        let servers = broker::serve(bound, &cx, &security, &config)?;
        status.send_replace(Status::Serving);
        let mut tasks = Tasks::default();
        for keys in security.keys() {
            tasks.spawn(keys.run());
        }
        tasks.spawn(security.renew(controller.image()));
        if let Some(scraped) = scraped {
            tasks.spawn(metrics::serve(scraped, Arc::clone(&cx)));
        }
        tasks.spawn(async move {
            let error = controller.run().await;
            status.send_replace(Status::Failed(error.to_string()));
        });
        let node = Self {
            servers,
            tasks,
            metadata,
            logs,
        };
        Ok((node, endpoints.iter().map(listener::address).collect()))
    }

    pub async fn shutdown(self) {
        futures::future::join_all(self.servers.into_iter().map(|server| server.stop(DRAIN_DEADLINE))).await;
        self.tasks.end().await;
        let logs = Arc::clone(&self.logs);
        let closed = origin::spawn_blocking(move || {
            self.metadata.close()?;
            self.logs.close(-1)
        })
        .await;
        logs.release();
        if let Ok(Err(error)) = closed {
            tracing::error!("the metadata log was not closed cleanly and is recovered at the next start: {error}");
        }
    }

    pub async fn kill(self) {
        futures::future::join_all(self.servers.into_iter().map(Server::kill)).await;
        self.tasks.end().await;
        self.logs.release();
    }
}

async fn open_metadata(dir: &Path, around: &Surroundings) -> Result<Arc<Log>, Error> {
    let (dir, around) = (dir.join(METADATA_DIR), around.clone());
    let opened = origin::spawn_blocking(move || {
        // It is small: recovering all of it at each start is cheaper than a checkpoint.
        Log::open(&around.disk, dir, log_config(), around.clock, 0, false)
    });
    match opened.await {
        Ok(log) => Ok(Arc::new(log?)),
        Err(panic) => Err(Error::Failed(format!(
            "opening the metadata log failed, which is a bug: {panic}"
        ))),
    }
}

/// A controller hosts no partitions of topics; its handlers find none.
fn no_replicas(config: &Config, around: &Surroundings, logs: &Arc<LogManager>) -> Arc<ReplicaManager> {
    let settings = config.clone();
    let around = crate::replica::Surroundings {
        logs: Arc::clone(logs),
        controller: Arc::new(NoLeader),
        leaders: Arc::new(WireLinks::new(around.net.clone(), crate::wire::ClientConfig::default())),
        settings: Box::new(move |image, topic| settings.topic(image, topic)),
        property: Box::new(|_, _| None),
        nearby: None,
    };
    ReplicaManager::new(Options::new(config.node_id(), uuid::Uuid::nil()), around)
}

struct NoLeader;

impl AlterPartition for NoLeader {
    fn alter_partition(
        &self,
        _: kafka_protocol::messages::AlterPartitionRequest,
    ) -> futures::future::BoxFuture<'_, Result<kafka_protocol::messages::AlterPartitionResponse, LinkError>> {
        Box::pin(async { Err(LinkError("a controller leads no partitions".to_owned())) })
    }
}

/// 16 random bytes in URL-safe base64 without padding, as Kafka's storage tool makes them.
fn new_cluster_id(random: &Random) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let number = random.uuid().as_u128();
    // 22 digits of 6 bits hold 132; the last one has 2 bits of content above 4 zeros.
    let digit = |place: u32| {
        let shifted = if place == 21 {
            number << 4
        } else {
            number >> (122 - 6 * place)
        };
        char::from(DIGITS[(shifted & 63) as usize])
    };
    (0..22).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_kafkas_base64_of_a_uuid() {
        let id = new_cluster_id(&Random::seeded(1));
        assert_eq!(id.len(), 22);
        assert!(
            id.ends_with(['A', 'Q', 'g', 'w']),
            "{id}: only two bits are in the last digit"
        );
        assert_ne!(id, new_cluster_id(&Random::seeded(2)));
    }
}
