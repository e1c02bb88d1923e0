//! A client and a server with a bad network between them: whatever is lost, cut, late, doubled or made up,
//! every transaction that was acknowledged counts once and in order, and nothing else does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ledger::SystemClock;
use ledger::http::{HttpLedger, Limits, serve};
use ledger::{EmbeddedLedger, Ledger as _, LedgerError};
use protocol::hash::Digest;
use protocol::settlement::{Genesis, Parameters};
use protocol::transaction::{Action, Key, SignedTransaction};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the network does to a connection.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing.
    None,
    /// Closes it before a byte.
    Refuse,
    /// Passes so many bytes of the request, then closes both sides.
    CutRequest(usize),
    /// Passes the request and so many bytes of the answer, then closes: the server acted, nobody hears.
    CutAnswer(usize),
    /// Holds the answer back.
    DelayAnswer(u64),
    /// Holds the request back.
    DelayRequest(u64),
    /// Sends the request twice, on connections of its own, and gives the second answer.
    Double,
    /// Gives the answer byte by byte.
    Trickle,
    /// Answers itself, with bytes that are no HTTP.
    Garbage,
    /// Answers itself: the server is overloaded.
    Overloaded,
    /// Answers itself with 200 and nothing in it.
    Empty,
    /// Answers itself with 200 and bytes that are no page of a log.
    Nonsense,
    /// Gives the first answer that was ever given to a request of the same path.
    Stale,
    /// Changes a byte in the middle of a long answer.
    Flip,
    /// Sends somewhere else.
    Redirect,
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ";

/// What answers have been given, by the request's path.
type Memory = Arc<std::sync::Mutex<std::collections::HashMap<Vec<u8>, Vec<u8>>>>;

/// Reads until the other side says nothing for a while: one request or answer.
async fn read_some(stream: &mut TcpStream, quiet: Duration) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = vec![0; 64 << 10];
    loop {
        let wait = if all.is_empty() { Duration::from_secs(5) } else { quiet };
        match tokio::time::timeout(wait, stream.read(&mut part)).await {
            Ok(Ok(count)) if count > 0 => all.extend_from_slice(&part[..count]),
            _ => return all,
        }
    }
}

async fn answer_of(server: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request).await.unwrap();
    read_some(&mut stream, Duration::from_millis(15)).await
}

async fn pass(mut client: TcpStream, server: SocketAddr, fault: Fault, memory: Memory) {
    if matches!(fault, Fault::Refuse) {
        return;
    }
    let request = read_some(&mut client, Duration::from_millis(5)).await;
    let path: Vec<u8> =
        request.iter().copied().take_while(|byte| *byte != b'?' && *byte != b'\r').collect();
    let fixed = |body: &str| format!("{HEAD}{}\r\n\r\n{body}", body.len()).into_bytes();
    let given = match fault {
        Fault::CutRequest(bytes) => {
            let mut stream = TcpStream::connect(server).await.unwrap();
            let _ = stream.write_all(&request[..bytes.min(request.len())]).await;
            return;
        }
        Fault::Garbage => b"\x00\xff no http at all".to_vec(),
        Fault::Overloaded => {
            b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec()
        }
        Fault::Redirect => {
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                .to_vec()
        }
        Fault::Empty => fixed(""),
        Fault::Nonsense => fixed("what is this"),
        Fault::DelayRequest(by_ms) => {
            tokio::time::sleep(Duration::from_millis(by_ms)).await;
            answer_of(server, &request).await
        }
        Fault::Double => {
            drop(answer_of(server, &request).await);
            answer_of(server, &request).await
        }
        Fault::Stale => {
            let new = answer_of(server, &request).await;
            memory.lock().unwrap().entry(path.clone()).or_insert(new).clone()
        }
        _ => answer_of(server, &request).await,
    };
    memory.lock().unwrap().entry(path).or_insert_with(|| given.clone());
    match fault {
        Fault::CutAnswer(bytes) => {
            let _ = client.write_all(&given[..bytes.min(given.len())]).await;
        }
        Fault::DelayAnswer(by_ms) => {
            tokio::time::sleep(Duration::from_millis(by_ms)).await;
            let _ = client.write_all(&given).await;
        }
        Fault::Trickle => {
            for byte in given {
                if client.write_all(&[byte]).await.is_err() || client.flush().await.is_err() {
                    return;
                }
            }
        }
        Fault::Flip => {
            let mut given = given;
            let middle = given.len() * 3 / 4;
            if let Some(byte) = given.get_mut(middle) {
                *byte ^= 0x10;
            }
            let _ = client.write_all(&given).await;
        }
        _ => {
            let _ = client.write_all(&given).await;
        }
    }
}

/// A network that plays its faults in turn, connection by connection, and is well after them.
async fn network(server: SocketAddr, faults: &'static [Fault]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let next = AtomicUsize::new(0);
    let memory = Memory::default();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let fault = faults.get(next.fetch_add(1, Ordering::Relaxed)).copied();
            let memory = Arc::clone(&memory);
            tokio::spawn(pass(client, server, fault.unwrap_or(Fault::None), memory));
        }
    });
    url
}

fn key() -> Key {
    Key::from_secret(&[1; 32]).unwrap()
}

fn genesis() -> Genesis {
    let parameters = Parameters { transfer_wei_min: 1, ..Parameters::default() };
    Genesis { chain_id: 1, salt: Digest::default(), begun_ms: 0, bank: key().address(), parameters }
}

fn deposit(nonce: u64) -> SignedTransaction {
    let action = Action::Deposit { account: key().address(), amount_wei: 1 << nonce };
    key().sign(&genesis().domain(), nonce, &action)
}

/// Tries again what may or may not have arrived, as daemons do.
async fn insist<T>(
    mut work: impl AsyncFnMut() -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    for _ in 0..40 {
        match work().await {
            Err(error) if error.is_away() => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => return other,
        }
    }
    panic!("the network did not get well");
}

/// How a client comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// With every transaction in the ledger once.
    Whole,
    /// It stops believing this server, and says so; what it sent counts once at most.
    Disbelieving,
}

async fn scenario(faults: &'static [Fault]) -> (Ends, u64) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(
        EmbeddedLedger::open(&folder.path().join("log"), genesis(), Arc::new(SystemClock)).unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let (served, place) = (Arc::clone(&ledger), folder.path().to_owned());
    tokio::spawn(async move {
        let limits = Limits::default();
        serve(served, &place, listener, limits, axum::Router::new(), std::future::pending()).await
    });
    let url = network(server, faults).await;
    let root = Some(genesis().root());
    let played = async {
        let client = insist(async || HttpLedger::connect(&url, root).await).await?;
        for nonce in 0..5 {
            let receipt = insist(async || client.submit(deposit(nonce)).await).await?;
            assert_eq!(receipt.height, nonce + 1, "{faults:?}");
        }
        let view = insist(async || client.view().await).await?;
        assert_eq!(view.settlement.money().deposited_wei(), 0b11111, "{faults:?}");
        Ok::<_, LedgerError>(view.height)
    };
    let ends = match played.await {
        Ok(height) => {
            assert_eq!(height, 5, "{faults:?}");
            Ends::Whole
        }
        Err(LedgerError::Unusable { .. }) => Ends::Disbelieving,
        Err(error) => panic!("{faults:?}: {error}"),
    };
    let view = ledger.view().await.unwrap();
    // Once each, in order: the amounts are powers of two.
    assert_eq!(view.settlement.money().deposited_wei(), (1 << view.height) - 1, "{faults:?}");
    (ends, view.height)
}

use Fault::{
    CutAnswer, CutRequest, DelayAnswer, DelayRequest, Double, Empty, Flip, Garbage, Nonsense,
    Overloaded, Redirect, Refuse, Stale, Trickle,
};

/// The first two connections are the client's connecting: genesis and log. Then each transaction is a post and a
/// reading of the log.
const N: Fault = Fault::None;

/// A client comes through these.
const WHOLE: &[&[Fault]] = &[
    &[],
    &[Refuse, Refuse, Refuse],
    &[CutAnswer(0)],
    &[CutAnswer(60)],
    &[N, CutAnswer(90)],
    &[N, N, Refuse],
    &[N, N, CutRequest(0)],
    &[N, N, CutRequest(40)],
    &[N, N, CutRequest(200)],
    // Accepted, and nobody heard: sent again it counts once.
    &[N, N, CutAnswer(0)],
    &[N, N, CutAnswer(20), N, CutAnswer(0)],
    &[N, N, CutAnswer(0), CutAnswer(0), CutAnswer(0), CutAnswer(0)],
    &[N, N, N, CutAnswer(0), N, N, CutAnswer(100)],
    &[N, N, DelayRequest(300)],
    &[N, N, DelayAnswer(300), DelayAnswer(300)],
    &[N, N, Double],
    &[N, N, Double, Double, Double, Double, Double, Double],
    &[N, N, Trickle, Trickle],
    &[Trickle, Trickle, Trickle, Trickle, Trickle, Trickle],
    &[N, N, Garbage],
    &[Garbage, N, N, N, Garbage],
    &[N, N, Overloaded, Overloaded],
    &[Overloaded, N, Overloaded, N, Overloaded],
    &[N, N, Redirect],
    &[N, N, Refuse, CutAnswer(0), Double, Garbage, DelayAnswer(50), Overloaded],
];

/// A server that acknowledged what it does not show: nobody may build upon that.
const UNSHOWN: &[&[Fault]] = &[
    // A page of before: what was acknowledged is not there.
    &[N, N, N, Stale],
    &[N, N, N, N, N, Stale],
    // Acknowledged, and not there.
    &[N, N, Empty, N, N],
];

/// Pages that are none.
const NO_PAGES: &[&[Fault]] = &[
    &[N, N, N, Empty],
    &[N, N, N, Nonsense],
    // At the client's connecting.
    &[Nonsense],
    &[N, N, N, Flip],
];

/// Plays all of them at once.
async fn play(scenarios: &'static [&'static [Fault]], expected: Ends) {
    let here = tokio::task::LocalSet::new();
    let playing: Vec<_> = scenarios
        .iter()
        .map(|faults| {
            here.spawn_local(async move {
                let (found, height) = scenario(faults).await;
                assert_eq!(found, expected, "{faults:?} at height {height}");
            })
        })
        .collect();
    here.run_until(async {
        for one in playing {
            one.await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_the_network_does_what_was_acknowledged_counts_once() {
    play(WHOLE, Ends::Whole).await;
}

#[tokio::test]
async fn audit_a10_a_server_that_does_not_show_what_it_acknowledged_is_not_believed() {
    play(UNSHOWN, Ends::Disbelieving).await;
}

#[tokio::test]
async fn a_server_whose_pages_are_none_is_not_believed() {
    play(NO_PAGES, Ends::Disbelieving).await;
}
