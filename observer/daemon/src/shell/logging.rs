//! The log for people: journald under systemd, standard error elsewhere.
//!
//! It is not the journal (our durable record) and holds no secret: nothing that is logged ever
//! comes from a key or credential file.

use std::sync::Once;

use observer_core::event::{Event, Severity};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging with a filter such as `info`. Called once per process; later calls do nothing.
pub(crate) fn start(filter: &str) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
        let registry = tracing_subscriber::registry().with(filter);
        let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
        match tracing_journald::layer() {
            Ok(layer) if under_systemd => {
                registry.with(layer.with_syslog_identifier("ha-observer".to_owned())).init();
            }
            _ => registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(false)).init(),
        }
    });
}

/// Logs one event, as loud as it is.
pub(crate) fn event(event: &Event) {
    let (pair, kind, text) =
        (&event.pair, event.kind.name(), crate::report::event_text(&event.kind));
    let plan = event.kind.plan().map(|plan| plan.0);
    let rule = event.kind.rule();
    match event.kind.severity() {
        Severity::Info => tracing::info!(%pair, kind, plan, rule, "{text}"),
        Severity::Warning => tracing::warn!(%pair, kind, plan, rule, "{text}"),
        Severity::Severe => tracing::error!(%pair, kind, plan, rule, "{text}"),
    }
}
