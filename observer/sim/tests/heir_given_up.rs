//! A slave that is lost at any moment around its promotion, is given up by a person, and comes
//! back: users keep the old master, and what it became is never let in beside it.

use observer_sim::scenario::Scenario;

const FIRST_MS: u64 = 5_150;
const LAST_MS: u64 = 5_400;
const EVERY_MS: usize = 3;

#[test]
fn whatever_became_of_it_users_keep_the_old_master() {
    let (mut promoted_unseen, mut given_up) = (0, 0);
    for lost_ms in (FIRST_MS..LAST_MS).step_by(EVERY_MS) {
        let text = format!(
            "at 5s order-switchover\n\
             at {}s power-off node-b\n\
             at 25s give-up-heir node-b\n\
             at 40s power-on node-b\n\
             run 300s\n\
             must no-open-plan\n",
            seconds(lost_ms)
        );
        let scenario = Scenario::parse(&text).expect("a scenario");
        let run = scenario.play(lost_ms).unwrap_or_else(|error| panic!("{lost_ms}: {error}"));
        let texts = run.events.iter().map(|event| event.kind.text()).collect::<Vec<_>>();
        if texts.iter().any(|text| text.contains("was given up by")) {
            given_up += 1;
            promoted_unseen += usize::from(!run.world.promotions.is_empty());
            let served = run.world.writable_hosts();
            assert_eq!(served.len(), 1, "{lost_ms}: {served:?}\n{}", texts.join("\n"));
            assert_eq!(served[0].as_str(), "node-a", "{lost_ms}\n{}", texts.join("\n"));
        }
    }
    assert!(given_up > 10, "only {given_up} were given up");
    assert!(promoted_unseen > 0, "none of {given_up} had promoted itself");
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}
