//! File sets on real machines: the slave's copy is the master's to the byte, whoever is promoted by
//! a plan has every file, and nothing flows back.

use std::time::Duration;

use tests::lab::{Result, wait_for};
use tests::stage::{ATTACHMENTS, FileSets, PASS_FOLDER, Promise, Stage, StageSpec, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(300);
const BEHIND: i32 = 17;

fn stage() -> Result<Stage> {
    Stage::set(&StageSpec { files: FileSets::Attachments, ..StageSpec::standard() })
}

/// Runs a script on a node and insists on success.
fn shell(stage: &Stage, node: &str, script: &str) -> Result<String> {
    stage.lab.machine(node).run(&["/bin/bash", "-c", script])
}

/// Waits until both nodes have the same files.
fn wait_same(stage: &Stage) -> Result<()> {
    wait_for("the same files on both nodes", SOON, || {
        let both = ["node-a", "node-b"].map(|node| stage.manifest(node));
        let [one, other] = both.map(|text| text.map_err(|error| error.to_string()));
        let (one, other) = (one?, other?);
        let lacks = |text: &str, line: &&str| !text.lines().any(|known| known == *line);
        let only_a: Vec<&str> = one.lines().filter(|line| lacks(&other, line)).collect();
        let only_b: Vec<&str> = other.lines().filter(|line| lacks(&one, line)).collect();
        if one == other { Ok(()) } else { Err(format!("node-a: {only_a:#?}\nnode-b: {only_b:#?}")) }
    })
}

/// Names that break scripts, links out of the tree, odd modes and owners, a large sparse file and
/// one that grows all the time: the copy is the same to the byte. What is deleted on the master is
/// kept aside; what looks like an accident waits for a person.
#[test]
fn the_copy_is_the_masters_to_the_byte() -> Result<()> {
    let stage = stage()?;
    // A pass that comes between would bring some of them empty, and keep that.
    stage.hold_passes()?;
    shell(
        &stage,
        "node-a",
        &format!(
            "set -e; cd {ATTACHMENTS}; echo 1 > 'with blank'; echo 2 > $'with\\nnewline'; \
             echo 3 > $'quotes \\' \" `x` $HOME'; echo 4 > $'not-utf8-\\xff\\xfe'; echo 5 > -rf; \
             echo 6 > ' '; mkdir -p deep/er; echo 7 > deep/er/file; ln -s /etc/passwd out; \
             ln -s nowhere dangling; ln deep/er/file hard; touch empty; echo 8 > locked; \
             chmod 000 locked; chown daemon:daemon locked; truncate -s 4G ../sparse; \
             printf x | dd of=../sparse bs=1 seek=4000000000 conv=notrunc status=none; \
             mv ../sparse sparse; \
             for n in $(seq 200); do echo $n > many-$n; done"
        ),
    )?;
    stage.let_pass()?;
    let synced = stage.ask(&["files", "sync"])?;
    // A pass that takes longer than `stale_after`, with a file of 4 GiB, leaves the copy behind.
    let code = synced.status.code();
    assert!(matches!(code, Some(0 | BEHIND)), "{}{}", synced.stdout, synced.stderr);
    wait_same(&stage)?;
    let linked = shell(&stage, "node-b", &format!("readlink {ATTACHMENTS}/out"))?;
    assert_eq!(linked.trim(), "/etc/passwd", "the link is copied, not what it leads to");

    // One that grows while it is copied holds nothing else up.
    let grows =
        format!("for n in $(seq 1000); do echo $n >> {ATTACHMENTS}/grows; sleep 0.01; done");
    stage.lab.machine("node-a").run(&["systemd-run", "--quiet", "bash", "-c", &grows])?;
    shell(&stage, "node-a", &format!("echo late > {ATTACHMENTS}/late"))?;
    wait_for("the file beside it", SOON, || {
        let there = shell(&stage, "node-b", &format!("cat {ATTACHMENTS}/late"));
        there.map(drop).map_err(|error| error.to_string())
    })?;
    wait_same(&stage)?;
    stage.wait_protected()?;

    rewritten_at_once(&stage)?;

    // A few deletions are made, and kept.
    shell(&stage, "node-a", &format!("rm {ATTACHMENTS}/many-1 {ATTACHMENTS}/many-2"))?;
    wait_same(&stage)?;
    let kept = shell(&stage, "node-b", &format!("cat {PASS_FOLDER}/kept/*/files/many-2"))?;
    assert_eq!(kept.trim(), "2");

    // Many are held, and asked about; a pass that came between would make a few.
    stage.hold_passes()?;
    shell(&stage, "node-a", &format!("rm {ATTACHMENTS}/many-*"))?;
    stage.let_pass()?;
    stage.wait_cause("files-behind", SOON)?;
    let there = shell(&stage, "node-b", &format!("ls {ATTACHMENTS} | grep -c many-"))?;
    assert_eq!(there.trim(), "198", "nothing of it is deleted");
    let shown = stage.ask(&["files"])?;
    assert_eq!(shown.status.code(), Some(BEHIND), "{}", shown.stdout);
    assert!(shown.stdout.contains("lacks 198 files"), "{}", shown.stdout);
    let refused = stage.ask(&["switchover", "--yes", "--reason", "x"])?;
    assert!(!refused.status.success(), "{}", refused.stdout);
    let allowed = stage.ask(&["files", "allow-deletes", "attachments"])?;
    assert!(allowed.status.success(), "{}{}", allowed.stdout, allowed.stderr);
    wait_same(&stage)?;
    stage.wait_protected()?;
    let kept = shell(&stage, "node-b", &format!("ls {PASS_FOLDER}/kept/*/files | grep -c many-"))?;
    assert_eq!(kept.trim(), "200");
    Ok(())
}

/// A file is written again in the same size within the second of its copy: only parts of a second
/// tell that it is another one.
fn rewritten_at_once(stage: &Stage) -> Result<()> {
    let write = |text: &str, time: &str| {
        let script = format!("cd {ATTACHMENTS}; echo {text} > again; touch -d {time} again");
        shell(stage, "node-a", &script)
    };
    write("one", "2026-01-01T10:00:00.25")?;
    wait_same(stage)?;
    write("two", "2026-01-01T10:00:00.75")?;
    wait_same(stage)?;
    let copied = shell(stage, "node-b", &format!("cat {ATTACHMENTS}/again"))?;
    assert_eq!(copied.trim(), "two");
    Ok(())
}

/// There and back under load: every ticket that was acknowledged has its attachment on whoever is
/// master, and no request fails. Between the two, files flow the other way.
#[test]
fn a_switchover_leaves_no_file_behind() -> Result<()> {
    let stage = stage()?;
    let http = stage.start_http_at(100, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    for to in ["node-b", "node-a"] {
        let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"]);
        let told = texts(&stage.events()?);
        let ordered = ordered.unwrap_or_else(|error| panic!("{error}\n{told}"));
        assert!(ordered.status.success(), "{}{}\n{told}", ordered.stdout, ordered.stderr);
        stage.wait_master(to, SOON)?;
        assert_eq!(stage.missing_attachments(to)?, [""; 0], "{told}");
        stage.wait_written(&http, to)?;
        stage.wait_protected()?;
    }
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    assert_eq!(stage.missing_attachments("node-a")?, [""; 0]);
    wait_same(&stage)
}

/// The master dies with files that no pass has brought yet, and comes back with one that nobody
/// else has: no pass runs where somebody was promoted, the old master keeps that file aside, and
/// nothing of it reaches the new master.
#[test]
fn an_old_master_gives_nothing() -> Result<()> {
    let stage = stage()?;
    shell(&stage, "node-a", &format!("echo old > {ATTACHMENTS}/both"))?;
    wait_same(&stage)?;
    stage.lab.cut("node-a", "node-b")?;
    shell(
        &stage,
        "node-a",
        &format!("echo only-a > {ATTACHMENTS}/only-a; echo newer-a > {ATTACHMENTS}/both; sync"),
    )?;
    stage.lab.machine("node-a").power_loss()?;
    stage.lab.heal("node-a", "node-b")?;
    stage.wait_master("node-b", SOON)?;
    let units = shell(&stage, "node-b", "systemctl list-units --all --plain 'ha-observer-files*'")?;
    assert!(!units.contains("ha-observer-files-"), "{units}");
    shell(&stage, "node-b", &format!("echo new > {ATTACHMENTS}/both; echo b > {ATTACHMENTS}/b"))?;
    stage.lab.machine("node-a").power_on()?;
    stage.wait_protected()?;
    wait_same(&stage)?;
    let both = shell(&stage, "node-b", &format!("cat {ATTACHMENTS}/both"))?;
    assert_eq!(both.trim(), "new", "old never overwrites new");
    let gone = shell(&stage, "node-b", &format!("ls {ATTACHMENTS}"))?;
    assert!(!gone.contains("only-a"), "{gone}");
    let kept = shell(&stage, "node-a", &format!("cat {PASS_FOLDER}/kept/*/files/only-a"))?;
    assert_eq!(kept.trim(), "only-a");
    Ok(())
}

/// The key reads that one folder and can do nothing else; a pass that is begun on the master by
/// whoever has the right, or for an older epoch, does nothing.
#[test]
fn neither_the_key_nor_an_old_order_can_do_harm() -> Result<()> {
    let stage = stage()?;
    let by_key = |words: &str| {
        let script = format!(
            "{words} 2>&1; echo code $?",
            words = words.replace(
                "SSH",
                &format!(
                    "ssh -F none -i {PASS_FOLDER}/ssh/id_ed25519 -o BatchMode=yes \
                     -o UserKnownHostsFile={PASS_FOLDER}/ssh/known_hosts"
                )
            )
        );
        shell(&stage, "node-b", &script)
    };
    let address = stage.lab.machine("node-a").address();
    let said = by_key(&format!("SSH root@{address} id"))?;
    assert!(!said.contains("uid=0") && !said.contains("code 0"), "{said}");
    let said =
        by_key(&format!("rsync -e 'SSH' root@{address}:/../../../../etc/shadow /tmp/stolen"))?;
    assert!(!said.contains("code 0"), "{said}");
    let said = by_key(&format!("rsync -e 'SSH' /etc/hostname root@{address}:/planted"))?;
    assert!(!said.contains("code 0"), "{said}");
    assert!(shell(&stage, "node-a", &format!("ls {ATTACHMENTS}/planted")).is_err());

    // What a stray observer with these rights could do at worst.
    stage.observer().run(&["systemctl", "stop", "ha-observer"])?;
    shell(&stage, "node-b", &format!("echo b > {ATTACHMENTS}/planted"))?;
    let said = begin(&stage, "node-a", "9 routine 0\n")?;
    assert!(said.to_lowercase().contains("condition"), "{said}");
    assert!(shell(&stage, "node-a", &format!("ls {ATTACHMENTS}/planted")).is_err());

    shell(&stage, "node-b", &format!("echo 8 > {PASS_FOLDER}/epoch"))?;
    begin(&stage, "node-b", "7 routine 0\n")?;
    let failed = shell(&stage, "node-b", &format!("cat {PASS_FOLDER}/failed"))?;
    assert!(failed.contains("the order is of epoch 7, and one of epoch 8"), "{failed}");
    begin(&stage, "node-b", "8 routine 0\n")?;
    let there = shell(&stage, "node-b", &format!("ls {ATTACHMENTS}/planted"));
    assert!(there.is_err(), "the master has no such file: {there:?}");
    Ok(())
}

/// Begins a pass by hand, with the very words that the sudoers file allows; what its unit says.
fn begin(stage: &Stage, node: &str, order: &str) -> Result<String> {
    let rules = stage.observer().run(&["ha-observer", "config", "sudoers", node])?;
    let passes = "systemd-run --no-block --quiet --collect";
    let rule = rules.lines().find(|line| line.contains(passes)).expect("a pass is allowed");
    let command = rule.trim().trim_end_matches([',', '\\', ' ']).replace('\\', "");
    let (before, script) = command.split_once(" /bin/sh -c ").expect("a script");
    let (script, words) = script.split_once(" pass /var").expect("its words");
    let words = format!("/var{words}");
    let (words, enter) = words.split_once(" ssh -F").expect("a way in");
    let enter = format!("ssh -F{enter}");
    // The condition alone has blanks in it.
    let (before, condition) = before.split_once("--property=ExecCondition=").expect("a condition");
    let (condition, after) = condition.split_once(" --setenv").expect("what follows");
    let condition = format!("--property=ExecCondition={condition}");
    let after = format!("--setenv{after}");
    let mut argv: Vec<&str> = before.split_whitespace().collect();
    argv.push(&condition);
    argv.extend(after.split_whitespace());
    argv.extend(["/bin/sh", "-c", script, "pass"]);
    argv.extend(words.split_whitespace());
    argv.push(&enter);
    let machine = stage.lab.machine(node);
    machine.put_file(&format!("{PASS_FOLDER}/order"), order.as_bytes(), 0o644, "root:root")?;
    machine.run(&argv)?;
    std::thread::sleep(Duration::from_secs(3));
    machine.journal("ha-observer-files-attachments.service")
}
