//! Claims with any number of false commitments, made up at random: whatever an executor says,
//! and whatever others have opened, a claim whose trace is not the true one loses.

use protocol::hash::leaf;
use protocol::ids::JobId;

use super::*;
use crate::honest_view::Announcement;
use crate::testing::game::{Dispute, End};
use crate::testing::models::summed;
use crate::testing::statement::{Statement, with_other};

/// SplitMix64: the same numbers for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Changes one thing that the executor says.
fn falsify(executor: &mut Statement, numbers: &mut Numbers) {
    let run = std::sync::Arc::clone(executor.run());
    let header = run.model().header();
    let operator = numbers.below(u64::from(header.operator_count)) as u32;
    let output = run.output(operator).unwrap().clone();
    let element = numbers.below(output.shape().count());
    // The input state is bound by the job.
    let boundary = 1 + numbers.below(u64::from(header.layer_count)) as u32;
    let values = run.model().live_values(boundary).unwrap();
    let position = numbers.below(values.len() as u64) as u32;
    let nothing = leaf(&numbers.0.to_be_bytes());
    match numbers.below(8) {
        0 => executor.state_root(boundary, nothing),
        1 => executor.entry(boundary, position, (values[position as usize], nothing)),
        2 => {
            let root = run.trace().state(boundary).unwrap().roots()[position as usize];
            executor.entry(boundary, position, (numbers.below(10) as u32, root));
        }
        3 => executor.output(operator, &with_other(&output, element)),
        4 => {
            let (at, _) = output.kind().locate(element).unwrap();
            let mut bytes = output.leaf(at).unwrap();
            bytes[numbers.below(256) as usize] ^= 1 << numbers.below(8);
            executor.leaf(operator, at, bytes);
        }
        5 => executor.output_root_of_nothing(operator, nothing),
        6 => executor.write_to_states(operator),
        _ => {
            let Ok(words) = run.accumulators(operator, element) else { return };
            let mut words = words.to_vec();
            let place = numbers.below(words.len() as u64) as usize;
            words[place] ^= 1 << numbers.below(24);
            executor.sums(operator, element, words);
        }
    }
}

/// Others show a part of the model, or demand something that may be there.
fn meddle(dispute: Dispute, numbers: &mut Numbers) -> Dispute {
    let model = std::sync::Arc::clone(dispute.honest_view.model());
    let header = model.header();
    let layer = numbers.below(u64::from(header.layer_count)) as u32;
    let operator = numbers.below(u64::from(header.operator_count)) as u32;
    let boundary = numbers.below(u64::from(header.state_count())) as u32;
    let (depth, index) = (numbers.below(4) as u32, numbers.below(8));
    let question = match numbers.below(10) {
        0 if dispute.known.layer(layer).is_none() => {
            let proof = model.layer_proof(layer).unwrap();
            return dispute.shown_by_others(&[Showing::Layer { proof }]);
        }
        1 if dispute.known.operator(operator).is_none() => {
            let proof = model.node_proof(operator).unwrap();
            return dispute.shown_by_others(&[Showing::Operator { proof }]);
        }
        0 | 1 => trace(depth, index),
        2 | 3 => inside(layer),
        4 => inside_node(layer, depth, index),
        5 => state(boundary, depth, index),
        6 => output(operator, depth, index),
        7 => output_leaves(operator, depth, index),
        // Only the sums of [`summed`] have several segments.
        _ if header.operator_count != 4 || model.node(2).unwrap().operands.len() > 1 => {
            trace(depth, index)
        }
        8 => sums(2, numbers.below(3)),
        _ => sums_leaves(2, numbers.below(3), depth, index),
    };
    dispute.demanded_by_others(&question)
}

#[test]
fn a_claim_that_is_not_the_true_one_loses_whatever_its_executor_says_and_others_open() {
    let networks = [ladder(3), carried(), summed()];
    let (mut convicted, mut silent, mut steps, mut contradictions) = (0, 0, 0, 0);
    for seed in 0..400 {
        let mut numbers = Numbers(seed);
        let network = &networks[seed as usize % networks.len()];
        let mut claim = game(network).with_levels([1, 2, 4, 6][numbers.below(4) as usize]);
        if numbers.below(2) == 0 {
            let operators = u64::from(network.model.header().operator_count);
            let operator = numbers.below(operators) as u32;
            let count = network.model.node(operator).unwrap().output.shape.count();
            claim = claim.computes_wrongly(operator, numbers.below(count));
        }
        for _ in 0..numbers.below(4) {
            claim = claim.says(|executor| falsify(executor, &mut numbers));
        }
        let truth = claim.own().root().unwrap();
        if numbers.below(3) == 0 {
            claim = claim.publishes(|executor| Announcement {
                state_roots: executor.state_roots().to_vec(),
                ..Announcement::default()
            });
        }
        let mut dispute = claim.disputed();
        for _ in 0..numbers.below(40) {
            dispute = meddle(dispute, &mut numbers);
        }
        if dispute.statement.claimed(JobId::default()).trace_root() == truth {
            dispute.expect_error(&SolveError::NothingDiffers);
            continue;
        }
        match dispute.lost() {
            End::Convicted(Evidence::Step { .. }) => steps += 1,
            End::Convicted(Evidence::Contradiction { .. }) => contradictions += 1,
            End::Convicted(_) => convicted += 1,
            End::Silent => silent += 1,
        }
    }
    // All ends were seen often enough to mean something.
    let ends = [steps, contradictions, convicted, silent];
    assert!(ends.iter().all(|count| *count >= 10), "{ends:?}");
}
