//! Tries whether a file of the database can still grow.
//!
//! A heartbeat rewrites one row in place, in pages and in segments of log that exist already, so
//! that it succeeds on a full disk on which users' rows find no room. This is tried only where the
//! disk is known to have little room, for it writes to the catalogue.

use std::time::Duration;

use super::failure::Failure;
use super::session::Session;

/// Makes and drops a table of some pages in one transaction. Unlogged, it costs little log; each
/// row is short enough to be stored as it is.
const GROW: &str = "
create unlogged table ha_observer.growth as
  select repeat('x', 1000) as filler from generate_series(1, 80);
drop table ha_observer.growth";

/// Fails with [`Failure::DiskFull`] where there is no room; any other failure says nothing of it.
pub(super) async fn grow(session: &Session, deadline: Duration) -> Result<(), Failure> {
    session.call(deadline, async |client| client.batch_execute(GROW).await).await
}
