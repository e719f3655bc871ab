//! Broker properties that change while a broker runs, beyond those that give topics their defaults (KIP-226).

use crate::image::Image;
use crate::image::property::Config;
use crate::replica::ReplicaManager;

/// Takes over what the image says now.
pub fn apply(config: &Config, image: &Image, replicas: &ReplicaManager) {
    let rate = config.value(image, "replica.alter.log.dirs.io.max.bytes.per.second");
    let rate = rate.and_then(|rate| rate.trim().parse().ok());
    replicas.set_move_rate(rate.unwrap_or(u64::MAX));
}
