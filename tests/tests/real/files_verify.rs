//! Proof that the slave's copy is whole, on real machines: by what the file system says, by
//! content, and by what the database names.

use serde_json::Value;
use tests::lab::{Output, Result};
use tests::stage::{ATTACHMENTS, FileSets, Stage, StageSpec, texts};

const NOT_WHOLE: i32 = 17;

fn stage() -> Result<Stage> {
    Stage::set(&StageSpec { files: FileSets::Attachments, ..StageSpec::standard() })
}

/// Runs a script among the attachments of a node and insists on success.
fn shell(stage: &Stage, node: &str, script: &str) -> Result<String> {
    let script = format!("set -e; cd {ATTACHMENTS}; {script}");
    stage.lab.machine(node).run(&["/bin/bash", "-c", &script])
}

#[track_caller]
fn ends(done: &Output, code: i32) {
    assert_eq!(done.status.code(), Some(code), "{}{}", done.stdout, done.stderr);
}

/// Verifies, which must end so; its report.
#[track_caller]
fn verify(stage: &Stage, options: &[&str], code: i32) -> Result<String> {
    let done = stage.ask(&[&["files", "verify", "attachments"], options].concat())?;
    ends(&done, code);
    Ok(done.stdout)
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
}

/// A copy that is whole is told as that whatever the names; a byte that changed behind the back of
/// size and time is found by content alone; what is missing and what is too much is listed.
#[test]
fn a_copy_is_proven_whole_and_what_is_not_is_named() -> Result<()> {
    let stage = stage()?;
    shell(
        &stage,
        "node-a",
        "echo 1 > 'with blank'; echo 2 > $'with\\nnewline'; echo 3 > $'quotes \\' \" `x` $HOME'; \
         echo 4 > $'not-utf8-\\xff\\xfe'; echo 5 > -rf; mkdir -p deep/er; echo 7 > deep/er/file; \
         ln -s /etc/passwd out; ln deep/er/file hard; chown daemon:daemon hard; \
         for n in $(seq 200); do echo $n > many-$n; done",
    )?;
    ends(&stage.ask(&["files", "sync"])?, 0);
    holds(&stage.ask(&["files"])?.stdout, &["never verified"]);
    holds(&verify(&stage, &[], 0)?, &["attachments: whole, node-b against node-a", "by metadata"]);
    let report = verify(&stage, &["--by", "content", "-o", "json"], 0)?;
    let report: Value = serde_json::from_str(&report).expect("a report in JSON");
    let (whole, by, hashed) = (&report[0]["whole"], &report[0]["by"], &report[0]["hashed_files"]);
    assert_eq!((whole, by), (&Value::from(true), &Value::from("content")), "{report:#}");
    assert!(hashed.as_u64() >= Some(207), "{report:#}");
    let sample = verify(&stage, &["--by", "sample", "--share", "20", "--seed", "7"], 0)?;
    holds(&sample, &["sample of 20 % (seed 7)", "files hashed"]);

    // One byte, with size and time as they were.
    shell(
        &stage,
        "node-b",
        "touch -r many-7 /tmp/as-it-was; printf X | dd of=many-7 conv=notrunc bs=1 status=none; \
         touch -r /tmp/as-it-was many-7",
    )?;
    holds(&verify(&stage, &[], 0)?, &["attachments: whole"]);
    let found = verify(&stage, &["--by", "content"], NOT_WHOLE)?;
    holds(&found, &["attachments: NOT whole", "content: many-7\n", ", 1 differ"]);
    holds(&stage.ask(&["files"])?.stdout, &["NOT whole", "1 differ"]);
    let told = texts(&stage.events()?);
    holds(&told, &["\"wholeness\":\"not-whole\"", "210 the same, 1 differ"]);
    let judged = stage.ask(&["validate", "-o", "json"])?.stdout;
    let judged: Value = serde_json::from_str(&judged).expect("a validation in JSON");
    let checks = judged["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["id"] == "files-current").expect("the check");
    assert_eq!(check["grade"], "failed", "{check:#}");
    // It is mended as any file is: by a newer one on the master.
    shell(&stage, "node-a", "touch many-7")?;
    ends(&stage.ask(&["files", "sync"])?, 0);
    verify(&stage, &["--by", "content"], 0)?;

    // No pass puts it right meanwhile.
    stage.hold_passes()?;
    shell(&stage, "node-b", "rm $'with\\nnewline'; echo x > planted; chmod 600 many-9")?;
    let differs = stage.ask(&["files", "diff", "attachments"])?;
    ends(&differs, NOT_WHOLE);
    let expected = "mode: many-9\nmissing: with\\nnewline\nextra: planted\n";
    assert_eq!(differs.stdout, expected);
    let one = stage.ask(&["files", "diff", "attachments", "many-9"])?;
    holds(&one.stdout, &["node-a: file, 2 bytes, mode 644", "node-b: file, 2 bytes, mode 600"]);
    ends(&stage.ask(&["files", "diff", "attachments", "deep"])?, 0);
    let found = verify(&stage, &[], NOT_WHOLE)?;
    holds(&found, &["mode: many-9", "missing: with\\nnewline", "extra: planted", "1 only on"]);
    stage.let_pass()?;
    stage.wait_protected()?;
    ends(&stage.ask(&["files", "sync"])?, 0);
    verify(&stage, &[], 0)?;
    Ok(())
}

/// A row whose attachment is gone is listed, by the verb and by the validation.
#[test]
fn a_row_without_its_file_is_listed() -> Result<()> {
    let stage = stage()?;
    let master = stage.lab.machine("node-a");
    shell(&stage, "node-a", "echo x > there; chown desk: there || true")?;
    master.sql(
        "desk",
        "insert into tickets (id, title, host, attachment) values \
        ('verify-1', 'a', 'node-a', 'there')",
    )?;
    ends(&stage.ask(&["files", "sync"])?, 0);
    let refused = stage.ask(&["files", "verify", "--database"])?;
    ends(&refused, 4);
    holds(&refused.stderr, &["paths_query", "grant the observer's role"]);
    master.sql("desk", "grant select on public.tickets to ha_observer")?;
    holds(&verify(&stage, &["--database"], 0)?, &["paths that the database names are there"]);

    master.sql(
        "desk",
        "insert into tickets (id, title, host, attachment) values \
        ('verify-2', 'b', 'node-a', 'gone-long-ago')",
    )?;
    let found = verify(&stage, &["--database"], NOT_WHOLE)?;
    holds(&found, &["named by the database, on neither host: gone-long-ago"]);
    let judged = stage.ask(&["validate"])?;
    holds(&judged.stdout, &["files-in-database", "gone-long-ago"]);
    assert!(stage.ask(&["validate", "--strict"])?.status.code() == Some(11));
    shell(&stage, "node-a", "echo found again > gone-long-ago")?;
    verify(&stage, &["--database"], 0)?;
    let judged = stage.ask(&["validate", "--all"])?;
    holds(&judged.stdout, &["files-in-database"]);
    assert!(!judged.stdout.contains("gone-long-ago"), "{}", judged.stdout);
    Ok(())
}

/// The observer's memory at its highest, in kilobytes.
fn peak_kilobytes(stage: &Stage) -> Result<u64> {
    let script = "pid=$(systemctl show --property=MainPID --value ha-observer); \
                  sed -n -e 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status";
    let said = stage.observer().run(&["/bin/sh", "-c", script])?;
    Ok(said.trim().parse().expect("a number of kilobytes"))
}

/// What a verification of many small files takes, and that the observer holds none of them: the
/// figures of BENCHMARKS.md.
#[test]
#[ignore = "a measurement of some minutes: run it by name, with --ignored --nocapture"]
fn a_hundred_thousand_files_are_not_held() -> Result<()> {
    let stage = stage()?;
    shell(
        &stage,
        "node-a",
        "for d in $(seq 100); do mkdir folder-$d; cd folder-$d; for n in $(seq 1000); do \
         echo $d-$n > a-file-with-a-name-$n; done; cd ..; done",
    )?;
    ends(&stage.ask(&["files", "sync"])?, 0);
    stage.wait_protected()?;
    let before = peak_kilobytes(&stage)?;
    for by in ["metadata", "content"] {
        let report = verify(&stage, &["--by", by, "-o", "json"], 0)?;
        let report: Value = serde_json::from_str(&report).expect("a report in JSON");
        let (entries, took) = (&report[0]["entries"], &report[0]["took_ms"]);
        let peak = peak_kilobytes(&stage)?;
        println!("{by}: {entries} entries in {took} ms; the observer {before} -> {peak} kB");
        assert!(entries.as_u64() >= Some(100_100), "{report:#}");
        assert!(peak - before < 20_000, "the observer took {} kB more", peak - before);
    }
    Ok(())
}
