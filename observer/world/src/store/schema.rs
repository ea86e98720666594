//! The tables of the store and how an older file becomes a newer one.
//!
//! A migration is never edited once released; a change is a new one at the end. Histories are
//! append-only by trigger, so that no bug of ours can rewrite what was recorded.

use rusqlite::{Connection, Transaction};

/// One statement batch per version; the index plus one is the `user_version` it leads to.
const MIGRATIONS: &[&str] = &[
    "
create table journal (
  seq integer primary key autoincrement,
  pair text not null, at_ms integer not null, epoch integer not null,
  plan text not null, kind text not null, body text not null check (json_valid(body)));
create index journal_plan on journal (pair, plan, seq);
create table events (
  seq integer primary key autoincrement,
  pair text not null, at_ms integer not null, severity text not null, kind text not null,
  rule text, plan text, step text, host text, body text not null check (json_valid(body)));
create index events_pair on events (pair, seq);
create table audit (
  seq integer primary key autoincrement,
  at_ms integer not null, who text not null, action text not null, pair text,
  body text not null check (json_valid(body)));
create table samples (
  pair text not null, name text not null, at_ms integer not null, value real not null);
create index samples_name on samples (pair, name, at_ms);
create index samples_age on samples (at_ms);
create table memory (
  pair text not null, key text not null, value text not null check (json_valid(value)),
  primary key (pair, key)) without rowid;
create table pulse (only_row integer primary key check (only_row = 1), beats integer not null);
insert into pulse values (1, 0);
create trigger journal_kept before delete on journal
  begin select raise(abort, 'the journal is append-only'); end;
create trigger journal_fixed before update on journal
  begin select raise(abort, 'the journal is append-only'); end;
create trigger events_kept before delete on events
  begin select raise(abort, 'events are append-only'); end;
create trigger events_fixed before update on events
  begin select raise(abort, 'events are append-only'); end;
create trigger audit_kept before delete on audit
  begin select raise(abort, 'the audit is append-only'); end;
create trigger audit_fixed before update on audit
  begin select raise(abort, 'the audit is append-only'); end;
",
    "
create table versions (
  pair text not null, proxy text not null, number integer not null,
  at_ms integer not null, epoch integer not null, file text not null,
  reason text not null, by_whom text not null, state text not null, note text not null,
  checksum text not null, content blob not null,
  primary key (pair, proxy, number));
",
];

/// The newest version that this program knows.
pub(super) fn known_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// The version of an open file; 0 for a new one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("pragma user_version", [], |row| row.get(0))
}

/// Brings the file to the newest version: wholly, or not at all.
pub(super) fn migrate(transaction: &Transaction<'_>, from: u32) -> rusqlite::Result<()> {
    let done = usize::try_from(from).expect("a version fits");
    for statements in &MIGRATIONS[done..] {
        transaction.execute_batch(statements)?;
    }
    transaction.pragma_update(None, "user_version", known_version())
}
