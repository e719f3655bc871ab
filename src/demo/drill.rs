//! Incidents to practise on: `azimuth demo --drill NAME`.
//!
//! They are brought about as an outsider would: by the brokers' faults, by the cloud's script, by changes through Kafka's
//! protocol, and by clients that misbehave. The console is told nothing.

use std::sync::Arc;
use std::time::Duration;

use azimuth_broker::cluster::{CONTROLLER, Cluster, ClusterConfig, Fault, Peer};
use azimuth_broker::env::disk::DirFault;
use azimuth_broker::env::net::Effect;
use azimuth_broker::id::NodeId;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::cloud::{Fleet, Handle, LagScript, Script};
use super::guard::Guard;
use super::workload::{self, Stuck};
use super::{BROKERS, Error};
use crate::model::BrokerId;
use crate::source::kafka::{ConfigChange, Edit, Kafka, Resource};

/// The broker that something happens to, if it is one alone.
const VICTIM: BrokerId = 4;
/// The broker whose volume is at fault.
const SICK: BrokerId = 5;
/// What the volume of `disk-full` has left: some minutes of the demo's writes.
const LEFT_BYTES: u64 = 24 << 20;
/// How much longer each operation of the slow volume takes, as gray EBS failures do.
const SLOW_MS: u64 = 250;
/// Bytes a second that the forgotten throttle leaves to followers.
const THROTTLE: &str = "4096";
/// How long the broker of `throttle-left` is away: long enough that it misses something.
const AWAY: Duration = Duration::from_secs(8);

/// One incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::Display, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Drill {
    /// Broker 4 is killed.
    BrokerDown,
    /// The second zone's brokers are killed, and EC2 fails for that zone.
    ZoneDown,
    /// EC2 and CloudWatch throttle every call.
    AwsThrottled,
    /// The volume of broker 5 completes no I/O.
    VolumeStalled,
    /// Each operation of broker 5's volume takes a quarter of a second longer, and no check of AWS fails.
    VolumeSlow,
    /// The volume of broker 5 has little room left, and it goes.
    DiskFull,
    /// Broker 4 and the other brokers do not reach each other; the controller and clients reach all.
    IsrShrunk,
    /// A client writes as fast as it can.
    ProducerRunaway,
    /// The members of one group stay and read no more.
    ConsumerStuck,
    /// Somebody left a replication throttle behind, and broker 4 was away.
    ThrottleLeft,
    /// The controller is killed.
    ControllerLost,
    /// The certificate of broker 4 has run out, and it restarts.
    CertificateExpired,
    /// Broker 3 says that it is in another zone than its instance.
    RackWrong,
}

/// What a drill can get at.
#[derive(Clone)]
pub(super) struct Ground {
    pub fleet: Fleet,
    pub cloud: Handle,
    pub cluster: Arc<Mutex<Cluster>>,
    pub kafka: Kafka,
    pub stuck: Stuck,
}

/// What goes on after a drill has begun, until the demo ends.
pub(super) type Rest = BoxFuture<'static, ()>;

impl Drill {
    /// # Errors
    /// A sentence with the names there are.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let names = <Self as strum::VariantNames>::VARIANTS;
        name.parse()
            .map_err(|_| Error::Drill(format!("there is no drill {name:?}; there are {}", names.join(", "))))
    }

    /// Changes what the brokers start with.
    pub(super) fn prepare(self, config: &mut ClusterConfig) -> Result<Option<Guard>, Error> {
        // Faults cost throughput, so they are allowed only where they are wanted.
        config.allow_faults = self.needs_faults();
        if self == Self::RackWrong {
            let wrong = config.nodes[0].rack.clone();
            config.nodes[2].rack = wrong;
        }
        if self != Self::CertificateExpired {
            return Ok(None);
        }
        let hosts = config.nodes.iter().map(|node| match node.listen.rsplit_once(':') {
            Some((host, _)) => host.to_owned(),
            None => node.listen.clone(),
        });
        let guard = Guard::new(hosts)?;
        guard.guard(config);
        Ok(Some(guard))
    }

    fn needs_faults(self) -> bool {
        matches!(
            self,
            Self::VolumeStalled | Self::VolumeSlow | Self::DiskFull | Self::IsrShrunk | Self::CertificateExpired
        )
    }

    /// Begins, and says what goes on.
    pub(super) async fn begin(self, ground: Ground) -> Result<Option<Rest>, Error> {
        match self {
            Self::BrokerDown => ground.kill(NodeId(VICTIM)).await,
            Self::ControllerLost => ground.kill(CONTROLLER).await,
            Self::ZoneDown => {
                let zone = &ground.fleet.zones[1];
                ground.tell(Script {
                    outage: Some(zone.name.clone()),
                    ..Script::default()
                })?;
                let machines = ground.fleet.machines.iter().zip(1..);
                for (_, broker) in machines.filter(|(machine, _)| machine.zone == zone.name) {
                    ground.kill(NodeId(broker)).await;
                }
            }
            Self::AwsThrottled => ground.tell(Script {
                throttle: Some("*".to_owned()),
                ..Script::default()
            })?,
            Self::VolumeStalled => {
                ground.tell(Script {
                    stall: ground.volume_of(SICK),
                    ..Script::default()
                })?;
                ground.inject(SICK, dir(DirFault::Stall)).await?;
            }
            Self::VolumeSlow => {
                ground.tell(Script {
                    lag: ground.volume_of(SICK).map(|volume| LagScript {
                        volume,
                        milliseconds: SLOW_MS,
                    }),
                    ..Script::default()
                })?;
                ground.inject(SICK, dir(DirFault::Slow(SLOW_MS))).await?;
            }
            Self::DiskFull => ground.inject(SICK, dir(DirFault::Full(LEFT_BYTES))).await?,
            Self::IsrShrunk => {
                for peer in (1..=BROKERS).filter(|peer| *peer != VICTIM) {
                    let cut = Fault::Link {
                        peer: Some(Peer::Node(NodeId(peer))),
                        effect: Effect::Cut,
                    };
                    ground.inject(VICTIM, cut).await?;
                }
            }
            Self::ProducerRunaway => return Ok(Some(Box::pin(workload::runaway(ground.kafka)))),
            Self::ConsumerStuck => {
                ground.stuck.send_replace(true);
                // They go on when nobody holds the other end.
                return Ok(Some(Box::pin(async move {
                    let _held = ground.stuck;
                    std::future::pending().await
                })));
            }
            Self::ThrottleLeft => return ground.leave_throttle().await.map(Some),
            Self::CertificateExpired => {
                ground.inject(VICTIM, Fault::ExpireCertificate).await?;
                // Those who are connected do not look at it again.
                ground.kill(NodeId(VICTIM)).await;
                ground.cluster.lock().await.restart(NodeId(VICTIM)).await?;
            }
            // It is so from the start.
            Self::RackWrong => {}
        }
        Ok(None)
    }
}

impl Ground {
    async fn kill(&self, node: NodeId) {
        self.cluster.lock().await.kill(node).await;
    }

    async fn inject(&self, broker: BrokerId, fault: Fault) -> Result<(), Error> {
        let mut cluster = self.cluster.lock().await;
        cluster.inject(NodeId(broker), fault).await?;
        Ok(())
    }

    fn tell(&self, script: Script) -> Result<(), Error> {
        self.cloud.script(&script).map_err(Error::Drill)
    }

    /// The volume behind a broker's log directory.
    fn volume_of(&self, broker: BrokerId) -> Option<String> {
        let machine = &self.fleet.machines[broker as usize - 1];
        let data = machine.disks.iter().find(|disk| disk.device != machine.root_device);
        data.map(|disk| disk.id.clone())
    }

    /// As after a reassignment whose tool was stopped: all replicas of all topics are throttled. Then a broker restarts.
    async fn leave_throttle(self) -> Result<Rest, Error> {
        const SIDES: [&str; 2] = ["leader", "follower"];
        let set = |resource: Resource, name: String, value: &str| ConfigChange {
            resource,
            name,
            edit: Edit::Set(value.to_owned()),
        };
        let topics = workload::topics().flat_map(|topic| {
            SIDES.map(|side| {
                let name = format!("{side}.replication.throttled.replicas");
                set(Resource::Topic(topic.to_owned()), name, "*")
            })
        });
        let brokers = (1..=BROKERS).flat_map(|broker| {
            SIDES.map(|side| {
                let name = format!("{side}.replication.throttled.rate");
                set(Resource::Broker(Some(broker)), name, THROTTLE)
            })
        });
        let changes: Vec<ConfigChange> = topics.chain(brokers).collect();
        for (_, outcome) in self.kafka.incremental_alter_configs(&changes, false).await? {
            outcome?;
        }
        self.kill(NodeId(VICTIM)).await;
        Ok(Box::pin(async move {
            tokio::time::sleep(AWAY).await;
            // A broker that does not start again is an incident all the same.
            let _ = self.cluster.lock().await.restart(NodeId(VICTIM)).await;
        }))
    }
}

fn dir(fault: DirFault) -> Fault {
    Fault::Dir { dir: None, fault }
}
