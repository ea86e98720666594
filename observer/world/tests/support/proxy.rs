//! A real HAProxy in master-worker mode, with two backends of a pair and a file of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{descendants, free_port, needed, signal, wait_until};

/// The addresses of the pair's hosts, all on loopback.
pub const NODE_A: &str = "127.0.0.11";
pub const NODE_B: &str = "127.0.0.12";

pub struct Haproxy {
    pub dir: TempDir,
    pub port: u16,
    process: Option<Child>,
    nodes: [Node; 2],
    /// More options of its command line.
    options: Vec<String>,
}

/// A TCP server that says its name to whoever connects, and keeps the connection until its client
/// leaves; or for good, when it is made deaf.
struct Node {
    deaf: Arc<AtomicBool>,
}

impl Haproxy {
    /// A proxy that lets users in to node-a, and node-b is `disabled`.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, service) = (free_port(), free_port());
        let nodes = [Node::start(NODE_A, service), Node::start(NODE_B, service)];
        let mut haproxy = Self { dir, port, process: None, nodes, options: Vec::new() };
        let text = format!(
            "# Kept to the byte.\n\
             global\n    \
             stats socket {dir}/admin.sock mode 600 level admin expose-fd listeners\n    \
             hard-stop-after 20s\n\
             defaults\n    mode tcp\n    timeout connect 500ms\n    timeout client 60s\n    \
             timeout server 60s\n\
             frontend app_in\n    bind 127.0.0.1:{port}\n    default_backend app\n\
             backend app\n    server node-a  {NODE_A}:{service} check inter 100ms\n    \
             server node-b  {NODE_B}:{service} check inter 100ms disabled # the slave\n    \
             server hold 127.0.0.1:1 backup\n\
             backend other\n    server node-a {NODE_A}:{service}\n    \
             server node-b {NODE_B}:{service} disabled\n    server far 127.0.0.99:9\n",
            dir = haproxy.dir.path().display(),
        );
        fs::write(haproxy.config(), text).unwrap();
        haproxy.run();
        haproxy
    }

    /// What a person types into its runtime socket.
    pub fn order(&self, line: &str) {
        let mut stream = UnixStream::connect(self.path("admin.sock")).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert_eq!(said.trim(), "", "{line}");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("haproxy.cfg")
    }

    /// The same behind two files: `global` and `defaults` in one, the pair in the other.
    pub fn start_split() -> Self {
        let mut haproxy = Self::start();
        haproxy.kill();
        let whole = haproxy.file();
        let (base, rest) = whole.split_once("frontend app_in").unwrap();
        fs::write(haproxy.path("base.cfg"), base).unwrap();
        fs::write(haproxy.config(), format!("frontend app_in{rest}")).unwrap();
        haproxy.run();
        haproxy
    }

    /// The same, started with more options.
    pub fn start_split_with(options: impl Fn(&Path) -> Vec<String>) -> Self {
        let mut haproxy = Self::start_split();
        haproxy.kill();
        haproxy.options = options(haproxy.dir.path());
        haproxy.run();
        haproxy
    }

    /// What it loads, in order.
    pub fn loads(&self) -> Vec<PathBuf> {
        let base = self.path("base.cfg");
        let base = Some(base).filter(|base| base.exists());
        base.into_iter().chain([self.config()]).collect()
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    pub fn file(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    pub fn run(&mut self) {
        let program = needed(Path::new("/usr/sbin/haproxy"), "haproxy");
        let log = fs::File::create(self.path("log")).unwrap();
        let process = Command::new(program)
            .arg("-W")
            .arg("-S")
            .arg(self.path("master.sock"))
            .args(&self.options)
            .args(self.loads().iter().flat_map(|file| [Path::new("-f"), file]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let socket = self.path("admin.sock");
        wait_until("HAProxy answers", Duration::from_secs(10), || {
            UnixStream::connect(&socket).is_ok()
        });
    }

    /// Ends master and workers at once.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let master = i32::try_from(process.id()).unwrap();
        let workers = descendants(master);
        signal(master, Signal::SIGKILL);
        for worker in workers {
            signal(worker, Signal::SIGKILL);
        }
        let _ = process.wait();
    }

    /// From now on its nodes answer nothing, not even the end of a connection.
    pub fn deafen_nodes(&self) {
        self.nodes.iter().for_each(|node| node.deaf.store(true, Ordering::SeqCst));
    }

    /// Its sessions, as its own socket tells them.
    pub fn sessions(&self) -> Vec<haproxy::runtime::Session> {
        let mut socket = UnixStream::connect(self.path("admin.sock")).unwrap();
        socket.write_all(b"show sess\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        haproxy::runtime::Session::parse(&answer).unwrap()
    }

    /// Opens a session as a user does, and says which node answered; none while nobody does.
    pub fn visit(&self) -> Option<(TcpStream, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut name = [0; NODE_A.len()];
        stream.read_exact(&mut name).ok()?;
        Some((stream, String::from_utf8(name.to_vec()).unwrap()))
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    fn start(address: &'static str, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).unwrap();
        // The thread ends with the test's process; health checks open and close at once.
        let deaf = Arc::new(AtomicBool::new(false));
        let is_deaf = deaf.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let is_deaf = is_deaf.clone();
                std::thread::spawn(move || {
                    let _ = stream.write_all(address.as_bytes());
                    let _ = stream.read(&mut [0; 64]);
                    while is_deaf.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
            }
        });
        Self { deaf }
    }
}

/// Whether a session was ended by the other side.
pub fn is_ended(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}
