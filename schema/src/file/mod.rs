//! The cluster file as written: text to one spanned tree, tree to [`ClusterFile`].
//!
//! Knows syntax, fields and their types, and how files include one another. Refuses to know what
//! components exist and what the whole means: [`crate::validate`] does.

mod canonical;
mod convert;
mod decode;
pub mod edit;
pub mod fields;
mod format;
mod habits;
mod json_schema;
mod kdl;
mod limits;
mod load;
mod nodes;
mod outline;
mod print;
mod reader;
mod scalar;
pub(crate) mod scan;
pub mod suggest;
mod token;
pub mod tree;
mod unread;
pub mod written;
mod yaml;

pub use convert::{Converted, convert, is_yaml, parse};
pub use format::{RewriteError, format_kdl};
pub use json_schema::json_schema;
pub use kdl::from_kdl;
pub use limits::Limits;
pub(crate) use limits::{MOST_PORTS, too_many_values};
pub use load::{Files, MemoryFiles, ReadFiles, discover, load, load_within};
pub use print::print;
pub(crate) use scan::forbidden;
pub use scan::text;
pub use unread::Unread;
pub use written::ClusterFile;
pub use yaml::{from_yaml, read_with_merge_keys};
