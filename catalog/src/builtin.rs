//! The components that are compiled in.
//!
//! Knows their texts. A component of this list that does not read is a bug that the tests of this
//! crate find.

/// A component's texts: name, component.kdl, compose.yml.tera.
pub(crate) type Texts = (&'static str, &'static str, &'static str);

macro_rules! texts {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../components/", $name, "/component.kdl")),
            include_str!(concat!("../components/", $name, "/compose.yml.tera")),
        )
    };
}

/// Every built-in component.
pub(crate) const ALL: [Texts; 26] = [
    texts!("alertmanager"),
    texts!("alloy"),
    texts!("dcgm-exporter"),
    texts!("forgejo"),
    texts!("grafana"),
    texts!("kafka"),
    texts!("keycloak"),
    texts!("loki"),
    texts!("mariadb"),
    texts!("mongodb"),
    texts!("nats"),
    texts!("nginx"),
    texts!("node-exporter"),
    texts!("ollama"),
    texts!("open-webui"),
    texts!("portainer-agent"),
    texts!("postgres"),
    texts!("prometheus"),
    texts!("qdrant"),
    texts!("rabbitmq"),
    texts!("redis"),
    texts!("registry"),
    texts!("seaweedfs"),
    texts!("traefik"),
    texts!("valkey"),
    texts!("vllm"),
];
