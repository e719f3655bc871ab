//! A screen's rows as data: columns with ranks, sections, fields. Filtering, sorting, copying and drawing all work on this.

use unicode_width::UnicodeWidthStr;

use super::field::Field;
use super::place::Place;

/// A list of things, ready to lay out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub columns: Vec<Column>,
    /// In the order they are to be shown; rows name theirs. Empty when the rows are not grouped.
    pub sections: Vec<Section>,
    pub rows: Vec<Row>,
    /// Totals below the rows: one field for each column.
    pub feet: Vec<Vec<Field>>,
    /// What to say when there is no row.
    pub empty: String,
    /// What one row is called.
    pub noun: &'static str,
    /// The order of the rows is part of what they say.
    pub is_fixed: bool,
    /// Healthy rows of a section fold into one line.
    pub folds: bool,
}

/// A column. Those with the lowest rank stay when there is little room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    /// Its name in filters, exports and sort menus: snake_case with the unit.
    pub id: String,
    pub title: String,
    /// A title above several columns, such as an AZ above its brokers.
    pub group: Option<String>,
    pub min: u16,
    pub max: u16,
    pub right: bool,
    pub rank: u8,
    /// What it takes, measured over all rows; without the bar.
    pub width: u16,
    /// Columns of a bar before the text.
    pub bar: u16,
}

/// A heading between rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Section {
    pub key: String,
    pub title: Vec<Field>,
}

/// One thing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Its name: selection, marks and order hold on to it.
    pub key: String,
    /// The key of its section.
    pub section: String,
    pub fields: Vec<Field>,
    /// Worse is higher; 0 is healthy.
    pub badness: u64,
    /// More about it, a line each, for the inspector.
    pub notes: Vec<String>,
    /// Where `open` leads.
    pub opens: Option<Place>,
}

impl Column {
    /// As wide as its title, ranked by importance: 0 is never left out.
    pub fn new(id: &str, title: &str, rank: u8) -> Self {
        let min = title.chars().count() as u16;
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            min,
            max: min,
            rank,
            ..Self::default()
        }
    }

    pub fn width(self, min: u16, max: u16) -> Self {
        Self {
            min,
            max: max.max(min),
            ..self
        }
    }

    pub fn fixed(self, width: u16) -> Self {
        self.width(width, width)
    }

    pub fn right(self) -> Self {
        Self { right: true, ..self }
    }

    pub fn bar(self, bar: u16) -> Self {
        Self { bar, ..self }
    }

    pub fn group(self, group: &str) -> Self {
        Self {
            group: Some(group.to_owned()),
            ..self
        }
    }
}

impl Row {
    pub fn is_fault(&self) -> bool {
        self.badness > 0
    }
}

impl Table {
    pub fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == key)
    }

    pub fn column(&self, id: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.id == id)
    }

    pub fn faults(&self) -> usize {
        self.rows.iter().filter(|row| row.is_fault()).count()
    }

    /// Measures every column once, so that drawing does not have to.
    pub fn measure(&mut self) {
        let width = |field: &Field| UnicodeWidthStr::width(field.text.as_str());
        for (at, column) in self.columns.iter_mut().enumerate() {
            let cells = self.rows.iter().map(|row| &row.fields).chain(&self.feet);
            let widest = cells.filter_map(|fields| fields.get(at)).map(width).max().unwrap_or(0);
            let bar = if column.bar > 0 { column.bar + 1 } else { 0 };
            let title = (column.title.chars().count() as u16).saturating_sub(bar);
            // An empty column whose title allows it takes no room at all.
            column.width = match (widest, column.min) {
                (0, 0) => 0,
                _ => (widest.min(usize::from(u16::MAX)) as u16)
                    .max(title)
                    .clamp(column.min, column.max.max(title)),
            };
        }
    }

    /// A line of column titles above the titles.
    pub fn is_grouped(&self) -> bool {
        self.columns.iter().any(|column| column.group.is_some())
    }
}
