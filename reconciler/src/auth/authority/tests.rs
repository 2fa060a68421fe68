//! Tests of the authority on real files and real TLS handshakes (in memory).

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConnection, pki_types::PrivateKeyDer,
};
use tempfile::TempDir;

use super::*;
use crate::auth::{node_identity, server_config};

fn random() -> impl FnMut(&mut [u8]) {
    let mut next = 7_u32;
    move |bytes| {
        for byte in bytes {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (next >> 24) as u8;
        }
    }
}

/// The real time: the handshakes below compare with it.
fn now() -> Timestamp {
    Timestamp::now()
}

fn open(dir: &TempDir) -> Authority {
    Authority::open(&dir.path().join("pki"), now(), &mut random()).unwrap()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

fn node(name: &str) -> NodeIdentity {
    NodeIdentity { name: name.parse().unwrap(), id: "01-ab".into() }
}

/// A key and a request for it that asks for more than it may have.
fn greedy_request() -> (KeyPair, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names(&["localhost", "evil.example"])).unwrap();
    params.distinguished_name = common_name("root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let request = params.serialize_request(&key).unwrap().pem().unwrap();
    (key, request)
}

fn leaf(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn nobody_but_this_authority_makes_a_mark_and_it_is_of_one_node_and_number() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mark = open(&dir).mark("01-ab", 7);
    let again = open(&dir);
    assert!(again.made_mark("01-ab", &mark), "after a restart, too");
    let higher = OrderMark { number: 8, ..mark.clone() };
    assert!(!again.made_mark("01-ab", &higher));
    assert!(!again.made_mark("01-ac", &mark));
    for proof in ["", "0", "é", &"0".repeat(64), &mark.proof.to_uppercase()[..63]] {
        let forged = OrderMark { number: 7, proof: proof.to_owned() };
        assert!(!again.made_mark("01-ab", &forged), "{proof}");
    }
    let stranger = Authority::open(other.path(), now(), &mut |bytes| bytes.fill(9)).unwrap();
    assert!(!again.made_mark("01-ab", &stranger.mark("01-ab", 7)));
}

#[test]
fn a_receipt_is_of_one_node_instance_and_generation() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (db, web) = ("db[0]".parse().unwrap(), "web[0]".parse().unwrap());
    let receipt = open(&dir).receipt("01-ab", &db, 7);
    assert_eq!(receipt.proof.len(), devnet_schema::wire::MAX_PROOF);
    let again = open(&dir);
    assert!(again.made_receipt("01-ab", &db, &receipt), "after a restart, too");
    assert!(!again.made_receipt("01-ac", &db, &receipt));
    assert!(!again.made_receipt("01-ab", &web, &receipt));
    let later = Receipt { generation: 8, ..receipt.clone() };
    assert!(!again.made_receipt("01-ab", &db, &later));
    for proof in ["", "0", "é", &"0".repeat(64), &again.mark("01-ab", 7).proof] {
        let forged = Receipt { generation: 7, proof: proof.to_owned() };
        assert!(!again.made_receipt("01-ab", &db, &forged), "{proof}");
    }
    let stranger = Authority::open(other.path(), now(), &mut |bytes| bytes.fill(9)).unwrap();
    assert!(!again.made_receipt("01-ab", &db, &stranger.receipt("01-ab", &db, 7)));
}

#[test]
fn the_authority_is_made_once_and_kept_private() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    let again = open(&dir);
    assert_eq!(first.ca_pem(), again.ca_pem());
    assert_eq!(first.fingerprint(), again.fingerprint());
    first.server_identity(&names(&["localhost"]), now(), &mut random()).unwrap();
    let mode = |name: &str| {
        let path = dir.path().join("pki").join(name);
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("ca.key"), mode("server.key"), mode("")), (0o600, 0o600, 0o700));
    let (_, certificate) = X509Certificate::from_der(first.certificate()).unwrap();
    assert!(certificate.is_ca());
    let basic = certificate.basic_constraints().unwrap().unwrap();
    assert_eq!(basic.value.path_len_constraint, Some(0));
    let validity = certificate.validity();
    let life = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(life, CA_LIFE.as_secs() + BACK_DATED.as_secs());
}

#[test]
fn a_lost_or_foreign_key_never_leads_to_a_second_authority() {
    let dir = TempDir::new().unwrap();
    let authority = open(&dir);
    let pki = dir.path().join("pki");
    let again = || Authority::open(&pki, now(), &mut random()).map(|a| a.fingerprint());
    // The certificate alone can be made again from the key.
    fs::remove_file(pki.join("ca.pem")).unwrap();
    assert_eq!(again().unwrap(), authority.fingerprint());
    let key = fs::read(pki.join("ca.key")).unwrap();
    fs::remove_file(pki.join("ca.key")).unwrap();
    assert!(matches!(again(), Err(AuthorityError::KeyGone(_))));
    assert!(!pki.join("ca.key").exists());
    let other = KeyPair::generate().unwrap().serialize_pem();
    for (bytes, mode) in [(other.as_bytes(), 0o600), (b"garbage", 0o600), (b"", 0o600)] {
        fs::write(pki.join("ca.key"), bytes).unwrap();
        fs::set_permissions(pki.join("ca.key"), fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(again(), Err(AuthorityError::Unreadable { .. })));
    }
    fs::write(pki.join("ca.key"), &key).unwrap();
    assert_eq!(again().unwrap(), authority.fingerprint());
    fs::set_permissions(pki.join("ca.key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(again(), Err(AuthorityError::File { .. })));
}

#[test]
fn a_fingerprint_reads_back_and_nothing_else_reads() {
    // SHA-256 of nothing is e3b0c442…b855; its base32 by coreutils.
    let known = Fingerprint::of_spki(b"");
    let text = "4oymiquy7qobjgx36tejs35zeqt24qpemsnzgtfeswmrw6csxbkq";
    assert_eq!(known.to_string(), text);
    assert_eq!(Fingerprint::parse(text), Some(known));
    for bad in ["", &text[1..], &text.to_uppercase(), &format!("{}r", &text[..51]), "1"] {
        assert_eq!(Fingerprint::parse(bad), None, "{bad}");
    }
    let longer = format!("{text}a");
    assert_eq!(Fingerprint::parse(&longer), None);
}

#[test]
fn the_servers_certificate_is_kept_until_names_change_or_half_its_life_is_over() {
    let dir = TempDir::new().unwrap();
    let authority = open(&dir);
    let start = now();
    let make = |list: &[&str], at: Timestamp| {
        authority.server_identity(&names(list), at, &mut random()).unwrap()
    };
    let first = make(&["localhost", "127.0.0.1", "::1"], start);
    let same = make(&["::1", "127.0.0.1", "localhost", "localhost"], start);
    assert_eq!(first.chain_pem, same.chain_pem);
    assert!(first.renew_at > start && first.renew_at < first.not_after);
    let late = make(&["localhost", "127.0.0.1", "::1"], later(first.renew_at, BACK_DATED));
    assert_ne!(late.chain_pem, first.chain_pem);
    let other = make(&["devnet.example"], later(first.renew_at, BACK_DATED));
    assert_ne!(other.chain_pem, late.chain_pem);
    fs::write(dir.path().join("pki/server.key"), "garbage").unwrap();
    let mended = make(&["devnet.example"], later(first.renew_at, BACK_DATED));
    assert_ne!(mended.chain_pem, other.chain_pem);
    for bad in ["", "a b", "-x", "https://x", "x:80"] {
        let error = authority.server_identity(&names(&[bad]), start, &mut random());
        assert!(matches!(error, Err(AuthorityError::Name(_))), "{bad}");
    }
}

#[test]
fn a_nodes_certificate_says_what_we_say_and_not_what_was_asked_for() {
    let dir = TempDir::new().unwrap();
    let authority = open(&dir);
    let (key, request) = greedy_request();
    let at = now();
    let signed = authority.sign_node(&request, &node("n1"), at, &mut random()).unwrap();
    let der = leaf(&signed.chain_pem);
    assert_eq!(node_identity(&der).unwrap(), node("n1"));
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert!(!certificate.is_ca());
    assert_eq!(certificate.subject().to_string(), "CN=n1");
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let facts = Facts::of(&der);
    assert!(facts.is_none(), "its only name is a URI, which no server's certificate has");
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
    let validity = certificate.validity();
    assert_eq!(validity.not_after.timestamp(), (at + NODE_LIFE).as_second());
    assert_eq!(validity.not_before.timestamp(), (at - BACK_DATED).as_second());
    assert!(signed.chain_pem.ends_with(authority.ca_pem()));
    let last = later(at, CA_LIFE - SignedDuration::from_hours(1));
    let short = authority.sign_node(&request, &node("n1"), last, &mut random()).unwrap();
    assert_eq!(short.not_after, authority.not_after, "nothing outlives the CA");
}

#[test]
fn what_is_no_request_is_not_signed() {
    let dir = TempDir::new().unwrap();
    let authority = open(&dir);
    let sign = |request: &str, node: &NodeIdentity| {
        authority.sign_node(request, node, now(), &mut random()).map(|_| ())
    };
    let (_, request) = greedy_request();
    let long = format!("{request}{}", " ".repeat(MAX_REQUEST));
    let half = &request[..request.len() / 2];
    for bad in ["", "garbage", authority.ca_pem(), half, &long] {
        assert!(matches!(sign(bad, &node("n1")), Err(AuthorityError::Request(_))));
    }
    let bad_id = NodeIdentity { id: "a/b".into(), ..node("n1") };
    assert!(matches!(sign(&request, &bad_id), Err(AuthorityError::Request(_))));
}

#[test]
fn certificates_that_are_not_of_a_node_name_no_node() {
    let dir = TempDir::new().unwrap();
    let authority = open(&dir);
    let server = authority.server_identity(&names(&["localhost"]), now(), &mut random()).unwrap();
    for der in [authority.certificate().clone(), leaf(&server.chain_pem)] {
        assert!(node_identity(&der).is_err());
    }
    assert!(node_identity(b"garbage").is_err());
    let make = |uris: &[&str], usage| {
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            uris.iter().map(|&uri| SanType::URI(uri.try_into().unwrap())).collect();
        params.extended_key_usages = vec![usage];
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    };
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    assert!(node_identity(&make(&["devnet://node/n1/x"], ClientAuth)).is_ok());
    assert!(node_identity(&make(&["devnet://node/n1/x"], ServerAuth)).is_err());
    for uris in [
        &[][..],
        &["devnet://node/n1/x", "devnet://node/n2/x"],
        &["devnet://node/n1"],
        &["devnet://node/N1/x"],
        &["devnet://node/n1/"],
        &["devnet://node/n1/x/y"],
        &["https://node/n1/x"],
    ] {
        assert!(node_identity(&make(uris, ClientAuth)).is_err(), "{uris:?}");
    }
}

/// A client that trusts `authority` and shows a certificate when it has one.
fn client(authority: &Authority, shown: Option<(&str, &str)>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A whole handshake in memory; the server's side of it.
fn handshake(
    server: &Authority,
    client: ClientConfig,
    name: &str,
) -> Result<ServerConnection, rustls::Error> {
    let identity =
        server.server_identity(&names(&["localhost", "127.0.0.1"]), now(), &mut random()).unwrap();
    let config = server_config(server, &identity).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(config).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(server)
}

#[test]
fn the_listener_takes_nodes_and_people_and_knows_which() {
    let dir = TempDir::new().unwrap();
    let authority = open(&dir);
    for name in ["localhost", "127.0.0.1"] {
        let person = handshake(&authority, client(&authority, None), name).unwrap();
        assert!(person.peer_certificates().is_none());
        assert_eq!(person.alpn_protocol(), Some(&b"h2"[..]));
        // Agents, and whatever opens a WebSocket, ask for nothing else.
        let mut plain = client(&authority, None);
        plain.alpn_protocols = vec![b"http/1.1".to_vec()];
        let plain = handshake(&authority, plain, name).unwrap();
        assert_eq!(plain.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    let (key, request) = greedy_request();
    let signed = authority.sign_node(&request, &node("n1"), now(), &mut random()).unwrap();
    let key = key.serialize_pem();
    let shown = client(&authority, Some((&signed.chain_pem, &key)));
    let agent = handshake(&authority, shown, "localhost").unwrap();
    let shown = agent.peer_certificates().unwrap();
    assert_eq!(node_identity(&shown[0]).unwrap(), node("n1"));
}

#[test]
fn the_listener_refuses_certificates_of_others_and_of_other_kinds() {
    let (dir, other_dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (authority, other) = (open(&dir), open(&other_dir));
    let (key, request) = greedy_request();
    let key = key.serialize_pem();
    let foreign = other.sign_node(&request, &node("n1"), now(), &mut random()).unwrap();
    let old = later(now(), -NODE_LIFE - BACK_DATED);
    let ended = authority.sign_node(&request, &node("n1"), old, &mut random()).unwrap();
    let both = other.sign_node(&request, &node("n2"), old, &mut random()).unwrap();
    let server = authority
        .server_identity(&names(&["localhost", "127.0.0.1"]), now(), &mut random())
        .unwrap();
    for (chain, key) in [
        (&foreign.chain_pem, &key),
        (&both.chain_pem, &key),
        (&ended.chain_pem, &key),
        (&server.chain_pem, server.key_pem.expose()),
    ] {
        let shown = client(&authority, Some((chain, key)));
        assert!(handshake(&authority, shown, "localhost").is_err());
    }
    let noted = authority.refusals().all();
    let names: Vec<_> = noted.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["n1"], "only what is ours, and only for its dates");
    let said = noted.into_values().next().unwrap().to_string();
    assert!(said.contains("the node was away for too long"), "{said}");
    let trusts_other = handshake(&authority, client(&other, None), "localhost");
    assert!(trusts_other.is_err(), "a client refuses a control plane of another CA");
    let other_name = handshake(&authority, client(&authority, None), "example.org");
    assert!(other_name.is_err(), "and one of another name");
}

#[test]
fn the_chain_shows_the_ca_whose_fingerprint_tokens_carry() {
    let dir = TempDir::new().unwrap();
    let authority = open(&dir);
    let server = authority.server_identity(&names(&["localhost"]), now(), &mut random()).unwrap();
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(server.chain_pem.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(chain.len(), 2);
    let (_, ca) = X509Certificate::from_der(&chain[1]).unwrap();
    assert_eq!(Fingerprint::of_spki(ca.public_key().raw), authority.fingerprint());
}

#[test]
fn an_authority_that_does_not_hold_by_the_clock_serves_nobody() {
    let dir = TempDir::new().unwrap();
    let pki = dir.path().join("pki");
    // A certificate's dates are whole seconds.
    let start = Timestamp::from_second(now().as_second()).unwrap();
    Authority::open(&pki, start, &mut random()).unwrap();
    let at = |time| Authority::open(&pki, time, &mut random()).map(drop);
    assert!(at(later(start, CA_LIFE)).is_ok());
    assert!(at(later(start, -BACK_DATED)).is_ok());
    for wrong in [later(start, CA_LIFE + BACK_DATED), later(start, -BACK_DATED * 3)] {
        let error = at(wrong).unwrap_err();
        assert!(matches!(error, AuthorityError::OutOfDate { .. }), "{error}");
        let (text, clock) = (error.to_string(), wrong.to_string());
        assert!(text.contains(&clock) && text.contains("set the clock"), "{text}");
    }
}

#[test]
fn a_node_that_comes_from_the_future_is_noted_as_a_wrong_clock() {
    let dir = TempDir::new().unwrap();
    let authority = open(&dir);
    let (key, request) = greedy_request();
    let early = later(now(), BACK_DATED * 3);
    let signed = authority.sign_node(&request, &node("n1"), early, &mut random()).unwrap();
    let key = key.serialize_pem();
    let shown = client(&authority, Some((&signed.chain_pem, &key)));
    assert!(handshake(&authority, shown, "localhost").is_err());
    let noted = authority.refusals().all();
    let said = noted[&"n1".parse().unwrap()].to_string();
    assert!(said.contains("the clock of the control plane is behind"), "{said}");
    authority.refusals().forget(&"n1".parse().unwrap());
    assert!(authority.refusals().all().is_empty());
}
