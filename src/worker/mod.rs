//! Processes of the runner's own: the launcher, which starts every child and sees to it that none outlives the runner,
//! and workers that do tasks for it; and the user's own worker programs.

pub mod launch;
pub mod launcher;
pub mod lines;
pub mod page;
mod pipes;
mod ports;
pub mod program;
pub mod protocol;
pub mod remote;
pub mod serve;
mod socket;
mod tree;
pub mod usage;
mod wire;

/// Does what a process of our own is for, if that is what this one was started as, and does not come back then. To be
/// called before anything else.
pub fn take_role() {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(role), None) = (arguments.next(), arguments.next()) else { return };
    if role == launch::LAUNCH_ARG {
        launch::main();
    }
    if role == serve::SERVE_ARG {
        serve::main();
    }
}
