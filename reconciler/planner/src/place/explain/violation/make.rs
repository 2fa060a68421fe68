//! How a violation is made.
//!
//! Knows its fields. Refuses to know any constraint.
//!
//! Most violations have a kind, a line to blame and a sentence, and no numbers.

use devnet_schema::placement::Violation;

use crate::place::problem::Constraint;

pub(crate) fn say(constraint: Constraint, at: Option<&String>, text: String) -> Violation {
    let (constraint, at) = (constraint.name().to_owned(), at.cloned());
    Violation { constraint, need: None, free: None, whole: None, give: false, at, line: None, text }
}

/// The same, because of a line that could be dropped.
pub(crate) fn blame(line: String, violation: Violation) -> Violation {
    Violation { line: Some(line), ..violation }
}

/// The same, because of the one line of its kind.
pub(crate) fn say_line(constraint: Constraint, at: Option<&String>, text: String) -> Violation {
    blame(constraint.name().to_owned(), say(constraint, at, text))
}

/// The same, of a line that is said as the file has it.
pub(crate) fn say_as(
    constraint: Constraint,
    (line, at): (String, Option<&String>),
    text: String,
) -> Violation {
    blame(line, say(constraint, at, text))
}
