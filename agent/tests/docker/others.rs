//! What is somebody else's: the network of another unit, and networks and volumes that devnet has
//! not made.
//!
//! Knows how an engine is tampered with by hand. The scenes are those of `main`'s bench.

use devnet_schema::{
    container::{ExternalNetwork, ExternalVolume, Namespace, SharedNamespace},
    instance::{InstanceSpec, Workload},
};

use super::*;

/// A unit that lives in the network of `owner`.
fn guest(owner: &InstanceSpec) -> InstanceSpec {
    let mut spec = container("guest[0]", "redis:7");
    let Workload::Container(container) = &mut spec.workload else { unreachable!() };
    // On a port of its own: what has one network has one set of ports.
    let words = ["redis-server", "--port", "6380"];
    container.command = Some(words.map(Text::plain).to_vec());
    let namespace = Namespace::Network;
    container.shares =
        vec![SharedNamespace { namespace, with: owner.id.clone(), digest: owner.digest() }];
    spec
}

impl Bench {
    pub async fn what_is_somebody_elses(&self) {
        self.whoever_lives_in_a_network_sees_when_it_is_made_anew().await;
        self.what_is_external_is_joined_and_left_alone().await;
    }

    async fn digest_of(&self, id: &str) -> devnet_schema::digest::Digest {
        self.unit(id).await.unwrap().digest
    }

    async fn whoever_lives_in_a_network_sees_when_it_is_made_anew(&self) {
        println!("the network of another unit");
        let owner = container("owner[0]", "redis:7");
        let spec = guest(&owner);
        self.driver.ensure(job(&owner, 1)).await.unwrap();
        self.driver.ensure(job(&spec, 1)).await.unwrap();
        assert_eq!(self.digest_of("guest[0]").await, spec.digest());
        let argv = ["readlink", "/proc/self/ns/net"].map(str::to_owned);
        let network = async |id: &str| {
            let unit = self.unit(id).await.unwrap();
            self.driver.exec(&unit, &argv).await.unwrap()
        };
        let (code, of_owner) = network("owner[0]").await;
        assert!(code == 0 && of_owner.starts_with("net:["), "{of_owner}");
        assert_eq!(network("guest[0]").await, (0, of_owner));
        docker(&["restart", "devnet-home-owner-0"]);
        assert_ne!(self.digest_of("guest[0]").await, spec.digest(), "it was left behind");
        self.driver.ensure(job(&spec, 2)).await.unwrap();
        assert_eq!(self.digest_of("guest[0]").await, spec.digest());
        // The same unit in another container: the other one's network is gone.
        self.driver.ensure(job(&owner, 2)).await.unwrap();
        assert_ne!(self.digest_of("guest[0]").await, spec.digest());
        for id in ["guest[0]", "owner[0]"] {
            self.driver.remove(&id.parse().unwrap()).await.unwrap();
        }
    }

    async fn what_is_external_is_joined_and_left_alone(&self) {
        println!("networks and volumes that devnet has not made");
        let mut spec = container("joins[0]", "redis:7");
        let Workload::Container(workload) = &mut spec.workload else { unreachable!() };
        let (name, path) = ("films".to_owned(), "/films".to_owned());
        workload.host.volumes = vec![ExternalVolume { name, path, read_only: true }];
        let network = |name: &str| ExternalNetwork {
            name: name.to_owned(),
            aliases: vec!["joins".to_owned()],
            address: None,
        };
        workload.host.networks = vec![network("front"), network("side")];
        let refused = async || self.driver.prepare(job(&spec, 1)).await.unwrap_err().to_string();
        let error = refused().await;
        assert!(error.contains("docker volume create films"), "{error}");
        docker(&["volume", "create", "films"]);
        docker(&["network", "create", "front"]);
        let error = refused().await;
        assert!(error.contains("docker network create side"), "{error}");
        docker(&["network", "create", "side"]);
        self.driver.ensure(job(&spec, 1)).await.unwrap();
        let joined = "{{range $name, $it := .NetworkSettings.Networks}}{{$name}} {{end}}";
        assert_eq!(docker(&["inspect", "-f", joined, "devnet-home-joins-0"]), "front side");
        // The image has a volume of its own beside it.
        let mounted =
            "{{range .Mounts}}{{if eq .Destination \"/films\"}}{{.Name}} {{.RW}}{{end}}{{end}}";
        assert_eq!(docker(&["inspect", "-f", mounted, "devnet-home-joins-0"]), "films false");
        self.driver.remove(&spec.id).await.unwrap();
        docker(&["network", "rm", "front", "side"]);
        docker(&["volume", "rm", "films"]);
    }
}
