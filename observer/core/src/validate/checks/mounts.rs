//! Shared mounts: there, the right ones, usable, the same storage in truth, and with room.
//!
//! What matters is the host that would take over; whatever else is amiss is one warning.

use super::TAKEOVER;
use crate::digest::mounts::{has_few_inodes, room_text};
use crate::mounts::{MountAccess, MountReport, MountSpec, MountSurvey, MountUse, Token};
use crate::validate::{Check, Examine, Examined, Inputs, Outcome, Severity, Unread};
use crate::words::{HostName, human_ms};

const FIX: &str = "on that host: `findmnt PATH`, then mount it as on the master, and in /etc/fstab";

pub(super) const MOUNT_PRESENT: Check = Check {
    id: "mount-present",
    title: "every mount that the service needs is mounted on the slave",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "below an empty mount point lies the host's own disk, which takes files and shares none",
    after: "users miss every file, and new ones go where nobody looks for them",
    fix: "on that host: `findmnt --target PATH`. If that names another folder, PATH is a link or \
          lies inside a mount: write that folder as `path` of the [[mount]]. Else mount it as on \
          the master, and in /etc/fstab",
    examine: Examine::Slaves(present),
};

pub(super) const MOUNT_SOURCE: Check = Check {
    id: "mount-source",
    title: "what is mounted on the slave is what must be",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "another export has other files",
    after: "users see other files than before",
    fix: "mount the same source on both hosts, or correct `source` of the [[mount]]",
    examine: Examine::Slaves(source),
};

pub(super) const MOUNT_USABLE: Check = Check {
    id: "mount-usable",
    title: "the service's account can use every mount on the slave as the service needs",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "read, write, rename and lock are tried as that account, now and on that host",
    after: "the application starts, and fails at the first file",
    fix: "see how it is exported to that host, its options, and the folder's owner and mode",
    examine: Examine::Slaves(usable),
};

pub(super) const MOUNT_SHARED: Check = Check {
    id: "mount-shared",
    title: "what one host writes into a mount is there for the other",
    severity: Severity::Severe,
    readies: TAKEOVER,
    why: "two storages may go by one name",
    after: "users miss every file that was written on the other host",
    fix: "compare what the name of the source leads to on both hosts",
    examine: Examine::Slaves(shared),
};

pub(super) const MOUNT_ROOM: Check = Check {
    id: "mount-room",
    title: "every mount has room for more files",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "a full storage refuses users' files on whichever host",
    after: "users cannot store files",
    fix: "make room on the storage, or enlarge it; `low` of the [[mount]] sets the limit",
    examine: Examine::Slaves(room),
};

pub(super) const MOUNT_REST: Check = Check {
    id: "mount-rest",
    title: "every mount is well on the master, and so are those of severity warning on the slave",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "the operator declared these mounts",
    after: "what uses the mount fails; the rest works",
    fix: FIX,
    examine: Examine::Hosts(rest),
};

/// What was found of one mount: well or amiss, each with its evidence.
type Found = Result<String, String>;

fn present(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    severe(inputs, host, |_, mount, _, survey| is_present(mount, survey))
}

fn source(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    severe(inputs, host, is_the_source)
}

fn usable(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    severe(inputs, host, |_, mount, _, survey| is_usable(mount, &survey.report))
}

fn shared(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    severe(inputs, host, is_shared)
}

fn room(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    each(inputs, host, |_| true, |_, mount, _, survey| has_room(mount, &survey.report))
}

/// Everything of the mounts that no severe check is about.
fn rest(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let is_master = inputs.roles.master == *host;
    let concerned = |mount: &MountSpec| is_master || mount.severity == Severity::Warning;
    each(inputs, host, concerned, |inputs, mount, host, survey| {
        is_present(mount, survey)?;
        is_the_source(inputs, mount, host, survey)?;
        is_usable(mount, &survey.report)?;
        is_shared(inputs, mount, host, survey)
    })
}

fn is_present(mount: &MountSpec, survey: &MountSurvey) -> Found {
    let MountSpec { name, path, .. } = mount;
    match &survey.report.source {
        Some(source) => Ok(format!("{name}: {} ({})", source.name, source.kind)),
        None => Err(format!("{name}: nothing is mounted at {path}")),
    }
}

fn is_the_source(
    inputs: &Inputs<'_>,
    mount: &MountSpec,
    host: &HostName,
    survey: &MountSurvey,
) -> Found {
    let name = &mount.name;
    let Some(found) = &survey.report.source else { return Ok(format!("{name}: not mounted")) };
    let master = &inputs.roles.master;
    let masters = inputs.survey.hosts.get(master).and_then(|host| host.mounts.get(name));
    let masters = masters.and_then(|survey| survey.as_ref().ok());
    let masters = masters.and_then(|survey| survey.report.source.as_ref());
    let found = &found.name;
    match (&mount.source, masters) {
        (Some(wanted), _) if wanted != found => {
            Err(format!("{name}: {found} is mounted, and must be {wanted}"))
        }
        (None, Some(masters)) if masters.name != *found => {
            Err(format!("{name}: {found} on {host}, {} on {master}", masters.name))
        }
        _ => Ok(format!("{name}: {found}")),
    }
}

fn is_usable(mount: &MountSpec, report: &MountReport) -> Found {
    let name = &mount.name;
    match &report.used {
        MountUse::Works => Ok(match mount.access {
            MountAccess::ReadWrite => format!("{name}: read, write, rename, lock"),
            MountAccess::ReadOnly => format!("{name}: read"),
        }),
        MountUse::NotMounted => Ok(format!("{name}: not mounted")),
        MountUse::Fails { step, why } => Err(format!("{name}: {step} fails: {why}")),
        MountUse::Hangs { step, for_ms } => {
            let at = step.map_or_else(String::new, |step| format!(" while {step}"));
            Err(format!("{name}: it hangs{at}, for {}", human_ms(*for_ms)))
        }
    }
}

fn is_shared(_: &Inputs<'_>, mount: &MountSpec, host: &HostName, survey: &MountSurvey) -> Found {
    let name = &mount.name;
    let Some(tokens) = &survey.tokens else { return Ok(format!("{name}: not tried")) };
    let unseen: Vec<String> = tokens
        .iter()
        .filter(|(_, token)| *token == Token::NotSeen)
        .map(|(other, _)| format!("{host} does not see what {other} wrote"))
        .collect();
    match unseen.is_empty() {
        true => Ok(format!("{name}: it sees what {} others wrote", tokens.len())),
        false => Err(format!("{name}: {}", unseen.join(", "))),
    }
}

fn has_room(mount: &MountSpec, report: &MountReport) -> Found {
    let name = &mount.name;
    let Some(room) = report.room.filter(|_| mount.access == MountAccess::ReadWrite) else {
        return Ok(format!("{name}: not asked"));
    };
    let text = format!("{name}: {}", room_text(&room, None));
    let low = room.free_bytes < mount.low_bytes || has_few_inodes(&room);
    if low { Err(text) } else { Ok(text) }
}

type Look = fn(&Inputs<'_>, &MountSpec, &HostName, &MountSurvey) -> Found;

fn severe(inputs: &Inputs<'_>, host: &HostName, look: Look) -> Examined {
    each(inputs, host, |mount| mount.severity == Severity::Severe, look)
}

fn each(
    inputs: &Inputs<'_>,
    host: &HostName,
    concerned: impl Fn(&MountSpec) -> bool,
    look: Look,
) -> Examined {
    if !inputs.spec.mounts.iter().any(&concerned) {
        return Outcome::skipped("no such [[mount]] is declared");
    }
    let surveys = &inputs.host(host)?.mounts;
    let (mut well, mut amiss, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for mount in inputs.spec.mounts.iter().filter(|mount| concerned(mount)) {
        match surveys.get(&mount.name) {
            Some(Ok(survey)) => match look(inputs, mount, host, survey) {
                Ok(text) => well.push(text),
                Err(text) => amiss.push(text),
            },
            Some(Err(why)) => unread.push(format!("{host}: {}: {}", mount.name, why.0)),
            None => unread.push(format!("{host}: {} was not surveyed", mount.name)),
        }
    }
    if !amiss.is_empty() {
        return Outcome::failed(amiss.join("; "));
    }
    if !unread.is_empty() {
        return Err(Unread(unread.join("; ")));
    }
    Outcome::passed(well.join("; "))
}
