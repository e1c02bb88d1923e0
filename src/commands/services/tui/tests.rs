use protocol::hash::Digest;

use super::*;

#[test]
fn a_screen_reads_as_it_did_wide_and_narrow() {
    let text = |word: &str| word.to_owned();
    let mut screen = Screen {
        title: text("http://127.0.0.1:8645  height 12  2026-11-25 07:30:12 UTC"),
        money: text("free 99 ETH  locked 1.1 ETH  burned 0 ETH"),
        counts: text("jobs 1 open of 1  claims 1 standing, 0 final, 1 rejected"),
        disputes: vec![
            ["0xaa", "0xbb", "executor", "19.5 s", "0.101 ETH", "operators inside layer 1"]
                .map(text),
        ],
        claims: vec![
            (
                ClaimId(Digest([1; 32])),
                ["0xbb", "standing", "0xcc", "1 ETH", "1", "over"].map(text),
            ),
            (ClaimId(Digest([2; 32])), ["0xdd", "rejected", "0xee", "1 ETH", "1", ""].map(text)),
        ],
        standing: 1,
        ..Screen::default()
    };
    for height in 0..40 {
        screen.log.push(format!("{height:>8}  claim 0xbb answered"));
    }
    insta::assert_snapshot!("tui_wide", once("90x24", &screen).unwrap());
    // The first, the next, no further than the last, and back.
    let marked = |screen: &Screen| screen.selected.map(|id| id.0.0[0]);
    for (by, expected) in [(1, 1), (1, 2), (1, 2), (-1, 1), (-1, 1)] {
        screen.select(by);
        assert_eq!(marked(&screen), Some(expected));
    }
    insta::assert_snapshot!("tui_marked", once("90x24", &screen).unwrap());
    (screen.is_open, screen.detail) = (true, vec![text("claim         0xbb"), "long ".repeat(30)]);
    insta::assert_snapshot!("tui_claim", once("60x20", &screen).unwrap());
    screen.is_open = false;
    screen.back = 40;
    screen.trouble = Some(text("the ledger is not reached: refused"));
    insta::assert_snapshot!("tui_narrow", once("50x20", &screen).unwrap());
    // No size makes it fall over.
    for size in ["0x0", "1x1", "3x2", "1000x3"] {
        once(size, &screen).unwrap();
    }
    assert!(once("9", &screen).is_err() && once("2000x2", &screen).is_err());
    let mut empty = Screen::default();
    empty.select(1);
    assert_eq!(marked(&empty), None);
}

#[test]
fn keys_open_and_close_a_claim_scroll_the_log_and_end() {
    let mut screen = Screen::default();
    // Nothing is marked: there is nothing to open.
    assert!(!screen.press(KeyCode::Enter) && !screen.is_open);
    screen.selected = Some(ClaimId(Digest([1; 32])));
    assert!(!screen.press(KeyCode::Enter) && screen.is_open);
    assert!(!screen.press(KeyCode::Esc) && !screen.is_open);
    screen.log = vec![String::new(); 15];
    for (key, back) in [
        (KeyCode::PageUp, 10),
        (KeyCode::PageUp, 15),
        (KeyCode::PageDown, 5),
        (KeyCode::PageDown, 0),
    ] {
        assert!(!screen.press(key));
        assert_eq!(screen.back, back);
    }
    assert!(screen.press(KeyCode::Esc) && screen.press(KeyCode::Char('q')));
    assert!(!screen.press(KeyCode::Char('x')));
}
