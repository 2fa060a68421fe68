//! Names: DNS labels, one type for each thing that is named, and the identity of an instance.
//!
//! Knows how a name may look. Refuses to know whether the thing it names exists.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a {kind} name: use 1 to 63 lower-case letters, digits and `-`, \
     beginning and ending with a letter or digit"
)]
pub struct NameError {
    /// What the name was meant for, e.g. `service`.
    pub kind: &'static str,
    /// The refused text, with control characters escaped so that it is safe to print.
    pub text: String,
}

/// Whether a text may be the reference of an image: `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`, at most
/// 512 characters. The grammar is that of the package `reference` of the CNCF's Distribution.
pub fn is_image(text: &str) -> bool {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match named.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((name, tag)) => (name, Some(tag)),
        None => (named, None),
    };
    let path = match name.split_once('/') {
        Some((host, path)) if is_host(host) => path,
        _ => name,
    };
    text.len() <= 512
        && path.split('/').all(is_path_part)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// The first part of a longer name is a host when it could be no part of a path there.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let label = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(plain) && !label.starts_with('-')
    };
    let tells = host.contains('.') || host == "localhost" || port.is_some();
    tells
        && host.split('.').all(label)
        && port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok())
}

/// Lower-case letters and digits with `.`, `_`, `__` or any number of `-` between them.
fn is_path_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let between =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|b| b == b'-');
    part.starts_with(plain) && part.ends_with(plain) && part.split(plain).all(between)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+._-".contains(c);
        algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
            && algorithm.chars().all(plain)
            && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// Whether `text` is a DNS label: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$` (RFC 1123 §2.1).
pub fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&bytes.len())
        && edge(bytes[0])
        && edge(bytes[bytes.len() - 1])
        && bytes.iter().all(|&b| edge(b) || b == b'-')
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            /// # Errors
            /// When `text` is not a DNS label.
            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_label(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { kind: $kind, text: text.escape_debug().to_string() })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

label!(
    /// A cluster: what one control plane looks after.
    ClusterName, "cluster");
label!(
    /// A node: one machine with an agent.
    NodeName, "node");
label!(
    /// A service: what the cluster file declares; it has one or more instances.
    ServiceName, "service");
label!(
    /// A secret: a value that only its name and version are ever shown of.
    SecretName, "secret");

/// One instance of a service: `db[0]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    /// The service it belongs to.
    pub service: ServiceName,
    /// Its number, from 0.
    pub index: u32,
}

impl InstanceId {
    /// The form without brackets, for container names and file names: `db-0`.
    pub fn slug(&self) -> String {
        format!("{}-{}", self.service, self.index)
    }

    /// The address people type: `service.db[0]`.
    pub fn address(&self) -> String {
        format!("service.{self}")
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}[{}]", self.service, self.index))
    }
}

/// Why a text is not an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an instance: write `service[index]` or `service-index`, for example `db[0]`")]
pub struct InstanceIdError(pub String);

impl FromStr for InstanceId {
    type Err = InstanceIdError;

    /// Reads `db[0]`, `db-0` and `service.db[0]`.
    ///
    /// # Errors
    /// When the text has none of these forms.
    fn from_str(text: &str) -> Result<Self, InstanceIdError> {
        let error = || InstanceIdError(text.escape_debug().to_string());
        let body = text.strip_prefix("service.").unwrap_or(text);
        let (service, index) = match body.strip_suffix(']') {
            Some(open) => open.split_once('[').ok_or_else(error)?,
            None => body.rsplit_once('-').ok_or_else(error)?,
        };
        Ok(Self {
            service: service.parse().map_err(|_| error())?,
            index: index.parse().map_err(|_| error())?,
        })
    }
}

impl TryFrom<String> for InstanceId {
    type Error = InstanceIdError;

    fn try_from(text: String) -> Result<Self, InstanceIdError> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_dns_labels() {
        for good in ["a", "db", "a-b", "0", &"x".repeat(63)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a\u{202e}b", &"x".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
    }

    #[test]
    fn instances_read_back_what_they_print() {
        let id: InstanceId = "service.my-db[12]".parse().unwrap();
        assert_eq!(id.to_string(), "my-db[12]");
        assert_eq!(id.slug().parse::<InstanceId>().unwrap(), id);
        assert_eq!(id.to_string().parse::<InstanceId>().unwrap(), id);
        assert!("db".parse::<InstanceId>().is_err());
        assert!("db[x]".parse::<InstanceId>().is_err());
    }
}
