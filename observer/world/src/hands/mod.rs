//! Performs effects and looks for their proofs.
//!
//! It decides nothing and remembers almost nothing: every effect may be ordered twice, and what
//! came of it is seen by a proof, never by an exit code.

mod admission;
mod apply;
mod bouncers;
mod files;
mod follow;
mod history;
mod job;
mod lease;
mod monitor;
mod power;
mod proofs;
mod proxy_proofs;
mod put_file;
mod reload;
mod rewrite;
mod run;
mod settings_file;
mod slave_proofs;
mod slots;
mod synchrony;
mod turns;
mod units;
mod unseen_workers;

use std::time::Duration;

use observer_core::drive::{Order, Reply};
use observer_core::files::{Deletions, PassOrder};
use observer_core::plan::Effect;
use observer_core::policy::UsersGo;
use observer_core::words::{HostName, ProxyName};

pub(crate) use apply::{apply, prepare};
pub(crate) use files::pass;
pub(crate) use proofs::prove;
pub(crate) use proxy_proofs::shared_sessions;
pub(crate) use reload::reload;
pub(crate) use rewrite::insist_on_real_path;
pub(crate) use run::{Machine, Put, hash};
pub(crate) use turns::Turns;

use crate::access::CommandLine;
use crate::commands::Privileged;
use crate::pair_world::{Host, Inner, Proxy};
use crate::postgres::Failure;
use crate::power::Action;

/// Performs one effect within `deadline`, which the caller enforces.
pub(crate) async fn perform(world: &Inner, order: &Order, deadline: Duration) -> Reply {
    let done = match &order.effect {
        // The journal's record is all there is to it.
        Effect::Look | Effect::Appoint { .. } => Ok(()),
        Effect::TakeOut { proxy, .. }
        | Effect::HoldShared { proxy }
        | Effect::LetIn { proxy, .. }
        | Effect::Rewrite { proxy, .. }
        | Effect::KeepOut { proxy, .. } => match proxy_of(world, proxy) {
            Ok(found) => at_proxy(world, found, &order.effect, deadline).await,
            Err(fault) => Err(fault),
        },
        Effect::PauseBouncer { bouncer } => bouncers::pause(world, bouncer, deadline).await,
        Effect::ResumeBouncer { bouncer } => bouncers::resume(world, bouncer, deadline).await,
        Effect::Promote { host } => match host_of(world, host) {
            Ok(found) => promote(world, found, deadline).await,
            Err(fault) => Err(fault),
        },
        Effect::Follow { host, upstream } => follow::follow(world, host, upstream, deadline).await,
        Effect::Checkpoint { .. } | Effect::MakeSlot { .. } | Effect::DropSlot { .. } => {
            slots::perform(world, &order.effect, deadline).await
        }
        Effect::Synchronise { host, standby } => {
            synchrony::synchronise(world, host, standby.as_ref(), deadline).await
        }
        Effect::SetLease { host, length_ms } => lease::set(world, host, *length_ms, deadline).await,
        Effect::DropLease { host } => lease::drop_lease(world, host, deadline).await,
        Effect::KeepDiverged { host, source } => {
            job::keep(world, host, source, order.epoch, deadline).await
        }
        Effect::Rewind { host, source } => job::rewind(world, host, source, deadline).await,
        Effect::Clone { host, source } => job::clone(world, host, source, deadline).await,
        Effect::Pass { host, source, set, kind } => {
            let (host, source, set) = (host.clone(), source.clone(), set.clone());
            let (kind, epoch, deletions) = (*kind, order.epoch, Deletions::Limited);
            let order = PassOrder { host, source, set, kind, deletions, epoch };
            files::pass(world, &order, deadline).await
        }
        Effect::EndPasses { host } => files::end(world, host, order.epoch, deadline).await,
        Effect::Monitor { host, says } => monitor::write(world, host, *says, deadline).await,
        Effect::AwaitBalancers { settle_ms, .. } => {
            tokio::time::sleep(Duration::from_millis(*settle_ms)).await;
            Ok(())
        }
        Effect::PowerOff { host } => power::switch(world, host, Action::Off, deadline).await,
        Effect::PowerOn { host } => power::switch(world, host, Action::On, deadline).await,
        effect => units::perform(world, effect, deadline).await,
    };
    match done {
        Ok(()) => Reply::Did,
        Err(Fault::Refused(why)) => Reply::Refused(why),
        Err(Fault::NoReply) => Reply::NoReply,
    }
}

/// An effect at a proxy. A reload that is under way brings up a worker that knows only the file, so
/// that what was told to the running one is told again once that worker is there.
async fn at_proxy(
    world: &Inner,
    proxy: &Proxy,
    effect: &Effect,
    deadline: Duration,
) -> Result<(), Fault> {
    proxy.turns.plan_acts();
    let tell = async || match effect {
        Effect::TakeOut { host, sessions, .. } => {
            admission::take_out(world, proxy, host, *sessions, deadline).await
        }
        Effect::HoldShared { .. } => admission::hold_shared(world, proxy, deadline).await,
        Effect::LetIn { host, everywhere, .. } => {
            admission::let_in(world, proxy, Receivers { master: host, everywhere }, deadline).await
        }
        _ => Ok(()),
    };
    let told = tell().await;
    let waited = proxy.turns.wait().await;
    match effect {
        Effect::Rewrite { master, everywhere, .. } => {
            rewrite::point_at(world, proxy, Receivers { master, everywhere }, deadline).await
        }
        Effect::KeepOut { host, .. } => rewrite::keep_out(world, proxy, host, deadline).await,
        _ if waited => tell().await,
        _ => told,
    }
}

/// The hosts that a proxy is to let users in to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receivers<'a> {
    /// Where they may go to one host only.
    pub(crate) master: &'a HostName,
    /// Where they may go to every host.
    pub(crate) everywhere: &'a [HostName],
}

impl Receivers<'_> {
    /// Whether a server that leads to `host` is to take sessions.
    pub(crate) fn include(&self, host: &HostName, users: UsersGo) -> bool {
        match users {
            UsersGo::Master => host == self.master,
            UsersGo::EveryHost => self.everywhere.contains(host),
        }
    }
}

/// Why an effect has no claim to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It was certainly not done, and why.
    Refused(String),
    /// It was ordered, and nobody knows.
    NoReply,
}

impl Fault {
    /// The fault as a person reads it.
    pub(crate) fn words(self) -> String {
        match self {
            Fault::Refused(why) => why,
            Fault::NoReply => "no answer".to_owned(),
        }
    }
}

/// The exact commands of an effect at a proxy.
fn describe_at_proxy(proxy: &Proxy, effect: &Effect) -> Vec<String> {
    match effect {
        Effect::TakeOut { host, sessions, .. } => admission::describe_out(proxy, host, *sessions),
        Effect::HoldShared { .. } => admission::describe_hold(proxy),
        Effect::LetIn { host: master, everywhere, .. } => {
            admission::describe_in(proxy, Receivers { master, everywhere })
        }
        _ => rewrite::describe(proxy),
    }
}

/// The exact commands of an effect, in order.
pub(crate) fn describe(world: &Inner, effect: &Effect) -> Vec<CommandLine> {
    let at = |machine: &str, commands: Vec<String>| {
        let line = |command| CommandLine { host: machine.to_owned(), command };
        commands.into_iter().map(line).collect::<Vec<_>>()
    };
    let by = |host: &HostName, own: fn(&Host) -> Vec<&Privileged>| {
        world.host(host).map_or_else(Vec::new, |found| {
            let lines = own(found).into_iter().map(Privileged::line);
            at(host.as_str(), lines.collect())
        })
    };
    match effect {
        Effect::Look | Effect::Appoint { .. } | Effect::AwaitBalancers { .. } => Vec::new(),
        Effect::Monitor { host, says } => world
            .host(host)
            .map_or_else(Vec::new, |found| at(host.as_str(), monitor::describe(found, *says))),
        Effect::TakeOut { proxy, .. }
        | Effect::HoldShared { proxy }
        | Effect::LetIn { proxy, .. }
        | Effect::Rewrite { proxy, .. }
        | Effect::KeepOut { proxy, .. } => {
            let lines = |found| at(proxy.as_str(), describe_at_proxy(found, effect));
            world.proxy(proxy).map_or_else(Vec::new, lines)
        }
        Effect::PauseBouncer { .. } | Effect::ResumeBouncer { .. } => {
            let orders = bouncers::describe(world, effect).into_iter();
            orders.map(|(host, command)| CommandLine { host, command }).collect()
        }
        Effect::PowerOff { host } => power::describe(world, host, Action::Off),
        Effect::PowerOn { host } => power::describe(world, host, Action::On),
        Effect::Promote { host } => {
            let mut lines = vec![format!("psql: {}", crate::postgres::PROMOTE)];
            let start = Effect::StartDatabase { host: host.clone() };
            let start = units::commands(world, &start).map(|(_, commands)| commands);
            let if_down = |command: &&Privileged| format!("if it does not run: {}", command.line());
            lines.extend(start.iter().flatten().map(if_down));
            at(host.as_str(), lines)
        }
        Effect::Follow { host, .. } => by(host, follow::describe),
        Effect::Synchronise { host, .. } => by(host, synchrony::describe),
        Effect::SetLease { host, .. } => by(host, lease::describe_set),
        Effect::DropLease { host } => by(host, lease::describe_drop),
        Effect::Pass { host, .. } | Effect::EndPasses { host } => {
            at(host.as_str(), files::describe(world, effect))
        }
        Effect::KeepDiverged { host, .. }
        | Effect::Rewind { host, .. }
        | Effect::Clone { host, .. } => world.host(host).map_or_else(Vec::new, |found| {
            let lines = job::describe(found, effect).into_iter().map(Privileged::line);
            at(host.as_str(), lines.collect())
        }),
        Effect::Checkpoint { host }
        | Effect::MakeSlot { host, .. }
        | Effect::DropSlot { host, .. } => {
            at(host.as_str(), slots::describe(effect).into_iter().collect())
        }
        effect => units::commands(world, effect).map_or_else(
            |_| Vec::new(),
            |(host, commands)| {
                at(host.access.name.as_str(), commands.iter().map(|one| one.line()).collect())
            },
        ),
    }
}

/// Ends recovery. A standby that does not run is started, and the promotion refused until it
/// answers: its files say that it starts as a standby.
async fn promote(world: &Inner, host: &Host, deadline: Duration) -> Result<(), Fault> {
    match host.database.promote(deadline).await {
        // A primary needs no promotion: it was ordered before.
        Ok(()) | Err(Failure::NotInRecovery) => Ok(()),
        Err(Failure::Silent { .. } | Failure::Lost(_)) => Err(Fault::NoReply),
        Err(failure @ Failure::NotRunning(_)) => {
            let start = Effect::StartDatabase { host: host.access.name.clone() };
            match units::perform(world, &start, deadline).await {
                Ok(()) => Err(Fault::Refused(format!("{failure}; it is being started"))),
                Err(fault) => Err(fault),
            }
        }
        Err(failure) => Err(Fault::Refused(failure.to_string())),
    }
}

pub(crate) fn host_of<'a>(world: &'a Inner, name: &HostName) -> Result<&'a Host, Fault> {
    world.host(name).ok_or_else(|| Fault::Refused(format!("{name} is no host of the pair")))
}

pub(crate) fn proxy_of<'a>(world: &'a Inner, name: &ProxyName) -> Result<&'a Proxy, Fault> {
    world.proxy(name).ok_or_else(|| Fault::Refused(format!("{name} is no proxy of the pair")))
}
