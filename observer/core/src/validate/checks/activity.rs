//! What is under way on the master that a planned change would break or wait for.

use super::{ALL, SWITCHOVER};
use crate::validate::{Check, Examine, Examined, Inputs, Outcome, Severity};
use crate::words::HostName;

/// Finished log files that may wait for the archive: one or two do at any time.
const WAITING_FILES_MAX: u64 = 8;

/// A transaction that is open for so long is not about to end by itself.
const LONG_TRANSACTION_S: u64 = 5;

pub(super) const LONG_TRANSACTION: Check = Check {
    id: "long-transaction",
    title: "no transaction is open for long",
    severity: Severity::Warning,
    readies: SWITCHOVER,
    why: "a clean stop of the master ends every transaction that is still open",
    after: "its work is rolled back, and whoever started it sees an error",
    fix: "wait for its end, or end it: `select pg_terminate_backend(PID)`",
    examine: Examine::Master(long_transaction),
};

fn long_transaction(inputs: &Inputs<'_>, master: &HostName) -> Examined {
    let all = inputs.database(master)?.open_transactions.iter();
    let mut open: Vec<_> = all.filter(|open| open.age_s >= LONG_TRANSACTION_S).collect();
    open.sort_by_key(|open| std::cmp::Reverse(open.age_s));
    let Some(oldest) = open.first() else {
        return Outcome::passed(format!("none for {LONG_TRANSACTION_S} s"));
    };
    let evidence = format!(
        "{} open, the oldest for {} s: process {} of role {}, {}",
        open.len(),
        oldest.age_s,
        oldest.pid,
        oldest.user,
        oldest.state
    );
    let fix = format!(
        "wait for its end, or end it on {master}: `select pg_terminate_backend({})`",
        oldest.pid
    );
    Outcome::failed_with_fix(evidence, fix)
}

pub(super) const BASE_BACKUP: Check = Check {
    id: "base-backup",
    title: "no base backup is under way",
    severity: Severity::Warning,
    readies: SWITCHOVER,
    why: "stopping the master ends the backup",
    after: "the backup is worthless and has to be made anew",
    fix: "wait for its end: `select * from pg_stat_progress_basebackup`",
    examine: Examine::Master(base_backup),
};

fn base_backup(inputs: &Inputs<'_>, master: &HostName) -> Examined {
    match inputs.database(master)?.base_backups {
        0 => Outcome::passed("none is"),
        count => Outcome::failed(format!("{count} under way on {master}")),
    }
}

pub(super) const ARCHIVING: Check = Check {
    id: "archiving",
    title: "archiving keeps up, if it is on",
    severity: Severity::Warning,
    readies: ALL,
    why: "log that is not archived fills the disk, and a stop waits for the archiver",
    after: "the archive has a gap at the change of master",
    fix: "read PostgreSQL's log for what archive_command says",
    examine: Examine::Master(archiving),
};

fn archiving(inputs: &Inputs<'_>, master: &HostName) -> Examined {
    let Some(archiving) = &inputs.database(master)?.archiving else {
        return Outcome::passed("archiving is off");
    };
    let waiting = archiving.waiting_files;
    let shown = waiting.map_or_else(|| "?".to_owned(), |files| files.to_string());
    if archiving.last_failed {
        return Outcome::failed(format!("the last try failed; {shown} files wait"));
    }
    if waiting.is_some_and(|files| files > WAITING_FILES_MAX) {
        return Outcome::failed(format!("{shown} files wait for the archive"));
    }
    Outcome::passed(format!("{shown} files wait"))
}
