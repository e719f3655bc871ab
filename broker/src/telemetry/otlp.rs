//! The part of OpenTelemetry's metrics that clients push (KIP-714), read from protobuf: gauges and sums with their
//! attributes. What else there is, histograms for example, is passed over.

/// A push that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no metrics of OpenTelemetry: {0}")]
pub struct Malformed(&'static str);

/// One number of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// With dots, as the client calls it.
    pub name: String,
    /// Of the client and of the number, in the order they came.
    pub attributes: Vec<(String, String)>,
    pub value: f64,
    pub kind: Kind,
}

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    /// What was added up since the client began.
    Total,
    /// What was added since the last push.
    Delta,
    /// A sum that may also shrink.
    Level,
}

/// How a field is written (protobuf's wire types).
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// One field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Every number in a push, at most `limit`; the rest is passed over.
///
/// # Errors
/// When it is torn, or no protobuf.
pub fn points(data: &[u8], limit: usize) -> Result<Vec<Point>, Malformed> {
    let mut points = Vec::new();
    for resource_metrics in messages(data, 1)? {
        let mut of_client = Vec::new();
        for resource in messages(resource_metrics, 1)? {
            attributes(resource, 1, &mut of_client)?;
        }
        for scope in messages(resource_metrics, 2)? {
            for metric in messages(scope, 2)? {
                read_metric(metric, &of_client, limit, &mut points)?;
            }
        }
    }
    Ok(points)
}

fn read_metric(
    metric: &[u8],
    of_client: &[(String, String)],
    limit: usize,
    into: &mut Vec<Point>,
) -> Result<(), Malformed> {
    let name = text(messages(metric, 1)?.last().copied().unwrap_or_default());
    let (gauges, sums) = (messages(metric, 5)?, messages(metric, 7)?);
    let kinds = gauges.into_iter().map(|gauge| Ok((gauge, Kind::Gauge)));
    let kinds = kinds.chain(sums.into_iter().map(|sum| Ok((sum, kind_of(sum)?))));
    for data in kinds {
        let (data, kind) = data?;
        for point in messages(data, 1)? {
            if into.len() == limit {
                return Ok(());
            }
            let mut own = of_client.to_vec();
            attributes(point, 7, &mut own)?;
            if let Some(value) = value(point)? {
                into.push(Point {
                    name: name.clone(),
                    attributes: own,
                    value,
                    kind,
                });
            }
        }
    }
    Ok(())
}

/// `aggregation_temporality` 1 is delta; a sum that is not monotonic may shrink.
fn kind_of(sum: &[u8]) -> Result<Kind, Malformed> {
    let (mut temporality, mut monotonic) = (0, 0);
    each(sum, |number, field| match (number, field) {
        (2, Field::Number(of)) => temporality = of,
        (3, Field::Number(of)) => monotonic = of,
        _ => {}
    })?;
    Ok(match (temporality, monotonic) {
        (_, 0) => Kind::Level,
        (1, _) => Kind::Delta,
        _ => Kind::Total,
    })
}

fn value(point: &[u8]) -> Result<Option<f64>, Malformed> {
    let mut value = None;
    each(point, |number, field| match (number, field) {
        (4, Field::Number(bits)) => value = Some(f64::from_bits(bits)),
        (6, Field::Number(whole)) => value = Some(whole.cast_signed() as f64),
        _ => {}
    })?;
    Ok(value.filter(|value: &f64| value.is_finite()))
}

/// Adds the attributes in the fields of that number; those that are no plain values are passed over.
fn attributes(message: &[u8], number: u64, into: &mut Vec<(String, String)>) -> Result<(), Malformed> {
    for pair in messages(message, number)? {
        let key = text(messages(pair, 1)?.last().copied().unwrap_or_default());
        let mut shown = None;
        for any in messages(pair, 2)? {
            each(any, |kind, field| match (kind, field) {
                (1, Field::Bytes(of)) => shown = Some(text(of)),
                (2, Field::Number(of)) => shown = Some((of != 0).to_string()),
                (3, Field::Number(of)) => shown = Some(of.cast_signed().to_string()),
                (4, Field::Number(of)) => shown = Some(f64::from_bits(of).to_string()),
                _ => {}
            })?;
        }
        into.extend(shown.map(|shown| (key, shown)));
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The messages in all fields of that number.
fn messages(data: &[u8], wanted: u64) -> Result<Vec<&[u8]>, Malformed> {
    let mut found = Vec::new();
    each(data, |number, field| {
        if let (true, Field::Bytes(of)) = (number == wanted, field) {
            found.push(of);
        }
    })?;
    Ok(found)
}

fn each<'a>(mut data: &'a [u8], mut see: impl FnMut(u64, Field<'a>)) -> Result<(), Malformed> {
    while !data.is_empty() {
        let key = varint(&mut data)?;
        match key & 7 {
            VARINT => see(key >> 3, Field::Number(varint(&mut data)?)),
            FIXED64 => {
                let (bytes, rest) = data.split_first_chunk::<8>().ok_or(Malformed("it ends too early"))?;
                data = rest;
                see(key >> 3, Field::Number(u64::from_le_bytes(*bytes)));
            }
            BYTES => {
                let length = usize::try_from(varint(&mut data)?).unwrap_or(usize::MAX);
                let (bytes, rest) = data.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
                data = rest;
                see(key >> 3, Field::Bytes(bytes));
            }
            FIXED32 => {
                let (_, rest) = data.split_first_chunk::<4>().ok_or(Malformed("it ends too early"))?;
                data = rest;
            }
            _ => return Err(Malformed("a field has an unknown type")),
        }
    }
    Ok(())
}

fn varint(data: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = data.split_first().ok_or(Malformed("it ends too early"))?;
        *data = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if *byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed("a number is too long"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        field.extend(bytes);
        field
    }

    fn attribute(number: u8, key: &str, value: &str) -> Vec<u8> {
        let any = field(1, value.as_bytes());
        field(number, &[field(1, key.as_bytes()), field(2, &any)].concat())
    }

    /// A gauge of 1.5 and a sum of 7, each with an attribute, of a client with one.
    pub fn push(sum_name: &str, temporality: u8) -> Vec<u8> {
        let mut gauge = vec![4 << 3 | 1];
        gauge.extend(1.5_f64.to_le_bytes());
        gauge.extend(attribute(7, "node", "n1"));
        let mut sum = vec![6 << 3 | 1];
        sum.extend(7_i64.to_le_bytes());
        let sum = [field(1, &sum), vec![2 << 3, temporality, 3 << 3, 1]].concat();
        let metrics = [
            field(2, &[field(1, b"a.gauge"), field(5, &field(1, &gauge))].concat()),
            field(2, &[field(1, sum_name.as_bytes()), field(7, &sum)].concat()),
        ];
        let resource = field(1, &attribute(1, "rack", "a"));
        field(1, &[resource, field(2, &metrics.concat())].concat())
    }

    #[test]
    fn gauges_and_sums_are_read_with_their_attributes() {
        let read = points(&push("a.sum", 2), 10).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read.len(), 2);
        assert_eq!(
            (read[0].name.as_str(), read[0].value, read[0].kind),
            ("a.gauge", 1.5, Kind::Gauge)
        );
        assert_eq!(read[0].attributes, [pair("rack", "a"), pair("node", "n1")]);
        assert_eq!(
            (read[1].name.as_str(), read[1].value, read[1].kind),
            ("a.sum", 7.0, Kind::Total)
        );
        assert_eq!(points(&push("a.sum", 1), 10).unwrap()[1].kind, Kind::Delta);
        assert_eq!(points(&push("a.sum", 1), 1).unwrap().len(), 1);
    }

    #[test]
    fn what_is_torn_is_an_error_and_never_a_panic() {
        let whole = push("a.sum", 2);
        for end in 1..whole.len() {
            assert!(points(&whole[..end], 10).is_err(), "{end} bytes");
        }
    }
}
