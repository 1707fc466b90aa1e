//! What each part of the core costs, by the size of the canvas: `npm run bench:parts`.
//!
//! Each works on a document as it is after having been loaded, which is loaded again after so many edits: what an edit
//! costs shall not depend on how many a run makes.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that fails may stop")]
#![allow(unreachable_pub, reason = "the fixtures are shared with other programs")]

mod fixtures;

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};
use fixtures::{Board, Sender, document_id, load};
use mqtt_p2p::sync::{StoredDocument, compact};

/// Nodes, and moves that were made before.
const SIZES: [(usize, usize); 4] = [(10, 100), (1_000, 100), (10_000, 100), (1_000, 100_000)];
/// After so many edits the document is loaded again. More than wait for Automerge, so that what it does with them counts.
const EDITS_PER_DOCUMENT: usize = 1_024;
const SAMPLES: usize = 10;
const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_secs(2);

/// A canvas as it was saved.
struct Saved {
    label: String,
    nodes: usize,
    bytes: Vec<u8>,
}

static SAVED: LazyLock<[Saved; 4]> = LazyLock::new(|| {
    SIZES.map(|(nodes, moves)| {
        let label = format!("{nodes} nodes, {moves} changes");
        Saved { label, nodes, bytes: Board::new(nodes, moves).save() }
    })
});

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(SAMPLES).warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    group
}

/// Times what `operation` does with a board and what `prepare` makes of another that holds the same.
fn on_boards<T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    saved: &Saved,
    prepare: impl Fn(&mut Board, &mut Board) -> T,
    operation: impl Fn(&mut Board, T),
) {
    let fresh = || [1, 2].map(|actor| Board::reloaded(&saved.bytes, saved.nodes, actor));
    let mut boards = fresh();
    group.bench_function(&saved.label, |bencher| {
        bencher.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                if boards[1].moves_since_loading() >= EDITS_PER_DOCUMENT {
                    boards = fresh();
                }
                let [ours, theirs] = &mut boards;
                let prepared = prepare(ours, theirs);
                let begun = Instant::now();
                operation(ours, prepared);
                took += begun.elapsed();
            }
            took
        });
    });
}

fn edits(criterion: &mut Criterion) {
    let mut edit = group(criterion, "edit");
    for saved in &*SAVED {
        on_boards(&mut edit, saved, |_, other| other.next_move(), |board, json| drop(black_box(board.patch(&json))));
    }
    edit.finish();
    let mut apply = group(criterion, "apply");
    for saved in &*SAVED {
        let raw = |_: &mut Board, other: &mut Board| other.edit().raw_bytes().to_vec();
        on_boards(&mut apply, saved, raw, |board, raw| drop(black_box(board.take_in(raw))));
    }
    apply.finish();
    let mut diff = group(criterion, "diff of a whole canvas");
    for saved in &*SAVED {
        let whole = |board: &mut Board, other: &mut Board| {
            other.next_move();
            board.moved_whole()
        };
        on_boards(&mut diff, saved, whole, |board, json| drop(black_box(board.update(&json))));
    }
    diff.finish();
}

/// A live edit, and all that a canvas was made with.
fn envelopes(criterion: &mut Criterion) {
    let moved = vec![Board::new(10, 0).edit()];
    let whole = |nodes| Board::new(nodes, 0).document.replica().changes_since(&[]);
    let imports = [10, 1_000, 10_000].map(|nodes| (format!("the import of {nodes} nodes"), whole(nodes)));
    let bodies = [vec![("a move".to_owned(), moved)], imports.into()].concat();
    let mut sender = Sender::new();
    let mut encode = group(criterion, "encode");
    for (label, changes) in &bodies {
        encode.bench_function(label, |bencher| bencher.iter(|| sender.seal_all(changes)));
    }
    encode.finish();
    let mut verify = group(criterion, "verify");
    for (label, changes) in &bodies {
        let packets = sender.seal_all(changes);
        verify.bench_function(label, |bencher| {
            bencher.iter(|| packets.iter().for_each(|packet| drop(black_box(sender.open(packet)))));
        });
    }
    verify.finish();
}

/// Documents as a whole.
fn documents(criterion: &mut Criterion) {
    let mut loading = group(criterion, "load");
    for saved in &*SAVED {
        loading.bench_function(&saved.label, |bencher| bencher.iter_with_large_drop(|| load(&saved.bytes)));
    }
    loading.finish();
    let mut snapshot = group(criterion, "snapshot");
    for saved in &*SAVED {
        let document = load(&saved.bytes);
        snapshot.bench_function(&saved.label, |bencher| bencher.iter_with_large_drop(|| document.replica().save()));
    }
    snapshot.finish();
    let mut compaction = group(criterion, "compaction");
    for saved in &*SAVED {
        let mut board = Board::reloaded(&saved.bytes, saved.nodes, 1);
        let changes = (0..EDITS_PER_DOCUMENT).map(|_| board.edit().raw_bytes().to_vec()).collect();
        let stored = StoredDocument { snapshot: Some(saved.bytes.clone()), changes, ..StoredDocument::default() };
        let id = document_id();
        compaction.bench_function(&saved.label, |bencher| {
            let stored = || stored.clone();
            bencher.iter_batched(stored, |stored| compact(&id, stored).unwrap(), BatchSize::LargeInput);
        });
    }
    compaction.finish();
}

criterion_group!(benches, edits, envelopes, documents);
criterion_main!(benches);
