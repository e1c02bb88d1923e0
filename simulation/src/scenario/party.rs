//! Parties of a scenario, and what they do where that is written down.

use std::collections::BTreeMap;

use protocol::encoding::Canonical as _;
use protocol::hash::{parse_hex, to_hex};
use protocol::transaction::Action;
use serde::{Deserialize, Serialize};

/// A party, or several that play alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartySpec {
    /// Name.
    pub name: String,
    /// Its strategy, by name.
    pub strategy: String,
    /// Identities.
    #[serde(default = "super::one")]
    pub count: u32,
    /// What is wrong with its runs, if anything but what its strategy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lie: Option<String>,
    /// Deposit of each identity; the strategy's when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capital_milliether: Option<u64>,
    /// Time of one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_ms: Option<u64>,
    /// Transactions that it can send at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// How far its clock is ahead of the ledger's; negative when behind.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub clock_skew_ms: i64,
    /// Numbers that the strategy knows by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, u64>,
    /// Moves that its identities make, and no others, whatever their strategy would do: what is left of a play that
    /// was shrunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Vec<ScriptedMove>>,
}

/// A move at its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedMove {
    /// Sent at this time of the ledger.
    pub at_ms: u64,
    /// By which identity of the party, from 0.
    #[serde(default)]
    pub identity: u32,
    /// Canonical encoding of the action, in hexadecimal.
    pub action: String,
}

impl ScriptedMove {
    /// A move of an identity at a time.
    pub fn new(at_ms: u64, identity: u32, action: &Action) -> Self {
        Self { at_ms, identity, action: to_hex(&action.to_canonical()) }
    }

    /// The action; `None` where the text is none.
    pub fn action(&self) -> Option<Action> {
        Action::from_canonical(&parse_hex(&self.action)?).ok()
    }
}

impl PartySpec {
    /// One party of a strategy, with all defaults.
    pub fn new(name: &str, strategy: &str) -> Self {
        Self {
            name: name.to_owned(),
            strategy: strategy.to_owned(),
            count: 1,
            lie: None,
            capital_milliether: None,
            inference_ms: None,
            slots: None,
            clock_skew_ms: 0,
            with: BTreeMap::new(),
            script: None,
        }
    }
}
