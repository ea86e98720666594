//! One look at a server: everything that judging wants to know, in one round trip.
//!
//! It needs no more than `pg_monitor`, works on a primary and on a standby of PostgreSQL 13 to 17,
//! and changes nothing. LSNs are plain byte positions; ages are measured by the server's own clock.

use serde::Deserialize;

/// What a server said about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Look {
    /// True on a standby.
    pub in_recovery: bool,
    /// The timeline: on a primary the one it writes; on a standby the newest it has received.
    pub timeline: u32,
    /// Identifies the database cluster: equal on a primary and its standbys.
    pub system_identifier: String,
    /// `server_version_num`, for instance 150018.
    pub version: u32,
    /// When the postmaster started, in milliseconds of Unix time by the server's clock.
    pub started_at_ms: u64,
    /// On a primary: the end of the WAL written.
    pub written_lsn: Option<u64>,
    /// On a primary: the end of the WAL on disk.
    pub flushed_lsn: Option<u64>,
    /// On a standby: the end of the WAL it holds, received or already replayed.
    pub received_lsn: Option<u64>,
    /// On a standby: the end of the WAL replayed.
    pub replayed_lsn: Option<u64>,
    /// On a standby: whether someone paused the replay.
    pub replay_paused: Option<bool>,
    /// On a standby: age of the last commit it replayed. Grows while the primary is idle.
    pub replayed_commit_age_ms: Option<i64>,
    /// On a standby: the process that receives WAL; absent while it does not run.
    pub walreceiver: Option<Walreceiver>,
    /// The standbys that are connected to this server.
    pub standbys: Vec<Standby>,
    /// The replication slots of this server.
    pub slots: Vec<Slot>,
    /// `synchronous_standby_names` as it is set.
    pub synchronous_names: String,
    /// How long a commit of our own has been waiting for a standby; absent while none waits.
    pub own_commit_waits_ms: Option<i64>,
}

/// The standby's end of the replication connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Walreceiver {
    /// `streaming` when all is well.
    pub status: String,
    /// Age of the last message from the primary; about half of `wal_sender_timeout` apart when
    /// the primary is idle.
    pub last_message_age_ms: Option<i64>,
    /// Where it receives from.
    pub sender_host: Option<String>,
    /// Port of the sender.
    pub sender_port: Option<u16>,
    /// The slot it uses.
    pub slot: Option<String>,
}

/// One standby as its primary sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Standby {
    /// Its `application_name`.
    pub name: String,
    /// Its address; absent over a Unix socket.
    pub address: Option<String>,
    /// `streaming`, `catchup`, `startup`, `backup`, `stopping`.
    pub state: Option<String>,
    /// `async`, `potential`, `sync`, `quorum`.
    pub sync_state: Option<String>,
    /// End of the WAL sent to it.
    pub sent_lsn: Option<u64>,
    /// End of the WAL it has written.
    pub written_lsn: Option<u64>,
    /// End of the WAL it has on disk.
    pub flushed_lsn: Option<u64>,
    /// End of the WAL it has replayed.
    pub replayed_lsn: Option<u64>,
}

/// One replication slot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// `physical` or `logical`.
    pub kind: String,
    /// Whether somebody uses it now.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// The oldest WAL that it keeps.
    pub restart_lsn: Option<u64>,
}

/// The standbys that `synchronous_standby_names` names, in any of its forms: `a, b`, `FIRST 1 (a)`,
/// `ANY 2 ("b c", d)`, `1 (a)`. A star is a name like any other.
pub fn synchronous_names(setting: &str) -> Vec<String> {
    let inner = match (setting.find('('), setting.rfind(')')) {
        (Some(open), Some(close)) if open < close => &setting[open + 1..close],
        _ => setting,
    };
    let mut names = Vec::new();
    let (mut name, mut quoted) = (String::new(), false);
    for character in inner.chars().chain([',']) {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                let whole = std::mem::take(&mut name);
                let trimmed = whole.trim();
                if !trimmed.is_empty() {
                    names.push(trimmed.to_owned());
                }
            }
            other => name.push(other),
        }
    }
    names
}

/// An LSN as PostgreSQL prints it.
pub fn lsn_text(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

/// The look as one row of JSON.
///
/// The functions of the other role raise errors, so that each stands behind a `case`. See
/// `timeline!` for how a standby's timeline is known.
pub(super) const SQL: &str = concat!(
    "
select json_build_object(
  'in_recovery', standby,
  'synchronous_names', current_setting('synchronous_standby_names'),
  'own_commit_waits_ms', (select (extract(epoch from
      max(clock_timestamp() - query_start)) * 1000)::bigint
    from pg_stat_activity where usename = current_user and wait_event = 'SyncRep'),
",
    super::timeline::timeline!(),
    "
  'system_identifier', (select system_identifier::text from pg_control_system()),
  'version', current_setting('server_version_num')::int,
  'started_at_ms', (extract(epoch from pg_postmaster_start_time()) * 1000)::bigint,
  'written_lsn', case when standby then null else (pg_current_wal_lsn() - '0/0')::bigint end,
  'flushed_lsn', case when standby then null else (pg_current_wal_flush_lsn() - '0/0')::bigint end,
  'received_lsn', case when standby then
      (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::bigint end,
  'replayed_lsn', case when standby then (pg_last_wal_replay_lsn() - '0/0')::bigint end,
  'replay_paused', case when standby then pg_is_wal_replay_paused() end,
  'replayed_commit_age_ms', case when standby then
      (extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint end,
  'walreceiver', (select json_build_object(
      'status', status,
      'last_message_age_ms',
        (extract(epoch from clock_timestamp() - last_msg_receipt_time) * 1000)::bigint,
      'sender_host', sender_host, 'sender_port', sender_port, 'slot', slot_name)
    from pg_stat_wal_receiver where status is not null limit 1),
  'standbys', (select coalesce(json_agg(json_build_object(
      'name', application_name, 'address', host(client_addr), 'state', state,
      'sync_state', sync_state, 'sent_lsn', (sent_lsn - '0/0')::bigint,
      'written_lsn', (write_lsn - '0/0')::bigint, 'flushed_lsn', (flush_lsn - '0/0')::bigint,
      'replayed_lsn', (replay_lsn - '0/0')::bigint)), '[]') from pg_stat_replication),
  'slots', (select coalesce(json_agg(json_build_object(
      'name', slot_name, 'kind', slot_type, 'active', active, 'wal_status', wal_status,
      'restart_lsn', (restart_lsn - '0/0')::bigint)), '[]') from pg_replication_slots)
) from (select pg_is_in_recovery() as standby offset 0) as role"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_synchronous_names_is_read() {
        let read = |text| synchronous_names(text).join("|");
        assert_eq!(read(""), "");
        assert_eq!(read("\"node-b\""), "node-b");
        assert_eq!(read("a, b"), "a|b");
        assert_eq!(read("FIRST 1 (\"node-b\", c)"), "node-b|c");
        assert_eq!(read("ANY 2 (\"x, y\")"), "x, y");
        assert_eq!(read("*"), "*");
    }

    #[test]
    fn an_lsn_prints_as_postgresql_prints_it() {
        assert_eq!(lsn_text(0), "0/0");
        assert_eq!(lsn_text(0x16_B374_D848), "16/B374D848");
    }
}
