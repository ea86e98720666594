//! Reloads HAProxy and proves it; a reload that fails puts the kept file back and reloads again.
//!
//! A failover needs none of this: the running proxy is told first and the file second. The exit
//! code of `systemctl reload` says nothing of the new worker: where there is no master socket to
//! ask, another process must answer at the runtime socket.

use std::time::Duration;

use haproxy::runtime::{Command, Info, ProcessTable, ReloadProof, Target};
use tokio::time::{Instant, sleep};

use super::proxy_proofs::processes;
use super::run::Machine;
use super::{Fault, rewrite};
use crate::eyes::proxy::converse;
use crate::pair_world::Proxy;
use crate::text::shown;

/// Pause between two looks at the processes. A worker takes tens of milliseconds to start.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Loads the file anew. `Ok` is the sentence of what was seen; `Err` says whether users are
/// served by the old file.
pub(crate) async fn reload(proxy: &Proxy, deadline: Duration) -> Result<String, String> {
    let until = Instant::now() + deadline;
    match once(proxy, until).await {
        Ok(pid) => Ok(format!("worker {pid} serves with the file as it is now")),
        Err(why) => {
            let left = until.saturating_duration_since(Instant::now()).max(deadline / 2);
            let back = rewrite::restore(proxy, left).await;
            if let Err(fault) = back {
                let also = fault.words();
                return Err(format!("{why}; the kept file could not be put back: {also}"));
            }
            match once(proxy, Instant::now() + deadline / 2).await {
                Ok(_) => Err(format!("{why}; the kept file is back and loaded")),
                Err(also) => Err(format!("{why}; the kept file is back, and not loaded: {also}")),
            }
        }
    }
}

/// One reload, proven by a new worker.
pub(super) async fn once(proxy: &Proxy, until: Instant) -> Result<u32, String> {
    let left = || until.saturating_duration_since(Instant::now());
    if proxy.access.master_socket.is_none() {
        return once_by_unit(proxy, until).await;
    }
    let before = processes(proxy, left()).await?;
    // Before 2.7 the answer is nothing at all, and the connection may end early: the proof counts.
    let _ = converse(proxy, Target::Master, vec![Command::Reload], left()).await;
    loop {
        let after: Result<ProcessTable, String> = processes(proxy, left()).await;
        match after.as_ref().map(|after| before.proof(after)) {
            Ok(ReloadProof::NewWorker { pid }) => return Ok(pid),
            Ok(ReloadProof::Failed) => {
                return Err("HAProxy did not load the new file and goes on with the old".to_owned());
            }
            Ok(ReloadProof::Restarted) => return Err("HAProxy was restarted meanwhile".to_owned()),
            Ok(ReloadProof::NotYet) | Err(_) if left().is_zero() => {
                return Err(after.err().unwrap_or_else(|| "no new worker came up".to_owned()));
            }
            Ok(ReloadProof::NotYet) | Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

/// The same without a master socket.
async fn once_by_unit(proxy: &Proxy, until: Instant) -> Result<u32, String> {
    let left = || until.saturating_duration_since(Instant::now());
    let before = worker(proxy, left()).await?;
    let reloading = Machine::proxy(proxy).run(&proxy.commands.reload, "", left()).await;
    match reloading {
        Ok(_) | Err(Fault::NoReply) => {}
        Err(Fault::Refused(why)) => return Err(why),
    }
    loop {
        match worker(proxy, left()).await {
            Ok(now) if now != before => return Ok(now),
            Ok(_) | Err(_) if left().is_zero() => {
                return Err("no new process answers at the runtime socket".to_owned());
            }
            Ok(_) | Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

/// The process that answers at the runtime socket.
pub(super) async fn worker(proxy: &Proxy, deadline: Duration) -> Result<u32, String> {
    let answer = converse(proxy, Target::Worker, vec![Command::ShowInfo], deadline).await;
    let answer = answer.map_err(|error| format!("the runtime socket: {error:?}"))?;
    let info = Info::parse(&answer);
    let info = info.map_err(|error| shown(format!("`show info`: {error}").as_bytes()))?;
    if info.stopping { Err("a worker that is ending answers".to_owned()) } else { Ok(info.pid) }
}
