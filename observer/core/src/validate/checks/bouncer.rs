//! The PgBouncers in front of the proxies: whether a switchover can let their sessions wait.

use super::PLANNED;
use crate::validate::{BouncerDatabase, BouncerSurvey, Check, Examine, Examined, Inputs};
use crate::validate::{Outcome, Severity};
use crate::words::human_ms;

pub(super) const BOUNCER_ADMIN: Check = Check {
    id: "bouncer-admin",
    title: "the observer may pause and resume the PgBouncer",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "a switchover pauses it, so that lasting sessions wait instead of breaking",
    after: "the switchover is taken back",
    fix: "add the observer's account to `admin_users` in pgbouncer.ini, and reload it",
    examine: Examine::Bouncers(admin),
};

fn admin(_: &Inputs<'_>, bouncer: &BouncerSurvey) -> Examined {
    let BouncerSurvey { user, version, settings, .. } = bouncer;
    let admins = settings.get("admin_users").map_or("", String::as_str);
    if admins.split(',').any(|admin| admin.trim() == user) {
        return Outcome::passed(format!("{version} lets {user} in as an administrator"));
    }
    let fix = format!("add {user} to `admin_users` in pgbouncer.ini, and reload it");
    Outcome::failed_with_fix(format!("{user} may look only: admin_users is `{admins}`"), fix)
}

pub(super) const BOUNCER_PAUSED: Check = Check {
    id: "bouncer-paused",
    title: "no database of the PgBouncer is paused",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "its clients wait, and whoever paused it would find it resumed",
    after: "the switchover is refused",
    fix: "`RESUME` at its console, or wait until the observer does it",
    examine: Examine::Bouncers(paused),
};

fn paused(_: &Inputs<'_>, bouncer: &BouncerSurvey) -> Examined {
    match names(bouncer, |database| database.paused) {
        names if names.is_empty() => Outcome::passed("none is"),
        names => Outcome::failed(format!("paused: {names}")),
    }
}

pub(super) const BOUNCER_LEADS_PAST: Check = Check {
    id: "bouncer-leads-past",
    title: "the PgBouncer leads to the proxies, not past them",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "what goes to a host directly is neither held nor moved with the others",
    after: "its clients are sent to the old master, which takes no writes any more",
    fix: "let `host` in its section [databases] be the proxy's address, with the port of its \
          PostgreSQL frontend",
    examine: Examine::Bouncers(leads_past),
};

fn leads_past(_: &Inputs<'_>, bouncer: &BouncerSurvey) -> Examined {
    let past =
        |one: &BouncerDatabase| Some(format!("{} to {}", one.name, one.past_proxies.as_ref()?));
    let past: Vec<String> = bouncer.databases.iter().filter_map(past).collect();
    if past.is_empty() {
        return Outcome::passed("none of its databases names a host of the pair");
    }
    Outcome::failed(format!("leads directly: {}", past.join(", ")))
}

pub(super) const BOUNCER_WAIT: Check = Check {
    id: "bouncer-wait",
    title: "clients of the PgBouncer may wait for longer than users are held",
    severity: Severity::Warning,
    readies: PLANNED,
    why: "a client that has waited for `query_wait_timeout` is disconnected",
    after: "sessions break in a switchover that takes long",
    fix: "raise `query_wait_timeout` in pgbouncer.ini above the pair's `hold_limit`, and reload it",
    examine: Examine::Bouncers(wait),
};

fn wait(inputs: &Inputs<'_>, bouncer: &BouncerSurvey) -> Examined {
    let limit_ms = inputs.spec.policy.hold_limit_ms;
    let setting = bouncer.settings.get("query_wait_timeout");
    let Some(seconds) = setting.and_then(|text| text.parse::<f64>().ok()) else {
        return Ok(Outcome::Unknown("query_wait_timeout is not shown".to_owned()));
    };
    let evidence =
        format!("query_wait_timeout is {seconds} s, hold_limit is {}", human_ms(limit_ms));
    // Zero lets them wait for ever.
    if seconds == 0.0 || seconds * 1_000.0 > limit_ms as f64 {
        Outcome::passed(evidence)
    } else {
        Outcome::failed(evidence)
    }
}

/// What a session may wait beyond the switchover for a login that the pause cut off, in seconds.
const LOGIN_RETRY_MAX_S: f64 = 2.0;

pub(super) const BOUNCER_LOGIN_RETRY: Check = Check {
    id: "bouncer-login-retry",
    title: "the PgBouncer tries a login again soon",
    severity: Severity::Warning,
    readies: PLANNED,
    why: "a pause cuts off the logins under way, and after one that failed the PgBouncer tries \
          none for `server_login_retry`",
    after: "sessions wait so much longer than the switchover takes, or see an error",
    fix: "set `server_login_retry = 1` in pgbouncer.ini, and reload it",
    examine: Examine::Bouncers(login_retry),
};

fn login_retry(_: &Inputs<'_>, bouncer: &BouncerSurvey) -> Examined {
    let setting = bouncer.settings.get("server_login_retry");
    let Some(seconds) = setting.and_then(|text| text.parse::<f64>().ok()) else {
        return Ok(Outcome::Unknown("server_login_retry is not shown".to_owned()));
    };
    let evidence = format!("server_login_retry is {seconds} s");
    if seconds <= LOGIN_RETRY_MAX_S { Outcome::passed(evidence) } else { Outcome::failed(evidence) }
}

pub(super) const BOUNCER_POOL_MODE: Check = Check {
    id: "bouncer-pool-mode",
    title: "clients of the PgBouncer keep a connection for a transaction at most",
    severity: Severity::Warning,
    readies: PLANNED,
    why: "with session pooling a pause waits until every client has left",
    after: "the switchover is taken back unless they all leave within `drain_deadline`",
    fix: "set `pool_mode = transaction`, if the application keeps nothing in its sessions",
    examine: Examine::Bouncers(pool_mode),
};

fn pool_mode(_: &Inputs<'_>, bouncer: &BouncerSurvey) -> Examined {
    match names(bouncer, |database| database.pool_mode == "session") {
        names if names.is_empty() => Outcome::passed("no database is pooled by session"),
        names => Outcome::failed(format!("pooled by session: {names}")),
    }
}

pub(super) const BOUNCER_DATABASES: Check = Check {
    id: "bouncer-databases",
    title: "the PgBouncer has the databases that the pair's file names",
    severity: Severity::Warning,
    readies: PLANNED,
    why: "a name with a mistake in it is not paused",
    after: "sessions of that database break",
    fix: "correct `databases` of this [[bouncer]]; one that it makes when first used is no mistake",
    examine: Examine::Bouncers(databases),
};

fn databases(_: &Inputs<'_>, bouncer: &BouncerSurvey) -> Examined {
    if bouncer.missing.is_empty() {
        return Outcome::passed(format!("it pauses {}", names(bouncer, |_| true)));
    }
    Outcome::failed(format!("it does not have: {}", bouncer.missing.join(", ")))
}

fn names(bouncer: &BouncerSurvey, which: impl Fn(&BouncerDatabase) -> bool) -> String {
    let found = bouncer.databases.iter().filter(|database| which(database));
    found.map(|database| database.name.as_str()).collect::<Vec<_>>().join(", ")
}
