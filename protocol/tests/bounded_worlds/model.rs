//! What the adversary may do in every state, and what comes of it.

use protocol::settlement::rules::ChallengePhase;
use protocol::settlement::{Challenge, ChallengeStatus, Event, JobStatus, Settlement, Turn};
use protocol::transaction::{Action, Address};
use stateright::{Model, Property};

use crate::state::State;
use crate::world::{BANK, CHALLENGER, EXECUTOR, Executor, STRANGER, Sabotage, TICK_MS, World};

/// One transaction, or the end of a tick. Challengers and asks are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A challenger of the adversary's challenges.
    Opens(usize),
    /// It asks for something.
    Asks(usize, usize),
    /// It withdraws.
    Withdraws(usize),
    /// It refutes what is right.
    GivesUp(usize),
    /// Somebody calls time on a challenge.
    Calls(usize),
    /// The liar answers an ask: all that wait for it or one alone, with what is of its run or other.
    Answers { item: usize, alone: Option<usize>, junk: bool },
    /// Somebody makes the claim final.
    Finalises,
    /// Somebody collects for a challenger.
    Collects(usize),
    /// The bank pays in.
    Pays,
    /// What the honest party sent lands.
    Lands,
    /// The tick is over, and all that was sent has landed.
    Ticks,
    /// The tick is over, and what the honest party sent is lost.
    KeepsOut,
}

impl World {
    pub(crate) fn now_ms(&self, state: &State) -> u64 {
        state.tick * TICK_MS
    }

    pub(crate) fn challenges<'a>(
        &self,
        ledger: &'a Settlement,
    ) -> impl Iterator<Item = &'a Challenge> {
        let ids: Vec<_> = ledger.challenges_of(&self.claim).copied().collect();
        ids.into_iter().filter_map(|id| ledger.challenge(&id))
    }

    fn by_number<'a>(&self, ledger: &'a Settlement, who: usize) -> Option<&'a Challenge> {
        ledger.challenge_by(&self.claim, &self.challengers[who])
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_over(&self, ledger: &Settlement) -> bool {
        let claim = ledger.claim(&self.claim).expect("it was posted");
        !claim.stands() && self.challenges(ledger).all(|one| !one.is_open())
    }

    /// A transaction: whether it was accepted.
    pub(crate) fn act(&self, next: &mut State, at_ms: u64, who: Address, action: &Action) -> bool {
        let calls = matches!(action, Action::CallTime { .. });
        if calls && self.setup.sabotage == Sabotage::NobodyCalls {
            return false;
        }
        let before = next.ledger.clone();
        let Ok(events) = next.ledger.perform(at_ms, who, 0, action) else {
            return false;
        };
        self.count(action.name());
        if let Some(fault) = self.fault_of(&before, &next.ledger, who, action) {
            next.fault = next.fault.or(Some(fault));
        }
        self.watch(next, action, &events);
        true
    }

    /// Counts what is worth it, and remembers what everybody has seen.
    fn watch(&self, next: &mut State, action: &Action, events: &[Event]) {
        for event in events {
            match event {
                Event::ChallengeServed { .. } => self.count("served after waiting"),
                Event::ClaimFinal { .. } => self.count("final"),
                Event::ClaimFallen { reason, .. } => match reason {
                    protocol::settlement::FallReason::Refuted(_) => self.count("convicted"),
                    protocol::settlement::FallReason::Silence(_) => self.count("fell by silence"),
                },
                Event::ChallengeLost { .. } => self.count("lost"),
                _ => {}
            }
        }
        if let Action::Reveal { ask, challengers, .. } = action {
            let waits = |who: &&Address| {
                let one = next.ledger.challenge_by(&self.claim, who);
                one.is_some_and(|one| {
                    let now_ms = next.ledger.now_ms();
                    let since = ChallengeStatus::Open { turn: Turn::Challenger, since_ms: now_ms };
                    one.last_ask() == Some(ask) && one.status == since
                })
            };
            let served = challengers.iter().filter(waits).count();
            if served > 1 {
                self.count("answered together");
            }
            if served < challengers.len() {
                self.count("named in vain");
            }
            if self.setup.challenger {
                next.known |= 1 << self.item(ask);
            }
        }
    }

    /// Somebody calls time as soon as it can be called, and makes the claim final: until the next tick.
    fn keep(&self, next: &mut State, until_ms: u64) {
        let floor_ms = next.ledger.parameters().move_floor_ms;
        loop {
            let claim = next.ledger.claim(&self.claim).expect("it was posted");
            if !claim.stands() {
                return;
            }
            let by_ms = next.ledger.final_by_ms(claim);
            let deadline = |one: &Challenge| Some((one.deadline_ms(floor_ms)?, one.challenger));
            let (end_ms, action) = match self.challenges(&next.ledger).filter_map(deadline).min() {
                Some((at_ms, challenger)) => {
                    (at_ms, Action::CallTime { claim: self.claim, challenger })
                }
                None if claim.open == 0 => {
                    (claim.window_end_ms, Action::Finalise { claim: self.claim })
                }
                None => return,
            };
            // What happens at a tick, its parties do.
            let at_ms = (end_ms + 1).max(next.ledger.now_ms());
            if at_ms >= until_ms {
                return;
            }
            if at_ms > by_ms {
                next.fault = next.fault.or(Some("a claim stands longer than its bound"));
            }
            if !self.act(next, at_ms, STRANGER, &action) {
                return;
            }
        }
    }

    fn ends_tick(&self, next: &mut State) {
        let now_ms = (next.tick + 1) * TICK_MS;
        if self.setup.prompt {
            self.keep(next, now_ms);
        }
        next.tick += 1;
        next.plan = self.plan(&next.ledger, now_ms);
    }

    /// Transactions about a challenge of the adversary's own.
    fn steps_of(&self, state: &State, who: usize, steps: &mut Vec<Step>) {
        let (ledger, now_ms) = (&state.ledger, self.now_ms(state));
        let Some(one) = self.by_number(ledger, who) else {
            // One account is as good as the other: the first that has none.
            let first = (0..self.setup.sybils).find(|who| self.by_number(ledger, *who).is_none());
            let claim = ledger.claim(&self.claim).expect("it was posted");
            if first == Some(who) && claim.stands() && now_ms <= claim.window_end_ms {
                steps.push(Step::Opens(who));
            }
            return;
        };
        match ledger.phase_of(one, now_ms) {
            ChallengePhase::ChallengerToMove => {
                steps.extend((0..self.setup.menu.len()).map(|item| Step::Asks(who, item)));
                if one.can_be_withdrawn() {
                    steps.push(Step::Withdraws(who));
                }
                if self.setup.gives_up {
                    steps.push(Step::GivesUp(who));
                }
            }
            ChallengePhase::Queued
            | ChallengePhase::ExecutorToMove
            | ChallengePhase::ChallengerLate
            | ChallengePhase::ExecutorLate
            | ChallengePhase::Collectable
            | ChallengePhase::Ended => {}
        }
    }

    /// What anybody may do about a challenge.
    fn steps_about(&self, state: &State, who: usize, steps: &mut Vec<Step>) {
        let Some(one) = self.by_number(&state.ledger, who) else { return };
        match state.ledger.phase_of(one, self.now_ms(state)) {
            ChallengePhase::ChallengerLate | ChallengePhase::ExecutorLate => {
                steps.push(Step::Calls(who));
            }
            ChallengePhase::Collectable => steps.push(Step::Collects(who)),
            ChallengePhase::Queued
            | ChallengePhase::ChallengerToMove
            | ChallengePhase::ExecutorToMove
            | ChallengePhase::Ended => {}
        }
    }

    /// Each ask that waits for the liar: it answers all that wait, or one alone, with what is true of its run or other.
    fn steps_of_liar(&self, state: &State, steps: &mut Vec<Step>) {
        let now_ms = self.now_ms(state);
        let mut asked: Vec<(usize, Vec<usize>)> = Vec::new();
        for who in 0..self.challengers.len() {
            let Some(one) = self.by_number(&state.ledger, who) else { continue };
            let in_time = state.ledger.phase_of(one, now_ms) == ChallengePhase::ExecutorToMove;
            let Some(ask) = one.pending().filter(|_| in_time) else { continue };
            let item = self.item(ask);
            match asked.iter_mut().find(|(other, _)| *other == item) {
                Some((_, waiting)) => waiting.push(who),
                None => asked.push((item, vec![who])),
            }
        }
        for (item, waiting) in asked {
            let junks: &[bool] =
                if self.items[item].junk.is_some() { &[false, true] } else { &[false] };
            for junk in junks.iter().copied() {
                steps.push(Step::Answers { item, alone: None, junk });
                if waiting.len() > 1 {
                    let alone = |who: &usize| Step::Answers { item, alone: Some(*who), junk };
                    steps.extend(waiting.iter().map(alone));
                }
            }
        }
    }

    fn action_of_step(&self, state: &State, step: &Step) -> Option<(Address, Action)> {
        let claim = self.claim;
        let sent = match step {
            Step::Opens(who) => (self.challengers[*who], Action::Challenge { claim }),
            Step::Asks(who, item) => (self.challengers[*who], self.items[*item].demand.clone()),
            Step::Withdraws(who) => (self.challengers[*who], Action::WithdrawChallenge { claim }),
            Step::GivesUp(who) => {
                let challenger = self.challengers[*who];
                (challenger, self.refute(challenger, &self.sound))
            }
            Step::Calls(who) => {
                (STRANGER, Action::CallTime { claim, challenger: self.challengers[*who] })
            }
            Step::Answers { item, alone, junk } => {
                let named = match alone {
                    Some(who) => vec![self.challengers[*who]],
                    None => self.challengers.clone(),
                };
                (EXECUTOR, self.reveal(*item, named, *junk))
            }
            Step::Finalises => (STRANGER, Action::Finalise { claim }),
            Step::Collects(who) => {
                (STRANGER, Action::Collect { claim, challenger: self.challengers[*who] })
            }
            Step::Pays => {
                let amount_wei = state.ledger.parameters().transfer_wei_min;
                (BANK, Action::Deposit { account: CHALLENGER, amount_wei })
            }
            Step::Lands | Step::Ticks | Step::KeepsOut => return None,
        };
        Some(sent)
    }
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let ledger = self.start.clone();
        let plan = self.plan(&ledger, TICK_MS);
        let kept_out = self.setup.kept_out;
        vec![State { ledger, tick: 1, plan, kept_out, known: 0, fault: None }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if self.is_over(&state.ledger) || state.tick >= self.setup.ticks {
            return;
        }
        for who in 0..self.setup.sybils {
            self.steps_of(state, who, steps);
        }
        for who in 0..self.challengers.len() {
            self.steps_about(state, who, steps);
        }
        if self.setup.executor == Executor::Liar {
            self.steps_of_liar(state, steps);
        }
        let claim = state.ledger.claim(&self.claim).expect("it was posted");
        let open = state.ledger.job(&self.job).is_some_and(|job| job.status == JobStatus::Open);
        if open && claim.stands() && claim.open == 0 && self.now_ms(state) > claim.window_end_ms {
            steps.push(Step::Finalises);
        }
        if self.setup.sabotage == Sabotage::BankPays {
            steps.push(Step::Pays);
        }
        if !claim.stands() {
            // What is left to do needs no time.
            return;
        }
        match state.plan {
            Some(_) => {
                steps.push(Step::Lands);
                if state.kept_out > 0 {
                    steps.push(Step::KeepsOut);
                }
            }
            None => steps.push(Step::Ticks),
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let (mut next, now_ms) = (state.clone(), self.now_ms(state));
        match &step {
            Step::Lands => {
                let plan = next.plan.take()?;
                let accepted = self.act(&mut next, now_ms, self.sender(), &self.action_of(&plan));
                if !accepted {
                    self.count("the honest party's transaction is refused");
                }
            }
            Step::Ticks => self.ends_tick(&mut next),
            Step::KeepsOut => {
                next.kept_out -= 1;
                self.ends_tick(&mut next);
            }
            sent => {
                let (who, action) = self.action_of_step(state, sent)?;
                if !self.act(&mut next, now_ms, who, &action) {
                    return None;
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::properties::all(self.setup.only)
    }
}
