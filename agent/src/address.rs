//! Where the control plane is: `https://HOST:PORT`, and nothing else in it.
//!
//! Knows the text form, and why one cannot be reached. Refuses to resolve names.

use std::{fmt, io, str::FromStr};

use serde::{Deserialize, Serialize};

/// The port that is meant when none is written.
const DEFAULT_PORT: u16 = 443;

/// The address of a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddress {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is no address of a control plane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the address of a control plane: write `https://HOST:PORT`")]
pub struct AddressError(String);

impl ServerAddress {
    /// Host and port as they stand in a URL.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    /// # Errors
    /// When the scheme is not https, the host is missing, or anything follows the port.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.escape_debug().to_string());
        let rest = text.strip_prefix("https://").ok_or_else(error)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, tail) = inner.split_once(']').ok_or_else(error)?;
                (host, tail.strip_prefix(':'))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let clean = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(&b));
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(error)?,
            None => DEFAULT_PORT,
        };
        clean.then(|| Self { host: host.to_owned(), port }).ok_or_else(error)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl TryFrom<String> for ServerAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<ServerAddress> for String {
    fn from(address: ServerAddress) -> String {
        address.to_string()
    }
}

/// Why an address cannot be reached, in words of ours where they are better than the system's.
pub fn unreachable(error: &io::Error) -> String {
    let told = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there",
        io::ErrorKind::TimedOut => "no answer in time",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "there is no way to that network from here"
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            "the connection was closed before an answer came"
        }
        _ if error.to_string().contains("failed to lookup address") => {
            "its name is not known to DNS or /etc/hosts here"
        }
        _ => return error.to_string(),
    };
    told.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_what_they_print() {
        for (text, printed) in [
            ("https://cp:8443", "https://cp:8443"),
            ("https://10.0.0.1:8443/", "https://10.0.0.1:8443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://cp.lan", "https://cp.lan:443"),
        ] {
            assert_eq!(text.parse::<ServerAddress>().unwrap().to_string(), printed);
        }
        for bad in [
            "",
            "cp:1",
            "http://cp:1",
            "https://",
            "https://a:0",
            "https://u@h:1",
            "https://h:1/path",
            "https://h:x",
            "https://[::1",
        ] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad}");
        }
    }
}
