//! Events for programs: with `--json`, one JSON object a line on standard output.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::standard_output;

/// The version of the events: it changes when a member changes its meaning or goes.
const VERSION: u32 = 1;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// From now on, events are written.
pub fn enable() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// Whether events are written.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Writes an event, if they are wanted. `members` has what there is to say: an object.
///
/// Standard output may be closed by now, which is not an error.
pub fn emit(event: &str, members: impl FnOnce() -> Value) {
    if !is_on() {
        return;
    }
    let mut line = json!({ "v": VERSION, "event": event });
    if let (Value::Object(line), Value::Object(members)) = (&mut line, members()) {
        line.extend(members);
    }
    let mut text = line.to_string();
    text.push('\n');
    standard_output::write(text.as_bytes());
}

/// Seconds with three decimals, as a number.
pub fn seconds(duration: std::time::Duration) -> Value {
    json!((duration.as_secs_f64() * 1e3).round() / 1e3)
}
