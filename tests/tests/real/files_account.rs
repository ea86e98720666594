//! A file set that belongs to an account of the application, which reads on the master and writes
//! on the slave: what it may not read is told by name, holds nothing else up, and comes once it
//! may.

use std::time::Duration;

use tests::lab::{Result, wait_for};
use tests::stage::{ATTACHMENTS, Stage, StageSpec};

const SOON: Duration = Duration::from_secs(60);
const SECTION: &str = "\n[[files]]\nname = \"attachments\"\n\
    path = \"/var/lib/desk/attachments\"\nuser = \"desk\"\nevery = \"2s\"\n\
    stale_after = \"10s\"\nexclude = [\"*.tmp\"]\n";
/// The account gets a shell and may log in by key alone.
const ACCOUNT: &str = "usermod --shell /bin/sh --password '*' desk && \
    install -d -m 700 -o desk -g desk /var/lib/desk/.ssh";

#[test]
fn a_file_that_the_account_may_not_read_is_told_and_comes_once_it_may() -> Result<()> {
    let spec = StageSpec { sections: vec![SECTION.to_owned()], ..StageSpec::standard() };
    let stage = Stage::standard()?;
    let (master, slave) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    stage.reconfigure(&spec)?;
    stage.install_rules(&spec)?;
    for (node, other) in [(master, slave), (slave, master)] {
        node.run(&["/bin/sh", "-c", ACCOUNT])?;
        let script = stage.observer().run(&["ha-observer", "config", "files", node.name()])?;
        let done = node.exec_with_input(&["/bin/sh"], script.as_bytes())?;
        let said = done.stdout.clone();
        done.success()?;
        let lines = said.lines().filter(|line| line.starts_with("restrict,"));
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        let keys = "/var/lib/desk/.ssh/authorized_keys";
        let add = format!("mkdir -p /var/lib/desk/.ssh && cat >> {keys} && chown -R desk: {keys}");
        other.exec_with_input(&["/bin/sh", "-c", &add], lines.as_bytes())?.success()?;
    }
    let write = format!(
        "cd {ATTACHMENTS} && echo 1 > open && chown desk: open && echo 2 > locked && \
         chmod 600 locked && echo 3 > half.tmp && chmod 644 half.tmp"
    );
    master.run(&["/bin/sh", "-c", &write])?;
    wait_for("the file that cannot be read to be told", SOON, || {
        let shown = stage.ask(&["files"]).map_err(|error| error.to_string())?.stdout;
        let text = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = text.contains("locked") && text.contains("Permission denied");
        if told { Ok(()) } else { Err(shown) }
    })?;
    let there = |file: &str| slave.run(&["stat", "-c", "%U", &format!("{ATTACHMENTS}/{file}")]);
    assert_eq!(there("open")?, "desk", "what may be read came");
    assert!(there("locked").is_err());
    stage.wait_cause("files-behind", SOON)?;

    master.run(&["chmod", "644", &format!("{ATTACHMENTS}/locked")])?;
    wait_for("the file to come once it may be read", SOON, || {
        there("locked").map(drop).map_err(|error| error.to_string())
    })?;
    assert_eq!(there("locked")?, "desk", "the account can give a file only to itself");
    assert!(there("half.tmp").is_err(), "what is excluded stays behind");
    stage.wait_protected()
}
