//! The slave's copies of file sets: how old they are, and what the last verification said.
//!
//! A verification of a large set takes minutes: it is not made here, its result is kept.

use super::{SWITCHOVER, TAKEOVER};
use crate::digest::Age;
use crate::files::verify::Verified;
use crate::files::{CleanPass, PassTrouble};
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

pub(super) const FILES_LAST_PASS: Check = Check {
    id: "files-last-pass",
    title: "a pass that finds nothing to bring ends within the time of a switchover's last one",
    severity: Severity::Severe,
    readies: SWITCHOVER,
    why: "a pass compares the whole set even where nothing has changed; the last one of a \
          switchover does that while users are held",
    after: "users are held until the last pass is given up, and the switchover is taken back",
    fix: "raise `last_deadline` of the set, with all others within `hold_limit`; or leave out, by \
          `exclude`, what needs no copy",
    examine: Examine::Pair(last_pass),
};

pub(super) const FILES_IN_TIME: Check = Check {
    id: "files-in-time",
    title: "passes of each file set follow each other fast enough to keep the copy young",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "what changes right behind a pass's look is brought by the next one: a copy is up to \
          twice as old as a pass takes",
    after: "the copy counts as behind again and again, and the pair as not protected",
    fix: "raise `stale_after` of the set; or leave out, by `exclude`, what needs no copy",
    examine: Examine::Pair(in_time),
};

pub(super) const FILES_ON_MASTER: Check = Check {
    id: "files-on-master",
    title: "every file that is declared by name is on the master",
    severity: Severity::Warning,
    readies: TAKEOVER,
    why: "a licence or job definition that is gone from the master is mostly gone by mistake; the \
          slave keeps its copy, and no pass brings it back",
    after: "the application on one of the hosts lacks the file, or works with an old one",
    fix: "restore it on the master, from the slave's copy if that is the right one; or take it out \
          of `files` in the pair's file",
    examine: Examine::Pair(on_master),
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
            // What the master lacks is told by a check of its own.
            let trouble = standing.trouble.as_ref();
            let left = trouble.is_some_and(|one| !matches!(one, PassTrouble::Missing { .. }));
            if standing.age == Age::Stale || left {
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

/// The last whole pass of a set.
fn whole_pass(inputs: &Inputs<'_>, set: &FileSetSpec) -> Option<CleanPass> {
    let mut standings = inputs.observer.files.standings.iter();
    let standing = standings.find(|one| one.set == set.name)?;
    standing.clean.map(|(_, pass)| pass)
}

/// Only a pass that brought nothing tells what comparing alone takes. Where none has ended yet, the
/// one before users are held is the first.
fn last_pass(inputs: &Inputs<'_>) -> Examined {
    let idle = |set: &FileSetSpec| whole_pass(inputs, set).filter(|pass| pass.files == 0);
    let all_ms: u64 = inputs.spec.files.iter().filter_map(idle).map(|pass| pass.took_ms).sum();
    let hold_ms = inputs.spec.policy.hold_limit_ms;
    each(
        inputs,
        "no file set is configured",
        |_| true,
        |set| {
            let name = &set.name;
            let Some(pass) = idle(set) else {
                return Ok(Ok(format!("{name}: no pass has found nothing to bring yet")));
            };
            let (took, given) = (human_ms(pass.took_ms), human_ms(set.last_deadline_ms));
            let told = format!("{name}: a pass that brought nothing took {took}");
            Ok(if pass.took_ms > set.last_deadline_ms {
                Err(format!("{told}; the last one is given {given} (`last_deadline`)"))
            } else if all_ms > hold_ms {
                let (all, hold) = (human_ms(all_ms), human_ms(hold_ms));
                Err(format!("{told}, all sets together {all}; users are held {hold} at most"))
            } else {
                Ok(format!("{told} of {given}"))
            })
        },
    )
}

fn in_time(inputs: &Inputs<'_>) -> Examined {
    each(
        inputs,
        "no file set is configured",
        |_| true,
        |set| {
            let none = || Unread(format!("{}: no pass has ended well yet", set.name));
            let pass = whole_pass(inputs, set).ok_or_else(none)?;
            let told = format!("{}: a pass took {}", set.name, human_ms(pass.took_ms));
            let (lags, given) = (human_ms(pass.lags_ms()), human_ms(set.stale_after_ms));
            Ok(if pass.lags_ms() > set.stale_after_ms {
                Err(format!("{told}, so the copy is up to {lags} old; `stale_after` is {given}"))
            } else {
                Ok(told)
            })
        },
    )
}

fn on_master(inputs: &Inputs<'_>) -> Examined {
    let by_name = |set: &FileSetSpec| !set.must_exist.is_empty();
    each(inputs, "no file is declared by name", by_name, |set| {
        let standing = inputs.observer.files.standings.iter().find(|one| one.set == set.name);
        let names = set.must_exist.join(", ");
        let trouble = standing.and_then(|one| one.trouble.as_ref());
        if let Some(trouble @ PassTrouble::Missing { .. }) = trouble {
            return Ok(Err(format!("{}: {trouble}", set.name)));
        }
        // How old that may be is the word of the check beside this one.
        match standing.and_then(|one| one.unsynced_ms) {
            Some(age) => Ok(Ok(format!("{}: {names}, {} ago", set.name, human_ms(age)))),
            None => Err(Unread(format!("{}: no pass has ended well yet", set.name))),
        }
    })
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
