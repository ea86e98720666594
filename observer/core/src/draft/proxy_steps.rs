//! The steps at the proxies: users kept off a host, held, let in to one, and the files made to say
//! the same.

use super::Brief;
use crate::plan::{Effect, First, LostReply, OnFailure, Proof, Sessions, Step, Undo};
use crate::policy::PairSpec;
use crate::words::{HostName, ProxyName};

/// How long writing the fence into a file may hold up a promotion, in milliseconds: it takes two
/// hundred where it works.
const KEEP_OUT_MS: u64 = 1_500;

/// Fences `host` at one proxy: users can no longer reach it there, proven by reading back.
///
/// What is taken back is where users were before, the hosts included that they share.
pub(super) fn fence(brief: Brief<'_>, proxy: &ProxyName, host: &HostName) -> Step {
    let back = let_in_beside(brief, proxy, host);
    Step {
        name: format!("fence at {proxy}"),
        first: First::Order,
        effect: Effect::TakeOut {
            proxy: proxy.clone(),
            host: host.clone(),
            sessions: Sessions::End,
        },
        proof: Proof::IsOut { proxy: proxy.clone(), host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::By { effect: back.effect, proof: back.proof },
        on_failure: OnFailure::GiveUp,
        deadline_ms: brief.spec.policy.proxy_deadline_ms,
    }
}

/// Fences once more right before the pivot: replaying may have taken a minute, and a HAProxy that
/// was restarted meanwhile has gone back to its file. Sessions are not ended a second time, since
/// by now the waiting room holds users that have nothing to do with the old master.
pub(super) fn still_fenced(brief: Brief<'_>, proxy: &ProxyName, host: &HostName) -> Step {
    Step {
        name: format!("still fenced at {proxy}"),
        first: First::Order,
        effect: Effect::TakeOut {
            proxy: proxy.clone(),
            host: host.clone(),
            sessions: Sessions::Finish,
        },
        undo: Undo::NothingToUndo,
        ..fence(brief, proxy, host)
    }
}

/// Takes a host out that users are not to go to, whatever becomes of the plan.
pub(super) fn take_out(brief: Brief<'_>, proxy: &ProxyName, host: &HostName) -> Step {
    let name = format!("take {host} out at {proxy}");
    Step { name, on_failure: OnFailure::GoOn, ..still_fenced(brief, proxy, host) }
}

/// Holds users at one proxy: new requests wait in its waiting room, those in flight finish.
pub(super) fn hold(brief: Brief<'_>, proxy: &ProxyName, host: &HostName) -> Step {
    Step {
        name: format!("hold users at {proxy}"),
        effect: Effect::TakeOut {
            proxy: proxy.clone(),
            host: host.clone(),
            sessions: Sessions::Finish,
        },
        proof: Proof::Drained { proxy: proxy.clone(), host: host.clone() },
        deadline_ms: brief.spec.policy.drain_deadline_ms,
        ..fence(brief, proxy, host)
    }
}

/// Ends the work of users on a host that is no master, where they may go to every host: what the
/// application does there for them, it does in the master's database. Until the next master writes,
/// that would be lost, or fail.
pub(super) fn fence_beside(brief: Brief<'_>, host: &HostName) -> Vec<Step> {
    let name = |proxy| format!("hold users of {host} at {proxy}");
    let sharing = brief.spec.sharing.iter();
    sharing.map(|proxy| Step { name: name(proxy), ..fence(brief, proxy, host) }).collect()
}

/// Holds users where they may go to every host, on all of them at once and before any others: the
/// requests that are under way may need the database by another backend of the same proxy, and a
/// connection that waits there would never let them finish.
pub(super) fn hold_shared(brief: Brief<'_>, master: &HostName) -> Vec<Step> {
    let step = |proxy: &ProxyName| Step {
        name: format!("hold users of every host at {proxy}"),
        effect: Effect::HoldShared { proxy: proxy.clone() },
        proof: Proof::SharedDrained { proxy: proxy.clone() },
        ..hold(brief, proxy, master)
    };
    brief.spec.sharing.iter().map(step).collect()
}

/// Sends nobody new to a host whose services are about to be stopped, and waits until the requests
/// there have finished. It stays out: what it is to be is the repair's of what drifted.
pub(super) fn leave(brief: Brief<'_>, proxy: &ProxyName, host: &HostName) -> Step {
    let name = format!("users leave {host} at {proxy}");
    Step { name, undo: Undo::NothingToUndo, ..hold(brief, proxy, host) }
}

/// Fences the old master once more right before the pivot, and holds the users of `heir` with it.
pub(super) fn still_nobody_in(brief: Brief<'_>, master: &HostName, heir: &HostName) -> Vec<Step> {
    let fenced = brief.spec.proxies.iter().map(|proxy| still_fenced(brief, proxy, master));
    let held = brief.spec.sharing.iter().map(|proxy| Step {
        name: format!("users of {heir} still held at {proxy}"),
        ..still_fenced(brief, proxy, heir)
    });
    fenced.chain(held).collect()
}

/// Ends what is no HTTP and would never finish: its database is gone, and at its next connection
/// it waits with the others.
pub(super) fn end_tunnels(brief: Brief<'_>, proxy: &ProxyName, host: &HostName) -> Step {
    Step {
        name: format!("end other sessions at {proxy}"),
        effect: Effect::TakeOut {
            proxy: proxy.clone(),
            host: host.clone(),
            sessions: Sessions::EndTunnels,
        },
        undo: Undo::NothingToUndo,
        ..fence(brief, proxy, host)
    }
}

/// Lets users in to the new master. If one of several proxies will not, the others must not wait
/// for it: what is owed is found as drift and repaired.
///
/// Where users may go to every host they go to it alone at first: the old master is not its slave
/// yet, and comes beside it by the repair of what drifted.
pub(super) fn let_in(spec: &PairSpec, proxy: &ProxyName, host: &HostName) -> Step {
    let_in_with(spec, proxy, host, alone(spec, proxy, host))
}

/// Lets users in to the master, and to every host that is well where they may go to every host.
pub(super) fn let_in_beside(brief: Brief<'_>, proxy: &ProxyName, master: &HostName) -> Step {
    let_in_with(brief.spec, proxy, master, beside(brief, proxy))
}

fn alone(spec: &PairSpec, proxy: &ProxyName, host: &HostName) -> Vec<HostName> {
    if spec.sharing.contains(proxy) { vec![host.clone()] } else { Vec::new() }
}

/// The hosts that users are let in to at this proxy where they may go to every host.
pub(super) fn beside(brief: Brief<'_>, proxy: &ProxyName) -> Vec<HostName> {
    if brief.spec.sharing.contains(proxy) { brief.digest.everywhere() } else { Vec::new() }
}

/// Lets users in to `heir` by a plan that changes the master, and goes on to let them in to every
/// host that is well where they may go to every host; not to the old master before it is a slave.
pub(super) fn let_in_after(brief: Brief<'_>, proxy: &ProxyName, heir: &HostName) -> Step {
    let_in_with(brief.spec, proxy, heir, others_and(brief, proxy, heir))
}

/// Makes one proxy's file say what [`let_in_after`] does.
pub(super) fn rewrite_after(brief: Brief<'_>, proxy: &ProxyName, heir: &HostName) -> Step {
    rewrite_with(brief.spec, proxy, heir, others_and(brief, proxy, heir))
}

fn others_and(brief: Brief<'_>, proxy: &ProxyName, heir: &HostName) -> Vec<HostName> {
    if !brief.spec.sharing.contains(proxy) {
        return Vec::new();
    }
    let stays = |host: &&HostName| {
        Some(*host) != brief.memory.master.as_ref() && brief.digest.everywhere().contains(host)
    };
    brief.spec.hosts.iter().filter(|host| *host == heir || stays(host)).cloned().collect()
}

fn let_in_with(
    spec: &PairSpec,
    proxy: &ProxyName,
    host: &HostName,
    everywhere: Vec<HostName>,
) -> Step {
    let (proxy, host) = (proxy.clone(), host.clone());
    Step {
        name: format!("let in at {proxy}"),
        first: First::Order,
        proof: Proof::IsIn {
            proxy: proxy.clone(),
            host: host.clone(),
            everywhere: everywhere.clone(),
        },
        effect: Effect::LetIn { proxy, host, everywhere },
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::GoOn,
        deadline_ms: spec.policy.proxy_deadline_ms,
    }
}

/// Makes one proxy's file keep the old master out before anybody is promoted: a HAProxy that is
/// restarted from then on makes users wait instead of sending them to a master that was replaced.
/// A file that cannot be written does not hold the promotion up: the running proxy is fenced.
pub(super) fn keep_out(brief: Brief<'_>, proxy: &ProxyName, host: &HostName) -> Step {
    let back = rewrite_beside(brief, proxy, host);
    Step {
        name: format!("keep out in haproxy.cfg at {proxy}"),
        first: First::Order,
        effect: Effect::KeepOut { proxy: proxy.clone(), host: host.clone() },
        proof: Proof::FileKeepsOut { proxy: proxy.clone(), host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::By { effect: back.effect, proof: back.proof },
        on_failure: OnFailure::GoOn,
        deadline_ms: KEEP_OUT_MS.min(brief.spec.policy.proxy_deadline_ms),
    }
}

/// Makes one proxy's file say what its runtime table says.
pub(super) fn rewrite(spec: &PairSpec, proxy: &ProxyName, master: &HostName) -> Step {
    rewrite_with(spec, proxy, master, alone(spec, proxy, master))
}

/// The same, with every host that is well where users may go to every host.
pub(super) fn rewrite_beside(brief: Brief<'_>, proxy: &ProxyName, master: &HostName) -> Step {
    rewrite_with(brief.spec, proxy, master, beside(brief, proxy))
}

fn rewrite_with(
    spec: &PairSpec,
    proxy: &ProxyName,
    master: &HostName,
    everywhere: Vec<HostName>,
) -> Step {
    let (proxy, master) = (proxy.clone(), master.clone());
    Step {
        name: format!("rewrite haproxy.cfg at {proxy}"),
        first: First::Order,
        proof: Proof::FileSays {
            proxy: proxy.clone(),
            master: master.clone(),
            everywhere: everywhere.clone(),
        },
        effect: Effect::Rewrite { proxy, master, everywhere },
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::GoOn,
        deadline_ms: spec.policy.proxy_deadline_ms,
    }
}
