//! Every canonical decoder, and a settlement that is given what decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::encoding::Canonical;
use protocol::facts::{Request, Reveal, Showing};
use protocol::graph::{Layer, ModelHeader, Node};
use protocol::hash::Digest;
use protocol::settlement::{Genesis, Parameters, Settlement};
use protocol::transaction::{Action, Key, SignedTransaction};

fn one_encoding<T: Canonical>(bytes: &[u8]) -> Option<T> {
    let value = T::from_canonical(bytes).ok()?;
    assert_eq!(value.to_canonical(), bytes, "a second encoding was accepted");
    Some(value)
}

fuzz_target!(|bytes: &[u8]| {
    one_encoding::<SignedTransaction>(bytes);
    one_encoding::<Request>(bytes);
    one_encoding::<Reveal>(bytes);
    one_encoding::<Showing>(bytes);
    one_encoding::<Layer>(bytes);
    one_encoding::<ModelHeader>(bytes);
    one_encoding::<Genesis>(bytes);
    if let Some(node) = one_encoding::<Node>(bytes) {
        let _ = protocol::law::check(&node);
    }
    if let Some(action) = one_encoding::<Action>(bytes) {
        let key = Key::from_secret(&[1; 32]).expect("a key");
        let parameters = Parameters::default();
        let genesis = Genesis { chain_id: 1, salt: Digest::default(), begun_ms: 0, bank: key.address(), parameters };
        let mut settlement = Settlement::new(genesis).expect("defaults");
        let signed = key.sign(&settlement.domain(), 0, &action);
        let _ = settlement.apply(1, &signed);
        assert!(settlement.money().is_conserved());
    }
});
