//! What the rules of money give to everybody, counted apart from the ledger: from what was accepted and what the
//! ledger says became of it, by the formulas of `docs/protocol.md`, section 9, written out here again.

mod given;

use std::collections::{BTreeMap, BTreeSet};

use protocol::asks::{Ask, Place, Tree};
use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId, JobId, SealedId};
use protocol::settlement::{Event, Parameters, Settlement, challenge_id_under};
use protocol::transaction::{Action, Address, JobTerms};

use super::{Audit, Invariant, Surroundings, Violation};

/// A standing claim, as far as money goes, or one that fell.
#[derive(Clone, Debug, Default)]
struct Claimed {
    executor: Address,
    stake_wei: u128,
    /// Its challenges that have not ended.
    open: u128,
    /// The work of those of them that are served.
    work: u128,
    /// Attesters who proved that they had run it.
    proofs: u128,
    /// What each attester with a proof is paid, once it is final.
    attention_share_wei: u128,
    /// What others than the one that convicted are paid, once it fell.
    unit_wei: u128,
    share_wei: u128,
}

/// A challenge that has not ended.
#[derive(Clone, Debug, Default)]
struct Challenged {
    bond_wei: u128,
    fees_wei: u128,
    asks: u128,
    /// Answers that it got, but for those about inputs and outputs.
    replies: u128,
    served: bool,
    /// What it waits for: something about an input or an output, or something else.
    waits_for_end: Option<bool>,
}

impl Challenged {
    fn work(&self) -> u128 {
        if self.served { 2 + self.asks } else { 0 }
    }
}

/// Everybody's money by the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    free_wei: BTreeMap<Address, u128>,
    /// What burned of each account's money.
    burned_wei: BTreeMap<Address, u128>,
    claims: BTreeMap<ClaimId, Claimed>,
    challenges: BTreeMap<ChallengeId, Challenged>,
    posters: BTreeMap<JobId, Address>,
    /// Who sealed what, and the stakes that seals hold.
    seals: BTreeMap<SealedId, (Address, u128)>,
    /// Fees that a challenger paid an executor in challenges that it took back.
    looked_wei: BTreeMap<(Address, Address), u128>,
    /// Bonds of words, and whether each was proven.
    words: BTreeMap<(SealedId, Address), (u128, bool)>,
    /// Whose money was moved since the last look.
    touched: Vec<Address>,
    /// Who paid more than it had, by these books.
    overdrawn: Option<Address>,
}

impl Accounts {
    /// What has burned of an account's money.
    pub(crate) fn burned_of_wei(&self, account: &Address) -> u128 {
        self.burned_wei.get(account).copied().unwrap_or_default()
    }

    /// What challengers of one kind paid executors of another in challenges that they took back.
    pub(crate) fn looked_wei(&self, counts: impl Fn(&Address, &Address) -> bool) -> u128 {
        let paid = self.looked_wei.iter().filter(|((one, other), _)| counts(one, other));
        paid.map(|(_, wei)| wei).sum()
    }

    fn pays(&mut self, account: Address, amount_wei: u128) {
        let free_wei = self.free_wei.entry(account).or_default();
        match free_wei.checked_sub(amount_wei) {
            Some(left_wei) => *free_wei = left_wei,
            None => self.overdrawn = self.overdrawn.or(Some(account)),
        }
        self.touched.push(account);
    }

    fn gets(&mut self, account: Address, amount_wei: u128) {
        *self.free_wei.entry(account).or_default() += amount_wei;
        self.touched.push(account);
    }

    fn burns(&mut self, account: Address, amount_wei: u128) {
        *self.burned_wei.entry(account).or_default() += amount_wei;
    }

    fn pays_for_record(&mut self, parameters: &Parameters, account: Address) {
        self.pays(account, parameters.record_fee_wei);
        self.burns(account, parameters.record_fee_wei);
    }

    /// Takes down an accepted transaction with what became of it.
    pub(crate) fn settle<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        sender: Address,
        action: &Action,
        events: &[Event],
    ) {
        self.takes(state, sender, action);
        for event in events {
            self.gives(state, sender, action, event);
        }
    }

    /// What a transaction takes from its sender, and what its ask adds to a challenge.
    fn takes<C: Commitment>(&mut self, state: &Settlement<C>, sender: Address, action: &Action) {
        let parameters = state.parameters();
        match action {
            Action::Deposit { account, amount_wei } => self.gets(*account, *amount_wei),
            Action::Withdraw { amount_wei } => self.pays(sender, *amount_wei),
            Action::RegisterModel { .. } => self.pays_for_record(parameters, sender),
            Action::PostJob { terms } => {
                self.pays_for_record(parameters, sender);
                self.pays(sender, locked_of_wei(terms));
            }
            Action::PostClaim { statement } => {
                self.pays_for_record(parameters, sender);
                self.pays(sender, stake_of_wei(state, &statement.terms.job));
            }
            Action::SealClaim { job, .. } => {
                self.pays_for_record(parameters, sender);
                self.pays(sender, stake_of_wei(state, job));
            }
            Action::Attest { sealed, .. } => {
                self.pays_for_record(parameters, sender);
                self.pays(sender, parameters.attest_bond_wei);
                self.words.insert((*sealed, sender), (parameters.attest_bond_wei, false));
            }
            Action::Challenge { claim } => self.challenges(state, sender, claim),
            Action::Demand { claim, ask, .. } => self.demands(state, sender, claim, ask),
            // What these move is told by what became of them.
            Action::ExpireJob { .. }
            | Action::Reveal { .. }
            | Action::Refute { .. }
            | Action::CallTime { .. }
            | Action::Finalise { .. }
            | Action::OpenClaim { .. }
            | Action::ProveAttention { .. }
            | Action::ExpireSeal { .. }
            | Action::WithdrawChallenge { .. }
            | Action::Collect { .. }
            | Action::Release { .. }
            | Action::Pass { .. }
            | Action::CollectAttention { .. } => {}
        }
    }

    fn challenges<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        challenger: Address,
        id: &ClaimId,
    ) {
        let parameters = state.parameters();
        let claim = self.claims.entry(*id).or_default();
        let bond_wei = bond_of_wei(parameters, claim.stake_wei);
        let served = claim.open < u128::from(parameters.served_max);
        claim.open += 1;
        claim.work += if served { 2 } else { 0 };
        let challenge = Challenged { bond_wei, served, ..Challenged::default() };
        self.challenges.insert(challenge_id_under::<C>(*id, challenger), challenge);
        self.pays_for_record(parameters, challenger);
        self.pays(challenger, bond_wei);
    }

    fn demands<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        challenger: Address,
        id: &ClaimId,
        ask: &Ask,
    ) {
        let parameters = state.parameters();
        let (fees, is_end) = price_of(state, id, ask);
        let fee_wei = parameters.demand_fee_wei.saturating_mul(fees);
        self.pays(challenger, fee_wei);
        self.claims.entry(*id).or_default().work += 1;
        let challenge =
            self.challenges.entry(challenge_id_under::<C>(*id, challenger)).or_default();
        challenge.fees_wei += fee_wei;
        challenge.asks += 1;
        challenge.waits_for_end = Some(is_end);
    }

    /// A challenge was answered.
    pub(super) fn answered(&mut self, id: &ChallengeId) {
        if let Some(challenge) = self.challenges.get_mut(id) {
            let is_end = challenge.waits_for_end.take();
            challenge.replies += if is_end == Some(false) { 1 } else { 0 };
        }
    }
}

/// What a job locks of its poster's money.
fn locked_of_wei(terms: &JobTerms) -> u128 {
    let iterations = u128::from(terms.iterations_max);
    let fees_wei = terms.fee_wei.saturating_add(terms.fee_iteration_wei.saturating_mul(iterations));
    fees_wei.saturating_add(terms.attention_wei)
}

fn stake_of_wei<C: Commitment>(state: &Settlement<C>, job: &JobId) -> u128 {
    state.job(job).map_or(0, |job| job.terms.stake_wei)
}

fn permille_of_wei(amount_wei: u128, permille: u32) -> u128 {
    // No amount of a world comes near the 118 bits for which this holds.
    amount_wei.saturating_mul(u128::from(permille)) / 1_000
}

fn bond_of_wei(parameters: &Parameters, stake_wei: u128) -> u128 {
    let share_wei = permille_of_wei(stake_wei, parameters.bond_permille);
    share_wei.max(parameters.bond_wei_min).min(parameters.bond_wei_max)
}

/// How many fees an ask costs, and whether it is about an input or an output: a fee for as many leaves of one as an
/// ask about anything else shows, one for each other ask. Of runs of one iteration.
fn price_of<C: Commitment>(state: &Settlement<C>, id: &ClaimId, ask: &Ask) -> (u128, bool) {
    let (place, shows_leaves) = match ask {
        Ask::Say { .. } => return (1, false),
        Ask::Open { place } => (place, false),
        Ask::Leaves { place } => (place, true),
    };
    let claim = state.claim(id);
    let layers = claim
        .and_then(|claim| state.model(&claim.terms.model_root))
        .map_or(0, |header| header.layer_count);
    let (is_end, is_bound) = match place.tree {
        Tree::Input { .. } | Tree::Output { .. } => (true, true),
        Tree::State { boundary, .. } => (boundary == 0 || boundary == layers, false),
        Tree::Sequence {}
        | Tree::Trace { .. }
        | Tree::Subtrace { .. }
        | Tree::Tensor { .. }
        | Tree::Accumulators { .. } => (false, false),
    };
    let leaves = if shows_leaves && is_bound { leaves_under(place) } else { 1 };
    let ordinary = 1 << state.parameters().arity_log2.saturating_sub(3);
    (leaves.div_ceil(ordinary), is_end)
}

/// Leaves under a place of a tensor's tree.
fn leaves_under(place: &Place) -> u128 {
    let depth = place.kind.shape().map_or(0, |shape| shape.depth());
    1 << depth.saturating_sub(place.depth).min(64)
}

impl<C: Commitment> Audit<C> {
    /// Whether everybody whose money a transaction moved has exactly what the rules give.
    pub(super) fn paid(&mut self, around: &Surroundings<'_>, state: &Settlement<C>) {
        for account in std::mem::take(&mut self.books.accounts.touched) {
            self.is_paid(around, state, &account);
        }
        // What went to others than the rules pay.
        let books = &self.books.accounts;
        let due_wei = [&books.free_wei, &books.burned_wei].map(|book| book.values().sum::<u128>());
        let found_wei = [state.money().free_total_wei(), state.money().burned_wei()];
        let overdrawn = books.overdrawn;
        if found_wei != due_wei || overdrawn.is_some() {
            let [[free, burned], [due, to_burn]] = [found_wei, due_wei];
            let more =
                overdrawn.map_or_else(String::new, |one| format!("; {one} paid more than it had"));
            let detail = format!(
                "{free} wei are free and {burned} wei burned, by the rules {due} wei and {to_burn} wei{more}"
            );
            self.is_unpaid(around.now_ms, detail);
        }
    }

    /// Whether everybody has exactly what the rules give.
    pub(super) fn all_paid(&mut self, around: &Surroundings<'_>, state: &Settlement<C>) {
        let known = self.books.accounts.free_wei.keys();
        let accounts: BTreeSet<Address> =
            state.money().accounts().map(|(account, _)| account).chain(known).copied().collect();
        for account in &accounts {
            self.is_paid(around, state, account);
        }
    }

    fn is_paid(&mut self, around: &Surroundings<'_>, state: &Settlement<C>, account: &Address) {
        if let Some(count) = self.checks.get_mut(Invariant::PaidByTheRules as usize) {
            *count += u64::from(!self.stopped);
        }
        let found_wei = state.money().free_wei(account);
        let due_wei = self.books.accounts.free_wei.get(account).copied().unwrap_or_default();
        if found_wei != due_wei {
            let detail = format!("{account} has {found_wei} wei, by the rules {due_wei} wei");
            self.is_unpaid(around.now_ms, detail);
        }
    }

    fn is_unpaid(&mut self, at_ms: u64, detail: String) {
        if self.unpaid.is_none() && !self.stopped {
            self.unpaid = Some(Violation { invariant: Invariant::PaidByTheRules, at_ms, detail });
        }
    }

    /// Tells of the first payment that was not by the rules, if nothing else went wrong: whatever moves money wrongly
    /// is found here too, and most of it has an invariant that says more.
    pub(crate) fn tell_unpaid(&mut self) {
        if self.violations.is_empty() {
            self.violations.extend(self.unpaid.take());
        }
    }
}
