//! Who differs, who is right, and since when: small worlds, written as tables.

use super::*;
use crate::validate::Unread;

fn item(name: &str, same_as: Option<&str>) -> Item {
    Item {
        name: name.to_owned(),
        what: String::new(),
        severity: Severity::Severe,
        secrecy: Secrecy::Secret,
        same_as: same_as.map(str::to_owned),
        mending: Mending::Copy,
    }
}

/// A reading of node-a and node-b: `?` was not read, `-` is missing, anything else a value.
fn reading(item: Item, values: [&str; 2]) -> ItemReading {
    let found = |value: &str| match value {
        "?" => Err(Unread("no answer in time".to_owned())),
        "-" => Ok(Found::Missing("no such key".to_owned())),
        value => Ok(Found::Value { print: Print(value.to_owned()), shown: None }),
    };
    let [a, b] = values.map(found);
    ItemReading { item, hosts: BTreeMap::from([("node-a".into(), a), ("node-b".into(), b)]) }
}

fn compare_all(readings: &[ItemReading]) -> Vec<(Standing, Vec<String>)> {
    let compared = compare(readings, Some(&"node-a".into()));
    let odd = |one: &Compared| one.odd.iter().map(ToString::to_string).collect();
    compared.iter().map(|one| (one.standing, odd(one))).collect()
}

#[test]
fn one_item_is_compared_across_hosts_and_the_master_is_right() {
    let table = [
        (["x", "x"], Standing::Same, ""),
        (["x", "y"], Standing::Differs, "node-b"),
        (["x", "-"], Standing::Missing, ""),
        (["-", "-"], Standing::Missing, ""),
        (["x", "?"], Standing::Unread, ""),
        (["-", "?"], Standing::Missing, ""),
        (["?", "?"], Standing::Unread, ""),
    ];
    for (values, standing, odd) in table {
        let found = compare_all(&[reading(item("one", None), values)]);
        let wanted: Vec<String> = odd.split_whitespace().map(str::to_owned).collect();
        assert_eq!(found, [(standing, wanted)], "{values:?}");
    }
}

/// A password that stands in five files: the one that is wrong is named, also where it is wrong on
/// the master, and even where it is wrong in the same way on both hosts.
#[test]
fn the_odd_one_among_several_files_is_named() {
    let five = |odd: usize, values: [&str; 2]| {
        let each = (0..5).map(|index| {
            let base = (index > 0).then_some("file-0");
            let values = if index == odd { values } else { ["x", "x"] };
            reading(item(&format!("file-{index}"), base), values)
        });
        compare_all(&each.collect::<Vec<_>>())
    };
    for odd in 0..5 {
        for (values, named) in [
            (["x", "y"], vec!["node-b"]),
            (["y", "x"], vec!["node-a"]),
            (["y", "y"], vec!["node-a", "node-b"]),
        ] {
            let found = five(odd, values);
            for (index, (standing, hosts)) in found.iter().enumerate() {
                let broken = index == odd;
                assert_eq!(standing.is_broken(), broken, "file-{index} of {values:?}");
                assert_eq!(*hosts, if broken { named.clone() } else { Vec::new() });
            }
        }
    }
}

#[test]
fn a_sentence_names_hosts_and_no_value_of_a_secret() {
    let compared = compare(&[reading(item("password", None), ["x", "y"])], None);
    let sentence = compared[0].sentence().unwrap();
    assert_eq!(sentence, "password differs: node-b has another value than the rest");
    let Cell::Value { letter, shown } = &compared[0].hosts[&"node-b".into()] else {
        panic!("a value was read");
    };
    assert_eq!((letter.as_str(), shown), ("B", &None));
    let same = compare(&[reading(item("password", None), ["x", "x"])], None);
    assert_eq!(same[0].sentence(), None);
}

/// A night in which a host is away neither mends a difference nor begins a new one.
#[test]
fn since_when_outlives_what_could_not_be_read() {
    let differs = keep(None, Standing::Differs, At(100));
    let away = keep(Some(&differs), Standing::Unread, At(200));
    assert_eq!((away.standing, away.since), (Standing::Differs, At(100)));
    assert_eq!(away.unread_since, Some(At(200)));
    let still_away = keep(Some(&away), Standing::Unread, At(300));
    assert_eq!(still_away.unread_since, Some(At(200)));
    assert!(!is_news(Some(&differs), &still_away), "nobody is told twice");
    let back = keep(Some(&still_away), Standing::Differs, At(400));
    assert_eq!(back, Kept { standing: Standing::Differs, since: At(100), unread_since: None });
    let mended = keep(Some(&back), Standing::Same, At(500));
    assert_eq!((mended.standing, mended.since), (Standing::Same, At(500)));
    assert!(is_news(Some(&back), &mended));
    assert!(is_news(None, &differs), "a difference at the very first look is told");
    assert!(!is_news(None, &keep(None, Standing::Same, At(1))));
}

#[test]
fn the_master_gives_unless_a_host_is_named() {
    let hosts: Vec<HostName> = vec!["node-a".into(), "node-b".into()];
    let mut items = vec![item("password", None)];
    let master: HostName = "node-a".into();
    let ask = |items: &[Item], master: Option<&HostName>, from: Option<&HostName>| {
        copying(items, &hosts, master, "password", from)
    };
    let plain = ask(&items, Some(&master), None).unwrap();
    assert_eq!((plain.from.as_str(), plain.to[0].as_str()), ("node-a", "node-b"));
    let named = ask(&items, Some(&master), Some(&"node-b".into())).unwrap();
    assert_eq!((named.from.as_str(), named.to[0].as_str()), ("node-b", "node-a"));
    assert_eq!(ask(&items, None, None), Err(NotCopied::NoMaster));
    let nobody: HostName = "node-c".into();
    assert_eq!(ask(&items, None, Some(&nobody)), Err(NotCopied::UnknownHost(nobody.clone())));
    items[0].mending = Mending::ByHand;
    let by_hand = NotCopied::ByHand("password".to_owned());
    assert_eq!(ask(&items, Some(&master), None), Err(by_hand));
    let none = copying(&items, &hosts, Some(&master), "secret", None);
    assert_eq!(none, Err(NotCopied::UnknownItem("secret".to_owned())));
}
