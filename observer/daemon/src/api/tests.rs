//! Orders over the API, to a pair's task on a small world in memory.

use observer_core::pair::OperatorOrder;
use observer_core::plan::Ordered;

use super::orders::order;
use crate::shell::tests::{Bench, run};

/// A start and the end of a plan are the same to whoever orders: the look that is due is waited
/// for, and the order is judged by it.
#[test]
fn an_order_waits_for_the_look_that_is_due() {
    run(async {
        let bench = Bench::new();
        let handle = bench.start();
        let link = Bench::link(&handle);
        assert!(!link.view.borrow().takes_orders, "nothing was looked at yet");
        for by in ["jo", "al"] {
            let ordered = Ordered { by: by.to_owned(), reason: None };
            let switch = OperatorOrder::FailOver { ordered, accept_loss: None };
            let ordered = order(&link, switch).await.map_err(|refused| refused.0.message);
            assert_eq!(ordered, Ok(()), "{by}");
            let mut view = link.view.clone();
            view.wait_for(|view| view.status.plan.is_some()).await.unwrap();
            view.wait_for(|view| view.status.plan.is_none()).await.unwrap();
        }
        drop(handle);
    });
}
