//! Whether the proxies say what the journal says, and whether they could keep users off the
//! master.

use super::sharing::ProxiedStanding;
use super::votes::{self, Vote};
use super::{Inputs, sharing};
use crate::facts::{Fence, Master, Proxies};
use crate::policy::{FenceGrade, OnDrift, UsersGo};
use crate::sighting::{Admission, FileServer, Look, ProxyReport, Says, Seen, ServerReport, Silent};
use crate::words::{BouncerName, HostName, ProxyName};

/// Rounds for which a proxy's checks of a healthy master must fail to be told.
const FAILS_ROUNDS: u64 = 2;
/// How long a PgBouncer may be paused before it counts as forgotten, in milliseconds: a person who
/// pauses one to restart something takes about a second. No plan is judged meanwhile, and one of
/// ours that ends resumes it.
const PAUSED_MS: u64 = 5_000;

/// The worst of the proxies, whether a fence is possible, and what was seen.
pub(super) fn assess(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    condition: Master,
    shared: &[ProxiedStanding],
) -> (Proxies, Fence, Vec<String>) {
    let mut worst = Proxies::True;
    let mut evidence = Vec::new();
    let mut fence = fence_without_proxies(inputs, master, condition);
    for proxy in &inputs.spec.proxies {
        evidence.extend(unread_file(inputs, proxy));
        let (state, why) = one(inputs, proxy, master.map(|host| (host, condition)), shared);
        if state == Proxies::Unreachable {
            fence = Fence::Impossible;
        }
        evidence.extend(why);
        if rank(state) > rank(worst) {
            worst = state;
        }
    }
    for bouncer in &inputs.spec.bouncers {
        let (state, why) = one_bouncer(inputs, bouncer);
        evidence.extend(why);
        if rank(state) > rank(worst) {
            worst = state;
        }
    }
    (worst, fence, evidence)
}

/// The proxies that lead users of some backend to the master alone, as they are seen.
pub(super) fn exclusive(inputs: Inputs<'_>) -> Vec<ProxyName> {
    let leads = |proxy: &&ProxyName| {
        let seen = inputs.snapshot.seen(&Look::Proxy((*proxy).clone()));
        // What is not seen may do so.
        !matches!(seen, Some(Seen::Proxy(report))
            if report.servers.iter().all(|row| row.users == UsersGo::EveryHost))
    };
    inputs.spec.proxies.iter().filter(leads).cloned().collect()
}

/// A PgBouncer that is not seen is told and changes nothing: a failover works without it, and a
/// switchover looks at it before anybody waits.
fn one_bouncer(inputs: Inputs<'_>, bouncer: &BouncerName) -> (Proxies, Option<String>) {
    let say = |text: &str| Some(format!("{bouncer}: {text}"));
    let entry = inputs.snapshot.get(&Look::Bouncer(bouncer.clone()));
    let Some(seen) = entry.map(|entry| &entry.latest.seen) else { return (Proxies::True, None) };
    match seen {
        Ok(Seen::Bouncer(report)) => {
            let since = entry.and_then(|entry| entry.paused_since);
            let paused: Vec<&str> = report.paused().collect();
            if since.is_some_and(|at| inputs.now.since(at) >= PAUSED_MS) {
                (Proxies::Parked, say(&format!("paused: {}", paused.join(", "))))
            } else {
                (Proxies::True, None)
            }
        }
        Ok(_) => (Proxies::True, say("PgBouncer is not running")),
        Err(silent) => match votes::vote(entry, &inputs.spec.policy) {
            Vote::Lost | Vote::Unasked => (Proxies::True, say(&silent.to_string())),
            Vote::Alive | Vote::Undecided => (Proxies::True, None),
        },
    }
}

/// The worse of two.
pub(super) fn worse(one: Proxies, other: Proxies) -> Proxies {
    if rank(other) > rank(one) { other } else { one }
}

/// What a repair can put right is told before what only a person can.
fn rank(state: Proxies) -> u8 {
    match state {
        Proxies::True => 0,
        Proxies::CutFromMaster => 1,
        Proxies::Stopped => 2,
        Proxies::LeftDrifted => 3,
        Proxies::Unreachable => 4,
        Proxies::Parked => 5,
        Proxies::Drifted => 6,
    }
}

fn fence_without_proxies(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    condition: Master,
) -> Fence {
    let policy = &inputs.spec.policy;
    let by_hand = master.is_some_and(|host| votes::ssh(inputs, host) == Vote::Alive);
    let by_power = policy.power_fence.is_some();
    let possible = match policy.fence {
        FenceGrade::PoweredOff => by_power,
        FenceGrade::ProxiedOff if !inputs.spec.proxies.is_empty() => true,
        FenceGrade::ProxiedOff | FenceGrade::Stopped => by_hand || by_power,
    };
    // No proxy keeps singletons of a living host from doing their work a second time.
    let may_run_on = inputs.spec.has_external_database()
        && condition != Master::HostGone
        && !by_hand
        && !by_power;
    let possible = possible && !may_run_on;
    if possible { Fence::Possible } else { Fence::Impossible }
}

fn one(
    inputs: Inputs<'_>,
    proxy: &ProxyName,
    master: Option<(&HostName, Master)>,
    shared: &[ProxiedStanding],
) -> (Proxies, Vec<String>) {
    let say = |text: &str| vec![format!("{proxy}: {text}")];
    let entry = inputs.snapshot.get(&Look::Proxy(proxy.clone()));
    match entry.map(|entry| &entry.latest.seen) {
        Some(Ok(Seen::Proxy(report))) => {
            let mut wrong: Vec<Wrong> = Vec::new();
            if let Some((master, _)) = master {
                wrong.extend(runtime_drift(proxy, report, (master, shared)));
                wrong.extend(file_drift(inputs, proxy, (master, shared)));
            }
            if !wrong.is_empty() {
                let ordered = |one: &Wrong| {
                    one.users == UsersGo::EveryHost && sharing::is_ordered(inputs, &one.host)
                };
                let state = match inputs.spec.policy.on_drift {
                    // What a person has ordered is carried out whatever is done about drift.
                    OnDrift::Show if !wrong.iter().any(ordered) => Proxies::LeftDrifted,
                    OnDrift::Show | OnDrift::Repair => Proxies::Drifted,
                };
                (state, wrong.into_iter().map(|one| one.text).collect())
            } else if master.is_some_and(|(master, condition)| {
                condition == Master::Healthy && fails_lastingly(inputs, proxy, master)
            }) {
                (Proxies::CutFromMaster, say("its checks of the master fail"))
            } else {
                (Proxies::True, Vec::new())
            }
        }
        Some(Ok(_)) => (Proxies::Stopped, say("HAProxy is not running")),
        Some(Err(silent)) => match votes::vote(entry, &inputs.spec.policy) {
            Vote::Lost | Vote::Unasked => (Proxies::Unreachable, say(&silent.to_string())),
            Vote::Alive | Vote::Undecided => (Proxies::True, Vec::new()),
        },
        None => (Proxies::True, Vec::new()),
    }
}

/// A server that a proxy lets in, or keeps out, against what the journal says.
struct Wrong {
    host: HostName,
    users: UsersGo,
    text: String,
}

/// A file that answers and cannot be understood: no change of master could be written into it.
fn unread_file(inputs: Inputs<'_>, proxy: &ProxyName) -> Option<String> {
    let entry = inputs.snapshot.get(&Look::ProxyFile(proxy.clone()))?;
    match &entry.latest.seen {
        Err(silent @ (Silent::Garbage(_) | Silent::Denied(_)))
            if entry.streak >= inputs.spec.policy.failures =>
        {
            Some(format!("{proxy}: its file: {silent}"))
        }
        _ => None,
    }
}

type Right<'a> = (&'a HostName, &'a [ProxiedStanding]);

fn runtime_drift(proxy: &ProxyName, report: &ProxyReport, right: Right<'_>) -> Vec<Wrong> {
    let wrong =
        |server: &&ServerReport| wrongly(server.admission, (&server.host, server.users), right);
    let say = |server: &ServerReport| Wrong {
        host: server.host.clone(),
        users: server.users,
        text: format!(
            "{proxy}: {}/{} ({}) is {}",
            server.backend,
            server.server,
            server.host,
            word(server.admission)
        ),
    };
    report.servers.iter().filter(wrong).map(say).collect()
}

fn file_drift(inputs: Inputs<'_>, proxy: &ProxyName, right: Right<'_>) -> Vec<Wrong> {
    let Some(Seen::ProxyFile(file)) = inputs.snapshot.seen(&Look::ProxyFile(proxy.clone())) else {
        return Vec::new();
    };
    let wrong =
        |server: &&FileServer| wrongly(server.admission, (&server.host, server.users), right);
    let say = |server: &FileServer| {
        let now = word(server.admission);
        let FileServer { backend, server: name, host, .. } = server;
        Wrong {
            host: host.clone(),
            users: server.users,
            text: format!("{proxy}: haproxy.cfg says {backend}/{name} ({host}) is {now}"),
        }
    };
    file.servers.iter().filter(wrong).map(say).collect()
}

fn wrongly(
    admission: Admission,
    (host, users): (&HostName, UsersGo),
    (master, shared): Right<'_>,
) -> bool {
    // One that is draining is neither: who sticks to it still comes.
    let is_wrong = |wants_in: bool| match admission {
        Admission::LetIn => !wants_in,
        Admission::TakenOut => wants_in,
        Admission::Draining => true,
    };
    match users {
        UsersGo::Master => is_wrong(host == master),
        UsersGo::EveryHost => {
            sharing::wants(shared, host).is_some_and(|wants| is_wrong(wants == Says::In))
        }
    }
}

fn word(admission: Admission) -> &'static str {
    match admission {
        Admission::LetIn => "in rotation",
        Admission::TakenOut => "out of rotation",
        Admission::Draining => "draining",
    }
}

/// True if the proxy's checks of the master have failed without a break for a whole round: its
/// table is often the first to show what the next look at the master will explain.
fn fails_lastingly(inputs: Inputs<'_>, proxy: &ProxyName, master: &HostName) -> bool {
    let Some(entry) = inputs.snapshot.get(&Look::Proxy(proxy.clone())) else { return false };
    entry
        .failing_since
        .get(master)
        .is_some_and(|at| inputs.now.since(*at) >= FAILS_ROUNDS * inputs.spec.policy.interval_ms)
}
