//! Golden vectors: what is hashed, signed and computed, as JSON that other implementations read.
//!
//! `REBUT_BLESS=1 cargo test -p protocol --test vectors` writes the files anew; a change in them is
//! a change of the protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::answers::{Answers, Proof, inside, leaves};
use common::sequence::{Course, Form, Machine, committed_root};
use common::{Game, Run, Toy, Who, address, genesis, key, salt};
use protocol::asks::{Refutation, Showing, Tree as SaidTree};
use protocol::encoding::Canonical;
use protocol::graph::ModelHeader;
use protocol::hash::{self, Keccak, Tag, to_hex};
use protocol::law::{self, Operands};
use protocol::merkle::{Tree, TreeShape, empty_subtree};
use protocol::numerics::soft::{self, SoftFloat};
use protocol::numerics::{Arithmetic, elementary, store};
use protocol::settlement::attention::{self, seal, sealed_id};
use protocol::settlement::{Parameters, challenge_id, claim_id, job_id};
use protocol::transaction::{Action, Key, Statement};
use protocol::{ClaimId, JobId, SealedId};
use serde_json::{Value, json};

fn check(name: &str, found: Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
    if std::env::var_os("REBUT_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        text == expected,
        "{name} changed; this changes the protocol (REBUT_BLESS=1 writes it)"
    );
}

fn word(bits: u32) -> String {
    format!("0x{bits:08x}")
}

/// Patterns that round, tie, overflow, vanish.
const PATTERNS: [u32; 18] = [
    0x0000_0000,
    0x3F80_0000,
    0xBF80_0000,
    0x3F80_0001,
    0x3F7F_FFFF,
    0x4000_0000,
    0x4049_0FDB,
    0x3EAA_AAAB,
    0xC2F6_E979,
    0x2B80_0000,
    0xAB80_0001,
    0x7F7F_FFFF,
    0xFF7F_FFFF,
    0x7F80_0000,
    0xFF80_0000,
    0x7FC0_0000,
    0x4B00_0001,
    0x3380_0000,
];

#[test]
fn primitives_of_binary32() {
    let mut cases = Vec::new();
    for (place, a) in PATTERNS.into_iter().enumerate() {
        for b in PATTERNS {
            let c = PATTERNS[(place * 7 + 3) % PATTERNS.len()];
            cases.push(json!({
                "a": word(a), "b": word(b), "c": word(c),
                "add": word(soft::add(a, b)), "sub": word(soft::sub(a, b)),
                "mul": word(soft::mul(a, b)), "div": word(soft::div(a, b)),
                "fma": word(soft::fma(a, b, c)), "less": soft::less(a, b),
                "max": word(soft::max(a, b)), "min": word(soft::min(a, b)),
            }));
        }
    }
    check("primitives.json", Value::Array(cases));
}

#[test]
fn elementary_functions() {
    let samples = (0..400u32).map(|index| index.wrapping_mul(0x00A3_D70B)).chain(PATTERNS);
    let cases: Vec<Value> = samples
        .map(store)
        .map(|bits| {
            let x = SoftFloat(bits);
            let y = SoftFloat(0x4020_0000);
            // None from a magnitude of 2^20 on.
            let circle = |function: fn(SoftFloat) -> SoftFloat| {
                (!elementary::is_beyond_circle(bits)).then(|| word(function(x).to_bits()))
            };
            json!({
                "x": word(bits), "sqrt": word(soft::sqrt(bits)),
                "exp": word(elementary::exp(x).to_bits()), "log": word(elementary::log(x).to_bits()),
                "tanh": word(elementary::tanh(x).to_bits()), "erf": word(elementary::erf(x).to_bits()),
                "sigmoid": word(elementary::sigmoid(x).to_bits()),
                "pow_2_5": word(elementary::pow(x, y).to_bits()),
                "atan": word(elementary::atan(x).to_bits()),
                "sin": circle(elementary::sin), "cos": circle(elementary::cos),
                "remainder_2_5": word(soft::remainder(bits, 0x4020_0000)),
            })
        })
        .collect();
    check("elementary.json", Value::Array(cases));
}

struct Ramp;

impl Operands for Ramp {
    type Error = ();
    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        // Numbers with full significands: 1/3 of small integers of both signs.
        let whole = (index as i64 * 7 + operand as i64 * 3) % 23 - 11;
        Ok(u64::from(store(soft::div(soft::from_integer(whole), soft::from_integer(3)))))
    }
}

#[test]
fn folds_and_their_running_states() {
    use protocol::graph::{Fold, Node, Operand, Operator};
    use protocol::tensor::{ElementType, Shape, TensorType};
    let kind = |dimensions: &[u64]| TensorType {
        element: ElementType::F32,
        shape: Shape::new(dimensions).unwrap(),
    };
    let mut cases = Vec::new();
    for depth in [1, 63, 64, 65, 256, 257, 600] {
        let operand = Operand { value: 0, kind: kind(&[2, depth]) };
        for (name, operator, operands, output) in [
            ("contract", Operator::Contract {}, 2, kind(&[2, 2])),
            ("sum", Operator::Reduce { fold: Fold::Sum }, 1, kind(&[2])),
            ("maximum", Operator::Reduce { fold: Fold::Maximum }, 1, kind(&[2])),
        ] {
            let node = Node { operator, operands: vec![operand.clone(); operands], output };
            let checked = law::check(&node).unwrap();
            let mut states: Vec<Vec<u64>> = Vec::new();
            for number in 0..law::segment_count(checked) {
                let before = law::start(checked, number, states.last().map(Vec::as_slice));
                states.push(law::segment(checked, 1, number, before, &mut Ramp).unwrap());
            }
            let state_words: Vec<String> =
                states.iter().flatten().map(|bits| word(*bits as u32)).collect();
            let bits = law::element(checked, 1, &mut Ramp).unwrap();
            assert_eq!(law::finish(checked, states.last().unwrap()), Some(bits));
            cases.push(json!({
                "operator": name, "depth": depth, "element": 1,
                "definition": to_hex(&node.to_canonical()),
                "states": state_words, "result": word(bits as u32),
            }));
        }
    }
    check("folds.json", Value::Array(cases));
}

/// Root of the numbers 0 to 5 (of truth values: 0 and 1 in turn) as two rows of three, by type.
fn tensor_roots() -> Value {
    use protocol::tensor::{ElementType, Shape, TensorType};
    let elements = [
        ElementType::F32,
        ElementType::I64,
        ElementType::I32,
        ElementType::Bool,
        ElementType::I8,
        ElementType::U8,
        ElementType::I16,
        ElementType::U16,
        ElementType::U32,
    ];
    let roots = elements.map(|element| {
        let kind = TensorType { element, shape: Shape::new(&[2, 3]).unwrap() };
        let leaves: Vec<_> = (0..2u32)
            .map(|row| {
                let mut bytes = [0; 256];
                for column in 0..3 {
                    let number = 3 * row + column;
                    let bits = match element {
                        ElementType::F32 => (number as f32).to_bits().to_be_bytes().to_vec(),
                        ElementType::Bool => vec![(number % 2) as u8],
                        _ => u64::from(number).to_be_bytes()[8 - element.bytes()..].to_vec(),
                    };
                    let first = column as usize * element.bytes();
                    bytes[first..first + element.bytes()].copy_from_slice(&bits);
                }
                hash::leaf(&bytes)
            })
            .collect();
        let tree: Tree = Tree::new(kind.tree_shape().unwrap(), &leaves).unwrap();
        (element.name().to_owned(), Value::String(kind.root(&tree.root()).to_string()))
    });
    Value::Object(roots.into_iter().collect())
}

/// Ids of what a client, an executor and a challenger make of the toy.
fn ids(run: &Run) -> Value {
    let [client, executor, challenger] = [Who::Client, Who::Executor, Who::Challenger].map(address);
    let job = job_id(client, &Game::new().job_terms());
    let terms = run.statement(job).terms;
    let claim = claim_id(executor, &terms);
    let seal = seal::<Keccak>(&executor, &terms.sequence_root, &salt(Who::Executor));
    let word = attention::word::<Keccak>(&challenger, &terms.sequence_root, &salt(Who::Challenger));
    json!({
        "job_terms": to_hex(&Game::new().job_terms().to_canonical()),
        "job": job.to_string(),
        "claim_terms": to_hex(&terms.to_canonical()),
        "claim": claim.to_string(),
        "challenge": challenge_id(claim, challenger).to_string(),
        "seal": seal.to_string(),
        "sealed_claim": sealed_id::<Keccak>(&executor, &job, &seal).to_string(),
        "word": word.to_string(),
    })
}

#[test]
fn hashes_trees_and_roots() {
    let toy = Toy::new();
    let run = toy.run(None);
    let shape = TreeShape::grid(3, 3).unwrap();
    let leaves: Vec<_> = (0..9u8).map(|index| hash::leaf(&[index])).collect();
    let tree: Tree = Tree::new(shape, &leaves).unwrap();
    let path: Vec<String> = tree.path(6).unwrap().iter().map(ToString::to_string).collect();
    check(
        "hashes.json",
        json!({
            "leaf_of_0x01": hash::leaf(&[1]).to_string(),
            "node_of_leaves": hash::node(&hash::leaf(&[1]), &hash::leaf(&[2])).to_string(),
            "empty": (0..4).map(|height| empty_subtree::<Keccak>(height).to_string()).collect::<Vec<_>>(),
            "tagged_job_of_nothing": hash::tagged(Tag::Job, &[]).to_string(),
            "tensors_2x3_of_0_to_5": tensor_roots(),
            "grid_3x3": { "root": tree.root().to_string(), "path_of_6": path },
            "toy": {
                "model_header": to_hex(&toy.committed.header.to_canonical()),
                "model_root": toy.committed.header.root().to_string(),
                "graph_root": toy.committed.header.graph_root.to_string(),
                "layers_root": toy.committed.header.layers_root.to_string(),
                "weights_root": toy.committed.header.weights_root.to_string(),
                "node_0": to_hex(&toy.graph.nodes[0].to_canonical()),
                "layer_1": to_hex(&toy.graph.layers[1].to_canonical()),
                "input_tensor_root": toy.input().root().to_string(),
                "state_roots": run.states.iter().map(|s| s.root().to_string()).collect::<Vec<_>>(),
                "subtrace_roots":
                    run.subtraces.iter().map(|s| s.root().to_string()).collect::<Vec<_>>(),
                "trace_root": run.trace.root().to_string(),
                "sequence_root": run.sequence_root().to_string(),
            },
            "ids": ids(&run),
        }),
    );
}

#[test]
fn sequences_and_batches() {
    let card = hash::leaf(b"card");
    let with_card = |form| {
        let mut machine = Machine::new(form, 3);
        machine.graph.card = card;
        machine.committed.header.card = card;
        machine
    };
    let (stopping, batch) = (with_card(Form::Stopping), with_card(Form::Batch));
    let (run, entries) = (stopping.run(3, None), batch.run(3, None));
    let header = |machine: &Machine| {
        let header = machine.header();
        assert_eq!(ModelHeader::from_canonical(&header.to_canonical()).as_ref(), Ok(header));
        json!({ "header": to_hex(&header.to_canonical()), "root": header.root().to_string() })
    };
    let claim = |course: &Course| {
        let traces = (0..3).map(|iteration| {
            let tree = SaidTree::Trace { iteration };
            committed_root(tree, &course.trees[&tree]).to_string()
        });
        let statement = course.claimed(JobId(hash::leaf(b"job")));
        let encoded = statement.to_canonical();
        assert_eq!(Statement::from_canonical(&encoded), Ok(statement.clone()));
        json!({
            "trace_roots": traces.collect::<Vec<_>>(),
            "sequence_root": statement.terms.sequence_root.to_string(),
            "input_root": statement.terms.input_root.to_string(),
            "output_root": statement.terms.output_root.to_string(),
            "binding": to_hex(&statement.binding.to_canonical()),
            "statement": to_hex(&encoded),
        })
    };
    let proof = |(showings, refutation): Proof| {
        let encoded = showings.to_canonical();
        assert_eq!(Vec::<Showing>::from_canonical(&encoded), Ok(showings));
        json!({ "showings": to_hex(&encoded), "refutation": to_hex(&refutation.to_canonical()) })
    };
    let roots: Vec<String> = entries.entries.iter().map(ToString::to_string).collect();
    check(
        "sequences.json",
        json!({
            "recurrent": { "model": header(&stopping), "claim": claim(&run) },
            "batch": { "model": header(&batch), "claim": claim(&entries), "entries": roots },
            "entry_1": to_hex(&entries.entry(1).to_canonical()),
            "link": proof(run.link_proof(2, 1)),
            "entry": proof(entries.entry_proof(2)),
            "stop": proof(run.stop_proof(2)),
        }),
    );
}

/// One action of each kind, in the order of their tags.
fn one_of_each() -> Vec<Action> {
    let (toy, game) = (Toy::new(), Game::new());
    let run = toy.run(None);
    let answers = Answers::of(&toy, &run);
    let job = JobId(hash::leaf(b"job"));
    let claim = ClaimId(hash::leaf(b"claim"));
    let sealed = SealedId(hash::leaf(b"sealed claim"));
    let (seal, word, salt) = (hash::leaf(b"seal"), hash::leaf(b"word"), hash::leaf(b"salt"));
    let [account, challenger, attester] =
        [Who::Executor, Who::Challenger, Who::Second].map(address);
    let (showings, amount_wei) = (vec![toy.layer(1)], 1_000_000_000_000_000_000);
    let refutation = Refutation::Carry { iteration: 0, layer: 1, value: 2 };
    let ask = answers.ask(inside(1));
    let (answer, from) = (answers.answer(&ask, 6), Some(ask.clone()));
    let challengers = vec![challenger, attester];
    vec![
        Action::Deposit { account, amount_wei },
        Action::Withdraw { amount_wei },
        Action::RegisterModel { header: toy.committed.header.clone() },
        Action::PostJob { terms: game.job_terms() },
        Action::ExpireJob { job },
        Action::PostClaim { statement: run.statement(job) },
        Action::Challenge { claim },
        answers.demand(claim, leaves(1)),
        Action::Reveal { claim, challengers, ask, answer },
        Action::Refute { claim, challenger, showings, refutation, from },
        Action::CallTime { claim, challenger },
        Action::Finalise { claim },
        Action::SealClaim { job, seal },
        Action::Attest { sealed, word },
        Action::OpenClaim { sealed, statement: run.statement(job), salt },
        Action::ProveAttention { claim, salt },
        Action::ExpireSeal { sealed },
        Action::WithdrawChallenge { claim },
        Action::Collect { claim, challenger },
        Action::Release { claim },
        Action::Pass { job, claims: vec![claim, ClaimId(hash::leaf(b"next"))] },
        Action::CollectAttention { sealed, attester },
    ]
}

#[test]
fn encodings_of_actions() {
    let cases: Vec<Value> = one_of_each()
        .iter()
        .map(|action| {
            let bytes = action.to_canonical();
            assert_eq!(Action::from_canonical(&bytes).as_ref(), Ok(action));
            json!({ "name": action.name(), "tag": bytes[0], "encoding": to_hex(&bytes) })
        })
        .collect();
    let tags: Vec<&Value> = cases.iter().map(|case| &case["tag"]).collect();
    assert_eq!(tags, (1..=22).collect::<Vec<u8>>());
    check("actions.json", Value::Array(cases));
}

#[test]
fn signatures() {
    // The account of the secret key 1 is known everywhere.
    let mut one = [0; 32];
    one[31] = 1;
    let address = Key::from_secret(&one).unwrap().address().to_string();
    assert_eq!(address, "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf");
    let domain = genesis().domain();
    let toy = Toy::new();
    let actions = [
        Action::Withdraw { amount_wei: 1_000_000_000_000_000_000 },
        Action::RegisterModel { header: toy.committed.header.clone() },
        Action::PostClaim { statement: toy.run(None).statement(JobId(hash::leaf(b"job"))) },
        Action::PostJob { terms: Game::new().job_terms() },
    ];
    let cases: Vec<Value> = actions
        .iter()
        .enumerate()
        .map(|(nonce, action)| {
            let signed = key(Who::Client).sign(&domain, nonce as u64, action);
            domain.verify(&signed).unwrap();
            json!({
                "sender": signed.sender.to_string(), "nonce": nonce, "action": to_hex(&signed.action),
                "digest": domain.digest(signed.sender, nonce as u64, &signed.action).to_string(),
                "signature": to_hex(&signed.signature),
                "transaction": to_hex(&signed.to_canonical()),
            })
        })
        .collect();
    check(
        "signatures.json",
        json!({
            "genesis": to_hex(&genesis().to_canonical()), "chain_id": genesis().chain_id,
            "default_parameters": to_hex(&Parameters::default().to_canonical()),
            "domain_separator": domain.separator().to_string(),
            "transactions": cases,
        }),
    );
}
