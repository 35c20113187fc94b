//! A launcher for unit tests, whose program is not the runner.

use std::process::Command;

use super::Launcher;
use crate::launcher::server;

const ENTRY: &str = "RUNNER_TEST_IS_LAUNCHER";

/// A launcher that is this test program with the one test below, which serves.
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

/// A runtime like that of an event loop.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
