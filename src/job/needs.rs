//! Which job needs which: what each says, and the order that follows.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use toml::Spanned;

use crate::base::Diagnostic;
use crate::base::diagnostic::{Place, nearest};
use crate::config::RawFile;
use crate::config::raw;
use crate::config::{Argument, Document, JobName, Table};

/// What has to be known about a job file before any of them is planned. Mistakes are reported by the planning.
#[derive(Debug)]
pub(super) struct Head {
    /// As it was given.
    file: PathBuf,
    /// Of a file that says none, or cannot be read: its stem.
    pub name: String,
    /// Each once, in the order of the file.
    needs: Vec<Need>,
    /// Whether it runs alone.
    pub exclusive: bool,
    /// What may follow its name in the names of files that its own file asks for.
    pub kinds: Vec<String>,
}

/// The keys of `[report]` by which there are further files, and what follows the job's name there.
pub(super) const KINDS: [(&str, &str); 3] = [("also", "html"), ("also", "xlsx"), ("logs", "logs")];

/// The name of a job that another one needs.
#[derive(Debug)]
struct Need {
    name: String,
    place: Place,
}

impl Head {
    /// The head of a file, as the arguments change it.
    pub fn read(raw: &RawFile, arguments: &[Argument]) -> Self {
        let file = &raw.file;
        let stem = raw::stem(file).into_owned();
        let (needs, kinds) = (Vec::new(), Vec::new());
        let mut head = Self { file: file.into(), name: stem, needs, exclusive: false, kinds };
        let Ok(parsed) = &raw.parsed else { return head };
        let mut root = parsed.root().clone();
        let document = Document::new(Arc::clone(parsed.source()), None, arguments);
        for (index, argument) in arguments.iter().enumerate() {
            argument.apply(&mut root, &document, index);
        }
        let mut root = Table::root(&document, &root);
        if let Some(name) = root.get::<JobName>("name") {
            head.name = name.get_ref().to_string();
        }
        let report = root.table("report");
        let asked = KINDS.iter().filter(|(key, _)| report.as_ref().is_some_and(|it| it.has(key)));
        head.kinds = asked.map(|(_, kind)| (*kind).to_owned()).collect();
        let services = root.table("services").map(|services| services.user_keys());
        let log = |service: Spanned<String>| format!("{}.log", service.get_ref());
        head.kinds.extend(services.into_iter().flatten().map(log));
        head.exclusive = root.get::<bool>("exclusive").is_some_and(Spanned::into_inner);
        let needs = root.list::<String>("needs").map(Spanned::into_inner);
        let read = root.table("inputs").and_then(|mut inputs| inputs.get::<String>("job"));
        for need in needs.unwrap_or_default().into_iter().chain(read) {
            let place = document.place(&need.span());
            let name = need.into_inner();
            if head.needs.iter().all(|other| other.name != name) {
                head.needs.push(Need { name, place });
            }
        }
        head
    }

    /// The names of the jobs that it needs.
    pub fn needed(&self) -> Vec<String> {
        self.needs.iter().map(|need| need.name.clone()).collect()
    }

    /// Whether it needs any job.
    pub fn has_needs(&self) -> bool {
        !self.needs.is_empty()
    }
}

/// Jobs in an order in which each comes after those that it needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// The jobs by their index; as they were given, where their needs do not say otherwise.
    pub jobs: Vec<usize>,
    /// Of each job, by index, what it needs.
    pub needs: Vec<Vec<usize>>,
}

impl Order {
    /// The order of jobs with these heads; needs that there cannot be are left out of it, and noted.
    pub fn of(heads: &[Head], errors: &mut Vec<Diagnostic>) -> Self {
        let needs: Vec<Vec<usize>> = heads
            .iter()
            .map(|head| {
                head.needs.iter().filter_map(|need| find(head, need, heads, errors)).collect()
            })
            .collect();
        let mut jobs = Vec::new();
        let mut placed = vec![false; heads.len()];
        while jobs.len() < heads.len() {
            let is_next =
                |&job: &usize| !placed[job] && needs[job].iter().all(|&need| placed[need]);
            if let Some(job) = (0..heads.len()).find(is_next) {
                placed[job] = true;
                jobs.push(job);
                continue;
            }
            let circle = circle(&needs, &placed);
            errors.push(circle_error(heads, &needs, &circle));
            for job in circle {
                placed[job] = true;
                jobs.push(job);
            }
        }
        Self { jobs, needs }
    }
}

/// The index of the job that `need` means; what is wrong with it is noted.
fn find(head: &Head, need: &Need, heads: &[Head], errors: &mut Vec<Diagnostic>) -> Option<usize> {
    let name = &need.name;
    if *name == head.name {
        let message = format!("`{name}` needs itself");
        errors.push(Diagnostic::new(message).at(need.place.clone()).help("leave it out"));
        return None;
    }
    let found = heads.iter().position(|other| other.name == *name);
    if found.is_none() {
        let file = head.file.with_file_name(format!("{name}.toml"));
        let others = heads.iter().map(|other| other.name.as_str()).filter(|n| *n != head.name);
        let (message, help) = if JobName::from_str(name).is_ok() && file.is_file() {
            let help = format!("name its file, too: `{}`", file.display());
            (format!("`{name}` is not among the jobs of this call"), help)
        } else if let Some(near) = nearest(name, others) {
            (format!("unknown job `{name}`"), format!("did you mean `{near}`?"))
        } else {
            let help =
                "a job is called as its file, or as its `name`; its file has to be given, too";
            (format!("unknown job `{name}`: none of the files has this name"), help.into())
        };
        errors.push(Diagnostic::new(message).at(need.place.clone()).help(help));
    }
    found
}

/// Jobs of which each needs the next, and the last one the first. There is one, where nothing can be placed.
fn circle(needs: &[Vec<usize>], placed: &[bool]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut job = placed.iter().position(|placed| !placed).expect("something is left");
    loop {
        if let Some(start) = path.iter().position(|&seen| seen == job) {
            return path.split_off(start);
        }
        path.push(job);
        let next = needs[job].iter().find(|&&need| !placed[need]);
        job = *next.expect("what is left waits for something that is left");
    }
}

fn circle_error(heads: &[Head], needs: &[Vec<usize>], circle: &[usize]) -> Diagnostic {
    let names: Vec<_> =
        circle.iter().chain(circle.first()).map(|&job| format!("`{}`", heads[job].name)).collect();
    let message = format!("dependency cycle: {}", names.join(" -> "));
    let mut error = Diagnostic::new(message).help("one of them has to come first");
    for (index, &job) in circle.iter().enumerate() {
        let next = circle[(index + 1) % circle.len()];
        debug_assert!(needs[job].contains(&next));
        let place = heads[job].needs.iter().find(|need| need.name == heads[next].name);
        if let Some(Need { place, .. }) = place {
            error = error.at(place.clone());
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostic::Source;
    use crate::config::raw::Parsed;

    fn head(name: &str, text: &str) -> Head {
        let source = Source { name: name.into(), text: text.into() };
        let raw = RawFile { file: format!("{name}.toml").into(), parsed: Parsed::parse(source) };
        Head::read(&raw, &[])
    }

    fn heads(jobs: &[(&str, &[&str])]) -> Vec<Head> {
        let read = |(name, needs): &(&str, &[&str])| {
            let text = format!("needs = {needs:?}\n[workload.sleep]\nduration = '1s'\n");
            head(name, &text)
        };
        jobs.iter().map(read).collect()
    }

    fn order(jobs: &[(&str, &[&str])]) -> (String, Vec<String>) {
        let heads = heads(jobs);
        let mut errors = Vec::new();
        let order = Order::of(&heads, &mut errors);
        let names: Vec<_> = order.jobs.iter().map(|&job| heads[job].name.as_str()).collect();
        (names.join(" "), errors.iter().map(|error| error.message().to_owned()).collect())
    }

    #[test]
    fn jobs_come_behind_what_they_need_and_else_as_they_were_given() {
        for (jobs, expected) in [
            (&[("c", &[][..]), ("a", &[]), ("b", &[])][..], "c a b"),
            (&[("c", &["b"]), ("a", &[]), ("b", &[])], "a b c"),
            (&[("d", &["b", "c"]), ("c", &["a"]), ("b", &["a"]), ("a", &[])], "a c b d"),
        ] {
            assert_eq!(order(jobs), (expected.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn what_cannot_be_needed_is_told() {
        for (jobs, expected) in [
            (&[("a", &["a"][..])][..], "`a` needs itself"),
            (&[("fetch", &[][..]), ("hash", &["fetsh"])], "unknown job `fetsh`"),
            (&[("a", &["zzz"])], "unknown job `zzz`: none of the files has this name"),
            (&[("x", &["a"]), ("a", &["b"]), ("b", &["a"])], "dependency cycle: `a` -> `b` -> `a`"),
        ] {
            assert_eq!(order(jobs).1, [expected]);
        }
    }

    #[test]
    fn the_job_whose_report_is_read_is_needed() {
        let head = head("b", "[inputs]\njob = 'a'\n");
        assert_eq!(head.needs[0].name, "a");
    }
}
