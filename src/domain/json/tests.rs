//! What is JSON, what is not, and what is JSON that no call takes.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn is_not_json(bytes: &[u8]) -> bool {
    matches!(parse(bytes), Err(JsonFault::NotJson(_)))
}

#[test]
fn json_is_read_as_the_library_reads_it() {
    let cases = [
        "null",
        " true ",
        "false",
        "0",
        "-1",
        "1.5",
        "-0.25e-3",
        "1E2",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789012345678901234567890",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1,[2,[3]],{\"a\":{}}]",
        "\t{\"a\" : 1 ,\r\n\"b\":[ null ,\"x\"]}\n",
        "1e-999",
        r#""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00 é😀""#,
        r#"{"":1,"a/b":2,"~":3}"#,
        "\"\u{7f}\"",
    ];
    for text in cases {
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }
    assert_eq!(parse(b"-0").unwrap(), json!(0));
}

#[test]
fn inp_07_bytes_that_are_no_json_text_are_told_apart() {
    let cases: &[&[u8]] = &[
        b"",
        b"  ",
        b"{",
        b"}",
        b"[",
        b"[1",
        b"[1,",
        b"[1,]",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{,}",
        b"{a:1}",
        b"{'a':1}",
        b"{1:2}",
        b"{} {}",
        b"{}x",
        b"1 2",
        b"nul",
        b"nulll",
        b"True",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"-",
        b"+1",
        b"01",
        b"-01",
        b"1.",
        b".5",
        b"1.e1",
        b"1e",
        b"1e+",
        b"0x1",
        b"1_0",
        b"\"",
        b"\"a",
        b"\"\\\"",
        b"\"\n\"",
        b"\"\0\"",
        b"\"\\x\"",
        b"\"\\u12\"",
        b"\"\\u12g4\"",
        b"\"\\u+123\"",
        b"\"\\u00\xc3\xa9\"",
        b"\"\\",
        b"\"\\u",
        b"// c\n1",
        b"/**/1",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"\"\xff\"",
        b"\"\xc3\"",
        b"\"\xed\xa0\x80\"",
        b"\x0c1",
        b"\xc2\xa01",
        b"[1 2]",
        b"{\"a\" 1}",
        b"\0",
        b"{}\0",
    ];
    for bytes in cases {
        assert!(is_not_json(bytes), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn inp_05_a_lone_surrogate_is_no_json() {
    let cases = [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud800x""#,
        r#""\ud83d\n""#,
        r#""\uD83D\u0041""#,
        r#"{"\ud800":1}"#,
        r#"{"password":"\udfff"}"#,
    ];
    for text in cases {
        assert!(is_not_json(text.as_bytes()), "{text}");
    }
}

#[test]
fn inp_07_a_member_that_stands_twice_is_no_json() {
    let cases = [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"profile":{"bio":"x","bio":"y"}}"#,
        r#"[{"a":{"b":[{"c":1,"d":2,"c":3}]}}]"#,
    ];
    for text in cases {
        assert!(is_not_json(text.as_bytes()), "{text}");
    }
    assert!(parse(br#"{"a":{"a":1},"A":[{"a":1},{"a":1}]}"#).is_ok());
}

#[test]
fn inp_07_sixteen_levels_are_read_and_no_more() {
    let nested = |open: &str, close: &str, depth| open.repeat(depth) + "1" + &close.repeat(depth);
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        assert!(parse(nested(open, close, 16 / levels).as_bytes()).is_ok(), "{open}");
        assert!(is_not_json(nested(open, close, 16 / levels + 1).as_bytes()), "{open}");
        assert!(is_not_json(nested(open, close, 100_000).as_bytes()), "{open}");
        assert!(is_not_json(open.repeat(100_000).as_bytes()), "{open}");
    }
    let wide = format!("[{}[]]", "[[]],".repeat(10_000));
    assert!(parse(wide.as_bytes()).is_ok(), "siblings are no depth");
}

#[test]
fn inp_07_a_number_out_of_range_is_json_and_told_by_its_pointer() {
    let out = |text: &str| match parse(text.as_bytes()) {
        Err(JsonFault::OutOfRange(pointers)) => pointers,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(out("1e999"), [""]);
    assert_eq!(out(r#"{"a":[0,-1e400,{"b/~":1e309}],"c":1}"#), ["/a/1", "/a/2/b~1~0"]);
    assert_eq!(out(&"9".repeat(60_000)), [""]);
    assert_eq!(out(&format!("[{}1]", "1e999,".repeat(5000))).len(), 100);
    assert!(is_not_json(br#"{"a":1e999,"b"}"#), "no JSON comes before out of range");
    assert!(is_not_json(br#"{"a":1e999,"a":1}"#));
}

#[test]
fn inp_05_nul_is_found_in_texts_and_names() {
    let value = parse(br#"{"a":["x","y\u0000"],"b\u0000/":{"c":"\u0000"},"d":"\\u0000"}"#).unwrap();
    assert_eq!(find_nul(&value), ["/a/1", "/b\0~1", "/b\0~1/c"]);
    assert_eq!(find_nul(&json!("\0")), [""]);
    assert!(find_nul(&json!({ "a": ["\u{1}", 0, null] })).is_empty());
}

#[test]
fn pointers_are_those_of_rfc_6901() {
    assert_eq!(join("/a", "b/c~d"), "/a/b~1c~0d");
    assert_eq!(json!({ "a": { "~1/": 7 } }).pointer(&join("/a", "~1/")), Some(&json!(7)));
}

#[test]
fn inp_06_the_largest_body_is_read_at_once() {
    let started = std::time::Instant::now();
    let escapes = format!("\"{}\"", "\\ud83d\\ude00".repeat(5_400));
    let numbers = format!("[{}1]", "1.7976931348623157e308,".repeat(2_800));
    let members: Vec<String> = (0..6_000).map(|n| format!("\"{n}\":0")).collect();
    for text in [escapes, numbers, format!("{{{}}}", members.join(","))] {
        assert!(parse(text.as_bytes()).is_ok());
    }
    assert!(started.elapsed().as_millis() < 250, "{:?}", started.elapsed());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in any_json()) {
        prop_assert_eq!(parse(value.to_string().as_bytes()), Ok(value.clone()));
        prop_assert_eq!(parse(serde_json::to_string_pretty(&value).unwrap().as_bytes()), Ok(value));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        text in r#"[\[\]{}",:\\u0-9eE.+\-dD tfn é]{0,40}"#,
    ) {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            // Whatever is taken here, the library takes too.
            if let Ok(value) = parse(bytes) {
                prop_assert_eq!(serde_json::from_slice::<Value>(bytes).unwrap(), value);
            }
        }
    }
}
