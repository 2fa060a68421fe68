//! Networks of Compose files: one bridge of the engine for each, shared by the containers of the
//! file on this node.
//!
//! Knows their names, labels, what is declared of them and how a container joins. Refuses to change
//! anything: `bridges` does.

use std::collections::HashMap;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, Network, NetworkCreateRequest,
    NetworkingConfig,
};
use devnet_schema::{
    container::{ExternalNetwork, NetworkSpec},
    instance::{InstanceSpec, Workload},
    name::ClusterName,
};
use serde::{Deserialize, Serialize};

use super::create::label;

/// The engine's name of a network. A dot is in no name of ours, so that it means one thing.
pub(super) fn name(cluster: &ClusterName, network: &NetworkSpec) -> String {
    format!("devnet-{cluster}-{}.{}", network.project, network.name)
}

/// The networks that a unit joins.
pub(super) fn of(spec: &InstanceSpec) -> &[NetworkSpec] {
    match &spec.workload {
        Workload::Container(container) => &container.networks,
        Workload::Process { .. } => &[],
    }
}

/// The network that a container is created in; the others are joined before it starts, because
/// older engines take only one. By name and not by id: at every start the engine looks for the name
/// again, and a network that was made anew has another id.
pub(super) fn first(spec: &InstanceSpec) -> Option<NetworkingConfig> {
    let own = of(spec).first().map(|network| (name(&spec.cluster, network), endpoint(network)));
    let external = || external(spec).first().map(|one| (one.name.clone(), guest(one)));
    let endpoints = HashMap::from([own.or_else(external)?]);
    Some(NetworkingConfig { endpoints_config: Some(endpoints) })
}

/// The networks that a unit joins and devnet has not made.
pub(super) fn external(spec: &InstanceSpec) -> &[ExternalNetwork] {
    match &spec.workload {
        Workload::Container(container) => &container.host.networks,
        Workload::Process { .. } => &[],
    }
}

/// How a container is in one of these.
pub(super) fn guest(network: &ExternalNetwork) -> EndpointSettings {
    let address = |address: &String| EndpointIpamConfig {
        ipv4_address: Some(address.clone()),
        ..EndpointIpamConfig::default()
    };
    EndpointSettings {
        aliases: Some(network.aliases.clone()),
        ipam_config: network.address.as_ref().map(address),
        ..EndpointSettings::default()
    }
}

/// How a container is in one of its networks.
pub(super) fn endpoint(network: &NetworkSpec) -> EndpointSettings {
    let address = |address: &String| EndpointIpamConfig {
        ipv4_address: Some(address.clone()),
        ..EndpointIpamConfig::default()
    };
    EndpointSettings {
        aliases: Some(network.aliases.clone()),
        ipam_config: network.address.as_ref().map(address),
        ..EndpointSettings::default()
    }
}

/// What is declared of a network, and not of a container in it. Its label keeps it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Shape {
    internal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

impl Shape {
    fn of(network: &NetworkSpec) -> Self {
        // Named in full: what is forgotten here is never compared.
        let NetworkSpec { project: _, name: _, aliases: _, internal, subnet, gateway, address: _ } =
            network;
        Self { internal: *internal, subnet: subnet.clone(), gateway: gateway.clone() }
    }

    /// What a network is. Without a label (earlier versions wrote none) it is taken to have been
    /// made as `declared`, as far as that can be seen.
    fn seen(network: &Network, declared: &NetworkSpec) -> Self {
        let label = network.labels.as_ref().and_then(|labels| labels.get(label::SHAPE));
        let label = label.and_then(|text| serde_json::from_str(text).ok());
        let made: Self = label.unwrap_or_else(|| Self::of(declared));
        let Some(subnet) = made.subnet else {
            return Self { internal: network.internal.unwrap_or(false), ..made };
        };
        let ranges = ranges(network);
        let there =
            |range: &&IpamConfig| range.subnet.as_deref().is_some_and(|it| same(it, &subnet));
        let range = ranges.iter().find(there);
        let other = range.or(ranges.first()).cloned().unwrap_or_default();
        Self {
            internal: network.internal.unwrap_or(false),
            subnet: if range.is_some() { Some(subnet) } else { other.subnet },
            gateway: made.gateway.and(other.gateway),
        }
    }
}

fn ranges(network: &Network) -> &[IpamConfig] {
    network.ipam.as_ref().and_then(|ipam| ipam.config.as_deref()).unwrap_or_default()
}

/// A network of a unit with what the engine has of it in place of what was declared.
pub(super) fn as_it_is(declared: &NetworkSpec, seen: &Network) -> NetworkSpec {
    let Shape { internal, subnet, gateway } = Shape::seen(seen, declared);
    NetworkSpec { internal, subnet, gateway, ..declared.clone() }
}

/// What of a network is not as declared, as a clause; `None` when all is.
pub(super) fn difference(wanted: &NetworkSpec, seen: &Network) -> Option<String> {
    let (has, wants) = (Shape::seen(seen, wanted), Shape::of(wanted));
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "the engine's".to_owned());
    if has.internal != wants.internal {
        return Some(format!("`internal` is {}, not {}", has.internal, wants.internal));
    }
    if has.subnet != wants.subnet {
        return Some(format!("its range is {}, not {}", word(&has.subnet), word(&wants.subnet)));
    }
    if has.gateway != wants.gateway {
        return Some(format!(
            "its gateway is {}, not {}",
            word(&has.gateway),
            word(&wants.gateway)
        ));
    }
    // Named in full, like above. Of options and IPv6 nothing can be declared; what they are is the
    // engine's own setting.
    let Network {
        name: _,
        id: _,
        created: _,
        scope,
        driver,
        enable_ipv4: _,
        enable_ipv6: _,
        ipam: _,
        internal: _,
        attachable,
        ingress,
        config_from: _,
        config_only,
        options: _,
        labels: _,
        peers: _,
    } = seen;
    let is = |flag: &Option<bool>| flag.unwrap_or(false);
    let narrowed = ranges(seen).iter().any(|range| {
        let IpamConfig { subnet: _, ip_range, gateway: _, auxiliary_addresses } = range;
        ip_range.as_deref().is_some_and(|range| !range.is_empty())
            || auxiliary_addresses.as_ref().is_some_and(|all| !all.is_empty())
    });
    let foreign = [
        ("driver", driver.as_deref().is_some_and(|driver| driver != "bridge")),
        ("scope", scope.as_deref().is_some_and(|scope| !matches!(scope, "local" | ""))),
        ("attachable", is(attachable)),
        ("ingress", is(ingress)),
        ("config_only", is(config_only)),
        ("ipam", wanted.subnet.is_some() && (narrowed || ranges(seen).len() > 1)),
    ];
    let (field, _) = foreign.iter().find(|(_, differs)| *differs)?;
    Some(format!("its `{field}` is not what devnet makes"))
}

/// Whether two texts are one range: engines print the first address of it, whatever was written.
fn same(one: &str, other: &str) -> bool {
    use std::net::IpAddr;
    let read = |text: &str| {
        let (address, bits) = text.split_once('/')?;
        let bits: u32 = bits.parse().ok()?;
        let base = match address.parse().ok()? {
            IpAddr::V4(it) => {
                u128::from(u32::from(it).checked_shr(32u32.checked_sub(bits)?).unwrap_or(0))
            }
            IpAddr::V6(it) => u128::from(it).checked_shr(128u32.checked_sub(bits)?).unwrap_or(0),
        };
        Some((base, bits))
    };
    one == other || read(one).is_some_and(|range| Some(range) == read(other))
}

/// What the engine is asked to make.
pub(super) fn request(
    spec: &InstanceSpec,
    network: &NetworkSpec,
    name: &str,
) -> NetworkCreateRequest {
    let labels = HashMap::from([
        (label::CLUSTER.to_owned(), spec.cluster.to_string()),
        (label::NODE.to_owned(), spec.node.to_string()),
        (label::PROJECT.to_owned(), network.project.to_string()),
        // Two texts and a flag can always be written.
        (label::SHAPE.to_owned(), serde_json::to_string(&Shape::of(network)).unwrap_or_default()),
    ]);
    let range = network.subnet.as_ref().map(|subnet| Ipam {
        config: Some(vec![IpamConfig {
            subnet: Some(subnet.clone()),
            gateway: network.gateway.clone(),
            ..IpamConfig::default()
        }]),
        ..Ipam::default()
    });
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        internal: network.internal.then_some(true),
        ipam: range,
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    }
}

/// What the engine is asked to make to have a network again as it was.
pub(super) fn again(seen: &Network) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: seen.name.clone().unwrap_or_default(),
        driver: seen.driver.clone(),
        internal: seen.internal,
        ipam: seen.ipam.clone(),
        enable_ipv6: seen.enable_ipv6,
        options: seen.options.clone(),
        labels: seen.labels.clone(),
        ..NetworkCreateRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use devnet_schema::instance::ContainerSpec;

    use super::*;
    use crate::sample;

    fn network() -> NetworkSpec {
        NetworkSpec {
            project: "shop".parse().unwrap(),
            name: "back_end".into(),
            aliases: vec!["db".into()],
            internal: true,
            subnet: Some("172.28.0.0/16".into()),
            gateway: None,
            address: Some("172.28.0.9".into()),
        }
    }

    /// What an engine lists of a network that was made as wanted.
    fn made(wanted: &NetworkSpec) -> Network {
        let request = request(&sample::process(&[]), wanted, "n");
        Network {
            name: Some("n".into()),
            scope: Some("local".into()),
            driver: request.driver,
            internal: request.internal,
            ipam: request.ipam,
            labels: request.labels,
            options: Some(HashMap::from([("com.docker.network.driver.mtu".into(), "1400".into())])),
            ..Network::default()
        }
    }

    #[test]
    fn a_container_is_created_in_its_first_network_with_its_names() {
        let network = network();
        let mut spec = sample::process(&[]);
        assert_eq!(first(&spec), None);
        let networks = vec![network.clone()];
        let container = ContainerSpec { networks, ..ContainerSpec::default() };
        spec.workload = Workload::Container(container);
        let name = name(&spec.cluster, &network);
        assert_eq!(name, "devnet-home-shop.back_end");
        let endpoints = first(&spec).unwrap().endpoints_config.unwrap();
        assert_eq!(endpoints[&name].aliases, Some(vec!["db".to_owned()]));
        let address = endpoints[&name].ipam_config.as_ref().unwrap().ipv4_address.as_deref();
        assert_eq!(address, Some("172.28.0.9"));
        let request = request(&spec, &network, &name);
        assert_eq!(request.internal, Some(true));
        let ranges = request.ipam.unwrap().config.unwrap();
        assert_eq!(ranges[0].subnet.as_deref(), Some("172.28.0.0/16"));
        assert_eq!(request.labels.unwrap()[label::PROJECT], "shop");
    }

    #[test]
    fn every_declared_field_is_compared_and_what_the_engine_adds_is_not() {
        let wanted = network();
        assert_eq!(difference(&wanted, &made(&wanted)), None);
        let others = [
            NetworkSpec { internal: false, ..network() },
            NetworkSpec { subnet: Some("172.28.0.0/24".into()), ..network() },
            NetworkSpec { subnet: None, ..network() },
            NetworkSpec { gateway: Some("172.28.0.1".into()), ..network() },
        ];
        for other in &others {
            assert!(difference(other, &made(&wanted)).is_some(), "{other:?}");
            assert!(difference(&wanted, &made(other)).is_some(), "{other:?}");
            assert_eq!(as_it_is(&wanted, &made(other)), *other);
        }
        let elsewhere = NetworkSpec { aliases: vec![], address: None, ..network() };
        assert_eq!(difference(&elsewhere, &made(&wanted)), None, "a container's own business");
        let written = NetworkSpec { subnet: Some("172.28.7.1/16".into()), ..network() };
        let mut unlabelled = made(&wanted);
        unlabelled.labels = None;
        assert_eq!(difference(&written, &unlabelled), None, "the same range in other words");
        let mut overlay = made(&wanted);
        overlay.driver = Some("overlay".into());
        assert!(difference(&wanted, &overlay).unwrap().contains("`driver`"));
    }

    #[test]
    fn a_network_of_an_earlier_version_has_no_label_and_is_compared_by_what_it_is() {
        let wanted = network();
        let mut old = made(&wanted);
        old.labels.as_mut().unwrap().remove(label::SHAPE);
        assert_eq!(difference(&wanted, &old), None);
        old.internal = Some(false);
        assert_eq!(difference(&wanted, &old).unwrap(), "`internal` is false, not true");
    }
}
