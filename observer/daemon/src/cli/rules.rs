//! `rules`: the verdict table and the gates, printed from the very tables that judge.

use observer_core::judge::{GATES, Gate, RULES, Rule};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::args::Format;
use super::output::{Look, Tone, print};
use super::{Exit, print_json};

pub(super) fn show(format: Format) -> Exit {
    if format == Format::Json {
        let rules: Vec<Value> = RULES.iter().map(rule_json).collect();
        let gates: Vec<Value> = GATES.iter().map(gate_json).collect();
        print_json(&json!({ "rules": rules, "gates": gates }));
    } else {
        print(&text(Look::of_stdout()));
    }
    Exit::Ok
}

/// Both tables as a person reads them.
pub(super) fn text(look: Look) -> String {
    let rules: Vec<Vec<String>> = RULES
        .iter()
        .map(|rule| {
            let when = conditions(&when_of_rule(rule));
            let verdict = rule.verdict.text().to_owned();
            vec![rule.id.to_owned(), rule.cause.name().to_owned(), verdict, when]
        })
        .collect();
    let gates: Vec<Vec<String>> = GATES
        .iter()
        .map(|gate| {
            let bars = gate.bars.map_or("open", |cause| cause.name()).to_owned();
            vec![gate.id.to_owned(), bars, conditions(&when_of_gate(gate))]
        })
        .collect();
    let head = |text: &str| look.paint(Tone::Strong, text) + "\n";
    let mut text = head("Rules: what is right, by the facts. Exactly one answers every world.");
    text.push_str(&look.table(&["RULE", "CAUSE", "VERDICT", "WHEN"], &rules));
    text.push('\n');
    text.push_str(&head("Gates: whether it may be done now. Exactly one answers."));
    text.push_str(&look.table(&["GATE", "BARRED BY", "WHEN"], &gates));
    text
}

type When = Map<String, Value>;

fn when_of_rule(rule: &Rule) -> When {
    let when = &rule.when;
    collect([
        ("sight", words(when.sight)),
        ("roles", words(when.roles)),
        ("master", words(when.master)),
        ("slave", words(when.slave)),
        ("loss", words(when.loss)),
        ("proxies", words(when.proxies)),
        ("fence", words(when.fence)),
        ("upkeep", words(when.upkeep)),
    ])
}

fn when_of_gate(gate: &Gate) -> When {
    let when = &gate.when;
    collect([
        ("act", words(when.act)),
        ("asker", words(when.asker)),
        ("standing", words(when.standing)),
        ("pause", words(when.pause)),
        ("work", words(when.work)),
        ("past", words(when.past)),
        ("journal", words(when.journal)),
    ])
}

fn words<T: Serialize>(values: &[T]) -> Value {
    serde_json::to_value(values).unwrap_or_default()
}

/// Only what is asked: an empty list admits every value.
fn collect<const N: usize>(facts: [(&str, Value); N]) -> When {
    let asked = |(_, values): &(&str, Value)| values.as_array().is_some_and(|v| !v.is_empty());
    facts.into_iter().filter(asked).map(|(name, values)| (name.to_owned(), values)).collect()
}

fn conditions(when: &When) -> String {
    let one = |(name, values): (&String, &Value)| {
        let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
        format!("{name} {}", values.collect::<Vec<_>>().join("|"))
    };
    when.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn rule_json(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "cause": rule.cause,
        "verdict": rule.verdict,
        "why": rule.why,
        "when": when_of_rule(rule),
        "meaning": rule.cause.meaning(),
        "advice": rule.cause.advice(),
    })
}

fn gate_json(gate: &Gate) -> Value {
    json!({ "id": gate.id, "bars": gate.bars, "why": gate.why, "when": when_of_gate(gate) })
}
