//! Moves about sealed claims and words.

use protocol::hash::{Commitment, Digest};
use protocol::ids::SealedId;
use protocol::settlement::SealedStatus;
use protocol::settlement::attention::{seal, word};
use protocol::transaction::{Action, Address, Statement};

use super::Table;

/// The salt of a party's seals and words follows from its account, so that it can open them whatever it forgot.
fn salt(account: &Address) -> Digest {
    let mut salt = Digest::default();
    salt.0[..20].copy_from_slice(&account.0);
    salt
}

impl<C: Commitment> Table<'_, '_, C> {
    pub(super) fn seal(&mut self) -> Option<Action> {
        let (job, input) = self.open_job(true)?;
        let is_true = self.rng().chance(500);
        let statement = self.run(input, is_true)?;
        let me = self.sight.me;
        let seal = seal::<C>(&me, &statement.terms.sequence_root, &salt(&me));
        Some(Action::SealClaim { job, seal })
    }

    fn waiting(&mut self) -> Option<SealedId> {
        let waits = self.state.all_sealed().filter(|(_, one)| one.status == SealedStatus::Waiting);
        let waits: Vec<SealedId> = waits.map(|(id, _)| *id).collect();
        self.pick(waits)
    }

    /// Statements of all runs that the allies know.
    fn statements(&self) -> impl Iterator<Item = Statement> {
        let arity_log2 = self.state.parameters().arity_log2;
        let wholes = self.sight.runs.values().filter_map(move |known| known.whole(arity_log2));
        wholes.map(|whole| whole.statement().clone())
    }

    pub(super) fn attest(&mut self) -> Option<Action> {
        let sealed = self.waiting()?;
        let roots: Vec<Digest> = self.statements().map(|one| one.terms.sequence_root).collect();
        let (me, root) = (self.sight.me, self.pick(roots).unwrap_or_default());
        Some(Action::Attest { sealed, word: word::<C>(&me, &root, &salt(&me)) })
    }

    pub(super) fn open_seal(&mut self) -> Option<Action> {
        let id = self.waiting()?;
        let sealed = self.state.sealed(&id)?.clone();
        let salt = salt(&sealed.executor);
        let mut statement = self.statements().find(|one| {
            seal::<C>(&sealed.executor, &one.terms.sequence_root, &salt) == sealed.seal
        })?;
        statement.terms.job = sealed.job;
        Some(Action::OpenClaim { sealed: id, statement, salt })
    }

    pub(super) fn prove(&mut self) -> Option<Action> {
        let fits = self.state.claims().filter(|(_, claim)| claim.sealed.is_some());
        let all: Vec<_> = fits.map(|(id, _)| *id).collect();
        Some(Action::ProveAttention { claim: self.pick(all)?, salt: salt(&self.sight.me) })
    }
}
