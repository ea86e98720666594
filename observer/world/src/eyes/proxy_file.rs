//! Looks at a proxy's haproxy.cfg: which servers of the pair it would let in at the next start.
//!
//! An unchanged file is not fetched again. It is known by device, inode, size and both its
//! times to the nanosecond: the time of the last change of the inode cannot be set back by hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haproxy::{Document, Members, State, pointed_at};
use observer_core::sighting::{Admission, FileServer, ProxyFileReport, Seen, Silent};
use observer_core::words::HostName;

use super::{proxy, silence};
use crate::access::ProxyServer;
use crate::commands::Privileged;
use crate::pair_world::{Inner, Proxy};
use crate::ssh::{Command, Ending, SshError};
use crate::text::shown;

/// What is remembered of a proxy's file between two looks.
#[derive(Default)]
pub(crate) struct FileCache(Mutex<Option<Cached>>);

#[derive(Clone)]
struct Cached {
    stamp: String,
    bytes: Arc<Vec<u8>>,
}

/// The largest file that is read. Real ones reach some megabytes.
pub(crate) const FILE_MAX: usize = 16 << 20;

/// Prints the file's stamp, and the file unless its stamp is `$2`; then the stamp once more, so
/// that a file which changes under our eyes is not taken for either.
const SCRIPT: &str = r#"
stamp() { stat -L -c '%d %i %s %.9Y %.9Z' -- "$1"; }
was=$(stamp "$1") || { echo '=== ha-observer absent'; exit 0; }
echo "=== ha-observer stamp $was"
if [ "$was" = "$2" ]; then echo '=== ha-observer same'; exit 0; fi
if [ ! -r "$1" ]; then echo '=== ha-observer unreadable'; exit 0; fi
echo '=== ha-observer file'
cat -- "$1"
printf '=== ha-observer stamp %s\n=== ha-observer end\n' "$(stamp "$1")"
"#;

impl FileCache {
    /// The file as it was last read.
    pub(crate) fn bytes(&self) -> Option<Arc<Vec<u8>>> {
        self.lock().as_ref().map(|cached| cached.bytes.clone())
    }

    /// The servers of the pair as the file names them; none where it was not read, or is unclear.
    pub(crate) fn servers(&self, world: &Inner, proxy: &Proxy) -> Vec<ProxyServer> {
        let Some(bytes) = self.bytes() else { return Vec::new() };
        let pointed = pointed_at(&Document::parse(&bytes), &members(world, proxy));
        let server = |pointed: haproxy::Pointed| ProxyServer {
            backend: pointed.backend,
            server: pointed.server,
            host: HostName::new(&pointed.host),
        };
        pointed.map(|all| all.into_iter().map(server).collect()).unwrap_or_default()
    }

    fn stamp(&self) -> String {
        self.lock().as_ref().map(|cached| cached.stamp.clone()).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Cached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which servers of a file belong to which host.
pub(crate) fn members(world: &Inner, proxy: &Proxy) -> Members {
    let add = |members: Members, known: &ProxyServer| {
        members.with_server(&known.backend, &known.server, known.host.as_str())
    };
    let members = match proxy.access.servers.as_slice() {
        [] => members_by_address(world),
        named => named.iter().fold(Members::default(), add),
    };
    proxy.access.every_host.iter().fold(members, Members::with_shared_backend)
}

/// The same, by the hosts' addresses alone.
pub(crate) fn members_by_address(world: &Inner) -> Members {
    let hosts = proxy::addresses(world);
    let named = hosts.into_iter().map(|(host, own)| (host.as_str().to_owned(), own));
    Members::by_address(named.collect())
}

pub(super) async fn look(world: &Inner, proxy: &Proxy, deadline: Duration) -> Result<Seen, Silent> {
    let bytes = read(proxy, deadline).await?;
    report(world, proxy, &Document::parse(&bytes)).map(Seen::ProxyFile)
}

/// What a file's content would do at the next start.
pub(crate) fn report(
    world: &Inner,
    proxy: &Proxy,
    document: &Document,
) -> Result<ProxyFileReport, Silent> {
    let refused = |text: String| Silent::Garbage(format!("haproxy.cfg: {text}"));
    let pointed = pointed_at(document, &members(world, proxy));
    let mut servers = Vec::new();
    for pointed in pointed.map_err(|refusal| refused(refusal.to_string()))? {
        let admission = match pointed.state {
            State::Enabled => Admission::LetIn,
            State::Disabled => Admission::TakenOut,
            State::Unclear(why) => {
                return Err(refused(format!("line {}: {why}", pointed.line)));
            }
        };
        let host = HostName::new(&pointed.host);
        let (backend, server) = (pointed.backend, pointed.server);
        let users = proxy.users_of(&backend);
        servers.push(FileServer { backend, server, host, users, admission });
    }
    Ok(ProxyFileReport { servers })
}

/// The file's content now, from memory if it did not change.
pub(crate) async fn read(proxy: &Proxy, deadline: Duration) -> Result<Arc<Vec<u8>>, Silent> {
    let until = tokio::time::Instant::now() + deadline;
    let script = Command::new("/bin/sh").arg("-c").arg(SCRIPT).arg("sh");
    let command = script.arg(&proxy.commands.config).arg(proxy.file.stamp());
    let output = proxy.ssh.exec(&command, "", deadline, FILE_MAX + 4096).await;
    let output = output.map_err(silence::of_command)?;
    if output.truncated {
        return Err(Silent::Garbage("haproxy.cfg is far too long".to_owned()));
    }
    let said = Said::parse(&output.stdout);
    let garbage = || Silent::Garbage(shown(&[&output.stdout[..], &output.stderr].concat()));
    let (stamp, bytes) = match said.ok_or_else(garbage)? {
        Said::Same => return proxy.file.bytes().ok_or_else(garbage),
        Said::Absent => {
            let text = format!("{} is not there", proxy.commands.config);
            return Err(Silent::Denied(text));
        }
        Said::File { stamp, bytes } => (stamp, bytes),
        Said::Unreadable { stamp } => {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            (stamp, read_as_root(proxy, left).await?)
        }
    };
    let bytes = Arc::new(bytes);
    *proxy.file.lock() = Some(Cached { stamp, bytes: bytes.clone() });
    Ok(bytes)
}

/// The file's content now, read through sudo and never from memory.
pub(crate) async fn read_as_root(proxy: &Proxy, deadline: Duration) -> Result<Vec<u8>, Silent> {
    read_by(proxy, &proxy.commands.read, deadline).await
}

/// A file's content, read by one of the proxy's own commands.
pub(crate) async fn read_by(
    proxy: &Proxy,
    command: &Privileged,
    deadline: Duration,
) -> Result<Vec<u8>, Silent> {
    let output = proxy.ssh.exec(&command.command(), "", deadline, FILE_MAX).await;
    let output = output.map_err(|error: SshError| silence::of_command(error))?;
    if output.ending == Ending::Exited(0) && !output.truncated {
        return Ok(output.stdout);
    }
    let (name, user) = (proxy.access.name.as_str(), proxy.access.ssh.user.as_str());
    let advice = crate::sudo::obstacle(&output.stderr, name, user).map(|found| found.advice);
    Err(Silent::Denied(advice.unwrap_or_else(|| shown(&output.stderr))))
}

/// What the script printed.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Same,
    Absent,
    Unreadable { stamp: String },
    File { stamp: String, bytes: Vec<u8> },
}

impl Said {
    /// Reads it; none where it is not understood or the file changed while it was read.
    fn parse(stdout: &[u8]) -> Option<Said> {
        let mark = b"=== ha-observer ";
        let begin = stdout.windows(mark.len()).position(|window| window == mark)?;
        let rest = &stdout[begin + mark.len()..];
        if rest.starts_with(b"absent\n") {
            return Some(Said::Absent);
        }
        let (stamp, rest) = line(rest.strip_prefix(b"stamp ")?)?;
        match rest.strip_prefix(mark)? {
            b"same\n" => Some(Said::Same),
            b"unreadable\n" => Some(Said::Unreadable { stamp }),
            rest => {
                let rest = rest.strip_prefix(b"file\n")?;
                let tail = format!("=== ha-observer stamp {stamp}\n=== ha-observer end\n");
                let bytes = rest.strip_suffix(tail.as_bytes())?.to_vec();
                Some(Said::File { stamp, bytes })
            }
        }
    }
}

fn line(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    Some((String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_stands_between_its_stamps_whatever_is_in_it() {
        let said = |text: &str| Said::parse(text.as_bytes());
        let file = |bytes: &str| {
            let (stamp, bytes) = ("1 2 3".to_owned(), bytes.as_bytes().to_vec());
            Some(Said::File { stamp, bytes })
        };
        let whole = |content: &str| {
            format!(
                "** banner **\n=== ha-observer stamp 1 2 3\n=== ha-observer file\n{content}\
                 === ha-observer stamp 1 2 3\n=== ha-observer end\n"
            )
        };
        assert_eq!(said(&whole("global\n")), file("global\n"));
        assert_eq!(said(&whole("no line end")), file("no line end"));
        let nasty = "=== ha-observer end\n=== ha-observer file\n";
        assert_eq!(said(&whole(nasty)), file(nasty));
        assert_eq!(said("=== ha-observer stamp 1\n=== ha-observer same\n"), Some(Said::Same));
        assert_eq!(said("=== ha-observer absent\n"), Some(Said::Absent));
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_taken() {
        let text = "=== ha-observer stamp 1 2 3\n=== ha-observer file\nglobal\n\
                    === ha-observer stamp 1 2 4\n=== ha-observer end\n";
        assert_eq!(Said::parse(text.as_bytes()), None);
        assert_eq!(Said::parse(b"=== ha-observer stamp 1 2 3\n=== ha-observer file\nglo"), None);
        assert_eq!(Said::parse(b""), None);
    }
}
