//! When a step is carried out: `look.culprit == 'az' and not skip-drain`.
//!
//! `or`, `and`, `not`, parentheses, `==` `!=` `<` `<=` `>` `>=`, references, numbers, true, false and quoted texts.

use std::cmp::Ordering;

use serde_json::Value;

use super::text::reference;
use super::value::{Values, is_truth, text};

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Or(Box<Condition>, Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Compare(Box<Condition>, Sign, Box<Condition>),
    Value(Value),
    Reference(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Condition {
    /// # Errors
    /// A sentence with the word that was not expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = Words {
            words: words(text)?,
            at: 0,
        };
        let condition = words.or()?;
        match words.next() {
            None => Ok(condition),
            Some(word) => Err(format!("{word:?} is too much in {text:?}")),
        }
    }

    pub fn references(&self) -> Vec<&str> {
        match self {
            Self::Or(one, other) | Self::And(one, other) | Self::Compare(one, _, other) => {
                [one.references(), other.references()].concat()
            }
            Self::Not(one) => one.references(),
            Self::Value(_) => Vec::new(),
            Self::Reference(name) => vec![name],
        }
    }

    pub fn holds(&self, values: &Values) -> bool {
        is_truth(&self.value(values))
    }

    /// What is not known is null: equal to nothing but itself, and no more or less than anything.
    fn value(&self, values: &Values) -> Value {
        match self {
            Self::Or(one, other) => Value::Bool(one.holds(values) || other.holds(values)),
            Self::And(one, other) => Value::Bool(one.holds(values) && other.holds(values)),
            Self::Not(one) => Value::Bool(!one.holds(values)),
            Self::Compare(one, sign, other) => Value::Bool(sign.compare(&one.value(values), &other.value(values))),
            Self::Value(value) => value.clone(),
            Self::Reference(name) => values.get(name).cloned().unwrap_or_default(),
        }
    }
}

impl Sign {
    fn compare(self, one: &Value, other: &Value) -> bool {
        let order = order(one, other);
        match self {
            Self::Is => order == Some(Ordering::Equal),
            Self::IsNot => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::More => order == Some(Ordering::Greater),
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// Numbers by their size, also where one is written as a text; the rest as text.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match (one, other) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Null, _) | (_, Value::Null) => None,
        _ => match (number(one), number(other)) {
            (Some(one), Some(other)) => one.partial_cmp(&other),
            _ => Some(text(one).cmp(&text(other))),
        },
    }
}

struct Words {
    words: Vec<String>,
    at: usize,
}

impl Words {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn takes(&mut self, word: &str) -> bool {
        let is = self.peek() == Some(word);
        self.at += usize::from(is);
        is
    }

    fn or(&mut self) -> Result<Condition, String> {
        let mut one = self.and()?;
        while self.takes("or") {
            one = Condition::Or(Box::new(one), Box::new(self.and()?));
        }
        Ok(one)
    }

    fn and(&mut self) -> Result<Condition, String> {
        let mut one = self.not()?;
        while self.takes("and") {
            one = Condition::And(Box::new(one), Box::new(self.not()?));
        }
        Ok(one)
    }

    fn not(&mut self) -> Result<Condition, String> {
        if self.takes("not") {
            return Ok(Condition::Not(Box::new(self.not()?)));
        }
        let one = self.term()?;
        let sign = match self.peek() {
            Some("==") => Sign::Is,
            Some("!=") => Sign::IsNot,
            Some("<") => Sign::Less,
            Some("<=") => Sign::AtMost,
            Some(">") => Sign::More,
            Some(">=") => Sign::AtLeast,
            _ => return Ok(one),
        };
        self.at += 1;
        Ok(Condition::Compare(Box::new(one), sign, Box::new(self.term()?)))
    }

    fn term(&mut self) -> Result<Condition, String> {
        let Some(word) = self.next() else {
            return Err("a value is missing at the end".to_owned());
        };
        if word == "(" {
            let inner = self.or()?;
            return match self.takes(")") {
                true => Ok(inner),
                false => Err("( is never closed".to_owned()),
            };
        }
        if let Some(text) = word.strip_prefix(['\'', '"']) {
            return Ok(Condition::Value(Value::from(text)));
        }
        if let Ok(number) = word.parse::<i64>() {
            return Ok(Condition::Value(Value::from(number)));
        }
        if let Ok(number) = word.parse::<f64>() {
            return Ok(Condition::Value(Value::from(number)));
        }
        match word.as_str() {
            "true" => Ok(Condition::Value(Value::Bool(true))),
            "false" => Ok(Condition::Value(Value::Bool(false))),
            "null" => Ok(Condition::Value(Value::Null)),
            name => Ok(Condition::Reference(reference(name)?.to_owned())),
        }
    }
}

/// Words and signs; a quoted text keeps its first quote, so that it is told from a name.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => {}
            '(' | ')' => words.push(letter.to_string()),
            '\'' | '"' => {
                let mut word = letter.to_string();
                loop {
                    match letters.next() {
                        Some(next) if next == letter => break,
                        Some(next) => word.push(next),
                        None => return Err(format!("{letter} is never closed in {text:?}")),
                    }
                }
                words.push(word);
            }
            '=' | '!' | '<' | '>' => {
                let mut word = letter.to_string();
                word.extend(letters.next_if_eq(&'='));
                if matches!(word.as_str(), "=" | "!") {
                    return Err(format!("write == or != in {text:?}"));
                }
                words.push(word);
            }
            letter => {
                let mut word = letter.to_string();
                while let Some(next) = letters.next_if(|next| !next.is_whitespace() && !"()='\"!<>".contains(*next)) {
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    Ok(words)
}
