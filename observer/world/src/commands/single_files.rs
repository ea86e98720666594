//! How single files are fetched, where a whole folder is not: what lies beside them is neither read
//! on the master nor touched on the slave.
//!
//! ```text
//!   master: the folder ──► a server for one key that shows these files and no others
//!   slave:                 └──► copy/now, the same to the byte ──► the folder, file by file
//! ```
//!
//! On the master the key's forced command is rsync's own server with a file of configuration: its
//! filter is one that no client can widen. On the slave the folder itself is never the end of a run
//! that carries owners, permissions or times: it would be given the master's.

use std::fmt::Write;

use super::files::{FOLDER, check_patterns};
use super::{absolute, plain};
use crate::access::{FileSetAccess, SingleFiles, WorldError};

/// The run of a pass of single files. Its arguments behind those of every pass: what is left out as
/// `--exclude=…`, names, patterns, then `--chmod=…` and `--owner=USER:GROUP` where these are set.
///
/// In the folder that it fetches into nothing else may be left, neither what a killed pass has
/// begun nor what was declared before: it would be placed for ever.
/// A file that is declared by name is never deleted; if the master lacks it, that is left in
/// `missing`. What patterns mean is deleted within the limit, by a run that carries nothing.
/// What a killed pass has left in the folder, hidden and named after a declared file, is kept aside
/// by the next: it is known by having been changed since that one began to place.
/// Names are listed behind a slash: rsync takes what begins with `;` or `#` for a comment.
/// It obeys the same rules of spelling as the rest of the pass.
pub(super) const RUN: &str = "RSYNC_CONNECT_PROG=$RSYNC_RSH; export RSYNC_CONNECT_PROG; \
    mkdir -p -m 700 copy; \
    wanted='--exclude=*/'; spared='--exclude=*/'; named=; as=; owner=; begun=-false; whole=-false; \
    for word in $*; do case $word in \
    --exclude=*) wanted=$wanted' '$word; spared=$spared' '$word; continue ;; \
    --owner=*) owner=$(echo $word | cut -d= -f2); as=$as' --chown='$owner; continue ;; \
    --chmod=*) as=$as' '$word; continue ;; \
    *[*?]*) spared=$spared' --include=/'$word ;; \
    *) named=$named' '$word; spared=$spared' --exclude=/'$word ;; esac; \
    wanted=$wanted' --include=/'$word; whole=$whole' -o -name '$word; \
    case $word in .*) begun=$begun' -o -name '$word.'??????' ;; \
    *) begun=$begun' -o -name .'$word.'??????' ;; esac; done; \
    left() { place=$1; shift; find $place -mindepth 1 -maxdepth 1 -type f -cnewer placing \
    '(' $* ')' -exec mv -t $kept/files {} + 2> /dev/null; }; \
    part() { echo $owner | cut -d: -f$1; }; \
    pass() { limit=$1; \
    test -d $path || { echo $path is no folder on this host > err; return 97; }; \
    test -z $owner || getent passwd $(part 1) > /dev/null || \
    { echo owner: no account $(part 1) on this host > err; return 97; }; \
    test -z $owner || getent group $(part 2) > /dev/null || \
    { echo owner: no group $(part 2) on this host > err; return 97; }; \
    rsync -aHAXS --numeric-ids --delay-updates --modify-window=-1 \
    --partial-dir=.ha-observer-partial --delete --delete-excluded --bwlimit=$rate --timeout=60 \
    $wanted '--exclude=*' $remote copy/now/ > fetched 2> err; got=$?; \
    case $got in 0 | 24) ;; *) if grep -q 'Unknown module' err; then \
    echo the master shows other files: run there anew what ha-observer config files prints > err; \
    fi; return $got ;; esac; \
    missing=; for name in $named; do test -e copy/now/$name || test -h copy/now/$name || \
    missing=$missing' '$name; done; \
    case $missing in '') rm -f missing ;; *) echo $epoch $kind$missing > missing ;; esac; \
    find copy/now -mindepth 1 -maxdepth 1 -not -type d -print0 > there && \
    sed -z -e 's,^copy/now,,' there > list || return 98; \
    if test -e placing; then mkdir -p $kept/files; left $path $begun; \
    left $path.ha-observer-partial $whole; rmdir $path.ha-observer-partial 2> /dev/null; fi; \
    : > placing; \
    rsync -aHAXS --numeric-ids --delay-updates --modify-window=-1 \
    --partial-dir=.ha-observer-partial --backup --backup-dir=$kept/files --stats --info=progress2 \
    --no-h --no-implied-dirs --from0 --files-from=list $as copy/now/ $path > out 2>> err; code=$?; \
    case $code in 0 | 23 | 24) rm -f placing ;; esac; case $code in 0) ;; *) \
    first=$(sed -n -e 's/^.*could not make way for [a-z ]*: //p' err | head -n 1); \
    case $first in '') ;; *) { echo a folder stands in the place of a file on this host, \
    move it away: $first; cat err; } > err.new; mv err.new err ;; esac; return $code ;; esac; \
    rsync -rl --existing --ignore-existing --delete-delay --max-delete=$limit \
    --backup --backup-dir=$kept/files --stats --no-h $spared '--exclude=*' \
    copy/now/ $path > removed 2>> err; code=$?; \
    sed -n -e '/^Number of deleted files/p' removed >> out; \
    case $code in 0) return $got ;; *) return $code ;; esac; }; ";

/// What the run is told of these files; what is left out comes first.
pub(super) fn words(single: &SingleFiles) -> Vec<String> {
    let SingleFiles { files, mode, owner } = single;
    let (patterns, names): (Vec<_>, Vec<_>) =
        files.iter().partition(|file| SingleFiles::is_pattern(file));
    let mut words: Vec<String> = names.into_iter().chain(patterns).cloned().collect();
    words.extend(mode.map(|mode| format!("--chmod=F{mode:o}")));
    words.extend(owner.as_ref().map(|owner| format!("--owner={owner}")));
    words
}

/// Refuses what could mean something else to a shell, to rsync or to sudo.
pub(super) fn check(machine: &str, single: &SingleFiles) -> Result<(), WorldError> {
    for file in &single.files {
        if !SingleFiles::is_name(file) {
            let (machine, value) = (machine.to_owned(), file.clone());
            return Err(WorldError::Unspeakable { machine, value });
        }
    }
    single.owner.as_ref().map_or(Ok(()), |owner| plain(machine, owner))
}

/// What the server shows, as its configuration has it.
fn filter(set: &FileSetAccess, single: &SingleFiles) -> String {
    let left_out = set.exclude.iter().map(|pattern| format!("- {pattern} "));
    let shown = single.files.iter().map(|file| format!("+ /{file} "));
    format!("- */ {}- *", left_out.chain(shown).collect::<String>())
}

/// What is asked for at the server. Its name follows from what is shown (FNV-1a): a master that was
/// prepared for other files does not know it. It would look as if it lacked the new ones, and what
/// patterns mean would be deleted.
pub(super) fn module(set: &FileSetAccess, single: &SingleFiles) -> String {
    let text = format!("{} {}", set.path.display(), filter(set, single));
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{}-{hash:016x}", set.name)
}

/// Where the server's configuration for a set lies.
fn config(set: &FileSetAccess) -> String {
    format!("{FOLDER}/{}.rsyncd.conf", set.name)
}

/// The command that a key of another host is tied to.
pub(super) fn forced(set: &FileSetAccess) -> String {
    format!("/usr/bin/rsync --server --daemon --config={} .", config(set))
}

/// Lines of the script that prepares a host: what its server shows. A client may not ask for what
/// a link leads to: that may be any file of the machine.
pub(super) fn install_server(
    machine: &str,
    set: &FileSetAccess,
    single: &SingleFiles,
) -> Result<String, WorldError> {
    check(machine, single)?;
    check_patterns(machine, &set.exclude)?;
    let (path, config) = (absolute(machine, &set.path)?, config(set));
    let (module, filter) = (module(set, single), filter(set, single));
    let mut text = String::new();
    let identity = if set.user == "root" { "uid = 0\ngid = 0\n" } else { "" };
    writeln!(
        text,
        "cat > {config} <<'end'\nuse chroot = no\nlog file = /dev/null\n[{module}]\npath = {path}\n\
         read only = yes\nlist = no\n{identity}munge symlinks = no\n\
         refuse options = copy-links copy-unsafe-links copy-dirlinks keep-dirlinks\n\
         filter = {filter}\nend\nchmod 644 {config}"
    )
    .expect("a string takes all");
    Ok(text)
}
