//! `DEBUG=mqtt:*`, as users of the `debug` package expect it.

use std::io;
use std::sync::Once;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The first part of the names of all our logs.
const NAMESPACE: &str = "mqtt";

/// Turns on what `DEBUG` names, on standard error; without it nothing is logged. The first call counts.
pub(super) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(targets) = std::env::var("DEBUG").ok().and_then(|debug| targets(&debug)) else {
            return;
        };
        let output = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
        // Another part of the process may have installed a subscriber already; then that one decides.
        let _ = tracing_subscriber::registry().with(output).with(targets).try_init();
    });
}

/// Names separated by commas or spaces; `*` at the end matches the rest; `-` before a name excludes it.
fn targets(debug: &str) -> Option<Targets> {
    let mut targets = Targets::new();
    let mut any = false;
    for name in debug.split([',', ' ']).filter(|name| !name.is_empty()) {
        let (name, level) = match name.strip_prefix('-') {
            Some(excluded) => (excluded, LevelFilter::OFF),
            None => (name, LevelFilter::DEBUG),
        };
        let target = match name {
            "*" | "mqtt*" | "mqtt:*" => NAMESPACE,
            other => other.trim_end_matches('*').trim_end_matches(':'),
        };
        if target.starts_with(NAMESPACE) {
            any |= level != LevelFilter::OFF;
            targets = targets.with_target(target, level);
        }
    }
    any.then_some(targets)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn names_are_read_as_the_debug_package_reads_them() {
        let all = targets("mqtt:*").unwrap();
        assert!(all.would_enable("mqtt:sync", &Level::DEBUG) && all.would_enable("mqtt", &Level::DEBUG));
        assert!(!all.would_enable("rumqttc", &Level::DEBUG));
        let some = targets("other,mqtt:sync,mqtt:net").unwrap();
        assert!(some.would_enable("mqtt:net", &Level::DEBUG) && !some.would_enable("mqtt:storage", &Level::DEBUG));
        let but = targets("mqtt:* -mqtt:net").unwrap();
        assert!(but.would_enable("mqtt:sync", &Level::DEBUG) && !but.would_enable("mqtt:net", &Level::DEBUG));
        assert!(targets("express:*").is_none());
        assert!(targets("").is_none());
    }
}
