//! Thousands of random runs: safety after every event, liveness after healing.

use observer_core::event::Event;
use observer_sim::fuzz::play;

/// Seeds per run of the test: a few seconds on one core.
const SEEDS: u64 = 3_000;

/// `HA_OBSERVER_SEED=n` plays one seed, `HA_OBSERVER_SEEDS=n` plays that many.
#[test]
fn random_runs_are_safe_and_come_to_rest() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("HA_OBSERVER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HA_OBSERVER_SEEDS").unwrap_or(SEEDS),
    };
    let (mut failovers, mut leases, mut refusals, mut switched_off) = (0, 0, 0, 0);
    for seed in seeds.clone() {
        match play(seed) {
            Ok(run) => {
                failovers += run.world.promotions.len();
                leases += run.world.leases_ended.len();
                refusals += run.world.guard_refusals;
                let proven = |event: &Event| event.kind.text().contains("the switch says Off");
                switched_off += usize::from(run.events.iter().any(proven));
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    // A fuzzer that never gets to a failover, or to the end of a lease, proves nothing.
    if seeds.end - seeds.start > 100 {
        assert!(failovers as u64 > (seeds.end - seeds.start) / 10, "only {failovers} failovers");
        assert!(leases > 5 && refusals > 0, "{leases} leases ended, {refusals} starts refused");
        assert!(switched_off as u64 > (seeds.end - seeds.start) / 100, "{switched_off} by power");
    }
}
