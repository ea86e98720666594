//! A pair behind two proxies, on real machines.

use std::time::Duration;

use tests::lab::{LabSpec, Proxies, Result, SECOND_PROXY};
use tests::stage::{Stage, StageSpec};

const SOON: Duration = Duration::from_secs(40);

/// Users come through either proxy. When the master dies, both lead to the new one.
#[test]
fn a_failover_moves_both_proxies() -> Result<()> {
    let lab = LabSpec { proxies: Proxies::Two, ..LabSpec::standard() };
    let stage = Stage::set(&StageSpec { lab, ..StageSpec::standard() })?;
    for proxy in Proxies::Two.names() {
        stage.wait_served_by(proxy, "node-a", SOON)?;
    }
    stage.lab.machine("node-a").crash()?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_served_by("proxy", "node-b", SOON)?;
    stage.wait_served_by(SECOND_PROXY, "node-b", SOON)
}
