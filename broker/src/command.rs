//! The parts of the program that are more than starting and stopping.

pub mod fault;
pub mod log;
pub mod service;
