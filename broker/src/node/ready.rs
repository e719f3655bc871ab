//! Whether every broker of a cluster knows of every other one, asked as a client would.

use std::time::Duration;

use kafka_protocol::messages::MetadataRequest;

use super::{Config, Error, security};
use crate::wire::{self, Client, ClientConfig};

const PAUSE: Duration = Duration::from_millis(10);
const CALL_DEADLINE: Duration = Duration::from_secs(2);

/// Waits until each of `addresses` answers Metadata with at least `brokers` brokers. The addresses are those of the
/// listener that brokers use among themselves, which is spoken to as `config`'s node does.
///
/// # Errors
/// [`Error::Failed`] with the last reason, after `deadline`, or when the node's certificates cannot be used.
pub async fn until_known(
    addresses: &[String],
    config: &Config,
    brokers: usize,
    deadline: Duration,
) -> Result<(), Error> {
    let config = &security::peer_client(config, "cluster")?;
    let mut last = String::new();
    let all = async {
        for addr in addresses {
            let mut client = None;
            loop {
                match known(addr, config, &mut client).await {
                    Ok(known) if known >= brokers => break,
                    Ok(known) => last = format!("{addr} knows {known} of {brokers} brokers"),
                    Err(error) => {
                        client = None;
                        last = error.to_string();
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    tokio::time::timeout(deadline, all).await.map_err(|_| {
        Error::Failed(format!(
            "the cluster is not ready after {} s: {last}",
            deadline.as_secs()
        ))
    })
}

async fn known(addr: &str, config: &ClientConfig, open: &mut Option<Client>) -> Result<usize, wire::Error> {
    let client = match open {
        Some(client) => client,
        None => open.insert(Client::connect(addr, config).await?),
    };
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    Ok(client.call(request, CALL_DEADLINE).await?.brokers.len())
}
