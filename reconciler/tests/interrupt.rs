//! Ctrl-C and SIGTERM in `devnet apply`: the real program against a control plane in this process.

mod harness;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use devnet_reconciler::api::DeploymentState;
use harness::{Agent, Plane, config, until};

const CLUSTER: &str = r#"
cluster "lab" { }
service "web" {
    process "serve"
    replicas 2
    resources cpu=0.5 memory="64MiB"
}
"#;

/// `devnet apply` under way, and what it said so far.
struct Apply {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Apply {
    fn start(plane: &Plane, dir: &Path) -> Self {
        std::fs::write(dir.join("cluster.kdl"), CLUSTER).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_devnet"))
            .args(["apply", "-auto-approve", "-parallelism=1"])
            .current_dir(dir)
            .env("DEVNET_CONFIG", plane.running.client_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                heard.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, said }
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: a plain system call; the process is our child and not yet waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    async fn says(&self, part: &str) {
        until(&format!("it says {part:?}"), || async {
            self.said.lock().unwrap().contains(part).then_some(())
        })
        .await;
    }

    async fn ended(&mut self) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        until("the command ends", || async { child.lock().unwrap().try_wait().unwrap() }).await
    }
}

async fn told(agent: &Agent, step: &str) {
    until(&format!("{step} is sent"), || async {
        agent.machine().steps.iter().any(|sent| sent == step).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_signal_cuts_the_apply_short_and_says_what_is_left() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), None);
        config.cluster = Some("lab".parse().unwrap());
        let plane = Plane::start(config).await;
        let agent = Agent::join(&plane, "n1").await;
        agent.machine().hanging.insert("await-healthy".to_owned());
        let mut apply = Apply::start(&plane, dir.path());
        told(&agent, "web[0]/await-healthy").await;
        apply.signal(signal);
        assert_eq!(apply.ended().await.code(), Some(1));
        apply.says("Stopping: what runs is finished").await;
        apply.says("the apply was cut short").await;
        apply.says("not done: web[0]/await-healthy").await;
        let ended = plane.deployed().await;
        assert_eq!(ended.state, DeploymentState::Cancelled, "{ended:?}");
        assert_eq!(agent.machine().units.len(), 1, "nothing more was begun");
        plane.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_signal_leaves_and_says_what_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let agent = Agent::join(&plane, "n1").await;
    agent.machine().hanging.insert("web[0]/start".to_owned());
    let mut apply = Apply::start(&plane, dir.path());
    told(&agent, "web[0]/start").await;
    apply.signal(libc::SIGINT);
    apply.says("Stopping: what runs is finished").await;
    until("it is told", || async {
        let events = plane.events().await;
        events.iter().any(|event| event.message.starts_with("cancelled by")).then_some(())
    })
    .await;
    apply.signal(libc::SIGINT);
    assert_eq!(apply.ended().await.code(), Some(1));
    let id = plane.deployments().await[0].id.clone();
    apply.says(&format!("Deployment {id} is being cancelled on the control plane.")).await;
    apply.says(&format!("`devnet deployment cancel {id}`")).await;
    assert_eq!(plane.deployments().await[0].state, DeploymentState::Running);
    plane.stop().await;
}
