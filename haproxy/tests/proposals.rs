//! New files and import proposals: what is generated satisfies HAProxy and the linter, and what is
//! proposed for an existing file is a diff that a person can review step by step.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use haproxy::lint::{self, Context, Severity, Sharing};
use haproxy::{
    Application, Document, Front, Members, NewHost, NewProxy, Receives, generate, propose,
    waiting_rooms,
};

fn members() -> Members {
    Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.2".to_owned()]),
    ]))
}

fn proxy(front: Front) -> NewProxy {
    let host = |name: &str, address: &str, receives| NewHost {
        name: name.to_owned(),
        address: address.to_owned(),
        receives,
    };
    NewProxy {
        hosts: vec![
            host("node-a", "10.0.0.1", Receives::Now),
            host("node-b", "10.0.0.2", Receives::AfterPromotion),
        ],
        application: Application {
            front,
            port: 8080,
            health_path: "/health".to_owned(),
            requests_at_once: 200,
        },
        postgres: Some(("127.0.0.1:5432".to_owned(), 5432)),
        statistics: Some("127.0.0.1:8404".to_owned()),
    }
}

fn https() -> Front {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/site.pem");
    Front::Https {
        bind: "127.0.0.1:8443".to_owned(),
        certificate: fixture.display().to_string(),
        redirect_from: Some("127.0.0.1:8080".to_owned()),
    }
}

#[test]
fn generated_files_satisfy_haproxy_and_the_linter() {
    let dmz = NewProxy { postgres: None, statistics: None, ..proxy(https()) };
    let pass = proxy(Front::PassThrough { bind: "127.0.0.1:8443".to_owned() });
    let http = proxy(Front::Http { bind: "127.0.0.1:8080".to_owned() });
    for proxy in [proxy(https()), dmz, pass, http] {
        let document = generate(&proxy).expect("the values are plain");
        let text = String::from_utf8(document.to_bytes()).expect("it is plain text");
        for room in waiting_rooms(&document, &members()).expect("the pair can be told") {
            assert_eq!((room.gaps, room.limit_ms), (vec![], Some(60_000)), "{text}");
        }
        let members = members();
        let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
        let found = lint::lint(&document, context);
        let worst: Vec<String> = found
            .iter()
            .filter(|finding| finding.rule.severity > Severity::Info)
            .map(ToString::to_string)
            .collect();
        assert_eq!(worst, Vec::<String>::new(), "{text}");
        if let Some(binary) = support::binary() {
            let check = support::check(&binary, text.as_bytes());
            assert!(check.accepted && !check.output.contains("[WARNING]"), "{}", check.output);
        }
    }
}

/// Each variant as a whole file.
#[test]
fn generated_files_read_well() {
    let front = || Front::Https {
        bind: ":443".to_owned(),
        certificate: "/etc/haproxy/certs/site.pem".to_owned(),
        redirect_from: Some(":80".to_owned()),
    };
    let dmz = NewProxy { postgres: None, statistics: None, ..proxy(front()) };
    for (name, proxy) in [
        ("https", proxy(front())),
        ("dmz", dmz),
        ("pass_through", proxy(Front::PassThrough { bind: ":443".to_owned() })),
        ("http", proxy(Front::Http { bind: ":80".to_owned() })),
    ] {
        let document = generate(&proxy).expect("the values are plain");
        let text = String::from_utf8_lossy(&document.to_bytes()).into_owned();
        insta::assert_snapshot!(format!("generated_{name}"), text);
    }
}

#[test]
fn values_cannot_break_out_of_their_word() {
    for bad in ["a b", "a\nbackend x", "a#", "\"", "", "$HOME"] {
        let mut broken = proxy(https());
        broken.hosts[0].name = bad.to_owned();
        assert!(generate(&broken).is_err(), "{bad:?}");
    }
}

#[test]
fn an_import_is_a_list_of_small_diffs() {
    let text = "# portal load balancer, 2019
global
    log /dev/log local0

defaults
    timeout connect 10s
    timeout client  1m
    timeout server  1m

listen portal
    bind 127.0.0.1:8443
    option httplog
    balance roundrobin
    option tcp-check
    server portal-master 10.0.0.1:443 check port 80   # left
    server portal-slave  10.0.0.2:443 check port 80 on-marked-down shutdown-sessions
";
    let document = Document::parse(text.as_bytes());
    let proposal = propose("haproxy.cfg", &document, &members(), &["node-a"]);
    let proposal = proposal.expect("the pair can be told");
    let mut said = String::new();
    for step in &proposal.steps {
        said += &format!("== {}\n{}", step.title, step.diff);
    }
    said += "== remaining\n";
    for finding in &proposal.remaining {
        said += &format!("{finding}\n");
    }
    insta::assert_snapshot!(said);
    let result = proposal.result().expect("there was something to change");
    let again = propose("haproxy.cfg", result, &members(), &["node-a"]);
    assert_eq!(again.expect("the pair can be told").steps, []);
    if let Some(binary) = support::binary() {
        assert!(support::check(&binary, text.as_bytes()).accepted);
        let check = support::check(&binary, &result.to_bytes());
        assert!(check.accepted, "{}", check.output);
    }
}
