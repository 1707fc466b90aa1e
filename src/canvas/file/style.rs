//! How a text is laid out where it says nothing of what is to be added: learnt from what stands beside it.

use crate::canvas::file::scan::Container;

/// What stands between the brackets of an object or array beside its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gaps {
    /// Before the first item.
    pub(super) open: String,
    /// Between two: comma and white space.
    pub(super) between: String,
    /// After the last.
    pub(super) close: String,
}

impl Gaps {
    fn on_one_line(comma: &str) -> Self {
        Self { open: String::new(), between: comma.to_owned(), close: String::new() }
    }

    /// Each item on a line of its own.
    pub(super) fn on_lines(newline: &str, indentation: &str, closing: &str) -> Self {
        let open = format!("{newline}{indentation}");
        Self { between: format!(",{open}"), open, close: format!("{newline}{closing}") }
    }

    /// As in a container that is there, which has items.
    pub(super) fn of(container: &Container<'_>, comma: &str) -> Option<Self> {
        let (open, close) = (container.gaps.first()?, container.gaps.last()?);
        let count = container.items.len();
        let between = match container.gaps.get(count.saturating_sub(1)) {
            _ if count == 0 => return None,
            Some(between) if count > 1 => (*between).to_owned(),
            _ if open.contains('\n') => format!(",{open}"),
            _ => comma.to_owned(),
        };
        Some(Self { open: (*open).to_owned(), between, close: (*close).to_owned() })
    }

    /// The indentation of the items, if each is on a line of its own.
    pub(super) fn indentation(&self) -> Option<&str> {
        self.open.rsplit_once('\n').map(|(_, indentation)| indentation)
    }
}

/// How new parts of a text are to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Style {
    /// The end of a line.
    pub(super) newline: &'static str,
    /// One step of indentation.
    pub(super) unit: String,
    /// Of the top-level object.
    pub(super) top: Gaps,
    /// Of the arrays of nodes and edges.
    pub(super) list: Gaps,
    /// Of each node and edge.
    pub(super) element: Gaps,
    /// The colon of top-level members, with the white space around it.
    pub(super) colon: String,
    /// The colon inside of nodes and edges.
    pub(super) element_colon: String,
}

impl Style {
    /// Learns from a text and its top-level object.
    pub(super) fn learn(text: &str, top: &Container<'_>) -> Self {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let colon = top.items.first().map_or(":", |item| item.colon).to_owned();
        let comma = comma_after(&colon);
        let top_gaps = Gaps::of(top, comma).unwrap_or_else(|| Gaps::on_lines(newline, "\t", ""));
        let unit = top_gaps.indentation().unwrap_or_default().to_owned();
        let lists: Vec<_> = ["nodes", "edges"]
            .iter()
            .filter_map(|list| top.member(list))
            .map(|list| Container::of(list.value))
            .filter(|list| !list.items.is_empty())
            .collect();
        let twice = unit.repeat(2);
        let list = lists.first().and_then(|list| Gaps::of(list, comma)).unwrap_or_else(|| {
            let lines = || Gaps::on_lines(newline, &twice, &unit);
            top_gaps.indentation().map_or_else(|| Gaps::on_one_line(comma), |_| lines())
        });
        let sample = lists.first().and_then(|list| list.items.last()).map(|element| Container::of(element.value));
        let element_colon =
            sample.as_ref().and_then(|element| element.items.first()).map_or(colon.as_str(), |item| item.colon);
        let element = sample.as_ref().and_then(|element| Gaps::of(element, comma_after(element_colon)));
        let element = element.unwrap_or_else(|| {
            // Obsidian puts no space after a colon, and an element on one line; who pretty-prints does both otherwise.
            if top_gaps.indentation().is_some() && colon.ends_with(' ') {
                Gaps::on_lines(newline, &unit.repeat(3), &twice)
            } else {
                Gaps::on_one_line(comma)
            }
        });
        let element_colon = element_colon.to_owned();
        Self { newline, unit, top: top_gaps, list, element, colon, element_colon }
    }

    /// How a nested value that begins on a line of this indentation looks: over several lines if what it stands in is.
    pub(super) fn nested(&self, indentation: Option<&str>, colon: &str) -> Gaps {
        match indentation {
            Some(outer) => Gaps::on_lines(self.newline, &format!("{outer}{}", self.unit), outer),
            None => Gaps::on_one_line(comma_after(colon)),
        }
    }
}

/// Who puts a space after a colon puts one after a comma.
pub(super) fn comma_after(colon: &str) -> &'static str {
    if colon.ends_with(' ') { ", " } else { "," }
}
