//! Each format: what a key is read as, and that a copy changes that key's bytes and no other.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn reads(format: Format, text: &str, key: &str, value: Option<&str>) {
    let found = find(format, text, key).unwrap().map(|place| place.value.to_string());
    assert_eq!(found.as_deref(), value, "{key} in\n{text}");
}

#[track_caller]
fn copies(format: Format, key: &str, from: &str, to: &str, wanted: &str) {
    let edited = copy(format, from, to, key).unwrap();
    assert_eq!(edited.as_str(), wanted);
}

const PROPERTIES: &str = "# a = remark\n! b = remark\r\n\
    spring.datasource.password = s3:cr=et \\\n    goes on\ncolon: x\nblank y z\n\
    esc\\=aped\\ key=v\\u00e4l\\tue\nempty=\nlast=1\nlast = 2\r\nno-end=\\\\";

#[test]
fn properties_are_read_as_java_reads_them() {
    for (key, value) in [
        ("spring.datasource.password", Some("s3:cr=et goes on")),
        ("colon", Some("x")),
        ("blank", Some("y z")),
        ("esc=aped key", Some("väl\tue")),
        ("empty", Some("")),
        ("last", Some("2")),
        ("no-end", Some("\\")),
        ("a", None),
        ("spring", None),
    ] {
        reads(Format::Properties, PROPERTIES, key, value);
    }
}

#[test]
fn variables_are_read_with_and_without_quotes() {
    let text = "#A=no\nA=plain # kept\nexport B=\"q\\\"uo\\$ted\"\n  C='it is'\nD=\nA = last\n";
    for (key, value) in [
        ("A", Some("last")),
        ("B", Some("q\"uo$ted")),
        ("C", Some("it is")),
        ("D", Some("")),
        ("E", None),
    ] {
        reads(Format::Env, text, key, value);
    }
}

#[test]
fn ini_keys_are_named_by_their_section() {
    let text =
        "top = 0\n[database]\n; password = no\npassword = a;b#c\nhost: x\n[mail.out]\npassword=m\n";
    for (key, value) in [
        ("top", Some("0")),
        ("database.password", Some("a;b#c")),
        ("database.host", Some("x")),
        ("mail.out.password", Some("m")),
        ("password", None),
        ("mail.password", None),
    ] {
        reads(Format::Ini, text, key, value);
    }
}

const JSON: &str = r#"{"a": {"b": "x\u0041", "n": 1.50, "l": [1, {"k": true}]}, "a.c": null}"#;
const YAML: &str = "a:\n  b: 'it''s' # remark\n  n: 1.50\n  l: [1, {k: true}]\n\
    a.c: ~\nü: ä\nm: &x v\nr: *x\nt: |\n  long\ne:\n";
const TOML: &str = "a.b = 'x'\n\"a.c\" = 7\n[s]\nl = [1, { k = true }]\n";

#[test]
fn nested_keys_are_found_by_dots_and_counts_and_flattened_names() {
    for (format, text, key, value) in [
        (Format::Json, JSON, "a.b", Some("xA")),
        (Format::Json, JSON, "a.n", Some("1.50")),
        (Format::Json, JSON, "a.l.1.k", Some("true")),
        (Format::Json, JSON, "a.c", Some("null")),
        (Format::Json, JSON, "a.l.2", None),
        (Format::Yaml, YAML, "a.b", Some("it's")),
        (Format::Yaml, YAML, "a.n", Some("1.50")),
        (Format::Yaml, YAML, "a.l.1.k", Some("true")),
        (Format::Yaml, YAML, "a.c", Some("~")),
        (Format::Yaml, YAML, "ü", Some("ä")),
        (Format::Yaml, YAML, "m", Some("v")),
        (Format::Yaml, YAML, "b", None),
        (Format::Toml, TOML, "a.b", Some("x")),
        (Format::Toml, TOML, "a.c", Some("7")),
        (Format::Toml, TOML, "s.l.1.k", Some("true")),
        (Format::Toml, TOML, "s.x", None),
    ] {
        reads(format, text, key, value);
    }
    for (format, text, key) in
        [(Format::Json, JSON, "a"), (Format::Yaml, YAML, "a.l"), (Format::Toml, TOML, "s")]
    {
        assert_eq!(find(format, text, key).err(), Some(KeyError::NoSingleValue), "{key}");
    }
    assert_eq!(find(Format::Yaml, YAML, "r").err(), Some(KeyError::ByHand));
    assert_eq!(find(Format::Yaml, YAML, "t").err(), Some(KeyError::ByHand));
}

#[test]
fn a_copy_changes_the_bytes_of_its_key_alone() {
    let properties = "x=1\npassword: new\\\n  er\n";
    copies(
        Format::Properties,
        "password",
        properties,
        "# keep\r\npassword = old\r\nlast = 1",
        "# keep\r\npassword = new\\\n  er\r\nlast = 1",
    );
    copies(Format::Env, "P", "P='n w'\n", "A=1\nP=old\n", "A=1\nP='n w'\n");
    copies(Format::Env, "P", "P=n\n", "A=1", "A=1\nP=n\n");
    copies(Format::Ini, "d.p", "[d]\np = n\n", "[d]\nq = 1\n[e]\n", "[d]\np = n\nq = 1\n[e]\n");
    copies(
        Format::Json,
        "a.b",
        r#"{"a":{"b":"n"}}"#,
        "{ \"a\" :\n {\"b\" : 5 ,\"c\":1}}",
        "{ \"a\" :\n {\"b\" : \"n\" ,\"c\":1}}",
    );
    copies(
        Format::Yaml,
        "ä.b",
        "ä: {b: \"n: 1\"}\n",
        "ä:\n  b: old # why\nc: 1\n",
        "ä:\n  b: \"n: 1\" # why\nc: 1\n",
    );
    copies(
        Format::Toml,
        "s.k",
        "[s]\nk = \"n\"\n",
        "[s] # t\nk = 5 # why\n",
        "[s] # t\nk = \"n\" # why\n",
    );
}

#[test]
fn what_cannot_be_copied_is_refused() {
    let refused = |format, key, from, to| copy(format, from, to, key).err();
    let no_place = Some(KeyError::NoPlace);
    assert_eq!(refused(Format::Env, "P", "Q=1\n", "P=1\n"), no_place, "the source has none");
    assert_eq!(refused(Format::Json, "a", "{\"a\":1}", "{}"), no_place);
    assert_eq!(refused(Format::Ini, "s.a", "[s]\na=1\n", "[t]\n"), no_place, "no such section");
    let by_hand = Some(KeyError::ByHand);
    assert_eq!(refused(Format::Yaml, "b", "b: n\n", "b:\nc: 1\n"), by_hand, "no value yet");
    // A plain word that would mean something else within braces.
    assert_eq!(refused(Format::Yaml, "a", "a: x, y\n", "{a: 1}\n"), Some(KeyError::ByHand));
}

/// A parser's words may quote the line they are about.
#[test]
fn no_error_quotes_the_text() {
    for (format, text) in [
        (Format::Json, "{\"password\": hunter2}"),
        (Format::Yaml, "password: \"hunter2\nx: [hunter2"),
        (Format::Toml, "password = hunter2"),
    ] {
        let said = find(format, text, "password").err().expect("it is malformed").to_string();
        assert!(!said.contains("hunter2") && said.contains("line"), "{said}");
    }
}

fn any_format() -> impl Strategy<Value = Format> {
    proptest::sample::select(vec![
        Format::Properties,
        Format::Env,
        Format::Ini,
        Format::Json,
        Format::Yaml,
        Format::Toml,
    ])
}

proptest! {
    /// Whatever a host's file holds: no panic, spans within the text, and a copy that reads back.
    #[test]
    fn any_text_is_read_without_harm(
        format in any_format(),
        from in "[a-c=:.\\[\\]{}\"' \\\\\n#äü-]{0,60}",
        to in "[a-c=:.\\[\\]{}\"' \\\\\n#äü-]{0,60}",
    ) {
        for key in ["a", "b", "a.b"] {
            if let Ok(Some(place)) = find(format, &from, key) {
                prop_assert!(from.get(place.span.clone()).is_some());
            }
            if let Ok(edited) = copy(format, &from, &to, key) {
                let meant = find(format, &from, key).unwrap().unwrap().value;
                let (wanted, found) = (meant, find(format, &edited, key).unwrap().unwrap().value);
                prop_assert_eq!(&*wanted, &*found);
            }
        }
    }
}
