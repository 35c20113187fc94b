//! Processes of the runner's own: the launcher, which starts every child and sees to it that none outlives the runner,
//! and workers that do tasks for it; and the user's own worker programs.

pub mod external;
pub mod internal;
mod pipes;
pub mod private_protocol;
pub mod public_protocol;
pub mod serve;
pub mod shared_page;

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
