//! What a validation asks a server: settings, slots, activity, extensions, in one round trip.
//!
//! It needs no more than `pg_monitor` and changes nothing. Of `primary_conninfo` only the role's
//! name leaves the server: a password in it stays there. Each call has a connection of its own, so
//! that a slow answer holds up no look.

use std::sync::Arc;
use std::time::Duration;

use observer_core::validate::{DatabaseContents, DatabaseSurvey};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Database, DatabaseTarget, Failure, first_text};
use crate::postgres::session::Session;

impl Database {
    /// Asks the server for everything that a validation wants to know of it.
    pub async fn survey(&self, deadline: Duration) -> Result<DatabaseSurvey, Failure> {
        self.ask_apart(&self.target.database, SQL, deadline).await
    }

    /// Asks what lies in one database of the server.
    pub async fn contents(
        &self,
        database: &str,
        deadline: Duration,
    ) -> Result<DatabaseContents, Failure> {
        let found: Contents = self.ask_apart(database, CONTENTS, deadline).await?;
        let Contents { extensions, unlogged, nearly_used_up, unread_sequences } = found;
        let database = database.to_owned();
        Ok(DatabaseContents {
            database,
            extensions: Ok(extensions),
            unlogged: Ok(unlogged),
            nearly_used_up: Ok(nearly_used_up),
            unread_sequences,
        })
    }

    async fn ask_apart<T: DeserializeOwned>(
        &self,
        database: &str,
        sql: &str,
        deadline: Duration,
    ) -> Result<T, Failure> {
        let database = database.to_owned();
        let target = DatabaseTarget { database, ..(*self.target).clone() };
        let session = Session::new(Arc::new(target), super::STATEMENT_TIMEOUT);
        let ask = async |client: &tokio_postgres::Client| client.simple_query(sql).await;
        let text = first_text(&session.call(deadline, ask).await?).unwrap_or_default();
        serde_json::from_str(&text).map_err(|error| Failure::Other {
            sqlstate: "-".to_owned(),
            text: format!("the answer to the survey is not understood: {error}"),
        })
    }
}

#[derive(Deserialize)]
struct Contents {
    extensions: Vec<String>,
    unlogged: Vec<String>,
    nearly_used_up: Vec<String>,
    unread_sequences: u64,
}

/// The survey as one row of JSON.
///
/// The statistics of the log came with version 14: a statement in a text is read only where it is
/// run. Those of less than an hour say nothing of the average.
const SQL: &str = concat!(
    "
select json_build_object(
  'in_recovery', standby,
  'version', current_setting('server_version_num')::int,
  'system_identifier', (select system_identifier::text from pg_control_system()),
",
    super::timeline::timeline!(),
    "
  'settings', (select json_object_agg(name, setting) from pg_settings where name in (
      'max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions',
      'max_locks_per_transaction', 'max_replication_slots', 'wal_level', 'wal_log_hints',
      'full_page_writes', 'data_checksums', 'primary_slot_name', 'recovery_min_apply_delay',
      'synchronous_standby_names', 'default_transaction_read_only')),
  'lsn', (case when standby then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
      else pg_current_wal_lsn() end - '0/0')::bigint,
  'replayed_lsn', (case when standby then pg_last_wal_replay_lsn()
      else pg_current_wal_lsn() end - '0/0')::bigint,
  'replay_paused', case when standby then pg_is_wal_replay_paused() else false end,
  'walreceiver', (select json_build_object('status', status, 'slot', slot_name)
    from pg_stat_wal_receiver where status is not null limit 1),
  'walsenders', (select coalesce(json_agg(json_build_object(
      'name', application_name, 'state', state,
      'flush_lag_ms', (extract(epoch from flush_lag) * 1000)::bigint,
      'replay_lag_ms', (extract(epoch from replay_lag) * 1000)::bigint)), '[]')
    from pg_stat_replication),
  'slots', (select coalesce(json_agg(json_build_object(
      'name', slot_name, 'kind', slot_type, 'active', active, 'wal_status', wal_status)), '[]')
    from pg_replication_slots where not temporary),
  'replication_user', substring(current_setting('primary_conninfo', true)
      from '(?:^|\\s)user\\s*=\\s*''?([^''\\s]+)'),
  'missing_rights', to_json(array_remove(array[
      case when not pg_has_role(current_user, 'pg_monitor', 'usage')
        then 'grant pg_monitor to ' || quote_ident(current_user) end,
      case when not has_function_privilege('pg_promote(boolean,integer)', 'execute')
        then 'grant execute on function pg_promote(boolean, integer) to '
          || quote_ident(current_user) end,
      (select 'alter role ' || quote_ident(rolname) || ' replication' from pg_roles
        where rolname = current_user and not rolreplication and not rolsuper),
      -- Older servers know no such role, and let nobody but a superuser write a checkpoint.
      (select 'grant pg_checkpoint to ' || quote_ident(current_user) from pg_roles
        where rolname = 'pg_checkpoint' and not pg_has_role(current_user, oid, 'usage')),
      case when not has_database_privilege(current_database(), 'create')
        then 'grant create on database ' || quote_ident(current_database()) || ' to '
          || quote_ident(current_user) end], null)),
  'open_transactions', (select coalesce(json_agg(open), '[]') from (
      select pid, coalesce(usename, '?') as user, coalesce(state, '?') as state,
        greatest(extract(epoch from clock_timestamp() - xact_start), 0)::bigint as age_s
      from pg_stat_activity
      where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid()
      order by xact_start limit 50) as open),
  'prepared_transactions', (select count(*) from pg_prepared_xacts),
  'base_backups', (select count(*) from pg_stat_progress_basebackup),
  'archiving', case when current_setting('archive_mode') <> 'off' then (
      select json_build_object(
        'last_failed', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'),
          false),
        'waiting_files', (select count(*) from pg_ls_archive_statusdir()
          where name like '%.ready'))
      from pg_stat_archiver) end,
  'wal_bytes_per_second', case when current_setting('server_version_num')::int >= 140000 then
      (xpath('/table/row/rate/text()', query_to_xml('
        select wal_bytes / extract(epoch from clock_timestamp() - stats_reset) as rate
        from pg_stat_wal where stats_reset < clock_timestamp() - interval ''1 h''',
        false, false, '')))[1]::text::float8 end,
  'available_extensions', (select coalesce(json_agg(name || ' ' || version), '[]')
    from pg_available_extension_versions),
  'databases', (select coalesce(json_agg(datname order by datname), '[]')
    from pg_database where datallowconn and not datistemplate)
) from (select pg_is_in_recovery() as standby offset 0) as role"
);

/// What lies in the database that the connection is in.
const CONTENTS: &str = "
select json_build_object(
  'extensions', (select coalesce(json_agg(extname || ' ' || extversion order by extname), '[]')
    from pg_extension),
  'unlogged', (select coalesce(json_agg(name order by name), '[]') from (
      select format('%I.%I', nspname, relname) as name
      from pg_class join pg_namespace on pg_namespace.oid = relnamespace
      where relpersistence = 'u' and relkind in ('r', 'p', 'S', 'm')
      order by 1 limit 1000) as relations),
  'nearly_used_up', (select coalesce(json_agg(name order by name), '[]') from (
      select format('%I.%I', schemaname, sequencename) as name
      from pg_sequences
      where last_value is not null and not cycle
        and (case when increment_by > 0 then last_value::numeric - min_value
               else max_value::numeric - last_value end)
          > 0.9 * (max_value::numeric - min_value)
      order by 1 limit 1000) as sequences),
  'unread_sequences', (select count(*) from pg_class where case
    when relkind = 'S' and relpersistence <> 't'
      then not has_sequence_privilege(oid, 'usage, select') else false end)
)";
