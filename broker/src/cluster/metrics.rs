//! A metrics endpoint for each node of a cluster.

use super::config::free_port;
use super::{CONTROLLER, ClusterConfig};
use crate::env::random::Random;
use crate::id::NodeId;

impl ClusterConfig {
    /// Gives every node an endpoint at its own host: the brokers at `port` and those after it, in order, the controller at
    /// the next one; 0 takes free ones. Returns the addresses in that order.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn serve_metrics(&mut self, port: u16) -> std::io::Result<Vec<String>> {
        let random = Random::system();
        let nodes: Vec<(NodeId, String)> = self
            .nodes
            .iter()
            .map(|node| (node.id, node.listen.clone()))
            .chain([(CONTROLLER, self.controller.clone())])
            .collect();
        // All are held until the last one is known, or one would be given twice.
        let (mut held, mut addresses) = (Vec::new(), Vec::new());
        for (index, (id, listen)) in (0..).zip(nodes) {
            let host = listen.rsplit_once(':').map_or(listen.as_str(), |(host, _)| host);
            let address = if port == 0 {
                let socket = free_port(host, &random).await?;
                let address = socket.local_addr()?.to_string();
                held.push(socket);
                address
            } else {
                format!("{host}:{}", port.saturating_add(index))
            };
            let property = ("azimuth.metrics.listener".to_owned(), address.clone());
            self.own.entry(id).or_default().push(property);
            addresses.push(address);
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_node_has_an_endpoint_of_its_own() {
        let mut config = ClusterConfig::local(2, &[], "/data", 19092);
        let addresses = config.serve_metrics(9404).await.unwrap();
        assert_eq!(addresses, ["127.0.0.1:9404", "127.0.0.1:9405", "127.0.0.1:9406"]);
        let own = &config.own[&CONTROLLER][0];
        assert_eq!(
            (own.0.as_str(), own.1.as_str()),
            ("azimuth.metrics.listener", "127.0.0.1:9406")
        );
        let free = ClusterConfig::local(2, &[], "/data", 0).serve_metrics(0).await.unwrap();
        assert!(free.iter().all(|address| !address.ends_with(":0")), "{free:?}");
    }
}
