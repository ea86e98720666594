//! Lossless haproxy.cfg documents, edits that change nothing else, and HAProxy's socket protocols.
//!
//! The crate does no input or output: bytes come in, bytes go out, and the caller moves them. It
//! never runs HAProxy, never evaluates a condition and never expands a variable; what the file
//! alone does not say is answered as unclear, and an edit that would need it is refused.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use haproxy::{Document, Members, point, unified_diff};
//!
//! let file = b"backend app
//!     server a 10.0.0.1:80 check          # left
//!     server b 10.0.0.2:80 check disabled # right
//! ";
//! let members = Members::by_address(BTreeMap::from([
//!     ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
//!     ("node-b".to_owned(), vec!["10.0.0.2".to_owned()]),
//! ]));
//! let turned = point(&Document::parse(file), &members, &["node-b"])?;
//! assert_eq!(
//!     unified_diff("haproxy.cfg", file, &turned.to_bytes()),
//!     "--- haproxy.cfg
//! +++ haproxy.cfg
//! @@ -1,3 +1,3 @@
//!  backend app
//! -    server a 10.0.0.1:80 check          # left
//! -    server b 10.0.0.2:80 check disabled # right
//! +    server a 10.0.0.1:80 check disabled # left
//! +    server b 10.0.0.2:80 check          # right
//! "
//! );
//! # Ok::<(), haproxy::Refusal>(())
//! ```

mod conflict;
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
mod reader;
mod refusal;
pub mod runtime;
mod section;
mod section_edit;
mod server;
mod server_keyword;
mod server_line;
mod service;
mod time;
mod view;
mod waiting_room;
mod word;

pub use conflict::Conflict;
pub use diff::unified_diff;
pub use document::{Document, Line};
pub use edit::{Outcome, ServerChange, ServerEdit};
pub use files::{Invocation, load_order};
pub use generate::{Application, Front, NewHost, NewProxy, Receives, generate};
pub use import::{Proposal, Step, propose};
pub use inventory::{Difference, Direction, Inventory, Item, ProxyId};
pub use pair::{Members, Pointed, point, point_shared, pointed_at};
pub use refusal::{Reason, Refusal};
pub use section::SectionKind;
pub use section_edit::NewServer;
pub use server::{Address, Server, State, Unclear};
pub use server_keyword::Keyword;
pub use service::{Environment, Variable, variables};
pub use view::{Bind, Section, ServerSetting, Setting, View};
pub use waiting_room::{
    Gap, GapKind, HOLD_ADDRESS, HOLD_MS, HOLD_SERVER, PERIOD_MS, WaitingRoom, add_waiting_rooms,
    waiting_rooms,
};
pub use word::{Fault, Word, Words};
