//! Rules as text: one a line, as [`Rule`] prints them, with the scope of the file first; and what `kafka-acls --list` prints.
//!
//! ```text
//! # who may do what on our topics
//! scope topic prefix orders-
//! allow User:billing from * to Read,Describe on topic prefix orders-
//! deny "User:CN=a b" to Write on topic orders-eu
//! allow User:etl to produce on topic orders-raw
//! ```

use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator;

use crate::model::acl::{self, Operation, Pattern, Permission, ResourceKind, Rule};
use crate::model::nearest;

/// A file of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Of what it is the whole truth; without any it only adds.
    pub scopes: Vec<Scope>,
    pub rules: Vec<Rule>,
    /// What a shorthand stands for, by line.
    pub notes: Vec<Note>,
}

/// Something to say about a line; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("line {line}: {text}")]
pub struct Note {
    pub line: usize,
    pub text: String,
}

/// What a file speaks of; outside of it nothing is read or touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    All,
    Principal(String),
    /// All rules on resources of the kind that have this name, or whose names or prefixes begin so.
    Resource {
        kind: ResourceKind,
        pattern: Pattern,
        name: String,
    },
}

/// What `consume`, `produce` and `transact` stand for: what Kafka's clients need, and no more.
const SHORTHANDS: [(&str, ResourceKind, &[Operation]); 4] = [
    ("consume", ResourceKind::Topic, &[Operation::Read, Operation::Describe]),
    ("consume", ResourceKind::Group, &[Operation::Read]),
    ("produce", ResourceKind::Topic, &[Operation::Write, Operation::Describe]),
    (
        "transact",
        ResourceKind::TransactionalId,
        &[Operation::Write, Operation::Describe],
    ),
];

impl Scope {
    pub fn holds(&self, rule: &Rule) -> bool {
        match self {
            Self::All => true,
            Self::Principal(principal) => rule.principal == *principal,
            Self::Resource { kind, pattern, name } => {
                rule.resource == *kind
                    && match pattern {
                        Pattern::Literal => rule.pattern == Pattern::Literal && rule.name == *name,
                        Pattern::Prefixed => rule.name.starts_with(name),
                    }
            }
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("scope all"),
            Self::Principal(principal) => write!(f, "scope principal {}", acl::quoted(principal)),
            Self::Resource { kind, pattern, name } => write!(f, "scope {}", acl::target(*kind, *pattern, name)),
        }
    }
}

impl Text {
    /// Reads a file in any of its forms; every line that cannot be read is told.
    ///
    /// # Errors
    /// The faults, in order of their lines.
    pub fn parse(text: &str) -> Result<Self, Vec<Note>> {
        let (read, faults) = Self::read(text);
        match faults.is_empty() {
            true => Ok(read),
            false => Err(faults),
        }
    }

    /// What can be read, and what cannot.
    pub fn read(text: &str) -> (Self, Vec<Note>) {
        if is_listing(text) {
            return listing(text);
        }
        let mut read = Self::default();
        let mut faults = Vec::new();
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let note = |text: String| Note { line: at + 1, text };
            match parse_line(line) {
                Ok(None) => {}
                Ok(Some(Parsed::Scope(scope))) => read.scopes.push(scope),
                Ok(Some(Parsed::Rule(rule, shorthand))) => {
                    let expanded = shorthand.map(|word| note(format!("{word} is {}", rule.operation_list())));
                    read.notes.extend(expanded);
                    lines.push(at + 1);
                    read.rules.push(rule);
                }
                Err(text) => faults.push(note(text)),
            }
        }
        if !read.scopes.is_empty() {
            let outside = lines.iter().zip(&read.rules).filter(|(_, rule)| !read.has(rule));
            faults.extend(outside.map(|(line, _)| Note {
                line: *line,
                text: "this rule is outside of the file's scope; widen the scope, or leave the rule out".to_owned(),
            }));
            faults.sort_by_key(|fault| fault.line);
        }
        (read, faults)
    }

    /// Whether its scope holds this rule.
    pub fn has(&self, rule: &Rule) -> bool {
        self.scopes.iter().any(|scope| scope.holds(rule))
    }

    pub fn is_of_all(&self) -> bool {
        self.scopes.contains(&Scope::All)
    }

    /// The text of these rules in this scope, to be edited.
    pub fn write(scopes: &[Scope], rules: &[Rule]) -> String {
        let scopes = scopes.iter().map(|scope| format!("{scope}\n"));
        let own = rules.iter().map(|rule| format!("{rule}\n"));
        scopes.chain(own).collect()
    }
}

enum Parsed {
    Scope(Scope),
    /// With the shorthand it was written with.
    Rule(Rule, Option<String>),
}

/// One line; `None` is empty or a comment.
fn parse_line(line: &str) -> Result<Option<Parsed>, String> {
    let words = split(line)?;
    let Some((first, rest)) = words.split_first() else {
        return Ok(None);
    };
    let parsed = match first.text.as_str() {
        "scope" => Parsed::Scope(scope(rest)?),
        "allow" => rule(Permission::Allow, rest)?,
        "deny" => rule(Permission::Deny, rest)?,
        other => {
            let near = nearest(other, ["allow", "deny", "scope"]).map(|near| format!("; did you mean {near}?"));
            return Err(format!(
                "a line begins with allow, deny or scope, not {other}{}",
                near.unwrap_or_default()
            ));
        }
    };
    Ok(Some(parsed))
}

fn scope(words: &[Word]) -> Result<Scope, String> {
    const HELP: &str = "write scope all, scope principal User:NAME, or scope topic [prefix] NAME";
    match words {
        [all] if all.text == "all" => Ok(Scope::All),
        [what, name] if what.text == "principal" => principal(name).map(Scope::Principal),
        words => match resource(words) {
            Ok((kind, pattern, name)) => Ok(Scope::Resource { kind, pattern, name }),
            Err(error) => Err(format!("{error}; {HELP}")),
        },
    }
}

fn principal(word: &Word) -> Result<String, String> {
    match word.text.split_once(':') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(word.text.clone()),
        _ => Err(format!(
            "{} is no principal; write User:{}",
            word.text,
            word.text.trim_end_matches(':')
        )),
    }
}

fn rule(permission: Permission, words: &[Word]) -> Result<Parsed, String> {
    let Some((who, rest)) = words.split_first() else {
        return Err(format!(
            "{permission} whom? write {permission} User:NAME to Read on topic NAME"
        ));
    };
    let principal = principal(who)?;
    let (host, rest) = match rest {
        [from, host, rest @ ..] if from.text == "from" => (host.text.clone(), rest),
        rest => (acl::ANY.to_owned(), rest),
    };
    let to = rest.first().is_some_and(|word| word.text == "to");
    let on = rest.iter().position(|word| word.text == "on" && !word.quoted);
    let (true, Some(on)) = (to, on) else {
        return Err("write … [from ADDRESS] to OPERATIONS on topic [prefix] NAME".to_owned());
    };
    let (kind, pattern, name) = resource(&rest[on + 1..])?;
    let list: String = rest[1..on]
        .iter()
        .map(|word| word.text.as_str())
        .collect::<Vec<_>>()
        .join(",");
    let names: Vec<&str> = list.split(',').filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(format!("to do what? there are {}", operations(kind)));
    }
    let mut all = Vec::new();
    let mut shorthands = Vec::new();
    for name in names {
        let short = SHORTHANDS.iter().find(|(word, of, _)| *word == name && *of == kind);
        match short {
            Some((word, _, meant)) => {
                all.extend_from_slice(meant);
                shorthands.push(*word);
            }
            None => all.push(operation(kind, name)?),
        }
    }
    all.sort_unstable();
    all.dedup();
    let rule = Rule {
        resource: kind,
        pattern,
        name,
        principal,
        host,
        permission,
        operations: all,
    };
    let shorthand = (!shorthands.is_empty()).then(|| shorthands.join(","));
    Ok(Parsed::Rule(rule, shorthand))
}

fn operation(kind: ResourceKind, name: &str) -> Result<Operation, String> {
    let known = name.replace(['-', '_'], "").parse::<Operation>().ok();
    match known {
        Some(operation) if operation == Operation::All || kind.operations().contains(&operation) => Ok(operation),
        Some(operation) => Err(format!(
            "there is no {operation} on a {}; there are {}",
            kind.words(),
            operations(kind)
        )),
        None => {
            let names: Vec<String> = Operation::iter().map(|operation| operation.to_string()).collect();
            let near = nearest(name, names.iter().map(String::as_str));
            let near = near.map_or(format!("there are {}", operations(kind)), |near| {
                format!("did you mean {near}?")
            });
            Err(format!("there is no operation {name}; {near}"))
        }
    }
}

fn operations(kind: ResourceKind) -> String {
    let own = kind.operations().iter().map(Operation::to_string);
    let short = SHORTHANDS.iter().filter(|(_, of, _)| *of == kind);
    let short = short.map(|(word, ..)| (*word).to_owned());
    own.chain(["All".to_owned()])
        .chain(short)
        .collect::<Vec<_>>()
        .join(", ")
}

fn resource(words: &[Word]) -> Result<(ResourceKind, Pattern, String), String> {
    let kinds = || {
        ResourceKind::iter()
            .map(|kind| kind.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let Some((kind, rest)) = words.split_first() else {
        return Err(format!("on what? there are {}", kinds()));
    };
    let kind: ResourceKind = kind.text.replace('-', "_").parse().map_err(|_| {
        let names: Vec<String> = ResourceKind::iter().map(|kind| kind.to_string()).collect();
        let near = nearest(&kind.text, names.iter().map(String::as_str));
        let near = near.map_or(format!("there are {}", kinds()), |near| format!("did you mean {near}?"));
        format!("there is no resource {}; {near}", kind.text)
    })?;
    let (pattern, name) = match rest {
        [] if kind == ResourceKind::Cluster => (Pattern::Literal, acl::CLUSTER.to_owned()),
        [] => {
            return Err(format!(
                "which {}? write its name, prefix NAME, or * for all",
                kind.words()
            ));
        }
        [prefix, name] if prefix.text == "prefix" && !prefix.quoted => (Pattern::Prefixed, name.text.clone()),
        [name] => (Pattern::Literal, name.text.clone()),
        [_, more, ..] => return Err(format!("{} is one word too many; quote names with spaces", more.text)),
    };
    match name.is_empty() {
        true => Err(format!("a {} has a name", kind.words())),
        false => Ok((kind, pattern, name)),
    }
}

struct Word {
    text: String,
    quoted: bool,
}

/// Words with spaces between; double quotes hold a word together, and a `#` before a word begins a comment.
fn split(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut letters = line.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        match letters.peek() {
            None | Some('#') => return Ok(words),
            Some('"') => {
                letters.next();
                let mut text = String::new();
                loop {
                    match letters.next() {
                        None => return Err("a double quote is not closed".to_owned()),
                        Some('"') => break,
                        Some('\\') => text.extend(letters.next()),
                        Some(letter) => text.push(letter),
                    }
                }
                words.push(Word { text, quoted: true });
            }
            Some(_) => {
                let mut text = String::new();
                while let Some(letter) = letters.next_if(|letter| !letter.is_whitespace()) {
                    text.push(letter);
                }
                words.push(Word { text, quoted: false });
            }
        }
    }
}

const LISTED: &str = "Current ACLs for resource `";

/// Whether it is what `kafka-acls --list` prints.
pub fn is_listing(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| line.trim_start().starts_with(LISTED))
}

/// `AclCommand.printAcls` of Kafka: a line for the resource, and one for each ACL on it.
fn listing(text: &str) -> (Text, Vec<Note>) {
    let mut read = Text::default();
    let mut faults = Vec::new();
    let mut on: Option<(ResourceKind, Pattern, String)> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        let fault = |text: &str| Note {
            line: at + 1,
            text: text.to_owned(),
        };
        if line.is_empty() {
            continue;
        }
        if let Some(rest) = line.strip_prefix(LISTED) {
            on = listed_resource(rest);
            if on.is_none() {
                faults.push(fault("this resource is none that azimuth knows"));
            }
            continue;
        }
        match (listed_acl(line), &on) {
            (Some((principal, host, operation, permission)), Some((kind, pattern, name))) => read.rules.push(Rule {
                resource: *kind,
                pattern: *pattern,
                name: name.clone(),
                principal,
                host,
                permission,
                operations: vec![operation],
            }),
            (Some(_), None) => {}
            (None, _) => faults.push(fault("this is no ACL as kafka-acls --list prints one")),
        }
    }
    read.rules = merged(read.rules);
    (read, faults)
}

/// `ResourcePattern(resourceType=TOPIC, name=orders, patternType=LITERAL)`, with what closes the line.
fn listed_resource(text: &str) -> Option<(ResourceKind, Pattern, String)> {
    let rest = text.strip_prefix("ResourcePattern(resourceType=")?;
    let (kind, rest) = rest.split_once(", name=")?;
    let (name, rest) = rest.rsplit_once(", patternType=")?;
    let (pattern, _) = rest.split_once(')')?;
    let pattern = match pattern {
        "LITERAL" => Pattern::Literal,
        "PREFIXED" => Pattern::Prefixed,
        _ => return None,
    };
    Some((kind.to_lowercase().parse().ok()?, pattern, name.to_owned()))
}

/// `(principal=User:billing, host=*, operation=READ, permissionType=ALLOW)`.
fn listed_acl(text: &str) -> Option<(String, String, Operation, Permission)> {
    let rest = text.strip_prefix("(principal=")?.strip_suffix(')')?;
    let (rest, permission) = rest.rsplit_once(", permissionType=")?;
    let (rest, operation) = rest.rsplit_once(", operation=")?;
    let (principal, host) = rest.rsplit_once(", host=")?;
    let permission = match permission {
        "ALLOW" => Permission::Allow,
        "DENY" => Permission::Deny,
        _ => return None,
    };
    let operation = operation.replace('_', "").parse().ok()?;
    Some((principal.to_owned(), host.to_owned(), operation, permission))
}

/// Rules that differ only in their operations, as one each; sorted.
pub fn merged(rules: Vec<Rule>) -> Vec<Rule> {
    let mut by_key: std::collections::BTreeMap<Rule, Vec<Operation>> = std::collections::BTreeMap::new();
    for rule in rules {
        let key = Rule {
            operations: Vec::new(),
            ..rule
        };
        by_key.entry(key).or_default().extend(rule.operations);
    }
    let whole = |(rule, mut operations): (Rule, Vec<Operation>)| {
        operations.sort_unstable();
        operations.dedup();
        Rule { operations, ..rule }
    };
    by_key.into_iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        Text::read(text).1.iter().map(Note::to_string).collect()
    }

    #[test]
    fn what_a_rule_prints_is_what_is_read() {
        for name in [
            "orders",
            "a b",
            "x,y",
            "pre#fix",
            "#hash",
            "prefix",
            "\"q\"",
            "back\\slash",
            "*",
            "on",
            "from",
        ] {
            for pattern in [Pattern::Literal, Pattern::Prefixed] {
                let rule = Rule {
                    resource: ResourceKind::Topic,
                    pattern,
                    name: name.to_owned(),
                    principal: format!("User:{name}"),
                    host: "10.0.0.7".to_owned(),
                    permission: Permission::Deny,
                    operations: vec![Operation::Read, Operation::DescribeConfigs],
                };
                let read = Text::parse(&rule.to_string()).unwrap_or_else(|faults| panic!("{rule}: {faults:?}"));
                assert_eq!(read.rules, [rule]);
            }
        }
        let read = Text::parse("allow User:a to Alter on cluster # why").unwrap();
        assert_eq!(read.rules[0].to_string(), "allow User:a from * to Alter on cluster");
    }

    #[test]
    fn shorthands_say_what_they_stand_for() {
        let text = "allow User:etl to produce on topic raw\nallow User:etl to consume,DescribeConfigs on topic in\n\
                    allow User:etl to consume on group etl";
        let read = Text::parse(text).unwrap();
        let rules: Vec<String> = read.rules.iter().map(Rule::operation_list).collect();
        assert_eq!(rules, ["Write,Describe", "Read,Describe,DescribeConfigs", "Read"]);
        assert_eq!(read.notes[0].to_string(), "line 1: produce is Write,Describe");
    }

    #[test]
    fn a_fault_names_its_line_and_the_way_out() {
        let text = "scope topic prefix orders-\nalow User:a to Read on topic orders-x\nallow a to Read on topic orders-x\n\
                    allow User:a to Reed on topic orders-x\nallow User:a to Read on topc orders-x\n\
                    allow User:a to Read on topic bills\nallow User:a to Create on group orders-x\n\
                    allow User:a to Read on topic orders-x y\nallow \"User:a to Read on topic x";
        let faults = faults(text);
        for (at, wanted) in [
            "line 2: a line begins with allow, deny or scope, not alow; did you mean allow?",
            "line 3: a is no principal; write User:a",
            "line 4: there is no operation Reed; did you mean Read?",
            "line 5: there is no resource topc; did you mean topic?",
            "line 6: this rule is outside of the file's scope",
            "line 7: there is no Create on a group",
            "line 8: y is one word too many",
            "line 9: a double quote is not closed",
        ]
        .iter()
        .enumerate()
        {
            assert!(faults[at].starts_with(wanted), "{} / {wanted}", faults[at]);
        }
    }

    #[test]
    fn scopes_hold_what_they_say() {
        let scopes = |text: &str| Text::parse(text).unwrap();
        let rule = |text: &str| Text::parse(text).unwrap().rules[0].clone();
        let file = scopes("scope principal User:a\nscope topic prefix o-");
        assert!(file.has(&rule("allow User:a to Read on group g")));
        assert!(file.has(&rule("allow User:b to Read on topic prefix o-eu")));
        assert!(file.has(&rule("allow User:b to Read on topic o-1")));
        assert!(!file.has(&rule("allow User:b to Read on topic prefix o")));
        assert!(!file.has(&rule("allow User:b to Read on group o-1")));
        assert!(scopes("scope all").is_of_all());
        assert!(!scopes("scope topic o").has(&rule("allow User:b to Read on topic prefix o")));
        for text in [
            "scope all",
            "scope principal \"User:a b\"",
            "scope topic prefix o-",
            "scope cluster",
        ] {
            assert_eq!(scopes(text).scopes[0].to_string(), text);
        }
    }

    #[test]
    fn what_kafka_acls_lists_is_read_as_rules() {
        let text = "Current ACLs for resource `ResourcePattern(resourceType=TOPIC, name=orders-, patternType=PREFIXED)`: \n \
                    \t(principal=User:billing, host=*, operation=READ, permissionType=ALLOW)\n\
                    \t(principal=User:CN=a, host=x, operation=DESCRIBE_CONFIGS, permissionType=DENY)\n\
                    \t(principal=User:billing, host=*, operation=DESCRIBE, permissionType=ALLOW) \n\n\
                    Current ACLs for resource `ResourcePattern(resourceType=TRANSACTIONAL_ID, name=t, patternType=LITERAL)`: \n\
                    \t(principal=User:etl, host=10.0.0.7, operation=WRITE, permissionType=ALLOW)\n";
        let read = Text::parse(text).unwrap();
        let lines: Vec<String> = read.rules.iter().map(Rule::to_string).collect();
        assert_eq!(
            lines,
            [
                "deny \"User:CN=a, host=x\" from x to DescribeConfigs on topic prefix orders-".replace(", host=x", ""),
                "allow User:billing from * to Read,Describe on topic prefix orders-".to_owned(),
                "allow User:etl from 10.0.0.7 to Write on transactional_id t".to_owned(),
            ]
            .map(|line| line.replace("\"User:CN=a\"", "User:CN=a"))
        );
        assert_eq!(
            faults(&format!("{text}what is this"))[0],
            "line 8: this is no ACL as kafka-acls --list prints one"
        );
    }
}
