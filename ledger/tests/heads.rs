//! Signed heads over HTTP: kept by clients, and what a server that shows two logs is convicted by.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use common::{Server, deposit, genesis, key};
use ledger::Ledger as _;
use ledger::heads::{Head, SignedHead};
use ledger::http::{HttpLedger, Limits, fetch_head, read_head};
use protocol::hash::Digest;
use protocol::transaction::Domain;
use serde_json::{Value, json};

async fn server() -> Server {
    Server::start(Limits::default()).await
}

#[tokio::test]
async fn audit_a10_a_server_that_shows_another_log_than_it_signed_is_convicted_by_both_heads() {
    let (one, other) = (server().await, server().await);
    let (first, second) = (one.client().await, other.client().await);
    for nonce in 0..3 {
        first.submit(deposit(2, nonce)).await.unwrap();
        second.submit(deposit(if nonce < 2 { 2 } else { 3 }, nonce)).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    first.keep_heads(&file).await.unwrap();
    let (domain, kept) = read_head(&file).unwrap();
    assert_eq!((domain, kept.head.height), (genesis().domain(), 3));
    assert_eq!(first.kept_head().await, Some(kept));
    // The same server again: it holds.
    one.client().await.keep_heads(&file).await.unwrap();
    // Another one with the same key, at the same address as far as the client knows.
    let error = second.keep_heads(&file).await.unwrap_err().to_string();
    assert!(error.contains("signed another log at height 3"), "{error}");
    let proof = std::fs::read(folder.path().join("head.equivocation.json")).unwrap();
    let proof: Value = serde_json::from_slice(&proof).unwrap();
    assert_eq!(proof["equivocation"], true);
    assert_eq!(proof["own"]["chain"], proof["heads"][1]["chain"]);
    let heads = [0, 1].map(|at| SignedHead::of_json(&proof["heads"][at]).unwrap());
    assert!(heads[0].contradicts(&heads[1]));
    assert!(heads.iter().all(|head| head.verify(&domain).is_ok()));
    // What was kept stays, for it is half of the proof.
    assert_eq!(read_head(&file).unwrap().1, kept);
}

/// A server whose documents under `/v1/head` are made of its asker's query; all else is another server's.
async fn beside(
    log: &Server,
    head: impl Fn(Option<u64>) -> (StatusCode, Value) + Clone + Send + Sync + 'static,
) -> String {
    let url = log.url();
    let hand_on = move |uri: Uri| {
        let url = format!("{url}{uri}");
        async move {
            let plain = reqwest::Client::builder().no_proxy().build().unwrap();
            plain.get(url).send().await.unwrap().bytes().await.unwrap()
        }
    };
    let heads = move |Query(query): Query<HashMap<String, u64>>| {
        let (status, document) = head(query.get("height").copied());
        async move { (status, axum::Json(document)) }
    };
    let routes = axum::Router::new().route("/v1/head", get(heads)).fallback(hand_on);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}

async fn client_of(url: &str) -> HttpLedger {
    HttpLedger::connect(url, Some(genesis().root())).await.unwrap()
}

async fn with(accounts: &[u8]) -> Server {
    let server = server().await;
    let client = server.client().await;
    for (nonce, account) in (0..).zip(accounts) {
        client.submit(deposit(*account, nonce)).await.unwrap();
    }
    server
}

fn proof_in(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("head.equivocation.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn an_old_head_that_is_signed_again_beside_another_log_convicts_all_the_same() {
    let (one, other) = (with(&[2, 2]).await, with(&[2, 3, 3]).await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    one.client().await.keep_heads(&file).await.unwrap();
    let (domain, kept) = read_head(&file).unwrap();
    let before = std::fs::read(&file).unwrap();
    // It signs its old head where it is asked for, and beside it the log that it gives now.
    let of_log = other.client().await;
    of_log.keep_heads(&folder.path().join("other.json")).await.unwrap();
    let newest = of_log.kept_head().await.unwrap();
    let url = beside(&other, move |height| {
        let head = if height == Some(2) { kept } else { newest };
        (StatusCode::OK, json!({ "head": head.to_json() }))
    })
    .await;
    let error = client_of(&url).await.keep_heads(&file).await.unwrap_err().to_string();
    assert!(error.contains("signed another log at height 2 than it gave"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before, "the kept head is half of the proof");
    let proof = proof_in(folder.path());
    assert_eq!(proof["own"]["height"], 2);
    assert_ne!(proof["own"]["chain"], kept.head.chain.to_string());
    assert_eq!(SignedHead::of_json(&proof["heads"][0]), Some(kept));
    assert_eq!((&proof["chain_id"], kept.verify(&domain).is_ok()), (&1.into(), true));
    // A conviction lasts, whatever is shown afterwards, and its proof is not written over.
    let first = std::fs::read(folder.path().join("head.equivocation.json")).unwrap();
    let error = one.client().await.keep_heads(&file).await.unwrap_err().to_string();
    assert!(error.contains("head.equivocation.json") && error.contains("move"), "{error}");
    assert_eq!(std::fs::read(folder.path().join("head.equivocation.json")).unwrap(), first);
}

#[tokio::test]
async fn a_server_that_signs_another_log_than_it_gives_is_convicted_while_it_runs() {
    let server = with(&[2]).await;
    let head = Head { height: 1, chain: Digest([7; 32]), at_ms: 3 };
    let signed = SignedHead::new(&genesis().domain(), head, &key(9));
    let url = beside(&server, move |_| (StatusCode::OK, json!({ "head": signed.to_json() }))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    // At an equal height too.
    server.client().await.keep_heads(&file).await.unwrap();
    let error = client_of(&url).await.keep_heads(&file).await.unwrap_err().to_string();
    assert!(error.contains("signed another log at height 1"), "{error}");
    let proof = proof_in(folder.path());
    assert_eq!(proof["equivocation"], true);
    assert_eq!(SignedHead::of_json(&proof["heads"][1]), Some(signed));
    // Without one that was kept, what it signed and what it gave are there.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    assert!(client_of(&url).await.keep_heads(&file).await.is_err());
    let proof = proof_in(folder.path());
    assert_eq!(SignedHead::of_json(&proof["heads"][0]), Some(signed));
    assert!(!file.exists());
}

#[tokio::test]
async fn a_disk_that_takes_no_head_and_a_server_that_gives_none_end_nothing() {
    let server = with(&[2]).await;
    let folder = tempfile::tempdir().unwrap();
    // Nothing can be made beside a file.
    std::fs::create_dir(folder.path().join("head.partial")).unwrap();
    let file = folder.path().join("head.json");
    let client = server.client().await;
    client.keep_heads(&file).await.unwrap();
    assert!(client.kept_head().await.is_some_and(|head| head.head.height == 1));
    assert!(!file.exists());
    std::fs::remove_dir(folder.path().join("head.partial")).unwrap();
    server.client().await.keep_heads(&file).await.unwrap();
    for status in [StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE] {
        let url = beside(&server, move |_| (status, json!({}))).await;
        let client = client_of(&url).await;
        let kept = client.keep_heads(&file);
        tokio::time::timeout(Duration::from_secs(5), kept).await.unwrap().unwrap();
        assert!(client.kept_head().await.is_some());
    }
}

#[tokio::test]
async fn a_kept_head_of_another_ledger_is_put_aside_and_found_again() {
    let server = with(&[2]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let domain = Domain { chain_id: 1, genesis: Digest([8; 32]) };
    let head = Head { height: 9, chain: Digest([7; 32]), at_ms: 3 };
    let of_another = json!({
        "genesis": domain.genesis.to_string(), "chain_id": 1,
        "head": SignedHead::new(&domain, head, &key(9)).to_json(),
    });
    std::fs::write(&file, of_another.to_string()).unwrap();
    server.client().await.keep_heads(&file).await.unwrap();
    assert_eq!(read_head(&file).unwrap().0, genesis().domain());
    let aside = folder.path().join(format!("head.{}.json", domain.genesis));
    assert_eq!(std::fs::read(&aside).unwrap(), of_another.to_string().as_bytes());
    // And back: each ledger finds its own again, and neither is written over.
    std::fs::rename(&file, folder.path().join(format!("head.{}.json", genesis().root()))).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    let client = server.client().await;
    client.submit(deposit(2, 1)).await.unwrap();
    client.keep_heads(&file).await.unwrap();
    assert_eq!(read_head(&file).unwrap().1.head.height, 2);
    assert_eq!(std::fs::read(&aside).unwrap(), of_another.to_string().as_bytes());
}

#[tokio::test]
async fn a_server_that_lost_what_it_signed_is_refused_and_a_file_that_is_no_head_too() {
    let server = server().await;
    let client = server.client().await;
    client.submit(deposit(2, 0)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    client.keep_heads(&file).await.unwrap();
    let shorter = Server::start(Limits::default()).await;
    let error = shorter.client().await.keep_heads(&file).await.unwrap_err().to_string();
    assert!(error.contains("has 0 transactions and signed that it had 1"), "{error}");
    for bytes in [&b"{}"[..], b"no document", &[b' '; 5_000]] {
        std::fs::write(&file, bytes).unwrap();
        assert!(client.keep_heads(&file).await.is_err());
    }
}

#[tokio::test]
async fn heads_of_all_heights_are_signed_and_chain_as_the_log_does() {
    let server = server().await;
    let client = server.client().await;
    for nonce in 0..4 {
        client.submit(deposit(2, nonce)).await.unwrap();
    }
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let head = async |height| fetch_head(&plain, &server.url(), &genesis(), height).await;
    let latest = head(None).await.unwrap().unwrap();
    assert_eq!((latest.head.height, latest.signer), (4, key(9).address()));
    let mut chains: Vec<Digest> = Vec::new();
    for height in 0..=4 {
        chains.push(head(Some(height)).await.unwrap().unwrap().head.chain);
    }
    assert_eq!(chains[4], latest.head.chain);
    chains.sort();
    chains.dedup();
    assert_eq!(chains.len(), 5);
    assert!(head(Some(5)).await.is_err());
    // A restarted server signs the same.
    let server = server.restart().await;
    let again = fetch_head(&plain, &server.url(), &genesis(), Some(4)).await.unwrap().unwrap();
    assert_eq!(again.head.chain, latest.head.chain);
}
