//! The targets without a server.

use std::sync::OnceLock;

use inference::files::parse_tensors;
use inference::{Engine, ImportOptions, Isa, import_bytes};
use protocol::encoding::{Canonical, Reader};
use protocol::facts::{Facts, Request, Reveal, Showing};
use protocol::graph::{Layer, ModelHeader, Node};
use protocol::hash::{Digest, Keccak};
use protocol::ids::JobId;
use protocol::law::{self, Operands};
use protocol::referee::{Refutation, judge};
use protocol::settlement::{Genesis, Parameters, Settlement};
use protocol::state_stream::{StateHasher, StateLimits};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Key, SignedTransaction};

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
    one_encoding::<Request>(bytes);
    one_encoding::<Reveal>(bytes);
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

struct Ones;

impl Operands for Ones {
    type Error = ();

    fn element(&mut self, _: usize, index: u64) -> Result<u64, ()> {
        Ok(0x3F80_0000 ^ (index & 1))
    }
}

/// Facts and the referee: any showings, reveals and refutations about a small claim.
pub(crate) fn referee(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(header) = ModelHeader::decode(&mut reader) else { return };
    let zero = Digest::default();
    let mut facts: Facts = Facts::new(header, 4, zero, zero, zero);
    while reader.remaining() > 0 && step(&mut facts, &mut reader).is_ok() {}
}

fn step(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), ()> {
    let undecodable = |_| ();
    match u8::decode(reader).map_err(undecodable)? % 4 {
        0 => {
            let showing = Showing::decode(reader).map_err(undecodable)?;
            // What is shown can be taken back without a trace, and shown again.
            let before = facts.clone();
            if let Ok(shown) = facts.show(&showing) {
                facts.take_back(&[shown]);
                assert_eq!(*facts, before);
                assert_eq!(facts.show(&showing), Ok(shown));
            }
        }
        1 => {
            let request = Request::decode(reader).map_err(undecodable)?;
            let reveal = Reveal::decode(reader).map_err(undecodable)?;
            let _ = facts.reveal(&request, &reveal);
        }
        2 => {
            let refutation = Refutation::decode(reader).map_err(undecodable)?;
            let _ = judge(facts, &refutation);
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
