//! The records of the store, and writing and reading them.

use rusqlite::{OptionalExtension, Params, Row, params};

use super::{Store, StoreError};

/// A record with the number that the store gave it. Numbers rise and are never used again.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbered<R> {
    /// Its place in its history.
    pub seq: u64,
    /// The record.
    pub record: R,
}

/// One line of the journal: the truth about plans after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecord {
    /// The pair it belongs to.
    pub pair: String,
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// The epoch of the plan.
    pub epoch: u64,
    /// The plan's id.
    pub plan: String,
    /// What kind of record, for instance `step-started`.
    pub kind: String,
    /// The rest, as JSON.
    pub body: String,
}

/// One event as it was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The pair it belongs to.
    pub pair: String,
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// How grave.
    pub severity: String,
    /// What kind of event.
    pub kind: String,
    /// The rule that caused it.
    pub rule: Option<String>,
    /// The plan it belongs to.
    pub plan: Option<String>,
    /// The step it belongs to.
    pub step: Option<String>,
    /// The host it is about.
    pub host: Option<String>,
    /// The rest, as JSON.
    pub body: String,
}

/// Who did what through the operator interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// The person or process.
    pub who: String,
    /// The verb.
    pub action: String,
    /// The pair it was about.
    pub pair: Option<String>,
    /// The rest, as JSON.
    pub body: String,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The pair it belongs to.
    pub pair: String,
    /// What was measured, with its unit last.
    pub name: String,
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// The value.
    pub value: f64,
}

impl Store {
    /// Appends to the journal. When it returns, the record is on disk.
    pub fn append_journal(&self, record: &JournalRecord) -> Result<u64, StoreError> {
        self.insert(
            "insert into journal (pair, at_ms, epoch, plan, kind, body)
             values (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                record.pair,
                stored(record.at_ms)?,
                stored(record.epoch)?,
                record.plan,
                record.kind,
                record.body
            ],
        )
    }

    /// The journal of a pair after number `after`, oldest first, at most `limit` records.
    pub fn journal(
        &self,
        pair: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Numbered<JournalRecord>>, StoreError> {
        self.select(
            "select seq, pair, at_ms, epoch, plan, kind, body from journal
             where pair = ?1 and seq > ?2 order by seq limit ?3",
            params![pair, stored(after)?, bounded(limit)],
            journal_row,
        )
    }

    /// The whole journal of one plan, oldest first.
    pub fn journal_of_plan(
        &self,
        pair: &str,
        plan: &str,
    ) -> Result<Vec<Numbered<JournalRecord>>, StoreError> {
        self.select(
            "select seq, pair, at_ms, epoch, plan, kind, body from journal
             where pair = ?1 and plan = ?2 order by seq",
            params![pair, plan],
            journal_row,
        )
    }

    /// Appends an event. When it returns, the event is on disk.
    pub fn append_event(&self, event: &EventRecord) -> Result<u64, StoreError> {
        self.insert(
            "insert into events (pair, at_ms, severity, kind, rule, plan, step, host, body)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                event.pair,
                stored(event.at_ms)?,
                event.severity,
                event.kind,
                event.rule,
                event.plan,
                event.step,
                event.host,
                event.body
            ],
        )
    }

    /// The events after number `after`, oldest first; of all pairs where `pair` is `None`.
    pub fn events(
        &self,
        pair: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Numbered<EventRecord>>, StoreError> {
        self.select(
            "select seq, pair, at_ms, severity, kind, rule, plan, step, host, body from events
             where (?1 is null or pair = ?1) and seq > ?2 order by seq limit ?3",
            params![pair, stored(after)?, bounded(limit)],
            event_row,
        )
    }

    /// The newest events, oldest first; of all pairs where `pair` is `None`.
    pub fn latest_events(
        &self,
        pair: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Numbered<EventRecord>>, StoreError> {
        let mut events = self.select(
            "select seq, pair, at_ms, severity, kind, rule, plan, step, host, body from events
             where (?1 is null or pair = ?1) order by seq desc limit ?2",
            params![pair, bounded(limit)],
            event_row,
        )?;
        events.reverse();
        Ok(events)
    }

    /// Appends to the audit. When it returns, the record is on disk.
    pub fn append_audit(&self, record: &AuditRecord) -> Result<u64, StoreError> {
        self.insert(
            "insert into audit (at_ms, who, action, pair, body) values (?1, ?2, ?3, ?4, ?5)",
            params![stored(record.at_ms)?, record.who, record.action, record.pair, record.body],
        )
    }

    /// The audit after number `after`, oldest first.
    pub fn audit(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Numbered<AuditRecord>>, StoreError> {
        self.select(
            "select seq, at_ms, who, action, pair, body from audit
             where seq > ?1 order by seq limit ?2",
            params![stored(after)?, bounded(limit)],
            |row| {
                let record = AuditRecord {
                    at_ms: unsigned(row, 1)?,
                    who: row.get(2)?,
                    action: row.get(3)?,
                    pair: row.get(4)?,
                    body: row.get(5)?,
                };
                Ok(Numbered { seq: unsigned(row, 0)?, record })
            },
        )
    }

    /// Keeps all `samples`, or none.
    pub fn append_samples(&mut self, samples: &[Sample]) -> Result<(), StoreError> {
        let path = self.path.clone();
        let write = |connection: &mut rusqlite::Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for Sample { pair, name, at_ms, value } in samples {
                let sql = "insert into samples (pair, name, at_ms, value) values (?1, ?2, ?3, ?4)";
                let at_ms = i64::try_from(*at_ms).unwrap_or(i64::MAX);
                transaction.prepare_cached(sql)?.execute(params![pair, name, at_ms, value])?;
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(|error| super::classify(&error, &path))
    }

    /// The values of one series since `since_ms`, oldest first.
    pub fn samples(
        &self,
        pair: &str,
        name: &str,
        since_ms: u64,
    ) -> Result<Vec<Sample>, StoreError> {
        self.select(
            "select pair, name, at_ms, value from samples
             where pair = ?1 and name = ?2 and at_ms >= ?3 order by at_ms",
            params![pair, name, stored(since_ms)?],
            |row| {
                Ok(Sample {
                    pair: row.get(0)?,
                    name: row.get(1)?,
                    at_ms: unsigned(row, 2)?,
                    value: row.get(3)?,
                })
            },
        )
    }

    /// Forgets the samples from before `before_ms`; says how many there were.
    pub fn forget_samples(&self, before_ms: u64) -> Result<usize, StoreError> {
        let sql = "delete from samples where at_ms < ?1";
        let before = stored(before_ms)?;
        self.connection.execute(sql, params![before]).map_err(|error| self.error(&error))
    }

    /// Keeps a JSON value of a pair under `key`, in place of an older one.
    pub fn remember(&self, pair: &str, key: &str, value: &str) -> Result<(), StoreError> {
        self.insert(
            "insert into memory (pair, key, value) values (?1, ?2, ?3)
             on conflict (pair, key) do update set value = excluded.value",
            params![pair, key, value],
        )
        .map(drop)
    }

    /// The JSON value of a pair under `key`.
    pub fn recall(&self, pair: &str, key: &str) -> Result<Option<String>, StoreError> {
        let sql = "select value from memory where pair = ?1 and key = ?2";
        let found = self.connection.query_row(sql, params![pair, key], |row| row.get(0)).optional();
        found.map_err(|error| self.error(&error))
    }

    /// Forgets the value of a pair under `key`, if there is one.
    pub fn forget(&self, pair: &str, key: &str) -> Result<(), StoreError> {
        let sql = "delete from memory where pair = ?1 and key = ?2";
        let done = self.connection.execute(sql, params![pair, key]);
        done.map(drop).map_err(|error| self.error(&error))
    }

    fn insert(&self, sql: &str, values: impl Params) -> Result<u64, StoreError> {
        let run = || -> rusqlite::Result<i64> {
            self.connection.prepare_cached(sql)?.execute(values)?;
            Ok(self.connection.last_insert_rowid())
        };
        let seq = run().map_err(|error| self.error(&error))?;
        Ok(u64::try_from(seq).unwrap_or(0))
    }

    pub(super) fn select<R>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<R>,
    ) -> Result<Vec<R>, StoreError> {
        let run = || -> rusqlite::Result<Vec<R>> {
            self.connection.prepare_cached(sql)?.query_map(values, read)?.collect()
        };
        run().map_err(|error| self.error(&error))
    }
}

fn journal_row(row: &Row<'_>) -> rusqlite::Result<Numbered<JournalRecord>> {
    let record = JournalRecord {
        pair: row.get(1)?,
        at_ms: unsigned(row, 2)?,
        epoch: unsigned(row, 3)?,
        plan: row.get(4)?,
        kind: row.get(5)?,
        body: row.get(6)?,
    };
    Ok(Numbered { seq: unsigned(row, 0)?, record })
}

fn event_row(row: &Row<'_>) -> rusqlite::Result<Numbered<EventRecord>> {
    let record = EventRecord {
        pair: row.get(1)?,
        at_ms: unsigned(row, 2)?,
        severity: row.get(3)?,
        kind: row.get(4)?,
        rule: row.get(5)?,
        plan: row.get(6)?,
        step: row.get(7)?,
        host: row.get(8)?,
        body: row.get(9)?,
    };
    Ok(Numbered { seq: unsigned(row, 0)?, record })
}

/// SQLite counts with a sign; what does not fit would come back as another number.
pub(super) fn stored(number: u64) -> Result<i64, StoreError> {
    let why = || StoreError::BadRecord { why: format!("{number} is too large") };
    i64::try_from(number).map_err(|_| why())
}

fn bounded(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}
