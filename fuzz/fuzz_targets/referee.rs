//! Facts and the referee: any showings, reveals and refutations about a small claim.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::encoding::{Canonical, Reader};
use protocol::facts::{Facts, Request, Reveal, Showing};
use protocol::graph::ModelHeader;
use protocol::hash::Digest;
use protocol::law::{self, Operands};
use protocol::referee::{Refutation, judge};

struct Ones;
impl Operands for Ones {
    type Error = ();
    fn element(&mut self, _: usize, index: u64) -> Result<u64, ()> {
        Ok(0x3F80_0000 ^ (index & 1))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    let Ok(header) = ModelHeader::decode(&mut reader) else { return };
    let zero = Digest::default();
    let mut facts: Facts = Facts::new(header, 4, zero, zero, zero);
    while reader.remaining() > 0 {
        let Ok(kind) = u8::decode(&mut reader) else { return };
        match kind % 4 {
            0 => {
                let Ok(showing) = Showing::decode(&mut reader) else { return };
                // What is shown can be taken back without a trace, and shown again.
                let before = facts.clone();
                if let Ok(shown) = facts.show(&showing) {
                    facts.take_back(&[shown]);
                    assert_eq!(facts, before);
                    assert_eq!(facts.show(&showing), Ok(shown));
                }
            }
            1 => {
                let Ok(request) = Request::decode(&mut reader) else { return };
                let Ok(reveal) = Reveal::decode(&mut reader) else { return };
                let _ = facts.reveal(&request, &reveal);
            }
            2 => {
                let Ok(refutation) = Refutation::decode(&mut reader) else { return };
                let _ = judge(&facts, &refutation);
            }
            // The law on any node that passes the check, at its first, last and a middle element.
            _ => {
                let Ok(node) = protocol::graph::Node::decode(&mut reader) else { return };
                if law::check(&node).is_err() || law::run_count(&node) > 64 {
                    return;
                }
                let count = node.output.shape.count();
                for element in [0, count / 2, count - 1] {
                    let _ = law::element(&node, element, &mut Ones);
                }
            }
        }
    }
});
