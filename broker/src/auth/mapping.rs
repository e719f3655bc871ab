//! `ssl.principal.mapping.rules`: how a certificate's subject becomes a user name (KIP-371).

use regex::{Captures, Regex, RegexBuilder};

/// The largest compiled pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// Rules, of which the first that fits a subject makes its name.
#[derive(Debug, Clone)]
pub struct Mapping {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
enum Rule {
    /// The subject as it is.
    Default,
    /// `RULE:pattern/replacement/` and then `L`, `U` or nothing.
    Rewrite {
        pattern: Regex,
        replacement: String,
        case: Case,
    },
}

#[derive(Debug, Clone, Copy)]
enum Case {
    Same,
    Lower,
    Upper,
}

/// Why the rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {rule} for configuration ssl.principal.mapping.rules: {reason}.")]
pub struct BadRule {
    rule: String,
    reason: String,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            rules: vec![Rule::Default],
        }
    }
}

impl Mapping {
    /// From the property's text: rules with commas between them. None is `DEFAULT`.
    ///
    /// # Errors
    /// A rule is no rule, or its pattern none that can be used; Java's look-around and back references cannot.
    pub fn parse(text: &str) -> Result<Self, BadRule> {
        let mut rules = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (rule, after) = rule(rest)?;
            rules.push(rule);
            rest = match after.trim_start() {
                "" => "",
                after => after
                    .strip_prefix(',')
                    .ok_or_else(|| bad(rest, "a comma must follow each rule"))?
                    .trim_start(),
            };
        }
        match rules.is_empty() {
            true => Ok(Self::default()),
            false => Ok(Self { rules }),
        }
    }

    /// The user name for a subject; `None` if no rule fits, and then nobody is let in.
    pub fn name(&self, subject: &str) -> Option<String> {
        self.rules.iter().find_map(|rule| rule.apply(subject))
    }
}

impl Rule {
    fn apply(&self, subject: &str) -> Option<String> {
        match self {
            Self::Default => Some(subject.to_owned()),
            Self::Rewrite {
                pattern,
                replacement,
                case,
            } => {
                let name = expand(replacement, &pattern.captures(subject)?);
                Some(match case {
                    Case::Same => name,
                    Case::Lower => name.to_lowercase(),
                    Case::Upper => name.to_uppercase(),
                })
            }
        }
    }
}

/// The first rule of a text, and what follows it.
fn rule(text: &str) -> Result<(Rule, &str), BadRule> {
    if let Some(rest) = text.strip_prefix("DEFAULT") {
        return Ok((Rule::Default, rest));
    }
    let body = text
        .strip_prefix("RULE:")
        .ok_or_else(|| bad(text, "a rule is DEFAULT or RULE:pattern/replacement/[LU]"))?;
    let missing = || bad(text, "a rule is RULE:pattern/replacement/[LU]");
    let (pattern, rest) = until_slash(body).ok_or_else(missing)?;
    let (replacement, rest) = until_slash(rest).ok_or_else(missing)?;
    let (case, rest) = match rest.as_bytes().first() {
        Some(b'L') => (Case::Lower, &rest[1..]),
        Some(b'U') => (Case::Upper, &rest[1..]),
        _ => (Case::Same, rest),
    };
    // The whole subject has to fit.
    let pattern = RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| bad(text, &format!("its pattern cannot be used: {error}")))?;
    let replacement = replacement.to_owned();
    Ok((
        Rule::Rewrite {
            pattern,
            replacement,
            case,
        },
        rest,
    ))
}

/// Splits at the first slash that no backslash is before.
fn until_slash(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (index, char) in text.char_indices() {
        match char {
            '/' if !escaped => return Some((&text[..index], &text[index + 1..])),
            _ => escaped = char == '\\' && !escaped,
        }
    }
    None
}

/// Java's replacement: `$1` and `${name}` are groups, a backslash takes the next character as it is. A number that is no
/// group's is text.
fn expand(replacement: &str, groups: &Captures<'_>) -> String {
    let mut text = String::new();
    let mut rest = replacement.chars();
    while let Some(char) = rest.next() {
        match char {
            '\\' => text.extend(rest.next()),
            '$' => match group(rest.as_str(), groups) {
                Some((value, length)) => {
                    text.push_str(value);
                    rest = rest.as_str()[length..].chars();
                }
                None => text.push('$'),
            },
            char => text.push(char),
        }
    }
    text
}

/// The group that a text begins with, and how long its reference is.
fn group<'a>(text: &str, groups: &Captures<'a>) -> Option<(&'a str, usize)> {
    if let Some((name, _)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return Some((groups.name(name)?.as_str(), name.len() + 2));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    // As many digits as there is a group for.
    (1..=digits).rev().find_map(|length| {
        let number: usize = text[..length].parse().ok()?;
        let known = number < groups.len();
        known.then(|| (groups.get(number).map_or("", |group| group.as_str()), length))
    })
}

fn bad(rule: &str, reason: &str) -> BadRule {
    BadRule {
        rule: rule.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "CN=serviceuser,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown";
    const ADMIN: &str = "CN=adminUser,OU=Admin,O=Unknown,L=Unknown,ST=Unknown,C=Unknown";

    #[test]
    fn the_examples_of_kafkas_documentation_map_as_they_say() {
        let rules = "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,\
            RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L,\
            RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L,DEFAULT";
        let mapping = Mapping::parse(rules).expect("valid");
        let name = |subject: &str| mapping.name(subject).expect("a rule fits");
        assert_eq!(name(SERVICE), "serviceuser");
        assert_eq!(name(ADMIN), "adminuser@admin");
        assert_eq!(name("O=Azimuth,cn=Some.Body"), "some.body");
        assert_eq!(name("OU=Nobody"), "OU=Nobody");
    }

    #[test]
    fn without_rules_the_subject_is_the_name_and_without_default_others_have_none() {
        assert_eq!(Mapping::parse("").expect("valid").name(ADMIN).as_deref(), Some(ADMIN));
        let mapping = Mapping::parse(" RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/U ").expect("valid");
        assert_eq!(mapping.name(SERVICE).as_deref(), Some("SERVICEUSER"));
        assert_eq!(mapping.name(ADMIN), None);
    }

    #[test]
    fn slashes_and_dollars_can_be_escaped_and_groups_that_are_not_there_are_text() {
        let mapping = Mapping::parse(r"RULE:^cn=(.*?),ou=(.*?)\/x$/$1\/${2}-$12-\$1/").expect("valid");
        assert_eq!(mapping.name("cn=a,ou=b/x").as_deref(), Some("a/${2}-a2-$1"));
        let mapping = Mapping::parse(r"RULE:^CN=(?P<user>\w+).*$/${user}/").expect("valid");
        assert_eq!(mapping.name(ADMIN).as_deref(), Some("adminUser"));
    }

    #[test]
    fn what_is_no_rule_is_refused_with_it() {
        for bad in [
            "default",
            "DEFAUL",
            "DEFAULT/L",
            "RULE:CN=(.*?),OU=ServiceUsers.*/$1",
            "rule:^CN=(.*?),OU=ServiceUsers.*$/$1/L/U",
            "RULE:^CN=(.*?)$/LU",
            "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/LU",
            "RULE:^CN=(?=x)$/$1/",
            "DEFAULT RULE:a/b/",
        ] {
            let error = Mapping::parse(bad).expect_err(bad).to_string();
            assert!(error.contains("ssl.principal.mapping.rules"), "{error}");
        }
    }
}
