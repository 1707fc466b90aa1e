//! The one ordered channel to the application: outcomes of calls and events, already as JSON.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::item::{CanvasItem, Item};
use crate::ids::{CanvasId, RepositoryName};
use crate::limits::{MAX_DRAIN_BYTES, MAX_DRAIN_ITEMS, MAX_MAILBOX_BYTES, MAX_OVERHEARD_BYTES, MERGE_FROM_ITEMS};

/// Rings when there is something new.
pub type Doorbell = Arc<dyn Fn() + Send + Sync>;

/// A bounded mailbox. At its bound nothing is lost: whoever fills it waits for room before it takes in more (see
/// [`Mailbox::room`]), so the pressure goes back to the repository's inbox, and from there to the broker, whose dropped
/// messages are caught up with later.
///
/// Once much waits, an edit of a canvas is merged into the last event of that canvas that waits, unless an outcome of a call
/// came between them: an application that does not keep up gets fewer events, each with more in it, and nobody's turn
/// comes later for it.
#[derive(Default)]
pub struct Mailbox {
    state: Mutex<State>,
    drained: Notify,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// How many items were taken so far: the number of the first one that waits.
    taken: u64,
    bytes: usize,
    /// The number of each canvas's last event since the last outcome, while much waits.
    latest: HashMap<(RepositoryName, CanvasId), u64>,
    doorbell: Option<Doorbell>,
    /// The application's thread is here, and will look by itself.
    hushed: bool,
}

impl Mailbox {
    /// Says how the application is told that there is something; rings if there is already.
    pub fn set_doorbell(&self, doorbell: Option<Doorbell>) {
        let mut state = self.state();
        state.doorbell = doorbell;
        let rings = !state.items.is_empty();
        leave(state, rings);
    }

    /// Adds items, in order.
    pub(crate) fn push(&self, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let mut state = self.state();
        let was_empty = state.items.is_empty();
        for item in items {
            state.add(item);
        }
        let rings = was_empty && !state.hushed;
        leave(state, rings);
    }

    /// How many outcomes and events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state().items.len()
    }

    /// For the application's thread: the doorbell is silent until it has heard whether there is something.
    pub(crate) fn hush(&self) -> Hush<'_> {
        self.state().hushed = true;
        Hush(self)
    }

    /// Adds an event of which nobody minds if it is lost: it is, when very much waits for the application.
    pub fn offer_event(&self, name: &str, payload: &serde_json::Value) {
        self.offer(super::json::event(name, payload), MAX_OVERHEARD_BYTES);
    }

    /// Adds an item unless more than so many bytes wait; whether it did.
    pub(crate) fn offer(&self, item: Item, max_bytes: usize) -> bool {
        let takes = self.state().bytes <= max_bytes;
        if takes {
            self.push(vec![item]);
        }
        takes
    }

    /// Takes what is there, as a JSON array; when there is more than the application should take at once, the doorbell
    /// rings again.
    pub fn drain(&self) -> String {
        let mut state = self.state();
        let mut text = String::from("[");
        let mut count = 0;
        while count < MAX_DRAIN_ITEMS
            && let Some(item) = state.items.front()
            && (count == 0 || text.len() + item.bytes() <= MAX_DRAIN_BYTES)
        {
            if count > 0 {
                text.push(',');
            }
            text.push_str(&item.text());
            state.take_first();
            count += 1;
        }
        text.push(']');
        let rings = !state.items.is_empty();
        leave(state, rings);
        self.drained.notify_waiters();
        text
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.state().bytes <= MAX_MAILBOX_BYTES {
                return;
            }
            drained.await;
        }
    }

    /// The doorbell is a callback of the application's runtime, which may not panic into ours; nothing else can poison.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, item: Item) {
        match item {
            Item::Canvas(item) => self.add_canvas(item),
            Item::Event(_) => self.append(item),
            Item::Outcome(_) => {
                // What a call brought holds what had happened until then, and nothing of what comes later.
                self.latest.clear();
                self.append(item);
            }
        }
    }

    fn add_canvas(&mut self, item: Box<CanvasItem>) {
        if self.items.len() < MERGE_FROM_ITEMS {
            self.latest.clear();
            self.append(Item::Canvas(item));
            return;
        }
        let key = item.key();
        let last = self.latest.get(&key).and_then(|number| usize::try_from(number.checked_sub(self.taken)?).ok());
        let refused = match last.and_then(|index| self.items.get_mut(index)) {
            Some(Item::Canvas(last)) => {
                self.bytes -= last.bytes();
                let refused = last.merge(item);
                self.bytes += last.bytes();
                refused
            }
            _ => Some(item),
        };
        if let Some(item) = refused {
            self.latest.insert(key, self.taken + self.items.len() as u64);
            self.append(Item::Canvas(item));
        }
    }

    fn append(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    fn take_first(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.bytes -= item.bytes();
            self.taken += 1;
        }
    }
}

/// While it lasts the doorbell is silent.
pub(crate) struct Hush<'a>(&'a Mailbox);

impl Hush<'_> {
    /// Whether there is something, which whoever asks must take then.
    pub(crate) fn end(self) -> bool {
        let mut state = self.0.state();
        // At once with looking: what comes next is rung for.
        state.hushed = false;
        !state.items.is_empty()
    }
}

impl Drop for Hush<'_> {
    fn drop(&mut self) {
        self.0.state().hushed = false;
    }
}

/// Lets go of the mailbox, and then rings if so wanted: ringing wakes the application's thread, and takes long enough that
/// this would find the mailbox locked, and sleep again.
fn leave(state: MutexGuard<'_, State>, rings: bool) {
    let doorbell = state.doorbell.clone().filter(|_| rings);
    drop(state);
    if let Some(doorbell) = doorbell {
        doorbell();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use super::*;
    use crate::canvas::{CanvasChanges, ElementChanges, ElementUpdate, PropertyChanges, Version};
    use crate::ids::{Generation, Heads, PeerId};
    use crate::limits::MERGE_SLACK_BYTES;
    use crate::sync::{CanvasEvent, CanvasEventKind, Origin};

    fn event(text: &str) -> Item {
        Item::Event(text.to_owned())
    }

    /// The node `node` of a canvas was moved to `x`.
    fn moved(canvas: &str, node: &str, x: i64, origin: Origin) -> Item {
        let set = [("x".to_owned(), crate::canvas::Value::Int(x))].into();
        let properties = PropertyChanges { set, ..PropertyChanges::default() };
        let updated = vec![ElementUpdate { id: node.to_owned(), properties }];
        let nodes = ElementChanges { updated, ..ElementChanges::default() };
        let event = CanvasEvent {
            kind: CanvasEventKind::Updated,
            canvas: CanvasId::new(canvas).unwrap(),
            generation: Generation(1),
            author: None,
            peer: PeerId([1; 32]),
            origin,
            timestamp_unix_ms: u64::try_from(x).unwrap(),
            version: Version(Heads::default()),
            changes: CanvasChanges { nodes, ..CanvasChanges::default() },
            shared_with: None,
        };
        Item::Canvas(Box::new(CanvasItem::new(RepositoryName::new("r").unwrap(), event)))
    }

    /// A mailbox in which as much waits as it takes for events to be merged.
    fn crowded() -> Mailbox {
        let mailbox = Mailbox::default();
        mailbox.push((0..MERGE_FROM_ITEMS).map(|_| event("0")).collect());
        mailbox
    }

    /// Everything that waits, without what a crowd is made of.
    fn taken(mailbox: &Mailbox) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let batch: Vec<Value> = serde_json::from_str(&mailbox.drain()).unwrap();
            if batch.is_empty() {
                return all;
            }
            assert!(batch.len() <= MAX_DRAIN_ITEMS);
            all.extend(batch.into_iter().filter(Value::is_object));
        }
    }

    /// Of each canvas event its canvas, how many it is made of, and where it says that nodes are.
    fn summary(items: &[Value]) -> Vec<(String, Option<u64>, Vec<i64>)> {
        let one = |item: &Value| {
            let payload = &item["payload"];
            let nodes = payload["changes"]["nodes"]["updated"].as_array().unwrap().iter();
            let xs = nodes.map(|node| node["set"]["x"].as_i64().unwrap()).collect();
            (payload["canvasId"].as_str().unwrap().to_owned(), payload["merged"].as_u64(), xs)
        };
        items.iter().map(one).collect()
    }

    #[test]
    fn items_come_out_in_order_and_the_bell_rings_once_for_many() {
        let mailbox = Mailbox::default();
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = rings.clone();
        mailbox.set_doorbell(Some(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })));
        mailbox.push(vec![event("1"), event("2")]);
        mailbox.push(vec![event("3")]);
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        assert_eq!(mailbox.drain(), "[1,2,3]");
        assert_eq!(mailbox.drain(), "[]");
    }

    #[test]
    fn who_is_there_is_not_rung_for_and_looks() {
        let mailbox = Mailbox::default();
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = rings.clone();
        mailbox.set_doorbell(Some(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })));
        assert!(!mailbox.hush().end());
        let hush = mailbox.hush();
        mailbox.push(vec![event("1")]);
        assert!(hush.end());
        assert_eq!((rings.load(Ordering::SeqCst), mailbox.drain()), (0, "[1]".to_owned()));
        mailbox.push(vec![event("2")]);
        assert_eq!(rings.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_application_takes_only_so_many_at_once_and_is_rung_for_again() {
        let mailbox = crowded();
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = rings.clone();
        mailbox.set_doorbell(Some(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })));
        let batch: Vec<Value> = serde_json::from_str(&mailbox.drain()).unwrap();
        assert_eq!((batch.len(), rings.load(Ordering::SeqCst)), (MAX_DRAIN_ITEMS, 2));
    }

    #[test]
    fn while_little_waits_each_event_is_told_by_itself() {
        let mailbox = Mailbox::default();
        mailbox.push((0..3).map(|x| moved("a", "n", x, Origin::Remote)).collect());
        let told = ["[0]", "[1]", "[2]"].map(|xs| ("a".to_owned(), None, serde_json::from_str(xs).unwrap()));
        assert_eq!(summary(&taken(&mailbox)), told);
    }

    #[test]
    fn once_much_waits_edits_of_one_canvas_are_merged_and_none_of_them_comes_later() {
        let mailbox = crowded();
        for x in 0..1_000 {
            mailbox.push(vec![moved("a", "n", x, Origin::Remote), moved("b", "n", x, Origin::Remote)]);
        }
        mailbox.push(vec![moved("a", "m", 7, Origin::Remote)]);
        let items = taken(&mailbox);
        let told = [("a", 1_001, vec![7, 999]), ("b", 1_000, vec![999])];
        assert_eq!(summary(&items), told.map(|(canvas, events, xs)| (canvas.to_owned(), Some(events), xs)));
        assert_eq!(items[0]["payload"]["timestamp"], json!(7));
        assert_eq!(mailbox.state().bytes, 0);
    }

    #[test]
    fn nothing_is_merged_across_an_outcome_nor_with_what_came_from_elsewhere() {
        let mailbox = crowded();
        mailbox.push(vec![
            moved("a", "n", 1, Origin::Remote),
            Item::Outcome(r#"{"call":1,"value":null}"#.to_owned()),
            moved("a", "n", 2, Origin::Remote),
            moved("a", "n", 3, Origin::Local),
            moved("a", "n", 4, Origin::Remote),
            moved("a", "n", 5, Origin::Remote),
        ]);
        let items = taken(&mailbox);
        assert_eq!(items[1]["call"], json!(1));
        let [first, _, rest @ ..] = &items[..] else { panic!("{items:?}") };
        let told = [(None, vec![1]), (None, vec![2]), (None, vec![3]), (Some(2), vec![5])];
        let canvases = [std::slice::from_ref(first), rest].concat();
        assert_eq!(summary(&canvases), told.map(|(events, xs)| ("a".to_owned(), events, xs)));
    }

    #[test]
    fn what_is_merged_takes_no_more_room_however_much_it_is() {
        let mailbox = crowded();
        for x in 0..10_000 {
            mailbox.push(vec![moved("a", "n", x, Origin::Remote)]);
        }
        assert!(mailbox.state().bytes < 4 * MERGE_SLACK_BYTES);
        assert_eq!(summary(&taken(&mailbox)), [("a".to_owned(), Some(10_000), vec![9_999])]);
    }

    #[tokio::test]
    async fn a_full_mailbox_makes_its_fillers_wait() {
        let mailbox = Arc::new(Mailbox::default());
        mailbox.push(vec![event(&"x".repeat(MAX_MAILBOX_BYTES)), event(&"y".repeat(MAX_DRAIN_BYTES))]);
        let waiting = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { mailbox.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert!(mailbox.drain().len() > MAX_MAILBOX_BYTES);
        waiting.await.unwrap();
        assert_eq!(mailbox.drain().len(), MAX_DRAIN_BYTES + 2);
    }
}
