//! Reads `[[mount]]`: the mounts that the hosts share.

use std::collections::BTreeSet;

use observer_core::mounts::{MountAccess, MountSpec};
use observer_core::policy::PROBE_MAX_MS;
use observer_core::validate::Severity;
use observer_core::words::MountName;
use observer_world::access::MountPoint;

use super::section::Section;
use super::units;

const ACCESSES: &[(&str, MountAccess)] =
    &[("read-write", MountAccess::ReadWrite), ("read-only", MountAccess::ReadOnly)];
const SEVERITIES: &[(&str, Severity)] =
    &[("severe", Severity::Severe), ("warning", Severity::Warning)];

/// The shortest pace: each look writes a file.
const EVERY_MIN_MS: u64 = 1_000;
/// The shortest deadline: what is waited for is a storage on the network.
const DEADLINE_MIN_MS: u64 = 100;

/// Reads all mounts; what is wrong is noted.
pub(super) fn mounts(sections: &[Section<'_, '_>]) -> Vec<MountPoint> {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    let read = |section: &Section<'_, '_>| {
        let mount = mount(section, &mut names, &mut paths);
        section.finish();
        mount
    };
    sections.iter().map(read).collect()
}

fn mount(
    section: &Section<'_, '_>,
    names: &mut BTreeSet<String>,
    paths: &mut BTreeSet<String>,
) -> MountPoint {
    let name = section.required("name", "name it, like name = \"keys\"");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let fits = (1..=48).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-');
    if !name.is_empty() && !fits {
        let fix = "use letters, digits, dashes and underscores, 48 at most";
        section.wrong("name", "cannot name a mount", fix);
    } else if !name.is_empty() && !names.insert(name.clone()) {
        section.wrong("name", "another mount has this name", "give each its own name");
    }
    let path = path(section);
    if !path.is_empty() && !paths.insert(path.clone()) {
        section.wrong("path", "another [[mount]] has this path", "declare each mount once");
    }
    let deadline_ms = section.time_ms("deadline", 2_000, DEADLINE_MIN_MS);
    if deadline_ms > PROBE_MAX_MS {
        let problem = format!("{} is too long for one probe", units::write_time(deadline_ms));
        section.wrong(
            "deadline",
            &problem,
            "use \"10s\" or less: what takes longer counts as hung",
        );
    }
    let every_ms = section.time_ms("every", 10_000, EVERY_MIN_MS);
    let user = section.required(
        "user",
        "name the account that must be able to use it, the service's, like user = \"desk\"",
    );
    let spec = MountSpec {
        name: MountName::new(&name),
        path,
        source: section.text("source"),
        access: section.choice("access", ACCESSES, MountAccess::ReadWrite),
        low_bytes: section.size_bytes("low", 512 << 20),
        low_ms: section.time_ms("low_time", 600_000, 0),
        every_ms,
        deadline_ms,
        severity: section.choice("severity", SEVERITIES, Severity::Severe),
    };
    MountPoint { spec, user }
}

/// The mount point as the kernel writes it: absolute, and without what could be written otherwise.
fn path(section: &Section<'_, '_>) -> String {
    let text = section.required("path", "write path = \"/srv/desk\": where it is mounted");
    let path = text.trim_end_matches('/').to_owned();
    if text.is_empty() {
        return path;
    }
    let odd = path.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
    if !text.starts_with('/') {
        section.wrong("path", &format!("\"{text}\" is no absolute path"), "start it with /");
    } else if path.is_empty() {
        section.wrong("path", "is the whole machine", "name the folder that is mounted");
    } else if odd || path.chars().any(char::is_control) {
        let fix = "write it as `findmnt` shows it on the host";
        section.wrong("path", &format!("\"{text}\" is no plain path"), fix);
    }
    path
}
