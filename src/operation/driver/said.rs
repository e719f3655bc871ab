//! What an act said, as it may be told: the end of it in one line, without secrets.
//!
//! Those that the driver was given are known word for word; what else looks like one is blotted out, too, because nobody knows
//! what a host prints.

use std::sync::LazyLock;

use regex::Regex;

/// So much of it is told.
const LETTERS: usize = 400;
/// A secret shorter than this would blot out half of what is said.
const SHORTEST: usize = 4;

/// A name that holds a secret with what follows it (also in JAAS and in URLs), and the shapes of AWS's and of HTTP's own.
static LOOKS_SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let named = r#"(?i)(?P<name>[\w.-]*(?:password|passwd|secret|token|credential|api[_-]?key|access[_-]?key)[\w.-]*"?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|\S+)"#;
    let shapes = r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b|(?i:(?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,})|(?P<url>://[^\s/:@]+:)[^\s/@]+@";
    Regex::new(&format!("{named}|{shapes}")).ok()
});

/// The last of it in one line.
pub(super) fn told(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        text = text.replace(secret, "***");
    }
    let words = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter });
    let line = words
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let line = match &*LOOKS_SECRET {
        Some(pattern) => pattern
            .replace_all(&line, |found: &regex::Captures<'_>| {
                let part = |name| found.name(name).map_or("", |part| part.as_str());
                let end = if found.name("url").is_some() { "@" } else { "" };
                format!("{}{}{}***{end}", part("name"), part("scheme"), part("url"))
            })
            .into_owned(),
        None => line,
    };
    match line.chars().count().saturating_sub(LETTERS) {
        0 => line,
        surplus => format!("… {}", line.chars().skip(surplus).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_secret_or_looks_like_one_is_not_told() {
        let told = |text: &str| told(text, &["open sesame"]);
        assert_eq!(told("it says open sesame\nand ends"), "it says *** and ends");
        assert_eq!(
            told("username=\"a\" password=\"b c\"; ok"),
            "username=\"a\" password=***; ok",
        );
        assert_eq!(
            told("ssl.keystore.password=hunter2 exit 1"),
            "ssl.keystore.password=*** exit 1"
        );
        assert_eq!(
            told("AWS_SECRET_ACCESS_KEY: abc/def end"),
            "AWS_SECRET_ACCESS_KEY: *** end"
        );
        assert_eq!(told("key AKIAIOSFODNN7EXAMPLE end"), "key *** end");
        assert_eq!(
            told("Authorization: Bearer abcdefgh.ij end"),
            "Authorization: Bearer *** end"
        );
        assert_eq!(told("https://user:pw@host/x"), "https://user:***@host/x");
        assert_eq!(
            told("kafka.service restarted, 3 partitions"),
            "kafka.service restarted, 3 partitions"
        );
    }

    #[test]
    fn only_the_end_of_much_is_told() {
        let told = told(&"word ".repeat(400), &[]);
        assert!(told.starts_with("… ") && told.chars().count() == LETTERS + 2, "{told}");
    }
}
