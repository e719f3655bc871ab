//! The AWS Query protocol's request: a form with numbered names.

use std::collections::BTreeMap;

/// Decoded parameters of one call.
#[derive(Debug, Default)]
pub(super) struct Query {
    parameters: BTreeMap<String, String>,
}

impl Query {
    pub(super) fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self {
            parameters: pairs.map(|(name, value)| (decode(name), decode(value))).collect(),
        }
    }

    /// As they came.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!(self.parameters)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// `Name.1`, `Name.2`, ... until one is missing.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..)
            .map_while(|number| self.get(&format!("{name}.{number}")))
            .collect()
    }

    /// `Filter.n.Name` with `Filter.n.Value.m`.
    pub(super) fn filters(&self) -> Vec<(&str, Vec<&str>)> {
        (1..)
            .map_while(|number| {
                let name = self.get(&format!("Filter.{number}.Name"))?;
                Some((name, self.list(&format!("Filter.{number}.Value"))))
            })
            .collect()
    }
}

/// Percent-decoding of application/x-www-form-urlencoded.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match tail.get(..2).and_then(hex) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &tail[2..];
                }
                None => bytes.push(b'%'),
            },
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_become_lists_and_filters() {
        let query = Query::parse(
            b"Action=DescribeInstances&InstanceId.1=i-1&InstanceId.2=i-2&Filter.1.Name=tag%3Akafka%3Acluster\
              &Filter.1.Value.1=a+b&Filter.1.Value.2=%zz",
        );
        assert_eq!(query.get("Action"), Some("DescribeInstances"));
        assert_eq!(query.list("InstanceId"), ["i-1", "i-2"]);
        assert_eq!(query.filters(), [("tag:kafka:cluster", vec!["a b", "%zz"])]);
    }
}
