//! The commands that say what is in a file set on one host: names with what is said of each, and
//! hashes of contents.
//!
//! They take no argument but those in the sudoers file. Which files are hashed comes through
//! standard input, and is only held against what `find` itself sees in the set: a name that is not
//! there is dropped, so that nothing outside can be asked about.

use super::{Privileged, RunAs, absolute, plain};
use crate::access::{FileSetAccess, HostAccess, WorldError};
use observer_core::files::entry::OWNER_AS_CONFIGURED;
use observer_core::words::FileSetName;

/// What comes before the output proper: a login shell that prints comes first.
pub(crate) const BEGINS: &[u8] = b"ha-observer-begins\0";

/// Prints a record for each thing below the folder, sorted as [`observer_core::files::entry`] says.
/// What it says on standard error besides complaints shows that nothing is missing.
///
/// It stands in a sudoers file, where a backslash has a meaning of its own: the one in front of a
/// `0` is made from its base64. Nor has it double quotes, exclamation marks or number signs.
const MANIFEST: &str = "set -f; umask 077; LC_ALL=C; export LC_ALL; n=$(echo XDA= | base64 -d); \
    cd $1 || exit 70; printf ha-observer-begins$n; \
    { find . -printf %P//%y/%m/%U/%G/%s/%T@/ \
    '(' -readable '(' -executable -o -not -type d ')' -printf r -o -printf u ')' -printf /%l$n; \
    echo ended $? >&2; } < /dev/null | sort -z -S 32M && echo whole >&2";

/// Prints `HASH  ./PATH` and a NUL for each file whose name comes in and is in the set; both are
/// sorted. The hash is BLAKE2b of 256 bits, which every coreutils has. The second argument is how
/// many files one process takes.
const HASH: &str = "set -f; umask 077; LC_ALL=C; export LC_ALL; n=$(echo XDA= | base64 -d); \
    cd $1 || exit 70; printf ha-observer-begins$n; exec 3<&0; \
    { find . -type f -printf %P//$n; echo ended $? >&2; } < /dev/null | sort -z -S 32M | \
    { exec 4<&0; cat <&3 | stdbuf -o0 comm -z -12 - /dev/fd/4; } | \
    stdbuf -o0 sed -z -e 's,//$,,' -e 's,^,./,' | xargs -0 -r -n $2 b2sum -z -l 256 --; \
    test $? -ne 1 && echo whole >&2";

/// Files that one process hashes where no rate is kept.
const AT_ONCE: &str = "64";

/// What says what is in one set.
#[derive(Debug, Clone)]
pub(crate) struct VerifyCommands {
    pub(crate) set: FileSetName,
    pub(crate) manifest: Privileged,
    pub(crate) hash: Privileged,
}

impl VerifyCommands {
    pub(super) fn new(host: &HostAccess, set: &FileSetAccess) -> Result<Self, WorldError> {
        let machine = host.name.as_str();
        plain(machine, &set.user)?;
        plain(machine, set.name.as_str())?;
        let path = absolute(machine, &set.path)?;
        let run_as = match set.user.as_str() {
            "root" => RunAs::Root,
            user => RunAs::Account(user.to_owned()),
        };
        // A host that lost its observer in the middle ends by itself.
        let limit = set.verify_limit_ms.div_ceil(1_000).to_string();
        // Nothing below a folder is a single file, and who they belong to is asked by name.
        let (level, owner) = match &set.single {
            None => ("find . ", None),
            Some(single) => ("find . -maxdepth 1 ", single.owner.as_ref()),
        };
        let script = |script: &str| script.replace("find . ", level);
        let manifest = match owner.and_then(|owner| owner.split_once(':')) {
            None => script(MANIFEST),
            Some((user, group)) => {
                plain(machine, user)?;
                plain(machine, group)?;
                let (user_number, group_number) = OWNER_AS_CONFIGURED;
                let owned = format!(
                    "'(' -user {user} -group {group} -printf {user_number}/{group_number} \
                     -o -printf %U/%G ')' -printf /%s"
                );
                script(MANIFEST)
                    .replace("%P//%y/%m/%U/%G/%s/%T@/", &format!("%P//%y/%m/ {owned}/%T@/"))
            }
        };
        let command = |script: &str, name, more: &[&str]| {
            let gently = ["/usr/bin/nice", "-n", "19", "/usr/bin/ionice", "-c", "3"];
            let shell = ["/bin/sh", "-c", script, name, &path];
            let words = [&["/usr/bin/timeout", &limit], &gently[..], &shell, more].concat();
            Privileged { run_as: run_as.clone(), ..Privileged::new(&words) }
        };
        // With a rate to keep, a name that is handed over must be taken up at once.
        let at_once = if set.rate_limit_bytes > 0 { "1" } else { AT_ONCE };
        Ok(Self {
            set: set.name.clone(),
            manifest: command(&manifest, "manifest", &[]),
            hash: command(&script(HASH), "hash", &[at_once]),
        })
    }

    pub(super) fn all(&self) -> [&Privileged; 2] {
        [&self.manifest, &self.hash]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_have_nothing_that_sudo_would_read_as_its_own() {
        for script in [MANIFEST, HASH] {
            for forbidden in ['"', '!', '\\', '\n', '#', '\u{60}'] {
                assert!(!script.contains(forbidden), "{forbidden:?}");
            }
        }
    }
}
