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
    let mut facts =
        Facts::new(header, 4, Digest::default(), Digest::default(), Digest::default());
    while reader.remaining() > 0 {
        let Ok(kind) = u8::decode(&mut reader) else { return };
        match kind % 4 {
            0 => {
                let Ok(showing) = Showing::decode(&mut reader) else { return };
                let _ = facts.show(&showing);
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
