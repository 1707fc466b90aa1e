//! Who may send how much, and whom that holds up.

use super::*;

const FLOODER: PeerId = PeerId([1; 32]);
const OTHER: PeerId = PeerId([2; 32]);

fn at(elapsed_ms: u64) -> Now {
    Now { elapsed_ms, unix_ms: 0 }
}

fn throttle(peer: u32, inbound: u32) -> Throttle {
    Throttle::new(Rates { peer, inbound, outbound: 1 })
}

/// How many of so many messages of a peer, all at once, are taken in; small ones of a kind.
fn taken(throttle: &mut Throttle, peer: PeerId, kind: Kind, count: usize, now: Now) -> usize {
    let take = |throttle: &mut Throttle| {
        throttle.admit(&peer, kind, now) == Verdict::Take && throttle.count(peer, kind, "t", 100, now) == Verdict::Take
    };
    (0..count).filter(|_| take(throttle)).count()
}

#[test]
fn who_sends_too_much_is_held_to_its_rate_and_nobody_else() {
    let mut throttle = throttle(10, 1_000);
    let burst = share(10, INBOUND_BURST_MS) as usize;
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, burst, at(0)), burst, "exactly at the bound");
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 1, at(0)), 0, "one over");
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 500, at(200)), 1, "one is looked at, and there is room");
    assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, burst, at(500)), burst);
}

#[test]
fn what_bears_anothers_name_uses_up_nothing_of_it() {
    let mut throttle = throttle(10, 1_000_000);
    for _ in 0..10_000 {
        // Admitted, and then its signature does not hold.
        assert_eq!(throttle.admit(&OTHER, Kind::Changes, at(0)), Verdict::Take);
        throttle.doubt(&OTHER, at(0));
    }
    assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 5, at(0)), 5);
}

#[test]
fn all_together_are_limited() {
    let mut throttle = throttle(1_000, 100);
    let burst = share(100, 4 * INBOUND_BURST_MS) as usize;
    let from = |n: usize| PeerId([u8::try_from(n % 20).unwrap(); 32]);
    let taken = |throttle: &mut Throttle, n| taken(throttle, from(n), Kind::Changes, 1, at(0));
    assert_eq!((0..10_000).map(|n| taken(&mut throttle, n)).sum::<usize>(), burst);
    assert_eq!(throttle.admit(&OTHER, Kind::Changes, at(0)), Verdict::Drop, "not even verified");
    assert_eq!(throttle.admit(&OTHER, Kind::Changes, at(10)), Verdict::Take);
}

/// So many messages, each under the name of its number, whose signatures do not hold; how many were verified.
fn forge(throttle: &mut Throttle, count: u64, name: impl Fn(u64) -> PeerId, now: Now) -> usize {
    let mut verified = 0;
    for name in (0..count).map(name) {
        if throttle.admit(&name, Kind::Changes, now) == Verdict::Take {
            verified += 1;
            throttle.doubt(&name, now);
        }
    }
    verified
}

fn made_up(number: u64) -> PeerId {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    PeerId(id)
}

#[test]
fn names_that_are_made_up_hold_up_nobody_who_was_heard_of() {
    let mut throttle = throttle(100, 1_000);
    assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 1, at(0)), 1);
    for ms in 0..1_000 {
        let verified = forge(&mut throttle, 100, |n| made_up(ms * 100 + n), at(ms));
        assert!(ms < 10 || verified <= 1, "{verified} in a millisecond");
        if ms % 20 == 0 {
            assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 1, at(ms)), 1, "after {ms} ms");
        }
    }
}

#[test]
fn what_bears_one_name_holds_up_nobody_else() {
    let mut throttle = throttle(100, 1_000);
    assert_eq!([FLOODER, OTHER].map(|peer| taken(&mut throttle, peer, Kind::Changes, 1, at(0))), [1, 1]);
    let mut verified = 0;
    for ms in 0..1_000 {
        verified += forge(&mut throttle, 100, |_| FLOODER, at(ms));
        if ms % 20 == 0 {
            assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 1, at(ms)), 1, "after {ms} ms");
        }
    }
    assert!(verified < 1_000, "{verified}");
}

#[test]
fn who_uses_many_names_holds_up_their_owners_alone() {
    let mut throttle = throttle(100, 1_000);
    let used = |n: u64| PeerId([u8::try_from(10 + n % 10).unwrap(); 32]);
    for peer in (0..10).map(used).chain([OTHER]) {
        assert_eq!(taken(&mut throttle, peer, Kind::Changes, 1, at(0)), 1);
    }
    for ms in 0..1_000 {
        forge(&mut throttle, 100, used, at(ms));
        if ms % 20 == 0 {
            assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 1, at(ms)), 1, "after {ms} ms");
        }
    }
    assert_eq!(taken(&mut throttle, used(0), Kind::Changes, 1, at(2_000)), 1, "once it is over, they are heard again");
}

#[test]
fn signatures_within_a_message_count_as_messages_do() {
    let mut throttle = throttle(1_000, 100_000);
    assert!(!throttle.charge(FLOODER, 100, at(0)));
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 1, at(0)), 1);
    assert!(throttle.charge(FLOODER, 16_000, at(1)), "it is told");
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 10, at(10_000)), 0);
    assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 10, at(10_000)), 10);
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 1, at(20_000)), 1);
}

#[test]
fn cursors_are_dropped_before_changes_are() {
    let mut throttle = throttle(1_000, 100_000);
    assert!(taken(&mut throttle, FLOODER, Kind::Changes, 100_000, at(0)) < 100_000);
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Cursor, 5, at(100)), 0, "there is room, for changes");
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 5, at(100)), 1, "one is looked at");
    throttle.settle(at(1_000));
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Cursor, 5, at(1_000)), 5);
}

#[test]
fn what_follows_dropped_changes_is_dropped_until_they_are_caught_up_with() {
    let mut throttle = throttle(1_000, 100_000);
    let flooded = taken(&mut throttle, FLOODER, Kind::Changes, 100_000, at(0));
    assert!(flooded < 100_000);
    throttle.owe_topic("t", at(0));
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 5, at(100)), 0);
    assert_eq!(taken(&mut throttle, OTHER, Kind::Changes, 5, at(100)), 5);
    assert_eq!(throttle.count(FLOODER, Kind::Changes, "u", 1, at(200)), Verdict::Take);
    throttle.settle(at(1_000));
    assert_eq!(taken(&mut throttle, FLOODER, Kind::Changes, 5, at(1_000)), 5);
}

#[test]
fn who_floods_saves_up_nothing_for_the_end_of_a_period() {
    let mut throttle = throttle(1_000, 100_000);
    let mut taken_after = 0;
    let mut due = None;
    // Batches of them come at their own times, not when the next one may be looked at.
    for ms in (0..20_000).step_by(7) {
        if due.is_some_and(|due| due <= ms) {
            due = throttle.settle(at(ms)).1;
            taken_after += taken(&mut throttle, FLOODER, Kind::Changes, 1_000, at(ms));
        } else {
            taken(&mut throttle, FLOODER, Kind::Changes, 64, at(ms));
        }
        due = throttle.owe_topic("t", at(ms)).or(due);
    }
    let at_once = share(1_000, INBOUND_BURST_MS) as usize;
    assert!(taken_after < at_once / 2, "{taken_after}");
}

#[test]
fn bytes_are_limited_too() {
    let mut throttle = throttle(1_000_000, 1_000_000);
    let mebibyte = 1 << 20;
    let most = MAX_PEER_BURST_KIB as usize / 1024;
    let passed = (0..10 * most)
        .filter(|_| throttle.count(FLOODER, Kind::Changes, "t", mebibyte, at(0)) == Verdict::Take)
        .count();
    assert_eq!(passed, most);
}

#[test]
fn it_is_told_once_for_each_peer_and_period() {
    let mut throttle = throttle(1, 1_000_000);
    let mut told = Vec::new();
    for ms in 0..2 * THROTTLE_REPORT_MS {
        for peer in [FLOODER, OTHER] {
            if throttle.count(peer, Kind::Changes, "t", 1, at(ms)) == Verdict::DropAndTell {
                told.push(peer);
            }
        }
    }
    assert_eq!(told, [FLOODER, OTHER, FLOODER, OTHER]);
}

#[test]
fn what_was_dropped_is_owed_once_a_period_and_periods_grow_while_it_goes_on() {
    let mut throttle = throttle(1, 1_000);
    let mut due = throttle.owe_topic("t", at(0));
    assert_eq!(due, Some(THROTTLE_PERIOD_MS));
    let mut lengths = Vec::new();
    for _ in 0..6 {
        assert_eq!(throttle.owe_topic("t", at(1)), None, "one period at a time");
        let end = due.unwrap();
        let (owed, next) = throttle.settle(at(end));
        assert_eq!(owed.topics, BTreeSet::from(["t".to_owned()]));
        lengths.push(next.unwrap() - end);
        due = next;
    }
    assert!(lengths[0] > THROTTLE_PERIOD_MS && lengths.ends_with(&[MAX_THROTTLE_PERIOD_MS; 2]), "{lengths:?}");
    assert_eq!(throttle.settle(at(due.unwrap())), (Owed::default(), None));
    assert_eq!(throttle.owe_topic("t", at(100_000)), Some(100_000 + THROTTLE_PERIOD_MS));
}

#[test]
fn memory_is_bounded() {
    let mut throttle = throttle(1, 1_000_000);
    for n in 0..MAX_PEER_ACCOUNTS as u64 + 10 {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        throttle.count(PeerId(id), Kind::Changes, "t", 1, at(n));
    }
    assert_eq!(throttle.accounts.len(), MAX_PEER_ACCOUNTS);
    for n in 0..=MAX_OWED_TOPICS {
        throttle.owe_topic(&format!("t{n}"), at(0));
    }
    let (owed, _) = throttle.settle(at(1));
    assert_eq!((owed.topics.len(), owed.everything), (MAX_OWED_TOPICS, true));
}

/// How often somebody is answered with so many bytes, who asks over and over.
fn answers(throttle: &mut Throttle, requester: PeerId, bytes: usize, now: Now) -> u64 {
    let answer = |throttle: &mut Throttle| {
        let may = throttle.may_be_answered(requester, now);
        if may {
            throttle.answered(requester, bytes, now);
        }
        may
    };
    (0..100_000).take_while(|_| answer(throttle)).count() as u64
}

#[test]
fn who_asks_for_everything_over_and_over_gets_so_much_and_no_more() {
    let mut throttle = throttle(1_000, 10_000);
    let a_second = MAX_ANSWER_KIB_PER_SECOND / 1024;
    let at_once = a_second * ANSWER_BURST_MS / 1_000;
    let mebibyte = 1 << 20;
    assert_eq!(answers(&mut throttle, FLOODER, mebibyte, at(0)), at_once + 1);
    assert_eq!(answers(&mut throttle, FLOODER, mebibyte, at(10_000)), 10 * a_second);
    let small = at_once * 1024 / MIN_ANSWER_KIB;
    let answered = answers(&mut throttle, OTHER, 1, at(10_000));
    assert!((small * 9 / 10..=small + 1).contains(&answered), "{answered}");
    let all: u64 = (0..1_000).map(|n| answers(&mut throttle, made_up(n), mebibyte, at(10_000))).sum();
    assert!(all <= ANSWERED_AT_ONCE * (at_once + 1), "{all}");
}
