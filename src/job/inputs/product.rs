//! `matrix` and `zip`: lists and sources, every combination of them, or side by side.

use std::collections::VecDeque;
use std::sync::Arc;

use super::counted::Counted;
use super::places::{Blanks, least};
use super::records::Stop;
use super::{InputError, InputReader, Source};
use crate::task::Fields;

/// So many bytes of inputs may be held for `matrix` and `zip`.
const MOST: usize = 256 << 20;

/// Lists that go together, each of inputs with some fields, which can be had by their number.
#[derive(Debug)]
pub(super) struct Matrix {
    lists: Vec<Arc<Counted>>,
    together: Together,
    /// How many combinations there are.
    pub count: u64,
    /// Whether one of them is a datum that cannot be used.
    pub can_be_bad: bool,
}

impl Matrix {
    /// All combinations of `lists`; `None` if they are too many to be counted.
    pub fn new(lists: Vec<Arc<Counted>>) -> Option<Self> {
        let count = lists.iter().try_fold(1_u64, |n, list| n.checked_mul(list.count()))?;
        let can_be_bad = lists.iter().any(|list| list.can_be_bad());
        Some(Self { lists, together: Together::Matrix, count, can_be_bad })
    }

    /// `lists`, which are equally long, side by side.
    pub fn side_by_side(lists: Vec<Arc<Counted>>) -> Self {
        let count = lists.iter().map(|list| list.count()).min().unwrap_or(0);
        let can_be_bad = lists.iter().any(|list| list.can_be_bad());
        Self { lists, together: Together::Zip, count, can_be_bad }
    }

    /// The combination at `index`, which is below the count. Of all of them, the last list varies fastest.
    pub fn at(&self, mut index: u64) -> Fields {
        if self.together == Together::Zip {
            let parts: Vec<_> = self.lists.iter().map(|list| list.get(index)).collect();
            return joined(parts.iter().map(AsRef::as_ref));
        }
        let mut chosen = vec![0; self.lists.len()];
        for (slot, list) in chosen.iter_mut().zip(&self.lists).rev() {
            *slot = index % list.count();
            index /= list.count();
        }
        let parts: Vec<_> = self.lists.iter().zip(chosen).map(|(list, at)| list.get(at)).collect();
        joined(parts.iter().map(AsRef::as_ref))
    }
}

/// One input that has the values of several; a bad one spoils it.
fn joined<'a>(parts: impl Iterator<Item = &'a Fields> + Clone) -> Fields {
    if let Some(cause) = parts.clone().find_map(Fields::cause) {
        let raw: Vec<u8> = parts.flat_map(Fields::raw).collect();
        return Fields::bad(cause.to_owned(), &raw);
    }
    let mut fields = Fields::default();
    for part in parts {
        for index in 0..part.len() {
            fields.push_of(part.get(index), part.kind(index));
        }
    }
    fields
}

/// How lists go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Together {
    /// Every combination.
    Matrix,
    /// Side by side.
    Zip,
}

/// Lists and sources that go together; the first one is read as a stream.
#[derive(Debug)]
pub(super) struct Product {
    pub together: Together,
    /// The names of all, as the job file has them.
    pub names: Vec<String>,
    pub first: Box<Source>,
    pub others: Vec<Source>,
    /// Whether those may have no input.
    pub may_be_empty: bool,
}

impl Product {
    /// Reads the first one as it comes, and all others before.
    pub fn open(&self, stop: &Stop) -> Result<InputReader, InputError> {
        let others = self.others.iter().zip(&self.names[1..]);
        let may_be_empty = self.may_be_empty || self.together == Together::Zip;
        let others: Result<Vec<_>, _> =
            others.map(|(source, name)| hold(source, name, may_be_empty, stop)).collect();
        let others = others?;
        let first = self.first.open(stop)?;
        Ok(match self.together {
            Together::Matrix => {
                let inner = Matrix::new(others).ok_or_else(too_many)?;
                if inner.count == 0 {
                    return Ok(Box::new(std::iter::empty()));
                }
                Box::new(Combinations { first, current: None, at: 0, inner })
            }
            Together::Zip => {
                let (names, blanks) = (self.names.clone(), self.first.blanks());
                let held = others.iter().zip(&self.others);
                let least = held.map(|(held, source)| least(held, source.blanks())).collect();
                let waiting = VecDeque::new();
                Box::new(Zip { first, blanks, waiting, others, least, names, row: 0, over: false })
            }
        })
    }

    /// All of it in memory.
    pub fn hold(&self, stop: &Stop) -> Result<Vec<Fields>, InputError> {
        gather(self.open(stop)?, "matrix` or `zip", stop)
    }
}

fn too_many() -> InputError {
    InputError::new("there are too many combinations".into())
}

/// All inputs of `source`, which is called `name`, so that each can be had by its number.
pub(super) fn hold(
    source: &Source,
    name: &str,
    may_be_empty: bool,
    stop: &Stop,
) -> Result<Arc<Counted>, InputError> {
    if let Source::Counted(counted) = source
        && (counted.count() > 0 || may_be_empty)
    {
        return Ok(Arc::clone(counted));
    }
    let held = gather(source.open(stop)?, name, stop)?;
    if held.is_empty() && !may_be_empty {
        return Err(InputError::new(format!("`{name}` is empty, so there is no combination")));
    }
    Ok(Arc::new(Counted::of(held)))
}

fn gather(inputs: InputReader, name: &str, stop: &Stop) -> Result<Vec<Fields>, InputError> {
    let (mut held, mut bytes) = (Vec::new(), 0);
    for (number, fields) in (1_u64..).zip(inputs) {
        let fields = fields?;
        bytes += size_of::<Fields>() + fields.iter().map(|value| value.len() + 8).sum::<usize>();
        if bytes > MOST {
            return Err(InputError::new(format!(
                "`{name}` has more than 256 MiB of inputs, which is what is held at once: let the largest source be the \
                 first, which is read as it comes"
            )));
        }
        held.push(fields);
        if number % (1 << 12) == 0 {
            stop.check()?;
        }
    }
    Ok(held)
}

/// Every combination of a stream with what is held.
struct Combinations {
    first: InputReader,
    current: Option<Fields>,
    at: u64,
    inner: Matrix,
}

impl Iterator for Combinations {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.current.is_none() || self.at == self.inner.count {
            self.at = 0;
            self.current = match self.first.next()? {
                Ok(fields) => Some(fields),
                Err(error) => return Some(Err(error)),
            };
        }
        let inner = self.inner.at(self.at);
        self.at += 1;
        let first = self.current.as_ref()?;
        Some(Ok(joined([first, &inner].into_iter())))
    }
}

/// A stream and what is held, side by side.
struct Zip {
    first: InputReader,
    /// If what is blank in it is a place.
    blanks: Option<Blanks>,
    /// Inputs of it that were read to see whether it has ended.
    waiting: VecDeque<Result<Fields, InputError>>,
    others: Vec<Arc<Counted>>,
    /// How many inputs each of those has without blank ones at its end.
    least: Vec<u64>,
    names: Vec<String>,
    row: u64,
    over: bool,
}

impl Zip {
    /// The next input of the first source. Blank ones that neither another one nor one of another source follows are its
    /// end.
    fn next_of_first(&mut self) -> Option<Result<Fields, InputError>> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Some(waiting);
        }
        let mut next = self.first.next();
        let is_certain = self.least.iter().any(|&least| least > self.row);
        let Some(blanks) = self.blanks.filter(|_| !is_certain) else { return next };
        // More of them would have nothing beside them, which one of these says.
        let most = self.others.iter().map(|other| other.count()).min().unwrap_or(0) + 1;
        while let Some(Ok(fields)) = &next
            && blanks.has(fields)
        {
            if self.row + (self.waiting.len() as u64) < most {
                self.waiting.extend(next);
            }
            next = self.first.next();
        }
        if next.is_none() {
            self.waiting.clear();
        }
        self.waiting.extend(next);
        self.waiting.pop_front()
    }
}

impl Iterator for Zip {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let first = match self.next_of_first() {
            Some(Ok(first)) => Some(first),
            Some(Err(error)) => {
                self.over = true;
                return Some(Err(error));
            }
            None => None,
        };
        let row = self.row;
        self.row += 1;
        let ended = |other: &Arc<Counted>| other.count() <= row;
        let lengths = || self.others.iter().zip(&self.names[1..]);
        let message = match first {
            Some(first) => match lengths().find(|(other, _)| ended(other)) {
                None => {
                    let others: Vec<_> = self.others.iter().map(|other| other.get(row)).collect();
                    let parts = [&first].into_iter().chain(others.iter().map(AsRef::as_ref));
                    return Some(Ok(joined(parts)));
                }
                Some((_, name)) => {
                    let why = first.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
                    format!("`{name}` has {row} inputs, `{}` has more{why}", self.names[0])
                }
            },
            None => match lengths().zip(&self.least).find(|(_, least)| **least > row) {
                None => {
                    self.over = true;
                    return None;
                }
                Some(((other, name), _)) => {
                    format!("`{}` has {row} inputs, `{name}` has {}", self.names[0], other.count())
                }
            },
        };
        self.over = true;
        Some(Err(InputError::new(format!("the sources of `zip` are not equally long: {message}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: &[&str]) -> Source {
        let rows = values.iter().map(Fields::single).collect();
        Source::Counted(Arc::new(Counted::Rows(rows)))
    }

    fn product(together: Together, lists: &[&[&str]]) -> Vec<String> {
        product_of(together, lists, false)
    }

    fn product_of(together: Together, lists: &[&[&str]], may_be_empty: bool) -> Vec<String> {
        let names = (0..lists.len()).map(|index| format!("l{index}")).collect();
        let mut sources = lists.iter().map(|values| list(values));
        let first = Box::new(sources.next().unwrap());
        let others = sources.collect();
        let product = Product { together, names, first, others, may_be_empty };
        let shown = |fields: Fields| fields.iter().map(String::from_utf8_lossy).collect::<String>();
        match product.open(&Stop::default()) {
            Ok(all) => all.map(|one| one.map_or_else(|error| error.to_string(), shown)).collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn a_stream_goes_with_lists() {
        let (a, b, c) = (&["a", "b"][..], &["1", "2"][..], &["x", "y"][..]);
        let all = ["a1x", "a1y", "a2x", "a2y", "b1x", "b1y", "b2x", "b2y"];
        assert_eq!(product(Together::Matrix, &[a, b, c]), all);
        assert_eq!(product(Together::Zip, &[a, b, c]), ["a1x", "b2y"]);
        let empty = product(Together::Matrix, &[a, &[]]);
        assert_eq!(empty, ["`l1` is empty, so there is no combination"]);
        assert!(product_of(Together::Matrix, &[a, &[]], true).is_empty());
        let unequal = product(Together::Zip, &[a, &["1"]]);
        assert_eq!(unequal[0], "a1");
        assert!(unequal[1].ends_with("`l1` has 1 inputs, `l0` has more"), "{unequal:?}");
        assert!(
            product(Together::Zip, &[a, &["1", "2", "3"]])[2]
                .ends_with("`l0` has 2 inputs, `l1` has 3")
        );
    }
}
