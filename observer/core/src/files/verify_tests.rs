use super::*;

fn file(time: i64) -> Entry {
    let record = format!("a//f/644/0/0/1/{time}.0/r/");
    Entry::parse(record.as_bytes()).unwrap()
}

fn sides(master: Option<Entry>, slave: Option<Entry>) -> Sides {
    Sides { master, slave }
}

#[track_caller]
fn settled(first: (Option<i64>, Option<i64>), again: (Option<i64>, Option<i64>)) -> Settled {
    let of = |(own, copy): (Option<i64>, Option<i64>)| sides(own.map(file), copy.map(file));
    Sides::settle(&of(first), &of(again), Owners::Compared)
}

#[test]
fn what_was_on_its_way_is_the_same_in_the_end() {
    assert_eq!(settled((Some(2), Some(1)), (Some(2), Some(2))), Settled::Same);
    assert_eq!(settled((Some(2), None), (Some(2), Some(2))), Settled::Same);
    assert_eq!(settled((None, Some(1)), (None, None)), Settled::Same);
}

#[test]
fn what_changes_meanwhile_is_never_called_different() {
    assert_eq!(settled((Some(2), Some(1)), (Some(3), Some(2))), Settled::Changing);
    assert_eq!(settled((Some(2), None), (Some(3), None)), Settled::Changing);
    assert_eq!(settled((None, Some(1)), (Some(2), Some(1))), Settled::Changing);
    // The slave alone has changed: a pass is at it.
    assert_eq!(settled((Some(3), Some(1)), (Some(3), Some(2))), Settled::Changing);
}

#[test]
fn what_stays_is_named() {
    let differs = |class, aspect| Settled::Differs(class, vec![aspect]);
    let same = |sides| settled(sides, sides);
    assert_eq!(same((Some(2), Some(1))), differs(Class::Differs, Aspect::Time));
    assert_eq!(same((Some(2), None)), differs(Class::Missing, Aspect::Missing));
    assert_eq!(same((None, Some(1))), differs(Class::Extra, Aspect::Extra));
}

#[test]
fn what_cannot_be_read_is_no_difference() {
    let shut = Entry { readable: false, ..file(1) };
    let own = sides(Some(shut.clone()), None);
    assert_eq!(own.compare(Owners::Compared), Compared::Unreadable("the master"));
    let copy = sides(Some(file(1)), Some(shut.clone()));
    assert_eq!(copy.compare(Owners::Compared), Compared::Unreadable("the slave"));
    // `access` follows a link, whose target is nobody's business.
    let link = Entry { kind: b'l', ..shut };
    assert_eq!(sides(Some(link.clone()), Some(link)).compare(Owners::Free), Compared::Same);
}

#[test]
fn a_sample_is_the_share_that_was_asked_for_and_the_seed_chooses() {
    let taken = |percent, seed| -> Vec<u32> {
        let by = By::Sample { percent, seed };
        (0..20_000).filter(|n| by.takes(format!("dir/file-{n}").as_bytes())).collect()
    };
    for (percent, seed) in [(5, 1), (5, 2), (50, 3)] {
        let share = taken(percent, seed).len() as f64 / 200.0;
        assert!((share - f64::from(percent)).abs() < 1.5, "{share} % of {percent} %");
    }
    assert_eq!(taken(5, 1), taken(5, 1));
    assert_ne!(taken(5, 1), taken(5, 2));
    assert_eq!((taken(0, 1).len(), taken(100, 1).len()), (0, 20_000));
    assert!(By::Content.takes(b"a") && !By::Metadata.takes(b"a"));
}

fn verification() -> Verification {
    Verification {
        set: "files".into(),
        master: "node-a".into(),
        slave: "node-b".into(),
        by: By::Metadata,
        took_ms: 1,
        entries: 10,
        bytes: 10,
        hashed_files: 0,
        hashed_bytes: 0,
        looked_twice: 0,
        tally: Tally { same: 10, ..Tally::default() },
        database: None,
    }
}

#[test]
fn whole_is_what_has_nothing_against_it() {
    assert!(verification().is_whole());
    let with = |class| {
        let mut one = verification();
        for n in 0..100 {
            let path = n.to_string();
            one.tally.add(class, EXAMPLES_MAX, || Finding { path, what: String::new() });
        }
        one
    };
    assert!(with(Class::Changing).is_whole());
    for class in [Class::Differs, Class::Missing, Class::Extra, Class::Unreadable] {
        let one = with(class);
        assert!(!one.is_whole(), "{class:?}");
        assert_eq!((one.tally.count(class), one.tally.examples[&class].len()), (100, 20));
    }
    let named = |missing_on_slave| NamedPaths { named: 9, missing_on_slave, ..Default::default() };
    assert!(Verification { database: Some(named(0)), ..verification() }.is_whole());
    let gone = Verification { database: Some(named(1)), ..verification() };
    assert!(!gone.is_whole());
    assert_eq!(
        gone.text(),
        "by metadata: 10 the same; of 9 paths that the database names the master lacks 0 and the \
         slave 1"
    );
    let json = serde_json::to_string(&gone).unwrap();
    assert_eq!(serde_json::from_str::<Verification>(&json).unwrap(), gone);
}

#[test]
fn a_verification_without_the_database_leaves_what_an_earlier_one_said_of_it() {
    let mut last = LastVerified::default();
    let verified = |at, database| Verified {
        at: At(at),
        by: "jo".to_owned(),
        result: Verification { database, ..verification() },
    };
    last.take(&verified(1, Some(NamedPaths::default())));
    last.take(&verified(2, None));
    assert_eq!(last.database.unwrap().at, At(1));
    assert_eq!(last.last.unwrap().at, At(2));
}
