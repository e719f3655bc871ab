//! The broker from outside: real nodes, real clients, and bytes that no client sends.
//!
//! One program, because each that links the broker and librdkafka costs a minute of building. What measures its own process
//! or needs the machine for itself is a program of its own: `fuzz`, `quota`, `siege`, `wide`.
//!
//! `cfg(test)` holds for all of this binary; saying so lets helpers unwrap like the tests that they are part of.

#[cfg(test)]
mod acl;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod compaction;
#[cfg(test)]
mod consumer_group;
#[cfg(test)]
mod dump;
#[cfg(test)]
mod fault;
#[cfg(test)]
mod garbage;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod librdkafka;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod sasl;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transactions;
