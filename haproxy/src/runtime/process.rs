//! The master socket: `show proc` and `reload`, and the proof that a reload took place.

use super::answer::{CliError, error_of};

/// The answer to `show proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTable {
    /// The master.
    pub master: Process,
    /// Reloads that failed since the master started; before 2.5 none is told.
    pub failed_reloads: Option<u32>,
    /// The workers that serve new connections; normally one.
    pub workers: Vec<Process>,
    /// Workers that a reload has replaced and that finish what they have.
    pub old_workers: Vec<Process>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Reloads it has lived through.
    pub reloads: u32,
    /// Seconds since it started.
    pub uptime_s: Option<u64>,
    /// Its version as text.
    pub version: String,
}

/// The answer to `reload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// The version does not say; compare `show proc` before and after.
    Silent,
    /// The new worker is up; what HAProxy logged while loading.
    Succeeded(String),
    /// The old worker goes on; what HAProxy logged while loading.
    Failed(String),
}

/// What two process tables, before and after a reload, prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadProof {
    /// A worker that was not there before serves now.
    NewWorker {
        /// Its process id.
        pid: u32,
    },
    /// The master tried and failed; the old worker goes on serving.
    Failed,
    /// Nothing has happened yet.
    NotYet,
    /// The master itself is another one: HAProxy was restarted.
    Restarted,
}

impl ProcessTable {
    /// Reads the answer to `show proc`.
    pub fn parse(answer: &str) -> Result<ProcessTable, CliError> {
        let mut lines = answer.trim_start().lines();
        let header = lines.next().unwrap_or_default();
        if !header.starts_with("#<PID>") {
            return Err(error_of(answer));
        }
        let columns: Vec<&str> =
            header.split('<').skip(1).filter_map(|c| c.split('>').next()).collect();
        let (mut masters, mut workers, mut old_workers) = (Vec::new(), Vec::new(), Vec::new());
        let mut failed_reloads = None;
        let mut group = "master";
        for line in lines {
            if let Some(name) = line.strip_prefix('#') {
                group = name.trim();
                continue;
            }
            let Some(process) = Process::parse(&columns, line) else { continue };
            match group {
                "master" => {
                    failed_reloads = failed_count(line);
                    masters.push(process);
                }
                "workers" => workers.push(process),
                "old workers" => old_workers.push(process),
                // Programs are not HAProxy's own processes.
                _ => {}
            }
        }
        let master = masters.into_iter().next().ok_or_else(|| error_of(answer))?;
        Ok(ProcessTable { master, failed_reloads, workers, old_workers })
    }

    /// What happened between `self` and `after`.
    pub fn proof(&self, after: &ProcessTable) -> ReloadProof {
        if after.master.pid != self.master.pid {
            return ReloadProof::Restarted;
        }
        let was_there = |pid: u32| self.workers.iter().any(|worker| worker.pid == pid);
        if let Some(new) = after.workers.iter().find(|worker| !was_there(worker.pid)) {
            return ReloadProof::NewWorker { pid: new.pid };
        }
        // Where failures are not counted, a master that reloaded and made no worker has failed.
        let uncounted =
            after.failed_reloads.is_none() && after.master.reloads > self.master.reloads;
        if after.failed_reloads > self.failed_reloads || uncounted {
            return ReloadProof::Failed;
        }
        ReloadProof::NotYet
    }
}

impl Process {
    fn parse(columns: &[&str], line: &str) -> Option<Process> {
        // The master's failed reloads stand between two columns; an old worker's number of before
        // 2.5 (`[was: 1]`) stands in one.
        let line = match (line.find('['), line.find(']')) {
            (Some(open), Some(close)) if open < close => {
                let was = line[open..close].strip_prefix("[was:").unwrap_or_default();
                format!("{} {was} {}", &line[..open], &line[close + 1..])
            }
            _ => line.to_owned(),
        };
        let fields: Vec<&str> = line.split_whitespace().collect();
        let field = |name: &str| {
            let at = columns.iter().position(|column| *column == name)?;
            fields.get(at).copied()
        };
        Some(Process {
            pid: field("PID")?.parse().ok()?,
            reloads: field("reloads")?.parse().ok()?,
            uptime_s: field("uptime").and_then(seconds),
            version: field("version").unwrap_or_default().to_owned(),
        })
    }
}

impl Reload {
    /// Reads the answer to `reload`, which may be nothing at all.
    pub fn parse(answer: &str) -> Result<Reload, CliError> {
        let text = answer.trim();
        if text.is_empty() {
            return Ok(Reload::Silent);
        }
        let (first, log) = text.split_once('\n').unwrap_or((text, ""));
        let log = log.trim_start_matches("--\n").trim().to_owned();
        match first.trim() {
            "Success=1" => Ok(Reload::Succeeded(log)),
            "Success=0" => Ok(Reload::Failed(log)),
            _ => Err(error_of(text)),
        }
    }
}

/// Reads `[failed: 2]`.
fn failed_count(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("[failed: ")?;
    rest.split(']').next()?.trim().parse().ok()
}

/// Reads `1d02h03m04s`.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0u64;
    let mut rest = text;
    for (unit, factor) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        let (number, next) = rest.split_once(unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = next;
    }
    rest.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(reloads: u32, failed: u32, worker: u32) -> String {
        format!(
            "#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
             28040           master     {reloads} [failed: {failed}]   0d00h01m04s     2.6.12-1\n\
             # workers\n{worker}           worker     0               0d00h00m01s     2.6.12-1\n\
             # old workers\n27000           worker     1               1d02h03m04s     2.6.12-1\n\
             # programs\n\n"
        )
    }

    #[test]
    fn tables_of_2_6_are_read() {
        let table = ProcessTable::parse(&table(3, 1, 28043)).unwrap();
        assert_eq!((table.master.pid, table.master.reloads), (28040, 3));
        assert_eq!(table.failed_reloads, Some(1));
        assert_eq!(table.workers[0].pid, 28043);
        assert_eq!(table.old_workers[0].uptime_s, Some(93_784));
        assert_eq!(ProcessTable::parse("Unknown command.\n"), Err(CliError::UnknownCommand));
    }

    /// Before 2.5 the table has one more column and no count of failures.
    #[test]
    fn columns_are_found_by_name() {
        let old = "#<PID>  <type>  <relative PID>  <reloads>  <uptime>  <version>\n\
             10      master  0  2  0d00h00m09s  2.4.0\n# workers\n\
             11      worker  1  0  0d00h00m01s  2.4.0\n# old workers\n\
             9       worker  [was: 1]  1  0d00h00m03s  2.4.0\n";
        let table = ProcessTable::parse(old).unwrap();
        assert_eq!((table.master.reloads, table.failed_reloads), (2, None));
        assert_eq!(table.workers[0].reloads, 0);
        assert_eq!((table.old_workers[0].pid, table.old_workers[0].reloads), (9, 1));
    }

    #[test]
    fn a_reload_is_proven_by_what_changed() {
        let parse = |text: String| ProcessTable::parse(&text).unwrap();
        let before = parse(table(0, 0, 1));
        assert_eq!(before.proof(&before), ReloadProof::NotYet);
        assert_eq!(before.proof(&parse(table(1, 0, 2))), ReloadProof::NewWorker { pid: 2 });
        assert_eq!(before.proof(&parse(table(1, 1, 1))), ReloadProof::Failed);
        let restarted = parse(table(0, 0, 1).replace("28040", "28041"));
        assert_eq!(before.proof(&restarted), ReloadProof::Restarted);
    }

    #[test]
    fn reload_answers_of_all_versions_are_read() {
        assert_eq!(Reload::parse(""), Ok(Reload::Silent));
        assert_eq!(
            Reload::parse("Success=1\n--\n[NOTICE] ok\n"),
            Ok(Reload::Succeeded("[NOTICE] ok".into()))
        );
        assert_eq!(Reload::parse("Success=0\n--\nbad"), Ok(Reload::Failed("bad".into())));
        assert_eq!(Reload::parse("Permission denied\n"), Err(CliError::PermissionDenied));
    }
}
