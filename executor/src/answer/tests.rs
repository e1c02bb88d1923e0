//! Everything that can be demanded of a claim is answered, and the ledger's own facts take it.

use protocol::facts::{FactError, Facts, Showing};
use protocol::hash::leaf;
use protocol::ids::JobId;
use protocol::law;

use super::*;
use crate::core::statement_of;
use crate::testing::{FOLD, FOLDED, honest, lost, model};

/// What is known of a claim on a run when it is posted, with all of the model shown.
fn facts(run: &Run, arity_log2: u32) -> Facts {
    let statement = statement_of(JobId::default(), run.model().root(), run.trace()).unwrap();
    let (header, trace_root) = (run.model().header().clone(), statement.trace_root());
    let (input_root, output_root) = (statement.terms.input_root, statement.terms.output_root);
    let mut facts = Facts::new(header, arity_log2, trace_root, input_root, output_root);
    for layer in 0..run.model().header().layer_count {
        let proof = run.model().layer_proof(layer).unwrap();
        facts.show(&Showing::Layer { proof }).unwrap();
    }
    for operator in 0..run.model().header().operator_count {
        let proof = run.model().node_proof(operator).unwrap();
        facts.show(&Showing::Operator { proof }).unwrap();
    }
    facts
}

/// All nodes of a tree that can be opened.
fn nodes(facts: &Facts, tree: TreeId) -> Vec<Request> {
    let depth = facts.shape(tree).unwrap().depth();
    let depths = 0..depth.max(1);
    depths
        .flat_map(|depth| (0..1u64 << depth).map(move |index| Request::Node { tree, depth, index }))
        .collect()
}

/// Everything that can ever be demanded of the model's runs, what stands above first.
fn requests(facts: &Facts) -> Vec<Request> {
    let model = model();
    let header = model.header();
    let mut all = nodes(facts, TreeId::Trace {});
    for boundary in 0..header.state_count() {
        all.extend(nodes(facts, TreeId::State { boundary }));
    }
    for layer in 0..header.layer_count {
        all.push(Request::Subtrace { layer });
        all.extend(nodes(facts, TreeId::Subtrace { layer }));
    }
    for operator in 0..header.operator_count {
        let tree = TreeId::Tensor { operator };
        all.extend(nodes(facts, tree));
        let leaves = 1u64 << facts.shape(tree).unwrap().depth();
        all.extend((0..leaves).map(|leaf| Request::Leaf { operator, leaf }));
        if law::segment_count(model.checked(operator).unwrap()) > 1 {
            let elements = model.node(operator).unwrap().output.shape.count();
            all.extend((0..elements).map(|element| Request::Accumulators { operator, element }));
        }
    }
    all
}

#[test]
fn every_demand_that_the_ledger_accepts_is_answered_to_its_satisfaction() {
    for arity_log2 in [1, 2, 3, 6] {
        let run = honest(1);
        let defender = Defender::new(Arc::clone(&run), arity_log2);
        let mut facts = facts(&run, arity_log2);
        let mut answered = 0;
        for request in requests(&facts) {
            if facts.check_request(&request).is_err() {
                continue;
            }
            let reveal = defender.answer(&request).unwrap();
            assert_eq!(facts.reveal(&request, &reveal), Ok(()), "{request:?}");
            assert_eq!(facts.check_request(&request), Err(FactError::AlreadyOpen));
            answered += 1;
        }
        // Every leaf of every output was among them, and all sums.
        for operator in 0..run.model().header().operator_count {
            let output = run.output(operator).unwrap();
            let kind = output.kind();
            for element in 0..kind.shape.count() {
                assert_eq!(facts.claimed_element(operator, element).ok(), output.bits(element));
            }
        }
        assert_eq!(facts.all_accumulators().count() as u64, FOLDED);
        // Four states, three layers, four outputs.
        assert!(answered >= 11, "{answered}");
    }
}

#[test]
fn nodes_are_opened_as_far_as_the_ledger_says() {
    let run = honest(1);
    let roots = run.trace().state_roots();
    let request = Request::Node { tree: TreeId::Trace {}, depth: 0, index: 0 };
    let children = |arity_log2| match Defender::new(Arc::clone(&run), arity_log2).answer(&request) {
        Ok(Reveal::Node { children }) => children,
        other => panic!("{other:?}"),
    };
    assert_eq!(children(2), Children::Roots { roots: roots.to_vec() });
    let leaves: Vec<Digest> = roots.iter().map(|root| leaf(&root.0)).collect();
    let hashes = leaves.chunks(2).map(|pair| protocol::hash::node(&pair[0], &pair[1])).collect();
    assert_eq!(children(1), Children::Hashes { hashes });
}

#[test]
fn states_are_opened_by_their_values_and_insides_by_their_roots() {
    let run = honest(1);
    let defender = Defender::new(Arc::clone(&run), 6);
    let open = |tree| defender.answer(&Request::Node { tree, depth: 0, index: 0 }).unwrap();
    let values = run.trace().state(1).unwrap().entries();
    assert_eq!(values.iter().map(|(value, _)| *value).collect::<Vec<_>>(), [1, 3]);
    let opened = open(TreeId::State { boundary: 1 });
    assert_eq!(opened, Reveal::Node { children: Children::Values { values } });
    let roots = run.inside(1).unwrap().roots().to_vec();
    let children = Children::Roots { roots };
    assert_eq!(open(TreeId::Subtrace { layer: 1 }), Reveal::Node { children: children.clone() });
    let root = run.inside(1).unwrap().tree().root();
    let request = Request::Subtrace { layer: 1 };
    assert_eq!(defender.answer(&request), Ok(Reveal::Subtrace { root, children }));
    let hashes = run.output_tree(0).unwrap().opening(0, 0, 6).unwrap();
    let opened = open(TreeId::Tensor { operator: 0 });
    assert_eq!(opened, Reveal::Node { children: Children::Hashes { hashes } });
}

#[test]
fn leaves_and_sums_are_those_of_the_run() {
    let run = honest(1);
    let defender = Defender::new(Arc::clone(&run), 6);
    let bytes = run.output(0).unwrap().leaf(5).unwrap();
    let request = Request::Leaf { operator: 0, leaf: 5 };
    assert_eq!(defender.answer(&request), Ok(Reveal::Leaf { bytes }));
    let words = run.accumulators(FOLD, 1).unwrap().to_vec();
    // Three runs of 32 lanes.
    assert_eq!(words.len(), 96);
    let request = Request::Accumulators { operator: FOLD, element: 1 };
    assert_eq!(defender.answer(&request), Ok(Reveal::Accumulators { words }));
}

#[test]
fn what_the_run_does_not_have_is_an_error_that_names_it() {
    cov_mark::check!(no_such_state);
    cov_mark::check!(no_such_values_of_a_state);
    let defender = Defender::new(honest(1), 6);
    // Beyond the states, and padding after a row of three leaves.
    for request in [
        Request::Node { tree: TreeId::State { boundary: 4 }, depth: 0, index: 0 },
        // Nodes outside of trees that are there.
        Request::Node { tree: TreeId::Trace {}, depth: 9, index: 0 },
        Request::Node { tree: TreeId::Trace {}, depth: 0, index: 1 },
        Request::Node { tree: TreeId::State { boundary: 1 }, depth: 0, index: 1 },
        Request::Node { tree: TreeId::Subtrace { layer: 0 }, depth: u32::MAX, index: u64::MAX },
        Request::Leaf { operator: 0, leaf: 3 },
        Request::Leaf { operator: 0, leaf: 8 },
    ] {
        let error = defender.answer(&request).unwrap_err();
        assert_eq!(error, AnswerError::NotInRun { request });
        assert!(error.to_string().starts_with("the run has nothing at "), "{error}");
        assert!(error.to_string().contains(&ledger::words::request(&request)), "{error}");
    }
}

#[test]
fn what_the_model_does_not_have_is_an_error_of_the_run() {
    let defender = Defender::new(honest(1), 6);
    let node = |tree| Request::Node { tree, depth: 0, index: 0 };
    for (request, what) in [
        (Request::Subtrace { layer: 3 }, "layer 3"),
        (node(TreeId::Subtrace { layer: 3 }), "layer 3"),
        (node(TreeId::Tensor { operator: 4 }), "operator 4"),
        (Request::Leaf { operator: 4, leaf: 0 }, "operator 4"),
        (Request::Accumulators { operator: 4, element: 0 }, "operator 4"),
        // An operator that folds nothing has no sums, and a fold none beyond its elements.
        (Request::Accumulators { operator: 0, element: 0 }, "accumulators of operator 0"),
        (Request::Accumulators { operator: FOLD, element: 2 }, "accumulators of operator 2"),
    ] {
        let error = RunError::NotInModel { what: what.to_owned() };
        assert_eq!(defender.answer(&request), Err(AnswerError::Run(error)), "{request:?}");
    }
}

#[test]
fn a_layer_that_cannot_be_recomputed_is_told_and_states_are_answered_all_the_same() {
    let defender = Defender::new(lost(1), 6);
    let error = RunError::Operator {
        operator: 0,
        name: "node 0".to_owned(),
        error: inference::EngineError::Undefined { kind: "nothing", element: 0 },
    };
    let request = Request::Subtrace { layer: 0 };
    let outcome = defender.answer(&request);
    assert_eq!(outcome, Err(AnswerError::Run(error)));
    let text = outcome.unwrap_err().to_string();
    assert!(text.starts_with("the layer could not be recomputed: operator 0"), "{text}");
    let request = Request::Node { tree: TreeId::Trace {}, depth: 0, index: 0 };
    assert!(defender.answer(&request).is_ok());
    let request = Request::Node { tree: TreeId::State { boundary: 2 }, depth: 0, index: 0 };
    assert!(defender.answer(&request).is_ok());
}

#[test]
fn clones_share_the_run() {
    let defender = Defender::new(honest(1), 6);
    assert!(Arc::ptr_eq(defender.run(), defender.clone().run()));
}
