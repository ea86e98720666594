//! The words of a scenario for what happens to services, files and mounts.

use observer_core::words::{At, HostName, ServiceName};

use super::{duration, number_at, says};
use crate::fault::Fault;
use crate::machine::{ServiceState, Warmup};
use crate::mount::Mount;

/// What happens to a service of the application.
pub(super) fn of_a_service(words: &[&str]) -> Option<Fault> {
    let host = || words.get(1).map(|name| HostName::new(name));
    let service = || words.get(2).map(|name| ServiceName::new(name));
    Some(match *words.first()? {
        "ready-after" => {
            let ms = words.get(3).and_then(duration)?;
            Fault::WarmUp(host()?, service()?, Warmup::Until(At(ms)))
        }
        "never-ready" => Fault::WarmUp(host()?, service()?, Warmup::Never),
        "lose-readiness" => Fault::LoseReadiness(host()?, service()?),
        "gain-readiness" => Fault::GainReadiness(host()?, service()?),
        "kill-application" => Fault::KillApplication(host()?),
        "break-application" => Fault::BreakApplication(host()?),
        "stop-application" => Fault::StopApplication(host()?),
        "start-singletons" => Fault::Singletons(host()?, ServiceState::Up),
        "stop-singletons" => Fault::Singletons(host()?, ServiceState::Stopped),
        "kill-singletons" => Fault::Singletons(host()?, ServiceState::Failed),
        "loop-singletons" => Fault::Singletons(host()?, ServiceState::Looping),
        "lose-singleton-units" => Fault::Singletons(host()?, ServiceState::Gone),
        "break-singletons" => Fault::Singletons(host()?, ServiceState::Broken),
        _ => return None,
    })
}

/// What happens to files, to what copies them, and to the shared mount.
pub(super) fn of_files(words: &[&str]) -> Option<Fault> {
    let host = || words.get(1).map(|name| HostName::new(name));
    Some(match *words.first()? {
        "delete-files" => Fault::DeleteFiles(host()?),
        "lose-licence" => Fault::TurnLicence(host()?, None),
        "write-licence" => Fault::TurnLicence(host()?, Some(number_at(words, 2)?)),
        "hang-passes" => Fault::HangPasses(host()?),
        "let-passes-end" => Fault::LetPassesEnd(host()?),
        "fill-files" => Fault::FillFiles(host()?),
        "free-files" => Fault::FreeFiles(host()?),
        "write-monitor" => Fault::WriteMonitor(host()?, says(words.get(2)?)?),
        "lock-monitor" => Fault::LockMonitor(host()?),
        "unlock-monitor" => Fault::UnlockMonitor(host()?),
        "open-sessions" => Fault::OpenSessions(host()?, number_at(words, 2)?),
        "kill-pass" => Fault::KillPass(host()?),
        "hang-mount" => Fault::TurnMount(host()?, Mount::Hangs(At(0))),
        "unmount" => Fault::TurnMount(host()?, Mount::Absent),
        "mount-read-only" => Fault::TurnMount(host()?, Mount::ReadOnly),
        "mount-another" => Fault::TurnMount(host()?, Mount::Other),
        "mend-mount" => Fault::TurnMount(host()?, Mount::Works),
        _ => return None,
    })
}

/// What happens to a host's systemd, its sshd and its processes.
pub(super) fn of_a_machine(words: &[&str]) -> Option<Fault> {
    let host = || words.get(1).map(|name| HostName::new(name));
    Some(match *words.first()? {
        "hang-boot" => Fault::HangBoot(host()?),
        "end-boot" => Fault::EndBoot(host()?),
        "forbid-forwarding" => Fault::ForbidForwarding(host()?),
        "freeze" => Fault::Freeze(host()?),
        "thaw" => Fault::Thaw(host()?),
        "deafen-systemd" => Fault::DeafenSystemd(host()?),
        "mend-systemd" => Fault::MendSystemd(host()?),
        "enable" => Fault::Enable(host()?, words.get(2).map(|name| ServiceName::new(name))),
        _ => return None,
    })
}
