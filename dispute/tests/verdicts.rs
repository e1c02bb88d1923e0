//! Verdicts that follow from the transactions of a ledger alone.

#![allow(clippy::unwrap_used, clippy::panic)]

use dispute::verdict::derive;
use ledger::LogEntry;
use protocol::asks::{Ask, Place, Tree, TreeKind};
use protocol::encoding::Canonical as _;
use protocol::graph::{ModelHeader, Profile};
use protocol::hash::{Keccak, leaf};
use protocol::ids::ClaimId;
use protocol::settlement::{ETHER, Genesis, Parameters, Settlement, claim_id, job_id};
use protocol::transaction::{Action, Address, JobTerms, Key, Statement};

const RECORD_FEE_WEI: u128 = ETHER / 10_000;

/// A ledger with its log.
struct Court {
    settlement: Settlement,
    entries: Vec<LogEntry>,
    now_ms: u64,
}

fn key(number: u8) -> Key {
    Key::from_secret(&[number; 32]).unwrap()
}

impl Court {
    fn new() -> Self {
        let (salt, parameters) = (leaf(b"salt"), Parameters::default());
        let bank = key(1).address();
        let genesis = Genesis { chain_id: 1, salt, begun_ms: 0, bank, parameters };
        let settlement = Settlement::new(genesis).unwrap();
        let mut court = Self { settlement, entries: Vec::new(), now_ms: 1_000 };
        for number in 2..=6 {
            let account = key(number).address();
            court.does(1, &Action::Deposit { account, amount_wei: 10 * ETHER });
        }
        court
    }

    fn does(&mut self, number: u8, action: &Action) {
        let key = key(number);
        let nonce = self.settlement.nonce(&key.address());
        let signed = key.sign(&self.settlement.domain(), nonce, action);
        self.settlement.apply(self.now_ms, &signed).unwrap();
        let transaction = signed.to_canonical();
        self.entries.push(LogEntry { at_ms: self.now_ms, transaction });
    }

    /// A claim of account 3 on a job of account 2, on a model that nobody runs.
    fn claim(&mut self) -> ClaimId {
        let root = leaf(b"model");
        let header = ModelHeader {
            graph_root: root,
            weights_root: root,
            layers_root: root,
            operator_count: 1,
            weight_count: 1,
            input_count: 1,
            layer_count: 1,
            profile: Profile::StrictF32,
        };
        let model_root = header.root();
        self.does(2, &Action::RegisterModel { header });
        let states = [leaf(b"input"), leaf(b"output")];
        let terms = JobTerms {
            model_root,
            input_root: states[0],
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei: 1,
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei: ETHER,
            window_ms: self.settlement.parameters().window_ms_of(1),
            open_ms: 600_000,
            attention_wei: 0,
            salt: 0,
        };
        let job = job_id(key(2).address(), &terms);
        self.does(2, &Action::PostJob { terms });
        let statement = Statement::of_run::<Keccak>(job, model_root, &states).unwrap();
        let claim = claim_id(key(3).address(), &statement.terms);
        self.does(3, &Action::PostClaim { statement });
        claim
    }

    /// Demands the first thing that can be demanded of every claim.
    fn demand(&mut self, challenger: u8, claim: ClaimId) {
        let root = self.settlement.claim(&claim).unwrap().terms.sequence_root;
        let (tree, kind) = (Tree::Sequence {}, TreeKind::List { count: 1 });
        let ask = Ask::Open { place: Place { tree, kind, depth: 0, index: 0, hash: root } };
        let (showings, path) = (Vec::new(), Vec::new());
        self.does(challenger, &Action::Demand { claim, showings, ask, path, from: None });
    }
}

#[test]
fn a_verdict_counts_what_is_collected_after_the_fall_as_the_claims_own() {
    let mut court = Court::new();
    let claim = court.claim();
    for challenger in [4, 5] {
        court.does(challenger, &Action::Challenge { claim });
        court.demand(challenger, claim);
        court.now_ms += 10;
    }
    let open = derive(court.settlement.genesis(), &court.entries, &claim).unwrap();
    assert_eq!((open.verdict.as_str(), open.rounds, open.transactions), ("open", 2, 5));
    court.now_ms += court.settlement.parameters().executor_clock_ms;
    court.does(6, &Action::CallTime { claim, challenger: key(4).address() });
    let fallen = derive(court.settlement.genesis(), &court.entries, &claim).unwrap();
    let found = (fallen.verdict.as_str(), fallen.reason.as_str(), fallen.transactions);
    assert_eq!(found, ("fraud", "silence", 6));
    assert_eq!(fallen.challenger, Some(key(4).address().to_string()));
    court.does(6, &Action::Collect { claim, challenger: key(5).address() });
    // Another transaction of a party moves nothing of the claim's.
    court.does(4, &Action::Withdraw { amount_wei: ETHER });
    let end = derive(court.settlement.genesis(), &court.entries, &claim).unwrap();
    assert_eq!(end.transactions, 7);
    let wei = |amount_wei: u128| i128::try_from(amount_wei).unwrap();
    assert_eq!(end.money.executor_delta_wei, -wei(ETHER + RECORD_FEE_WEI));
    let gained_wei = court.settlement.money().free_wei(&key(4).address()) - 9 * ETHER;
    assert_eq!(end.money.challenger_delta_wei, wei(gained_wei));
    // All that the stake did not pay is burned, and so are the records of the claim and its challenges.
    let paid_wei = gained_wei + court.settlement.money().free_wei(&key(5).address()) - 10 * ETHER
        + 2 * RECORD_FEE_WEI;
    assert_eq!(end.money.burned_by_claim_wei, ETHER - paid_wei + 3 * RECORD_FEE_WEI);
    assert!(end.money.conserved && end.money.locked_wei == 1);
}
