//! Messages with their headers, as frames.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use super::guard::{self, Malformed};

/// What stands before every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub key: i16,
    pub version: i16,
    pub correlation: i32,
    pub client_id: Option<StrBytes>,
}

/// Reads a request's header and leaves its body in `frame`.
///
/// The header's own format depends on API and version (KIP-482). Of an unknown API only the fixed
/// eight bytes are read, and of an unknown version of a known API the header in the newest format we know, as KIP-511 requires for ApiVersions.
pub fn decode_header(frame: &mut Bytes) -> Result<Header, Malformed> {
    let Some(start) = frame.first_chunk::<8>() else {
        return Err(Malformed("it is shorter than a request header".to_owned()));
    };
    let mut start = &start[..];
    let (key, version, correlation) = (start.get_i16(), start.get_i16(), start.get_i32());
    let Ok(api) = ApiKey::try_from(key) else {
        return Ok(Header {
            key,
            version,
            correlation,
            client_id: None,
        });
    };
    let header: RequestHeader = guard::decode(frame, api.request_header_version(version))?;
    Ok(Header {
        key,
        version,
        correlation,
        client_id: header.client_id,
    })
}

/// Reads one message from the front of `frame`. Bytes after its end are ignored, as Kafka does.
pub fn decode_message<M: Decodable>(mut frame: Bytes, version: i16) -> Result<M, Malformed> {
    guard::decode(&mut frame, version)
}

/// A request as a frame, its length included.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation: i32,
    client_id: &StrBytes,
) -> Result<Bytes, Malformed> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(client_id.clone()));
    encode(&header, R::header_version(version), request, version)
}

/// A response as a frame, its length included.
pub fn encode_response<M: Encodable + HeaderVersion>(
    response: &M,
    version: i16,
    correlation: i32,
) -> Result<Bytes, Malformed> {
    let header = ResponseHeader::default().with_correlation_id(correlation);
    encode(&header, M::header_version(version), response, version)
}

/// Reads a response after its frame was matched by correlation id.
pub fn decode_response<R: Request>(mut frame: Bytes, version: i16) -> Result<R::Response, Malformed> {
    let header_version = <R::Response as HeaderVersion>::header_version(version);
    let _: ResponseHeader = guard::decode(&mut frame, header_version)?;
    decode_message(frame, version)
}

fn encode(
    header: &impl Encodable,
    header_version: i16,
    body: &impl Encodable,
    version: i16,
) -> Result<Bytes, Malformed> {
    let size = |error: &dyn std::fmt::Display| Malformed(error.to_string());
    let length = header.compute_size(header_version).map_err(|e| size(&e))?
        + body.compute_size(version).map_err(|e| size(&e))?;
    let announced = i32::try_from(length).map_err(|_| Malformed::too_long(length))?;
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_i32(announced);
    header.encode(&mut frame, header_version).map_err(|e| size(&e))?;
    body.encode(&mut frame, version).map_err(|e| size(&e))?;
    if frame.len() == 4 + length {
        Ok(frame.freeze())
    } else {
        Err(Malformed(format!(
            "its size was computed as {length} and is {}",
            frame.len() - 4
        )))
    }
}
