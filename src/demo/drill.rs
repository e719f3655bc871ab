//! Incidents to practise on: `azimuth demo --drill NAME`.

use azimuth_broker::cluster::Cluster;
use azimuth_broker::id::NodeId;
use tokio::sync::Mutex;

use super::Error;
use super::cloud::{Fleet, Handle, Script};

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
    /// The volume of broker 5 completes no I/O, as CloudWatch tells it.
    VolumeStalled,
}

impl Drill {
    /// # Errors
    /// A sentence with the names there are.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let names = <Self as strum::VariantNames>::VARIANTS;
        name.parse()
            .map_err(|_| Error::Drill(format!("there is no drill {name:?}; there are {}", names.join(", "))))
    }

    pub(super) async fn begin(self, fleet: &Fleet, cloud: &Handle, cluster: &Mutex<Cluster>) -> Result<(), Error> {
        match self {
            Self::BrokerDown => cluster.lock().await.kill(NodeId(4)).await,
            Self::ZoneDown => {
                let zone = &fleet.zones[1];
                tell(
                    cloud,
                    Script {
                        outage: Some(zone.name.clone()),
                        ..Script::default()
                    },
                )?;
                let there = fleet
                    .machines
                    .iter()
                    .zip(1..)
                    .filter(|(machine, _)| machine.zone == zone.name);
                for (_, broker) in there {
                    cluster.lock().await.kill(NodeId(broker)).await;
                }
            }
            Self::AwsThrottled => tell(
                cloud,
                Script {
                    throttle: Some("*".to_owned()),
                    ..Script::default()
                },
            )?,
            Self::VolumeStalled => {
                let data = fleet.machines[4]
                    .disks
                    .iter()
                    .find(|disk| disk.device != fleet.machines[4].root_device);
                let stall = data.map(|disk| disk.id.clone());
                tell(
                    cloud,
                    Script {
                        stall,
                        ..Script::default()
                    },
                )?;
            }
        }
        Ok(())
    }
}

fn tell(cloud: &Handle, script: Script) -> Result<(), Error> {
    cloud.script(&script).map_err(Error::Drill)
}
