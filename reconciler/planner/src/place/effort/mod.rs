//! What a search may spend, and who may end it.
//!
//! Knows counts of work and the watch of the caller. Refuses to know what the work is for.
//!
//! Every storey above is given one `Spent` and asks it before anything long. A plan without a limit
//! of time counts integer programs and search steps only, so the same problem has the same answer
//! on every machine.

pub(super) mod interrupt;
pub(super) mod spent;
pub(super) mod trace;
