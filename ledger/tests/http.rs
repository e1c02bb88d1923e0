//! The ledger over HTTP: what honest clients see, and what dishonest or slow ones are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ledger::SystemClock;
use ledger::http::{DownloadError, HttpLedger, Limits, serve};
use ledger::{EmbeddedLedger, Ledger as _, LedgerError};
use protocol::hash::{Digest, Keccak, keccak, to_hex};
use protocol::settlement::{Genesis, MoneyError, Parameters, Rejection};
use protocol::state_stream::{StateHasher, StateHead, StateLimits};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Key, SignedTransaction};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

fn key(number: u8) -> Key {
    Key::from_secret(&[number; 32]).unwrap()
}

fn genesis() -> Genesis {
    let parameters = Parameters::default();
    Genesis {
        chain_id: 1,
        salt: Digest::default(),
        begun_ms: 0,
        bank: key(1).address(),
        parameters,
    }
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
async fn what_the_rules_refuse_comes_as_the_ledger_s_own_rejection() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    client.submit(deposit(2, 0)).await.unwrap();
    let other = Digest([7; 32]);
    for (who, nonce, action, expected) in [
        (2, 0, Action::Finalise { job: other }, Rejection::Unknown { kind: "job" }),
        (2, 0, Action::CallTime { challenge: other }, Rejection::Unknown { kind: "challenge" }),
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
            Rejection::Terms { name: "amount_wei", bounds: "more than zero" },
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
async fn slow_and_idle_connections_are_closed_and_do_not_keep_others_out() {
    let head = Duration::from_millis(300);
    let (connections, connections_per_address) = (1_100, 1_100);
    let limits = Limits { head, connections, connections_per_address, ..Limits::default() };
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

/// A published state of so many f32, with its root and head.
fn published(count: u64) -> (Digest, Vec<u8>, StateHead) {
    let kind = TensorType { element: ElementType::F32, shape: Shape::new(&[count]).unwrap() };
    let head = StateHead { values: vec![(0, kind)] };
    let mut bytes = head.prefix();
    bytes.extend((0..count).flat_map(|at| (at as f32).to_bits().to_be_bytes()));
    (root_of(&bytes), bytes, head)
}

fn root_of(bytes: &[u8]) -> Digest {
    let limits = StateLimits { bytes: 1 << 30, leaves: 1 << 30 };
    let mut hasher = StateHasher::<Keccak>::new(limits);
    hasher.push(bytes).unwrap();
    hasher.finish().unwrap()
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
async fn audit_a7_no_body_is_read_before_its_sender_may_send_it() {
    let server = Server::start(Limits { upload_bytes: 1 << 30, ..Limits::default() }).await;
    let client = server.client().await;
    client.submit(deposit(3, 0)).await.unwrap();
    let (account, root) = (key(3).address(), published(9).0);
    let signed = |who: u8, length: u64| {
        let digest = genesis().domain().upload_digest(account, &root, length);
        to_hex(&key(who).sign_digest(&digest))
    };
    let put = |length: u64, signature: &str| {
        format!(
            "PUT /v1/inputs/{root}/{account} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\
             rebut-signature: {signature}\r\n\r\n"
        )
    };
    // Each is answered though not one byte of the body was sent.
    for (request, status) in [
        (put(500 << 20, ""), "403"),
        (put(500 << 20, &signed(4, 500 << 20)), "403"),
        (put(500 << 20, &signed(3, 1_000)), "403"),
        (put(2 << 30, &signed(3, 2 << 30)), "413"),
    ] {
        let answer = server.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}: {request}");
    }
}

#[tokio::test]
async fn audit_a7_readers_of_old_heights_do_not_keep_moves_waiting() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    for nonce in 0..200 {
        client.submit(deposit(2, nonce)).await.unwrap();
    }
    let mut asking = Vec::new();
    for number in 0..40u64 {
        let url = format!("{}/v1/status?height={}", server.url(), 1 + number % 100);
        asking.push(tokio::spawn(async move { reqwest::get(url).await.unwrap().status() }));
    }
    for nonce in 200..220 {
        let submitted = client.submit(deposit(2, nonce));
        tokio::time::timeout(Duration::from_secs(5), submitted).await.unwrap().unwrap();
    }
    // Each is answered, or told to come again: nobody waits without a word.
    let mut answered = 0;
    for one in asking {
        let status = one.await.unwrap().as_u16();
        assert!(status == 200 || status == 503, "{status}");
        answered += u32::from(status == 200);
    }
    assert!(answered > 0);
    let view = client.view_at(17).await.unwrap();
    assert_eq!(view.settlement.money().deposited_wei(), 85);
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
async fn a_reader_of_events_that_goes_away_leaves_nothing_behind() {
    let server = Server::start(Limits::default()).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for after in [u64::MAX, 0, 7] {
        for _ in 0..30 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let request = format!("GET /v1/events?after={after} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut head = [0; 64];
            assert!(stream.read(&mut head).await.unwrap() > 0);
        }
    }
    for _ in 0..100 {
        if tasks() <= before + 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{before} tasks became {}", tasks());
}

#[tokio::test]
async fn one_address_takes_neither_all_connections_nor_all_memory() {
    let limits = Limits { connections_per_address: 40, streams: 4, ..Limits::default() };
    let server = Server::start(limits).await;
    let client = server.client().await;
    client.submit(deposit(2, 0)).await.unwrap();
    // More streams of events than there are places: the last are told so.
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        streams.push((stream, String::from_utf8_lossy(&head).into_owned()));
    }
    let answers: Vec<&str> = streams.iter().map(|(_, head)| head.as_str()).collect();
    assert_eq!(answers[3..], ["HTTP/1.1 200", "HTTP/1.1 503"]);
    drop(streams);
    // Transactions that stop one byte before their end hold their connections and little else.
    let head = "POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..30 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[7; 59_999]).await.unwrap();
        held.push(stream);
    }
    client.submit(deposit(2, 1)).await.unwrap();
    // Beyond its share, connections of the address are closed.
    let mut more = Vec::new();
    for _ in 0..40 {
        more.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut last = more.pop().unwrap();
    let mut rest = Vec::new();
    let closed = last.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap().ok();
    assert!(rest.is_empty());
    // And let go after seconds: the address is served again.
    drop((held, more));
    client.submit(deposit(2, 2)).await.unwrap();
}

/// What an upload's request begins with.
fn put_head(client: &HttpLedger, account: u8, root: &Digest, length: usize) -> String {
    let key = key(account);
    let covered = client.genesis().domain().upload_digest(key.address(), root, length as u64);
    let signature = to_hex(&key.sign_digest(&covered));
    format!(
        "PUT /v1/inputs/{root}/{} HTTP/1.1\r\nhost: x\r\nrebut-signature: {signature}\r\n\
         content-length: {length}\r\n\r\n",
        key.address()
    )
}

#[tokio::test]
async fn uploads_that_stand_still_keep_no_threads_from_others() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    let (root, bytes, _) = published(2_000);
    let head = |account: u8| put_head(&client, account, &root, bytes.len());
    let mut held = Vec::new();
    for account in 10..15 {
        client.submit(deposit(account, u64::from(account - 10))).await.unwrap();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(head(account).as_bytes()).await.unwrap();
            stream.write_all(&bytes[..100]).await.unwrap();
            held.push(stream);
        }
    }
    // Those beyond the share of one source are told so, the others are let go after seconds.
    let mut answers = Vec::new();
    for stream in &mut held {
        let mut status = [0; 12];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut status));
        read.await.unwrap().unwrap();
        answers.push(String::from_utf8_lossy(&status[9..]).into_owned());
    }
    let count = |wanted: &str| answers.iter().filter(|one| *one == wanted).count();
    assert_eq!((count("408"), count("503")), (16, 4), "{answers:?}");
    client.submit(deposit(16, 5)).await.unwrap();
    client.upload(&key(16), &root, bytes).await.unwrap();
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

/// A connection from an address of this machine.
async fn from(server: &Server, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(server.address).await.unwrap()
}

#[tokio::test]
async fn audit_a7_a_few_addresses_that_take_all_connections_keep_nobody_out() {
    let limits = Limits { connections: 8, connections_per_address: 4, ..Limits::default() };
    let server = Server::start(limits).await;
    let mut held = Vec::new();
    for last in [2, 2, 2, 2, 3, 3, 3, 3] {
        let mut stream = from(&server, last).await;
        // Open until its patience is over.
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        held.push(stream);
    }
    let client = tokio::time::timeout(Duration::from_secs(5), server.client()).await.unwrap();
    client.submit(deposit(2, 0)).await.unwrap();
}

#[tokio::test]
async fn audit_a7_who_takes_nothing_of_an_answer_is_let_go() {
    let limits = Limits { stall: Duration::from_millis(500), ..Limits::default() };
    let server = Server::start(limits).await;
    let client = server.client().await;
    let (root, bytes, _) = published(4_000_000);
    client.submit(deposit(2, 0)).await.unwrap();
    client.upload(&key(2), &root, bytes.clone()).await.unwrap();
    let mut stream = from(&server, 2).await;
    let path = format!("/v1/inputs/{root}/{}", key(2).address());
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut got = Vec::new();
    let whole = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut got)).await;
    drop(whole.unwrap());
    assert!((1..bytes.len()).contains(&got.len()), "{} of {}", got.len(), bytes.len());
}

#[tokio::test]
async fn audit_a7_a_head_without_its_body_makes_no_state_young_and_head_reads_nothing() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    let (root, bytes, _) = published(2_000);
    client.submit(deposit(2, 0)).await.unwrap();
    client.upload(&key(2), &root, bytes.clone()).await.unwrap();
    let path = server.folder.path().join(format!("inputs/{}/{root}", key(2).address()));
    let old = std::time::SystemTime::now() - Duration::from_secs(3_600);
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(old).unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = put_head(&client, 2, &root, bytes.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(stream);
    let is_old = || path.metadata().unwrap().modified().unwrap() == old;
    assert!(is_old());
    client.upload(&key(2), &root, bytes).await.unwrap();
    assert!(!is_old());
    let status = server.raw(b"HEAD /v1/log?after=0 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(status.contains("405"), "{status}");
}

#[tokio::test]
async fn audit_a7_addresses_that_take_all_places_for_uploads_give_one_to_who_has_fewer() {
    let server = Server::start(Limits::default()).await;
    let client = server.client().await;
    let (root, bytes, _) = published(2_000);
    let mut held = Vec::new();
    for account in 2..34u8 {
        client.submit(deposit(account, u64::from(account - 2))).await.unwrap();
        for _ in 0..4 {
            let mut stream = from(&server, 2 + (account - 2) / 4).await;
            let head = put_head(&client, account, &root, bytes.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            held.push(stream);
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.submit(deposit(100, 32)).await.unwrap();
    client.upload(&key(100), &root, bytes).await.unwrap();
}

#[tokio::test]
async fn audit_a7_who_follows_the_log_comes_on_in_small_steps_when_others_hold_all_long_answers() {
    // Room for no long answer at all.
    let server = Server::start(Limits { held_bytes: 4 << 10, ..Limits::default() }).await;
    let client = server.client().await;
    for nonce in 0..600 {
        client.submit(deposit(2, nonce)).await.unwrap();
    }
    let late = server.client().await;
    assert_eq!(late.view().await.unwrap().height, 600);
}
