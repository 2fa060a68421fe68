//! A constraint that an outcome does not keep.
//!
//! Knows which, whom it concerns, and words. Refuses to know how it was found.
//!
//! A breach is a fault of the planner, never of the file.

use std::borrow::Cow;

use crate::place::{
    outcome::Assignment,
    problem::{Constraint, InstanceKey, ServiceInput},
};

/// A constraint that an outcome does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which, as explanations name it.
    pub constraint: Constraint,
    /// Whom it concerns and how, for people.
    pub text: String,
}

pub(super) type Placed<'a> = Vec<(InstanceKey, &'a Assignment, Cow<'a, ServiceInput>)>;

pub(super) fn tell(breaches: &mut Vec<Breach>, constraint: Constraint, text: String) {
    breaches.push(Breach { constraint, text });
}
