//! Which records are wanted: by key, header, text and JSON path; all that is asked for must hold.

use regex::bytes::Regex;

use super::Record;
use super::path::JsonPath;

/// What a record must have. Empty, it lets every record through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Found somewhere in the key. A null key has no text.
    pub key: Option<Regex>,
    /// A header of this name with this value.
    pub headers: Vec<(String, String)>,
    /// Found somewhere in the value.
    pub text: Option<Regex>,
    pub json: Vec<JsonPath>,
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.headers.is_empty() && self.text.is_none() && self.json.is_empty()
    }

    pub fn lets(&self, record: &Record) -> bool {
        let found = |pattern: &Option<Regex>, bytes: &Option<Vec<u8>>| match (pattern, bytes) {
            (None, _) => true,
            (Some(pattern), Some(bytes)) => pattern.is_match(bytes),
            (Some(_), None) => false,
        };
        let has = |(name, wanted): &(String, String)| {
            let mut own = record.headers.iter().filter(|(own, _)| own == name);
            own.any(|(_, value)| value.as_deref() == Some(wanted.as_bytes()))
        };
        let at = |path: &JsonPath| record.value.as_deref().is_some_and(|value| path.matches(value));
        found(&self.key, &record.key)
            && found(&self.text, &record.value)
            && self.headers.iter().all(has)
            && self.json.iter().all(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            key: Some(b"customer-7".to_vec()),
            value: Some(br#"{"state":"paid"}"#.to_vec()),
            headers: vec![
                ("trace".to_owned(), Some(b"a1".to_vec())),
                ("trace".to_owned(), Some(b"b2".to_vec())),
                ("empty".to_owned(), None),
            ],
            ..Record::default()
        }
    }

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let header = |name: &str, value: &str| Filter {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..Filter::default()
        };
        assert!(Filter::default().lets(&record()) && Filter::default().is_empty());
        assert!(header("trace", "b2").lets(&record()), "names may repeat");
        assert!(!header("trace", "b").lets(&record()));
        assert!(!header("empty", "").lets(&record()), "null is not empty");
        let filter = Filter {
            key: Some(Regex::new("-7$").unwrap()),
            text: Some(Regex::new("paid").unwrap()),
            json: vec!["state=paid".parse().unwrap()],
            ..header("trace", "a1")
        };
        assert!(filter.lets(&record()));
        let other = Filter {
            json: vec!["state=open".parse().unwrap()],
            ..filter
        };
        assert!(!other.lets(&record()));
    }

    #[test]
    fn a_tombstone_has_no_text_to_find() {
        let tombstone = Record {
            value: None,
            ..record()
        };
        let any = Filter {
            text: Some(Regex::new("").unwrap()),
            ..Filter::default()
        };
        assert!(!any.lets(&tombstone));
        assert!(any.lets(&record()));
    }
}
