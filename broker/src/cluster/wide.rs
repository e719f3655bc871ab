//! A wide cluster: many brokers in one process, which share images and ring each other (`docs/ARCHITECTURE.md`, decision 9).

use futures::{StreamExt, TryStreamExt};

use super::{Cluster, Error, Hosted, Nodes};
use crate::env::limit;

/// So many nodes start at once: they wait for the disk more than they compute.
const STARTING_MAX: usize = 16;

/// How many links between the nodes may be open at once: each has both ends in this process, and they may take a quarter
/// of its descriptors.
pub(super) fn links_max() -> usize {
    (limit::descriptors() / 8).clamp(8, 4_096)
}

impl Cluster {
    /// Starts all brokers that do not run.
    pub(super) async fn start_all(&mut self) -> Result<(), Error> {
        let mut starts = Vec::new();
        for id in self.ids() {
            let config = self.config.parsed(id).ok_or(Error::Unknown(id))??;
            let (around, effects) = (self.surroundings(id)?, self.effects(id));
            starts.push(async move {
                let node = Hosted::start(config, around.severable(), &effects).await;
                node.map(|node| (id, node)).map_err(|source| Error::Node { id, source })
            });
        }
        let nodes: Vec<_> = futures::stream::iter(starts)
            .buffer_unordered(STARTING_MAX)
            .try_collect()
            .await?;
        if let Nodes::Here(running) = &mut self.nodes {
            running.extend(nodes);
        }
        Ok(())
    }
}
