//! The envelope, built from `docs/protocol.md` and nothing else, to make what the implementation would not.

use minicbor::{Decoder, Encoder};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::wire::Statement;
use sha2::{Digest, Sha256};

/// A packet taken apart.
pub(crate) struct Parts {
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn split(payload: &[u8]) -> Parts {
    let mut decoder = Decoder::new(payload);
    assert_eq!(decoder.array().unwrap(), Some(3));
    let mut part = || decoder.bytes().unwrap().to_vec();
    let parts = Parts { header: part(), body: part(), signature: part() };
    assert_eq!(decoder.position(), payload.len());
    parts
}

/// Section 3.3.
pub(crate) fn signature_input(topic: &str, header: &[u8], body: &[u8]) -> Vec<u8> {
    let path = topic.strip_prefix("mind-git/").unwrap();
    let length = |bytes: &[u8]| (bytes.len() as u64).to_be_bytes();
    [b"mind-git/mqtt-p2p/envelope/v1", &length(path.as_bytes())[..], path.as_bytes(), &length(header)[..], header, body]
        .concat()
}

/// Section 10.3: what vouches for an actor's newest change.
pub(crate) fn statement(path: &str, actor: &[u8], sequence: u64, hash: &[u8; 32]) -> [u8; 32] {
    let length = |bytes: &[u8]| (bytes.len() as u64).to_be_bytes();
    let parts = [
        b"mind-git/mqtt-p2p/voucher/v1".as_slice(),
        &length(path.as_bytes()),
        path.as_bytes(),
        &length(actor),
        actor,
        &sequence.to_be_bytes(),
        hash,
    ];
    Sha256::digest(parts.concat()).into()
}

/// Section 10.3: what is signed for it.
pub(crate) fn vouched(envelope: &[u8; 32], statement: &[u8; 32]) -> Vec<u8> {
    [b"mind-git/mqtt-p2p/vouched/v1".as_slice(), envelope, statement].concat()
}

/// Section 3.3, of an envelope that vouches perhaps.
pub(crate) fn vouching_input(input: Vec<u8>, vouches: Option<Statement>) -> Vec<u8> {
    match vouches {
        None => input,
        Some(statement) => vouched(&Sha256::digest(&input).into(), &statement.0),
    }
}

/// Section 3.1.
pub(crate) fn frame(header: &[u8], body: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.array(3).unwrap().bytes(header).unwrap().bytes(body).unwrap().bytes(signature).unwrap();
    encoder.into_writer()
}

pub(crate) fn signed(identity: &Identity, topic: &str, header: &[u8], body: &[u8]) -> Vec<u8> {
    frame(header, body, &identity.sign(&signature_input(topic, header, body)))
}

/// A header (section 3.2) as key and encoded value, so that tests can spoil it.
#[derive(Clone)]
pub(crate) struct Header(pub(crate) Vec<(u64, Vec<u8>)>);

impl Header {
    pub(crate) fn new(identity: &Identity, kind: u64) -> Self {
        let sender = minicbor::to_vec(minicbor::bytes::ByteArray::from(identity.peer().0)).unwrap();
        let uint = |value: u64| minicbor::to_vec(value).unwrap();
        Self(vec![
            (0, uint(1)),
            (1, uint(kind)),
            (2, sender),
            (3, uint(7)),
            (4, uint(0)),
            (5, uint(1_700_000_000_000)),
            (6, uint(1)),
            (7, uint(0)),
        ])
    }

    /// With another value at a key, or one more key at the end.
    pub(crate) fn with(mut self, key: u64, value: &[u8]) -> Self {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value.to_vec(),
            None => self.0.push((key, value.to_vec())),
        }
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        encoder.map(self.0.len() as u64).unwrap();
        for (key, value) in &self.0 {
            encoder.u64(*key).unwrap();
            encoder.writer_mut().extend_from_slice(value);
        }
        encoder.into_writer()
    }
}
