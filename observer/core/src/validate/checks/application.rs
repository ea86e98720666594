//! The application: its health, directly and through the proxy, and where its services run.

use super::{ALL, PLANNED, SWITCHOVER};
use crate::policy::{Placement, ServiceSpec};
use crate::sighting::UnitState;
use crate::validate::{
    Check, Examine, Examined, Health, Inputs, Outcome, ServiceAnswer, Severity, UnitSurvey, Unread,
};
use crate::words::{HostName, ProxyName};

pub(super) const APPLICATION: Check = Check {
    id: "application",
    title: "the application on the master is well",
    severity: Severity::Severe,
    readies: SWITCHOVER,
    why: "a planned change of a sick application ends with a sick application",
    after: "users have the same trouble on another host",
    fix: "look at the application's own log on the master",
    examine: Examine::Master(application),
};

fn application(inputs: &Inputs<'_>, master: &HostName) -> Examined {
    let Some(health) = &inputs.host(master)?.application else {
        return Outcome::skipped("no [application] is configured to ask");
    };
    let health = health.as_ref().map_err(|why| Unread(format!("{master}: {}", why.0)))?;
    match health {
        Health::Well => Outcome::passed("it answers as it should"),
        Health::Ill(what) => Outcome::failed(format!("it answers {what}")),
        Health::Refused => Outcome::failed("nobody listens at its port"),
    }
}

pub(super) const APPLICATION_THROUGH_PROXY: Check = Check {
    id: "application-through-proxy",
    title: "users reach a healthy application through the proxy",
    severity: Severity::Severe,
    readies: PLANNED,
    why: "after the change this very way has to lead to the new master",
    after: "users see errors, as they do now",
    fix: "see `show stat` of that proxy, and the application on the master",
    examine: Examine::Proxies(through_proxy),
};

fn through_proxy(inputs: &Inputs<'_>, proxy: &ProxyName) -> Examined {
    let survey = inputs.proxy(proxy)?;
    // A file that was not read may well have frontends.
    survey.file.as_ref().map_err(|why| Unread(format!("{proxy}: {}", why.0)))?;
    if survey.application.is_empty() {
        return Outcome::skipped("no plain HTTP frontend leads to the pair's application");
    }
    let mut well = Vec::new();
    for (listener, health) in &survey.application {
        let health = health.as_ref().map_err(|why| Unread(format!("{listener}: {}", why.0)))?;
        match health {
            Health::Well => well.push(listener.as_str()),
            Health::Ill(what) => return Outcome::failed(format!("{listener} answers {what}")),
            Health::Refused => return Outcome::failed(format!("nobody listens at {listener}")),
        }
    }
    Outcome::passed(format!("well through {}", well.join(", ")))
}

pub(super) const SERVICES: Check = Check {
    id: "services",
    title: "every service that belongs on the host runs there",
    severity: Severity::Severe,
    readies: ALL,
    why: "a service that does not run now will not run after the change",
    after: "users miss what the service does",
    fix: "`systemctl status UNIT` on that host says why it does not run",
    examine: Examine::Hosts(services),
};

fn services(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    let is_master = inputs.roles.master == *host;
    let units = &inputs.machine(host)?.service_units;
    let mut amiss = Vec::new();
    for service in &inputs.spec.services {
        let state = state_of(units, service)?;
        let wanted = match service.placement {
            Placement::All => true,
            Placement::Master => is_master,
            Placement::Slave => !is_master,
        };
        match state {
            // One that is to run after the change has to be there before.
            None => amiss.push(format!("systemd knows no unit {}", service.unit)),
            Some(state) if wanted && state != UnitState::Active => {
                amiss.push(format!("{} is {}", service.unit, word(state)));
            }
            Some(_) => {}
        }
    }
    if amiss.is_empty() {
        return Outcome::passed(format!("{} services as they should be", units.len()));
    }
    Outcome::failed(amiss.join(", "))
}

fn state_of(units: &[UnitSurvey], service: &ServiceSpec) -> Result<Option<UnitState>, Unread> {
    let unit = units.iter().find(|unit| unit.unit == service.unit);
    unit.map(|unit| unit.state).ok_or_else(|| Unread(format!("{} was not read", service.unit)))
}

fn word(state: UnitState) -> &'static str {
    match state {
        UnitState::Active => "running",
        UnitState::Activating => "starting",
        UnitState::Deactivating => "stopping",
        UnitState::Stopped => "stopped",
        UnitState::NeverStarted => "not started since boot",
        UnitState::Failed => "failed",
    }
}

pub(super) const SERVICE_READY: Check = Check {
    id: "service-ready",
    title: "every service on the master that has a readiness probe is ready",
    severity: Severity::Severe,
    readies: SWITCHOVER,
    why: "a service that is not ready now would not be ready after the change",
    after: "its start takes its whole start_deadline, and users miss what the service does",
    fix: "look at that service's own log on the master, and at [service.probe] in the pair's file",
    examine: Examine::Master(service_ready),
};

fn service_ready(inputs: &Inputs<'_>, master: &HostName) -> Examined {
    let answers = &inputs.host(master)?.services;
    let (mut ready, mut amiss, mut unread) = (Vec::new(), Vec::new(), None);
    for service in inputs.spec.probed_on(master, master) {
        let name = &service.name;
        match answers.get(name) {
            Some(Ok(ServiceAnswer::Ready(seen))) => ready.push(format!("{name}: {seen}")),
            Some(Ok(ServiceAnswer::NotReady(seen))) => {
                amiss.push(format!("{name} is not ready: {seen}"));
            }
            Some(Err(why)) => unread = Some(format!("{master}: {name}: {}", why.0)),
            None => unread = Some(format!("{master}: {name} was not asked")),
        }
    }
    match (unread, amiss.is_empty(), ready.is_empty()) {
        (_, false, _) => Outcome::failed(amiss.join(", ")),
        (Some(why), _, _) => Err(Unread(why)),
        (None, true, true) => Outcome::skipped("no service there has a readiness probe of its own"),
        (None, true, false) => Outcome::passed(ready.join(", ")),
    }
}

pub(super) const SINGLETONS: Check = Check {
    id: "singletons",
    title: "every singleton runs exactly once, on the master",
    severity: Severity::Severe,
    readies: ALL,
    why: "a second copy sends every mail and runs every job twice",
    after: "jobs run twice, or not at all",
    fix: "`systemctl stop UNIT` on the host that is not the master",
    examine: Examine::Pair(singletons),
};

fn singletons(inputs: &Inputs<'_>) -> Examined {
    let mut counted = 0;
    for service in &inputs.spec.services {
        if service.placement != Placement::Master {
            continue;
        }
        let mut on = Vec::new();
        // A dead one beside master and next master is looked at, and told to stop, once it is back.
        let is_gone =
            |host: &HostName| inputs.is_beside(host.as_str()) && inputs.machine(host).is_err();
        for host in inputs.spec.hosts.iter().filter(|host| !is_gone(host)) {
            let state = state_of(&inputs.machine(host)?.service_units, service)?;
            if matches!(state, Some(UnitState::Active | UnitState::Activating)) {
                on.push(host);
            }
        }
        let (unit, master) = (&service.unit, &inputs.roles.master);
        let names: Vec<&str> = on.iter().map(|host| host.as_str()).collect();
        match on.iter().find(|host| **host != master) {
            Some(stray) => {
                let evidence = format!("{unit} runs on {}", names.join(" and "));
                let fix = format!("`systemctl stop {unit}` on {stray}");
                return Outcome::failed_with_fix(evidence, fix);
            }
            None if on.is_empty() => {
                let fix = format!("`systemctl start {unit}` on {master}");
                return Outcome::failed_with_fix(format!("{unit} runs nowhere"), fix);
            }
            None => counted += 1,
        }
    }
    Outcome::passed(format!("each runs once ({counted} of them)"))
}
