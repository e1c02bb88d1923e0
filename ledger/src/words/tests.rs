#![allow(clippy::unwrap_used)]

use protocol::asks::{Answer, Ask, Place, Refutation, Tree, TreeKind};
use protocol::graph::{Fold, MapFunction, Operand, Operator};
use protocol::hash::Digest;
use protocol::ids::{ChallengeId, ClaimId, JobId, SealedId};
use protocol::settlement::Asked;
use protocol::tensor::{LEAF_BYTES, Shape, TensorType};
use protocol::transaction::{Address, Binding, BoundState, ClaimTerms, JobTerms, Statement};

use super::*;

mod asks;

const ID: Digest = Digest([0x45; 32]);
const OTHER: Digest = Digest([0xab; 32]);
const ACCOUNT: Address = Address([0x7e; 20]);

/// A step of an iteration that gives another result.
fn refuted_step(iteration: u32, segment: u64) -> Refutation {
    let (operands, states) = (Vec::new(), Vec::new());
    let (layer, operator, element) = (3, 49, 5);
    Refutation::Step { iteration, layer, operator, element, segment, operands, states }
}

/// The first ask for the inside of a layer.
fn asked(layer: u32) -> Ask {
    Ask::Say { tree: Tree::Subtrace { iteration: 0, layer }, kind: TreeKind::List { count: 2 } }
}

fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

fn subtract() -> Node {
    let output = kind(ElementType::F32, &[10]);
    let operands = vec![Operand { value: 1, kind: output.clone() }; 2];
    Node { operator: Operator::Map { function: MapFunction::Subtract }, operands, output }
}

/// Three segments of 64 elements, 32 lanes.
fn sum() -> Node {
    let operands = vec![Operand { value: 1, kind: kind(ElementType::F32, &[10, 192]) }];
    let output = kind(ElementType::F32, &[10]);
    Node { operator: Operator::Reduce { fold: Fold::Sum }, operands, output }
}

fn step(segment: u64, claimed: Vec<u64>, expected: Option<Vec<u64>>) -> Evidence {
    let (iteration, operator, element, multiply_adds) = (0, 49, 0, 1);
    Evidence::Step { iteration, operator, element, segment, claimed, expected, multiply_adds }
}

fn bits(float: f32) -> u64 {
    u64::from(float.to_bits())
}

/// A place of a tensor of ten rows of 300: five leaves in each row, padded to eight.
fn place(tree: Tree, depth: u32, index: u64) -> Place {
    let kind = TreeKind::Tensor { kind: kind(ElementType::F32, &[10, 300]) };
    Place { tree, kind, depth, index, hash: ID }
}

#[test]
fn a_turn_says_who_must_do_what() {
    let challenge = |turn, ask: Ask| Challenge {
        claim: ClaimId(ID),
        challenger: ACCOUNT,
        number: 0,
        opened_ms: 0,
        bond_wei: 0,
        fees_wei: 0,
        served: true,
        demands: 1,
        end_asks: 0,
        replies: 0,
        end_replies: 0,
        asked: Some(Asked { ask, is_end: false }),
        executor_clock_ms: 0,
        challenger_clock_ms: 0,
        status: ChallengeStatus::Open { turn, since_ms: 0 },
    };
    for (side, text) in [
        (Turn::Executor, "the executor must open operators inside layer 1"),
        // What it asked last is answered.
        (Turn::Challenger, "the challenger must demand or refute"),
    ] {
        assert_eq!(turn(&challenge(side, asked(1)), side), text);
    }
}

#[test]
fn statuses_are_plain_words() {
    let fallen = ClaimStatus::Fallen {
        reason: FallReason::Silence(asked(1)),
        challenge: ChallengeId(ID),
        at_ms: 5,
        unit_wei: 0,
        share_wei: 0,
    };
    assert_eq!(claim_status(&ClaimStatus::Standing), "standing");
    assert_eq!(claim_status(&fallen), "rejected");
    let over = ClaimStatus::Final { at_ms: 5, attention_share_wei: 0 };
    assert_eq!(claim_status(&over), "final");
    assert_eq!(claim_status(&ClaimStatus::Released { at_ms: 5 }), "released");
    assert_eq!(job_status(&JobStatus::Open), "open");
    assert_eq!(job_status(&JobStatus::Done { claim: ClaimId(ID) }), "done");
    assert_eq!(job_status(&JobStatus::Expired), "expired");
    assert_eq!(sealed_status(&SealedStatus::Waiting), "sealed");
    assert_eq!(sealed_status(&SealedStatus::Opened { claim: ClaimId(ID) }), "opened");
    assert_eq!(sealed_status(&SealedStatus::Expired), "expired");
    let open = ChallengeStatus::Open { turn: Turn::Challenger, since_ms: 0 };
    assert_eq!(challenge_status(&open, true), "open");
    assert_eq!(challenge_status(&open, false), "to-collect");
    for under_way in [false, true] {
        let won = ChallengeStatus::Won { reward_wei: 1 };
        assert_eq!(challenge_status(&won, under_way), "won");
        assert_eq!(challenge_status(&ChallengeStatus::Lost, under_way), "lost");
        assert_eq!(challenge_status(&ChallengeStatus::Withdrawn, under_way), "withdrawn");
    }
}

#[test]
fn evidence_shows_numbers_where_the_operator_is_known_and_bits_elsewhere() {
    let (subtract, sum) = (subtract(), sum());
    let lie = step(0, vec![0x3f00_29fe], Some(vec![0x3f00_29fd]));
    let not_a_number = step(0, vec![0x7fc0_0001], Some(vec![0x7fc0_0000]));
    let zeros = step(0, vec![bits(-0.0)], Some(vec![0]));
    let mut lanes = vec![bits(1.0); 32];
    lanes[3] = bits(1.5);
    let table = [
        (
            lie.clone(),
            Some(&subtract),
            "operator 49 (subtract), element 0: claimed 0.50064075, correct 0.5006407",
        ),
        (lie, None, "operator 49, element 0: claimed 0x3f0029fe, correct 0x3f0029fd"),
        (
            not_a_number,
            Some(&subtract),
            "operator 49 (subtract), element 0: claimed NaN (0x7fc00001), correct NaN (0x7fc00000)",
        ),
        (zeros, Some(&subtract), "operator 49 (subtract), element 0: claimed -0.0, correct 0.0"),
        (
            step(0, vec![bits(f32::INFINITY)], None),
            Some(&subtract),
            "operator 49 (subtract), element 0: claimed +∞, but the operator has no result there",
        ),
        (
            step(1, lanes, Some(vec![bits(1.0); 32])),
            Some(&sum),
            "operator 49 (reduce_sum), element 0, running sum 1, lane 3: claimed 1.5, correct 1.0",
        ),
        (
            step(3, vec![bits(1e-20)], Some(vec![bits(1e30)])),
            Some(&sum),
            "operator 49 (reduce_sum), element 0: claimed 1e-20, correct 1e30",
        ),
        (
            step(2, vec![1], Some(vec![2])),
            None,
            "operator 49, element 0, running sum 2: claimed 0x00000001, correct 0x00000002",
        ),
        (
            Evidence::Contradiction { iteration: 0, value: 3, claimed: ID, expected: OTHER },
            None,
            "the claim contradicts itself about value 3: 0x45454545… in the state, 0xabababab… by \
             what it follows from",
        ),
        (
            Evidence::StateValue { iteration: 0, boundary: 2, claimed: 7, expected: 9 },
            None,
            "state after layer 1 holds value 7 where the model has value 9",
        ),
        (
            Evidence::Leaf { iteration: 0, operator: 49, leaf: 2 },
            Some(&subtract),
            "operator 49 (subtract), leaf 2 holds bits that no value has",
        ),
    ];
    for (found, node, text) in table {
        assert_eq!(evidence(&found, node), text);
        let third = evidence(&in_iteration(3, found), node);
        assert_eq!(third, format!("iteration 3: {text}"));
    }
}

/// The same of another iteration.
fn in_iteration(number: u32, found: Evidence) -> Evidence {
    let mut found = found;
    let (Evidence::Step { iteration, .. }
    | Evidence::Contradiction { iteration, .. }
    | Evidence::StateValue { iteration, .. }
    | Evidence::Leaf { iteration, .. }
    | Evidence::Link { iteration, .. }
    | Evidence::Entry { iteration, .. }
    | Evidence::Stop { iteration, .. }) = &mut found;
    *iteration = number;
    found
}

#[test]
fn a_verdict_says_the_same_in_parts() {
    for (number, begins) in [(0, ""), (3, "iteration 3: ")] {
        let whole = |found| verdict(&in_iteration(number, found), None);
        let parts = |place: &str, claimed: &str, correct: Option<&str>| EvidenceWords {
            place: format!("{begins}{place}"),
            claimed: claimed.to_owned(),
            correct: correct.map(str::to_owned),
        };
        assert_eq!(
            whole(step(0, vec![1], Some(vec![2]))),
            parts("operator 49, element 0", "0x00000001", Some("0x00000002"))
        );
        assert_eq!(
            whole(Evidence::Contradiction { iteration: 0, value: 3, claimed: ID, expected: OTHER }),
            parts("value 3", &ID.to_string(), Some(&OTHER.to_string()))
        );
        assert_eq!(
            whole(Evidence::StateValue { iteration: 0, boundary: 0, claimed: 7, expected: 9 }),
            parts("state before layer 0", "value 7", Some("value 9"))
        );
        assert_eq!(
            whole(Evidence::Leaf { iteration: 0, operator: 49, leaf: 2 }),
            parts("operator 49, leaf 2", "bits that no value has", None)
        );
    }
}

#[test]
fn numbers_are_written_by_their_type() {
    let table = [
        (ElementType::F32, bits(0.1), "0.1"),
        (ElementType::F32, bits(f32::NEG_INFINITY), "-∞"),
        (ElementType::I64, u64::MAX, "-1"),
        (ElementType::I32, 0xffff_fffe, "-2"),
        (ElementType::U8, 255, "255"),
        (ElementType::I8, 255, "-1"),
        (ElementType::I16, 0xffff, "-1"),
        (ElementType::U16, 0xffff, "65535"),
        (ElementType::U32, 0xffff_ffff, "4294967295"),
        (ElementType::Bool, 1, "true"),
        (ElementType::Bool, 0, "false"),
    ];
    for (kind, bits, text) in table {
        assert_eq!(number(kind, bits), text);
        assert_eq!(ElementType::named(kind.name()), Some(kind));
    }
    assert_eq!(hexadecimal(0x1_0000_0000), "0x0000000100000000");
    assert_eq!(coordinates(&[0, 3]), "(0, 3)");
}

#[test]
fn every_event_is_a_sentence_without_debug_text() {
    let (claim, job) = (ClaimId(ID), JobId(OTHER));
    let (sealed, challenge) = (SealedId(ID), ChallengeId(ID));
    let ask = asked(1);
    let reason = FallReason::Silence(asked(1));
    let (account, challenger, attester) = (ACCOUNT, ACCOUNT, ACCOUNT);
    let wei = 1_500_000_000_000_000_000;
    let table = [
        (Event::Deposited { account, amount_wei: wei }, "1.5 ETH deposited to 0x7e7e7e7e…"),
        (
            Event::Withdrawn { account, amount_wei: 1 },
            "0.000000000000000001 ETH withdrawn by 0x7e7e7e7e…",
        ),
        (Event::ModelRegistered { model_root: ID }, "model 0x45454545… registered"),
        (Event::JobPosted { job }, "job 0xabababab… posted"),
        (Event::JobExpired { job }, "job 0xabababab… expired"),
        (
            Event::JobPassed { job, first_standing: 3 },
            "job 0xabababab…: its claim number 3 is next",
        ),
        (
            Event::ClaimPosted { claim, job, last_finality_ms: 1 },
            "claim 0x45454545… on job 0xabababab… posted",
        ),
        (
            Event::Challenged { challenge: ChallengeId(OTHER), claim },
            "claim 0x45454545… challenged (0xabababab…)",
        ),
        (
            Event::Demanded { challenge, ask: ask.clone() },
            "challenge 0x45454545… demands operators inside layer 1",
        ),
        (Event::Revealed { claim, ask }, "claim 0x45454545…: operators inside layer 1 opened"),
        (
            Event::ClaimFallen { claim, reason, burned_wei: wei },
            "claim 0x45454545… rejected: no answer about operators inside layer 1; 1.5 ETH burned",
        ),
        (
            Event::ChallengeWon { challenge, challenger, reward_wei: wei },
            "challenge 0x45454545… won: 1.5 ETH to 0x7e7e7e7e…",
        ),
        (
            Event::ChallengeLost { challenge, challenger, burned_wei: 0 },
            "challenge 0x45454545… lost; 0 ETH burned",
        ),
        (
            Event::ChallengeWithdrawn { challenge, challenger, burned_wei: wei },
            "challenge 0x45454545… withdrawn; 1.5 ETH burned",
        ),
        (Event::ChallengeServed { challenge }, "challenge 0x45454545… is served now"),
        (Event::ClaimFinal { claim, job }, "claim 0x45454545… is the answer of job 0xabababab…"),
        (Event::StakeReleased { claim }, "stake of claim 0x45454545… released"),
        (Event::ClaimSealed { sealed, job }, "claim 0x45454545… on job 0xabababab… sealed"),
        (Event::Attested { sealed, attester }, "sealed claim 0x45454545… attested by 0x7e7e7e7e…"),
        (
            Event::SealExpired { sealed, burned_wei: wei },
            "sealed claim 0x45454545… expired; 1.5 ETH burned",
        ),
        (
            Event::AttentionProven { claim, attester },
            "attention for claim 0x45454545… proven by 0x7e7e7e7e…",
        ),
        (
            Event::AttentionCollected { sealed, attester, share_wei: wei, burned_wei: 0 },
            "1.5 ETH paid to 0x7e7e7e7e… for its attention to sealed claim 0x45454545…",
        ),
        (
            Event::AttentionCollected { sealed, attester, share_wei: 0, burned_wei: 0 },
            "the bond of 0x7e7e7e7e… for sealed claim 0x45454545… given back",
        ),
        (
            Event::AttentionCollected { sealed, attester, share_wei: 0, burned_wei: wei },
            "1.5 ETH of 0x7e7e7e7e… burned: it proved nothing about sealed claim 0x45454545…",
        ),
    ];
    for (happened, text) in table {
        assert_eq!(event(&happened, None), text);
    }
}

fn job_terms() -> JobTerms {
    JobTerms {
        model_root: ID,
        input_root: ID,
        profile: protocol::graph::Profile::StrictF32,
        executor: Address::default(),
        fee_wei: 0,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: 0,
        window_ms: 0,
        open_ms: 0,
        attention_wei: 0,
        salt: 0,
    }
}

fn statement(job: JobId) -> Statement {
    let bound = BoundState { trace_root: ID, sequence_path: vec![], state_path: vec![] };
    let terms = ClaimTerms {
        job,
        model_root: ID,
        input_root: ID,
        output_root: ID,
        iterations: 1,
        sequence_root: OTHER,
        salt: 0,
    };
    Statement { terms, binding: Binding { input: bound.clone(), output: bound, entry: None } }
}

#[test]
fn every_action_is_a_line_of_a_history() {
    let (job, claim, challenger) = (JobId(ID), ClaimId(ID), ACCOUNT);
    let (sealed, salt) = (SealedId(ID), ID);
    let ask = Ask::Leaves { place: place(Tree::Tensor { iteration: 0, operator: 49 }, 7, 0) };
    let statement = statement(job);
    let answer = Answer::Leaves { leaves: vec![[0; LEAF_BYTES]] };
    let challengers = vec![challenger];
    let (showings, path, from) = (Vec::new(), Vec::new(), None);
    let table = [
        (Action::Deposit { account: ACCOUNT, amount_wei: 0 }, "0 ETH deposited to 0x7e7e7e7e…"),
        (Action::Withdraw { amount_wei: 0 }, "0 ETH withdrawn"),
        (Action::PostJob { terms: job_terms() }, "job posted for model 0x45454545…"),
        (Action::ExpireJob { job }, "job 0x45454545… expired"),
        (Action::PostClaim { statement: statement.clone() }, "claim of the run 0xabababab… posted"),
        (Action::Challenge { claim }, "claim 0x45454545… challenged"),
        (
            Action::Demand {
                claim,
                showings: showings.clone(),
                ask: ask.clone(),
                path,
                from: from.clone(),
            },
            "demanded: output of operator 49, leaf 0",
        ),
        (
            Action::Reveal { claim, challengers, ask, answer },
            "opened: output of operator 49, leaf 0 (1 leaf)",
        ),
        (
            Action::Refute { claim, challenger, showings, refutation: refuted_step(0, 0), from },
            "refuted: operator 49, element 5",
        ),
        (
            Action::CallTime { claim, challenger },
            "time called on the challenge of claim 0x45454545… by 0x7e7e7e7e…",
        ),
        (Action::WithdrawChallenge { claim }, "challenge of claim 0x45454545… withdrawn"),
        (Action::Finalise { claim }, "claim 0x45454545… made the answer of its job"),
        (Action::SealClaim { job, seal: OTHER }, "claim on job 0x45454545… sealed"),
        (Action::Attest { sealed, word: OTHER }, "sealed claim 0x45454545… attested"),
        (Action::OpenClaim { sealed, statement, salt }, "claim of the run 0xabababab… posted"),
        (Action::ProveAttention { claim, salt }, "attention proven for claim 0x45454545…"),
        (Action::ExpireSeal { sealed }, "sealed claim 0x45454545… expired"),
        (
            Action::Collect { claim, challenger },
            "what 0x7e7e7e7e… won by the fall of claim 0x45454545… collected",
        ),
        (Action::Release { claim }, "stake of claim 0x45454545… released"),
        (Action::Pass { job, claims: vec![claim] }, "1 rejected claim of job 0x45454545… passed"),
        (
            Action::Pass { job, claims: vec![claim; 2] },
            "2 rejected claims of job 0x45454545… passed",
        ),
        (
            Action::CollectAttention { sealed, attester: challenger },
            "what 0x7e7e7e7e… is due for its attention to sealed claim 0x45454545… collected",
        ),
    ];
    for (done, text) in table {
        assert_eq!(action(&done), text);
    }
    let header = protocol::graph::ModelHeader {
        graph_root: ID,
        weights_root: ID,
        layers_root: ID,
        operator_count: 1,
        weight_count: 1,
        inputs: vec![kind(ElementType::F32, &[1])],
        layer_count: 1,
        profile: protocol::graph::Profile::StrictF32,
        links: Vec::new(),
        stop: None,
        card: Digest::default(),
    };
    let model = short(header.root());
    assert_eq!(action(&Action::RegisterModel { header }), format!("model {model} registered"));
}

#[test]
fn times_and_amounts_are_written_for_people() {
    assert_eq!(time_of_day(1_795_591_812_726), "07:30:12 UTC");
    assert_eq!(time_of_day(86_399_999), "23:59:59 UTC");
    assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
    assert_eq!(moment(951_782_400_000), "2000-02-29 00:00:00 UTC");
    assert_eq!(moment(1_795_591_812_726), "2026-11-25 07:30:12 UTC");
    assert_eq!(moment(4_107_542_399_000), "2100-02-28 23:59:59 UTC");
    assert_eq!(moment(4_107_542_400_000), "2100-03-01 00:00:00 UTC");
    assert_eq!(ether(10u128.pow(18)), "1 ETH");
    assert_eq!(ether(100_000_000_000_000_000), "0.1 ETH");
    assert_eq!(count(1, "proof", "proofs"), "1 proof");
    assert_eq!(count(0, "proof", "proofs"), "0 proofs");
}
