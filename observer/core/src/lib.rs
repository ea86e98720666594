//! The words and every decision of HA Observer.
//!
//! No IO, no clock, no randomness, no async: time is an argument, work is a return value. The
//! flow is *digest → judge → draft → lint → drive*; `pair` joins the stages for one pair, and is
//! what both the daemon and the simulator drive.

pub mod digest;
pub mod draft;
pub mod drain;
pub mod drive;
pub mod event;
pub mod facts;
pub mod files;
pub mod forget;
pub mod journal;
pub mod judge;
pub mod ledger;
pub mod lint;
pub mod mounts;
pub mod pair;
pub mod parity;
pub mod placed;
pub mod plan;
pub mod policy;
pub mod sighting;
pub mod telling;
pub mod upgrade;
pub mod validate;
pub mod words;
