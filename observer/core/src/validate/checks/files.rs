//! The slave's copies of file sets: how old they are, and what the last verification said.
//!
//! A verification of a large set takes minutes: it is not made here, its result is kept.

use super::TAKEOVER;
use crate::digest::Age;
use crate::files::verify::Verified;
use crate::policy::{FileSetSpec, Naming};
use crate::validate::{Check, Examine, Examined, Inputs, Outcome, Severity, Unread};
use crate::words::human_ms;

/// After this time nobody knows any more what the database names.
const CHECK_AGE_MAX_MS: u64 = 7 * 86_400_000;

pub(super) const FILES_CURRENT: Check = Check {
    id: "files-current",
    title: "the slave's copy of each file set is young, and its last verification was clean",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "a pass trusts size and time; only a verification finds what changed behind their back",
    after: "users miss files, or get other bytes than they stored",
    fix: "`ha-observer files` shows how the sets stand; `ha-observer files verify SET` compares",
    examine: Examine::Pair(current),
};

pub(super) const FILES_IN_DATABASE: Check = Check {
    id: "files-in-database",
    title: "every path that the database names is on both hosts",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "a row without its file is found by the user who opens it",
    after: "the rows are there, and their files are not",
    fix: "`ha-observer files verify --database` lists them; restore them on the master",
    examine: Examine::Pair(in_database),
};

fn current(inputs: &Inputs<'_>) -> Examined {
    each(
        inputs,
        "no file set is configured",
        |_| true,
        |set| {
            let files = &inputs.observer.files;
            let standing = files.standings.iter().find(|one| one.set == set.name);
            let unknown = || Unread(format!("{}: who keeps a copy is not known", set.name));
            let standing = standing.ok_or_else(unknown)?;
            if standing.age == Age::Stale || standing.trouble.is_some() {
                return Ok(Err(standing.to_string()));
            }
            let age = standing.unsynced_ms.map_or_else(|| "?".to_owned(), human_ms);
            let verified = files.verified.get(&set.name).and_then(|one| one.last.as_ref());
            Ok(match verified {
                None => Ok(format!("{}: {age} old, never verified", set.name)),
                Some(last) if last.result.is_whole() => {
                    Ok(format!("{}: {age} old, verified {}", set.name, told(inputs, last)))
                }
                Some(last) => Err(format!("{}: not whole {}", set.name, told(inputs, last))),
            })
        },
    )
}

fn in_database(inputs: &Inputs<'_>) -> Examined {
    let named = |set: &FileSetSpec| set.named == Naming::ByQuery;
    each(inputs, "no file set has a `paths_query`", named, |set| {
        let verified = inputs.observer.files.verified.get(&set.name);
        let Some(last) = verified.and_then(|one| one.database.as_ref()) else {
            return Ok(Err(format!("{}: the database was never asked", set.name)));
        };
        let Some(found) = &last.result.database else {
            return Err(Unread(format!("{}: the database was not asked", set.name)));
        };
        let ago_ms = inputs.observer.files.now.since(last.at);
        let ago = human_ms(ago_ms);
        if !found.all_there() {
            let examples: Vec<String> = found
                .examples
                .iter()
                .take(3)
                .map(|one| format!("{} ({})", one.path, one.what))
                .collect();
            let examples = examples.join(", ");
            return Ok(Err(format!("{}, {ago} ago: {}: {examples}", set.name, found.text())));
        }
        Ok(match ago_ms > CHECK_AGE_MAX_MS {
            true => Err(format!("{}: the database was last asked {ago} ago", set.name)),
            false => Ok(format!("{}, {ago} ago: {}", set.name, found.text())),
        })
    })
}

fn told(inputs: &Inputs<'_>, last: &Verified) -> String {
    let ago = human_ms(inputs.observer.files.now.since(last.at));
    format!("{ago} ago {}", last.result.text())
}

/// What was found of each set: well or amiss.
fn each(
    inputs: &Inputs<'_>,
    none: &str,
    concerned: impl Fn(&FileSetSpec) -> bool,
    examine: impl Fn(&FileSetSpec) -> Result<Result<String, String>, Unread>,
) -> Examined {
    let sets = inputs.spec.files.iter().filter(|set| concerned(set));
    let found: Vec<Result<String, String>> = sets.map(examine).collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Outcome::skipped(none);
    }
    let amiss: Vec<&str> =
        found.iter().filter_map(|one| one.as_ref().err()).map(String::as_str).collect();
    if !amiss.is_empty() {
        return Outcome::failed(amiss.join("; "));
    }
    Outcome::passed(found.into_iter().flatten().collect::<Vec<_>>().join("; "))
}
