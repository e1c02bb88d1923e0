//! What must hold after every transaction, and at the end.

use std::sync::LazyLock;

use protocol::ClaimId;
use protocol::asks::{Answer, Ask};
use protocol::hash::Digest;
use protocol::settlement::{AttestationStatus, ChallengeStatus, ClaimStatus, Event, Rejection};
use protocol::transaction::{Action, Address};

use crate::checks::{burned_by_wei, check_objects};
use crate::decisions::check_decision;
use crate::library::{LIBRARY, grown_of};
use crate::world::{ATTESTER, BANK, CHALLENGER, EXECUTOR, HONEST, POSTER, Posed, Verdict, World};

/// A transaction with what its sender had before it, in wei.
struct Done<'a> {
    had_wei: u128,
    who: Address,
    action: &'a Action,
}

/// Whether counts and sums are not looked at: then a game goes wrong by what somebody loses, or not at all.
static LOSSES_ALONE: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("REBUT_LEGAL_LOSSES").is_some());

fn fails(text: impl Into<String>) -> Verdict {
    Err(text.into())
}

impl World {
    /// A transaction that must be accepted.
    ///
    /// # Errors
    /// When it is not, or something does not hold after it.
    pub(crate) fn must(&mut self, who: Address, action: &Action) -> Verdict {
        match self.send(who, action)? {
            None => Ok(()),
            Some(rejection) => fails(format!("{who}: {} is refused: {rejection}", action.name())),
        }
    }

    /// A transaction of anybody; says why it was refused, if it was.
    ///
    /// # Errors
    /// When something does not hold after it.
    pub(crate) fn send(
        &mut self,
        who: Address,
        action: &Action,
    ) -> Result<Option<Rejection>, String> {
        let (before, brings_wei) = (self.state.clone(), std::mem::take(&mut self.brings_wei));
        let due = self.is_due(action);
        let outcome = self.state.perform(self.now_ms, who, brings_wei, action);
        self.sent += 1;
        self.tell(who, action, &outcome);
        // Dear, so not each time.
        if self.sent.is_multiple_of(8) && brings_wei == 0 {
            check_decision(&before, &self.state, (self.now_ms, who), action, &outcome);
        }
        if due.is_some_and(|due| due != outcome.is_ok()) {
            let name = action.name();
            return Err(format!(
                "{name} is due or not, and the ledger says otherwise: {outcome:?}"
            ));
        }
        match outcome {
            Ok(events) => {
                let burned_wei = self.state.money().burned_wei() - before.money().burned_wei();
                if burned_wei != burned_by_wei(&self.state, &events) {
                    return Err("more or less burns than is told".to_owned());
                }
                *self.counts.entry(action.name().to_owned()).or_default() += 1;
                if self.sent.is_multiple_of(4) && !*LOSSES_ALONE {
                    check_objects(&self.state);
                }
                let had_wei = before.money().free_wei(&who) + brings_wei;
                self.check_accepted(&Done { had_wei, who, action }, &events)?;
                Ok(None)
            }
            Err(rejection) => {
                if self.sent.is_multiple_of(8) && before != self.state {
                    return Err("a refused transaction changed the state".to_owned());
                }
                Ok(Some(rejection))
            }
        }
    }

    fn tell(&mut self, who: Address, action: &Action, outcome: &Result<Vec<Event>, Rejection>) {
        let now_ms = self.now_ms;
        if let Some(told) = &mut self.told {
            let what = match action {
                Action::Demand { ask, .. } => format!("demand {:?} {:?}", ask.tree(), ask.node()),
                Action::Reveal { ask, .. } => format!("reveal {:?} {:?}", ask.tree(), ask.node()),
                Action::Refute { refutation, .. } => {
                    let text = format!("{refutation:?}");
                    format!("refute {}", text.split("operands").next().unwrap_or_default())
                }
                _ => action.name().to_owned(),
            };
            let how = match outcome {
                Ok(_) => "accepted".to_owned(),
                Err(rejection) => rejection.to_string(),
            };
            told.push(format!("{now_ms:>9} {:02x} {what}: {how}", who.0[0]));
        }
    }

    fn check_accepted(&mut self, done: &Done<'_>, events: &[Event]) -> Verdict {
        let Done { had_wei, who, action } = done;
        let record_fee_wei = self.state.parameters().record_fee_wei;
        let keeps = matches!(
            action,
            Action::RegisterModel { .. }
                | Action::PostJob { .. }
                | Action::PostClaim { .. }
                | Action::Challenge { .. }
                | Action::SealClaim { .. }
                | Action::Attest { .. }
        );
        if keeps && *had_wei <= self.free_wei(who) {
            return fails(format!("{} is kept for nothing", action.name()));
        }
        if keeps {
            *self.records_wei.entry(*who).or_default() += record_fee_wei;
        }
        if let Action::Deposit { account, amount_wei } = action {
            *self.deposited_wei.entry(*account).or_default() += amount_wei;
        }
        if let Action::Refute { refutation, .. } = action {
            let found = match events.first() {
                Some(Event::ClaimFallen { .. }) => "fraud",
                _ => "sound",
            };
            let text = format!("{refutation:?}");
            let name = text.split_whitespace().next().unwrap_or_default();
            *self.counts.entry(format!("{found} {name}")).or_default() += 1;
        }
        if let Action::Reveal { claim, ask, answer, .. } = action {
            self.keep_junk(claim, ask, answer);
        }
        for event in events {
            self.check_event(event)?;
            if !*LOSSES_ALONE {
                self.check_formulas(event)?;
            }
        }
        Ok(())
    }

    /// Remembers what was said, whoever made it up.
    fn keep_junk(&mut self, claim: &ClaimId, ask: &Ask, answer: &Answer) {
        let tree = *ask.tree();
        let one = self.state.claim(claim).expect("it was answered for");
        let (book, root) = (&LIBRARY.books[self.claims[claim].book], one.said.get(&tree));
        let is_said = matches!(ask, Ask::Say { .. });
        if let (true, Some(root), Some(grown)) = (is_said, root, grown_of(ask, answer)) {
            self.junk.entry((book.model, tree, *root)).or_insert(grown);
        }
    }

    fn check_event(&mut self, event: &Event) -> Verdict {
        match event {
            Event::ClaimPosted { claim, .. } => self.posed(*claim),
            Event::Demanded { challenge, ask } => {
                let one = self.state.challenge(challenge).expect("it was asked in it");
                let (claim, challenger) = (one.claim, one.challenger);
                self.is_answerable(claim, challenger, ask)
            }
            Event::ClaimFallen { claim, burned_wei, .. } => {
                let one = self.state.claim(claim).expect("it fell");
                if one.executor == EXECUTOR {
                    return fails("a claim of the honest executor fell");
                }
                if *burned_wei < one.stake_wei / 2 {
                    return fails("less than half of a stake burns");
                }
                self.is_whole(*claim)
            }
            Event::ClaimFinal { claim, .. } if !self.claims[claim].is_true => {
                fails("a false claim is final")
            }
            Event::ChallengeLost { challenger: CHALLENGER, .. } => {
                fails("an honest challenge was lost")
            }
            Event::AttentionCollected { attester: ATTESTER, burned_wei: 1.., .. } => {
                fails("the honest attester lost its bond")
            }
            _ => Ok(()),
        }
    }

    /// Remembers what a claim is of. The honest challenger has, for each false one, the largest bond and the fees.
    fn posed(&mut self, claim: ClaimId) -> Verdict {
        let one = self.state.claim(&claim).expect("it was posted");
        let book = LIBRARY.of_claim(&one.terms);
        let job = self.state.job(&one.terms.job).expect("it was posted");
        let is_true = LIBRARY.books[book].is_true(&job.terms);
        self.claims.insert(claim, Posed { book, is_true });
        let parameters = self.state.parameters();
        let fees_wei = parameters.demand_fee_wei * u128::from(parameters.demands_max);
        let needed_wei = parameters.bond_wei_max + parameters.record_fee_wei + fees_wei;
        if is_true { Ok(()) } else { self.fund(CHALLENGER, needed_wei) }
    }

    /// Who convicts a claim has its whole cost.
    fn is_whole(&self, claim: ClaimId) -> Verdict {
        let ClaimStatus::Fallen { challenge, .. } =
            self.state.claim(&claim).expect("it fell").status
        else {
            return fails("a fallen claim did not fall");
        };
        let one = self.state.challenge(&challenge).expect("it made it fall");
        let cost_wei = self.state.parameters().work_cost_wei * u128::from(one.work());
        match one.status {
            ChallengeStatus::Won { reward_wei } if reward_wei >= cost_wei => Ok(()),
            _ => fails("who convicted a claim has not its whole cost"),
        }
    }

    /// Every accepted ask about the honest executor's claim has exactly one accepted answer, at once and
    /// whatever else waits.
    fn is_answerable(&self, claim: ClaimId, challenger: Address, ask: &Ask) -> Verdict {
        if self.state.claim(&claim).expect("it is asked about").executor != EXECUTOR {
            return Ok(());
        }
        let answer = self.honest_answer(&claim, ask);
        let reveal = |answer| Action::Reveal {
            claim,
            challengers: vec![challenger],
            ask: ask.clone(),
            answer,
        };
        for wrong in others(&answer) {
            let said = matches!(ask, Ask::Say { .. });
            let mut copy = self.state.clone();
            if !said && copy.perform(self.now_ms, EXECUTOR, 0, &reveal(wrong)).is_ok() {
                return fails(format!("another answer to {:?} is accepted", ask.tree()));
            }
        }
        let mut copy = self.state.clone();
        match copy.perform(self.now_ms, EXECUTOR, 0, &reveal(answer)) {
            Ok(_) => Ok(()),
            Err(rejection) => {
                fails(format!("the answer to {:?} is refused: {rejection}", ask.tree()))
            }
        }
    }

    /// What the honest executor answers.
    pub(crate) fn honest_answer(&self, claim: &ClaimId, ask: &Ask) -> Answer {
        let book = &LIBRARY.books[self.claims[claim].book];
        book.trees[ask.tree()].answer(ask, self.state.parameters().arity_log2)
    }

    /// No claim stands longer than its bound says, where all is done that anybody may do.
    pub(crate) fn check_bounds(&self) -> Verdict {
        if self.habits.lazy_ms > 0 {
            return Ok(());
        }
        for (_, claim) in self.state.claims().filter(|(_, claim)| claim.stands()) {
            if self.now_ms > self.state.final_by_ms(claim) {
                return fails("a claim stands longer than its bound");
            }
        }
        Ok(())
    }

    /// Everything is over: nobody honest lost more than its own record fees and the fees of its jobs.
    pub(crate) fn check_end(&self) -> Verdict {
        check_objects(&self.state);
        if self.state.money().locked_wei() > 0 {
            return fails("something is held for ever");
        }
        for account in HONEST {
            let of = |all: &std::collections::BTreeMap<Address, u128>| {
                all.get(&account).copied().unwrap_or_default()
            };
            let paid_wei = if account == POSTER { self.paid_by_poster_wei() } else { 0 };
            let has_wei = self.free_wei(&account) + of(&self.records_wei) + paid_wei;
            if has_wei < of(&self.deposited_wei) {
                let lost_wei = of(&self.deposited_wei) - has_wei;
                return fails(format!("{account}, honest, lost {lost_wei} wei"));
            }
        }
        Ok(())
    }

    /// Fees of final claims on the poster's jobs, and what their attesters were paid.
    fn paid_by_poster_wei(&self) -> u128 {
        let claims = self.state.claims().filter_map(|(_, claim)| {
            let job = self.state.job(&claim.terms.job)?;
            let ClaimStatus::Final { attention_share_wei, .. } = claim.status else {
                return None;
            };
            let iterations = u128::from(claim.terms.iterations);
            let fee_wei = job.terms.fee_wei + job.terms.fee_iteration_wei * iterations;
            let paid_wei = fee_wei + attention_share_wei * u128::from(claim.proofs);
            (job.poster == POSTER).then_some(paid_wei)
        });
        claims.sum()
    }

    /// Whether an attester gave its word and has proven nothing yet.
    pub(crate) fn is_given(&self, sealed: &protocol::SealedId, attester: &Address) -> bool {
        let given = self.state.attestation(sealed, attester);
        given.is_some_and(|one| one.status == AttestationStatus::Given)
    }

    /// The bank takes part in nothing.
    pub(crate) fn is_chaos(&self, account: &Address) -> bool {
        *account != BANK && !HONEST.contains(account)
    }
}

/// Answers that differ from one in a single item.
pub(crate) fn others(answer: &Answer) -> Vec<Answer> {
    fn changed<T: Clone>(list: &[T], change: impl Fn(&mut T)) -> Vec<Vec<T>> {
        let (mut less, mut other) = (list.to_vec(), list.to_vec());
        less.pop();
        if let Some(last) = other.last_mut() {
            change(last);
        }
        vec![less, other]
    }
    let flip = |digest: &mut Digest| digest.0[31] ^= 1;
    match answer {
        Answer::Hashes { hashes } => {
            let all = changed(hashes, flip);
            let mut all: Vec<Answer> =
                all.into_iter().map(|hashes| Answer::Hashes { hashes }).collect();
            all.push(Answer::Roots { roots: hashes.clone() });
            all
        }
        Answer::Roots { roots } => {
            changed(roots, flip).into_iter().map(|roots| Answer::Roots { roots }).collect()
        }
        Answer::Values { values } => {
            let all = changed(values, |(value, _)| *value ^= 1);
            all.into_iter().map(|values| Answer::Values { values }).collect()
        }
        Answer::Leaves { leaves } => {
            let all = changed(leaves, |leaf| leaf[255] ^= 1);
            all.into_iter().map(|leaves| Answer::Leaves { leaves }).collect()
        }
    }
}
