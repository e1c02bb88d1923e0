//! Verdict files: a dispute as its signed transactions, from which anybody derives the verdict.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::encoding::Canonical;
use protocol::hash::{Digest, parse_hex, to_hex};
use protocol::law;
use protocol::referee::{Evidence, Refutation};
use protocol::settlement::{
    Challenge, ChallengeStatus, ClaimStatus, FallReason, Genesis, Settlement,
};
use protocol::transaction::{Action, Address, SignedTransaction};
use serde::{Deserialize, Serialize};

use ledger::embedded::{LogEntry, replay};

/// Name of the format.
const FORMAT: &str = "rebut-verdict";
/// Version of the format. 2: amounts are decimal texts whose names end in `_wei`; the parties are named.
const VERSION: u32 = 2;
/// Most bytes of a verdict file.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a verdict file says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerdictError {
    /// The file cannot be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file is not a verdict file of this version.
    #[error("{path}: field {field}: {reason}; make the file again with `rebut dispute`")]
    Malformed {
        /// The file.
        path: String,
        /// Which field.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// The transactions do not replay.
    #[error("{path}: the transactions do not replay: {reason}; the file was changed or damaged")]
    NotReplayable {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// What the file says is not what its transactions give.
    #[error("{path}: says {recorded} and its transactions give {derived}; trust the transactions")]
    Contradiction {
        /// The file.
        path: String,
        /// Recorded verdict.
        recorded: String,
        /// Derived verdict.
        derived: String,
    },
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
    /// Behind jobs, claims and challenges.
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
    /// `step`, `binding`, `carry`, `malformed`, `silence`, `nothing-refuted`,
    /// `challenger-silent` or `unchallenged`.
    pub reason: String,
    /// The layer where the views parted.
    pub layer: Option<LayerPlace>,
    /// The operator that was refuted.
    pub operator: Option<OperatorPlace>,
    /// Coordinates of the element.
    pub element: Option<Vec<u64>>,
    /// Its type, and that of the running sums behind it.
    pub element_type: Option<String>,
    /// The run of 64 within the element; the number of runs for the sum of all.
    pub run: Option<u64>,
    /// Runs behind the element; 1 where nothing is summed.
    pub runs: Option<u64>,
    /// The element as claimed: stored bits. What is refuted may be one of the running sums behind it.
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

fn bits_text(words: &[u64]) -> String {
    let word = |word: &u64| match u32::try_from(*word) {
        Ok(narrow) => format!("0x{narrow:08x}"),
        Err(_) => format!("0x{word:016x}"),
    };
    words.iter().map(word).collect::<Vec<_>>().join(",")
}

/// The first words that differ, where a state has many.
fn first_difference(claimed: &[u64], expected: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let at = claimed.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(0);
    let pick = |words: &[u64]| words.get(at).copied().into_iter().collect();
    (pick(claimed), pick(expected))
}

/// What a claim and its challenges are; a transaction that changes it is one about the claim.
fn record(settlement: &Settlement, id: &Digest) -> Option<(ClaimStatus, u32, Vec<Challenge>)> {
    let claim = settlement.claim(id)?;
    let challenges = claim.challenges.iter().filter_map(|id| settlement.challenge(id)).cloned();
    Some((claim.status.clone(), claim.reveals, challenges.collect()))
}

/// Money that the transactions about a claim moved: of each of its parties, and burned.
#[derive(Default)]
struct Moved {
    transactions: u64,
    burned_wei: u128,
    /// Free money that accounts gained or lost.
    gained_wei: BTreeMap<Address, i128>,
}

/// Free money of those whom a transaction about a claim may concern, before it.
struct Before {
    record: Option<(ClaimStatus, u32, Vec<Challenge>)>,
    burned_wei: u128,
    free_wei: BTreeMap<Address, u128>,
}

impl Before {
    fn of(settlement: &Settlement, id: &Digest, sender: Address) -> Self {
        let record = record(settlement, id);
        let challengers = record.iter().flat_map(|(_, _, all)| all).map(|one| one.challenger);
        let executor = settlement.claim(id).map(|claim| claim.executor);
        let money = settlement.money();
        let accounts = challengers.chain(executor).chain([sender]);
        let free_wei = accounts.map(|account| (account, money.free_wei(&account))).collect();
        Self { record, burned_wei: money.burned_wei(), free_wei }
    }
}

impl Moved {
    /// Counts a transaction if it was about the claim.
    fn see(&mut self, before: Before, settlement: &Settlement, id: &Digest) {
        if record(settlement, id) == before.record {
            return;
        }
        self.transactions += 1;
        let money = settlement.money();
        self.burned_wei += money.burned_wei().saturating_sub(before.burned_wei);
        for (account, free_wei) in before.free_wei {
            let signed = |wei: u128| i128::try_from(wei).unwrap_or(i128::MAX);
            let gained = signed(money.free_wei(&account)) - signed(free_wei);
            *self.gained_wei.entry(account).or_default() += gained;
        }
    }

    fn of(&self, account: &Address) -> i128 {
        self.gained_wei.get(account).copied().unwrap_or(0)
    }
}

/// Derives the verdict on a claim from a log. `None` when the log has no such claim.
pub fn derive(genesis: &Genesis, entries: &[LogEntry], claim_id: &Digest) -> Option<Verdict> {
    let mut settlement = Settlement::new(genesis.clone()).ok()?;
    let (mut moved, mut refutation) = (Moved::default(), None);
    for entry in entries {
        let transaction = SignedTransaction::from_canonical(&entry.transaction).ok()?;
        let was_standing =
            settlement.claim(claim_id).is_some_and(|claim| claim.status == ClaimStatus::Standing);
        let before = Before::of(&settlement, claim_id, transaction.sender);
        settlement.apply(entry.at_ms, &transaction).ok()?;
        moved.see(before, &settlement, claim_id);
        let claim = settlement.claim(claim_id);
        // The last refutation of this claim: what was settled afterwards does not hide that there was one.
        let action = transaction.decode_action().ok()?;
        if let Action::Refute { challenge, refutation: said, .. } = action
            && was_standing
            && claim.is_some_and(|claim| claim.challenges.contains(&challenge))
        {
            refutation = Some((said, transaction.action.len() as u64));
        }
    }
    let claim = settlement.claim(claim_id)?;
    let facts = &claim.facts;
    let challenges: Vec<_> =
        claim.challenges.iter().filter_map(|id| settlement.challenge(id)).collect();
    let challenger = challenges.first().map(|challenge| challenge.challenger);
    let job = settlement.job(&claim.terms.job);
    let mut verdict = Verdict {
        claim: claim_id.to_string(),
        model_root: job.map(|job| job.terms.model_root.to_string()).unwrap_or_default(),
        executor: claim.executor.to_string(),
        challenger: challenger.map(|account| account.to_string()),
        verdict: "open".to_owned(),
        reason: String::new(),
        layer: None,
        operator: None,
        element: None,
        element_type: None,
        run: None,
        runs: None,
        element_bits: None,
        claimed_bits: None,
        true_bits: None,
        rounds: challenges.iter().map(|challenge| challenge.demands).sum(),
        reveals: claim.reveals,
        transactions: moved.transactions,
        step_proof_bytes: 0,
        step_multiply_adds: 0,
        layer_referee_agrees: None,
        money: MoneyReport {
            deposited_wei: settlement.money().deposited_wei(),
            free_wei: settlement.money().free_total_wei(),
            locked_wei: settlement.money().locked_wei(),
            burned_wei: settlement.money().burned_wei(),
            burned_by_claim_wei: moved.burned_wei,
            conserved: settlement.money().is_conserved(),
            executor_delta_wei: moved.of(&claim.executor),
            challenger_delta_wei: challenger.map_or(0, |account| moved.of(&account)),
        },
    };
    let count = facts.header().layer_count;
    let layer_of =
        |operator: u32| facts.layer_of(operator).map(|(index, _)| LayerPlace { index, count });
    let operator_of = |index: u32| {
        let kind = facts.operator(index).map(|node| node.operator.kind().to_owned());
        kind.map(|kind| OperatorPlace { index, name: String::new(), kind })
    };
    let proof_bytes = refutation.as_ref().map_or(0, |(_, bytes)| *bytes);
    let refutation = refutation.as_ref().map(|(refutation, _)| refutation);
    match &claim.status {
        ClaimStatus::Fallen { reason: FallReason::Silence(request), .. } => {
            verdict.verdict = "fraud".to_owned();
            verdict.reason = "silence".to_owned();
            let layer = match request {
                protocol::facts::Request::Subtrace { layer } => Some(*layer),
                protocol::facts::Request::Leaf { operator, .. }
                | protocol::facts::Request::Accumulators { operator, .. } => {
                    verdict.operator = operator_of(*operator);
                    facts.layer_of(*operator).map(|(layer, _)| layer)
                }
                protocol::facts::Request::Node { tree, .. } => match tree {
                    protocol::facts::TreeId::Subtrace { layer } => Some(*layer),
                    protocol::facts::TreeId::State { boundary } => boundary.checked_sub(1),
                    protocol::facts::TreeId::Tensor { operator } => {
                        verdict.operator = operator_of(*operator);
                        facts.layer_of(*operator).map(|(layer, _)| layer)
                    }
                    protocol::facts::TreeId::Trace {} => None,
                },
            };
            verdict.layer = layer.map(|index| LayerPlace { index, count });
        }
        ClaimStatus::Fallen { reason: FallReason::Refuted(evidence), .. } => {
            verdict.verdict = "fraud".to_owned();
            verdict.step_proof_bytes = proof_bytes;
            describe(&mut verdict, evidence, refutation, facts, count);
        }
        ClaimStatus::Standing | ClaimStatus::Final { .. } | ClaimStatus::Released { .. } => {
            let lost = |challenge: &&protocol::settlement::Challenge| {
                challenge.status == ChallengeStatus::Lost
            };
            let over = claim.status != ClaimStatus::Standing;
            if over || (!challenges.is_empty() && challenges.iter().all(lost)) {
                verdict.verdict = "upheld".to_owned();
            }
            verdict.reason = match refutation {
                _ if challenges.is_empty() => "unchallenged",
                Some(_) => "nothing-refuted",
                None => "challenger-silent",
            }
            .to_owned();
            if let Some(Refutation::Step { operator, element, run, .. }) = refutation {
                verdict.step_proof_bytes = proof_bytes;
                verdict.layer = layer_of(*operator);
                verdict.operator = operator_of(*operator);
                verdict.run = Some(*run);
                place_element(&mut verdict, facts, *operator, *element);
                if let Some(node) = facts.operator(*operator) {
                    verdict.step_multiply_adds = law::multiply_adds(node).min(law::RUN_ELEMENTS);
                }
                let claimed = facts.claimed_element(*operator, *element).ok();
                verdict.claimed_bits = claimed.map(|bits| bits_text(&[bits]));
                verdict.true_bits.clone_from(&verdict.claimed_bits);
            }
        }
    }
    Some(verdict)
}

/// Where an element stands, what it is, and what was claimed of it.
fn place_element(
    verdict: &mut Verdict,
    facts: &protocol::facts::Facts,
    operator: u32,
    element: u64,
) {
    let Some(node) = facts.operator(operator) else { return };
    verdict.element = Some(node.output.shape.unravel(element));
    verdict.element_type = Some(node.output.element.name().to_owned());
    verdict.runs = Some(law::run_count(node));
    let claimed = facts.claimed_element(operator, element).ok();
    verdict.element_bits = claimed.map(|bits| bits_text(&[bits]));
}

fn describe(
    verdict: &mut Verdict,
    evidence: &Evidence,
    refutation: Option<&Refutation>,
    facts: &protocol::facts::Facts,
    count: u32,
) {
    let kind_of = |operator: u32| {
        facts.operator(operator).map_or(String::new(), |node| node.operator.kind().to_owned())
    };
    match evidence {
        Evidence::Step { operator, element, run, claimed, expected, multiply_adds } => {
            verdict.reason = "step".to_owned();
            verdict.layer = facts.layer_of(*operator).map(|(index, _)| LayerPlace { index, count });
            verdict.operator = Some(OperatorPlace {
                index: *operator,
                name: String::new(),
                kind: kind_of(*operator),
            });
            place_element(verdict, facts, *operator, *element);
            verdict.run = Some(*run);
            verdict.step_multiply_adds = *multiply_adds;
            match expected {
                Some(expected) => {
                    let (claimed, expected) = first_difference(claimed, expected);
                    verdict.claimed_bits = Some(bits_text(&claimed));
                    verdict.true_bits = Some(bits_text(&expected));
                }
                None => {
                    verdict.claimed_bits = Some(bits_text(claimed));
                    verdict.true_bits = Some("undefined".to_owned());
                }
            }
        }
        Evidence::Contradiction { claimed, expected, .. } => {
            let (reason, layer) = match refutation {
                Some(Refutation::Carry { layer, .. }) => ("carry", Some(*layer)),
                Some(Refutation::Binding { layer, operator }) => {
                    verdict.operator = Some(OperatorPlace {
                        index: *operator,
                        name: String::new(),
                        kind: kind_of(*operator),
                    });
                    ("binding", Some(*layer))
                }
                _ => ("binding", None),
            };
            verdict.reason = reason.to_owned();
            verdict.layer = layer.map(|index| LayerPlace { index, count });
            verdict.claimed_bits = Some(claimed.to_string());
            verdict.true_bits = Some(expected.to_string());
        }
        Evidence::StateValue { claimed, expected } => {
            verdict.reason = "malformed".to_owned();
            verdict.claimed_bits = Some(claimed.to_string());
            verdict.true_bits = Some(expected.to_string());
        }
        Evidence::Leaf { operator, .. } => {
            verdict.reason = "malformed".to_owned();
            verdict.layer = facts.layer_of(*operator).map(|(index, _)| LayerPlace { index, count });
            verdict.operator = Some(OperatorPlace {
                index: *operator,
                name: String::new(),
                kind: kind_of(*operator),
            });
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct FileEntry {
    at_ms: u64,
    transaction: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileContent {
    format: String,
    version: u32,
    genesis: String,
    claim: String,
    transactions: Vec<FileEntry>,
    verdict: Verdict,
}

/// Writes a verdict file.
///
/// # Errors
/// When it cannot be written.
pub fn write_file(
    path: &Path,
    genesis: &Genesis,
    entries: &[LogEntry],
    claim: &Digest,
    verdict: &Verdict,
) -> Result<(), VerdictError> {
    let fail = |reason: String| VerdictError::Io { path: path.display().to_string(), reason };
    let content = FileContent {
        format: FORMAT.to_owned(),
        version: VERSION,
        genesis: to_hex(&genesis.to_canonical()),
        claim: claim.to_string(),
        transactions: entries
            .iter()
            .map(|entry| FileEntry { at_ms: entry.at_ms, transaction: to_hex(&entry.transaction) })
            .collect(),
        verdict: verdict.clone(),
    };
    let text = serde_json::to_vec_pretty(&content).map_err(|error| fail(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| fail(error.to_string()))
}

/// A verdict beside another that it differs from: where the word is the same, by the first field that differs.
fn told_apart(one: &Verdict, other: &Verdict) -> String {
    let word = |verdict: &Verdict| format!("{} ({})", verdict.verdict, verdict.reason);
    if word(one) != word(other) {
        return word(one);
    }
    let fields = |verdict: &Verdict| match serde_json::to_value(verdict) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let theirs = fields(other);
    let differs = fields(one).into_iter().find(|(name, value)| theirs.get(name) != Some(value));
    differs.map_or_else(|| word(one), |(name, value)| format!("{name} {value}"))
}

/// Derives the verdict from the content of a verdict file, and compares it with what is recorded.
///
/// # Errors
/// When the content is malformed, does not replay, or contradicts itself.
pub fn replay_bytes(path: &str, bytes: &[u8]) -> Result<Verdict, VerdictError> {
    let malformed = |field: &str, reason: String| VerdictError::Malformed {
        path: path.to_owned(),
        field: field.to_owned(),
        reason,
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(malformed("file", format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let content: FileContent =
        serde_json::from_slice(bytes).map_err(|error| malformed("file", error.to_string()))?;
    if content.format != FORMAT {
        return Err(malformed("format", format!("{} is not {FORMAT}", content.format)));
    }
    if content.version != VERSION {
        return Err(malformed("version", format!("{} is not {VERSION}", content.version)));
    }
    let hex = |field: &str, text: &str| {
        parse_hex(text).ok_or_else(|| malformed(field, "not hexadecimal behind 0x".to_owned()))
    };
    let genesis = Genesis::from_canonical(&hex("genesis", &content.genesis)?)
        .map_err(|error| malformed("genesis", error.to_string()))?;
    let claim = protocol::hash::parse_digest(&content.claim)
        .ok_or_else(|| malformed("claim", "not a hash".to_owned()))?;
    let mut entries = Vec::new();
    for (index, entry) in content.transactions.iter().enumerate() {
        let transaction = hex(&format!("transactions[{index}]"), &entry.transaction)?;
        entries.push(LogEntry { at_ms: entry.at_ms, transaction });
    }
    let broken = |reason: String| VerdictError::NotReplayable { path: path.to_owned(), reason };
    replay(&genesis, &entries).map_err(|error| broken(error.to_string()))?;
    let mut derived = derive(&genesis, &entries, &claim)
        .ok_or_else(|| broken("they hold no such claim".to_owned()))?;
    // Names and the layer referee's word are not in the transactions; they are passed on as told.
    derived.layer_referee_agrees = content.verdict.layer_referee_agrees;
    if let (Some(derived), Some(told)) = (&mut derived.operator, &content.verdict.operator) {
        derived.name.clone_from(&told.name);
    }
    if derived != content.verdict {
        return Err(VerdictError::Contradiction {
            path: path.to_owned(),
            recorded: told_apart(&content.verdict, &derived),
            derived: told_apart(&derived, &content.verdict),
        });
    }
    Ok(derived)
}
