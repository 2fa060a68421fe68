//! Who a service of a problem is, and who an instance of it.
//!
//! Knows what a file declares from one running instance that keeps what it has. Refuses to know
//! which instances those are: `search::retention` decides.
//!
//! A retained instance is a service of its own beside the one that it is of: `db` asks for what the
//! file says, and `db[0]` for what it runs with. Both sort as their texts do, so that the order of
//! a problem, and with it every placement, does not depend on what is retained.

use std::{cmp::Ordering, fmt};

use devnet_schema::name::{InstanceId, ServiceName};

/// A service of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKey {
    /// One that a file declares.
    Declared(ServiceName),
    /// One running instance that keeps what it has.
    Retained(InstanceId),
}

impl ServiceKey {
    /// The service that a file declares: of a retained instance the one that it is of.
    pub fn declared(&self) -> &ServiceName {
        match self {
            Self::Declared(name) => name,
            Self::Retained(id) => &id.service,
        }
    }

    /// The instance that is retained; nothing for what a file declares.
    pub fn retained(&self) -> Option<&InstanceId> {
        match self {
            Self::Declared(_) => None,
            Self::Retained(id) => Some(id),
        }
    }

    /// Whether it is one running instance that keeps what it has.
    pub fn is_retained(&self) -> bool {
        self.retained().is_some()
    }

    /// Its text, byte by byte: `db`, `db[0]`.
    fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        // The longest index has ten digits.
        let (mut digits, mut from) = ([0; 12], 12);
        if let Self::Retained(InstanceId { index, .. }) = self {
            let mut left = *index;
            digits[11] = b']';
            from = 11;
            while from == 11 || left > 0 {
                from -= 1;
                digits[from] = b'0' + (left % 10) as u8;
                left /= 10;
            }
            from -= 1;
            digits[from] = b'[';
        }
        self.declared().as_str().bytes().chain(digits.into_iter().skip(from))
    }
}

impl Ord for ServiceKey {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Declared(one), Self::Declared(another)) => one.cmp(another),
            _ => self.bytes().cmp(other.bytes()),
        }
    }
}

impl PartialOrd for ServiceKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared(name) => name.fmt(f),
            Self::Retained(id) => id.fmt(f),
        }
    }
}

impl From<ServiceName> for ServiceKey {
    fn from(name: ServiceName) -> Self {
        Self::Declared(name)
    }
}

/// Whether it is the service that a file declares under that name.
impl PartialEq<ServiceName> for ServiceKey {
    fn eq(&self, name: &ServiceName) -> bool {
        matches!(self, Self::Declared(own) if own == name)
    }
}

impl PartialEq<ServiceKey> for ServiceName {
    fn eq(&self, key: &ServiceKey) -> bool {
        key == self
    }
}

/// An instance of a service of a problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceKey {
    /// The service; a retained one has this one instance.
    pub service: ServiceKey,
    /// Its number there, from 0: of a retained one 0, and not the number that people know.
    pub index: u32,
}

impl InstanceKey {
    /// An instance that is placed as it is declared.
    pub fn declared(id: InstanceId) -> Self {
        Self { service: ServiceKey::Declared(id.service), index: id.index }
    }

    /// An instance that keeps what it has.
    pub fn retained(id: InstanceId) -> Self {
        Self { service: ServiceKey::Retained(id), index: 0 }
    }

    /// The instance that people know.
    pub fn instance(&self) -> InstanceId {
        self.clone().into_instance()
    }

    /// The same.
    pub fn into_instance(self) -> InstanceId {
        match self.service {
            ServiceKey::Declared(service) => InstanceId { service, index: self.index },
            ServiceKey::Retained(id) => id,
        }
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.instance().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str) -> ServiceKey {
        ServiceKey::Declared(name.parse().unwrap())
    }

    fn retained(name: &str, index: u32) -> ServiceKey {
        ServiceKey::Retained(InstanceId { service: name.parse().unwrap(), index })
    }

    #[test]
    fn keys_sort_as_their_texts_do() {
        let names = ["a", "db", "db-x", "db0", "dba", "e"];
        let indices = [0, 1, 2, 9, 10, 11, 99, 100, 4_000_000_000, u32::MAX];
        let mut keys: Vec<ServiceKey> = names.into_iter().map(declared).collect();
        keys.extend(names.iter().flat_map(|name| indices.map(|index| retained(name, index))));
        for one in &keys {
            for another in &keys {
                let texts = one.to_string().cmp(&another.to_string());
                assert_eq!(one.cmp(another), texts, "{one} and {another}");
                assert_eq!(one == another, texts.is_eq(), "{one} and {another}");
            }
        }
    }

    #[test]
    fn a_retained_instance_is_of_its_service_and_is_not_it() {
        let (db, one) = (declared("db"), retained("db", 1));
        let name: ServiceName = "db".parse().unwrap();
        assert_eq!((db.declared(), one.declared()), (&name, &name));
        assert!(db == name && one != name && !db.is_retained() && one.is_retained());
        let key = InstanceKey::retained("db[1]".parse().unwrap());
        assert_eq!((key.instance().to_string().as_str(), key.index), ("db[1]", 0));
        let key = InstanceKey::declared("db[1]".parse().unwrap());
        assert_eq!((key.to_string().as_str(), key.index), ("db[1]", 1));
    }
}
