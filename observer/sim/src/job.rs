//! What takes its time on a simulated host: rewinding and cloning.

use observer_core::words::{At, HostName};

use crate::machine::{Job, Machine, Postmaster, Task};
use crate::world::World;

/// How long a simulated rewind and a simulated clone take, in milliseconds.
const REWIND_MS: u64 = 1_500;
const CLONE_MS: u64 = 6_000;

impl Machine {
    /// Begins a job, unless the same one runs already.
    pub fn begin(&mut self, task: Task, now: At) {
        if !self.is_up() || matches!(&self.job, Job::Running(running, _) if *running == task) {
            return;
        }
        let takes_ms = match task {
            Task::Rewind(_) => REWIND_MS,
            Task::Clone(_) => CLONE_MS,
        };
        self.job = Job::Running(task, now.plus(takes_ms));
    }
}

impl World {
    /// Ends the jobs whose time has come.
    pub(crate) fn end_jobs(&mut self, now: At) {
        for host in self.spec.hosts.clone() {
            let Job::Running(task, until) = self.machine(&host).job.clone() else { continue };
            if until > now {
                continue;
            }
            let result = match &task {
                Task::Rewind(source) => self.rewind(&host, source),
                Task::Clone(source) => self.clone_database(&host, source, now),
            };
            self.machine_mut(&host).job = match result {
                Ok(()) => Job::Done(task),
                Err(why) => Job::Failed(task, why),
            };
        }
    }

    /// Whether the database of `host` can be read from another host's.
    fn lets_read(&self, host: &HostName, source: &HostName) -> Result<(), &'static str> {
        let machine = self.machine(source);
        if !machine.is_up() || !self.network.passes(host.as_str(), source.as_str()) {
            return Err("could not connect to server");
        }
        if machine.database.postmaster != Postmaster::Running || machine.database.in_recovery {
            return Err("the source is no running primary");
        }
        if self.machine(host).database.locked_out {
            return Err("password authentication failed");
        }
        Ok(())
    }

    fn rewind(&mut self, host: &HostName, source: &HostName) -> Result<(), &'static str> {
        self.lets_read(host, source)?;
        let of_source = &self.machine(source).database;
        let rows = of_source.rows.clone();
        let timeline = of_source.timeline;
        let machine = self.machine_mut(host);
        let database = &mut machine.database;
        if matches!(database.postmaster, Postmaster::Running | Postmaster::Starting(_)) {
            return Err("target server must be shut down cleanly");
        }
        if database.log_gone {
            return Err("could not find previous WAL record");
        }
        if database.timeline == timeline {
            // pg_rewind goes by the number, finds nothing to do, and says that all is well.
            return Ok(());
        }
        let common = database.rows.iter().zip(&rows).take_while(|(a, b)| a == b).count();
        database.rows.truncate(common);
        database.rewound = true;
        // The source's files come along: it is no standby, and follows nobody.
        database.upstream = None;
        machine.tombstone = false;
        Ok(())
    }

    fn clone_database(
        &mut self,
        host: &HostName,
        source: &HostName,
        now: At,
    ) -> Result<(), &'static str> {
        self.lets_read(host, source)?;
        if !self.machine(source).database.slots.contains(host) {
            return Err("replication slot does not exist");
        }
        let (rows, timeline, history) = {
            let database = &self.machine(source).database;
            (database.rows.clone(), database.timeline, database.history.clone())
        };
        let machine = self.machine_mut(host);
        machine.end_database(Postmaster::Stopped);
        if machine.database.postmaster == Postmaster::NeverStarted {
            machine.database.postmaster = Postmaster::Stopped;
        }
        let database = &mut machine.database;
        database.rows = rows;
        database.timeline = timeline;
        database.history = history;
        database.log_gone = false;
        database.slots.clear();
        database.waits_for = None;
        database.upstream = Some(source.clone());
        machine.tombstone = true;
        machine.start_database(now);
        Ok(())
    }
}
