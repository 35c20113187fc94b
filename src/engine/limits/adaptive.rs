//! Concurrency that finds itself: how many requests a host is sent at once.
//!
//! Slow start doubles the limit each round until the server first refuses or slows down; from there on it grows by 5 %
//! per round that was clean and in which it was used, and shrinks to 0.8 once per episode of refusals (additive increase
//! and multiplicative decrease, as TCP has it: Chiu and Jain 1989; the round and the brake by latency as in Netflix's
//! concurrency-limits). Pure: times are handed in, so that servers can be simulated.

use std::time::Duration;

use crate::config::Bounds;

/// How a limit grows per clean round, after slow start.
const GROWTH: f64 = 1.05;
/// How it shrinks at a refusal.
const CUT: f64 = 0.8;
/// Latency beyond this multiple of the best keeps the limit from growing.
const BRAKE: f64 = 2.0;
/// How much the best latency is forgotten per round, so that a server that has become slower is not braked for ever.
const FORGET: f64 = 1.001;
/// How the limit grows where the server last refused: to look whether it still does costs refusals.
const PROBE: f64 = 1.005;
/// Where the limit starts, within its range: the concurrency of a job that says nothing.
const START: usize = 16;
/// The shortest and the longest pause after refusals without a `Retry-After`.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// The limit of one host.
#[derive(Clone, Debug)]
pub struct Controller {
    bounds: Bounds,
    limit: f64,
    is_starting: bool,
    round: Round,
    /// When the limit was last cut: what was sent before belongs to the same episode.
    cut: Option<Duration>,
    /// The best mean latency of a round, in seconds; 0 before the first.
    best: f64,
    /// Refusals since the last success.
    in_row: u32,
    /// The limit at which the server last refused, as long as it has not been passed.
    ceiling: Option<usize>,
}

/// About as many requests as may run at once, sent and answered under one limit.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    began: Duration,
    answered: usize,
    latency: f64,
    /// The most that ran at once.
    peak: usize,
}

impl Controller {
    /// Nothing is known of the host yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            limit: START.clamp(bounds.min, bounds.max) as f64,
            is_starting: true,
            round: Round::default(),
            cut: None,
            best: 0.0,
            in_row: 0,
            ceiling: None,
        }
    }

    /// How many requests may run at once.
    pub fn limit(&self) -> usize {
        (self.limit as usize).clamp(self.bounds.min, self.bounds.max)
    }

    /// A request that was sent at `sent` has been answered `now`, while `running` ran with it.
    pub fn answered(&mut self, sent: Duration, now: Duration, running: usize) {
        self.in_row = 0;
        if sent < self.round.began {
            return;
        }
        self.round.answered += 1;
        self.round.latency += now.saturating_sub(sent).as_secs_f64();
        self.round.peak = self.round.peak.max(running);
        if self.round.answered >= self.limit() {
            self.end_round(now);
        }
    }

    fn end_round(&mut self, now: Duration) {
        let mean = self.round.latency / self.round.answered as f64;
        let is_slow = self.best > 0.0 && mean > self.best * BRAKE;
        self.best = if self.best > 0.0 { (self.best * FORGET).min(mean) } else { mean };
        if is_slow {
            self.is_starting = false;
        } else if self.round.peak >= self.limit() {
            self.limit = (self.limit * self.growth()).min(self.bounds.max as f64);
        }
        self.round = Round { began: now, ..Round::default() };
    }

    /// How much the limit grows after a clean round.
    fn growth(&mut self) -> f64 {
        if self.is_starting {
            return 2.0;
        }
        match self.ceiling {
            Some(ceiling) if self.limit() >= ceiling => self.ceiling = None, // it takes more now
            Some(ceiling) if (self.limit * GROWTH) as usize >= ceiling => return PROBE,
            _ => {}
        }
        GROWTH
    }

    /// A request that was sent at `sent` has been refused `now`. Says how long the host is to be left alone, unless it
    /// has said so itself.
    pub fn refused(&mut self, sent: Duration, now: Duration) -> Duration {
        let latency = Duration::from_secs_f64(self.best).clamp(PAUSES.0, PAUSES.1);
        let is_new =
            self.cut.is_none_or(|cut| sent >= cut + latency.min(Duration::from_millis(200)));
        if is_new {
            self.ceiling = Some(self.limit());
            self.limit = (self.limit * CUT).max(self.bounds.min as f64);
            self.is_starting = false;
            self.cut = Some(now);
            self.round = Round { began: now, ..Round::default() };
            if self.limit() == self.bounds.min {
                self.in_row += 1;
            }
        }
        let doubled = 2_u32.saturating_pow(self.in_row.saturating_sub(1).min(16));
        latency.min(Duration::from_millis(100)).saturating_mul(doubled).clamp(PAUSES.0, PAUSES.1)
    }
}

#[cfg(test)]
mod tests;
