//! Values of a run: what parameters are set to, what people answer, what steps leave for later ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::value::{Brokers, Size, Time};

/// By their references: `zone` of a parameter, `look.culprit` of a step.
pub type Values = BTreeMap<String, Value>;

/// What a parameter or an answer may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    #[default]
    String,
    Integer,
    Boolean,
    /// `30s`, `5m`, `2h`.
    Duration,
    /// `500MB`, `50GB`.
    Size,
    /// `4`, `4,7`, `31..36`.
    Brokers,
}

impl Kind {
    /// A value of this kind from what was typed.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::String => Ok(Value::from(text)),
            Self::Integer => {
                let number: Result<i64, _> = text.trim().parse();
                number
                    .map(Value::from)
                    .map_err(|_| format!("{text:?} is no whole number"))
            }
            Self::Boolean => match text.trim() {
                "true" | "yes" | "y" => Ok(Value::Bool(true)),
                "false" | "no" | "n" => Ok(Value::Bool(false)),
                _ => Err(format!("{text:?} is neither yes nor no")),
            },
            Self::Duration => text.parse::<Time>().map(|_| Value::from(text)),
            Self::Size => text.parse::<Size>().map(|_| Value::from(text)),
            // In the order in which they are named: it may be one of preference.
            Self::Brokers => text.parse::<Brokers>().map(|_| Value::from(text)),
        }
    }

    /// The same from what a file says, which may be a number or a truth of YAML's.
    ///
    /// # Errors
    /// As [`Kind::read`].
    pub fn check(self, value: &Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Boolean, Value::Bool(_)) | (Self::String, Value::String(_)) => Ok(value.clone()),
            (_, Value::Array(_) | Value::Object(_) | Value::Null) => Err(format!("it is no {self}")),
            (_, scalar) => self.read(&text(scalar)),
        }
    }

    /// One that a command would take, to check its words with.
    pub fn sample(self) -> &'static str {
        match self {
            Self::String => "orders",
            Self::Integer | Self::Brokers => "1",
            Self::Boolean => "true",
            Self::Duration => "10m",
            Self::Size => "1GB",
        }
    }
}

/// As a word of a command: a list with commas, nothing as an empty word.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Whether a condition that is nothing but this value holds.
pub fn is_truth(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Object(_) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
    }
}

/// Whether this can be a name: of a parameter, a step, an output. Dashes only between letters.
pub fn is_name(text: &str) -> bool {
    let fine = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' || letter == '_';
    text.starts_with(|letter: char| letter.is_ascii_lowercase()) && text.chars().all(fine) && !text.ends_with('-')
}
