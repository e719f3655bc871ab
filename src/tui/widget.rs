//! Drawing that knows no noun: bars, columns that fit, boxes above the screen.

pub mod bar;
pub mod columns;
pub mod popup;
pub mod span;
