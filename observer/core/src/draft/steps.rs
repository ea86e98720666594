//! The steps that plans are made of, each with its proof, its undo and the meaning of a lost
//! reply.
//!
//! Every effect here may be repeated: doing it twice changes nothing, so a lost reply is answered
//! by ordering it again, unless the step says otherwise and why.

use crate::plan::{Effect, First, LostReply, OnFailure, Proof, Sessions, Step, Stop, Undo};
use crate::policy::{PairSpec, Placement, ServiceSpec};
use crate::words::{HostName, Lsn, ProxyName, Timeline};

/// How long stopping by SIGKILL or leaving a tombstone may take, in milliseconds: an SSH command
/// takes tens of milliseconds, a loaded host a second or two.
const QUICK_MS: u64 = 5_000;

/// How long the slave may take to replay while a master that is alive stands still for it: users
/// wait in the waiting room, whose limit is a minute.
const ALIVE_REPLAY_MS: u64 = 15_000;
/// How long writing the fence into a file may hold up a promotion, in milliseconds: it takes two
/// hundred where it works.
const KEEP_OUT_MS: u64 = 1_500;
/// How long killing a database may take: SIGKILL is heard at once, systemd notices within
/// milliseconds.
const KILL_MS: u64 = 2_000;

/// Fences `host` at one proxy: users can no longer reach it there, proven by reading back.
pub(super) fn fence(spec: &PairSpec, proxy: &ProxyName, host: &HostName) -> Step {
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
        undo: Undo::By {
            effect: Effect::LetIn { proxy: proxy.clone(), host: host.clone() },
            proof: Proof::IsIn { proxy: proxy.clone(), host: host.clone() },
        },
        on_failure: OnFailure::GiveUp,
        deadline_ms: spec.policy.proxy_deadline_ms,
    }
}

/// Fences once more right before the pivot: replaying may have taken a minute, and a HAProxy that
/// was restarted meanwhile has gone back to its file. Sessions are not ended a second time, since
/// by now the waiting room holds users that have nothing to do with the old master.
pub(super) fn still_fenced(spec: &PairSpec, proxy: &ProxyName, host: &HostName) -> Step {
    Step {
        name: format!("still fenced at {proxy}"),
        first: First::Order,
        effect: Effect::TakeOut {
            proxy: proxy.clone(),
            host: host.clone(),
            sessions: Sessions::Finish,
        },
        undo: Undo::NothingToUndo,
        ..fence(spec, proxy, host)
    }
}

/// Stops the old master's database.
pub(super) fn stop_database(host: &HostName, how: Stop, on_failure: OnFailure) -> Step {
    Step {
        name: "stop old database".to_owned(),
        first: First::Order,
        effect: Effect::StopDatabase { host: host.clone(), how },
        proof: Proof::DatabaseStopped { host: host.clone() },
        lost_reply: LostReply::Repeat,
        // Somebody may have started it while the tombstone stood, which makes a slave of it.
        undo: Undo::By {
            effect: Effect::RestartDatabase { host: host.clone() },
            proof: Proof::CanWrite { host: host.clone() },
        },
        on_failure,
        deadline_ms: match how {
            // Users wait for this one, and a kill that does not work at once will not work.
            Stop::Kill => KILL_MS,
            // A clean stop writes a checkpoint of everything dirty.
            Stop::Clean => 60_000,
        },
    }
}

/// Compares what the slave has received with the master's last known position.
pub(super) fn measure_loss(host: &HostName, reached: Lsn, budget_bytes: u64) -> Step {
    Step {
        name: "measure loss".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::LossWithin { host: host.clone(), reached, budget_bytes },
        lost_reply: LostReply::LookOnly,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    }
}

/// Waits until the slave has replayed all it received.
pub(super) fn replay(spec: &PairSpec, host: &HostName, patience: Patience) -> Step {
    Step {
        name: "replay".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::ReplayedAll { host: host.clone() },
        lost_reply: LostReply::LookOnly,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: match patience {
            Patience::TillPolicy => spec.policy.replay_deadline_ms,
            Patience::Short => ALIVE_REPLAY_MS.min(spec.policy.replay_deadline_ms),
        },
    }
}

/// How long replay may keep users waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// As long as the policy says: nobody else can serve.
    TillPolicy,
    /// Shortly: the old master could serve again.
    Short,
}

/// The pivot.
pub(super) fn promote(spec: &PairSpec, host: &HostName, after: Timeline) -> Step {
    Step {
        name: "promote".to_owned(),
        first: First::Order,
        effect: Effect::Promote { host: host.clone() },
        proof: Proof::IsPrimary { host: host.clone(), after },
        // Promoting a standby that is being promoted changes nothing.
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::Insist,
        deadline_ms: spec.policy.promote_deadline_ms,
    }
}

/// Proves that the new master commits.
pub(super) fn first_write(host: &HostName) -> Step {
    Step {
        name: "first write".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::CanWrite { host: host.clone() },
        lost_reply: LostReply::LookOnly,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::Insist,
        deadline_ms: QUICK_MS,
    }
}

/// Starts a service on the new master. It is not worth keeping users out for a scheduler that
/// does not start, so a failure is said and passed.
pub(super) fn start_service(host: &HostName, service: &ServiceSpec) -> Step {
    Step {
        name: format!("start {}", service.name),
        // One that runs on every host runs already, unless something is wrong with it.
        first: if service.placement == Placement::All { First::Look } else { First::Order },
        effect: Effect::StartService { host: host.clone(), service: service.name.clone() },
        proof: Proof::ServiceReady { host: host.clone(), service: service.name.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::GoOn,
        deadline_ms: service.start_deadline_ms,
    }
}

/// Stops a service that must run nowhere but on the master.
pub(super) fn stop_service(host: &HostName, service: &ServiceSpec) -> Step {
    let name = service.name.clone();
    Step {
        name: format!("stop {name} on {host}"),
        first: First::Order,
        effect: Effect::StopService { host: host.clone(), service: name.clone() },
        proof: Proof::ServiceStopped { host: host.clone(), service: name.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::By {
            effect: Effect::StartService { host: host.clone(), service: name.clone() },
            proof: Proof::ServiceReady { host: host.clone(), service: name },
        },
        on_failure: OnFailure::GoOn,
        deadline_ms: QUICK_MS,
    }
}

/// Lets users in to the new master. If one of several proxies will not, the others must not wait
/// for it: what is owed is found as drift and repaired.
pub(super) fn let_in(spec: &PairSpec, proxy: &ProxyName, host: &HostName) -> Step {
    Step {
        name: format!("let in at {proxy}"),
        first: First::Order,
        effect: Effect::LetIn { proxy: proxy.clone(), host: host.clone() },
        proof: Proof::IsIn { proxy: proxy.clone(), host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::GoOn,
        deadline_ms: spec.policy.proxy_deadline_ms,
    }
}

/// Makes one proxy's file keep the old master out before anybody is promoted: a HAProxy that is
/// restarted from then on makes users wait instead of sending them to a master that was replaced.
/// A file that cannot be written does not hold the promotion up: the running proxy is fenced.
pub(super) fn keep_out(spec: &PairSpec, proxy: &ProxyName, host: &HostName) -> Step {
    Step {
        name: format!("keep out in haproxy.cfg at {proxy}"),
        first: First::Order,
        effect: Effect::KeepOut { proxy: proxy.clone(), host: host.clone() },
        proof: Proof::FileKeepsOut { proxy: proxy.clone(), host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::By {
            effect: Effect::Rewrite { proxy: proxy.clone(), master: host.clone() },
            proof: Proof::FileSays { proxy: proxy.clone(), master: host.clone() },
        },
        on_failure: OnFailure::GoOn,
        deadline_ms: KEEP_OUT_MS.min(spec.policy.proxy_deadline_ms),
    }
}

/// Makes one proxy's file say what its runtime table says.
pub(super) fn rewrite(spec: &PairSpec, proxy: &ProxyName, master: &HostName) -> Step {
    Step {
        name: format!("rewrite haproxy.cfg at {proxy}"),
        first: First::Order,
        effect: Effect::Rewrite { proxy: proxy.clone(), master: master.clone() },
        proof: Proof::FileSays { proxy: proxy.clone(), master: master.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::GoOn,
        deadline_ms: spec.policy.proxy_deadline_ms,
    }
}

/// Takes away a tombstone that stands on the journal's own master.
pub(super) fn lift_tombstone(host: &HostName) -> Step {
    Step {
        name: "lift tombstone".to_owned(),
        first: First::Order,
        effect: Effect::LiftTombstone { host: host.clone() },
        proof: Proof::NoTombstone { host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    }
}

/// Keeps the old master from starting as master, whoever starts it and when.
pub(super) fn tombstone(host: &HostName) -> Step {
    Step {
        name: "leave tombstone".to_owned(),
        first: First::Order,
        effect: Effect::LeaveTombstone { host: host.clone() },
        proof: Proof::TombstoneStands { host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::By {
            effect: Effect::LiftTombstone { host: host.clone() },
            proof: Proof::NoTombstone { host: host.clone() },
        },
        on_failure: OnFailure::GoOn,
        deadline_ms: KILL_MS,
    }
}
