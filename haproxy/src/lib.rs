//! Lossless haproxy.cfg documents, edits that change nothing else, and HAProxy's socket protocols.
//!
//! The crate does no input or output: bytes come in, bytes go out, and the caller moves them. It
//! never runs HAProxy, never evaluates a condition and never expands a variable; what the file
//! alone does not say is answered as unclear, and an edit that would need it is refused.

mod diff;
mod document;
mod edit;
mod files;
mod generate;
mod import;
mod inventory;
mod line_edit;
pub mod lint;
mod pair;
mod refusal;
pub mod runtime;
mod section;
mod section_edit;
mod server;
mod server_keyword;
mod server_line;
mod time;
mod view;
mod waiting_room;
mod word;

pub use diff::unified_diff;
pub use document::{Document, Line};
pub use edit::{Outcome, ServerChange, ServerEdit};
pub use files::{Invocation, load_order};
pub use generate::{Application, Front, NewHost, NewProxy, Receives, generate};
pub use import::{Proposal, Step, propose};
pub use inventory::{Difference, Direction, Inventory, Item, ProxyId};
pub use pair::{Members, Pointed, point, pointed_at};
pub use refusal::{Reason, Refusal};
pub use section::SectionKind;
pub use section_edit::NewServer;
pub use server::{Address, Server, State, Unclear};
pub use server_keyword::Keyword;
pub use view::{Bind, Section, ServerSetting, Setting, View};
pub use waiting_room::{
    Gap, GapKind, HOLD_ADDRESS, HOLD_MS, HOLD_SERVER, PERIOD_MS, WaitingRoom, add_waiting_rooms,
    waiting_rooms,
};
pub use word::{Fault, Word, Words};
