//! A real OpenSSH server on loopback with keys, configuration and directory of its own.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::User;
use observer_world::ssh::{HostKey, Ssh, SshTarget, SshTiming};
use tempfile::TempDir;

use super::{descendants, free_port, needed, run, signal, wait_until};

pub struct Sshd {
    pub port: u16,
    pub dir: TempDir,
    user: String,
    server: Option<Child>,
}

impl Sshd {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a server with further lines of `sshd_config`.
    pub fn start_with(extra: &str) -> Self {
        Self::start_as("root", extra)
    }

    /// Starts a server that runs as `user`, which is then the only one who can log in. Works for
    /// accounts that are locked, too.
    pub fn start_as(user: &str, extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut sshd = Self { port: free_port(), dir, user: user.to_owned(), server: None };
        make_key(&sshd.path("host"));
        make_key(&sshd.path("client"));
        // A home of its own: what the account's shell runs at each start is no part of a test. Of
        // several lines of this kind sshd takes the first.
        let home = format!("SetEnv HOME={}", sshd.dir.path().display());
        let extra = match extra.strip_prefix("SetEnv ") {
            Some(more) => format!("{home} {more}"),
            None => format!("{home}\n{extra}"),
        };
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             AuthorizedKeysFile {client}.pub\nPermitRootLogin prohibit-password\n{extra}\n",
            port = sshd.port,
            host = sshd.path("host").display(),
            client = sshd.path("client").display(),
        );
        fs::write(sshd.path("config"), config).unwrap();
        run(Command::new("chown").arg("-R").arg(user).arg(sshd.dir.path()));
        sshd.run();
        sshd
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the server again on the same port.
    pub fn run(&mut self) {
        fs::create_dir_all("/run/sshd").unwrap();
        let program = needed(Path::new("/usr/sbin/sshd"), "openssh-server");
        let log = fs::File::create(self.path("log")).unwrap();
        let account = User::from_name(&self.user).unwrap().expect("the account exists");
        let server = Command::new(program)
            .uid(account.uid.as_raw())
            .gid(account.gid.as_raw())
            .args(["-D", "-e", "-f"])
            .arg(self.path("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        wait_until("sshd listens", Duration::from_secs(10), || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.server.as_ref().unwrap().id()).unwrap()
    }

    /// Ends the sessions and not the listener: what a reset of the network looks like.
    pub fn cut_sessions(&self) {
        for pid in descendants(self.pid()) {
            signal(pid, Signal::SIGKILL);
        }
    }

    /// Ends listener and sessions: what a crash of the host looks like.
    pub fn stop(&mut self) {
        if self.server.is_none() {
            return;
        }
        let pids = descendants(self.pid());
        signal(self.pid(), Signal::SIGKILL);
        for pid in pids {
            signal(pid, Signal::SIGKILL);
        }
        let _ = self.server.take().unwrap().wait();
    }

    /// Replaces the host key, as a reinstalled or an impersonated host would show it.
    pub fn change_host_key(&mut self) {
        self.stop();
        fs::remove_file(self.path("host")).unwrap();
        fs::remove_file(self.path("host.pub")).unwrap();
        make_key(&self.path("host"));
        self.run();
    }

    pub fn host_key(&self) -> HostKey {
        fs::read_to_string(self.path("host.pub")).unwrap().parse().unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub fn target(&self) -> SshTarget {
        SshTarget {
            host_label: "node-a".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: self.port,
            user: self.user.clone(),
            key_path: self.path("client"),
            pinned: vec![self.host_key()],
            // The machine that runs the tests may be busy; no test waits for this to pass.
            timing: SshTiming { connect: Duration::from_secs(10), ..SshTiming::default() },
        }
    }

    pub fn ssh(&self) -> Ssh {
        Ssh::new(self.target())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn make_key(path: &Path) {
    needed(Path::new("/usr/bin/ssh-keygen"), "openssh-client");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path));
}
