//! The targets without a server.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use inference::files::parse_tensors;
use inference::{Engine, ImportOptions, Isa, import_bytes};
use protocol::asks::{Answer, Ask, Context, Proven, Refutation, Showing, Tree, fits, judge};
use protocol::encoding::{Canonical, Reader};
use protocol::graph::{Layer, ModelHeader, Node};
use protocol::hash::{Digest, Keccak};
use protocol::ids::JobId;
use protocol::knowledge::Knowledge;
use protocol::law::{self, Operands};
use protocol::settlement::{
    FallReason, Genesis, Parameters, Part, Record, Restoring, Settlement, SnapshotHead,
};
use protocol::state_stream::{StateHasher, StateLimits};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{
    Action, Binding, BoundState, ClaimTerms, Key, RunLength, SignedTransaction, Statement,
};

#[path = "../../src/configuration/file.rs"]
#[allow(dead_code)]
mod file;

/// A genesis with a bank whose key is known.
pub(crate) fn genesis() -> Genesis {
    let bank = Key::from_secret(&[1; 32]).unwrap().address();
    let parameters = Parameters::default();
    Genesis { chain_id: 1, salt: Digest::default(), begun_ms: 0, bank, parameters }
}

fn one_encoding<T: Canonical>(bytes: &[u8]) -> Option<T> {
    let value = T::from_canonical(bytes).ok()?;
    assert_eq!(value.to_canonical(), bytes, "a second encoding was accepted");
    Some(value)
}

/// Every canonical decoder, and a settlement that is given what decodes.
pub(crate) fn transaction(bytes: &[u8]) {
    one_encoding::<SignedTransaction>(bytes);
    one_encoding::<Ask>(bytes);
    one_encoding::<Answer>(bytes);
    one_encoding::<Showing>(bytes);
    one_encoding::<Layer>(bytes);
    one_encoding::<ModelHeader>(bytes);
    one_encoding::<Genesis>(bytes);
    if let Some(node) = one_encoding::<Node>(bytes) {
        let _ = law::check(&node);
    }
    if let Some(action) = one_encoding::<Action>(bytes) {
        let key = Key::from_secret(&[1; 32]).unwrap();
        let mut settlement = Settlement::new(genesis()).unwrap();
        let signed = key.sign(&settlement.domain(), 0, &action);
        let _ = settlement.apply(1, &signed);
        assert!(settlement.money().is_conserved());
    }
}

/// A ledger's snapshot, and each part of one. What is taken is written again and is the same.
pub(crate) fn snapshot(bytes: &[u8]) {
    one_encoding::<Part>(bytes);
    let genesis = genesis();
    let head = Settlement::new(genesis.clone()).unwrap().snapshot_head();
    let mut restoring = Restoring::new(genesis.clone(), head).unwrap();
    let mut reader = Reader::new(bytes);
    while let Ok(part) = Part::decode(&mut reader) {
        if restoring.take(part).is_err() {
            break;
        }
    }
    let _ = restoring.done();
    if let Ok(snapshot) = ledger::snapshot::read(&genesis, bytes, bytes.len() as u64) {
        let mut again = Vec::new();
        ledger::snapshot::write(&snapshot.settlement, &snapshot.mark, &mut again).unwrap();
        let read = ledger::snapshot::read(&genesis, &again[..], again.len() as u64);
        assert_eq!(read.ok(), Some(snapshot));
    }
}

/// What a ledger keeps: every record, and the head of a snapshot.
pub(crate) fn records(bytes: &[u8]) {
    one_encoding::<SnapshotHead>(bytes);
    one_encoding::<FallReason>(bytes);
    match one_encoding::<Record>(bytes) {
        Some(Record::Challenge { challenge, .. }) => {
            // It becomes a challenge again with what it asked, and with nothing else.
            let is_unasked = challenge.asked.is_none();
            assert_eq!(challenge.with::<Keccak>(None).is_some(), is_unasked);
        }
        Some(Record::Model { header, .. }) => {
            let _ = header.is_within_limits();
        }
        Some(
            Record::Account { .. }
            | Record::Job { .. }
            | Record::Claim { .. }
            | Record::Sealed { .. }
            | Record::Attestation { .. },
        )
        | None => {}
    }
}

struct Ones;

impl Operands for Ones {
    type Error = ();

    fn element(&mut self, _: usize, index: u64) -> Result<u64, ()> {
        Ok(0x3F80_0000 ^ (index & 1))
    }
}

/// What the referee's target is about: a small claim, and what was made known of it.
struct Case {
    said: BTreeMap<Tree, Digest>,
    known: Knowledge,
}

/// Asks, answers and the referee: any showings, asks, answers and refutations about a small claim.
pub(crate) fn referee(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(header) = ModelHeader::decode(&mut reader) else { return };
    let Ok(iterations) = u8::decode(&mut reader) else { return };
    let zero = Digest::default();
    let terms = ClaimTerms {
        job: JobId(zero),
        model_root: header.root(),
        input_root: zero,
        output_root: zero,
        iterations: u32::from(iterations),
        sequence_root: zero,
        salt: 0,
    };
    let bound =
        || BoundState { trace_root: zero, sequence_path: Vec::new(), state_path: Vec::new() };
    let binding = Binding { input: bound(), output: bound(), entry: None };
    let statement = Statement { terms, binding };
    // A longer run may end earlier: both ways of the judge are reached.
    let length = RunLength { iterations_max: 8, may_cut: iterations % 2 == 1 };
    let known = Knowledge::new(header, length, 4, &statement);
    let mut case = Case { said: BTreeMap::new(), known };
    while reader.remaining() > 0 && step(&mut case, &mut reader).is_ok() {}
}

fn step(case: &mut Case, reader: &mut Reader<'_>) -> Result<(), ()> {
    let undecodable = |_| ();
    match u8::decode(reader).map_err(undecodable)? % 5 {
        0 => {
            let showings = Vec::<Showing>::decode(reader).map_err(undecodable)?;
            let from = Option::<Ask>::decode(reader).map_err(undecodable)?;
            let (ask, path) = (Ask::decode(reader), Vec::<Digest>::decode(reader));
            let (ask, path) = (ask.map_err(undecodable)?, path.map_err(undecodable)?);
            let asking = Parameters::default().asking();
            let context = Context { said: &case.said, ..case.known.context(from.as_ref()) };
            assert!(asking.cost(&context, &ask).fees > 0);
            if let Ok(proven) = Proven::new::<Keccak>(context, &showings)
                && asking.check::<Keccak>(&proven, &ask, &path).is_ok()
            {
                case.known.learn_demand(&showings, &ask, &path);
            }
        }
        1 => {
            let (ask, answer) = (Ask::decode(reader), Answer::decode(reader));
            let (ask, answer) = (ask.map_err(undecodable)?, answer.map_err(undecodable)?);
            if let Ok(said) = fits::<Keccak>(&ask, &answer, 4) {
                case.known.learn_answer(&ask, &answer, said);
            }
        }
        2 => {
            let showings = Vec::<Showing>::decode(reader).map_err(undecodable)?;
            let from = Option::<Ask>::decode(reader).map_err(undecodable)?;
            let refutation = Refutation::decode(reader).map_err(undecodable)?;
            let context = Context { said: &case.said, ..case.known.context(from.as_ref()) };
            if let Ok(proven) = Proven::new::<Keccak>(context, &showings) {
                let _ = judge::<Keccak>(&proven, &refutation);
            }
        }
        3 => {
            let (tree, root) = (Tree::decode(reader), Digest::decode(reader));
            case.said.insert(tree.map_err(undecodable)?, root.map_err(undecodable)?);
        }
        // The law on any node that passes the check, at its first, last and a middle element.
        _ => {
            let node = Node::decode(reader).map_err(undecodable)?;
            let node = law::check(&node).map_err(|_| ())?;
            if law::segment_count(node) > 64 {
                return Err(());
            }
            let count = node.output.shape.count();
            for element in [0, count / 2, count - 1] {
                let _ = law::element(node, element, &mut Ones);
            }
        }
    }
    Ok(())
}

/// The envelope of wire and disk.
pub(crate) fn wire(bytes: &[u8]) {
    if let Ok(entry) = ledger::wire::decode::<ledger::LogEntry>(bytes) {
        assert_eq!(ledger::wire::encode(&entry).expect("it fits"), bytes);
    }
}

/// A published state as it streams in: cut anywhere, it has the same end.
pub(crate) fn published(bytes: &[u8]) {
    let limits = StateLimits { bytes: 1 << 20, leaves: 1 << 14 };
    let hashed = |size: usize| {
        let mut hasher = StateHasher::<Keccak>::new(limits);
        let pushed = bytes.chunks(size).try_for_each(|part| hasher.push(part));
        pushed.is_ok().then(|| hasher.finish().ok()).flatten()
    };
    assert_eq!(hashed(7), hashed(bytes.len().max(1)));
}

/// Verdict files.
pub(crate) fn verdict_file(bytes: &[u8]) {
    let _ = dispute::verdict::replay_bytes("fuzz", bytes);
}

/// Claim files.
pub(crate) fn claim_file(bytes: &[u8]) {
    if let Ok(claim) = dispute::claim_file::ClaimFile::parse("fuzz", bytes) {
        let _ = claim.statement(JobId::default());
    }
}

/// The ONNX importer.
pub(crate) fn onnx(bytes: &[u8]) {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| Engine::new(Isa::detect(), 1).expect("a thread"));
    let _ = import_bytes(bytes, "fuzz", None, engine, &ImportOptions::default());
}

/// Tensor files: the first byte chooses the format.
pub(crate) fn tensor_file(bytes: &[u8]) {
    let Some((kind, content)) = bytes.split_first() else { return };
    let shape = Shape::new(&[1, 4]).unwrap();
    let inputs = [("image".to_owned(), TensorType { element: ElementType::F32, shape })];
    let ending = ["npy", "npz", "json", "pb"][usize::from(*kind) % 4];
    let _ = parse_tensors(ending, content.to_vec(), &inputs);
}

/// Configuration files: every problem names a line that is there.
pub(crate) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    let (settings, problems) = file::parse(text);
    for line in settings.iter().map(|one| one.line).chain(problems.iter().map(|one| one.line)) {
        assert!((1..=lines).contains(&line));
    }
    for setting in settings {
        assert!(setting.section.split('.').count() <= 2);
    }
}
