//! The daemon: one task per pair around the core's machine, the store, the API, the service
//! manager.
//!
//! It decides nothing. A panic anywhere ends the process: a restart with a replay of the journal
//! is safe, a half-dead daemon is not.

pub(crate) mod archive;
pub(crate) mod asks;
pub(crate) mod clock;
mod crash;
mod daemon;
pub(crate) mod files;
mod logging;
mod pair_task;
pub(crate) mod parity;
mod planned;
pub(crate) mod readiness;
mod service;
pub(crate) mod store;
pub(crate) mod validation;
pub(crate) mod verify;
mod world;
mod writer;

pub(crate) use daemon::{RunError, run};

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
pub(crate) mod tests;
