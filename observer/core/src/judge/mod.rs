//! From facts to a ruling: one row of the verdict table, and one of the gates.
//!
//! Judging cannot fail, waits for nothing and does nothing. The table says what would be right;
//! the gates say whether it may be done now. They are apart so that a paused or observe-only
//! pair is judged exactly like any other, and can say what it would have done.

mod cause;
mod external;
mod gates;
mod rules;
mod table;
mod upkeep;
mod worlds;

pub use cause::Cause;
pub use gates::{GATES, Gate, GateWhen, gate};
pub use rules::{Repair, Rule, Verdict, When, judge};
pub use table::RULES;
