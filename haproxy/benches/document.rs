//! What a very large file costs: 100,000 lines parsed, understood, edited and printed.
//!
//! The target is 50 ms for the whole round; `overhead` prints what a parsed file needs beyond its
//! own bytes, which shall stay below ten bytes for each.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::print_stdout, reason = "one figure is a size, not a time")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use haproxy::{Document, Members, ServerChange, ServerEdit, point, unified_diff};

const LINES: usize = 100_000;
/// Lines of one backend, its header, comment and blank line included.
const BACKEND_LINES: usize = 10;

fn large_file() -> Vec<u8> {
    let mut text = String::from("defaults\n    mode http\n    default-server inter 2s\n");
    for number in 0..LINES / BACKEND_LINES {
        let (high, low) = (number / 250, number % 250);
        text += &format!(
            "# application {number}, owned by somebody\n\
             backend app{number}\n    balance roundrobin\n    option httpchk GET /health\n    \
             http-request set-header X-App app{number} if {{ path_beg /app{number} }}\n    \
             timeout server 30s\n    \
             server a 10.1.{high}.{low}:8080 check weight 10 cookie a   # left\n    \
             server b 10.2.{high}.{low}:8080 check weight 10 cookie b disabled   # right\n    \
             server hold 127.0.0.1:1 backup no-check\n\n"
        );
    }
    text.into_bytes()
}

fn edits() -> Vec<ServerEdit> {
    let edit = |number: usize| {
        let change =
            if number.is_multiple_of(2) { ServerChange::Disable } else { ServerChange::Enable };
        ServerEdit::new(format!("app{}", number * 997), if number < 5 { "a" } else { "b" }, change)
    };
    (0..10).map(edit).collect()
}

/// What parsed files need beyond their own bytes, in bytes per byte: the growth of this process's
/// resident memory while several are made, all that the allocator adds included.
fn overhead(bytes: &[u8]) -> f64 {
    const COPIES: usize = 8;
    let resident_kib = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has a line");
        let number = line.split_whitespace().nth(1).expect("the line has a number");
        number.parse().expect("it is a number")
    };
    let before = resident_kib();
    let parsed: Vec<Document> = (0..COPIES).map(|_| Document::parse(bytes)).collect();
    let grown = (resident_kib() - before) * 1024;
    grown as f64 / (black_box(parsed).len() * bytes.len()) as f64 - 1.0
}

fn document(criterion: &mut Criterion) {
    let bytes = large_file();
    let parsed = Document::parse(&bytes);
    let (size, lines) = (bytes.len(), parsed.lines().len());
    println!("{lines} lines, {size} bytes, overhead {:.2} bytes/byte", overhead(&bytes));

    criterion.bench_function("parse", |b| b.iter(|| Document::parse(black_box(&bytes))));
    criterion.bench_function("view", |b| b.iter(|| black_box(&parsed).view().sections().len()));
    criterion.bench_function("print", |b| b.iter(|| black_box(&parsed).to_bytes()));
    let edits = edits();
    criterion.bench_function("parse, view, edit 10 servers, print", |b| {
        b.iter(|| {
            let mut document = Document::parse(black_box(&bytes));
            black_box(document.view().sections().len());
            document.edit_servers(&edits).expect("the servers are there");
            document.to_bytes()
        });
    });
    let members = Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.1.3.7".to_owned()]),
        ("node-b".to_owned(), vec!["10.2.3.7".to_owned()]),
    ]));
    criterion.bench_function("point one pair", |b| {
        b.iter(|| point(black_box(&parsed), &members, &["node-b"]).expect("the pair is there"));
    });
    let mut edited = parsed.clone();
    edited.edit_servers(&edits).expect("the servers are there");
    let edited = edited.to_bytes();
    criterion.bench_function("diff", |b| b.iter(|| unified_diff("x", black_box(&bytes), &edited)));
}

criterion_group!(benches, document);
criterion_main!(benches);
