//! Unified diffs, for people to review and for `patch` to apply.
//!
//! The search for the shortest script is bounded; past the bound the changed middle is shown as
//! one block, which is longer to read and still right.

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Edits to search for before giving up on the shortest script. The search keeps one row of
/// twice its length for each edit, so this bound holds it to about 16 MiB.
const EDITS_MAX: usize = 1_000;

/// The difference between two files in unified format, empty where there is none. `name` stands
/// in the header for both. Bytes that are not UTF-8 become replacement characters.
pub fn unified_diff(name: &str, old: &[u8], new: &[u8]) -> String {
    let old: Vec<&[u8]> = old.split_inclusive(|&byte| byte == b'\n').collect();
    let new: Vec<&[u8]> = new.split_inclusive(|&byte| byte == b'\n').collect();
    let script = script(&old, &new);
    if script.iter().all(|step| matches!(step, Step::Keep(..))) {
        return String::new();
    }
    let mut out = format!("--- {name}\n+++ {name}\n");
    for hunk in hunks(&script) {
        print_hunk(&mut out, hunk, &old, &new);
    }
    out
}

/// One line of a script, with indices into the old and the new lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep(usize, usize),
    Remove(usize, usize),
    Add(usize, usize),
}

fn script(old: &[&[u8]], new: &[&[u8]]) -> Vec<Step> {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(old, new)| old == new)
        .count();
    let old_middle = &old_rest[..old_rest.len() - tail];
    let new_middle = &new_rest[..new_rest.len() - tail];
    let mut steps: Vec<Step> = (0..head).map(|at| Step::Keep(at, at)).collect();
    let middle = shortest(old_middle, new_middle).unwrap_or_else(|| {
        let removed = (0..old_middle.len()).map(|at| Step::Remove(at, 0));
        removed.chain((0..new_middle.len()).map(|at| Step::Add(old_middle.len(), at))).collect()
    });
    steps.extend(middle.into_iter().map(|step| match step {
        Step::Keep(a, b) => Step::Keep(head + a, head + b),
        Step::Remove(a, b) => Step::Remove(head + a, head + b),
        Step::Add(a, b) => Step::Add(head + a, head + b),
    }));
    let (a, b) = (old.len() - tail, new.len() - tail);
    steps.extend((0..tail).map(|at| Step::Keep(a + at, b + at)));
    steps
}

/// The greedy search along diagonals: `row[k]` is the furthest old line reached on diagonal `k`
/// (old minus new) with so many edits. Answers nothing when the bound is passed.
fn shortest(old: &[&[u8]], new: &[&[u8]]) -> Option<Vec<Step>> {
    let offset = EDITS_MAX.min(old.len() + new.len()) + 1;
    let mut row = vec![0usize; 2 * offset + 1];
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for edits in 0..offset {
        rows.push(row[offset - edits..=offset + edits].to_vec());
        let mut diagonal = -(edits as isize);
        while diagonal <= edits as isize {
            let at = (offset as isize + diagonal) as usize;
            let down = diagonal == -(edits as isize)
                || (diagonal != edits as isize && row[at - 1] < row[at + 1]);
            let mut a = if edits == 0 {
                0
            } else if down {
                row[at + 1]
            } else {
                row[at - 1] + 1
            };
            let mut b = (a as isize - diagonal) as usize;
            while a < old.len() && b < new.len() && old[a] == new[b] {
                (a, b) = (a + 1, b + 1);
            }
            row[at] = a;
            if a >= old.len() && b >= new.len() {
                return Some(walk_back(&rows, old.len(), new.len()));
            }
            diagonal += 2;
        }
    }
    None
}

/// Follows the rows from the end to the start. `rows[d]` holds diagonals `-d ..= d` as they were
/// before the edits of round `d`.
fn walk_back(rows: &[Vec<usize>], mut a: usize, mut b: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for (edits, row) in rows.iter().enumerate().rev() {
        let diagonal = a as isize - b as isize;
        let at = |diagonal: isize| row[(edits as isize + diagonal) as usize];
        let (from_a, from_b) = if edits == 0 {
            (0, 0)
        } else {
            let d = edits as isize;
            let down = diagonal == -d || (diagonal != d && at(diagonal - 1) < at(diagonal + 1));
            let before = if down { diagonal + 1 } else { diagonal - 1 };
            (at(before), (at(before) as isize - before) as usize)
        };
        let (start_a, start_b) = match (edits, diagonal - (from_a as isize - from_b as isize)) {
            (0, _) => (0, 0),
            (_, 1) => (from_a + 1, from_b),
            _ => (from_a, from_b + 1),
        };
        while a > start_a && b > start_b {
            (a, b) = (a - 1, b - 1);
            steps.push(Step::Keep(a, b));
        }
        if edits > 0 {
            let removed = start_a > from_a;
            (a, b) = (from_a, from_b);
            steps.push(if removed { Step::Remove(a, b) } else { Step::Add(a, b) });
        }
    }
    steps.reverse();
    steps
}

/// Cuts a script into runs of changes with context; runs that touch become one.
fn hunks(script: &[Step]) -> Vec<&[Step]> {
    let changed = (0..script.len()).filter(|&at| !matches!(script[at], Step::Keep(..)));
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for at in changed {
        let (start, end) = (at.saturating_sub(CONTEXT), (at + 1 + CONTEXT).min(script.len()));
        match ranges.last_mut() {
            Some((_, last)) if start <= *last => *last = end,
            _ => ranges.push((start, end)),
        }
    }
    ranges.into_iter().map(|(start, end)| &script[start..end]).collect()
}

fn print_hunk(out: &mut String, hunk: &[Step], old: &[&[u8]], new: &[&[u8]]) {
    let (Step::Keep(a, b) | Step::Remove(a, b) | Step::Add(a, b)) = hunk[0];
    let old_count = hunk.iter().filter(|step| !matches!(step, Step::Add(..))).count();
    let new_count = hunk.iter().filter(|step| !matches!(step, Step::Remove(..))).count();
    let side = |start: usize, count: usize| match count {
        // An empty side names the line before it.
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        _ => format!("{},{count}", start + 1),
    };
    out.push_str(&format!("@@ -{} +{} @@\n", side(a, old_count), side(b, new_count)));
    for step in hunk {
        let (mark, line) = match *step {
            Step::Keep(a, _) => (' ', old[a]),
            Step::Remove(a, _) => ('-', old[a]),
            Step::Add(_, b) => ('+', new[b]),
        };
        out.push(mark);
        out.push_str(&String::from_utf8_lossy(line));
        if !line.ends_with(b"\n") {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}
