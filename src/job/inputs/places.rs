//! What is blank in a file makes no input, but in `zip` it is a place beside those of other sources: if it were left out,
//! all that follow would stand beside others than they do in their files. Only at the end of a file it is none.

use std::sync::Arc;

use super::counted::Counted;
use crate::task::Fields;

/// Tells what is blank from other inputs of a source whose blank ones are places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blanks {
    /// How many fields at the end do not come from the file.
    pub besides: usize,
}

impl Blanks {
    /// Whether an input is blank.
    pub fn has(self, fields: &Fields) -> bool {
        let own = fields.len().saturating_sub(self.besides);
        fields.cause().is_none()
            && fields.iter().take(own).all(|value| value.trim_ascii().is_empty())
    }
}

/// How many inputs `held` has without the blank ones at its end, if its source has such.
pub(super) fn least(held: &Counted, blanks: Option<Blanks>) -> u64 {
    let mut count = held.count();
    if let Some(blanks) = blanks {
        while count > 0 && blanks.has(&held.get(count - 1)) {
            count -= 1;
        }
    }
    count
}

/// The lists without the blank inputs at the end that have no other beside them.
pub(super) fn without_ends(
    lists: Vec<Arc<Counted>>,
    blanks: &[Option<Blanks>],
) -> Vec<Arc<Counted>> {
    let counts = lists.iter().zip(blanks).map(|(list, blanks)| least(list, *blanks));
    let most = counts.max().unwrap_or(0);
    let cut = |(list, blanks): (Arc<Counted>, &Option<Blanks>)| {
        if blanks.is_none() || list.count() <= most {
            return list;
        }
        Arc::new(Counted::of((0..most).map(|index| list.at(index)).collect()))
    };
    lists.into_iter().zip(blanks).map(cut).collect()
}
