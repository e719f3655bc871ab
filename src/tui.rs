//! Face 2: the terminal screens. Events in, one state, one draw; what takes time runs elsewhere and comes back as a message.

pub mod app;
