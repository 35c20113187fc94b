//! For tests: which files this thread has read, and which texts it has parsed.

use std::cell::RefCell;
use std::path::Path;

thread_local! {
    static READ: RefCell<Vec<String>> = RefCell::default();
    static PARSED: RefCell<Vec<String>> = RefCell::default();
}

pub fn note_read(file: &Path) {
    READ.with_borrow_mut(|read| read.push(file.display().to_string()));
}

pub fn note_parsed(name: &str) {
    PARSED.with_borrow_mut(|parsed| parsed.push(name.to_owned()));
}

/// Forgets what has been noted.
pub fn reset() {
    READ.take();
    PARSED.take();
}

pub fn read() -> Vec<String> {
    READ.take()
}

pub fn parsed() -> Vec<String> {
    PARSED.take()
}
