//! Requests of a coordinator to other brokers, over one connection to each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::Request;
use tokio::sync::Mutex;

use crate::env::net::Net;
use crate::id::NodeId;
use crate::image::Image;
use crate::wire::{Client, ClientConfig, Error};

/// The other brokers of the cluster.
pub struct Peers {
    net: Net,
    config: ClientConfig,
    /// `inter.broker.listener.name`
    listener: String,
    clients: Mutex<HashMap<NodeId, Arc<Mutex<Option<Client>>>>>,
}

impl Peers {
    pub fn new(net: Net, config: ClientConfig, listener: String) -> Self {
        Self {
            net,
            config,
            listener,
            clients: Mutex::default(),
        }
    }

    /// Asks another broker; `None` when it is not in the image, cannot be reached or does not answer in time.
    pub async fn ask<R: Request>(
        &self,
        image: &Image,
        node: NodeId,
        request: R,
        deadline: Duration,
    ) -> Option<R::Response> {
        let endpoint = image.brokers.get(&node)?.endpoint(&self.listener)?;
        let addr = format!("{}:{}", endpoint.host, endpoint.port);
        let asked = tokio::time::timeout(deadline, async {
            let client = self.client(node, &addr).await?;
            client.call(request, deadline).await
        });
        match asked.await {
            Ok(Ok(response)) => Some(response),
            Ok(Err(error)) => {
                tracing::debug!("broker {node} was asked in vain: {error}");
                None
            }
            Err(_) => None,
        }
    }

    async fn client(&self, node: NodeId, addr: &str) -> Result<Client, Error> {
        let slot = Arc::clone(self.clients.lock().await.entry(node).or_default());
        // Only those who ask the same broker wait for it to be reached.
        let mut slot = slot.lock().await;
        if let Some(client) = slot
            .as_ref()
            .filter(|client| !client.is_closed() && client.addr() == addr)
        {
            return Ok(client.clone());
        }
        let client = Client::connect_through(&self.net, addr, &self.config).await?;
        *slot = Some(client.clone());
        Ok(client)
    }
}
