//! The control plane and the command line of devnet.
//!
//! A house with storeys, and imports go downward only: faces (`cli`, `http`, `view`) speak to
//! people; the loop (`cycle`, `apply`) knows time; adapters (`source`, `store`, `fleet`, `secrets`,
//! `auth`) know the world and not each other. `app` alone wires them, `config` alone reads the
//! environment, `clock` the time, which all hold as `time` has it, and `random` gives randomness;
//! `api` holds the documents that the faces share. Thought lives in `devnet-planner`.

pub mod api;
pub mod app;
pub mod apply;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cycle;
pub mod fleet;
pub mod http;
pub mod random;
pub mod secrets;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod view;
