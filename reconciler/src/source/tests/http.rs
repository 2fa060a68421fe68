//! A remote over HTTPS with a CA of its own that wants a login, served by git's own
//! `http-backend`.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Response, StatusCode, Uri, header},
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use super::*;

/// `ada:hunter2`, as Basic authentication writes it.
const AUTHORISED: &str = "Basic YWRhOmh1bnRlcjI=";

/// Runs git's CGI program for one request.
fn backend(root: &Path, method: &Method, uri: &Uri, kind: &str, body: &[u8]) -> Response<Body> {
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", kind)
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", "version=2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let split = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut answer = Response::builder();
    for line in String::from_utf8_lossy(&output[..split]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        answer = match name {
            "Status" => answer.status(&value[..3]),
            _ => answer.header(name, value),
        };
    }
    answer.body(Body::from(output[split + 4..].to_vec())).unwrap()
}

/// A server: where it is, the certificate it shows, and how often a login was shown to it.
struct Served {
    address: String,
    certificate: String,
    shown: Arc<AtomicUsize>,
}

/// Serves `root` until the runtime is dropped.
fn serve(runtime: &tokio::runtime::Runtime, root: PathBuf) -> Served {
    let shown = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&shown);
    let handler = move |method: Method, uri: Uri, headers: header::HeaderMap, body: Bytes| {
        let (root, counter) = (root.clone(), Arc::clone(&counter));
        async move {
            let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
            let login = text(header::AUTHORIZATION);
            counter.fetch_add(usize::from(login.is_some()), Ordering::SeqCst);
            if login != Some(AUTHORISED) {
                return Response::builder()
                    .status(StatusCode::UNAUTHORIZED)
                    .header(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")
                    .body(Body::empty())
                    .unwrap();
            }
            let kind = text(header::CONTENT_TYPE).unwrap_or_default().to_owned();
            tokio::task::spawn_blocking(move || backend(&root, &method, &uri, &kind, &body))
                .await
                .unwrap()
        }
    };
    let tcp = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = format!("https://{}", tcp.local_addr().unwrap());
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = own.cert.pem();
    let key = PrivateKeyDer::from_pem_slice(own.signing_key.serialize_pem().as_bytes()).unwrap();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(tls));
    let service = TowerToHyperService::new(Router::new().fallback(handler));
    runtime.spawn(async move {
        loop {
            let (stream, _) = tcp.accept().await.unwrap();
            let (tls, service) = (tls.clone(), service.clone());
            tokio::spawn(async move {
                // Whoever does not trust the certificate goes away here.
                if let Ok(stream) = tls.accept(stream).await {
                    let served =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    let _ = served.await;
                }
            });
        }
    });
    Served { address, certificate, shown }
}

fn with_login(
    url: &str,
    mirrors: &Path,
    password: Option<&'static str>,
    ca: Option<&str>,
) -> RemoteGit {
    let credentials = password.map(|password| {
        let file = mirrors.with_file_name("login");
        fs::write(&file, format!("username=ada\npassword={password}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        login_file(file)
    });
    RemoteGit::open(RemoteSpec {
        url: url.to_owned(),
        branch: Some("main".to_owned()),
        subdirectory: String::new(),
        mirrors: mirrors.to_owned(),
        credentials,
        ca: ca.map(str::to_owned),
        timeout: Duration::from_secs(20),
    })
    .unwrap()
}

/// Everything that an error says, its causes included.
fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(chain).unwrap_or_default();
    format!("{error}: {cause} {error:?}")
}

#[test]
fn a_login_is_given_when_asked_for_and_is_nowhere_else() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bed = Bed::new();
    let dir = TempDir::new().unwrap();
    bed.write("cluster.kdl", "one");
    let id = bed.commit("one");
    bed.publish(dir.path());
    let served = serve(&runtime, dir.path().to_owned());
    let (address, ca) = (&served.address, Some(served.certificate.as_str()));
    let url = format!("{address}/origin.git");
    let mirrors = dir.path().join("mirrors");

    let source = with_login(&url, &mirrors, Some("hunter2"), ca);
    assert_eq!(source.head().unwrap().id, id);
    assert_eq!(read(&source.files(&id).unwrap(), "cluster.kdl"), "one");
    let second = bed.commit("two");
    git(bed.path(), &["push", "-q", "origin", "main"]);
    assert_eq!(source.head().unwrap().id, second);
    assert!(served.shown.load(Ordering::SeqCst) > 0);
    assert!(!source.location().contains("hunter2"));
    let mirror = fs::read_dir(&mirrors).unwrap().next().unwrap().unwrap().path();
    let kept = fs::read_to_string(mirror.join("config")).unwrap();
    assert!(!kept.contains("hunter2") && !kept.contains(address), "{kept}");

    let wrong = with_login(&url, &mirrors, Some("wr0ng-pass"), ca).head().unwrap_err();
    assert!(matches!(wrong, SourceError::Unreadable { .. }));
    assert!(!chain(&wrong).contains("wr0ng-pass"), "{}", chain(&wrong));
    let none = with_login(&url, &mirrors, None, ca).head().unwrap_err();
    assert!(matches!(none, SourceError::Unreadable { .. }));
    let before = served.shown.load(Ordering::SeqCst);
    let stranger = with_login(&url, &mirrors, Some("hunter2"), None).head().unwrap_err();
    assert!(matches!(stranger, SourceError::Unreadable { .. }), "its CA is not the system's");
    assert_eq!(served.shown.load(Ordering::SeqCst), before, "so it is told nothing");
}

#[test]
fn what_may_be_a_token_in_a_url_is_refused_and_not_repeated() {
    let bed = tempfile::tempdir().unwrap();
    let open = |url: &str| {
        RemoteGit::open(RemoteSpec {
            url: url.to_owned(),
            branch: None,
            subdirectory: String::new(),
            mirrors: bed.path().join("mirrors"),
            credentials: None,
            ca: None,
            timeout: Duration::from_secs(20),
        })
    };
    for url in [
        "https://c4n4ry@git.lab/x.git",
        "https://ada:c4n4ry@git.lab/x.git",
        "https://git.lab/x.git?private_token=c4n4ry",
        "https://git.lab/x.git#c4n4ry",
        "http://c4n4ry@localhost/x.git",
        "ssh://ada:c4n4ry@git.lab/x.git",
    ] {
        let error = chain(&open(url).map(drop).unwrap_err());
        assert!(error.contains("take it out and pass it") && !error.contains("c4n4ry"), "{error}");
    }
    for url in ["https://git.lab/x.git", "ssh://git@git.lab/x.git", "git@git.lab:x.git"] {
        assert!(open(url).is_ok(), "{url}");
    }
}
