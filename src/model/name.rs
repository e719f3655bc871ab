//! A text that many values carry: the name of a topic, which a wide cluster tells three hundred thousand times, or what a config
//! means, which every broker tells.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name or another text that is told often; a copy of it is the same piece of memory. Thin, as there are far more copies than
/// names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Arc<Box<str>>);

/// Names that were told, so that whoever tells one again shares it.
#[derive(Debug, Default)]
pub struct Names(HashSet<Name>);

impl Names {
    /// The same name, in the memory of who told it first.
    pub fn share(&mut self, name: &mut Name) {
        match self.0.get(&**name) {
            Some(known) => *name = known.clone(),
            None => {
                self.0.insert(name.clone());
            }
        }
    }

    /// Forgets those that nobody else holds.
    pub fn forget_unused(&mut self) {
        self.0.retain(|name| Arc::strong_count(&name.0) > 1);
    }
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(Arc::new(name.into()))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(Arc::new(name.into()))
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        **self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        **self.0 == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        **self.0 == *other.as_str()
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, other: &Name) -> bool {
        *self.as_str() == **other.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As a text.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_tells_a_name_again_shares_it() {
        let mut names = Names::default();
        let (mut one, mut other) = (Name::from("orders"), Name::from("orders".to_owned()));
        assert!(!Arc::ptr_eq(&one.0, &other.0));
        names.share(&mut one);
        names.share(&mut other);
        assert!(Arc::ptr_eq(&one.0, &other.0));
        names.forget_unused();
        assert_eq!(names.0.len(), 1);
        drop((one, other));
        names.forget_unused();
        assert!(names.0.is_empty());
    }

    #[test]
    fn a_name_is_a_plain_text_in_files() {
        let text = serde_json::to_string(&Name::from("orders")).unwrap();
        assert_eq!(text, r#""orders""#);
        assert_eq!(serde_json::from_str::<Name>(&text).unwrap(), "orders");
    }
}
