//! Single files fetched by the real rsync through real sshds, each machine with a folder and a
//! `/var/lib` of its own: what lies beside the files is neither read nor touched.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use observer_core::files::verify::{By, Class};
use observer_core::files::{Deletions, PassKind, PassTrouble};
use observer_world::access::SingleFiles;
use support::single_files::{Machines, text};

fn single(mode: Option<u32>, owner: Option<&str>) -> SingleFiles {
    let files = ["licence.lic", "*.job"].map(str::to_owned).to_vec();
    SingleFiles { files, mode, owner: owner.map(str::to_owned) }
}

/// All that stands in a folder and of the folder itself, but for some names: kind, permissions,
/// owner, time in nanoseconds, content. Of the folder the time is left out: it is that of the last
/// file in it.
fn seen(folder: &Path, but: &[&str]) -> BTreeMap<String, String> {
    let say = |path: &Path, time: bool| {
        let about = fs::symlink_metadata(path).unwrap();
        let (mode, uid, gid) = (about.mode(), about.uid(), about.gid());
        let time = if time { about.mtime_nsec() + about.mtime() * 1_000_000_000 } else { 0 };
        let content = fs::read(path).unwrap_or_default();
        format!("{mode:o} {uid}:{gid} {time} {}", String::from_utf8_lossy(&content))
    };
    let mut all = BTreeMap::from([(".".to_owned(), say(folder, false))]);
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            let below = entry.path().strip_prefix(folder).unwrap().display().to_string();
            if but.contains(&below.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            all.insert(below, say(&entry.path(), true));
        }
    }
    all
}

/// The same neighbours by name on both machines, and others on each.
fn neighbours(machines: &Machines) {
    for (folder, which) in [(machines.a(""), "a"), (machines.b(""), "b")] {
        for file in ["passwords", "jobs.txt", "draft-1.job", which] {
            fs::write(folder.join(file), format!("{file} of {which}")).unwrap();
        }
        fs::create_dir(folder.join("folder.job")).unwrap();
        fs::write(folder.join("folder.job/inner.job"), which).unwrap();
    }
    chown(machines.a(""), Some(1), Some(1)).unwrap();
    fs::set_permissions(machines.a(""), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(machines.b(""), fs::Permissions::from_mode(0o750)).unwrap();
}

/// Users wait behind the last pass: what has been kept long enough waits for a routine one.
#[tokio::test]
async fn what_was_kept_long_enough_is_not_removed_while_somebody_waits() {
    let machines = Machines::new(single(None, None));
    fs::write(machines.a("licence.lic"), "1").unwrap();
    machines.pass("node-b", 1, Deletions::Limited).await;
    let kept = machines.state("b", "kept/of-last-year");
    fs::create_dir(&kept).unwrap();
    let old = Command::new("touch").args(["-d", "1 year ago"]).arg(&kept).status().unwrap();
    assert!(old.success());
    for (kind, stays) in
        [(PassKind::Near, true), (PassKind::Last, true), (PassKind::Routine, false)]
    {
        let report = machines.pass_of(kind, "node-b", 1, Deletions::Limited).await;
        assert_eq!(report.trouble, None);
        assert_eq!(kept.exists(), stays, "{kind}");
    }
}

#[tokio::test]
async fn single_files_are_copied_and_nothing_beside_them_is_touched() {
    let machines = Machines::new(single(Some(0o640), Some("daemon:daemon")));
    neighbours(&machines);
    for file in ["licence.lic", "one.job", "two.job"] {
        fs::write(machines.a(file), file).unwrap();
    }
    symlink("one.job", machines.a("link.job")).unwrap();
    fs::write(machines.b("licence.lic"), "an older licence").unwrap();
    let ours = ["licence.lic", "one.job", "two.job", "link.job"];
    let before = (seen(&machines.a(""), &[]), seen(&machines.b(""), &ours));

    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!(
        (&report.trouble, report.clean.map(|clean| clean.kind)),
        (&None, Some(PassKind::Last))
    );
    assert_eq!(report.clean.map(|clean| (clean.files, clean.deleted)), Some((3, 0)));
    for file in ["licence.lic", "one.job", "two.job"] {
        let about = fs::metadata(machines.b(file)).unwrap();
        assert_eq!(text(&machines.b(file)), file);
        assert_eq!((about.mode() & 0o7777, about.uid(), about.gid()), (0o640, 1, 1), "{file}");
        let time = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(time(machines.a(file)), time(machines.b(file)), "{file}");
    }
    assert_eq!(fs::read_link(machines.b("link.job")).unwrap(), Path::new("one.job"));
    let kept = fs::read_dir(machines.state("b", "kept")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(text(&kept.join("files/licence.lic")), "an older licence");
    let after = || (seen(&machines.a(""), &[]), seen(&machines.b(""), &ours));
    assert_eq!(after(), before);

    // A pass that finds nothing new changes nothing at all, not even the folder's time.
    let time = fs::metadata(machines.b("")).unwrap().modified().unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!(report.clean.map(|clean| clean.files), Some(0), "{report:?}");
    assert_eq!(fs::metadata(machines.b("")).unwrap().modified().unwrap(), time);
    assert_eq!(after(), before);

    // The proof knows the copy's mode and owner, and nothing of the neighbours.
    let result = machines.verify(By::Content).await;
    assert!(result.is_whole(), "{result:#?}");
    assert_eq!((result.entries, result.hashed_files), (4, 3), "{result:#?}");
    fs::set_permissions(machines.b("one.job"), fs::Permissions::from_mode(0o644)).unwrap();
    chown(machines.b("two.job"), Some(0), Some(0)).unwrap();
    fs::write(machines.b("more.job"), "only here").unwrap();
    let result = machines.verify(By::Metadata).await;
    let found = |class| {
        let found = result.tally.examples.get(&class).into_iter().flatten();
        found.map(|one| format!("{}: {}", one.path, one.what)).collect::<Vec<_>>()
    };
    assert_eq!(found(Class::Differs), ["one.job: mode", "two.job: owner"]);
    assert_eq!(found(Class::Extra), ["more.job: extra"]);
}

#[tokio::test]
async fn without_a_mode_and_an_owner_the_copies_have_the_masters() {
    let machines = Machines::new(single(None, None));
    fs::write(machines.a("licence.lic"), "x").unwrap();
    chown(machines.a("licence.lic"), Some(1), Some(2)).unwrap();
    fs::set_permissions(machines.a("licence.lic"), fs::Permissions::from_mode(0o604)).unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!(report.trouble, None);
    let about = fs::metadata(machines.b("licence.lic")).unwrap();
    assert_eq!((about.mode() & 0o7777, about.uid(), about.gid()), (0o604, 1, 2));
    assert!(machines.verify(By::Content).await.is_whole());
}

/// The trap of every copy that deletes: a folder that is empty on the master.
#[tokio::test]
async fn what_the_master_has_lost_is_held_or_told_and_neighbours_stay() {
    let machines = Machines::new(single(None, None));
    neighbours(&machines);
    let ours = ["licence.lic", "1.job", "2.job", "3.job"];
    for file in ours {
        fs::write(machines.a(file), file).unwrap();
    }
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!(report.clean.map(|clean| clean.total), Some(4), "{report:?}");
    let beside = seen(&machines.b(""), &ours);

    // One is deleted, and kept aside.
    fs::remove_file(machines.a("1.job")).unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!((report.clean.map(|clean| clean.deleted), report.trouble), (Some(1), None));
    assert!(!machines.b("1.job").exists());

    // Everything is gone, neighbours too.
    fs::remove_dir_all(machines.a("")).unwrap();
    fs::create_dir(machines.a("")).unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    let held = PassTrouble::TooManyDeletions { deletions: 2, of: 0 };
    assert_eq!(report.trouble, Some(held));
    assert_eq!(
        (text(&machines.b("2.job")), text(&machines.b("3.job"))),
        ("2.job".into(), "3.job".into())
    );
    assert_eq!(seen(&machines.b(""), &ours), beside);

    // A person allows it: the pattern's files go, the one that has a name stays and is told.
    let report = machines.pass("node-b", 1, Deletions::Allowed(2)).await;
    assert_eq!(report.clean.map(|clean| clean.deleted), Some(2));
    let missing = PassTrouble::Missing { files: vec!["licence.lic".to_owned()] };
    assert_eq!(report.trouble, Some(missing));
    assert_eq!(text(&machines.b("licence.lic")), "licence.lic");
    assert!(!machines.b("2.job").exists());
    assert_eq!(seen(&machines.b(""), &ours), beside);

    fs::write(machines.a("licence.lic"), "restored").unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!((report.trouble, text(&machines.b("licence.lic"))), (None, "restored".to_owned()));

    // No folder at all is no empty folder.
    fs::write(machines.a("2.job"), "again").unwrap();
    machines.pass("node-b", 1, Deletions::Limited).await;
    fs::rename(machines.a(""), machines.dir.path().join("elsewhere")).unwrap();
    fs::create_dir(machines.a("")).unwrap();
    let config = machines.dir.path().join("var-a/ha-observer-files/jobs.rsyncd.conf");
    let gone = text(&config).replace("/jobs\n", "/gone\n");
    fs::write(&config, gone).unwrap();
    let report = machines.pass("node-b", 1, Deletions::Allowed(9)).await;
    let words = report.trouble.unwrap().to_string();
    assert!(words.contains("chdir failed") || words.contains("change_dir"), "{words}");
    assert_eq!(text(&machines.b("2.job")), "again");
    assert_eq!(seen(&machines.b(""), &ours), beside);
}

/// What rsync says of its progress grows with the number of files. It hides nothing, and is no part
/// of what is read every few seconds.
#[tokio::test]
async fn a_pass_that_brings_many_files_is_seen_to_be_clean() {
    let machines = Machines::new(single(None, None));
    for number in 0..400 {
        fs::write(machines.a(&format!("{number}.job")), "x").unwrap();
    }
    fs::write(machines.a("licence.lic"), "x").unwrap();
    let limited = Deletions::Limited;
    let report = machines.pass_of(PassKind::Routine, "node-b", 1, limited).await;
    let bytes = |file| fs::metadata(machines.state("b", file)).unwrap().len();
    let (said, read) = (bytes("out"), bytes("clean"));
    assert!(said > 16_000, "only {said} bytes: too little progress for this test");
    assert!(read < 8_000, "{read} bytes are read every few seconds");
    let clean = report.clean.map(|clean| (clean.files, clean.kind));
    assert_eq!((clean, report.trouble), (Some((401, PassKind::Routine)), None));
    // The last one counts in two runs, the second of which finds nothing.
    fs::write(machines.a("licence.lic"), "xy").unwrap();
    let report = machines.pass("node-b", 1, limited).await;
    let clean = report.clean.map(|clean| (clean.files, clean.kind));
    assert_eq!((clean, report.trouble), (Some((1, PassKind::Last)), None));
}

/// What a killed pass has begun, and what an earlier configuration had, is not placed any more.
#[tokio::test]
async fn what_is_no_longer_declared_is_left_alone() {
    let mut machines = Machines::new(single(None, None));
    for file in ["licence.lic", "1.job", "2.job"] {
        fs::write(machines.a(file), "first").unwrap();
    }
    machines.pass("node-b", 1, Deletions::Limited).await;
    fs::write(machines.state("b", "copy/now/.1.job.Xy12Ab"), "half of it").unwrap();
    fs::create_dir_all(machines.state("b", "copy/now/.ha-observer-partial")).unwrap();
    fs::write(machines.state("b", "copy/now/.ha-observer-partial/1.job"), "half").unwrap();
    machines.set.single.as_mut().unwrap().files = vec!["1.job".to_owned()];
    // The master shows other files until it is prepared anew.
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    let words = report.trouble.unwrap().to_string();
    assert!(words.starts_with("the master shows other files: run there anew"), "{words}");
    machines.prepare();
    for file in ["licence.lic", "2.job"] {
        fs::write(machines.b(file), "the slave's own").unwrap();
    }
    fs::remove_file(machines.a("2.job")).unwrap();
    let beside = seen(&machines.b(""), &["1.job"]);
    fs::write(machines.a("1.job"), "second").unwrap();
    for _ in 0..2 {
        let report = machines.pass("node-b", 1, Deletions::Limited).await;
        assert_eq!((report.trouble, text(&machines.b("1.job"))), (None, "second".to_owned()));
        assert_eq!(seen(&machines.b(""), &["1.job"]), beside);
    }
}

/// Names are the master's to choose: whatever rsync, a shell or `find` would take them for.
#[tokio::test]
async fn odd_names_are_copied_as_they_are() {
    let machines = Machines::new(single(Some(0o640), None));
    let names = [
        "#hash.job",
        ";semicolon.job",
        "-dash.job",
        "--delete.job",
        "two words.job",
        " blank.job",
        "quote'.job",
        "double\".job",
        "new\nline.job",
        "back\\slash.job",
        "[a-z].job",
        "*.job",
        "$HOME.job",
        "`id`.job",
        "tab\t.job",
        ".hidden.job",
        "ü.job",
        "\u{7f}.job",
    ];
    for name in names.iter().chain(&["licence.lic"]) {
        fs::write(machines.a(name), name).unwrap();
    }
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!(report.trouble, None);
    for name in names {
        assert_eq!(text(&machines.b(name)), name);
    }
    let result = machines.verify(By::Content).await;
    assert!(result.is_whole(), "{result:#?}");
    fs::remove_file(machines.a("#hash.job")).unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!(report.clean.map(|clean| clean.deleted), Some(1), "{report:?}");
    assert!(!machines.b("#hash.job").exists());
}

/// A pass is killed while it places files: what it has begun lies beside them, hidden. The next one
/// keeps it aside, and nothing of anybody else's.
#[tokio::test]
async fn what_a_killed_pass_has_begun_is_kept_aside() {
    let machines = Machines::new(single(None, None));
    fs::write(machines.a("licence.lic"), "first").unwrap();
    fs::write(machines.a("one.job"), "first").unwrap();
    fs::write(machines.b(".one.job.before"), "somebody's own").unwrap();
    machines.pass("node-b", 1, Deletions::Limited).await;
    fs::write(machines.state("b", "placing"), "").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let begun = [".one.job.Xy12Ab", ".licence.lic.Zz34Cd", ".ha-observer-partial/one.job"];
    let others = [".one.job.backups", ".other.txt.Xy12Ab", "one.job.Xy12Ab", ".one.job"];
    fs::create_dir(machines.b(".ha-observer-partial")).unwrap();
    for file in begun.iter().chain(&others) {
        fs::write(machines.b(file), *file).unwrap();
    }
    let ours = ["licence.lic", "one.job", ".one.job", ".ha-observer-partial"];
    let but: Vec<&str> = ours.iter().chain(&begun).copied().collect();
    let before = seen(&machines.b(""), &but);
    fs::write(machines.a("one.job"), "second").unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!((report.trouble, text(&machines.b("one.job"))), (None, "second".to_owned()));
    assert_eq!(seen(&machines.b(""), &but[..4]), before);
    for file in begun {
        assert!(!machines.b(file).exists(), "{file}");
    }
    let kept = fs::read_dir(machines.state("b", "kept")).unwrap();
    let kept: Vec<String> = kept
        .flat_map(|pass| fs::read_dir(pass.unwrap().path().join("files")).unwrap())
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    for file in [".one.job.Xy12Ab", ".licence.lic.Zz34Cd"] {
        assert!(kept.iter().any(|one| one == file), "{kept:?}");
    }
    assert!(!machines.state("b", "placing").exists());
}

/// What stands where a copy is to be: a link is replaced and leads nobody astray, a folder with
/// something in it stays and is told.
#[tokio::test]
async fn a_link_is_replaced_and_a_folder_is_told() {
    let machines = Machines::new(single(None, None));
    for file in ["licence.lic", "one.job", "two.job"] {
        fs::write(machines.a(file), file).unwrap();
    }
    let elsewhere = machines.dir.path().join("elsewhere");
    fs::write(&elsewhere, "not ours").unwrap();
    symlink(&elsewhere, machines.b("licence.lic")).unwrap();
    fs::create_dir(machines.b("one.job")).unwrap();
    fs::write(machines.b("one.job/inner"), "somebody's own").unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    let told = "a folder stands in the place of a file on node-b, move it away: one.job";
    assert_eq!(report.trouble, Some(PassTrouble::Failed(told.to_owned())));
    assert_eq!(text(&elsewhere), "not ours");
    assert_eq!(text(&machines.b("licence.lic")), "licence.lic");
    assert_eq!(text(&machines.b("two.job")), "two.job");
    assert_eq!(text(&machines.b("one.job/inner")), "somebody's own");
    fs::remove_dir_all(machines.b("one.job")).unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    assert_eq!((report.trouble, text(&machines.b("one.job"))), (None, "one.job".to_owned()));

    // On the master a folder in its place is as good as no file.
    fs::remove_file(machines.a("licence.lic")).unwrap();
    fs::create_dir(machines.a("licence.lic")).unwrap();
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    let missing = PassTrouble::Missing { files: vec!["licence.lic".to_owned()] };
    assert_eq!(report.trouble, Some(missing));
    assert_eq!(text(&machines.b("licence.lic")), "licence.lic");
}

/// With the slave's key in hand: nothing but these files can be read, by any of rsync's ways, and
/// nothing can be written or run.
#[tokio::test]
async fn the_key_shows_the_files_and_nothing_beside_them() {
    let machines = Machines::new(single(None, None));
    neighbours(&machines);
    fs::write(machines.a("licence.lic"), "x").unwrap();
    symlink(machines.a("passwords"), machines.a("leak.job")).unwrap();
    symlink(machines.a("folder.job"), machines.a("leaks.job")).unwrap();
    let folder = "/var/lib/ha-observer-files/jobs";
    let ssh = format!(
        "ssh -F none -i {folder}/ssh/id_ed25519 -o BatchMode=yes -p {} \
         -o UserKnownHostsFile={folder}/ssh/known_hosts root@127.0.0.1",
        machines.sshds[0].port
    );
    let got = machines.dir.path().join("got");
    let fetch = |words: &str| {
        let _ = fs::remove_dir_all(&got);
        fs::create_dir(&got).unwrap();
        let script = format!(
            "RSYNC_CONNECT_PROG='{ssh} rsync'; export RSYNC_CONNECT_PROG; m=rsync://jobs/{}; \
             rsync {words} {}",
            machines.module("a"),
            got.display()
        );
        let done = machines.on("b", &["/bin/sh", "-c", &script], "");
        (seen(&got, &["."]), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (all, said) = fetch("-r $m/");
    assert_eq!(all.keys().collect::<Vec<_>>(), [".", "licence.lic"], "{said}");
    let (all, said) = fetch("-rl --filter='clear' --filter='+ **' $m/");
    assert_eq!(all.keys().collect::<Vec<_>>(), [".", "leak.job", "leaks.job", "licence.lic"]);
    assert!(!said.contains("error"), "{said}");
    for words in [
        "$m/passwords",
        "-L $m/leak.job",
        "-rL $m/",
        "-rk $m/leaks.job/",
        "-r $m/leaks.job/inner.job",
        "-r $m/folder.job/",
        "$m/folder.job/inner.job",
        "$m/../a/passwords",
        "-r --copy-unsafe-links $m/",
        "-r rsync://jobs/other/",
        "$m/draft-1.job",
    ] {
        let (all, said) = fetch(words);
        let leaked = all.iter().find(|(name, seen)| {
            name.contains("inner") || seen.contains("passwords of a") || seen.ends_with(" a")
        });
        assert_eq!(leaked, None, "{words}: {said}");
        assert!(!said.is_empty(), "{words} is told as nothing amiss: {all:?}");
    }
    let before = seen(&machines.a(""), &[]);
    for words in ["/etc/hostname $m/new.job #", "--remove-source-files $m/licence.lic"] {
        let (_, said) = fetch(words);
        assert!(said.contains("read only") || said.contains("read-only"), "{words}: {said}");
    }
    let done = machines.on("b", &["/bin/sh", "-c", &format!("{ssh} id < /dev/null")], "");
    assert!(!String::from_utf8_lossy(&done.stdout).contains("uid="), "{done:?}");
    assert_eq!(seen(&machines.a(""), &[]), before);
}

/// The master is never written to, whatever is ordered; what an old master has is replaced by the
/// new one's and kept aside, and none of it flows back.
#[tokio::test]
async fn an_old_master_gives_nothing() {
    let machines = Machines::new(single(Some(0o600), None));
    fs::write(machines.a("licence.lic"), "old").unwrap();
    fs::write(machines.a("gone.job"), "old").unwrap();
    machines.pass("node-b", 1, Deletions::Limited).await;
    fs::write(machines.b("licence.lic"), "new").unwrap();

    let stray = machines.pass("node-a", 9, Deletions::Limited).await;
    assert_eq!((stray.clean, text(&machines.a("licence.lic"))), (None, "old".to_owned()));
    // node-b is promoted with epoch 2.
    machines.is_slave("b", false);
    fs::write(machines.state("b", "epoch"), "2\n").unwrap();
    machines.pass("node-b", 2, Deletions::Limited).await;
    assert_eq!(text(&machines.b("licence.lic")), "new", "it is no standby any more");
    fs::remove_file(machines.b("gone.job")).unwrap();
    machines.is_slave("a", true);
    let report = machines.pass("node-a", 2, Deletions::Limited).await;
    assert_eq!(report.trouble, None);
    assert_eq!(text(&machines.a("licence.lic")), "new");
    assert!(!machines.a("gone.job").exists());
    assert_eq!(fs::metadata(machines.a("licence.lic")).unwrap().mode() & 0o777, 0o600);
    let kept = fs::read_dir(machines.state("a", "kept")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(text(&kept.join("files/licence.lic")), "old");
    assert_eq!(text(&kept.join("files/gone.job")), "old");

    // An order from before is refused, even to a standby.
    machines.is_slave("b", true);
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    let words = report.trouble.unwrap().to_string();
    assert!(words.contains("the order is of epoch 1, and one of epoch 2"), "{words}");
}

/// What a shell, rsync or sudo would read as more than a name reaches none of them.
#[test]
fn a_name_that_means_more_is_refused() {
    for name in ["a b", "../a", "a/b", "-a", "--delete", "", ".", "a;b", "$a", "a**", "[ab]", "a'"]
    {
        assert!(!SingleFiles::is_name(name), "{name}");
    }
    for name in ["licence.lic", "*.job", "job-?.xml", ".hidden", "a@b+c", "*"] {
        assert!(SingleFiles::is_name(name), "{name}");
    }
}

#[tokio::test]
async fn an_owner_or_a_folder_that_the_slave_does_not_have_is_told_by_name() {
    for (owner, told) in [
        ("nobody-here:daemon", "owner: no account nobody-here on node-b"),
        ("daemon:nobody-here", "owner: no group nobody-here on node-b"),
    ] {
        let machines = Machines::new(single(None, Some(owner)));
        fs::write(machines.a("licence.lic"), "x").unwrap();
        let report = machines.pass("node-b", 1, Deletions::Limited).await;
        assert_eq!(report.trouble, Some(PassTrouble::Failed(told.to_owned())));
        assert!(!machines.b("licence.lic").exists());
    }
    let mut machines = Machines::new(single(None, None));
    machines.set.path = machines.dir.path().join("nowhere");
    let report = machines.pass("node-b", 1, Deletions::Limited).await;
    let words = report.trouble.unwrap().to_string();
    assert!(words.contains("/nowhere/ is no folder on node-b"), "{words}");
}
