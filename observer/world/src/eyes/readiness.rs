//! Asks a service whether it is ready, on its own host and within the probe's own deadline.
//!
//! What the service itself says, or fails to say in time, is an answer. That the host could not be
//! asked is none.

use std::time::Duration;

use observer_core::policy::PROBE_WAY_MS;
use observer_core::sighting::{Seen, Silent};
use observer_core::validate::ServiceAnswer;
use observer_core::words::ServiceName;
use tokio::time::Instant;

use super::silence;
use crate::access::{HttpReadiness, ListensAt, ReadinessProbe, ReadinessQuestion};
use crate::commands::Privileged;
use crate::http::{HttpAnswer, HttpError, HttpQuestion, get};
use crate::pair_world::{Host, Inner};
use crate::ssh::{Ending, ExecOutput};
use crate::sudo::{ObstacleKind, obstacle};
use crate::text::shown;

/// What is read of a body to find a text in it.
const BODY_SEARCHED: usize = 64 * 1024;
/// What is kept of a command's words.
const OUTPUT_MAX: usize = 16 * 1024;
/// What a shell says of `timeout`, which is killed along with its command.
const KILLED: u32 = 137;

/// The answer as one to a look.
pub(super) async fn look(
    world: &Inner,
    host: &Host,
    service: &ServiceName,
) -> Result<Seen, Silent> {
    Ok(match ask(world, host, service).await? {
        ServiceAnswer::Ready(seen) => Seen::Ready(seen),
        ServiceAnswer::NotReady(seen) => Seen::NotReady(seen),
    })
}

/// Asks a service that has a probe of its own.
pub(crate) async fn ask(
    world: &Inner,
    host: &Host,
    service: &ServiceName,
) -> Result<ServiceAnswer, Silent> {
    let probe = world.readiness.iter().find(|probe| probe.service == *service);
    let none = || Silent::Denied(format!("{service} has no readiness probe"));
    let probe: &ReadinessProbe = probe.ok_or_else(none)?;
    let deadline = Duration::from_millis(probe.deadline_ms);
    match &probe.question {
        ReadinessQuestion::Http(asked) => http(host, asked, deadline).await,
        ReadinessQuestion::Tcp { listens_at, port } => {
            tcp(host, address(host, *listens_at), *port, deadline).await
        }
        ReadinessQuestion::Command { .. } => {
            let command = host.commands.readiness.get(service).ok_or_else(none)?;
            run(host, command, deadline).await
        }
    }
}

fn address(host: &Host, listens_at: ListensAt) -> &str {
    match listens_at {
        ListensAt::Loopback => "127.0.0.1",
        ListensAt::Address => &host.access.ssh.address,
    }
}

async fn tcp(
    host: &Host,
    address: &str,
    port: u16,
    deadline: Duration,
) -> Result<ServiceAnswer, Silent> {
    match host.ssh.open_tcp(address, port, deadline).await {
        Ok(_) => Ok(ServiceAnswer::Ready(format!("it listens at port {port}"))),
        Err(error) => silence::of_open(error).map(|_| refused(port)),
    }
}

fn refused(port: u16) -> ServiceAnswer {
    ServiceAnswer::NotReady(format!("nobody listens at port {port}"))
}

async fn http(
    host: &Host,
    asked: &HttpReadiness,
    deadline: Duration,
) -> Result<ServiceAnswer, Silent> {
    let until = Instant::now() + deadline;
    let address = address(host, asked.listens_at);
    let stream = match host.ssh.open_tcp(address, asked.port, deadline).await {
        Ok(stream) => stream,
        Err(error) => return silence::of_open(error).map(|_| refused(asked.port)),
    };
    let question = HttpQuestion {
        host: asked.host_header.clone().unwrap_or_else(|| address.to_owned()),
        path: asked.path.clone(),
        body_limit: BODY_SEARCHED,
    };
    match get(stream, &question, until.saturating_duration_since(Instant::now())).await {
        Ok(answer) => Ok(judged(asked, &answer)),
        Err(HttpError::Silent { .. }) => {
            let late = format!("no complete answer within {} ms", deadline.as_millis());
            Ok(ServiceAnswer::NotReady(late))
        }
        Err(error @ (HttpError::HungUp(_) | HttpError::Garbage(_))) => {
            Ok(ServiceAnswer::NotReady(error.to_string()))
        }
        Err(error @ HttpError::BadQuestion(_)) => Err(Silent::Denied(error.to_string())),
    }
}

/// Holds an answer against what is wanted: its status first, which says most.
fn judged(asked: &HttpReadiness, answer: &HttpAnswer) -> ServiceAnswer {
    let HttpAnswer { status, headers, body, .. } = answer;
    if !asked.status.contains(status) {
        let (first, last) = (asked.status.start(), asked.status.end());
        let wanted = if first == last { first.to_string() } else { format!("{first} to {last}") };
        let text = format!("status {status}, wanted {wanted}: {}", shown(body));
        return ServiceAnswer::NotReady(text.trim_end_matches([':', ' ']).to_owned());
    }
    for (name, wanted) in &asked.headers {
        let known = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let values: Vec<String> = known.map(|(_, value)| shown(value)).collect();
        if !values.contains(wanted) {
            let found = match values.is_empty() {
                true => "is missing".to_owned(),
                false => format!("says {}", values.join(", ")),
            };
            return ServiceAnswer::NotReady(format!(
                "status {status}, header {name} {found}, wanted {wanted}"
            ));
        }
    }
    let holds = |text: &String| body.windows(text.len()).any(|part| part == text.as_bytes());
    match &asked.body {
        Some(text) if !holds(text) => {
            let said = shown(body);
            let said = if said.is_empty() { "nothing".to_owned() } else { said };
            ServiceAnswer::NotReady(format!(
                "status {status}, and its body does not hold \"{text}\": {said}"
            ))
        }
        _ => ServiceAnswer::Ready(format!("status {status}")),
    }
}

async fn run(
    host: &Host,
    command: &Privileged,
    deadline: Duration,
) -> Result<ServiceAnswer, Silent> {
    let patience = deadline + Duration::from_millis(PROBE_WAY_MS);
    let output = host.ssh.exec(&command.command(), "", patience, OUTPUT_MAX).await;
    let output = output.map_err(silence::of_command)?;
    let code = match &output.ending {
        Ending::Exited(0) => return Ok(ServiceAnswer::Ready("exit code 0".to_owned())),
        Ending::Exited(KILLED) | Ending::Signalled(_) if output.took >= deadline => {
            let late = format!("no end within {} ms", deadline.as_millis());
            return Ok(ServiceAnswer::NotReady(with_words(late, &output)));
        }
        Ending::Exited(code) => *code,
        Ending::Signalled(signal) => {
            let ended = format!("ended by SIG{signal}");
            return Ok(ServiceAnswer::NotReady(with_words(ended, &output)));
        }
        Ending::CutOff => {
            return Ok(ServiceAnswer::NotReady("it says too much".to_owned()));
        }
    };
    match refusal_of_sudo(host, code, &output) {
        Some(advice) => Err(Silent::Denied(advice)),
        None => Ok(ServiceAnswer::NotReady(with_words(format!("exit code {code}"), &output))),
    }
}

/// What it said before it ended: its errors, else its output.
fn with_words(what: String, output: &ExecOutput) -> String {
    let said = match shown(&output.stderr) {
        words if words.is_empty() => shown(&output.stdout),
        words => words,
    };
    if said.is_empty() { what } else { format!("{what}: {said}") }
}

/// Why sudo did not run the command, if that is what happened. The command's own words may look
/// like anything, so that only sudo's exit code and sudo's complaints count.
fn refusal_of_sudo(host: &Host, code: u32, output: &ExecOutput) -> Option<String> {
    let access = &host.access;
    let found = obstacle(&output.stderr, access.name.as_str(), &access.ssh.user)?;
    let of_sudo = matches!(
        found.kind,
        ObstacleKind::PasswordRequired
            | ObstacleKind::TtyRequired
            | ObstacleKind::NotInSudoers
            | ObstacleKind::CommandNotAllowed
            | ObstacleKind::SudoBroken
    );
    (code == 1 && of_sudo).then_some(found.advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> HttpReadiness {
        HttpReadiness {
            listens_at: ListensAt::Loopback,
            port: 8080,
            path: "/ready".to_owned(),
            host_header: None,
            status: 200..=299,
            headers: vec![("X-State".to_owned(), "running".to_owned())],
            body: Some("queue open".to_owned()),
        }
    }

    #[track_caller]
    fn check(status: u16, state: Option<&str>, body: &str, wanted: &str) {
        let state = state.map(|state| ("x-state".to_owned(), state.as_bytes().to_vec()));
        let answer = HttpAnswer {
            status,
            headers: state.into_iter().collect(),
            body: body.as_bytes().to_vec(),
            truncated: false,
            latency: Duration::ZERO,
        };
        let said = match judged(&asked(), &answer) {
            ServiceAnswer::Ready(said) => format!("ready: {said}"),
            ServiceAnswer::NotReady(said) => said,
        };
        assert_eq!(said, wanted);
    }

    #[test]
    fn what_is_not_as_wanted_is_named_with_what_was_seen() {
        check(204, Some("running"), "the queue open, 3 jobs", "ready: status 204");
        check(503, Some("running"), "warming\nup", "status 503, wanted 200 to 299: warming up");
        check(300, None, "", "status 300, wanted 200 to 299");
        check(200, None, "queue open", "status 200, header X-State is missing, wanted running");
        check(
            200,
            Some("starting"),
            "queue open",
            "status 200, header X-State says starting, wanted running",
        );
        let said = "status 200, and its body does not hold \"queue open\": queue shut";
        check(200, Some("running"), "queue shut", said);
        let said = "status 200, and its body does not hold \"queue open\": nothing";
        check(200, Some("running"), "", said);
    }
}
