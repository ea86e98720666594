//! The desk's attachments, its licence and its job definitions as file sets, set up as an
//! administrator would.

use std::time::Duration;

use super::Stage;
use crate::lab::{Result, wait_for};

/// Where the desk keeps its attachments.
pub const ATTACHMENTS: &str = "/var/lib/desk/attachments";
/// Where the passes keep what they leave.
pub const PASS_FOLDER: &str = "/var/lib/ha-observer-files/attachments";

/// How long a pass that runs may take to end.
const PASS_LIMIT: Duration = Duration::from_secs(60);

/// Whether the stage's pair has a file set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSets {
    /// It has none.
    None,
    /// The desk's attachments, often fetched.
    Attachments,
    /// The same, brought slowly: a pass that brings much can be watched.
    AttachmentsSlowly,
    /// The same with every setting as shipped.
    AttachmentsAsShipped,
    /// The desk's licence and job definitions, single files beside others; often fetched.
    SingleFiles,
}

/// What lies on both nodes before single files are declared: the files, and neighbours of each.
const SINGLE_FILES: &str = "set -e; cd /etc/desk; mkdir jobs jobs/old.job; \
    echo first > licence.lic; chgrp desk licence.lic; chmod 640 licence.lic; \
    for job in mail report; do echo $job > jobs/$job.job; done; echo 1 > jobs/calendar.xml; \
    echo old > jobs/old.job/kept.job; uname -n > jobs/README; uname -n > jobs/mail.job.draft";

impl FileSets {
    /// Its part of the pair's file.
    pub(super) fn sections(self) -> &'static str {
        match self {
            FileSets::None => "",
            FileSets::Attachments => SECTION,
            FileSets::AttachmentsSlowly => SLOW_SECTION,
            FileSets::AttachmentsAsShipped => SHIPPED_SECTION,
            FileSets::SingleFiles => SINGLE_SECTIONS,
        }
    }
}

const SINGLE_SECTIONS: &str = "\n[[files]]\nname = \"licence\"\n\
    files = [\"/etc/desk/licence.lic\"]\nevery = \"2s\"\nstale_after = \"15s\"\n\
    [[files]]\nname = \"jobs\"\nfiles = [\"/etc/desk/jobs/*.job\", \
    \"/etc/desk/jobs/calendar.xml\"]\nmode = \"640\"\nowner = \"desk:desk\"\nevery = \"2s\"\n\
    stale_after = \"15s\"\n";

const SLOW_SECTION: &str = "\n[[files]]\nname = \"attachments\"\n\
    path = \"/var/lib/desk/attachments\"\nevery = \"2s\"\nstale_after = \"15s\"\n\
    rate_limit = \"2MiB\"\n";

const SHIPPED_SECTION: &str =
    "\n[[files]]\nname = \"attachments\"\npath = \"/var/lib/desk/attachments\"\n";

const SECTION: &str = "\n[[files]]\nname = \"attachments\"\n\
    path = \"/var/lib/desk/attachments\"\nevery = \"2s\"\nstale_after = \"15s\"\n\
    max_deletes = 50\npaths_database = \"desk\"\n\
    paths_query = \"select attachment from public.tickets\"\n";

/// Says of every file of the set what it is and holds: kind, mode, owner, size, time, links,
/// target, and the sum of its content; of a large one, of its end. Size and links of a folder are
/// the file system's own, and rsync sets the time of a link to the second.
const MANIFEST: &str = "cd \"$1\" && export LC_ALL=C && find . -printf \
    '%y %m %U %G %s %T@ %n %l %p\\0' | \
    sed -z -E 's/^(d [^ ]+ [^ ]+ [^ ]+) [^ ]+ [^ ]+ [^ ]+/\\1/; \
    s/^(l [^.]+)[.][0-9]+/\\1/' | sort -z | tr '\\0\\n' '\\n~'; \
    find . -type f -size -64M -print0 | sort -z | xargs -0r sha256sum -z | sha256sum; \
    find . -type f -size +63M -exec tail -c 300000000 '{}' + | sha256sum; find . | wc -l";

impl Stage {
    /// Prepares both nodes by the script that the observer prints, and lets each read the other's
    /// sets and nothing else.
    pub(super) fn install_files(&self, files: FileSets) -> Result<()> {
        if files == FileSets::None {
            return Ok(());
        }
        if files == FileSets::SingleFiles {
            for node in ["node-a", "node-b"] {
                self.lab.machine(node).run(&["/bin/sh", "-c", SINGLE_FILES])?;
            }
        }
        self.install_file_keys(&["node-a", "node-b"])
    }

    /// Prepares each of these hosts by the script that the observer prints, and lets it read the
    /// sets of all others and nothing else.
    pub(super) fn install_file_keys(&self, hosts: &[&str]) -> Result<()> {
        for node in hosts {
            let script = self.observer().run(&["ha-observer", "config", "files", node])?;
            let done = self.lab.machine(node).exec_with_input(&["/bin/sh"], script.as_bytes())?;
            let said = done.stdout.clone();
            done.success()?;
            let lines = said.lines().filter(|line| line.starts_with("restrict,"));
            let lines: String = lines.map(|line| format!("{line}\n")).collect();
            assert!(!lines.is_empty(), "the script prints the lines of the keys");
            let add = "mkdir -p -m 700 /root/.ssh && cat >> /root/.ssh/authorized_keys";
            for other in hosts.iter().filter(|other| *other != node) {
                let machine = self.lab.machine(other);
                machine.exec_with_input(&["/bin/sh", "-c", add], lines.as_bytes())?.success()?;
            }
        }
        Ok(())
    }

    /// Keeps passes from beginning until [`Self::let_pass`], and waits until none runs.
    pub fn hold_passes(&self) -> Result<()> {
        self.ask(&["pause", "--reason", "files are changed"])?.success()?;
        for node in ["node-a", "node-b"] {
            wait_for("the last pass to end", PASS_LIMIT, || {
                let list = ["systemctl", "list-units", "--plain", "ha-observer-files*"];
                let units = self.lab.machine(node).run(&list);
                let units = units.map_err(|error| error.to_string())?;
                if units.contains("ha-observer-files-") { Err(units) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    /// Lets passes begin again.
    pub fn let_pass(&self) -> Result<()> {
        self.ask(&["resume"])?.success()?;
        Ok(())
    }

    /// What the set is on a node, to the byte: equal where the copies are.
    pub fn manifest(&self, node: &str) -> Result<String> {
        self.lab.machine(node).run(&["/bin/sh", "-c", MANIFEST, "sh", ATTACHMENTS])
    }

    /// The attachments that the database of `node` names and its disk lacks.
    pub fn missing_attachments(&self, node: &str) -> Result<Vec<String>> {
        let machine = self.lab.machine(node);
        let query = "select attachment from tickets where attachment is not null";
        let named = machine.sql("desk", query)?;
        let there = machine.run(&["ls", "-A", ATTACHMENTS])?;
        let there: std::collections::BTreeSet<&str> = there.lines().collect();
        assert!(!named.trim().is_empty(), "no ticket has an attachment");
        let missing = named.lines().filter(|name| !name.is_empty() && !there.contains(name));
        Ok(missing.map(str::to_owned).collect())
    }
}
