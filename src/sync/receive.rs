//! What arrives from the broker: bounded, verified, then given to whoever it concerns.

use automerge::Change;

use super::admission::Admission;
use super::asleep::Parked;
use super::integrate::Source;
use super::io::{Event, Message};
use super::synchronizer::{CanvasP2PSynchronizer, Step};
use super::vouching::Incoming;
use crate::canvas::{decode_change, is_derived};
use crate::ids::{DocumentId, PeerId};
use crate::limits::{MAX_APPLICATION_MESSAGE_BYTES, MAX_ARRIVED_BYTES, MAX_CURSORS};
use crate::wire::{
    Arrival, Body, Changes, Content, Cursor, EnvelopeProof, Header, Statement, Topic, Voucher, WireError, read,
};

/// Changes of one document from one sender, collected over a batch of messages so that they are applied together.
pub(super) struct Arrived {
    pub(super) document: DocumentId,
    pub(super) incoming: Incoming,
    pub(super) source: Source,
    bytes: usize,
}

impl CanvasP2PSynchronizer {
    pub(super) fn on_messages(&mut self, step: &mut Step, messages: Vec<Message>) {
        let mut arrived: Option<Arrived> = None;
        for message in messages {
            self.statistics.received += 1;
            let Some((topic, header, body)) = self.open_message(step, &message) else { continue };
            if let (Topic::Changes(id), Body::Changes(changes)) = (&topic, &body)
                && !self.asleep.contains_key(id)
            {
                let source = Source { peer: header.sender, sent_unix_ms: header.sent_unix_ms, kept: false };
                self.collect(step, &mut arrived, id, source, changes);
                continue;
            }
            // Anything else may depend on the changes that came before it.
            self.integrate_arrived(step, arrived.take());
            self.take_message(step, &topic, &header, body, message.retained);
        }
        self.integrate_arrived(step, arrived);
    }

    /// Acts on a message, or has it wait for the document that it is about.
    pub(super) fn take_message(&mut self, step: &mut Step, topic: &Topic, header: &Header, body: Body, retained: bool) {
        let about = match (topic, &body) {
            (Topic::Changes(id), _) => Some(id),
            (_, Body::SyncRequest(request)) => Some(&request.document),
            (_, Body::SyncReply(reply)) => Some(&reply.document),
            _ => None,
        };
        if let Some(id) = about.filter(|id| self.asleep.contains_key(id)).cloned() {
            let header = Box::new(header.clone());
            let message = Parked::Message { topic: topic.clone(), header, body, retained };
            self.park(step, &id, message);
        } else if let (Topic::Changes(id), Body::Changes(changes)) = (topic, &body) {
            let source = Source { peer: header.sender, sent_unix_ms: header.sent_unix_ms, kept: false };
            let incoming =
                if self.hears(id) { self.read_changes(id, header.sender, changes) } else { Incoming::default() };
            self.integrate(step, id, incoming, source);
        } else {
            self.dispatch(step, topic, header, body, retained);
        }
    }

    /// Recognises echoes, verifies, watches the counters, and puts fragments together. `None` when there is nothing to
    /// act on (yet); whatever is wrong with a message is counted.
    fn open_message(&mut self, step: &mut Step, message: &Message) -> Option<(Topic, Header, Body)> {
        if message.payload.is_empty() {
            // Someone cleared a retained message. Anyone can, so it means nothing: who leaves says so signed.
            if let Some(Topic::Manifest { document, writer }) = self.topic_of(&message.topic) {
                self.on_manifest_cleared(step, &document, &writer);
            }
            return None;
        }
        let (mut dropped, mut doubted) = (None, None);
        let admission = Admission {
            throttle: &mut self.throttle,
            heard: &mut self.heard,
            incoming: &self.incoming,
            own: (self.peer, self.config.session),
            message,
            now: step.now,
            doubted: &mut doubted,
            dropped: &mut dropped,
        };
        let outcome = read(&self.config.topics, &message.topic, &message.payload, admission);
        if let Some(name) = doubted {
            self.throttle.doubt(&name, step.now);
        }
        let (topic, opened) = match outcome {
            Ok(Arrival::Message(topic, opened)) => (topic, opened),
            Ok(Arrival::Echo(topic)) => {
                self.on_echo(step, &topic, message.retained);
                return None;
            }
            Err(WireError::UnknownTopic) if self.on_past_message(step, message) => {
                return None;
            }
            Err(error) => {
                tracing::debug!(target: "mqtt:sync", %error, topic = message.topic, "message dropped");
                self.statistics.reject(error.label());
                if let Some((kind, tell)) = dropped {
                    self.on_dropped(step, message, kind, tell);
                }
                return None;
            }
        };
        let header = opened.header;
        self.statistics.traffic.received(header.kind, message.payload.len());
        self.note_heard(step, message, &header);
        if !message.retained && matches!(topic, Topic::Changes(_)) {
            let ms = step.now.unix_ms.saturating_sub(header.sent_unix_ms);
            self.statistics.latency.record_us(ms.saturating_mul(1_000));
        }
        self.watch_counter(step, &topic, message, &header);
        if let Topic::Manifest { document, .. } = &topic {
            self.watch_manifest(step, document, message, &header);
            self.snapshots.hidden.note(&self.config.topics, &message.topic, &topic);
        }
        match opened.content {
            Content::Whole(body) => Some((topic, header, body)),
            Content::Fragment(piece) => match self.reassembler.add(step.now, &topic, &header, &piece) {
                Ok(body) => body.map(|body| (topic, header, body)),
                Err(error) => {
                    self.statistics.reject(error.label());
                    None
                }
            },
        }
    }

    /// The topic of a text; of those with hidden names, that of a manifest that was heard.
    fn topic_of(&self, text: &str) -> Option<Topic> {
        self.config.topics.parse(text).or_else(|| self.snapshots.hidden.get(text))
    }

    /// A gap in a sender's counters on a document's topic means that the broker dropped changes: catch up at once.
    fn watch_counter(&mut self, step: &mut Step, topic: &Topic, message: &Message, header: &Header) {
        let Topic::Changes(id) = topic else { return };
        let gap = self.incoming.note(&message.topic, header.sender, header.session, header.counter);
        if gap && !self.lacks_what_was_dropped(step, id, &header.sender) {
            self.statistics.gaps += 1;
            tracing::debug!(target: "mqtt:sync", document = %id, sender = %header.sender, "gap in the counters");
            self.ask_if_auto(step, id);
        }
    }

    fn collect(
        &mut self,
        step: &mut Step,
        arrived: &mut Option<Arrived>,
        id: &DocumentId,
        source: Source,
        changes: &Changes,
    ) {
        if !self.documents.contains_key(id) || !self.hears(id) {
            // Not (yet) ours: once it is, catching up brings it.
            return;
        }
        let (incoming, bytes) = (self.read_changes(id, source.peer, changes), changes.bytes());
        match arrived {
            Some(batch)
                if batch.document == *id
                    && batch.source.peer == source.peer
                    && batch.bytes + bytes <= MAX_ARRIVED_BYTES =>
            {
                batch.bytes += bytes;
                batch.source = source;
                batch.incoming.append(incoming);
            }
            _ => {
                let batch = Arrived { document: id.clone(), incoming, source, bytes };
                let before = arrived.replace(batch);
                self.integrate_arrived(step, before);
            }
        }
    }

    fn integrate_arrived(&mut self, step: &mut Step, arrived: Option<Arrived>) {
        if let Some(batch) = arrived {
            self.integrate(step, &batch.document, batch.incoming, batch.source);
        }
    }

    /// Reads changes, and what vouches for them. An envelope that vouches for something else than the newest of its changes
    /// brings nothing.
    pub(super) fn read_changes(&mut self, id: &DocumentId, sender: PeerId, body: &Changes) -> Incoming {
        let changes = self.decode_changes(body);
        let mut incoming = Incoming { changes, proven: Vec::new(), claimed: body.vouchers.clone() };
        let Some(EnvelopeProof { statement, envelope, signature }) = body.proof.as_deref().copied() else {
            return incoming;
        };
        let said = |change: &&Change| Statement::new(id, change.actor_id(), change.seq(), &change.hash()) == statement;
        let newest = incoming.changes.iter().rfind(|change| !is_derived(change)).filter(said);
        let Some((actor, sequence, hash)) =
            newest.map(|change| (change.actor_id().clone(), change.seq(), change.hash()))
        else {
            self.statistics.reject("bad voucher");
            return Incoming::default();
        };
        incoming.proven.push(Voucher { actor, sequence, hash, owner: sender, envelope, signature });
        incoming
    }

    /// Reads changes; those that are none are counted and left out.
    fn decode_changes(&mut self, changes: &Changes) -> Vec<Change> {
        let decoded = changes.changes.iter().map(|bytes| decode_change(bytes.clone()));
        let mut good = Vec::with_capacity(changes.changes.len());
        for change in decoded {
            match change {
                Ok(change) => good.push(change),
                Err(error) => {
                    tracing::debug!(target: "mqtt:sync", %error, "change dropped");
                    self.statistics.reject("bad change");
                }
            }
        }
        good
    }

    /// The wire layer has checked that the body's kind belongs on the topic, and the sender to a topic of its own.
    fn dispatch(&mut self, step: &mut Step, topic: &Topic, header: &Header, body: Body, retained: bool) {
        let own = topic.repository().is_none_or(|repository| *repository == self.config.repository);
        match body {
            // Of a repository that is heard because a canvas lives there, only its documents concern us.
            Body::Presence(_) | Body::Application(_) if !own => {}
            Body::Application(_) if self.is_outsider(&header.sender) => self.statistics.reject("not a member"),
            Body::Presence(presence) => {
                self.on_presence(step, header.sender, &presence, retained);
                if !retained {
                    self.peers.note_clock(header.sender, header.sent_unix_ms, step.now);
                }
            }
            Body::Will(will) => self.on_will(step, header.sender, &will),
            Body::SyncRequest(request) => self.on_request(step, header.sender, &request),
            Body::SyncAnnouncement(announcement) => self.on_answer_announced(step, header.sender, &announcement),
            Body::SyncReply(reply) => self.on_reply(step, header, reply),
            Body::HeadsAnnouncement(announcement) => self.on_heads(step, header, &announcement),
            Body::Cursor(cursor) => self.on_cursor(step, topic, header.sender, cursor),
            Body::KeyNotice(notice) => self.on_key_notice(step, notice),
            Body::Epoch(record) => {
                if let Topic::Epoch(repository) = topic {
                    self.on_epoch(step, repository, *record);
                }
            }
            Body::Members(members) => self.on_members(step, header, members),
            Body::Application(message) => on_application_message(step, header, message),
            Body::Manifest(manifest) => {
                if let Topic::Manifest { document, .. } = topic {
                    self.on_manifest(step, document, header, manifest);
                }
            }
            Body::SnapshotPart(part) => {
                if let Topic::SnapshotPart { document, digest } = topic {
                    self.on_part(step, document, digest, part);
                }
            }
            // Collected before.
            Body::Changes(_) => {}
        }
    }

    fn on_cursor(&mut self, step: &mut Step, topic: &Topic, peer: PeerId, cursor: Cursor) {
        let Topic::Cursor(id) = topic else { return };
        let Some(canvas) = self.canvas_of(id) else { return };
        if !self.follows(id) || self.is_outsider_of(id, &peer) {
            return;
        }
        let key = (peer, canvas.clone());
        if cursor.presence.is_none() {
            self.cursors.remove(&key);
        } else if self.cursors.len() < MAX_CURSORS {
            self.cursors.insert(key);
        }
        step.event(Event::Cursor { canvas, peer, author: cursor.author, presence: cursor.presence });
    }
}

fn on_application_message(step: &mut Step, header: &Header, message: String) {
    if message.len() <= MAX_APPLICATION_MESSAGE_BYTES {
        let (peer, timestamp_unix_ms) = (header.sender, header.sent_unix_ms);
        step.event(Event::Message { peer, message, timestamp_unix_ms });
    }
}
