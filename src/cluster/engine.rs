//! What runner asks of a scheduler, and what it answers: elements of arrays are submitted, watched and stopped.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::reason::Outlook;

/// The scheduler's own name for an array of elements.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Id(pub String);

/// One element of an array.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Element {
    /// The array.
    pub id: Id,
    /// Its index in the array, from 0.
    pub index: u32,
}

/// What is to be submitted.
#[derive(Clone, Debug)]
pub struct Request {
    /// The name by which it is found again, unique to the run and the submission.
    pub name: String,
    /// The script that each element runs.
    pub script: PathBuf,
    /// Where the scheduler writes what an element prints, by its index.
    pub logs: PathBuf,
    /// How many elements, from index 0.
    pub elements: u32,
    /// How many of them run at once.
    pub at_once: u32,
    /// Nodes that are to be left alone.
    pub exclude: Vec<String>,
}

/// What has become of an element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// It waits, for this reason.
    Waiting {
        /// As the scheduler words it.
        reason: String,
        /// What that comes to.
        outlook: Outlook,
    },
    /// It runs, or is about to, or is suspended.
    Running {
        /// Where; empty if that is not said.
        node: String,
    },
    /// It has ended.
    Ended {
        /// In which way.
        how: How,
        /// The exit code of its script; 128 and more for a signal.
        code: u8,
        /// Where it ran.
        node: String,
    },
    /// The scheduler knows its array and not it.
    Absent,
    /// The scheduler does not know its array any more.
    Forgotten,
}

/// In which way an element has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// With exit code 0.
    Completed,
    /// With another exit code, or by a signal.
    Failed,
    /// Somebody has cancelled it.
    Cancelled,
    /// Its node was lost.
    NodeLost,
    /// It has reached its time limit.
    TimeLimit,
    /// It had to make room.
    Preempted,
    /// It ran out of memory.
    OutOfMemory,
    /// It could not be started.
    NotStarted,
    /// It has reached a deadline of the scheduler.
    Deadline,
}

/// What has become of the elements that were asked for.
#[derive(Clone, Debug, Default)]
pub struct States {
    /// By element.
    pub elements: HashMap<Element, Found>,
    /// By array and first index, what many elements in a row have in common: how far it goes, and what it is. One that is
    /// in neither is absent.
    pub ranges: HashMap<Id, BTreeMap<u32, (u32, Found)>>,
    /// Arrays that the scheduler does not know any more.
    pub forgotten: Vec<Id>,
}

impl States {
    /// What has become of `element`.
    pub fn of(&self, element: &Element) -> Found {
        let in_range = || {
            let (_, (last, found)) =
                self.ranges.get(&element.id)?.range(..=element.index).last()?;
            (element.index <= *last).then_some(found)
        };
        match self.elements.get(element).or_else(in_range) {
            Some(found) => found.clone(),
            None if self.forgotten.contains(&element.id) => Found::Forgotten,
            None => Found::Absent,
        }
    }
}

/// How elements are stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// Those that wait go; those that run end what they have begun.
    Drain,
    /// All end.
    Kill,
}

/// Why nothing was submitted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotSubmitted {
    /// The scheduler does not take it as it stands.
    Refused {
        /// What it says.
        words: String,
        /// The key of `[cluster]` that is the likeliest cause.
        key: Option<&'static str>,
        /// What may help.
        help: Option<String>,
    },
    /// There are too many elements already.
    Full(String),
    /// The array is too large.
    TooLarge(String),
    /// It may have come through or not.
    Unclear(String),
}

impl NotSubmitted {
    /// Why, for the user; `engine` is what the scheduler is called.
    pub fn explain(&self, engine: &str) -> String {
        match self {
            Self::Refused { words, key, help } => {
                let key = key.map(|key| format!("; see `cluster.{key}`")).unwrap_or_default();
                let help = help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
                format!("{engine} does not take it: {words}{key}{help}")
            }
            Self::Full(words) => format!("{engine} takes no more jobs: {words}"),
            Self::TooLarge(words) => format!("{engine} does not take it: {words}"),
            Self::Unclear(words) => format!("{engine} does not answer: {words}"),
        }
    }
}

/// The scheduler gave no answer: nothing is known, and nothing follows from that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unknown(pub String);

/// A scheduler.
pub trait Engine: Send + Sync {
    /// What users call it.
    fn name(&self) -> &'static str;

    /// How often it may be asked: at first, and at last if nothing happens.
    fn interval(&self) -> (Duration, Duration);

    /// How long a start waits after one that was short and brought nothing; twice as long after each further one.
    fn pause(&self) -> Duration;

    /// The script of an element that runs this command. The element's index is its last argument.
    fn script(&self, command: &[String]) -> String;

    /// Asks whether a request would be taken, without submitting it; says what is probably not meant.
    ///
    /// # Errors
    /// Why it would not be taken.
    fn check(&self, request: &Request) -> Result<Vec<String>, NotSubmitted>;

    /// How a request would be submitted whose elements run this script, for people; nothing if there is nothing to see.
    fn shown(&self, _request: &Request, _script: &str) -> Vec<String> {
        Vec::new()
    }

    /// How many elements an array may have.
    ///
    /// # Errors
    /// If the scheduler does not answer.
    fn most_elements(&self) -> Result<u32, Unknown>;

    /// Submits a request.
    ///
    /// # Errors
    /// Why that has not been done, or may not have been.
    fn submit(&self, request: &Request) -> Result<Id, NotSubmitted>;

    /// The array that was submitted under this name.
    ///
    /// # Errors
    /// If the scheduler does not answer.
    fn find(&self, name: &str) -> Result<Option<Id>, Unknown>;

    /// What has become of the elements of these arrays, each with the name that it was submitted under: a row of another
    /// name is somebody else's.
    ///
    /// # Errors
    /// If the scheduler does not answer.
    fn poll(&self, arrays: &[(Id, String)]) -> Result<States, Unknown>;

    /// Stops elements of one array.
    ///
    /// # Errors
    /// If the scheduler does not answer.
    fn stop(&self, id: &Id, indexes: &[u32], how: Stop) -> Result<(), Unknown>;

    /// Changes how many elements of an array run at once.
    ///
    /// # Errors
    /// If the scheduler does not answer.
    fn set_at_once(&self, id: &Id, at_once: u32) -> Result<(), Unknown>;
}

/// A command as a shell takes it. `{arch}` in the name of its program is the kind of processor of the machine that runs it.
pub fn in_shell(command: &[String]) -> String {
    let mut words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
    if let Some(program) = words.first_mut() {
        // Braces are quoted, so that the quotes end here and begin again.
        *program = program.replace("{arch}", "'\"$(uname -m)\"'");
    }
    words.join(" ")
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
