//! HAProxy's runtime socket and master socket: commands to lines, answers to values.
//!
//! It moves no bytes: the caller writes what [`Batch`] renders and reads until HAProxy closes the
//! connection. HAProxy answers with plain text that has no status, so every answer is compared
//! with what the command says on success; anything else is an error, known by its text or kept.
//!
//! Measured on 2.6, and what the code stands on:
//! - a worker socket closes after one line, the master socket does not: its lines end in `quit`;
//! - on the master socket each command of a line needs its own `@` prefix;
//! - answers to `add server` and `del server` may end without the usual blank line, so nothing
//!   can follow them in a batch;
//! - connections kept for reuse outlive a server that went down and then into maintenance; each
//!   fails one request later, without an answer or a line in the log: [`close_idle`];
//! - `reload` answers nothing before 2.7: only `show proc` before and after tells.

mod answer;
mod command;
mod csv;
mod info;
mod name;
mod process;
mod servers_state;
mod session;
mod stat;

pub use answer::{CliError, split_answers};
pub use command::{AdminState, BadBatch, Batch, Command, Target};
pub use info::{Info, Version};
pub use name::{BadName, Name, ServerName, Token};
pub use process::{Process, ProcessTable, Reload, ReloadProof};
pub use servers_state::{AdminFlags, OperationalState, ServerState};
pub use session::Session;
pub use stat::{ServerRow, Status, close_idle};
