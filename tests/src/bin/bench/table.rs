//! Figures as a person reads them: medians, with the smallest and the largest.

use crate::blow::{Run, Users};
use crate::planned::{Ordered, Seen};
use crate::rest::Rest;

/// The phases in the order in which they take place.
const PHASES: &[&str] = &[
    "detect",
    "confirm",
    "start",
    "fence",
    "stop",
    "replay",
    "fence-again",
    "promote",
    "first-write",
    "services",
    "proxy",
    "file",
    "tombstone",
    "other",
];

/// The median; of an even number of values the lower of the two in the middle. NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// One run, for whoever waits for the end.
pub(crate) fn one_line(run: &Run) -> String {
    let users = |name: &str, users: &Option<Users>| {
        users.as_ref().map_or_else(String::new, |users| {
            format!(
                "  {name} {:.0} ms, {}+{} failed, {} lost",
                users.outage_ms, users.failed_under_way, users.failed_later, users.lost
            )
        })
    };
    let (sql, http) = (users("sql", &run.sql), users("http", &run.http));
    let Run { blow, master, phases, .. } = run;
    let unseen = run.unseen_ms.unwrap_or(f64::NAN);
    format!("{blow:<16} {master}{sql}{http}  unseen {unseen:.0} ms {phases:?}")
}

/// The figures of all blows.
pub(crate) fn print_blows(blows: &[Vec<Run>]) {
    println!("\nWhat users go through (median of runs, smallest to largest in brackets)\n");
    println!(
        "| blow | runs | SQL write outage ms | HTTP write outage ms | \
         HTTP failed: under way / later | lost SQL / HTTP | done twice |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for runs in blows {
        let sql = |pick: fn(&Users) -> f64| spread(&pick_all(runs, |run| run.sql.as_ref(), pick));
        let http = |pick: fn(&Users) -> f64| spread(&pick_all(runs, |run| run.http.as_ref(), pick));
        println!(
            "| {} | {} | {} | {} | {} / {} | {} / {} | {} |",
            runs[0].blow,
            runs.len(),
            sql(|users| users.outage_ms),
            http(|users| users.outage_ms),
            http(|users| count(users.failed_under_way)),
            http(|users| count(users.failed_later)),
            sql(|users| count(users.lost)),
            http(|users| count(users.lost)),
            http(|users| count(users.doubled)),
        );
    }
    println!("\nWhere the time goes, from the incident's own record (medians, ms)\n");
    print!("| blow | before the first sign |");
    PHASES.iter().for_each(|phase| print!(" {phase} |"));
    println!(" blow to end of plan |\n|---|---:|{}---:|", "---:|".repeat(PHASES.len()));
    for runs in blows {
        let all = |pick: &dyn Fn(&Run) -> Option<f64>| {
            let values: Vec<f64> = runs.iter().filter_map(pick).collect();
            if values.is_empty() { "-".to_owned() } else { format!("{:.0}", median(&values)) }
        };
        print!("| {} | {} |", runs[0].blow, all(&|run| run.unseen_ms));
        PHASES
            .iter()
            .for_each(|phase| print!(" {} |", all(&|run| run.phases.get(*phase).copied())));
        println!(" {} |", all(&|run| run.closed_ms));
    }
}

/// The figures of a pair at rest.
pub(crate) fn print_rest(rest: &Rest) {
    println!("\nThe daemon with one pair at rest\n");
    println!("| figure | value |\n|---|---:|");
    println!("| memory (PSS) | {:.1} MiB |", rest.pss_kib / 1024.0);
    println!("| CPU, of one core | {:.2} % |", rest.cpu_percent);
    println!("| `status`, net of entering the machine | {:.0} ms |", rest.status_net_ms());
    println!(
        "| start of the unit to the first verdict | {:.0} ms |",
        median(&rest.first_verdict_ms)
    );
}

/// The figures of orders of one kind.
pub(crate) fn print_orders(orders: &[Ordered]) {
    let all = |pick: &dyn Fn(&Ordered) -> f64| spread(&orders.iter().map(pick).collect::<Vec<_>>());
    println!(
        "\n{} (median of {} runs, smallest to largest in brackets)\n",
        orders[0].what,
        orders.len()
    );
    println!("| figure | value |\n|---|---:|");
    println!("| the order, ms | {} |", all(&|order| order.order_ms));
    println!("| until protected, ms | {} |", all(&|order| order.protected_ms));
    println!("| database, MB | {} |", all(&|order| order.database_mb()));
    print_seen("HTTP", &orders.iter().map(|order| &order.http).collect::<Vec<_>>());
    print_seen("SQL sessions", &orders.iter().map(|order| &order.sql).collect::<Vec<_>>());
    let reconnects: Vec<f64> =
        orders.iter().flat_map(|order| &order.reconnects).map(|times| count(*times)).collect();
    println!("| reconnects of a SQL session | {} |", spread(&reconnects));
}

fn print_seen(name: &str, seen: &[&Seen]) {
    let line = |figure: &str, pick: &dyn Fn(&Seen) -> f64| {
        let values: Vec<f64> = seen.iter().map(|seen| pick(seen)).collect();
        println!("| {name}: {figure} | {} |", spread(&values));
    };
    line("sent", &|seen| count(seen.sent));
    line("due and not sent", &|seen| count(seen.unsent));
    line("failed", &|seen| count(seen.failed));
    line("lost", &|seen| count(seen.lost));
    line("done twice", &|seen| count(seen.doubled));
    line("nothing answered for, ms", &|seen| seen.pause_ms);
    line("latency p50, ms", &|seen| seen.latency_p50_ms);
    line("latency p99, ms", &|seen| seen.latency_p99_ms);
    line("latency max, ms", &|seen| seen.latency_max_ms);
}

fn pick_all(
    runs: &[Run],
    users: impl Fn(&Run) -> Option<&Users>,
    pick: impl Fn(&Users) -> f64,
) -> Vec<f64> {
    runs.iter().filter_map(users).map(pick).collect()
}

fn spread(values: &[f64]) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
    let middle = median(values);
    if low >= high { format!("{middle:.0}") } else { format!("{middle:.0} ({low:.0}-{high:.0})") }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn equal_values_have_no_range() {
        assert_eq!(spread(&[0.0, 0.0]), "0");
        assert_eq!(spread(&[5.0, 1.0, 3.0]), "3 (1-5)");
        assert_eq!(spread(&[]), "-");
    }
}
