//! YAML with places: what is read, and what is refused.

use convert::yaml::{Entry, Node, Value, parse};

fn map(node: &Node) -> &[Entry] {
    let Value::Map(entries) = &node.value else { panic!("no object at {}", node.line) };
    entries
}

fn text(node: &Node) -> (&str, bool) {
    let Value::Text { text, is_plain } = &node.value else { panic!("no text at {}", node.line) };
    (text, *is_plain)
}

#[test]
fn every_node_knows_its_place() {
    let found = parse("a:\n  - b: &x 1\n    c: *x\n--- \n\"d\": 'é'\n").ok().unwrap();
    assert_eq!(found.len(), 2);
    let Value::List(items) = &map(&found[0])[0].value.value else { panic!() };
    let inner = map(&items[0]);
    assert_eq!((inner[0].line, inner[0].column, inner[0].value.line, inner[1].value.column), (2, 5, 2, 8));
    assert_eq!(text(&inner[1].value), ("1", true));
    let entries = map(&found[1]);
    assert_eq!((entries[0].line, text(&entries[0].value)), (5, ("é", false)));
}

#[test]
fn what_is_wrong_or_without_an_end_is_refused() {
    for (text, line) in [
        ("a: [1\n", 1),
        ("a: 1\na: 2\n", 2),
        ("? [1]\n: 2\n", 1),
        ("a: *b\n", 1),
        ("a: !secret b\n", 1),
        ("a:\n\tb: 1\n", 2),
    ] {
        let fault = parse(text).err().unwrap();
        assert_eq!(fault.line, line, "{text} {fault:?}");
    }
    assert!(parse(&"[".repeat(1_000)).is_err());
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for number in 1..20 {
        let before = format!("*a{},", number - 1).repeat(8);
        bomb.push_str(&format!("a{number}: &a{number} [{before}]\n"));
    }
    assert!(parse(&bomb).is_err());
}

#[test]
fn a_field_that_envoy_ignores_is_left_out_and_its_anchors_hold() {
    let file = "!ignore shared:\n- &retry {on: 5xx, times: 3}\n- !ignore inner: 1\n  left: 2\nroute: {!ignore no: 1, <<: *retry, times: 4}\n";
    let found = parse(file).ok().unwrap();
    let entries = map(&found[0]);
    assert_eq!(entries.len(), 1);
    let route: Vec<(&str, &str)> =
        map(&entries[0].value).iter().map(|entry| (entry.name.as_str(), text(&entry.value).0)).collect();
    assert_eq!(route, [("on", "5xx"), ("times", "4")]);
    // As the tag of a value it is one like any other.
    assert!(parse("a: !ignore b\n").is_err());
}
