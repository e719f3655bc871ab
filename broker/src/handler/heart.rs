//! A broker that ends the connection of its heartbeats, and that nobody listens for any more, has ended: its leaders need not
//! wait until its session is over.
//!
//! A process that is killed closes what it had open and listens no more, and its host refuses what comes after. A host that is
//! lost, a broker that is stopped or cut off refuse nothing: there only the session tells. So it does where nodes share a
//! process, because one that is killed there stands for a lost host. Being fenced harms nobody who is alive: it is what the
//! end of a session does, and the next heartbeat takes it back.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, BrokerHeartbeatRequest};
use tokio::time::{Instant, sleep, timeout};

use super::{Context, ControllerLink};
use crate::controller::Gone;
use crate::id::NodeId;
use crate::wire::{self, Header};

/// It is asked for so often: between two a listener may be made anew.
const KNOCKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);
/// Who takes longer to answer refuses nothing.
const DEADLINE: Duration = Duration::from_secs(1);

/// The broker whose heartbeats come by a connection.
#[derive(Debug, Clone, Copy)]
pub struct Heart(NodeId);

/// Whose heartbeat a request is, on the controller's listener.
pub fn of(cx: &Context, header: &Header, body: &Bytes) -> Option<Heart> {
    let is_beat = header.key == ApiKey::BrokerHeartbeat as i16 && cx.knock.is_some();
    let beat = is_beat.then(|| wire::decode_message::<BrokerHeartbeatRequest>(body.clone(), header.version));
    Some(Heart(NodeId(beat?.ok()?.broker_id.0)))
}

/// The connection ended by itself. Has the broker fenced if its listeners all refuse connections.
pub async fn lost(cx: &Context, Heart(id): Heart) {
    let (ControllerLink::Local(controller), Some(net)) = (&cx.controller, &cx.knock) else {
        return;
    };
    let since = Instant::now();
    let image = cx.image();
    let Some(broker) = image.brokers.get(&id).filter(|broker| !broker.fenced) else {
        return;
    };
    for _ in 0..KNOCKS {
        sleep(PAUSE).await;
        for listener in &broker.listeners {
            let address = format!("{}:{}", listener.host, listener.port);
            let knock = timeout(DEADLINE, net.connect(&address)).await;
            let refused = matches!(knock, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused);
            if !refused {
                return;
            }
        }
    }
    let gone = Gone {
        id,
        epoch: broker.epoch,
        since,
    };
    if let Err(error) = controller.submit(gone, 0).await {
        tracing::warn!("broker {id} has ended and could not be fenced: {error}");
    }
}
