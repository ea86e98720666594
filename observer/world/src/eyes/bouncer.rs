//! Looks at a PgBouncer: which of its databases are paused, by its own console.

use std::time::Duration;

use observer_core::sighting::{BouncerReport, PooledDatabase, Seen, Silent};

use super::silence;
use crate::pair_world::Bouncer;
use crate::postgres::{Failure, Pooled};

pub(super) async fn look(bouncer: &Bouncer, deadline: Duration) -> Result<Seen, Silent> {
    match databases(bouncer, deadline).await {
        Ok(databases) => {
            let databases = databases.into_iter().map(report).collect();
            Ok(Seen::Bouncer(BouncerReport { databases }))
        }
        Err(failure) => of_console(bouncer, failure),
    }
}

/// The databases that lead to the pair. One that is configured and not there is a pattern's that
/// nobody has used: there is nobody to wait in it.
pub(crate) async fn databases(
    bouncer: &Bouncer,
    deadline: Duration,
) -> Result<Vec<Pooled>, Failure> {
    let mut all = bouncer.console.databases(deadline).await?;
    let wanted = &bouncer.access.databases;
    all.retain(|database| wanted.is_empty() || wanted.contains(&database.name));
    Ok(all)
}

fn report(database: Pooled) -> PooledDatabase {
    let Pooled { name, paused, connections, .. } = database;
    PooledDatabase { name: crate::text::shown(name.as_bytes()), paused, connections }
}

fn of_console(bouncer: &Bouncer, failure: Failure) -> Result<Seen, Silent> {
    match failure {
        Failure::ShuttingDown => Err(Silent::Garbage("PgBouncer is shutting down".to_owned())),
        failure @ (Failure::Other { .. } | Failure::AuthRejected(_)) => {
            Err(Silent::Denied(words(bouncer, &failure)))
        }
        failure => silence::of_database(failure),
    }
}

/// What a failure at the console is, in words.
pub(crate) fn words(bouncer: &Bouncer, failure: &Failure) -> String {
    let user = &bouncer.access.user;
    match failure {
        Failure::NotRunning(_) => "PgBouncer is not running".to_owned(),
        Failure::ShuttingDown => "PgBouncer is shutting down".to_owned(),
        Failure::Silent { after } => {
            format!("PgBouncer did not answer within {} ms", after.as_millis())
        }
        Failure::Lost(text) => format!("the connection to PgBouncer was lost: {text}"),
        Failure::Other { text, .. } | Failure::AuthRejected(text) => {
            format!("PgBouncer says to {user}: {text}")
        }
        Failure::Unreachable(error) => format!("PgBouncer cannot be reached: {error}"),
        failure => failure.to_string(),
    }
}
