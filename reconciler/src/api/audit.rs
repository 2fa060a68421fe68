//! The documents of the audit log, of keys in detail, and of how a control plane runs.
//!
//! Knows their JSON form. Refuses to hold a value of a secret.

use serde::{Deserialize, Serialize};

use crate::time::Time;

use super::{ApiKeyRow, Role};

/// Something that somebody asked for and that changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Up by one with each.
    pub seq: u64,
    /// RFC 3339.
    pub at: Time,
    /// Who: the name of a key, `node.n1`, `anonymous`.
    pub actor: String,
    /// What they may do; absent where it is nobody with a key.
    pub role: Option<Role>,
    /// From which address.
    pub from: String,
    /// The method and the route: `POST /api/v1/plans/{id}/apply`.
    pub action: String,
    /// What it was about: the path.
    pub subject: String,
    /// The HTTP status: below 400 it was done.
    pub outcome: u16,
}

/// A key in `GET /api/v1/apikeys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailedKey {
    /// What it is.
    #[serde(flatten)]
    pub row: ApiKeyRow,
    /// RFC 3339, to the minute; absent where it was never used.
    pub last_used_at: Option<Time>,
    /// RFC 3339; keys of this version do not end by themselves.
    pub expires_at: Option<Time>,
}

/// A setting of the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The flag that sets it: `--poll`.
    pub name: String,
    /// Its value.
    pub value: String,
    /// `flag`, `environment` or `default`.
    pub source: String,
}

/// `GET /api/v1/config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// How it runs.
    pub settings: Vec<Setting>,
    /// Where else to look.
    pub links: Links,
}

/// Other places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// A Grafana.
    pub grafana: Option<String>,
    /// The documentation.
    pub docs: Option<String>,
}
