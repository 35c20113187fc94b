//! What makes a comparison less reliable than it looks, one line each.

use crate::compare::contenders::Subject;
use crate::compare::figures;
use crate::compare::figures::Figures;
use crate::compare::variant::Variant;
use crate::job::Stage;
use crate::model::Model;
use crate::workload::Workload;

/// A run shorter than this, in seconds, is as short as the system's own noise.
const SHORT: f64 = 0.01;

/// The relative deviation up to which times count as steady.
const SCATTER: f64 = 0.1;

/// An outlier that is off by less than this part of the median time is not worth a warning.
const WORTH_SAYING: f64 = 0.02;

/// If start-up takes more than this part of the time, it is mainly start-up that is measured.
const MOSTLY_STARTUP: f64 = 0.5;

/// An event loop that is held for more than this part of the time runs one task at a time.
const MOSTLY_HELD: f64 = 0.2;

/// The warnings for a comparison.
pub fn of(subject: &Subject, figures: &[Figures]) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(failures(figures));
    warnings.extend(results(figures));
    warnings.extend(one_task(figures));
    warnings.extend(left_out(subject));
    warnings.extend(sample(subject, figures));
    warnings.extend(too_short(figures));
    warnings.extend(scatter(figures));
    warnings.extend(figures.iter().flat_map(|figures| outliers(figures, subject)));
    warnings.extend(figures.iter().filter_map(startup));
    warnings.extend(figures.iter().filter_map(held));
    warnings.extend(figures.iter().filter_map(|figures| gil(subject, figures)));
    warnings
}

/// What the tasks of the recommended contender share, where `auto` would not have let them.
pub fn shared(subject: &Subject, recommended: &Figures) -> Option<String> {
    let is_plain = |stage: &Stage| match &stage.workload {
        Workload::Python(spec) => !spec.thread_safe,
        _ => false,
    };
    let is_threads = recommended.variant == Variant::Under(Model::Threads);
    (is_threads && recommended.concurrency > 1 && subject.job.stages.iter().any(is_plain)).then(
        || {
            format!(
                "{}: its tasks share one interpreter: module globals, the working folder, the environment, the state of \
                 `random` and standard output; if the function changes one of them, take `processes`",
                recommended.name()
            )
        },
    )
}

fn failures(figures: &[Figures]) -> Vec<String> {
    let because = |figures: &Figures| {
        figures
            .failure
            .as_ref()
            .map(|failure| format!(", for example: {failure}"))
            .unwrap_or_default()
    };
    if let Some(first) = figures.first().filter(|_| figures.iter().all(|figures| figures.ok == 0)) {
        let because = because(first);
        return vec![format!(
            "NO TASK IS OK under any model: the comparison shows how fast they fail{because}"
        )];
    }
    figures
        .iter()
        .filter(|figures| !figures.is_done)
        .map(|figures| {
            let (failed, because) = (figures.tasks - figures.ok, because(figures));
            format!("{}: {failed} of {} tasks are not ok{because}", figures.name(), figures.tasks)
        })
        .collect()
}

fn results(figures: &[Figures]) -> Option<String> {
    let at = |figures: &Figures| {
        figures.differs_at.map(|task| format!(", first at task {task}")).unwrap_or_default()
    };
    if let Some(varies) = figures.iter().find(|figures| figures.varies) {
        let (name, at) = (varies.name(), at(varies));
        if figures::tell_apart(figures) {
            let other = figures.iter().find(|figures| figures.repeats() && figures.same_results);
            let other = other.map(|other| format!(", but not under {}", other.name()));
            let other = other.unwrap_or_default();
            return Some(format!("the results differ from run to run under {name}{at}{other}"));
        }
        return Some(format!(
            "the results differ from run to run, already under {name}{at}: whether the models agree cannot be told"
        ));
    }
    let other = figures.iter().find(|figures| !figures.same_results)?;
    Some(format!("{} gives different results from the rest{}", other.name(), at(other)))
}

fn left_out(subject: &Subject) -> impl Iterator<Item = String> + '_ {
    let left_out = subject.contenders.iter().filter(|contender| contender.is_out);
    left_out.map(|contender| {
        let rounds = contender.runs.len();
        format!(
            "{}: left out after {rounds} rounds: it took more than ten times the time of the fastest",
            contender.name()
        )
    })
}

fn one_task(figures: &[Figures]) -> Option<String> {
    let is_one = figures.iter().all(|figures| figures.tasks == 1);
    is_one.then(|| "there is only one task, so only start-up can be compared".into())
}

fn sample(subject: &Subject, figures: &[Figures]) -> Option<String> {
    let (whole, sample, widest) = sizes(subject, figures)?;
    (sample < 2 * widest && sample < whole).then(|| {
        format!(
            "the sample of {sample} tasks does not fill {widest} slots for long, so what has them looks slower than it is: \
take {} or more (--limit)",
            (4 * widest).min(whole)
        )
    })
}

/// The tasks of the whole job, those of the sample, and the slots of the widest contender, if a sample was measured.
fn sizes(subject: &Subject, figures: &[Figures]) -> Option<(u64, u64, u64)> {
    let whole = subject.whole?;
    let sample = (whole as f64 / subject.scale).round() as u64;
    let widest = figures.iter().map(|figures| figures.concurrency as u64).max()?;
    Some((whole, sample, widest))
}

/// Whether the sample leaves slots empty that the whole job would fill: then it says nothing of them.
pub fn is_too_small(subject: &Subject, figures: &[Figures]) -> bool {
    sizes(subject, figures).is_some_and(|(whole, sample, widest)| sample < widest.min(whole))
}

/// Judges the times as they were measured, not scaled from a sample.
fn too_short(figures: &[Figures]) -> Option<String> {
    let shortest = figures.iter().min_by(|one, other| one.measured.total_cmp(&other.measured))?;
    (shortest.measured < SHORT).then(|| {
        format!(
            "a run under {} takes {:.1} ms, which is too short beside the system's own noise: use more tasks",
            shortest.name(),
            shortest.measured * 1e3
        )
    })
}

fn scatter(figures: &[Figures]) -> Option<String> {
    let scattered: Vec<String> = figures
        .iter()
        .filter_map(|figures| {
            let deviation = figures.deviation.filter(|&deviation| deviation > SCATTER)?;
            Some(format!("{} by {:.0} %", figures.name(), deviation * 100.0))
        })
        .collect();
    (!scattered.is_empty()).then(|| {
        format!(
            "times vary (standard deviation): {}; close other programs, or run more rounds",
            scattered.join(", ")
        )
    })
}

fn outliers<'a>(figures: &'a Figures, subject: &'a Subject) -> impl Iterator<Item = String> + 'a {
    let scale = if subject.whole.is_some() { " (of the whole job)" } else { "" };
    let usual = figures.wall.value;
    // If times are very steady, an outlier by that measure may still be close to them by any other.
    let matters = move |wall: f64| (wall - usual).abs() > WORTH_SAYING * usual;
    let is_outlier =
        move |(round, wall): &&(u32, f64)| figures.outliers.contains(round) && matters(*wall);
    figures.walls.iter().filter(is_outlier).map(move |(round, wall)| {
        format!(
            "{} took {wall:.3} s in round {round}, far from its {usual:.3} s{scale}",
            figures.name()
        )
    })
}

fn startup(figures: &Figures) -> Option<String> {
    let share = figures.startup / figures.wall.value;
    (share > MOSTLY_STARTUP).then(|| {
        format!(
            "{}: {:.0} % of its time is start-up; use more tasks to measure the model",
            figures.name(),
            share * 100.0
        )
    })
}

fn held(figures: &Figures) -> Option<String> {
    let is_held = figures.variant == Variant::Under(Model::Async)
        && figures.concurrency > 1
        && figures.held > MOSTLY_HELD;
    is_held.then(|| {
        format!(
            "{}: tasks held the event loop for {:.0} % of the time, so they ran one at a time: `async` suits tasks that await",
            figures.name(),
            figures.held.min(1.0) * 100.0
        )
    })
}

/// Warns if threads of one Python interpreter compute but use no more processor time than one thread could; a build
/// without the GIL uses more.
fn gil(subject: &Subject, figures: &Figures) -> Option<String> {
    // Several stages have one interpreter each, and that one of them is busy does not show in their sum.
    let is_python = matches!(&subject.job.stages[..], [stage] if stage.workload.kind() == "python");
    if !is_python || figures.variant != Variant::Under(Model::Threads) || figures.concurrency < 2 {
        return None;
    }
    let processors = figures.cpu? / (figures.wall.value - figures.startup);
    (0.7..1.2).contains(&processors).then(|| {
        format!(
            "{}: the GIL let one thread compute at a time ({processors:.2} processors busy)",
            figures.name()
        )
    })
}
