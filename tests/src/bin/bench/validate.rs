//! How long a validation takes: the survey of all machines, and the whole command.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tests::lab::Result;

use crate::table::median;

const QUESTIONS: usize = 21;

/// The figures of one healthy pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Validation {
    /// The survey, as the daemon tells it.
    pub(crate) survey_ms: Vec<f64>,
    /// `ha-observer validate` from start to end of the process, entering the machine included.
    pub(crate) command_ms: Vec<f64>,
}

/// Measures on fresh machines.
pub(crate) fn measure() -> Result<Validation> {
    let stage = crate::set(Vec::new())?;
    let (mut survey_ms, mut command_ms) = (Vec::new(), Vec::new());
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        let text = stage.ask(&["validate", "-o", "json"])?.success()?;
        command_ms.push(began.elapsed().as_secs_f64() * 1000.0);
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        survey_ms.push(report["took_ms"].as_f64().unwrap_or(f64::NAN));
    }
    Ok(Validation { survey_ms, command_ms })
}

/// The figures as a person reads them.
#[allow(clippy::print_stdout, reason = "its output is for a person")]
pub(crate) fn print(figures: &Validation) {
    println!("\nA validation of one healthy pair (median of {QUESTIONS})\n");
    println!("| figure | ms |\n|---|---:|");
    println!("| survey of two hosts and a proxy | {:.0} |", median(&figures.survey_ms));
    println!("| the whole command | {:.0} |", median(&figures.command_ms));
}
