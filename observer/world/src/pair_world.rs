//! One pair's hands and eyes: the one value through which the daemon looks and acts.
//!
//! It decides nothing. `eyes` answers looks, `hands` performs effects and looks for proofs; this
//! file holds the connections they share and the highest epoch that was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haproxy::Members;
use observer_core::drive::{Answer, Order, Reply};
use observer_core::files::PassOrder;
use observer_core::plan::{Effect, Proof, Sessions};
use observer_core::policy::{PairSpec, UsersGo};
use observer_core::sighting::{Look, Seen, Silent};
use observer_core::words::{BouncerName, Epoch, HostName, ProxyName};
use tokio::sync::{mpsc, watch};

use crate::access::{
    Alarm, BouncerAccess, CommandLine, Connection, ExternalAccess, FileSetAccess, HostAccess,
    PairAccess, ParityItem, ProxyAccess, ProxyServer, ReadinessProbe, WorldError,
};
use crate::commands::{self, HostCommands, ProxyCommands};
use crate::eyes::mounts::WATCHES;
use crate::eyes::{FileCache, Lineage, LittleRoom, RanInThisBoot, look};
use crate::hands::{self, Turns};
use crate::parity::Salt;
use crate::postgres::{Console, Database, DatabaseTarget, Door};
use crate::ssh::Ssh;

#[path = "proxy_files.rs"]
mod proxy_files;

pub use proxy_files::{Applied, ApplyStep, NewFile};

/// The hands and eyes of one pair. Clones share the connections.
#[derive(Clone)]
pub struct PairWorld {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) spec: PairSpec,
    pub(crate) external: Option<ExternalAccess>,
    pub(crate) hosts: BTreeMap<HostName, Host>,
    pub(crate) proxies: BTreeMap<ProxyName, Proxy>,
    pub(crate) bouncers: BTreeMap<BouncerName, Bouncer>,
    pub(crate) parity: Vec<ParityItem>,
    pub(crate) readiness: Vec<ReadinessProbe>,
    /// Where each file set is.
    pub(crate) files: Vec<FileSetAccess>,
    /// Held while a survey is under way.
    pub(crate) surveying: tokio::sync::Mutex<()>,
    /// Makes what a person confirmed recognisable; known to this process alone.
    pub(crate) seal: Salt,
    epoch: Arc<AtomicU64>,
    written: Mutex<Option<mpsc::UnboundedReceiver<WrittenFile>>>,
}

/// One host with its connections.
pub(crate) struct Host {
    pub(crate) access: HostAccess,
    pub(crate) ssh: Ssh,
    pub(crate) database: Database,
    pub(crate) commands: HostCommands,
    /// The drop-in that keeps its database from starting as a second master.
    pub(crate) guard: String,
    /// The script that prepares it to fetch file sets.
    files_setup: String,
    /// Held while a pass of files is being begun there.
    pub(crate) passing: tokio::sync::Mutex<()>,
    /// Of which a part is held while a mount is tried there.
    pub(crate) watching: tokio::sync::Semaphore,
    pub(crate) ran: RanInThisBoot,
    pub(crate) little_room: LittleRoom,
    pub(crate) lineage: Lineage,
    /// Transient units that were set going in this life of the observer.
    pub(crate) ordered: Mutex<BTreeSet<String>>,
}

/// One proxy with its connection.
pub(crate) struct Proxy {
    pub(crate) access: ProxyAccess,
    pub(crate) ssh: Ssh,
    pub(crate) commands: ProxyCommands,
    pub(crate) file: FileCache,
    /// The pair's servers as the running process last had them.
    pub(crate) seen_servers: Mutex<Vec<ProxyServer>>,
    /// The process that answered the last look, where it said so.
    pub(crate) seen_process: Mutex<Option<u32>>,
    /// Hosts of which sessions were ordered to end: they are out only once none of those is left.
    pub(crate) ending: Mutex<BTreeMap<HostName, Sessions>>,
    /// Keeps changes of the file that are loaded out of the way of plans.
    pub(crate) turns: Turns,
    /// Where every content that was put into the file is told.
    written: mpsc::UnboundedSender<WrittenFile>,
    epoch: Arc<AtomicU64>,
}

/// A content that took another's place in a proxy's file without being loaded: the running
/// process had been told already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// The proxy.
    pub proxy: ProxyName,
    /// The file.
    pub file: String,
    /// What was there.
    pub before: Vec<u8>,
    /// What is there.
    pub after: Vec<u8>,
    /// Why, as a person reads it.
    pub reason: String,
    /// The epoch it was written in.
    pub epoch: Epoch,
}

/// One PgBouncer with its connections.
pub(crate) struct Bouncer {
    pub(crate) access: BouncerAccess,
    pub(crate) ssh: Ssh,
    pub(crate) console: Console,
}

/// Alarms that nobody has taken yet; more than these say nothing new.
const ALARMS_MAX: usize = 64;

impl PairWorld {
    /// Makes the handles. Nothing is sent before the first look or order.
    pub fn connect(access: PairAccess) -> Result<Self, WorldError> {
        let PairAccess {
            spec,
            external,
            hosts,
            proxies,
            bouncers,
            files,
            mounts,
            parity,
            readiness,
        } = access;
        let mut known_hosts = BTreeMap::new();
        for host in &hosts {
            let others: Vec<&HostAccess> =
                hosts.iter().filter(|other| other.name != host.name).collect();
            let mut known = Host::new(host.clone(), &spec, &others, &proxies, &parity)?;
            known.commands = known.commands.fetching(host, &files, &others)?;
            known.commands = known.commands.asking(host, &readiness)?;
            known.commands = known.commands.trying(host, &spec.name, &mounts)?;
            known.files_setup = commands::files_setup(host, &files, &others)?;
            known_hosts.insert(host.name.clone(), known);
        }
        let mut known_proxies = BTreeMap::new();
        let epoch = Arc::new(AtomicU64::new(0));
        let (tell, written) = mpsc::unbounded_channel();
        for proxy in proxies {
            let known = Proxy::new(proxy, tell.clone(), epoch.clone())?;
            known_proxies.insert(known.access.name.clone(), known);
        }
        let mut known_bouncers = BTreeMap::new();
        for bouncer in bouncers {
            known_bouncers.insert(bouncer.name.clone(), Bouncer::new(bouncer)?);
        }
        same_names(&spec.hosts, &known_hosts)?;
        same_names(&spec.proxies, &known_proxies)?;
        same_names(&spec.bouncers, &known_bouncers)?;
        let (hosts, proxies, bouncers) = (known_hosts, known_proxies, known_bouncers);
        let written = Mutex::new(Some(written));
        let seal = Salt::new();
        let inner = Inner {
            spec,
            external,
            hosts,
            proxies,
            bouncers,
            parity,
            readiness,
            files,
            surveying: tokio::sync::Mutex::new(()),
            seal,
            epoch,
            written,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Answers one look, or says why there is no answer. Takes at most `deadline`.
    pub async fn look(&self, look_at: &Look, deadline: Duration) -> Result<Seen, Silent> {
        let looking = look(&self.inner, look_at, deadline);
        tokio::time::timeout(deadline, looking).await.unwrap_or(Err(Silent::Timeout))
    }

    /// Performs one effect. An order with an older epoch than was ever seen is refused.
    pub async fn perform(&self, order: &Order) -> Reply {
        if let Err(newer) = self.inner.admit(order.epoch) {
            return Reply::Refused(format!(
                "the order is of epoch {}, the pair is in epoch {newer}: another observer has \
                 acted, or this one has lost its journal",
                order.epoch
            ));
        }
        let deadline = Duration::from_millis(order.deadline_ms);
        let performing = hands::perform(&self.inner, order, deadline);
        tokio::time::timeout(deadline, performing).await.unwrap_or(Reply::NoReply)
    }

    /// Begins one pass of a file set, or says why it is not begun. An order with an older epoch
    /// than was ever seen is refused.
    pub async fn pass(&self, order: &PassOrder, deadline: Duration) -> Result<(), String> {
        if let Err(newer) = self.inner.admit(order.epoch) {
            return Err(format!("it is of epoch {}, the pair is in epoch {newer}", order.epoch));
        }
        let passing = tokio::time::timeout(deadline, hands::pass(&self.inner, order, deadline));
        match passing.await {
            Ok(done) => done.map_err(hands::Fault::words),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Looks for one proof. `epoch` is the one that a written row must carry.
    pub async fn prove(&self, proof: &Proof, epoch: Epoch, deadline: Duration) -> Answer {
        let proving = hands::prove(&self.inner, proof, epoch, deadline);
        let late = || Answer::Unknown(format!("no answer within {} ms", deadline.as_millis()));
        tokio::time::timeout(deadline, proving).await.unwrap_or_else(|_| late())
    }

    /// Makes a proxy load its file anew, proven by its processes. If that fails, the content that
    /// was kept at the last rewrite is put back and loaded; the error says what became of it.
    pub async fn reload(&self, proxy: &ProxyName, deadline: Duration) -> Result<String, String> {
        match self.inner.proxy(proxy) {
            Some(proxy) => hands::reload(proxy, deadline).await,
            None => Err(format!("{proxy} is no proxy of the pair")),
        }
    }

    /// Which servers of a proxy's file belong to which host; by the hosts' addresses where no proxy
    /// is named.
    pub fn members(&self, proxy: Option<&ProxyName>) -> Members {
        proxy_files::members_of(&self.inner, proxy)
    }

    /// Every content that plans put into the proxies' files, as it happens. There is one listener:
    /// none for whoever asks later.
    pub fn written(&self) -> Option<mpsc::UnboundedReceiver<WrittenFile>> {
        self.inner.written.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A channel that speaks up at once when an established connection breaks. Each call makes a
    /// new one; it ends when it is dropped. Needs a tokio runtime.
    pub fn alarms(&self) -> mpsc::Receiver<Alarm> {
        let (sender, receiver) = mpsc::channel(ALARMS_MAX);
        let watch_over = |deaths: watch::Receiver<u64>, host: &str, connection: Connection| {
            let alarm = Alarm { host: host.to_owned(), connection };
            tokio::spawn(forward(deaths, alarm, sender.clone()));
        };
        for (name, host) in &self.inner.hosts {
            watch_over(host.ssh.broken(), name.as_str(), Connection::Ssh);
            watch_over(host.database.broken(), name.as_str(), Connection::Database);
        }
        for (name, proxy) in &self.inner.proxies {
            watch_over(proxy.ssh.broken(), name.as_str(), Connection::Ssh);
        }
        for (name, bouncer) in &self.inner.bouncers {
            watch_over(bouncer.ssh.broken(), name.as_str(), Connection::Ssh);
            watch_over(bouncer.console.broken(), name.as_str(), Connection::Database);
        }
        receiver
    }

    /// The exact commands of `effect`, from the same functions that perform it.
    pub fn describe(&self, effect: &Effect) -> Vec<CommandLine> {
        hands::describe(&self.inner, effect)
    }

    /// The exact sudoers file for a machine of the pair; none for a name that is not of it.
    pub fn sudoers(&self, host_or_proxy: &str) -> Option<String> {
        let mut users: BTreeMap<&str, Vec<&commands::Privileged>> = BTreeMap::new();
        if let Some(host) = self.inner.hosts.get(&HostName::new(host_or_proxy)) {
            users.entry(&host.access.ssh.user).or_default().extend(host.commands.allowed());
        }
        // A machine that is a host and a proxy gets one file.
        if let Some(proxy) = self.inner.proxies.get(&ProxyName::new(host_or_proxy)) {
            users.entry(&proxy.access.ssh.user).or_default().extend(proxy.commands.all());
        }
        (!users.is_empty()).then(|| commands::sudoers(host_or_proxy, &users))
    }

    /// The exact drop-in that keeps the database of a host from starting as a second master; none
    /// for a name that is no host of the pair, and where the database is external.
    pub fn guard(&self, host: &str) -> Option<String> {
        let own = self.inner.external.is_none();
        self.inner.hosts.get(&HostName::new(host)).filter(|_| own).map(|host| host.guard.clone())
    }

    /// The script that prepares a host to fetch file sets; none for a name that is no host of the
    /// pair.
    pub fn files_setup(&self, host: &str) -> Option<String> {
        self.inner.hosts.get(&HostName::new(host)).map(|host| host.files_setup.clone())
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The highest epoch that an order, a proof or a heartbeat row has shown.
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }
}

impl Inner {
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    /// Remembers `epoch`; refused with the newer one if an older order comes late.
    pub(crate) fn admit(&self, epoch: Epoch) -> Result<(), Epoch> {
        let before = self.epoch.fetch_max(epoch.0, Ordering::SeqCst);
        if before > epoch.0 { Err(Epoch(before)) } else { Ok(()) }
    }

    /// Remembers an epoch that a host has seen.
    pub(crate) fn see_epoch(&self, epoch: Epoch) {
        self.epoch.fetch_max(epoch.0, Ordering::SeqCst);
    }

    /// The host of that name; every name was checked when the pair was connected, but a plan may
    /// come from an older configuration.
    pub(crate) fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.get(name)
    }

    pub(crate) fn proxy(&self, name: &ProxyName) -> Option<&Proxy> {
        self.proxies.get(name)
    }

    pub(crate) fn bouncer(&self, name: &BouncerName) -> Option<&Bouncer> {
        self.bouncers.get(name)
    }
}

impl Host {
    fn new(
        access: HostAccess,
        spec: &PairSpec,
        others: &[&HostAccess],
        proxies: &[ProxyAccess],
        parity: &[ParityItem],
    ) -> Result<Self, WorldError> {
        let ssh = Ssh::new(access.ssh.target(access.name.as_str())?);
        let commands = HostCommands::new(&access, spec, others, proxies)?;
        let commands = commands.comparing(&access, parity)?;
        let guard = commands::guard(&access, others)?;
        let path = access.database.socket.to_string_lossy().into_owned();
        let database = Database::new(DatabaseTarget {
            door: Door::Socket { ssh: ssh.clone(), path },
            user: access.database.user.clone(),
            database: access.database.database.clone(),
        });
        let (files_setup, passing, ran, little_room, lineage, ordered) = Default::default();
        Ok(Self {
            access,
            ssh,
            database,
            commands,
            guard,
            files_setup,
            passing,
            watching: tokio::sync::Semaphore::new(WATCHES),
            ran,
            little_room,
            lineage,
            ordered,
        })
    }
}

impl Proxy {
    /// The hosts to which users of one of its backends may go.
    pub(crate) fn users_of(&self, backend: &str) -> UsersGo {
        let shares = self.access.every_host.iter().any(|name| name == backend);
        if shares { UsersGo::EveryHost } else { UsersGo::Master }
    }

    fn new(
        access: ProxyAccess,
        written: mpsc::UnboundedSender<WrittenFile>,
        epoch: Arc<AtomicU64>,
    ) -> Result<Self, WorldError> {
        let ssh = Ssh::new(access.ssh.target(access.name.as_str())?);
        let commands = ProxyCommands::new(&access)?;
        let (file, seen_servers, seen_process, ending, turns) = Default::default();
        Ok(Self {
            access,
            ssh,
            commands,
            file,
            seen_servers,
            seen_process,
            ending,
            turns,
            written,
            epoch,
        })
    }

    /// Tells that a plan has put `after` in the place of `before`.
    pub(crate) fn tell_written(&self, before: Vec<u8>, after: Vec<u8>, reason: String) {
        let (proxy, file) = (self.access.name.clone(), self.commands.config.clone());
        let epoch = Epoch(self.epoch.load(Ordering::SeqCst));
        // Nobody may listen, as in a check of the configuration.
        let _ = self.written.send(WrittenFile { proxy, file, before, after, reason, epoch });
    }
}

impl Bouncer {
    fn new(access: BouncerAccess) -> Result<Self, WorldError> {
        let ssh = Ssh::new(access.ssh.target(access.name.as_str())?);
        let path = access.socket.to_string_lossy().into_owned();
        let console = Console::new(ssh.clone(), path, access.user.clone());
        Ok(Self { access, ssh, console })
    }
}

fn same_names<N: Ord + std::fmt::Display, T>(
    named: &[N],
    known: &BTreeMap<N, T>,
) -> Result<(), WorldError> {
    let missing = named.iter().find(|name| !known.contains_key(name));
    let extra = known.keys().find(|name| !named.contains(name));
    match missing.or(extra) {
        Some(name) => Err(WorldError::Unmatched { machine: name.to_string() }),
        None => Ok(()),
    }
}

async fn forward(mut deaths: watch::Receiver<u64>, alarm: Alarm, sender: mpsc::Sender<Alarm>) {
    loop {
        tokio::select! {
            changed = deaths.changed() => {
                if changed.is_err() {
                    return;
                }
                // A full channel holds alarms enough.
                let _ = sender.try_send(alarm.clone());
            }
            () = sender.closed() => return,
        }
    }
}
