//! `stall`: ends that over which nothing comes or goes for too long.

use std::pin::Pin;
use std::time::Duration;

use super::body::Taken;
use super::client::{Failure, Progress};
use super::plan::Plan;
use crate::task::{Moment, clock};

/// Ends that over which nothing comes or goes for too long. It is pinned, since its future is large, and would be moved here
/// otherwise.
pub(super) async fn patiently<T>(
    plan: &Plan,
    progress: &Progress,
    mut what: Pin<&mut impl Future<Output = Result<T, Failure>>>,
) -> Result<T, Failure> {
    let Some(stall) = plan.stall else { return what.await };
    let (mut last, mut way) = (Moment::now(), OnTheWay::default());
    loop {
        tokio::select! {
            biased;
            done = what.as_mut() => return done,
            () = clock::sleep_until(last + stall) => {}
        }
        match way.later(last, progress) {
            Some(later) => last = later,
            None => return Err(stalled(stall, progress)),
        }
    }
}

/// What the system has taken of a request and not delivered yet, as of the last look. It takes bytes long before the server
/// does.
#[derive(Debug, Default)]
struct OnTheWay {
    /// All that is on its way over the connection, in bytes.
    unsent: u64,
    /// How much of what was written to the connection has been delivered, in bytes.
    delivered: u64,
    /// Ours has been delivered once this much is, in bytes.
    ours: Option<u64>,
}

impl OnTheWay {
    /// When something came or went since `last`, if anything did.
    fn later(&mut self, last: Moment, progress: &Progress) -> Option<Moment> {
        let taken = progress.taken.as_ref().map(Taken::last);
        let Some(traffic) = progress.traffic() else { return taken.filter(|&later| later > last) };
        // What comes and goes over a connection that is shared may be of others.
        let own = Some(traffic.last()).filter(|_| !traffic.is_shared());
        let noted = own.max(taken).filter(|&later| later > last);
        let is_ours = !traffic.is_shared() || self.ours.is_none_or(|ours| self.delivered < ours);
        let (written, unsent) = (traffic.written(), traffic.unsent() as u64);
        let moves = is_ours && unsent > 0 && unsent != self.unsent;
        if noted.is_some() || self.ours.is_none() {
            self.ours = Some(written);
        }
        (self.unsent, self.delivered) = (unsent, written.saturating_sub(unsent));
        noted.or_else(|| moves.then(Moment::now)) // the server takes what it is sent
    }
}

fn stalled(stall: Duration, progress: &Progress) -> Failure {
    progress.stalled.set(true);
    let stall = humantime::format_duration(stall);
    Failure(format!("stalled: nothing came for {stall} while {}", progress.doing()))
}
