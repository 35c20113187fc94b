//! Which inputs become tasks: `where`, then `skip` and `limit`; and several as one, `batch`.

use std::str::FromStr;
use std::sync::Arc;

use super::derived::Derived;
use super::filter::Filter;
use super::notes::Notes;
use super::records::Stop;
use super::{BadInput, InputError, InputReader};
use crate::base::ByteSize;
use crate::base::json;
use crate::base::json::NotFinite;
use crate::base::setting::deserialize_from_integer_or_str;
use crate::task::{Fields, Kind};

/// How many inputs in a row may be left out before it is asked whether the run was stopped.
const UNASKED: u64 = 1 << 12;

/// What is done to inputs before they become tasks, in this order.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// Fields that are made from fields.
    pub derived: Option<Arc<Derived>>,
    pub filter: Option<Arc<Filter>>,
    pub shuffle: Option<u64>,
    pub skip: u64,
    pub limit: Option<u64>,
    pub batch: Option<BatchSize>,
    pub bad_input: BadInput,
}

/// How many inputs a task takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BatchSize {
    Count(u64),
    /// As many as fit into these bytes as arguments, which end with NUL; always one.
    Bytes(u64),
}

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(|size: ByteSize| Self::Bytes(size.bytes()))
    }
}

deserialize_from_integer_or_str!(
    BatchSize,
    "an integer above 0 or a size such as \"100KiB\"",
    |count| Some(BatchSize::Count(count))
);

impl BatchSize {
    /// Whether nothing fits.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Count(0) | Self::Bytes(0))
    }

    /// Whether another input fits that has these fields, where there are `count` with `bytes` bytes.
    fn has_room(self, count: usize, bytes: u64, fields: &Fields) -> bool {
        match self {
            Self::Count(most) => (count as u64) < most,
            Self::Bytes(most) => count == 0 || bytes + self.bytes_of(fields) <= most,
        }
    }

    /// What an input takes of the bytes; nothing is asked where they do not matter.
    fn bytes_of(self, fields: &Fields) -> u64 {
        match self {
            Self::Count(_) => 0,
            Self::Bytes(_) => fields.iter().map(|value| value.len() as u64 + 1).sum(),
        }
    }
}

impl Selection {
    /// Why no task comes of inputs, of which `left_out` were read and left out; `None` if that is not its doing.
    pub fn why_none(&self, left_out: u64) -> Option<String> {
        if self.limit == Some(0) {
            return Some("the limit is 0".into());
        }
        let inputs = match left_out {
            0 => return None,
            1 => "the only input".to_owned(),
            inputs => format!("all {inputs} inputs"),
        };
        Some(match (&self.filter, self.skip) {
            (Some(_), 0) => format!("`where` leaves out {inputs}"),
            (Some(_), _) => format!("`where` and `skip` leave out {inputs}"),
            (None, _) => format!("`skip` leaves out {inputs}"),
        })
    }

    /// How many tasks come of this number of inputs, if that is known.
    pub fn count(&self, inputs: u64) -> Option<u64> {
        if self.filter.is_some() {
            return None;
        }
        let left = inputs.saturating_sub(self.skip);
        let left = self.limit.map_or(left, |limit| left.min(limit));
        match self.batch {
            None => Some(left),
            Some(BatchSize::Count(size)) => Some(left.div_ceil(size)),
            Some(BatchSize::Bytes(_)) => None,
        }
    }

    /// Whether each input becomes a task as it is, once `skipped` of them have been left out.
    pub fn keeps_all_after(&self, skipped: u64) -> bool {
        let Self { derived, filter, shuffle: _, skip, limit, batch, bad_input: _ } = self;
        let is_changed = derived.is_some() || filter.is_some() || batch.is_some();
        *skip == skipped && limit.is_none() && !is_changed
    }

    /// The tasks that come of `inputs`, which are in their final order. `skipped` of them have been left out already.
    pub fn of(
        &self,
        inputs: InputReader,
        skipped: u64,
        notes: Arc<Notes>,
        stop: Stop,
    ) -> InputReader {
        let select = Select {
            inputs,
            selection: self.clone(),
            skip: self.skip - skipped,
            left: self.limit,
            notes,
            stop,
            left_out: skipped,
        };
        match self.batch {
            Some(size) => {
                Box::new(Batches { inputs: Some(select), size, waiting: None, first: None })
            }
            None => Box::new(select),
        }
    }
}

/// Applies a selection to inputs.
struct Select {
    inputs: InputReader,
    selection: Selection,
    skip: u64,
    /// How many more there may be.
    left: Option<u64>,
    notes: Arc<Notes>,
    stop: Stop,
    /// How many inputs have been left out.
    left_out: u64,
}

impl Select {
    /// An input as it passes; `None` if it does not.
    #[inline]
    fn pass(&self, fields: Fields) -> Result<Option<Fields>, InputError> {
        let mut fields = match &self.selection.derived {
            Some(derived) if fields.cause().is_none() => derived.apply(fields),
            _ => fields,
        };
        let filter = self.selection.filter.as_ref().filter(|_| fields.cause().is_none());
        if let Some(doubt) = filter.and_then(|filter| filter.doubt(&fields)) {
            fields = fields.with_cause(doubt);
        }
        if let Some(cause) = fields.cause() {
            if self.selection.bad_input == BadInput::Stop {
                return Err(InputError::new(cause.to_owned()));
            }
            return Ok(Some(fields));
        }
        let filter = self.selection.filter.as_ref();
        let passes = filter.is_none_or(|filter| filter.passes(&fields, &self.notes));
        Ok(passes.then_some(fields))
    }
}

impl Iterator for Select {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut left_out = 0;
        loop {
            // Asked first: a pipe must not be waited for once the limit is reached.
            if self.left == Some(0) {
                return None;
            }
            left_out += 1;
            // Stopped is not ended: rows of an earlier run whose inputs were not reached are not to be dropped.
            if left_out % UNASKED == 0
                && let Err(stopped) = self.stop.check()
            {
                self.left = Some(0);
                return Some(Err(stopped));
            }
            let Some(input) = self.inputs.next() else {
                self.notes.left_out(self.left_out);
                return None;
            };
            match input.and_then(|fields| self.pass(fields)) {
                Ok(None) => self.left_out += 1,
                Ok(Some(_)) if self.skip > 0 => {
                    self.skip -= 1;
                    self.left_out += 1;
                }
                Ok(Some(fields)) => {
                    if let Some(left) = &mut self.left {
                        *left -= 1;
                    }
                    if fields.cause().is_some() {
                        self.notes.bad();
                    }
                    return Some(Ok(fields));
                }
                Err(error) => {
                    self.left = Some(0);
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Several inputs as one. A bad one is a task of its own.
struct Batches {
    inputs: Option<Select>,
    size: BatchSize,
    /// Comes after the batch that it has cut short.
    waiting: Option<Result<Fields, InputError>>,
    /// The input that the last batch had no room for.
    first: Option<Fields>,
}

impl Iterator for Batches {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(waiting) = self.waiting.take() {
            return Some(waiting);
        }
        let mut members: Vec<_> = self.first.take().into_iter().collect();
        let mut bytes = members.first().map_or(0, |fields| self.size.bytes_of(fields));
        while self.size != BatchSize::Count(members.len() as u64) {
            let is_due = (members.len() as u64 + 1).is_multiple_of(UNASKED);
            if is_due
                && let Some(Err(stopped)) = self.inputs.as_ref().map(|inputs| inputs.stop.check())
            {
                self.inputs = None;
                return Some(Err(stopped));
            }
            match self.inputs.as_mut().and_then(Iterator::next) {
                Some(Ok(fields)) if fields.cause().is_none() => {
                    if !self.size.has_room(members.len(), bytes, &fields) {
                        self.first = Some(fields);
                        break;
                    }
                    bytes += self.size.bytes_of(&fields);
                    members.push(fields);
                }
                None => {
                    self.inputs = None;
                    break;
                }
                other if members.is_empty() => return other,
                other => {
                    self.waiting = other;
                    break;
                }
            }
        }
        (!members.is_empty()).then(|| Ok(batch(members)))
    }
}

/// The input that stands for all of `members`: each field is an array, and the last one is how many there are.
fn batch(members: Vec<Fields>) -> Fields {
    let mut fields = Fields::default();
    let mut array = Vec::new();
    for index in 0..members.first().map_or(0, Fields::len) {
        array.clear();
        array.push(b'[');
        for (place, member) in members.iter().enumerate() {
            if place > 0 {
                array.push(b',');
            }
            match member.kind(index) {
                Kind::Bare => json::write_bare(member.get(index), NotFinite::Text, &mut array),
                Kind::Text => json::write_text(member.get(index), &mut array),
            }
        }
        array.push(b']');
        fields.push_of(&array, Kind::Bare);
    }
    fields.push_of(members.len().to_string(), Kind::Bare);
    fields.with_members(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(inputs: Vec<Result<Fields, InputError>>, selection: &Selection) -> Vec<String> {
        let notes = Arc::default();
        let tasks = selection.of(Box::new(inputs.into_iter()), 0, notes, Stop::default());
        let shown = |fields: Fields| match fields.cause() {
            Some(cause) => format!("bad: {cause}"),
            None => fields.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join("|"),
        };
        tasks.map(|task| task.map_or_else(|error| format!("error: {error}"), shown)).collect()
    }

    fn inputs() -> Vec<Result<Fields, InputError>> {
        let bad = Ok(Fields::bad("torn".into(), b"x"));
        let number = |n: u32| Ok(Fields::single_number(n.to_string()));
        vec![number(1), number(2), bad, Ok(Fields::single("c\"")), number(4)]
    }

    #[test]
    fn a_bad_input_counts_and_is_never_batched() {
        let all = Selection::default();
        assert_eq!(select(inputs(), &all), ["1", "2", "bad: torn", "c\"", "4"]);
        let some = Selection { skip: 1, limit: Some(2), ..Selection::default() };
        assert_eq!(select(inputs(), &some), ["2", "bad: torn"]);
        let batches = Selection { batch: Some(BatchSize::Count(3)), ..Selection::default() };
        assert_eq!(select(inputs(), &batches), ["[1,2]|2", "bad: torn", "[\"c\\\"\",4]|2"]);
        let stopped = Selection { bad_input: BadInput::Stop, ..batches };
        assert_eq!(select(inputs(), &stopped), ["[1,2]|2", "error: torn"]);
        assert_eq!(stopped.count(7), Some(3));
    }

    #[test]
    fn a_batch_may_have_as_many_as_fit_into_some_bytes() {
        let numbers = || (1..=5).map(|n| Ok(Fields::single_number((n * 10).to_string()))).collect();
        for (bytes, tasks) in [
            (6, &["[10,20]|2", "[30,40]|2", "[50]|1"][..]),
            (8, &["[10,20]|2", "[30,40]|2", "[50]|1"]),
            (1, &["[10]|1", "[20]|1", "[30]|1", "[40]|1", "[50]|1"]),
            (1000, &["[10,20,30,40,50]|5"]),
        ] {
            let batch = Some(BatchSize::Bytes(bytes));
            let batches = Selection { batch, ..Selection::default() };
            assert_eq!(select(numbers(), &batches), tasks, "{bytes}");
            assert_eq!(batches.count(7), None);
            // One that is bad ends a batch, and the one before it is not lost.
            let all = select(inputs(), &batches);
            assert_eq!(all.iter().filter(|task| task.starts_with("bad")).count(), 1, "{all:?}");
            for value in ["1", "2", "4"] {
                let has = all.iter().filter(|task| task.split('|').next().unwrap().contains(value));
                assert_eq!(has.count(), 1, "{all:?}");
            }
        }
    }

    #[test]
    fn stopped_is_told_from_ended() {
        let inputs = || (0..3 * UNASKED).map(|n| Ok(Fields::single(n.to_string())));
        let left_out = Selection { skip: 2 * UNASKED, ..Selection::default() };
        let batch = Some(BatchSize::Count(2 * UNASKED));
        for selection in [left_out, Selection { batch, ..Selection::default() }] {
            let stop = Stop::when(|| true);
            let mut tasks = selection.of(Box::new(inputs()), 0, Arc::default(), stop);
            assert!(tasks.next().unwrap().is_err());
            assert!(tasks.next().is_none());
        }
    }

    #[test]
    fn nothing_is_asked_for_once_the_limit_is_reached() {
        struct Never;
        impl Iterator for Never {
            type Item = Result<Fields, InputError>;
            fn next(&mut self) -> Option<Self::Item> {
                panic!("not asked for")
            }
        }
        let none = Selection { limit: Some(0), ..Selection::default() };
        assert!(none.of(Box::new(Never), 0, Arc::default(), Stop::default()).next().is_none());
    }
}
