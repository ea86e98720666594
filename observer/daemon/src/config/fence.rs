//! Reads the power fence: `[fence]`, and what each host's `[host.fence]` puts into its command.
//!
//! The command is shown to people and seen by whoever lists processes, so that what looks like a
//! secret in it is refused. It is not run here.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use observer_core::policy::{FenceGrade, Policy, PowerFence, WhenUndone};
use observer_world::access::PowerSwitch;

use super::pair::Reach;
use super::section::Section;

const WHEN_UNDONE: &[(&str, WhenUndone)] =
    &[("stays-off", WhenUndone::StaysOff), ("switch-on", WhenUndone::SwitchOn)];
/// How long a power fence is given: fence agents wait up to 20 s for the power to go.
const DEADLINE_MS: u64 = 30_000;
/// An order that takes longer is only set going, which a command on the observer cannot be.
const DEADLINE_MAX_MS: u64 = 120_000;
/// What the pair itself knows of a host.
const OF_THE_PAIR: [&str; 2] = ["host", "address"];
/// What the plan puts in.
const ACTION: &str = "action";
/// Names under which people write down secrets.
const SECRETS: [&str; 5] = ["password", "passwd", "passphrase", "secret", "token"];
const SECRET_FIX: &str = "let the command read it from a file that only ha-observer may read \
    (fence agents: --password-script), or from $CREDENTIALS_DIRECTORY (LoadCredential= of the \
    unit)";

/// The power fence while the pair's file is read.
pub(super) struct Fence<'d, 't> {
    section: Section<'d, 't>,
    command: Vec<String>,
    power_fence: PowerFence,
}

impl<'d, 't> Fence<'d, 't> {
    /// Reads `[fence]`; one that is not there switches nothing.
    pub(super) fn read(section: Section<'d, 't>, reach: Reach) -> Self {
        let deadline_ms = section.time_ms("deadline", DEADLINE_MS, 1_000);
        if deadline_ms > DEADLINE_MAX_MS {
            section.wrong("deadline", "is too long", "use \"2min\" or less");
        }
        let when_undone = section.choice("when_undone", WHEN_UNDONE, WhenUndone::StaysOff);
        let command = section.texts("command");
        if section.is_present() {
            check(&section, &command, reach);
        }
        section.finish();
        Self { section, command, power_fence: PowerFence { deadline_ms, when_undone } }
    }

    /// What plans depend on.
    pub(super) fn power_fence(&self) -> Option<PowerFence> {
        self.section.is_present().then_some(self.power_fence)
    }

    /// The command for the host whose table is `host`.
    pub(super) fn switch(
        &self,
        host: &Section<'d, 't>,
        name: &str,
        address: &str,
    ) -> Option<PowerSwitch> {
        let own = host.table("fence");
        if !self.section.is_present() {
            if own.is_present() {
                let fix = "write [fence] with its command, or remove [host.fence]";
                own.amiss("there is no [fence] that would use it", fix);
            }
            return None;
        }
        let own_values = own.all_texts();
        for (key, value) in &own_values {
            let says = |problem: &str, fix: &str| own.wrong_entry(key, problem, fix);
            if SECRETS.iter().any(|secret| key.to_ascii_lowercase().contains(secret)) {
                says("looks like a secret, and everybody could read it", SECRET_FIX);
            } else if OF_THE_PAIR.contains(&key.as_str()) || key == ACTION {
                says("is known already", "remove it, or give it another name");
            } else if !self.command.iter().any(|word| word.contains(&format!("{{{key}}}"))) {
                says(
                    "is not used",
                    &format!("write {{{key}}} in command of [fence], or remove it"),
                );
            } else if value.contains(['{', '}']) {
                says("holds a brace", "write what the command shall see, without { and }");
            }
        }
        let mut values = vec![("host", name), ("address", address)];
        values.extend(own_values.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let filled = |word: &String| {
            values
                .iter()
                .fold(word.clone(), |word, (key, value)| word.replace(&format!("{{{key}}}"), value))
        };
        let command: Vec<String> = self.command.iter().map(filled).collect();
        for missing in self.command.iter().flat_map(|word| placeholders(word)) {
            if missing != ACTION && !values.iter().any(|(key, _)| *key == missing) {
                host.amiss(
                    &format!("{{{missing}}} in the command of [fence] has no value for {name}"),
                    &format!("write [host.fence] with {missing} = \"…\" below this [[host]]"),
                );
            }
        }
        Some(PowerSwitch { command })
    }

    /// A grade that only a power fence can reach needs one.
    pub(super) fn check_grade(&self, policy: &Policy, section: &Section<'d, 't>) {
        if policy.fence == FenceGrade::PoweredOff && !self.section.is_present() {
            section.wrong(
                "fence",
                "\"powered-off\" needs a power fence, and there is no [fence]",
                "write [fence] with its command, or use \"stopped\" or \"proxied-off\"",
            );
        }
    }
}

fn check(section: &Section<'_, '_>, command: &[String], reach: Reach) {
    let Some(program) = command.first() else {
        if !section.has("command") {
            let fix = "write command = [\"/usr/sbin/fence_ipmilan\", …, \"--action={action}\"]";
            section.wrong("command", "is missing", fix);
        }
        return;
    };
    let wrong = |problem: &str, fix: &str| section.wrong("command", problem, fix);
    if !program.starts_with('/') {
        wrong(&format!("\"{program}\" is no absolute path"), "start it with /");
    } else if reach == Reach::Files && !is_program(Path::new(program)) {
        let fix = "install it, and make it executable for the user ha-observer";
        wrong(&format!("{program} is no program that can be run"), fix);
    }
    if !command.iter().any(|word| placeholders(word).any(|name| name == ACTION)) {
        wrong("does not say where the action goes", "write {action} in one of its words");
    }
    if command.iter().any(|word| is_secret(word)) {
        wrong("holds a secret, which everybody could read", SECRET_FIX);
    }
}

/// True for `--password`, `--password=…`, `passwd=…`: not for `--password-script=…`.
fn is_secret(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or(word).trim_start_matches('-').to_ascii_lowercase();
    SECRETS.contains(&name.as_str())
}

fn is_program(path: &Path) -> bool {
    let meta = std::fs::metadata(path);
    meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The names between braces in a word.
fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    word.split('{').skip(1).filter_map(move |rest| {
        let (name, _) = rest.split_once('}')?;
        (!name.is_empty() && name.chars().all(plain)).then_some(name)
    })
}
