//! Parity in the shell: what is told and kept of a difference, and when an item may be copied.

use observer_core::event::EventKind;
use observer_core::judge::Cause;
use observer_core::pair::Refusal;
use observer_core::parity::{Item, Kept, Mending, NotCopied, Secrecy, Standing};
use observer_core::validate::Severity;

use super::*;
use crate::report::parity::{CopyReport, ParityReport};
use crate::shell::parity::{CopyOrder, NotFixed};

fn password() -> Item {
    Item {
        name: "password".to_owned(),
        what: "key password of /etc/desk".to_owned(),
        severity: Severity::Severe,
        secrecy: Secrecy::Secret,
        same_as: None,
        mending: Mending::Copy,
    }
}

async fn compare(handle: &PairHandle<Scripted>) -> ParityReport {
    let (reply, answer) = oneshot::channel();
    handle.asks.send(Ask::Parity(reply)).await.unwrap();
    answer.await.unwrap()
}

async fn fix(
    handle: &PairHandle<Scripted>,
    from: Option<&str>,
    seal: Option<&str>,
) -> Result<CopyReport, NotFixed> {
    let (reply, answer) = oneshot::channel();
    let order = CopyOrder {
        by: "jo (uid 7)".to_owned(),
        item: "password".to_owned(),
        from: from.map(Into::into),
        seal: seal.map(str::to_owned),
    };
    handle.asks.send(Ask::Fix(order, reply)).await.unwrap();
    answer.await.unwrap()
}

fn told(bench: &Bench) -> Vec<String> {
    let events = bench.store.told().into_iter().map(|event| event.kind);
    let parity = events.filter(|kind| {
        matches!(kind, EventKind::ParityChanged { .. } | EventKind::ParityFixed { .. })
    });
    parity.map(|kind| kind.text()).collect()
}

fn kept(bench: &Bench) -> Kept {
    let json = bench.store.remembered(crate::shell::parity::KEY).expect("it is kept");
    let all: crate::shell::parity::Memory = serde_json::from_str(&json).unwrap();
    all["password"]
}

/// A difference is told once, stands in `status`, and a restart forgets neither it nor since when:
/// also not one during which a host was away.
#[test]
fn a_difference_is_told_once_and_known_since_when_across_a_restart() {
    run(async {
        let bench = Bench::new();
        bench.world.has(&password(), [Some("x"), Some("y")]);
        let mut handle = bench.start();
        let status = until(&mut handle, "compared", |status| status.parity.is_some()).await;
        assert_eq!(status.parity.unwrap().broken, ["password"]);
        let report = compare(&handle).await;
        assert_eq!(report.items[0].compared.standing, Standing::Differs);
        stop(handle).await;
        let since = kept(&bench).since;

        bench.world.has(&password(), [Some("x"), None]);
        let mut handle = bench.start();
        until(&mut handle, "known to be unread", |status| {
            status.parity.as_ref().is_some_and(|parity| parity.unread == ["password"])
        })
        .await;
        stop(handle).await;
        bench.world.has(&password(), [Some("x"), Some("z")]);
        let handle = bench.start();
        let report = compare(&handle).await;
        assert_eq!((report.items[0].since, report.items[0].unread_since), (since, None));
        bench.world.has(&password(), [Some("x"), Some("x")]);
        let report = compare(&handle).await;
        assert_eq!(report.items[0].compared.standing, Standing::Same);
        stop(handle).await;
        assert_eq!(
            told(&bench),
            [
                "parity: password differs: node-b has another value than the rest",
                "parity: password is alike on all hosts again",
            ]
        );
    });
}

/// Shown first, carried out with the seal of what was shown, told, and compared again by itself.
#[test]
fn an_item_is_copied_from_the_master_and_compared_again() {
    run(async {
        let bench = Bench::new();
        bench.world.has(&password(), [Some("x"), Some("y")]);
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        let shown = fix(&handle, None, None).await.unwrap();
        assert_eq!((shown.from.as_str(), shown.onto_master), ("node-a", false));
        assert_eq!(shown.changes[0].host.as_str(), "node-b");
        assert!(shown.copied.is_empty());
        let done = fix(&handle, None, Some(&shown.seal)).await.unwrap();
        assert_eq!(done.copied[0].kept, "/etc/desk.kept");
        until(&mut handle, "alike", |status| {
            status.parity.as_ref().is_some_and(|parity| parity.broken.is_empty())
        })
        .await;
        stop(handle).await;
        let fixed = "parity: password copied from node-a to node-b for jo (uid 7); before: \
                     /etc/desk.kept";
        assert!(told(&bench).contains(&fixed.to_owned()), "{:?}", told(&bench));
        assert!(bench.performed().is_empty(), "a copy is no effect of a plan");
    });
}

#[test]
fn a_copy_onto_the_master_says_so_and_takes_a_named_host() {
    run(async {
        let bench = Bench::new();
        bench.world.has(&password(), [Some("x"), Some("y")]);
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        let shown = fix(&handle, Some("node-b"), None).await.unwrap();
        assert!(shown.onto_master);
        let nobody = fix(&handle, Some("node-c"), None).await;
        assert_eq!(nobody, Err(NotCopied::UnknownHost("node-c".into()).into()));
        stop(handle).await;
    });
}

/// Pause is absolute, and a plan that is open has the hosts to itself: not even a preview.
#[test]
fn nothing_is_copied_while_paused_or_while_a_plan_is_open() {
    run(async {
        let bench = Bench::new();
        bench.world.has(&password(), [Some("x"), Some("y")]);
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        let pause = PauseOrder { by: "jo".to_owned(), reason: "upgrade".to_owned(), until: None };
        order(&handle, OperatorOrder::Pause(pause)).await;
        let refused = |cause| Err(NotFixed::Refused(Refusal::Cause(cause)));
        assert_eq!(fix(&handle, None, Some("seal")).await, refused(Cause::Paused));
        until(&mut handle, "paused", |status| status.pause.is_some()).await;
        order(&handle, OperatorOrder::Resume { by: "jo".to_owned() }).await;
        until(&mut handle, "resumed", |status| status.pause.is_none()).await;

        bench.world.slow(Duration::from_millis(300));
        bench.world.lose("node-a");
        until(&mut handle, "failing over", |status| status.plan.is_some()).await;
        assert_eq!(fix(&handle, None, Some("seal")).await, refused(Cause::PlanOpen));
        assert_eq!(fix(&handle, None, None).await, refused(Cause::PlanOpen));
        stop(handle).await;
        assert!(told(&bench).iter().all(|text| !text.contains("copied")), "{:?}", told(&bench));
    });
}
