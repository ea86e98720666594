//! The reading of the script's answer, against what real machines print and what hostile ones
//! might; and the script itself, run by a real shell.

use std::process::Command as Process;

use super::*;

fn privileged() -> [Privileged; 2] {
    let stop = ["/usr/bin/systemctl", "--no-block", "stop", "desk.service"];
    [Privileged::new(&stop), Privileged::new(&["/usr/bin/df", "-PB1", "/data"])]
}

fn questions(commands: &[Privileged; 2]) -> Questions<'_> {
    let [_, look] = commands;
    Questions {
        database: Some(DatabaseQuestions {
            data: "/data".to_owned(),
            see_disk: look,
            see_owner: look,
            bin: String::new(),
            guard: "/etc/guard.conf".to_owned(),
            guard_hash: "c0ffee".to_owned(),
        }),
        units: vec!["postgresql@15-main.service", "desk.service"],
        commands: commands.iter().collect(),
    }
}

const SAID: &str = "\
Last login: Sat Nov 21 06:58:01 2026
=== ha-observer survey
UnitFileState=enabled-runtime

UnitFileState=
library glibc 2.36
ipc b true
owner 102
disk /dev/sda1 1000 600 400 60% /
disk overlay of mine 2000 1900 100 95% /data/pg_wal
guard c0ffee  -
drop-ins NeedDaemonReload=no DropInPaths=/a.conf /etc/guard.conf 
missing pg_rewind
may
may-not sudo: a password is required
=== ha-observer end
";

#[test]
fn what_a_machine_says_is_read() {
    let commands = privileged();
    let answers = questions(&commands).read(SAID.as_bytes()).unwrap();
    assert_eq!(answers.at_boot, ["enabled-runtime", ""]);
    assert_eq!(answers.c_library, Ok("glibc 2.36".to_owned()));
    assert_eq!(answers.remove_ipc, Ok(IpcRemoval::AtLogout));
    assert_eq!(answers.owner, Ok(102));
    let place = "/data/pg_wal".to_owned();
    assert_eq!(answers.disk, Ok(DiskSurvey { place, size_bytes: 2000, free_bytes: 100 }));
    assert_eq!(answers.guard, Ok(GuardSurvey::InPlace));
    assert_eq!(answers.missing_programs, ["pg_rewind"]);
    let refused = RefusedCommand {
        line: "sudo -n -- /usr/bin/df -PB1 /data".to_owned(),
        said: "sudo: a password is required".to_owned(),
    };
    assert_eq!(answers.rights, CommandRights { asked: 2, refused: vec![refused] });
}

#[test]
fn what_is_not_said_has_a_reason_and_is_no_default() {
    let commands = privileged();
    let mute = SAID
        .replace("library glibc 2.36", "library ")
        .replace("ipc b true", "ipc ")
        .replace("owner 102", "owner ")
        .replace("disk ", "nothing ");
    let answers = questions(&commands).read(mute.as_bytes()).unwrap();
    assert!(answers.c_library.is_err() && answers.remove_ipc.is_err());
    assert!(answers.owner.is_err() && answers.disk.is_err());
}

#[test]
fn an_answer_that_is_cut_short_or_has_other_lines_is_none() {
    let commands = privileged();
    for end in 0..SAID.len() {
        assert_eq!(questions(&commands).read(&SAID.as_bytes()[..end]), None);
    }
    let more = SAID.replace("may\n", "may\nmay\n");
    assert_eq!(questions(&commands).read(more.as_bytes()), None);
    let odd = SAID.replace("may-not ", "may-not \x1b[2J");
    let answers = questions(&commands).read(odd.as_bytes()).unwrap();
    assert!(!answers.rights.refused[0].said.contains('\x1b'));
}

/// A shell reads the script without complaint, and prints what the reader understands, whatever
/// of the programs it calls this machine has.
#[test]
fn a_real_shell_runs_the_script() {
    let commands = privileged();
    let mut shell = Process::new("/bin/sh");
    shell.args([
        "-c",
        SCRIPT,
        "sh",
        "/",
        "/usr/bin/df -PB1 /",
        "/usr/bin/stat -c %u /",
        "",
        "",
        "",
    ]);
    let output = shell.args(commands.iter().map(Privileged::question)).output().unwrap();
    let asked = Questions { units: Vec::new(), ..questions(&commands) };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text.replace("UnitFileState=", "");
    let answers = asked.read(text.as_bytes()).unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(answers.owner, Ok(0));
    assert!(answers.disk.is_ok_and(|disk| disk.size_bytes > 0));
}

#[test]
fn a_guard_is_told_from_another_one_and_from_one_that_systemd_has_not_read() {
    let commands = privileged();
    let guard = |hash: &str, drop_ins: &str| questions(&commands).guard(hash, drop_ins).ok();
    let read = "NeedDaemonReload=no DropInPaths=/etc/guard.conf";
    assert_eq!(guard("c0ffee  -", read), Some(GuardSurvey::InPlace));
    assert_eq!(guard("c0ffee  -", "NeedDaemonReload=no DropInPaths="), Some(GuardSurvey::NotRead));
    let owed = "NeedDaemonReload=yes DropInPaths=/etc/guard.conf";
    assert_eq!(guard("c0ffee  -", owed), Some(GuardSurvey::NotRead));
    assert_eq!(guard("decaf  -", read), Some(GuardSurvey::Differs));
    assert_eq!(guard("-", read), Some(GuardSurvey::Missing));
    assert_eq!(guard("", read), None);
}
