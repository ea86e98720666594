//! The blow and what follows, told live: events of the observer and counters of the proxy, each
//! with its time after the blow.
//!
//! It asserts nothing and measures no outage: that is for the clients' books.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use observer_core::event::{Event, EventKind, Severity};
use observer_core::journal::{Outcome, Way};
use tests::lab::{LabError, Result};
use tests::stage::Stage;

use crate::crowd::{Count, Crowd};
use crate::screen::{Screen, Tone};

/// How often the proxy is asked for its counters.
const PACE: Duration = Duration::from_millis(20);
/// Lines of two sources are sorted by their times before they are shown.
const SORTING: Duration = Duration::from_millis(250);
/// So long without answers is no pause between two of them.
const QUIET: Duration = Duration::from_millis(200);
/// So many answers tell a crowd from a single probe.
const CROWD_MIN: u64 = 4;

/// The observer's events as they come.
pub(crate) struct Feed {
    child: Child,
    events: Receiver<Event>,
}

impl Feed {
    /// Listens from now on.
    pub(crate) fn open(stage: &Stage) -> Result<Self> {
        let io = |source| LabError::Io { doing: "follow the events".to_owned(), source };
        let mut command = stage.observer().enter()?;
        command.args(["ha-observer", "events", "--follow", "--limit", "1", "-o", "json"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(io)?;
        let from = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in from.lines().map_while(std::result::Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else { continue };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, events })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // It may have ended with its machine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of the story that waits for its turn.
struct Line {
    tone: Tone,
    text: String,
    details: Vec<String>,
}

/// Tells what happens after `since` (milliseconds of the Unix epoch), until the plan is closed and
/// users are answered, at most for `limit`. True if it came to that.
pub(crate) fn tell(
    screen: &Screen,
    feed: &Feed,
    crowd: &Crowd,
    since: u64,
    limit: Duration,
) -> bool {
    let began = Instant::now();
    let mut story = Story { since, lines: BTreeMap::new(), order: 0, closed: false };
    let mut users = Users { last: None, state: State::Served, waiting: 0 };
    while began.elapsed() < limit {
        match feed.events.recv_timeout(PACE) {
            Ok(event) => story.note_event(&event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(PACE),
        }
        if let Some(count) = crowd.count() {
            users.look(count, &mut story);
        }
        story.show(screen, unix_ms().saturating_sub(millis(SORTING)));
        if story.closed && users.state == State::Back {
            story.show(screen, u64::MAX);
            return true;
        }
    }
    story.show(screen, u64::MAX);
    false
}

/// What the users get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Served,
    Silence,
    Back,
}

/// What is known of the users.
struct Users {
    /// The last count in which there were more answers than before.
    last: Option<Count>,
    state: State,
    waiting: u64,
}

impl Users {
    fn look(&mut self, count: Count, story: &mut Story) {
        let last = *self.last.get_or_insert(count);
        let quiet = count.at.duration_since(last.at);
        let answered = count.answered.saturating_sub(last.answered);
        match self.state {
            State::Served if quiet >= QUIET && answered < CROWD_MIN => {
                self.state = State::Silence;
                let text = "users: no answers any more; the proxy lets them wait";
                story.note(unix_ms() - millis(quiet), Tone::Bad, text);
            }
            State::Silence if answered >= CROWD_MIN => {
                self.state = State::Back;
                let waited = self.waiting;
                let text = format!("users: answered again; {waited} requests waited at the proxy");
                story.note(unix_ms(), Tone::Good, &text);
            }
            State::Silence => self.waiting = self.waiting.max(count.inside),
            State::Served | State::Back => {}
        }
        if answered >= CROWD_MIN {
            self.last = Some(count);
        }
    }
}

struct Story {
    since: u64,
    lines: BTreeMap<(u64, u64), Line>,
    order: u64,
    closed: bool,
}

impl Story {
    fn note(&mut self, at: u64, tone: Tone, text: &str) {
        self.add(at, Line { tone, text: text.to_owned(), details: Vec::new() });
    }

    fn note_event(&mut self, event: &Event) {
        if event.at.0 < self.since {
            return;
        }
        if let EventKind::PlanClosed { .. } = &event.kind {
            self.closed = true;
        }
        if let Some(line) = line(&event.kind) {
            self.add(event.at.0, line);
        }
    }

    fn add(&mut self, at: u64, line: Line) {
        self.order += 1;
        self.lines.insert((at, self.order), line);
    }

    fn show(&mut self, screen: &Screen, until: u64) {
        while let Some(entry) = self.lines.first_entry()
            && entry.key().0 <= until
        {
            let ((at, _), line) = entry.remove_entry();
            screen.moment(at.cast_signed() - self.since.cast_signed(), line.tone, &line.text);
            line.details.iter().for_each(|detail| screen.detail(detail));
        }
    }
}

/// An event in plain words; none for those that only repeat what the next one proves.
fn line(kind: &EventKind) -> Option<Line> {
    let tone = match kind.severity() {
        Severity::Info => Tone::Strong,
        Severity::Warning | Severity::Severe => Tone::Bad,
    };
    let (tone, text, details) = match kind {
        EventKind::VerdictChanged { evidence, .. } => (tone, kind.text(), evidence.clone()),
        EventKind::StepOrdered { .. } | EventKind::StepProven { way: Way::Back, .. } => {
            return None;
        }
        EventKind::StepProven { step, name, evidence, took_ms, .. } => {
            let text = format!("step {:>2}  {name}: {evidence} ({took_ms} ms)", step + 1);
            (Tone::Strong, text, Vec::new())
        }
        EventKind::PlanClosed { outcome: Outcome::Done, .. } => {
            (Tone::Good, kind.text(), Vec::new())
        }
        _ => (tone, kind.text(), Vec::new()),
    };
    Some(Line { tone, text, details })
}

/// The wall clock, which all machines of the lab share.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
