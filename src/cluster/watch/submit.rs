//! Submitting the shards whose time has come, and what becomes of a submission that is refused or unclear.

use std::io;
use std::time::{Duration, Instant};

use super::{Driver, PAUSE, Room, Shard, Stage, TRIES};
use crate::cluster::engine::{Id, NotSubmitted};
use crate::task::Exit;

/// How long it holds that the scheduler takes no more jobs than it has, unless some of them end.
const FULL: Duration = Duration::from_mins(5);

impl Driver<'_> {
    /// Submits the shards whose time has come, as far as allocations are free.
    pub(super) fn submit_ready(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.state.submit_after.is_some_and(|after| after > now) || self.find_unclear()? {
            return Ok(());
        }
        let free = self.plan.nodes.saturating_sub(self.ledger.running_at_most());
        let is_due = |shard: &Shard| matches!(shard.stage, Stage::Ready(due) if due <= now);
        let shards = (0..).zip(&self.state.shards).filter(|(_, shard)| is_due(shard));
        let ready: Vec<u32> = shards.map(|(shard, _)| shard).collect();
        if free == 0 || ready.is_empty() {
            return Ok(());
        }
        if self.state.most == 0 {
            match self.engine.most_elements() {
                Ok(most) => self.state.most = most.max(1),
                Err(unknown) => {
                    self.say_unknown(&unknown);
                    return Ok(());
                }
            }
        }
        let Some(most) = self.room_for() else { return Ok(()) };
        let mut left = free;
        for chunk in ready.chunks(most as usize) {
            let part = u64::from(free) * chunk.len() as u64 / ready.len() as u64;
            // Never more at once than there may be, which limits are divided by; the others wait for their turn.
            let at_once = (part as u32).max(1).min(chunk.len() as u32).min(left);
            if at_once == 0 || !self.submit(chunk, at_once)? || self.state.room.is_some() {
                break;
            }
            left -= at_once;
        }
        Ok(())
    }

    /// How many elements an array may have now; `None` if there is no room before others have ended.
    fn room_for(&mut self) -> Option<u32> {
        let most = self.state.half.unwrap_or(self.state.most).min(self.state.most);
        let Some(room) = self.state.room.filter(|room| Instant::now() < room.until) else {
            self.state.room = None;
            return Some(most);
        };
        // Some at a time, so that there is not a call for each.
        let ended = room.live.saturating_sub(self.ledger.live());
        (ended >= (room.live / 8).max(1)).then_some(ended.min(most))
    }

    /// Submits these shards as one array. Returns whether others may be submitted now.
    fn submit(&mut self, shards: &[u32], at_once: u32) -> io::Result<bool> {
        let starts = self.folder.starts()?;
        let rows = |shard: u32| {
            let own = starts.iter().filter(|start| start.shard == shard);
            own.map(|start| self.about_rows(&start.path)).max().unwrap_or(0)
        };
        let rows: Vec<_> = shards.iter().map(|&shard| rows(shard)).collect();
        let begun = |shard: u32| {
            let own = starts.iter().filter(|start| start.shard == shard);
            own.map(|start| start.start).max().unwrap_or(0)
        };
        let elements = shards
            .iter()
            .map(|&shard| (shard, self.state.shards[shard as usize].start.max(begun(shard)) + 1));
        let elements: Vec<_> = elements.collect();
        let script = |number: u32| {
            let mut command = self.command.clone();
            command.push(number.to_string());
            self.engine.script(&command)
        };
        let place = self.ledger.intend(elements.clone(), at_once, script)?;
        let request = self.ledger.request(place, &self.excluded());
        for ((shard, start), rows) in elements.into_iter().zip(rows) {
            let state = &mut self.state.shards[shard as usize];
            (state.start, state.rows_before, state.stage) = (start, rows, Stage::Submitted);
        }
        let submitted = self.engine.submit(&request);
        self.submitted(place, submitted)
    }

    fn submitted(&mut self, place: usize, submitted: Result<Id, NotSubmitted>) -> io::Result<bool> {
        let elements = self.ledger.submissions[place].elements.len() as u32;
        let refusal = match submitted {
            Ok(id) => {
                (self.state.unclear, self.state.half) = (0, None);
                self.ledger.note(place, id)?;
                return Ok(true);
            }
            Err(refusal) => refusal,
        };
        let is_hopeless = match &refusal {
            NotSubmitted::Refused { .. } => {
                self.take_back()?;
                true
            }
            NotSubmitted::Full(_) => {
                self.take_back()?;
                let live = self.ledger.live();
                if live > 0 {
                    self.state.room = Some(Room { live, until: Instant::now() + FULL });
                } else {
                    self.state.half = Some((elements / 2).max(1));
                }
                elements == 1 && live == 0
            }
            NotSubmitted::TooLarge(_) => {
                self.take_back()?;
                self.state.most = (elements / 2).max(1);
                elements == 1
            }
            NotSubmitted::Unclear(_) => {
                self.state.unclear += 1;
                self.state.submit_after = Some(Instant::now() + self.pause_of_unclear());
                self.state.unclear >= TRIES
            }
        };
        if is_hopeless {
            self.fail(refusal.explain(self.engine.name()), Exit::Usage);
        }
        Ok(false)
    }

    fn pause_of_unclear(&self) -> Duration {
        Duration::from_secs(1 << (2 * self.state.unclear).min(5))
    }

    /// The last submission was refused: its shards are ready again.
    fn take_back(&mut self) -> io::Result<()> {
        let elements = self.ledger.submissions.last().map(|last| last.elements.clone());
        for (shard, start) in elements.unwrap_or_default() {
            let shard = &mut self.state.shards[shard as usize];
            (shard.stage, shard.start) = (Stage::Ready(Instant::now()), start - 1);
        }
        self.ledger.take_back()
    }

    /// Looks for a submission of which it is unclear whether it came through. Returns whether it still is.
    fn find_unclear(&mut self) -> io::Result<bool> {
        let Some(place) = self
            .ledger
            .submissions
            .iter()
            .position(|one| one.id.is_none() && one.live() > 0 && self.state.unclear > 0)
        else {
            return Ok(false);
        };
        match self.engine.find(&self.ledger.submissions[place].name.clone()) {
            Ok(Some(id)) => {
                self.state.unclear = 0;
                self.ledger.note(place, id)?;
                Ok(false)
            }
            Ok(None) => {
                // It did not come through. The next try has the same name, so that it is found if it did after all.
                let request = self.ledger.request(place, &self.excluded());
                let submitted = self.engine.submit(&request);
                Ok(!self.submitted(place, submitted)?)
            }
            Err(unknown) => {
                self.say_unknown(&unknown);
                self.state.submit_after = Some(Instant::now() + PAUSE);
                Ok(true)
            }
        }
    }

    /// Lets the newest array use the allocations that older ones need no more.
    pub(super) fn use_all_allocations(&mut self) {
        let free = self.plan.nodes.saturating_sub(self.ledger.running_at_most());
        let mut waiting = self.ledger.submissions.iter_mut().rev();
        let Some(submission) = waiting.find(|one| one.id.is_some() && one.live() > one.at_once)
        else {
            return;
        };
        let at_once = submission.at_once + free;
        if free > 0
            && let Some(id) = &submission.id
            && self.engine.set_at_once(id, at_once).is_ok()
        {
            submission.at_once = at_once;
        }
    }
}
