//! Does one core operation so many times, for its instructions to be counted: `npm run bench:instructions` runs it under
//! valgrind. What it prepares does not count.
//!
//! `instructions edit` and so on; without a name it lists them. It prints how often it did it, and what the processor has
//! of that which libraries look for at run time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that fails may stop")]
#![allow(unreachable_pub, reason = "the fixtures are shared with other programs")]

mod fixtures;

use std::hint::black_box;

use fixtures::{Board, Sender, load};

/// Nodes of the canvas, and how often it was edited before.
const NODES: usize = 200;
const MOVES: usize = 200;

/// Each does its operation `rounds` times between preparing and dropping.
const OPERATIONS: [(&str, u32, fn(u32)); 6] = [
    ("edit", 64, edit),
    ("encode", 20, encode),
    ("verify", 20, verify),
    ("apply", 64, apply),
    ("diff", 5, diff),
    ("load", 3, load_saved),
];

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    match OPERATIONS.iter().find(|(operation, ..)| *operation == name) {
        Some((_, rounds, operation)) => {
            operation(*rounds);
            println!(r#"{{"rounds":{rounds},"cpu":{:?}}}"#, cpu());
        }
        None => println!("{}", OPERATIONS.map(|(operation, ..)| operation).join(" ")),
    }
}

/// Of those on which curve25519-dalek, sha2, zstd and memchr depend: what valgrind says that the processor has.
fn cpu() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("bmi2", std::arch::is_x86_feature_detected!("bmi2")),
        ("sha", std::arch::is_x86_feature_detected!("sha")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features = [("", false); 0];
    features.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

/// valgrind counts from where this is entered to where it is left, so it must be there under its name.
#[inline(never)]
fn counted(operation: &mut dyn FnMut()) {
    operation();
}

/// A local patch, as JSON, made into a change. What Automerge is spared at first counts too.
fn edit(rounds: u32) {
    let mut board = Board::new(NODES, MOVES);
    let moves: Vec<_> = (0..rounds).map(|_| board.next_move()).collect();
    counted(&mut || {
        for json in &moves {
            black_box(board.patch(json));
        }
        board.document.merge();
    });
}

/// A change composed and signed into an envelope.
fn encode(rounds: u32) {
    let mut board = Board::new(NODES, 0);
    let changes: Vec<_> = (0..rounds).map(|_| board.edit()).collect();
    let mut sender = Sender::new();
    counted(&mut || {
        for change in &changes {
            black_box(sender.seal(change));
        }
    });
}

/// An envelope verified and read.
fn verify(rounds: u32) {
    let mut board = Board::new(NODES, 0);
    let mut sender = Sender::new();
    let packets: Vec<_> = (0..rounds).map(|_| sender.seal(&board.edit())).collect();
    counted(&mut || {
        for packet in &packets {
            black_box(sender.open(packet));
        }
    });
}

/// A change of another taken in; likewise.
fn apply(rounds: u32) {
    let mut theirs = Board::new(NODES, MOVES);
    let mut ours = Board::reloaded(&theirs.save(), NODES, 2);
    let mut changes: Vec<_> = (0..rounds).map(|_| theirs.edit().raw_bytes().to_vec()).collect();
    counted(&mut || {
        for raw in changes.drain(..) {
            black_box(ours.take_in(raw));
        }
        ours.document.merge();
    });
}

/// A whole canvas, as JSON, of which one node was moved.
fn diff(rounds: u32) {
    let mut board = Board::new(NODES, MOVES);
    for _ in 0..rounds {
        let whole = board.moved_whole();
        counted(&mut || {
            black_box(board.update(&whole));
        });
    }
}

/// A saved document read.
fn load_saved(rounds: u32) {
    let saved = Board::new(NODES, MOVES).save();
    for _ in 0..rounds {
        let mut loaded = None;
        counted(&mut || loaded = Some(load(&saved)));
        black_box(loaded);
    }
}
