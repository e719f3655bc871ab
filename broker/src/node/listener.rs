//! The node's listeners: bound before anything else, so that a port in use is said at once.

use super::Error;
use crate::env::net::{self, Listener};
use crate::image::Endpoint;
use crate::image::property::Config;
use crate::server::Limits;

/// A port that is taken, and how others reach it.
pub struct Bound {
    pub socket: Listener,
    pub endpoint: Endpoint,
}

/// Binds all `listeners`. A port 0 takes a free one, which is also advertised unless another is.
pub async fn bind(config: &Config) -> Result<Vec<Bound>, Error> {
    let mut bound = Vec::new();
    for listener in config.listeners() {
        let host = if listener.host.is_empty() {
            "0.0.0.0"
        } else {
            listener.host.as_str()
        };
        let socket = net::bind(&format!("{host}:{}", listener.port)).await?;
        let taken = socket.local_addr()?.port();
        let advertised = config
            .advertised_listeners()
            .iter()
            .find(|advertised| advertised.name == listener.name);
        let endpoint = Endpoint {
            listener: listener.name.clone(),
            host: advertised.map_or_else(|| host.to_owned(), |advertised| advertised.host.clone()),
            port: match advertised.map(|advertised| advertised.port) {
                Some(port) if port != 0 => port,
                _ => taken,
            },
        };
        bound.push(Bound { socket, endpoint });
    }
    Ok(bound)
}

pub fn address(endpoint: &Endpoint) -> String {
    format!("{}:{}", endpoint.host, endpoint.port)
}

pub fn limits(config: &Config) -> Limits {
    Limits {
        frame_bytes: config.size("socket.request.max.bytes"),
        idle: config.millis("connections.max.idle.ms"),
    }
}
