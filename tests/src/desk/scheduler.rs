//! The scheduler: one row a second that names its host.
//!
//! It ends at the first refusal, loudly: a scheduler on a slave is a fault that must be seen.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::error::SqlState;

use super::{Config, DatabaseError, DeskError, Pool, host_name};

const EVERY: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(5);

/// Runs until the database refuses to be written to. A database that is away is waited for.
#[expect(clippy::print_stderr, reason = "standard error is the service's log")]
pub async fn run(config: Config) -> Result<(), DeskError> {
    let pool = Pool::new(&config.database).map_err(DeskError::Database)?;
    let host = host_name();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let insert = "insert into scheduler_runs (host) values ($1)";
        match pool.with(LIMIT, async |session| session.execute(insert, &[&host]).await).await {
            Ok(_) => {}
            Err(error) if read_only(&error) => return Err(DeskError::Scheduler(error)),
            Err(error) => eprintln!("no run this second: {error}"),
        }
    }
}

fn read_only(error: &DatabaseError) -> bool {
    let DatabaseError::Failed(error) = error else { return false };
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}
