//! Plays every scenario of `tests/scenarios` with several seeds.

use std::path::Path;

use observer_sim::scenario::Scenario;

const SEEDS: u64 = 10;

#[test]
fn every_scenario_holds_under_every_seed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut played = 0;
    let mut failed = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the scenarios are in the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable scenario");
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        match Scenario::parse(&text) {
            Err(error) => failed.push(format!("{name}: {error}")),
            Ok(scenario) => {
                let outcome = (0..SEEDS).find_map(|seed| scenario.play(seed).err());
                failed.extend(outcome.map(|error| format!("{name}: {error}")));
            }
        }
        played += 1;
    }
    assert!(failed.is_empty(), "{} of {played} fail:\n{}", failed.len(), failed.join("\n\n"));
    assert!(played > 30, "only {played} scenarios were found");
}
