//! A place in a JSON value, and what has to stand there: `order.items[0].sku=A-17`.
//!
//! A path is names with dots between and `[n]` for the n-th element, counted from 0; a leading `$.` may be written.
//! A name with a dot or a bracket in it is put in brackets and quotes: `["a.b"].c`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// A path and the text that the value there must have; a string is compared without its quotes, anything else as JSON
/// writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    steps: Vec<Step>,
    wanted: String,
    /// As written: it prints as it parses.
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

impl JsonPath {
    /// Whether the bytes are JSON with the wanted value at this place.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let Ok(root) = serde_json::from_slice::<Value>(bytes) else {
            return false;
        };
        let found = self.steps.iter().try_fold(&root, |value, step| match step {
            Step::Name(name) => value.get(name),
            Step::Index(index) => value.get(index),
        });
        match found {
            Some(Value::String(text)) => *text == self.wanted,
            Some(other) => serde_json::to_string(other).is_ok_and(|text| text == self.wanted),
            None => false,
        }
    }
}

const USAGE: &str = "write a path and a value such as order.items[0].sku=A-17";

impl FromStr for JsonPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let mut steps = Vec::new();
        loop {
            if let Some(inside) = rest.strip_prefix("[\"") {
                let (name, after) = inside.split_once("\"]").ok_or(USAGE)?;
                steps.push(Step::Name(name.to_owned()));
                rest = after;
            } else if let Some(inside) = rest.strip_prefix('[') {
                let (index, after) = inside.split_once(']').ok_or(USAGE)?;
                steps.push(Step::Index(index.parse().map_err(|_| USAGE)?));
                rest = after;
            } else {
                let end = rest.find(['.', '[', '=']).ok_or(USAGE)?;
                if end == 0 {
                    return Err(USAGE.to_owned());
                }
                steps.push(Step::Name(rest[..end].to_owned()));
                rest = &rest[end..];
            }
            if let Some(wanted) = rest.strip_prefix('=') {
                return Ok(Self {
                    steps,
                    wanted: wanted.to_owned(),
                    text: text.to_owned(),
                });
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &[u8] = br#"{"order":{"items":[{"sku":"A-17","n":3},{"sku":"B"}],"paid":true,"a.b":null},"id":"7"}"#;

    fn holds(path: &str) -> bool {
        path.parse::<JsonPath>().unwrap().matches(VALUE)
    }

    #[test]
    fn a_path_leads_to_a_value() {
        assert!(holds("order.items[0].sku=A-17"));
        assert!(holds("$.order.items[1].sku=B"));
        assert!(holds("order.items[0].n=3"));
        assert!(holds("order.paid=true"));
        assert!(holds(r#"order["a.b"]=null"#));
        assert!(holds("id=7"), "a string is compared without its quotes");
        assert!(!holds("order.items[2].sku=B"), "there is no third");
        assert!(!holds("order.items.sku=B"));
        assert!(!holds("id=8"));
    }

    #[test]
    fn what_is_no_json_never_matches() {
        let path: JsonPath = "a=1".parse().unwrap();
        assert!(!path.matches(b"a=1"));
        assert!(!path.matches(b"\xff"));
        assert!(path.matches(b"{\"a\":1}"));
    }

    #[test]
    fn a_value_may_hold_anything_and_a_path_may_not() {
        assert_eq!("a=b=c.d[0]".parse::<JsonPath>().unwrap().to_string(), "a=b=c.d[0]");
        for bad in ["", "a", "=1", "a[x]=1", "a[0=1", ".=1", "a..b=1"] {
            assert!(bad.parse::<JsonPath>().is_err(), "{bad}");
        }
    }
}
