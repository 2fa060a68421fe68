//! What units share on an engine, and whose it is: networks, volumes, names.
//!
//! Knows how an engine is tampered with by hand. The scenes are those of `main`'s bench.

use std::collections::BTreeSet;

use devnet_schema::{
    container::NetworkSpec,
    instance::{InstanceSpec, VolumeSpec, Workload},
};
use futures_util::future::join_all;

use super::*;

const BACK: &str = "devnet-home-shop.back";

/// A unit of the project `shop`, in its network `back`.
fn member(id: &str, image: &str, network: &NetworkSpec) -> InstanceSpec {
    let mut spec = container(id, image);
    let Workload::Container(workload) = &mut spec.workload else { unreachable!() };
    let alias = id.split('[').next().unwrap().to_owned();
    workload.networks = vec![NetworkSpec { aliases: vec![alias], ..network.clone() }];
    spec
}

fn back() -> NetworkSpec {
    NetworkSpec {
        project: "shop".parse().unwrap(),
        name: "back".into(),
        aliases: vec![],
        internal: false,
        subnet: None,
        gateway: None,
        address: None,
    }
}

fn volume(name: &str) -> VolumeSpec {
    let (name, path) = (name.to_owned(), format!("/{name}"));
    VolumeSpec { name, path, data_of: None, project: None, read_only: false }
}

/// What the engine prints of a network.
fn of_network(format: &str) -> String {
    docker(&["network", "inspect", "-f", format, BACK])
}

/// Every network of that name.
fn networks() -> usize {
    let names = docker(&["network", "ls", "--format", "{{.Name}}"]);
    names.lines().filter(|name| *name == BACK).count()
}

/// Makes a network as engines before Docker 25 let several have one name.
fn network_again(socket: &str) {
    let labels = r#""devnet.cluster":"home","devnet.node":"n1","devnet.project":"shop""#;
    let body = format!(r#"{{"Name":"{BACK}","Labels":{{{labels}}}}}"#);
    let made = Command::new("curl")
        .args(["-sf", "--unix-socket", socket, "-H", "content-type: application/json"])
        .args(["-d", &body, "-o", "/dev/null", "http://engine/networks/create"])
        .status()
        .unwrap();
    assert!(made.success(), "the engine makes a second network of one name");
}

impl Bench {
    pub async fn what_units_share(&self) {
        self.one_network_is_made_for_all_who_share_it().await;
        self.a_network_that_is_declared_otherwise_is_made_anew().await;
        self.who_cannot_be_carried_over_is_named_and_seen().await;
        self.a_network_that_cannot_be_had_leaves_the_old_one().await;
        self.a_network_that_was_removed_comes_back().await;
        for id in ["one[0]", "two[0]"] {
            self.driver.remove(&id.parse().unwrap()).await.unwrap();
        }
        assert_eq!(networks(), 0, "nobody is in it any more");
        self.a_unit_is_the_same_whatever_it_is_called().await;
        self.a_paused_unit_is_replaced().await;
        self.what_is_not_ours_is_in_the_way_and_is_named().await;
    }

    async fn ensure(&self, spec: &InstanceSpec, generation: u64) -> Result<String, String> {
        let ensured = self.driver.ensure(job(spec, generation)).await;
        ensured.map_err(|error| error.to_string())
    }

    /// Whether a unit finds another by the name that it has in the network.
    async fn finds(&self, id: &str, other: &str) -> bool {
        let unit = self.unit(id).await.unwrap();
        let argv = ["getent", "hosts", other].map(str::to_owned);
        self.driver.exec(&unit, &argv).await.unwrap().0 == 0
    }

    async fn one_network_is_made_for_all_who_share_it(&self) {
        println!("a network that several units make at once");
        if self.engine == "docker" {
            // What an earlier version left on such an engine.
            network_again(&socket(self.engine));
            network_again(&socket(self.engine));
            assert_eq!(networks(), 2);
        }
        let names = ["one[0]", "two[0]", "three[0]", "four[0]", "five[0]", "six[0]"];
        let specs: Vec<_> = names.iter().map(|id| member(id, "redis:7", &back())).collect();
        let all = join_all(specs.iter().map(|spec| self.ensure(spec, 1))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert_eq!(networks(), 1);
        assert!(self.finds("one[0]", "six").await && self.finds("six[0]", "one").await);
        for id in &names[2..] {
            self.driver.remove(&id.parse().unwrap()).await.unwrap();
        }
        assert_eq!(networks(), 1, "two are in it");
    }

    async fn a_network_that_is_declared_otherwise_is_made_anew(&self) {
        println!("a network that is declared otherwise");
        let before = self.unit("two[0]").await.unwrap();
        let inside = NetworkSpec { internal: true, ..back() };
        let subnet = Some("172.28.0.0/16".to_owned());
        let fixed = NetworkSpec { subnet, ..inside.clone() };
        for (generation, network) in [(2, inside), (3, fixed)] {
            let (one, two) =
                (member("one[0]", "redis:7", &network), member("two[0]", "redis:7", &network));
            self.driver.prepare(job(&one, generation)).await.unwrap();
            self.ensure(&one, generation).await.unwrap();
            assert_eq!(of_network("{{.Internal}}"), "true");
            let carried = self.unit("two[0]").await.unwrap();
            assert_eq!(carried.run, before.run, "it was not restarted");
            assert_eq!(carried.digest, two.digest(), "it runs in the network as it is now");
            assert_eq!(carried.spec.as_deref(), Some(&two));
            assert!(self.finds("one[0]", "two").await && self.finds("two[0]", "one").await);
        }
        assert_eq!(of_network("{{range .IPAM.Config}}{{.Subnet}}{{end}}"), "172.28.0.0/16");
    }

    async fn who_cannot_be_carried_over_is_named_and_seen(&self) {
        println!("a network without room for all");
        let in_range = |id: &str, subnet: &str| {
            let subnet = Some(subnet.to_owned());
            member(id, "redis:7", &NetworkSpec { name: "tight".into(), subnet, ..back() })
        };
        let ids = ["three[0]", "four[0]"];
        for id in ids {
            self.ensure(&in_range(id, "172.30.0.0/24"), 1).await.unwrap();
        }
        // It has one address beside its gateway's.
        let error = self.ensure(&in_range("three[0]", "172.30.0.0/30"), 2).await.unwrap_err();
        assert!(error.contains("without it are now: devnet-home-"), "{error}");
        let mut without = 0;
        for id in ids {
            let spec = self.unit(id).await.unwrap().spec.unwrap();
            let Workload::Container(container) = &spec.workload else { unreachable!() };
            without += usize::from(container.networks.is_empty());
        }
        assert_eq!(without, 1, "whoever plans sees who lost it");
        for id in ids {
            self.driver.remove(&id.parse().unwrap()).await.unwrap();
        }
    }

    async fn a_network_that_cannot_be_had_leaves_the_old_one(&self) {
        println!("a network that cannot be had");
        docker(&["network", "create", "--subnet", "172.29.0.0/16", "foreign"]);
        let subnet = Some("172.29.0.0/16".to_owned());
        let taken = member("one[0]", "redis:7", &NetworkSpec { subnet, ..back() });
        let error = self.ensure(&taken, 4).await.unwrap_err();
        assert!(error.contains("give the network another range"), "{error}");
        docker(&["network", "rm", "foreign"]);
        assert!(self.finds("one[0]", "two").await && self.finds("two[0]", "one").await);
        docker(&["run", "-d", "--name", "foreign", "--network", BACK, "redis:7"]);
        let outside = member("one[0]", "redis:7", &back());
        let error = self.driver.prepare(job(&outside, 4)).await.unwrap_err().to_string();
        assert!(error.contains("container foreign is in it, and is not devnet's"), "{error}");
        assert_eq!(self.ensure(&outside, 4).await.unwrap_err(), error);
        docker(&["rm", "-f", "foreign"]);
        assert_eq!(of_network("{{.Internal}}"), "true", "it is as it was");
    }

    async fn a_network_that_was_removed_comes_back(&self) {
        println!("a network that was removed");
        let subnet = Some("172.28.0.0/16".to_owned());
        let network = NetworkSpec { internal: true, subnet, ..back() };
        for id in ["one-0", "two-0"] {
            docker(&["stop", "-t", "1", &format!("devnet-home-{id}")]);
        }
        if self.engine == "podman" {
            // Podman keeps it while a container that does not run may come back to it.
            for id in ["one-0", "two-0"] {
                docker(&["network", "disconnect", "-f", BACK, &format!("devnet-home-{id}")]);
            }
        }
        docker(&["network", "rm", BACK]);
        // The container of `two` was made as generation 1, in a network of another shape.
        for (id, generation) in [("one[0]", 3), ("two[0]", 1)] {
            let network = if generation == 1 { back() } else { network.clone() };
            let spec = member(id, "redis:7", &network);
            self.driver.revive(job(&spec, generation)).await.unwrap();
        }
        assert_eq!((networks(), of_network("{{.Internal}}").as_str()), (1, "true"));
        self.healthy("two[0]").await;
        assert!(self.finds("one[0]", "two").await && self.finds("two[0]", "one").await);
    }

    async fn a_unit_is_the_same_whatever_it_is_called(&self) {
        println!("a container that was renamed");
        let mut spec = container("db[0]", "redis:7");
        spec.volumes = vec![volume("data")];
        self.ensure(&spec, 1).await.unwrap();
        let before = self.unit("db[0]").await.unwrap();
        docker(&["rename", "devnet-home-db-0", "mine"]);
        assert_eq!(self.unit("db[0]").await.unwrap().run, before.run);
        self.driver.recover().await.unwrap();
        assert_eq!(self.unit("db[0]").await.unwrap().run, before.run);
        let labels = ["cluster=home", "node=n1", "service=db", "index=0", "generation=0"];
        let labels: Vec<_> =
            labels.iter().flat_map(|it| ["--label".to_owned(), format!("devnet.{it}")]).collect();
        let twin = ["run", "-d", "--name", "twin", "-v", "devnet-home-db-0-data:/data"];
        let twin: Vec<&str> =
            twin.into_iter().chain(labels.iter().map(String::as_str)).chain(["redis:7"]).collect();
        docker(&twin);
        assert_eq!(self.unit("db[0]").await.unwrap().run, before.run, "the newest generation");
        self.driver.recover().await.unwrap();
        assert_eq!(on_volume("devnet-home-db-0-data"), ["mine", "twin"], "it is somebody's");
        spec.env.insert("NEW".into(), Text::plain("1"));
        for refused in [
            self.driver.prepare(job(&spec, 2)).await.map(drop),
            self.driver.ensure(job(&spec, 2)).await.map(drop),
            self.driver.remove(&spec.id).await,
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("container twin is in the way"), "{error}");
        }
        assert_eq!(on_volume("devnet-home-db-0-data"), ["mine", "twin"], "nothing was changed");
        docker(&["rm", "-f", "twin"]);
        self.ensure(&spec, 2).await.unwrap();
        assert_eq!(on_volume("devnet-home-db-0-data"), ["devnet-home-db-0"]);
        self.a_copy_does_not_take_the_units_place().await;
    }

    async fn a_copy_does_not_take_the_units_place(&self) {
        println!("a copy of a container");
        let before = self.unit("db[0]").await.unwrap();
        if self.engine == "podman" {
            // Podman 4.3.1 takes no `docker commit`.
            let labels = ["cluster=home", "node=n1", "service=db", "index=0", "generation=2"];
            let labels = labels.map(|label| format!("--label=devnet.{label}"));
            let copy = ["run", "-d", "--name", "copy"].into_iter();
            let copy = copy.chain(labels.iter().map(String::as_str)).chain(["redis:7"]);
            docker(&copy.collect::<Vec<_>>());
        } else {
            docker(&["commit", "devnet-home-db-0", "copy:1"]);
            docker(&["run", "-d", "--name", "copy", "copy:1"]);
        }
        assert_eq!(self.unit("db[0]").await.unwrap().run, before.run);
        self.driver.recover().await.unwrap();
        let running = docker(&["ps", "--format", "{{.Names}}"]);
        for name in ["copy", "devnet-home-db-0"] {
            assert!(running.lines().any(|one| one == name), "{name}: {running}");
        }
        docker(&["rm", "-f", "copy"]);
        if self.engine != "podman" {
            docker(&["rmi", "copy:1"]);
        }
    }

    async fn a_paused_unit_is_replaced(&self) {
        println!("a container that is paused");
        docker(&["pause", "devnet-home-db-0"]);
        let unit = self.unit("db[0]").await.unwrap();
        assert_eq!(unit.message.as_deref(), Some("paused by hand"));
        let mut spec = container("db[0]", "redis:7");
        spec.volumes = vec![volume("data")];
        self.ensure(&spec, 3).await.unwrap();
        assert_eq!(self.unit("db[0]").await.unwrap().generation, 3);
        docker(&["pause", "devnet-home-db-0"]);
        self.driver.remove(&spec.id).await.unwrap();
        assert_eq!(on_volume("devnet-home-db-0-data"), [""; 0]);
    }

    async fn what_is_not_ours_is_in_the_way_and_is_named(&self) {
        println!("what is not devnet's");
        let mut spec = container("db[0]", "redis:7");
        spec.volumes = vec![volume("data")];
        docker(&["create", "--name", "devnet-home-db-0-next", "redis:7"]);
        self.refused(&spec, "a container devnet-home-db-0-next is there that is not devnet's")
            .await;
        docker(&["rm", "devnet-home-db-0-next"]);
        spec.volumes.push(volume("more"));
        docker(&["volume", "create", "devnet-home-db-0-more"]);
        self.refused(&spec, "volume devnet-home-db-0-more is there and is not taken").await;
        docker(&["volume", "rm", "devnet-home-db-0-more"]);
        docker(&["network", "create", BACK]);
        let one = member("one[0]", "redis:7", &back());
        self.refused(&one, "a network of that name is there that is not devnet's").await;
        docker(&["network", "rm", BACK]);
        docker(&["volume", "rm", "devnet-home-db-0-data"]);
        assert!(self.driver.list().await.unwrap().iter().all(|it| it.id.to_string() == "web[0]"));
    }

    /// Neither prepared nor started, and what is in the way is named.
    async fn refused(&self, spec: &InstanceSpec, why: &str) {
        let error = self.driver.prepare(job(spec, 9)).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        let error = self.ensure(spec, 9).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

/// Which containers that run have a volume.
fn on_volume(name: &str) -> Vec<String> {
    let filter = format!("volume={name}");
    let names = docker(&["ps", "--filter", &filter, "--format", "{{.Names}}"]);
    let names: BTreeSet<String> = names.lines().map(str::to_owned).collect();
    names.into_iter().collect()
}
