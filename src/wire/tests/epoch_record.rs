use crate::crypto::{Identity, KeyId, RootSecret, WrapError, Wrapping};
use crate::ids::{PeerId, RepositoryName};
use crate::wire::EpochRecord;

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

fn repository(name: &str) -> RepositoryName {
    RepositoryName::new(name).unwrap()
}

/// `signer` replaces the key of epoch 0 by one that begins with `secret`, for those in `stay`.
fn record(signer: u8, secret: u8, stay: &[u8]) -> EpochRecord {
    let peers: Vec<PeerId> = stay.iter().map(|seed| identity(*seed).peer()).collect();
    let secret = RootSecret::of_epoch([secret; 32], 1);
    let previous = KeyId([7; 32]);
    EpochRecord::new(&identity(signer), &repository("r"), previous, &secret, &peers, &Wrapping::new([9; 32])).unwrap()
}

#[test]
fn a_record_opens_for_those_who_stay_and_nobody_else() {
    let record = record(1, 5, &[2, 3, 2]);
    assert!(record.is_authentic(&repository("r")));
    assert_eq!(record.recipients.len(), 3);
    for stays in [1, 2, 3] {
        let secret = record.open(&identity(stays), &repository("r")).unwrap();
        assert_eq!((&secret, secret.epoch()), (&RootSecret::new([5; 32]), 1));
    }
    assert!(record.open(&identity(4), &repository("r")).is_none());
}

#[test]
fn it_is_for_its_repository() {
    let record = record(1, 5, &[2]);
    assert!(!record.is_authentic(&repository("s")));
    assert!(record.open(&identity(2), &repository("s")).is_none());
}

#[test]
fn a_record_reads_back_and_every_changed_bit_is_noticed() {
    let record = record(1, 5, &[2]);
    let bytes = record.to_bytes().unwrap();
    assert_eq!(EpochRecord::from_bytes(&bytes).as_ref(), Ok(&record));
    for end in 0..bytes.len() {
        assert!(EpochRecord::from_bytes(&bytes[..end]).is_err());
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let authentic = EpochRecord::from_bytes(&flipped).is_ok_and(|record| record.is_authentic(&repository("r")));
        assert!(!authentic, "bit {bit}");
    }
}

#[test]
fn a_secret_other_than_the_named_key_is_refused() {
    let (mut lying, other) = (record(1, 5, &[2]), record(1, 6, &[2]));
    lying.recipients = other.recipients;
    assert!(lying.open(&identity(2), &repository("r")).is_none());
    lying.key = other.key;
    assert!(lying.open(&identity(2), &repository("r")).is_some());
}

#[test]
fn of_two_records_all_follow_one_and_who_was_left_out_undoes_nothing() {
    // Both know the other: the smaller key.
    let (one, two) = (record(1, 5, &[2, 3]), record(2, 6, &[1, 3]));
    assert_ne!(one.beats(&two), two.beats(&one));
    assert_eq!(one.beats(&two), one.key < two.key);
    // Who leaves the other out is followed, whatever the keys.
    for secret in 5..10 {
        let (removing, removed) = (record(1, secret, &[3]), record(2, 20 - secret, &[1, 3]));
        assert!(removing.beats(&removed) && !removed.beats(&removing));
    }
    // Each leaves the other out: nobody who follows one changes sides.
    let (one, two) = (record(1, 5, &[3]), record(2, 6, &[3]));
    assert!(!one.beats(&two) && !two.beats(&one));
    assert!(!one.beats(&one));
}

#[test]
fn nothing_is_wrapped_for_what_is_no_key() {
    let (secret, nobody) = (RootSecret::of_epoch([5; 32], 1), PeerId([2; 32]));
    let wrapping = Wrapping::new([9; 32]);
    let made = EpochRecord::new(&identity(1), &repository("r"), KeyId([7; 32]), &secret, &[nobody], &wrapping);
    assert_eq!(made, Err((nobody, WrapError::InvalidKey)));
}
