//! Puts a new content into a proxy's file, has HAProxy load it, and proves it; else the old one is
//! back and loaded.
//!
//! The order rule: nobody waits at the proxy → the service loads the files that are checked → no
//! new address is taken by others → `put_file` → reload → a new worker → the runtime table and the
//! file say the same → a request through the frontend is answered, where one is configured. A plan
//! that begins to act before the reload is ordered has the right of way: the old content is put
//! back and nothing is loaded. Requests that wait in a worker cannot be released once it is
//! replaced, hence the first condition.

use std::collections::BTreeSet;
use std::time::Duration;

use haproxy::{Direction, Document, Inventory, Item};
use observer_core::drive::Answer;
use observer_core::policy::UsersGo;
use observer_core::sighting::{Admission, FileServer, Seen};
use observer_core::words::HostName;
use tokio::time::{Instant, sleep};

use super::put_file::{Outcome, Reach, put};
use super::reload::{LOOK_AGAIN, once};
use super::rewrite::insist_on_real_path;
use super::{Fault, Receivers, proxy_of, proxy_proofs};
use crate::eyes::port::probe_through;
use crate::eyes::proxy::{admission, rows, table};
use crate::eyes::proxy_file::{read_as_root, report};
use crate::pair_world::{Applied, ApplyStep, Inner, NewFile, Proxy};
use crate::ssh::Command;
use crate::survey::proxy_files;
use crate::text::shown;

/// How long one write, one reload with its proofs, and one look may take.
const WRITE: Duration = Duration::from_secs(10);
const RELOAD: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(3);

/// Checks everything that can be checked before the file is touched.
pub(crate) async fn prepare(
    world: &Inner,
    file: &NewFile,
    deadline: Duration,
) -> Result<(), String> {
    let proxy = proxy_of(world, &file.proxy).map_err(Fault::words)?;
    let until = Instant::now() + deadline;
    insist_on_real_path(proxy, LOOK).await.map_err(Fault::words)?;
    nobody_waits(world, proxy, file).await?;
    loads_what_is_checked(world, proxy, file).await?;
    no_address_is_taken(proxy, file).await?;
    proxy_proofs::can_be_loaded(proxy, LOOK).await?;
    if file.before == file.after {
        return Ok(());
    }
    let left = until.saturating_duration_since(Instant::now());
    match put(proxy, (&file.before, file.after.clone()), Reach::Check, left).await {
        Ok(_) => Ok(()),
        Err(fault) => Err(fault.words()),
    }
}

/// Changes, loads and proves. `may_act` says whether no plan has begun to act since the change was
/// allowed; `at` is told where it stands.
pub(crate) async fn apply(
    world: &Inner,
    file: &NewFile,
    may_act: &dyn Fn() -> bool,
    at: &dyn Fn(ApplyStep),
) -> Applied {
    let proxy = match proxy_of(world, &file.proxy) {
        Ok(proxy) => proxy,
        Err(fault) => return Applied::Refused(fault.words()),
    };
    let Some(_turn) = proxy.turns.take() else {
        return Applied::Refused("another change of its file is under way".to_owned());
    };
    if let Err(fault) = insist_on_real_path(proxy, LOOK).await {
        return Applied::Refused(fault.words());
    }
    if let Err(why) = nobody_waits(world, proxy, file).await {
        return Applied::Refused(why);
    }
    if !may_act() {
        return Applied::Refused(PLAN.to_owned());
    }
    if let Err(applied) = written(proxy, &file.before, &file.after).await {
        return applied;
    }
    at(ApplyStep::Put);
    // What waits now could not be released any more; and a plan's proofs must stay true.
    if let Err(why) = nobody_waits(world, proxy, file).await {
        return back(proxy, file, &why, Loaded::No, at).await;
    }
    if !may_act() {
        return back(proxy, file, PLAN, Loaded::No, at).await;
    }
    let until = Instant::now() + RELOAD;
    at(ApplyStep::Ordered);
    let pid = match once(proxy, until).await {
        Ok(pid) => pid,
        Err(why) => return back(proxy, file, &why, Loaded::Tried, at).await,
    };
    match proven(world, (proxy, file), may_act, Instant::now() + RELOAD).await {
        Ok(seen) => {
            at(ApplyStep::Proven);
            Applied::Loaded(format!("worker {pid} runs with it; {seen}"))
        }
        Err(why) => back(proxy, file, &why, Loaded::Tried, at).await,
    }
}

const PLAN: &str = "a plan has begun to act at a proxy, and goes first";

/// Whether HAProxy was told to load the new content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loaded {
    No,
    Tried,
}

/// Puts the content in its place. What is not told is read back.
async fn written(proxy: &Proxy, before: &[u8], after: &[u8]) -> Result<(), Applied> {
    let why = match put(proxy, (before, after.to_vec()), Reach::Put, WRITE).await {
        Ok(Outcome::Done) => return Ok(()),
        Ok(Outcome::Changed) => "it was changed by somebody meanwhile".to_owned(),
        Err(fault) => fault.words(),
    };
    match read_as_root(proxy, LOOK).await {
        Ok(now) if now == after && before != after => Ok(()),
        Ok(_) => Err(Applied::Refused(why)),
        Err(silent) => Err(Applied::Unsettled(format!("{why}; the file is not seen: {silent}"))),
    }
}

/// The old content in its place, and loaded where the new one may have been.
async fn back(
    proxy: &Proxy,
    file: &NewFile,
    why: &str,
    loaded: Loaded,
    at: &dyn Fn(ApplyStep),
) -> Applied {
    if let Err(Applied::Refused(also) | Applied::Unsettled(also)) =
        written(proxy, &file.after, &file.before).await
    {
        return Applied::Unsettled(format!("{why}; the old content could not be put back: {also}"));
    }
    at(ApplyStep::Back);
    if loaded == Loaded::No {
        return Applied::Refused(format!("{why}; the old content is back, and was never replaced"));
    }
    match once(proxy, Instant::now() + RELOAD).await {
        Ok(_) => Applied::RolledBack(format!("{why}; the old content is back and loaded")),
        Err(also) => {
            Applied::Unsettled(format!("{why}; the old content is back, and not loaded: {also}"))
        }
    }
}

/// Users are served: the master takes sessions in every backend of the pair, and its checks pass.
async fn nobody_waits(world: &Inner, proxy: &Proxy, file: &NewFile) -> Result<(), String> {
    let rows = table(world, proxy, LOOK).await;
    let rows = rows.map_err(|error| format!("its runtime socket: {error:?}"))?;
    let backends: BTreeSet<&str> = rows.iter().map(|own| own.row.backend.as_str()).collect();
    for backend in backends {
        let serves = rows.iter().any(|own| {
            own.row.backend == backend
                && (own.host == file.master || own.users == UsersGo::EveryHost)
                && admission(&own.row) == Admission::LetIn
                && own.row.status.takes_new()
        });
        if !serves {
            return Err(shown(
                format!(
                    "users of backend {backend} wait: {} does not serve it, and requests that \
                     wait could not be released after a reload",
                    file.master
                )
                .as_bytes(),
            ));
        }
    }
    Ok(())
}

/// The running service loads the files that our check loads, in the same order, and the pair's
/// servers stand in the one that is changed.
async fn loads_what_is_checked(world: &Inner, proxy: &Proxy, file: &NewFile) -> Result<(), String> {
    let reading = proxy_files::read(world, proxy, Ok(&file.before), Instant::now() + LOOK);
    // What cannot be read, such as a process that is hidden, leaves the configuration's word.
    let Ok((_, files)) = reading.await else { return Ok(()) };
    match files.fault(&file.proxy) {
        Some((what, fix)) => Err(shown(format!("{what}: {fix}").as_bytes())),
        None => Ok(()),
    }
}

/// `haproxy -c` binds nothing. A reload that finds an address taken refuses users for seconds
/// while it tries again, so that new ones are looked for first.
async fn no_address_is_taken(proxy: &Proxy, file: &NewFile) -> Result<(), String> {
    let (old, new) = (Document::parse(&file.before), Document::parse(&file.after));
    let (old, new) = (Inventory::of(&old), Inventory::of(&new));
    let differences = old.differences(&new);
    let bind = |item: &Item| match item {
        Item::Bind(bind) => Some(bind.clone()),
        _ => None,
    };
    let of = |wanted: Direction| {
        let own = differences.iter().filter(move |one| one.direction == wanted);
        own.filter_map(|one| bind(&one.item)).collect::<Vec<String>>()
    };
    let freed: BTreeSet<Option<u16>> = of(Direction::Lost).iter().map(|bind| port(bind)).collect();
    let wanted = of(Direction::Added);
    if wanted.is_empty() {
        return Ok(());
    }
    let command = Command::new("ss").arg("-Hltn");
    let output = proxy.ssh.exec(&command, "", LOOK, 256 * 1024).await;
    // Without the program the reload itself finds it, and is taken back.
    let Some(output) = output.ok().filter(|output| output.succeeded()) else { return Ok(()) };
    let text = String::from_utf8_lossy(&output.stdout);
    let taken: BTreeSet<u16> =
        text.lines().filter_map(|line| line.split_whitespace().nth(3).and_then(port)).collect();
    let clash = wanted.iter().find(|bind| {
        port(bind).is_some_and(|port| taken.contains(&port) && !freed.contains(&Some(port)))
    });
    match clash {
        Some(bind) => Err(shown(
            format!("bind {bind}: another process listens at this port already").as_bytes(),
        )),
        None => Ok(()),
    }
}

fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

/// The runtime table says what the file says: the master is let in and nobody else, and every
/// server of the file runs.
async fn proven(
    world: &Inner,
    (proxy, file): (&Proxy, &NewFile),
    may_act: &dyn Fn() -> bool,
    until: Instant,
) -> Result<String, String> {
    let everywhere = shared_in(world, proxy, &file.after);
    let receivers = Receivers { master: &file.master, everywhere: &everywhere };
    loop {
        if !may_act() {
            // It waits for us, and changes what would be looked for: another reload would keep it
            // waiting for nothing.
            return Ok("a plan acts here now, and proves who is let in".to_owned());
        }
        // Each look has its whole time: one that is cut short would hide what the last one saw.
        let why = match proxy_proofs::is_in(world, proxy, receivers, LOOK).await {
            Answer::Shown(seen) => match every_server_runs(proxy, &file.after, LOOK).await {
                Ok(()) => match frontend_answers(proxy).await {
                    Ok(answered) => return Ok(format!("{seen}{answered}")),
                    Err(why) => why,
                },
                Err(why) => why,
            },
            Answer::NotYet(why)
            | Answer::Failed(why)
            | Answer::Unknown(why)
            | Answer::Never(why) => why,
        };
        if Instant::now() >= until {
            return Err(why);
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// The hosts that a content lets users in to where they may go to every host.
fn shared_in(world: &Inner, proxy: &Proxy, bytes: &[u8]) -> Vec<HostName> {
    let report = report(world, proxy, &Document::parse(bytes));
    let servers = report.map(|report| report.servers).unwrap_or_default();
    let is_in = |server: &FileServer| {
        server.users == UsersGo::EveryHost && server.admission == Admission::LetIn
    };
    let hosts: BTreeSet<HostName> =
        servers.into_iter().filter(is_in).map(|server| server.host).collect();
    hosts.into_iter().collect()
}

/// The configured request, asked as a user on the proxy's own machine would.
async fn frontend_answers(proxy: &Proxy) -> Result<&'static str, String> {
    let Some(probe) = &proxy.access.probe else { return Ok("") };
    let (at, port, path) = (&probe.address, probe.port, &probe.path);
    let why = match probe_through(&proxy.ssh, at, probe, LOOK).await {
        Ok(Seen::ApplicationWell) => return Ok("; the frontend answers"),
        Ok(Seen::ApplicationIll(why)) => why,
        Ok(Seen::Refused) => "connection refused".to_owned(),
        Ok(other) => format!("{other:?}"),
        Err(silent) => silent.to_string(),
    };
    Err(shown(format!("the frontend at {at}:{port} does not answer {path} well: {why}").as_bytes()))
}

async fn every_server_runs(proxy: &Proxy, bytes: &[u8], left: Duration) -> Result<(), String> {
    let running = rows(proxy, haproxy::runtime::Target::Worker, left).await;
    let running = running.map_err(|error| format!("{error:?}"))?;
    let running: BTreeSet<(&str, &str)> =
        running.iter().map(|row| (row.backend.as_str(), row.server.as_str())).collect();
    let document = Document::parse(bytes);
    let view = document.view();
    for section in view.backends() {
        // What a condition leaves out, and what a template makes, cannot be told from the file.
        let plain = section.servers.iter().filter(|server| {
            server.template.is_none() && !matches!(server.state(), haproxy::State::Unclear(_))
        });
        for server in plain {
            if !running.contains(&(&*section.name, &*server.name)) {
                let text = format!("server {}/{} does not run", section.name, server.name);
                return Err(shown(text.as_bytes()));
            }
        }
    }
    Ok(())
}
