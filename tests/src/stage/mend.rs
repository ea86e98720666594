//! Making a pair whole again after a failover, as a person would do it by hand: the old master
//! becomes the new one's slave.
//!
//! It clones; the product's own way back is another plan of another day.

use std::time::Duration;

use super::Stage;
use crate::lab::{DESK_UNIT, POSTGRES_UNIT, Result, SCHEDULER_UNIT};

const CLONE_LIMIT: Duration = Duration::from_secs(60);

/// Stops what runs, clones the master at `$1` as the standby `$2` that uses the slot `$3`, and
/// starts it.
const CLONE: &str = r#"
set -eu
data=/var/lib/postgresql/15/main
systemctl stop "$4" "$5"
systemctl reset-failed "$4" "$5" "$6" || true
rm -rf "$data"
runuser -u postgres -- pg_basebackup --pgdata "$data" --write-recovery-conf --checkpoint fast \
    --slot "$3" --no-password --dbname "host=$1 user=replicator application_name=$2"
systemctl start "$4" "$6"
"#;

impl Stage {
    /// Makes `slave` a fresh slave of `master`, whatever it was, and waits until the pair is
    /// protected.
    pub fn clone_slave(&self, master: &str, slave: &str) -> Result<()> {
        let slot = slave.replace('-', "_");
        let (from, to) = (self.lab.machine(master), self.lab.machine(slave));
        let make_slot = format!(
            "select pg_create_physical_replication_slot('{slot}') where not exists \
             (select from pg_replication_slots where slot_name = '{slot}')"
        );
        from.sql("postgres", &make_slot)?;
        let address = from.address().to_string();
        let words = ["/bin/sh", "-c", CLONE, "clone", &address, slave, &slot];
        let units = [POSTGRES_UNIT, SCHEDULER_UNIT, DESK_UNIT];
        to.exec_within(CLONE_LIMIT, &[&words[..], &units].concat())?.success()?;
        self.wait_protected()
    }
}
