//! The importer: what it accepts, how it names what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{import, input, int, ints, model, node, weight};
use inference::onnx::proto::{AttributeProto, TensorProto};
use inference::{Engine, ImportOptions, Isa, Runner, Tensor, import_bytes};
use prost::Message as _;
use protocol::tensor::Shape;

#[test]
fn a_symbolic_dimension_is_bound_by_the_caller_or_named() {
    let proto = model(vec![node("Relu", &["x"], &["y"])], Vec::new(), 17);
    let error = import(&proto, None).unwrap_err().to_string();
    assert!(error.contains("dimension batch of axis 0; pass --dim batch=1"), "{error}");
    let bound = import(&proto, Some(5)).unwrap();
    assert_eq!(bound.graph().inputs[0].shape.dimensions(), [5, 3]);
    assert_ne!(bound.root(), import(&proto, Some(6)).unwrap().root());
}

#[test]
fn what_is_refused_is_named_with_a_remedy() {
    let relu = || vec![node("Relu", &["x"], &["y"])];
    let mut foreign = node("Relu", &["x"], &["y"]);
    foreign.domain = "my.company".to_owned();
    let table = [
        (model(vec![node("NonZero", &["x"], &["y"])], Vec::new(), 17), "the-NonZero (NonZero)"),
        (model(vec![foreign], Vec::new(), 17), "domain my.company"),
        (model(relu(), Vec::new(), 5), "opset 5"),
        (model(relu(), Vec::new(), 99), "opset 99"),
        (model(vec![node("Add", &["x", "w"], &["y"])], Vec::new(), 17), "input w is not written"),
        (
            model(vec![node("Add", &["x", "w"], &["y"])], vec![weight("w", &[1.0; 2])], 17),
            "do not broadcast",
        ),
        (model(vec![node("Relu", &["x"], &["z"])], Vec::new(), 17), "output y: no node writes it"),
    ];
    for (proto, expected) in table {
        let error = import(&proto, Some(2)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} must name {expected}");
    }
}

#[test]
fn a_small_file_cannot_ask_for_much_memory_or_work() {
    let sizes = TensorProto {
        name: "sizes".to_owned(),
        data_type: 7,
        dims: vec![2],
        int64_data: vec![1 << 15, 1 << 15],
        ..TensorProto::default()
    };
    let proto = model(
        vec![
            node("Expand", &["one", "sizes"], &["large"]),
            node("ReduceSum", &["large"], &["sum"]),
            node("Add", &["x", "sum"], &["y"]),
        ],
        vec![weight("one", &[1.0]), sizes],
        17,
    );
    let error = import(&proto, Some(2)).unwrap_err().to_string();
    assert!(error.contains("the-Expand") && error.contains("grow too much"), "{error}");
}

#[test]
fn numbers_that_no_tensor_can_have_are_refused_and_stop_nothing() {
    let mut split = node("Split", &["x"], &["y", "b", "c"]);
    split.attribute = vec![ints("split", &[i64::MAX, i64::MAX, i64::MAX])];
    let image = ints("value_ints", &[1, 1, 1, 3]);
    let mut shape = node("Constant", &[], &["shape"]);
    shape.attribute = vec![image];
    let blocks = |operator: &str| {
        let mut block = node(operator, &["image"], &["y"]);
        block.attribute = vec![int("blocksize", 1 << 33)];
        vec![shape.clone(), node("Reshape", &["x", "shape"], &["image"]), block]
    };
    let table = [
        (vec![split], "do not add up to"),
        (blocks("DepthToSpace"), "over the limit of 65536"),
        (blocks("SpaceToDepth"), "over the limit of 65536"),
    ];
    for (nodes, expected) in table {
        let error = import(&model(nodes, Vec::new(), 12), Some(1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} must name {expected}");
    }
}

#[test]
fn shape_arithmetic_is_folded_and_dead_operators_are_dropped() {
    let mut gather = node("Gather", &["shape", "axis"], &["size"]);
    gather.attribute =
        vec![AttributeProto { name: "axis".to_owned(), ..AttributeProto::default() }];
    let integer = |name: &str, value: i64, dims: Vec<i64>| TensorProto {
        name: name.to_owned(),
        data_type: 7,
        dims,
        int64_data: vec![value],
        ..TensorProto::default()
    };
    let proto = model(
        vec![
            node("Shape", &["x"], &["shape"]),
            gather,
            node("Concat", &["size", "minus"], &["wanted"]),
            node("Exp", &["x"], &["unused"]),
            node("Reshape", &["x", "wanted"], &["moved"]),
            node("Relu", &["moved"], &["y"]),
        ],
        vec![integer("axis", 1, vec![1]), integer("minus", -1, vec![1])],
        17,
    );
    let model = import(&proto, Some(4)).unwrap();
    let kinds: Vec<&str> = model.graph().nodes.iter().map(|node| node.operator.kind()).collect();
    assert_eq!(kinds, ["reshape", "maximum"]);
    assert_eq!(model.graph().nodes[1].output.shape.dimensions(), [3, 4]);
}

#[test]
fn layers_cover_all_operators_and_states_chain() {
    let mut nodes = vec![node("Relu", &["x"], &["v0"])];
    for index in 0..40 {
        let (from, to) = (format!("v{index}"), format!("v{}", index + 1));
        nodes.push(node("Mul", &[&from, "x"], &[&to]));
    }
    nodes.push(node("Add", &["v40", "v0"], &["y"]));
    for most in [None, Some(1), Some(7), Some(100)] {
        let engine = Engine::new(Isa::detect(), 1).unwrap();
        let dimensions = BTreeMap::from([("batch".to_owned(), 2)]);
        let options =
            ImportOptions { dimensions, layer_operators_max: most, ..ImportOptions::default() };
        let proto = model(nodes.clone(), Vec::new(), 17);
        let model =
            import_bytes(&proto.encode_to_vec(), "test.onnx", None, &engine, &options).unwrap();
        let mut next = 0;
        for (index, layer) in model.graph().layers.iter().enumerate() {
            assert_eq!(layer.first_operator, next);
            next += layer.operator_count;
            assert!(most.is_none_or(|most| layer.operator_count as usize <= most));
            let after = model.graph().layers.get(index + 1).map(|layer| &layer.live_in);
            assert!(after.is_none_or(|live| *live == layer.live_out));
        }
        assert_eq!(next, model.header().operator_count);
        let shape = Shape::new(&[2, 3]).unwrap();
        let x = Tensor::from_f32(&shape, vec![0.5; 6]).unwrap();
        let runner = Runner::honest(&engine, &model);
        let input = runner.input_state(&HashMap::from([("x".to_owned(), x)])).unwrap();
        let trace = runner.run(input).unwrap();
        let y = &runner.outputs(&trace)["y"];
        // 0.5^41 is under 2^-40 and stored as zero: the sum is 0.5.
        assert_eq!(y.as_f32(), [0.5; 6], "{most:?}");
    }
}

#[test]
fn an_input_that_a_shape_depends_on_can_be_fixed_from_a_file_and_nothing_else_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shape.json");
    std::fs::write(&path, "[3, 2]").unwrap();
    let mut proto = model(vec![node("Reshape", &["x", "shape"], &["y"])], Vec::new(), 17);
    proto.graph.as_mut().unwrap().input.push(input("shape", 7, &["2"]));
    let engine = Engine::new(Isa::PORTABLE, 1).unwrap();
    let with = |name: &str| {
        let options = ImportOptions {
            dimensions: BTreeMap::from([("batch".to_owned(), 2)]),
            fixed: BTreeMap::from([(name.to_owned(), path.clone())]),
            ..ImportOptions::default()
        };
        import_bytes(&proto.encode_to_vec(), "m", None, &engine, &options)
    };
    let imported = with("shape").unwrap();
    assert_eq!(imported.input_names(), ["x"]);
    assert_eq!(imported.graph().nodes[0].output.shape.dimensions(), [3, 2]);
    let error = with("other").unwrap_err().to_string();
    assert!(error.contains("other") && error.contains("not an input"), "{error}");
    let error = import(&proto, Some(2)).unwrap_err().to_string();
    assert!(error.contains("depends on data"), "{error}");
}

#[test]
fn lists_without_elements_fold_in_shape_arithmetic_and_are_never_data() {
    // As exporters unfold a last axis: [dimensions before] + [sizes] + [dimensions after], the last
    // of which there are none; and a scalar's shape.
    let integers = |name: &str, values: &[i64]| TensorProto {
        name: name.to_owned(),
        data_type: 7,
        dims: vec![values.len() as i64],
        int64_data: values.to_vec(),
        ..TensorProto::default()
    };
    let nodes = vec![
        node("Shape", &["x"], &["shape"]),
        node("Slice", &["shape", "zero", "one"], &["before"]),
        node("Slice", &["shape", "two", "last"], &["after"]),
        node("Cast", &["after"], &["after_cast"]),
        node("Concat", &["before", "sizes", "after_cast"], &["wanted"]),
        node("Reshape", &["x", "wanted"], &["unfolded"]),
        node("ConstantOfShape", &["none"], &["nothing"]),
        node("Add", &["unfolded", "nothing"], &["y"]),
    ];
    let mut nodes = nodes;
    for (index, to) in [(3, 7), (4, 0)] {
        nodes[index].attribute.push(AttributeProto {
            name: if to == 7 { "to" } else { "axis" }.to_owned(),
            i: to,
            ..AttributeProto::default()
        });
    }
    let weights = vec![
        integers("zero", &[0]),
        integers("one", &[1]),
        integers("two", &[2]),
        integers("last", &[i64::MAX]),
        integers("sizes", &[3, 1]),
        integers("none", &[]),
    ];
    let mut proto = model(nodes, weights, 17);
    let imported = import(&proto, Some(4)).unwrap();
    assert_eq!(imported.graph().nodes.last().unwrap().output.shape.dimensions(), [4, 3, 1]);
    let last = proto.graph.as_mut().unwrap().node.last_mut().unwrap();
    *last = node("Add", &["x", "after"], &["y"]);
    let error = import(&proto, Some(4)).unwrap_err().to_string();
    assert!(error.contains("input 1 has no elements"), "{error}");
}

#[test]
fn nodes_in_any_order_are_put_in_one_that_works_and_a_cycle_is_named() {
    let nodes = vec![
        node("Relu", &["b"], &["y"]),
        node("Neg", &["a"], &["b"]),
        node("Abs", &["x"], &["a"]),
    ];
    let imported = import(&model(nodes.clone(), Vec::new(), 17), Some(4)).unwrap();
    assert_eq!(imported.graph().nodes.len(), 3);
    let mut cycle = nodes;
    cycle[2] = node("Add", &["x", "b"], &["a"]);
    let error = import(&model(cycle, Vec::new(), 17), Some(4)).unwrap_err().to_string();
    assert!(error.contains("is not written before this node"), "{error}");
}

#[test]
fn a_border_that_asks_for_much_memory_is_not_built() {
    // One pixel, read by windows that lie far apart in padding: two output pixels along each axis.
    let ints = |name: &str, ints: Vec<i64>| AttributeProto {
        name: name.to_owned(),
        ints,
        ..AttributeProto::default()
    };
    let mut convolve = node("Conv", &["x", "w"], &["y"]);
    convolve.attribute = vec![
        ints("kernel_shape", vec![1, 1]),
        ints("strides", vec![60_000, 60_000]),
        ints("pads", vec![60_000, 60_000, 0, 0]),
    ];
    let mut kernel = weight("w", &[2.0]);
    kernel.dims = vec![1, 1, 1, 1];
    let mut proto = model(vec![convolve], vec![kernel], 17);
    proto.graph.as_mut().unwrap().input = vec![input("x", 1, &["1", "1", "1", "1"])];
    let engine = Engine::new(Isa::PORTABLE, 1).unwrap();
    let imported =
        import_bytes(&proto.encode_to_vec(), "m", None, &engine, &ImportOptions::default())
            .unwrap();
    let pixel = Tensor::from_f32(&Shape::new(&[1, 1, 1, 1]).unwrap(), vec![1.5]).unwrap();
    let outputs = Runner::honest(&engine, &imported);
    let outputs = outputs.infer(&HashMap::from([("x".to_owned(), pixel)])).unwrap();
    assert_eq!(outputs["y"].as_f32(), [0.0, 0.0, 0.0, 3.0]);
}
