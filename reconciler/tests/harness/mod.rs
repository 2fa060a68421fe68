//! A control plane in this process, a git repository it follows, and agents that act in memory over
//! the real WebSocket.
//!
//! Knows how to wait for a condition with a deadline. Refuses to sleep in the place of an event.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod agent;
pub mod lab;
pub mod logs;
pub mod program;

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use devnet_reconciler::{
    api::{Deployment, DeploymentState, Event, Page, Status},
    app::{Running, ServeConfig, SourceSpec, start},
};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use agent::Agent;

/// How long anything here may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A git repository in a directory of its own.
pub struct Repository {
    pub dir: PathBuf,
}

impl Repository {
    pub fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let new = Self { dir };
        new.git(&["init", "--quiet", "--initial-branch=main"]);
        new
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(["-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(&self.dir)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits `text` as the cluster file and returns the commit.
    pub fn commit(&self, text: &str) -> String {
        fs::write(self.dir.join("cluster.kdl"), text).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "edit"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A control plane and how to call it.
pub struct Plane {
    pub running: Running,
    pub http: Client,
}

/// How tests run one: on a free port of this machine, with short times.
pub fn config(dir: &Path, repository: Option<&Repository>) -> ServeConfig {
    let mut config = ServeConfig::new(dir.join("data"));
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.poll = Duration::from_secs(2);
    config.heartbeat = Duration::from_millis(500);
    config.adoption_grace = Duration::from_secs(3);
    config.source = repository.map(|repository| SourceSpec {
        location: repository.dir.display().to_string(),
        ..SourceSpec::default()
    });
    config
}

impl Plane {
    pub async fn start(config: ServeConfig) -> Self {
        devnet_reconciler::telemetry::begin(
            Some("warn,devnet_reconciler=debug"),
            devnet_reconciler::telemetry::Form::Text,
        );
        let running = start(config).await.unwrap();
        let ca = reqwest::Certificate::from_pem(running.context().ca.as_bytes()).unwrap();
        let http = Client::builder().tls_certs_only([ca]).no_proxy().http1_only().build().unwrap();
        Self { running, http }
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }

    /// A request without any credential.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("https://{}{path}", self.running.addr()))
    }

    /// A request of the admin.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(self.running.context().token.expose())
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let response = self.request(Method::GET, path).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// POST; the status and the answer, whatever they are.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path).body(body.to_string());
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn status(&self) -> Status {
        self.get("/api/v1/status").await
    }

    pub async fn set_secret(&self, name: &str, value: &str) {
        let path = format!("/api/v1/secrets/{name}");
        let request = self.request(Method::PUT, &path).body(value.to_owned());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }

    pub async fn events(&self) -> Vec<Event> {
        let page: Page<Event> = self.get("/api/v1/events").await;
        page.items
    }

    pub async fn deployments(&self) -> Vec<Deployment> {
        let page: Page<Deployment> = self.get("/api/v1/deployments").await;
        page.items
    }

    /// Waits until `revision` is applied.
    pub async fn applied(&self, revision: &str) {
        until("the revision is applied", || async {
            let source = self.status().await.source.unwrap();
            (source.applied.as_deref() == Some(revision)).then_some(())
        })
        .await;
    }

    /// Waits until the newest deployment has ended and returns it.
    pub async fn deployed(&self) -> Deployment {
        until("the deployment has ended", || async {
            let newest = self.deployments().await.into_iter().next()?;
            (newest.state != DeploymentState::Running).then_some(newest)
        })
        .await
    }
}

/// Polls a condition until it holds.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, condition: impl Fn() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
