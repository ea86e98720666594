//! Recognises why a remote command was not allowed to act, and says how to mend it.
//!
//! It looks at standard error only after a command failed; a success is never questioned. The
//! texts are those of sudo 1.8/1.9, systemd and polkit in the C locale.

use crate::text::shown;

/// A refusal of privilege or a missing unit, as found in a command's standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What kind it is.
    pub kind: ObstacleKind,
    /// What stands in the way and the fix, as one sentence for the operator.
    pub advice: String,
}

/// The kinds of refusals that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObstacleKind {
    /// sudo wants a password: no rule with `NOPASSWD` matches this exact command.
    PasswordRequired,
    /// sudo wants a terminal (`requiretty`).
    TtyRequired,
    /// The user is not in the sudoers files at all.
    NotInSudoers,
    /// The user has rules, and none allows this command.
    CommandNotAllowed,
    /// sudo itself is broken: not setuid, bad owner or a syntax error in its files.
    SudoBroken,
    /// The command went to systemd without sudo, and polkit wants to ask a person.
    InteractiveAuthentication,
    /// systemd knows no unit of this name.
    NoSuchUnit,
    /// The unit is masked.
    UnitMasked,
    /// The program is not installed or not in the path that sudo uses.
    ProgramMissing,
}

/// Finds the obstacle in `stderr` of a command that failed on `host` for `user`.
pub fn obstacle(stderr: &[u8], host: &str, user: &str) -> Option<Obstacle> {
    let (line, kind) = stderr.split(|&byte| byte == b'\n').find_map(|line| {
        let line = shown(line);
        kind_of(&line.to_ascii_lowercase()).map(|kind| (line, kind))
    })?;
    Some(Obstacle { kind, advice: format!("{} ({host} said: {line})", fix(kind, host, user)) })
}

/// Every phrase in one table: the first whose words all appear in the lower-case line decides.
const PHRASES: &[(&[&str], ObstacleKind)] = &[
    (&["must have a tty"], ObstacleKind::TtyRequired),
    (&["no tty present"], ObstacleKind::PasswordRequired),
    (&["password is required"], ObstacleKind::PasswordRequired),
    (&["terminal is required to read the password"], ObstacleKind::PasswordRequired),
    (&["not in the sudoers file"], ObstacleKind::NotInSudoers),
    (&["may not run sudo"], ObstacleKind::NotInSudoers),
    (&["sorry, user", "is not allowed to execute"], ObstacleKind::CommandNotAllowed),
    (&["sudo", "must be owned by uid 0"], ObstacleKind::SudoBroken),
    (&["sudo", "no valid sudoers sources"], ObstacleKind::SudoBroken),
    (&["sudoers", "syntax error"], ObstacleKind::SudoBroken),
    (&["sudo", "no new privileges"], ObstacleKind::SudoBroken),
    (&["interactive authentication required"], ObstacleKind::InteractiveAuthentication),
    (&["access denied", "polkit"], ObstacleKind::InteractiveAuthentication),
    (&["unit", "could not be found"], ObstacleKind::NoSuchUnit),
    (&["unit", "not loaded"], ObstacleKind::NoSuchUnit),
    (&["unit", "not found"], ObstacleKind::NoSuchUnit),
    (&["unit", "is masked"], ObstacleKind::UnitMasked),
    (&["sudo", "command not found"], ObstacleKind::ProgramMissing),
    (&["command not found"], ObstacleKind::ProgramMissing),
    (&["sh:", "not found"], ObstacleKind::ProgramMissing),
];

fn kind_of(line: &str) -> Option<ObstacleKind> {
    let matches = |words: &[&str]| words.iter().all(|word| line.contains(word));
    PHRASES.iter().find(|(words, _)| matches(words)).map(|&(_, kind)| kind)
}

fn fix(kind: ObstacleKind, host: &str, user: &str) -> String {
    match kind {
        ObstacleKind::PasswordRequired => format!(
            "sudo on {host} asks {user} for a password: install the generated sudoers file there, \
             with this exact command marked NOPASSWD"
        ),
        ObstacleKind::TtyRequired => format!(
            "sudo on {host} insists on a terminal: add `Defaults:{user} !requiretty` to the \
             sudoers file there"
        ),
        ObstacleKind::NotInSudoers => {
            format!("{user} has no sudo rule on {host}: install the generated sudoers file there")
        }
        ObstacleKind::CommandNotAllowed => format!(
            "the sudo rules of {user} on {host} do not contain this command: generate the sudoers \
             file again from the present configuration and install it there"
        ),
        ObstacleKind::SudoBroken => {
            format!("sudo on {host} does not work at all: check it there with `visudo -c`")
        }
        ObstacleKind::InteractiveAuthentication => format!(
            "systemd on {host} wants a person to confirm because the command came without sudo: \
             allow it to {user} in the sudoers file and let it run through sudo"
        ),
        ObstacleKind::NoSuchUnit => format!(
            "systemd on {host} knows no such unit: correct its name in the pair's configuration \
             or install the service there"
        ),
        ObstacleKind::UnitMasked => {
            format!("the unit is masked on {host}: run `systemctl unmask` for it there")
        }
        ObstacleKind::ProgramMissing => format!(
            "the program is not installed on {host}, or not in the path that {user} has there"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stderr: &str, kind: ObstacleKind) {
        let found = obstacle(stderr.as_bytes(), "node-a", "ha-observer").expect("an obstacle");
        assert_eq!(found.kind, kind, "{stderr}");
        assert!(found.advice.contains("node-a"), "{}", found.advice);
    }

    #[test]
    fn the_words_of_sudo_are_recognised() {
        check("sudo: a password is required\n", ObstacleKind::PasswordRequired);
        check(
            "sudo: a terminal is required to read the password; either use the -S option\n",
            ObstacleKind::PasswordRequired,
        );
        check(
            "sudo: no tty present and no askpass program specified\n",
            ObstacleKind::PasswordRequired,
        );
        check("sudo: sorry, you must have a tty to run sudo\n", ObstacleKind::TtyRequired);
        check(
            "ha-observer is not in the sudoers file.  This incident will be reported.\n",
            ObstacleKind::NotInSudoers,
        );
        check("Sorry, user ha-observer may not run sudo on node-a.\n", ObstacleKind::NotInSudoers);
        check(
            "Sorry, user ha-observer is not allowed to execute '/usr/bin/id' as root on node-a.\n",
            ObstacleKind::CommandNotAllowed,
        );
        check("sudo: foo: command not found\n", ObstacleKind::ProgramMissing);
        check("sudo: /etc/sudo.conf must be owned by uid 0\n", ObstacleKind::SudoBroken);
    }

    #[test]
    fn the_words_of_systemd_are_recognised() {
        check(
            "Failed to stop desk.service: Interactive authentication required.\nSee system logs\n",
            ObstacleKind::InteractiveAuthentication,
        );
        check("Failed to stop x.service: Unit x.service not loaded.\n", ObstacleKind::NoSuchUnit);
        check("Unit x.service could not be found.\n", ObstacleKind::NoSuchUnit);
        check("Failed to start x: Unit x.service not found.\n", ObstacleKind::NoSuchUnit);
        check("Failed to start x: Unit x.service is masked.\n", ObstacleKind::UnitMasked);
        check("bash: line 1: pg_ctlx: command not found\n", ObstacleKind::ProgramMissing);
        check("sh: 1: pg_ctlx: not found\n", ObstacleKind::ProgramMissing);
    }

    #[test]
    fn a_banner_before_it_does_not_hide_it() {
        check(
            "** Authorised use only **\nsudo: a password is required\n",
            ObstacleKind::PasswordRequired,
        );
    }

    #[test]
    fn other_failures_are_no_obstacle_and_hostile_text_is_cleaned() {
        assert_eq!(obstacle(b"pg_ctl: no server running\n", "node-a", "u"), None);
        assert_eq!(obstacle(b"", "node-a", "u"), None);
        let found = obstacle(b"\x1b[31msudo: a password is required\x07", "node-a", "u").unwrap();
        assert!(!found.advice.chars().any(char::is_control));
    }
}
