//! ONNX operators as compositions of canonical ones. Which function lowers an operator, stands in one
//! table for each domain, and nowhere else.

use protocol::graph::{Fold, MapFunction as F};

use self::recurrent::Cell;
use self::rule::{Rule, branch, map, one, several};
use self::windows::{convolution, pool, transposed};
use super::builder::Builder;
use super::lowering::OnnxNode;
use super::shapes::Lowered;
use super::value::Value;

mod activation;
mod arithmetic;
mod attention;
mod constant;
mod einsum;
pub(super) mod empty;
mod encoder_attention;
mod former;
mod formula;
mod heads;
mod index;
mod linear;
mod normalise;
mod normalised_sums;
mod pad;
mod pieces;
mod quantise;
mod recurrent;
mod reduce;
mod reshape;
mod resize;
mod rotary;
mod rule;
mod running;
mod scatter;
mod shift;
mod signal;
mod softmax;
mod trigonometry;
mod windows;

/// How an operator of a domain is lowered.
///
/// # Errors
/// When the domain is not known. An operator that is not known has a rule that refuses its nodes.
pub(super) fn rule_of(domain: &str, operator: &str) -> Lowered<Rule> {
    let (table, unknown) = match domain {
        "" | "ai.onnx" if operator.starts_with("Reduce") => (STANDARD, one(reduce::unknown)),
        "" | "ai.onnx" => (STANDARD, one(unknown)),
        // What onnxruntime's optimiser writes is understood; other domains are not.
        "com.microsoft" => (MICROSOFT, one(unknown_of_microsoft)),
        other => {
            return Err(format!(
                "domain {other} is not supported; export with standard operators only"
            ));
        }
    };
    let found = table.iter().find(|(name, _)| *name == operator);
    Ok(found.map_or(unknown, |(_, rule)| *rule))
}

fn unknown(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    node.input(0)?;
    Err("this operator is not supported; rewrite the model with supported ones \
         (docs/operators.md lists them)"
        .to_owned())
}

fn unknown_of_microsoft(_: &mut Builder, _: &OnnxNode<'_>) -> Lowered<Value> {
    Err("this operator of the domain com.microsoft is not supported; optimise the model less, or \
         export with standard operators only"
        .to_owned())
}

/// The operators of the default domain.
const STANDARD: &[(&str, Rule)] = &[
    // Arithmetic.
    ("Add", map(F::Add).former(former::named_axis)),
    ("Sub", map(F::Subtract).former(former::named_axis)),
    ("Mul", map(F::Multiply).former(former::named_axis)),
    ("Div", map(F::Divide).former(former::named_axis)),
    ("Mod", one(arithmetic::modulo)),
    ("Pow", one(arithmetic::power).former(former::named_axis)),
    ("Neg", map(F::Negate)),
    ("Abs", map(F::Absolute)),
    ("Sqrt", map(F::SquareRoot)),
    ("Reciprocal", one(arithmetic::reciprocal)),
    ("Exp", map(F::Exponential)),
    ("Log", map(F::Logarithm)),
    ("Floor", map(F::Floor)),
    ("Ceil", map(F::Ceiling)),
    ("Round", map(F::Round)),
    ("Sign", map(F::Sign)),
    ("Max", one(|builder, node| arithmetic::fold_inputs(builder, node, F::Maximum))),
    ("Min", one(|builder, node| arithmetic::fold_inputs(builder, node, F::Minimum))),
    ("Sum", one(|builder, node| arithmetic::fold_inputs(builder, node, F::Add))),
    ("Mean", one(arithmetic::mean)),
    ("Sin", map(F::Sine)),
    ("Cos", map(F::Cosine)),
    ("Tan", one(trigonometry::tangent)),
    ("Asin", one(trigonometry::arc_sine)),
    ("Acos", one(trigonometry::arc_cosine)),
    ("Atan", map(F::ArcTangent)),
    ("Sinh", one(|builder, node| trigonometry::hyperbolic(builder, node, F::Subtract))),
    ("Cosh", one(|builder, node| trigonometry::hyperbolic(builder, node, F::Add))),
    ("Asinh", one(trigonometry::area_sine)),
    ("Acosh", one(trigonometry::area_cosine)),
    ("Atanh", one(trigonometry::area_tangent)),
    // Comparisons, logic and bits.
    ("Equal", map(F::Equal).former(former::named_axis)),
    ("Less", map(F::Less).former(former::named_axis)),
    ("LessOrEqual", map(F::LessOrEqual)),
    (
        "Greater",
        one(|builder, node| arithmetic::swapped(builder, node, F::Less)).former(former::named_axis),
    ),
    ("GreaterOrEqual", one(|builder, node| arithmetic::swapped(builder, node, F::LessOrEqual))),
    ("And", map(F::And).former(former::named_axis)),
    ("Or", map(F::Or).former(former::named_axis)),
    ("Xor", map(F::ExclusiveOr).former(former::named_axis)),
    ("Not", map(F::Not)),
    ("IsNaN", map(F::IsNan)),
    ("IsInf", one(arithmetic::is_infinite)),
    ("Where", map(F::Select)),
    ("BitwiseAnd", map(F::And)),
    ("BitwiseOr", map(F::Or)),
    ("BitwiseXor", map(F::ExclusiveOr)),
    ("BitwiseNot", map(F::Not)),
    ("BitShift", one(shift::shift)),
    // Activations.
    ("Relu", one(activation::relu)),
    ("LeakyRelu", one(activation::leaky_relu)),
    ("PRelu", one(activation::sloped_relu)),
    ("Elu", one(activation::elu)),
    ("Celu", one(activation::celu)),
    ("Selu", one(activation::selu)),
    ("Sigmoid", map(F::Sigmoid)),
    ("HardSigmoid", one(activation::hard_sigmoid_of)),
    ("HardSwish", one(activation::hard_swish)),
    ("Swish", one(|builder, node| activation::swish(builder, node, 1.0))),
    ("Mish", one(activation::mish)),
    ("Tanh", map(F::Tanh)),
    ("Softplus", one(activation::soft_plus)),
    ("Softsign", one(activation::soft_sign)),
    ("Shrink", one(activation::shrink)),
    ("ThresholdedRelu", one(activation::thresholded_relu)),
    ("Erf", map(F::Erf)),
    ("Gelu", one(activation::gelu)),
    ("Clip", one(activation::clip)),
    ("SwiGLU", one(activation::swish_gated)),
    ("Softmax", one(softmax::softmax)),
    ("LogSoftmax", one(softmax::log_softmax)),
    ("Hardmax", one(index::hardmax)),
    // Products.
    ("MatMul", one(linear::matmul)),
    ("Gemm", one(linear::gemm)),
    ("Einsum", one(einsum::einsum)),
    ("Conv", one(convolution::convolution)),
    ("ConvTranspose", one(transposed::convolution)),
    ("CausalConvWithState", several(convolution::causal)),
    // Quantised.
    ("QuantizeLinear", one(quantise::quantise)),
    ("DequantizeLinear", one(quantise::dequantise)),
    ("DynamicQuantizeLinear", several(quantise::dynamic)),
    ("MatMulInteger", one(quantise::integer_matmul)),
    ("ConvInteger", one(quantise::integer_convolution)),
    ("QLinearMatMul", one(quantise::quantised_matmul)),
    ("QLinearConv", one(quantise::quantised_convolution)),
    // Attention.
    ("Attention", several(attention::attention)),
    ("RotaryEmbedding", one(rotary::rotary)),
    // Recurrent.
    (
        "RNN",
        several(|builder, node| recurrent::recurrent(builder, node, Cell::Plain))
            .former(former::other_operator),
    ),
    (
        "GRU",
        several(|builder, node| recurrent::recurrent(builder, node, Cell::Gated))
            .former(former::other_operator),
    ),
    (
        "LSTM",
        several(|builder, node| recurrent::recurrent(builder, node, Cell::Memory))
            .former(former::other_operator),
    ),
    // Pools.
    ("MaxPool", one(|builder, node| pool::pool(builder, node, Fold::Maximum))),
    (
        "AveragePool",
        one(|builder, node| pool::pool(builder, node, Fold::Sum)).former(former::padded_mean),
    ),
    ("LpPool", one(pool::power)),
    ("GlobalMaxPool", one(pool::global_maximum)),
    ("GlobalAveragePool", one(pool::global_mean)),
    ("GlobalLpPool", one(pool::global_power)),
    // Normalisations.
    ("BatchNormalization", one(normalise::batch).former(former::batch_statistics)),
    ("LayerNormalization", several(normalise::layer)),
    ("RMSNormalization", one(normalise::root_mean_square)),
    ("SimplifiedLayerNormalization", one(normalise::root_mean_square)),
    ("GroupNormalization", one(normalise::group)),
    ("InstanceNormalization", one(normalise::instance)),
    ("MeanVarianceNormalization", one(normalise::mean_variance)),
    ("LpNormalization", one(normalise::power_norm)),
    ("LRN", one(normalise::local_response)),
    // Reductions.
    ("ReduceSum", one(reduce::sum)),
    ("ReduceMean", one(reduce::mean)),
    ("ReduceMax", one(|builder, node| reduce::extreme(builder, node, Fold::Maximum))),
    ("ReduceMin", one(|builder, node| reduce::extreme(builder, node, Fold::Minimum))),
    ("ReduceProd", one(reduce::product).of_empty(empty::product)),
    ("ReduceL1", one(reduce::absolute_sum)),
    ("ReduceL2", one(reduce::square_root_sum)),
    ("ReduceSumSquare", one(reduce::square_sum)),
    ("ReduceLogSum", one(reduce::log_sum)),
    ("ReduceLogSumExp", one(reduce::log_sum_exponentials)),
    ("CumSum", one(running::sum)),
    ("CumProd", one(running::product)),
    // Places.
    ("ArgMax", one(|builder, node| index::place_of(builder, node, Fold::Maximum))),
    ("ArgMin", one(|builder, node| index::place_of(builder, node, Fold::Minimum))),
    ("TopK", several(index::top)),
    ("OneHot", one(index::one_hot)),
    ("Gather", one(index::gather).of_empty(empty::gather)),
    ("GatherElements", one(index::gather_each)),
    ("GatherND", one(index::gather_many)),
    ("Scatter", one(scatter::scatter_elements)),
    ("ScatterElements", one(scatter::scatter_elements)),
    ("ScatterND", one(scatter::scatter_many)),
    ("Trilu", one(index::triangle)),
    ("EyeLike", one(constant::eye)),
    ("ReverseSequence", one(index::reverse_sequence)),
    // Shapes and constants.
    ("Reshape", one(reshape::reshape)),
    ("Flatten", one(reshape::flatten)),
    ("Transpose", one(reshape::transpose)),
    ("Squeeze", one(reshape::squeeze)),
    ("Unsqueeze", one(reshape::unsqueeze).of_empty(empty::passed)),
    ("Concat", one(pieces::concat).of_empty(empty::concat)),
    ("Split", several(pieces::split)),
    ("Slice", one(pieces::slice).of_empty(empty::slice)),
    ("Expand", one(reshape::expand)),
    ("Tile", one(reshape::tile).former(former::other_operator)),
    ("Pad", one(pad::pad)),
    ("CenterCropPad", one(pad::centre)),
    ("Resize", one(resize::resize)),
    ("Upsample", one(resize::upsample).former(former::other_operator)),
    ("Shape", one(constant::shape).of_empty(empty::shape)),
    ("Size", one(constant::size).of_empty(empty::size)),
    ("Range", one(constant::range)),
    ("Constant", one(constant::constant).of_empty(empty::constant)),
    ("ConstantOfShape", one(constant::constant_of_shape).of_empty(empty::constant_of_shape)),
    ("DepthToSpace", one(reshape::depth_to_space)),
    ("SpaceToDepth", one(reshape::space_to_depth)),
    // Signals.
    ("DFT", one(signal::fourier)),
    ("HannWindow", one(|builder, node| signal::window(builder, node, [0.5, 0.5, 0.0]))),
    (
        "HammingWindow",
        one(|builder, node| signal::window(builder, node, [25.0 / 46.0, 21.0 / 46.0, 0.0])),
    ),
    ("BlackmanWindow", one(|builder, node| signal::window(builder, node, [0.42, 0.5, 0.08]))),
    // Others.
    ("Cast", one(arithmetic::cast).of_empty(empty::passed)),
    ("CastLike", one(arithmetic::cast_like)),
    ("Identity", one(arithmetic::identity).of_empty(empty::passed)),
    ("Dropout", one(arithmetic::dropout).former(former::training)),
    ("If", branch()),
];

/// The operators of the domain com.microsoft, as onnxruntime's optimiser writes them.
const MICROSOFT: &[(&str, Rule)] = &[
    // A standard function before the standard had it.
    ("Gelu", one(activation::gelu)),
    ("BiasGelu", one(activation::bias_gelu)),
    ("FastGelu", one(activation::fast_gelu)),
    ("QuickGelu", one(|builder, node| activation::swish(builder, node, 1.702))),
    ("FusedMatMul", one(linear::fused_matmul)),
    ("TransposeMatMul", one(linear::fused_matmul)),
    ("FusedGemm", one(linear::fused_gemm)),
    ("FusedConv", one(convolution::fused)),
    ("LayerNormalization", several(normalise::layer)),
    ("SimplifiedLayerNormalization", one(normalise::root_mean_square)),
    ("SkipLayerNormalization", several(normalised_sums::skip_layer)),
    ("SkipSimplifiedLayerNormalization", several(normalised_sums::skip_root_mean_square)),
    ("EmbedLayerNormalization", several(normalised_sums::embed)),
    ("Attention", one(encoder_attention::attention)),
    ("MultiHeadAttention", one(encoder_attention::many_heads)),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{MICROSOFT, STANDARD};

    fn names(table: &[(&'static str, super::Rule)]) -> BTreeSet<&'static str> {
        let names: BTreeSet<&str> = table.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), table.len(), "an operator stands twice");
        names
    }

    #[test]
    fn each_operator_has_one_rule_and_stands_in_the_documentation() {
        let documented = include_str!("../../../../docs/operators.md");
        let is_documented = |name: &str| {
            let words = documented.split(|letter: char| !letter.is_ascii_alphanumeric());
            words.into_iter().any(|word| word == name)
        };
        for name in names(STANDARD).union(&names(MICROSOFT)) {
            // An older name of ScatterElements.
            assert!(is_documented(name) || *name == "Scatter", "{name}");
        }
    }
}
