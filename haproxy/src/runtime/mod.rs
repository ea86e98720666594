//! HAProxy's runtime socket and master socket: commands to lines, answers to values.
//!
//! It moves no bytes: the caller writes what [`Batch`] renders and reads until HAProxy closes the
//! connection. HAProxy answers with plain text that has no status, so every answer is compared
//! with what the command says on success; anything else is an error, known by its text or kept.
//!
//! Measured on 2.4, 2.6, 2.8, 3.0 and 3.2, and what the code stands on:
//! - a worker socket closes after one line, the master socket does not: its lines end in `quit`;
//! - on the master socket each command of a line needs its own `@` prefix;
//! - answers to `add server` and `del server` may end without the usual blank line, so nothing
//!   can follow them in a batch;
//! - connections kept for reuse outlive a server that went down and then into maintenance; each
//!   fails one request later, without an answer or a line in the log: [`close_idle`];
//! - from 3.0 on, `set server … addr` is carried out after its answer, and one that follows at
//!   once is compared with the address before: it "changes nothing", and the first one stays;
//! - from 2.8 on the master keeps a connection open whose `@!pid` it does not know, `quit` or not:
//!   [`is_last_word`];
//! - 2.4 has `add server` in experimental mode only;
//! - `reload` answers nothing before 2.7: only `show proc` before and after tells.

mod answer;
mod command;
mod csv;
mod holding;
mod info;
mod name;
mod process;
mod servers_state;
mod session;
mod stat;

pub use answer::{CliError, is_last_word, split_answers};
pub use command::{AdminState, BadBatch, Batch, Command, Target};
pub use holding::HoldingServer;
pub use info::{Info, Version};
pub use name::{BadName, Name, ServerName, Token};
pub use process::{Process, ProcessTable, Reload, ReloadProof};
pub use servers_state::{AdminFlags, OperationalState, ServerState};
pub use session::Session;
pub use stat::{ServerRow, Status, close_idle};
