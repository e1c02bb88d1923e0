//! The root of all that a ledger keeps: what a snapshot is checked by.

use alloc::collections::BTreeSet;

use super::Settlement;
use super::records::{Account, ChallengeRecord, ClaimRecord, Record};
use crate::encoding::{Canonical, canonical_struct};
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::merkle::{TreeShape, empty_subtree};
use crate::streamed::StreamedTree;
use crate::transaction::Address;

/// What the root of a snapshot is the hash of: the ledger, its clock and money, and the tree of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SnapshotHead {
    /// Hash of the ledger's genesis.
    pub genesis: Digest,
    /// Time of the last accepted transaction.
    pub now_ms: u64,
    /// Free money of all accounts.
    pub free_wei: u128,
    /// Money that objects hold.
    pub locked_wei: u128,
    /// Money that is gone.
    pub burned_wei: u128,
    /// Money that came in.
    pub deposited_wei: u128,
    /// Money that went out.
    pub withdrawn_wei: u128,
    /// Number of accounts.
    pub accounts: u64,
    /// Number of models.
    pub models: u64,
    /// Number of jobs.
    pub jobs: u64,
    /// Number of claims.
    pub claims: u64,
    /// Number of challenges.
    pub challenges: u64,
    /// Number of sealed claims.
    pub sealed: u64,
    /// Number of attestations.
    pub attestations: u64,
    /// Root of the tree whose leaves are the records, kinds in the order of these numbers, each kind by its keys;
    /// of none, the empty leaf.
    pub records: Digest,
}
canonical_struct!(SnapshotHead {
    genesis,
    now_ms,
    free_wei,
    locked_wei,
    burned_wei,
    deposited_wei,
    withdrawn_wei,
    accounts,
    models,
    jobs,
    claims,
    challenges,
    sealed,
    attestations,
    records,
});

impl SnapshotHead {
    /// The root of the snapshot.
    pub fn root(&self) -> Digest {
        self.root_under::<Keccak>()
    }

    /// As [`SnapshotHead::root`], under any commitment.
    pub fn root_under<C: Commitment>(&self) -> Digest {
        C::tagged_value(Tag::Snapshot, self)
    }

    fn count(&mut self, record: &Record) {
        let count = match record {
            Record::Account { .. } => &mut self.accounts,
            Record::Model { .. } => &mut self.models,
            Record::Job { .. } => &mut self.jobs,
            Record::Claim { .. } => &mut self.claims,
            Record::Challenge { .. } => &mut self.challenges,
            Record::Sealed { .. } => &mut self.sealed,
            Record::Attestation { .. } => &mut self.attestations,
        };
        *count = count.saturating_add(1);
    }
}

impl<C: Commitment> Settlement<C> {
    /// The root of all that the ledger keeps. It reads every object, and is for snapshots only: no rule needs it, and
    /// neither does a chain, whose own state has a root.
    ///
    /// Under it is all that a decision can depend on: genesis, clock, money, nonces and every object; and with that
    /// what the ledger says of them, also why a claim fell. So two machines that accepted the same transactions in
    /// the same order and at the same times have the same root, and two with the same root go on alike. Not under it
    /// are what is known of claims and the asks themselves, of which a challenge keeps the hash: no rule reads more,
    /// and both follow from the log. The lists of a job's claims and of a claim's challenges follow from the numbers
    /// in these.
    pub fn root(&self) -> Digest {
        self.snapshot_head().root_under::<C>()
    }

    /// What the root is the hash of.
    pub fn snapshot_head(&self) -> SnapshotHead {
        let money = self.money();
        let mut head = SnapshotHead {
            genesis: self.genesis.root(),
            now_ms: self.now_ms,
            free_wei: money.free_total_wei(),
            locked_wei: money.locked_wei(),
            burned_wei: money.burned_wei(),
            deposited_wei: money.deposited_wei(),
            withdrawn_wei: money.withdrawn_wei(),
            ..SnapshotHead::default()
        };
        let (mut tree, mut count) = (StreamedTree::<C>::new(), 0);
        for record in self.records() {
            head.count(&record);
            tree.push(0, C::leaf(&record.to_canonical()));
            count += 1;
        }
        head.records = match TreeShape::list(count) {
            Some(shape) => tree.take_root(shape.depth()),
            None => empty_subtree::<C>(0),
        };
        head
    }

    /// All that the ledger keeps, in the order of the tree under the root.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let models = self.models.iter();
        let jobs = self.jobs.iter();
        let claims = self.claims.iter();
        let challenges = self.challenges.iter();
        let sealed = self.sealed.iter();
        let attestations = self.attestations.iter();
        self.account_records()
            .chain(
                models.map(|(root, header)| Record::Model { root: *root, header: header.clone() }),
            )
            .chain(jobs.map(|(id, job)| Record::Job { id: *id, job: job.clone() }))
            .chain(claims.map(|(id, one)| Record::Claim { id: *id, claim: ClaimRecord::of(one) }))
            .chain(challenges.map(|(id, one)| {
                let challenge = ChallengeRecord::of::<C>(one);
                Record::Challenge { id: *id, challenge }
            }))
            .chain(sealed.map(|(id, one)| Record::Sealed { id: *id, sealed: one.clone() }))
            .chain(attestations.map(|((sealed, attester), one)| {
                let (sealed, attester, attestation) = (*sealed, *attester, one.clone());
                Record::Attestation { sealed, attester, attestation }
            }))
    }

    /// Who was given money, and who sent something, by address.
    fn account_records(&self) -> impl Iterator<Item = Record> {
        let given = self.money.accounts().map(|(address, _)| *address);
        let addresses: BTreeSet<Address> = given.chain(self.nonces.keys().copied()).collect();
        addresses.into_iter().map(|address| {
            let free_wei = self.money.knows(&address).then(|| self.money.free_wei(&address));
            let account = Account { free_wei, nonce: self.nonce(&address) };
            Record::Account { address, account }
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
