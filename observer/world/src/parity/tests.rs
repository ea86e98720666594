//! That the two ways to a print agree, by this machine's own shell.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

/// The hash made on a host, and the one made here, are the same for the same salt and value.
#[test]
fn a_print_made_there_is_the_print_made_here() {
    let salt = Salt::new();
    let there = |argv: &[&str]| {
        let mut child = Command::new("/bin/sh")
            .args(["-c", read::SALTED, "sh"])
            .args(argv)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{}", salt.0).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        read::print_of(&[b"a login shell's banner\n", output.stdout.as_slice()].concat())
    };
    assert_eq!(there(&["printf", "secret\\n"]), Ok(salt.print(b"secret\n")));
    assert_eq!(there(&["true"]), Ok(salt.print(b"")));
    let failed = there(&["false"]).unwrap_err();
    assert!(failed.contains("ended 1"), "{failed}");
}

#[test]
fn every_salt_is_another_one() {
    let (one, other) = (Salt::new(), Salt::new());
    assert_eq!(one.0.len(), 64);
    assert_ne!(one.print(b"x"), other.print(b"x"));
    assert_eq!(one.print(b"x"), one.print(b"x"));
}
