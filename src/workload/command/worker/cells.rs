//! What a row shows of a command's output: its result, its error, its columns.

use encoding_rs::Encoding;
use indicatif::HumanBytes;

use super::super::ends::Ends;
use super::super::outcome;
use super::super::plan::ResultEnd;
use super::super::search::decoded;
use super::super::stream::Kept;
use super::Worker;
use crate::base::{ByteSize, mask};
use crate::task::{Outcome, Status};

impl Worker {
    /// What `result` shows: the start of standard output, or its end.
    pub(super) fn result(&self) -> Vec<u8> {
        let kept = self.stdout.kept();
        match self.plan.result {
            ResultEnd::Head => {
                let encoding = kept.encoding(self.plan.encoding);
                if let Some(head) = kept.settled_head().filter(|_| !has_pairs(encoding)) {
                    return outcome::result(&decoded(&head, encoding), ResultEnd::Head);
                }
                let head = decoded(kept.head_of_text(self.plan.encoding), encoding);
                let is_cut = kept.total() > kept.head().len() as u64;
                let head = if is_cut { mask::before_cut(&head) } else { &head };
                outcome::result(head, ResultEnd::Head)
            }
            ResultEnd::Tail => outcome::result(&self.end_of(kept), ResultEnd::Tail),
        }
    }

    /// The end of standard error. If nothing is there, that of standard output, where many programs say what went wrong:
    /// unless the result has it all.
    pub(super) fn last_words(&self, result: &[u8]) -> Vec<u8> {
        let errors = self.end_of(self.stderr.kept());
        let output = self.stdout.kept();
        if !errors.trim_ascii().is_empty() {
            return errors;
        }
        let is_shown =
            self.plan.result == ResultEnd::Tail || output.total() <= result.len() as u64 + 1;
        if is_shown { Vec::new() } else { self.end_of(output) }
    }

    /// The last bytes of a stream, as UTF-8 if its encoding is known.
    fn end_of(&self, kept: &Kept) -> Vec<u8> {
        let tail = kept.tail();
        let is_whole = kept.total() == tail.len() as u64;
        let encoding = kept.encoding(self.plan.encoding);
        // Half a character's two bytes would shift all that follows.
        let half = has_pairs(encoding) && (kept.total() - tail.len() as u64) % 2 == 1;
        let text = decoded(&tail[usize::from(half)..], encoding);
        if is_whole { text.into_owned() } else { mask::after_cut(&text).to_vec() }
    }

    /// Finds the values of the columns; one that cannot be looked for fails the task.
    pub(super) fn find_columns(&mut self, ends: &Ends, outcome: &mut Outcome) {
        if self.setup.columns.is_empty() || !outcome.has_run {
            return;
        }
        let mut values = vec![None; self.setup.columns.len()];
        let (mut error, mut doubt) = (None, None);
        if let Err(reason) = ends.read_back([&mut self.stdout, &mut self.stderr]) {
            error = Some(reason);
        }
        for stream in [&mut self.stdout, &mut self.stderr] {
            let found = stream.find();
            error = error.or(found.error);
            doubt = doubt.or(found.doubt);
            for (place, value) in found.values {
                values[place] = value;
            }
        }
        let values = outcome.values_of(values);
        outcome.rare_mut().columns = Some(values);
        match (error, doubt) {
            (Some(error), _) => outcome.fail(&error),
            (None, Some(doubt)) if outcome.status == Status::Ok => outcome.append(&doubt),
            (None, _) => {}
        }
    }

    /// Keeps the output of a command that failed for rules that look into it, as a text. Its row says if that is not all.
    pub(super) fn keep_answer(&mut self, ends: &Ends, outcome: &mut Outcome) {
        if !self.setup.answers || !outcome.has_run || outcome.status != Status::Failed {
            return;
        }
        let is_in_file = match ends.read_answer(&mut self.stdout) {
            Ok(is_in_file) => is_in_file,
            Err(error) => return outcome.append(&error),
        };
        let kept = self.stdout.kept();
        let encoding = kept.encoding(self.plan.encoding);
        if is_in_file || encoding.is_some() {
            outcome.rare_mut().text = Some(decoded(kept.head(), encoding).into_owned());
        } else {
            outcome.output = kept.head().to_vec();
        }
        if kept.total() > kept.head().len() as u64 {
            let (size, limit) = (HumanBytes(kept.total()), ByteSize::new(self.plan.capture as u64));
            outcome.append(&format!(
                "the output has {size}, and a `json:` rule needs all of it: raise `capture` above {limit}"
            ));
        }
    }
}

/// Whether a character has two bytes at least.
fn has_pairs(encoding: Option<&'static Encoding>) -> bool {
    encoding.is_some_and(|encoding| {
        encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE
    })
}
