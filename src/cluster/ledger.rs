//! What was submitted: each submission is written down before it is made, and its name in the scheduler after that. A
//! driver that dies between the two finds it by the name that runner gave it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};

use crate::cluster::engine::{Element, Engine, Id, Request, Unknown};
use crate::cluster::folder::RunFolder;
use crate::cluster::shard::parse_list;

/// A submission.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its number, from 1.
    pub number: u32,
    /// The name by which the scheduler knows it, too.
    pub name: String,
    /// The shard and the start that each element is.
    pub elements: Vec<(u32, u32)>,
    /// The scheduler's own name for it; `None` until it is known to have been submitted.
    pub id: Option<Id>,
    /// How many elements run at once.
    pub at_once: u32,
    /// Which elements have not ended yet, as far as is known.
    pub live: Vec<bool>,
}

impl Submission {
    /// How many elements have not ended yet.
    pub fn live(&self) -> u32 {
        self.live.iter().filter(|live| **live).count() as u32
    }

    /// How many may be running.
    pub fn running_at_most(&self) -> u32 {
        self.live().min(self.at_once)
    }
}

/// All submissions of a run.
#[derive(Debug)]
pub struct Ledger {
    folder: RunFolder,
    run: String,
    /// In their order.
    pub submissions: Vec<Submission>,
    /// Where each start of each shard is: the place of its submission, and its index there.
    places: HashMap<(u32, u32), (usize, u32)>,
}

impl Ledger {
    /// The submissions of the run that is called `run`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(folder: &RunFolder, run: &str) -> io::Result<Self> {
        let mut ledger = Self {
            folder: folder.clone(),
            run: run.to_owned(),
            submissions: Vec::new(),
            places: HashMap::new(),
        };
        for number in 1.. {
            let list = match fs::read_to_string(folder.submission(number, "list")) {
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                list => list?,
            };
            let elements =
                parse_list(&list).ok_or_else(|| io::Error::other("a list is damaged"))?;
            let id = match fs::read_to_string(folder.submission(number, "job")) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                id => Some(Id(id?.trim().to_owned())),
            };
            let (name, at_once) = (ledger.name(number), elements.len() as u32);
            let live = vec![true; elements.len()];
            ledger.push(Submission { number, name, elements, id, at_once, live });
        }
        Ok(ledger)
    }

    fn push(&mut self, submission: Submission) {
        let place = self.submissions.len();
        let elements = (0..).zip(&submission.elements);
        self.places.extend(elements.map(|(index, start)| (*start, (place, index))));
        self.submissions.push(submission);
    }

    fn name(&self, number: u32) -> String {
        format!("{}.{number}", self.run)
    }

    /// Finds what was submitted and not noted, since its driver has died between the two.
    ///
    /// # Errors
    /// If the scheduler does not answer.
    pub fn find(&mut self, engine: &dyn Engine) -> Result<(), Unknown> {
        for index in 0..self.submissions.len() {
            let submission = &self.submissions[index];
            if submission.id.is_none()
                && let Some(id) = engine.find(&submission.name)?
            {
                self.note(index, id).map_err(|error| Unknown(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Writes down what is about to be submitted; returns its place among the submissions.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn intend(
        &mut self,
        elements: Vec<(u32, u32)>,
        at_once: u32,
        script: impl FnOnce(u32) -> String,
    ) -> io::Result<usize> {
        let number = self.submissions.last().map_or(1, |last| last.number + 1);
        let mut list = String::new();
        for (shard, start) in &elements {
            let _ = writeln!(list, "{shard} {start}"); // a String takes everything
        }
        self.folder.write(&self.folder.submission(number, "list"), list.as_bytes())?;
        self.folder.write(&self.folder.submission(number, "sh"), script(number).as_bytes())?;
        let live = vec![true; elements.len()];
        let name = self.name(number);
        self.push(Submission { number, name, elements, id: None, at_once, live });
        Ok(self.submissions.len() - 1)
    }

    /// Writes down that the submission at `index` is known to the scheduler as `id`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&mut self, index: usize, id: Id) -> io::Result<()> {
        let submission = &mut self.submissions[index];
        self.folder.write(&self.folder.submission(submission.number, "job"), id.0.as_bytes())?;
        submission.id = Some(id);
        Ok(())
    }

    /// Takes back the last submission, which the scheduler has refused.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn take_back(&mut self) -> io::Result<()> {
        if let Some(submission) = self.submissions.pop() {
            self.places.retain(|start, _| !submission.elements.contains(start));
            fs::remove_file(self.folder.submission(submission.number, "list"))?;
        }
        Ok(())
    }

    /// What is asked of the scheduler for the submission at `index`.
    pub fn request(&self, index: usize, exclude: &[String]) -> Request {
        let submission = &self.submissions[index];
        Request {
            name: submission.name.clone(),
            script: self.folder.submission(submission.number, "sh"),
            logs: self.folder.submission(submission.number, "{index}.log"),
            elements: submission.elements.len() as u32,
            at_once: submission.at_once,
            exclude: exclude.to_vec(),
        }
    }

    /// The arrays that have live elements, with their names.
    pub fn open(&self) -> Vec<(Id, String)> {
        let live = self.submissions.iter().filter(|submission| submission.live() > 0);
        live.filter_map(|submission| Some((submission.id.clone()?, submission.name.clone())))
            .collect()
    }

    /// How many elements have not ended yet, in all arrays.
    pub fn live(&self) -> u32 {
        self.submissions.iter().map(Submission::live).sum()
    }

    /// How many elements may be running, in all arrays.
    pub fn running_at_most(&self) -> u32 {
        let submitted = self.submissions.iter().filter(|submission| submission.id.is_some());
        submitted.map(Submission::running_at_most).sum()
    }

    /// The newest element that is this start of this shard, with the place of its submission.
    pub fn element(&self, shard: u32, start: u32) -> Option<(usize, Element)> {
        let &(place, index) = self.places.get(&(shard, start))?;
        let id = self.submissions[place].id.clone()?;
        Some((place, Element { id, index }))
    }
}
