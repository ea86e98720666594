//! Comparisons of a file set in the shell: one at a time, what is told and kept, and what ends one.

use observer_core::files::verify::{By, Class, Database, Finding, Tally, Verification, Wholeness};
use observer_core::pair::Refusal;
use observer_core::plan::Ordered;
use observer_core::policy::{FileSetSpec, Naming};

use super::*;
use crate::api::types::{Comparing, VerifyRequest};
use crate::report::verify::Comparison;
use crate::shell::verify::{CompareOrder, Memory as Verified, NotCompared};

fn request(by: Comparing, diff: Option<&str>) -> VerifyRequest {
    let (set, diff) = ("files".into(), diff.map(str::to_owned));
    VerifyRequest { set, by, percent: None, seed: None, database: Database::Left, diff }
}

fn result(tally: Tally) -> Verification {
    Verification {
        set: "files".into(),
        master: "node-a".into(),
        slave: "node-b".into(),
        by: By::Metadata,
        took_ms: 5,
        entries: 9,
        bytes: 90,
        hashed_files: 0,
        hashed_bytes: 0,
        looked_twice: 0,
        tally,
        database: None,
    }
}

/// A pair with a file set, which everything was looked at.
async fn with_files(bench: &Bench) -> PairHandle<Scripted> {
    let mut handle = bench.start();
    until(&mut handle, "protected", |status| status.protected).await;
    let set = FileSetSpec {
        name: "files".into(),
        every_ms: 60_000,
        stale_after_ms: 600_000,
        near_deadline_ms: 1_000,
        last_deadline_ms: 1_000,
        verify_percent: 5,
        must_exist: Vec::new(),
        named: Naming::None,
    };
    let spec = observer_core::policy::PairSpec { files: vec![set], ..spec() };
    let reconfigured = Control::Reconfigure(Box::new(spec), bench.world.clone());
    handle.control.send(reconfigured).await.unwrap();
    until(&mut handle, "with files", |status| !status.files.is_empty()).await;
    handle
}

async fn compare(
    handle: &PairHandle<Scripted>,
    request: VerifyRequest,
) -> Result<u64, NotCompared> {
    let (reply, answer) = oneshot::channel();
    let order = CompareOrder { by: "jo (uid 7)".to_owned(), request };
    handle.asks.send(Ask::Verify(order, reply)).await.unwrap();
    answer.await.unwrap()
}

async fn stands(handle: &PairHandle<Scripted>, number: u64) -> Comparison {
    let (reply, answer) = oneshot::channel();
    handle.asks.send(Ask::Verification(number, reply)).await.unwrap();
    answer.await.unwrap()
}

async fn over(handle: &PairHandle<Scripted>, number: u64) -> Comparison {
    let following = async {
        loop {
            match stands(handle, number).await {
                Comparison::Running { .. } => tokio::time::sleep(Duration::from_millis(5)).await,
                over => return over,
            }
        }
    };
    tokio::time::timeout(LIMIT, following).await.expect("it ends")
}

/// What came of it is told once, stands in `status`, and a restart does not forget it.
#[test]
fn what_came_of_a_verification_is_told_and_kept() {
    run(async {
        let bench = Bench::new();
        let mut handle = with_files(&bench).await;
        let number = compare(&handle, request(Comparing::Metadata, None)).await.unwrap();
        let again = compare(&handle, request(Comparing::Content, None)).await;
        assert_eq!(again, Err(NotCompared::Running("files".into())));
        tokio::time::sleep(Duration::from_millis(30)).await;
        match stands(&handle, number).await {
            Comparison::Running { progress } => assert_eq!(progress.entries, 7),
            other => panic!("{other:?}"),
        }
        let mut tally = Tally { same: 8, ..Tally::default() };
        let finding = || Finding { path: "a".to_owned(), what: "size".to_owned() };
        tally.add(Class::Differs, 1, finding);
        bench.world.verifies(Ok(result(tally.clone())));
        let done = over(&handle, number).await;
        assert_eq!(done, Comparison::Done { result: Box::new(result(tally.clone())) });
        assert_eq!(stands(&handle, number + 1).await, Comparison::Unknown);
        let known = |status: &PairStatus| status.verified.contains_key(&"files".into());
        until(&mut handle, "verified", known).await;
        let told: Vec<EventKind> = bench.store.told().into_iter().map(|one| one.kind).collect();
        let told: Vec<&EventKind> =
            told.iter().filter(|kind| matches!(kind, EventKind::FilesVerified { .. })).collect();
        let [EventKind::FilesVerified { wholeness: Wholeness::NotWhole, by, text, .. }] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!(
            (by.as_str(), text.as_str()),
            ("jo (uid 7)", "by metadata: 8 the same, 1 differ")
        );
        stop(handle).await;
        let json = bench.store.remembered(crate::shell::verify::KEY).expect("it is kept");
        let kept: Verified = serde_json::from_str(&json).unwrap();
        assert_eq!(kept[&"files".into()].last.as_ref().unwrap().result, result(tally));
    });
}

/// A plan has the disks for itself: none is begun beside it, and one that runs ends.
#[test]
fn a_plan_ends_a_comparison_and_a_diff_is_not_kept() {
    run(async {
        let bench = Bench::new();
        let mut handle = with_files(&bench).await;
        let mut unknown = request(Comparing::Metadata, None);
        unknown.set = "others".into();
        let refused = compare(&handle, unknown).await.unwrap_err();
        assert!(matches!(refused, NotCompared::Refused(Refusal::Nothing(_))), "{refused:?}");
        bench.world.slow(Duration::from_millis(900));
        let number = compare(&handle, request(Comparing::Metadata, Some("./a/"))).await.unwrap();
        let ordered = Ordered { by: "jo".to_owned(), reason: None };
        let accept_loss = Some("a rehearsal".to_owned());
        let failover = OperatorOrder::FailOver { ordered, accept_loss };
        order(&handle, failover).await;
        until(&mut handle, "at work", |status| status.plan.is_some()).await;
        match over(&handle, number).await {
            Comparison::Failed { why } => assert!(why.contains("was opened meanwhile"), "{why}"),
            other => panic!("{other:?}"),
        }
        let refused = compare(&handle, request(Comparing::Metadata, None)).await.unwrap_err();
        assert_eq!(refused, NotCompared::Refused(Refusal::Cause(Cause::PlanOpen)));
        assert_eq!(bench.store.remembered(crate::shell::verify::KEY), None);
        stop(handle).await;
    });
}
