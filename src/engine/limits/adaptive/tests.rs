//! The controller against servers that are simulated, event by event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// What a server does with a request that comes while `running` others run: how long it takes, and whether it is refused.
trait Server {
    fn ask(&mut self, now: f64, running: usize) -> (f64, bool);
}

impl<F: FnMut(f64, usize) -> (f64, bool)> Server for F {
    fn ask(&mut self, now: f64, running: usize) -> (f64, bool) {
        self(now, running)
    }
}

/// One answer: when, how, and at what limit.
struct Answer {
    at: f64,
    refused: bool,
    limit: usize,
}

const LATENCY: f64 = 0.05;

/// Sends as much as the controller lets it for `seconds`.
fn simulate(bounds: Bounds, seconds: f64, mut server: impl Server) -> Vec<Answer> {
    let mut controller = Controller::new(bounds);
    let mut random = fastrand::Rng::with_seed(7);
    let time = Duration::from_secs_f64;
    // By the time of the answer, in nanoseconds: when it was sent, and whether it is refused.
    let mut events = BinaryHeap::new();
    let (mut now, mut resume, mut number) = (0.0_f64, 0.0_f64, 0_u64);
    let mut answers = Vec::new();
    while now < seconds {
        while events.len() < controller.limit() && now >= resume {
            let (latency, refused) = server.ask(now, events.len());
            let at = now + latency * (0.8 + 0.4 * random.f64());
            number += 1;
            events.push(Reverse(((at * 1e9) as u64, number, (now * 1e9) as u64, refused)));
        }
        let due = events.peek().map_or(f64::MAX, |Reverse((at, ..))| *at as f64 / 1e9);
        if resume > now && resume < due {
            now = resume;
            continue;
        }
        let running = events.len();
        let Some(Reverse((at, _, sent, refused))) = events.pop() else { break };
        now = at as f64 / 1e9;
        let sent = sent as f64 / 1e9;
        if refused {
            let pause = controller.refused(time(sent), time(now));
            resume = resume.max(now + pause.as_secs_f64());
        } else {
            controller.answered(time(sent), time(now), running);
        }
        answers.push(Answer { at: now, refused, limit: controller.limit() });
    }
    answers
}

const WIDE: Bounds = Bounds { min: 1, max: 200 };

fn between(answers: &[Answer], from: f64, to: f64) -> impl Iterator<Item = &Answer> + Clone {
    answers.iter().filter(move |answer| answer.at >= from && answer.at < to)
}

fn per_second(answers: &[Answer], from: f64, to: f64) -> f64 {
    between(answers, from, to).filter(|answer| !answer.refused).count() as f64 / (to - from)
}

fn refused(answers: &[Answer], from: f64, to: f64) -> f64 {
    let all = between(answers, from, to).count() as f64;
    between(answers, from, to).filter(|answer| answer.refused).count() as f64 / all
}

#[test]
fn it_settles_below_what_is_refused() {
    for most in [5, 20, 60, 150] {
        let answers =
            simulate(
                WIDE,
                60.0,
                |_: f64, running| if running < most { (LATENCY, false) } else { (0.005, true) },
            );
        let share = refused(&answers, 5.0, 60.0);
        assert!(share < 0.02, "{most}: {share}");
        let limits: Vec<_> = between(&answers, 5.0, 60.0).map(|answer| answer.limit).collect();
        let mean = limits.iter().sum::<usize>() as f64 / limits.len() as f64;
        assert!((0.7 * most as f64..=1.0 * most as f64).contains(&mean), "{most}: {mean}");
    }
}

#[test]
fn it_follows_a_server_that_changes() {
    let most = |now: f64| if (20.0..40.0).contains(&now) { 30 } else { 60 };
    let answers =
        simulate(
            WIDE,
            60.0,
            |now: f64, running| if running < most(now) { (LATENCY, false) } else { (0.005, true) },
        );
    let mean = |from: f64, to: f64| {
        let limits: Vec<_> = between(&answers, from, to).map(|answer| answer.limit).collect();
        limits.iter().sum::<usize>() as f64 / limits.len() as f64
    };
    for (from, to, most) in [(10.0, 20.0, 60.0), (25.0, 40.0, 30.0), (45.0, 60.0, 60.0)] {
        let found = mean(from, to);
        assert!((0.7 * most..=most).contains(&found), "{most} from {from}: {found}");
    }
}

#[test]
fn a_rate_is_used() {
    for rate in [50.0, 400.0, 1500.0] {
        let (mut tokens, mut last) = (rate, 0.0_f64);
        let answers = simulate(WIDE, 60.0, move |now: f64, _| {
            tokens = (tokens + (now - last) * rate).min(rate);
            last = now;
            if tokens >= 1.0 {
                tokens -= 1.0;
                (LATENCY, false)
            } else {
                (0.005, true)
            }
        });
        let found = per_second(&answers, 5.0, 60.0);
        assert!(found >= 0.9 * rate, "{rate}: {found}, {} refused", refused(&answers, 5.0, 60.0));
    }
}

#[test]
fn without_a_limit_it_is_as_good_as_the_best_level() {
    // Four hundred a second is all it can; beyond 16 at once, requests only wait for each other.
    let answers =
        simulate(WIDE, 30.0, |_: f64, running| (((running + 1) as f64 / 400.0).max(0.04), false));
    let found = per_second(&answers, 5.0, 30.0);
    assert!(found >= 0.9 * 400.0, "{found}");
    let most = between(&answers, 5.0, 30.0).map(|answer| answer.limit).max();
    assert!(most <= Some(64), "the brake holds: {most:?}");
    // Where latency does not rise, everything is used.
    let answers = simulate(WIDE, 10.0, |_: f64, _| (LATENCY, false));
    assert!(per_second(&answers, 2.0, 10.0) >= 0.9 * 200.0 / LATENCY);
}

#[test]
fn a_short_job_has_what_a_fixed_level_has() {
    let answers = simulate(WIDE, 0.5, |_: f64, _| (LATENCY, false));
    assert!(answers.len() as f64 >= 0.9 * 16.0 * 0.5 / LATENCY);
    assert_eq!(Controller::new(Bounds { min: 20, max: 30 }).limit(), 20);
    assert_eq!(Controller::new(Bounds { min: 1, max: 8 }).limit(), 8);
}
