//! The solver: from what is known of a claim to the next move.
//!
//! A pure function of what everybody knows of a claim, of what this challenge asked last, and of the
//! challenger's own run. Asked again after every answer, it goes one step further down: iteration and layer
//! ([`trace`]), operator or contradiction ([`layer`]), leaf and element ([`operator`]), sum and step ([`sums`]). What it
//! compares is in [`descent`]. Once a move is decided, [`proof`] and [`support`] give it all that it must show:
//! a move proves itself.
//!
//! Where the run has no result, whatever is claimed there differs: the way ends at the element for which the
//! law gives nothing, unless the claim lies before.

mod argument;
mod beside;
mod demands;
mod descent;
mod layer;
mod moves;
mod operator;
mod own_sums;
mod proof;
mod sums;
mod support;
mod trace;
mod trees;

use protocol::asks::Ask;
use protocol::hash::Commitment;
use protocol::knowledge::Knowledge;

use self::argument::Argument;
pub use self::moves::{Divergence, Move, SolveError};
use self::moves::{Fault, Next, Reasoned, refute, stuck};
use crate::honest_view::HonestView;

impl<C: Commitment> HonestView<C> {
    /// The next move against a claim of which this is known, in a challenge that asked this last (`None` at its
    /// beginning).
    ///
    /// # Errors
    /// When nothing differs, or the challenger's own view does not fit what is known.
    pub fn next_move(&self, known: &Knowledge<C>, asked: Option<&Ask>) -> Result<Move, SolveError> {
        self.next_move_watched(known, asked, &mut Divergence::default())
    }

    /// As [`HonestView::next_move`], also telling where the views part.
    ///
    /// # Errors
    /// As [`HonestView::next_move`].
    pub fn next_move_watched(
        &self,
        known: &Knowledge<C>,
        asked: Option<&Ask>,
        found: &mut Divergence,
    ) -> Result<Move, SolveError> {
        if known.header() != self.model().header() {
            #[cfg(test)]
            cov_mark::hit!(claim_is_about_another_model);
            return Err(stuck("the claim is about another model"));
        }
        let argument = Argument::new(known, asked, &self.announced);
        let claimed = known.terms().iterations;
        if !self.reaches(claimed) {
            return Err(SolveError::RunMissing);
        }
        let iteration = match self.first_iteration(&argument)? {
            Some(Next::Ask(end)) => return self.prove(&argument, end),
            Some(Next::Known(iteration)) => iteration,
            None => claimed,
        };
        let own = self.sequence().iterations();
        let is_run = iteration < own || (iteration == own && self.sequence().no_result().is_some());
        if iteration < claimed && is_run {
            found.iteration = Some(iteration);
            let view = self.at(iteration)?;
            let end = view.decide(&argument, found)?;
            return view.prove(&argument, end);
        }
        self.false_end(&argument, iteration)
    }

    /// Whether [`HonestView::next_move`] computes an iteration again, which takes the time of one and of those that it is
    /// passed on from.
    pub(crate) fn computes_again(&self, known: &Knowledge<C>, asked: Option<&Ask>) -> bool {
        // The only iteration of a run is always in memory.
        if known.length().iterations_max == 1 {
            return false;
        }
        if known.header() != self.model().header() || !self.reaches(known.terms().iterations) {
            return false;
        }
        let argument = Argument::new(known, asked, &self.announced);
        let (sequence, claimed) = (self.sequence(), known.terms().iterations);
        let looked_at = match self.first_iteration(&argument) {
            Ok(Some(Next::Known(first))) => {
                let is_made = first < sequence.iterations() || sequence.no_result().is_some();
                if is_made { first } else { first.saturating_sub(1) }
            }
            Ok(None) if self.ends_elsewhere(&argument, claimed) => claimed.saturating_sub(1),
            Ok(None | Some(Next::Ask(_))) | Err(_) => return false,
        };
        looked_at != self.iteration() && !sequence.is_at_hand(looked_at)
    }

    /// Whether the run ends with another iteration than the claim, of which so many iterations agree, and the job does
    /// not let it.
    fn ends_elsewhere(&self, argument: &Argument<'_, C>, agreed: u32) -> bool {
        let (claimed, sequence) = (argument.known.terms().iterations, self.sequence());
        // One that is not whole has no end yet: it goes on.
        let goes_on = sequence.iterations() > claimed || !sequence.is_whole();
        let has_more = goes_on || sequence.no_result().is_some();
        agreed < claimed || (has_more && !argument.known.length().may_cut)
    }

    /// All iterations agree that both have, and the run ends with another one than the claim.
    fn false_end(&self, argument: &Argument<'_, C>, agreed: u32) -> Result<Move, SolveError> {
        if !self.ends_elsewhere(argument, agreed) {
            return Err(SolveError::NothingDiffers);
        }
        let is_longer = agreed < argument.known.terms().iterations;
        let iteration = agreed.checked_sub(1).ok_or_else(|| stuck("the run has no iteration"))?;
        let reason = match is_longer {
            true => format!("the claim goes on after iteration {iteration}, where the run ends"),
            false => format!("the claim ends with iteration {iteration}, and the run does not"),
        };
        let view = self.at(iteration)?;
        view.prove(argument, refute(Fault::Stop { iteration }, reason))
    }

    /// What the move asks for or refutes, in the iteration that is looked at.
    fn decide(
        &self,
        argument: &Argument<'_, C>,
        found: &mut Divergence,
    ) -> Result<Reasoned, SolveError> {
        if let Some(boundary) = self.nearest_to_its_end(argument)? {
            return self.below(argument, boundary, found);
        }
        match self.first_difference(argument)? {
            Next::Known(boundary) => self.below(argument, boundary, found),
            Next::Ask(end) => Ok(end),
        }
    }

    /// Of the differences that are known, the one that takes fewest demands from here: what others show can then
    /// only bring the end nearer. Always going to the first one, an accomplice of the executor could show an
    /// earlier one whenever the last demand is near, until none is left.
    fn nearest_to_its_end(&self, argument: &Argument<'_, C>) -> Result<Option<u32>, SolveError> {
        let differences = self.shown_differences(argument)?;
        let is_begun = |boundary: &&u32| {
            argument.root(&trees::inside(self.iteration(), boundary.saturating_sub(1))).is_some()
        };
        let remaining = |boundary: &&u32| {
            let next = self.below(argument, **boundary, &mut Divergence::default());
            next.map_or(u32::MAX, |next| self.demands_left(argument, &next))
        };
        let begun = differences.iter().filter(is_begun).min_by_key(remaining);
        Ok(begun.or(differences.first()).copied())
    }

    /// The next move into the layer before a boundary at which the states differ.
    fn below(
        &self,
        argument: &Argument<'_, C>,
        boundary: u32,
        found: &mut Divergence,
    ) -> Result<Reasoned, SolveError> {
        let Some(layer) = boundary.checked_sub(1) else {
            return self.false_beginning(argument);
        };
        found.layer = Some(layer);
        let operator = match self.first_operator(argument, layer)? {
            Some(Next::Known(operator)) => operator,
            Some(Next::Ask(end)) => return Ok(end),
            None => return self.contradiction(argument, layer),
        };
        found.operator = Some(operator);
        self.inside_operator(argument, layer, operator, found)
    }
}

#[cfg(test)]
mod tests;
