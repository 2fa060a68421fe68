//! Ctrl-C and SIGTERM in `devnet apply`: the real program against a control plane in this process.

mod harness;

use devnet_reconciler::api::DeploymentState;
use harness::{lab::Lab, program::Devnet, until};

const CLUSTER: &str = r#"
cluster "lab" { }
service "web" {
    process "serve"
    replicas 2
    resources cpu=0.5 memory="64MiB"
}
"#;

fn apply(lab: &Lab) -> Devnet {
    lab.write(CLUSTER);
    lab.devnet(&["apply", "-auto-approve", "-parallelism=1"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_signal_cuts_the_apply_short_and_says_what_is_left() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let lab = Lab::by_hand().await;
        let (plane, agent) = (&lab.plane, &lab.agent);
        agent.machine().hanging.insert("await-healthy".to_owned());
        let mut apply = apply(&lab);
        lab.is_sent("web[0]/await-healthy").await;
        apply.signal(signal);
        assert_eq!(apply.ended().await.0.code(), Some(1));
        apply.says("Stopping: what runs is finished").await;
        apply.says("the apply was cut short").await;
        apply.says("not done: web[0]/await-healthy").await;
        let ended = plane.deployed().await;
        assert_eq!(ended.state, DeploymentState::Cancelled, "{ended:?}");
        assert_eq!(agent.machine().units.len(), 1, "nothing more was begun");
        lab.plane.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_signal_leaves_and_says_what_goes_on() {
    let lab = Lab::by_hand().await;
    let (plane, agent) = (&lab.plane, &lab.agent);
    agent.machine().hanging.insert("web[0]/start".to_owned());
    let mut apply = apply(&lab);
    lab.is_sent("web[0]/start").await;
    apply.signal(libc::SIGINT);
    apply.says("Stopping: what runs is finished").await;
    until("it is told", || async {
        let events = plane.events().await;
        events.iter().any(|event| event.message.starts_with("cancelled by")).then_some(())
    })
    .await;
    apply.signal(libc::SIGINT);
    assert_eq!(apply.ended().await.0.code(), Some(1));
    let id = plane.deployments().await[0].id.clone();
    apply.says(&format!("Deployment {id} is being cancelled on the control plane.")).await;
    apply.says(&format!("`devnet deployment cancel {id}`")).await;
    assert_eq!(plane.deployments().await[0].state, DeploymentState::Running);
    lab.plane.stop().await;
}
