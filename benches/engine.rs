//! The hot paths of the library, by themselves. Whole programs are measured by `peers.py`.
//!
//! `cargo bench --bench engine`, or with a word to run only what has it in its name.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use runner::config::Scope;
use runner::config::Template;
use runner::task::Attempt;
use runner::task::Cancel;
use runner::task::Fields;
use runner::task::Task;
use runner::workload::compute;
use runner::workload::compute::{Function, Spec, Worker};

/// The functions, called as a worker process calls them.
fn functions(criterion: &mut Criterion) {
    for (function, arg) in [
        (Function::CountDown, "1000000"),
        (Function::Factorial, "10000"),
        (Function::Factorial, "40000"),
        (Function::Fibonacci, "1000000"),
        (Function::CountPrimes, "10000000"),
        (Function::Sha256, "Cargo.lock"),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        criterion.bench_function(&format!("{function}({arg})"), |bencher| {
            bencher.iter(|| compute::run(function, black_box(arg.as_bytes()), folder, &|| None));
        });
    }
}

/// What a task costs by itself: its argument, its clocks, its processor time.
fn overhead(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let cancel = Cancel::default();
    let attempt = Attempt {
        number: 1,
        slot: 1,
        global_slot: 1,
        timeout: Some(Duration::from_secs(1)),
        median: None,
        memory: None,
        grace: Duration::ZERO,
        cancel: &cancel,
    };
    let task = Task::new(1, Fields::single("1"));
    let scope = Scope { job: "bench", fields: None, ..Scope::default() };
    let arg = Template::parse("{input}", &scope).unwrap();
    let spec = Spec { function: Function::CountDown, arg };
    let mut worker = Worker::new(&spec, ".");
    criterion.bench_function("a task of nothing", |bencher| {
        bencher.iter(|| runtime.block_on(worker.run(black_box(&task), &attempt)));
    });
}

criterion_group!(benches, functions, overhead);
criterion_main!(benches);
