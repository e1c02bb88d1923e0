//! A ledger served over HTTP, and what is sent to it.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ledger::http::{HttpLedger, Limits, serve};
use ledger::{EmbeddedLedger, SystemClock};
use protocol::hash::{Digest, Keccak, to_hex};
use protocol::settlement::{Genesis, Parameters};
use protocol::state_stream::{StateHasher, StateHead, StateLimits};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Key, SignedTransaction};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub fn key(number: u8) -> Key {
    Key::from_secret(&[number; 32]).unwrap()
}

pub fn genesis() -> Genesis {
    let parameters = Parameters { transfer_wei_min: 1, ..Parameters::default() };
    Genesis {
        chain_id: 1,
        salt: Digest::default(),
        begun_ms: 0,
        bank: key(1).address(),
        parameters,
    }
}

pub fn deposit(to: u8, nonce: u64) -> SignedTransaction {
    let action = Action::Deposit { account: key(to).address(), amount_wei: 5 };
    key(1).sign(&genesis().domain(), nonce, &action)
}

pub struct Server {
    pub folder: tempfile::TempDir,
    pub address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(limits: Limits) -> Self {
        Self::start_at(tempfile::tempdir().unwrap(), "127.0.0.1:0".parse().unwrap(), limits).await
    }

    pub async fn start_at(folder: tempfile::TempDir, address: SocketAddr, limits: Limits) -> Self {
        let ledger = EmbeddedLedger::open(folder.path(), genesis(), Arc::new(SystemClock)).unwrap();
        ledger.sign_heads(key(9));
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

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn client(&self) -> HttpLedger {
        HttpLedger::connect(&self.url(), Some(genesis().root())).await.unwrap()
    }

    pub async fn restart(mut self) -> Self {
        drop(self.stop.take());
        self.task.await.unwrap();
        Self::start_at(self.folder, self.address, Limits::default()).await
    }

    /// Sends bytes as they are and reads the answer's first line.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = vec![0; 4096];
        let got = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
        let got = got.unwrap().unwrap_or(0);
        String::from_utf8_lossy(&answer[..got]).lines().next().unwrap_or("").to_owned()
    }
}

/// A published state of so many f32, with its root and head.
pub fn published(count: u64) -> (Digest, Vec<u8>, StateHead) {
    let kind = TensorType { element: ElementType::F32, shape: Shape::new(&[count]).unwrap() };
    let head = StateHead { values: vec![(0, kind)] };
    let mut bytes = head.prefix();
    bytes.extend((0..count).flat_map(|at| (at as f32).to_bits().to_be_bytes()));
    (root_of(&bytes), bytes, head)
}

pub fn root_of(bytes: &[u8]) -> Digest {
    let limits = StateLimits { bytes: 1 << 30, leaves: 1 << 30 };
    let mut hasher = StateHasher::<Keccak>::new(limits);
    hasher.push(bytes).unwrap();
    hasher.finish().unwrap()
}

/// What an upload's request begins with.
pub fn put_head(client: &HttpLedger, account: u8, root: &Digest, length: usize) -> String {
    let key = key(account);
    let covered = client.genesis().domain().upload_digest(key.address(), root, length as u64);
    let signature = to_hex(&key.sign_digest(&covered));
    format!(
        "PUT /v1/inputs/{root}/{} HTTP/1.1\r\nhost: x\r\nrebut-signature: {signature}\r\n\
         content-length: {length}\r\n\r\n",
        key.address()
    )
}

/// A connection from an address of this machine.
pub async fn from(server: &Server, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(server.address).await.unwrap()
}
