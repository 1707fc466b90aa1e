//! Asking for what a document lacks: the requester's side of catching up.

use std::collections::BTreeSet;

use automerge::ChangeHash;
use rand_core::Rng;

use crate::ids::Nonce;
use crate::limits::{
    CATCH_UP_FRUITLESS_ATTEMPTS, CATCH_UP_GRACE_MS, CATCH_UP_MAX_RETRY_MS, CATCH_UP_RETRY_MS,
    CATCH_UP_UNANSWERED_ATTEMPTS, MAX_WANTED_HEADS,
};
use crate::time::Now;

/// The requester's state for one document. The driver of this state calls [`CatchUp::due`] when the deadline that the
/// other methods return has come.
///
/// | state | ask | something unknown seen | answer | deadline |
/// | --- | --- | --- | --- | --- |
/// | idle | asking now | noticed | idle | – |
/// | noticed | asking now | noticed | idle if nothing is lacking | asking, or idle if nothing is lacking |
/// | asking | asking (again afterwards) | asking | idle, or asking at once if something is still lacking | asking, or idle |
///
/// A request is repeated, with backoff, while something is known to be lacking, at most [`CATCH_UP_FRUITLESS_ATTEMPTS`] times
/// in a row without anything new: whoever made it may have crashed before it was stored, and then nobody has it. Who comes
/// with it later says so. When nothing is lacking, an unanswered request is repeated [`CATCH_UP_UNANSWERED_ATTEMPTS`]
/// times: perhaps nobody is there.
#[derive(Debug, Default)]
pub(crate) struct CatchUp {
    state: State,
    /// Hashes heard of that the document does not have; bounded by [`MAX_WANTED_HEADS`], beyond which new ones are not
    /// noted: the answer to a request brings an answerer's whole document anyway.
    wanted: BTreeSet<ChangeHash>,
    /// Another round was asked for while one was running.
    again: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Noticed,
    Asking {
        request: Nonce,
        attempt: u32,
    },
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Rest,
    /// Call [`CatchUp::due`] at this time.
    Wait(u64),
    /// Send a request of this name, and call [`CatchUp::due`] at this time.
    Ask(Nonce, u64),
    /// The round is over; whether it was answered.
    Finished(bool),
    /// The round is over, and what is lacking is not to be had at present.
    GaveUp,
}

impl CatchUp {
    /// Whether something is known to be lacking.
    pub(crate) fn lacks(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether nothing is asked, and nothing is known to be lacking.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && !self.lacks()
    }

    /// Starts a round at once. While one is running, another follows it.
    pub(crate) fn ask(&mut self, now: Now, rng: &mut dyn Rng) -> Step {
        if matches!(self.state, State::Asking { .. }) {
            self.again = true;
            return Step::Rest;
        }
        self.attempt(0, now, rng)
    }

    /// Somebody has these, the document has not. Asks after a short grace, in which they may still arrive by themselves.
    pub(crate) fn notice(&mut self, hashes: impl IntoIterator<Item = ChangeHash>, now: Now, rng: &mut dyn Rng) -> Step {
        self.want(hashes);
        if matches!(self.state, State::Idle) && self.lacks() {
            self.state = State::Noticed;
            return Step::Wait(now.after(CATCH_UP_GRACE_MS + rng.next_u64() % CATCH_UP_GRACE_MS));
        }
        Step::Rest
    }

    /// An answerer has these, and did not send them (yet): whether to ask again is decided by [`CatchUp::answered`].
    pub(crate) fn want(&mut self, hashes: impl IntoIterator<Item = ChangeHash>) {
        for hash in hashes {
            if self.wanted.len() < MAX_WANTED_HEADS {
                self.wanted.insert(hash);
            }
        }
    }

    /// The document took in changes, or gave some up for good: what `settled` says is no longer wanted.
    pub(crate) fn settle(&mut self, settled: impl Fn(&ChangeHash) -> bool) {
        self.wanted.retain(|hash| !settled(hash));
    }

    /// An answer to `request` was taken in; `progress` says whether it brought anything new.
    pub(crate) fn answered(&mut self, request: Nonce, progress: bool, now: Now, rng: &mut dyn Rng) -> Step {
        let State::Asking { request: current, attempt } = self.state else {
            return Step::Rest;
        };
        if current != request {
            return Step::Rest;
        }
        if std::mem::take(&mut self.again) || (self.lacks() && progress) {
            return self.attempt(0, now, rng);
        }
        if self.lacks() {
            // This answerer does not have it either; whoever has will rank differently next time.
            return Step::Wait(now.after(retry_ms(attempt, rng)));
        }
        self.state = State::Idle;
        Step::Finished(true)
    }

    /// Something was read elsewhere while a round was running: ask for what came after it.
    pub(crate) fn ask_again(&mut self, now: Now, rng: &mut dyn Rng) -> Step {
        if matches!(self.state, State::Asking { .. }) { self.attempt(0, now, rng) } else { Step::Rest }
    }

    /// Whether the present request is one more because nobody answered the last.
    pub(crate) fn was_unanswered(&self) -> bool {
        matches!(self.state, State::Asking { attempt: 1.., .. })
    }

    /// The deadline came. `alone`: as far as is known nobody else is there, so there is nobody to ask twice. `kept`: the
    /// broker's snapshot of the document has been taken in, which counts as an answer when nobody gives one.
    pub(crate) fn due(&mut self, alone: bool, kept: bool, now: Now, rng: &mut dyn Rng) -> Step {
        match self.state {
            State::Idle => Step::Rest,
            State::Noticed if self.lacks() => self.attempt(0, now, rng),
            State::Noticed => {
                self.state = State::Idle;
                Step::Finished(true)
            }
            State::Asking { attempt, .. } => {
                let next = attempt.saturating_add(1);
                if self.lacks() && next >= CATCH_UP_FRUITLESS_ATTEMPTS {
                    *self = Self::default();
                    return Step::GaveUp;
                }
                if self.lacks() || (!alone && next < CATCH_UP_UNANSWERED_ATTEMPTS) {
                    return self.attempt(next, now, rng);
                }
                self.state = State::Idle;
                self.again = false;
                Step::Finished(kept)
            }
        }
    }

    /// The connection is gone: whatever was asked will not be answered. What is wanted stays wanted.
    pub(crate) fn disconnected(&mut self) {
        self.state = State::Idle;
        self.again = false;
    }

    fn attempt(&mut self, attempt: u32, now: Now, rng: &mut dyn Rng) -> Step {
        let request = Nonce(rng.next_u64());
        self.state = State::Asking { request, attempt };
        Step::Ask(request, now.after(retry_ms(attempt, rng)))
    }
}

/// Exponential backoff with jitter: between half and all of the doubled time.
fn retry_ms(attempt: u32, rng: &mut dyn Rng) -> u64 {
    let full_ms = CATCH_UP_RETRY_MS.saturating_mul(1 << attempt.min(16)).min(CATCH_UP_MAX_RETRY_MS);
    full_ms / 2 + rng.next_u64() % (full_ms / 2)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const LACKING: ChangeHash = ChangeHash([7; 32]);

    fn at(elapsed_ms: u64) -> Now {
        Now { elapsed_ms, unix_ms: 0 }
    }

    fn setup() -> (CatchUp, ChaCha8Rng) {
        (CatchUp::default(), ChaCha8Rng::seed_from_u64(1))
    }

    #[test]
    fn an_answered_request_ends_the_round() {
        let (mut catch_up, mut rng) = setup();
        let Step::Ask(request, _) = catch_up.ask(at(0), &mut rng) else { panic!() };
        assert_eq!(catch_up.answered(Nonce(request.0 ^ 1), true, at(1), &mut rng), Step::Rest);
        assert_eq!(catch_up.answered(request, true, at(1), &mut rng), Step::Finished(true));
        assert_eq!(catch_up.due(false, false, at(2), &mut rng), Step::Rest);
    }

    #[test]
    fn nobody_there_ends_the_round_after_a_few_attempts() {
        let (mut catch_up, mut rng) = setup();
        let mut step = catch_up.ask(at(0), &mut rng);
        let mut asked = 0;
        while let Step::Ask(_, due) = step {
            asked += 1;
            step = catch_up.due(false, false, at(due), &mut rng);
        }
        assert_eq!((asked, step), (CATCH_UP_UNANSWERED_ATTEMPTS, Step::Finished(false)));
    }

    #[test]
    fn who_is_alone_asks_once() {
        let (mut catch_up, mut rng) = setup();
        let Step::Ask(..) = catch_up.ask(at(0), &mut rng) else { panic!() };
        assert_eq!(catch_up.due(true, false, at(300), &mut rng), Step::Finished(false));
    }

    #[test]
    fn what_is_known_to_be_lacking_is_asked_for_until_it_comes() {
        let (mut catch_up, mut rng) = setup();
        let Step::Wait(mut due) = catch_up.notice([LACKING], at(0), &mut rng) else { panic!() };
        let mut gaps = Vec::new();
        for _ in 1..CATCH_UP_FRUITLESS_ATTEMPTS {
            let Step::Ask(_, next) = catch_up.due(false, false, at(due), &mut rng) else { panic!() };
            gaps.push(next - due);
            due = next;
        }
        assert!(gaps[0] <= CATCH_UP_RETRY_MS);
        assert!(gaps.iter().all(|gap| *gap <= CATCH_UP_MAX_RETRY_MS));
        assert!(*gaps.last().unwrap() >= CATCH_UP_MAX_RETRY_MS / 2);
        let Step::Ask(request, _) = catch_up.due(false, false, at(due), &mut rng) else { panic!() };
        catch_up.settle(|hash| *hash == LACKING);
        assert_eq!(catch_up.answered(request, true, at(due), &mut rng), Step::Finished(true));
    }

    #[test]
    fn what_nobody_has_is_not_asked_for_for_ever() {
        let (mut catch_up, mut rng) = setup();
        let Step::Wait(mut due) = catch_up.notice([LACKING], at(0), &mut rng) else { panic!() };
        let mut asked = 0;
        let end = loop {
            match catch_up.due(false, false, at(due), &mut rng) {
                Step::Ask(_, next) => (asked, due) = (asked + 1, next),
                end => break end,
            }
        };
        assert_eq!((asked, end, catch_up.is_idle()), (CATCH_UP_FRUITLESS_ATTEMPTS, Step::GaveUp, true));
    }

    #[test]
    fn what_arrives_by_itself_within_the_grace_is_not_asked_for() {
        let (mut catch_up, mut rng) = setup();
        let Step::Wait(due) = catch_up.notice([LACKING], at(0), &mut rng) else { panic!() };
        catch_up.settle(|_| true);
        assert_eq!(catch_up.due(false, false, at(due), &mut rng), Step::Finished(true));
    }

    #[test]
    fn a_gap_noticed_while_asking_leads_to_another_round() {
        let (mut catch_up, mut rng) = setup();
        let Step::Ask(request, _) = catch_up.ask(at(0), &mut rng) else { panic!() };
        assert_eq!(catch_up.ask(at(1), &mut rng), Step::Rest);
        assert!(matches!(catch_up.answered(request, false, at(2), &mut rng), Step::Ask(..)));
    }
}
