//! Reading `.canvas` files, and remembering how each is written.

use crate::canvas::error::CanvasError;
use crate::canvas::file::scan::{Container, frame, offset};
use crate::canvas::model::Canvas;

/// How a file is written: indentation, order of keys, spelling of numbers, line ends, everything. It is the text itself;
/// what is [rendered](crate::canvas::file::render) with it differs from that only where the canvas does.
///
/// The default is an empty canvas as Obsidian writes it: tabs, `nodes` before `edges`, one element a line, no newline at
/// the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayout {
    /// Valid JSON, a canvas, perhaps after a byte order mark.
    pub(super) text: String,
}

impl Default for FileLayout {
    fn default() -> Self {
        Self { text: "{\n\t\"nodes\":[],\n\t\"edges\":[]\n}".to_owned() }
    }
}

impl FileLayout {
    /// The text that was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Reads the text of a `.canvas` file. An empty text is no canvas: a file that is just being written looks like that.
///
/// # Errors
/// As [`Canvas::from_json`]; where something stands in the wrong place, its path is followed by line and column.
pub fn read(text: &str) -> Result<(Canvas, FileLayout), CanvasError> {
    let json = text.strip_prefix('\u{feff}').unwrap_or(text);
    match Canvas::from_json(json) {
        Ok(canvas) => Ok((canvas, FileLayout { text: text.to_owned() })),
        Err(error) => Err(with_position(error, json)),
    }
}

fn with_position(error: CanvasError, json: &str) -> CanvasError {
    let placed = |path: String| match position(json, &path) {
        Some((line, column)) => format!("{path} (line {line}, column {column})"),
        None => path,
    };
    match error {
        CanvasError::Invalid { path, reason } => CanvasError::Invalid { path: placed(path), reason },
        CanvasError::TooLarge { path, amount, unit, limit } => {
            CanvasError::TooLarge { path: placed(path), amount, unit, limit }
        }
        other => other,
    }
}

/// Line and column, in characters and from 1, of what a path such as `nodes[3].id` names; of the element if it has no
/// such property.
fn position(json: &str, path: &str) -> Option<(usize, usize)> {
    let top = Container::of(frame(json).1);
    let found = if let Some(member) = top.member(path) {
        member.value
    } else {
        let (list, rest) = path.split_once('[')?;
        let (index, property) = rest.split_once(']')?;
        let list = Container::of(top.member(list)?.value);
        let element = list.items.get(index.parse::<usize>().ok()?)?.value;
        let inside = if element.starts_with('{') { Container::of(element) } else { Container::default() };
        property.strip_prefix('.').and_then(|name| inside.member(name)).map_or(element, |member| member.value)
    };
    let before = json.get(..offset(json, found))?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    Some((before.matches('\n').count() + 1, line.chars().count() + 1))
}
