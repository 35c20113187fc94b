//! A short run of every fuzz target: its corpus as it is, and changed at random. `RUNNER_FUZZ_SEED` repeats a run.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fastrand::Rng;

const MUTATIONS: usize = 3_000;

/// What is likely to mean something to one of the readers.
const WORDS: [&str; 14] = [
    "[",
    "]",
    "{",
    "}}",
    "\"",
    "'''",
    "\n",
    ",",
    "\\u",
    "= ",
    "1e999",
    "[[stages]]\n",
    "\0",
    "\u{feff}",
];

fn mutated(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = rng.choice(corpus).cloned().unwrap_or_default();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..=bytes.len());
        let end = (at + rng.usize(..16)).min(bytes.len());
        match rng.u8(..6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes[at..end].iter_mut().for_each(|byte| *byte = rng.u8(..)),
            3 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << rng.u8(..8)),
            4 => {
                let word = rng.choice(WORDS).unwrap_or_default();
                drop(bytes.splice(at..at, word.bytes()));
            }
            _ => {
                let other = rng.choice(corpus).cloned().unwrap_or_default();
                let from = rng.usize(..=other.len());
                drop(bytes.splice(at..end, other[from..].iter().copied().take(200)));
            }
        }
    }
    bytes
}

fn smoke(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut corpus: Vec<_> = fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    corpus.sort();
    assert!(!corpus.is_empty());
    let seed = std::env::var("RUNNER_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("{target}: RUNNER_FUZZ_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let inputs = corpus.clone().into_iter();
    for bytes in inputs.chain((0..MUTATIONS).map(|_| mutated(&mut rng, &corpus))) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&bytes))) {
            eprintln!("seed {seed}: {}", bytes.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn job_files() {
    smoke("job_file", runner::fuzz::job_file);
}

#[test]
fn templates() {
    smoke("template", runner::fuzz::template);
}

#[test]
fn lines_of_the_protocol() {
    smoke("protocol_line", runner::fuzz::protocol_line);
}

#[test]
fn partials() {
    smoke("partial", runner::fuzz::partial);
}
