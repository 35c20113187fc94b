//! The role of this process: a runner that the user has called, or one of the runner's own child processes.

use crate::launcher::server;
use crate::sys;
use crate::worker::serve;

/// Runs the launcher or a worker, and does not return, if this process was started as one. To be called before anything
/// else.
pub fn take_role() {
    sys::hear_of_children(); // all roles have some
    let mut arguments = std::env::args_os().skip(1);
    let (Some(role), None) = (arguments.next(), arguments.next()) else { return };
    if role == server::LAUNCH_ARG {
        server::main();
    }
    if role == serve::SERVE_ARG {
        sys::ignore_file_limit(); // as in the runner itself
        serve::main();
    }
}
