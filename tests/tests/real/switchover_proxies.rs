//! A proxy loses its power in the middle of a switchover on real machines. Before the pivot
//! everything is taken back, after it the plan goes on without the proxy; once it is back, it leads
//! to the one master.

use std::time::Duration;

use tests::lab::{LabSpec, Proxies, Result, SECOND_PROXY};
use tests::stage::{DONE, Promise, Stage, StageSpec, UNDONE, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(300);

/// The only proxy vanishes while it holds users: they can be proven neither held nor let in, so
/// the master is started again, and serves them when the proxy is back. At the second time it
/// vanishes right after the pivot: it leads to the new master when it is back. Its own file never
/// lets anybody in to the other.
#[test]
fn the_only_one_vanishes() -> Result<()> {
    let stage = Stage::standard()?;
    // It asks anew every second: a session through a proxy that is gone may hang for a minute.
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    let proxy = stage.lab.machine("proxy");
    for (step, code, master, other) in
        [("hold users at proxy", UNDONE, "node-a", "node-b"), ("promote", DONE, "node-b", "node-a")]
    {
        let place = format!("proven:{}", stage.switchover_steps()?.number(step));
        let harmed = stage.switch_over_harmed(&place, || proxy.power_loss(), || Ok(()))?;
        assert!(harmed.reached, "{harmed:?}");
        stage.assert_ended(&harmed.ordered, code)?;
        assert_eq!(stage.status()?["master"], master, "{}", texts(&stage.events()?));
        stage.wait_scheduler(master, &[other])?;
        proxy.power_on()?;
        stage.wait_written(&sql, master)?;
        stage.wait_protected()?;
        let told = texts(&stage.events()?);
        assert_eq!(stage.let_in()?, serde_json::json!([master]), "{told}");
        let file = proxy.run(&["cat", "/etc/haproxy/haproxy.cfg"])?;
        let shut = |host: &str| {
            let lines = file.lines().filter(|line| line.trim_start().starts_with("server "));
            lines.filter(|line| line.contains(host)).all(|line| line.contains("disabled"))
        };
        assert!(shut(other) && !shut(master), "{file}\n{told}");
    }
    assert_eq!(stage.timeline("node-b")?, 2, "one promotion: {}", texts(&stage.events()?));
    stage.finish(sql, "node-b")?.assert_kept(Promise::AllKept);
    Ok(())
}

/// One of two proxies vanishes while users are held at both: its users cannot be proven to wait, so
/// everything is taken back, and those of the other have only waited. At the second time it
/// vanishes right after the pivot, and those of the other are led to the new master.
#[test]
fn one_of_two_vanishes() -> Result<()> {
    let lab = LabSpec { proxies: Proxies::Two, ..LabSpec::standard() };
    let stage = Stage::set(&StageSpec { lab, ..StageSpec::standard() })?;
    let http = stage.start_http_at(50, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let second = stage.lab.machine(SECOND_PROXY);
    for (step, code, master) in
        [("hold users at proxy", UNDONE, "node-a"), ("promote", DONE, "node-b")]
    {
        let place = format!("proven:{}", stage.switchover_steps()?.number(step));
        let harmed = stage.switch_over_harmed(&place, || second.power_loss(), || Ok(()))?;
        assert!(harmed.reached, "{harmed:?}");
        stage.assert_ended(&harmed.ordered, code)?;
        stage.wait_written(&http, master)?;
        stage.wait_served_by("proxy", master, SOON)?;
        second.power_on()?;
        stage.wait_served_by(SECOND_PROXY, master, SOON)?;
        stage.wait_protected()?;
    }
    assert_eq!(stage.timeline("node-b")?, 2, "one promotion: {}", texts(&stage.events()?));
    let http = stage.finish(http, "node-b")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    Ok(())
}
