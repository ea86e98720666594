//! Reads paths by a configured query, as a stream and without a right to change anything.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::session::Session;
use super::{Database, DatabaseTarget, Failure};

impl Database {
    /// Hands every distinct path over that `sql` yields in `database`, relative and in the order of
    /// a manifest; ends early where `take` says so.
    pub(crate) async fn each_path(
        &self,
        database: &str,
        sql: &str,
        mut take: impl FnMut(&[u8]) -> bool,
        deadline: Duration,
    ) -> Result<(), Failure> {
        let target = DatabaseTarget { database: database.to_owned(), ..(*self.target).clone() };
        // A session of its own, read-only, which ends with this call.
        let session = Session::new(Arc::new(target), deadline);
        let sql = sorted(sql);
        let take = std::cell::RefCell::new(&mut take);
        let ask = async |client: &tokio_postgres::Client| {
            client.batch_execute("begin transaction read only").await?;
            let rows = client.query_raw::<_, bool, _>(sql.as_str(), []).await?;
            let mut rows = std::pin::pin!(rows);
            while let Some(row) = rows.try_next().await? {
                if !(take.borrow_mut())(row.get(0)) {
                    break;
                }
            }
            Ok(())
        };
        session.call(deadline, ask).await
    }
}

/// The query with its paths made relative and plain, in the order in which manifests are sorted.
fn sorted(sql: &str) -> String {
    let sql = sql.trim().trim_end_matches(';');
    format!(
        "select convert_to(path, 'UTF8') from (select distinct regexp_replace(regexp_replace(\
         path::text, '/+', '/', 'g'), '^(\\./|/)+|/+$', '', 'g') from (\n{sql}\n) as rows(path)) \
         as paths(path) where path <> '' \
         order by convert_to(path, 'UTF8') || '\\x2f2f'::bytea"
    )
}
