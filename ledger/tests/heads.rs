//! Signed heads over HTTP: kept by clients, and what a server that shows two logs is convicted by.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Server, deposit, genesis, key};
use ledger::Ledger as _;
use ledger::heads::SignedHead;
use ledger::http::{Limits, fetch_head, read_head};
use protocol::hash::Digest;
use serde_json::Value;

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
    let heads = [0, 1].map(|at| SignedHead::of_json(&proof["heads"][at]).unwrap());
    assert!(heads[0].contradicts(&heads[1]));
    assert!(heads.iter().all(|head| head.verify(&domain).is_ok()));
    // What was kept stays, for it is half of the proof.
    assert_eq!(read_head(&file).unwrap().1, kept);
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
