//! What the rules promise to everybody: a claim can be challenged by whoever has the largest bond and the fees,
//! nothing is kept or held up for nothing, a job ends inside the ledger's parameters, and a signature counts on one
//! ledger alone. All of it is written out here from the parameters.

use ledger::words;
use protocol::hash::{Commitment, Digest};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{Genesis, Settlement};
use protocol::transaction::{Action, Address, Key};

use super::{Audit, Invariant, Surroundings};

/// An account that no party of a world has.
const STRANGER: Address = Address([0xA5; 20]);

/// The longest time for claims that a job may have.
const OPEN_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;

impl<C: Commitment> Audit<C> {
    /// Whether anybody with the largest bond, a record fee and the fees of all demands can challenge a new claim.
    pub(super) fn challengeable(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ClaimId,
    ) {
        let parameters = state.parameters();
        let fees_wei = parameters.demand_fee_wei.saturating_mul(parameters.demands_max.into());
        let opening_wei = parameters.bond_wei_max.saturating_add(parameters.record_fee_wei);
        let amount_wei = opening_wei.saturating_add(fees_wei);
        let mut copy = state.clone();
        let deposit = Action::Deposit { account: STRANGER, amount_wei };
        let given = copy.perform(around.now_ms, state.genesis().bank, 0, &deposit);
        let taken = given.and_then(|_| {
            copy.perform(around.now_ms, STRANGER, 0, &Action::Challenge { claim: *id })
        });
        let left_wei = copy.money().free_wei(&STRANGER);
        let holds = taken.is_ok() && left_wei >= fees_wei;
        self.hold(Invariant::Challengeable, around.now_ms, holds, || {
            let why = taken.err().map_or_else(
                || format!("{left_wei} wei are left for its demands"),
                |rejection| rejection.to_string(),
            );
            format!("{id} cannot be challenged with {amount_wei} wei: {why}")
        });
    }

    /// Whether what a transaction makes everybody keep, or holds up, has its price.
    pub(super) fn priced(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        sender: &Address,
        action: &Action,
    ) {
        let parameters = state.parameters();
        let (held_wei, least_wei) = match action {
            Action::PostJob { terms } => (terms.locked_wei().unwrap_or_default().min(1), 1),
            Action::PostClaim { statement } => {
                let job = state.job(&statement.terms.job);
                (job.map_or(0, |job| job.terms.stake_wei), parameters.stake_wei_min)
            }
            Action::SealClaim { job, .. } => {
                let job = state.job(job);
                (job.map_or(0, |job| job.terms.stake_wei), parameters.stake_wei_min)
            }
            Action::Challenge { claim } => {
                let challenge = state.challenge_by(claim, sender);
                (challenge.map_or(0, |one| one.bond_wei), parameters.bond_wei_min)
            }
            Action::Attest { sealed, .. } => {
                let given = state.attestation(sealed, sender);
                (given.map_or(0, |one| one.bond_wei), parameters.attest_bond_wei)
            }
            Action::Deposit { amount_wei, .. } => (*amount_wei, parameters.transfer_wei_min),
            Action::Withdraw { amount_wei } => {
                // All that is left goes out whole, and nothing is no amount.
                let is_all = state.money().free_wei(sender) == 0 && *amount_wei > 0;
                let amount_wei = if is_all { parameters.transfer_wei_min } else { *amount_wei };
                (amount_wei, parameters.transfer_wei_min)
            }
            _ => return,
        };
        let holds = held_wei >= least_wei && least_wei > 0;
        self.hold(Invariant::NoFreeLock, around.now_ms, holds, || {
            format!("{} holds {held_wei} wei, {least_wei} at least", words::action(action))
        });
    }

    /// Whether a job that was taken is inside what the ledger's parameters allow.
    pub(super) fn inside_parameters(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &JobId,
    ) {
        let Some(job) = state.job(id) else { return };
        let (parameters, terms) = (state.parameters(), &job.terms);
        let further = u64::from(terms.iterations_max.saturating_sub(1));
        let least_ms = parameters
            .window_ms_min
            .saturating_add(parameters.window_iteration_ms.saturating_mul(further));
        let most_ms = parameters.window_ms_max.max(least_ms);
        let stake = parameters.stake_wei_min..=parameters.stake_wei_max;
        let holds = [
            ((least_ms..=most_ms).contains(&terms.window_ms), "its window"),
            (stake.contains(&terms.stake_wei), "its stake"),
            ((1..=OPEN_MS_MAX).contains(&terms.open_ms), "its time for claims"),
            (terms.iterations_max >= 1, "its iterations"),
        ];
        let wrong = holds.into_iter().find(|(holds, _)| !holds).map(|(_, what)| what);
        self.hold(Invariant::EndsInsideItsParameters, around.now_ms, wrong.is_none(), || {
            format!("{id}: {} is outside the ledger's parameters", wrong.unwrap_or_default())
        });
    }

    /// Whether a signature for this ledger is one for no other that began alike: under another salt, at another
    /// time, or on another chain.
    pub(crate) fn foreign_signatures(&mut self, now_ms: u64, genesis: &Genesis, seed: u64) {
        let mut secret = [0x11; 32];
        secret[24..].copy_from_slice(&seed.to_be_bytes());
        let Some(key) = Key::from_secret(&secret) else { return };
        let own = genesis.domain();
        let signed = key.sign(&own, 0, &Action::Withdraw { amount_wei: 1 });
        let mut salt = Digest::default();
        salt.0[..8].copy_from_slice(&seed.to_be_bytes());
        salt.0[31] = 1;
        let twins = [
            ("under another salt", Genesis { salt, ..genesis.clone() }),
            ("at another time", Genesis { begun_ms: genesis.begun_ms + 1, ..genesis.clone() }),
            ("on another chain", Genesis { chain_id: genesis.chain_id + 1, ..genesis.clone() }),
            ("by another bank", Genesis { bank: STRANGER, ..genesis.clone() }),
        ];
        let is_own = own.verify(&signed).is_ok();
        self.hold(Invariant::NoForeignSignature, now_ms, is_own, || {
            "a signature for this ledger does not count on it".to_owned()
        });
        for (how, twin) in twins {
            let counts = twin.domain().verify(&signed).is_ok();
            self.hold(Invariant::NoForeignSignature, now_ms, !counts, || {
                format!("a signature for this ledger counts on one that began {how}")
            });
        }
    }
}
