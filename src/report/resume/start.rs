//! How a report begins: empty, or with the finished rows of an earlier run.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::base::diagnostic::reason;
use crate::report::resume::finished_inputs::{Builder, Finished};
use crate::report::resume::unfinished_rows::Unfinished;
use crate::report::resume::verify::{Agreed, Misfit};
use crate::report::resume::{finished_inputs, place, verify};
use crate::report::store::partial::{Leftover, Partial};
use crate::report::store::row_order::Index;
use crate::report::store::state::{About, ENTRY, Header, State};
use crate::report::{Identities, JobFacts, ReportError};
use crate::task::Status;

/// What to do with what an earlier run has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// Refuse to start if there is a partial.
    #[default]
    Anew,
    /// Discard a partial.
    Fresh,
    /// Resume from a partial, else from the finished report.
    Resume(Resume),
    /// A part of a report: all rows that are there are kept, and others are added; see [`super::super::parts`].
    Part,
}

/// How an earlier run is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    pub rerun: Rerun,
    pub changes: Changes,
    pub rest: Rest,
}

/// What becomes of finished rows whose inputs do not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// Their inputs are gone, and so are they.
    #[default]
    Dropped,
    /// The command line leaves inputs out: theirs may be among them, so they are kept after all others.
    Kept,
}

/// Which tasks that have ended run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rerun {
    /// Those that did not end by themselves: `timeout`, `crashed`, `cancelled`.
    Unfinished,
    /// Failed ones as well.
    Failed,
    /// Of the rows before this one, counted from 0, as [`Rerun::Unfinished`]; of the others, only those that were
    /// cancelled: the run goes on, it is not resumed.
    Adopted {
        /// How many rows the run began with.
        since: u64,
    },
}

impl Rerun {
    /// Whether a task with this status does not run again.
    fn is_finished(self, status: Status, ordinal: u64) -> bool {
        match status {
            Status::Ok | Status::Skipped => true,
            Status::Failed => self != Rerun::Failed,
            Status::Timeout | Status::Crashed => {
                matches!(self, Rerun::Adopted { since } if ordinal >= since)
            }
            Status::Cancelled => false,
        }
    }
}

/// Whether rows may be kept although the workload has changed since they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    Refused,
    /// The rows are kept as they are.
    Accepted,
}

/// A report that has begun.
#[derive(Debug)]
pub(in crate::report) struct Begun {
    pub(in crate::report) partial: Partial,
    pub(in crate::report) state: State,
    /// The length of the partial.
    pub(in crate::report) end: u64,
    /// How many rows it has.
    pub(in crate::report) kept: u64,
    pub(in crate::report) index: Arc<Mutex<Index>>,
    /// The rows that are finished; `None` if the report began empty.
    pub(in crate::report) finished: Option<Finished>,
    /// The others, whose tasks are to run again.
    pub(in crate::report) unfinished: Unfinished,
    pub(in crate::report) origin: Origin,
    /// A note for the terminal.
    pub(in crate::report) note: Option<String>,
}

/// The source of the rows that a report begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Origin {
    Nothing,
    /// A partial that existed and has no row: a run was begun anew and killed. What there was before it does not count.
    HeaderOnly,
    /// A partial that existed.
    Partial,
    /// The finished report, which still exists.
    Report,
}

impl Begun {
    /// Takes the partial, with the rows that `begin` keeps, else with `header` only.
    pub(in crate::report) fn new(
        job: &JobFacts,
        header: &[u8],
        (begin, identities): (Begin, Option<Identities>),
    ) -> Result<Self, ReportError> {
        let leftover = match begin {
            Begin::Anew => Leftover::Refuse,
            Begin::Fresh => Leftover::Discard,
            Begin::Resume(_) | Begin::Part => Leftover::Keep,
        };
        let partial = Partial::take(&job.partial(), leftover)?;
        let mut new = Header::new(job.identity, header);
        let Identities { seed, tells_kinds } = identities.unwrap_or(new.identities());
        (new.seed, new.tells_kinds) = (seed, tells_kinds);
        new.is_bare = !job.settings.formula_safe;
        new.place = place::of(&job.results, &job.folder);
        let state = State::open(&job.state(), new);
        let state = state.inspect_err(|_| {
            if partial_length(&partial).is_ok_and(|length| length == 0) {
                partial.remove();
            }
        })?;
        let mut report = Self {
            partial,
            state,
            end: 0,
            kept: 0,
            index: Arc::default(),
            finished: None,
            unfinished: Unfinished::default(),
            origin: Origin::Nothing,
            note: None,
        };
        let done = match begin {
            Begin::Resume(resume) => report.resume(job, header, resume),
            Begin::Part => report.go_on(header),
            Begin::Anew | Begin::Fresh => report.start(header),
        };
        if let Err(error) = done {
            report.abandon(0);
            return Err(error);
        }
        Ok(report)
    }

    /// Undoes the beginning of a report if no row has been written since, that is, if `written` is 0.
    pub(in crate::report) fn abandon(&self, written: u64) {
        abandon(&self.partial, &self.state, self.origin, written);
    }

    fn start(&mut self, header: &[u8]) -> Result<(), ReportError> {
        let path = self.partial.path().to_owned();
        let write = |partial: &mut Partial| {
            partial.truncate(0)?;
            partial.append(header).map_err(|(_, error)| error)
        };
        write(&mut self.partial).map_err(|error| ReportError::writing(&path, &error))?;
        self.end = header.len() as u64;
        Ok(())
    }

    /// Keeps all rows that are there; they are of this part, and whole.
    fn go_on(&mut self, header: &[u8]) -> Result<(), ReportError> {
        let path = self.partial.path().to_owned();
        let rows = verify::end_of_header(self.partial.file());
        if rows.map_err(|error| unreadable(&path, &error))?.is_none() {
            return self.start(header);
        }
        let read =
            verify::agree(self.partial.file(), header.len() as u64, self.state.file(), |_| ());
        let agreed = read.map_err(|_| {
            ReportError::refused(format!("`{}` was changed while it was read", path.display()))
        })?;
        self.origin = Origin::Partial;
        self.partial.truncate(agreed.end).map_err(|error| ReportError::writing(&path, &error))?;
        self.state.resume(self.state.header, agreed.rows);
        (self.end, self.kept) = (agreed.end, agreed.rows);
        Ok(())
    }

    fn resume(&mut self, job: &JobFacts, header: &[u8], resume: Resume) -> Result<(), ReportError> {
        let report = job.report();
        let there = report.is_file();
        let (path, state) = (self.partial.path().to_owned(), self.state.path().to_owned());
        let rows = verify::end_of_header(self.partial.file());
        let rows = rows.map_err(|error| unreadable(&path, &error))?.is_some();
        let length = partial_length(&self.partial).map_err(|error| unreadable(&path, &error))?;
        self.origin = match (rows, length) {
            (true, _) => Origin::Partial,
            (false, 0) => Origin::Nothing,
            (false, _) => Origin::HeaderOnly,
        };
        let found = self.state.found();
        // If the state is about the report, the report is whole, and the partial only was not removed in time.
        let replaced = there && found.is_some_and(|found| found.about == About::Report);
        if rows && !replaced {
            let file = Resumed { path: &path, state: &state, header, job };
            let found = file.settled(self.partial.file(), found, resume.changes)?;
            return self.resume_rows(&file, found, resume.rerun);
        }
        if !there || self.origin == Origin::HeaderOnly {
            return self.start(header);
        }
        let file = Resumed { path: &report, state: &state, header, job };
        let open = File::open(&report).map_err(|error| unreadable(&report, &error))?;
        let found = file.settled(&open, found, resume.changes)?;
        // Nothing is replaced before it is certain that the report can be resumed.
        verify::agree(&open, header.len() as u64, self.state.file(), |_| ())
            .map_err(|misfit| file.refusal(misfit))?;
        drop(open);
        self.partial
            .replace_by_copy_of(&report)
            .map_err(|error| ReportError::writing(&path, &error))?;
        self.origin = Origin::Report;
        let file = Resumed { path: &path, state: &state, header, job };
        self.resume_rows(&file, found, resume.rerun)
    }

    /// Resumes from the rows in the partial.
    fn resume_rows(
        &mut self,
        file: &Resumed<'_>,
        found: Header,
        rerun: Rerun,
    ) -> Result<(), ReportError> {
        let (agreed, finished, unfinished) =
            read(self.partial.file(), file.header.len() as u64, self.state.file(), rerun)
                .map_err(|misfit| file.refusal(misfit))?;
        (self.finished, self.unfinished) = (Some(finished), unfinished);

        let torn = partial_length(&self.partial).unwrap_or(agreed.end).saturating_sub(agreed.end);
        if torn > 0 {
            let path = file.path.display();
            self.note = Some(format!("cut {torn} bytes off the end of `{path}`: not a whole row"));
        }
        self.partial
            .truncate(agreed.end)
            .map_err(|error| ReportError::writing(file.path, &error))?;
        let header =
            Header { identity: file.job.identity, place: self.state.header.place, ..found };
        self.state.resume(header, agreed.rows);
        (self.end, self.kept) = (agreed.end, agreed.rows);
        Ok(())
    }
}

impl Origin {
    /// Whether the report begins with rows.
    pub(in crate::report) fn has_rows(self) -> bool {
        matches!(self, Self::Partial | Self::Report)
    }
}

/// Removes the files of a report that has got no row. What an earlier run has left stays.
pub(in crate::report) fn abandon(partial: &Partial, state: &State, origin: Origin, written: u64) {
    if written == 0 && !matches!(origin, Origin::Partial | Origin::HeaderOnly) {
        partial.remove();
        state.remove_if_empty();
    }
}

fn partial_length(partial: &Partial) -> io::Result<u64> {
    Ok(partial.file().metadata()?.len())
}

fn unreadable(path: &Path, error: &io::Error) -> ReportError {
    ReportError::refused(format!("failed to read `{}`: {}", path.display(), reason(error)))
}

/// The file to resume from.
struct Resumed<'a> {
    path: &'a Path,
    state: &'a Path,
    /// The header of the report now.
    header: &'a [u8],
    job: &'a JobFacts,
}

impl Resumed<'_> {
    /// Checks that the rows are from the same job.
    fn settled(
        &self,
        file: &File,
        found: Option<Header>,
        changes: Changes,
    ) -> Result<Header, ReportError> {
        let (path, state) = (self.path.display(), self.state.display());
        let Some(found) = found else {
            return Err(ReportError::refused(format!(
                "cannot resume from `{path}`: `{state}`, which records the finished tasks, is missing or damaged; start \
                 again with --fresh"
            )));
        };
        let mut header = vec![0; found.length as usize];
        if file.read_exact_at(&mut header, 0).is_err() || !found.fits(&header) {
            return Err(ReportError::refused(format!(
                "cannot resume from `{path}`: `{state}` belongs to a different file; start again with --fresh"
            )));
        }
        if header != self.header {
            return Err(ReportError::refused(format!(
                "cannot resume from `{path}`: its columns or its dialect differ from those of the job file, which \
                 --accept-changes does not cover; change them back, or start again with --fresh"
            )));
        }
        if found.is_bare == self.job.settings.formula_safe {
            return Err(ReportError::refused(format!(
                "cannot resume from `{path}`: `formula_safe` has changed since, so that its texts would be read in two ways; \
                 change it back, or start again with --fresh"
            )));
        }
        if found.identity != self.job.identity && changes == Changes::Refused {
            return Err(ReportError::refused(format!(
                "cannot resume from `{path}`: the job's workload, columns or fields have changed since; keep the finished tasks \
                 with --accept-changes, or start again with --fresh"
            )));
        }
        let place = place::of(&self.job.results, &self.job.folder);
        let is_elsewhere = found.place != 0 && found.place != place;
        if is_elsewhere && changes == Changes::Refused {
            return Err(ReportError::refused(format!(
                "cannot resume from `{path}`: it is of a job of the same name whose file lies in another folder; give this \
                 one a folder of its own (--results), keep the finished tasks with --accept-changes, or start again with \
                 --fresh"
            )));
        }
        Ok(found)
    }

    fn refusal(&self, misfit: Misfit) -> ReportError {
        let path = self.path.display();
        match misfit {
            Misfit::Io(error) => unreadable(self.path, &error),
            Misfit::Changed(row) => ReportError::refused(format!(
                "cannot resume from `{path}`: its row {row} is not what the runner wrote; move the file away to keep it, \
                 or start again with --fresh"
            )),
            Misfit::TooMany => ReportError::refused(format!(
                "cannot resume from `{path}`: it has more than {} rows",
                finished_inputs::LIMIT
            )),
        }
    }
}

/// The rows on which a report, or a partial, and its state agree, which of them are finished, and which are not.
pub(in crate::report) fn read(
    report: &File,
    header: u64,
    state: &File,
    rerun: Rerun,
) -> Result<(Agreed, Finished, Unfinished), Misfit> {
    let most = state.metadata()?.len() / ENTRY as u64;
    if most > finished_inputs::LIMIT {
        return Err(Misfit::TooMany);
    }
    let mut builder = Builder::new(most);
    let mut unfinished = Unfinished::default();
    let mut ordinal = 0;
    let agreed = verify::agree(report, header, state, |entry| {
        if entry.is_replaced {
            // Its task has another row by now, or runs again.
        } else if rerun.is_finished(entry.status, ordinal) {
            builder.count(entry);
        } else {
            unfinished.add(entry, ordinal);
        }
        ordinal += 1;
    })?;
    builder.counted();
    unfinished.added();
    let mut ordinal = 0;
    verify::entries(state, agreed.rows, |entry| {
        if !entry.is_replaced && rerun.is_finished(entry.status, ordinal) {
            builder.place(entry, ordinal);
        }
        ordinal += 1;
        true
    })?;
    Ok((agreed, builder.build(), unfinished))
}
