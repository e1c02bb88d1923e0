//! Run a model, post a job for it on a ledger, claim the run, and let the claim become final when nobody
//! challenges it: `cargo run --example run_and_claim`, or with `-- MODEL.onnx INPUT.npy`.

use std::path::Path;
use std::sync::Arc;

use executor::statement_of;
use inference::files::read_tensors;
use inference::{Engine, ImportOptions, Isa, Runner, import_file};
use ledger::{EmbeddedLedger, Ledger as _, ManualClock, words};
use protocol::graph::Profile;
use protocol::hash::Digest;
use protocol::settlement::{ClaimStatus, ETHER, Genesis, Parameters, claim_id, job_id};
use protocol::transaction::{Action, Address, JobTerms, Key};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or("models/digits-cnn.onnx".to_owned());
    let input = arguments.next().unwrap_or("models/samples/digit-3.npy".to_owned());
    // The same bits on every path of instructions and at any number of threads.
    let engine = Engine::new(Isa::detect(), 2)?;
    let model = import_file(Path::new(&model), &engine, &ImportOptions::default())?;
    let types: Vec<_> =
        model.input_names().iter().cloned().zip(model.graph().inputs.iter().cloned()).collect();
    let inputs = read_tensors(Path::new(&input), &types)?;
    let runner = Runner::honest(&engine, &model);
    let input = runner.input_state(&inputs)?;
    let input_root = input.root();
    let trace = runner.run(input)?;
    println!("model root  {}", model.root());
    println!("trace root  {}", trace.root());

    // A ledger in a folder (`own_ledger.rs` says more), with time that this program tells.
    let (bank, client, executor) = (key(1)?, key(2)?, key(3)?);
    let parameters = Parameters::default();
    let genesis = Genesis {
        chain_id: 31_337,
        salt: Digest([9; 32]),
        begun_ms: 0,
        bank: bank.address(),
        parameters: parameters.clone(),
    };
    let domain = genesis.domain();
    let (folder, clock) = (tempfile::tempdir()?, ManualClock::default());
    let ledger = EmbeddedLedger::open(folder.path(), genesis, Arc::new(clock.clone()))?;
    for (nonce, account) in (0..).zip([client.address(), executor.address()]) {
        let deposit = Action::Deposit { account, amount_wei: 2 * ETHER };
        ledger.submit(bank.sign(&domain, nonce, &deposit)).await?;
    }

    // The client makes the model known, once for all, and orders a run of it.
    let header = model.header().clone();
    ledger.submit(client.sign(&domain, 0, &Action::RegisterModel { header })).await?;
    let window_ms = parameters.window_ms_of(1);
    let terms = JobTerms {
        model_root: model.root(),
        input_root,
        profile: Profile::StrictF32,
        executor: Address::default(),
        fee_wei: ETHER / 100,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: parameters.stake_wei_min,
        window_ms,
        open_ms: 3_600_000,
        attention_wei: 0,
        salt: 0,
    };
    let job = job_id(client.address(), &terms);
    ledger.submit(client.sign(&domain, 1, &Action::PostJob { terms })).await?;

    // The executor says what came out of its run, and stakes money on it.
    let statement = statement_of(job, model.root(), &trace).ok_or("a model without states")?;
    println!("sequence    {}", statement.terms.sequence_root);
    println!("output root {}", statement.terms.output_root);
    let claim = claim_id(executor.address(), &statement.terms);
    ledger.submit(executor.sign(&domain, 0, &Action::PostClaim { statement })).await?;
    println!("job         {job}");
    println!("claim       {claim}");

    // Nobody challenges it, so that anybody can end it once its window is over.
    clock.advance(window_ms + 1);
    ledger.submit(client.sign(&domain, 2, &Action::Finalise { claim })).await?;
    let settlement = ledger.view().await?.settlement;
    let ended = settlement.claim(&claim).ok_or("the claim is lost")?;
    assert!(matches!(ended.status, ClaimStatus::Final { .. }));
    let left_wei = settlement.money().free_wei(&executor.address());
    println!("final, and its executor has {}", words::ether(left_wei));
    Ok(())
}

fn key(number: u8) -> Result<Key, String> {
    Key::from_secret(&[number; 32]).ok_or("no key".to_owned())
}
