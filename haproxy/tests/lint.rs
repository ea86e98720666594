//! Lint: every rule is met by a file that breaks it and left alone by the one that does not, and
//! the safe fixes mend what they say.

use std::collections::BTreeMap;

use haproxy::lint::{self, Context, RULES, Sharing};
use haproxy::{Document, Members};

/// A file that breaks no rule; each broken one is this file with one text replaced.
const GOOD: &str = "global
    stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners
    hard-stop-after 10m
defaults
    mode http
    option redispatch 1
    option abortonclose
    option idle-close-on-response
    retries 120
    timeout connect 500ms
    timeout client 60s
    timeout server 60s
    timeout queue 60s
frontend web
    bind 127.0.0.1:8443 ssl crt /site.pem ssl-min-ver TLSv1.2
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    default_backend app
backend app
    cookie SERVERID insert indirect nocache
    option httpchk GET /health
    default-server maxconn 200 inter 200ms fastinter 100ms fall 2 rise 1 check
    server a 10.0.0.1:8080 cookie a
    server b 10.0.0.2:8080 cookie b disabled
    server hold 127.0.0.1:1 backup no-check
";

/// Rule, text to replace, replacement.
const BROKEN: &[(&str, &str, &str)] = &[
    ("D01", "cookie a", "on-marked-down shutdown-sessions"),
    ("D02", "cookie a", "observe layer4 error-limit 1 on-error mark-down"),
    ("D03", "cookie a", "on-marked-up shutdown-backup-sessions"),
    ("D04", "    option httpchk", "    option persist\n    option httpchk"),
    ("D05", "    default_backend", "    use_backend %[path]\n    default_backend"),
    ("F01", "no-check\n", "no-check"),
    ("F02", GOOD, "global\n"),
    ("F03", "global", "\u{feff}global"),
    ("F04", "cookie a", "cookie \0"),
    (
        "F05",
        "GET /health",
        "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r \
         s t u v w x y z a b c d e f g h i j k l m n o p q",
    ),
    ("F06", "cookie a", "cookie \"a"),
    ("F07", "cookie a", "cookie a \\"),
    ("F08", "defaults\n", "hologram\n    beam on\ndefaults\n"),
    ("F09", "    option forwardfor", "    .if 1\n    option forwardfor"),
    ("F10", "server b", "server a"),
    ("F11", "default_backend app", "default_backend nope"),
    ("M01", "    bind", "    mode tcp\n    option httplog\n    bind"),
    ("M02", "    bind", "    mode tcp\n    stats uri /\n    bind"),
    ("M03", "frontend web", "frontend app"),
    ("M04", "\nbackend app", "\nbackend app\n    mode tcp"),
    ("M05", "    timeout client 60s\n", ""),
    ("M06", "127.0.0.1:8443", ":8443\n    stats enable\n    bind :8444"),
    ("P01", "cookie b disabled", "cookie b"),
    ("P02", "cookie a", "cookie a disabled"),
    ("P03", "    server b", "    .if 1\n    server b"),
    ("P04", "server b 10.0.0.2", "server-template b 1-2 10.0.0.2"),
    ("P05", "10.0.0.2:8080", "\"${B}:8080\""),
    ("P06", "rise 1 check", "rise 1"),
    ("P07", "    option httpchk GET /health\n", ""),
    ("P08", "cookie b", "cookie a"),
    ("P09", "cookie a", "ssl verify none"),
    ("P10", "cookie a", "port 80"),
    ("P11", "inter 200ms fastinter 100ms", "inter 2s"),
    ("P12", "    option httpchk GET /health\n", "    mode tcp\n"),
    ("P13", "    option httpchk GET /health\n", "    mode tcp\n"),
    ("P14", "    cookie SERVERID insert indirect nocache\n", ""),
    ("P15", "cookie b disabled", "cookie b weight 0 disabled"),
    ("R01", "level admin", "level operator"),
    ("R02", " expose-fd listeners", ""),
    ("R03", "defaults\n", "defaults\n    load-server-state-from-file global\n"),
    ("R04", "    hard-stop-after 10m\n", ""),
    ("R05", "hard-stop", "nbproc 2\n    hard-stop"),
    ("R06", " mode 660", ""),
    ("T01", " ssl-min-ver TLSv1.2", ""),
    ("T02", "    http-request set-header X-Forwarded-Proto https\n", ""),
    ("T03", "    option forwardfor\n", ""),
    ("W01", "    server hold 127.0.0.1:1 backup no-check\n", ""),
    ("W02", "backup no-check", "no-check"),
    ("W03", "backup no-check", "backup"),
    ("W04", "backup no-check", "backup no-check disabled"),
    ("W05", "    option httpchk", "    option allbackups\n    option httpchk"),
    ("W06", "    option redispatch 1\n", ""),
    ("W07", "redispatch 1", "redispatch 3"),
    ("W08", "retries 120", "retries 20"),
    ("W09", "connect 500ms", "connect 5s"),
    ("W10", "    timeout queue 60s\n", ""),
    ("W11", "    option abortonclose\n", ""),
    ("W12", "    option idle-close-on-response\n", ""),
    ("W13", "retries 120", "retries 120\n    retry-on conn-failure empty-response"),
    ("W14", "maxconn 200 ", ""),
    ("W15", "hold 127.0.0.1:1", "hold 127.0.0.1:8081"),
];

fn members() -> Members {
    Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.2".to_owned()]),
    ]))
}

fn found(text: &str) -> Vec<lint::Finding> {
    found_where(text, Sharing::OneMaster)
}

fn found_where(text: &str, sharing: Sharing) -> Vec<lint::Finding> {
    let members = members();
    let context = Context { members: Some(&members), sharing };
    lint::lint(&Document::parse(text.as_bytes()), context)
}

fn broken(text: &str, with: &str) -> String {
    assert!(GOOD.contains(text), "{text}");
    GOOD.replacen(text, with, 1)
}

#[test]
fn a_good_file_breaks_no_rule() {
    assert_eq!(found(GOOD), []);
}

/// The messages of all rules, each on the file that breaks it.
#[test]
fn every_rule_is_met_by_the_file_that_breaks_it() {
    let mut said = String::new();
    for (id, text, with) in BROKEN {
        // What users of every host need is not asked of those of the master alone.
        let sharing = if *id == "P14" { Sharing::AllActive } else { Sharing::OneMaster };
        let found = found_where(&broken(text, with), sharing);
        let met = found.iter().find(|finding| finding.rule.id == *id);
        said += &format!("{}\n", met.unwrap_or_else(|| panic!("{id} is not met: {found:#?}")));
    }
    let tried: Vec<&str> = BROKEN.iter().map(|(id, _, _)| *id).collect();
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(tried, rules, "a rule without a file that breaks it is not known to work");
    insta::assert_snapshot!(said);
}

#[test]
fn without_a_pair_its_rules_are_silent() {
    let context = Context { members: None, sharing: Sharing::OneMaster };
    for (id, text, with) in BROKEN {
        let document = Document::parse(broken(text, with).as_bytes());
        let found = lint::lint(&document, context);
        let of_the_pair = |finding: &&lint::Finding| finding.rule.id.starts_with(['P', 'W']);
        assert_eq!(found.iter().find(of_the_pair), None, "{id}");
    }
}

/// A backend that is said to be shared may lead to all hosts; another one beside it may not.
#[test]
fn one_backend_may_be_shared_and_another_not() {
    let text = broken("cookie b disabled", "cookie b");
    let second = text.replacen("\nbackend app\n", "\nbackend other\n", 1);
    let second = &second[second.find("backend other\n").expect("it was named so")..];
    let both = format!("{text}{second}");
    let members = members().with_shared_backend("app");
    let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
    let found = lint::lint(&Document::parse(both.as_bytes()), context);
    let wrong: Vec<_> = found.iter().filter(|finding| finding.rule.id == "P01").collect();
    assert!(matches!(wrong[..], [one] if one.subject.contains("other")), "{found:?}");
}

/// What is active on all hosts may well take traffic on all.
#[test]
fn active_hosts_may_share_the_work() {
    let members = members();
    let context = Context { members: Some(&members), sharing: Sharing::AllActive };
    let document = Document::parse(broken("cookie b disabled", "cookie b").as_bytes());
    assert_eq!(lint::lint(&document, context), []);
}

#[test]
fn safe_fixes_mend_what_they_say_and_nothing_else() {
    let members = members();
    let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
    for (id, text, with) in BROKEN {
        let document = Document::parse(broken(text, with).as_bytes());
        let (fixed, gone) = lint::fix(&document, context);
        let ids: Vec<&str> = gone.iter().map(|finding| finding.rule.id).collect();
        if ["F01", "F03", "M01", "D01", "D03"].contains(id) {
            assert!(ids.contains(id), "{id}");
            assert_eq!(lint::fix(&fixed, context).0, fixed, "{id}");
        } else if fixed == document {
            assert_eq!(ids, Vec::<&str>::new(), "{id}");
        }
    }
}
