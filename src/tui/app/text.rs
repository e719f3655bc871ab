//! Numbers as people read them: thousands apart, a unit always, rates and sizes in powers of ten.

/// `1 236`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits and a power of ten: `41.2 G`, `980`, `0`.
pub fn scaled(number: f64) -> String {
    const UNITS: [&str; 6] = ["", " k", " M", " G", " T", " P"];
    let mut value = number.abs();
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let digits = match value {
        _ if unit == 0 && value.fract() == 0.0 => format!("{value:.0}"),
        value if value < 9.995 => format!("{value:.1}"),
        value if value < 99.95 && unit > 0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    };
    format!("{sign}{digits}{}", UNITS[unit])
}

/// `41.2 GB`, powers of ten.
pub fn bytes(bytes: f64) -> String {
    let text = scaled(bytes.round());
    match text.contains(' ') {
        true => format!("{text}B"),
        false => format!("{text} B"),
    }
}

/// `84 MB/s`: always in MB/s, so that two numbers compare at a glance.
pub fn rate(bytes_per_second: f64) -> String {
    let mb = bytes_per_second / 1e6;
    match mb {
        mb if mb < 0.05 => "0 MB/s".to_owned(),
        mb if mb < 9.95 => format!("{mb:.1} MB/s"),
        mb => format!("{} MB/s", count(mb.round() as i64)),
    }
}

pub fn percent(percent: f64) -> String {
    match percent {
        p if p > 0.0 && p < 0.5 => "<1%".to_owned(),
        p => format!("{p:.0}%"),
    }
}

/// `0.4`, `12`, `1 250` milliseconds, without the unit.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 9.95 => format!("{ms:.1}"),
        ms => count(ms.round() as i64),
    }
}

/// The two largest units of a span of seconds: `9 d`, `3 h 40 m`, `41 m`, `12 s`.
pub fn span(seconds: f64) -> String {
    let s = seconds.max(0.0) as i64;
    match s {
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} m", s / 60),
        s if s < 10 * 3600 && s % 3600 >= 60 => format!("{} h {} m", s / 3600, s % 3600 / 60),
        s if s < 48 * 3600 => format!("{} h", s / 3600),
        s if s < 1000 * 86_400 => format!("{} d", s / 86_400),
        s => format!("{} y", s / (365 * 86_400)),
    }
}

/// An age in steps so coarse that an idle screen stays still: 10 s, 30 s, 1 m, 2 m, 5 m, ...
pub fn age(seconds: i64) -> String {
    const STEPS: [i64; 9] = [10, 30, 60, 120, 300, 600, 1200, 1800, 3600];
    match STEPS.iter().rev().find(|step| seconds >= **step) {
        None => "<10 s".to_owned(),
        Some(3600) => span(seconds as f64),
        Some(step) => span(*step as f64),
    }
}

/// `1 broker`, `2 brokers`, `3 remedies`.
pub fn plural(number: usize, one: &str) -> String {
    let many = match (number, one.strip_suffix('y')) {
        (1, _) => one.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{one}s"),
    };
    format!("{} {many}", count(number as i64))
}

/// A word of a command line, quoted when the shell would split it.
pub fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_size_visible() {
        assert_eq!(count(1_236), "1 236");
        assert_eq!(count(-12_345_678), "-12 345 678");
        assert_eq!(bytes(41_234_000_000.0), "41.2 GB");
        assert_eq!(bytes(999_600.0), "1.0 MB");
        assert_eq!(bytes(17.0), "17 B");
        assert_eq!(scaled(12_300.0), "12.3 k");
        assert_eq!(scaled(2.25), "2.2");
        assert_eq!(rate(84_200_000.0), "84 MB/s");
        assert_eq!(percent(0.2), "<1%");
    }

    #[test]
    fn spans_show_two_units_only_where_both_matter() {
        assert_eq!(span(12.0), "12 s");
        assert_eq!(span(13_200.0), "3 h 40 m");
        assert_eq!(span(86_400.0 * 9.0), "9 d");
        assert_eq!(span(7200.0), "2 h");
    }

    #[test]
    fn ages_move_in_coarse_steps() {
        assert_eq!(age(3), "<10 s");
        assert_eq!(age(29), "10 s");
        assert_eq!(age(59), "30 s");
        assert_eq!(age(110), "1 m");
        assert_eq!(age(4000), "1 h 6 m");
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(word("orders"), "orders");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's"), r"'it'\''s'");
    }
}
