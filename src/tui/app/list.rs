//! A list under the cursor: an order that holds still, a selection that follows its row by name, marks, filter, folds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::Moment;

use super::filter::Filter;
use super::table::{Row, Table};

/// Over this many rows a table that folds does so.
pub const FOLD_ABOVE: usize = 20;

/// What a person did to one list. It outlives visits, so that coming back finds it as it was left.
#[derive(Debug, Clone, Default)]
pub struct List {
    pub selected: Option<String>,
    pub marks: BTreeSet<String>,
    pub filter: String,
    /// The column to sort by and whether descending; `None` is worst first.
    pub sort: Option<(String, bool)>,
    pub faults: bool,
    pub wide: bool,
    pub unfolded: bool,
    /// The matrix shows bytes.
    pub heat: bool,
    /// The first line on screen.
    pub top: usize,
    /// Columns scrolled away to the left.
    pub left: usize,
    /// Row keys in the order that is held.
    order: Arc<Vec<String>>,
    pub ordered_at: Option<Moment>,
    /// How many rows would move if the order were made anew.
    pub moved: usize,
    /// What is on screen, top to bottom.
    pub lines: Vec<Line>,
}

/// One line of a list; numbers are places in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Section(usize),
    Row(usize),
    /// Healthy rows of a section that are folded away.
    Fold {
        rows: Vec<usize>,
    },
}

impl List {
    /// Orders anew at the next settling.
    pub fn reorder(&mut self) {
        self.ordered_at = None;
    }

    /// The same but for what is on screen.
    pub(super) fn without_lines(&self) -> Self {
        let Self {
            selected,
            marks,
            filter,
            sort,
            order,
            ..
        } = self;
        Self {
            selected: selected.clone(),
            marks: marks.clone(),
            filter: filter.clone(),
            sort: sort.clone(),
            order: Arc::clone(order),
            lines: Vec::new(),
            ..*self
        }
    }

    /// Takes the lines of the same list that was settled elsewhere; the cursor stays with us. False, and nothing is changed,
    /// when a person did something to this one that decides which lines there are.
    pub(super) fn take_over(&mut self, other: Self, table: &Table) -> bool {
        let switches = |list: &Self| (list.faults, list.unfolded);
        let alike = self.filter == other.filter
            && self.sort == other.sort
            && self.marks == other.marks
            && switches(self) == switches(&other)
            && (self.ordered_at == other.ordered_at || self.ordered_at.is_none());
        if alike {
            (self.order, self.lines) = (other.order, other.lines);
            (self.moved, self.ordered_at) = (other.moved, other.ordered_at);
            self.keep_selection(table);
        }
        alike
    }

    /// Fits the list to the table: the order holds for rows that stay, new rows come last in their section.
    pub fn settle(&mut self, table: &Table, now: Moment) {
        let fresh = self.ranked(table);
        if self.ordered_at.is_none() && !table.rows.is_empty() {
            self.ordered_at = Some(now);
            self.order = Arc::default();
        }
        let known: HashMap<&str, usize> = self
            .order
            .iter()
            .enumerate()
            .map(|(at, key)| (key.as_str(), at))
            .collect();
        let mut held: Vec<usize> = fresh.clone();
        held.sort_by_cached_key(|row| known.get(table.rows[*row].key.as_str()).copied().unwrap_or(usize::MAX));
        self.moved = held.len() - longest_rising(&places(&held, &fresh));
        self.order = Arc::new(held.iter().map(|row| table.rows[*row].key.clone()).collect());
        self.lay(table, &held);
        self.keep_selection(table);
    }

    /// Rows in the order they would have now: the worst section first and the worst row first in each, or by a column
    /// in sections as the table has them.
    fn ranked(&self, table: &Table) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..table.rows.len()).collect();
        let by = self
            .sort
            .as_ref()
            .and_then(|(id, down)| Some((table.column(id)?, *down)));
        match by {
            None if table.is_fixed => {}
            None => rows.sort_by_key(|row| std::cmp::Reverse(table.rows[*row].badness)),
            Some((column, down)) => rows.sort_by(|a, b| compare(&table.rows[*a], &table.rows[*b], column, down)),
        }
        if !table.sections.is_empty() {
            let place = |key: &str| {
                table
                    .sections
                    .iter()
                    .position(|section| section.key == key)
                    .unwrap_or(usize::MAX)
            };
            let worst = |key: &str| {
                let own = table.rows.iter().filter(|row| row.section == key);
                own.map(|row| row.badness).max().unwrap_or(0)
            };
            let rank: HashMap<&str, (std::cmp::Reverse<u64>, usize)> = table
                .rows
                .iter()
                .map(|row| row.section.as_str())
                .collect::<BTreeSet<&str>>()
                .into_iter()
                .map(|key| {
                    (
                        key,
                        (std::cmp::Reverse(if by.is_none() { worst(key) } else { 0 }), place(key)),
                    )
                })
                .collect();
            rows.sort_by_cached_key(|row| rank.get(table.rows[*row].section.as_str()).copied());
        }
        rows
    }

    fn lay(&mut self, table: &Table, held: &[usize]) {
        let filter = Filter::parse(&self.filter);
        let shown = |row: &&usize| {
            let row = &table.rows[**row];
            (!self.faults || row.is_fault()) && filter.lets(row, table)
        };
        let shown: Vec<usize> = held.iter().filter(shown).copied().collect();
        self.lines.clear();
        if table.sections.is_empty() {
            self.lines.extend(shown.into_iter().map(Line::Row));
            return;
        }
        let folds = table.folds && !self.unfolded && filter.is_empty() && table.rows.len() > FOLD_ABOVE;
        let mut sections: Vec<(&str, Vec<usize>)> = Vec::new();
        for row in shown {
            let key = table.rows[row].section.as_str();
            match sections.iter_mut().find(|(known, _)| *known == key) {
                Some((_, rows)) => rows.push(row),
                None => sections.push((key, vec![row])),
            }
        }
        for (key, rows) in sections {
            if let Some(at) = table.sections.iter().position(|section| section.key == key) {
                self.lines.push(Line::Section(at));
            }
            let apart = |row: &usize| {
                let row = &table.rows[*row];
                !folds || row.is_fault() || self.marks.contains(&row.key)
            };
            let (open, folded): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(apart);
            self.lines.extend(open.into_iter().map(Line::Row));
            match folded.len() {
                0 => {}
                1 => self.lines.extend(folded.into_iter().map(Line::Row)),
                _ => self.lines.push(Line::Fold { rows: folded }),
            }
        }
    }

    /// Keeps the selected row, or takes the one that is now in its place.
    fn keep_selection(&mut self, table: &Table) {
        let rows = self.rows();
        let at = |key: &str| rows.iter().position(|row| table.rows[*row].key == key);
        if self.selected.as_deref().and_then(at).is_none() {
            let first = rows.first().map(|row| table.rows[*row].key.clone());
            self.selected = match self.selected.take() {
                // A filter or a fold hid it: the nearest row by the old order is the least surprise.
                Some(key) => self.nearest(&key, table).or(first),
                None => first,
            };
        }
    }

    fn nearest(&self, key: &str, table: &Table) -> Option<String> {
        let places: HashMap<&str, usize> = self
            .order
            .iter()
            .enumerate()
            .map(|(at, key)| (key.as_str(), at))
            .collect();
        let here = *places.get(key)?;
        let distance = |row: &usize| {
            places
                .get(table.rows[*row].key.as_str())
                .map_or(usize::MAX, |at| at.abs_diff(here))
        };
        let row = self.rows().into_iter().min_by_key(distance)?;
        Some(table.rows[row].key.clone())
    }

    /// The rows on screen, top to bottom.
    pub fn rows(&self) -> Vec<usize> {
        let row = |line: &Line| match line {
            Line::Row(row) => Some(*row),
            Line::Section(_) | Line::Fold { .. } => None,
        };
        self.lines.iter().filter_map(row).collect()
    }

    /// Moves the selection by so many rows, stopping at the ends.
    pub fn step(&mut self, by: isize, table: &Table) {
        let rows = self.rows();
        let Some(last) = rows.len().checked_sub(1) else { return };
        let here = rows
            .iter()
            .position(|row| Some(&table.rows[*row].key) == self.selected.as_ref());
        let there = here.map_or(0, |here| here.saturating_add_signed(by).min(last));
        self.selected = rows.get(there).map(|row| table.rows[*row].key.clone());
    }

    /// Scrolls so that the selection is on screen, and the heading of the first rows with it.
    pub fn reveal(&mut self, table: &Table, height: usize) {
        let height = height.max(1);
        let selected =
            |line: &Line| matches!(line, Line::Row(row) if Some(&table.rows[*row].key) == self.selected.as_ref());
        let at = self.lines.iter().position(selected).unwrap_or(0);
        let heading = matches!(
            at.checked_sub(1).and_then(|above| self.lines.get(above)),
            Some(Line::Section(_))
        );
        let from = if heading && height > 1 { at - 1 } else { at };
        self.top = self.top.min(from).max((at + 1).saturating_sub(height));
        self.top = self.top.min(self.lines.len().saturating_sub(height));
    }
}

/// Unknown values come last whichever way the order runs; equal rows keep their natural order.
fn compare(a: &Row, b: &Row, column: usize, down: bool) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let (Some(x), Some(y)) = (a.fields.get(column), b.fields.get(column)) else {
        return Ordering::Equal;
    };
    let order = match (x.number, y.number) {
        (Some(x), Some(y)) => x.total_cmp(&y),
        (Some(_), None) => return Ordering::Less,
        (None, Some(_)) => return Ordering::Greater,
        (None, None) => x.text.cmp(&y.text),
    };
    if down { order.reverse() } else { order }
}

/// Where each of `fresh` stands in `held`.
fn places(held: &[usize], fresh: &[usize]) -> Vec<usize> {
    let at: HashMap<usize, usize> = held.iter().enumerate().map(|(at, row)| (*row, at)).collect();
    fresh.iter().filter_map(|row| at.get(row).copied()).collect()
}

/// The length of the longest rising subsequence: so many can stay where they are.
fn longest_rising(numbers: &[usize]) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    for number in numbers {
        let at = ends.partition_point(|end| end < number);
        match ends.get_mut(at) {
            Some(end) => *end = *number,
            None => ends.push(*number),
        }
    }
    ends.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, u64)]) -> Table {
        let row = |(key, badness): &(&str, u64)| Row {
            key: (*key).to_owned(),
            badness: *badness,
            ..Row::default()
        };
        Table {
            rows: rows.iter().map(row).collect(),
            ..Table::default()
        }
    }

    fn keys(list: &List, table: &Table) -> Vec<String> {
        list.rows().into_iter().map(|row| table.rows[row].key.clone()).collect()
    }

    fn at(second: i64) -> Moment {
        Moment::from_second(second).unwrap()
    }

    #[test]
    fn the_worst_comes_first_and_then_the_order_holds() {
        let mut list = List::default();
        let before = table(&[("a", 0), ("b", 5), ("c", 1)]);
        list.settle(&before, at(0));
        assert_eq!(keys(&list, &before), ["b", "c", "a"]);
        let after = table(&[("a", 9), ("b", 0), ("c", 1), ("d", 7)]);
        list.settle(&after, at(40));
        assert_eq!(
            keys(&list, &after),
            ["b", "c", "a", "d"],
            "nothing moves under the cursor"
        );
        assert_eq!((list.moved, list.ordered_at), (2, Some(at(0))));
        list.reorder();
        list.settle(&after, at(50));
        assert_eq!(keys(&list, &after), ["a", "d", "c", "b"]);
        assert_eq!((list.moved, list.ordered_at), (0, Some(at(50))));
    }

    #[test]
    fn the_selection_follows_its_row_by_name() {
        let mut list = List::default();
        let before = table(&[("b", 0), ("c", 0)]);
        list.settle(&before, at(0));
        list.step(1, &before);
        let after = table(&[("a", 0), ("b", 0), ("c", 0)]);
        list.settle(&after, at(1));
        assert_eq!(list.selected.as_deref(), Some("c"));
        let gone = table(&[("a", 0), ("b", 0)]);
        list.settle(&gone, at(2));
        assert!(list.selected.is_some(), "the cursor lands on a row that is there");
    }

    #[test]
    fn a_filter_that_hides_the_selection_moves_it_to_the_nearest_row() {
        let mut list = List::default();
        let mut table = table(&[("a1", 0), ("b1", 0), ("a2", 0)]);
        for row in &mut table.rows {
            row.fields = vec![crate::tui::app::field::Field::new(row.key.clone())];
        }
        table.columns = vec![crate::tui::app::table::Column::new("name", "name", 0)];
        list.settle(&table, at(0));
        list.step(1, &table);
        list.filter = "a".to_owned();
        list.settle(&table, at(0));
        assert_eq!(list.selected.as_deref(), Some("a1"));
    }

    #[test]
    fn healthy_rows_of_a_wide_table_fold_and_faulty_and_marked_ones_do_not() {
        let mut table = table(&[]);
        table.folds = true;
        table.sections = vec![crate::tui::app::table::Section {
            key: "az1".into(),
            title: Vec::new(),
        }];
        for id in 0..30 {
            table.rows.push(Row {
                key: id.to_string(),
                section: "az1".into(),
                badness: u64::from(id == 7),
                ..Row::default()
            });
        }
        let mut list = List {
            marks: ["9".to_owned()].into(),
            ..List::default()
        };
        list.settle(&table, at(0));
        assert_eq!(keys(&list, &table), ["7", "9"]);
        assert!(matches!(&list.lines[..], [Line::Section(0), _, _, Line::Fold { rows }] if rows.len() == 28));
        list.unfolded = true;
        list.settle(&table, at(0));
        assert_eq!(list.rows().len(), 30);
    }

    #[test]
    fn scrolling_shows_the_selection_and_its_heading() {
        let table = table(&[("a", 0), ("b", 0), ("c", 0), ("d", 0), ("e", 0)]);
        let mut list = List::default();
        list.settle(&table, at(0));
        list.step(4, &table);
        list.reveal(&table, 3);
        assert_eq!(list.top, 2);
        list.step(-9, &table);
        list.reveal(&table, 3);
        assert_eq!(list.top, 0);
    }
}
