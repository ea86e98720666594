//! Reads what makes a `[[files]]` a set of single files: their paths, and the mode and owner of the
//! copies.
//!
//! All lie in one folder, since one key reads one folder; only their names may be patterns.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use observer_core::files::exclude::{Excludes, can_meet};
use observer_world::access::{FileSetAccess, SingleFiles};

use super::section::Section;

/// Permissions that a copy can be given.
const MODE_MAX: u32 = 0o777;

/// The folder and its files, where `files` is there. What is wrong is noted.
pub(super) fn read(section: &Section<'_, '_>) -> Option<(PathBuf, SingleFiles)> {
    let (mode, owner) = (mode(section), owner(section));
    if !section.has("files") {
        section.knows("files");
        for key in ["mode", "owner"] {
            if section.has(key) {
                let fix = "remove it: a whole folder keeps the master's; single files have \
                           files = [\"/opt/desk/licence.lic\"] instead of `path`";
                section.wrong(key, "is only for single files", fix);
            }
        }
        return None;
    }
    if section.has("path") {
        let fix = "keep `path` for the whole folder, or `files` for single files in it";
        section.wrong("files", "stands beside `path`", fix);
    }
    if section.has("paths_query") {
        let fix = "remove it: `files` names what must be there";
        section.wrong("paths_query", "is only for a whole folder", fix);
    }
    let texts = section.texts("files");
    if texts.is_empty() {
        section.wrong("files", "names no file", "write files = [\"/opt/desk/licence.lic\"]");
    }
    let split: Vec<(&str, &str)> =
        texts.iter().filter_map(|text| folder_and_name(section, text)).collect();
    let folders: BTreeSet<&str> = split.iter().map(|(folder, _)| *folder).collect();
    if folders.len() > 1 {
        let folders = folders.iter().copied().collect::<Vec<_>>().join(" and ");
        let problem = format!("lie in {folders}, and a set has one folder");
        section.wrong("files", &problem, "write a [[files]] of its own for each folder");
    }
    let mut files: Vec<String> = Vec::new();
    for (_, name) in &split {
        if files.iter().any(|known| known == name) {
            section.wrong("files", &format!("has \"{name}\" twice"), "name it once");
        } else {
            files.push((*name).to_owned());
        }
    }
    let left_out = Excludes::new(&section.texts("exclude"));
    for file in files.iter().filter(|file| left_out.leave_out(file.as_bytes(), false)) {
        let problem = format!("leaves out {file}, which `files` names");
        section.wrong("exclude", &problem, "take it out of one of them");
    }
    let folder = folders.first().map_or_else(PathBuf::new, PathBuf::from);
    Some((folder, SingleFiles { files, mode, owner }))
}

/// The parts of one path; none, and a note, where it is none of a single file.
fn folder_and_name<'t>(section: &Section<'_, '_>, text: &'t str) -> Option<(&'t str, &'t str)> {
    let wrong = |problem: &str, fix: &str| {
        section.wrong("files", &format!("\"{text}\" {problem}"), fix);
        None
    };
    if !text.starts_with('/') {
        return wrong("is no absolute path", "start it with /");
    }
    let (folder, name) = text.rsplit_once('/')?;
    let spoken = |c: char| c.is_ascii_alphanumeric() || "_./@+-".contains(c);
    let odd = folder.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
    if name.is_empty() {
        return wrong("is a folder", "name the files in it, or use `path` for the whole folder");
    }
    if odd || matches!(name, "." | "..") {
        return wrong("is no plain path", "write it without `.`, `..` and empty parts");
    }
    if folder.is_empty() {
        return wrong("lies in no folder", "keep it in the application's own folder");
    }
    if SingleFiles::is_pattern(folder) {
        let fix = "write the folder out: only the name behind the last / may have * and ?";
        return wrong("has a pattern in its folder", fix);
    }
    if !folder.chars().all(spoken) {
        let fix = "use a folder with letters, digits and . _ @ + - alone";
        return wrong("has a folder that no command can be given safely", fix);
    }
    if !SingleFiles::is_name(name) {
        let fix = "use letters, digits and . _ @ + - with * and ? as patterns, and no dash in \
                   front; ? stands for any other character, a blank for example";
        return wrong("has a name that no command can be given safely", fix);
    }
    Some((folder, name))
}

fn mode(section: &Section<'_, '_>) -> Option<u32> {
    let text = section.number_or_text("mode")?;
    let fix = "write three digits from 0 to 7, like mode = \"640\"";
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = octal.then(|| u32::from_str_radix(&text, 8).ok()).flatten();
    match mode {
        None => {
            section.wrong("mode", &format!("\"{text}\" is no mode"), fix);
            None
        }
        Some(mode) if mode > MODE_MAX => {
            let problem = format!("\"{text}\" has setuid, setgid or the sticky bit");
            section.wrong("mode", &problem, fix);
            None
        }
        Some(mode) => {
            if mode & 0o002 != 0 {
                let fix = "leave writing to the owner, like mode = \"640\"";
                section.odd("mode", &format!("\"{text}\" lets everybody write"), fix);
            }
            Some(mode)
        }
    }
}

fn owner(section: &Section<'_, '_>) -> Option<String> {
    let owner = section.text("owner")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_name = |name: &str| {
        let first = name.chars().next();
        first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_') && name.chars().all(plain)
    };
    let fits = owner.split_once(':').is_some_and(|(user, group)| is_name(user) && is_name(group));
    if !fits {
        let fix = "write user and group by name, like owner = \"desk:desk\"";
        section.wrong("owner", &format!("\"{owner}\" is no user with a group"), fix);
        return None;
    }
    if section.text("user").is_some_and(|user| user != "root") {
        let fix = "remove `user`, so that root copies; or remove `owner`";
        section.wrong("owner", "can only be given by root", fix);
    }
    Some(owner)
}

/// Why this set would write what `other` writes, too.
pub(super) fn clash(set: &FileSetAccess, other: &FileSetAccess) -> Option<String> {
    let both = |file: &String| {
        let path = set.path.join(file);
        format!("{} is part of files {}, too", path.display(), other.name)
    };
    match (&set.single, &other.single) {
        (Some(own), Some(others)) if set.path == other.path => {
            let meets = |file: &&String| {
                others.files.iter().any(|one| can_meet(file.as_bytes(), one.as_bytes()))
            };
            own.files.iter().find(meets).map(both)
        }
        (Some(own), None) => own.files.iter().find(|file| is_below(set, file, other)).map(both),
        // The one would delete what the other holds for a person to allow.
        (None, None) if set.path == other.path => {
            Some(format!("is the folder of files {}, too", other.name))
        }
        (None, None) if lies_in(&set.path, other) => {
            Some(format!("lies in the folder of files {}", other.name))
        }
        (None, None) if lies_in(&other.path, set) => {
            Some(format!("has {} in it, the folder of files {}", other.path.display(), other.name))
        }
        (None, Some(others)) => {
            let file = others.files.iter().find(|file| is_below(other, file, set))?;
            let path = other.path.join(file);
            Some(format!("has {} in it, which is part of files {}", path.display(), other.name))
        }
        _ => None,
    }
}

/// Whether a folder is part of what a set copies.
fn lies_in(path: &Path, set: &FileSetAccess) -> bool {
    let Ok(rest) = path.strip_prefix(&set.path) else { return false };
    let rest = rest.as_os_str().as_encoded_bytes();
    !rest.is_empty() && !Excludes::new(&set.exclude).leave_out(rest, true)
}

/// Whether a file of a set is also in the folder of another, and not left out there.
fn is_below(single: &FileSetAccess, file: &str, folder: &FileSetAccess) -> bool {
    let Ok(rest) = single.path.strip_prefix(&folder.path) else { return false };
    let path = rest.join(file);
    !Excludes::new(&folder.exclude).leave_out(path.to_string_lossy().as_bytes(), false)
}
