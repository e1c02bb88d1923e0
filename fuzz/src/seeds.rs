//! Bytes that the targets accept, from the golden vectors, models and samples of the repository.

use std::path::{Path, PathBuf};

use protocol::asks::{Ask, Refutation, Showing};
use protocol::encoding::Canonical as _;
use protocol::graph::ModelHeader;
use protocol::hash::{Digest, parse_hex};
use protocol::settlement::{ETHER, Settlement};
use protocol::state_stream::StateHead;
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Key};
use serde_json::{Value, json};

use crate::targets::genesis;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn bytes_of(path: &str) -> Vec<u8> {
    std::fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn vectors(name: &str) -> Value {
    serde_json::from_slice(&bytes_of(&format!("protocol/tests/vectors/{name}.json"))).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    value.as_str().and_then(parse_hex).unwrap_or_else(|| panic!("{value} is no hexadecimal text"))
}

fn signed() -> Vec<Value> {
    vectors("signatures")["transactions"].as_array().cloned().unwrap()
}

pub(crate) fn transaction() -> Vec<Vec<u8>> {
    let toy = &vectors("hashes")["toy"];
    let mut seeds: Vec<Vec<u8>> =
        ["node_0", "layer_1", "model_header"].iter().map(|name| hex(&toy[name])).collect();
    for case in signed() {
        seeds.extend([hex(&case["action"]), hex(&case["transaction"])]);
    }
    seeds.push(genesis().to_canonical());
    seeds.extend(nodes());
    seeds
}

pub(crate) fn records() -> Vec<Vec<u8>> {
    let vectors = vectors("records");
    let list = |value: &Value| value.as_array().cloned().unwrap();
    let mut seeds = vec![hex(&vectors["begun"]["head"]), hex(&vectors["played"]["head"])];
    seeds.extend(list(&vectors["played"]["records"]).iter().map(|one| hex(&one["encoding"])));
    seeds.extend(list(&vectors["reasons"]).iter().map(hex));
    seeds
}

/// A snapshot of a ledger with money and a model, and parts of others.
pub(crate) fn snapshot() -> Vec<Vec<u8>> {
    let bank = Key::from_secret(&[1; 32]).unwrap();
    let mut settlement = Settlement::new(genesis()).unwrap();
    let header = ModelHeader::from_canonical(&hex(&vectors("hashes")["toy"]["model_header"]));
    let actions = [
        Action::Deposit { account: bank.address(), amount_wei: 100 * ETHER },
        Action::RegisterModel { header: header.unwrap() },
    ];
    for (nonce, action) in (0..).zip(actions) {
        let signed = bank.sign(&settlement.domain(), nonce, &action);
        settlement.apply(nonce, &signed).unwrap();
    }
    let mut whole = Vec::new();
    let mark = ledger::store::Mark { height: 3, chain: [7; 32] };
    ledger::snapshot::write(&settlement, &mark, &mut whole).unwrap();
    let parts = settlement.parts().map(|part| part.to_canonical());
    let mut seeds: Vec<Vec<u8>> = parts.collect();
    let played = vectors("records")["played"]["records"].as_array().cloned().unwrap();
    seeds.extend(played.iter().map(|one| [vec![1], hex(&one["encoding"])].concat()));
    seeds.push(whole);
    seeds
}

/// One node of each kind of golden vectors.
fn nodes() -> impl Iterator<Item = Vec<u8>> {
    let names = ["folds", "updates", "casts", "products", "random", "reading"];
    names.into_iter().map(|name| hex(&vectors(name)[0]["definition"]))
}

pub(crate) fn referee() -> Vec<Vec<u8>> {
    let toy = &vectors("hashes")["toy"];
    let (header, node) = (hex(&toy["model_header"]), hex(&toy["node_0"]));
    let showing = hex(&toy["node_0"]);
    let mut seeds = vec![
        [header.clone(), vec![1, 4], node.clone()].concat(),
        [header.clone(), vec![1, 0, 0], showing].concat(),
        [header.clone(), vec![1; 40], node].concat(),
        [header.clone(), vec![2; 40]].concat(),
    ];
    seeds.extend(nodes().map(|node| [header.clone(), vec![1, 4], node].concat()));
    // What is said against runs of several iterations: a model that hands its first output on, and a batch.
    let ordinary = ModelHeader::from_canonical(&header).unwrap();
    let first = ordinary.output_of(0);
    let links = vec![first; ordinary.inputs.len()];
    let recurrent = ModelHeader { links, stop: Some(first), ..ordinary.clone() };
    let (iteration, input, root) = (1, 0, Digest::default());
    let entry = Showing::Entry { iteration, root, path: vec![root] };
    for (header, showings, refutation) in [
        (&recurrent, vec![], Refutation::Link { iteration, input }),
        (&recurrent, vec![], Refutation::Stop { iteration }),
        (&ordinary, vec![entry], Refutation::Entry { iteration }),
    ] {
        let from: Option<Ask> = None;
        let said = [showings.to_canonical(), from.to_canonical(), refutation.to_canonical()];
        seeds.push([header.to_canonical(), vec![2, 2], said.concat()].concat());
    }
    seeds
}

pub(crate) fn wire() -> Vec<Vec<u8>> {
    let entry = ledger::LogEntry { at_ms: 7, transaction: hex(&signed()[0]["transaction"]) };
    vec![ledger::wire::encode(&entry).unwrap()]
}

pub(crate) fn published() -> Vec<Vec<u8>> {
    let state = |kinds: &[(u32, ElementType, &[u64])]| {
        let values = kinds.iter().map(|(value, element, shape)| {
            (*value, TensorType { element: *element, shape: Shape::new(shape).unwrap() })
        });
        let head = StateHead { values: values.collect() };
        let data = vec![0; usize::try_from(head.data_bytes()).unwrap()];
        [head.prefix(), data].concat()
    };
    vec![
        state(&[(0, ElementType::F32, &[3, 5])]),
        state(&[(1, ElementType::Bool, &[9]), (4, ElementType::I64, &[2, 2])]),
    ]
}

pub(crate) fn verdict_file() -> Vec<Vec<u8>> {
    let vectors = vectors("signatures");
    let zero = format!("0x{}", "00".repeat(32));
    let money = json!({
        "deposited_wei": "0", "free_wei": "0", "locked_wei": "0", "burned_wei": "0",
        "burned_by_claim_wei": "0", "conserved": true, "executor_delta_wei": "0",
        "challenger_delta_wei": "-1",
    });
    let verdict = json!({
        "claim": zero, "model_root": zero, "executor": zero, "challenger": null,
        "verdict": "open", "reason": "", "iteration": { "index": 0, "count": 1 },
        "layer": { "index": 0, "count": 1 }, "operator": null, "element": null,
        "element_type": null, "run": null, "runs": null, "element_bits": null,
        "claimed_bits": null, "true_bits": null, "rounds": 0, "reveals": 0, "transactions": 0,
        "step_proof_bytes": 0, "step_multiply_adds": 0, "layer_referee_agrees": null,
        "money": money,
    });
    let transaction = &vectors["transactions"][0]["transaction"];
    let document = json!({
        "format": "rebut-verdict", "version": 3, "genesis": vectors["genesis"], "claim": zero,
        "transactions": [{ "at_ms": 1, "transaction": transaction }], "verdict": verdict,
    });
    vec![document.to_string().into_bytes()]
}

pub(crate) fn claim_file() -> Vec<Vec<u8>> {
    let zero = format!("0x{}", "00".repeat(32));
    let document = json!({
        "format": "rebut-claim", "version": 1, "model_root": zero, "input_root": zero,
        "output_root": zero, "trace_root": zero, "state_roots": [zero],
    });
    vec![document.to_string().into_bytes()]
}

pub(crate) fn onnx() -> Vec<Vec<u8>> {
    let folder = std::fs::read_dir(root().join("models")).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "onnx"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

pub(crate) fn tensor_file() -> Vec<Vec<u8>> {
    let npy = [vec![0], bytes_of("models/samples/digit-0.npy")].concat();
    vec![npy, b"\x02{\"image\": [[1, 2, 3, 4]]}".to_vec()]
}

pub(crate) fn configuration() -> Vec<Vec<u8>> {
    let example = bytes_of("tests/snapshots/cli__text_config_example.snap");
    let good = b"[common]\nthreads = 2\n[executor.serve]\nmodels = \"models\"\nbail-out = true\n";
    vec![good.to_vec(), example]
}

pub(crate) fn http() -> Vec<Vec<u8>> {
    let (zero, one) = ("00".repeat(32), "11".repeat(20));
    let paths = [
        "status".to_owned(),
        "log?after=0&wait_ms=1".to_owned(),
        "jobs?status=open&skip=1&limit=2".to_owned(),
        "genesis".to_owned(),
        format!("claims/0x{zero}"),
        format!("accounts/0x{one}?height=0"),
        format!("inputs/0x{zero}/0x{one}"),
    ];
    let mut seeds: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| format!("GET /v1/{path} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes())
        .collect();
    let transaction = hex(&signed()[0]["transaction"]);
    let head = format!(
        "POST /v1/transactions HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        transaction.len()
    );
    seeds.push([head.into_bytes(), transaction].concat());
    let signature = "22".repeat(65);
    for body in
        ["transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "content-length: 3\r\n\r\nabc"]
    {
        let put = format!(
            "PUT /v1/inputs/0x{zero}/0x{one} HTTP/1.1\r\nhost: a\r\nrebut-signature: 0x{signature}\r\n{body}"
        );
        seeds.push(put.into_bytes());
    }
    seeds
}
