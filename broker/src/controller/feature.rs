//! UpdateFeatures (57): finalizes feature levels, all of a request or none (KIP-584, KIP-778).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Ask, Decide, Decision, State};
use crate::image::feature::{ELIGIBLE_LEADER_REPLICAS, FEATURES, feature, level};
use crate::image::property::Config;
use crate::image::{Image, Record, Resource};

/// What eligible leader replicas are counted by.
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

/// The finalized features of a new cluster.
pub(super) fn of_new_cluster(config: &Config) -> Vec<Record> {
    let mut records = eligible_leaders_need(&Image::empty(), config);
    records.extend(FEATURES.iter().map(|feature| Record::Feature {
        name: feature.name.to_owned(),
        level: feature.initial,
    }));
    records
}

/// Eligible leader replicas need one `min.insync.replicas` for all: the cluster's default is written down, as in Kafka, and
/// those of single brokers go.
fn eligible_leaders_need(image: &Image, config: &Config) -> Vec<Record> {
    let record = |resource: Resource, value: Option<String>| Record::Config {
        resource,
        key: MIN_INSYNC_REPLICAS.to_owned(),
        value,
    };
    let all = Resource::Broker(String::new());
    let mut records = Vec::new();
    if image.config(&all, MIN_INSYNC_REPLICAS).is_none() {
        records.push(record(all.clone(), Some(config.int(MIN_INSYNC_REPLICAS).to_string())));
    }
    for (resource, values) in &image.configs {
        let of_one = matches!(resource, Resource::Broker(id) if !id.is_empty());
        if of_one && values.contains_key(MIN_INSYNC_REPLICAS) {
            records.push(record(resource.clone(), None));
        }
    }
    records
}

impl Decide for UpdateFeaturesRequest {
    type Response = UpdateFeaturesResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<UpdateFeaturesResponse> {
        let mut records = Vec::new();
        let mut refused = None;
        let mut seen = BTreeSet::new();
        for update in &self.feature_updates {
            let twice = !seen.insert(&update.feature);
            let outcome = match twice {
                true => Err((
                    ErrorCode::InvalidRequest,
                    format!("The request names the feature {} twice.", update.feature.as_str()),
                )),
                false => change(state, update, ask.version),
            };
            match outcome {
                Ok(changes) => records.extend(changes),
                Err(refusal) => {
                    refused = Some(refusal);
                    break;
                }
            }
        }
        let names = self.feature_updates.into_iter().map(|update| update.feature);
        let response = match &refused {
            None => answer(ask.version, names, 0, None),
            Some((code, why)) => {
                let why = format!("The update failed for all features since the following feature had an error: {why}");
                answer(ask.version, names, code.code(), Some(why))
            }
        };
        Decision {
            records: if self.validate_only || refused.is_some() {
                Vec::new()
            } else {
                records
            },
            response,
        }
    }
}

/// Since version 2 there is one result for the whole request.
fn answer(
    version: i16,
    names: impl Iterator<Item = StrBytes>,
    code: i16,
    why: Option<String>,
) -> UpdateFeaturesResponse {
    let why = why.map(StrBytes::from_string);
    let mut response = UpdateFeaturesResponse::default()
        .with_error_code(code)
        .with_error_message(why.clone());
    if version < 2 {
        response.results = names
            .map(|name| {
                UpdatableFeatureResult::default()
                    .with_feature(name)
                    .with_error_code(code)
                    .with_error_message(why.clone())
            })
            .collect();
    }
    response
}

fn change(state: &State, update: &FeatureUpdateKey, version: i16) -> Result<Vec<Record>, (ErrorCode, String)> {
    let (name, wanted) = (update.feature.as_str(), update.max_version_level);
    let refuse = |why: &str| {
        let why = format!("Invalid update version {wanted} for feature {name}. {why}");
        Err((ErrorCode::InvalidUpdateVersion, why))
    };
    let direction = match (version, update.upgrade_type) {
        (0, _) if update.allow_downgrade => Direction::SafeDowngrade,
        (0, _) | (_, 1) => Direction::Upgrade,
        (_, 2) => Direction::SafeDowngrade,
        (_, 3) => Direction::UnsafeDowngrade,
        _ => return refuse("The controller does not support the given upgrade type."),
    };
    if wanted < 0 {
        return refuse("A feature version cannot be less than 0.");
    }
    if let Some(why) = unsupported(state, name, wanted) {
        return refuse(&why);
    }
    let current = level(&state.image, name);
    if wanted < current && direction == Direction::Upgrade {
        return refuse(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        );
    }
    if wanted > current && direction != Direction::Upgrade {
        return refuse("Can't downgrade to a newer version.");
    }
    if wanted == current {
        return Ok(Vec::new());
    }
    let mut records = match name == ELIGIBLE_LEADER_REPLICAS && wanted > 0 {
        true => eligible_leaders_need(&state.image, &state.config),
        false => Vec::new(),
    };
    records.push(Record::Feature {
        name: name.to_owned(),
        level: wanted,
    });
    Ok(records)
}

/// Who does not know the level, in Kafka's words.
fn unsupported(state: &State, name: &str, wanted: i16) -> Option<String> {
    /// Of what is not known at all: it can only be off.
    const OFF: (i16, i16) = (0, 0);
    let missing = |who: String, (min, max): (i16, i16)| match (min..=max).contains(&wanted) {
        true => None,
        false if max == 0 => Some(format!("{who} does not support this feature.")),
        false if min == max => Some(format!("{who} only supports versions {min}")),
        false => Some(format!("{who} only supports versions {min}-{max}")),
    };
    let own = feature(name).map_or(OFF, |feature| (feature.min, feature.max));
    missing(format!("Local controller {}", state.node), own).or_else(|| {
        let mut brokers = state.image.brokers.values();
        brokers.find_map(|broker| {
            let known = broker.features.get(name).copied().unwrap_or(OFF);
            missing(format!("Broker {}", broker.id), known)
        })
    })
}

/// Why a broker cannot take part in the cluster as it is: it does not know a finalized level.
pub(super) fn lacking(image: &Image, known: &BTreeMap<String, (i16, i16)>) -> Option<String> {
    image.features.iter().find_map(|(name, level)| {
        let (min, max) = known.get(name).copied().unwrap_or((0, 0));
        (!(min..=max).contains(level)).then(|| {
            format!(
                "Unable to register because the broker does not support finalized version {level} of feature {name}. \
                 The broker wants a version between {min} and {max}, inclusive."
            )
        })
    })
}
