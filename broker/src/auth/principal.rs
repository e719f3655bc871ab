//! The name a connection acts under, in Kafka's form `Type:name`.

use std::fmt;

/// Who sends the requests of a connection; `User:ANONYMOUS` where nobody has to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    /// Kafka's own principals are all of type `User`; ACLs may name others.
    pub kind: String,
    pub name: String,
}

impl Principal {
    pub fn user(name: impl Into<String>) -> Self {
        Self {
            kind: "User".to_owned(),
            name: name.into(),
        }
    }

    /// Of a listener that authenticates nobody.
    pub fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_shown_as_acls_name_it() {
        assert_eq!(Principal::anonymous().to_string(), "User:ANONYMOUS");
    }
}
