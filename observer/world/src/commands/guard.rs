//! The guard: a drop-in for PostgreSQL's unit that refuses to start a replaced master as a second.
//!
//! It runs before each start, and asks: a host whose files make it a standby starts; else, if
//! another host of the pair says that it is a primary, the start is refused with the reason. Who
//! does not answer is no reason: after an outage of everything somebody must be able to start. It
//! changes nothing, and knows nothing of the observer: it works while that is away.

use std::fmt::Write;

use super::{absolute, plain};
use crate::access::{HostAccess, WorldError};

/// Its name in the folder of the unit's drop-ins.
pub(crate) const GUARD_FILE: &str = "ha-observer-guard.conf";

/// The file for one host; `others` are those it asks.
pub(crate) fn guard(access: &HostAccess, others: &[&HostAccess]) -> Result<String, WorldError> {
    let (name, unit) = (access.name.as_str(), access.database.unit.as_str());
    plain(name, unit)?;
    let data = absolute(name, &access.database.data_directory)?;
    let psql = absolute(name, &access.database.programs())? + "/psql";
    let mut script = format!(
        "if test -e {data}/standby.signal; then exit 0; fi\n\
         PGPASSFILE=~postgres/.pgpass; LC_ALL=C; export PGPASSFILE LC_ALL\n\
         ask() {{ said=$(timeout 5 {psql} -XAtqw -d \"$2\" -c \"select pg_is_in_recovery()\" 2>&1 \
         | head -n 1)\n\
         case \"$said\" in\n\
         t) ;;\n\
         f) echo \"<3>HA Observer guard: $1 is a primary, so that {name} was replaced and must not \
         start as a second one. On the observer, ha-observer rejoin makes a slave of it. If {name} \
         is the right one, stop the database on $1 first.\" >&2; exit 1 ;;\n\
         *) echo \"<4>HA Observer guard: $1 does not say what it is (${{said:-no answer}}), so \
         that {name} starts as its files say.\" >&2 ;;\n\
         esac; }}\n"
    );
    for other in others {
        writeln!(script, "ask {} \"{}\"", other.name, question(other)?)
            .expect("a string takes all");
    }
    let command = in_unit(&script);
    Ok(format!(
        "# Keeps the database on {name} from starting as a second master. Generated: do not edit.\n\
         # Install as /etc/systemd/system/{unit}.d/{GUARD_FILE},\n\
         # owner root, mode 0644, then `systemctl daemon-reload`.\n\
         [Service]\n\
         ExecStartPre=+/usr/bin/setpriv --reuid=postgres --regid=postgres --init-groups \\\n\
         /bin/sh -c '{command}'\n"
    ))
}

/// How the other host is asked: as a slave logs in there, whose password is in the `.pgpass`.
fn question(other: &HostAccess) -> Result<String, WorldError> {
    let (machine, database) = (other.name.as_str(), &other.database);
    let mut words = vec![
        format!("host={}", database.address),
        format!("port={}", database.port),
        format!("user={}", database.replication_user),
        "dbname=postgres".to_owned(),
        "connect_timeout=2".to_owned(),
        "application_name=ha-observer-guard".to_owned(),
    ];
    words.extend(
        database.replication_options.iter().flat_map(|text| text.split(' ')).map(str::to_owned),
    );
    for word in &words {
        let (key, value) = word.split_once('=').unwrap_or((word, "none"));
        plain(machine, key)?;
        plain(machine, value)?;
    }
    plain(machine, machine)?;
    Ok(words.join(" "))
}

/// A script as systemd reads it from a unit's file: it gives dollars and percent signs a meaning of
/// their own, and joins lines that end in a backslash.
fn in_unit(script: &str) -> String {
    let escaped = script.trim_end().replace('%', "%%").replace('$', "$$");
    let mut lines = Vec::new();
    for line in escaped.lines() {
        let open = line.ends_with(" in") || line.ends_with(";;") || line.ends_with('{');
        lines.push(if open { line.to_owned() } else { format!("{line};") });
    }
    let last = lines.len().saturating_sub(1);
    lines[last] = lines[last].trim_end_matches(';').to_owned();
    lines.join(" \\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_becomes_one_word_of_a_unit() {
        let script =
            "ask() { said=$(date +%s)\ncase \"$said\" in\nt) ;;\n*) exit 1 ;;\nesac; }\nask\n";
        assert_eq!(
            in_unit(script),
            "ask() { said=$$(date +%%s); \\\ncase \"$$said\" in \\\nt) ;; \\\n*) exit 1 ;; \\\n\
             esac; }; \\\nask"
        );
    }
}
