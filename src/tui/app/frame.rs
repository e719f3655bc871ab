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

/// Below this height the inspector opens only when asked.
const ROOMY: u16 = 34;

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
    pub fn of(height: u16, inspect: Inspect) -> Self {
        let (header, status, footer) = (1, 1, 1);
        let rest = height.saturating_sub(header + status + footer);
        let inspector = match inspect {
            Inspect::Auto if height >= ROOMY => 11,
            Inspect::Open => (rest / 2).min(11),
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
