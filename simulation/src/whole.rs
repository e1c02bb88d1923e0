//! Everything that can be shown of one run: what its executor would answer to every ask, folded as everybody folds
//! what is answered.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use executor::{Defender, statement_of};
use inference::{Model, Run};
use protocol::asks::{Answer, Ask, Place, Tree, TreeKind, fits, leaf_log2, shown_places};
use protocol::hash::Commitment;
use protocol::ids::JobId;
use protocol::knowledge::Knowledge;
use protocol::transaction::{RunLength, Statement};

use crate::ways::Ways;

/// One run, all of which is known. Trees of tensors and sums are folded when somebody first needs them.
pub(crate) struct Whole<C: Commitment> {
    run: Arc<Run<C>>,
    statement: Statement,
    defender: Defender<C>,
    arity_log2: u32,
    filled: Mutex<Filled<C>>,
}

/// What was folded so far.
struct Filled<C: Commitment> {
    known: Arc<Knowledge<C>>,
    trees: BTreeSet<Tree>,
}

impl<C: Commitment> fmt::Debug for Whole<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Whole").field("root", &self.run.trace().root()).finish()
    }
}

impl<C: Commitment> Whole<C> {
    /// Of a run on a ledger whose openings go down so many levels; `None` of a run that nobody could claim.
    pub(crate) fn new(run: Arc<Run<C>>, arity_log2: u32) -> Option<Self> {
        let statement = statement_of(JobId::default(), run.model().root(), run.trace())?;
        let length = RunLength { iterations_max: 1, may_cut: false };
        let known = Knowledge::new(run.model().header().clone(), length, arity_log2, &statement);
        let defender = Defender::of_run(Arc::clone(&run), arity_log2);
        let filled = Mutex::new(Filled { known: Arc::new(known), trees: BTreeSet::new() });
        let whole = Self { run, statement, defender, arity_log2, filled };
        let header = whole.run.model().header();
        let lists = [Tree::Sequence {}, Tree::Trace { iteration: 0 }]
            .into_iter()
            .chain((0..header.state_count()).map(|boundary| Tree::State { iteration: 0, boundary }))
            .chain((0..header.layer_count).map(|layer| Tree::Subtrace { iteration: 0, layer }));
        for tree in lists {
            whole.known(&tree);
        }
        Some(whole)
    }

    /// The run.
    pub(crate) fn run(&self) -> &Arc<Run<C>> {
        &self.run
    }

    /// The claim of the run, on no job.
    pub(crate) fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The model.
    pub(crate) fn model(&self) -> &Model<C> {
        self.run.model()
    }

    /// What the executor of the run answers.
    pub(crate) fn answer(&self, ask: &Ask) -> Option<Answer> {
        self.defender.answer(ask).ok()
    }

    /// What is known once all of a tree is.
    pub(crate) fn known(&self, tree: &Tree) -> Arc<Knowledge<C>> {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        if filled.trees.insert(*tree) {
            // Of what the run does not have there is nothing to learn.
            let _ = self.fold(Arc::make_mut(&mut filled.known), tree);
        }
        Arc::clone(&filled.known)
    }

    fn fold(&self, known: &mut Knowledge<C>, tree: &Tree) -> Option<()> {
        let kind = Ways { known, model: self.model() }.kind(tree)?;
        let shape = kind.shape()?;
        if tree.is_said() {
            let ask = Ask::Say { tree: *tree, kind: kind.clone() };
            let answer = self.answer(&ask)?;
            let said = fits::<C>(&ask, &answer, self.arity_log2).ok()?;
            known.learn_answer(&ask, &answer, said);
        }
        let is_list = matches!(kind, TreeKind::List { .. });
        let mut front = vec![(0, 0)];
        while let Some((depth, index)) = front.pop() {
            if depth >= shape.depth() && !is_list {
                continue;
            }
            let place = self.place(known, tree, &kind, (depth, index))?;
            let ask = Ask::Open { place };
            let answer = self.answer(&ask)?;
            known.learn_answer(&ask, &answer, None);
            let (reached, indices) = shown_places(&ask, self.arity_log2)?;
            if reached < shape.depth() {
                front.extend(indices.into_iter().map(|index| (reached, index)));
            }
        }
        if !is_list {
            let depth = shape.depth().saturating_sub(leaf_log2(self.arity_log2));
            for index in 0..1u64.checked_shl(depth)? {
                if shape.is_padding(depth, index) {
                    continue;
                }
                let place = self.place(known, tree, &kind, (depth, index))?;
                let ask = Ask::Leaves { place };
                let answer = self.answer(&ask)?;
                known.learn_answer(&ask, &answer, None);
            }
        }
        Some(())
    }

    fn place(
        &self,
        known: &Knowledge<C>,
        tree: &Tree,
        kind: &TreeKind,
        (depth, index): (u32, u64),
    ) -> Option<Place> {
        let hash = match depth {
            0 => Ways { known, model: self.model() }.root(tree)?,
            _ => known.node(tree, depth, index)?,
        };
        Some(Place { tree: *tree, kind: kind.clone(), depth, index, hash })
    }
}
