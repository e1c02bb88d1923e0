//! What the end-to-end tests share: the shipped models and a stage to play on.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dispute::{Devnet, Lie, Lying, Outcome, Participants};
use inference::referee::{LayerRefereeError, judge_layer};
use inference::{
    Engine, Honest, ImportOptions, Model, ModelFile, Tensor, Trace, import_file, infer,
};
use protocol::asks::Evidence;
use protocol::settlement::{ClaimStatus, FallReason, Parameters};
use protocol::tensor::{Shape, TensorType};

pub const MODELS: [&str; 2] = ["digits-cnn", "digits-transformer"];

pub fn models_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

pub fn engine() -> Engine {
    Engine::detect().unwrap()
}

pub fn model(name: &str) -> Arc<Model> {
    model_cut(name, None)
}

pub fn model_cut(name: &str, layer_operators_max: Option<usize>) -> Arc<Model> {
    let path = models_folder().join(format!("{name}.onnx"));
    let options = ImportOptions { layer_operators_max, ..ImportOptions::default() };
    Arc::new(import_file(&path, &engine(), &options).unwrap())
}

/// A shipped test image of a digit.
pub fn digit(digit: u32) -> HashMap<String, Tensor> {
    let path = models_folder().join(format!("samples/digit-{digit}.npy"));
    let bytes = std::fs::read(path).unwrap();
    // The shipped samples are 64 little-endian f32 at the end of the file.
    let values = bytes[bytes.len() - 256..]
        .chunks(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    let shape = Shape::new(&[1, 1, 8, 8]).unwrap();
    HashMap::from([("image".to_owned(), Tensor::from_f32(&shape, values).unwrap())])
}

/// A model with inputs.
pub struct Fixture {
    pub name: String,
    pub model: Arc<Model>,
    pub inputs: HashMap<String, Tensor>,
}

/// The shipped models; or those that REBUT_DISPUTE_MODELS names: files separated by colons, each with its
/// inputs beside it (`x.onnx`, `x.npz`), which size what the file leaves open.
pub fn cases() -> Vec<Fixture> {
    let Ok(files) = std::env::var("REBUT_DISPUTE_MODELS") else {
        let shipped =
            |name: &str| Fixture { name: name.to_owned(), model: model(name), inputs: digit(3) };
        return MODELS.into_iter().map(shipped).collect();
    };
    let read = |file: &str| {
        let path = PathBuf::from(file);
        let opened = ModelFile::read(&path).unwrap();
        let declared = opened.inputs().unwrap();
        let scalar = Shape::new(&[]).unwrap();
        let kind = |element| TensorType { element, shape: scalar.clone() };
        let wanted: Vec<_> =
            declared.iter().map(|input| (input.name.clone(), kind(input.element))).collect();
        let inputs = inference::files::read_tensors(&path.with_extension("npz"), &wanted).unwrap();
        let sizes = |tensor: &Tensor| tensor.shape().dimensions().to_vec();
        let given = inputs.iter().map(|(name, tensor)| (name.clone(), sizes(tensor))).collect();
        let mut options = ImportOptions::default();
        infer(&declared, &given, &mut options).unwrap();
        let model = opened.import(&engine(), &options).unwrap();
        Fixture { name: file.to_owned(), model: Arc::new(model), inputs }
    };
    files.split(':').map(read).collect()
}

pub fn honest_cast(model: &Arc<Model>) -> Participants {
    cast_with(model, &digit(3))
}

pub fn cast_with(model: &Arc<Model>, inputs: &HashMap<String, Tensor>) -> Participants {
    Participants::new(engine(), Arc::clone(model), inputs.clone(), Arc::new(Honest))
}

pub fn lying_cast(model: &Arc<Model>, lie: &Lie) -> (Participants, Trace, Trace) {
    lying(honest_cast(model), lie)
}

/// The cast with an executor that lies.
pub fn lying(mut participants: Participants, lie: &Lie) -> (Participants, Trace, Trace) {
    let model = Arc::clone(&participants.model);
    let model = &model;
    let honest = participants.run(&Honest).unwrap();
    let lying = Arc::new(Lying::new(lie, model, &honest).unwrap());
    participants.executor = lying;
    let false_run = participants.run(participants.executor.as_ref()).unwrap();
    (participants, honest, false_run)
}

/// Both referees find the same about every layer whose surrounding states are open.
pub fn check_referees(participants: &Participants, outcome: &Outcome) {
    let Some(known) = &outcome.known else { return };
    let honest = participants.run(&Honest).unwrap();
    let (mut frauds, mut found) = (0, Vec::new());
    for layer in 0..participants.model.header().layer_count {
        let before = honest.state(layer).unwrap();
        let finding = judge_layer(&participants.engine, &participants.model, known, layer, before);
        frauds += u32::from(finding.as_ref().is_ok_and(|finding| finding.is_fraud()));
        found.push(finding);
    }
    match fall_reason(outcome) {
        Some(FallReason::Refuted(evidence)) => {
            // Of states that were published, and not opened, the ledger's log says nothing.
            let is_hidden =
                |finding: &Result<_, _>| matches!(finding, Err(LayerRefereeError::NotOpen { .. }));
            let convicted = match evidence {
                Evidence::Step { operator, .. } | Evidence::Leaf { operator, .. } => {
                    participants.model.layer_of(operator)
                }
                Evidence::Contradiction { .. }
                | Evidence::StateValue { .. }
                | Evidence::Link { .. }
                | Evidence::Entry { .. }
                | Evidence::Stop { .. } => None,
            };
            let unseen = match convicted {
                Some(layer) => is_hidden(&found[layer as usize]),
                None => found.iter().any(is_hidden),
            };
            assert!(frauds > 0 || unseen, "only the step referee convicts: {evidence:?} {found:?}")
        }
        Some(FallReason::Silence(_)) => {}
        None => assert_eq!(frauds, 0, "only the layer referee convicts"),
    }
}

/// Plays a cast on a fresh stage and checks what must hold for every play: money, replay, and the
/// agreement of the two referees.
pub async fn play(participants: &Participants) -> (Devnet, tempfile::TempDir, Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::open(folder.path(), Parameters::default()).await.unwrap();
    let outcome = devnet.dispute(participants, &mut |_| {}).await.unwrap();
    check_money(&devnet, &outcome);
    check_referees(participants, &outcome);
    (devnet, folder, outcome)
}

pub fn check_money(devnet: &Devnet, outcome: &Outcome) {
    let settlement = &outcome.view.settlement;
    assert!(settlement.money().is_conserved());
    assert_eq!(settlement.money().locked_wei(), settlement.locked_by_objects_wei());
    // Replaying the log gives the same state.
    let entries = devnet.ledger.entries().unwrap();
    let replayed = ledger::replay(devnet.ledger.genesis(), &entries).unwrap();
    assert_eq!(&replayed, settlement.as_ref());
}

pub fn fall_reason(outcome: &Outcome) -> Option<FallReason> {
    let claim = outcome.view.settlement.claim(&outcome.claim?)?;
    match &claim.status {
        ClaimStatus::Fallen { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

/// The moves of a play, a line each, for failures.
pub fn story(outcome: &Outcome) -> String {
    let mut text = String::new();
    for played in &outcome.played {
        let answer = match &played.outcome {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        let (role, action) = (played.role.name(), played.action.name());
        text += &format!("\n{role} {action} ({}): {answer}", played.reason);
    }
    text
}
