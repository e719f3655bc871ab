//! The quotas and connection limits of a node, and how they follow the metadata.

use std::sync::Arc;

use crate::handler::Context;
use crate::image::Image;
use crate::image::property::Config;
use crate::quota::{ClientQuotas, ConnectionLimits, ConnectionQuotas, Window};

/// Without a quota until the metadata brings some.
pub fn of_clients(config: &Config) -> Arc<ClientQuotas> {
    let window = |num: &str, seconds: &str| Window {
        samples: config.size(num),
        sample_ms: config.int(seconds).saturating_mul(1_000),
    };
    Arc::new(ClientQuotas::new(
        window("quota.window.num", "quota.window.size.seconds"),
        window("controller.quota.window.num", "controller.quota.window.size.seconds"),
    ))
}

/// As the file says, until the metadata says something else.
pub fn of_connections(config: &Config) -> Arc<ConnectionQuotas> {
    ConnectionQuotas::new(ConnectionLimits::of(config, &Image::empty()))
}

/// Brings what changes in the metadata to the quotas, as long as there is metadata.
pub async fn follow(cx: Arc<Context>) {
    let mut images = cx.image.clone();
    loop {
        let image = Arc::clone(&images.borrow_and_update());
        cx.quotas.update(&image.quotas);
        let limits = ConnectionLimits::of(&cx.config, &image);
        cx.connections.update(limits, &image.quotas);
        if images.changed().await.is_err() {
            return;
        }
    }
}
