//! What runs were made of.

/// What a run was made of.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub events: u64,
    pub edits: u64,
    pub acknowledged: u64,
    pub disconnects: u64,
    pub broker_restarts: u64,
    pub crashes: u64,
    pub orderly_ends: u64,
    pub failed_writes: u64,
    /// Durable edits under an actor that an earlier process had left.
    pub actors_reused: u64,
}

impl Tally {
    /// How much went wrong, the single messages not counted.
    pub fn faults(&self) -> u64 {
        self.crashes + self.failed_writes + self.disconnects + self.broker_restarts
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.edits += other.edits;
        self.acknowledged += other.acknowledged;
        self.disconnects += other.disconnects;
        self.broker_restarts += other.broker_restarts;
        self.crashes += other.crashes;
        self.orderly_ends += other.orderly_ends;
        self.failed_writes += other.failed_writes;
        self.actors_reused += other.actors_reused;
    }
}
