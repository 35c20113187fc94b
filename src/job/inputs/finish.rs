//! What is done to a record while it is known where it is: what turns out to be wrong with it then names file and line.

use std::sync::Arc;

use super::derived::Derived;
use super::filter::Filter;
use super::records::Records;
use crate::task::Fields;

/// What a record becomes, and what is asked of it.
#[derive(Clone, Default)]
pub(super) struct Finish {
    /// Fields that are made of each record.
    pub derived: Option<Arc<Derived>>,
    /// What must be certain of each.
    pub filter: Option<Arc<Filter>>,
}

impl Finish {
    /// Whether it can find that a record cannot be used.
    pub fn can_fail(&self) -> bool {
        self.derived.as_ref().is_some_and(|derived| derived.can_fail) || self.filter.is_some()
    }

    /// The record that `records` has just read, with all its fields; or the datum that it is.
    #[inline]
    pub fn of(&self, fields: Fields, records: &mut dyn Records) -> Fields {
        if fields.cause().is_some() {
            return fields;
        }
        let made = match &self.derived {
            Some(derived) => derived.apply(fields),
            None => fields,
        };
        let doubt = || self.filter.as_ref()?.doubt(&made);
        let cause = made.cause().map(str::to_owned).or_else(doubt);
        match cause {
            None => made,
            Some(cause) => {
                let placed = records.place().map(|place| format!("{place}: {cause}"));
                made.with_cause(placed.unwrap_or(cause))
            }
        }
    }
}
