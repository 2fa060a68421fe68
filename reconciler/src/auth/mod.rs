//! Who someone is and what they may do: the certificate authority, tokens and keys, the listener's
//! TLS, and the one table of routes and rights.
//!
//! Knows cryptography and roles. Refuses to know the store (hashes are arguments), HTTP frameworks,
//! clocks and randomness: both are arguments, except that private keys come from `ring`'s own
//! source of randomness.

mod access;
mod authority;
mod dates;
mod identity;
mod joined;
mod key_file;
mod list_file;
mod revoked;
mod session;
mod tls;
mod token;

pub use access::{Access, Denied, ROUTES, Route, authorise, route_of};
pub use authority::{
    Authority, AuthorityError, CA_LIFE, Fingerprint, NODE_LIFE, SERVER_LIFE, ServerIdentity,
    SignedNode,
};
pub use dates::{Misdated, Refusals};
pub use identity::{IdentityError, NodeIdentity, node_identity};
pub use joined::Joined;
pub use list_file::ListError;
pub use revoked::Revoked;
pub use session::{
    CODE_LIFE, COOKIE, LoginCode, SESSION_LIFE, SessionToken, no_cookie, session_end,
};
pub use tls::{TlsError, server_config};
pub use token::{ApiKey, JoinToken, TokenError, matches};

use devnet_schema::name::NodeName;

use crate::api::Role;

/// Who a request comes from, once its certificate or key was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Nobody known.
    Anonymous,
    /// The holder of an API key.
    Key {
        /// The key's public part.
        id: String,
        /// What the key is for.
        name: String,
        /// What it may do.
        role: Role,
    },
    /// An agent with a certificate of ours.
    Node {
        /// Its name.
        name: NodeName,
        /// Given when it joined.
        id: String,
    },
}

impl Principal {
    /// The word for records: `anonymous`, the key's name, `node.n1`.
    pub fn label(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Key { name, .. } => name.clone(),
            Self::Node { name, .. } => format!("node.{name}"),
        }
    }
}
