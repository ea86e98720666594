//! `events`: what happened, newest last; `-f` goes on showing.

use std::time::Duration;

use jiff::Timestamp;
use observer_core::event::Severity;
use observer_core::words::At;

use super::client::ClientError;
use super::output::{Look, Tone, one_line, print};
use super::{Desk, Exit, Failure, print_json};
use crate::api::types::EventsAnswer;
use crate::cli::args::EventsArgs;
use crate::report::{clock_time, date_time, event_text};
use crate::shell::archive::StoredEvent;

/// How long one request waits for news.
const WAIT: Duration = Duration::from_secs(20);

pub(super) async fn show(desk: &Desk, args: EventsArgs) -> Result<Exit, Failure> {
    let path = desk.path("events").await?;
    let since = match &args.since {
        Some(text) => {
            let now = desk.status().await?.at;
            format!("&since={}", moment(text, now).map_err(Failure::Usage)?.0)
        }
        None => String::new(),
    };
    let first: EventsAnswer =
        desk.client.get(&format!("{path}?limit={}{since}", args.limit)).await?;
    let look = Look::of_stdout();
    let mut after = first.events.last().map_or(0, |event| event.seq);
    if desk.is_json() && !args.follow {
        print_json(&first.events);
        return Ok(Exit::Ok);
    }
    show_all(desk, &first.events, look);
    if !args.follow {
        return Ok(Exit::Ok);
    }
    loop {
        let newer = newer(desk, &path, after).await?;
        show_all(desk, &newer, look);
        after = newer.last().map_or(after, |event| event.seq);
    }
}

/// The events after `after`, as soon as there are any; empty if none came for a while.
pub(super) async fn newer(
    desk: &Desk,
    path: &str,
    after: u64,
) -> Result<Vec<StoredEvent>, ClientError> {
    newer_within(desk, path, after, WAIT).await
}

/// The same, of those that come within `wait`.
pub(super) async fn newer_within(
    desk: &Desk,
    path: &str,
    after: u64,
    wait: Duration,
) -> Result<Vec<StoredEvent>, ClientError> {
    let wait_ms = wait.as_millis();
    let path = format!("{path}?after={after}&limit=1000&wait_ms={wait_ms}");
    let answer: EventsAnswer = desk.client.wait(&path, wait).await?;
    Ok(answer.events)
}

/// Shows events: lines for people, a JSON document per line for programs.
pub(super) fn show_all(desk: &Desk, events: &[StoredEvent], look: Look) {
    for event in events {
        if desk.is_json() {
            print(&format!("{}\n", serde_json::to_string(event).unwrap_or_default()));
        } else {
            print(&format!("{}\n", line(event, look)));
        }
    }
}

/// One event on one line.
pub(super) fn line(stored: &StoredEvent, look: Look) -> String {
    let event = &stored.event;
    let text = one_line(&event_text(&event.kind));
    let toned = match event.kind.severity() {
        Severity::Info => text,
        Severity::Warning => look.paint(Tone::Warn, &text),
        Severity::Severe => look.paint(Tone::Bad, &text),
    };
    let at = if look == Look::Plain { date_time(event.at) } else { clock_time(event.at) };
    format!("{}  {toned}", look.paint(Tone::Faint, &at))
}

/// Reads a moment, or a time before now.
fn moment(text: &str, now: At) -> Result<At, String> {
    if let Ok(ms) = crate::config::time_ms(text) {
        return Ok(At(now.0.saturating_sub(ms)));
    }
    let read: Result<Timestamp, _> = text.parse();
    let read = read.map_err(|_| {
        format!("--since {text} cannot be read\n  fix: write it like 2h or 2026-05-04T03:00:00Z")
    })?;
    Ok(At(u64::try_from(read.as_millisecond()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_a_moment_or_a_time_before_now() {
        assert_eq!(moment("2s", At(10_000)), Ok(At(8_000)));
        assert_eq!(moment("1970-01-01T00:00:05Z", At(0)), Ok(At(5_000)));
        assert!(moment("yesterday", At(0)).unwrap_err().contains("fix:"));
    }
}
