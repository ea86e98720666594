//! Reading what the observer told.

use serde_json::Value;

/// Reads `events -o json`: one array, an object with one, or one object per line.
pub(super) fn parse(text: &str) -> Vec<Value> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(events)) => events,
        Ok(Value::Object(mut object)) => match object.remove("events") {
            Some(Value::Array(events)) => events,
            _ => vec![Value::Object(object)],
        },
        _ => text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
    }
}

/// Questions to a list of events.
pub trait Told {
    /// The events of this kind.
    fn of_kind(&self, kind: &str) -> Vec<&Value>;

    /// True if some verdict or plan names this rule.
    fn names_rule(&self, rule: &str) -> bool;

    /// True if a plan with this goal (`failover`, …) was opened.
    fn plans(&self) -> usize;

    /// The milliseconds of each proven forward step of the last plan, by the step's name.
    fn steps(&self) -> Vec<(String, u64)>;
}

impl Told for [Value] {
    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.iter().filter(|event| event["kind"] == kind).collect()
    }

    fn names_rule(&self, rule: &str) -> bool {
        self.iter().any(|event| event["rule"] == rule)
    }

    fn plans(&self) -> usize {
        self.of_kind("plan-opened").len()
    }

    fn steps(&self) -> Vec<(String, u64)> {
        let last = self.of_kind("plan-opened").last().map(|event| event["plan"].clone());
        self.of_kind("step-proven")
            .into_iter()
            .filter(|event| Some(&event["plan"]) == last.as_ref() && event["way"] == "forward")
            .map(|event| {
                let name = event["name"].as_str().unwrap_or_default().to_owned();
                (name, event["took_ms"].as_u64().unwrap_or_default())
            })
            .collect()
    }
}

/// All events as lines, for the message of a failed assertion.
#[must_use]
pub fn texts(events: &[Value]) -> String {
    let lines = events.iter().map(|event| {
        let mut event = event.clone();
        if let Some(object) = event.as_object_mut() {
            object.remove("evidence");
        }
        event.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}
