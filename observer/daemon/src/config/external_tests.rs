//! Pairs whose database is external, as their files say so.

use std::path::Path;

use observer_core::policy::Store;
use observer_world::pair_world::PairWorld;

use super::super::pair;
use super::super::{Finding, Findings, Reach};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const EXAMPLES: [&str; 3] = [
    include_str!("../../../../systemd/examples/issue-tracker.toml"),
    include_str!("../../../../systemd/examples/workflow.toml"),
    include_str!("../../../../systemd/examples/package-server.toml"),
];

fn read(text: &str) -> Result<observer_world::access::PairAccess, Vec<Finding>> {
    let text = text.replace("ssh-ed25519 REPLACE-THIS-KEY", KEY);
    pair::read(Path::new("/etc/ha-observer/pairs/pair.toml"), &text, Reach::Text)
        .map(|(access, _)| access)
}

/// The examples are right as they are shipped, but for the machines' own keys, and no sudoers file
/// of such a pair has a line about a database that the hosts do not have.
#[test]
fn the_examples_are_right_and_know_no_database_on_the_hosts() {
    for text in EXAMPLES {
        let access = read(text).unwrap_or_else(|found| panic!("{found:?}"));
        assert_eq!(access.spec.store, Store::External);
        assert_eq!(access.spec.hosts.len(), 3);
        assert!(access.spec.singletons().next().is_some());
        assert_eq!(access.external.as_ref().map(|one| one.port), Some(1_433));
        let world = PairWorld::connect(access).expect("sudoers can carry all of it");
        let rules = world.sudoers("app-1").expect("it is a host of the pair");
        for word in ["postgres", "nonexistent", "standby.signal", "none.service"] {
            let rest: Vec<&str> = rules.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(!rest.join("\n").contains(word), "{word} in {rules}");
        }
        assert_eq!(world.guard("app-1"), None);
    }
}

#[test]
fn what_such_a_pair_has_no_use_of_is_refused() {
    let all = [
        ("port = 1433\n", ""),
        ("address = \"192.0.2.30\"\n", ""),
        ("kind = \"external\"", "kind = \"externel\""),
        ("port = 1433", "port = 1433\nunit = \"postgresql@15-main.service\""),
        ("[application]", "[policy]\ndurability = \"sync\"\n[application]"),
        (
            "[[proxy]]",
            "[[bouncer]]\nname = \"pool\"\naddress = \"192.0.2.9\"\n\
             host_keys = [\"ssh-ed25519 REPLACE-THIS-KEY\"]\n[[proxy]]",
        ),
        ("name = \"app-1\"", "name = \"app-1\"\n[host.database]\nport = 5433"),
        (
            "[[parity]]\nname = \"release\"",
            "[[parity]]\nname = \"w\"\nkind = \"setting\"\nsetting = \"work_mem\"\n\
             [[parity]]\nname = \"release\"",
        ),
    ];
    let told = all.map(|(part, other)| {
        assert!(EXAMPLES[1].contains(part), "{part}");
        let found = read(&EXAMPLES[1].replacen(part, other, 1)).expect_err(other);
        let found = Findings(found).to_string();
        format!("--- {}\n{found}", other.lines().last().unwrap_or("left out"))
    });
    insta::assert_snapshot!(told.join("\n"));
}
