//! The role of this process: a runner that the user has called, or one of the runner's own child processes.

use crate::launcher::server;
use crate::worker::serve;

/// Runs the launcher or a worker, and does not return, if this process was started as one. To be called before anything
/// else.
pub fn take_role() {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(role), None) = (arguments.next(), arguments.next()) else { return };
    if role == server::LAUNCH_ARG {
        server::main();
    }
    if role == serve::SERVE_ARG {
        serve::main();
    }
}
