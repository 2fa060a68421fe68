//! Whether ports are free, found out by binding them for a moment.
//!
//! Knows addresses and the system's answers. Refuses to know which unit should have a port.

use std::{
    collections::BTreeSet,
    io,
    net::{TcpListener, UdpSocket},
};

use devnet_schema::instance::{InstanceSpec, PortSpec, Protocol};

use super::{DriverError, Unit};

/// Host ports, by number and protocol.
pub type Held = BTreeSet<(u16, Protocol)>;

/// The host ports of these units.
pub fn held_by<'a>(units: impl IntoIterator<Item = &'a Unit>) -> Held {
    units
        .into_iter()
        .filter_map(|unit| unit.spec.as_ref())
        .flat_map(|spec| spec.ports.iter().map(|port| (port.host, port.protocol)))
        .collect()
}

/// Checks that every port of the unit that is not in `ours` can be bound. `privileged` says that
/// whoever binds it may have ports that this process may not, as a container engine's daemon.
///
/// # Errors
/// When one is taken, names the address and what to do.
pub fn check(spec: &InstanceSpec, ours: &Held, privileged: bool) -> Result<(), DriverError> {
    spec.ports.iter().filter(|port| !ours.contains(&(port.host, port.protocol))).try_for_each(
        |port| match bind(port) {
            Err(error) if privileged && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(explain(port, &error)),
            Ok(()) => Ok(()),
        },
    )
}

fn bind(port: &PortSpec) -> io::Result<()> {
    let address = (port.bind.as_str(), port.host);
    match port.protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
    }
}

fn explain(port: &PortSpec, error: &io::Error) -> DriverError {
    let act = format!("port {} on {} cannot be used", port.host, port.bind);
    let next = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that has it, or give the service another host port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "the address is not one of this machine; start the agent with the right `--ip`"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need an agent that runs as root; or give the service a higher one"
        }
        _ => "give the service another host port or address",
    };
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "another program has it".to_owned(),
        _ => error.to_string(),
    };
    DriverError::failed(act, reason, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_taken_port_is_named_unless_it_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut spec = sample::process(&["a"]);
        spec.ports = vec![sample::port(port, port, "127.0.0.1")];
        let error = check(&spec, &Held::new(), false).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} on 127.0.0.1")), "{error}");
        assert!(error.contains("another program"), "{error}");
        check(&spec, &Held::from([(port, Protocol::Tcp)]), false).unwrap();
        drop(listener);
        check(&spec, &Held::new(), false).unwrap();
        spec.ports[0].bind = "192.0.2.1".into();
        let error = check(&spec, &Held::new(), false).unwrap_err().to_string();
        assert!(error.contains("--ip"), "{error}");
    }
}
