//! `DEBUG=mqtt:*`, as users of the `debug` package expect it, and `MQTT_LOG_FORMAT=json`.

use std::io;
use std::sync::Once;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The first part of the names of all our logs.
const NAMESPACE: &str = "mqtt";

/// Turns on what `DEBUG` names, on standard error; without it nothing is logged. The first call counts.
pub(super) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(names) = std::env::var("DEBUG").ok().and_then(|debug| Names::read(&debug)) else { return };
        let output = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
        let filter = filter_fn(move |metadata| *metadata.level() <= LevelFilter::DEBUG && names.has(metadata.target()))
            .with_max_level_hint(LevelFilter::DEBUG);
        let output = match std::env::var("MQTT_LOG_FORMAT").as_deref() {
            Ok("json") => output.json().flatten_event(true).with_filter(filter).boxed(),
            _ => output.with_filter(filter).boxed(),
        };
        // Another part of the process may have installed a subscriber already; then that one decides.
        let _ = tracing_subscriber::registry().with(output).try_init();
    });
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
