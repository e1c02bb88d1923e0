//! The ledger over HTTP: what honest clients see, and what dishonest or slow ones are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ledger::embedded::SystemClock;
use ledger::http::{HttpLedger, Limits, serve};
use ledger::{EmbeddedLedger, Ledger as _, LedgerError};
use protocol::hash::keccak;
use protocol::settlement::{Genesis, Parameters, Rejection};
use protocol::transaction::{Action, Key, SignedTransaction};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn key(number: u8) -> Key {
    Key::from_secret(&[number; 32]).unwrap()
}

fn genesis() -> Genesis {
    Genesis { chain_id: 1, bank: key(1).address(), parameters: Parameters::default() }
}

fn deposit(to: u8, nonce: u64) -> SignedTransaction {
    let action = Action::Deposit { account: key(to).address(), amount_wei: 5 };
    key(1).sign(&genesis().domain(), nonce, &action)
}

struct Server {
    folder: tempfile::TempDir,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::start_at(tempfile::tempdir().unwrap(), "127.0.0.1:0".parse().unwrap(), limits).await
    }

    async fn start_at(folder: tempfile::TempDir, address: SocketAddr, limits: Limits) -> Self {
        let ledger = EmbeddedLedger::open(folder.path(), genesis(), Arc::new(SystemClock)).unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let path = folder.path().to_owned();
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(Arc::new(ledger), &path, listener, limits, axum::Router::new(), stopped)
                .await
                .unwrap();
        });
        Self { folder, address, stop: Some(stop), task }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn client(&self) -> HttpLedger {
        HttpLedger::connect(&self.url(), Some(genesis().root())).await.unwrap()
    }

    async fn restart(mut self) -> Self {
        drop(self.stop.take());
        self.task.await.unwrap();
        Self::start_at(self.folder, self.address, Limits::default()).await
    }

    /// Sends bytes as they are and reads the answer's first line.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = vec![0; 4096];
        let got = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
        let got = got.unwrap().unwrap_or(0);
        String::from_utf8_lossy(&answer[..got]).lines().next().unwrap_or("").to_owned()
    }
}

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
async fn slow_and_idle_connections_are_closed_and_do_not_keep_others_out() {
    let head = Duration::from_millis(300);
    let limits = Limits { head, connections: 1_100, ..Limits::default() };
    let server = Server::start(limits).await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    // Half a head, and nothing more.
    idle[0].write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    let client = server.client().await;
    client.submit(deposit(2, 0)).await.unwrap();
    let mut rest = Vec::new();
    let closed = idle[0].read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap().ok();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
}

#[tokio::test]
async fn only_accounts_of_the_ledger_publish_and_only_what_they_signed() {
    let server = Server::start(Limits { account_bytes: 1_000, ..Limits::default() }).await;
    let client = server.client().await;
    let root = keccak(b"root");
    let refused = client.upload(&key(3), &root, b"state".to_vec()).await.unwrap_err().to_string();
    assert!(refused.contains("deposit first"), "{refused}");
    client.submit(deposit(3, 0)).await.unwrap();
    client.upload(&key(3), &root, b"state".to_vec()).await.unwrap();
    assert_eq!(client.download(&root, &key(3).address()).await.unwrap(), b"state");
    assert!(client.download(&root, &key(1).address()).await.is_err());
    let large = client.upload(&key(3), &keccak(b"2"), vec![0; 2_000]).await.unwrap_err();
    assert!(large.to_string().contains("1000 bytes"), "{large}");
    let request = format!(
        "PUT /v1/inputs/{root}/{} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nother",
        key(3).address()
    );
    assert!(server.raw(request.as_bytes()).await.starts_with("HTTP/1.1 403"));
    assert_eq!(client.download(&root, &key(3).address()).await.unwrap(), b"state");
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
