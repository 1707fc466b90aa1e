//! Which file a canvas is, and which canvas a file: names that come from elsewhere can lead nowhere else.

use std::path::{Path, PathBuf};

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

use crate::ids::CanvasId;

/// What every canvas file's name ends with.
pub const EXTENSION: &str = ".canvas";
/// In the name of a copy of a local version that was put aside; such files are no canvases.
const ASIDE: &str = ".local-";
/// Most bytes of one part of a path, as common file systems allow, with room for what is added to temporary files.
const MAX_PART_BYTES: usize = 200;
/// Names that are devices on Windows, with any extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Why a canvas id names no file below the folder, or a file no canvas.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// The id would lead out of the folder, or to something that is no ordinary file on some system.
    #[error("the canvas id {id:?} cannot be a file's name: {reason}; it stays on the network and has no file here")]
    Unsafe {
        /// The id.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is no canvas of this folder: another extension, a hidden name, a copy put aside.
    #[error("{} is no canvas file", .0.display())]
    NotACanvas(PathBuf),
    /// The file's name is not valid as a canvas id.
    #[error("{} cannot be a canvas's name: {reason}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The file of a canvas, relative to the bound folder; checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CanvasPath {
    id: CanvasId,
}

impl CanvasPath {
    /// The file that an id names.
    ///
    /// # Errors
    /// [`PathError::Unsafe`].
    pub fn of_id(id: &CanvasId) -> Result<Self, PathError> {
        let refuse = |reason| Err(PathError::Unsafe { id: id.to_string(), reason });
        for part in id.as_str().split('/') {
            if let Some(reason) = part_problem(part) {
                return refuse(reason);
            }
        }
        let path = Self { id: id.clone() };
        if is_aside(path.file_name_stem()) { refuse("it is the name of a copy put aside") } else { Ok(path) }
    }

    /// The canvas that a file below the folder is; `relative` to the folder.
    ///
    /// # Errors
    /// [`PathError::NotACanvas`], or [`PathError::Name`] for a file that has the extension and cannot be synchronised.
    pub fn of_file(relative: &Path) -> Result<Self, PathError> {
        let not_one = || PathError::NotACanvas(relative.to_owned());
        let name = |reason: String| PathError::Name { path: relative.to_owned(), reason };
        let mut parts = Vec::new();
        for component in relative.components() {
            let std::path::Component::Normal(part) = component else { return Err(not_one()) };
            parts.push(part.to_str().ok_or_else(|| name("it is not UTF-8".to_owned())));
        }
        let Some(Ok(last)) = parts.last() else { return Err(not_one()) };
        let Some(stem) = last.strip_suffix(EXTENSION).filter(|stem| !stem.is_empty()) else { return Err(not_one()) };
        if is_aside(stem) || parts.iter().any(|part| part.as_ref().is_ok_and(|part| part.starts_with('.'))) {
            return Err(not_one());
        }
        let joined = parts.into_iter().collect::<Result<Vec<_>, _>>()?.join("/");
        let id = joined.strip_suffix(EXTENSION).unwrap_or(&joined);
        let id = CanvasId::new(id).map_err(|error| name(error.to_string()))?;
        Self::of_id(&id).map_err(|error| match error {
            PathError::Unsafe { reason, .. } => name(reason.to_owned()),
            other => other,
        })
    }

    /// The canvas.
    #[must_use]
    pub fn id(&self) -> &CanvasId {
        &self.id
    }

    /// The folders that lead to the file, outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        let folders = self.id.as_str().rsplit_once('/').map(|(folders, _)| folders);
        folders.into_iter().flat_map(|folders| folders.split('/'))
    }

    /// The file's own name.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}{EXTENSION}", self.file_name_stem())
    }

    /// The canvas whose file has a name in the same folder, if it can be one.
    #[must_use]
    pub fn sibling(&self, file_name: &str) -> Option<Self> {
        let relative = self.relative();
        Self::of_file(&Path::new(&relative).with_file_name(file_name)).ok()
    }

    fn file_name_stem(&self) -> &str {
        let id = self.id.as_str();
        id.rsplit_once('/').map_or(id, |(_, name)| name)
    }

    /// The name under which a local version is put aside on a day such as `2026-03-01`; `number` tells several apart.
    #[must_use]
    pub fn aside_name(&self, day: &str, number: u32) -> String {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        format!("{}{ASIDE}{day}{suffix}{EXTENSION}", self.file_name_stem())
    }

    /// The path relative to the folder, with `/`.
    #[must_use]
    pub fn relative(&self) -> String {
        format!("{}{EXTENSION}", self.id)
    }

    /// What two paths have in common that some file system takes for the same: case, and composed characters.
    #[must_use]
    pub fn folded(&self) -> String {
        fold(self.id.as_str())
    }
}

/// Decomposed and without case: two names that fold alike are one file on some system.
fn fold(name: &str) -> String {
    name.nfd().flat_map(char::to_lowercase).nfd().collect()
}

fn is_aside(stem: &str) -> bool {
    stem.rfind(ASIDE).is_some_and(|at| {
        let rest = stem.get(at + ASIDE.len()..).unwrap_or_default();
        !rest.is_empty() && rest.chars().all(|character| character.is_ascii_digit() || character == '-')
    })
}

/// Characters that some file systems leave out when they compare names: with them before it, `.git` is `.git`.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Why one part of an id can be no name of a file or folder.
fn part_problem(part: &str) -> Option<&'static str> {
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered = |name: &str| {
        stem.strip_prefix(name).is_some_and(|rest| {
            let mut digits = rest.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    if part.is_empty() {
        Some("a part of it is empty")
    } else if part == "." || part == ".." {
        Some("it leads out of its folder")
    } else if part.trim_start_matches(is_invisible).starts_with('.') {
        Some("a part of it is hidden")
    } else if part.len() > MAX_PART_BYTES {
        Some("a part of it is too long")
    } else if part.chars().any(|character| character.is_control() || r#"\:*?"<>|"#.contains(character)) {
        Some("it has a character that file names cannot have everywhere")
    } else if part.ends_with(['.', ' ']) || part.starts_with(' ') {
        Some("a part of it begins with a space, or ends with a space or full stop")
    } else if DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt") {
        Some("it is a device on some systems")
    } else if stem.starts_with("git~") {
        Some("it may lead into git's own folder")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_id(id: &str) -> Result<CanvasPath, PathError> {
        CanvasPath::of_id(&CanvasId::new(id).unwrap())
    }

    #[test]
    fn ordinary_names_lead_to_files_and_back() {
        for id in ["plan", "boards/plan", "Ünïcödé/日本 語", "a.b/c.canvas", "v1.0 (draft)"] {
            let path = of_id(id).unwrap();
            assert_eq!(path.relative(), format!("{id}.canvas"));
            assert_eq!(CanvasPath::of_file(Path::new(&path.relative())).unwrap().id().as_str(), id);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let names = [
            "..",
            "../x",
            "a/../x",
            "a/./x",
            "/etc/passwd",
            "a//b",
            "a/",
            "x\0y",
            "a\\b",
            "C:/x",
            "C:x",
            "x:stream",
            "con",
            "NUL",
            "nul.txt",
            "a/Com1",
            "LPT9.x/y",
            "com¹",
            ".git/hooks/x",
            ".GIT/x",
            "\u{200c}.git/x",
            "git~1/x",
            "a/.obsidian/x",
            "x ",
            "x.",
            " x",
            "a\nb",
            "x\u{7f}",
            "plan.local-2026-01-01",
            "what?",
        ];
        for name in names {
            assert!(matches!(of_id(name), Err(PathError::Unsafe { .. })), "{name:?}");
        }
        assert!(of_id(&"x".repeat(201)).is_err());
    }

    #[test]
    fn other_files_are_no_canvases() {
        for file in
            ["x.txt", ".canvas", "a/.trash/x.canvas", "x.canvas.bak", "../x.canvas", "/x.canvas", "x.Canvas", ""]
        {
            assert!(matches!(CanvasPath::of_file(Path::new(file)), Err(PathError::NotACanvas(_))), "{file:?}");
        }
        assert!(matches!(CanvasPath::of_file(Path::new("nul.canvas")), Err(PathError::Name { .. })));
        let aside = of_id("b/plan").unwrap().aside_name("2026-11-27", 2);
        assert_eq!(aside, "plan.local-2026-11-27-2.canvas");
        assert!(CanvasPath::of_file(Path::new(&format!("b/{aside}"))).is_err());
    }

    #[test]
    fn names_that_are_one_file_on_some_system_fold_alike() {
        for (one, other) in [("Plan", "plan"), ("É", "e\u{301}"), ("Ä/x", "a\u{308}/X")] {
            assert_eq!(of_id(one).unwrap().folded(), of_id(other).unwrap().folded(), "{one} {other}");
        }
        assert_ne!(of_id("plan").unwrap().folded(), of_id("plan2").unwrap().folded());
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_below_the_folder(id in any::<String>().prop_filter("a name", |id| !id.is_empty())) {
            let Ok(id) = CanvasId::new(&id) else { return Ok(()) };
            if let Ok(path) = CanvasPath::of_id(&id) {
                let relative = path.relative();
                let normal = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
                prop_assert!(Path::new(&relative).components().all(normal));
                prop_assert!(relative.ends_with(EXTENSION));
                prop_assert!(!relative.contains(['\0', '\\', ':']));
            }
        }
    }
}
