//! The bodies of requests and answers, beside the reports themselves.
//!
//! Every answer is JSON. An answer that is no success has the form of [`Problem`].

use std::collections::BTreeMap;

use observer_core::draft::Services;
use observer_core::files::verify::Database;
use observer_core::journal::Keeper;
use observer_core::pair::Earlier;
use observer_core::upgrade::Next;
use observer_core::validate::Power;
use observer_core::words::{At, FileSetName, HostName};
use serde::{Deserialize, Serialize};

use crate::shell::archive::StoredEvent;

/// Query of `GET /v1/status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusQuery {
    /// Wait a few seconds at most until everything was looked at once since the daemon's start, or
    /// since the last plan.
    #[serde(default)]
    pub(crate) looked: bool,
}

/// Query of `GET /v1/pairs/{pair}/events`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// Only events with a greater number, oldest first.
    pub(crate) after: Option<u64>,
    /// Only events at this moment or later, in milliseconds since the Unix epoch.
    pub(crate) since: Option<u64>,
    /// At most so many (default 100, at most 10000); the newest unless `after` is given.
    pub(crate) limit: Option<usize>,
    /// With `after`: wait so long for a newer event if there is none yet, in milliseconds, at
    /// most 30000.
    pub(crate) wait_ms: Option<u64>,
}

/// Answer of `GET /v1/pairs/{pair}/events`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EventsAnswer {
    /// The events, oldest first.
    pub(crate) events: Vec<StoredEvent>,
}

/// Body of `POST /v1/pairs/{pair}/failover`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailoverRequest {
    /// Only answer with the plan ([`PlanReport`](crate::report::plan::PlanReport)).
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Accept whatever is lost, this once. Needs a reason.
    #[serde(default)]
    pub(crate) accept_loss: bool,
    /// Why; kept in the events.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// Body of `POST /v1/pairs/{pair}/switchover`, `rejoin` and `repair`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanRequest {
    /// Only answer with the plan ([`PlanReport`](crate::report::plan::PlanReport)).
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Why; told by the events.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// Body of `POST /v1/pairs/{pair}/schedule`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleRequest {
    /// When the switchover begins, in milliseconds of the daemon's clock (`at` of `status`).
    pub(crate) due: At,
    /// Why; told by the events.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// What becomes of one that waits already.
    #[serde(default)]
    pub(crate) earlier: Earlier,
}

/// Body of `POST /v1/pairs/{pair}/skip-step`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkipStepRequest {
    /// Why; kept in the events.
    pub(crate) reason: String,
}

/// Body of `POST /v1/pairs/{pair}/give-up`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GiveUpRequest {
    /// The host that the open plan promotes and that is gone for good.
    pub(crate) host: HostName,
    /// Why, and how it is known; kept in the events.
    pub(crate) reason: String,
}

/// Longest pause that ends by itself: 30 days, in milliseconds.
pub(crate) const PAUSE_MAX_MS: u64 = 30 * 24 * 3_600_000;

/// Body of `POST /v1/pairs/{pair}/pause`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseRequest {
    /// Why; shown by `status` to everybody.
    pub(crate) reason: String,
    /// When it ends by itself, in milliseconds of the daemon's clock (`at` of `status`).
    #[serde(default)]
    pub(crate) until: Option<At>,
}

/// Body of `POST /v1/pairs/{pair}/services`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServicesRequest {
    /// Which host; it must be in maintenance.
    pub(crate) host: HostName,
    /// What is to become of its services.
    pub(crate) wanted: Services,
    /// Why; told by the events.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// Only show the plan.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// Body of `POST /v1/pairs/{pair}/upgrade`; the fields are those of [`Upgrade`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpgradeRequest {
    /// What is upgraded.
    pub(crate) name: String,
    /// The hosts; all if empty. Whichever is the master comes last.
    #[serde(default)]
    pub(crate) hosts: Vec<HostName>,
    /// The command that upgrades a host. The daemon keeps it and never runs it.
    pub(crate) command: Vec<String>,
    /// The command that takes that back.
    #[serde(default)]
    pub(crate) back: Vec<String>,
    /// The command that succeeds once a host is ready.
    #[serde(default)]
    pub(crate) ready: Vec<String>,
    /// Environment of the commands.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// Environment of one host beside that.
    #[serde(default)]
    pub(crate) host_environment: BTreeMap<HostName, BTreeMap<String, String>>,
    /// How long the command may take, in milliseconds.
    pub(crate) command_limit_ms: u64,
    /// How long a host may take to be ready, in milliseconds.
    pub(crate) ready_limit_ms: u64,
}

/// Body of `POST /v1/pairs/{pair}/upgrade/mark`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpgradeMark {
    /// The stage that ended.
    pub(crate) next: Next,
    /// Why it failed, if it did.
    #[serde(default)]
    pub(crate) failed: Option<String>,
}

/// Body of `POST /v1/pairs/{pair}/maintenance`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaintenanceRequest {
    /// Which host.
    pub(crate) host: HostName,
    /// Why; shown by `status` to everybody.
    pub(crate) reason: String,
    /// When it ends by itself, in milliseconds of the daemon's clock (`at` of `status`).
    #[serde(default)]
    pub(crate) until: Option<At>,
    /// Whose it is; the upgrade's verb orders its own.
    #[serde(default)]
    pub(crate) keeper: Keeper,
}

/// Body of `POST /v1/pairs/{pair}/maintenance/end`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaintenanceEnd {
    /// Which host.
    pub(crate) host: HostName,
    /// Whose is meant; a person's order ends any.
    #[serde(default)]
    pub(crate) keeper: Keeper,
}

/// Body of `POST /v1/pairs/{pair}/drain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainRequest {
    /// Which host.
    pub(crate) host: HostName,
    /// Why; shown by `status` to everybody.
    pub(crate) reason: String,
    /// When it ends by itself, in milliseconds of the daemon's clock (`at` of `status`).
    #[serde(default)]
    pub(crate) until: Option<At>,
    /// How long sessions may take to end before it is told how many are left, in milliseconds.
    pub(crate) limit_ms: u64,
}

/// Body of `POST /v1/pairs/{pair}/forget`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgetRequest {
    /// Which host: one that is dead.
    pub(crate) host: HostName,
    /// Why; shown by `status` to everybody.
    pub(crate) reason: String,
}

/// Body of `POST /v1/pairs/{pair}/undrain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndrainRequest {
    /// Which host.
    pub(crate) host: HostName,
}

/// Body of `POST /v1/pairs/{pair}/parity/fix`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixRequest {
    /// The item's name.
    pub(crate) item: String,
    /// Whose value is right; the master's if left out.
    #[serde(default)]
    pub(crate) from: Option<HostName>,
    /// The `seal` of the answer that was confirmed; left out, it is only shown what would change.
    #[serde(default)]
    pub(crate) seal: Option<String>,
}

/// Body of `POST /v1/pairs/{pair}/files/pass`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassRequest {
    /// The file set.
    pub(crate) set: FileSetName,
    /// How many files it may delete; by the set's limits if left out.
    #[serde(default)]
    pub(crate) deletions: Option<u64>,
}

/// Body of `POST /v1/pairs/{pair}/files/verify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyRequest {
    /// The file set.
    pub(crate) set: FileSetName,
    /// By what files are compared.
    #[serde(default)]
    pub(crate) by: Comparing,
    /// With `sample`: the share of files whose content is compared, in percent; as configured if
    /// left out.
    #[serde(default)]
    pub(crate) percent: Option<u8>,
    /// With `sample`: what the choice follows from; another one each time if left out.
    #[serde(default)]
    pub(crate) seed: Option<u64>,
    /// Whether the paths that the database names are looked for, too.
    #[serde(default)]
    pub(crate) database: Database,
    /// Only say what differs now at or below this path, relative to the set's folder (empty: all
    /// of it). Nothing is looked at twice, and nothing is kept.
    #[serde(default)]
    pub(crate) diff: Option<String>,
}

/// By what files are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Comparing {
    /// Size and time.
    #[default]
    Metadata,
    /// The content of a part of them, too.
    Sample,
    /// The content of each, too.
    Content,
}

/// Answer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct VerifyBegun {
    /// Its number, for `GET …/files/verify/{number}`. It ends if nobody asks for a minute.
    pub(crate) number: u64,
}

/// Answer to an order that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// What comes of it is told by the events after this number.
    pub(crate) after: u64,
}

/// Answer of `GET /v1/pairs/{pair}/fence`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FenceReport {
    /// Every host that the power fence is configured for; none where there is no power fence.
    pub(crate) hosts: Vec<FencedHost>,
}

/// What the power fence said of one host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FencedHost {
    /// The host.
    pub(crate) host: HostName,
    /// The exact command that was run.
    pub(crate) command: String,
    /// Whether the host has power; none if that could not be told.
    pub(crate) power: Option<Power>,
    /// Why it could not be told.
    pub(crate) why_not: Option<String>,
    /// How long it took, in milliseconds.
    pub(crate) took_ms: u64,
}

/// Why a request was not served.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// What kind of problem, for programs.
    pub(crate) kind: ProblemKind,
    /// What is wrong, in a sentence.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) fix: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProblemKind {
    /// No pair of that name (404).
    UnknownPair,
    /// The order was understood and is not carried out (409).
    Refused,
    /// The request cannot be read (400).
    BadRequest,
    /// The daemon cannot serve it now (503).
    Unavailable,
}
