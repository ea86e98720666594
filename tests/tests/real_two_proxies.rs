//! A pair behind two proxies, on real machines.

use std::net::SocketAddr;
use std::time::Duration;

use tests::http::get;
use tests::lab::{LabSpec, Proxies, Result, SECOND_PROXY, wait_for};
use tests::stage::{Stage, StageSpec};

const SOON: Duration = Duration::from_secs(40);
const PATIENT: Duration = Duration::from_secs(5);

/// Users come through either proxy. When the master dies, both lead to the new one.
#[test]
fn a_failover_moves_both_proxies() -> Result<()> {
    let lab = LabSpec { proxies: Proxies::Two, ..LabSpec::standard() };
    let stage = Stage::set(&StageSpec { lab, ..StageSpec::standard() })?;
    for proxy in Proxies::Two.names() {
        served_by(&stage, proxy, "node-a")?;
    }
    stage.lab.machine("node-a").crash()?;
    stage.wait_master("node-b", SOON)?;
    served_by(&stage, "proxy", "node-b")?;
    served_by(&stage, SECOND_PROXY, "node-b")
}

/// Waits until users who come through `proxy` are answered by `host`.
fn served_by(stage: &Stage, proxy: &str, host: &str) -> Result<()> {
    let address = SocketAddr::from((stage.lab.machine(proxy).address(), 80));
    let ask = || {
        let answer = get(address, "/tickets?limit=1", PATIENT)?;
        match answer.header("x-desk-host") {
            Some(name) if name == host => Ok(()),
            other => Err(format!("answered by {other:?} with {}", answer.status)),
        }
    };
    stage.lab.in_client(|| wait_for(&format!("{proxy} to lead to {host}"), SOON, ask))?
}
