//! Time is a value that drivers pass in: nothing below `drivers` reads a clock.

/// The present, as the driver saw it when it called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some fixed instant of this process; never goes back. All deadlines are in this measure.
    pub elapsed_ms: u64,
    /// Milliseconds since the Unix epoch by this machine's clock; information for people, never decides anything.
    pub unix_ms: u64,
}

impl Now {
    /// The deadline that lies `delay_ms` ahead.
    #[must_use]
    pub fn after(self, delay_ms: u64) -> u64 {
        self.elapsed_ms.saturating_add(delay_ms)
    }

    /// Whether a deadline has come.
    #[must_use]
    pub fn reached(self, deadline_ms: u64) -> bool {
        self.elapsed_ms >= deadline_ms
    }
}
