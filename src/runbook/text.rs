//! Words with values in them: `leader move --from-az ${zone}`, `[--topic ${topics}]`.
//!
//! A line is split into words first and filled in afterwards, so that a value is one word whatever is in it. What stands
//! between `[` and `]` is left out where a value in it is empty.

use serde_json::Value;

use super::value::{Values, is_name, text};
use crate::command::words::split;

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Plain(String),
    /// `zone`, `look.culprit`.
    Value(String),
}

/// A text with values to be filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<Piece>);

/// A line of words with values to be filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Word(Text),
    Optional(Vec<Text>),
}

impl Text {
    /// # Errors
    /// A sentence about what follows `${`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if at > 0 {
                pieces.push(Piece::Plain(rest[..at].to_owned()));
            }
            let inside = &rest[at + 2..];
            let end = inside
                .find('}')
                .ok_or_else(|| format!("${{ in {text:?} is never closed"))?;
            let name = inside[..end].trim();
            pieces.push(Piece::Value(reference(name)?.to_owned()));
            rest = &inside[end + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Plain(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// What it refers to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value(name) => Some(name.as_str()),
            Piece::Plain(_) => None,
        })
    }

    /// # Errors
    /// When a value is not known.
    pub fn fill(&self, values: &Values) -> Result<String, String> {
        let piece = |piece: &Piece| match piece {
            Piece::Plain(plain) => Ok(plain.clone()),
            Piece::Value(name) => match values.get(name) {
                None | Some(Value::Null) => Err(format!("${{{name}}} is not known")),
                Some(value) => Ok(text(value)),
            },
        };
        self.0.iter().map(piece).collect()
    }

    /// For people: what is not known is `?`.
    pub fn show(&self, values: &Values) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Plain(plain) => plain.clone(),
            Piece::Value(name) => match values.get(name) {
                None | Some(Value::Null) => "?".to_owned(),
                Some(value) => text(value),
            },
        };
        self.0.iter().map(piece).collect()
    }

    fn is_empty(&self, values: &Values) -> bool {
        self.references()
            .any(|name| values.get(name).is_none_or(|value| text(value).is_empty()))
    }

    /// Whether a value alone says what kind of word it is.
    fn begins_with_value(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Value(_)))
    }
}

impl Template {
    /// # Errors
    /// A sentence about quotes, brackets or references.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut group: Option<Vec<Text>> = None;
        for word in split(line)? {
            match (word.as_str(), &mut group) {
                ("[", None) => group = Some(Vec::new()),
                ("[", Some(_)) => return Err("[ within [ ]".to_owned()),
                ("]", Some(_)) => parts.extend(group.take().map(Part::Optional)),
                ("]", None) => return Err("] without [".to_owned()),
                (_, group) => open(&word, group, &mut parts)?,
            }
        }
        match group {
            Some(_) => Err("[ is never closed".to_owned()),
            None => Ok(Self(parts)),
        }
    }

    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.texts().flat_map(Text::references)
    }

    fn texts(&self) -> impl Iterator<Item = &Text> {
        self.0.iter().flat_map(|part| match part {
            Part::Word(text) => std::slice::from_ref(text),
            Part::Optional(texts) => texts.as_slice(),
        })
    }

    /// The words.
    ///
    /// # Errors
    /// When a value is not known, is empty, or would be read as a flag.
    pub fn fill(&self, values: &Values) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        for part in &self.0 {
            let texts = match part {
                Part::Word(text) => std::slice::from_ref(text),
                Part::Optional(texts) if texts.iter().any(|text| text.is_empty(values)) => continue,
                Part::Optional(texts) => texts.as_slice(),
            };
            for text in texts {
                let word = text.fill(values)?;
                if text.begins_with_value() && word.starts_with('-') {
                    return Err(format!("{word:?} would be read as a flag"));
                }
                if word.is_empty() {
                    let name = text.references().next().unwrap_or_default();
                    return Err(format!("${{{name}}} is empty"));
                }
                words.push(word);
            }
        }
        Ok(words)
    }
}

fn open(word: &str, group: &mut Option<Vec<Text>>, parts: &mut Vec<Part>) -> Result<(), String> {
    // [--topic ${topics}] may be written without blanks inside.
    let (begins, inner) = match word.strip_prefix('[') {
        Some(inner) if group.is_none() => (true, inner),
        _ => (false, word),
    };
    let within = begins || group.is_some();
    let (ends, inner) = match inner.strip_suffix(']') {
        Some(inner) if within => (true, inner),
        _ => (false, inner),
    };
    let text = Text::parse(inner)?;
    if begins {
        *group = Some(Vec::new());
    }
    match group {
        Some(texts) => texts.push(text),
        None => parts.push(Part::Word(text)),
    }
    if ends {
        parts.extend(group.take().map(Part::Optional));
    }
    Ok(())
}

/// A reference as it is written: one name, or two with a dot.
///
/// # Errors
/// When it is neither.
pub fn reference(text: &str) -> Result<&str, String> {
    let fine = match text.split_once('.') {
        None => is_name(text),
        Some((step, output)) => is_name(step) && is_name(output),
    };
    match fine {
        true => Ok(text),
        false => Err(format!("{text:?} is neither a parameter nor STEP.OUTPUT")),
    }
}
