//! The models: the same tasks, the same results, whoever polls them.

use std::time::{Duration, Instant};

use crate::support::{MODELS, TestJob, is_alive};

#[test]
fn the_four_models_give_the_same_results() {
    let job = r#"
        [inputs]
        range = { from = 1, to = 300 }
        [workload.compute]
        function = "factorial"
        arg = "{input}"
    "#;
    let results: Vec<_> = MODELS
        .iter()
        .map(|model| {
            let ran = TestJob::new(job).args(["--model", model]).run();
            ran.exit(0);
            assert_eq!(ran.summary("job")["model"], *model);
            ran.report().select("task,input,status,result")
        })
        .collect();
    assert_eq!(results[0].len(), 300);
    assert!(results.iter().all(|rows| *rows == results[0]));
}

#[test]
fn every_kind_runs_under_every_model() {
    for model in MODELS {
        let sleep = "[inputs]\nrepeat = 5\n[workload.sleep]\nduration = \"1ms\"";
        TestJob::new(sleep)
            .args(["--model", model])
            .run()
            .exit(0)
            .rows("task,status,attempts", &["1,ok,1", "2,ok,1", "3,ok,1", "4,ok,1", "5,ok,1"]);
        let command = "[inputs]\nvalues = [\"a b\", \"c\"]\n[workload.command]\nargv = [\"echo\", \"{input}\"]";
        TestJob::new(command)
            .args(["--model", model])
            .run()
            .exit(0)
            .rows("status,code,result", &["ok,0,a b", "ok,0,c"]);
    }
}

#[test]
fn a_timeout_on_a_computation_is_a_timeout_under_every_model() {
    for model in MODELS {
        let job = r#"
            [inputs]
            values = [1, 18446744073709551615, 2]
            [workload.compute]
            function = "count_down"
            [limits]
            timeout = "1s"
        "#;
        let start = Instant::now();
        let ran = TestJob::new(job).args(["--model", model, "-j", "1"]).run();
        ran.exit(3)
            .rows("input,status,result", &["1,ok,0", "18446744073709551615,timeout,", "2,ok,0"]);
        assert!(start.elapsed() < Duration::from_mins(1), "{model}: the timeout did not end it");
        let error = &ran.report().column("error")[1];
        assert!(error.contains("timed out after 1s"), "{model}: {error}");
        let run: f64 = ran.report().column("run_s")[1].parse().unwrap();
        assert!(run >= 0.2, "{model}: run_s {run}");
    }
}

#[test]
fn under_async_a_computation_holds_the_loop_and_that_is_said() {
    let job = r#"
        model = "async"
        [inputs]
        repeat = 4
        [workload.compute]
        function = "count_down"
        arg = 1000000
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(0).stderr_has("held the event loop for");
    assert!(ran.summary("job")["reason"].contains("held the event loop for"));
}

#[test]
fn auto_follows_the_guide_and_says_why() {
    let waits = "[inputs]\nrepeat = 400\n[workload.sleep]\nduration = \"1ms\"";
    let ran = TestJob::new(waits).run();
    let summary = ran.exit(0).summary("job");
    assert_eq!((summary["model"].as_str(), summary["concurrency"].as_str()), ("async", "100"));
    assert!(summary["reason"].starts_with("auto: "), "{}", summary["reason"]);

    let few = "[inputs]\nrepeat = 12\n[workload.sleep]\nduration = \"1ms\"";
    assert_eq!(TestJob::new(few).run().exit(0).summary("job")["model"], "threads");

    let command = "[inputs]\nrepeat = 3\n[workload.command]\nargv = [\"true\"]";
    assert_eq!(TestJob::new(command).run().exit(0).summary("job")["model"], "threads");
}

#[test]
fn a_model_that_is_set_says_so() {
    let job = "model = \"sequential\"\n[inputs]\nrepeat = 3\n[workload.compute]\nfunction = \"count_down\"\narg = 1";
    let ran = TestJob::new(job).args(["-j", "8"]).run();
    let summary = ran.exit(0).summary("job");
    assert_eq!(summary["reason"], "set in the job file");
    assert_eq!(summary["concurrency"], "1");
    let over = TestJob::new(job).args(["--model", "threads"]).run();
    assert_eq!(over.exit(0).summary("job")["reason"], "set on the command line");
}

#[test]
fn concurrency_is_a_bound() {
    for model in ["threads", "async", "processes"] {
        let job = r#"
            [inputs]
            repeat = 12
            [workload.command]
            shell = "mkdir -p now; touch now/$$; ls now | wc -l; sleep 0.05; rm now/$$"
            [limits]
            concurrency = 3
        "#;
        let ran = TestJob::new(job).args(["--model", model]).run();
        let at_once: Vec<u32> =
            ran.exit(0).report().column("result").iter().map(|n| n.parse().unwrap()).collect();
        assert_eq!(at_once.iter().max(), Some(&3), "{model}: {at_once:?}");
        let slots = ran.report().column("slot");
        assert!(slots.iter().all(|slot| ["1", "2", "3"].contains(&slot.as_str())), "{slots:?}");
    }
}

#[test]
fn a_thousand_threads_start_at_once() {
    let job = "[inputs]\nrepeat = 1000\n[workload.sleep]\nduration = \"100ms\"\n[limits]\nconcurrency = 1000";
    let ran = TestJob::new(job).args(["--model", "threads"]).run();
    ran.exit(0);
    let wall: f64 = ran.summary("job")["wall_s"].parse().unwrap();
    assert!(wall < 50.0, "one after another they would take 100 s, these took {wall}");
}

#[test]
fn many_waits_pass_at_once_under_async() {
    let job = "[inputs]\nrepeat = 2000\n[workload.sleep]\nduration = \"300ms\"\n[limits]\nconcurrency = 2000";
    let ran = TestJob::new(job).args(["--model", "async"]).run();
    let wall: f64 = ran.exit(0).summary("job")["wall_s"].parse().unwrap();
    assert!(
        wall < 100.0,
        "2,000 waits of 0.3 s one after another would take 600 s, these took {wall}"
    );
}

#[test]
fn a_worker_process_that_dies_costs_one_task() {
    let job = r#"
        model = "processes"
        [inputs]
        repeat = 40
        [workload.sleep]
        duration = "100ms"
        [limits]
        concurrency = 2
    "#;
    let running = TestJob::new(job).spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() > 3);
    let workers = workers_of(running.pid());
    assert!(!workers.is_empty(), "there are worker processes");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(workers[0]).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let ran = running.wait();
    let statuses = ran.exit(3).report().column("status");
    assert_eq!(statuses.len(), 40);
    assert_eq!(statuses.iter().filter(|status| *status == "crashed").count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| *status == "ok").count(), 39);
    let report = ran.report();
    let crashed = statuses.iter().position(|status| status == "crashed").unwrap();
    assert!(report.column("error")[crashed].contains("SIGKILL"), "{:?}", report.column("error"));
    assert!(!is_alive(workers[0]));
}

/// The ids of the runner's worker processes: children of its launcher.
fn workers_of(runner: i32) -> Vec<i32> {
    children(runner).into_iter().flat_map(children).collect()
}

pub fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| {
            text.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()
        })
        .collect()
}
