//! Runbooks: files of steps that are checks, waits, plans, operations and questions, checked as a whole before the first one.
//!
//! A [`File`] is what YAML says; a [`Book`] is one that makes sense, with every step in order. [`run`] carries a book out
//! through [`run::Hands`], which are the commands of this program, and writes a journal that another process goes on with.
//! What must stay true: a change that was finished is never made again, and one that may have been made is never made
//! again unasked.

pub mod book;
pub mod condition;
pub mod file;
pub mod journal;
pub mod path;
pub mod preset;
pub mod run;
pub mod text;
pub mod value;
#[cfg(test)]
mod tests;

pub use book::{Book, Problem};
pub use file::File;
