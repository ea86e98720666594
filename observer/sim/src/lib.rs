//! A simulated world for the core: hosts, links, databases, services, proxies, clients and a disk,
//! with faults at the one seam between the pair's machine and everything it does.
//!
//! It runs the very `Pair` the daemon runs. A run is a function of its seed and its scenario: no
//! clock, no threads, no randomness from outside. After every event the checkers look at the whole
//! world; a broken safety rule ends the run with what led there.

pub mod bouncer;
pub mod check;
pub mod disk;
mod external;
pub mod fault;
pub mod files;
pub mod fuzz;
mod harm;
mod job;
pub mod lease;
pub mod machine;
pub mod monitor;
pub mod mount;
pub mod network;
mod prove;
pub mod proxy;
pub mod random;
pub mod run;
pub mod scenario;
mod sight;
mod switch;
pub mod world;

pub use fault::Fault;
pub use run::{Run, Setup};
