//! What a transaction costs among many jobs while somebody holds a view of each state:
//! `cargo run --release -p protocol --example many [JOBS]`.

use std::time::{Duration, Instant};

use protocol::graph::{ModelHeader, Profile};
use protocol::hash::{Digest, leaf};
use protocol::settlement::{ETHER, Genesis, Parameters, Settlement};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Address, JobTerms};

type Failure = Box<dyn std::error::Error>;

const BANK: Address = Address([1; 20]);
const POSTER: Address = Address([2; 20]);
/// Transactions that are measured at each size.
const MEASURED: u32 = 2_000;

fn header() -> Result<ModelHeader, Failure> {
    let shape = Shape::new(&[1]).ok_or("no shape")?;
    Ok(ModelHeader {
        graph_root: leaf(b"graph"),
        weights_root: leaf(b"weights"),
        layers_root: leaf(b"layers"),
        operator_count: 1,
        weight_count: 1,
        inputs: vec![TensorType { element: ElementType::F32, shape }],
        layer_count: 1,
        profile: Profile::StrictF32,
        links: Vec::new(),
        stop: None,
        card: Digest::default(),
    })
}

fn post(model_root: Digest, salt: u64) -> Action {
    let parameters = Parameters::default();
    let terms = JobTerms {
        model_root,
        input_root: leaf(b"input"),
        profile: Profile::StrictF32,
        executor: Address::default(),
        fee_wei: 1,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: parameters.stake_wei_min,
        window_ms: parameters.window_ms_of(1),
        open_ms: 1,
        attention_wei: 0,
        salt,
    };
    Action::PostJob { terms }
}

fn main() -> Result<(), Failure> {
    let most: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let (parameters, salt) = (Parameters::default(), Digest::default());
    let genesis = Genesis { chain_id: 1, salt, begun_ms: 0, bank: BANK, parameters };
    let mut state: Settlement = Settlement::new(genesis)?;
    let money = Action::Deposit { account: POSTER, amount_wei: 10_000_000 * ETHER };
    state.perform(0, BANK, 0, &money)?;
    let header = header()?;
    let model_root = header.root();
    state.perform(0, POSTER, 0, &Action::RegisterModel { header })?;
    let (mut jobs, mut size) = (0, 1_000);
    while size <= most {
        while jobs + u64::from(MEASURED) < size {
            state.perform(0, POSTER, 0, &post(model_root, jobs))?;
            jobs += 1;
        }
        let actions: Vec<Action> =
            (0..u64::from(MEASURED)).map(|more| post(model_root, jobs + more)).collect();
        jobs += u64::from(MEASURED);
        let begun = Instant::now();
        let mut view = Duration::ZERO;
        let mut held = state.clone();
        for action in &actions {
            let viewed = Instant::now();
            held = state.clone();
            view += viewed.elapsed();
            state.perform(0, POSTER, 0, action)?;
        }
        let took = begun.elapsed() - view;
        let rooted = Instant::now();
        let root = held.root();
        println!(
            "{jobs:>9} jobs: {:>6.2} us a job posted with a view held, {:>5.2} us a view, {:.2} s for the root {root}",
            took.as_secs_f64() * 1e6 / f64::from(MEASURED),
            view.as_secs_f64() * 1e6 / f64::from(MEASURED),
            rooted.elapsed().as_secs_f64(),
        );
        size *= 10;
    }
    Ok(())
}
