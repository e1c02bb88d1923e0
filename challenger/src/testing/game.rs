//! A dispute without a ledger, as a game: what the executor claims, then move by move what the
//! solver is expected to do and what the executor answers.
//!
//! ```text
//! game(&ladder(10)).computes_wrongly(operator, element).disputed()
//!     .expect_demand(trace(0, 0)).answered()
//!     …
//!     .expect_step(operator, element, segment).fraud();
//! ```

use std::sync::Arc;

use inference::{AnyRun, Honest, Run};
use protocol::facts::{Facts, Request, Reveal, Showing, Shown, TreeId};
use protocol::referee::{Evidence, Finding, RefereeError, Refutation, judge};

use super::models::Network;
use super::statement::{Inventing, Statement, Wrong};
use crate::honest_view::{Announcement, HonestView};
use crate::solver::{Divergence, Move, SolveError};

/// Demands of a game that is played to its end.
const DEMANDS_MAX: usize = 64;
/// Showings that the ledger takes with one move.
const SHOWINGS_MAX: usize = 16;

pub(crate) fn trace(depth: u32, index: u64) -> Request {
    Request::Node { tree: TreeId::Trace {}, depth, index }
}

pub(crate) fn state(boundary: u32, depth: u32, index: u64) -> Request {
    Request::Node { tree: TreeId::State { boundary }, depth, index }
}

pub(crate) fn inside(layer: u32) -> Request {
    Request::Subtrace { layer }
}

pub(crate) fn inside_node(layer: u32, depth: u32, index: u64) -> Request {
    Request::Node { tree: TreeId::Subtrace { layer }, depth, index }
}

pub(crate) fn output(operator: u32, depth: u32, index: u64) -> Request {
    Request::Node { tree: TreeId::Tensor { operator }, depth, index }
}

pub(crate) fn output_leaf(operator: u32, leaf: u64) -> Request {
    Request::Leaf { operator, leaf }
}

pub(crate) fn sums(operator: u32, element: u64) -> Request {
    Request::Accumulators { operator, element }
}

/// What a showing is about, without its proof.
pub(crate) fn shown(showing: &Showing) -> String {
    match showing {
        Showing::Layer { proof } => format!("layer {}", proof.index),
        Showing::Operator { proof } => format!("operator {}", proof.index),
        Showing::TraceLeaf { boundary, .. } => format!("state {boundary}"),
        Showing::StateLeaf { boundary, position, .. } => {
            format!("value at {position} of state {boundary}")
        }
        Showing::SubtraceLeaf { layer, position, .. } => {
            format!("output {position} of layer {layer}")
        }
        Showing::TensorLeaf { operator, leaf, .. } => {
            format!("leaf {leaf} of operator {operator}")
        }
    }
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
        let claimed = self.statement.claimed(Default::default());
        // The job says what the input is, not the claim.
        let input_root = self.network.input_root();
        let facts = Facts::new(
            self.network.model.header().clone(),
            self.arity_log2,
            claimed.trace_root(),
            input_root,
            claimed.terms.output_root,
        );
        Dispute {
            honest_view: HonestView::of_any_run(self.own, Arc::new(self.published)),
            statement: self.statement,
            arity_log2: self.arity_log2,
            facts,
            found: Divergence::default(),
            asked: None,
            showings: Vec::new(),
            reason: String::new(),
        }
    }
}

/// A challenged claim, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Dispute {
    pub(crate) honest_view: HonestView,
    pub(crate) statement: Statement,
    pub(crate) facts: Facts,
    pub(crate) found: Divergence,
    arity_log2: u32,
    asked: Option<Request>,
    showings: Vec<Showing>,
    reason: String,
}

impl Dispute {
    /// Asks the solver. Asked twice it must say the same, and must leave the facts as they are.
    fn solve(&mut self) -> Result<Move, SolveError> {
        let (before, mut found) = (self.facts.clone(), Divergence::default());
        let next = self.honest_view.next_move_watched(&self.facts, &mut found);
        assert_eq!(next, self.honest_view.next_move(&self.facts), "the same facts, another move");
        assert_eq!(before, self.facts);
        self.found = found;
        next
    }

    /// Adds showings to the facts. Each must be right, and must add something.
    fn show(&mut self, showings: Vec<Showing>) {
        assert!(showings.len() <= SHOWINGS_MAX);
        for showing in &showings {
            let added = self.facts.show(showing);
            assert!(added.is_ok(), "{} is refused: {added:?}", shown(showing));
            assert_ne!(added, Ok(Shown::Nothing), "{} is known already", shown(showing));
        }
        self.showings = showings;
    }

    fn demand(&mut self) -> Request {
        match self.solve() {
            Ok(Move::Demand { showings, request, reason }) => {
                self.show(showings);
                let accepted = self.facts.check_request(&request);
                assert_eq!(accepted, Ok(()), "the ledger refuses the demand of {request:?}");
                (self.asked, self.reason) = (Some(request), reason);
                request
            }
            other => panic!("a demand was expected: {other:?}"),
        }
    }

    /// The solver must demand this next.
    pub(crate) fn expect_demand(mut self, request: Request) -> Self {
        assert_eq!(self.demand(), request);
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
    pub(crate) fn answered(self) -> Self {
        let request = self.asked.unwrap();
        self.knowing(&[request])
    }

    /// These are open too, by the demands of other challengers.
    pub(crate) fn knowing(mut self, requests: &[Request]) -> Self {
        for request in requests {
            let reveal = self.statement.answer(request, self.arity_log2);
            self.facts.reveal(request, &reveal).unwrap();
        }
        self
    }

    /// Others have shown these.
    pub(crate) fn shown_by_others(mut self, showings: &[Showing]) -> Self {
        self.show(showings.to_vec());
        self
    }

    /// Another challenger demands this, if the ledger lets it, and the executor answers if it can.
    pub(crate) fn demanded_by_others(mut self, request: &Request) -> Self {
        if self.facts.check_request(request).is_ok() {
            let reveal = self.statement.answer(request, self.arity_log2);
            // What was not committed is refused, and nothing changes.
            let _ = self.facts.reveal(request, &reveal);
        }
        self
    }

    /// An answer that does not hash to the commitment, or is of another kind, is not taken: nothing
    /// changes for the solver.
    pub(crate) fn rejects_answer(mut self, reveal: &Reveal) -> Self {
        let request = self.asked.unwrap();
        let before = self.facts.clone();
        assert!(self.facts.reveal(&request, reveal).is_err());
        assert_eq!(before, self.facts);
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
        assert_eq!(self.found, Divergence { layer, operator, element, segment });
        self
    }

    /// The solver must end the dispute.
    pub(crate) fn expect_refutation(mut self) -> Refuted {
        match self.solve() {
            Ok(Move::Refute { showings, refutation, reason }) => {
                self.show(showings);
                self.reason = reason;
                let outcome = judge(&self.facts, &refutation);
                Refuted { dispute: self, refutation, outcome }
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
    pub(crate) fn expect_stuck(self, what: &'static str) {
        self.expect_error(&SolveError::Stuck { what });
    }

    /// Every demand is answered until the solver refutes: what was demanded, and the end.
    pub(crate) fn played_out(mut self) -> (Vec<Request>, Refuted) {
        let mut requests = Vec::new();
        while matches!(self.solve(), Ok(Move::Demand { .. })) {
            requests.push(self.demand());
            self = self.answered();
            assert!(requests.len() < DEMANDS_MAX, "the game does not end: {requests:?}");
        }
        (requests, self.expect_refutation())
    }

    /// Every demand is answered as far as the executor's data go; the claim must lose.
    pub(crate) fn lost(mut self) -> End {
        for _ in 0..DEMANDS_MAX {
            if matches!(self.solve(), Ok(Move::Refute { .. })) {
                return End::Convicted(self.expect_refutation().fraud());
            }
            let request = self.demand();
            let reveal = self.statement.answer(&request, self.arity_log2);
            if self.facts.reveal(&request, &reveal).is_err() {
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

    /// The referee must not take the refutation.
    pub(crate) fn refused(self, error: RefereeError) {
        assert_eq!(self.outcome, Err(error));
    }
}
