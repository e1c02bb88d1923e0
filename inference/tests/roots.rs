//! Model roots of operators of each family: an importer that lowers one of them otherwise, or emits the
//! same operators in another order, is another protocol. Whoever means to change a root changes the table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{float, import, int, ints, model, node};
use inference::onnx::proto::{AttributeProto, ModelProto, TensorProto};

/// The input of every case has as many elements, and is reshaped first.
const ROWS: u64 = 48;

/// What follows the input: float weights by shape, or integers.
enum Operand {
    Floats(&'static [i64]),
    Integers(&'static [i64]),
}
use Operand::{Floats, Integers};

fn tensor(name: &str, operand: &Operand) -> TensorProto {
    let name = name.to_owned();
    match operand {
        Floats(dims) => {
            let count: i64 = dims.iter().product();
            let float_data = (0..count).map(|place| (place % 7 - 3) as f32 / 8.0 + 0.5).collect();
            let dims = dims.to_vec();
            TensorProto { name, data_type: 1, dims, float_data, ..TensorProto::default() }
        }
        Integers(values) => {
            let (dims, int64_data) = (vec![values.len() as i64], values.to_vec());
            TensorProto { name, data_type: 7, dims, int64_data, ..TensorProto::default() }
        }
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    let s = value.as_bytes().to_vec();
    AttributeProto { name: name.to_owned(), s, ..AttributeProto::default() }
}

/// One operator over the input in a shape, and operands that follow it. A domain stands before a slash.
struct Case {
    operator: &'static str,
    shape: &'static [i64],
    operands: &'static [Operand],
    attributes: Vec<AttributeProto>,
    opset: i64,
    outputs: usize,
}

fn case(operator: &'static str, shape: &'static [i64], operands: &'static [Operand]) -> Case {
    Case { operator, shape, operands, attributes: Vec::new(), opset: 23, outputs: 1 }
}

impl Case {
    fn with(mut self, attributes: &[AttributeProto]) -> Self {
        self.attributes.extend_from_slice(attributes);
        self
    }

    fn in_set(self, opset: i64) -> Self {
        Self { opset, ..self }
    }

    fn outputs(self, outputs: usize) -> Self {
        Self { outputs, ..self }
    }

    fn proto(&self) -> ModelProto {
        let names: Vec<String> = (0..self.operands.len()).map(|at| format!("w{at}")).collect();
        let weights: Vec<TensorProto> =
            names.iter().zip(self.operands).map(|(name, one)| tensor(name, one)).collect();
        let mut reshape = node("Reshape", &["x"], &["a"]);
        reshape.attribute = vec![ints("shape", self.shape)];
        let (domain, operator) = self.operator.split_once('/').unwrap_or(("", self.operator));
        let inputs: Vec<&str> = ["a"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let outputs = ["y", "z0", "z1", "z2"];
        let mut lowered = node(operator, &inputs, &outputs[..self.outputs]);
        lowered.domain = domain.to_owned();
        lowered.attribute.clone_from(&self.attributes);
        let mut nodes = vec![reshape, lowered];
        let mut proto = model(Vec::new(), weights, self.opset);
        if let Some(graph) = &mut proto.graph {
            graph.node.append(&mut nodes);
            let others = outputs[1..self.outputs].iter();
            let info = graph.output[0].clone();
            graph.output.extend(others.map(|name| {
                let mut info = info.clone();
                info.name = (*name).to_owned();
                info
            }));
        }
        proto
    }
}

fn scalar_cases() -> Vec<Case> {
    let plain: &[i64] = &[12, 12];
    vec![
        case("Asin", plain, &[]),
        case("Acos", plain, &[]),
        case("Cosh", plain, &[]),
        case("Asinh", plain, &[]),
        case("Atanh", plain, &[]),
        case("Mod", plain, &[Floats(&[12])]).with(&[int("fmod", 1)]),
        case("Mod", plain, &[Floats(&[12])]),
        case("IsInf", plain, &[]),
        case("Pow", plain, &[Floats(&[12])]),
        case("Mean", plain, &[Floats(&[12]), Floats(&[12, 1])]),
        case("GreaterOrEqual", plain, &[Floats(&[12])]),
        case("Elu", plain, &[]),
        case("Celu", plain, &[]).with(&[float("alpha", 0.5)]),
        case("Selu", plain, &[]),
        case("PRelu", plain, &[Floats(&[12])]),
        case("HardSwish", plain, &[]),
        case("Mish", plain, &[]),
        case("Softplus", plain, &[]),
        case("Shrink", plain, &[]).with(&[float("bias", 0.25)]),
        case("Gelu", plain, &[]),
        case("Gelu", plain, &[]).with(&[text("approximate", "tanh")]),
        case("Swish", plain, &[]),
        case("com.microsoft/QuickGelu", plain, &[]),
        case("com.microsoft/BiasGelu", plain, &[Floats(&[12])]),
    ]
}

fn row_cases() -> Vec<Case> {
    let image: &[i64] = &[2, 4, 3, 6];
    vec![
        case("Softmax", image, &[]).in_set(12),
        case("Softmax", image, &[]),
        case("LogSoftmax", image, &[]),
        case("Hardmax", image, &[]).in_set(12),
        case(
            "BatchNormalization",
            image,
            &[Floats(&[4]), Floats(&[4]), Floats(&[4]), Floats(&[4])],
        ),
        case("LayerNormalization", image, &[Floats(&[6]), Floats(&[6])]),
        case("LayerNormalization", image, &[Floats(&[6])]).outputs(3),
        case("RMSNormalization", image, &[Floats(&[6])]),
        case("GroupNormalization", image, &[Floats(&[4]), Floats(&[4])])
            .with(&[int("num_groups", 2)]),
        case("InstanceNormalization", image, &[Floats(&[4]), Floats(&[4])]),
        case("LpNormalization", image, &[]),
        case("LRN", image, &[]).with(&[int("size", 3)]),
        case(
            "com.microsoft/SkipLayerNormalization",
            &[2, 6, 12],
            &[Floats(&[2, 6, 12]), Floats(&[12]), Floats(&[12]), Floats(&[12])],
        ),
        case("ReduceMean", image, &[Integers(&[1, 3])]),
        case("ReduceL2", image, &[Integers(&[-1])]).with(&[int("keepdims", 0)]),
        case("ReduceLogSumExp", image, &[Integers(&[1])]),
        case("ReduceProd", image, &[Integers(&[0, 2])]),
        case("CumSum", image, &[Integers(&[2])]).with(&[int("reverse", 1)]),
        case("CumProd", image, &[Integers(&[2])]).with(&[int("exclusive", 1)]),
        case("ArgMax", image, &[]).with(&[int("axis", 2), int("select_last_index", 1)]),
        case("TopK", image, &[Integers(&[2])]).outputs(2),
        case("Trilu", image, &[]),
        case("Einsum", image, &[Floats(&[6, 5])]).with(&[text("equation", "abcd,de->ace")]),
        case("MatMul", image, &[Floats(&[6])]),
        case("DFT", &[2, 36, 2], &[]).in_set(17),
        case("QuantizeLinear", image, &[Floats(&[4])]),
        case("DynamicQuantizeLinear", image, &[]).outputs(3),
    ]
}

fn movement_cases() -> Vec<Case> {
    let image: &[i64] = &[2, 4, 3, 6];
    vec![
        case("Unsqueeze", image, &[Integers(&[0, -1])]),
        case("Split", image, &[Integers(&[1, 3])]).with(&[int("axis", 1)]).outputs(2),
        case("Slice", image, &[Integers(&[4]), Integers(&[0]), Integers(&[3]), Integers(&[-2])]),
        case("Gather", image, &[Integers(&[2, 0])]).with(&[int("axis", 1)]),
        case("GatherND", image, &[Integers(&[1, 2])]),
        case("Tile", image, &[Integers(&[1, 2, 1, 3])]),
        case("Pad", image, &[Integers(&[0, 1, 0, 0, 0, 1, 0, 2])]).with(&[text("mode", "reflect")]),
        case("CenterCropPad", image, &[Integers(&[4, 2, 5, 6])]),
        case("DepthToSpace", image, &[]).with(&[int("blocksize", 2), text("mode", "CRD")]),
        case("Resize", image, &[]).with(&[
            AttributeProto {
                name: "scales".to_owned(),
                floats: vec![1.0, 1.0, 2.0, 0.5],
                ..AttributeProto::default()
            },
            text("mode", "cubic"),
        ]),
    ]
}

fn window_cases() -> Vec<Case> {
    let (line, image, volume): (&[i64], &[i64], &[i64]) =
        (&[3, 4, 12], &[2, 4, 3, 6], &[1, 2, 4, 3, 6]);
    let upper = || text("auto_pad", "SAME_UPPER");
    vec![
        case("Conv", line, &[Floats(&[5, 4, 3]), Floats(&[5])]).with(&[ints("pads", &[1, 1])]),
        case("Conv", image, &[Floats(&[6, 2, 2, 3])]).with(&[int("group", 2), upper()]),
        case("Conv", volume, &[Floats(&[3, 2, 2, 2, 3])]).with(&[ints("strides", &[2, 1, 1])]),
        case("ConvTranspose", line, &[Floats(&[4, 2, 3])]).with(&[ints("strides", &[2])]),
        case("ConvTranspose", image, &[Floats(&[4, 2, 3, 3]), Floats(&[4])]).with(&[
            int("group", 2),
            ints("strides", &[2, 2]),
            upper(),
        ]),
        case("ConvTranspose", volume, &[Floats(&[2, 3, 2, 2, 2])])
            .with(&[ints("strides", &[1, 2, 1])]),
        case("CausalConvWithState", line, &[Floats(&[4, 1, 3])]).outputs(2),
        case("MaxPool", image, &[]).with(&[ints("kernel_shape", &[2, 2])]),
        case("AveragePool", image, &[])
            .with(&[ints("kernel_shape", &[2, 3]), ints("pads", &[1, 1, 0, 1])]),
        case("AveragePool", volume, &[])
            .with(&[ints("kernel_shape", &[2, 2, 3]), ints("pads", &[1, 1, 0, 0, 1, 1])]),
        case("LpPool", image, &[]).with(&[ints("kernel_shape", &[2, 2]), int("p", 3)]),
        case("GlobalLpPool", image, &[]),
    ]
}

fn sequence_cases() -> Vec<Case> {
    let steps: &[i64] = &[4, 6, 6];
    let heads = [int("q_num_heads", 2), int("kv_num_heads", 2)];
    let both = || [int("hidden_size", 2), text("direction", "bidirectional")];
    vec![
        case("RNN", steps, &[Floats(&[1, 2, 6]), Floats(&[1, 2, 2])]).outputs(2),
        case("GRU", steps, &[Floats(&[2, 6, 6]), Floats(&[2, 6, 2]), Floats(&[2, 12])])
            .with(&both())
            .outputs(2),
        case("LSTM", steps, &[Floats(&[2, 8, 6]), Floats(&[2, 8, 2]), Floats(&[2, 16])])
            .with(&both())
            .outputs(3),
        case("LSTM", steps, &[Floats(&[1, 8, 6]), Floats(&[1, 8, 2])]).with(&[int("layout", 1)]),
        case("Attention", steps, &[Floats(&[4, 5, 6]), Floats(&[4, 5, 6]), Floats(&[6, 5])])
            .with(&heads)
            .with(&[int("is_causal", 1), float("softcap", 2.0)]),
        case("RotaryEmbedding", steps, &[Floats(&[4, 6, 1]), Floats(&[4, 6, 1])])
            .with(&[int("num_heads", 3), int("interleaved", 1)]),
        case("com.microsoft/Attention", steps, &[Floats(&[6, 18]), Floats(&[18])])
            .with(&[int("num_heads", 3), int("unidirectional", 1)]),
        case(
            "com.microsoft/MultiHeadAttention",
            steps,
            &[Floats(&[4, 5, 6]), Floats(&[4, 5, 6]), Floats(&[18])],
        )
        .with(&[int("num_heads", 2)]),
    ]
}

/// The first bytes of each root, in the order of the cases.
const ROOTS: &str = include_str!("roots.txt");

#[test]
fn operators_of_each_family_have_the_roots_that_they_had() {
    let families =
        [scalar_cases(), row_cases(), movement_cases(), window_cases(), sequence_cases()];
    let mut found = String::new();
    for case in families.iter().flatten() {
        let root = match import(&case.proto(), Some(ROWS)) {
            Ok(model) => model.root().to_string(),
            Err(error) => error.to_string(),
        };
        let start: String = root.chars().take(18).collect();
        found += &format!("{start} {} {}\n", case.operator, case.opset);
    }
    assert!(found == ROOTS, "roots.txt has other roots; if they are meant, they are now:\n{found}");
}
