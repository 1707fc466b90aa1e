//! What applications do, at random.

use mqtt_p2p::canvas::{Canvas, CanvasPatch, Element, Seen, Value};
use mqtt_p2p::ids::CanvasId;
use mqtt_p2p::sync::Command;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::application::Held;
use super::broker::chance;
use super::node::Node;

const CANVASES: u64 = 3;
const NODES: u64 = 6;

/// A command of the application; `None` when it does nothing this time.
pub fn command(node: &mut Node, rng: &mut ChaCha8Rng) -> Option<Command> {
    let application = &mut node.application;
    let known: Vec<CanvasId> = application.mirrors.keys().map(|(canvas, _)| canvas.clone()).collect();
    let author = "somebody".to_owned();
    if known.is_empty() || chance(rng, 60) {
        let canvas = CanvasId::new(&format!("canvas-{}", rng.next_u64() % CANVASES)).unwrap();
        return Some(Command::Create { canvas, content: some_canvas(rng), author });
    }
    let canvas = pick(&known, rng);
    let held = application.held.get(&canvas).cloned();
    Some(match rng.next_u64() % 100 {
        0..45 => Command::Patch { canvas, patch: some_patch(rng), seen: Seen::Unknown, author },
        45..75 => {
            let Held { version, canvas: mut content } = held?;
            change(&mut content, rng);
            Command::Update { canvas, content, base: None, remembered: Some(version), author }
        }
        75..95 => {
            application.reading.insert(application.next_call, canvas.clone());
            Command::Get { canvas, at: None }
        }
        95 => Command::Delete { canvas, author },
        96 => Command::Flush,
        97 => Command::Sync { canvas: None },
        98 => Command::Announce { canvas },
        _ => Command::ShareOut { canvas, target: node.shares_with.clone()? },
    })
}

fn pick<T: Clone>(from: &[T], rng: &mut ChaCha8Rng) -> T {
    let count = u64::try_from(from.len()).unwrap();
    from[usize::try_from(rng.next_u64() % count).unwrap()].clone()
}

fn node_id(rng: &mut ChaCha8Rng) -> String {
    format!("node-{}", rng.next_u64() % NODES)
}

fn some_node(rng: &mut ChaCha8Rng) -> Element {
    let mut properties = std::collections::BTreeMap::new();
    properties.insert("type".to_owned(), Value::String("text".to_owned()));
    properties.insert("x".to_owned(), Value::Int((rng.next_u64() % 1_000).cast_signed()));
    properties.insert("text".to_owned(), Value::String(some_text(rng)));
    Element { id: node_id(rng), properties }
}

fn some_text(rng: &mut ChaCha8Rng) -> String {
    let words = ["alpha ", "beta ", "gamma ", "δέλτα "];
    (0..rng.next_u64() % 4).map(|_| pick(&words, rng)).collect()
}

fn some_canvas(rng: &mut ChaCha8Rng) -> Canvas {
    let mut canvas = Canvas::default();
    for _ in 0..rng.next_u64() % 4 {
        put(&mut canvas, some_node(rng));
    }
    canvas
}

fn put(canvas: &mut Canvas, node: Element) {
    canvas.nodes.retain(|known| known.id != node.id);
    canvas.nodes.push(node);
}

fn some_patch(rng: &mut ChaCha8Rng) -> CanvasPatch {
    let id = node_id(rng);
    let json = match rng.next_u64() % 6 {
        0 | 1 => format!(r#"{{"nodes":{{"upsert":[{{"id":"{id}","x":{}}}]}}}}"#, rng.next_u64() % 1_000),
        2 => format!(r#"{{"nodes":{{"upsert":[{{"id":"{id}","text":"{}"}}]}}}}"#, some_text(rng)),
        3 => format!(r#"{{"nodes":{{"remove":["{id}"]}}}}"#),
        4 => format!(
            r#"{{"edges":{{"upsert":[{{"id":"edge-{}","fromNode":"{id}","toNode":"{}"}}]}}}}"#,
            rng.next_u64() % 4,
            node_id(rng)
        ),
        _ => format!(r#"{{"properties":{{"title":{}}}}}"#, rng.next_u64() % 10),
    };
    CanvasPatch::from_json(&json).unwrap()
}

/// A person's work on a whole canvas.
fn change(canvas: &mut Canvas, rng: &mut ChaCha8Rng) {
    for _ in 0..=rng.next_u64() % 3 {
        let count = canvas.nodes.len();
        let index = usize::try_from(rng.next_u64()).unwrap_or(0) % count.max(1);
        match rng.next_u64() % 5 {
            0 => put(canvas, some_node(rng)),
            1 if count > 0 => drop(canvas.nodes.remove(index)),
            2 if count > 0 => {
                let text = Value::String(some_text(rng));
                canvas.nodes[index].properties.insert("text".to_owned(), text);
            }
            3 if count > 0 => canvas.nodes.swap(index, 0),
            _ if count > 0 => {
                let x = Value::Int((rng.next_u64() % 1_000).cast_signed());
                canvas.nodes[index].properties.insert("x".to_owned(), x);
            }
            _ => {}
        }
    }
}
