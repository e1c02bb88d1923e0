//! What an auditor with code and documents alone found about sizes: each test fails without its mend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::of_bits;
use common::{Bits, FUNDS_WEI, Game, Who, address, genesis, key};
use protocol::asks::{Answer, Ask, AskError, Place, Showing, Tree, TreeKind};
use protocol::encoding::{Canonical, DecodeError};
use protocol::graph::{Graph, Layer, LayerProof, ModelHeader, Node, Operand, Operator, Profile};
use protocol::hash::{Digest, Keccak, Tag, leaf};
use protocol::merkle::ListTree;
use protocol::roots::state_tree;
use protocol::settlement::{Genesis, Parameters, Rejection, Settlement, job_id};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{ACTION_BYTES_MAX, Action, JobTerms, SignedTransaction, Statement};
use protocol::validate::validate;

fn kind(dimensions: &[u64]) -> TensorType {
    TensorType { element: ElementType::F32, shape: Shape::new(dimensions).unwrap() }
}

#[test]
fn the_largest_answer_that_can_be_demanded_survives_its_encoding_and_is_accepted() {
    let parameters = Parameters { end_log2: 12, ..Parameters::default() };
    assert_eq!(parameters.check(), Ok(()));
    let state = Settlement::new(Genesis { parameters, ..genesis() }).unwrap();
    let mut game = Game::on(state);
    for who in [Who::Client, Who::Executor, Who::Challenger] {
        game = game.funds(who, FUNDS_WEI);
    }
    // A valid model: the first element of an input of 2^12 leaves.
    let (large, one) = (kind(&[1 << 18]), kind(&[1]));
    let node = Node {
        operator: Operator::Slice { starts: vec![0], steps: vec![1] },
        operands: vec![Operand { value: 0, kind: large.clone() }],
        output: one.clone(),
    };
    let layer = Layer { first_operator: 0, operator_count: 1, live_in: vec![0], live_out: vec![2] };
    let graph = Graph {
        inputs: vec![large.clone()],
        weights: vec![one.clone()],
        nodes: vec![node],
        layers: vec![layer.clone()],
        ..Graph::default()
    };
    assert_eq!(validate(&graph), Ok(()));
    let number = |value: f32| u64::from(value.to_bits());
    let weight = Bits(one.clone(), vec![number(1.0)]);
    let model = graph.commit::<Keccak>(&[weight.root()], Profile::StrictF32).unwrap();
    let input = Bits(large.clone(), vec![number(3.0); 1 << 18]);
    let output = Bits(one, vec![number(3.0)]);
    let first = state_tree::<Keccak>([(0, input.root())]).unwrap().root();
    let last = state_tree::<Keccak>([(2, output.root())]).unwrap().root();
    let model_root = model.header.root();
    let game = game.accepts(Who::Client, Action::RegisterModel { header: model.header.clone() });
    let terms = JobTerms { model_root, input_root: first, ..game.job_terms() };
    let mut game = game;
    game.job = job_id(address(Who::Client), &terms);
    let game = game.accepts(Who::Client, Action::PostJob { terms });
    let statement = Statement::of_run::<Keccak>(game.job, model_root, &[first, last]).unwrap();
    let game = game
        .accepts(Who::Executor, Action::PostClaim { statement })
        .challenges(Who::Challenger, Who::Executor);
    let claim = game.claim(Who::Executor);
    // All leaves of the input, at once.
    let grown = of_bits(&input);
    let place = Place {
        tree: Tree::Input { iteration: 0, value: 0 },
        kind: TreeKind::Tensor { kind: large },
        depth: 0,
        index: 0,
        hash: input.root(),
    };
    let ask = Ask::Leaves { place };
    let showings = vec![
        Showing::Layer { proof: LayerProof { index: 0, layer, path: Vec::new() } },
        Showing::StateLeaf {
            iteration: 0,
            boundary: 0,
            position: 0,
            value: 0,
            root: input.root(),
            path: Vec::new(),
        },
    ];
    let demand = Action::Demand { claim, showings, ask: ask.clone(), path: Vec::new(), from: None };
    let game = game.accepts(Who::Challenger, demand);
    // The only answer that fits.
    let answer = grown.answer(&ask, 6);
    assert!(matches!(&answer, Answer::Leaves { leaves } if leaves.len() == 4096));
    let reveal = Action::Reveal { claim, challengers: vec![address(Who::Challenger)], ask, answer };
    let executor = key(Who::Executor);
    let nonce = game.state.nonce(&executor.address());
    let signed = executor.sign(&game.state.domain(), nonce, &reveal);
    // What travels and is logged is its encoding.
    let sent = SignedTransaction::from_canonical(&signed.to_canonical()).unwrap();
    let (mut state, now_ms) = (game.state.clone(), game.now_ms);
    state.apply(now_ms, &sent).unwrap();
    let too_long = SignedTransaction { action: vec![0; ACTION_BYTES_MAX + 1], ..sent };
    let found = SignedTransaction::from_canonical(&too_long.to_canonical());
    assert!(matches!(found, Err(DecodeError::TooLong { kind: "action", .. })), "{found:?}");
}

#[test]
fn a_layer_with_longer_lists_than_a_state_may_have_is_not_shown() {
    const LAYERS: u32 = 2;
    const IDS: u32 = 4_097;
    let one = kind(&[1]);
    let layer = |index: u32| {
        let many = |from: u32| (from..from + IDS).collect::<Vec<u32>>();
        let (live_in, live_out) =
            if index == 0 { (vec![0], vec![2]) } else { (many(index), many(index + 1)) };
        Layer { first_operator: index, operator_count: 1, live_in, live_out }
    };
    let layers: Vec<Layer> = (0..LAYERS).map(layer).collect();
    let hashes: Vec<Digest> = layers.iter().map(Layer::leaf::<Keccak>).collect();
    let tree = ListTree::<Keccak>::new(Tag::Layers, &hashes).unwrap();
    let header = ModelHeader {
        graph_root: leaf(b"graph"),
        weights_root: leaf(b"weights"),
        layers_root: tree.root(),
        operator_count: LAYERS,
        weight_count: 1,
        inputs: vec![one.clone()],
        layer_count: LAYERS,
        profile: Profile::StrictF32,
        links: Vec::new(),
        stop: None,
        card: Digest::default(),
    };
    let model_root = header.root();
    let game = Game::without_job(Parameters::default())
        .accepts(Who::Client, Action::RegisterModel { header });
    let input = Bits(one, vec![0]);
    let first = common::answers::of_values(&[(0, input.root())]);
    let at = Tree::State { iteration: 0, boundary: 0 };
    let first_root = at.commit::<Keccak>(&first.kind, &first.nodes.root()).unwrap();
    let mut states = vec![first_root];
    states.extend((0..LAYERS).map(|index| leaf(&index.to_be_bytes())));
    let terms = JobTerms { model_root, input_root: first_root, ..game.job_terms() };
    let mut game = game;
    game.job = job_id(address(Who::Client), &terms);
    let game = game.accepts(Who::Client, Action::PostJob { terms });
    let statement = Statement::of_run::<Keccak>(game.job, model_root, &states).unwrap();
    let game = game
        .accepts(Who::Executor, Action::PostClaim { statement })
        .challenges(Who::Challenger, Who::Executor);
    let claim = game.claim(Who::Executor);
    let show = |index: u32| Showing::Layer {
        proof: LayerProof {
            index,
            layer: layers[index as usize].clone(),
            path: tree.path(u64::from(index)).unwrap(),
        },
    };
    let ask = first.ask(common::Want::Open(at, 0, 0));
    let demand = |showings: Vec<Showing>| {
        let (path, from) = (Vec::new(), None);
        Action::Demand { claim, showings, ask: ask.clone(), path, from }
    };
    let refused = Rejection::Ask(AskError::NotOfModel);
    let game = game.rejects(Who::Challenger, demand(vec![show(0), show(1)]), refused);
    game.accepts(Who::Challenger, demand(vec![show(0)]));
}
