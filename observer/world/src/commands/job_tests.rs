//! What is kept, played with the real programs on a folder of its own.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// Runs the programs of `commands` themselves, without sudo.
fn keep(commands: &KeepCommands, tale: &str) {
    for (command, takes) in &commands.steps {
        let words = command.words();
        let program = words.iter().position(|word| word.starts_with('/')).unwrap();
        let mut run = Command::new(words[program]);
        run.args(&words[program + 1..]).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = run.spawn().unwrap();
        child.stdin.take().unwrap().write_all(tale.as_bytes()).ok();
        let status = child.wait().unwrap();
        assert!(status.success() || *takes == Takes::NoOffence, "{}", command.line());
    }
}

fn database(data: &Path) {
    for folder in ["global", "pg_wal", "conf.d"] {
        fs::create_dir_all(data.join(folder)).unwrap();
    }
    for file in ["postgresql.conf", "pg_hba.conf", "postgresql.auto.conf", "conf.d/lab.conf"] {
        fs::write(data.join(file), "").unwrap();
    }
    fs::write(data.join("pg_wal/000000010000000000000001"), "").unwrap();
    fs::write(data.join("base.conf-is-no-setting"), "").unwrap();
}

#[test]
fn the_first_is_never_given_up_and_the_last_two_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("main");
    database(&data);
    let commands = KeepCommands::new(&data.to_string_lossy());
    let kept = folder.path().join("main.ha-observer-kept");
    let told = |name: &str| fs::read_to_string(kept.join(name).join("about.txt")).ok();
    for time in 1..=5 {
        fs::write(data.join("global/pg_control"), format!("{time}")).unwrap();
        keep(&commands, &format!("time {time}"));
        let control = fs::read_to_string(kept.join("last/pg_control")).unwrap();
        assert_eq!(control, time.to_string());
    }
    assert_eq!(told("first").as_deref(), Some("time 1"));
    assert_eq!(told("older").as_deref(), Some("time 4"));
    assert_eq!(told("last").as_deref(), Some("time 5"));
    let last = kept.join("last");
    for file in ["pg_wal/000000010000000000000001", "pg_hba.conf", "conf.d/lab.conf"] {
        assert!(last.join(file).exists(), "{file}");
    }
}
