//! The real hands and eyes of HA Observer: SSH, PostgreSQL, HAProxy sockets, HTTP, the store.
//!
//! Nothing here decides anything: every module answers what it saw or did, with the reason when it
//! saw nothing. Every call has a deadline and every answer a size limit.

pub mod access;
mod commands;
mod eyes;
mod hands;
pub mod haproxy_socket;
pub mod http;
pub mod keys;
pub mod pair_world;
pub mod parity;
pub mod postgres;
pub mod power;
pub mod quote;
pub mod ssh;
pub mod store;
pub mod sudo;
pub(crate) mod survey;
pub mod tcp;
pub mod text;
pub mod verify;
