//! How many messages a second: limiters that go by the time that they are told (GCRA, by the crate `governor`).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, Quota, RateLimiter};

use crate::limits::{
    DEFAULT_MAX_INBOUND_PER_SECOND, DEFAULT_MAX_OUTBOUND_PER_SECOND, DEFAULT_MAX_PEER_PER_SECOND, OUTBOUND_BURST_MS,
};
use crate::time::Now;

const NANOS_PER_MS: u64 = 1_000_000;

/// How many messages a second, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Taken in from one peer; `performance.maxPeerMessagesPerSecond`.
    pub peer: u32,
    /// Taken in from all; `performance.maxInboundMessagesPerSecond`.
    pub inbound: u32,
    /// Of changes, sent by this service; `performance.maxOutboundMessagesPerSecond`.
    pub outbound: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            peer: DEFAULT_MAX_PEER_PER_SECOND,
            inbound: DEFAULT_MAX_INBOUND_PER_SECOND,
            outbound: DEFAULT_MAX_OUTBOUND_PER_SECOND,
        }
    }
}

/// The time that limiters go by: what they were last told.
#[derive(Debug, Clone, Default)]
pub(super) struct ToldClock(Arc<AtomicU64>);

impl ToldClock {
    /// Never goes back, also when several tell it.
    pub(super) fn tell(&self, now: Now) {
        self.0.fetch_max(now.elapsed_ms.saturating_mul(NANOS_PER_MS), Ordering::Relaxed);
    }
}

impl Clock for ToldClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Ordering::Relaxed).into()
    }
}

/// A limiter of a rate, which lets a burst pass at once.
#[derive(Debug)]
pub(super) struct Limiter {
    limiter: RateLimiter<NotKeyed, InMemoryState, ToldClock, NoOpMiddleware<Nanos>>,
    burst: u32,
}

impl Limiter {
    /// Lets what the rate allows in `burst_ms` pass at once.
    pub(super) fn new(per_second: u32, burst_ms: u32, clock: ToldClock) -> Self {
        Self::with_burst(per_second, share(per_second, burst_ms), clock)
    }

    pub(super) fn with_burst(per_second: u32, burst: u32, clock: ToldClock) -> Self {
        let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        Self { limiter: RateLimiter::direct_with_clock(quota, clock), burst }
    }

    /// Takes so much (or, if that is more, a whole burst), or says when there is room for it.
    pub(super) fn take(&self, amount: u32) -> Result<(), u64> {
        let all = |InsufficientCapacity(burst)| self.limiter.check_n(at_least_one(burst));
        let decision = self.limiter.check_n(at_least_one(amount)).or_else(all).unwrap_or(Ok(()));
        decision.map_err(|not_until| not_until.earliest_possible().as_u64().div_ceil(NANOS_PER_MS))
    }

    /// The most that may be taken at once.
    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    /// Takes all that there is.
    pub(super) fn drain(&self) {
        let mut amount = self.burst;
        while amount > 0 {
            if self.take(amount).is_err() {
                amount /= 2;
            }
        }
    }
}

/// What was done for somebody, as the time that it may take: more is done once enough of it has passed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Debt {
    until_ms: u64,
}

impl Debt {
    /// Whether no more than so many milliseconds are owed.
    pub(super) fn is_within(self, ms: u64, now: Now) -> bool {
        self.until_ms <= now.after(ms)
    }

    pub(super) fn add(&mut self, ms: u64, now: Now) {
        self.until_ms = self.until_ms.max(now.elapsed_ms).saturating_add(ms);
    }
}

/// What a rate allows in so many milliseconds.
pub(super) fn share(per_second: u32, ms: u32) -> u32 {
    u32::try_from(u64::from(per_second) * u64::from(ms) / 1000).unwrap_or(u32::MAX)
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// How fast all repositories of a service send changes together. What has to wait leaves with what is edited meanwhile, so a
/// spree becomes fewer and larger messages instead of more than others take in.
#[derive(Debug, Clone)]
pub struct Outbound {
    clock: ToldClock,
    limiter: Arc<Limiter>,
}

impl Outbound {
    /// For one service.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let clock = ToldClock::default();
        Self { limiter: Arc::new(Limiter::new(per_second, OUTBOUND_BURST_MS, clock.clone())), clock }
    }

    /// Lets one message leave, or says when one may, in [`Now::elapsed_ms`].
    pub(super) fn take(&self, now: Now) -> Result<(), u64> {
        self.clock.tell(now);
        self.limiter.take(1)
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new(Rates::default().outbound)
    }
}
