//! Asking units whether they serve, again and again.
//!
//! Knows probes and their tasks, one a running unit. Refuses to judge: `rules::Track` does.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use devnet_schema::{
    instance::{HealthSpec, InstanceSpec, Probe},
    name::InstanceId,
    observed::{HealthState, InstanceState},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    clock,
    driver::{Driver, Unit},
    rules::{self, Track},
};

/// What is known of one unit's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it serves.
    pub state: HealthState,
    /// What the last failed probe said.
    pub message: Option<String>,
}

/// The probes of this node.
pub struct Health {
    changed: Arc<Notify>,
    watched: Mutex<BTreeMap<InstanceId, Watched>>,
}

/// One run of one unit, being asked.
struct Watched {
    run: String,
    verdict: Arc<Mutex<Verdict>>,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// Nothing is asked yet. `changed` is rung when a verdict changes.
    pub fn new(changed: Arc<Notify>) -> Self {
        Self { changed, watched: Mutex::default() }
    }

    /// From now on asks these units and no others.
    pub fn follow<'a>(&self, units: impl Iterator<Item = (&'a Unit, &'a Arc<dyn Driver>)>) {
        let mut watched = lock(&self.watched);
        let mut before = std::mem::take(&mut *watched);
        for (unit, driver) in units.filter(|(unit, _)| unit.state == InstanceState::Running) {
            let known = before.remove(&unit.id).filter(|known| known.run == unit.run);
            let now = known.unwrap_or_else(|| self.watch(unit, driver));
            watched.insert(unit.id.clone(), now);
        }
    }

    fn watch(&self, unit: &Unit, driver: &Arc<dyn Driver>) -> Watched {
        let verdict = Arc::new(Mutex::new(Verdict { state: HealthState::Starting, message: None }));
        let asker = Asker {
            unit: unit.clone(),
            driver: driver.clone(),
            verdict: verdict.clone(),
            changed: self.changed.clone(),
        };
        Watched { run: unit.run.clone(), verdict, task: tokio::spawn(asker.ask()) }
    }

    /// What is known of a unit.
    pub fn verdict(&self, unit: &Unit) -> Verdict {
        let state = match unit.state {
            InstanceState::Running => {
                let watched = lock(&self.watched);
                let known = watched.get(&unit.id).filter(|known| known.run == unit.run);
                return match known {
                    Some(known) => lock(&known.verdict).clone(),
                    None => Verdict { state: HealthState::Starting, message: None },
                };
            }
            InstanceState::Starting if unit.restarts == 0 => HealthState::Starting,
            InstanceState::Starting | InstanceState::Exited => HealthState::Unhealthy,
            // It did what it is for.
            InstanceState::Completed | InstanceState::Scheduled => HealthState::Healthy,
            InstanceState::Unknown => HealthState::Unknown,
        };
        Verdict { state, message: None }
    }
}

/// The task of one run.
struct Asker {
    unit: Unit,
    driver: Arc<dyn Driver>,
    verdict: Arc<Mutex<Verdict>>,
    changed: Arc<Notify>,
}

impl Asker {
    async fn ask(self) {
        let age =
            u64::try_from(clock::now_millis().saturating_sub(self.unit.started_at)).unwrap_or(0);
        let began = Instant::now();
        let since_start = || Duration::from_millis(age) + began.elapsed();
        let spec = self.unit.spec.as_ref();
        // Nobody waits for the end of what runs at certain times.
        if spec.is_some_and(|spec| spec.schedule.is_some()) {
            return self.say(HealthState::Healthy, None);
        }
        // How it goes is told by its end alone.
        if spec.is_some_and(|spec| spec.run_once) {
            return;
        }
        let Some((spec, health)) = spec.and_then(|spec| Some((spec, spec.health.as_ref()?))) else {
            sleep(rules::SETTLED.saturating_sub(since_start())).await;
            return self.say(HealthState::Healthy, None);
        };
        let mut track = Track::default();
        loop {
            let limit = Duration::from(health.timeout).max(Duration::from_millis(100));
            let outcome = timeout(limit, self.probe(spec, health))
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {}", health.timeout)));
            track.record(outcome.is_ok(), since_start(), health);
            self.say(track.state(health), outcome.err());
            sleep(track.pause(health)).await;
        }
    }

    fn say(&self, state: HealthState, message: Option<String>) {
        let news = Verdict { state, message };
        let mut verdict = lock(&self.verdict);
        if *verdict != news {
            *verdict = news;
            self.changed.notify_one();
        }
    }

    async fn probe(&self, spec: &InstanceSpec, health: &HealthSpec) -> Result<(), String> {
        let target = |port: u16| {
            rules::target(spec, self.unit.address, port)
                .ok_or_else(|| format!("port {port} is reached nowhere: publish it"))
        };
        match &health.probe {
            Probe::Tcp { port } => connect(target(*port)?).await.map(drop),
            Probe::Http { port, path } => http_get(target(*port)?, path).await,
            Probe::Exec { argv } => match self.driver.exec(&self.unit, argv).await {
                Ok((0, _)) => Ok(()),
                Ok((code, output)) if output.is_empty() => {
                    Err(format!("the health command exited with code {code}"))
                }
                Ok((code, output)) => {
                    Err(format!("the health command exited with code {code}: {output}"))
                }
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| format!("connecting to {address}: {error}"))
}

/// How much of an answer is taken off the connection after the status, and how long that may take.
const REST: usize = 1 << 20;
const REST_TIME: Duration = Duration::from_secs(1);

/// Takes the rest of an answer off the connection. Closed before, with bytes that nobody has read,
/// it is reset: the server's write fails, and many write a line about it into their log each time.
async fn take_rest(mut stream: TcpStream) {
    let mut left = vec![0; 16 << 10];
    let mut taken = 0;
    let rest = async {
        while let Ok(read @ 1..) = stream.read(&mut left).await {
            taken += read;
            if taken >= REST {
                break;
            }
        }
    };
    // What is still said then is said to nobody.
    let _ = timeout(REST_TIME, rest).await;
}

/// A GET, of whose answer only the status matters (RFC 9112 §4): no redirect is followed. The
/// verdict does not wait for the rest.
async fn http_get(address: SocketAddr, path: &str) -> Result<(), String> {
    if !path.starts_with('/') || path.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(format!("the path `{}` is not allowed", path.escape_debug()));
    }
    let mut stream = connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: devnet-agent\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    let failed = |error: std::io::Error| format!("asking http://{address}{path}: {error}");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut head = Vec::new();
    while !head.contains(&b'\n') && head.len() < 1024 {
        if stream.read_buf(&mut head).await.map_err(failed)? == 0 {
            break;
        }
    }
    tokio::spawn(take_rest(stream));
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split_whitespace();
    let status = words
        .next()
        .filter(|version| version.starts_with("HTTP/1."))
        .and_then(|_| words.next()?.parse::<u16>().ok());
    match status {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("http://{address}{path} answered {status}")),
        None => Err(format!("http://{address}{path} did not answer in HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answer(with: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(with).await;
        });
        address
    }

    #[tokio::test]
    async fn an_answer_is_taken_whole_and_its_server_sees_no_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let _ = stream.read(&mut request).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            for _ in 0..64 {
                stream.write_all(&[b'x'; 8 << 10]).await?;
            }
            stream.shutdown().await?;
            // The client's end of the connection: nothing, and no reset.
            stream.read(&mut request).await
        });
        http_get(address, "/").await.unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_status_decides() {
        for good in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"HTTP/1.0 302 Found\r\n"] {
            http_get(answer(good).await, "/x").await.unwrap();
        }
        let error = http_get(answer(b"HTTP/1.1 503 No\r\n\r\n").await, "/x").await.unwrap_err();
        assert!(error.contains("answered 503"), "{error}");
        let error = http_get(answer(b"220 smtp ready\r\n").await, "/x").await.unwrap_err();
        assert!(error.contains("did not answer in HTTP"), "{error}");
        let error = http_get(answer(b"").await, "/\r\nX: y").await.unwrap_err();
        assert!(error.contains("not allowed"), "{error}");
    }
}
