//! What a whole document's chunk shows: the values that stand in its maps, and its texts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use automerge::{ActorId, ObjId, ObjType, ScalarValue, Value as Stored};

use crate::canvas::chunk::{read_sleb, read_uleb};
use crate::canvas::columns::DAMAGED;
use crate::canvas::reader::Source;
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{Maps, TextId, text_object};
use crate::canvas::tables::{Id, Key, OperationRow, SET, Tables};

/// What stands in the maps of a chunk, and its texts. It has to have passed [`check`](crate::canvas::canonical::check).
#[derive(Debug, Default)]
pub(super) struct Shown<'a> {
    /// Map, key and what stands there.
    pub(super) entries: Vec<(usize, &'a str, ShownValue)>,
    texts: BTreeMap<TextId, String>,
}

/// What stands at a key.
#[derive(Debug)]
pub(super) enum ShownValue {
    Scalar(ScalarValue),
    Text(TextId),
}

impl ShownValue {
    /// As Automerge gives it.
    pub(super) fn found(&self) -> (Stored<'_>, ObjId) {
        match self {
            Self::Scalar(value) => (Stored::Scalar(Cow::Borrowed(value)), ObjId::Root),
            Self::Text(id) => (Stored::Object(ObjType::Text), text_object(id)),
        }
    }
}

impl Source for &Shown<'_> {
    fn get(&self, _: CanvasMap, _: &str) -> Option<(Stored<'_>, ObjId)> {
        None
    }

    fn text(&self, id: &TextId) -> Option<String> {
        self.texts.get(id).cloned()
    }
}

impl<'a> Shown<'a> {
    pub(super) fn read(tables: &Tables<'a>, maps: &Maps) -> Result<Self, &'static str> {
        let mut shown = Self::default();
        let actor = |number: u32| tables.actors.get(number as usize).map(|bytes| ActorId::from(*bytes)).ok_or(DAMAGED);
        let is_root = |id: Id| tables.actors.get(id.actor as usize) == Some(&maps.actor().to_bytes());
        let mut operations = tables.operations();
        // What an object is, and the last operation so far that nothing overwrites of the key that is being read.
        let (mut object, mut kind) = (None, Kind::Other);
        let mut last: Option<(usize, &str, OperationRow<'a>)> = None;
        let mut text = String::new();
        let name = |id: Id| Ok::<_, &'static str>((u64::from(id.counter), actor(id.actor)?));
        while let Some(row) = operations.next()? {
            if object != row.object {
                if let Kind::Text(id) = std::mem::replace(&mut kind, Kind::Other) {
                    shown.texts.insert(id, std::mem::take(&mut text));
                }
                object = row.object;
                kind = match row.object {
                    None => Kind::Other,
                    Some(id) if is_root(id) => maps.at_counter(u64::from(id.counter)).map_or(Kind::Other, Kind::Map),
                    Some(id) => Kind::Text(name(id)?),
                };
            }
            match (&kind, row.key) {
                (Kind::Map(map), Key::Map(key)) => {
                    if last.as_ref().is_none_or(|(of, name, _)| of != map || *name != key) {
                        shown.add(last.take(), &name)?;
                    }
                    if row.successors == 0 {
                        last = Some((*map, key, row));
                    }
                }
                (Kind::Text(_), _) if row.successors == 0 => {
                    text.push_str(std::str::from_utf8(row.value).map_err(|_| DAMAGED)?);
                }
                _ => {}
            }
        }
        shown.add(last, &name)?;
        if let Kind::Text(id) = kind {
            shown.texts.insert(id, text);
        }
        Ok(shown)
    }

    fn add(
        &mut self,
        standing: Option<(usize, &'a str, OperationRow<'a>)>,
        name: &dyn Fn(Id) -> Result<TextId, &'static str>,
    ) -> Result<(), &'static str> {
        let Some((map, key, row)) = standing else { return Ok(()) };
        let stands = if row.action == SET {
            ShownValue::Scalar(scalar(row.value_type, row.value).ok_or(DAMAGED)?)
        } else {
            // Nothing else but a text stands in a map. Of one into which nothing was ever written there are no rows.
            let id = name(row.id)?;
            self.texts.entry(id.clone()).or_default();
            ShownValue::Text(id)
        };
        self.entries.push((map, key, stands));
        Ok(())
    }
}

enum Kind {
    Map(usize),
    Text(TextId),
    Other,
}

/// See the Automerge binary format specification, section "Value types".
fn scalar(value_type: u64, mut bytes: &[u8]) -> Option<ScalarValue> {
    let value = match value_type {
        0 => ScalarValue::Null,
        1 => ScalarValue::Boolean(false),
        2 => ScalarValue::Boolean(true),
        3 => ScalarValue::Uint(read_uleb(&mut bytes)?),
        4 => ScalarValue::Int(read_sleb(&mut bytes)?),
        5 => ScalarValue::F64(f64::from_le_bytes(std::mem::take(&mut bytes).try_into().ok()?)),
        6 => ScalarValue::Str(std::str::from_utf8(std::mem::take(&mut bytes)).ok()?.into()),
        7 => ScalarValue::Bytes(std::mem::take(&mut bytes).to_vec()),
        _ => return None,
    };
    bytes.is_empty().then_some(value)
}
