//! The filter's little language: words that all must hold. `text`, `key:value`, `!not`, `>90%`, `disk:>90%`, `lag:>=1k`.

use super::table::{Column, Row, Table};

/// A parsed filter. The empty one lets everything through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    not: bool,
    /// The start of a column's id or title.
    key: Option<String>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Contains(String),
    Compare { order: Order, bound: f64, percent: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Filter {
    pub fn parse(text: &str) -> Self {
        Self {
            terms: text.split_whitespace().filter_map(Term::parse).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub fn lets(&self, row: &Row, table: &Table) -> bool {
        self.terms.iter().all(|term| term.lets(row, &table.columns))
    }
}

impl Term {
    /// `None` for what is not finished yet, such as a lone `!`: a half-typed filter must not empty the screen.
    fn parse(word: &str) -> Option<Self> {
        let (not, word) = match word.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let (key, value) = match word.split_once(':') {
            Some((key, value)) if !key.is_empty() => (Some(key.to_lowercase()), value),
            _ => (None, word),
        };
        if value.is_empty() {
            return None;
        }
        let test = match Test::comparison(value) {
            Some(test) => test?,
            None => Test::Contains(value.to_lowercase()),
        };
        Some(Self { not, key, test })
    }

    fn lets(&self, row: &Row, columns: &[Column]) -> bool {
        let named = |column: &Column| {
            self.key.as_ref().is_none_or(|key| {
                column.id.starts_with(key.as_str()) || column.title.to_lowercase().starts_with(key.as_str())
            })
        };
        let mut fields = row.fields.iter().zip(columns).filter(|(_, column)| named(column));
        let found = fields.any(|(field, _)| match &self.test {
            Test::Contains(part) => contains(&field.text, part),
            Test::Compare { order, bound, percent } => {
                let comparable = self.key.is_some() || *percent == field.text.ends_with('%');
                comparable && field.number.is_some_and(|number| order.holds(number, *bound))
            }
        });
        let section = self.key.is_none() && matches!(&self.test, Test::Contains(part) if contains(&row.section, part));
        (found || section) != self.not
    }
}

impl Test {
    /// `None`: not a comparison. `Some(None)`: one without its number yet.
    fn comparison(value: &str) -> Option<Option<Self>> {
        const ORDERS: [(&str, Order); 4] = [
            (">=", Order::AtLeast),
            ("<=", Order::AtMost),
            (">", Order::Above),
            ("<", Order::Below),
        ];
        let (order, rest) = ORDERS
            .iter()
            .find_map(|(sign, order)| Some((*order, value.strip_prefix(sign)?)))?;
        let percent = rest.ends_with('%');
        Some(number(rest.trim_end_matches('%')).map(|bound| Self::Compare { order, bound, percent }))
    }
}

impl Order {
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Above => number > bound,
            Self::AtLeast => number >= bound,
            Self::Below => number < bound,
            Self::AtMost => number <= bound,
        }
    }
}

/// Whether `text`, in lower case, contains `part`, which is in lower case. Names are ASCII, and thousands of them are looked
/// at for each key: those are compared where they lie.
fn contains(text: &str, part: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(part);
    }
    let (text, part) = (text.as_bytes(), part.as_bytes());
    text.windows(part.len().max(1))
        .any(|window| window.eq_ignore_ascii_case(part))
        || part.is_empty()
}

/// `90`, `1.5k`, `3GB`.
fn number(text: &str) -> Option<f64> {
    let text = text.trim_end_matches(['b', 'B']);
    let (digits, factor) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1e3),
        (at, 'm' | 'M') => (&text[..at], 1e6),
        (at, 'g' | 'G') => (&text[..at], 1e9),
        (at, 't' | 'T') => (&text[..at], 1e12),
        _ => (text, 1.0),
    };
    digits.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::app::field::Field;

    fn table() -> Table {
        let fields = vec![
            Field::new("orders"),
            Field::new("93%").number(93.0),
            Field::new("1.9 M").number(1_900_000.0),
        ];
        Table {
            columns: vec![
                Column::new("topic", "topic", 0),
                Column::new("used_percent", "disk used", 0),
                Column::new("lag_records", "lag", 0),
            ],
            rows: vec![Row {
                key: "orders".into(),
                section: "euw1-az1".into(),
                fields,
                ..Row::default()
            }],
            ..Table::default()
        }
    }

    fn lets(filter: &str) -> bool {
        let table = table();
        Filter::parse(filter).lets(&table.rows[0], &table)
    }

    #[test]
    fn words_must_all_hold() {
        assert!(lets("") && lets("ord") && lets("ORD az1") && !lets("ord pay"));
    }

    #[test]
    fn a_key_looks_at_one_column_and_a_bang_turns_it_round() {
        assert!(lets("topic:ord") && !lets("lag:ord"));
        assert!(!lets("!ord") && lets("!pay") && lets("!topic:pay"));
    }

    #[test]
    fn numbers_compare_with_units_and_percent_only_with_percent() {
        assert!(lets(">90%") && !lets(">95%") && lets("disk:>90%") && lets("used:>=93"));
        assert!(lets("lag:>1.5M") && !lets("lag:<1k") && lets(">1000"));
        assert!(!lets("<92"), "a bare number does not look at percentages");
    }

    #[test]
    fn what_is_half_typed_hides_nothing() {
        assert!(lets("!") && lets("topic:") && lets("disk:>") && lets(">"));
    }
}
