//! Answers looks: one function per kind, each ending in what was seen or the reason for silence.
//!
//! It judges nothing: what an answer means for the pair is the core's work.

use std::time::Duration;

use observer_core::sighting::{Look, Seen, Silent};

use crate::pair_world::Inner;

/// What is remembered of a proxy's file between two looks.
#[derive(Default)]
pub(crate) struct FileCache {}

pub(crate) async fn look(
    _world: &Inner,
    look_at: &Look,
    _deadline: Duration,
) -> Result<Seen, Silent> {
    Err(Silent::Denied(format!("{look_at}: this look is not there yet")))
}
