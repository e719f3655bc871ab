//! Where an output lies in what a step answered: `culprit.name`, `items[0].id`, `items[*].topic`,
//! `items[az_id|rack=${zone}&state!=up].id`, `count items[state=up]`.

use serde_json::Value;

use super::text::Text;
use super::value::{Values, text};

/// One way into an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    counts: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    At(usize),
    Every,
    /// Those of which all of this holds.
    Where(Vec<Fact>),
}

/// One of these fields is, or none of them is, this text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fact {
    fields: Vec<String>,
    is: bool,
    text: Text,
}

impl Path {
    /// # Errors
    /// A sentence that shows how one is written.
    pub fn parse(path: &str) -> Result<Self, String> {
        let (counts, whole) = match path.trim().strip_prefix("count ") {
            Some(rest) => (true, rest.trim()),
            None => (false, path.trim()),
        };
        let bad =
            || format!("{path:?} is no path into an answer; write for example items[0].id or items[state!=up].id");
        let mut steps = Vec::new();
        for field in fields(whole).ok_or_else(bad)? {
            let (name, mut rest) = match field.find('[') {
                Some(at) => field.split_at(at),
                None => (field, ""),
            };
            if !name.is_empty() {
                steps.push(Step::Field(name.to_owned()));
            }
            while let Some(inside) = rest.strip_prefix('[') {
                let end = inside.find(']').ok_or_else(bad)?;
                steps.push(bracket(&inside[..end]).ok_or_else(bad)?);
                rest = &inside[end + 1..];
            }
            if !rest.is_empty() || (name.is_empty() && !field.starts_with('[')) {
                return Err(bad());
            }
        }
        Ok(Self { counts, steps })
    }

    /// What it refers to.
    pub fn references(&self) -> Vec<&str> {
        let facts = self.steps.iter().flat_map(|step| match step {
            Step::Where(facts) => facts.as_slice(),
            _ => &[],
        });
        facts.flat_map(|fact| fact.text.references()).collect()
    }

    /// What lies there; null where nothing does. Several make a list.
    pub fn find(&self, answer: &Value, values: &Values) -> Value {
        let mut found = vec![answer];
        let mut several = false;
        for step in &self.steps {
            several |= matches!(step, Step::Every | Step::Where(_));
            found = found.into_iter().flat_map(|value| step.of(value, values)).collect();
        }
        if self.counts {
            let length = match (several, found.as_slice()) {
                (false, [Value::Array(list)]) => list.len(),
                (_, found) => found.len(),
            };
            return Value::from(length);
        }
        match several {
            true => Value::Array(found.into_iter().cloned().collect()),
            false => found.first().map_or(Value::Null, |value| (*value).clone()),
        }
    }
}

/// The parts between dots, but not those within brackets.
fn fields(path: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_usize, 0);
    for (at, letter) in path.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1)?,
            '.' if depth == 0 => {
                parts.push(&path[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&path[from..]);
    (depth == 0 && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

fn bracket(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::Every);
    }
    if let Ok(at) = text.parse() {
        return Some(Step::At(at));
    }
    let facts: Option<Vec<Fact>> = text.split('&').map(fact).collect();
    facts.map(Step::Where)
}

fn fact(text: &str) -> Option<Fact> {
    let (field, is, text) = match text.split_once("!=") {
        Some((field, text)) => (field, false, text),
        None => {
            let (field, text) = text.split_once('=')?;
            (field, true, text)
        }
    };
    let text = Text::parse(text).ok()?;
    let fields: Vec<String> = field.split('|').map(ToOwned::to_owned).collect();
    fields
        .iter()
        .all(|field| !field.is_empty())
        .then_some(Fact { fields, is, text })
}

impl Fact {
    fn holds(&self, item: &Value, values: &Values) -> bool {
        let Ok(wanted) = self.text.fill(values) else {
            return false;
        };
        let mut told = self.fields.iter().filter_map(|field| item.get(field)).peekable();
        told.peek().is_some() && told.any(|value| text(value) == wanted) == self.is
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value, values: &Values) -> Vec<&'a Value> {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::At(at) => list.get(*at).into_iter().collect(),
            Self::Every => list.iter().collect(),
            Self::Where(facts) => {
                let fits = |item: &&Value| facts.iter().all(|fact| fact.holds(item, values));
                list.iter().filter(fits).collect()
            }
        }
    }
}
