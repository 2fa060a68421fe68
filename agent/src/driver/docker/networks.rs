//! Networks of Compose files: one bridge of the engine for each, shared by the containers of the
//! file on this node.
//!
//! Knows their names, labels and how a container joins. Refuses to touch a network without this
//! cluster's and this node's labels.

use std::collections::HashMap;

use bollard::{
    errors::Error,
    models::{
        EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest,
        NetworkCreateRequest, NetworkingConfig,
    },
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder},
};
use devnet_schema::{
    container::NetworkSpec,
    instance::{InstanceSpec, Workload},
    name::ClusterName,
};

use super::{
    create::label,
    engine::{Engine, explain, words},
};
use crate::{
    driver::{DriverError, Job, Owner},
    secrets::Values,
};

/// The engine's name of a network. A dot is in no name of ours, so that it means one thing.
pub fn name(cluster: &ClusterName, network: &NetworkSpec) -> String {
    format!("devnet-{cluster}-{}.{}", network.project, network.name)
}

fn of(spec: &InstanceSpec) -> &[NetworkSpec] {
    match &spec.workload {
        Workload::Container(container) => &container.networks,
        Workload::Process { .. } => &[],
    }
}

/// The network that a container is created in; the others are joined before it starts, because
/// older engines take only one.
pub fn first(spec: &InstanceSpec) -> Option<NetworkingConfig> {
    let network = of(spec).first()?;
    let endpoints = HashMap::from([(name(&spec.cluster, network), endpoint(network))]);
    Some(NetworkingConfig { endpoints_config: Some(endpoints) })
}

fn endpoint(network: &NetworkSpec) -> EndpointSettings {
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

/// Makes the networks of a job that are not there.
///
/// # Errors
/// When the engine does not.
pub async fn make(engine: &Engine, job: &Job) -> Result<(), DriverError> {
    let spec = &job.spec;
    for network in of(spec) {
        let name = name(&spec.cluster, network);
        // One that is there already is left as it is.
        if engine.client.inspect_network(&name, None::<InspectNetworkOptions>).await.is_ok() {
            continue;
        }
        match engine.client.create_network(request(spec, network, &name)).await {
            // Another unit of the same file made it meanwhile.
            Ok(_) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => {}
            Err(error) => {
                let act = format!("network {name} cannot be created");
                return Err(explain(act, &error, &Values::default()));
            }
        }
    }
    Ok(())
}

fn request(spec: &InstanceSpec, network: &NetworkSpec, name: &str) -> NetworkCreateRequest {
    let labels = HashMap::from([
        (label::CLUSTER.to_owned(), spec.cluster.to_string()),
        (label::NODE.to_owned(), spec.node.to_string()),
        (label::PROJECT.to_owned(), network.project.to_string()),
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

/// Joins a container that was not started yet to its further networks.
///
/// # Errors
/// When the engine does not.
pub async fn join(engine: &Engine, spec: &InstanceSpec, container: &str) -> Result<(), Error> {
    for network in of(spec).iter().skip(1) {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint(network)),
        };
        engine.client.connect_network(&name(&spec.cluster, network), request).await?;
    }
    Ok(())
}

/// Removes networks of ours that no container is in. What stays behind harms nobody: the next
/// removal tries again.
pub async fn sweep(engine: &Engine, owner: &Owner) {
    let labels = vec![
        format!("{}={}", label::CLUSTER, owner.cluster),
        format!("{}={}", label::NODE, owner.node),
        label::PROJECT.to_owned(),
    ];
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let Ok(networks) = engine.client.list_networks(Some(options)).await else { return };
    for name in networks.into_iter().filter_map(|network| network.name) {
        if let Err(error) = engine.client.remove_network(&name).await {
            // Most often a container is in it still.
            tracing::debug!(network = %name, error = %words(&error), "a network stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use devnet_schema::instance::ContainerSpec;

    use super::*;
    use crate::sample;

    #[test]
    fn a_container_is_created_in_its_first_network_with_its_names() {
        let network = NetworkSpec {
            project: "shop".parse().unwrap(),
            name: "back_end".into(),
            aliases: vec!["db".into()],
            internal: true,
            subnet: Some("172.28.0.0/16".into()),
            gateway: None,
            address: Some("172.28.0.9".into()),
        };
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
}
