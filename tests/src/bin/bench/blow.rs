//! One blow on fresh machines: what the users' books say, and the incident's own record.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tests::lab::{POSTGRES_UNIT, Result, Whom, wait_for};
use tests::stage::{Booked, Load, Stage, Told, texts};

/// Longer than any run: a load is ended by hand.
const LOAD: Duration = Duration::from_secs(120);
/// Users work so long before the blow, and a part of a round of the observer more.
const BEFORE: Duration = Duration::from_secs(4);
/// The observer's rounds while all is well are so long: the runs are spread over one.
const ROUND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(40);
/// Users work so long after the plan's end.
const AFTER: Duration = Duration::from_secs(3);

/// What happens to the master, node-a.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    PowerLoss,
    HostCrash,
    PostmasterKill,
    /// The same, with a policy that does not try to start the database in place.
    PostmasterKillFailOver,
    CablePulled,
}

impl Blow {
    fn name(self) -> &'static str {
        match self {
            Blow::PowerLoss => "power-loss",
            Blow::HostCrash => "host-crash",
            Blow::PostmasterKill => "postmaster-kill",
            Blow::PostmasterKillFailOver => "postmaster-kill-fail-over",
            Blow::CablePulled => "cable-pulled",
        }
    }

    /// What differs from the shipped defaults.
    fn policy(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Blow::PostmasterKillFailOver => vec![("on_database_crash", "\"fail-over\"")],
            _ => Vec::new(),
        }
    }

    /// Strikes, and returns between which moments the master stopped to serve.
    fn strike(self, stage: &Stage) -> Result<Span> {
        let master = stage.lab.machine("node-a");
        let from = unix_ms();
        match self {
            Blow::PowerLoss => {
                master.pull_cable()?;
                let until = unix_ms();
                master.crash()?;
                return Ok(Span { from, until });
            }
            Blow::HostCrash => master.crash()?,
            Blow::PostmasterKill | Blow::PostmasterKillFailOver => {
                master.signal_unit(POSTGRES_UNIT, "KILL", Whom::Main)?;
            }
            Blow::CablePulled => master.pull_cable()?,
        }
        Ok(Span { from, until: unix_ms() })
    }
}

/// A span of time, in milliseconds of the Unix epoch.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: u64,
    until: u64,
}

/// Who works while the blow falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Loads {
    /// One client with an INSERT every 10 ms.
    Sql,
    /// Thirty HTTP workers.
    Http,
    /// Both at once.
    Both,
}

impl Loads {
    fn name(self) -> &'static str {
        match self {
            Loads::Sql => "sql",
            Loads::Http => "http",
            Loads::Both => "both",
        }
    }
}

/// The figures of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) blow: String,
    pub(crate) loads: String,
    /// The master in the end.
    pub(crate) master: String,
    pub(crate) sql: Option<Users>,
    pub(crate) http: Option<Users>,
    /// From the blow to the observer's first sign of trouble.
    pub(crate) unseen_ms: Option<f64>,
    /// What the incident's record says, by phase.
    pub(crate) phases: BTreeMap<String, f64>,
    /// From the blow to the end of the plan.
    pub(crate) closed_ms: Option<f64>,
}

/// What one load went through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Users {
    /// The longest time without an acknowledged write.
    pub(crate) outage_ms: f64,
    pub(crate) answered: usize,
    /// Failed requests that were under way at the blow.
    pub(crate) failed_under_way: usize,
    /// Failed requests that began later.
    pub(crate) failed_later: usize,
    /// What the failed requests met, and how often.
    pub(crate) reasons: BTreeMap<String, usize>,
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
}

/// Measures run `part` of `parts`, which decides where in the observer's round the blow falls.
pub(crate) fn measure(blow: Blow, loads: Loads, part: u32, parts: u32) -> Result<Run> {
    let stage = crate::set(blow.policy())?;
    let sql = (loads != Loads::Http).then(|| stage.start_sql(LOAD)).transpose()?;
    let http = (loads != Loads::Sql).then(|| stage.start_http(LOAD)).transpose()?;
    std::thread::sleep(BEFORE + ROUND * part / parts.max(1));
    let at = blow.strike(&stage)?;
    let (opened, closed_at) = wait_closed(&stage, at.from)?;
    std::thread::sleep(AFTER);
    let master = stage.status()?["master"].as_str().unwrap_or("node-a").to_owned();
    let finish = |load: Option<Load>| -> Result<Option<Users>> {
        let booked = load.map(|load| stage.finish(load, &master)).transpose()?;
        Ok(booked.map(|booked| Users::of(&booked, at)))
    };
    let (sql, http) = (finish(sql)?, finish(http)?);
    let plan = opened["plan"].to_string();
    let incident = stage.ask(&["incident", &plan, "-o", "json"])?.success()?;
    let incident: Value = serde_json::from_str(&incident).unwrap_or(Value::Null);
    let mut phases = BTreeMap::new();
    for phase in incident["phases"].as_array().into_iter().flatten() {
        let name = phase["name"].as_str().unwrap_or_default().to_owned();
        *phases.entry(name).or_default() += phase["took_ms"].as_f64().unwrap_or_default();
    }
    let since = |moment: f64| moment - to_f64(at.from);
    Ok(Run {
        blow: blow.name().to_owned(),
        loads: loads.name().to_owned(),
        master,
        sql,
        http,
        unseen_ms: incident["trouble_at"].as_f64().map(since),
        phases,
        closed_ms: Some(since(closed_at)),
    })
}

/// Waits for the end of the last plan opened after `at`; returns its opening and its end.
fn wait_closed(stage: &Stage, at: u64) -> Result<(Value, f64)> {
    wait_for("the plan to be closed", LIMIT, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let later = |event: &&&Value| event["at"].as_u64().is_some_and(|when| when >= at);
        let opened = events.of_kind("plan-opened").iter().rfind(later).copied().cloned();
        let Some(opened) = opened else { return Err(texts(&events)) };
        let closed = events.of_kind("plan-closed");
        let closed = closed.iter().find(|event| event["plan"] == opened["plan"]);
        let Some(closed_at) = closed.and_then(|event| event["at"].as_f64()) else {
            return Err(texts(&events));
        };
        Ok((opened, closed_at))
    })
}

impl Users {
    fn of(booked: &Booked, at: Span) -> Self {
        let Booked { summary, compared } = booked;
        let failed_under_way = summary.failed_under_way(at.from, at.until);
        let mut reasons = BTreeMap::new();
        for attempt in &summary.failed {
            *reasons.entry(attempt.why.clone()).or_default() += 1;
        }
        Self {
            outage_ms: summary.longest_gap_ms,
            answered: summary.ok,
            failed_under_way,
            failed_later: summary.failed.len() - failed_under_way,
            reasons,
            acknowledged: summary.writes_ok,
            lost: compared.lost.len(),
            doubled: compared.doubled.len(),
        }
    }
}

/// The wall clock, which all machines of the lab share.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of an epoch fit a float for long")]
fn to_f64(ms: u64) -> f64 {
    ms as f64
}
