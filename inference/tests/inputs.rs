//! What a model file leaves open about its inputs, and what it may name and read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{import, input, model, node, weight};
use inference::onnx::proto::{ModelProto, StringStringEntryProto, TensorProto};
use inference::{
    Axis, Engine, ImportError, ImportOptions, Isa, Model, ModelFile, ModelStore, import_bytes,
    infer,
};
use prost::Message as _;

fn engine() -> Engine {
    Engine::new(Isa::PORTABLE, 1).unwrap()
}

fn import_with(proto: &ModelProto, options: &ImportOptions) -> Result<Model, ImportError> {
    import_bytes(&proto.encode_to_vec(), "m", None, &engine(), options)
}

#[test]
fn a_file_without_a_graph_is_called_no_model_before_anybody_asks_for_its_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let whole = model(vec![node("Relu", &["x"], &["y"])], Vec::new(), 17);
    let (mut headless, mut idle, mut silent) = (whole.clone(), whole.clone(), whole.clone());
    headless.graph = None;
    idle.graph.as_mut().unwrap().node.clear();
    silent.graph.as_mut().unwrap().output.clear();
    let cases = [
        (Vec::new(), "the file is empty"),
        (headless.encode_to_vec(), "it holds no graph"),
        (idle.encode_to_vec(), "its graph has no nodes"),
        (silent.encode_to_vec(), "its graph has no outputs"),
    ];
    for (bytes, reason) in cases {
        std::fs::write(&path, &bytes).unwrap();
        let error = ModelFile::read(&path).unwrap_err();
        assert!(matches!(error, ImportError::NotOnnx { .. }), "{reason}: {error}");
        let text = error.to_string();
        assert!(text.contains("m.onnx: not an ONNX model") && text.contains(reason), "{text}");
    }
    std::fs::write(&path, whole.encode_to_vec()).unwrap();
    assert_eq!(ModelFile::read(&path).unwrap().inputs().unwrap().len(), 1);
}

/// Inputs with every kind of axis: `-1`, a name, the name `?` twice, and nothing at all.
fn open_model() -> ModelProto {
    let nodes = vec![node("Relu", &["x"], &["a"]), node("Neg", &["ids"], &["y"])];
    let mut proto = model(nodes, Vec::new(), 17);
    let graph = proto.graph.as_mut().unwrap();
    graph.input = vec![
        input("x", 1, &["-1", "3", "?", "?"]),
        input("ids", 7, &["batch", "sequence"]),
        input("mask", 7, &["batch", ""]),
    ];
    proto
}

#[test]
fn every_open_axis_is_told_at_once_with_flags_that_bind_it() {
    let proto = open_model();
    let error = import_with(&proto, &ImportOptions::default()).unwrap_err();
    let text = error.to_string();
    for expected in [
        "input x: unnamed dynamic axis 0, dimension \"?\" of axis 2, dimension \"?\" of axis 3",
        "input ids: dimension batch of axis 0, dimension sequence of axis 1",
        "input mask: dimension batch of axis 0, unnamed dynamic axis 1",
        "--shape x=1,3,224,224 --dim batch=1 --dim sequence=128 --shape mask=1,128",
    ] {
        assert!(text.contains(expected), "{text} must say {expected}");
    }
    let ImportError::Unbound(unbound) = error else { panic!("{text}") };
    assert_eq!(
        unbound.options_file(),
        r#"{"dimensions":{"batch":1,"sequence":128},"shapes":{"mask":[1,128],"x":[1,3,224,224]}}"#
    );
    // What it says is enough.
    let options = ImportOptions {
        dimensions: BTreeMap::from([("batch".to_owned(), 1), ("sequence".to_owned(), 128)]),
        shapes: BTreeMap::from([
            ("x".to_owned(), vec![1, 3, 224, 224]),
            ("mask".to_owned(), vec![1, 128]),
        ]),
        ..ImportOptions::default()
    };
    import_with(&proto, &options).unwrap();
}

#[test]
fn an_unnamed_axis_is_not_one_with_the_name_of_a_question_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, open_model().encode_to_vec()).unwrap();
    let inputs = ModelFile::read(&path).unwrap().inputs().unwrap();
    assert_eq!(inputs[0].axes[0], Axis::Unnamed);
    assert_eq!(inputs[0].axes[2], Axis::Named("?".to_owned()));
    assert_eq!(inputs[0].shape_text(), "[unnamed, 3, \"?\", \"?\"]");
    // By that name both axes are bound, the unnamed one is not.
    let options = ImportOptions {
        dimensions: BTreeMap::from([("?".to_owned(), 8)]),
        ..ImportOptions::default()
    };
    let error = import_with(&open_model(), &options).unwrap_err().to_string();
    assert!(error.contains("input x: unnamed dynamic axis 0; "), "{error}");
    assert!(error.contains("--shape x=1,3,8,8 "), "{error}");
}

#[test]
fn open_axes_take_the_sizes_of_the_inputs_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, open_model().encode_to_vec()).unwrap();
    let file = ModelFile::read(&path).unwrap();
    let declared = file.inputs().unwrap();
    let given = |mask: Vec<u64>| {
        HashMap::from([
            ("x".to_owned(), vec![2, 3, 48, 192]),
            ("ids".to_owned(), vec![4, 7]),
            ("mask".to_owned(), mask),
        ])
    };
    let mut options = ImportOptions::default();
    let told = infer(&declared, &given(vec![4, 9]), &mut options).unwrap();
    assert_eq!(told, ["batch=4", "sequence=7", "x=2,3,48,192", "mask=4,9"]);
    let imported = file.clone().import(&engine(), &options).unwrap();
    let shapes: Vec<&[u64]> =
        imported.graph().inputs.iter().map(|kind| kind.shape.dimensions()).collect();
    assert_eq!(shapes, [&[2, 3, 48, 192][..], &[4, 7], &[4, 9]]);
    // One name has one size, and what is fixed is not free.
    for (bad, expected) in [
        (vec![5, 9], "input mask: dimension batch is 5 here and 4 in input ids"),
        (vec![4, 9, 1], "input mask: the shape [4, 9, 1] is not one of [batch, unnamed]"),
    ] {
        let error = infer(&declared, &given(bad), &mut ImportOptions::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // What the caller said stands.
    let mut options = ImportOptions {
        dimensions: BTreeMap::from([("batch".to_owned(), 1)]),
        ..ImportOptions::default()
    };
    infer(&declared, &given(vec![4, 9]), &mut options).unwrap();
    let error = file.import(&engine(), &options).unwrap_err().to_string();
    assert!(error.contains("input mask: axis 0 (batch) is bound to 1 and to 4"), "{error}");
}

#[test]
fn options_about_what_the_model_does_not_have_are_refused() {
    let proto = open_model();
    let dimension = |name: &str| ImportOptions {
        dimensions: BTreeMap::from([(name.to_owned(), 3)]),
        ..ImportOptions::default()
    };
    let shape = |name: &str, sizes: &[u64]| ImportOptions {
        shapes: BTreeMap::from([(name.to_owned(), sizes.to_vec())]),
        ..ImportOptions::default()
    };
    for (options, expected) in [
        (dimension("foo"), "the model has no dimension foo; it has ?, batch, sequence"),
        (shape("z", &[1]), "the model has no input z; it has x, ids, mask"),
        (shape("x", &[1, 4, 8, 8]), "input x: the shape [1, 4, 8, 8] is not one of [unnamed, 3,"),
        (
            ImportOptions { dimensions: dimension("batch").dimensions, ..shape("ids", &[4, 7]) },
            "input ids: axis 0 (batch) is bound to 3 and to 4",
        ),
    ] {
        let error = import_with(&proto, &options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} must say {expected}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_shown_with_what_was_bound() {
    let mut concat = node("Concat", &["x", "w"], &["y"]);
    concat.attribute = vec![common::int("axis", 0)];
    let mut wide = weight("w", &[1.0; 4]);
    wide.dims = vec![1, 4];
    let error = import(&model(vec![concat], vec![wide], 17), Some(2)).unwrap_err().to_string();
    for expected in ["concat: the shapes [2, 3] and [1, 4] do not fit", "(bound: batch=2)"] {
        assert!(error.contains(expected), "{error} must say {expected}");
    }
}

#[test]
fn a_folder_of_models_says_what_to_write_beside_a_model_and_takes_shapes_from_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.onnx"), open_model().encode_to_vec()).unwrap();
    let error = ModelStore::read(folder.path(), &engine()).unwrap_err().to_string();
    assert!(!error.contains("--shape"), "there is no such flag of a service: {error}");
    let content = error.split("for example ").nth(1).and_then(|rest| rest.split(" into ").next());
    let beside = folder.path().join("m.json");
    assert!(error.contains(&beside.display().to_string()), "{error}");
    std::fs::write(&beside, content.unwrap()).unwrap();
    let model_store = ModelStore::read(folder.path(), &engine()).unwrap();
    let shape = &model_store.named("m").unwrap().graph().inputs[0].shape;
    assert_eq!(shape.dimensions(), [1, 3, 224, 224]);
}

#[test]
fn a_name_is_written_once() {
    let relu = |from: &str, to: &str| node("Relu", &[from], &[to]);
    let twice = model(vec![relu("x", "y"), relu("x", "y")], Vec::new(), 17);
    let over_input = model(vec![relu("x", "x"), relu("x", "y")], Vec::new(), 17);
    let over_weight = model(vec![relu("x", "w"), relu("w", "y")], vec![weight("w", &[1.0])], 17);
    let mut within = relu("x", "z");
    within.output.push("z".to_owned());
    let within = model(vec![within, relu("z", "y")], Vec::new(), 17);
    let weights = vec![weight("w", &[1.0]), weight("w", &[2.0])];
    let weights = model(vec![relu("x", "y")], weights, 17);
    for (proto, expected) in [
        (twice, "value y: is written twice: by node the-Relu (Relu) and by node the-Relu (Relu)"),
        (over_input, "value x: is written twice: by an input and by node"),
        (over_weight, "value w: is written twice: by an initializer and by node"),
        (within, "value z: is written twice"),
        (weights, "value w: is written twice: two initializers"),
    ] {
        let error = import(&proto, Some(2)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} must say {expected}");
    }
    // Old exporters list weights among the inputs: that is one value.
    let mut listed = model(vec![node("Add", &["x", "w"], &["y"])], vec![weight("w", &[1.0])], 17);
    listed.graph.as_mut().unwrap().input.push(input("w", 1, &["1"]));
    import(&listed, Some(2)).unwrap();
}

/// A model whose weight lies in another file.
fn with_external(location: &str) -> ModelProto {
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let far = TensorProto {
        name: "w".to_owned(),
        data_type: 1,
        dims: vec![3],
        data_location: 1,
        external_data: vec![entry("location", location)],
        ..TensorProto::default()
    };
    let mut proto = model(vec![node("Add", &["x", "w"], &["y"])], vec![far], 17);
    proto.graph.as_mut().unwrap().input = vec![input("x", 1, &["2", "3"])];
    proto
}

#[cfg(unix)]
#[test]
fn external_data_lie_in_the_models_folder_also_behind_links() {
    let outside = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data: Vec<u8> = [1f32, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(outside.path().join("secret"), &data).unwrap();
    std::fs::write(folder.path().join("data"), &data).unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("away")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("data"), folder.path().join("near")).unwrap();
    let file = folder.path().join("m.onnx");
    for (location, taken) in [
        ("data", true),
        // A link that stays inside harms nobody.
        ("near", true),
        ("link", false),
        ("away/secret", false),
        ("../secret", false),
        ("sub", false),
    ] {
        std::fs::write(&file, with_external(location).encode_to_vec()).unwrap();
        let imported = ModelFile::read(&file).unwrap().import(&engine(), &ImportOptions::default());
        match (imported, taken) {
            (Ok(_), true) => {}
            (Err(error), false) => {
                let text = error.to_string();
                assert!(text.contains(&format!("external data at {location}")), "{text}");
            }
            (outcome, _) => panic!("{location}: {:?}", outcome.map(|model| model.root())),
        }
    }
}
