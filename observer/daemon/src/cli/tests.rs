//! What can be typed, and what is shown for it.

use observer_core::facts::Journal;
use observer_core::judge::Cause;
use observer_core::pair::Pair;
use observer_core::plan::Promise;
use observer_core::words::{At, Epoch};

use super::output::Look;
use super::*;
use crate::report::members::{HostStatus, ProxyStatus, Role, Shares};
use crate::report::plan::{CommandReport, PlanReport, RefusalReport, StepReport, UndoReport};
use crate::report::runs::Forecast;
use crate::report::view::{PairStatus, PairView, PauseStatus, PlanStatus, ScheduleStatus};
use crate::shell::scripted::spec;

fn typed(line: &str) -> Result<Typed, String> {
    let words = std::iter::once("ha-observer").chain(line.split_whitespace());
    Typed::try_parse_from(words).map_err(|why| why.to_string())
}

#[test]
fn the_command_line_is_consistent() {
    Typed::command().debug_assert();
}

#[test]
fn common_options_stand_before_or_after_the_verb() {
    for line in ["--pair desk -o json status", "status --pair desk -o json"] {
        let typed = typed(line).unwrap();
        assert_eq!(typed.common.pair.as_deref(), Some("desk"));
        assert_eq!(typed.common.output, Format::Json);
    }
}

#[test]
fn what_needs_a_reason_is_refused_without_one() {
    assert!(typed("pause").unwrap_err().contains("--reason"));
    assert!(typed("failover --accept-loss").unwrap_err().contains("--reason"));
    assert!(typed("failover --accept-loss --reason why").is_ok());
}

#[test]
fn a_time_without_a_unit_is_refused_with_an_example() {
    let why = typed("pause --reason x --for 2").unwrap_err();
    assert!(why.contains("500ms, 10s, 5min, 2h or 7d"), "{why}");
    let Verb::Pause { for_ms, .. } = typed("pause --reason x --for 2h").unwrap().verb else {
        panic!("another verb");
    };
    assert_eq!(for_ms, Some(7_200_000));
}

#[test]
fn the_help_lists_every_exit_code() {
    let help = Typed::command().render_help().to_string();
    let last = Exit::FilesBehind as u8;
    for code in 0..=last {
        assert!(help.contains(&format!("\n  {code:2}  ")), "code {code} is not in the help");
    }
}

/// Every rule and gate is printed, from the tables themselves.
#[test]
fn rules_prints_every_row() {
    let text = rules::text(Look::Plain);
    for rule in observer_core::judge::RULES {
        assert!(text.lines().any(|line| line.starts_with(&format!("{}\t", rule.id))));
    }
    for gate in observer_core::judge::GATES {
        assert!(text.lines().any(|line| line.starts_with(&format!("{}\t", gate.id))));
    }
}

fn status() -> PairStatus {
    let blank = PairView::of(&Pair::new(spec(), &[], At(1)), At(1)).status;
    PairStatus {
        protected: true,
        cause: Cause::Steady,
        sentence: "node-b can take over; it would lose 0 B of log".to_owned(),
        rule: Some("S1".to_owned()),
        master: Some("node-a".into()),
        epoch: Epoch(3),
        hosts: vec![
            HostStatus {
                name: "node-a".into(),
                role: Role::Master,
                machine: "up".to_owned(),
                database: "primary, timeline 4".to_owned(),
                lag_bytes: None,
                application: Some("well".to_owned()),
                unready: Vec::new(),
                maintenance: None,
                monitor: None,
                monitor_owed: None,
                drain: None,
                returning: false,
                serves_nobody: false,
            },
            HostStatus {
                name: "node-b".into(),
                role: Role::Slave,
                machine: "up".to_owned(),
                database: "standby, streaming, timeline 4".to_owned(),
                lag_bytes: Some(2_048),
                application: Some("ill: 503 \x1b[2Jhostile".to_owned()),
                unready: Vec::new(),
                maintenance: None,
                monitor: None,
                monitor_owed: None,
                drain: None,
                returning: false,
                serves_nobody: false,
            },
        ],
        proxies: vec![ProxyStatus {
            name: "proxy".into(),
            state: "serves".to_owned(),
            lets_in: vec!["node-a".into()],
            file_lets_in: Some(vec!["node-a".into()]),
            shares: None,
            sessions: 12,
        }],
        journal: Journal::Writable,
        next: "nothing; it looks again every 1.0 s".to_owned(),
        advice: "Nothing to do.".to_owned(),
        ..blank
    }
}

#[test]
fn status_starts_with_the_one_line_that_matters() {
    insta::assert_snapshot!(super::status::text(&status(), Look::Aligned));
}

/// Where users may go to every host, it is said who serves none of them, and nobody is missed where
/// nobody is to be.
#[test]
fn status_says_who_shares_users_and_who_serves_none() {
    let mut status = status();
    let hosts = |names: &[&str]| names.iter().map(|name| (*name).into()).collect::<Vec<_>>();
    let shares = Shares { lets_in: hosts(&["node-a"]), file_lets_in: Some(hosts(&["node-a"])) };
    status.proxies[0].shares = Some(shares);
    let text = super::status::text(&status, Look::Aligned);
    assert!(text.contains("node-a; shared: node-a"), "{text}");
    status.proxies[0].lets_in.clear();
    status.proxies[0].file_lets_in = Some(Vec::new());
    status.hosts[1].serves_nobody = true;
    let text = super::status::text(&status, Look::Aligned);
    assert!(!text.contains("nobody"), "{text}");
    assert!(text.contains("node-b: its application is not well, so that no users go there"));
    status.proxies[0].shares.as_mut().unwrap().lets_in.clear();
    let text = super::status::text(&status, Look::Aligned);
    assert!(text.contains("nobody; shared: nobody"), "{text}");
}

#[test]
fn status_in_the_middle_of_a_plan_says_what_it_waits_for() {
    let plan = PlanStatus {
        plan: observer_core::words::PlanId(4),
        goal: "failover".to_owned(),
        rule: "F1".to_owned(),
        drafted_at: At(1),
        step: 4,
        steps: 9,
        name: "promote".to_owned(),
        what: "promote node-b".to_owned(),
        way: observer_core::journal::Way::Forward,
        waiting_for: "node-b is primary on a timeline after 4 (now: still in recovery)".to_owned(),
        seen: "still in recovery".to_owned(),
        step_since: At(1),
        past_pivot: true,
        can_be_aborted: false,
        promoted: None,
    };
    let status = PairStatus {
        at: At(4_201),
        protected: false,
        cause: Cause::PlanOpen,
        sentence: Cause::PlanOpen.meaning().to_owned(),
        plan: Some(plan),
        pause: Some(PauseStatus {
            by: "alice (uid 1000)".to_owned(),
            reason: "upgrade".to_owned(),
            until: None,
        }),
        schedule: Some(ScheduleStatus { by: "bob (uid 1001)".to_owned(), due: At(7_204_201) }),
        next: "plan 4 goes on: promote".to_owned(),
        advice: Cause::PlanOpen.advice().to_owned(),
        ..status()
    };
    insta::assert_snapshot!(super::status::text(&status, Look::Aligned));
}

#[test]
fn a_dry_run_shows_every_command_host_deadline_and_undo() {
    let command = |host: &str, command: &str| CommandReport {
        host: host.to_owned(),
        command: command.to_owned(),
    };
    let fence = StepReport {
        number: 1,
        name: "fence at proxy".to_owned(),
        what: "take node-a out at proxy and end its sessions".to_owned(),
        commands: vec![command("proxy", "set server desk/node-a state maint")],
        proof: "proxy sends no session to node-a".to_owned(),
        deadline_ms: 5_000,
        on_failure: "the plan is undone".to_owned(),
        undo: UndoReport {
            what: "let users in to node-a at proxy".to_owned(),
            commands: vec![command("proxy", "set server desk/node-a state ready")],
        },
        usual_ms: Some(19),
        is_pivot: false,
    };
    let promote = StepReport {
        number: 2,
        name: "promote".to_owned(),
        what: "promote node-b".to_owned(),
        commands: vec![command("node-b", "select pg_promote(false)")],
        proof: "node-b is primary on a timeline after 4".to_owned(),
        deadline_ms: 30_000,
        on_failure: "it is tried again until it succeeds".to_owned(),
        undo: UndoReport { what: "none: from here only forward".to_owned(), commands: vec![] },
        usual_ms: None,
        is_pivot: true,
    };
    let plan = PlanReport {
        goal: "failover".to_owned(),
        rule: "operator".to_owned(),
        epoch: Epoch(4),
        master: "node-a".into(),
        next_master: "node-b".into(),
        loss: Some("0 B of log, 12 ms of commits at most".to_owned()),
        promise: Some(Promise::OnBoth),
        refused: Some(RefusalReport::of(Cause::Paused)),
        unready: vec![],
        forecast: Forecast { runs: 2, whole_ms: Some(410), held_ms: None },
        steps: vec![fence, promote],
    };
    insta::assert_snapshot!(plan::text(&plan, Look::Aligned));

    // A command that carries a script would fill the screen.
    let script = format!("run {}of node-b", "the whole script ".repeat(40));
    let mut long = plan.clone();
    long.steps[0].commands = vec![command("node-b", &script)];
    let text = plan::text(&long, Look::Aligned);
    assert!(!text.contains(&script) && text.contains("of node-b (shortened; -o json"), "{text}");

    // A switchover's promotion can be withdrawn: it is said when.
    let mut withdrawn = plan.clone();
    withdrawn.steps[1].undo = UndoReport {
        what: "kill the database on node-b".to_owned(),
        commands: vec![command("node-b", "systemctl kill")],
    };
    let text = plan::text(&withdrawn, Look::Aligned);
    assert!(text.contains("promote (the pivot: once it is seen there is only forward)"), "{text}");
    let undo = "undo:     kill the database on node-b, only if it does not come through and is";
    assert!(text.contains(undo), "{text}");
}

#[test]
fn a_refusal_says_what_was_seen_of_its_own_cause() {
    let mut plan = PlanReport {
        goal: "switchover".to_owned(),
        rule: "operator".to_owned(),
        epoch: Epoch(4),
        master: "node-a".into(),
        next_master: "node-b".into(),
        loss: None,
        promise: None,
        refused: Some(RefusalReport::of(Cause::SlaveLagging)),
        unready: vec![],
        forecast: Forecast::default(),
        steps: vec![],
    };
    let seen = ["node-b: 48.0 MiB behind".to_owned()];
    plan.refused_for(Cause::ProxyDown, &seen);
    let other = plan::refusal(&plan).unwrap();
    assert!(!other.contains("seen:"), "{other}");
    plan.refused_for(Cause::SlaveLagging, &seen);
    let own = plan::refusal(&plan).unwrap();
    assert!(own.contains("\n  seen: node-b: 48.0 MiB behind\n  fix: "), "{own}");
}

#[test]
fn a_switchover_is_ordered_for_now_or_later_or_cancelled() {
    for line in ["switchover --dry-run", "switchover --yes --at 23:00", "switchover --cancel"] {
        assert!(typed(line).is_ok(), "{line}");
    }
    assert!(typed("switchover --at 23:00 --replace").is_ok());
    assert!(typed("switchover --replace").is_err(), "of which time?");
    assert!(typed("pause --reason x --for 5m").is_ok());
    for line in ["switchover --cancel --at 23:00", "switchover --force", "abort --skip-step"] {
        assert!(typed(line).is_err(), "{line}");
    }
    assert!(typed("abort --skip-step --reason stuck").is_ok());
    assert!(typed("abort --lost node-b --reason burnt").is_ok());
    for line in ["abort --lost node-b", "abort --reason burnt", "abort --skip-step --lost node-b"] {
        assert!(typed(line).is_err(), "{line}");
    }
}

#[test]
fn the_directory_has_one_name_and_its_old_ones_are_understood() {
    let directory = |line: &str| match typed(line).unwrap().verb {
        Verb::Run(config) | Verb::Rules(config) => config.directory,
        Verb::Config(args) => match args.action.unwrap() {
            args::ConfigAction::Check { config, place } => place.unwrap_or(config.directory),
            args::ConfigAction::Sudoers { config, .. }
            | args::ConfigAction::Files { config, .. }
            | args::ConfigAction::Guard { config, .. } => config.directory,
        },
        _ => panic!("another verb"),
    };
    for line in [
        "run --config /x",
        "config check --config /x",
        "config check /x",
        "config sudoers node-a --config /x",
        "config sudoers node-a --directory /x",
        "config guard node-a --config /x",
    ] {
        assert_eq!(directory(line), PathBuf::from("/x"), "{line}");
    }
    assert_eq!(directory("config check"), PathBuf::from(crate::config::DEFAULT_DIRECTORY));
}

#[test]
fn what_this_process_finds_is_json_like_what_the_daemon_says() {
    let failure = Failure::NotConfirmed("nobody is there\n  fix: add --yes".to_owned());
    let expected =
        json!({ "kind": "not-confirmed", "message": "nobody is there", "fix": "add --yes" });
    assert_eq!(failure.json(), expected);
    let words = |line: &str| asks_for_json(line.split(' ').map(str::to_owned));
    assert!(words("status -o json") && words("x --output=json") && words("-ojson"));
    assert!(!words("status -o text"));
}

mod validation {
    use observer_core::validate::{FilesState, Inputs, ObserverState, Roles, Survey, validate};

    use super::*;
    use crate::cli::args::{ChangeOfMaster, ValidateArgs};

    const ARGS: ValidateArgs =
        ValidateArgs { strict: false, readiness: None, all: false, list: false };

    /// A validation whose machines all kept silent, while a plan is open.
    fn text(args: &ValidateArgs) -> String {
        let (spec, observer) = (spec(), observer());
        let roles = Roles::of(&spec, &"node-a".into());
        let (hosts, proxies, bouncers) = Default::default();
        let survey = Survey { hosts, proxies, bouncers, parity: Vec::new(), took_ms: 12 };
        let inputs = Inputs { spec: &spec, roles: &roles, survey: &survey, observer: &observer };
        crate::cli::validate::text(&validate(&inputs), args, Look::Aligned)
    }

    fn observer() -> ObserverState {
        let plan = Some(observer_core::words::PlanId(7));
        ObserverState {
            candidate: None,
            plan,
            paused: None,
            maintenance: Vec::new(),
            drained: Vec::new(),
            unacknowledged: None,
            journal: Journal::Writable,
            files: FilesState::default(),
        }
    }

    #[test]
    fn the_verdicts_come_first_and_one_reason_is_told_once() {
        insta::assert_snapshot!(text(&ARGS));
    }

    #[test]
    fn one_verdict_can_be_asked_for_and_every_line_fits_a_terminal() {
        let text = text(&ValidateArgs { readiness: Some(ChangeOfMaster::SwitchBack), ..ARGS });
        assert!(text.starts_with("switch-back: NOT ready (1 check fails, "), "{text}");
        assert!(!text.contains("observer-acts"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn a_power_fence_is_told_host_by_host_and_a_failing_one_with_its_command() {
    use observer_core::validate::Power;

    use crate::api::types::{FenceReport, FencedHost};

    let host = |host: &str, power, why_not: Option<&str>| FencedHost {
        host: host.into(),
        command: "/usr/sbin/fence --action=status".to_owned(),
        power,
        why_not: why_not.map(str::to_owned),
        took_ms: 212,
    };
    let why = "the power fence's `status` ended with 3: login denied";
    let hosts = vec![host("node-a", Some(Power::On), None), host("node-b", None, Some(why))];
    let text = crate::cli::fence::text(&FenceReport { hosts }, Look::Aligned);
    assert_eq!(
        text,
        "node-a  works: the host is on (212 ms)\n\
         node-b  FAILS (212 ms)\n    \
         the power fence's `status` ended with 3: login denied\n    \
         asked with: /usr/sbin/fence --action=status\n"
    );
}
