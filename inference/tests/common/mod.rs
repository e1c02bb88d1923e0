//! ONNX models made by hand.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use inference::onnx::proto::{
    AttributeProto, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use inference::{Engine, ImportError, ImportOptions, Isa, Model, import_bytes};
use prost::Message as _;

pub fn dimension(text: &str) -> Dimension {
    let value = match text.parse() {
        Ok(size) => Some(DimensionValue::DimValue(size)),
        Err(_) if text.is_empty() => None,
        Err(_) => Some(DimensionValue::DimParam(text.to_owned())),
    };
    Dimension { value }
}

pub fn input(name: &str, element: i32, dimensions: &[&str]) -> ValueInfoProto {
    let dim = dimensions.iter().map(|text| dimension(text)).collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type: element, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

pub fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        name: format!("the-{operator}"),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: outputs.iter().map(ToString::to_string).collect(),
        ..NodeProto::default()
    }
}

pub fn weight(name: &str, values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type: 1,
        dims: vec![values.len() as i64],
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub fn model(nodes: Vec<NodeProto>, weights: Vec<TensorProto>, opset: i64) -> ModelProto {
    ModelProto {
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
        graph: Some(GraphProto {
            node: nodes,
            initializer: weights,
            input: vec![input("x", 1, &["batch", "3"])],
            output: vec![ValueInfoProto { name: "y".to_owned(), r#type: None }],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub fn import(proto: &ModelProto, batch: Option<u64>) -> Result<Model, ImportError> {
    let engine = Engine::new(Isa::detect(), 1).unwrap();
    let dimensions: BTreeMap<String, u64> =
        batch.map(|size| ("batch".to_owned(), size)).into_iter().collect();
    let options = ImportOptions { dimensions, ..ImportOptions::default() };
    import_bytes(&proto.encode_to_vec(), "test.onnx", None, &engine, &options)
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: value, ..AttributeProto::default() }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), ints: values.to_vec(), ..AttributeProto::default() }
}

pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: value, ..AttributeProto::default() }
}
