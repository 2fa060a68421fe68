//! Which node a certificate is for.
//!
//! Knows the names in our own certificates. Refuses to check signatures and times: the TLS listener
//! did before it handed the certificate on.

use devnet_schema::name::NodeName;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What a node's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Its name.
    pub name: NodeName,
    /// Given when it joined: lower-case letters, digits and `-`, 1 to 64 of them.
    pub id: String,
}

/// Why a certificate names no node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be parsed.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// It is not for a client, or names no node, or names two.
    #[error("the client certificate is not one of a devnet node")]
    NotANode,
}

impl NodeIdentity {
    /// The name in the certificate: `devnet://node/NAME/ID`.
    pub(super) fn uri(&self) -> String {
        format!("devnet://node/{}/{}", self.name, self.id)
    }

    /// Whether the id is of a form that fits into a certificate.
    pub(super) fn is_valid(&self) -> bool {
        is_id(&self.id)
    }

    fn parse(uri: &str) -> Option<Self> {
        let (name, id) = uri.strip_prefix("devnet://node/")?.split_once('/')?;
        let name = name.parse().ok()?;
        is_id(id).then(|| Self { name, id: id.to_owned() })
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The node that a client certificate (DER), checked by the listener, was issued to.
///
/// # Errors
/// When it is no certificate of a node.
pub fn node_identity(certificate: &[u8]) -> Result<NodeIdentity, IdentityError> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|_| IdentityError::Unreadable)?;
    let for_clients = certificate
        .extended_key_usage()
        .map_err(|_| IdentityError::Unreadable)?
        .is_some_and(|usage| usage.value.client_auth);
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::Unreadable)?
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    match names {
        [GeneralName::URI(uri)] if for_clients => {
            NodeIdentity::parse(uri).ok_or(IdentityError::NotANode)
        }
        _ => Err(IdentityError::NotANode),
    }
}
