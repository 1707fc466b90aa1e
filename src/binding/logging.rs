//! `DEBUG=mqtt:*`, as users of the `debug` package expect it, `MQTT_LOG_FORMAT=json`, and the `log` event.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::service::Mailbox;

/// The first part of the names of all our logs.
const NAMESPACE: &str = "mqtt";

/// What `DEBUG` names, if it names anything of ours.
static NAMES: LazyLock<Option<Names>> =
    LazyLock::new(|| std::env::var("DEBUG").ok().and_then(|debug| Names::read(&debug)));

/// Turns on what `DEBUG` names, on standard error; without it nothing is logged. The first call counts.
pub(super) fn init() {
    if NAMES.is_some() {
        install();
    }
}

/// Another part of the process may have installed a subscriber already; then that one decides.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let named = filter_fn(|metadata| *metadata.level() <= LevelFilter::DEBUG && is_named(metadata.target()))
            .with_max_level_hint(LevelFilter::DEBUG);
        let output = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
        let output = match std::env::var("MQTT_LOG_FORMAT").as_deref() {
            Ok("json") => output.json().flatten_event(true).with_filter(named).boxed(),
            _ => output.with_filter(named).boxed(),
        };
        let for_listeners = dynamic_filter_fn(|metadata, _| {
            let ours = metadata.target().starts_with(NAMESPACE);
            ours && LISTENED.load(Ordering::Relaxed)
                && (*metadata.level() <= Level::WARN || is_named(metadata.target()))
        })
        .with_max_level_hint(if NAMES.is_some() { LevelFilter::DEBUG } else { LevelFilter::WARN });
        let _ = tracing_subscriber::registry().with(output).with(ToListeners.with_filter(for_listeners)).try_init();
    });
}

fn is_named(target: &str) -> bool {
    NAMES.as_ref().is_some_and(|names| names.has(target))
}

/// Whether anybody listens.
static LISTENED: AtomicBool = AtomicBool::new(false);
static LISTENERS: Mutex<Vec<Weak<Mailbox>>> = Mutex::new(Vec::new());

/// From now on what this process logs comes through this mailbox too: warnings and errors, and what `DEBUG` names.
pub(super) fn listen(mailbox: &Arc<Mailbox>) {
    install();
    let mut listeners = listeners();
    listeners.retain(|listener| listener.strong_count() > 0);
    listeners.push(Arc::downgrade(mailbox));
    LISTENED.store(true, Ordering::Relaxed);
}

/// And from now on no more.
pub(super) fn ignore(mailbox: &Arc<Mailbox>) {
    let mut listeners = listeners();
    listeners.retain(|listener| listener.strong_count() > 0 && !std::ptr::eq(listener.as_ptr(), Arc::as_ptr(mailbox)));
    LISTENED.store(!listeners.is_empty(), Ordering::Relaxed);
}

fn listeners() -> MutexGuard<'static, Vec<Weak<Mailbox>>> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands logs to whoever listens.
struct ToListeners;

impl<S: Subscriber> Layer<S> for ToListeners {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let metadata = event.metadata();
        let payload = json!({
            "time": u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            "level": metadata.level().as_str().to_ascii_lowercase(),
            "target": metadata.target(),
            "message": message,
            "fields": fields.0,
        });
        let mailboxes: Vec<_> = listeners().iter().filter_map(Weak::upgrade).collect();
        for mailbox in mailboxes {
            mailbox.offer_event("log", &payload);
        }
    }
}

/// The fields of an event, as JSON.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name(), value.into());
    }
}

/// Names separated by commas or spaces; `*` stands for anything; `-` before a name excludes it.
struct Names {
    wanted: Vec<String>,
    excluded: Vec<String>,
}

impl Names {
    /// `None` where none of ours can be meant.
    fn read(debug: &str) -> Option<Self> {
        let names = debug.split([',', ' ']).filter(|name| !name.is_empty());
        let (excluded, wanted): (Vec<&str>, Vec<&str>) = names.partition(|name| name.starts_with('-'));
        let ours = |name: &&str| {
            let literal = name.split('*').next().unwrap_or_default();
            literal.starts_with(NAMESPACE) || NAMESPACE.starts_with(literal)
        };
        let wanted: Vec<String> = wanted.into_iter().filter(ours).map(str::to_owned).collect();
        let excluded = excluded.into_iter().map(|name| name.trim_start_matches('-').to_owned()).collect();
        (!wanted.is_empty()).then_some(Self { wanted, excluded })
    }

    fn has(&self, target: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| fits(name, target));
        target.starts_with(NAMESPACE) && named(&self.wanted) && !named(&self.excluded)
    }
}

/// Whether a name with stars fits. `mqtt:*` means `mqtt` as well, which is what is not about a part.
fn fits(name: &str, target: &str) -> bool {
    if name.strip_suffix(":*") == Some(target) {
        return true;
    }
    match name.split_once('*') {
        None => name == target,
        Some((before, after)) => target.strip_prefix(before).is_some_and(|rest| {
            // What the star stands for may be as short as nothing and as long as all.
            (0..=rest.len()).any(|length| rest.get(length..).is_some_and(|rest| fits(after, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(debug: &str, target: &str) -> bool {
        Names::read(debug).is_some_and(|names| names.has(target))
    }

    #[test]
    fn names_are_read_as_the_debug_package_reads_them() {
        for all in ["*", "mqtt*", "mqtt:*"] {
            assert!(shows(all, "mqtt") && shows(all, "mqtt:sync") && !shows(all, "rumqttc"), "{all}");
        }
        let some = "other,mqtt:sync mqtt:net";
        assert!(shows(some, "mqtt:net") && shows(some, "mqtt:sync") && !shows(some, "mqtt:storage"));
        assert!(shows("mqtt:* -mqtt:net", "mqtt:sync") && !shows("mqtt:* -mqtt:net", "mqtt:net"));
        assert!(shows("*,-mqtt:n*", "mqtt:sync") && !shows("*,-mqtt:n*", "mqtt:net"));
        assert!(shows("mqtt", "mqtt") && !shows("mqtt", "mqtt:sync"));
        assert!(shows("m*t", "mqtt") && !shows("m*q", "mqtt"));
        assert!(shows("mqtt:*o*", "mqtt:storage") && !shows("mqtt:*o*", "mqtt:net"));
        for nothing in ["express:*", "", "-mqtt:*"] {
            assert!(Names::read(nothing).is_none(), "{nothing}");
        }
    }
}
