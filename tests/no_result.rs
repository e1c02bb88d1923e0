//! An input for which an operator has no result, with real processes: nobody honest claims on it, and whoever
//! does is convicted at the element without one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/services.rs"]
mod services;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use executor::{ExecutorCore, statement_of};
use inference::state_transfer::state_bytes;
use inference::{
    ComputePolicy, Engine, EngineError, ImportOptions, Model, Run, Runner, Tensor,
    compute_honestly, import_file,
};
use ledger::Ledger;
use ledger::http::HttpLedger;
use node::Agent;
use protocol::asks::Evidence;
use protocol::graph::Profile;
use protocol::hash::keccak;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{ClaimStatus, ETHER, Event, FallReason};
use protocol::transaction::{Action, Address, JobTerms, Key};
use serde_json::Value;
use services::{Process, get, http, infer, ledger, listening, rebut, token};

/// A field of a protobuf message that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, content.len() as u8];
    bytes.extend(content);
    bytes
}

/// `y = s / s + s`, where `s = x + x` and `x: i64[4]`, written out byte by byte.
fn quotients() -> Vec<u8> {
    let node = |inputs: [&[u8]; 2], output: &[u8], name: &[u8], operator: &[u8]| {
        let parts = [field(1, inputs[0]), field(1, inputs[1]), field(2, output), field(3, name)];
        field(1, &[parts.concat(), field(4, operator)].concat())
    };
    let shape = field(2, &field(1, &[1 << 3, 4]));
    let kind = field(1, &[vec![1 << 3, 7], shape].concat());
    let input = [field(1, b"x"), field(2, &kind)].concat();
    let graph = [
        node([b"x", b"x"], b"s", b"the-sum", b"Add"),
        node([b"s", b"s"], b"q", b"the-quotient", b"Div"),
        node([b"q", b"s"], b"y", b"the-end", b"Add"),
        field(2, b"g"),
        field(11, &input),
        field(12, &field(1, b"y")),
    ];
    let opset = vec![2 << 3, 17];
    let graph = graph.concat();
    // Longer than one byte of length.
    let length = [graph.len() as u8 & 0x7F | 0x80, (graph.len() >> 7) as u8];
    [vec![1 << 3, 8], vec![7 << 3 | 2], length.to_vec(), graph, field(8, &opset)].concat()
}

/// Invents ones where there is no result.
#[derive(Debug)]
struct Inventing;

impl ComputePolicy for Inventing {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        match compute_honestly(engine, model, operator, operands) {
            Err(EngineError::Undefined { .. }) => {
                let kind = &model.node(operator).unwrap().output;
                Ok(Tensor::from_bits(kind, &vec![1; kind.shape.count() as usize]).unwrap())
            }
            output => output,
        }
    }
}

/// A folder with the model, and an input whose third element is divided by zero.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    std::fs::create_dir(place.join("models")).unwrap();
    std::fs::write(place.join("models/quotients.onnx"), quotients()).unwrap();
    std::fs::write(place.join("in.json"), "[1, 2, 0, 0]").unwrap();
    folder
}

fn daemon(place: &Path, url: &str, words: &[&str], account: &str) -> (Process, String) {
    let at = ["--ledger", url, "--models", "models", "--listen", "127.0.0.1:0", "--dev", account];
    listening(place, &[words, &at[..]].concat())
}

fn run(place: &Path, arguments: &[&str]) -> (Value, i32) {
    let output = rebut().arg("--json").args(arguments).current_dir(place).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (json, output.status.code().unwrap())
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn status(at: &str) -> Value {
    let (code, text) = get(at, "/v1/status");
    assert_eq!(code, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Signs and sends an action; what happened.
async fn act(ledger: &HttpLedger, key: &Key, action: &Action) -> Vec<Event> {
    let view = ledger.view().await.unwrap();
    let nonce = view.settlement.nonce(&key.address());
    let signed = key.sign(&view.settlement.domain(), nonce, action);
    ledger.submit(signed).await.unwrap().events
}

/// Posts the job as somebody who does not run the model first: `rebut request` would not.
async fn post(url: &str, place: &Path) -> JobId {
    let ledger = HttpLedger::connect(url, None).await.unwrap();
    let bank = Key::from_secret(&keccak(b"rebut devnet bank").0).unwrap();
    let key = Key::from_secret(&[8; 32]).unwrap();
    let deposit = Action::Deposit { account: key.address(), amount_wei: ETHER };
    act(&ledger, &bank, &deposit).await;
    let engine = Engine::detect().unwrap();
    let file = place.join("models/quotients.onnx");
    let model = import_file(&file, &engine, &ImportOptions::default()).unwrap();
    let x = Tensor::from_i64(&model.graph().inputs[0].shape, vec![1, 2, 0, 0]).unwrap();
    let runner = Runner::honest(&engine, &model);
    let input = runner.input_state(&HashMap::from([("x".to_owned(), x)])).unwrap();
    ledger.upload(&key, &input.root(), state_bytes(&input)).await.unwrap();
    act(&ledger, &key, &Action::RegisterModel { header: model.header().clone() }).await;
    let parameters = ledger.genesis().parameters.clone();
    let terms = JobTerms {
        model_root: model.root(),
        input_root: input.root(),
        profile: Profile::StrictF32,
        executor: Address::default(),
        fee_wei: ETHER / 20,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: parameters.stake_wei_min,
        window_ms: 60_000,
        open_ms: 3_600_000,
        attention_wei: 0,
        salt: 0,
    };
    let events = act(&ledger, &key, &Action::PostJob { terms }).await;
    let posted = events.iter().find_map(|event| match event {
        Event::JobPosted { job } => Some(*job),
        _ => None,
    });
    posted.unwrap()
}

/// An executor in this process that claims what it invents, and answers for it.
struct Inventor {
    ledger: Arc<HttpLedger>,
    agent: Agent<ExecutorCore>,
}

impl Inventor {
    async fn new(url: &str, place: &Path, job: JobId) -> Self {
        let ledger = Arc::new(HttpLedger::connect(url, None).await.unwrap());
        let bank = Key::from_secret(&keccak(b"rebut devnet bank").0).unwrap();
        let key = Key::from_secret(&[7; 32]).unwrap();
        let deposit = Action::Deposit { account: key.address(), amount_wei: 100 * ETHER };
        let view = ledger.view().await.unwrap();
        let nonce = view.settlement.nonce(&bank.address());
        let signed = bank.sign(&view.settlement.domain(), nonce, &deposit);
        ledger.submit(signed).await.unwrap();
        let engine = Engine::detect().unwrap();
        let file = place.join("models/quotients.onnx");
        let model = import_file(&file, &engine, &ImportOptions::default()).unwrap();
        let x = Tensor::from_i64(&model.graph().inputs[0].shape, vec![1, 2, 0, 0]).unwrap();
        let runner = Runner { engine: &engine, model: &model, compute_policy: &Inventing };
        let input = runner.input_state(&HashMap::from([("x".to_owned(), x)])).unwrap();
        let trace = runner.run(input).unwrap();
        let mut core = ExecutorCore::new(key.address());
        core.offer(statement_of(job, model.root(), &trace).unwrap());
        let invented = Run::new(engine, Arc::new(model), Arc::new(Inventing), trace);
        core.remember(Arc::new(invented), ledger.genesis().parameters.arity_log2);
        let agent = Agent::new(core, Arc::clone(&ledger) as Arc<_>, key);
        Self { ledger, agent }
    }

    /// Does what it can until its claim has another status; gives claim and status.
    async fn plays(&mut self) -> (ClaimId, ClaimStatus) {
        let begun = Instant::now();
        loop {
            let view = self.ledger.view().await.unwrap();
            self.agent.step(&view).await.unwrap();
            let view = self.ledger.view().await.unwrap();
            let (id, claim) = view.settlement.claims().next().unwrap();
            if claim.status != ClaimStatus::Standing {
                return (*id, claim.status.clone());
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the claim stands");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[test]
fn audit_a2_a_claim_on_an_input_without_a_result_is_challenged_and_falls_and_nobody_honest_makes_one()
 {
    let folder = prepared();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    // A run says why there is none.
    let (error, code) =
        run(place, &["run", "models/quotients.onnx", "--input", "in.json", "--out", "o"]);
    let message = error["error"]["message"].as_str().unwrap().to_owned();
    assert_ne!(code, 0);
    for part in ["the-quotient", "divide", "element 2", "no claim on this input can stand"] {
        assert!(message.contains(part), "{message}");
    }
    // Whoever asks for it is told before it pays.
    let request = ["request", "models/quotients.onnx", "--input", "in.json", "--dev", "client"];
    let (refused, code) = run(place, &[&request[..], &["--ledger", &url]].concat());
    assert_ne!(code, 0);
    assert!(refused["error"]["message"].as_str().unwrap().contains("element 2"), "{refused}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let job = runtime.block_on(post(&url, place));
    // An honest executor declines it, once, and says why.
    let words = ["executor", "serve", "--no-preflight"];
    let (_honest, office) = daemon(place, &url, &words, "honest");
    let declined = until("the refusal", || {
        let status = status(&office);
        let all = status["declined"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["job"] == job.to_string())
    });
    let reason = declined["reason"].as_str().unwrap();
    assert!(reason.contains("the-quotient") && reason.contains("element 2"), "{reason}");
    // So does its answer to who asks over HTTP.
    let asked = r#"{"model": "quotients", "inputs": {"x": [1, 2, 0, 0]}}"#;
    let (code, text) = http(&office, &infer(&token(place)), asked);
    assert!(code == 400 && text.contains("the-quotient") && text.contains("element 2"), "{text}");
    // One who invents a result is known to be false before anybody challenges, and falls.
    let mut inventor = runtime.block_on(Inventor::new(&url, place, job));
    runtime.block_on(async {
        let view = inventor.ledger.view().await.unwrap();
        inventor.agent.step(&view).await.unwrap();
    });
    let (look, _) = run(place, &["monitor", "--once", "--ledger", &url, "--models", "models"]);
    assert_eq!(look["false_claims"].as_array().unwrap().len(), 1, "{look}");
    assert_eq!(look["unknown_claims"], 0, "{look}");
    assert_eq!(look["unchecked"].as_array().unwrap().len(), 0, "{look}");
    let (_challenger, checked) = daemon(place, &url, &["challenger", "run"], "challenger");
    // While the claim stands, and its executor has the move.
    let told = until("the run", || {
        let status = status(&checked);
        status["no_result"][0].is_object().then_some(status)
    });
    let found = &told["no_result"][0];
    assert_eq!((&found["operator"], &found["element"]), (&Value::from(1), &Value::from(2)));
    assert!(found["claims"].as_str().unwrap().contains("is challenged"), "{found}");
    assert_eq!(told["unchecked_count"], 0, "{told}");
    let (_, end) = runtime.block_on(inventor.plays());
    let ClaimStatus::Fallen { reason: FallReason::Refuted(evidence), .. } = end else {
        panic!("{end:?}");
    };
    let Evidence::Step { operator, element, expected, .. } = evidence else {
        panic!("{evidence:?}")
    };
    assert_eq!((operator, element, expected), (1, 2, None));
}
