//! Processes of the runner's own: the launcher, which starts every child and sees to it that none outlives the runner.

pub mod launch;
pub mod launcher;
mod ports;
mod socket;
mod tree;
mod wire;

/// Does what a child process of our own is for, if that is what this process was started as, and does not come back
/// then. To be called before anything else.
pub fn take_role() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == launch::LAUNCH_ARG) && arguments.next().is_none() {
        launch::main();
    }
}
