//! A real PostgreSQL server with a data directory, port and socket directory of its own.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::User;
use observer_world::postgres::{Database, DatabaseTarget, Door};
use observer_world::ssh::Ssh;
use tempfile::TempDir;

use super::{descendants, free_port, needed, run, signal, wait_until};

/// The role of the observer: `pg_monitor` and nothing else that matters.
pub const ROLE: &str = "ha_observer";

pub struct Cluster {
    pub port: u16,
    pub dir: TempDir,
    server: Option<Child>,
}

impl Cluster {
    /// A running primary with the observer's role and database.
    pub fn start() -> Self {
        Self::start_with("")
    }

    pub fn start_with(settings: &str) -> Self {
        let mut cluster = Self::empty();
        let mut init = program("initdb");
        init.args(["-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8", "-D"]);
        run(as_postgres(&mut init).arg(cluster.data()));
        cluster.configure(settings);
        cluster.run();
        for sql in [
            "create role ha_observer login in role pg_monitor",
            "create database ha_observer owner ha_observer",
        ] {
            run(&mut cluster.psql("postgres", sql));
        }
        cluster
    }

    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        run(Command::new("chown").arg("postgres").arg(dir.path()));
        run(Command::new("chmod").arg("0711").arg(dir.path()));
        Self { port: free_port(), dir, server: None }
    }

    /// A copy of `primary` that follows it, not started yet. `backup` are further arguments of
    /// `pg_basebackup`.
    pub fn copy_of(primary: &Self, backup: &[&str]) -> Self {
        let copy = Self::empty();
        let mut backing_up = program("pg_basebackup");
        backing_up.args(["-R", "-c", "fast", "--no-sync", "-U", "postgres", "-h"]);
        backing_up.arg(primary.dir.path()).arg("-p").arg(primary.port.to_string());
        run(as_postgres(&mut backing_up).args(backup).arg("-D").arg(copy.data()));
        copy.configure("");
        copy
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn socket(&self) -> String {
        format!("{}/.s.PGSQL.{}", self.dir.path().display(), self.port)
    }

    /// Appends the test's own settings; the last one of a name counts.
    pub fn configure(&self, settings: &str) {
        let path = self.data().join("postgresql.conf");
        let lines = format!(
            "\nport = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n\
             fsync = off\nshared_buffers = 16MB\nlogging_collector = off\n{settings}\n",
            self.port,
            self.dir.path().display(),
        );
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, before + &lines).unwrap();
    }

    /// Starts the server and waits until it lets clients in.
    pub fn run(&mut self) {
        self.launch();
        wait_until("PostgreSQL is ready", Duration::from_secs(30), || {
            let mut ready = program("pg_isready");
            ready.arg("-q").arg("-h").arg(self.dir.path()).arg("-p").arg(self.port.to_string());
            ready.status().unwrap().success()
        });
    }

    /// Starts the server and does not wait.
    pub fn launch(&mut self) {
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        let mut server = program("postgres");
        server.arg("-D").arg(self.data()).stdin(Stdio::null()).stderr(log);
        self.server = Some(as_postgres(&mut server).spawn().unwrap());
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.server.as_ref().unwrap().id()).unwrap()
    }

    /// The process of this server whose title holds `title`.
    pub fn process(&self, title: &str) -> i32 {
        let named = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(title)
        };
        let mut found = None;
        wait_until(title, Duration::from_secs(10), || {
            found = descendants(self.pid()).into_iter().find(named);
            found.is_some()
        });
        found.unwrap()
    }

    /// Ends the postmaster at once and without a word; its children notice and follow.
    pub fn kill(&mut self) {
        let children = descendants(self.pid());
        signal(self.pid(), Signal::SIGKILL);
        let _ = self.server.take().unwrap().wait();
        for pid in children {
            signal(pid, Signal::SIGCONT);
            wait_until("a child follows its postmaster", Duration::from_secs(10), || {
                !Path::new(&format!("/proc/{pid}/stat")).exists()
            });
        }
    }

    /// A fast, clean stop.
    pub fn stop(&mut self) {
        signal(self.pid(), Signal::SIGINT);
        self.server.take().unwrap().wait().unwrap();
    }

    /// Runs SQL as the superuser in the observer's database and gives back the plain output.
    pub fn sql(&self, sql: &str) -> String {
        let output = run(&mut self.psql("ha_observer", sql));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `psql` as the superuser for one piece of SQL.
    pub fn psql(&self, database: &str, sql: &str) -> Command {
        let mut psql = program("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"]);
        psql.arg(self.dir.path()).arg("-p").arg(self.port.to_string()).arg("-c").arg(sql);
        psql
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub fn database(&self, ssh: &Ssh) -> Database {
        self.database_for(ssh, ROLE)
    }

    pub fn database_for(&self, ssh: &Ssh, user: &str) -> Database {
        Database::new(DatabaseTarget {
            door: Door::Socket { ssh: ssh.clone(), path: self.socket() },
            user: user.to_owned(),
            database: "ha_observer".to_owned(),
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = i32::try_from(server.id()).unwrap();
            let children = descendants(pid);
            // A stopped process would not hear the others.
            signal(pid, Signal::SIGCONT);
            signal(pid, Signal::SIGKILL);
            children.iter().for_each(|&child| signal(child, Signal::SIGKILL));
            let _ = server.wait();
        }
    }
}

fn program(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin")).max();
    let bin = newest.unwrap_or_else(|| PathBuf::from("/usr/lib/postgresql"));
    Command::new(needed(&bin.join(name), "postgresql"))
}

fn as_postgres(command: &mut Command) -> &mut Command {
    let account = User::from_name("postgres").unwrap().expect("the package made the account");
    command.uid(account.uid.as_raw()).gid(account.gid.as_raw()).current_dir("/")
}
