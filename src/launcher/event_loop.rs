//! One thread of the launcher: an event loop over its ports, and over a pidfd per running child.
//!
//! A child is reaped by the thread that started it, which also sends its signals: so no signal can reach a group whose
//! number has been given to somebody else.

mod below;
mod group;
mod starter;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};

use below::{Below, LOOK_BELOW};
use group::{Group, NextLook};
use starter::Starter;

use crate::launcher::message::{Answer, Control, Fate, MAX_DESCRIPTORS, MAX_INLINE, Request};
use crate::launcher::server::Common;
use crate::launcher::socket;
use crate::sys;
use crate::sys::{Failure, Step};
use crate::task::Moment;

/// How often it is looked for children that are stopped.
const STOP_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// How long a child may be stopped: there are tools that stop a process for moments to slow it down.
const STOPPED: Duration = Duration::from_secs(1);

/// The ports of one thread.
pub struct EventLoop {
    events: OwnedFd,
    inbox: OwnedFd,
    slots: Vec<Option<Port>>,
    /// Whether the runner is paused, and with it the children.
    is_paused: bool,
    /// When it was looked for stopped children last, and below them.
    checked: Moment,
    looked_below: Moment,
    next_look: NextLook,
    starter: Starter,
    /// Buffers that are reused for every packet.
    packet: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// One port: a slot's socket, and the child that it has running.
struct Port {
    /// `None` once the slot has closed it.
    socket: Option<OwnedFd>,
    child: Option<Child>,
}

struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    started: Moment,
    /// Whether what is left of its group when it ends is killed: it has been sent a signal that ends it, or the slot
    /// has requested that.
    ending: bool,
    group: Group,
    /// Since when it is stopped, and by which signal; it is not the runner that has stopped it.
    stopped: Option<(Moment, i32)>,
    /// What is below it.
    below: Below,
    fate: Fate,
}

/// The source of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Inbox,
    /// The socket of the port with this index.
    Socket(usize),
    /// The child of the port with this index.
    Child(usize),
}

impl Source {
    fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Self::Inbox => u64::MAX,
            Self::Socket(index) => (index as u64) << 1,
            Self::Child(index) => (index as u64) << 1 | 1,
        })
    }

    fn of(data: epoll::EventData) -> Self {
        match data.u64() {
            u64::MAX => Self::Inbox,
            data if data & 1 == 0 => Self::Socket((data >> 1) as usize),
            data => Self::Child((data >> 1) as usize),
        }
    }
}

impl EventLoop {
    /// Creates the event loop of this thread; ports arrive over `inbox`.
    ///
    /// # Errors
    /// If the system lacks memory or descriptors.
    pub fn new(common: Arc<Common>, inbox: OwnedFd) -> io::Result<Self> {
        sys::unshare_descriptors();
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&events, &inbox, Source::Inbox.data(), epoll::EventFlags::IN)?;
        let starter = Starter::new(common)?;
        let packet = vec![0; MAX_INLINE];
        let descriptors = Vec::with_capacity(MAX_DESCRIPTORS);
        let slots = Vec::new();
        Ok(Self {
            events,
            inbox,
            slots,
            is_paused: false,
            checked: Moment::now(),
            looked_below: Moment::now(),
            next_look: NextLook::now(),
            starter,
            packet,
            descriptors,
        })
    }

    /// Serves the ports until the process ends.
    ///
    /// # Errors
    /// If waiting for events fails.
    pub fn serve(mut self) -> io::Result<std::convert::Infallible> {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            let patience = group::patience(&self.slots);
            retry_on_intr(|| epoll::wait(&self.events, spare_capacity(&mut events), patience))?;
            if !self.is_paused
                && self.checked.elapsed() >= Duration::from_nanos(STOP_CHECK.tv_nsec as u64)
            {
                self.end_stopped();
                if self.looked_below.elapsed() >= LOOK_BELOW {
                    self.end_waiting_for_stopped();
                }
            }
            for index in self.next_look.over(&mut self.slots) {
                self.reap(index);
            }
            for event in &events {
                // Events are hints: one may belong to a port that an earlier event has closed. Nothing here blocks.
                match Source::of(event.data) {
                    Source::Inbox => self.receive_control(),
                    Source::Socket(index) => self.receive_request(index),
                    Source::Child(index) => self.reap(index),
                }
            }
        }
    }

    /// Ends the children that have been stopped for too long: nothing would resume them.
    fn end_stopped(&mut self) {
        self.checked = Moment::now();
        for port in self.slots.iter_mut().flatten() {
            let Some(child) = &mut port.child else { continue };
            // The signal comes once per stop, so one that is resumed in between starts anew.
            match new_state(child) {
                State::Stopped(signal) => child.stopped = Some((self.checked, signal)),
                State::Continued => child.stopped = None,
                State::Unchanged => {}
            }
            if let Some((since, signal)) = child.stopped
                && since.elapsed() >= STOPPED
            {
                child.fate.stopped = Some(signal);
                child.stopped = None;
                port.signal(Signal::KILL.as_raw());
            }
        }
    }

    /// Ends the children that wait for one below them that is stopped, such as a program in a script: neither would go on.
    /// As long as anything else of the tree does something, it may resume that one itself.
    fn end_waiting_for_stopped(&mut self) {
        self.looked_below = Moment::now();
        for port in self.slots.iter_mut().flatten() {
            let Some(child) = &mut port.child else { continue };
            // What does more than one task has its own group, and may wait with whatever it likes.
            let is_new = child.started.elapsed() < LOOK_BELOW;
            if is_new || child.ending || child.stopped.is_some() {
                continue;
            }
            if child.below.is_at_a_standstill(child.pid) {
                child.fate.stopped = Some(Signal::STOP.as_raw());
                port.signal(Signal::KILL.as_raw());
            }
        }
    }

    /// Takes a packet of the launcher's first thread.
    fn receive_control(&mut self) {
        let received = socket::receive(&self.inbox, &mut self.packet, &mut self.descriptors);
        let Ok(Some(length)) = received else { return };
        match Control::decode(&self.packet[..length]) {
            Control::Port => self.take_ports(),
            Control::Pause => self.pause(true),
            Control::Resume => self.pause(false),
        }
    }

    /// Stops or continues the process groups of all children.
    fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        let signal = if is_paused { Signal::STOP } else { Signal::CONT };
        for child in self.slots.iter_mut().flatten().filter_map(|port| port.child.as_mut()) {
            let _ = kill_process_group(child.pid, signal);
            child.stopped = None;
            child.below = Below::default();
        }
    }

    fn take_ports(&mut self) {
        for port in self.descriptors.drain(..) {
            let index = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
            if index == self.slots.len() {
                self.slots.push(None);
            }
            // A port that cannot be watched is dropped, which closes it for its owner.
            if epoll::add(&self.events, &port, Source::Socket(index).data(), epoll::EventFlags::IN)
                .is_ok()
            {
                self.slots[index] = Some(Port { socket: Some(port), child: None });
            }
        }
    }

    /// Handles a request of the port's slot.
    fn receive_request(&mut self, index: usize) {
        let Some(Some(port)) = self.slots.get_mut(index) else { return };
        let Some(socket) = &port.socket else { return };
        match socket::receive(socket, &mut self.packet, &mut self.descriptors) {
            Ok(Some(length)) => match Request::decode(&self.packet[..length]) {
                Ok(Request::Start(request)) => {
                    let started = Moment::now();
                    let child = self.starter.start(&request, &mut self.descriptors);
                    self.watch(index, started, child);
                }
                Ok(Request::StartInMemory) => {
                    let started = Moment::now();
                    let child = self.starter.start_in_memory(&mut self.descriptors);
                    self.watch(index, started, child);
                }
                Ok(Request::Signal(signal)) => port.signal(signal),
                Ok(Request::Terminate) => port.terminate(),
                Ok(Request::When) => port.say_when(),
                Ok(Request::OwnGroup) => port.own_group(),
                Ok(Request::Adopt(pid)) => {
                    let child = self.starter.adopt(pid);
                    self.watch(index, Moment::now(), child);
                }
                Err(_) => self.close(index),
            },
            Ok(None) => self.close(index),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                port.answer_failure(Moment::now(), &Failure { step: Step::Prepare, error });
            }
        }
    }

    /// Watches a child that was started at `started`, or answers why there is none.
    fn watch(&mut self, index: usize, started: Moment, child: Result<(Pid, OwnedFd), Failure>) {
        let Some(Some(port)) = self.slots.get_mut(index) else { return };
        let (pid, pidfd) = match child {
            Ok(child) => child,
            Err(failure) => return port.answer_failure(started, &failure),
        };
        let watched =
            epoll::add(&self.events, &pidfd, Source::Child(index).data(), epoll::EventFlags::IN);
        let fate = Fate::default();
        port.child = Some(Child {
            pid,
            pidfd,
            started,
            ending: false,
            group: Group::default(),
            stopped: None,
            below: Below::default(),
            fate,
        });
        if self.is_paused {
            let _ = kill_process_group(pid, Signal::STOP);
        }
        if watched.is_err() {
            // Out of kernel memory: no child is better than one whose end goes unnoticed.
            port.signal(Signal::KILL.as_raw());
            while port.child.is_some() {
                std::thread::yield_now();
                port.reap();
            }
            self.starter.common.adopted.remove(pid);
        }
    }

    /// Closes the port of a slot that has gone, and kills its child.
    fn close(&mut self, index: usize) {
        let Some(Some(port)) = self.slots.get_mut(index) else { return };
        if let Some(socket) = port.socket.take() {
            let _ = epoll::delete(&self.events, &socket);
        }
        match &port.child {
            Some(_) => port.signal(Signal::KILL.as_raw()),
            None => self.slots[index] = None,
        }
    }

    fn reap(&mut self, index: usize) {
        let Some(Some(port)) = self.slots.get_mut(index) else { return };
        if let Some(child) = port.child.as_mut()
            && child.group.is_waited_for()
        {
            if child.is_outlived_now() {
                let _ = epoll::delete(&self.events, &child.pidfd); // it would be an event again and again
            }
            return;
        }
        if let Some(child) = port.reap() {
            self.starter.common.adopted.remove(child.pid);
            // Before it is closed: while another thread starts a child, that has a copy of it, which would keep it here.
            let _ = epoll::delete(&self.events, &child.pidfd);
            if port.socket.is_none() {
                self.slots[index] = None;
            }
        }
    }
}

impl Port {
    fn answer(&self, answer: Answer) {
        if let Some(socket) = &self.socket {
            // If that fails, the slot has gone, which will be the next event.
            let _ = socket::send(socket, &answer.encode(), &[]);
        }
    }

    fn answer_failure(&self, at: Moment, failure: &Failure) {
        let errno = failure.error.raw_os_error().unwrap_or(libc::EIO);
        self.answer(Answer::NotStarted { at, step: failure.step, errno });
    }

    fn signal(&mut self, signal: i32) {
        let (Some(child), Some(signal)) = (&mut self.child, Signal::from_named_raw(signal)) else {
            return;
        };
        child.ending |= matches!(signal, Signal::TERM | Signal::KILL | Signal::INT | Signal::HUP);
        // The child has not been reaped, so the group is its own, even if it has ended.
        let is_denied = kill_process_group(child.pid, signal) == Err(Errno::PERM);
        if signal == Signal::KILL {
            child.group.end();
        } else {
            // A stopped group would not react to it.
            let _ = kill_process_group(child.pid, Signal::CONT);
        }
        if is_denied {
            self.answer(Answer::Denied);
        }
    }

    fn own_group(&mut self) {
        if let Some(child) = &mut self.child {
            child.ending = true;
        }
    }

    fn say_when(&self) {
        if let Some(child) = &self.child {
            let pid = child.pid.as_raw_nonzero().get();
            self.answer(Answer::Running(child.started, pid));
        }
    }

    /// Reaps the child and answers, if it has ended.
    fn reap(&mut self) -> Option<Child> {
        let child = self.child.as_mut()?;
        let ended = Moment::now();
        if child.ending && has_ended(child) {
            // Kills members of its group that ignore TERM. Only now is it certain that the group's number has not been
            // reused.
            let _ = kill_process_group(child.pid, Signal::KILL);
        }
        let (pid, started, mut fate, ending) = (child.pid, child.started, child.fate, child.ending);
        match sys::reap(pid) {
            Ok(None) => return None,
            Ok(Some(reaped)) => {
                fate.left_behind = ending && test_kill_process_group(pid) == Err(Errno::PERM);
                self.answer(Answer::Ended { started, ended, reaped, fate });
            }
            // Everything below the launcher is being killed and reaped: it is about to exit.
            Err(_) => {}
        }
        self.child.take()
    }
}

/// What a child has done since it was last asked.
enum State {
    Stopped(i32),
    Continued,
    Unchanged,
}

fn new_state(child: &Child) -> State {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
    match waitid(WaitId::PidFd(child.pidfd.as_fd()), options) {
        Ok(Some(status)) if status.stopped() => {
            State::Stopped(status.stopping_signal().unwrap_or(0))
        }
        Ok(Some(status)) if status.continued() => State::Continued,
        _ => State::Unchanged,
    }
}

/// Whether the child is only waiting to be reaped.
fn has_ended(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::PidFd(child.pidfd.as_fd()), options), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_carries_its_source() {
        for source in [
            Source::Inbox,
            Source::Socket(0),
            Source::Child(0),
            Source::Socket(7),
            Source::Child(9_999),
        ] {
            assert_eq!(Source::of(source.data()), source);
        }
    }
}
