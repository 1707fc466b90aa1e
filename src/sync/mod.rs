//! `CanvasP2PSynchronizer`: one repository's state machine. No I/O, no clock, no randomness of its own, no `async`.
//!
//! | file | what |
//! | --- | --- |
//! | `synchronizer.rs` | the type and its one entrance, `handle` |
//! | `io.rs`, `canvas_event.rs` | everything that goes in and comes out |
//! | `link.rs` | the connection: subscribing, presence, echoes |
//! | `key_notices.rs` | finding out that others use another key |
//! | `epochs.rs` | replacing the key, and those who come with an old one |
//! | `receive.rs` | what arrives: bounded, verified, dispatched |
//! | `rates.rs`, `throttle.rs`, `admission.rs` | how much of others is taken in, and what happens to the rest |
//! | `bounds.rs` | what may be grown to through others, and what happens then |
//! | `heard.rs`, `fresh.rs` | what was heard before, and is not believed again |
//! | `integrate.rs`, `whole.rs` | changes, and whole documents, going into documents; the outbox going out |
//! | `requests.rs`, `answers.rs` | catching up, and answering; announcements of heads |
//! | `repository.rs` | the index: canvases that appear, disappear, are shared |
//! | `commands.rs`, `calls.rs` | what applications ask for; calls that wait |
//! | `sharing.rs`, `shares.rs` | sharing canvases between repositories; the keys that they have then |
//! | `files.rs` | what the binding of canvases to files asks for |
//! | `snapshots/` | what the broker keeps for those who come when nobody is there |
//! | `stored.rs`, `storing.rs` | what storage is asked, and gives back; what waits for it |
//! | `asleep.rs` | documents that only storage has, falling asleep, waking up |
//! | `vouching.rs` | whose changes are whose: what is let into a document |
//! | `membership.rs`, `members.rs` | who may take part, and what follows from it |
//! | `parties.rs` | whose edits count of a canvas that repositories of members share |
//! | `content.rs`, `document.rs` | what a document holds; one document with what belongs to it: |
//! | `outbox.rs`, `unsaved.rs`, `causal.rs`, `unsettled.rs`, `catch_up.rs`, `announce.rs`, `saver.rs` | small state machines, each with its table |
//! | `peers.rs`, `counters.rs`, `timers.rs` | tables |
//!
//! `docs/protocol.md` says what travels between peers.

mod admission;
mod announce;
mod answers;
mod asleep;
mod bounds;
mod calls;
mod canvas_event;
mod catch_up;
mod causal;
mod commands;
mod content;
mod counters;
mod document;
mod epochs;
mod error;
mod files;
mod fresh;
mod heard;
mod integrate;
mod io;
mod key_notices;
mod link;
mod members;
mod membership;
mod outbox;
mod parties;
mod peers;
mod rates;
mod receive;
mod repository;
mod requests;
mod saver;
mod shares;
mod sharing;
mod snapshots;
mod status;
mod stored;
mod storing;
mod synchronizer;
mod throttle;
mod timers;
mod unsaved;
mod unsettled;
mod vouching;
mod whole;

pub use bounds::Bounds;
#[cfg(feature = "drivers")]
pub(crate) use content::Content;
pub use epochs::Epoch;
pub use error::SyncError;
pub use files::{FileCommand, Standing};
pub use io::{
    CanvasEvent, CanvasEventKind, CanvasInfo, Command, Event, Input, Message, Notice, Origin, Output, Publish,
    PublishToken, QualityOfService, Reply, StoreToken, SyncReport,
};
pub use membership::{Member, Root};
pub use peers::{PeerInfo, SERVER_CAPABILITY};
pub use rates::{Outbound, Rates};
pub use shares::{Grant, SharingKey};
pub use status::{RepositoryStatus, Statistics, Traffic, Volume};
pub use stored::{ActorMark, KnownDocument, StoreOperation, StoredDocument, Summary, compact};
pub use synchronizer::{CanvasP2PSynchronizer, Config};
