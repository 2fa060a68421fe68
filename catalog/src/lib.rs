//! Components, and how a service of the desired state becomes instances that an agent can run.
//!
//! Knows signatures, templates and rendering. Refuses to know files, clocks, networks and the
//! values of secrets: built-in components are compiled in, and a secret stays a reference.

mod bind;
mod builtin;
mod catalog;
mod component;
mod engine;
mod export;
mod lint;
mod load;
mod marker;
mod names;
mod offers;
mod page;
mod render;
mod scalars;
mod scope;
mod signature;
mod trial;
mod unit;

pub use bind::{Bindings, Placed};
pub use catalog::Catalog;
pub use export::compose;
pub use lint::lint;
pub use load::{Loaded, load, load_within};
pub use page::{describe, list, page};
pub use render::{render, render_each};
pub use trial::{Trial, Tried, trial};
