//! How solving is watched and stopped from outside.
//!
//! Knows what is told and what may be answered. Refuses to know a clock: who asks has one.

use std::time::Duration;

/// What is known at one moment of solving.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Placed at each level by the best placement so far, highest priority first.
    pub placed: &'a [u32],
    /// Integer programs solved so far.
    pub ilps: u32,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As long as the limits of the problem allow: the same answer everywhere.
    Free,
    /// At most so long. Integer programs are told to end in time; the answer may depend on the
    /// machine.
    Within(Duration),
    /// Not any more: the best placement so far is the answer.
    Stop,
}

/// Asked again and again while solving.
pub type Watch<'w> = &'w mut dyn FnMut(&Progress<'_>) -> Pace;
