//! Where machines are: an address that can be one, and no two hosts at the same.

use std::net::{IpAddr, Ipv6Addr};

use super::access::HostAccess;
use super::section::Section;

/// Notes an address that is neither that of a machine nor a name that one could have.
pub(super) fn check(section: &Section<'_, '_>, key: &'static str, address: &str) {
    if !address.is_empty() && !is_address(address) {
        section.wrong(
            key,
            &format!("\"{address}\" is no IP address and no host name"),
            "write the address alone, without user or port, like 192.0.2.11 or node-a.example.org",
        );
    }
}

fn is_address(text: &str) -> bool {
    let without_zone = text.split_once('%').map_or(text, |(address, _)| address);
    let with_zone = text.contains('%') && without_zone.parse::<Ipv6Addr>().is_ok();
    with_zone || text.parse::<IpAddr>().is_ok() || is_name(text)
}

/// A name by the rules of DNS, with the underscores that people use. What ends in a number is meant
/// as an IPv4 address, and is none.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= 253 && name.split('.').all(label) && !last.chars().all(|c| c.is_ascii_digit())
}

/// Notes hosts that are at one address: a pair of one machine protects nobody, and what is done to
/// one of them is done to the other.
pub(super) fn check_apart(sections: &[Section<'_, '_>], hosts: &[HostAccess]) {
    for (index, host) in hosts.iter().enumerate() {
        let at = |one: &HostAccess| (one.ssh.address.clone(), one.ssh.port);
        let database = |one: &HostAccess| (one.database.address.clone(), one.database.port);
        let same = |earlier: &&HostAccess| earlier.ssh.address == host.ssh.address;
        let Some(other) = hosts[..index].iter().find(same) else { continue };
        let Some(section) = sections.get(index) else { continue };
        if host.ssh.address.is_empty() {
            continue;
        }
        let (name, address) = (&other.name, &host.ssh.address);
        if at(other) == at(host) || database(other) == database(host) {
            section.wrong(
                "address",
                &format!("{address} is the address of {name}, too: one machine cannot be both"),
                "write the address of this host",
            );
        } else {
            section.odd(
                "address",
                &format!("{address} is the address of {name}, too: they fall together"),
                "use two machines; on one, only ports keep the two apart",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_an_address_is_told_from_what_could_not() {
        for good in ["192.0.2.11", "2001:db8::1", "fe80::1%eth0", "node-a", "a.example.org", "a1."]
        {
            assert!(is_address(good), "{good}");
        }
        let bad = ["192.0.2.300", "192.0.2", "node a", "-a", "a-", "a..b", "a:b", "root@a", "a%b"];
        for bad in bad.into_iter().chain([".", "12345"]) {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
