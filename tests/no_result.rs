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
use services::{Process, Way, get, http, infer, ledger, listening, rebut, token};

/// A field of a protobuf message that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = [content.len() as u8 & 0x7F | 0x80, (content.len() >> 7) as u8];
    [&[number << 3 | 2], &length[..], content].concat()
}

/// A model with an input for which one of its operators has no result.
struct Case {
    /// Name of its file.
    name: &'static str,
    /// Its nodes: two inputs, output, name and operator of each; `x: i64[4]` goes in, `y` comes out.
    nodes: [[&'static str; 5]; 3],
    /// The input, whose third element is the one without a result.
    x: [i64; 4],
    /// What who asks is told, beside the element.
    words: [&'static str; 2],
    /// The operator, as the model's graph numbers it.
    operator: u32,
}

const CASES: [Case; 3] = [
    Case {
        name: "quotients",
        nodes: [
            ["x", "x", "s", "the-sum", "Add"],
            ["s", "s", "q", "the-quotient", "Div"],
            ["q", "s", "y", "the-end", "Add"],
        ],
        x: [1, 2, 0, 0],
        words: ["the-quotient", "divide"],
        operator: 1,
    },
    Case {
        name: "products",
        nodes: [
            ["x", "x", "s", "the-sum", "Add"],
            ["s", "s", "q", "the-product", "Mul"],
            ["q", "s", "y", "the-end", "Add"],
        ],
        x: [1, 2, 1 << 40, -3],
        words: ["the-product", "multiply"],
        operator: 1,
    },
    Case {
        name: "tokens",
        nodes: [
            ["x", "x", "s", "the-sum", "Add"],
            ["vocabulary", "s", "q", "the-lookup", "Gather"],
            ["q", "s", "y", "the-end", "Add"],
        ],
        x: [1, 2, 4, 0],
        words: ["the-lookup", "index"],
        operator: 1,
    },
];

impl Case {
    /// The model as an ONNX file, written out byte by byte.
    fn onnx(&self) -> Vec<u8> {
        let node = |[first, second, output, name, operator]: [&str; 5]| {
            let numbered = [(1, first), (1, second), (2, output), (3, name), (4, operator)];
            let fields = numbered.map(|(number, text)| field(number, text.as_bytes()));
            field(1, &fields.concat())
        };
        let shape = field(2, &field(1, &[1 << 3, 4]));
        let kind = field(1, &[vec![1 << 3, 7], shape].concat());
        let input = [field(1, b"x"), field(2, &kind)].concat();
        // Eight rows of a vocabulary.
        let rows: Vec<u8> = (10..18i64).flat_map(i64::to_le_bytes).collect();
        let vocabulary = [vec![1 << 3, 8, 2 << 3, 7], field(8, b"vocabulary"), field(9, &rows)];
        let graph = [
            self.nodes.map(node).concat(),
            field(2, b"g"),
            field(5, &vocabulary.concat()),
            field(11, &input),
            field(12, &field(1, b"y")),
        ];
        let opset = vec![2 << 3, 17];
        [vec![1 << 3, 8], field(7, &graph.concat()), field(8, &opset)].concat()
    }

    fn file(&self) -> String {
        format!("models/{}.onnx", self.name)
    }

    /// The model, and its input by name.
    fn model(&self, engine: &Engine, place: &Path) -> (Model, HashMap<String, Tensor>) {
        let model = import_file(&place.join(self.file()), engine, &ImportOptions::default());
        let model = model.unwrap();
        let x = Tensor::from_i64(&model.graph().inputs[0].shape, self.x.to_vec()).unwrap();
        (model, HashMap::from([("x".to_owned(), x)]))
    }
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

/// A folder with a model, and the input without a result.
fn prepared(case: &Case) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    std::fs::create_dir(place.join("models")).unwrap();
    std::fs::write(place.join(case.file()), case.onnx()).unwrap();
    std::fs::write(place.join("in.json"), format!("{:?}", case.x)).unwrap();
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
async fn post(url: &str, place: &Path, case: &Case) -> JobId {
    let ledger = HttpLedger::connect(url, None).await.unwrap();
    let bank = Key::from_secret(&keccak(b"rebut devnet bank").0).unwrap();
    let key = Key::from_secret(&[8; 32]).unwrap();
    let deposit = Action::Deposit { account: key.address(), amount_wei: ETHER };
    act(&ledger, &bank, &deposit).await;
    let engine = Engine::detect().unwrap();
    let (model, inputs) = case.model(&engine, place);
    let input = Runner::honest(&engine, &model).input_state(&inputs).unwrap();
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
    async fn new(url: &str, place: &Path, case: &Case, job: JobId) -> Self {
        let ledger = Arc::new(HttpLedger::connect(url, None).await.unwrap());
        let bank = Key::from_secret(&keccak(b"rebut devnet bank").0).unwrap();
        let key = Key::from_secret(&[7; 32]).unwrap();
        let deposit = Action::Deposit { account: key.address(), amount_wei: 100 * ETHER };
        let view = ledger.view().await.unwrap();
        let nonce = view.settlement.nonce(&bank.address());
        let signed = bank.sign(&view.settlement.domain(), nonce, &deposit);
        ledger.submit(signed).await.unwrap();
        let engine = Engine::detect().unwrap();
        let (model, inputs) = case.model(&engine, place);
        let runner = Runner { engine: &engine, model: &model, compute_policy: &Inventing };
        let input = runner.input_state(&inputs).unwrap();
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
    // Each with services of its own, side by side: they mostly wait.
    std::thread::scope(|threads| {
        for case in &CASES {
            threads.spawn(|| falls_and_is_made_by_nobody_honest(case));
        }
    });
}

/// What becomes of a claim on the input of a case.
fn falls_and_is_made_by_nobody_honest(case: &Case) {
    let folder = prepared(case);
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    // A run says why there is none.
    let file = case.file();
    let (error, code) = run(place, &["run", &file, "--input", "in.json", "--out", "o"]);
    let message = error["error"]["message"].as_str().unwrap().to_owned();
    assert_ne!(code, 0);
    for part in [&case.words[..], &["element 2", "no claim on this input can stand"]].concat() {
        assert!(message.contains(part), "{message}");
    }
    let [node, _] = case.words;
    // Whoever asks for it is told before it pays.
    let request = ["request", &file, "--input", "in.json", "--dev", "client"];
    let (refused, code) = run(place, &[&request[..], &["--ledger", &url]].concat());
    assert_ne!(code, 0);
    assert!(refused["error"]["message"].as_str().unwrap().contains("element 2"), "{refused}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let job = runtime.block_on(post(&url, place, case));
    // An honest executor declines it, once, and says why. It sees a job of its own on the ledger, and has run it,
    // before it hears that it was posted.
    let words = ["executor", "serve", "--no-preflight"];
    let slow = services::way(&url, |part| match part.starts_with(b"POST /v1/transactions") {
        true => Way::Answered(Duration::from_millis(500)),
        false => Way::Through,
    });
    let (_honest, office) = daemon(place, &slow, &words, "honest");
    let declined = until("the refusal", || {
        let status = status(&office);
        let all = status["declined"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["job"] == job.to_string())
    });
    let reason = declined["reason"].as_str().unwrap();
    assert!(reason.contains(node) && reason.contains("element 2"), "{reason}");
    // So does its answer to who asks over HTTP.
    let asked = format!(r#"{{"model": "{}", "inputs": {{"x": {:?}}}}}"#, case.name, case.x);
    let (code, text) = http(&office, &infer(&token(place)), &asked);
    assert!(code == 400 && text.contains(node) && text.contains("element 2"), "{text}");
    // One who invents a result is known to be false before anybody challenges, and falls.
    let mut inventor = runtime.block_on(Inventor::new(&url, place, case, job));
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
    assert_eq!(
        (&found["operator"], &found["element"]),
        (&Value::from(case.operator), &Value::from(2))
    );
    assert!(found["claims"].as_str().unwrap().contains("is challenged"), "{found}");
    assert_eq!(told["unchecked_count"], 0, "{told}");
    let (_, end) = runtime.block_on(inventor.plays());
    let ClaimStatus::Fallen { reason: FallReason::Refuted(evidence), .. } = end else {
        panic!("{end:?}");
    };
    let Evidence::Step { operator, element, expected, .. } = evidence else {
        panic!("{evidence:?}")
    };
    assert_eq!((operator, element, expected), (case.operator, 2, None));
}
