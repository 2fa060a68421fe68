//! Services that wait for another one, and which.
//!
//! Knows how such a line of services ends. Refuses to know what the first of them waits for.

use std::collections::BTreeMap;

use devnet_schema::name::ServiceName;

/// Services that wait, each with the one that it waits for. One that is disputed waits for itself.
pub(crate) type Blocked = BTreeMap<ServiceName, ServiceName>;

/// Whether a service waits for the end of a dispute, its own or that of another.
pub(crate) fn is_held(blocked: &Blocked, service: &ServiceName) -> bool {
    let mut name = service;
    for _ in 0..=blocked.len() {
        match blocked.get(name) {
            Some(missing) if missing == name => return true,
            Some(missing) => name = missing,
            None => return false,
        }
    }
    false
}
