//! What a ledger keeps, in canonical form, and its root: golden vectors, and encodings that are refused.
//! `REBUT_BLESS=1` writes the vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::answers::{TRACE, inside};
use common::{Game, Toy, Who, address, check_records, genesis};
use proptest::prelude::*;
use protocol::asks::{Evidence, Tree};
use protocol::encoding::{Canonical, DecodeError};
use protocol::hash::{self, Digest, to_hex};
use protocol::settlement::{
    Account, ClaimRecord, ClaimStatus, ETHER, FallReason, Record, Rejection, Settlement,
};
use serde_json::{Value, json};

fn check(name: &str, found: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let text = serde_json::to_string_pretty(found).unwrap() + "\n";
    if std::env::var_os("REBUT_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        text == expected,
        "{name} changed; this changes the protocol (REBUT_BLESS=1 writes it)"
    );
}

/// Of two jobs one has a claim that fell and one that stands under a challenge; the other has a sealed claim that was
/// opened, one that waits, and attesters of both.
fn played() -> Game {
    let run = Toy::new().run(None);
    Game::new()
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .opens_up(Who::Challenger, &[inside(1)])
        .falls_by_silence(Who::Challenger)
        .claims(Who::Rival, &run)
        .challenges(Who::Second, Who::Rival)
        .posts(|terms| (terms.salt, terms.attention_wei) = (1, ETHER / 25))
        .seals(Who::Executor)
        .attests(Who::Challenger, Who::Executor)
        .wait(20_000)
        .seals(Who::Rival)
        .attests(Who::Second, Who::Rival)
        .wait(10_001)
        .opens(Who::Executor)
        .plays(Who::Challenger, |game| game.prove(Who::Challenger, Who::Executor))
}

fn kind(record: &Record) -> &'static str {
    match record {
        Record::Account { .. } => "account",
        Record::Model { .. } => "model",
        Record::Job { .. } => "job",
        Record::Claim { .. } => "claim",
        Record::Challenge { .. } => "challenge",
        Record::Sealed { .. } => "sealed claim",
        Record::Attestation { .. } => "attestation",
    }
}

fn vector_of(state: &Settlement) -> Value {
    let head = state.snapshot_head();
    let records: Vec<Value> = state
        .records()
        .map(|record| {
            let bytes = record.to_canonical();
            json!({
                "kind": kind(&record), "encoding": to_hex(&bytes),
                "leaf": hash::leaf(&bytes).to_string(),
            })
        })
        .collect();
    json!({
        "head": to_hex(&head.to_canonical()), "root": state.root().to_string(),
        "records_root": head.records.to_string(), "records": records,
    })
}

/// One reason of each kind for which a claim falls.
fn reasons() -> Vec<FallReason> {
    let (iteration, claimed, expected) = (1, hash::leaf(b"claimed"), hash::leaf(b"expected"));
    let (operator, element, segment) = (2, 3, 4);
    let step = |claimed, expected, multiply_adds| Evidence::Step {
        iteration,
        operator,
        element,
        segment,
        claimed,
        expected,
        multiply_adds,
    };
    let evidence = [
        step(vec![0x3F80_0000, 0], Some(vec![0x4000_0000, 0]), 64),
        step(Vec::new(), None, 64),
        Evidence::Contradiction { iteration, value: 5, claimed, expected },
        Evidence::StateValue { iteration, boundary: 6, claimed: 7, expected: 8 },
        Evidence::Leaf { iteration, operator, leaf: 9 },
        Evidence::Link { iteration, input: 10, claimed, expected },
        Evidence::Entry { iteration, claimed, expected },
        Evidence::Stop { iteration, is_last: true, claimed },
    ];
    let mut reasons: Vec<FallReason> = evidence.into_iter().map(FallReason::Refuted).collect();
    reasons.push(FallReason::Silence(Game::new().ask(inside(1))));
    reasons
}

#[test]
fn records_and_roots() {
    let game = played();
    check_records(&game.state);
    let mut kinds: Vec<&str> = game.state.records().map(|record| kind(&record)).collect();
    kinds.dedup();
    let all = ["account", "model", "job", "claim", "challenge", "sealed claim", "attestation"];
    assert_eq!(kinds, all);
    let reasons = reasons().into_iter().map(|reason| {
        let bytes = reason.to_canonical();
        assert_eq!(FallReason::from_canonical(&bytes), Ok(reason));
        to_hex(&bytes)
    });
    let vectors = json!({
        "genesis": to_hex(&genesis().to_canonical()),
        "begun": vector_of(&Settlement::new(genesis()).unwrap()),
        "played": vector_of(&game.state),
        "reasons": reasons.collect::<Vec<_>>(),
    });
    check("records.json", &vectors);
}

#[test]
fn what_is_over_keeps_what_is_told_and_collected_and_no_more() {
    let run = Toy::new().run(None);
    let game = Game::new()
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .challenges(Who::Second, Who::Executor)
        .opens_up(Who::Challenger, &[inside(1)])
        .opens_up(Who::Second, &[TRACE]);
    let asked = |game: &Game, who| game.challenge_of(who).last_ask().cloned();
    let [first, second] = [Who::Challenger, Who::Second].map(|who| asked(&game, who));
    assert!(first.is_some() && second.is_some());
    let claim = game.claim_of(Who::Executor);
    let opened = claim.knowledge.opened_trees();
    assert!(!claim.said.is_empty() && !opened.is_empty());
    let fallen = game.clone().falls_by_silence(Who::Second);
    let claim = fallen.claim_of(Who::Executor);
    assert!(claim.said.is_empty());
    assert_eq!(claim.knowledge.opened_trees(), opened);
    assert_eq!(claim.knowledge.run(), None);
    // Of the one that is to be collected everything is kept until it is.
    assert_eq!((asked(&fallen, Who::Second), asked(&fallen, Who::Challenger)), (None, first));
    let collected = fallen.clone().collects(Who::Challenger);
    assert_eq!(asked(&collected, Who::Challenger), None);
    let bytes = |game: &Game| -> usize {
        game.state.records().map(|record| record.to_canonical().len()).sum()
    };
    assert!(bytes(&collected) < bytes(&fallen));
}

#[test]
fn an_account_that_was_given_nothing_and_sent_nothing_is_none() {
    let nothing = Account { free_wei: None, nonce: 0 };
    let refused = Err(DecodeError::NotCanonical { kind: "an account of nothing" });
    assert_eq!(Account::from_canonical(&nothing.to_canonical()), refused);
    for account in [Account { free_wei: Some(0), nonce: 0 }, Account { free_wei: None, nonce: 1 }] {
        assert_eq!(Account::from_canonical(&account.to_canonical()), Ok(account));
    }
    // A stranger that only sent something has a record, one that was refused has none.
    let run = Toy::new().run(None);
    let game = Game::new().claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor);
    let account_of = |game: &Game| {
        game.state.records().find_map(|record| match record {
            Record::Account { address: of, account } if of == address(Who::Stranger) => {
                Some(account)
            }
            _ => None,
        })
    };
    let call_time = game.call_time(Who::Challenger);
    let early = Rejection::TooEarly { at_ms: game.deadline_ms(Who::Challenger) + 1 };
    let game = game.rejects(Who::Stranger, call_time, early);
    assert_eq!(account_of(&game), None);
    let game = game.wait(120_001).calls_time(Who::Challenger);
    assert_eq!(account_of(&game), Some(Account { free_wei: None, nonce: 1 }));
}

fn map_of(entries: &[(Tree, Digest)]) -> Vec<u8> {
    let mut bytes = (entries.len() as u32).to_canonical();
    for entry in entries {
        entry.encode(&mut bytes);
    }
    bytes
}

#[test]
fn what_was_said_is_read_in_the_order_of_its_trees_and_each_once() {
    let inside = |layer| (Tree::Subtrace { iteration: 0, layer }, hash::leaf(&[layer as u8]));
    let (first, second) = (inside(0), inside(1));
    let map = BTreeMap::from([first, second]);
    assert_eq!(map.to_canonical(), map_of(&[first, second]));
    assert_eq!(BTreeMap::from_canonical(&map_of(&[first, second])), Ok(map));
    for entries in [[second, first], [first, first]] {
        assert_eq!(
            BTreeMap::<Tree, Digest>::from_canonical(&map_of(&entries)),
            Err(DecodeError::NotCanonical { kind: "order of a map's keys" })
        );
    }
    // A length that the bytes cannot hold is refused before anything is read.
    let (long, none) =
        (u32::MAX.to_canonical(), DecodeError::Truncated { missing: u32::MAX as usize });
    assert_eq!(BTreeMap::<Tree, Digest>::from_canonical(&long), Err(none));
}

#[test]
fn a_claim_of_very_many_answers_is_read_again() {
    let game = Game::new().claims(Who::Executor, &Toy::new().run(None));
    let mut claim = ClaimRecord::of(game.claim_of(Who::Executor));
    let (count, root) = ((1 << 20) + 1, Digest::default());
    claim.said = (0..count).map(|layer| (Tree::Subtrace { iteration: 0, layer }, root)).collect();
    assert_eq!(ClaimRecord::from_canonical(&claim.to_canonical()), Ok(claim));
}

#[test]
fn statuses_and_reasons_that_nobody_has_are_refused() {
    for tag in [0, 5, 255] {
        let refused = Err(DecodeError::UnknownTag { kind: "ClaimStatus", tag });
        assert_eq!(ClaimStatus::from_canonical(&[tag]), refused);
    }
    for tag in [0, 3] {
        let refused = Err(DecodeError::UnknownTag { kind: "FallReason", tag });
        assert_eq!(FallReason::from_canonical(&[tag]), refused);
    }
    for tag in [0, 8] {
        let refused = Err(DecodeError::UnknownTag { kind: "Record", tag });
        assert_eq!(Record::from_canonical(&[tag]), refused);
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    (0u8..8, 0u32..3, 0u32..300, 0u64..3).prop_map(|(kind, iteration, number, element)| {
        let (layer, boundary, operator, value) = (number, number, number, number);
        match kind {
            0 => Tree::Sequence {},
            1 => Tree::Trace { iteration },
            2 => Tree::State { iteration, boundary },
            3 => Tree::Subtrace { iteration, layer },
            4 => Tree::Tensor { iteration, operator },
            5 => Tree::Accumulators { iteration, operator, element },
            6 => Tree::Input { iteration, value },
            _ => Tree::Output { iteration, value },
        }
    })
}

proptest! {
    #[test]
    fn trees_are_in_the_order_of_their_encodings(one in trees(), other in trees()) {
        prop_assert_eq!(one.cmp(&other), one.to_canonical().cmp(&other.to_canonical()));
    }
}
