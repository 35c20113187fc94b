//! `results/summary.csv`: one row per job. Rows of other jobs are kept as they are, whichever version wrote them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use crate::base::diagnostic::reason as words;
use crate::base::number::Sum;
use crate::base::text::without_mark;
use crate::base::{json, mask};
use crate::csv::number::{seconds, thousandths};
use crate::csv::writer::is_formula;
use crate::csv::{Dialect, has_semicolons, plain_cell, table_cell, table_writer, utc};
use crate::job::Job;
use crate::report::publish::replace;
use crate::report::{ReportError, STAGED, Summary};
use crate::task::Status;

const COLUMNS: [&str; 33] = [
    "job",
    "model",
    "concurrency",
    "tasks",
    "ok",
    "failed",
    "timeout",
    "crashed",
    "cancelled",
    "skipped",
    "wall_s",
    "startup_s",
    "tasks_per_s",
    "run_mean_s",
    "run_stddev_s",
    "run_min_s",
    "run_p50_s",
    "run_p90_s",
    "run_p99_s",
    "run_max_s",
    "queue_p50_s",
    "cpu_user_s",
    "cpu_sys_s",
    "peak_rss_bytes",
    "output_bytes",
    "started_utc",
    "finished_utc",
    "reason",
    "runner_version",
    "cores",
    "up_to_date",
    "due_p99_s",
    "totals",
];

/// The rows of `results/summary.csv`, each with the values of `columns`.
///
/// # Errors
/// If it cannot be read, or is not a summary. A file that is not there has no rows.
pub fn rows<const N: usize>(results: &Path, columns: [&str; N]) -> io::Result<Vec<[String; N]>> {
    let table = match Table::read(&results.join("summary.csv"))? {
        Read::Table(table) => table,
        Read::Missing => return Ok(Vec::new()),
        Read::Broken(why) => return Err(io::Error::other(format!("it is not a summary: {why}"))),
    };
    let cell = |row: &[Vec<u8>], name: &str| {
        let place = COLUMNS.iter().position(|column| *column == name);
        place
            .and_then(|place| row.get(place))
            .map(|cell| String::from_utf8_lossy(cell).into_owned())
    };
    let row = |row: &Vec<Vec<u8>>| columns.map(|name| cell(row, name).unwrap_or_default());
    Ok(table.rows.iter().map(row).collect())
}

/// Writes the job's row into `summary.csv`, replacing an older one. Returns a warning for the user, if there is one.
pub(super) fn replace_row(
    results: &Path,
    summary: &Summary,
    dialect: Dialect,
) -> Result<Option<String>, ReportError> {
    let path = results.join("summary.csv");
    put(results, &path, &row(summary), dialect).map_err(|error| {
        ReportError::write(format!(
            "failed to write `{}`: {}; `{}` is complete",
            path.display(),
            words(&error),
            summary.report.display()
        ))
    })
}

/// Writes the row of a job that was skipped into `summary.csv`, without figures. `plan` is the job that would have run,
/// if known; `reason` says why it did not. Returns a warning for the user, if there is one.
///
/// # Errors
/// If it could not be written.
pub fn skip(
    results: &Path,
    job: &str,
    plan: Option<&Job>,
    reason: &str,
) -> Result<Option<String>, ReportError> {
    let path = results.join("summary.csv");
    let row = COLUMNS.map(|column| match column {
        "job" => job.into(),
        "model" => plan.map(model).unwrap_or_default().into(),
        "concurrency" => plan.map(|job| job.concurrency().to_string()).unwrap_or_default(),
        "tasks" | "ok" | "failed" | "timeout" | "crashed" | "cancelled" | "up_to_date" => {
            "0".into()
        }
        "skipped" => "1".into(),
        "reason" => safe(reason),
        "runner_version" => env!("CARGO_PKG_VERSION").into(),
        "cores" => cores(),
        _ => String::new(),
    });
    let dialect = plan.map_or(Dialect::Csv, Job::shared_dialect);
    put(results, &path, &row, dialect).map_err(|error| ReportError::writing(&path, &error))
}

/// The name of the model that would have run its slots.
fn model(job: &Job) -> &'static str {
    if job.is_staged() { STAGED } else { job.stages[0].model.name() }
}

type Row = [String; COLUMNS.len()];

fn put(results: &Path, path: &Path, row: &Row, dialect: Dialect) -> io::Result<Option<String>> {
    fs::create_dir_all(results)?;
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(results.join(".summary.lock"))?;
    match lock.lock() {
        Err(error) if error.kind() != ErrorKind::Unsupported => return Err(error),
        _ => (), // held until it is dropped; on a file system without locks, there is none
    }
    let mut table = Table::default();
    let mut warning = None;
    match Table::read(path)? {
        Read::Missing => (),
        Read::Table(read) => {
            if !read.unknown.is_empty() {
                let aside = free_name(path, "bak");
                fs::copy(path, &aside)?;
                warning = Some(format!(
                    "`{}` had columns that this version does not know ({}): the old file is kept as `{}`",
                    path.display(),
                    read.unknown.join(", "),
                    aside.display()
                ));
            }
            table = read;
        }
        Read::Broken(why) => {
            let aside = free_name(path, "bad");
            fs::rename(path, &aside)?;
            warning = Some(format!(
                "`{}` was not a summary ({why}): it is kept as `{}`, and a new one was started",
                path.display(),
                aside.display()
            ));
        }
    }
    table.put(row);
    replace(path, |file| table.write(file, dialect))?;
    Ok(warning)
}

/// `summary.csv.bad`, or the first name of `summary.csv.bad2` and so on that is free.
fn free_name(path: &Path, extension: &str) -> PathBuf {
    let name = |number: u32| match number {
        1 => path.with_extension(format!("csv.{extension}")),
        _ => path.with_extension(format!("csv.{extension}{number}")),
    };
    (1..u32::MAX)
        .map(name)
        .find(|name| fs::symlink_metadata(name).is_err())
        .expect("no folder holds four billion files")
}

/// The rows of `summary.csv`, each in the order of [`COLUMNS`].
#[derive(Debug, Default)]
struct Table {
    rows: Vec<Vec<Vec<u8>>>,
    /// Columns of the file that this version does not know.
    unknown: Vec<String>,
}

enum Read {
    Table(Table),
    Missing,
    /// It is not a summary; says why.
    Broken(String),
}

impl Table {
    fn read(path: &Path) -> io::Result<Read> {
        let bytes = match fs::read(path) {
            Ok(bytes) if bytes.is_empty() => return Ok(Read::Missing),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Read::Missing),
            Err(error) => return Err(error),
        };
        Ok(Self::parse(&bytes).map_or_else(Read::Broken, Read::Table))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        // Whichever job has written it last, it may be in another dialect than that of this one.
        let (dialect, delimiter) = if has_semicolons(without_mark(bytes)) {
            (Dialect::ExcelSemicolon, b';')
        } else {
            (Dialect::Csv, b',')
        };
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(bytes); // skips a BOM, refuses ragged rows
        let header = reader.byte_headers().map_err(|error| error.to_string())?.clone();
        if header.get(0) != Some(b"job") {
            return Err("its header does not start with `job`".into());
        }
        let is_known = |name: &&[u8]| COLUMNS.iter().any(|column| column.as_bytes() == *name);
        let unknown = header.iter().filter(|name| !is_known(name));
        let unknown = unknown.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        // A column that the file lacks is empty.
        let places = COLUMNS.map(|name| header.iter().position(|column| column == name.as_bytes()));
        let mut rows = Vec::new();
        for record in reader.byte_records() {
            let record = record.map_err(|error| error.to_string())?;
            let cell =
                |place: &Option<usize>| place.and_then(|at| record.get(at)).unwrap_or_default();
            let plain = |place| plain_cell(dialect, cell(place)).into_owned();
            rows.push(places.iter().map(plain).collect());
        }
        Ok(Self { rows, unknown })
    }

    /// Replaces the first row of this job and drops further ones; a new job goes last.
    fn put(&mut self, row: &Row) {
        let row: Vec<_> = row.iter().map(|cell| cell.clone().into_bytes()).collect();
        let is_job = |other: &Vec<Vec<u8>>| other[0] == row[0];
        let at = self.rows.iter().position(is_job).unwrap_or(self.rows.len());
        self.rows.retain(|other| !is_job(other));
        self.rows.insert(at, row);
    }

    fn write(&self, to: impl Write, dialect: Dialect) -> io::Result<()> {
        let mut writer = table_writer(to, dialect)?;
        writer.write_record(COLUMNS)?;
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(|cell| table_cell(dialect, cell)).collect();
            writer.write_byte_record(&ByteRecord::from(cells))?;
        }
        writer.flush()
    }
}

/// The job's row, in the order of [`COLUMNS`].
fn row(summary: &Summary) -> Row {
    let Summary { totals, run, .. } = summary;
    let count = |status| totals.tally.get(status).to_string();
    let text = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let time = |value| Option::map_or(value, String::new(), seconds);
    [
        summary.job.clone(),
        summary.model.into(),
        summary.concurrency.to_string(),
        totals.tally.total().to_string(),
        count(Status::Ok),
        count(Status::Failed),
        count(Status::Timeout),
        count(Status::Crashed),
        count(Status::Cancelled),
        "0".into(),
        seconds(summary.wall),
        seconds(summary.startup),
        summary.tasks_per_second().map(thousandths).unwrap_or_default(),
        time(run.map(|run| run.mean)),
        time(run.and_then(|run| run.stddev)),
        time(run.map(|run| run.min)),
        time(run.map(|run| run.p50)),
        time(run.map(|run| run.p90)),
        time(run.map(|run| run.p99)),
        time(run.map(|run| run.max)),
        time(summary.queue.map(|queue| queue.p50)),
        time(totals.cpu.map(|cpu| cpu.user)),
        time(totals.cpu.map(|cpu| cpu.system)),
        text(totals.peak_rss),
        text(totals.output_bytes),
        utc(summary.started),
        utc(summary.finished),
        safe(&summary.reason),
        env!("CARGO_PKG_VERSION").into(),
        cores(),
        count(Status::Skipped),
        time(summary.due_p99),
        in_json(&summary.column_totals),
    ]
}

/// The sums of columns as a JSON object; empty if there are none.
fn in_json(sums: &[(String, Sum)]) -> String {
    if sums.is_empty() {
        return String::new();
    }
    let members = sums.iter().map(|(name, sum)| {
        let mut member = Vec::new();
        json::write_text(name.as_bytes(), &mut member);
        format!("{}:{sum}", String::from_utf8_lossy(&member))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn cores() -> String {
    std::thread::available_parallelism().map(|cores| cores.to_string()).unwrap_or_default()
}

fn safe(text: &str) -> String {
    let mut text = text.to_owned();
    mask::apply_to_string(&mut text);
    if is_formula(text.as_bytes()) { format!("'{text}") } else { text }
}

#[cfg(test)]
pub(super) mod tests;
