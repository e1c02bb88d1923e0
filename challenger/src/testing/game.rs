//! A dispute without a ledger, as a game: what the executor claims, then move by move what the
//! solver is expected to do and what the executor answers.
//!
//! ```text
//! game(&ladder(10)).computes_wrongly(operator, element).disputed()
//!     .expect_demand(trace(0, 0)).showing(&["trace"]).answered()
//!     …
//!     .expect_step(operator, element, segment).fraud();
//! ```

use std::sync::Arc;

use inference::{AnyRun, Honest, Run};
use protocol::asks::{
    Answer, Ask, Asking, Evidence, Finding, Proven, RefereeError, Refutation, Showing, fits, judge,
};
use protocol::encoding::Canonical as _;
use protocol::hash::Keccak;
use protocol::knowledge::Knowledge;
use protocol::settlement::Parameters;
use protocol::transaction::{Action, RunLength};

use super::models::Network;
use super::questions::{Question, shown};
use super::statement::{Inventing, Statement, Wrong};
use crate::honest_view::{Announcement, HonestView};
use crate::solver::{Divergence, Move, SolveError};

/// Demands of a game that is played to its end.
const DEMANDS_MAX: usize = 64;
/// Showings that the ledger takes with one move.
const SHOWINGS_MAX: usize = 16;

/// What can be asked on a ledger of so many levels an opening.
fn asking(arity_log2: u32) -> Asking {
    Parameters { arity_log2, ..Parameters::default() }.asking()
}

/// A claim about a network's input, and a challenger with a run of its own.
#[derive(Clone, Debug)]
pub(crate) struct Game {
    network: Network,
    own: AnyRun,
    statement: Statement,
    published: Announcement,
    arity_log2: u32,
}

/// Executor and challenger both have the honest run.
pub(crate) fn game(network: &Network) -> Game {
    let own = network.honest();
    let statement = Statement::of(&own);
    let published = Announcement::default();
    let own = AnyRun::Whole(own);
    Game { network: network.clone(), own, statement, published, arity_log2: 6 }
}

/// The challenger's run has no result; the executor invents ones, and has other values at these places too.
pub(crate) fn game_without_result(network: &Network, places: &[(u32, u64)]) -> Game {
    let own = network.any_run(Arc::new(Honest));
    assert!(own.no_result().is_some());
    let statement = Statement::of(&network.run(Arc::new(Inventing(places.to_vec()))));
    let published = Announcement::default();
    Game { network: network.clone(), own, statement, published, arity_log2: 6 }
}

impl Game {
    /// The executor's run has another value at an element of an operator's output, and all that
    /// follows from it.
    pub(crate) fn computes_wrongly(self, operator: u32, element: u64) -> Self {
        self.computes_all_wrongly(&[(operator, element)])
    }

    /// As [`Game::computes_wrongly`] at several places.
    pub(crate) fn computes_all_wrongly(mut self, places: &[(u32, u64)]) -> Self {
        let run = self.network.run(Arc::new(Wrong(places.to_vec())));
        self.statement = Statement::of(&run);
        self
    }

    /// Changes what the executor commits to or answers.
    pub(crate) fn says(mut self, change: impl FnOnce(&mut Statement)) -> Self {
        change(&mut self.statement);
        self
    }

    /// The executor published these state roots and tensors.
    pub(crate) fn publishes(mut self, published: impl FnOnce(&Statement) -> Announcement) -> Self {
        self.published = published(&self.statement);
        self
    }

    /// One opening goes down this many levels.
    pub(crate) fn with_levels(mut self, arity_log2: u32) -> Self {
        self.arity_log2 = arity_log2;
        self
    }

    /// The challenger has another run than the honest one.
    pub(crate) fn against(mut self, own: Arc<Run>) -> Self {
        self.own = AnyRun::Whole(own);
        self
    }

    pub(crate) fn own(&self) -> &AnyRun {
        &self.own
    }

    /// The claim is posted and challenged.
    pub(crate) fn disputed(self) -> Dispute {
        let mut claimed = self.statement.claimed(Default::default());
        // The job says what the input is, not the claim.
        claimed.terms.input_root = self.network.input_root();
        let header = self.network.model.header().clone();
        let known = Knowledge::new(header, RunLength::exactly(1), self.arity_log2, &claimed);
        Dispute {
            honest_view: HonestView::of_any_run(self.own, Arc::new(self.published)),
            statement: self.statement,
            arity_log2: self.arity_log2,
            known,
            found: Divergence::default(),
            asked: None,
            showings: Vec::new(),
            builds_on_asked: false,
            reason: String::new(),
        }
    }
}

/// A challenged claim, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Dispute {
    pub(crate) honest_view: HonestView,
    pub(crate) statement: Statement,
    pub(crate) known: Knowledge,
    pub(crate) found: Divergence,
    arity_log2: u32,
    /// What this challenge asked last.
    pub(crate) asked: Option<Ask>,
    showings: Vec<Showing>,
    builds_on_asked: bool,
    reason: String,
}

impl Dispute {
    /// Asks the solver. Asked twice it must say the same, and must leave what is known as it is.
    pub(crate) fn solve(&mut self) -> Result<Move, SolveError> {
        let (before, mut found) = (self.known.clone(), Divergence::default());
        let asked = self.asked.as_ref();
        let next = self.honest_view.next_move_watched(&self.known, asked, &mut found);
        let again = self.honest_view.next_move(&self.known, asked);
        assert_eq!(next, again, "the same knowledge, another move");
        assert_eq!(before, self.known);
        self.found = found;
        next
    }

    /// What a move shows, as the ledger sees it: nothing twice, and nothing that does not hold.
    fn accept(&mut self, showings: Vec<Showing>, from: Option<&Ask>) {
        assert!(showings.len() <= SHOWINGS_MAX);
        assert!(from.is_none() || from == self.asked.as_ref(), "{from:?} was not asked last");
        let mut words: Vec<String> = showings.iter().map(shown).collect();
        let proven = Proven::new::<Keccak>(self.known.context(from), &showings);
        assert!(proven.is_ok(), "{words:?}: {proven:?}");
        words.sort();
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "shown twice: {words:?}");
        self.builds_on_asked = from.is_some();
        self.showings = showings;
    }

    fn demand(&mut self) -> Question {
        match self.solve() {
            Ok(Move::Demand { showings, ask, path, from, reason }) => {
                self.accept(showings, from.as_ref());
                let context = self.known.context(from.as_ref());
                let proven = Proven::new::<Keccak>(context, &self.showings).unwrap();
                let accepted = asking(self.arity_log2).check::<Keccak>(&proven, &ask, &path);
                assert_eq!(accepted, Ok(()), "the ledger refuses the demand of {ask:?}");
                self.known.learn_demand(&self.showings, &ask, &path);
                let question = Question::of(&ask);
                (self.asked, self.reason) = (Some(ask), reason);
                question
            }
            other => panic!("a demand was expected: {other:?}"),
        }
    }

    /// The same claim, with all that is known of it, to a challenger that has asked for nothing yet.
    pub(crate) fn of_another_challenger(self) -> Self {
        Self { asked: None, ..self }
    }

    /// The solver must demand this next.
    pub(crate) fn expect_demand(mut self, question: Question) -> Self {
        assert_eq!(self.demand(), question);
        self
    }

    /// The last move must have built on what was asked before it.
    pub(crate) fn building_on_asked(self) -> Self {
        assert!(self.builds_on_asked);
        self
    }

    /// The last move must have shown exactly this, in this order.
    pub(crate) fn showing(self, expected: &[&str]) -> Self {
        assert_eq!(self.showings.iter().map(shown).collect::<Vec<_>>(), expected);
        self
    }

    /// The reason that the last move gives.
    pub(crate) fn because(self, reason: &str) -> Self {
        assert_eq!(self.reason, reason);
        self
    }

    /// The executor answers what was demanded.
    pub(crate) fn answered(mut self) -> Self {
        let ask = self.asked.clone().unwrap();
        assert!(self.answer(&ask), "the executor does not answer {ask:?}");
        self
    }

    /// The executor answers if it can: whether the answer is what was committed.
    fn answer(&mut self, ask: &Ask) -> bool {
        let answer = self.statement.answer(ask, self.arity_log2);
        match fits::<Keccak>(ask, &answer, self.arity_log2) {
            Ok(said) => {
                self.known.learn_answer(ask, &answer, said);
                true
            }
            Err(_) => false,
        }
    }

    /// These are open too, by the demands of other challengers.
    pub(crate) fn knowing(mut self, questions: &[Question]) -> Self {
        for question in questions {
            let ask = self.asked_by_others(question).unwrap();
            assert!(self.answer(&ask), "the executor does not answer {ask:?}");
        }
        self
    }

    /// Another challenger demands this with everything that the ledger wants to see, if it takes it.
    fn asked_by_others(&mut self, question: &Question) -> Option<Ask> {
        let ask = self.statement.ask(*question)?;
        let showings = self.statement.showings_to(question.tree());
        let (depth, index) = question.node();
        let path = self.statement.path(question.tree(), depth, index);
        let proven = Proven::new::<Keccak>(self.known.context(None), &showings).ok()?;
        asking(self.arity_log2).check::<Keccak>(&proven, &ask, &path).ok()?;
        self.known.learn_demand(&showings, &ask, &path);
        Some(ask)
    }

    /// Others have shown these.
    pub(crate) fn shown_by_others(mut self, showings: &[Showing]) -> Self {
        let proven = Proven::new::<Keccak>(self.known.context(None), showings);
        assert!(proven.is_ok(), "{proven:?}");
        self.known.learn_showings(showings);
        self
    }

    /// Another challenger demands this, if the ledger lets it, and the executor answers if it can.
    pub(crate) fn demanded_by_others(mut self, question: &Question) -> Self {
        if let Some(ask) = self.asked_by_others(question) {
            // What was not committed is refused, and nothing changes.
            self.answer(&ask);
        }
        self
    }

    /// An answer that does not hash to the commitment, or is of another kind, is not taken.
    pub(crate) fn rejects_answer(self, answer: &Answer) -> Self {
        assert!(fits::<Keccak>(self.asked.as_ref().unwrap(), answer, self.arity_log2).is_err());
        self
    }

    /// The views must be known to part here: layer, operator, element, segment.
    pub(crate) fn parting_at(
        self,
        layer: Option<u32>,
        operator: Option<u32>,
        element: Option<u64>,
        segment: Option<u64>,
    ) -> Self {
        assert_eq!(
            self.found,
            Divergence { iteration: self.found.iteration, layer, operator, element, segment }
        );
        self
    }

    /// The solver must end the dispute.
    pub(crate) fn expect_refutation(mut self) -> Refuted {
        match self.solve() {
            Ok(Move::Refute { showings, refutation, from, reason }) => {
                self.accept(showings, from.as_ref());
                self.reason = reason;
                let context = self.known.context(from.as_ref());
                let proven = Proven::new::<Keccak>(context, &self.showings).unwrap();
                let outcome = judge::<Keccak>(&proven, &refutation);
                let action = Action::Refute {
                    claim: Default::default(),
                    challenger: Default::default(),
                    showings: self.showings.clone(),
                    refutation: refutation.clone(),
                    from,
                };
                Refuted { bytes: action.to_canonical().len(), dispute: self, refutation, outcome }
            }
            other => panic!("a refutation was expected: {other:?}"),
        }
    }

    /// The solver must end the dispute with this refutation.
    pub(crate) fn expect_refute(self, expected: &Refutation) -> Refuted {
        let refuted = self.expect_refutation();
        assert_eq!(refuted.refutation, *expected);
        refuted
    }

    /// The solver must end the dispute by recomputing this step.
    pub(crate) fn expect_step(self, operator: u32, element: u64, segment: u64) -> Refuted {
        let refuted = self.expect_refutation();
        match &refuted.refutation {
            Refutation::Step { operator: o, element: e, segment: r, .. } => {
                assert_eq!((*o, *e, *r), (operator, element, segment));
            }
            other => panic!("a step was expected: {other:?}"),
        }
        refuted
    }

    /// The solver must have no move.
    pub(crate) fn expect_error(mut self, expected: &SolveError) {
        assert_eq!(self.solve().as_ref(), Err(expected));
    }

    /// The solver must be stuck for this reason.
    pub(crate) fn expect_stuck(self, what: &str) {
        self.expect_error(&SolveError::Stuck { what: what.to_owned() });
    }

    /// Every demand is answered until the solver refutes: what was demanded, and the end.
    pub(crate) fn played_out(mut self) -> (Vec<Question>, Refuted) {
        let mut questions = Vec::new();
        while matches!(self.solve(), Ok(Move::Demand { .. })) {
            questions.push(self.demand());
            self = self.answered();
            assert!(questions.len() < DEMANDS_MAX, "the game does not end: {questions:?}");
        }
        (questions, self.expect_refutation())
    }

    /// Every demand is answered as far as the executor's data go; the claim must lose.
    pub(crate) fn lost(mut self) -> End {
        for _ in 0..DEMANDS_MAX {
            if matches!(self.solve(), Ok(Move::Refute { .. })) {
                return End::Convicted(self.expect_refutation().fraud());
            }
            self.demand();
            let ask = self.asked.clone().unwrap();
            if !self.answer(&ask) {
                return End::Silent;
            }
        }
        panic!("the game does not end");
    }
}

/// How a game against an executor that says anything ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The referee convicted.
    Convicted(Evidence),
    /// The executor's data do not answer a demand, so that its time will run out.
    Silent,
}

/// A dispute that a refutation ended, with what the referee says to it.
#[derive(Clone, Debug)]
pub(crate) struct Refuted {
    pub(crate) dispute: Dispute,
    pub(crate) refutation: Refutation,
    outcome: Result<Finding, RefereeError>,
    /// Bytes of the transaction's action.
    pub(crate) bytes: usize,
}

impl Refuted {
    /// The reason that the move gives.
    pub(crate) fn because(self, reason: &str) -> Self {
        assert_eq!(self.dispute.reason, reason);
        self
    }

    /// The move must have shown exactly this, in this order.
    pub(crate) fn showing(mut self, expected: &[&str]) -> Self {
        self.dispute = self.dispute.showing(expected);
        self
    }

    /// As [`Dispute::parting_at`], all of it known.
    pub(crate) fn parting_at(
        mut self,
        layer: u32,
        operator: u32,
        element: u64,
        segment: u64,
    ) -> Self {
        let (layer, operator) = (Some(layer), Some(operator));
        self.dispute = self.dispute.parting_at(layer, operator, Some(element), Some(segment));
        self
    }

    /// The referee must convict.
    pub(crate) fn fraud(self) -> Evidence {
        match self.outcome {
            Ok(Finding::Fraud(evidence)) => evidence,
            other => panic!("the referee says {other:?} to {:?}", self.refutation),
        }
    }

    /// The referee must find the claim right where it was refuted.
    pub(crate) fn sound(self) {
        assert_eq!(self.outcome, Ok(Finding::Sound), "{:?}", self.refutation);
    }

    /// The move must have built on what was asked last.
    pub(crate) fn building_on_asked(mut self) -> Self {
        self.dispute = self.dispute.building_on_asked();
        self
    }
}
