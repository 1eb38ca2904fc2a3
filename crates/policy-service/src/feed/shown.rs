//! What the cursor of a poll proves: by which revision all workers of the gateway decide.
//!
//! Only a mark that this service signed for exactly this revision is a proof. A cursor of another history, or of another
//! view than the gateway's present one, says that the gateway decides by something that is not known.

use super::{ask::Ask, scoped_epoch};
use crate::{gateways::Shown, http::problem::Problem};
use management::port::{
    Latest, Mark, Scope,
    gateways::{Holds, Proof},
};

/// What a poll shows. `has_cursor`: whether its query names a revision, even if it cannot be read.
pub fn shown(scope: &Scope, has_cursor: bool, ask: &Result<Ask, Problem>, latest: &Latest) -> Shown {
    let Ok(ask) = ask else {
        return if has_cursor { Shown::Cursor { epoch: None, holds: Holds::Unknown } } else { Shown::Whole };
    };
    if ask.place.is_some() {
        return Shown::Page;
    }
    if ask.since.is_none() {
        return Shown::Whole;
    }
    let proof =
        ask.mark.as_ref().filter(|mark| is_of_view(mark, ask.epoch.as_deref(), scope) && !is_lost(mark, latest));
    let holds = match proof {
        Some(mark) => Holds::Proven(Proof { epoch: mark.epoch.clone(), revision: mark.revision, word: mark.word }),
        None => Holds::Unknown,
    };
    Shown::Cursor { epoch: ask.epoch.clone(), holds }
}

/// Whether the cursor is of the policy as a gateway with this scope sees it.
fn is_of_view(mark: &Mark, epoch: Option<&str>, scope: &Scope) -> bool {
    match epoch {
        Some(epoch) => epoch == scoped_epoch(&mark.epoch, scope),
        None => *scope == Scope::All,
    }
}

/// Whether the latest revision has this number, but another word.
fn is_lost(mark: &Mark, latest: &Latest) -> bool {
    mark.epoch == latest.epoch && mark.revision == latest.revision && mark.word != latest.word
}
