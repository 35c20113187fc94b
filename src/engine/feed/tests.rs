//! The order in which slots get tasks: retries, requeued tasks, hosts and inputs, without workers.

use std::time::Duration;

use super::*;
use crate::config::Overrides;
use crate::task::Fields;

const SLOTS: usize = 2;
const ROOM: u64 = (room::FEW_PER_SLOT * SLOTS) as u64;

/// A feed for two slots over these inputs.
fn feed(inputs: &str, hosts: Option<Hosts>) -> Arc<Feed> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let text = format!("[inputs]\n{inputs}\n[workload.sleep]\nduration = \"1ms\"\n");
    std::fs::write(&file, text).unwrap();
    let job = crate::job::read(&[file], &Overrides::default()).unwrap().remove(0);
    let inputs = (&job.inputs, job.inputs.open().unwrap());
    Arc::new(Feed::open(inputs, (None, None), SLOTS, hosts, Arc::default()).unwrap())
}

/// The same with room for [`ROOM`] tasks that wait for their hosts, and no more.
fn narrow(inputs: &str, hosts: Option<Hosts>) -> Arc<Feed> {
    let feed = feed(inputs, hosts);
    feed.lock().room.most = ROOM as usize;
    feed
}

/// A feed whose inputs come from the test, as if from a pipe.
fn piped(capacity: usize) -> (async_channel::Sender<Numbered>, Arc<Feed>) {
    let feed = narrow("repeat = 1", None);
    let (sender, receiver) = async_channel::bounded(capacity);
    feed.lock().source = Source::Channel { receiver, arrived: VecDeque::new() };
    (sender, feed)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_mins(1), future).await.unwrap() })
}

/// Takes one task, if there is one now.
fn take(handle: &mut FeedHandle) -> Option<Task> {
    let mut batch = VecDeque::new();
    let feed = Arc::clone(&handle.feed);
    loop {
        match feed.try_take(&mut handle.held, 1, &mut batch) {
            Taken::Some => return batch.pop_front(),
            Taken::Again => {}
            Taken::Wait | Taken::Over => return None,
        }
    }
}

async fn take_waiting(handle: &mut FeedHandle) -> Option<u64> {
    let mut batch = VecDeque::new();
    handle.take(1, &mut batch).await.then(|| batch.pop_front().unwrap().number)
}

fn soon(millis: u64) -> Moment {
    Moment::now() + Duration::from_millis(millis)
}

#[test]
fn a_retry_comes_when_it_is_due_and_holds_no_slot() {
    let feed = feed("repeat = 3", None);
    let mut handle = feed.handle(Patience::None);
    let first = take(&mut handle).unwrap();
    let due = soon(60);
    handle.retry(first, due);
    assert_eq!(block_on(take_waiting(&mut handle)), Some(2));
    assert_eq!(block_on(take_waiting(&mut handle)), Some(3));
    assert_eq!(block_on(take_waiting(&mut handle)), Some(1));
    assert!(Moment::now() >= due);
    assert_eq!(block_on(take_waiting(&mut handle)), None);
}

#[test]
fn retries_come_in_the_order_in_which_they_are_due() {
    let feed = feed("repeat = 4", None);
    let mut handle = feed.handle(Patience::None);
    for millis in [90, 60, 30, 0] {
        let task = take(&mut handle).unwrap();
        handle.retry(task, soon(millis));
    }
    let order: Vec<_> = (0..4).map(|_| block_on(take_waiting(&mut handle)).unwrap()).collect();
    assert_eq!(order, [4, 3, 2, 1]);
}

#[test]
fn too_many_waiting_retries_hold_new_inputs_back() {
    let feed = narrow("repeat = 1000", None);
    let mut handle = feed.handle(Patience::None);
    for number in 1..=ROOM {
        let task = take(&mut handle).unwrap();
        assert_eq!(task.number, number);
        handle.retry(task, if number == 7 { soon(50) } else { soon(3_600_000) });
    }
    assert!(take(&mut handle).is_none(), "no new input");
    assert_eq!(block_on(take_waiting(&mut handle)), Some(7), "but a retry that is due");
    assert_eq!(take(&mut handle).unwrap().number, ROOM + 1);
}

#[test]
fn new_inputs_from_a_pipe_are_held_back_too_and_come_afterwards() {
    let (sender, feed) = piped(1000);
    for number in 1..=100 {
        sender.send_blocking(Ok((number, Fields::single("x")))).unwrap();
    }
    let mut handle = feed.handle(Patience::None);
    for _ in 0..ROOM {
        let task = take(&mut handle).unwrap();
        handle.retry(task, soon(50));
    }
    block_on(async {
        let mut other = feed.handle(Patience::None);
        let (one, two) = tokio::join!(take_waiting(&mut handle), take_waiting(&mut other));
        let mut seen = vec![one.unwrap(), two.unwrap()];
        assert!(seen.iter().all(|&number| number <= ROOM), "retries come first: {seen:?}");
        sender.close();
        loop {
            let taken = tokio::join!(take_waiting(&mut handle), take_waiting(&mut other));
            seen.extend(taken.0.into_iter().chain(taken.1));
            if taken == (None, None) {
                break;
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=100).collect::<Vec<_>>());
    });
}

#[test]
fn many_waiting_slots_share_many_retries() {
    let feed = feed("repeat = 30", None);
    let mut first = feed.handle(Patience::None);
    for _ in 0..30 {
        let task = take(&mut first).unwrap();
        first.retry(task, soon(fastrand::u64(1..60)));
    }
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let feed = Arc::clone(&feed);
            std::thread::spawn(move || {
                let mut handle = feed.handle(Patience::None);
                block_on(async {
                    let mut taken = 0;
                    while take_waiting(&mut handle).await.is_some() {
                        taken += 1;
                    }
                    taken
                })
            })
        })
        .collect();
    drop(first);
    assert_eq!(takers.into_iter().map(|taker| taker.join().unwrap()).sum::<u32>(), 30);
}

#[test]
fn a_wait_for_a_retry_ends_with_the_job() {
    let feed = feed("repeat = 2", None);
    let mut handle = feed.handle(Patience::None);
    let task = take(&mut handle).unwrap();
    handle.retry(task, soon(3_600_000));
    assert_eq!(take(&mut handle).unwrap().number, 2);
    let stop = async { feed.cancel.raise(Level::Drain, Cause::Signal(2)) };
    let taken = block_on(async { tokio::join!(take_waiting(&mut handle), stop).0 });
    assert_eq!(taken, None);
    drop(handle);
    assert_eq!(feed.next_unrun().unwrap().number, 1);
    assert!(feed.next_unrun().is_none());
}

#[test]
fn a_busy_host_holds_back_only_its_own_tasks() {
    let host_of = |task: &Task| Some(String::from_utf8_lossy(task.fields.get(0)).into_owned());
    let hosts = Hosts::new(HostLimit::Fixed(1), Box::new(host_of));
    let feed = feed("values = [\"slow\", \"slow\", \"slow\", \"fast\", \"fast\"]", Some(hosts));
    let (mut one, mut two) = (feed.handle(Patience::None), feed.handle(Patience::None));
    assert_eq!(take(&mut one).unwrap().number, 1);
    assert_eq!(take(&mut two).unwrap().number, 4);
    assert_eq!(take(&mut two).unwrap().number, 5, "the second slow one waits");
    assert!(take(&mut two).is_none());
    let again = take(&mut one).unwrap();
    assert_eq!(again.number, 2);
    one.retry(again, soon(0));
    assert_eq!(take(&mut one).unwrap().number, 3, "a parked task comes before a retry");
    assert!(take(&mut two).is_none(), "a retry that is due is parked as well");
    assert_eq!(take(&mut one).unwrap().number, 2);
}

#[test]
fn parked_tasks_are_bounded_and_none_is_lost() {
    let host_of = |_: &Task| Some("slow".to_owned());
    let feed = narrow("repeat = 1000", Some(Hosts::new(HostLimit::Fixed(1), Box::new(host_of))));
    let (mut one, mut two) = (feed.handle(Patience::None), feed.handle(Patience::None));
    assert_eq!(take(&mut one).unwrap().number, 1);
    assert!(take(&mut two).is_none());
    assert_eq!(feed.lock().hosts.as_ref().unwrap().parked().tasks as u64, ROOM);
    assert_eq!(take(&mut one).unwrap().number, 2);
    feed.cancel.raise(Level::Drain, Cause::Signal(2));
    drop((one, two));
    let mut unrun: Vec<_> =
        std::iter::from_fn(|| feed.next_unrun()).map(|task| task.number).collect();
    unrun.sort_unstable();
    assert_eq!(unrun, (3..=1000).collect::<Vec<_>>());
}

/// Inputs that are sorted by host: many more of a host that is busy or left alone than there are slots, and then others.
#[test]
fn many_tasks_of_a_host_that_wait_do_not_hold_up_those_of_others() {
    let host_of = |task: &Task| Some(if task.number > 5000 { "b" } else { "a" }.to_owned());
    for limit in [HostLimit::Fixed(1), HostLimit::None] {
        let feed = feed("repeat = 5002", Some(Hosts::new(limit, Box::new(host_of))));
        let (mut one, mut two) = (feed.handle(Patience::None), feed.handle(Patience::None));
        let first = take(&mut one).unwrap();
        assert_eq!(first.number, 1);
        let pause = Reply::Refused(Some(Duration::from_mins(50)));
        one.ended(&first, Moment::now(), pause, None);
        assert_eq!(block_on(take_waiting(&mut two)), Some(5001), "{limit:?}");
        assert!(block_on(two.take_now(1, &mut VecDeque::new())), "{limit:?}");
        assert!(!block_on(two.take_now(1, &mut VecDeque::new())), "{limit:?}");
    }
}

#[test]
fn a_task_whose_host_is_left_alone_since_it_was_taken_goes_back() {
    let host_of = |task: &Task| Some(String::from_utf8_lossy(task.fields.get(0)).into_owned());
    let hosts = Hosts::new(HostLimit::None, Box::new(host_of));
    let feed = feed("values = ['a', 'a', 'b']", Some(hosts));
    let (mut one, mut two) = (feed.handle(Patience::None), feed.handle(Patience::None));
    let first = take(&mut one).unwrap();
    let mut batch = VecDeque::from([take(&mut two).unwrap()]);
    two.put_off(&mut batch);
    assert_eq!(batch.len(), 1, "nothing has refused yet");
    let pause = Reply::Refused(Some(Duration::from_millis(60)));
    let until = one.ended(&first, Moment::now(), pause, None).unwrap();
    two.put_off(&mut batch);
    assert!(batch.is_empty());
    assert_eq!(block_on(take_waiting(&mut two)), Some(3));
    assert_eq!(block_on(take_waiting(&mut two)), Some(2));
    assert!(Moment::now() >= until);
    assert!(!block_on(two.take_now(1, &mut batch)));
}

/// The numbers of the tasks that a queue for two slots has accepted, and of those that it has refused.
fn offered(feed: &Feed, numbers: std::ops::RangeInclusive<u64>) -> (Vec<u64>, Vec<u64>) {
    numbers.partition(|&number| feed.offer(Task::new(number, Fields::single("x"))).is_ok())
}

#[test]
fn a_queue_is_never_longer_than_twice_its_consumers() {
    let feed = Arc::new(Feed::between(SLOTS, None, Arc::default()));
    assert_eq!(offered(&feed, 1..=6), (vec![1, 2, 3, 4], vec![5, 6]));
    let mut handle = feed.handle(Patience::None);
    assert_eq!(take(&mut handle).unwrap().number, 1);
    assert_eq!(offered(&feed, 5..=6), (vec![5], vec![6]));
}

#[test]
fn a_producer_waits_for_room_and_a_consumer_for_tasks() {
    let feed = Arc::new(Feed::between(SLOTS, None, Arc::default()));
    let producers: Vec<_> = (0..3)
        .map(|producer| {
            let feed = Arc::clone(&feed);
            std::thread::spawn(move || {
                for number in (1..=300).filter(|number| number % 3 == producer) {
                    block_on(feed.put(Task::new(number, Fields::single("x")), Patience::Yields));
                }
            })
        })
        .collect();
    let consumers: Vec<_> = (0..SLOTS)
        .map(|_| {
            let feed = Arc::clone(&feed);
            std::thread::spawn(move || {
                let (mut handle, mut taken) = (feed.handle(Patience::None), Vec::new());
                while let Some(number) = block_on(take_waiting(&mut handle)) {
                    taken.push(number);
                }
                taken
            })
        })
        .collect();
    for producer in producers {
        producer.join().unwrap();
    }
    feed.close();
    let mut taken: Vec<_> =
        consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect();
    taken.sort_unstable();
    assert_eq!(taken, (1..=300).collect::<Vec<_>>());
}

#[test]
fn a_task_between_stages_when_a_job_drains_does_not_run() {
    let feed = Arc::new(Feed::between(SLOTS, None, Arc::default()));
    assert_eq!(offered(&feed, 1..=5).1, [5]);
    let stop = async { feed.cancel.raise(Level::Drain, Cause::Signal(2)) };
    block_on(async {
        tokio::join!(feed.put(Task::new(5, Fields::single("x")), Patience::None), stop)
    });
    let mut handle = feed.handle(Patience::None);
    assert!(take(&mut handle).is_none());
    let mut unrun: Vec<_> =
        std::iter::from_fn(|| feed.next_unrun()).map(|task| task.number).collect();
    unrun.sort_unstable();
    assert_eq!(unrun, [1, 2, 3, 4, 5]);
}

/// A task whose host's pause has just ended by the clock, but not yet by the moment at which the slot looked, waits; it is
/// not taken and put back for ever, with the feed locked.
#[test]
fn a_pause_that_ends_while_a_slot_looks_ends_for_the_next_look() {
    let hosts = Hosts::new(HostLimit::None, Box::new(|_| Some("a".to_owned())));
    let feed = feed("repeat = 1", Some(hosts));
    let mut handle = feed.handle(Patience::None);
    let task = take(&mut handle).unwrap();
    let began = Moment::now();
    let pause = Reply::Refused(Some(Duration::from_nanos(1)));
    let until = handle.ended(&task, began, pause, None).unwrap();
    handle.retry(task, until);
    while Moment::now() <= until {}
    let mut state = feed.lock();
    assert!(state.next(began, &mut Vec::new()).is_none());
    assert!(state.next(until, &mut Vec::new()).is_some());
}

#[test]
fn a_slot_ends_where_there_are_more_than_tasks_that_may_come_back() {
    let feed = feed("repeat = 2", None);
    let [mut one, mut two, mut three] = [(); 3].map(|()| feed.handle(Patience::None));
    let (first, _) = (take(&mut one).unwrap(), take(&mut two).unwrap());
    assert_eq!(block_on(take_waiting(&mut three)), None, "both tasks have a slot");
    one.retry(first, soon(10));
    assert_eq!(block_on(take_waiting(&mut one)), Some(1));
    assert_eq!(block_on(take_waiting(&mut two)), None, "that one has a slot, too");
    assert_eq!(block_on(take_waiting(&mut three)), None);
    assert_eq!(block_on(take_waiting(&mut one)), None);
}

#[test]
fn those_that_are_too_many_end_and_whoever_is_left_does_what_they_give_back() {
    let feed = feed("repeat = 4", None);
    let mut slots = [(); 4].map(|()| feed.handle(Patience::None));
    let mut tasks: Vec<_> = slots.iter_mut().map(|slot| take(slot).unwrap()).collect();
    feed.limit(2);
    // The first two have done their tasks; those of the others are to be tried again.
    for slot in &mut slots[..2] {
        assert_eq!(block_on(take_waiting(slot)), None, "there are four");
    }
    slots[3].retry(tasks.pop().unwrap(), soon(5));
    slots[2].retry(tasks.pop().unwrap(), soon(10));
    let mut seen = vec![block_on(take_waiting(&mut slots[2]))];
    seen.push(block_on(take_waiting(&mut slots[3])));
    assert_eq!(seen, [Some(4), Some(3)]);
    feed.limit(1);
    assert_eq!(block_on(take_waiting(&mut slots[2])), None);
    assert_eq!(block_on(take_waiting(&mut slots[3])), None);
    assert!(feed.next_unrun().is_none());
}
