//! Leaving out what nobody changed, so that merging costs what changed and not what there is.

use std::collections::BTreeMap;

use crate::canvas::model::{Canvas, Element, Properties};

/// Three canvases without the properties that an element has alike in all of them. Whatever is done to them means the same
/// as if it were done to whole ones: properties merge one by one.
pub(super) struct Thinned {
    /// In the order in which they were given.
    pub(super) canvases: [Canvas; 3],
    nodes: BTreeMap<String, Properties>,
    edges: BTreeMap<String, Properties>,
}

/// Whether an edge is visible depends on these.
const ENDS: [&str; 2] = ["fromNode", "toNode"];

impl Thinned {
    pub(super) fn of(states: [&Canvas; 3]) -> Self {
        let nodes = in_common(states.map(|canvas| &canvas.nodes));
        let edges = in_common(states.map(|canvas| &canvas.edges));
        let canvases = states.map(|canvas| Canvas {
            nodes: without(&canvas.nodes, &nodes),
            edges: without(&canvas.edges, &edges),
            properties: canvas.properties.clone(),
        });
        Self { canvases, nodes, edges }
    }

    /// Puts back what was left out.
    pub(super) fn restore(mut self, canvas: &mut Canvas) {
        for (elements, common) in [(&mut canvas.nodes, &mut self.nodes), (&mut canvas.edges, &mut self.edges)] {
            for element in elements {
                element.properties.extend(common.remove(&element.id).unwrap_or_default());
            }
        }
    }
}

fn in_common([first, second, third]: [&Vec<Element>; 3]) -> BTreeMap<String, Properties> {
    let [second, third] = [second, third].map(|elements| {
        elements.iter().map(|element| (element.id.as_str(), &element.properties)).collect::<BTreeMap<_, _>>()
    });
    let common = first.iter().filter_map(|element| {
        let (second, third) = (second.get(element.id.as_str())?, third.get(element.id.as_str())?);
        let same = element.properties.iter().filter(|(key, value)| {
            !ENDS.contains(&key.as_str()) && second.get(*key) == Some(*value) && third.get(*key) == Some(*value)
        });
        Some((element.id.clone(), same.map(|(key, value)| (key.clone(), value.clone())).collect()))
    });
    common.collect()
}

fn without(elements: &[Element], common: &BTreeMap<String, Properties>) -> Vec<Element> {
    let none = Properties::new();
    let thin = |element: &Element| {
        let left_out = common.get(&element.id).unwrap_or(&none);
        let rest = element.properties.iter().filter(|(key, _)| !left_out.contains_key(*key));
        Element { id: element.id.clone(), properties: rest.map(|(key, value)| (key.clone(), value.clone())).collect() }
    };
    elements.iter().map(thin).collect()
}
