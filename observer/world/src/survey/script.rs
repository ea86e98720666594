//! The one script that asks a machine about itself, and the reading of what it prints.
//!
//! It changes nothing: sudo is asked what it would allow (`sudo -l`), and runs looks only. Answers
//! are read between our own markers; what stands there is still another machine's word.

use std::time::Duration;

use observer_core::sighting::DiskRoom;
use observer_core::validate::{
    CommandRights, Datum, DiskSurvey, GuardSurvey, IpcRemoval, RefusedCommand, Unread,
};

use crate::commands::Privileged;
use crate::eyes::disk;
use crate::ssh::{Command, Ssh};
use crate::text::shown;

/// Arguments: the data directory (empty on a proxy), the look at its disk, the look at its owner,
/// the folder of PostgreSQL's programs (may be empty), the guard's drop-in, the units, and then a
/// question to sudo about each privileged command. Units are plain words, so that splitting at
/// blanks is exact; the looks and the questions are quoted for a shell by `quote`, which is what
/// makes `eval` safe.
const SCRIPT: &str = r#"
LC_ALL=C; export LC_ALL
data=$1 disk=$2 owner=$3 bin=$4 guard=$5 units=$6; shift 6
echo '=== ha-observer survey'
systemctl show --property=UnitFileState -- $units
if [ -n "$data" ]; then
    echo "library $(getconf GNU_LIBC_VERSION 2>/dev/null)"
    login=org.freedesktop.login1
    echo "ipc $(busctl --timeout=1 get-property $login /org/freedesktop/login1 $login.Manager \
        RemoveIPC 2>/dev/null)"
    echo "owner $(eval "$owner" 2>/dev/null || stat -c %u -- "$data" 2>/dev/null)"
    { eval "$disk" 2>/dev/null || df -PB1 -- "$data" 2>/dev/null; } | sed '1d; s/^/disk /'
    [ -e "$guard" ] && echo "guard $(sha256sum <"$guard")" || echo 'guard -'
    echo "drop-ins $(systemctl show --property=NeedDaemonReload,DropInPaths -- ${units%% *} \
        | tr '\n' ' ')"
    for program in pg_rewind pg_basebackup pg_controldata; do
        found=
        for folder in "${bin:-/usr/lib/postgresql/*/bin}" '/usr/pgsql-*/bin' /usr/bin /usr/local/bin
        do
            for file in $folder/$program; do [ -x "$file" ] && found=yes; done
        done
        [ -n "$found" ] || echo "missing $program"
    done
fi
set -f
for question do
    said=$(eval "$question" 2>&1 >/dev/null) && echo may || echo "may-not" $said
done
echo '=== ha-observer end'
"#;

/// The answer is a line per command and a few more.
const OUTPUT_MAX: usize = 64 * 1024;

/// What is asked of a machine.
pub(super) struct Questions<'a> {
    /// Where the data is, where there is a database.
    pub(super) database: Option<DatabaseQuestions<'a>>,
    /// The units whose start at boot is asked for.
    pub(super) units: Vec<&'a str>,
    /// The commands that sudo is asked about.
    pub(super) commands: Vec<&'a Privileged>,
}

/// What is asked about the machine of a database.
pub(super) struct DatabaseQuestions<'a> {
    pub(super) data: String,
    pub(super) see_disk: &'a Privileged,
    pub(super) see_owner: &'a Privileged,
    pub(super) bin: String,
    /// The guard's drop-in: where it belongs, and the checksum of the one that is printed now.
    pub(super) guard: String,
    pub(super) guard_hash: String,
}

/// What the script printed, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// What `systemctl` says of each unit's start at boot, in the order of the questions.
    pub(super) at_boot: Vec<String>,
    pub(super) rights: CommandRights,
    pub(super) c_library: Datum<String>,
    pub(super) remove_ipc: Datum<IpcRemoval>,
    pub(super) owner: Datum<u32>,
    pub(super) disk: Datum<DiskSurvey>,
    pub(super) missing_programs: Vec<String>,
    pub(super) guard: Datum<GuardSurvey>,
}

impl Questions<'_> {
    /// Asks the machine at the other end of `ssh`.
    pub(super) async fn ask(&self, ssh: &Ssh, deadline: Duration) -> Datum<Answers> {
        let (data, disk, owner, bin, guard) = match &self.database {
            Some(database) => (
                database.data.as_str(),
                database.see_disk.line(),
                database.see_owner.line(),
                database.bin.as_str(),
                database.guard.as_str(),
            ),
            None => ("", String::new(), String::new(), "", ""),
        };
        let script = Command::new("/bin/sh").arg("-c").arg(SCRIPT).arg("sh");
        let script = script.args([data, &disk, &owner, bin, guard, &self.units.join(" ")]);
        let command = script.args(self.commands.iter().map(|command| command.question()));
        let output = ssh.exec(&command, "", deadline, OUTPUT_MAX).await;
        let output = output.map_err(|error| Unread(error.to_string()))?;
        self.read(&output.stdout).ok_or_else(|| {
            let said = shown(&[&output.stdout[..], &output.stderr].concat());
            Unread(format!("the machine's answer is not understood: {said}"))
        })
    }

    fn read(&self, stdout: &[u8]) -> Option<Answers> {
        let text = String::from_utf8_lossy(stdout);
        let (_, rest) = text.rsplit_once("=== ha-observer survey\n")?;
        let (body, _) = rest.split_once("=== ha-observer end\n")?;
        let values = |key: &'static str| {
            body.lines().filter_map(move |line| line.strip_prefix(key)).map(str::trim)
        };
        let at_boot: Vec<String> =
            values("UnitFileState=").map(|state| shown(state.as_bytes())).collect();
        let said: Vec<&str> = body.lines().filter(|line| line.starts_with("may")).collect();
        if at_boot.len() != self.units.len() || said.len() != self.commands.len() {
            return None;
        }
        let refused = self.commands.iter().zip(said).filter_map(|(command, said)| {
            let words = said.strip_prefix("may-not")?.trim();
            let words = if words.is_empty() { "it is not in the sudoers file" } else { words };
            Some(RefusedCommand { line: command.line(), said: shown(words.as_bytes()) })
        });
        let rights = CommandRights { asked: self.commands.len(), refused: refused.collect() };
        let one = |key: &'static str| values(key).next().unwrap_or_default();
        let silent = |what: &str| Unread(format!("the machine does not say {what}"));
        let library = one("library ");
        let disks = values("disk ").filter_map(disk::room).map(survey_of);
        let least = disks.min_by_key(|disk| disk.free_bytes);
        Some(Answers {
            at_boot,
            rights,
            c_library: match library {
                "" => Err(silent("which C library it has")),
                library => Ok(shown(library.as_bytes())),
            },
            remove_ipc: match one("ipc ") {
                "b true" => Ok(IpcRemoval::AtLogout),
                "b false" => Ok(IpcRemoval::Never),
                _ => Err(silent("logind's RemoveIPC (busctl)")),
            },
            owner: one("owner ").parse().map_err(|_| silent("who owns the data directory")),
            disk: least.ok_or_else(|| silent("how full its disk is (df)")),
            guard: self.guard(one("guard "), one("drop-ins ")),
            missing_programs: values("missing ").map(|name| shown(name.as_bytes())).collect(),
        })
    }
}

impl Questions<'_> {
    /// What the checksum of the file and systemd's own words say of the guard.
    fn guard(&self, hash: &str, drop_ins: &str) -> Datum<GuardSurvey> {
        let Some(database) = &self.database else {
            return Err(Unread("no database runs there".to_owned()));
        };
        let read = drop_ins.contains(&database.guard) && drop_ins.contains("NeedDaemonReload=no");
        match hash.split_whitespace().next() {
            None => Err(Unread("the machine does not say whether the guard is there".to_owned())),
            Some("-") => Ok(GuardSurvey::Missing),
            Some(found) if found != database.guard_hash => Ok(GuardSurvey::Differs),
            Some(_) if read => Ok(GuardSurvey::InPlace),
            Some(_) => Ok(GuardSurvey::NotRead),
        }
    }
}

fn survey_of(room: DiskRoom) -> DiskSurvey {
    let DiskRoom { place, size_bytes, free_bytes } = room;
    DiskSurvey { place, size_bytes, free_bytes }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
