//! Reads `[[files]]`: the sets of files that a slave fetches from the master, whole folders and
//! single files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use observer_core::policy::{FileSetSpec, Naming};
use observer_core::words::FileSetName;
use observer_world::access::{FileSetAccess, PathsQuery, SingleFiles};

use super::pair::absolute;
use super::section::Section;
use super::single_files;

/// The shortest pace of passes: each goes through the whole set.
const EVERY_MIN_MS: u64 = 1_000;
/// The shortest time for which what was deleted is kept.
const RETENTION_MIN_MS: u64 = 60_000;

/// Reads all sets; what is wrong is noted.
pub(super) fn sets(sections: &[Section<'_, '_>]) -> (Vec<FileSetSpec>, Vec<FileSetAccess>) {
    let mut names = BTreeSet::new();
    let (mut specs, mut sets) = (Vec::new(), Vec::new());
    for section in sections {
        let (spec, set) = set(section, &mut names);
        section.finish();
        if let Some(problem) = sets.iter().find_map(|other| single_files::clash(&set, other)) {
            let key = if set.single.is_some() { "files" } else { "path" };
            let fix = "let one set have it: name it in one of them, or in the outer `exclude`";
            section.wrong(key, &problem, fix);
        }
        specs.push(spec);
        sets.push(set);
    }
    (specs, sets)
}

/// The folder of a set that is all below it.
fn folder(section: &Section<'_, '_>) -> PathBuf {
    let fix = "write path = \"/var/lib/desk/attachments\" for a whole folder, or \
               files = [\"/opt/desk/licence.lic\"] for single files";
    section.required("path", fix);
    let path = absolute(section, "path", None).unwrap_or_default();
    if path == Path::new("/") {
        section.wrong("path", "is the whole machine", "name the application's folder");
    }
    path
}

fn set(section: &Section<'_, '_>, names: &mut BTreeSet<String>) -> (FileSetSpec, FileSetAccess) {
    let name = section.required("name", "name it, like name = \"attachments\"");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let fits = (1..=48).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-');
    if !name.is_empty() && !fits {
        let fix = "use letters, digits, dashes and underscores, 48 at most";
        section.wrong("name", "cannot name a file set", fix);
    } else if !name.is_empty() && !names.insert(name.clone()) {
        section.wrong("name", "another file set has this name", "give each its own name");
    }
    let (path, single) = match single_files::read(section) {
        Some((path, single)) => {
            section.knows("path");
            (path, Some(single))
        }
        None => (folder(section), None),
    };
    let every_ms = section.time_ms("every", 10_000, EVERY_MIN_MS);
    let stale_after_ms = section.time_ms("stale_after", 120_000, EVERY_MIN_MS);
    if stale_after_ms < every_ms {
        let problem = "is shorter than `every`, so that the set would always count as behind";
        section.wrong("stale_after", problem, "make it several times `every`");
    }
    let paths = paths(section);
    let spec = FileSetSpec {
        name: FileSetName::new(&name),
        every_ms,
        stale_after_ms,
        near_deadline_ms: section.time_ms("near_deadline", 600_000, 1_000),
        last_deadline_ms: section.time_ms("last_deadline", 15_000, 1_000),
        verify_percent: section.number("verify_percent", 5, 1..=100) as u8,
        named: if paths.is_some() { Naming::ByQuery } else { Naming::None },
        must_exist: single.iter().flat_map(SingleFiles::names).cloned().collect(),
    };
    // There are few single files, and a job more or less is a change that somebody makes by itself.
    let max_deletes = if single.is_some() { 1 } else { 1_000 };
    let access = FileSetAccess {
        name: spec.name.clone(),
        path,
        user: section.text("user").unwrap_or_else(|| "root".to_owned()),
        exclude: section.texts("exclude"),
        retention_ms: section.time_ms("retention", 7 * 86_400_000, RETENTION_MIN_MS),
        max_deletes: section.number("max_deletes", max_deletes, 0..=1_000_000_000),
        max_deletes_percent: section.number("max_deletes_percent", 20, 0..=100),
        rate_limit_bytes: section.size_bytes("rate_limit", 0),
        verify_limit_ms: section.time_ms("verify_limit", 6 * 3_600_000, 10_000),
        paths,
        single,
    };
    (spec, access)
}

/// What names the paths that must exist: a query and the database it runs in, or neither.
fn paths(section: &Section<'_, '_>) -> Option<PathsQuery> {
    let (sql, database) = (section.text("paths_query"), section.text("paths_database"));
    match (sql, database) {
        (Some(sql), Some(database)) => Some(PathsQuery { database, sql }),
        (Some(_), None) => {
            let fix = "write paths_database = \"desk\": the database that the query runs in";
            section.wrong("paths_query", "has no database to run in", fix);
            None
        }
        (None, Some(_)) => {
            let fix = "write paths_query = \"select path from public.attachments\", or remove it";
            section.wrong("paths_database", "has no query to run in it", fix);
            None
        }
        (None, None) => None,
    }
}
