//! The fuzz targets over their kept corpus, and over a bounded number of changes of each file of
//! it. It finds what was found before, and now and then something new; searching is the business
//! of `cargo fuzz` (see `fuzz/README.md`).

#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Changed copies that are tried of each file.
const CHANGES: u32 = 15;

/// Pieces that mean something to the readers.
const PIECES: &[&[u8]] = &[
    b"\nbackend app\n",
    b"\n server a 10.0.0.1:80 check",
    b" disabled",
    b" enabled",
    b" \"\" ",
    b"\"",
    b"'",
    b"\\",
    b"#",
    b"\r\n",
    b"\0",
    b"\n.if 1\n",
    b"\n.endif\n",
    b"${A}",
    b"${A[*]}",
    b" default-server disabled\n",
    b"\ndefaults x from y\n",
    b"listen ",
    b" track a",
    b",",
    b"\n\n",
    b"# ",
    b"\xff",
    b"\n# begin managed: x\n",
    b"# pxname,svname,status,scur,\n",
    b"1\n# be_name ",
];

/// A small generator of numbers, the same at each run so that a failure can be seen again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// A copy with one to four places changed.
    fn change(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(changed.len() + 1);
            match self.below(4) {
                0 => drop(changed.splice(at..at, PIECES[self.below(PIECES.len())].to_vec())),
                1 => {
                    let end = (at + self.below(30)).min(changed.len());
                    drop(changed.drain(at..end));
                }
                2 => {
                    if let Some(byte) = changed.get_mut(at) {
                        *byte = self.below(256) as u8;
                    }
                }
                _ => {
                    let end = (at + self.below(80)).min(changed.len());
                    let part = changed[at..end].to_vec();
                    let to = self.below(changed.len() + 1);
                    drop(changed.splice(to..to, part));
                }
            }
        }
        changed
    }
}

/// The files of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("the corpus can be listed").path());
    paths
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a file of the corpus can be read");
            (path.display().to_string(), bytes)
        })
        .collect()
}

#[test]
fn every_target_holds_over_its_corpus_and_near_it() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let configurations = files(&package.join("tests/corpus"));
    for (name, check) in targets::TARGETS {
        let mut corpus = files(&package.join("fuzz/corpus").join(name));
        assert!(!corpus.is_empty(), "{name} has no corpus");
        match *name {
            "document" => corpus.extend(configurations.clone()),
            "edits" => {
                corpus.extend(configurations.iter().enumerate().map(|(number, (path, bytes))| {
                    (path.clone(), [&[number as u8], bytes.as_slice()].concat())
                }))
            }
            _ => {}
        }
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for (path, bytes) in &corpus {
            let changed = (0..CHANGES).map(|_| numbers.change(bytes));
            for tried in std::iter::once(bytes.clone()).chain(changed.collect::<Vec<_>>()) {
                let held = catch_unwind(AssertUnwindSafe(|| check(&tried)));
                assert!(held.is_ok(), "{name}, from {path}: {}", tried.escape_ascii());
            }
        }
    }
}
