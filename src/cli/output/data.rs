//! Values of the envelope. Maps keep the order of their keys, so that a person can read the JSON too.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// One value.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Data {
    /// Unknown, or absent.
    #[default]
    Null,
    Truth(bool),
    Whole(i64),
    /// Rounded to three places: nothing here is measured better.
    Real(f64),
    Text(String),
    List(Vec<Data>),
    Map(Vec<(&'static str, Data)>),
}

impl Data {
    /// Adds a field to a map; anything else stays as it is.
    pub fn with(mut self, key: &'static str, value: impl Into<Data>) -> Self {
        if let Self::Map(fields) = &mut self {
            fields.push((key, value.into()));
        }
        self
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Truth(truth) => serializer.serialize_bool(*truth),
            Self::Whole(number) => serializer.serialize_i64(*number),
            Self::Real(number) => serializer.serialize_f64((number * 1000.0).round() / 1000.0),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => serializer.collect_seq(list),
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl From<bool> for Data {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

impl From<i64> for Data {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<i32> for Data {
    fn from(number: i32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<u32> for Data {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<u64> for Data {
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Data {
    fn from(number: f64) -> Self {
        if number.is_finite() {
            Self::Real(number)
        } else {
            Self::Null
        }
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Data>> From<Option<T>> for Data {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Data>> From<Vec<T>> for Data {
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}
