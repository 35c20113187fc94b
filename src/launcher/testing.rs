//! A launcher for unit tests, which are not the program that it is executed from.

use std::process::Command;

use super::Launcher;
use crate::launcher::server;

const ENTRY: &str = "RUNNER_TEST_IS_LAUNCHER";

/// The launcher, in this test program: it runs the one test below, which serves.
pub(crate) fn launcher() -> Launcher {
    Launcher::start_with(|| {
        let mut command = Command::new("/proc/self/exe");
        command.args(["--exact", "launcher::testing::entry", "--test-threads=1", "--nocapture"]);
        command.env(ENTRY, "1");
        command
    })
    .unwrap()
}

#[test]
fn entry() {
    if std::env::var_os(ENTRY).is_some() {
        server::main();
    }
}

/// A runtime as a loop has it.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
