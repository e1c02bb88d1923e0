//! The ledger over HTTP in a crowd: who is slow, stands still or takes all places keeps nobody else out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{Server, deposit, from, genesis, key, published, put_head};
use ledger::Ledger as _;
use ledger::http::Limits;
use protocol::hash::to_hex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
async fn readers_of_old_heights_are_answered_or_told_to_come_again() {
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

#[tokio::test]
async fn audit_a7_a_crowd_of_addresses_with_one_connection_each_locks_out_nobody_who_has_money() {
    let server = Server::start(Limits { connections: 32, ..Limits::default() }).await;
    let client = server.client().await;
    client.submit(deposit(2, 0)).await.unwrap();
    let place = |account: u8, ahead_ms: u64, signer: u8| {
        let (client, server, account) = (&client, &server, key(account).address());
        async move {
            let until_ms = client.view().await.unwrap().now_ms + ahead_ms;
            let covered = client.genesis().domain().place_digest(account, until_ms);
            let signature = to_hex(&key(signer).sign_digest(&covered));
            let head = format!(
                "PUT /v1/places/{account}?until_ms={until_ms} HTTP/1.1\r\nhost: x\r\n\
                 rebut-signature: {signature}\r\ncontent-length: 0\r\n\r\n"
            );
            server.raw(head.as_bytes()).await
        }
    };
    for (status, account, ahead_ms, signer) in
        [("403", 2, 60_000, 3), ("403", 3, 60_000, 3), ("400", 2, 0, 2), ("400", 2, 601_000, 2)]
    {
        let said = place(account, ahead_ms, signer).await;
        assert!(said.contains(status), "{said}");
    }
    client.keep_place(&key(2)).await.unwrap();
    // It is known by its address; strangers have others. Somebody at the same address waits for news.
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    let poll = b"GET /v1/log?after=1000&wait_ms=20000 HTTP/1.1\r\nhost: x\r\n\r\n";
    waiting.write_all(poll).await.unwrap();
    let mut crowd = Vec::new();
    for last in 10..100 {
        crowd.push(from(&server, last).await);
        if last % 10 == 0 {
            client.submit(deposit(2, u64::from(last / 10))).await.unwrap();
        }
    }
    client.submit(deposit(2, 10)).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_millis(200), waiting.read(&mut [0; 64])).await;
    assert!(ended.is_err(), "the connection of who has a place was ended: {ended:?}");
    // Whoever has nothing is let in as well, in the place of the stranger who came first.
    let mut stream = from(&server, 200).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 64];
    let got = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
    assert!(got.unwrap().unwrap() > 0);
}

#[tokio::test]
async fn audit_a7_the_longest_move_has_room_when_others_hold_all_memory_for_bodies() {
    // Room for no long body at all, as when others hold all of it.
    let server = Server::start(Limits { held_bytes: 4 << 10, ..Limits::default() }).await;
    let post = |length: usize| {
        let head = format!(
            "POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.into_bytes(), vec![7; length]].concat()
    };
    // 256 leaves of 256 bytes, each with its length, and what is around them.
    let said = server.raw(&post((256 << 8) + 8_192)).await;
    assert!(said.contains("400"), "read, and no transaction: {said}");
    let said = server.raw(&post(300_000)).await;
    assert!(said.contains("503"), "{said}");
}
