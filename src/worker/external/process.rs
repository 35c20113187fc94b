//! One process of a worker program: its pipes, the requests in flight to it, and its end.
//!
//! A separate task, the [`Driver`], reads, writes and waits for the process. Slots put requests in flight through the
//! [`Process`] that they share, and each is told how its own request ended.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::driver::Driver;
use crate::launcher::{Ended, Exit};
use crate::task::Moment;
use crate::worker::public_protocol::Answer;
use crate::workload::command::{cause_and_tail, how_it_ended};

/// A request that takes this long is a long one.
const SLOW: Duration = Duration::from_millis(1);

/// A process that is ready for requests, as the slots see it.
#[derive(Debug)]
pub struct Process {
    state: RefCell<State>,
    /// After this many requests it is renewed.
    max_tasks: Option<u64>,
    /// Its number, if it is looked how much memory it uses.
    pid: Option<Pid>,
    /// Whether it may end before it has read anything, and that costs no task.
    trusted: bool,
    /// Whether its last request took so long that a look at the system costs nothing beside it.
    is_slow: Cell<bool>,
    /// Notified when there is something to write, or an order.
    wake: Notify,
    /// Cancelled when it has ended and every request that was in flight has been told.
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// What is written next.
    out: Vec<u8>,
    flight: HashMap<u64, Flying>,
    /// The size of all requests, in bytes.
    requested: u64,
    /// The number of the last request.
    last: u64,
    /// How many have been answered.
    answered: u64,
    order: Order,
    /// Whether it takes no more requests.
    closed: bool,
    /// Whether it has answered a request once more, or one that it had not got yet, in which those that are in flight have
    /// no part.
    broke_alone: bool,
    /// How it broke the protocol, if no request that was in flight can tell.
    fault: Option<String>,
    /// How it ended, if that was not well and no request can tell.
    ending: Option<String>,
    /// Since when it takes no more requests and has answered all.
    idle_since: Option<Moment>,
    /// Peak resident memory in bytes, once it has ended.
    peak_rss: Option<u64>,
}

impl State {
    fn close(&mut self) {
        self.closed = true;
        self.look_whether_idle();
    }

    fn look_whether_idle(&mut self) {
        if self.closed && self.flight.is_empty() {
            self.idle_since.get_or_insert_with(Moment::now);
        }
    }

    /// Up to which byte of all requests they have been written, where the driver has so many bytes yet to write.
    fn written(&self, unwritten: u64) -> u64 {
        self.requested - (unwritten + self.out.len() as u64).min(self.requested)
    }
}

/// A request in flight, as the driver sees it.
#[derive(Debug)]
struct Flying {
    /// Where it starts among the bytes of all requests.
    start: u64,
    slot: oneshot::Sender<Ending>,
}

/// The end of a process.
struct End {
    /// What a request that was in flight says of it.
    words: String,
    /// How it broke the protocol.
    fault: Option<String>,
    /// How it ended, if that was not well.
    ending: Option<String>,
    peak_rss: Option<u64>,
}

/// What the driver has to do with a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    #[default]
    Serve,
    /// End its input, so that it ends.
    Leave,
    Kill,
}

/// How a request ended.
#[derive(Debug)]
pub enum Ending {
    /// It was answered, at this moment.
    Answered(Answer, Moment),
    /// The process ended without an answer.
    Died(Death),
}

/// The death of a process, as seen by a request that was in flight.
#[derive(Clone, Debug)]
pub enum Death {
    /// The runner ended it because of another request.
    Ended,
    /// It died because of this request, since no other was in flight; says how.
    OfThis(String),
    /// It died, and it is unknown because of which request.
    OfOne,
    /// This request had no part in it: it was not read yet, or an answer to another one broke the protocol.
    Left,
}

/// Why a process did not become ready.
#[derive(Debug)]
pub enum Unready {
    /// It ended too early; another one may succeed.
    Ended(String),
    /// It cannot be used, nor can another one.
    Unfit(String),
    /// The system could not start it.
    System(io::Error),
}

impl From<io::Error> for Unready {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Process {
    /// Records how long a request has taken.
    pub fn took(&self, run: Duration) {
        self.is_slow.set(run >= SLOW);
    }

    /// Whether its requests take long.
    pub fn is_slow(&self) -> bool {
        self.is_slow.get()
    }

    /// Its number, if it is looked how much memory it uses.
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Starts a process for up to `slots` requests at a time, with the arguments and the environment of the slot
    /// `slot`. Also returns how many it takes. One that is `trusted` may end before it has read anything.
    pub async fn start(
        settings: &Settings,
        slots: usize,
        slot: usize,
        trusted: bool,
    ) -> Result<(Rc<Self>, usize), Unready> {
        let mut driver = Driver::start(settings, slot).await?;
        let ready = driver.greet(settings, slots);
        let Ok(ready) = tokio::time::timeout(settings.spec.ready_timeout(), ready).await else {
            let limit = humantime::format_duration(settings.spec.ready_timeout());
            let tail = settings.log.tail(driver.log_start);
            let words = format!("it was not ready within {limit}");
            // Dropping the port kills it.
            return Err(Unready::Unfit(cause_and_tail(words, None, &tail)));
        };
        let slots = ready?;
        let process = Rc::new(Self {
            state: RefCell::default(),
            max_tasks: settings.spec.max_tasks(),
            pid: driver.pid,
            trusted,
            is_slow: Cell::new(true),
            wake: Notify::new(),
            over: CancellationToken::new(),
        });
        let log = Arc::clone(&settings.log);
        let name = settings.spec.name().to_owned();
        let shared = Rc::clone(&process);
        tokio::task::spawn_local(async move {
            let log_start = driver.log_start;
            let (exit, fault) = driver.serve(&shared).await;
            let how = match &exit {
                Ok(ended) => how_it_ended(&ended.exit, &name),
                Err(error) => error.to_string(),
            };
            let tail = log.tail(log_start);
            let cause = fault.clone().unwrap_or_else(|| format!("the worker died: {how}"));
            let is_well = fault.is_some() || matches!(exit, Ok(Ended { exit: Exit::Code(0), .. }));
            let end = End {
                words: cause_and_tail(cause, None, &tail),
                fault,
                ending: (!is_well).then(|| cause_and_tail(how, None, &tail)),
                peak_rss: exit.ok().map(|ended| ended.peak_rss),
            };
            shared.end(end, driver.unread());
        });
        Ok((process, slots))
    }

    /// Puts a request in flight: `write` appends its line, which has this number. `None` if the process takes no more.
    pub fn send(&self, write: impl FnOnce(u64, &mut Vec<u8>)) -> Option<InFlight<'_>> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        state.last += 1;
        let (id, start, before) = (state.last, state.requested, state.out.len());
        write(id, &mut state.out);
        state.requested += (state.out.len() - before) as u64;
        let (slot, ending) = oneshot::channel();
        state.flight.insert(id, Flying { start, slot });
        if self.max_tasks == Some(id) {
            state.order = state.order.max(Order::Leave);
            state.closed = true;
        }
        drop(state);
        self.wake.notify_one();
        Some(InFlight { process: self, id, ending, sent: Moment::now() })
    }

    /// Whether it has answered anything.
    pub fn has_answered(&self) -> bool {
        self.state().answered > 0
    }

    /// Whether it takes requests.
    pub fn is_open(&self) -> bool {
        !self.state().closed
    }

    /// Waits for the end of one that takes no more; one that does not leave in time, when all has been answered, is ended.
    pub async fn renewed(&self, grace: Duration) {
        let overdue = async {
            loop {
                let idle_since = self.state().idle_since;
                let left = idle_since.map_or(grace, |since| grace.saturating_sub(since.elapsed()));
                if left.is_zero() && idle_since.is_some() {
                    return;
                }
                tokio::time::sleep(left).await;
            }
        };
        tokio::select! {
            () = self.ended() => {}
            () = overdue => self.kill(),
        }
        self.ended().await;
    }

    /// Ready when it has ended.
    pub async fn ended(&self) {
        self.over.cancelled().await;
    }

    /// How it broke the protocol, if no request could tell, and its peak resident memory in bytes, once it has ended.
    pub fn fault_and_peak(&self) -> (Option<String>, Option<u64>) {
        let mut state = self.state();
        (state.fault.take(), state.peak_rss)
    }

    /// How it has ended, if that was not well and no request could tell.
    pub fn ending(&self) -> Option<String> {
        self.state().ending.take()
    }

    /// Lets it end by itself, by ending its input.
    pub fn let_leave(&self) {
        self.order(Order::Leave);
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    fn order(&self, order: Order) {
        let mut state = self.state();
        state.order = state.order.max(order);
        state.close();
        drop(state);
        self.wake.notify_one();
    }

    /// Tells a request that it has been answered; the driver has so many bytes of requests yet to write. The error says what
    /// is wrong with the answer.
    pub(super) fn settle(&self, answer: Answer, unwritten: u64, now: Moment) -> Result<(), String> {
        let mut state = self.state();
        let id = answer.id;
        let written = state.written(unwritten);
        if state.flight.get(&id).is_some_and(|request| request.start >= written) {
            state.broke_alone = true;
            return Err(format!("the worker answered request {id} before it was written"));
        }
        if let Some(request) = state.flight.remove(&id) {
            state.look_whether_idle();
            state.answered += 1;
            let _ = request.slot.send(Ending::Answered(answer, now)); // its slot may not wait for it any more
            return Ok(());
        }
        // An answer to a request that was stopped meanwhile is not a fault.
        if state.order == Order::Kill {
            Ok(())
        } else if id >= 1 && id <= state.last {
            state.broke_alone = true;
            Err(format!("the worker answered request {id} twice"))
        } else {
            Err(format!("the worker answered unknown request {id}"))
        }
    }

    /// What the driver has to do; what has to be written is appended to `out`.
    pub(super) fn take_orders(&self, out: &mut Vec<u8>) -> Order {
        let mut state = self.state();
        if out.is_empty() {
            std::mem::swap(out, &mut state.out);
        } else {
            out.append(&mut state.out);
        }
        state.order
    }

    /// Takes no more requests.
    pub(super) fn close(&self) {
        self.state().close();
    }

    /// Ready when there may be something to do for the driver.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Records its end, and tells all requests that are in flight; of what the driver had of them, `unread` bytes were never
    /// read.
    fn end(&self, end: End, unread: u64) {
        let End { words, fault, ending, peak_rss } = end;
        let mut state = self.state();
        state.close();
        state.peak_rss = peak_rss;
        let has_proved = self.trusted || state.answered > 0;
        let read = state.written(unread);
        state.ending = ending.filter(|_| state.order == Order::Leave && state.flight.is_empty());
        let was_read = |request: &Flying| fault.is_some() || !has_proved || request.start < read;
        let concerned = state.flight.values().filter(|&request| was_read(request)).count();
        let death = match (state.order, concerned) {
            (Order::Kill, _) => Death::Ended,
            (Order::Serve, _) if state.broke_alone => Death::Left,
            (_, 1) => Death::OfThis(words.clone()),
            _ => Death::OfOne,
        };
        let is_of_none = state.flight.is_empty() || state.broke_alone;
        if is_of_none && fault.is_some() && state.order == Order::Serve {
            state.fault = Some(words);
        }
        let may_spare = state.order != Order::Kill;
        for (_, request) in state.flight.drain() {
            let is_spared = may_spare && !was_read(&request);
            let death = if is_spared { Death::Left } else { death.clone() };
            let _ = request.slot.send(Ending::Died(death));
        }
        drop(state);
        self.over.cancel();
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }
}

/// A request in flight. If it is dropped, its answer is ignored.
#[derive(Debug)]
pub struct InFlight<'a> {
    process: &'a Process,
    id: u64,
    ending: oneshot::Receiver<Ending>,
    /// When it was sent.
    pub sent: Moment,
}

impl InFlight<'_> {
    /// How it ends. Cancel-safe.
    pub async fn ending(&mut self) -> Ending {
        // An error means that the driver was dropped with its runtime.
        (&mut self.ending).await.unwrap_or(Ending::Died(Death::Ended))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut state = self.process.state();
        state.flight.remove(&self.id);
        state.look_whether_idle();
    }
}
