//! Writes what real edits make as inputs of the `changes` and `documents` targets: `seeds <folder of the corpus>`.

use std::path::PathBuf;

use automerge::{ActorId, Change};
use mqtt_p2p::canvas::{Base, Canvas, CanvasDocument, IndexDocument, IndexEntry};
use mqtt_p2p::ids::{CanvasId, Generation, RepositoryName};

/// Bytes before a chunk's length: magic number, checksum, type.
const BEFORE_LENGTH: usize = 4 + 4 + 1;

/// What a chunk holds.
fn body_of(chunk: &[u8]) -> &[u8] {
    let tail = &chunk[BEFORE_LENGTH..];
    let length_bytes = tail.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    &tail[length_bytes..]
}

/// The bodies of chunks, each behind its length.
fn input(changes: &[Change]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for change in changes {
        let body = body_of(change.raw_bytes());
        bytes.extend_from_slice(&u16::try_from(body.len()).expect("a small change").to_be_bytes());
        bytes.extend_from_slice(body);
    }
    bytes
}

fn canvas(nodes: &str) -> Canvas {
    Canvas::from_json(&format!(r#"{{"nodes":[{nodes}],"edges":[{{"id":"e","fromNode":"n","toNode":"m"}}]}}"#))
        .expect("a canvas")
}

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).expect("usage: seeds <folder>"));
    let mut document = CanvasDocument::new();
    document.set_actor(ActorId::from([2; 24]));
    let node = |id: &str, x: u32, text: &str| {
        format!(r#"{{"id":"{id}","type":"text","text":"{text}","x":{x},"y":0,"width":9,"height":9,"color":"1"}}"#)
    };
    let boards = [
        canvas(&[node("n", 0, "hello"), node("m", 5, "world")].join(",")),
        canvas(&[node("n", 3, "hello there"), node("m", 5, "world")].join(",")),
        canvas(&[node("m", 5, "words"), node("n", 3, "there"), node("o", 0, "new")].join(",")),
        canvas(&node("n", 3, "there")),
    ];
    let mut edits = vec![document.create(&boards[0], "ann").expect("created").changes];
    for board in &boards[1..] {
        edits.push(document.update(board, &Base::Last, "ann").expect("updated").changes);
    }
    let mut index = IndexDocument::new();
    index.set_actor(ActorId::from([3; 24]));
    let entry = IndexEntry {
        canvas: CanvasId::new("c").expect("an id"),
        generation: Generation(1),
        origin: RepositoryName::new("r").expect("a name"),
        created_by: Some("ann".to_owned()),
    };
    let entries = index.put(&entry, "ann").expect("put").changes;
    let gone = index.delete(&entry.canvas, "ann").expect("deleted").changes;
    for (name, changes) in [
        ("create", edits[0].clone()),
        ("create-and-edit", edits[..2].concat()),
        ("edits", edits.concat()),
        ("index", [entries, gone].concat()),
    ] {
        std::fs::write(folder.join("changes").join(name), input(&changes))?;
        let mut whole = CanvasDocument::new();
        if name != "index" && whole.apply(changes).rejected.is_empty() {
            std::fs::write(folder.join("documents").join(name), body_of(&whole.replica().save()))?;
        }
    }
    Ok(())
}
