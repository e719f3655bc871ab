//! Rows on screen as text for elsewhere: JSON, CSV, aligned columns.

use serde_json::{Map, Value, json};

use crate::model::{Moment, foreign};

use super::field::Field;
use super::group;
use super::menu::{Choice, Item, Menu};
use super::place::Noun;
use super::state::State;
use super::table::{Row, Table};
use super::text;

/// One row as JSON: numbers where they are known, null where nothing is.
pub fn json(table: &Table, row: &Row) -> Value {
    let value = |field: &Field| match (field.number.filter(|n| n.is_finite()), field.is_unknown()) {
        (_, true) => Value::Null,
        (Some(number), _) if number.fract() == 0.0 && number.abs() < 9e15 => json!(number as i64),
        (Some(number), _) => json!(number),
        (None, _) if field.text.is_empty() => Value::Null,
        (None, _) => json!(field.text),
    };
    let columns = table.columns.iter().filter(|column| !column.title.is_empty());
    let pairs: Map<String, Value> = columns
        .zip(&row.fields)
        .map(|(column, field)| (column.id.clone(), value(field)))
        .collect();
    Value::Object(pairs)
}

/// Columns two spaces apart, as wide as their widest value; nothing in it moves a cursor, for it goes to a pager.
pub fn plain<'a>(table: &Table, rows: impl Iterator<Item = &'a Row> + Clone) -> String {
    let width = |at: usize| {
        let texts = rows
            .clone()
            .filter_map(|row| row.fields.get(at))
            .map(|field| foreign::width(&foreign::plain(&field.text)));
        texts.max().unwrap_or(0).max(foreign::width(&table.columns[at].title))
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let line = |texts: Vec<&str>| {
        let cells = texts
            .iter()
            .zip(&widths)
            .zip(&table.columns)
            .map(|((text, width), column)| {
                let text = foreign::plain(text);
                let pad = " ".repeat(width.saturating_sub(foreign::width(&text)));
                if column.right {
                    format!("{pad}{text}")
                } else {
                    format!("{text}{pad}")
                }
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(table.columns.iter().map(|column| column.title.as_str()).collect())];
    lines.extend(
        rows.clone()
            .map(|row| line(row.fields.iter().map(|field| field.text.as_str()).collect())),
    );
    lines.join("\n") + "\n"
}

/// RFC 4180; the first line names the columns.
pub fn csv<'a>(table: &Table, rows: impl Iterator<Item = &'a Row>) -> String {
    let quote = |text: &str| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let value = |field: &Field| match (field.number.filter(|n| n.is_finite()), field.is_unknown()) {
        (_, true) => String::new(),
        (Some(number), _) => number.to_string(),
        (None, _) => quote(&field.text),
    };
    let mut lines = vec![
        table
            .columns
            .iter()
            .map(|column| quote(&column.id))
            .collect::<Vec<_>>()
            .join(","),
    ];
    lines.extend(rows.map(|row| row.fields.iter().map(value).collect::<Vec<_>>().join(",")));
    lines.join("\r\n") + "\r\n"
}

impl State {
    /// The rows on screen, top to bottom.
    pub fn on_screen(&self) -> impl Iterator<Item = &Row> + Clone {
        self.list()
            .rows()
            .into_iter()
            .map(|at| &self.table.rows[at])
            .collect::<Vec<_>>()
            .into_iter()
    }

    pub(super) fn copy_menu(&self) -> Menu {
        let mut items = Vec::new();
        let copy = |label: &str, text: String| {
            Item::new(
                label,
                clip(&text),
                Choice::Copy {
                    what: label.to_owned(),
                    text,
                },
            )
        };
        items.push(copy("command", self.command()));
        if let Some(row) = self.selected() {
            items.push(copy("name", row.key.clone()));
            if let Some(words) = self.story() {
                items.push(copy("sentence", words));
            }
            items.push(copy("row as JSON", json(&self.table, row).to_string()));
            for (column, field) in self.table.columns.iter().zip(&row.fields) {
                if !field.text.is_empty() && !column.title.is_empty() {
                    items.push(copy(&column.title, field.text.clone()));
                }
            }
        }
        items.push(Item::new(
            "all rows as text",
            text::plural(self.list().rows().len(), "row"),
            Choice::Copy {
                what: "all rows".to_owned(),
                text: plain(&self.table, self.on_screen()),
            },
        ));
        Menu {
            title: "copy".to_owned(),
            items,
            selected: 0,
        }
    }

    /// The selected or the open group, for people who do not know Kafka.
    fn story(&self) -> Option<String> {
        let place = self.place();
        let name = match (place.noun, &place.name) {
            (Noun::Group, Some(name)) => name,
            (Noun::Group, None) => &self.selected()?.key,
            _ => return None,
        };
        group::words(&self.rows, &self.snapshot, name, self.now)
    }

    pub(super) fn export_menu(&self, now: Moment) -> Menu {
        let stem = format!("{}-{}", self.place().noun.name(), now.strftime("%Y%m%dT%H%M%SZ"));
        let export = |label: &str, ending: &str, text: String| {
            let name = format!("{stem}.{ending}");
            Item::new(label, name.clone(), Choice::Export { name, text })
        };
        let all: Vec<Value> = self.on_screen().map(|row| json(&self.table, row)).collect();
        let items = vec![
            export("JSON", "json", format!("{:#}\n", Value::Array(all))),
            export("CSV", "csv", csv(&self.table, self.on_screen())),
            export("text", "txt", plain(&self.table, self.on_screen())),
        ];
        Menu {
            title: "export the rows on screen".to_owned(),
            items,
            selected: 0,
        }
    }
}

fn clip(text: &str) -> String {
    const ROOM: usize = 44;
    match text.char_indices().nth(ROOM) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::app::table::Column;

    fn table() -> Table {
        let fields = vec![
            Field::new("a,b"),
            Field::new("1 236").number(1236.0),
            Field::unknown("CloudWatch has no data"),
        ];
        Table {
            columns: vec![
                Column::new("topic", "topic", 0),
                Column::new("lag_records", "lag", 0).right(),
                Column::new("cpu_percent", "cpu", 0),
            ],
            rows: vec![Row {
                key: "a,b".into(),
                fields,
                ..Row::default()
            }],
            ..Table::default()
        }
    }

    #[test]
    fn json_has_numbers_where_they_are_known_and_null_where_not() {
        let table = table();
        let value = json(&table, &table.rows[0]);
        assert_eq!(
            value.to_string(),
            r#"{"cpu_percent":null,"lag_records":1236,"topic":"a,b"}"#
        );
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let table = table();
        assert_eq!(
            csv(&table, table.rows.iter()),
            "topic,lag_records,cpu_percent\r\n\"a,b\",1236,\r\n"
        );
    }

    #[test]
    fn text_is_aligned() {
        let table = table();
        assert_eq!(plain(&table, table.rows.iter()), "topic    lag  cpu\na,b    1 236  ?\n");
    }
}
