use super::*;
use crate::view::read::rows::Rows;

fn digest(text: &str) -> (Digest, Columns) {
    let mut rows = Rows::open(text.as_bytes()).unwrap().unwrap();
    let columns = Columns::of(rows.names()).unwrap();
    let mut digest = Digest::new(&columns, Period::default());
    while let Some((row, _)) = rows.next().unwrap() {
        assert!(digest.add(&row, &columns));
    }
    (digest, columns)
}

const HEADER: &str = "task,input,status,attempts,started_utc,queue_s,run_s,cpu_user_s,cpu_sys_s,peak_rss_bytes,\
                          slot,code,result,output_bytes,error\n";

#[test]
fn rows_come_to_figures() {
    let (digest, _) = digest(&format!(
        "{HEADER}1,a,ok,1,2026-01-01 00:00:00.000,0.1,0.5,0.2,0.1,100,1,0,,7,\n\
         2,b,failed,3,2026-01-01 00:00:00.100,0.2,1.5,0.2,0.1,300,2,1,,3,exit code 1: no\n\
         3,c,skipped,1,2025-01-01 00:00:00.000,0.2,9,9,9,900,2,1,,3,\n\
         4,d,cancelled,0,,,,,,,,,,,\n"
    ));
    assert_eq!((digest.tally.total(), digest.tally.not_ok()), (4, 2));
    assert_eq!((digest.attempts, digest.retried, digest.peak), (4, 1, Some(300)));
    assert_eq!((digest.cpu, digest.output), (Some((400_000_000, 200_000_000)), Some(10)));
    let spread = digest.run.spread().unwrap();
    assert_eq!((spread.p50.as_millis(), spread.max.as_millis()), (500, 1500));
    assert_eq!(digest.times.range.map(|(from, to)| to - from), Some(1_600_000));
    assert_eq!(digest.slowest.sorted()[0].task, 2);
    assert_eq!(digest.causes.sorted().0.len(), 2);
    assert_eq!(digest.not_ok[0].error, "exit code 1: no");
}

#[test]
fn stages_follow_one_another() {
    let (digest, columns) = digest(
        "task,input,status,stage,attempts,started_utc,a_queue_s,a_run_s,a_attempts,b_queue_s,b_run_s,b_attempts,\
         cpu_user_s,cpu_sys_s,peak_rss_bytes,slot,code,result,output_bytes,error\n\
         1,x,ok,b,2,2026-01-01 00:00:00.000,0.001,0.002,1,0.003,0.004,1,,,,1,0,,,\n",
    );
    assert_eq!(columns.stages.len(), 2);
    assert_eq!((digest.attempts, digest.retried), (2, 0));
    let busy = |stage: usize| digest.times.tracks[stage].clone();
    assert_eq!(busy(0)[..3], [1000.0, 1000.0, 0.0]);
    assert_eq!(busy(1)[4..10], [0.0, 1000.0, 1000.0, 1000.0, 1000.0, 0.0]);
    assert_eq!(digest.run.spread().unwrap().max.as_millis(), 6);
}

/// It has an attempt and no run time.
#[test]
fn a_stage_that_could_not_start_was_attempted_once() {
    let row = |attempts: [u32; 2]| {
        format!(
            "task,input,status,stage,attempts,started_utc,a_queue_s,a_run_s,a_attempts,b_queue_s,b_run_s,b_attempts,\
             cpu_user_s,cpu_sys_s,peak_rss_bytes,slot,code,result,output_bytes,error\n\
             1,x,failed,b,{},2026-01-01 00:00:00.000,0.001,0.002,{},0.003,,{},,,,1,,,,none\n",
            attempts[0] + attempts[1],
            attempts[0],
            attempts[1]
        )
    };
    for (attempts, retried) in [([1, 1], 0), ([1, 2], 1), ([2, 1], 1)] {
        let (digest, _) = digest(&row(attempts));
        assert_eq!(digest.retried, retried, "{attempts:?}");
        assert_eq!(digest.attempts, u64::from(attempts[0] + attempts[1]));
    }
}
