//! A broker's life at the controller: it registers, sends heartbeats, is unfenced, and takes its leave (KIP-631).

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId, BrokerRegistrationRequest};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Status, metadata};
use crate::handler::RemoteController;
use crate::id::{NodeId, Offset};
use crate::image::Endpoint;
use crate::image::feature::FEATURES;
use crate::wire::ErrorCode;

const DEADLINE: Duration = Duration::from_secs(3);
const BACKOFF: Duration = Duration::from_millis(100);
/// Between heartbeats while the controller's next decision is waited for.
const EAGER: Duration = Duration::from_millis(20);

/// What the broker tells about itself.
pub struct Identity {
    pub node: NodeId,
    pub cluster_id: String,
    pub incarnation: Uuid,
    pub rack: Option<String>,
    /// Each with the number of its security protocol.
    pub endpoints: Vec<(Endpoint, i16)>,
    pub log_dirs: Vec<Uuid>,
    /// Of the last run if that ended cleanly, else -1.
    pub previous_epoch: i64,
}

/// Keeps a broker registered until it is dropped, or until the controller lets it go.
pub struct Registration {
    pub identity: Identity,
    pub controller: RemoteController,
    pub interval: Duration,
    /// The metadata offset up to which this node has applied the image.
    pub applied: watch::Receiver<Offset>,
    pub status: watch::Sender<Status>,
    /// The epoch of this registration; -1 before the first.
    pub epoch: watch::Sender<i64>,
    pub offline_dirs: Arc<dyn Fn() -> Vec<Uuid> + Send + Sync>,
    /// Changes when a log directory fails, which the controller must hear of at once.
    pub news: watch::Receiver<u64>,
}

/// What a heartbeat led to.
enum Beat {
    /// Wait for the next one.
    Good,
    /// The controller has something to do first; ask again soon.
    Pending,
    /// The controller does not know this registration.
    Unregistered,
    /// The broker may stop.
    Released,
}

impl Registration {
    /// Runs until the broker wants to stop (`leaving`) and the controller agrees.
    pub async fn run(self, mut leaving: watch::Receiver<bool>) {
        loop {
            let registered = tokio::select! {
                registered = self.register() => registered,
                // What is not registered need not say goodbye.
                () = wanted(&mut leaving) => None,
            };
            let Some(epoch) = registered else { return };
            // The controller unfences a broker that has read up to its own registration.
            let mut applied = self.applied.clone();
            tokio::select! {
                () = caught_up(&mut applied, epoch) => {}
                () = wanted(&mut leaving) => {}
            }
            if self.beat_until_unregistered(epoch, &mut leaving).await {
                return;
            }
        }
    }

    /// Whether the broker may stop; otherwise it has to register again.
    async fn beat_until_unregistered(&self, epoch: i64, leaving: &mut watch::Receiver<bool>) -> bool {
        let mut said = String::new();
        let mut news = self.news.clone();
        loop {
            let leaves = *leaving.borrow_and_update();
            news.mark_unchanged();
            let pause = match self.beat(epoch, leaves).await {
                // Nothing is left to serve: it said so, and stays silent from now on.
                _ if matches!(*self.status.borrow(), Status::Failed(_)) => return true,
                Ok(Beat::Good) => {
                    said.clear();
                    self.interval
                }
                Ok(Beat::Pending) => EAGER,
                Ok(Beat::Unregistered) => return false,
                Ok(Beat::Released) => return true,
                Err(reason) => {
                    if said != reason {
                        tracing::warn!("node {} has no heartbeat: {reason}", self.identity.node);
                        said = reason;
                    }
                    BACKOFF
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = leaving.changed() => if changed.is_err() { return true },
                // The logs live as long as this.
                _ = news.changed() => {}
            }
        }
    }

    async fn beat(&self, epoch: i64, leaving: bool) -> Result<Beat, String> {
        let applied = *self.applied.borrow();
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(self.identity.node.0))
            .with_broker_epoch(epoch)
            .with_current_metadata_offset(applied)
            .with_want_shut_down(leaving)
            .with_offline_log_dirs((self.offline_dirs)());
        let response = self
            .controller
            .call(request, DEADLINE)
            .await
            .map_err(|error| error.to_string())?;
        match ErrorCode::try_from_code(response.error_code) {
            None => Ok(self.settle(&response, leaving)),
            Some(ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered) => Ok(Beat::Unregistered),
            Some(code) => Err(metadata::meaning(code)),
        }
    }

    fn settle(&self, response: &BrokerHeartbeatResponse, leaving: bool) -> Beat {
        if response.should_shut_down {
            return Beat::Released;
        }
        if leaving || response.is_fenced {
            return Beat::Pending;
        }
        self.status.send_if_modified(|status| {
            let news = *status == Status::Starting;
            if news {
                *status = Status::Serving;
            }
            news
        });
        Beat::Good
    }

    /// Registers, as often as it takes; `None` when the controller will never take it.
    async fn register(&self) -> Option<i64> {
        let mut said = String::new();
        loop {
            let answer = self.controller.call(self.request(), DEADLINE).await;
            let reason = match answer {
                Err(error) => error.to_string(),
                Ok(response) => match ErrorCode::try_from_code(response.error_code) {
                    None => {
                        self.epoch.send_replace(response.broker_epoch);
                        return Some(response.broker_epoch);
                    }
                    Some(code @ (ErrorCode::InconsistentClusterId | ErrorCode::UnsupportedVersion)) => {
                        self.fail(code);
                        return None;
                    }
                    // A run of this node that was killed counts as alive until its session ends.
                    Some(code) => metadata::meaning(code),
                },
            };
            if said != reason {
                tracing::warn!("node {} is not registered yet: {reason}", self.identity.node);
                said = reason;
            }
            tokio::time::sleep(BACKOFF).await;
        }
    }

    fn fail(&self, code: ErrorCode) {
        let reason = format!(
            "The controller at {} refuses node {} of cluster {}: {code}. Point controller.quorum.voters at the cluster that log.dirs belongs to, or give the node empty log.dirs.",
            self.controller.addr(),
            self.identity.node,
            self.identity.cluster_id
        );
        self.status.send_replace(Status::Failed(reason));
    }

    fn request(&self) -> BrokerRegistrationRequest {
        let identity = &self.identity;
        let listener = |(endpoint, protocol): &(Endpoint, i16)| {
            Listener::default()
                .with_name(StrBytes::from_string(endpoint.listener.clone()))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port)
                .with_security_protocol(*protocol)
        };
        let feature = |known: &crate::image::feature::Feature| {
            Feature::default()
                .with_name(StrBytes::from_static_str(known.name))
                .with_min_supported_version(known.min)
                .with_max_supported_version(known.max)
        };
        BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(identity.node.0))
            .with_cluster_id(StrBytes::from_string(identity.cluster_id.clone()))
            .with_incarnation_id(identity.incarnation)
            .with_listeners(identity.endpoints.iter().map(listener).collect())
            .with_rack(identity.rack.clone().map(StrBytes::from_string))
            .with_log_dirs(identity.log_dirs.clone())
            .with_features(FEATURES.iter().map(feature).collect())
            .with_previous_broker_epoch(identity.previous_epoch)
    }
}

/// Waits until the broker wants to leave, or is gone.
async fn wanted(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

/// Waits until the metadata is applied up to `epoch`; whoever applies it is gone only with this node.
async fn caught_up(applied: &mut watch::Receiver<Offset>, epoch: Offset) {
    if applied.wait_for(|offset| *offset >= epoch).await.is_err() {
        std::future::pending::<()>().await;
    }
}
