//! What is written over a file differs from it where the canvas does.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::canvas::CanvasError;
use crate::canvas::file::{FileLayout, read, render, render_with};

/// The lines that one text has and the other lacks.
fn changed_lines(old: &str, new: &str) -> (usize, usize) {
    let diff = similar::TextDiff::from_lines(old, new);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    (count(similar::ChangeTag::Delete), count(similar::ChangeTag::Insert))
}

#[test]
fn real_files_come_back_byte_for_byte() {
    for (name, text) in examples() {
        for text in [text.clone(), format!("{text}\n"), format!("\u{feff}{}", text.replace('\n', "\r\n"))] {
            let (canvas, layout) = read(&text).unwrap();
            assert_eq!(render(&canvas, &layout), text, "{name}");
        }
    }
}

#[test]
fn a_change_of_one_property_changes_one_line_of_a_real_file() {
    for (name, text) in examples() {
        let (canvas, layout) = read(&text).unwrap();
        for place in (0..canvas.nodes.len()).step_by(1 + canvas.nodes.len() / 20) {
            let mut moved = canvas.clone();
            moved.nodes[place].properties.insert("x".into(), Value::Int(123_456));
            let rendered = render(&moved, &layout);
            assert_eq!(changed_lines(&text, &rendered), (1, 1), "{name}, node {place}");
            let (again, layout) = read(&rendered).unwrap();
            assert_eq!(again, moved);
            assert_eq!(render(&canvas, &layout), text, "there and back");
        }
    }
}

#[test]
fn a_new_canvas_looks_as_obsidian_writes_it() {
    let layout = FileLayout::default();
    assert_eq!(render(&Canvas::default(), &layout), "{\n\t\"nodes\":[],\n\t\"edges\":[]\n}");
    let new = canvas(
        r#"{"edges":[{"toNode":"a","fromNode":"a","id":"e"}],"metadata":{"version":"1.0-1.0","frontmatter":{}},
        "nodes":[{"x":1.0,"text":"é\n","o":{"k":[1,2]},"id":"a","type":"text"},{"id":"b"}]}"#,
    );
    let expected = "{\n\t\"nodes\":[\n\
        \t\t{\"id\":\"a\",\"type\":\"text\",\"text\":\"é\\n\",\"x\":1,\"o\":{\"k\":[1,2]}},\n\
        \t\t{\"id\":\"b\"}\n\t],\n\t\"edges\":[\n\
        \t\t{\"id\":\"e\",\"fromNode\":\"a\",\"toNode\":\"a\"}\n\t],\n\
        \t\"metadata\":{\n\t\t\"frontmatter\":{},\n\t\t\"version\":\"1.0-1.0\"\n\t}\n}";
    assert_eq!(render(&new, &layout), expected);
    assert_eq!(render(&new, &read("{}").unwrap().1), expected, "a new file of Obsidian's is just that");
    assert_eq!(render(&new, &read("{ }\r\n").unwrap().1), expected.replace('\n', "\r\n") + "\r\n");
}

#[test]
fn what_did_not_change_keeps_its_keys_and_spelling() {
    let text = r#"{ "z" : [1.0,  {"b":2e0,"a":"\u0061"}],
  "nodes": [ {"x": 1.0,"id":"a" , "w":{"q":1, "p":[1.50, 2]}}, {"id": "b","y":0.10,"y":0.20} ],
  "edges": []
}
"#;
    let (old, layout) = read(text).unwrap();
    let mut new = old.clone();
    new.nodes[0].properties.insert("w".into(), Value::Json(r#"{"n":0,"p":[1.5,3],"q":1}"#.into()));
    new.nodes[1].properties.insert("y".into(), Value::Int(5));
    new.properties.insert("z".into(), Value::Json(r#"[1,{"a":"a","b":3}]"#.into()));
    let expected = text
        .replace(r#"{"q":1, "p":[1.50, 2]}"#, r#"{"q":1, "p":[1.50, 3], "n":0}"#)
        .replace(r#""y":0.20"#, r#""y":5"#)
        .replace("2e0", "3");
    assert_eq!(render(&new, &layout), expected);
}

#[test]
fn additions_look_like_what_stands_beside_them() {
    let add = |text: &str| {
        let (mut canvas, layout) = read(text).unwrap();
        let properties = Properties::from([("x".into(), Value::Int(2)), ("o".into(), Value::Json("[1]".into()))]);
        canvas.nodes.push(Element { id: "n".into(), properties });
        render(&canvas, &layout)
    };
    for (text, expected) in [
        (
            "{\n  \"nodes\": [\n    {\n      \"id\": \"a\"\n    }\n  ]\n}\n",
            "{\n  \"nodes\": [\n    {\n      \"id\": \"a\"\n    },\n    {\n      \"id\": \"n\",\n      \"x\": 2,\n      \
             \"o\": [\n        1\n      ]\n    }\n  ]\n}\n",
        ),
        (r#"{"nodes":[{"id":"a"}]}"#, r#"{"nodes":[{"id":"a"},{"id":"n","x":2,"o":[1]}]}"#),
        (r#"{"nodes": [], "edges": []}"#, r#"{"nodes": [{"id": "n", "x": 2, "o": [1]}], "edges": []}"#),
        (
            "{\n \"edges\": []\n}",
            "{\n \"nodes\": [\n  {\n   \"id\": \"n\",\n   \"x\": 2,\n   \"o\": [\n    1\n   ]\n  }\n ],\n \"edges\": []\n}",
        ),
        (
            "{\n\t\"nodes\":[\n\t\t{ \"id\": \"a\", \"x\": 1 }\n\t]\n}",
            "{\n\t\"nodes\":[\n\t\t{ \"id\": \"a\", \"x\": 1 },\n\t\t{ \"id\": \"n\", \"x\": 2, \"o\": [1] }\n\t]\n}",
        ),
    ] {
        assert_eq!(add(text), expected);
    }
}

#[test]
fn what_comes_from_another_file_comes_as_it_is_there() {
    let layout = read("{\n\t\"nodes\":[\n\t\t{\"id\":\"a\",\"x\":1}\n\t]\n}").unwrap().1;
    let (theirs, other) =
        read("{\n\t\"nodes\":[\n\t\t{\"y\":2.0,\"id\":\"b\"},\n\t\t{\"x\":1.0,\"id\":\"a\"}\n\t]\n}").unwrap();
    let expected = "{\n\t\"nodes\":[\n\t\t{\"y\":2.0,\"id\":\"b\"},\n\t\t{\"id\":\"a\",\"x\":1}\n\t]\n}";
    assert_eq!(render_with(&theirs, &layout, &other), expected);
    let pretty = read("{\n \"nodes\": [\n  {\n   \"y\": 2.0,\n   \"id\": \"b\"\n  }\n ]\n}").unwrap().1;
    assert!(render_with(&theirs, &layout, &pretty).contains("{\"id\":\"b\",\"y\":2}"), "in another style it is not");
}

#[test]
fn complaints_have_line_and_column() {
    for (text, message) in [
        ("{\n\t\"nodes\":[\n\t\t{\"id\":\"a\"},\n\t\t{\"x\":1}\n\t]\n}", "nodes[1].id (line 4, column 3): missing"),
        ("\u{feff}{\"nodes\":[\n{\"id\":7}]}", "nodes[0].id (line 2, column 7): expected a string"),
        ("{\n\"edges\":{}}", "edges (line 2, column 9): expected an array"),
        ("{\"nodes\":[\n7]}", "nodes[0] (line 2, column 1): expected an object"),
        ("{\"nodes\":[\n}", "not JSON: expected value (line 2, column 1)"),
        ("", "not JSON: EOF while parsing a value (line 1, column 0)"),
        ("[]", "canvas: expected an object"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let long = format!("{{\n\"k\":\"{}\"}}", "x".repeat(crate::limits::MAX_STRING_BYTES + 1));
    assert!(matches!(read(&long), Err(CanvasError::TooLarge { path, .. }) if path == "k (line 2, column 5)"));
}

/// Prints JSON with white space taken from a list, over and over.
fn spaced(json: &Json, spaces: &mut dyn Iterator<Item = &'static str>, out: &mut String) {
    let items: Vec<(Option<&String>, &Json)> = match json {
        Json::Array(items) => items.iter().map(|item| (None, item)).collect(),
        Json::Object(members) => members.iter().map(|(key, item)| (Some(key), item)).collect(),
        other => return out.push_str(&other.to_string()),
    };
    let brackets = if json.is_array() { ["[", "]"] } else { ["{", "}"] };
    out.push_str(brackets[0]);
    for (place, (key, item)) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(spaces.next().unwrap_or_default());
        if let Some(key) = key {
            out.push_str(&Json::from(key.as_str()).to_string());
            out.push_str(spaces.next().unwrap_or_default());
            out.push(':');
            out.push_str(spaces.next().unwrap_or_default());
        }
        spaced(item, spaces, out);
        out.push_str(spaces.next().unwrap_or_default());
    }
    out.push_str(spaces.next().unwrap_or_default());
    out.push_str(brackets[1]);
}

fn white_space() -> impl Strategy<Value = Vec<&'static str>> {
    let any = prop_oneof![4 => Just(""), 2 => Just(" "), 1 => Just("\t"), 2 => Just("\n\t\t"), 1 => Just("\r\n")];
    prop::collection::vec(any, 1..30)
}

fn file(canvas: &Canvas, spaces: &[&'static str], nested: bool) -> String {
    let mut json: Json = serde_json::from_str(&canvas.to_json()).unwrap();
    if nested {
        json["deep"] = serde_json::json!({ "a": [1.0, { "b": [] }], "c": null });
    }
    let mut out = "\u{feff}\n".to_owned();
    spaced(&json, &mut spaces.iter().copied().cycle(), &mut out);
    out + "\n"
}

proptest! {
    #[test]
    fn any_file_comes_back_byte_for_byte(edits in many(), spaces in white_space(), nested in any::<bool>()) {
        let text = file(&mutated(&Canvas::default(), &edits), &spaces, nested);
        let (canvas, layout) = read(&text).unwrap();
        prop_assert_eq!(render(&canvas, &layout), text);
    }

    #[test]
    fn what_is_written_over_any_file_reads_as_the_canvas(
        before in many(), after in many(), spaces in white_space(), deep in prop_oneof![
            Just(None), Just(Some(r#"{"a":[1,{"b":[7,{}]},[]],"d":{"e":1}}"#)), Just(Some(r"[1]"))],
    ) {
        let old = mutated(&Canvas::default(), &before);
        let text = file(&old, &spaces, true);
        let (old, layout) = read(&text).unwrap();
        let mut new = mutated(&old, &after);
        match deep {
            Some(deep) => new.properties.insert("deep".into(), Value::Json(deep.into())),
            None => new.properties.remove("deep"),
        };
        let rendered = render(&new, &layout);
        prop_assert_eq!(&read(&rendered).unwrap().0, &new, "{}", rendered);
        // Of elements that are the same, the bytes are.
        let elements = |canvas: &Canvas, text: &str| -> Vec<(Element, String)> {
            let top = crate::canvas::file::scan::Container::of(crate::canvas::file::scan::frame(text).1);
            let nodes = crate::canvas::file::scan::Container::of(top.member("nodes").unwrap().value);
            canvas.nodes.iter().cloned().zip(nodes.items.iter().map(|item| item.value.to_owned())).collect()
        };
        for (element, written) in elements(&new, &rendered) {
            for (before, bytes) in elements(&old, &text) {
                if before == element {
                    prop_assert_eq!(&bytes, &written);
                }
            }
        }
    }
}
