//! What a simulated failover costs: a whole run from a healthy pair, through the loss of the
//! master's power, until users are served by the slave and the plan is closed.
//!
//! All checkers run after every event, as in the tests; the target is a millisecond per run.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use observer_sim::{Fault, Run, Setup};

/// Simulated time of health before the blow, in milliseconds.
const HEALTHY_MS: u64 = 2_000;
/// Pace at which the run is asked whether it is over, in milliseconds.
const LOOK_MS: u64 = 100;
/// A run that is not over by then is a fault of the product.
const LIMIT_MS: u64 = 20_000;

/// Plays one failover and returns the users' longest gap in milliseconds.
fn failover(seed: u64) -> u64 {
    let mut run = Run::new(Setup::usual(seed, 1));
    run.schedule(HEALTHY_MS, Fault::PowerOff("node-a".into()));
    run.advance(HEALTHY_MS).expect("a healthy pair breaks no rule");
    while !is_over(&run) {
        assert!(run.elapsed_ms() < LIMIT_MS, "seed {seed}: no failover");
        run.advance(LOOK_MS).expect("a failover breaks no rule");
    }
    run.users.longest_gap_ms()
}

fn is_over(run: &Run) -> bool {
    let served_by = run.users.acknowledged.last().map(|(_, _, host)| host.as_str());
    let open = run.pair().is_none_or(|pair| pair.memory().open.is_some());
    served_by == Some("node-b") && !open
}

fn failovers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sim");
    group.throughput(Throughput::Elements(1));
    let mut seed = 0;
    group.bench_function("failover", |bencher| {
        bencher.iter(|| {
            seed += 1;
            black_box(failover(seed))
        });
    });
    group.finish();
}

criterion_group!(benches, failovers);
criterion_main!(benches);
