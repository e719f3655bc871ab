//! The Kafka protocol between two programs: frames, bounded decoding, and a pipelined client connection.
//!
//! Brokers talk to each other and to the controller through [`Client`], and so does the console. Whatever
//! the other side sends, nothing here allocates more than a frame's declared limit allows, and nothing panics.

mod client;
mod codec;
mod dial;
mod error;
mod frame;
mod guard;
mod login;
pub mod sasl;
mod stream;
pub mod tls;
mod version;

pub use client::{Answer, Client, ClientConfig, Security};
pub use codec::{Header, decode_header, decode_message, decode_response, encode_request, encode_response};
pub use dial::{Opened, open};
pub use error::Error;
pub use frame::{FrameError, FrameReader, MAX_FRAME_BYTES};
pub use guard::Malformed;
pub use login::log_in_on;
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use version::common_version;

/// The protocol's error codes; `.code()` is what goes on the wire.
pub use kafka_protocol::ResponseError as ErrorCode;
