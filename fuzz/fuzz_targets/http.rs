//! A ledger's server on loopback, given any bytes: it answers HTTP or closes, never panics, and goes on.
#![no_main]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ledger::EmbeddedLedger;
use ledger::embedded::SystemClock;
use ledger::http::{Limits, serve};
use libfuzzer_sys::fuzz_target;
use protocol::hash::Digest;
use protocol::settlement::{Genesis, Parameters};
use protocol::transaction::Key;

fn server() -> SocketAddr {
    static AT: OnceLock<SocketAddr> = OnceLock::new();
    *AT.get_or_init(|| {
        // A request whose handler panics is answered by a closed connection; here it must be seen.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            told(panic);
            std::process::abort();
        }));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let folder = tempfile::tempdir().unwrap();
                let bank = Key::from_secret(&[1; 32]).unwrap().address();
                let genesis = Genesis { chain_id: 1, salt: Digest::default(), begun_ms: 0, bank, parameters: Parameters::default() };
                let log = folder.path().join("log");
                let ledger = EmbeddedLedger::open(&log, genesis, Arc::new(SystemClock)).unwrap();
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let limits = Limits {
                    requests_per_second: u32::MAX,
                    poll: Duration::from_millis(1),
                    head: Duration::from_secs(2),
                    request: Duration::from_secs(2),
                    ..Limits::default()
                };
                let stop = std::future::pending();
                serve(Arc::new(ledger), folder.path(), listener, limits, axum::Router::new(), stop).await.unwrap();
            });
        });
        receiver.recv().unwrap()
    })
}

fuzz_target!(|bytes: &[u8]| {
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
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs"),
    }
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{answer:?}");
});
