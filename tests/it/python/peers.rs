//! A job file beside the pool that it stands for: the same function, the same answers.

use std::process::Command;

use super::libraries::environment;
use super::{MODELS, job};

/// A function whose answers and exceptions are compared.
const MODULE: &str = "
def work(n):
    if n == 7:
        raise ValueError('not seven')
    return {'n': n, 'square': n * n, 'half': n / 2, 'text': f'{n:03}'}
";

/// What each pool gives for 0 to 19, one a line, as JSON or as the exception's class and message.
const POOLS: &str = r#"
import json, sys
from mine import work
def caught(n):
    try:
        return json.dumps(work(n), separators=(",", ":"))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
def main():
    if sys.argv[1] == "joblib":
        from joblib import Parallel, delayed
        answers = Parallel(n_jobs=2)(delayed(caught)(n) for n in range(20))
    elif sys.argv[1] == "Pool":
        from multiprocessing import Pool
        with Pool(2) as pool: answers = pool.map(caught, range(20))
    else:
        import concurrent.futures as futures
        with getattr(futures, sys.argv[1])(2) as pool: answers = list(pool.map(caught, range(20)))
    print("\n".join(answers))
if __name__ == "__main__":
    main()
"#;

#[test]
fn a_job_has_the_answers_of_a_pool() {
    let libraries = environment().map(|folder| folder.join("bin/python"));
    for model in MODELS.into_iter().chain(["auto"]) {
        let rest = format!("model = '{model}'\n[inputs]\nrange = {{ from = 0, to = 19 }}");
        let ran = job(MODULE, &rest).file("pools.py", POOLS).run();
        let report = ran.exit(3).report();
        let answers = report.column("result").into_iter().zip(report.column("error"));
        let answers: Vec<_> =
            answers
                .map(|(result, error)| {
                    if error.is_empty() { result } else { error.lines().next().unwrap().to_owned() }
                })
                .map(|answer| answer.split("\\n").next().unwrap().to_owned())
                .collect();
        for pool in ["Pool", "ProcessPoolExecutor", "ThreadPoolExecutor", "joblib"] {
            let python = match (pool, &libraries) {
                ("joblib", None) => continue, // said by `environment`
                ("joblib", Some(python)) => python.as_os_str(),
                _ => "python3".as_ref(),
            };
            let mut theirs = Command::new(python);
            let output = theirs.args(["pools.py", pool]).current_dir(ran.folder()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let theirs = String::from_utf8(output.stdout).unwrap();
            assert_eq!(answers, theirs.lines().collect::<Vec<_>>(), "{model} {pool}");
        }
    }
}
