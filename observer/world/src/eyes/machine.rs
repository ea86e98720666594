//! Looks at a machine over SSH: systemd's state of it and of the units we care about.
//!
//! The answer is read between our own markers only: banners and shells that print are common.
//! What stands there is still another machine's word, so anything odd is said to be unreadable.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use observer_core::digest::DATABASE_UNIT;
use observer_core::sighting::{
    LeaseSeen, MachineReport, Seen, Silent, SystemState, UnitReport, UnitState,
};

use super::{monitor, silence};
use crate::pair_world::{Host, Inner};
use crate::ssh::{Command, ExecOutput};
use crate::text::shown;

/// Renews the lease, if one was set there: its folder belongs to the account we enter with. Then
/// prints the machine's and the units' state, and the lease's timer as systemd was given it; and
/// whether the file named first is there, unless its folder hides that.
/// `systemctl show` prints one block per unit, in the order of its arguments, with a blank line
/// between two.
const SCRIPT: &str = r#"
LC_ALL=C; export LC_ALL
monitor=$1; shift
lease=/run/ha-observer-lease
if [ -d $lease ]; then
    IFS=. read -r up rest </proc/uptime && echo "$up" >$lease/renewed
fi 2>/dev/null
echo '=== ha-observer machine'
cat /proc/sys/kernel/random/boot_id
systemctl is-system-running 2>/dev/null
echo '=== ha-observer units'
systemctl show --property=LoadState,UnitFileState,ActiveState,SubState,Job,Result \
    --property=ActiveEnterTimestampMonotonic -- "$@"
echo '=== ha-observer lease'
timer=/run/systemd/transient/ha-observer-lease.timer
if [ -e $timer ]; then grep '^Description=' $timer; fi
if [ -z "$monitor" ]; then :
elif [ -e "$monitor" ]; then echo monitor=there
elif [ -x "${monitor%/*}/" ]; then echo monitor=gone
fi
echo '=== ha-observer end'
"#;

/// A report is a few hundred bytes per unit; more is not one.
const OUTPUT_MAX: usize = 64 * 1024;

/// The units that were seen running since a machine's boot. systemd forgets a stopped unit that
/// nothing refers to, and then cannot tell it from one that never ran: a stop by a person's hand
/// would look like a machine that has just booted.
#[derive(Default)]
pub(crate) struct RanInThisBoot(Mutex<(String, BTreeSet<String>)>);

impl RanInThisBoot {
    fn correct(&self, boot: &str, units: &mut [UnitReport]) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.0 != boot {
            *memory = (boot.to_owned(), BTreeSet::new());
        }
        for report in units {
            match report.state {
                UnitState::NeverStarted if memory.1.contains(&report.unit) => {
                    report.state = UnitState::Stopped;
                }
                UnitState::NeverStarted => {}
                _ => {
                    memory.1.insert(report.unit.clone());
                }
            }
        }
    }
}

pub(super) async fn look(world: &Inner, host: &Host, deadline: Duration) -> Result<Seen, Silent> {
    let began = tokio::time::Instant::now();
    let output = match ask(world, host, deadline).await {
        Ok(output) => output,
        Err(error) => return silence::of_machine(error),
    };
    let mut report = read_output(world, host, &output)?;
    let own = world.external.is_none();
    if report.unit(DATABASE_UNIT).is_some_and(|unit| unit.state == UnitState::NeverStarted) {
        let left = deadline.saturating_sub(began.elapsed());
        if started_since_boot(host, left).await == Some(true) {
            let stopped = |unit: &mut UnitReport| {
                if unit.unit == DATABASE_UNIT {
                    unit.state = UnitState::Stopped;
                }
            };
            report.units.iter_mut().for_each(stopped);
        }
    }
    if let (None, Some(own)) = (report.monitor, &host.commands.monitor) {
        let left = deadline.saturating_sub(began.elapsed());
        report.monitor = monitor::says(host, own, left).await.ok();
    }
    // While the database runs, a tombstone stops nothing, and asking takes a sudo each time.
    let running = [UnitState::Active, UnitState::Activating];
    let unit = report.unit(DATABASE_UNIT).map(|unit| unit.state);
    if own && !unit.is_some_and(|state| running.contains(&state)) {
        let left = deadline.saturating_sub(began.elapsed());
        report.tombstone = tombstone(host, left).await == Ok(true);
    }
    Ok(Seen::Machine(report))
}

/// The state of one host's units, for a proof.
pub(crate) async fn units(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<MachineReport, Silent> {
    match ask(world, host, deadline).await {
        Ok(output) => read_output(world, host, &output),
        Err(error) => Err(silence::of_command(error)),
    }
}

/// The state of any one unit of a machine, for instance HAProxy's.
pub(crate) async fn unit(
    ssh: &crate::ssh::Ssh,
    unit: &str,
    deadline: Duration,
) -> Result<UnitState, Silent> {
    let output = ssh.exec(&command("", &[unit]), "", deadline, OUTPUT_MAX).await;
    let output = output.map_err(silence::of_command)?;
    let (_, report, _) =
        parse(&output.stdout, &[unit]).ok_or_else(|| Silent::Garbage(shown(&output.stdout)))?;
    let found = report.unit(unit).map(|report| report.state);
    found.ok_or_else(|| Silent::Denied(format!("systemd knows no unit {unit}")))
}

/// Whether a tombstone stands on a host.
pub(crate) async fn tombstone(host: &Host, deadline: Duration) -> Result<bool, String> {
    let command = host.commands.see_tombstone.command();
    let output = host.ssh.exec(&command, "", deadline, 4096).await;
    let output = output.map_err(|error| error.to_string())?;
    let said = shown(&output.stderr);
    match output.ending {
        crate::ssh::Ending::Exited(0) => Ok(true),
        // sudo that refuses exits alike, but never without a word.
        crate::ssh::Ending::Exited(1) if said.is_empty() => Ok(false),
        _ => Err(said),
    }
}

/// Whether the database was started since the machine booted, by the file its postmaster writes
/// at each start; none where that cannot be seen. A crash leaves the unit failed, which systemd
/// does not forget, so one that ran and is neither running nor failed was stopped by order.
async fn started_since_boot(host: &Host, deadline: Duration) -> Option<bool> {
    let boot = Command::new("/bin/sh").arg("-c").arg(BOOT_SCRIPT);
    let boot = host.ssh.exec(&boot, "", deadline / 2, 4096).await.ok()?;
    let start = host.commands.see_last_start.command();
    let start = host.ssh.exec(&start, "", deadline / 2, 4096).await.ok()?;
    let seconds = |output: &ExecOutput| -> Option<u64> {
        // A login shell that prints comes first.
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().last()?.trim().parse().ok().filter(|_| output.succeeded())
    };
    Some(seconds(&start)? >= seconds(&boot)?)
}

/// Prints when the machine's first process started, in seconds of Unix time by its own clock.
const BOOT_SCRIPT: &str = r#"
LC_ALL=C TZ=UTC; export LC_ALL TZ
date -d "$(systemctl show --property=UserspaceTimestamp | cut -d= -f2-)" +%s
"#;

async fn ask(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<ExecOutput, crate::ssh::SshError> {
    let own = world.external.is_none().then_some(host.access.database.unit.as_str());
    let mut units: Vec<&str> = own.into_iter().collect();
    units.extend(world.spec.services.iter().map(|service| service.unit.as_str()));
    let monitor = host.commands.monitor.as_ref().map_or("", |own| own.path.as_str());
    host.ssh.exec(&command(monitor, &units), "", deadline, OUTPUT_MAX).await
}

fn command(monitor: &str, units: &[&str]) -> Command {
    Command::new("/bin/sh").arg("-c").arg(SCRIPT).arg("sh").arg(monitor).args(units)
}

fn read_output(world: &Inner, host: &Host, output: &ExecOutput) -> Result<MachineReport, Silent> {
    let mut names: Vec<&str> =
        world.external.is_none().then_some(DATABASE_UNIT).into_iter().collect();
    names.extend(world.spec.services.iter().map(|service| service.unit.as_str()));
    match parse(&output.stdout, &names) {
        Some((boot, mut report, lease)) => {
            host.ran.correct(&boot, &mut report.units);
            report.lease = host.commands.lease.seen(lease.as_deref());
            let own = host.commands.monitor.as_ref().zip(is_there(&output.stdout));
            report.monitor = own.map(|(own, is_there)| own.says(is_there));
            Ok(report)
        }
        None if output.truncated => Err(Silent::Garbage("far too long".to_owned())),
        None => Err(Silent::Garbage(shown(&[&output.stdout[..], &output.stderr].concat()))),
    }
}

/// Reads what the script printed: the boot's id, the report with each unit under the name that
/// stands at its place in `names`, and the description of the lease's timer. Units that systemd
/// does not know are left out.
fn parse(stdout: &[u8], names: &[&str]) -> Option<(String, MachineReport, Option<String>)> {
    let text = String::from_utf8_lossy(stdout);
    let (_, rest) = text.rsplit_once("=== ha-observer machine\n")?;
    let (machine, rest) = rest.split_once("=== ha-observer units\n")?;
    let (units, rest) = rest.split_once("=== ha-observer lease\n")?;
    let (lease, _) = rest.split_once("=== ha-observer end\n")?;
    let lease = lease.lines().find_map(|line| line.strip_prefix("Description="));
    let mut machine = machine.lines();
    let boot = machine.next()?.trim().to_owned();
    let system = system_state(machine.next().unwrap_or("").trim());
    let blocks: Vec<&str> = units.trim_end().split("\n\n").collect();
    if blocks.len() != names.len() {
        return None;
    }
    let states = names.iter().zip(blocks).filter_map(|(name, block)| {
        let (unit, at_boot) = ((*name).to_owned(), is_enabled(block));
        let loops = property(block, "SubState") == Some("auto-restart");
        Some(UnitReport { unit, state: unit_state(block)?, loops, at_boot })
    });
    let (tombstone, units) = (false, states.collect());
    let (lease_seen, monitor) = (LeaseSeen::None, None);
    let report = MachineReport { system, units, tombstone, lease: lease_seen, monitor };
    Some((boot, report, lease.map(str::to_owned)))
}

/// Whether the script found the monitor file; none where it was not asked or could not see it.
fn is_there(stdout: &[u8]) -> Option<bool> {
    let text = String::from_utf8_lossy(stdout);
    let (_, rest) = text.rsplit_once("=== ha-observer lease\n")?;
    match rest.lines().find_map(|line| line.strip_prefix("monitor="))? {
        "there" => Some(true),
        "gone" => Some(false),
        _ => None,
    }
}

/// A systemd that does not answer leaves the machine's own answer over SSH: it is up.
fn system_state(word: &str) -> SystemState {
    match word {
        "initializing" | "starting" => SystemState::Starting,
        "stopping" => SystemState::Stopping,
        _ => SystemState::Running,
    }
}

fn property<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = block.lines().filter_map(|line| line.split_once('='));
    lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
}

/// True if a boot starts the unit: it is enabled for good, or by a generator at each boot, as
/// Debian enables its database clusters.
fn is_enabled(block: &str) -> bool {
    property(block, "UnitFileState").is_some_and(|state| state.starts_with("enabled"))
}

fn unit_state(block: &str) -> Option<UnitState> {
    let value = |name| property(block, name);
    if value("LoadState")? == "not-found" {
        return None;
    }
    let clean = value("Result").is_none_or(|result| result == "success");
    let ran = value("ActiveEnterTimestampMonotonic").is_some_and(|at| at != "0" && !at.is_empty());
    // What systemd was told and has not begun yet: nothing but its end is told to what is active.
    let is_told = value("Job").is_some_and(|job| !job.is_empty() && job != "0");
    match value("ActiveState")? {
        "active" if is_told => Some(UnitState::Deactivating),
        "active" | "reloading" | "refreshing" => Some(UnitState::Active),
        "activating" => Some(UnitState::Activating),
        "deactivating" => Some(UnitState::Deactivating),
        "failed" => Some(UnitState::Failed),
        "inactive" if !clean => Some(UnitState::Failed),
        "inactive" if ran => Some(UnitState::Stopped),
        "inactive" => Some(UnitState::NeverStarted),
        _ => None,
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
