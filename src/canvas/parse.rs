//! Reading canvases and patches from JSON, with every limit checked and every complaint saying where.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::canvas::error::CanvasError;
use crate::canvas::model::{Canvas, Element, Properties};
use crate::canvas::patch::{CanvasPatch, ElementsPatch};
use crate::canvas::value::{BadValue, Value};
use crate::limits::{MAX_CANVAS_JSON_BYTES, MAX_ELEMENTS, MAX_NESTING, MAX_STRING_BYTES};

/// Reads a whole canvas.
pub(super) fn canvas(json: &str) -> Result<Canvas, CanvasError> {
    let mut top = object(json, "canvas")?;
    let nodes = elements(top.remove("nodes"), "nodes")?;
    let edges = elements(top.remove("edges"), "edges")?;
    Ok(Canvas { nodes, edges, properties: properties(top, "")? })
}

/// Reads a patch.
pub(super) fn patch(json: &str) -> Result<CanvasPatch, CanvasError> {
    let mut top = object(json, "patch")?;
    let nodes = elements_patch(top.remove("nodes"), "nodes")?;
    let edges = elements_patch(top.remove("edges"), "edges")?;
    let changed = match top.remove("properties") {
        None => Properties::new(),
        Some(Json::Object(members)) => properties(members, "properties.")?,
        Some(_) => return Err(CanvasError::invalid("properties", "expected an object")),
    };
    for key in ["nodes", "edges"] {
        if changed.contains_key(key) {
            return Err(CanvasError::invalid(format!("properties.{key}"), "patch it through `nodes` and `edges`"));
        }
    }
    match top.keys().next() {
        Some(key) => Err(CanvasError::invalid(key, "unknown key; a patch has nodes, edges and properties")),
        None => Ok(CanvasPatch { nodes, edges, properties: changed }),
    }
}

pub(super) fn duplicate_id(list: &str, index: usize, id: &str) -> CanvasError {
    CanvasError::invalid(format!("{list}[{index}].id"), format!("{id:?} is already the id of another"))
}

fn object(json: &str, what: &str) -> Result<Map<String, Json>, CanvasError> {
    if json.len() > MAX_CANVAS_JSON_BYTES {
        return Err(CanvasError::json_too_long(what, json.len()));
    }
    match serde_json::from_str(json) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Err(CanvasError::invalid(what, "expected an object")),
        Err(error) => Err(CanvasError::Syntax {
            line: error.line(),
            column: error.column(),
            reason: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
        }),
    }
}

fn elements(json: Option<Json>, list: &'static str) -> Result<Vec<Element>, CanvasError> {
    let items = match json {
        None => return Ok(Vec::new()),
        Some(Json::Array(items)) => items,
        Some(_) => return Err(CanvasError::invalid(list, "expected an array")),
    };
    if items.len() > MAX_ELEMENTS {
        return Err(CanvasError::too_many(list, items.len()));
    }
    let mut seen = BTreeSet::new();
    let mut elements = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = format!("{list}[{index}]");
        let Json::Object(mut members) = item else {
            return Err(CanvasError::invalid(path, "expected an object"));
        };
        let id = match members.remove("id") {
            Some(Json::String(id)) => id,
            Some(_) => return Err(CanvasError::invalid(format!("{path}.id"), "expected a string")),
            None => {
                return Err(CanvasError::invalid(format!("{path}.id"), "missing; every element needs a unique id"));
            }
        };
        if id.len() > MAX_STRING_BYTES {
            return Err(CanvasError::string_too_long(format!("{path}.id"), id.len()));
        }
        if !seen.insert(id.clone()) {
            return Err(duplicate_id(list, index, &id));
        }
        elements.push(Element { id, properties: properties(members, &format!("{path}."))? });
    }
    Ok(elements)
}

fn elements_patch(json: Option<Json>, list: &'static str) -> Result<ElementsPatch, CanvasError> {
    let mut members = match json {
        None => return Ok(ElementsPatch::default()),
        Some(Json::Object(members)) => members,
        Some(_) => return Err(CanvasError::invalid(list, "expected an object with upsert and remove")),
    };
    let upsert = elements(members.remove("upsert"), if list == "nodes" { "nodes.upsert" } else { "edges.upsert" })?;
    let mut remove = BTreeSet::new();
    match members.remove("remove") {
        None => {}
        Some(Json::Array(ids)) => {
            for (index, id) in ids.into_iter().enumerate() {
                let Json::String(id) = id else {
                    return Err(CanvasError::invalid(format!("{list}.remove[{index}]"), "expected an id, a string"));
                };
                remove.insert(id);
            }
        }
        Some(_) => {
            return Err(CanvasError::invalid(format!("{list}.remove"), "expected an array of ids"));
        }
    }
    if let Some(element) = upsert.iter().find(|element| remove.contains(&element.id)) {
        let reason = format!("{:?} is in upsert too; say which is meant", element.id);
        return Err(CanvasError::invalid(format!("{list}.remove"), reason));
    }
    match members.keys().next() {
        Some(key) => Err(CanvasError::invalid(format!("{list}.{key}"), "unknown key; expected upsert and remove")),
        None => Ok(ElementsPatch { upsert, remove }),
    }
}

fn properties(members: Map<String, Json>, prefix: &str) -> Result<Properties, CanvasError> {
    members
        .into_iter()
        .map(|(key, json)| {
            if key.len() > MAX_STRING_BYTES {
                return Err(CanvasError::string_too_long(format!("a property name under {prefix:?}"), key.len()));
            }
            match Value::from_json(json) {
                Ok(value) => Ok((key, value)),
                Err(BadValue::TooDeep) => {
                    Err(CanvasError::invalid(format!("{prefix}{key}"), format!("nested deeper than {MAX_NESTING}")))
                }
                Err(BadValue::TooLong(bytes)) => Err(CanvasError::string_too_long(format!("{prefix}{key}"), bytes)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(error: CanvasError) -> String {
        match error {
            CanvasError::Invalid { path, .. } | CanvasError::TooLarge { path, .. } => path,
            other => panic!("no path: {other:?}"),
        }
    }

    #[test]
    fn complaints_say_where() {
        for (json, path) in [
            ("[]", "canvas"),
            (r#"{"nodes":{}}"#, "nodes"),
            (r#"{"nodes":[{"id":"a"},{}]}"#, "nodes[1].id"),
            (r#"{"nodes":[1]}"#, "nodes[0]"),
            (r#"{"edges":[{"id":1}]}"#, "edges[0].id"),
            (r#"{"nodes":[{"id":"a"},{"id":"a"}]}"#, "nodes[1].id"),
        ] {
            assert_eq!(path_of(canvas(json).unwrap_err()), path, "{json}");
        }
        for (json, path) in [
            (r#"{"nodes":[]}"#, "nodes"),
            (r#"{"nodes":{"remove":[1]}}"#, "nodes.remove[0]"),
            (r#"{"edges":{"upsert":[{}]}}"#, "edges.upsert[0].id"),
            (r#"{"nodes":{"upsert":[{"id":"a"}],"remove":["a"]}}"#, "nodes.remove"),
            (r#"{"x":1}"#, "x"),
            (r#"{"properties":{"nodes":1}}"#, "properties.nodes"),
        ] {
            assert_eq!(path_of(patch(json).unwrap_err()), path, "{json}");
        }
    }

    #[test]
    fn syntax_errors_give_line_and_column() {
        let error = canvas("{\n  \"nodes\": [}\n}").unwrap_err();
        assert!(matches!(error, CanvasError::Syntax { line: 2, column: 13, .. }), "{error:?}");
    }

    #[test]
    fn sizes_are_bounded() {
        let long = format!(r#"{{"nodes":[{{"id":"a","text":"{}"}}]}}"#, "x".repeat(MAX_STRING_BYTES + 1));
        assert_eq!(path_of(canvas(&long).unwrap_err()), "nodes[0].text");
        let deep = format!(r#"{{"edges":[{{"id":"a","x":{}1{}}}]}}"#, "[".repeat(65), "]".repeat(65));
        assert_eq!(path_of(canvas(&deep).unwrap_err()), "edges[0].x");
    }

    #[test]
    fn a_canvas_comes_back_with_its_keys_in_order() {
        let json = r#"{"zebra":1,"edges":[],"nodes":[{"height":1,"y":2,"a":[1.0],"x":3,"type":"text","id":"n"}]}"#;
        assert_eq!(
            canvas(json).unwrap().to_json(),
            r#"{"nodes":[{"id":"n","type":"text","x":3,"y":2,"height":1,"a":[1]}],"edges":[],"zebra":1}"#
        );
    }
}
