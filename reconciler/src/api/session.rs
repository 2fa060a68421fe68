//! The documents of sessions, and what is said of a control plane before anybody is known.
//!
//! Knows their JSON form. Refuses to hold what a browser holds: that goes by a cookie.

use devnet_schema::secret::InTransit;
use serde::{Deserialize, Serialize};

use crate::time::Time;

use super::Role;

/// `GET /api/v1/about`: what anybody may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Of devnet.
    pub version: String,
    /// What the cluster is called; absent before its first configuration.
    pub cluster: Option<String>,
    /// How one can log in: `key`, `code`.
    pub login: Vec<String>,
}

/// Body of `POST /api/v1/session`: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginRequest {
    /// An API key.
    pub key: Option<InTransit>,
    /// A one-time code, as `devnet ui` prints it.
    pub code: Option<InTransit>,
}

/// A session, as its own page sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose: the name of the key.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// RFC 3339; when it ends unless it is used, and twelve hours after its login in any case.
    pub expires_at: Time,
    /// To be sent as `X-Devnet-CSRF` with whatever changes something.
    pub csrf: String,
}

/// A session in the list of an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// The public part.
    pub id: String,
    /// Whose: the name of the key.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The address that it was begun from.
    pub from: String,
    /// RFC 3339.
    pub created_at: Time,
    /// RFC 3339, to the minute.
    pub seen_at: Time,
    /// RFC 3339.
    pub expires_at: Time,
}

/// Answer of `POST /api/v1/session/codes`: the only time the code is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLoginCode {
    /// The code.
    pub code: InTransit,
    /// RFC 3339.
    pub expires_at: Time,
}
