//! Verdict files: a dispute as its signed transactions, from which anybody derives the verdict.

mod derive;
mod file;
mod moved;

use serde::{Deserialize, Serialize};

pub use derive::{derive, known};
pub use file::{FILE_BYTES_MAX, VerdictError, replay_bytes, write_file};

/// Place in a claim's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IterationPlace {
    /// Index of the iteration.
    pub index: u32,
    /// Number of iterations of the claim.
    pub count: u32,
}

/// Place in the list of layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPlace {
    /// Index of the layer.
    pub index: u32,
    /// Number of layers.
    pub count: u32,
}

/// An operator in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorPlace {
    /// Index in the canonical graph.
    pub index: u32,
    /// The ONNX node it came from; empty when only the transactions are known.
    pub name: String,
    /// What it computes.
    pub kind: String,
}

/// Where the money went. Amounts are decimal texts in JSON, whose numbers do not hold them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyReport {
    /// Came in.
    #[serde(with = "decimal")]
    pub deposited_wei: u128,
    /// In accounts.
    #[serde(with = "decimal")]
    pub free_wei: u128,
    /// In fees of jobs, stakes of claims and bonds of challenges.
    #[serde(with = "decimal")]
    pub locked_wei: u128,
    /// Gone.
    #[serde(with = "decimal")]
    pub burned_wei: u128,
    /// Burned by the transactions about the claim.
    #[serde(with = "decimal", default)]
    pub burned_by_claim_wei: u128,
    /// free + locked + burned = deposited − withdrawn.
    pub conserved: bool,
    /// What the executor gained or lost by the transactions about the claim.
    #[serde(with = "decimal")]
    pub executor_delta_wei: i128,
    /// What the challenger gained or lost by the transactions about the claim.
    #[serde(with = "decimal")]
    pub challenger_delta_wei: i128,
}

/// Amounts as decimal texts.
mod decimal {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<T: Display, S: Serializer>(
        amount: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

/// How a dispute ended: the report of `rebut demo`, `dispute` and `replay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The claim.
    pub claim: String,
    /// The model that it is about.
    pub model_root: String,
    /// Who claimed.
    pub executor: String,
    /// Who challenged first; nobody may have.
    pub challenger: Option<String>,
    /// `fraud`, `upheld`, or `open`.
    pub verdict: String,
    /// `step`, `binding`, `carry`, `link`, `entry`, `ends-early`, `goes-on`, `malformed`, `silence`,
    /// `nothing-refuted`, `challenger-silent` or `unchallenged`.
    pub reason: String,
    /// The iteration that the verdict is about; absent where it is about none, or about all of them.
    pub iteration: Option<IterationPlace>,
    /// The layer where the views parted.
    pub layer: Option<LayerPlace>,
    /// The operator that was refuted.
    pub operator: Option<OperatorPlace>,
    /// Coordinates of the element.
    pub element: Option<Vec<u64>>,
    /// Its type, and that of its running sums.
    pub element_type: Option<String>,
    /// The segment within the element; the number of segments for the sum of all.
    #[serde(rename = "run")]
    pub segment: Option<u64>,
    /// Segments of the element; 1 where nothing is summed.
    #[serde(rename = "runs")]
    pub segments: Option<u64>,
    /// The element as claimed: stored bits. What is refuted may be one of its running sums.
    pub element_bits: Option<String>,
    /// What was claimed: stored bits, a state word, or a root.
    pub claimed_bits: Option<String>,
    /// What is true.
    pub true_bits: Option<String>,
    /// Demands of the challenger.
    pub rounds: u32,
    /// Answers of the executor.
    pub reveals: u32,
    /// Accepted transactions about the claim, its own included.
    pub transactions: u64,
    /// Bytes of the final action.
    pub step_proof_bytes: u64,
    /// Multiply-adds the referee recomputed.
    pub step_multiply_adds: u64,
    /// Whether the layer referee found the same; absent when only the transactions are known.
    pub layer_referee_agrees: Option<bool>,
    /// Where the money went.
    pub money: MoneyReport,
}
