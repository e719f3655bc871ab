//! How the screen is divided, in lines from the top. State and view share it, so that scrolling and drawing agree.

use super::table::Table;

/// Whether the inspector is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Inspect {
    /// Open where there is room to spare.
    #[default]
    Auto,
    Open,
    Closed,
}

/// From this height on the inspector is always open.
pub const ROOMY: u16 = 34;
/// Below it, it opens into what the rows leave free, if that is as much as this.
const WORTHWHILE: u16 = 6;
const INSPECTOR: u16 = 11;

/// Heights of the parts, top to bottom: header, status, table, inspector, footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub header: u16,
    pub status: u16,
    pub table: u16,
    pub inspector: u16,
    pub footer: u16,
}

impl Frame {
    /// For a screen of `height` lines whose table has so many: titles, rows and totals.
    pub fn of(height: u16, inspect: Inspect, lines: usize) -> Self {
        let (header, status, footer) = (1, 1, 1);
        let rest = height.saturating_sub(header + status + footer);
        let free = usize::from(rest).saturating_sub(lines).min(usize::from(INSPECTOR)) as u16;
        let inspector = match inspect {
            Inspect::Auto if height >= ROOMY => INSPECTOR,
            Inspect::Auto if free >= WORTHWHILE => free,
            Inspect::Open => (rest / 2).min(INSPECTOR),
            Inspect::Auto | Inspect::Closed => 0,
        };
        Self {
            header,
            status,
            table: rest.saturating_sub(inspector),
            inspector,
            footer,
        }
    }

    /// Lines of column titles.
    pub fn titles(table: &Table) -> u16 {
        1 + u16::from(table.is_grouped())
    }

    /// Lines of totals that there is room for; the first are the most telling.
    pub fn feet(&self, table: &Table) -> u16 {
        let room = match self.table {
            0..=11 => 0,
            12..=17 => 1,
            18..=21 => 2,
            22..=27 => 6,
            _ => 8,
        };
        room.min(table.feet.len() as u16)
    }

    /// Lines left for rows.
    pub fn rows(&self, table: &Table) -> usize {
        usize::from(self.table.saturating_sub(Self::titles(table) + self.feet(table)))
    }
}
