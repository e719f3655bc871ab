//! The records of the metadata log: what can change, and how it changes the image.
//!
//! A record's value in the log is its JSON, one record per change, so the log can be read by people
//! and by Kafka's dump tool; unknown fields are ignored and missing ones have defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::acl::Acl;
use super::quota::{self, QuotaEntity};
use super::token::Token;
use super::{Broker, Image, Partition, Resource, ScramCredential, Topic};
use crate::id::{NodeId, Offset, TopicId};
use crate::wire::sasl::Scram;

/// One change of the cluster's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// The first record of a new cluster.
    Cluster {
        id: String,
    },
    /// A new controller run took over; the record's offset marks the beginning of its epoch.
    Leader {
        node: NodeId,
    },
    /// A broker registered, or registered again; an epoch of -1 stands for the record's offset.
    Broker(Broker),
    /// A broker was fenced or unfenced, or began a controlled shutdown.
    BrokerState {
        id: NodeId,
        fenced: bool,
        in_controlled_shutdown: bool,
    },
    /// The log directories of a broker that are online, after one failed.
    BrokerDirectories {
        id: NodeId,
        online: Vec<uuid::Uuid>,
    },
    UnregisterBroker {
        id: NodeId,
    },
    Topic {
        id: TopicId,
        name: String,
    },
    DeleteTopic {
        id: TopicId,
    },
    /// The whole new state of one partition; appends it when `partition` is the next index.
    Partition {
        topic: TopicId,
        partition: i32,
        state: Partition,
    },
    /// Sets one dynamic config, or removes it.
    Config {
        resource: Resource,
        key: String,
        value: Option<String>,
    },
    /// Sets one quota of a client entity, or removes it.
    ClientQuota {
        entity: QuotaEntity,
        key: String,
        value: Option<f64>,
    },
    Feature {
        name: String,
        level: i16,
    },
    /// `min.insync.replicas` changed, so who was eligible by the old one is not any more; of all topics without a name.
    ClearEligibleLeaders {
        topic: Option<String>,
    },
    /// Producer ids below `next` were given out.
    ProducerIds {
        next: i64,
    },
    /// An ACL was added.
    AccessControlEntry {
        id: Uuid,
        acl: Acl,
    },
    RemoveAccessControlEntry {
        id: Uuid,
    },
    /// Sets one user's SCRAM credential, or removes it.
    Scram {
        user: String,
        mechanism: Scram,
        credential: Option<ScramCredential>,
    },
    /// A delegation token was made, or holds for another time.
    DelegationToken {
        token: Token,
    },
    RemoveDelegationToken {
        id: String,
    },
}

impl Record {
    pub(super) fn apply_to(&self, image: &mut Image, offset: Offset) {
        match self {
            Self::Cluster { id } => image.cluster_id.clone_from(id),
            Self::Leader { .. } => {}
            Self::Broker(broker) => {
                // A registration does not know its offset before it is written; a snapshot does.
                let broker = Broker {
                    epoch: if broker.epoch < 0 { offset } else { broker.epoch },
                    ..broker.clone()
                };
                image.brokers.insert(broker.id, Arc::new(broker));
            }
            Self::BrokerState {
                id,
                fenced,
                in_controlled_shutdown,
            } => {
                if let Some(broker) = image.brokers.get_mut(id) {
                    let broker = Arc::make_mut(broker);
                    broker.fenced = *fenced;
                    broker.in_controlled_shutdown = *in_controlled_shutdown;
                }
            }
            Self::BrokerDirectories { id, online } => {
                if let Some(broker) = image.brokers.get_mut(id) {
                    Arc::make_mut(broker).log_dirs.clone_from(online);
                }
            }
            Self::UnregisterBroker { id } => {
                image.brokers.remove(id);
            }
            Self::Topic { id, name } => {
                let topic = Topic {
                    id: *id,
                    name: name.clone(),
                    partitions: Vec::new(),
                };
                image.topics.insert(*id, Arc::new(topic));
                image.topic_ids.insert(name.clone(), *id);
            }
            Self::DeleteTopic { id } => {
                if let Some(topic) = image.topics.remove(id) {
                    image.topic_ids.remove(&topic.name);
                    image.configs.remove(&Resource::Topic(topic.name.clone()));
                }
            }
            Self::Partition {
                topic,
                partition,
                state,
            } => {
                let Some(topic) = image.topics.get_mut(topic) else {
                    return;
                };
                let topic = Arc::make_mut(topic);
                let state = Arc::new(state.clone());
                match usize::try_from(*partition) {
                    Ok(at) if at < topic.partitions.len() => topic.partitions[at] = state,
                    Ok(at) if at == topic.partitions.len() => topic.partitions.push(state),
                    _ => {}
                }
            }
            Self::Config { resource, key, value } => set_config(image, resource, key, value.as_deref()),
            Self::ClientQuota { entity, key, value } => {
                quota::set(Arc::make_mut(&mut image.quotas), entity, key, *value);
            }
            Self::Feature { name, level: 0 } => {
                image.features.remove(name);
            }
            Self::Feature { name, level } => {
                image.features.insert(name.clone(), *level);
            }
            Self::ClearEligibleLeaders { topic } => {
                let named = |name: &str| topic.as_ref().is_none_or(|topic| topic == name);
                let topics = image.topics.values_mut().filter(|topic| named(&topic.name));
                topics.for_each(clear_eligible);
            }
            Self::ProducerIds { next } => image.next_producer_id = *next,
            Self::AccessControlEntry { id, acl } => Arc::make_mut(&mut image.acls).insert(*id, acl.clone()),
            Self::RemoveAccessControlEntry { id } => Arc::make_mut(&mut image.acls).remove(*id),
            Self::DelegationToken { token } => {
                Arc::make_mut(&mut image.tokens).insert(token.id.clone(), token.clone());
            }
            Self::RemoveDelegationToken { id } => {
                Arc::make_mut(&mut image.tokens).remove(id);
            }
            Self::Scram {
                user,
                mechanism,
                credential,
            } => set_scram(image, user, *mechanism, credential.as_ref()),
        }
    }
}

/// Copies only what is changed.
fn clear_eligible(topic: &mut Arc<Topic>) {
    let kept = |partition: &Arc<Partition>| !partition.elr.is_empty() || !partition.last_known_elr.is_empty();
    if !topic.partitions.iter().any(kept) {
        return;
    }
    for partition in Arc::make_mut(topic)
        .partitions
        .iter_mut()
        .filter(|partition| kept(partition))
    {
        let partition = Arc::make_mut(partition);
        partition.elr.clear();
        partition.last_known_elr.clear();
    }
}

fn set_config(image: &mut Image, resource: &Resource, key: &str, value: Option<&str>) {
    let configs: &mut BTreeMap<String, String> = Arc::make_mut(image.configs.entry(resource.clone()).or_default());
    match value {
        Some(value) => {
            configs.insert(key.to_owned(), value.to_owned());
        }
        None => {
            configs.remove(key);
        }
    }
    if configs.is_empty() {
        image.configs.remove(resource);
    }
}

fn set_scram(image: &mut Image, user: &str, mechanism: Scram, credential: Option<&ScramCredential>) {
    let users = Arc::make_mut(&mut image.scram);
    let of_user = users.entry(user.to_owned()).or_default();
    match credential {
        Some(credential) => {
            of_user.insert(mechanism, credential.clone());
        }
        None => {
            of_user.remove(&mechanism);
        }
    }
    if of_user.is_empty() {
        users.remove(user);
    }
}
