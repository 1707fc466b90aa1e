//! The value of one property, and its two outside forms: JSON and Automerge scalar.

use automerge::ScalarValue;
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::limits::{MAX_NESTING, MAX_SAFE_INTEGER, MAX_STRING_BYTES};

/// The value of one property. Numbers are normalised, so that a canvas read from a file and the same canvas passed by
/// JavaScript are equal: what is integral and within [`MAX_SAFE_INTEGER`] is an [`Int`](Value::Int).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of at most [`MAX_SAFE_INTEGER`] in magnitude.
    Int(i64),
    /// Any other number; finite, never `-0`.
    Float(f64),
    /// A string.
    String(String),
    /// A nested object or array, which merges as one value: canonical JSON (no white space, keys in ascending order,
    /// numbers normalised).
    Json(String),
}

/// Why a JSON value cannot be a property's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadValue {
    /// Nested deeper than [`MAX_NESTING`].
    TooDeep,
    /// A string (or the JSON of a nested value) of this many bytes, more than [`MAX_STRING_BYTES`].
    TooLong(usize),
}

impl Value {
    /// Takes over a JSON value.
    pub(crate) fn from_json(json: Json) -> Result<Self, BadValue> {
        let value = match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(flag),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Self::from_integer(integer),
                // Without arbitrary precision every JSON number is finite.
                None => Self::from_float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Self::String(text),
            nested @ (Json::Array(_) | Json::Object(_)) => {
                let mut text = String::new();
                write_canonical(&nested, 1, &mut text)?;
                Self::Json(text)
            }
        };
        match &value {
            Self::String(text) | Self::Json(text) if text.len() > MAX_STRING_BYTES => {
                Err(BadValue::TooLong(text.len()))
            }
            _ => Ok(value),
        }
    }

    fn from_integer(integer: i64) -> Self {
        if integer.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() {
            Self::Int(integer)
        } else {
            #[allow(clippy::cast_precision_loss)] // As JavaScript reads it.
            Self::Float(integer as f64)
        }
    }

    fn from_float(float: f64) -> Self {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // Exact below 2^53.
        if float.abs() <= MAX_SAFE_INTEGER as f64 && float.fract() == 0.0 {
            Self::Int(float as i64)
        } else {
            Self::Float(float)
        }
    }

    /// The scalar that stands for the value in a document.
    pub(crate) fn to_scalar(&self) -> ScalarValue {
        match self {
            Self::Null => ScalarValue::Null,
            Self::Bool(flag) => ScalarValue::Boolean(*flag),
            Self::Int(integer) => ScalarValue::Int(*integer),
            Self::Float(float) => ScalarValue::F64(*float),
            Self::String(text) => ScalarValue::Str(text.as_str().into()),
            Self::Json(text) => ScalarValue::Bytes(text.as_bytes().to_vec()),
        }
    }

    /// Reads a scalar of a document. `None` for what no version of this software writes: it counts as absent, alike on
    /// every peer.
    pub(crate) fn from_scalar(scalar: &ScalarValue) -> Option<Self> {
        match scalar {
            ScalarValue::Null => Some(Self::Null),
            ScalarValue::Boolean(flag) => Some(Self::Bool(*flag)),
            ScalarValue::Int(integer) => Some(Self::from_integer(*integer)),
            ScalarValue::F64(float) if float.is_finite() => Some(Self::from_float(*float)),
            ScalarValue::Str(text) => Some(Self::String(text.to_string())),
            ScalarValue::Bytes(bytes) => nested_from_bytes(bytes),
            _ => None,
        }
    }

    /// Appends the value as JSON.
    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Int(integer) => out.push_str(&integer.to_string()),
            Self::Float(float) => out.push_str(&Json::from(*float).to_string()),
            Self::String(text) => write_string(text, out),
            Self::Json(text) => out.push_str(text),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(integer) => serializer.serialize_i64(*integer),
            Self::Float(float) => serializer.serialize_f64(*float),
            Self::String(text) => serializer.serialize_str(text),
            Self::Json(text) => {
                let raw: &RawValue = serde_json::from_str(text).map_err(S::Error::custom)?;
                raw.serialize(serializer)
            }
        }
    }
}

/// Appends a string as a JSON string literal.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push_str(&Json::from(text).to_string());
}

/// What other peers wrote is checked, so that `write_json` never prints anything but JSON.
fn nested_from_bytes(bytes: &[u8]) -> Option<Value> {
    let json: Json = serde_json::from_slice(bytes).ok()?;
    match Value::from_json(json) {
        Ok(nested @ Value::Json(_)) => Some(nested),
        _ => None,
    }
}

fn write_canonical(json: &Json, depth: usize, out: &mut String) -> Result<(), BadValue> {
    match json {
        Json::Array(items) => {
            if depth > MAX_NESTING {
                return Err(BadValue::TooDeep);
            }
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, depth + 1, out)?;
            }
            out.push(']');
        }
        Json::Object(members) => {
            if depth > MAX_NESTING {
                return Err(BadValue::TooDeep);
            }
            // Sorted here: whether the map is depends on a feature that any other crate may turn on.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_canonical(item, depth + 1, out)?;
            }
            out.push('}');
        }
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::from_integer(integer).write_json(out),
            None => Value::from_float(number.as_f64().unwrap_or_default()).write_json(out),
        },
        Json::String(text) => write_string(text, out),
        Json::Null | Json::Bool(_) => out.push_str(&json.to_string()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Value {
        Value::from_json(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn numbers_are_normalised() {
        assert_eq!(read("1.0"), Value::Int(1));
        assert_eq!(read("-0"), Value::Int(0));
        assert_eq!(read("-0.0"), Value::Int(0));
        assert_eq!(read("0.1"), Value::Float(0.1));
        assert_eq!(read("9007199254740991"), Value::Int(MAX_SAFE_INTEGER));
        assert_eq!(read("9007199254740992"), Value::Float(9_007_199_254_740_992.0));
        assert_eq!(read("18446744073709551615"), Value::Float(18_446_744_073_709_551_615.0));
    }

    #[test]
    fn nested_values_are_canonical() {
        let value = read(r#"{"b": [1.0, -0.0, "\u0061"], "a": {"__proto__": null}}"#);
        assert_eq!(value, Value::Json(r#"{"a":{"__proto__":null},"b":[1,0,"a"]}"#.into()));
        assert_eq!(Value::from_scalar(&value.to_scalar()), Some(value));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| serde_json::from_str(&("[".repeat(depth) + &"]".repeat(depth))).unwrap();
        assert!(Value::from_json(nested(MAX_NESTING)).is_ok());
        assert_eq!(Value::from_json(nested(MAX_NESTING + 1)), Err(BadValue::TooDeep));
    }

    #[test]
    fn what_is_no_json_in_a_document_counts_as_absent() {
        for bytes in [&b"1"[..], b"\"text\"", b"{", b"\xff", b"[1]x"] {
            assert_eq!(Value::from_scalar(&ScalarValue::Bytes(bytes.to_vec())), None);
        }
        assert_eq!(Value::from_scalar(&ScalarValue::F64(f64::NAN)), None);
    }
}
