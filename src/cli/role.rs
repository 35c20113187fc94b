//! What this process is for: a runner that the user has called, or a process of the runner's own.

use crate::launcher::server;
use crate::worker::serve;

/// Does what a process of our own is for, if that is what this one was started as, and does not come back then. To be
/// called before anything else.
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
