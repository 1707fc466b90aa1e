//! Reading single values of a canvas document, at present or at an older version.

use automerge::{Automerge, ChangeHash, ObjId, ReadDoc, ScalarValue, Value as Stored};

use crate::canvas::order::{OrderKey, read_key};
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{Maps, TextId, text_id, text_object};
use crate::canvas::value::Value;

/// Where a view reads what stands at keys that were touched.
pub(crate) trait Source: Copy {
    /// What stands at a key of a map.
    fn get(&self, map: CanvasMap, key: &str) -> Option<(Stored<'_>, ObjId)>;

    /// The content of a Text object.
    fn text(&self, id: &TextId) -> Option<String>;
}

/// Where values are read: the document at present, or at an older version.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) doc: &'a Automerge,
    pub(crate) maps: &'a Maps,
    pub(crate) heads: Option<&'a [ChangeHash]>,
}

impl Source for Reader<'_> {
    fn get(&self, map: CanvasMap, key: &str) -> Option<(Stored<'_>, ObjId)> {
        let object = self.maps.id(map.number(key));
        let found = match self.heads {
            None => self.doc.get(object, key),
            Some(heads) => self.doc.get_at(object, key, heads),
        };
        found.ok().flatten()
    }

    fn text(&self, id: &TextId) -> Option<String> {
        let object = text_object(id);
        match self.heads {
            None => self.doc.text(object),
            Some(heads) => self.doc.text_at(object, heads),
        }
        .ok()
    }
}

impl<'a> Reader<'a> {
    /// What stands at a key.
    pub(crate) fn stands(&self, map: CanvasMap, key: &str) -> Stands {
        match self.get(map, key) {
            None => Stands::Nothing,
            Some((Stored::Scalar(scalar), _)) => Stands::Scalar(Value::from_scalar(&scalar)),
            Some((Stored::Object(_), object)) => match text_id(&object) {
                Some(id) => self.text(&id).map_or(Stands::Scalar(None), |text| Stands::Text(id, text)),
                None => Stands::Scalar(None),
            },
        }
    }

    /// The order key that stands at an element's id.
    pub(crate) fn order_key(&self, map: CanvasMap, id: &str) -> Option<OrderKey> {
        match self.get(map, id)? {
            (Stored::Scalar(scalar), _) => Some(order(Some(&scalar))),
            (Stored::Object(_), _) => None,
        }
    }

    /// Whether something keeps an element alive at present that is not known at the version `seen`.
    pub(crate) fn has_unseen_tags(&self, live: CanvasMap, id: &str, seen: &[ChangeHash]) -> bool {
        let object = self.maps.id(live.number(id));
        let known = self.doc.get_all_at(object, id, seen).unwrap_or_default();
        let now = self.doc.get_all(object, id).unwrap_or_default();
        now.iter().any(|(_, tag)| known.iter().all(|(_, known)| known != tag))
    }

    /// Visits every key of a map.
    pub(crate) fn for_each(&self, map: usize, mut visit: impl FnMut(&str, Option<(Stored<'a>, ObjId)>)) {
        let object = self.maps.id(map);
        let range = match self.heads {
            None => self.doc.map_range(object, ..),
            Some(heads) => self.doc.map_range_at(object, .., heads),
        };
        for item in range {
            let id = item.id();
            visit(&item.key, Some((item.value.into_value(), id)));
        }
    }
}

/// What stands at a key of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stands {
    /// Nothing.
    Nothing,
    /// A scalar; `None` for one that counts as absent.
    Scalar(Option<Value>),
    /// A Text object.
    Text(TextId, String),
}

impl Stands {
    /// Whether it reads as this value.
    pub(crate) fn is(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Nothing | Self::Scalar(None), None) => true,
            (Self::Scalar(Some(stands)), Some(value)) => stands == value,
            (Self::Text(_, stands), Some(Value::String(value))) => stands == value,
            _ => false,
        }
    }

    /// Whether it is this Text object with this content.
    pub(crate) fn is_text(&self, object: &TextId, text: &str) -> bool {
        matches!(self, Self::Text(id, stands) if id == object && stands == text)
    }
}

/// A key that is present means alive, whatever its value.
pub(crate) fn tag(scalar: Option<&ScalarValue>) -> u64 {
    match scalar {
        Some(ScalarValue::Uint(tag)) => *tag,
        _ => 0,
    }
}

/// An element's place; empty for what is no key.
pub(crate) fn order(scalar: Option<&ScalarValue>) -> OrderKey {
    match scalar {
        Some(ScalarValue::Bytes(bytes)) => read_key(bytes),
        _ => OrderKey::new(),
    }
}
