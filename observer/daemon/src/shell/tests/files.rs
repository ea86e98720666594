//! An order that changes the files of several proxies, and a life that ends in the middle of it.

use serde_json::json;

use super::*;
use crate::report::partial::CarriedOut;
use crate::report::versions::{Change, ChangedFile};

/// An import at two proxies, of which the second has this state.
fn import(second: Option<&str>) -> Box<CarriedOut> {
    let file = |proxy: &str, state: Option<&str>| -> ChangedFile {
        let step = json!({ "title": "a waiting room", "diff": "+x" });
        let proposed = json!({ "proxy": proxy, "file": "/etc/haproxy/haproxy.cfg",
            "steps": [step], "remaining": [], "becomes": format!("sum of {proxy}") });
        let version = state.map(|_| 2);
        serde_json::from_value(
            json!({ "proposed": proposed, "version": version, "state": state, "note": "" }),
        )
        .unwrap()
    };
    let files = vec![file("a", Some("loaded")), file("b", second)];
    let (by, title, reason) = ("jo (uid 7)".to_owned(), "import".to_owned(), None);
    let change = Change::Import { steps: None };
    Box::new(CarriedOut { at: At(1), by, change, reason, title, files })
}

async fn tell(
    handle: &PairHandle<Scripted>,
    ask: fn(Box<CarriedOut>, oneshot::Sender<()>) -> Ask,
    order: Box<CarriedOut>,
) {
    let (reply, answer) = oneshot::channel();
    handle.asks.send(ask(order, reply)).await.unwrap();
    answer.await.unwrap();
}

/// Between the two files the order is nobody else's business; a later life says who has what.
#[test]
fn a_life_that_ends_between_two_files_is_told_by_the_next_one() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "a first look", |status| status.protected).await;
        tell(&handle, Ask::UnderWay, import(None)).await;
        assert_eq!(handle.view.borrow().status.partial, None, "it is still under way");
        stop(handle).await;

        let mut handle = bench.start();
        let status = until(&mut handle, "the rest to be told", |one| one.partial.is_some()).await;
        let partial = status.partial.unwrap();
        let waiting: Vec<&str> = partial.waiting().map(|part| part.proxy.as_str()).collect();
        assert_eq!(waiting, ["b"]);
        assert!(partial.sentence().contains("a has it (version 2)"), "{}", partial.sentence());
        stop(handle).await;
    });
}

/// A life that ends while the only file is being changed: the next one says that it is not known
/// what the file and the process are, until the order is given again.
#[test]
fn a_life_that_ends_within_a_file_is_told_by_the_next_one() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "a first look", |status| status.protected).await;
        let mut order = import(None);
        order.files.truncate(1);
        order.files[0].state = Some("unsettled".to_owned());
        tell(&handle, Ask::UnderWay, order.clone()).await;
        stop(handle).await;

        let mut handle = bench.start();
        let status = until(&mut handle, "the doubt to be told", |one| one.partial.is_some()).await;
        let sentence = status.partial.unwrap().sentence();
        assert!(sentence.contains("a is unsettled"), "{sentence}");
        assert!(sentence.contains("give the order again"), "{sentence}");
        order.files[0].state = Some("loaded".to_owned());
        tell(&handle, Ask::CarriedOut, order).await;
        until(&mut handle, "the doubt to be over", |status| status.partial.is_none()).await;
        stop(handle).await;
    });
}

/// What was kept on the way is gone once all have it.
#[test]
fn an_order_that_ends_leaves_nothing_of_the_way_behind() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "a first look", |status| status.protected).await;
        tell(&handle, Ask::UnderWay, import(None)).await;
        tell(&handle, Ask::CarriedOut, import(Some("loaded"))).await;
        stop(handle).await;
        let kept = bench.store.remembered(super::super::files::KEY);
        assert_eq!(kept.as_deref(), Some("null"));
    });
}
