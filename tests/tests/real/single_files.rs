//! Single files on real machines: a licence and job definitions beside a password and other files
//! that are nobody's business.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{Output, Result, wait_for};
use tests::stage::{FileSets, Stage, StageSpec, texts};

const SOON: Duration = Duration::from_secs(60);
const BEHIND: i32 = 17;
const NODES: [&str; 2] = ["node-a", "node-b"];
/// Everything but what is declared: `/etc/desk` and what is in it.
const BESIDE: &str = "cd /etc/desk; \
    find . -not -path './jobs/*.job' -o -path './jobs/*/*' | sort | while read -r path; do \
    case $path in ./licence.lic | ./jobs/calendar.xml) continue;; esac; \
    stat -c '%n %f %u:%g' $path; test -d $path || stat -c '%s %y %z' $path; \
    test -d $path || sha256sum < $path; done";

fn stage() -> Result<Stage> {
    Stage::set(&StageSpec { files: FileSets::SingleFiles, ..StageSpec::standard() })
}

/// Runs a script in `/etc/desk` of a node and insists on success.
fn shell(stage: &Stage, node: &str, script: &str) -> Result<String> {
    let script = format!("set -e; cd /etc/desk; {script}");
    Ok(stage.lab.machine(node).run(&["/bin/bash", "-c", &script])?.trim().to_owned())
}

fn beside(stage: &Stage) -> Result<Vec<String>> {
    NODES.iter().map(|node| shell(stage, node, BESIDE)).collect()
}

/// Waits until a script says this on a node.
fn wait_says(stage: &Stage, node: &str, script: &str, expected: &str) -> Result<()> {
    wait_for(&format!("`{script}` on {node} to say {expected}"), SOON, || {
        let said = shell(stage, node, script).map_err(|error| error.to_string())?;
        if said == expected { Ok(()) } else { Err(said) }
    })
}

#[track_caller]
fn ends(done: &Output, code: i32) {
    assert_eq!(done.status.code(), Some(code), "{}{}", done.stdout, done.stderr);
}

/// A job is changed, one is new, one is gone, the licence is another: the slave has it all, with
/// the mode and owner that were asked for, and after a switchover so has the other host.
#[test]
fn single_files_follow_the_master_both_ways() -> Result<()> {
    let stage = stage()?;
    let before = beside(&stage)?;
    assert!(before[0].contains("./desk.conf") && before[0].contains("./jobs/old.job/kept.job"));
    shell(
        &stage,
        "node-a",
        "echo 'mail, daily' > jobs/mail.job; echo new > jobs/new.job; rm jobs/report.job; \
         chown root:root jobs/*.job; echo second > licence.lic",
    )?;
    let jobs = "stat -c '%n %a %U:%G' jobs/*.job jobs/calendar.xml | grep -v old.job";
    let copied = "jobs/mail.job 640 desk:desk\njobs/new.job 640 desk:desk\n\
                  jobs/calendar.xml 640 desk:desk";
    wait_says(&stage, "node-b", jobs, copied)?;
    wait_says(&stage, "node-b", "cat jobs/mail.job licence.lic", "mail, daily\nsecond")?;
    let licence = "stat -c '%a %U:%G' licence.lic";
    assert_eq!(shell(&stage, "node-b", licence)?, "640 root:desk", "the master's own");
    ends(&stage.ask(&["files", "verify", "--by", "content"])?, 0);
    let kept = "cat /var/lib/ha-observer-files/jobs/kept/*/files/report.job | sort -u";
    assert_eq!(shell(&stage, "node-b", kept)?, "report");
    assert_eq!(beside(&stage)?, before);
    the_key_reads_no_neighbour(&stage)?;
    // What rsync, or a shell, would take for something else than a name.
    shell(&stage, "node-a", "echo odd > 'jobs/#night; shift.job'")?;
    wait_says(&stage, "node-b", "cat 'jobs/#night; shift.job'", "odd")?;
    shell(&stage, "node-a", "rm 'jobs/#night; shift.job'")?;
    wait_says(&stage, "node-b", "ls jobs | grep -c night || true", "0")?;

    let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"])?;
    assert!(ordered.status.success(), "{}\n{}", ordered.stdout, texts(&stage.events()?));
    stage.wait_master("node-b", SOON)?;
    stage.wait_protected()?;
    shell(
        &stage,
        "node-b",
        "echo hourly > jobs/mail.job; rm jobs/new.job; echo third > licence.lic",
    )?;
    let jobs = "stat -c '%n %a %U:%G' jobs/*.job | grep -v old.job";
    wait_says(&stage, "node-a", jobs, "jobs/mail.job 640 desk:desk")?;
    wait_says(&stage, "node-a", "cat jobs/mail.job licence.lic", "hourly\nthird")?;
    ends(&stage.ask(&["files", "verify", "--by", "content"])?, 0);
    assert_eq!(beside(&stage)?, before);

    // A copy that is no longer what was asked for is told, and put right by the next pass.
    stage.hold_passes()?;
    shell(&stage, "node-a", "chmod 644 jobs/mail.job; chown root jobs/calendar.xml")?;
    let differs = stage.ask(&["files", "diff", "jobs"])?;
    ends(&differs, BEHIND);
    assert_eq!(differs.stdout, "owner: calendar.xml\nmode: mail.job\n");
    stage.let_pass()?;
    wait_says(&stage, "node-a", jobs, "jobs/mail.job 640 desk:desk")?;
    wait_says(&stage, "node-a", "stat -c %U jobs/calendar.xml", "desk")
}

/// The licence lies beside a password.
fn the_key_reads_no_neighbour(stage: &Stage) -> Result<()> {
    let folder = "/var/lib/ha-observer-files/licence";
    let address = stage.lab.machine("node-a").address();
    let module = format!("sed -n 's/^\\[\\(.*\\)\\]$/\\1/p' {folder}.rsyncd.conf");
    let module = shell(stage, "node-a", &module)?;
    let fetch = |file: &str| {
        let script = format!(
            "export RSYNC_CONNECT_PROG='ssh -F none -i {folder}/ssh/id_ed25519 -o BatchMode=yes \
             -o UserKnownHostsFile={folder}/ssh/known_hosts root@{address} rsync'; \
             rm -rf /tmp/got; mkdir /tmp/got; \
             rsync rsync://licence/{module}/{file} /tmp/got/ > /tmp/said 2>&1 || true; ls /tmp/got"
        );
        shell(stage, "node-b", &script)
    };
    assert_eq!(fetch("licence.lic")?, "licence.lic");
    assert_eq!(fetch("desk.conf")?, "", "{}", shell(stage, "node-b", "cat /tmp/said")?);
    Ok(())
}

/// A licence that is gone from the master is told, by the verbs and by the validation. It stays on
/// the slave, and nothing else waits for it. Jobs that are all gone are held.
#[test]
fn what_the_master_lacks_is_told_and_stays_on_the_slave() -> Result<()> {
    let stage = stage()?;
    let before = beside(&stage)?;
    shell(&stage, "node-a", "rm licence.lic; echo changed > jobs/mail.job")?;
    let lacks = "the master lacks licence.lic, declared by name";
    wait_for("the missing licence to be told", SOON, || {
        let shown = stage.ask(&["files"]).map_err(|error| error.to_string())?;
        let told = shown.stdout.contains(lacks) && shown.status.code() == Some(BEHIND);
        if told { Ok(()) } else { Err(shown.stdout) }
    })?;
    wait_says(&stage, "node-b", "cat licence.lic jobs/mail.job", "first\nchanged")?;
    let judged = stage.ask(&["validate", "-o", "json"])?.stdout;
    let judged: Value = serde_json::from_str(&judged).expect("a validation in JSON");
    let checks = judged["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["id"] == "files-on-master").expect("the check");
    assert_eq!(check["grade"], "failed", "{check:#}");
    assert!(check.to_string().contains(lacks), "{check:#}");
    stage.wait_protected()?;

    // As an administrator would: from the copy.
    let licence = shell(&stage, "node-b", "cat licence.lic")?;
    shell(&stage, "node-a", &format!("echo {licence} > licence.lic"))?;
    ends(&stage.ask(&["files", "sync"])?, 0);
    ends(&stage.ask(&["files"])?, 0);

    // At once for any pass: one that comes between the two would find one deletion, and make it.
    stage.hold_passes()?;
    shell(&stage, "node-a", "rm jobs/mail.job jobs/report.job")?;
    stage.let_pass()?;
    stage.wait_cause("files-behind", SOON)?;
    let shown = stage.ask(&["files"])?;
    assert!(shown.stdout.contains("allow-deletes jobs"), "{}", shown.stdout);
    assert_eq!(shell(&stage, "node-b", "cat jobs/mail.job jobs/report.job")?, "changed\nreport");
    ends(&stage.ask(&["files", "allow-deletes", "jobs"])?, 0);
    wait_says(&stage, "node-b", "echo jobs/*.job", "jobs/old.job")?;
    stage.wait_protected()?;
    assert_eq!(beside(&stage)?, before);
    Ok(())
}

/// The master dies with a licence that nobody else has seen, and comes back after another was
/// installed on the new one: the old one is kept aside and goes nowhere.
#[test]
fn an_old_master_cannot_push_its_licence() -> Result<()> {
    let stage = stage()?;
    let before = beside(&stage)?;
    stage.lab.cut("node-a", "node-b")?;
    shell(
        &stage,
        "node-a",
        "echo 'old, changed last' > licence.lic; echo old > jobs/gone.job; sync",
    )?;
    stage.lab.machine("node-a").power_loss()?;
    stage.lab.heal("node-a", "node-b")?;
    stage.wait_master("node-b", SOON)?;
    shell(&stage, "node-b", "echo new > licence.lic; touch -d '2001-01-01' licence.lic")?;
    stage.lab.machine("node-a").power_on()?;
    stage.wait_protected()?;
    wait_says(&stage, "node-a", "cat licence.lic", "new")?;
    wait_says(&stage, "node-a", "echo jobs/*.job", "jobs/mail.job jobs/old.job jobs/report.job")?;
    assert_eq!(shell(&stage, "node-b", "cat licence.lic")?, "new", "old never overwrites new");
    let nothing = shell(&stage, "node-b", "ls jobs")?;
    assert!(!nothing.contains("gone.job"), "{nothing}");
    let kept = "cat /var/lib/ha-observer-files/licence/kept/*/files/licence.lic";
    assert_eq!(shell(&stage, "node-a", kept)?, "old, changed last");
    let kept = "cat /var/lib/ha-observer-files/jobs/kept/*/files/gone.job";
    assert_eq!(shell(&stage, "node-a", kept)?, "old");
    assert_eq!(beside(&stage)?, before);
    Ok(())
}
