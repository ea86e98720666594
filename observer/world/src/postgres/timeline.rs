//! How a server's timeline is asked for, in SQL.

/// The member `timeline` of a `json_build_object` in a query that knows `standby`, with the comma
/// behind it.
///
/// No function tells a standby's timeline. The walreceiver knows what it receives and is gone with
/// the master; the control file names that of the last restart point, which may be five minutes
/// away. What stays is the name of the log's segment that holds the last byte received: segments
/// made in advance are named after restart points, and never newer than what was followed. The
/// folder is listed only while no walreceiver knows better.
macro_rules! timeline {
    () => {
        "  'timeline', case when standby then greatest(
      (select received_tli from pg_stat_wal_receiver limit 1),
      (select timeline_id from pg_control_checkpoint()),
      (select min_recovery_end_timeline from pg_control_recovery()),
      case when not exists (select from pg_stat_wal_receiver where received_tli is not null) then
      (select max(('x' || left(file.name, 8))::bit(32)::int)
        from (select setting::bigint as segment,
            (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
              - '0/0')::bigint - 1 as last
          from pg_settings where name = 'wal_segment_size') as log,
        pg_ls_waldir() as file
        where file.name ~ '^[0-9A-F]{24}$' and right(file.name, 16) =
          lpad(upper(to_hex(last / 4294967296)), 8, '0')
          || lpad(upper(to_hex(last % 4294967296 / segment)), 8, '0')) end)
    else ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int end,"
    };
}

pub(super) use timeline;
