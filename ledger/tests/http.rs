//! The ledger over HTTP: what honest clients see, and what dishonest or slow ones are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Server, deposit, genesis, key, published, put_head};
use ledger::http::{DownloadError, HttpLedger, Limits};
use ledger::{Ledger as _, LedgerError};
use protocol::hash::{Digest, keccak};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{MoneyError, Rejection};
use protocol::transaction::{Action, Key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn clients_see_the_same_ledger_and_typed_rejections() {
    let server = Server::start(Limits::default()).await;
    let (one, two) = (server.client().await, server.client().await);
    for nonce in 0..3 {
        assert_eq!(one.submit(deposit(2, nonce)).await.unwrap().height, nonce + 1);
    }
    let view = two.view().await.unwrap();
    assert_eq!((view.height, view.settlement.money().free_wei(&key(2).address())), (3, 15));
    assert_eq!(two.view_at(1).await.unwrap().settlement.money().deposited_wei(), 5);
    assert_eq!(two.events_after(1, 1).await.unwrap()[0].height, 2);
    // The same bytes again, as after a lost answer, count once; others in their place do not.
    assert_eq!(two.submit(deposit(2, 1)).await.unwrap().height, 2);
    let other = one.submit(deposit(3, 1)).await.unwrap_err();
    assert!(matches!(other, LedgerError::Rejected(Rejection::Nonce { .. })), "{other}");
    let other = Key::from_secret(&[9; 32]).unwrap().address();
    let mut forged = deposit(2, 3);
    forged.sender = other;
    assert!(matches!(one.submit(forged).await, Err(LedgerError::Rejected(_))));
    assert_eq!(one.view().await.unwrap().height, 3);
}

#[tokio::test]
async fn what_the_rules_refuse_comes_as_the_ledger_s_own_rejection() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    client.submit(deposit(2, 0)).await.unwrap();
    let other = Digest([7; 32]);
    for (who, nonce, action, expected) in [
        (2, 0, Action::ExpireJob { job: JobId(other) }, Rejection::Unknown { kind: "job" }),
        (2, 0, Action::Finalise { claim: ClaimId(other) }, Rejection::Unknown { kind: "claim" }),
        (
            2,
            0,
            Action::CallTime { claim: ClaimId(other), challenger: key(2).address() },
            Rejection::Unknown { kind: "challenge" },
        ),
        (
            2,
            0,
            Action::Withdraw { amount_wei: 6 },
            MoneyError::Insufficient { free_wei: 5, needed_wei: 6 }.into(),
        ),
        (
            2,
            0,
            Action::Deposit { account: key(2).address(), amount_wei: 1 },
            Rejection::NotAllowed { who: "the ledger's bank" },
        ),
        (
            1,
            1,
            Action::Deposit { account: key(2).address(), amount_wei: 0 },
            Rejection::Terms { name: "amount_wei", bounds: "at least the ledger's least transfer" },
        ),
        (1, 0, Action::Withdraw { amount_wei: 1 }, Rejection::Nonce { expected: 1 }),
        (1, 9, Action::Withdraw { amount_wei: 1 }, Rejection::Nonce { expected: 1 }),
    ] {
        let signed = key(who).sign(&genesis().domain(), nonce, &action);
        let refused = client.submit(signed).await.unwrap_err();
        assert_eq!(refused, LedgerError::Rejected(expected));
    }
    assert_eq!(client.view().await.unwrap().height, 1);
}

#[tokio::test]
async fn a_waiting_client_hears_of_news_at_once_and_goes_on_after_a_restart_of_the_server() {
    let server = Server::start(Limits::default()).await;
    let (writer, reader) = (server.client().await, Arc::new(server.client().await));
    let waiting = tokio::spawn({
        let reader = Arc::clone(&reader);
        async move { reader.wait_beyond(0).await }
    });
    writer.submit(deposit(2, 0)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap().unwrap();
    let server = server.restart().await;
    assert_eq!(reader.view().await.unwrap().height, 1);
    writer.submit(deposit(2, 1)).await.unwrap();
    assert_eq!(reader.view().await.unwrap().height, 2);
    drop(server);
}

#[tokio::test]
async fn another_ledger_at_the_same_address_is_refused_and_a_missing_one_is_named() {
    let server = Server::start(Limits::default()).await;
    let other = HttpLedger::connect(&server.url(), Some(keccak(b"other"))).await.unwrap_err();
    assert!(other.to_string().contains("not 0x"), "{other}");
    let error = HttpLedger::connect("http://127.0.0.1:1", None).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn malformed_oversized_and_unknown_requests_are_answered_with_their_fault() {
    let server = Server::start(Limits::default()).await;
    let post = |length: usize, body: &str| {
        format!(
            "POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    for (request, status) in [
        (post(3, "abc"), "400"),
        (post(100 << 20, ""), "413"),
        ("GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("GET /v1/log?after=x HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "400"),
        ("GET /v1/jobs/0x12 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "400"),
        ("GET /v1/status?height=9 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)), "4"),
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "200"),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "200"),
    ] {
        let answer = server.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer} for {request:.60}");
    }
}

#[tokio::test]
async fn only_accounts_of_the_ledger_publish_and_only_what_they_signed() {
    let server = Server::start(Limits { account_bytes: 8 << 10, ..Limits::default() }).await;
    let client = server.client().await;
    let (root, bytes, head) = published(50);
    let account = key(3).address();
    let refused = client.upload(&key(3), &root, bytes.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("deposit first"), "{refused}");
    client.submit(deposit(3, 0)).await.unwrap();
    // Once, and once more as after a lost answer.
    for _ in 0..2 {
        client.upload(&key(3), &root, bytes.clone()).await.unwrap();
    }
    assert_eq!(client.download(&root, &account, &head).await.unwrap(), bytes);
    let missing = client.download(&root, &key(1).address(), &head).await;
    assert_eq!(missing, Err(DownloadError::Missing));
    let (other_root, other, other_head) = published(300);
    let large = client.upload(&key(3), &other_root, other).await.unwrap_err();
    assert!(large.to_string().contains("8192 bytes"), "{large}");
    let wrong = client.download(&root, &account, &other_head).await.unwrap_err();
    assert!(matches!(&wrong, DownloadError::Wrong { .. }), "{wrong}");
    let request = format!(
        "PUT /v1/inputs/{other_root}/{account} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nother"
    );
    assert!(server.raw(request.as_bytes()).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn audit_a3_only_a_state_of_the_root_it_is_published_under_is_kept() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    client.submit(deposit(3, 0)).await.unwrap();
    let account = key(3).address();
    let (root, bytes, head) = published(2_000);
    let mut damaged = bytes.clone();
    damaged[900] ^= 1;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        // A compressed archive, whatever it would unpack to.
        ([&b"PK\x03\x04"[..], &[0; 5_000]].concat(), "not a published state"),
        (damaged, "nothing was kept"),
        (bytes[..bytes.len() - 1].to_vec(), "over the limit"),
        ([&bytes[..], &[0; 3]].concat(), "follow"),
        (published(3).1, "nothing was kept"),
    ];
    for (upload, reason) in cases {
        let refused = client.upload(&key(3), &root, upload).await.unwrap_err().to_string();
        assert!(refused.contains(reason), "{reason}: {refused}");
    }
    let kept = || {
        let folder = server.folder.path().join("inputs").join(account.to_string());
        std::fs::read_dir(folder).into_iter().flatten().count()
    };
    assert_eq!(kept(), 0, "what was refused takes no room");
    client.upload(&key(3), &root, bytes.clone()).await.unwrap();
    assert_eq!((kept(), client.download(&root, &account, &head).await), (1, Ok(bytes)));
}

#[tokio::test]
async fn audit_a3_a_server_that_gives_something_else_or_more_than_the_model_takes_is_cut_off() {
    let (root, bytes, head) = published(2_000);
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    for (sent, reason) in [
        (other, "the root"),
        (bytes[..bytes.len() - 7].to_vec(), "must be"),
        (vec![0; 10 << 20], "must be"),
        (published(2_001).1, "must be"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/inputs/x", listener.local_addr().unwrap());
        // Without a length, so that only what arrives can tell.
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
            let _ = stream.write_all(&sent).await;
        });
        let server = Server::start(Limits::default()).await;
        let client = server.client().await;
        let refused = client.download_from(&url, &root, &head).await.unwrap_err();
        let text = refused.to_string();
        let expected = text.contains(reason) || text.contains("too early");
        assert!(matches!(refused, DownloadError::Wrong { .. }) && expected, "{reason}: {text}");
    }
}

#[tokio::test]
async fn events_are_a_stream_that_resumes_behind_the_last_one_seen() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    for nonce in 0..3 {
        client.submit(deposit(2, nonce)).await.unwrap();
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /v1/events HTTP/1.1\r\nhost: x\r\nlast-event-id: 1\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    while !text.contains("id: 3") {
        let mut part = [0; 4096];
        let got = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut part)).await;
        text.push_str(&String::from_utf8_lossy(&part[..got.unwrap().unwrap()]));
    }
    assert!(text.contains("id: 2") && !text.contains("id: 1\n"), "{text}");
    assert!(text.contains("deposited"), "{text}");
}

#[tokio::test]
async fn a_state_that_is_uploaded_again_is_read_to_its_end_before_the_answer() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    let (root, bytes, _) = published(20_000);
    client.submit(deposit(2, 0)).await.unwrap();
    client.upload(&key(2), &root, bytes.clone()).await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = put_head(&client, 2, &root, bytes.len());
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(first).await.unwrap();
    let mut status = [0; 12];
    let early = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut status)).await;
    assert!(early.is_err(), "answered after half of it");
    stream.write_all(rest).await.unwrap();
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}
