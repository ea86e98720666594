//! The closed list of everything that is ever done to the world.
//!
//! It says what, never how: the commands are the world's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::files::PassKind;
use crate::sighting::Says;
use crate::words::{BouncerName, FileSetName, HostName, ProxyName, ServiceName, human_ms};

/// The closed list of everything that is ever done to the world.
///
/// Every effect may be repeated: doing it a second time changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing: the step is its proof.
    Look,
    /// At the running proxy, put every server of `host` into maintenance.
    TakeOut {
        /// The proxy.
        proxy: ProxyName,
        /// The host that receives no new session.
        host: HostName,
        /// What happens to sessions that are open.
        sessions: Sessions,
    },
    /// At the running proxy, put every server into maintenance where users may go to every host.
    /// Sessions may finish.
    HoldShared {
        /// The proxy.
        proxy: ProxyName,
    },
    /// At the running proxy, put every server of `host` into rotation, and in the same breath
    /// those of every other host out of it: users are let in to one host or to none. In backends
    /// whose users may go to every host, do the same with `everywhere` for the one host.
    LetIn {
        /// The proxy.
        proxy: ProxyName,
        /// The host that receives sessions.
        host: HostName,
        /// The hosts that receive sessions where users may go to every host.
        #[serde(default)]
        everywhere: Vec<HostName>,
    },
    /// Make the proxy's file say that only `master` is let in, and `everywhere` where users may go
    /// to every host; check it first, keep the old one.
    Rewrite {
        /// The proxy.
        proxy: ProxyName,
        /// The only host that is let in.
        master: HostName,
        /// The hosts that are let in where users may go to every host.
        #[serde(default)]
        everywhere: Vec<HostName>,
    },
    /// Make the proxy's file keep `host` out, so that a HAProxy that is restarted does not let
    /// users in to it again.
    KeepOut {
        /// The proxy.
        proxy: ProxyName,
        /// The host that its file keeps out.
        host: HostName,
    },
    /// At a PgBouncer, let clients wait from the end of their transactions on; connections to the
    /// server are closed as they come free. It lasts until it is resumed, whoever goes away.
    PauseBouncer {
        /// The PgBouncer.
        bouncer: BouncerName,
    },
    /// At a PgBouncer, let clients go on.
    ResumeBouncer {
        /// The PgBouncer.
        bouncer: BouncerName,
    },
    /// Write a checkpoint, so that a stop in order soon has little left to write.
    Checkpoint {
        /// The host.
        host: HostName,
    },
    /// Stop the database through its unit.
    StopDatabase {
        /// The host.
        host: HostName,
        /// How hard.
        how: Stop,
    },
    /// Start the database through its unit.
    StartDatabase {
        /// The host.
        host: HostName,
    },
    /// Start the database as the master it was, through its unit: a tombstone is lifted first, and
    /// one that somebody started meanwhile is stopped, since the tombstone made a slave of it.
    RestartDatabase {
        /// The host.
        host: HostName,
    },
    /// End recovery on a standby; a standby that is not running is started first, and the
    /// promotion refused until it answers. The pivot.
    Promote {
        /// The host.
        host: HostName,
    },
    /// Make `host` the master where the database is external: the singletons belong to it from here
    /// on. Nothing is done on it. The pivot.
    Appoint {
        /// The host.
        host: HostName,
    },
    /// Keep the database on `host` from starting as master, whoever starts it.
    LeaveTombstone {
        /// The host.
        host: HostName,
    },
    /// Take the tombstone away again.
    LiftTombstone {
        /// The host.
        host: HostName,
    },
    /// Make the database's files say that it is a standby of `upstream`: where it streams from,
    /// its slot there, and the tombstone. One that runs takes it up at once.
    Follow {
        /// The host.
        host: HostName,
        /// The host it streams from.
        upstream: HostName,
    },
    /// On `host`, make the replication slot that keeps the log for `follower`.
    MakeSlot {
        /// The host that keeps the log.
        host: HostName,
        /// The host that it is kept for.
        follower: HostName,
    },
    /// On `host`, drop the slot that was kept for `follower`: a slave that keeps log for its own
    /// master fills its disk.
    DropSlot {
        /// The host that kept the log.
        host: HostName,
        /// The host that it was kept for.
        follower: HostName,
    },
    /// Keep a copy of what only `host` has: its log since the histories parted, and its
    /// configuration files.
    KeepDiverged {
        /// The host.
        host: HostName,
        /// The host whose history counts.
        source: HostName,
    },
    /// Take back what `host` wrote since its history parted from that of `source`
    /// (`pg_rewind`). Its database is stopped.
    Rewind {
        /// The host.
        host: HostName,
        /// The host whose history counts.
        source: HostName,
    },
    /// Replace the database of `host` by a copy of that of `source` (`pg_basebackup`), keep the
    /// old one beside it, and start it as a standby.
    Clone {
        /// The host.
        host: HostName,
        /// The host that is copied.
        source: HostName,
    },
    /// On the database of `host`, let commits wait for `standby`, or for nobody.
    Synchronise {
        /// The host.
        host: HostName,
        /// The host whose database must hold a commit before it is acknowledged.
        standby: Option<HostName>,
    },
    /// Let a lease run on `host`: unless the observer, the slave or a proxy reaches it, its
    /// services and its database are killed once the lease is over. One that runs is replaced.
    SetLease {
        /// The host.
        host: HostName,
        /// How long it goes on in silence, in milliseconds.
        length_ms: u64,
    },
    /// Take the lease on `host` away.
    DropLease {
        /// The host.
        host: HostName,
    },
    /// On `host`, fetch what has changed in a file set on `source`.
    Pass {
        /// The host that fetches: a slave.
        host: HostName,
        /// The host it fetches from: the master.
        source: HostName,
        /// The file set.
        set: FileSetName,
        /// What it is for.
        kind: PassKind,
    },
    /// On `host`, end whatever pass of a file set runs there.
    EndPasses {
        /// The host.
        host: HostName,
    },
    /// Make the monitor file of a host say whether users are to be sent there.
    Monitor {
        /// The host.
        host: HostName,
        /// What it is to say.
        says: Says,
    },
    /// Give the balancers that check the monitor file of a host the time that they may take to
    /// notice it.
    AwaitBalancers {
        /// The host.
        host: HostName,
        /// How long, in milliseconds.
        settle_ms: u64,
    },
    /// Take the power of the old master away, by the power fence.
    PowerOff {
        /// The host.
        host: HostName,
    },
    /// Give a host its power again, by the power fence.
    PowerOn {
        /// The host.
        host: HostName,
    },
    /// Start a service of the application.
    StartService {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
    /// Stop a service of the application.
    StopService {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
    /// Restart a service of the application.
    RestartService {
        /// The host.
        host: HostName,
        /// The service.
        service: ServiceName,
    },
    /// Let systemd not start a unit at boot. One that runs goes on.
    DisableAtBoot {
        /// The host.
        host: HostName,
        /// The service; none for the database.
        service: Option<ServiceName>,
    },
}

impl Effect {
    /// True for what makes another host the master.
    pub fn is_pivot(&self) -> bool {
        matches!(self, Effect::Promote { .. } | Effect::Appoint { .. })
    }

    /// The host it is done on; none for what is done at a proxy, a PgBouncer or a power switch, or
    /// nowhere.
    pub fn on_host(&self) -> Option<&HostName> {
        match self {
            Effect::Look
            | Effect::TakeOut { .. }
            | Effect::HoldShared { .. }
            | Effect::LetIn { .. }
            | Effect::Rewrite { .. }
            | Effect::KeepOut { .. }
            | Effect::PauseBouncer { .. }
            | Effect::ResumeBouncer { .. }
            | Effect::PowerOff { .. }
            | Effect::PowerOn { .. } => None,
            Effect::Checkpoint { host }
            | Effect::StopDatabase { host, .. }
            | Effect::StartDatabase { host }
            | Effect::RestartDatabase { host }
            | Effect::Promote { host }
            | Effect::Appoint { host }
            | Effect::LeaveTombstone { host }
            | Effect::LiftTombstone { host }
            | Effect::Follow { host, .. }
            | Effect::MakeSlot { host, .. }
            | Effect::DropSlot { host, .. }
            | Effect::Synchronise { host, .. }
            | Effect::KeepDiverged { host, .. }
            | Effect::Rewind { host, .. }
            | Effect::Clone { host, .. }
            | Effect::SetLease { host, .. }
            | Effect::Pass { host, .. }
            | Effect::EndPasses { host }
            | Effect::Monitor { host, .. }
            | Effect::AwaitBalancers { host, .. }
            | Effect::DropLease { host }
            | Effect::StartService { host, .. }
            | Effect::StopService { host, .. }
            | Effect::DisableAtBoot { host, .. }
            | Effect::RestartService { host, .. } => Some(host),
        }
    }
}

/// What happens to sessions open on a server that is taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sessions {
    /// They may finish.
    Finish,
    /// They are ended: the host is dead or must not be written to.
    End,
    /// Those that are no HTTP are ended: they would not finish by themselves. Requests may finish.
    EndTunnels,
}

/// How a database is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// In order, with a shutdown checkpoint.
    Clean,
    /// By SIGKILL: it answers nobody, or waiting would cost users.
    Kill,
}

/// Which hosts share the users that may go to every host, in words; nothing where there are none.
pub(super) struct Shared<'a>(pub &'a [HostName]);

impl fmt::Display for Shared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared(hosts) = self;
        if hosts.is_empty() {
            return Ok(());
        }
        let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
        write!(f, " (shared: {})", hosts.join(", "))
    }
}

/// What a unit runs, in words: a service, or else the database.
pub(crate) fn unit(service: Option<&ServiceName>) -> &str {
    service.map_or("the database", ServiceName::as_str)
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Look => f.write_str("look"),
            Effect::TakeOut { proxy, host, sessions: Sessions::Finish } => {
                write!(f, "take {host} out at {proxy}")
            }
            Effect::TakeOut { proxy, host, sessions: Sessions::End } => {
                write!(f, "take {host} out at {proxy} and end its sessions")
            }
            Effect::TakeOut { proxy, host, sessions: Sessions::EndTunnels } => {
                write!(f, "take {host} out at {proxy} and end its sessions that are no HTTP")
            }
            Effect::HoldShared { proxy } => write!(f, "hold users of every host at {proxy}"),
            Effect::LetIn { proxy, host, everywhere } => {
                write!(f, "let users in to {host} at {proxy}{}", Shared(everywhere))
            }
            Effect::Rewrite { proxy, master, everywhere } => {
                write!(f, "make haproxy.cfg on {proxy} say {master}{}", Shared(everywhere))
            }
            Effect::KeepOut { proxy, host } => {
                write!(f, "make haproxy.cfg on {proxy} keep {host} out")
            }
            Effect::PauseBouncer { bouncer } => write!(f, "pause {bouncer}"),
            Effect::ResumeBouncer { bouncer } => write!(f, "resume {bouncer}"),
            Effect::LiftTombstone { host } => write!(f, "lift the tombstone on {host}"),
            Effect::StopDatabase { host, how: Stop::Clean } => write!(f, "stop database on {host}"),
            Effect::StopDatabase { host, how: Stop::Kill } => write!(f, "kill database on {host}"),
            Effect::StartDatabase { host } => write!(f, "start database on {host}"),
            Effect::RestartDatabase { host } => write!(f, "restart database on {host}"),
            Effect::Promote { host } => write!(f, "promote {host}"),
            Effect::Appoint { host } => write!(f, "make {host} the master"),
            Effect::DisableAtBoot { host, service } => {
                write!(f, "let {} not start at boot on {host}", unit(service.as_ref()))
            }
            Effect::PowerOff { host } => write!(f, "power {host} off"),
            Effect::PowerOn { host } => write!(f, "power {host} on"),
            Effect::Checkpoint { host } => write!(f, "checkpoint on {host}"),
            Effect::Follow { host, upstream } => write!(f, "make {host} a standby of {upstream}"),
            Effect::MakeSlot { host, follower } => write!(f, "make {follower}'s slot on {host}"),
            Effect::DropSlot { host, follower } => write!(f, "drop {follower}'s slot on {host}"),
            Effect::Synchronise { host, standby: Some(standby) } => {
                write!(f, "let commits on {host} wait for {standby}")
            }
            Effect::Synchronise { host, standby: None } => {
                write!(f, "let commits on {host} wait for nobody")
            }
            Effect::KeepDiverged { host, .. } => write!(f, "keep what only {host} has"),
            Effect::Rewind { host, source } => write!(f, "rewind {host} to {source}"),
            Effect::Clone { host, source } => write!(f, "clone {source} to {host}"),
            Effect::SetLease { host, length_ms } => {
                write!(f, "set a lease of {} on {host}", human_ms(*length_ms))
            }
            Effect::DropLease { host } => write!(f, "take the lease on {host} away"),
            Effect::Pass { host, source, set, .. } => {
                write!(f, "fetch files {set} from {source} to {host}")
            }
            Effect::Monitor { host, says } => {
                write!(f, "make the monitor file of {host} say {says}")
            }
            Effect::AwaitBalancers { host, settle_ms } => {
                write!(f, "give balancers {} to leave {host}", human_ms(*settle_ms))
            }
            Effect::EndPasses { host } => write!(f, "end passes of files on {host}"),
            Effect::LeaveTombstone { host } => write!(f, "leave tombstone on {host}"),
            Effect::StartService { host, service } => write!(f, "start {service} on {host}"),
            Effect::StopService { host, service } => write!(f, "stop {service} on {host}"),
            Effect::RestartService { host, service } => write!(f, "restart {service} on {host}"),
        }
    }
}
