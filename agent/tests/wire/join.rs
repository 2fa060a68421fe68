//! Joining. Knows right and wrong servers, and what may be sent to each.

use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use devnet_agent::{
    connection::{Connection, Dates},
    identity,
    join::{JoinRequest, join},
    trust,
};
use tokio::io::AsyncReadExt;

use crate::plane::{Ca, Plane, Shown};

const HOUR: Duration = Duration::from_secs(3600);

fn request(plane: &Plane, ca: &Ca) -> JoinRequest {
    JoinRequest {
        server: plane.url().parse().unwrap(),
        token: ca.token().parse().unwrap(),
        name: "n1".parse().unwrap(),
        ip: None,
        replace: false,
    }
}

#[tokio::test]
async fn a_node_joins_and_keeps_its_key_to_itself() {
    let ca = Ca::new("ours");
    let plane = Plane::of(&ca).await;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (joined, sent) =
        tokio::join!(join(&data, request(&plane, &ca)), plane.admit(&ca, HOUR, HOUR));
    let profile = joined.unwrap();
    assert_eq!((profile.cluster.as_str(), profile.node.as_str()), ("home", "n1"));
    assert!(sent.starts_with("POST /api/v1/nodes/register HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("\"token\":\"k7.s3cret-of-the-token\""), "{sent}");
    assert!(!sent.contains("PRIVATE KEY"));
    let mode = |name: &str| data.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("identity.pem"), mode(".")), (0o600, 0o700));
    let stored = identity::load(&data).unwrap();
    assert_eq!(stored.profile, profile);
    let public = std::fs::read_to_string(data.join("identity.json")).unwrap();
    assert!(!public.contains("s3cret") && !public.contains("PRIVATE"));
}

/// Joins at a server that is not to be trusted: the handshake fails there, and the error is good.
async fn refused_by_us(plane: &Plane, ca: &Ca) -> String {
    let dir = tempfile::tempdir().unwrap();
    let server = async {
        match plane.accept().await {
            Err(_) => Vec::new(),
            Ok(mut stream) => {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes).await;
                bytes
            }
        }
    };
    let (joined, received) = tokio::join!(join(dir.path(), request(plane, ca)), server);
    assert_eq!(received, b"", "no byte of the application's was sent");
    assert!(!identity::exists(dir.path()));
    format!("{:#}", joined.unwrap_err())
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_with_another_ca() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("ours"));
    let plane = Plane::of(&theirs).await;
    let error = refused_by_us(&plane, &ours).await;
    assert!(error.contains("nothing was sent"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn showing_our_ca_beside_a_certificate_of_another_does_not_help() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("ours"));
    let plane = Plane::showing(Shown {
        server: theirs.server("127.0.0.1"),
        chain: ours.pem.clone(),
        clients: ours.pem.clone(),
    })
    .await;
    refused_by_us(&plane, &ours).await;
}

#[tokio::test]
async fn a_certificate_for_another_address_is_refused() {
    let ours = Ca::new("ours");
    let plane = Plane::showing(Shown {
        server: ours.server("127.0.0.9"),
        chain: ours.pem.clone(),
        clients: ours.pem.clone(),
    })
    .await;
    refused_by_us(&plane, &ours).await;
}

#[tokio::test]
async fn a_used_token_is_told_with_the_servers_words_and_what_to_do() {
    let ca = Ca::new("ours");
    let plane = Plane::of(&ca).await;
    let dir = tempfile::tempdir().unwrap();
    let answer = plane.answer("403 Forbidden", async |_| {
        serde_json::json!({
            "type": "forbidden", "title": "the join token was used before", "status": 403,
        })
        .to_string()
    });
    let (joined, _) = tokio::join!(join(dir.path(), request(&plane, &ca)), answer);
    let error = format!("{:#}", joined.unwrap_err());
    assert!(error.contains("the join token was used before"), "{error}");
    assert!(error.contains("devnet node token"), "{error}");
    assert!(!identity::exists(dir.path()));
}

#[tokio::test]
async fn an_answer_with_another_ca_is_not_stored() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
    let plane = Plane::of(&ours).await;
    let dir = tempfile::tempdir().unwrap();
    let (joined, _) =
        tokio::join!(join(dir.path(), request(&plane, &ours)), plane.admit(&theirs, HOUR, HOUR));
    assert!(format!("{:#}", joined.unwrap_err()).contains("another CA"));
    assert!(!identity::exists(dir.path()));
}

/// A control plane as a machine sees it whose clock is behind.
async fn of_tomorrow(ca: &Ca) -> Plane {
    let server = ca.server_of_tomorrow("127.0.0.1");
    Plane::showing(Shown { server, chain: ca.pem.clone(), clients: ca.pem.clone() }).await
}

#[tokio::test]
async fn a_clock_that_is_behind_is_named_with_both_times() {
    let ca = Ca::new("ours");
    let said = refused_by_us(&of_tomorrow(&ca).await, &ca).await;
    assert!(said.contains("this machine's clock says 2"), "{said}");
    assert!(
        said.contains("is valid from 2") && said.contains("the clock here is behind"),
        "{said}"
    );
    assert!(!said.contains("another control plane"), "{said}");
}

#[tokio::test]
async fn a_session_that_fails_for_its_dates_names_the_clocks() {
    let ca = Ca::new("ours");
    let plane = Plane::of(&ca).await;
    let dir = tempfile::tempdir().unwrap();
    let admitted = plane.admit_with(&ca, |csr| ca.sign_ended(csr));
    let (joined, _) = tokio::join!(join(dir.path(), request(&plane, &ca)), admitted);
    let server = joined.unwrap().server;
    let identity = identity::load(dir.path()).unwrap();
    let tls = || Arc::new(trust::session_config(&identity.ca, &identity.pem).unwrap());
    let own = identity.validity().unwrap();
    for (now, said) in [
        (own.from + 60, "one of the two machines' clocks is wrong"),
        (own.until + 60, "join again with"),
    ] {
        let dates = Dates { own, now };
        let open = Connection::open(&server, tls(), dates);
        let (opened, accepted) = tokio::join!(open, plane.accept());
        assert!(accepted.is_err(), "the control plane takes no certificate that has ended");
        let error = opened.err().unwrap().to_string();
        assert!(error.contains(said) && error.contains("clock says"), "{error}");
    }
    let plane = of_tomorrow(&ca).await;
    let server = plane.url().parse().unwrap();
    let dates = Dates { own, now: own.from };
    let (opened, _) = tokio::join!(Connection::open(&server, tls(), dates), plane.accept());
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("the clock here is behind"), "{error}");
    assert!(!error.contains("join again"), "{error}");
}
