//! Who acts on a devnet, with keys that everybody knows.

use protocol::hash::keccak;
use protocol::transaction::Key;

/// Who acts on a devnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Credits deposits.
    Bank,
    /// Posts the job.
    Client,
    /// Claims; this one's compute policy is given by the participants.
    Executor,
    /// Claims, and is honest.
    Rival,
    /// Checks.
    Challenger,
    /// Checks as well.
    SecondChallenger,
    /// Anybody else.
    Watchtower,
}

impl Role {
    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Client => "client",
            Self::Executor => "executor",
            Self::Rival => "rival",
            Self::Challenger => "challenger",
            Self::SecondChallenger => "second-challenger",
            Self::Watchtower => "watchtower",
        }
    }
}

/// The key of a role. Public knowledge: for devnets only, never for money.
pub fn actor_key(role: Role) -> Key {
    key_of(&format!("rebut stage {}", role.name()))
}

/// A key made of a text alone, so that everybody can compute it: for trying things, never for money.
pub fn key_of(text: &str) -> Key {
    let mut seed = keccak(text.as_bytes());
    loop {
        // All but a few in 2^128 hashes are keys.
        if let Some(key) = Key::from_secret(&seed.0) {
            return key;
        }
        seed = keccak(&seed.0);
    }
}
