//! Numbers of model files that are not plain binary32, and operator set 6.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;

use common::{import, input, int, ints, model, node, weight};
use inference::files::parse_tensors;
use inference::onnx::proto::{ModelProto, TensorProto};
use inference::{Engine, Isa, Model, Runner, Tensor};
use protocol::tensor::{ElementType, Shape, TensorType};

fn run(model: &Model, inputs: &HashMap<String, Tensor>) -> Result<Tensor, String> {
    let mut found: Vec<Tensor> = Vec::new();
    for path in Isa::available() {
        let engine = Engine::new(path, 2).unwrap();
        let outputs = Runner::honest(&engine, model).infer(inputs);
        found.push(outputs.map_err(|error| error.to_string())?["y"].clone());
    }
    assert!(found.iter().all(|one| *one == found[0]), "other bits on another path");
    Ok(found.swap_remove(0))
}

fn given(rows: u64, values: &[f32]) -> HashMap<String, Tensor> {
    let shape = Shape::new(&[rows, values.len() as u64 / rows]).unwrap();
    HashMap::from([("x".to_owned(), Tensor::from_f32(&shape, values.to_vec()).unwrap())])
}

#[test]
fn weights_may_hold_infinities_and_nan_which_are_read_in_one_bit_pattern() {
    // x + mask, softmax: hidden places get nothing, and a row that sees nothing is not a number.
    let none = f32::NEG_INFINITY;
    let mut mask = weight("mask", &[0.0, none, 0.0, none, none, none]);
    mask.dims = vec![2, 3];
    let nodes = vec![node("Add", &["x", "mask"], &["a"]), node("Softmax", &["a"], &["y"])];
    let imported = import(&model(nodes, vec![mask], 17), Some(2)).unwrap();
    let y = run(&imported, &given(2, &[0.5, 9.0, 0.5, 1.0, 2.0, 3.0])).unwrap();
    assert_eq!(y.as_f32()[..3], [0.5, 0.0, 0.5]);
    assert_eq!(y.all_bits()[3..], [0x7FC0_0000; 3]);
    // NaN as another machine writes it is another weight, committed to as the file has it, and means the same.
    let with = |bits: u32| {
        let nan = weight("w", &[1.0, f32::from_bits(bits), f32::INFINITY]);
        import(&model(vec![node("Max", &["x", "w"], &["y"])], vec![nan], 17), Some(1)).unwrap()
    };
    let (canonical, foreign) = (with(0x7FC0_0000), with(0xFFC0_1234));
    assert_eq!(foreign.weights()[0].given_bits(1), Some(0xFFC0_1234));
    assert_eq!(foreign.weights()[0].all_bits(), canonical.weights()[0].all_bits());
    assert_ne!(canonical.root(), foreign.root());
    assert_eq!(
        run(&canonical, &given(1, &[2.0, 2.0, 2.0])).unwrap(),
        run(&foreign, &given(1, &[2.0, 2.0, 2.0])).unwrap()
    );
    let y = run(&canonical, &given(1, &[2.0, 2.0, 2.0])).unwrap();
    assert_eq!(y.all_bits(), [0x4000_0000, 0x7FC0_0000, 0x7F80_0000]);
}

#[test]
fn what_has_no_result_for_a_weight_that_is_not_finite_is_refused_by_its_node() {
    let mut cast = node("Cast", &["a"], &["y"]);
    cast.attribute = vec![int("to", 7)];
    for operator in ["Max", "Min", "Add"] {
        let nodes = vec![node(operator, &["x", "w"], &["a"]), cast.clone()];
        for weights in [[f32::INFINITY; 3], [f32::NEG_INFINITY; 3], [f32::NAN; 3]] {
            let proto = model(nodes.clone(), vec![weight("w", &weights)], 17);
            let imported = import(&proto, Some(1)).unwrap();
            match run(&imported, &given(1, &[1.0, 2.0, 3.0])) {
                // The mask is not what the result holds.
                Ok(y) => assert_eq!(y.integers().unwrap(), [1, 2, 3], "{operator} {weights:?}"),
                Err(error) => {
                    assert!(error.contains("the-Cast") && error.contains("no defined"), "{error}");
                }
            }
        }
    }
    let sine = model(
        vec![node("Add", &["x", "w"], &["a"]), node("Sin", &["a"], &["y"])],
        vec![weight("w", &[f32::INFINITY; 3])],
        17,
    );
    let error = run(&import(&sine, Some(1)).unwrap(), &given(1, &[1.0; 3])).unwrap_err();
    assert!(error.contains("the-Sin"), "{error}");
}

/// 1.5, -2^-24 (the smallest), 65504 (the largest), as 16-bit floats.
const HALVES: [u16; 3] = [0x3E00, 0x8001, 0x7BFF];

fn half_model(weight: TensorProto) -> ModelProto {
    let mut proto = model(vec![node("Add", &["x", "w"], &["y"])], vec![weight], 17);
    let graph = proto.graph.as_mut().unwrap();
    graph.input = vec![input("x", 10, &["batch", "3"])];
    graph.output = vec![input("y", 10, &["batch", "3"])];
    proto
}

#[test]
fn sixteen_bit_floats_widen_exactly_and_are_told() {
    let raw = TensorProto {
        name: "w".to_owned(),
        data_type: 10,
        dims: vec![3],
        raw_data: HALVES.iter().flat_map(|half| half.to_le_bytes()).collect(),
        ..TensorProto::default()
    };
    let numbers = TensorProto {
        raw_data: Vec::new(),
        int32_data: HALVES.iter().map(|half| i32::from(*half)).collect(),
        ..raw.clone()
    };
    let imported = import(&half_model(raw), Some(1)).unwrap();
    assert_eq!(imported.root(), import(&half_model(numbers), Some(1)).unwrap().root());
    assert_eq!(imported.weights()[0].as_f32(), [1.5, -(2f32.powi(-24)), 65504.0]);
    assert_eq!(imported.halves().weights, 1);
    assert!(imported.halves().values.contains("x") && imported.halves().values.contains("y"));
    // An input of 16 bits as NumPy writes it; the sum is not rounded to 16 bits.
    let header = "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 3), }";
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend([0x3C00u16, 0x3C00, 0x3C00].iter().flat_map(|half| half.to_le_bytes()));
    let kind = TensorType { element: ElementType::F32, shape: Shape::new(&[1, 3]).unwrap() };
    let inputs = parse_tensors("npy", file, &[("x".to_owned(), kind)]).unwrap();
    let y = run(&imported, &inputs).unwrap();
    assert_eq!(y.as_f32(), [2.5, 1.0 - 2f32.powi(-24), 65505.0]);
    // The same file in binary32 says nothing of 16 bits.
    let plain = model(vec![node("Relu", &["x"], &["y"])], Vec::new(), 17);
    assert_eq!(*import(&plain, Some(1)).unwrap().halves(), inference::Halves::default());
}

#[test]
fn operator_set_6_is_taken_where_it_means_the_same_and_refused_by_name_where_not() {
    let add = |attributes: Vec<_>| {
        let mut add = node("Add", &["x", "w"], &["y"]);
        add.attribute = attributes;
        model(vec![add], vec![weight("w", &[1.0, 2.0, 3.0])], 6)
    };
    let imported = import(&add(vec![int("broadcast", 1)]), Some(1)).unwrap();
    assert_eq!(run(&imported, &given(1, &[1.0; 3])).unwrap().as_f32(), [2.0, 3.0, 4.0]);
    let refused = |proto: &ModelProto, expected: &str| {
        let error = import(proto, Some(1)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("set 7 or later"), "{error}");
    };
    refused(&add(vec![int("broadcast", 1), int("axis", 1)]), "the-Add (Add): broadcasting along");
    let mut dropout = node("Dropout", &["x"], &["y"]);
    refused(&model(vec![dropout.clone()], Vec::new(), 6), "training mode");
    dropout.attribute = vec![int("is_test", 1)];
    import(&model(vec![dropout], Vec::new(), 6), Some(1)).unwrap();
    refused(&model(vec![node("Upsample", &["x"], &["y"])], Vec::new(), 6), "the-Upsample");
    let mut pool = node("AveragePool", &["x"], &["y"]);
    pool.attribute = vec![ints("kernel_shape", &[2]), ints("pads", &[1, 0])];
    let mut pool = model(vec![pool], Vec::new(), 6);
    pool.graph.as_mut().unwrap().input = vec![input("x", 1, &["batch", "2", "3"])];
    refused(&pool, "an average over padding");
}

#[test]
fn the_slope_of_a_prelu_is_spread_over_its_input_and_never_the_other_way_round() {
    let slope = |name: &str, dims: &[i64], opset: i64| {
        let count = dims.iter().product::<i64>() as usize;
        let mut slope = weight(name, &[0.5, 0.25, 2.0, 4.0][..count]);
        slope.dims = dims.to_vec();
        let mut proto = model(vec![node("PRelu", &["x", name], &["y"])], vec![slope], opset);
        proto.graph.as_mut().unwrap().input = vec![input("x", 1, &["batch", "2", "3"])];
        import(&proto, Some(1))
    };
    let shape = Shape::new(&[1, 2, 3]).unwrap();
    let x = Tensor::from_f32(&shape, vec![-1.0, 1.0, -2.0, -4.0, 3.0, -8.0]).unwrap();
    let inputs = HashMap::from([("x".to_owned(), x)]);
    let expected = [-0.5, 1.0, -1.0, -1.0, 3.0, -2.0];
    assert_eq!(run(&slope("s", &[2, 1], 17).unwrap(), &inputs).unwrap().as_f32(), expected);
    // In operator set 6 a list is one number for each channel.
    assert_eq!(run(&slope("s", &[2], 6).unwrap(), &inputs).unwrap().as_f32(), expected);
    for dims in [&[2][..], &[4, 1, 1], &[1, 1, 2, 1]] {
        let error = slope("s", dims, 17).unwrap_err().to_string();
        assert!(error.contains("does not broadcast to the input [1, 2, 3]"), "{error}");
    }
}
