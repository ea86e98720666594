//! The hosts' machines: SSH, sudo, boot, clocks, disks, programs.

use super::{ALL, RETURN, TAKEOVER};
use crate::validate::{
    Check, CommandRights, DiskSurvey, Examine, Examined, Inputs, IpcRemoval, Outcome, Severity,
    UnitSurvey, about,
};
use crate::words::{HostName, human_bytes, human_ms};

/// A clock that is further off makes times in logs and journals misleading.
const CLOCK_LIMIT_MS: u64 = 2_000;
/// The least room for the log of a change of master and what follows it.
const DISK_FREE_MIN_BYTES: u64 = 512 << 20;
/// The least free part of the disk, in percent.
const DISK_FREE_MIN_PERCENT: u64 = 5;
/// A disk that would fill within this time, were a slot to keep everything, is short of room.
const DISK_TIME_MIN_MS: u64 = 24 * 3_600_000;
/// The highest number of an account that logind takes for a system account.
const SYSTEM_ACCOUNT_MAX: u32 = 999;

pub(super) const HOST_REACHABLE: Check = Check {
    id: "host-reachable",
    title: "the host answers over SSH",
    severity: Severity::Severe,
    readies: ALL,
    why: "every step on a host goes over SSH",
    after: "",
    fix: "see `ha-observer status`; check sshd, network and key on that host",
    examine: Examine::Hosts(reachable),
};

fn reachable(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    inputs.machine(host)?;
    Outcome::passed("it answers")
}

pub(super) const HOST_RIGHTS: Check = Check {
    id: "host-sudo",
    title: "sudo allows every command the observer needs on the host",
    severity: Severity::Severe,
    readies: ALL,
    why: "a command refused in the middle of a plan leaves users waiting",
    after: "",
    fix: "install what `ha-observer config sudoers` prints for it as /etc/sudoers.d/ha-observer",
    examine: Examine::Hosts(rights),
};

fn rights(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let machine = inputs.machine(host)?;
    refused(&machine.rights, host.as_str())
}

/// What sudo's refusals mean, on a host and on a proxy.
pub(super) fn refused(rights: &CommandRights, machine: &str) -> Examined {
    let CommandRights { asked, refused } = rights;
    let Some(first) = refused.first() else {
        return Outcome::passed(format!("all {asked} commands are allowed"));
    };
    let evidence = format!(
        "{} of {asked} commands are refused, the first: `{}`: {}",
        refused.len(),
        first.line,
        first.said
    );
    let fix = format!(
        "`ha-observer config sudoers {machine}` > /etc/sudoers.d/ha-observer there (root, mode \
         0440), then `visudo -c`"
    );
    Outcome::failed_with_fix(evidence, fix)
}

pub(super) const STARTS_AT_BOOT: Check = Check {
    id: "starts-at-boot",
    title: "no managed unit starts at boot by itself",
    severity: Severity::Severe,
    readies: ALL,
    why: "the observer starts each unit in its role; a boot knows no roles",
    after: "a host that reboots starts its database and singletons in the role it had before",
    fix: "`systemctl disable UNIT` on that host",
    examine: Examine::Hosts(at_boot),
};

fn at_boot(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let machine = inputs.machine(host)?;
    // Where the database is external, what runs on every host may start there by itself.
    let singleton = |unit: &&UnitSurvey| {
        let mut singletons = inputs.spec.singletons();
        !inputs.spec.has_external_database() || singletons.any(|one| one.unit == unit.unit)
    };
    let services = machine.service_units.iter().filter(singleton);
    let units = machine.database_unit.iter().chain(services);
    let enabled: Vec<&UnitSurvey> =
        units.filter(|unit| unit.at_boot.starts_with("enabled")).collect();
    let Some(first) = enabled.first() else {
        return Outcome::passed("none is enabled");
    };
    let named: Vec<String> =
        enabled.iter().map(|unit| format!("{} is {}", unit.unit, unit.at_boot)).collect();
    let fix = if first.at_boot == "enabled-runtime" && first.unit.starts_with("postgresql@") {
        format!(
            "on {host}: write `manual` into start.conf of the cluster, `systemctl daemon-reload`"
        )
    } else {
        format!("`systemctl disable {}` on {host}", first.unit)
    };
    Outcome::failed_with_fix(named.join(", "), fix)
}

pub(super) const REMOVE_IPC: Check = Check {
    id: "remove-ipc",
    title: "nobody's logout removes the database's shared memory",
    severity: Severity::Severe,
    readies: ALL,
    why: "logind deletes the shared memory of a normal account when it logs out",
    after: "the database dies at the end of somebody's session as its owner",
    fix: "set RemoveIPC=no in /etc/systemd/logind.conf, `systemctl restart systemd-logind`",
    examine: Examine::Hosts(remove_ipc),
};

fn remove_ipc(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let machine = inputs.machine(host)?;
    let owner = *about(host, machine.database_owner.as_ref())?;
    if owner <= SYSTEM_ACCOUNT_MAX {
        let text = format!("the data is a system account's ({owner}), which logind spares");
        return Outcome::passed(text);
    }
    match about(host, machine.remove_ipc.as_ref())? {
        IpcRemoval::Never => Outcome::passed("RemoveIPC=no"),
        IpcRemoval::AtLogout => Outcome::failed_with_fix(
            format!("RemoveIPC=yes, and the data is a normal account's ({owner})"),
            format!(
                "on {host}: RemoveIPC=no in /etc/systemd/logind.conf, then \
                 `systemctl restart systemd-logind`"
            ),
        ),
    }
}

pub(super) const HOST_CLOCK: Check = Check {
    id: "host-clock",
    title: "the host's clock agrees with the observer's",
    severity: Severity::Warning,
    readies: ALL,
    why: "ages, incident reports and the application's own times come from the hosts' clocks",
    after: "times jump for users when the other host takes over",
    fix: "let chrony or systemd-timesyncd set the clock: `timedatectl` shows its state",
    examine: Examine::Hosts(host_clock),
};

fn host_clock(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    clock(about(host, inputs.host(host)?.clock.as_ref())?)
}

/// What a clock's difference means, on a host and on a proxy.
pub(super) fn clock(clock: &crate::validate::ClockSurvey) -> Examined {
    let off_ms = clock.ahead_ms.unsigned_abs();
    let side = if clock.ahead_ms < 0 { "behind" } else { "ahead" };
    let evidence =
        format!("{} {side}, give or take {}", human_ms(off_ms), human_ms(clock.doubt_ms));
    if off_ms > CLOCK_LIMIT_MS + clock.doubt_ms {
        Outcome::failed(evidence)
    } else {
        Outcome::passed(evidence)
    }
}

pub(super) const DISK_ROOM: Check = Check {
    id: "disk-room",
    title: "the disk of the data directory has room",
    severity: Severity::Severe,
    readies: ALL,
    why: "a database whose disk is full stops, and takes the takeover with it",
    after: "the new master stops when its disk is full",
    fix: "make room, or enlarge the disk",
    examine: Examine::Hosts(disk_room),
};

fn disk_room(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let disk = about(host, inputs.machine(host)?.disk.as_ref())?;
    let percent = free_percent(disk);
    let evidence = format!(
        "{} free of {} at {}",
        human_bytes(disk.free_bytes),
        human_bytes(disk.size_bytes),
        disk.place
    );
    if disk.free_bytes < DISK_FREE_MIN_BYTES || percent < DISK_FREE_MIN_PERCENT {
        let fix = format!(
            "make room on {host}: at least {} and {DISK_FREE_MIN_PERCENT} %; what fills it: \
             `du -xh --max-depth=2` of the data directory as root",
            human_bytes(DISK_FREE_MIN_BYTES)
        );
        return Outcome::failed_with_fix(evidence, fix);
    }
    Outcome::passed(evidence)
}

fn free_percent(disk: &DiskSurvey) -> u64 {
    disk.free_bytes.saturating_mul(100) / disk.size_bytes.max(1)
}

pub(super) const DISK_TIME: Check = Check {
    id: "disk-time",
    title: "the disk would last a day if its slot had to keep all log",
    severity: Severity::Warning,
    readies: ALL,
    why: "while the other host is away, a slot keeps every byte of log for it",
    after: "with the old master away for a day, the new master's disk fills",
    fix: "enlarge the disk, or set max_slot_wal_keep_size",
    examine: Examine::Hosts(disk_time),
};

fn disk_time(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let disk = about(host, inputs.machine(host)?.disk.as_ref())?;
    let master = &inputs.roles.master;
    let Some(rate) = inputs.database(master)?.wal_bytes_per_second else {
        return Outcome::skipped(format!("{master} has no hour of statistics on its log"));
    };
    // Less than one byte a second is nothing that fills a disk.
    if rate < 1.0 {
        return Outcome::passed("next to nothing is written");
    }
    let seconds = disk.free_bytes as f64 / rate;
    // A cast of a number that is too large gives the largest.
    let (ms, rate) = ((seconds * 1_000.0) as u64, rate as u64);
    let evidence = format!(
        "{} free, {}/s of log on the average: it lasts {}",
        human_bytes(disk.free_bytes),
        human_bytes(rate),
        human_ms(ms)
    );
    if ms < DISK_TIME_MIN_MS { Outcome::failed(evidence) } else { Outcome::passed(evidence) }
}

pub(super) const C_LIBRARY: Check = Check {
    id: "c-library",
    title: "the slave's C library is the master's",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "the order of texts comes from the C library, and indexes rest on it",
    after: "indexes on texts give wrong answers until they are rebuilt (`reindex`)",
    fix: "bring both hosts to one release of the operating system",
    examine: Examine::Slaves(c_library),
};

fn c_library(inputs: &Inputs<'_>, slave: &HostName) -> Examined {
    let master = &inputs.roles.master;
    let of = |host| about(host, inputs.machine(host)?.c_library.as_ref());
    let (of_master, of_slave) = (of(master)?, of(slave)?);
    let evidence = format!("{master}: {of_master}, {slave}: {of_slave}");
    if of_master == of_slave { Outcome::passed(evidence) } else { Outcome::failed(evidence) }
}

pub(super) const REJOIN_PROGRAMS: Check = Check {
    id: "rejoin-programs",
    title: "pg_rewind, pg_basebackup and pg_controldata are installed",
    severity: Severity::Warning,
    readies: RETURN,
    why: "without them a replaced master cannot become a slave again",
    after: "the pair stays without a slave until they are installed",
    fix: "install PostgreSQL's server and client packages, or set bin_directory",
    examine: Examine::Hosts(programs),
};

fn programs(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let missing = &inputs.machine(host)?.missing_programs;
    if missing.is_empty() {
        return Outcome::passed("all are there");
    }
    Outcome::failed(format!("not found on {host}: {}", missing.join(", ")))
}
