//! The scalar functions of `map`: one table, from which everything else about them follows.
//!
//! A row gives a function's code in the canonical encoding, its name, the number of its operands,
//! which element types it takes, and what it is of floats, of integers and of truth values. A new
//! function is a new row, and a function in `scalar.rs` or in [`crate::numerics`] where none of
//! those that are there fits; the compiler then points at whatever else must know it.

mod apply;
mod scalar;
#[cfg(test)]
mod tests;

pub use apply::map_scalar;

use scalar::{OfFloats, OfIntegers, OfTruths, Scalar};

use crate::encoding::canonical_enum;
use crate::numerics::{elementary, soft};

/// Which element types a function takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Types {
    /// Numbers of one type to the same type.
    Numbers,
    /// Floats to floats.
    Floats,
    /// Integers or truth values of one type to the same type.
    Bits,
    /// Two elements of one type to a truth value.
    Equality,
    /// Two numbers of one type to a truth value.
    Order,
    /// A float to a truth value.
    FloatTest,
    /// A truth value and two elements of the output's type.
    Choice,
    /// Any type to any other; floats of 16 bits from and to binary32.
    Conversion,
    /// Three 64-bit integers to one of 32 bits without sign.
    Random,
}

/// Makes the table's enum, its encoding and its lookups.
macro_rules! functions {
    ($(
        $(#[$documentation:meta])*
        $code:literal $function:ident $name:literal $operands:literal $types:ident
        [$($floats:tt)*] [$($integers:tt)*] [$($truths:tt)*]
    )*) => {
        /// A scalar function over broadcast operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are the functions")]
        pub enum MapFunction {
            $( $(#[$documentation])* $function, )*
        }
        canonical_enum!(MapFunction { $( $code => $function {}, )* });

        impl MapFunction {
            /// Every function, in the order of the codes.
            pub const ALL: &'static [Self] = &[$( Self::$function, )*];

            /// The code in the canonical encoding.
            pub const fn code(self) -> u8 {
                match self {
                    $( Self::$function => $code, )*
                }
            }

            /// Name of the function, as users read it.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$function => $name, )*
                }
            }

            /// The function of this name.
            ///
            /// ```
            /// use protocol::graph::MapFunction;
            ///
            /// assert_eq!(MapFunction::named("square_root"), Some(MapFunction::SquareRoot));
            /// assert_eq!(MapFunction::named("root"), None);
            /// ```
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(Self::$function), )*
                    _ => None,
                }
            }

            /// Number of operands.
            pub const fn operands(self) -> usize {
                match self {
                    $( Self::$function => $operands, )*
                }
            }

            /// Which element types it takes and gives.
            pub(crate) const fn types(self) -> Types {
                match self {
                    $( Self::$function => Types::$types, )*
                }
            }

            /// What it is of each kind of element. A choice and a conversion are of no kind:
            /// [`map_scalar`] has them.
            const fn scalar(self) -> Scalar {
                match self {
                    $( Self::$function => Scalar {
                        floats: OfFloats::$($floats)*,
                        integers: OfIntegers::$($integers)*,
                        truths: OfTruths::$($truths)*,
                    }, )*
                }
            }
        }
    };
}

functions! {
    // code, function, name, operands, types, [of floats] [of integers] [of truth values]
    1 Add "add" 2 Numbers [Two(soft::add)] [Two(i64::checked_add)] [Nothing]
    2 Subtract "subtract" 2 Numbers [Two(soft::sub)] [Two(i64::checked_sub)] [Nothing]
    3 Multiply "multiply" 2 Numbers [Two(soft::mul)] [Two(i64::checked_mul)] [Nothing]
    4 Divide "divide" 2 Numbers [Two(soft::div)] [Two(i64::checked_div)] [Nothing]
    5 Power "power" 2 Numbers [Two(scalar::float_power)] [Two(scalar::integer_power)] [Nothing]
    6 Maximum "maximum" 2 Numbers [Two(soft::max)] [Two(scalar::larger)] [Nothing]
    7 Minimum "minimum" 2 Numbers [Two(soft::min)] [Two(scalar::smaller)] [Nothing]
    8 Equal "equal" 2 Equality [Truth(soft::equal)] [Truth(scalar::same)] [Truth(scalar::same)]
    9 Less "less" 2 Order [Truth(soft::less)] [Truth(scalar::less)] [Nothing]
    10 LessOrEqual "less_or_equal" 2 Order
        [Truth(scalar::float_less_or_equal)] [Truth(scalar::less_or_equal)] [Nothing]
    11 And "and" 2 Bits [Nothing] [Two(scalar::and_bits)] [Truth(scalar::both)]
    12 Or "or" 2 Bits [Nothing] [Two(scalar::or_bits)] [Truth(scalar::either)]
    13 ExclusiveOr "exclusive_or" 2 Bits
        [Nothing] [Two(scalar::exclusive_or_bits)] [Truth(scalar::one_of_two)]
    14 Not "not" 1 Bits [Nothing] [OfType(scalar::complement)] [Truth(scalar::not)]
    15 Negate "negate" 1 Numbers [One(scalar::negate)] [One(i64::checked_neg)] [Nothing]
    16 Absolute "absolute" 1 Numbers [One(scalar::absolute)] [One(i64::checked_abs)] [Nothing]
    17 SquareRoot "square_root" 1 Floats [One(soft::sqrt)] [Nothing] [Nothing]
    18 Exponential "exponential" 1 Floats [Elementary(elementary::exp)] [Nothing] [Nothing]
    19 Logarithm "logarithm" 1 Floats [Elementary(elementary::log)] [Nothing] [Nothing]
    20 Tanh "tanh" 1 Floats [Elementary(elementary::tanh)] [Nothing] [Nothing]
    21 Erf "erf" 1 Floats [Elementary(elementary::erf)] [Nothing] [Nothing]
    22 Sigmoid "sigmoid" 1 Floats [Elementary(elementary::sigmoid)] [Nothing] [Nothing]
    23 Floor "floor" 1 Floats [One(scalar::floor)] [Nothing] [Nothing]
    24 Ceiling "ceiling" 1 Floats [One(scalar::ceiling)] [Nothing] [Nothing]
    25 Round "round" 1 Floats [One(scalar::nearest_even)] [Nothing] [Nothing]
    26 Sign "sign" 1 Numbers [One(scalar::float_sign)] [One(scalar::integer_sign)] [Nothing]
    27 IsNan "is_nan" 1 FloatTest [Truth(scalar::is_nan)] [Nothing] [Nothing]
    /// `operand 0 ? operand 1 : operand 2`.
    28 Select "select" 3 Choice [Nothing] [Nothing] [Nothing]
    /// To the output's element type.
    29 Cast "cast" 1 Conversion [Nothing] [Nothing] [Nothing]
    30 Sine "sine" 1 Floats [Circular(elementary::sin)] [Nothing] [Nothing]
    31 Cosine "cosine" 1 Floats [Circular(elementary::cos)] [Nothing] [Nothing]
    32 ArcTangent "arc_tangent" 1 Floats [Elementary(elementary::atan)] [Nothing] [Nothing]
    /// What is left of a division that rounds towards zero; the sign of operand 0.
    33 Remainder "remainder" 2 Numbers [Two(soft::remainder)] [Two(i64::checked_rem)] [Nothing]
    /// Word 0 of Philox4x32-10: operand 0 is the key; operand 2 the lower half of the counter, operand 1 the
    /// upper.
    34 Random "random" 3 Random [Nothing] [Three(scalar::random)] [Nothing]
}
