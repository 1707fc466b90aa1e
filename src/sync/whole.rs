//! Whole documents of others: taken over at once where there is nothing yet, and else change by change.

use automerge::ActorId;

use super::content::Content;
use super::document::State;
use super::integrate::Source;
use super::io::Origin;
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::timers::Timer;
use super::vouching::Incoming;
use crate::canvas::{CanvasError, Newest, WholeCanvas};
use crate::ids::DocumentId;
use crate::limits::{OPERATIONS_TAKEN_PER_MS, TAIL_MS};
use crate::wire::{SavedDocument, Voucher};

impl CanvasP2PSynchronizer {
    /// Takes in a whole document. Returns how many changes were new.
    ///
    /// # Errors
    /// It cannot be read; nothing has been done.
    pub(super) fn take_whole(
        &mut self,
        step: &mut Step,
        id: &DocumentId,
        saved: SavedDocument,
        source: Source,
    ) -> Result<usize, CanvasError> {
        let SavedDocument { document: bytes, vouchers: claimed } = saved;
        let changes = if self.documents.get(id).is_some_and(|document| document.canvas().is_some()) {
            let mut whole = WholeCanvas::load(&bytes)?;
            if whole.fits(&self.config.bounds.of(id))
                && let Some(vouchers) = self.may_take_over(id, &whole, &claimed)
            {
                return Ok(self.take_over(step, id, whole, vouchers, source));
            }
            whole.replica().changes_since(&[])
        } else {
            Content::load(id, &bytes)?.replica().changes_since(&[])
        };
        Ok(self.integrate(step, id, Incoming { changes, proven: Vec::new(), claimed }, source))
    }

    /// Whether taking a document over does what taking in its changes one by one would do, and who vouches for them then.
    fn may_take_over(&self, id: &DocumentId, whole: &WholeCanvas, claimed: &[Voucher]) -> Option<Vec<Voucher>> {
        let document = self.documents.get(id)?;
        let is_new =
            document.state == State::Whole && document.is_untouched() && !document.full && document.damages == 0;
        if !is_new || !document.canvas()?.may_adopt(whole) {
            return None;
        }
        let vouchers = whole.vouched_by(id, claimed)?;
        if self.membership.is_some() {
            // What a writer has built on, a writer stands by.
            let owner = |actor| Some(vouchers.iter().find(|voucher| voucher.actor == actor)?.owner);
            let by_writer = |actor| owner(actor).is_some_and(|owner| self.writes(id, &owner));
            if !whole.replica().head_actors().into_iter().all(by_writer) {
                return None;
            }
        }
        Some(vouchers)
    }

    fn take_over(
        &mut self,
        step: &mut Step,
        id: &DocumentId,
        whole: WholeCanvas,
        vouchers: Vec<Voucher>,
        source: Source,
    ) -> usize {
        self.charge(step, source, vouchers.len());
        let Some(document) = self.documents.get_mut(id) else { return 0 };
        let Content::Canvas(canvas) = &mut document.content else { return 0 };
        let applied = canvas.adopt(whole);
        document.used_ms = step.now.elapsed_ms;
        document.vouching.take_over(vouchers);
        document.unsaved.add_all();
        let source = source.behind(applied.by.as_ref(), &mut document.vouching, &[], &self.peer);
        // What Automerge cannot read is not to be kept, so it is kept when that was read.
        self.saver.add_lazily(id, step.now);
        self.read_later(step, id);
        let count = applied.hashes.len();
        self.statistics.remote_changes += count as u64;
        self.report_edit(step, id, applied.author, source, Origin::Remote, applied.diff);
        self.schedule_announcement(step, id);
        self.after_integrating(step, id);
        if let Some(document) = self.documents.get_mut(id) {
            document.settle();
        }
        count
    }

    /// Has Automerge read a document that was taken over, before long: what has just been shown of it may take an answer or an
    /// event first. Neither clock nor step say how long it took to take it over; about as long as this.
    fn read_later(&mut self, step: &Step, id: &DocumentId) {
        let operations = self.documents.get(id).map_or(0, |document| document.replica().operations());
        self.timers
            .set_no_later(Timer::Merge(id.clone()), step.now.after(TAIL_MS + operations / OPERATIONS_TAKEN_PER_MS));
    }
}

impl WholeCanvas {
    /// The words of the owners of all its changes, if all of them are among these and hold.
    fn vouched_by(&self, id: &DocumentId, claimed: &[Voucher]) -> Option<Vec<Voucher>> {
        let vouch = |(actor, newest): (&ActorId, &Newest)| {
            let is_for = |voucher: &&Voucher| {
                voucher.actor == *actor && voucher.hash == newest.hash && voucher.sequence == newest.sequence
            };
            claimed.iter().find(is_for).filter(|voucher| voucher.verify(id).is_ok()).cloned()
        };
        self.newest_of_owned().map(vouch).collect()
    }
}
