//! The files of the tasks whose rows are kept on resume: no task of this run may write over them.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use crate::engine::made::MadeFiles;
use crate::engine::run::RunError;
use crate::job::{Job, Stop};
use crate::report::Report;
use crate::task::{Fields, Values};
use crate::workload::Workload;
use crate::workload::claims::{Claims, Writer};

/// What is needed to know the files of a task.
struct Files {
    job: Arc<Job>,
    made: Option<Arc<MadeFiles>>,
    claims: Arc<Claims>,
}

/// Claims the files of the rows that are kept. Where the inputs can be read twice, that is before anything runs.
pub(super) fn claim(
    job: &Arc<Job>,
    report: &Report,
    made: Option<&Arc<MadeFiles>>,
    claims: &Arc<Claims>,
    stop: Stop,
) -> Result<(), RunError> {
    let Some(kept) = report.kept() else { return Ok(()) };
    let files = Files { job: Arc::clone(job), made: made.cloned(), claims: Arc::clone(claims) };
    if !files.are_there() {
        return Ok(());
    }
    if job.inputs.can_block() {
        kept.own_as_kept(move |task, fields| files.claim(task, fields));
        return Ok(());
    }
    let mut looked = Ok(());
    kept.each_ok(
        |take| looked = job.inputs.look_through(stop, take),
        |task, fields| files.claim(task, fields),
    );
    looked.map_err(RunError::Inputs)
}

/// How many tasks are ok by the rows that they keep, where it matters to a job that ends when enough are. Of inputs that can
/// be read only once, it is how many rows are ok.
pub(super) fn count_ok(
    job: &Arc<Job>,
    report: &Report,
    made: Option<&Arc<MadeFiles>>,
    stop: Stop,
) -> Result<u64, RunError> {
    let Some(kept) = report.kept().filter(|_| job.limits.enough.is_some()) else { return Ok(0) };
    if job.inputs.can_block() {
        return Ok(kept.ok());
    }
    let (mut looked, count) = (Ok(()), Cell::new(0));
    kept.each_ok(
        |take| looked = job.inputs.look_through(stop, take),
        |task, fields| {
            if made.is_none_or(|made| made.is_current(task, fields)) {
                count.set(count.get() + 1);
            }
        },
    );
    looked.map_err(RunError::Inputs)?;
    Ok(count.get())
}

impl Files {
    /// Whether tasks have files of their own. A name that is the same for all is that of a single task.
    fn are_there(&self) -> bool {
        let writes = |workload: &Workload| match workload {
            Workload::Command(spec) => spec.outputs().next().is_some(),
            Workload::Http(spec) => spec.saves(),
            _ => false,
        };
        self.made.is_some() || self.job.stages.iter().any(|stage| writes(&stage.workload))
    }

    /// Claims the files of one task, as far as its input names them.
    fn claim(&self, task: u64, fields: &Fields) {
        let own = self.job.fields.len();
        let values = Values { fields, task, attempt: 1, slot: 1, payload: None };
        let claim = |path: &Path, place| {
            let writer = Writer { job: &self.job.name, task, place };
            let _ = self.claims.claim(path, writer); // nothing is written here
        };
        for (index, stage) in self.job.stages.iter().enumerate() {
            let first = index as u32 * 64;
            match &stage.workload {
                Workload::Command(spec) => {
                    for (number, output) in spec.outputs() {
                        if output.template().is_of_input(own)
                            && let Ok(target) = output.locate(&values)
                            && !target.is_device
                        {
                            claim(&target.real, first + number);
                        }
                    }
                }
                Workload::Http(spec) if spec.save().is_some_and(|save| save.is_of_input(own)) => {
                    let target = spec.target(&values, &self.job.folder);
                    if let Some(target) = target.filter(|target| !target.is_device) {
                        claim(&target.real, first);
                    }
                }
                _ => {}
            }
        }
        if let Some(made) = &self.made {
            made.own(task, fields);
        }
    }
}
