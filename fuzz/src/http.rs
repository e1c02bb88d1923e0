//! A ledger's server on loopback, given any bytes: it answers HTTP or closes, never panics, and goes on.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ledger::http::{Limits, serve};
use ledger::{EmbeddedLedger, SystemClock};

use crate::targets::genesis;

/// A request whose handler panics is answered by a closed connection; here it must be seen.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn server() -> SocketAddr {
    static AT: OnceLock<SocketAddr> = OnceLock::new();
    *AT.get_or_init(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            told(panic);
            PANICKED.store(true, Ordering::SeqCst);
        }));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let folder = tempfile::tempdir().unwrap();
                let log = folder.path().join("log");
                let ledger = EmbeddedLedger::open(&log, genesis(), Arc::new(SystemClock)).unwrap();
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let limits = Limits {
                    requests_per_second: u32::MAX,
                    poll: Duration::from_millis(1),
                    head: Duration::from_secs(2),
                    request: Duration::from_secs(2),
                    ..Limits::default()
                };
                let (ledger, more) = (Arc::new(ledger), axum::Router::new());
                let stop = std::future::pending();
                serve(ledger, folder.path(), listener, limits, more, stop).await.unwrap();
            });
        });
        receiver.recv().unwrap()
    })
}

pub(crate) fn http(bytes: &[u8]) {
    // Streams of events never end: they are not for reading to the end.
    if bytes.windows(9).any(|part| part.eq_ignore_ascii_case(b"v1/events")) {
        return;
    }
    let mut stream = TcpStream::connect(server()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may refuse early and close.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs");
    }
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{answer:?}");
    assert!(!PANICKED.load(Ordering::SeqCst), "a handler panicked; its message is above");
}
