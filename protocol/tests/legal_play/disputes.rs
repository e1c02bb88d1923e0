//! Moves in disputes of those who do anything: every ask about every known place, answers, refutations that prove
//! something and such that do not.

use std::collections::BTreeMap;

use protocol::ChallengeId;
use protocol::asks::{Ask, Showing, Tree, TreeKind};
use protocol::law;
use protocol::settlement::rules::ChallengePhase;
use protocol::settlement::{Challenge, Parameters};
use protocol::transaction::{Action, Address};

use crate::common::Want;
use crate::common::answers::Proof;
use crate::draw::Draw;
use crate::library::{LIBRARY, View};
use crate::moves::{Kind, Move, legal};
use crate::solver::{Plan, false_saying, plan};
use crate::world::World;

/// Most showings of one transaction.
const SHOWINGS_MAX: usize = 16;

fn is_of(kind: Kind, want: Want) -> bool {
    let is_end = want.tree().is_end();
    match kind {
        Kind::Say => matches!(want, Want::Say(_)),
        Kind::Open => matches!(want, Want::Open(..)) && !is_end,
        Kind::Leaves => matches!(want, Want::Leaves(..)) && !is_end,
        Kind::End => is_end,
        _ => true,
    }
}

impl World {
    pub(crate) fn in_dispute(&self, kind: Kind, draw: &mut Draw) -> Option<Move> {
        match kind {
            Kind::Answer | Kind::AnswerOtherwise => self.reveal(kind, draw),
            Kind::Same => self.same(draw),
            Kind::Convict => self.convict(draw),
            Kind::Refute => self.refute(draw),
            Kind::Leave => {
                let one = self.to_move(draw, Challenge::can_be_withdrawn)?;
                legal(one.challenger, Action::WithdrawChallenge { claim: one.claim })
            }
            _ => self.demand(kind, draw),
        }
    }

    /// A challenge of one of those who do anything, in its challenger's turn.
    fn to_move(&self, draw: &mut Draw, fits: impl Fn(&Challenge) -> bool) -> Option<&Challenge> {
        let all: Vec<&Challenge> = self
            .state
            .challenges()
            .map(|(_, one)| one)
            .filter(|one| self.is_chaos(&one.challenger) && fits(one) && self.is_turn(one))
            .collect();
        draw.pick(&all).copied()
    }

    pub(crate) fn is_turn(&self, one: &Challenge) -> bool {
        self.state.phase_of(one, self.now_ms) == ChallengePhase::ChallengerToMove
    }

    /// Whether an ask is legal for a challenge, whatever leads there.
    fn is_legal(&self, one: &Challenge, view: &View<'_>, want: Want) -> bool {
        let parameters = self.state.parameters();
        let Some((ask, _)) = view.ask(want, 0) else { return false };
        let Some(shape) = ask.kind().shape() else { return false };
        let (depth, index) = ask.node();
        let below = shape.depth() - depth;
        let fits = match want {
            Want::Say(tree) => !view.said.contains_key(&tree),
            Want::Open(..) => {
                let is_list = matches!(ask.kind(), TreeKind::List { .. });
                below > 0 || (shape.depth() == 0 && is_list)
            }
            Want::Leaves(tree, ..) => {
                let most = if tree.is_end() { parameters.end_log2 } else { parameters.leaf_log2() };
                matches!(ask.kind(), TreeKind::Tensor { .. }) && below <= most
            }
        };
        let asked = fits && !shape.is_padding(depth, index) && is_run_s_end(view, want.tree());
        let is_shallow = !want.tree().is_end() || shape.depth() <= parameters.end_depth_max;
        asked && is_shallow && self.is_left(one, view, &ask)
    }

    /// Whether a demand of this kind is left, and can be paid.
    fn is_left(&self, one: &Challenge, view: &View<'_>, ask: &Ask) -> bool {
        let (parameters, said) = (self.state.parameters(), BTreeMap::new());
        let terms = &view.book.statement.terms;
        let header = &view.model().committed.header;
        let length = self.terms_of(&one.claim).length();
        let (from, arity_log2) = (None, parameters.arity_log2);
        let context =
            protocol::asks::Context { terms, header, length, said: &said, from, arity_log2 };
        let cost = parameters.asking().cost(&context, ask);
        let left = if cost.is_end {
            one.end_asks < parameters.end_asks_max
        } else {
            one.demands < parameters.demands_max
        };
        let fee_wei = parameters.demand_fee_wei * u128::from(cost.fees);
        left && self.free_wei(&one.challenger) >= fee_wei
    }

    fn demand(&self, kind: Kind, draw: &mut Draw) -> Option<Move> {
        let one = self.to_move(draw, |_| true)?;
        let view = self.view(&one.claim);
        let last = if kind == Kind::Below { Some(one.last_ask()?) } else { None };
        let fits = |want: &&Want| {
            let below = last.is_none_or(|last| is_below(&view, last, **want));
            is_of(kind, **want) && below
        };
        let wants: Vec<&Want> = view.book.wants.iter().filter(fits).collect();
        let want = (0..16).find_map(|_| {
            let want = **draw.pick(&wants)?;
            self.is_legal(one, &view, want).then_some(want)
        })?;
        let (showings, until) = match last {
            Some(last) => (Vec::new(), last.node().0),
            None => (view.showings_to(want.tree())?, 0),
        };
        let (ask, path) = view.ask(want, until)?;
        let mut showings = showings;
        if kind == Kind::Beside {
            add_others(&view, draw, &mut showings);
        }
        let (claim, from) = (one.claim, last.cloned());
        legal(one.challenger, Action::Demand { claim, showings, ask, path, from })
    }

    /// Somebody asks what another waits for, or shows what the other asks for beside another ask.
    fn same(&self, draw: &mut Draw) -> Option<Move> {
        let others = self.state.challenges().filter_map(|(_, one)| {
            let stands = self.state.is_under_way(one);
            Some((one.claim, one.pending().filter(|_| stands)?))
        });
        let others: Vec<_> = others.collect();
        let (claim, pending) = *draw.pick(&others)?;
        let one = self.to_move(draw, |one| one.claim == claim)?;
        let view = self.view(&claim);
        let want = match pending {
            Ask::Open { place } => Want::Open(place.tree, place.depth, place.index),
            Ask::Leaves { place } => Want::Leaves(place.tree, place.depth, place.index),
            Ask::Say { tree, .. } => Want::Say(*tree),
        };
        let shows = match want {
            Want::Leaves(Tree::Tensor { iteration, operator }, ..) if draw.one_in(2) => {
                view.leaf(iteration, operator, 0)
            }
            _ => None,
        };
        if let Some(mut showings) = shows {
            // Another ask, which shows the bytes that the first one waits for.
            let want = Want::Open(Tree::Sequence {}, 0, 0);
            if !self.is_legal(one, &view, want) {
                return None;
            }
            let (ask, path) = view.ask(want, 0)?;
            showings.truncate(SHOWINGS_MAX);
            let from = None;
            return legal(one.challenger, Action::Demand { claim, showings, ask, path, from });
        }
        if !self.is_legal(one, &view, want) {
            return None;
        }
        let (showings, (ask, path)) = (view.showings_to(want.tree())?, view.ask(want, 0)?);
        legal(one.challenger, Action::Demand { claim, showings, ask, path, from: None })
    }

    /// What waits for an executor that does anything.
    pub(crate) fn pending(&self, draw: &mut Draw) -> Option<(&Challenge, &Ask)> {
        let waits = self.state.challenges().filter_map(|(_, one)| {
            let late = self.state.phase_of(one, self.now_ms) != ChallengePhase::ExecutorToMove;
            let executor = self.state.claim(&one.claim)?.executor;
            let ask = one.pending().filter(|_| !late && self.is_chaos(&executor))?;
            Some((one, ask))
        });
        let waits: Vec<_> = waits.collect();
        draw.pick(&waits).copied()
    }

    fn reveal(&self, kind: Kind, draw: &mut Draw) -> Option<Move> {
        let (one, ask) = self.pending(draw)?;
        let (claim, tree) = (one.claim, *ask.tree());
        let view = self.view(&claim);
        let arity_log2 = self.state.parameters().arity_log2;
        let is_said = view.said.contains_key(&tree);
        let grown = match ask {
            Ask::Open { .. } | Ask::Leaves { .. } => view.tree(tree)?,
            Ask::Say { .. } if is_said && kind == Kind::Answer => view.tree(tree)?,
            Ask::Say { .. } if kind == Kind::Answer => view.book.trees.get(&tree)?,
            Ask::Say { .. } => {
                let all = LIBRARY.sayings(view.book.model, tree);
                // Half of the time such as are in no state of any run, if there are any.
                let hidden = |place: &&usize| !LIBRARY.books[**place].posable;
                let hidden: Vec<usize> = all.iter().filter(hidden).copied().collect();
                let book = draw.pick(&hidden).copied().filter(|_| draw.one_in(2));
                let book = book.or_else(|| draw.pick(&all).copied())?;
                LIBRARY.books[book].trees.get(&tree)?
            }
        };
        let answer = grown.answer(ask, arity_log2);
        let mut challengers = vec![one.challenger];
        if draw.one_in(2) {
            challengers.extend(self.chaos.iter().copied().take(15));
        }
        // The first answer binds: another one may be refused.
        let is_legal = kind == Kind::Answer || !(is_said && matches!(ask, Ask::Say { .. }));
        let (who, ask) = (self.state.claim(&claim)?.executor, ask.clone());
        let action = Action::Reveal { claim, challengers, ask, answer };
        Some(Move { who, action, is_legal })
    }

    /// A proof against a false claim, or against what was said for a true one, as soon as there is one; sent by
    /// anybody.
    fn convict(&self, draw: &mut Draw) -> Option<Move> {
        let turns: Vec<&Challenge> =
            self.state.challenges().map(|(_, one)| one).filter(|one| self.is_turn(one)).collect();
        let one = *draw.pick(&turns)?;
        let view = self.view(&one.claim);
        let proof = match plan(&view, self.terms_of(&one.claim)) {
            Some(Plan::Prove(proof)) => proof,
            Some(Plan::Ask(_)) | None => false_saying(&view)?,
        };
        let who = if draw.one_in(2) { one.challenger } else { *draw.pick(&self.chaos)? };
        let (showings, refutation) = *proof;
        let (claim, challenger, from) = (one.claim, one.challenger, None);
        legal(who, Action::Refute { claim, challenger, showings, refutation, from })
    }

    /// A refutation of any place: mostly sound, sometimes not, sometimes of nothing.
    fn refute(&self, draw: &mut Draw) -> Option<Move> {
        let one = self.to_move(draw, |_| true)?;
        let (showings, refutation) = any_proof(&self.view(&one.claim), draw)?;
        let (claim, challenger, from) = (one.claim, one.challenger, None);
        let action = Action::Refute { claim, challenger, showings, refutation, from };
        Some(Move { who: one.challenger, action, is_legal: true })
    }

    /// A challenge, whatever its state.
    pub(crate) fn any_challenge(&self, draw: &mut Draw) -> Option<(ChallengeId, &Challenge)> {
        let all: Vec<_> = self.state.challenges().map(|(id, one)| (*id, one)).collect();
        draw.pick(&all).copied()
    }

    pub(crate) fn anybody(&self, draw: &mut Draw) -> Address {
        draw.pick(&self.chaos).copied().unwrap_or_default()
    }

    pub(crate) fn limits(&self) -> &Parameters {
        self.state.parameters()
    }
}

/// Whether a tree can be asked about as an input or an output of the run, if it is one.
fn is_run_s_end(view: &View<'_>, tree: Tree) -> bool {
    let is_recurrent = view.model().committed.header.is_recurrent();
    match tree {
        Tree::Input { iteration, .. } => !is_recurrent || iteration == 0,
        Tree::Output { iteration, .. } => !is_recurrent || iteration == view.last(),
        _ => true,
    }
}

/// Whether an ask is about something at or below the place that was asked last.
fn is_below(view: &View<'_>, last: &Ask, want: Want) -> bool {
    let (tree, depth, index) = match want {
        Want::Say(_) => return false,
        Want::Open(tree, depth, index) | Want::Leaves(tree, depth, index) => (tree, depth, index),
    };
    let (from, above) = last.node();
    tree == *last.tree()
        && depth >= from
        && index >> (depth - from) == above
        && view.tree(tree).is_some()
}

/// More showings than an ask needs.
fn add_others(view: &View<'_>, draw: &mut Draw, showings: &mut Vec<Showing>) {
    let graph = &view.model().graph;
    let iteration = draw.below(u64::from(view.book.iterations())) as u32;
    for _ in 0..draw.below(4) + 1 {
        let operator = draw.below(graph.nodes.len() as u64) as u32;
        let more = match draw.below(5) {
            0 => Some((0..graph.layers.len() as u32).map(|one| view.layer(one)).collect()),
            1 => Some(vec![view.operator(operator)]),
            2 => {
                let boundary = draw.below(graph.layers.len() as u64 + 1) as u32;
                view.state_value(iteration, boundary, 0).map(|(showings, _)| showings)
            }
            3 => view.entry(iteration).map(|entry| vec![entry]),
            _ => view.leaf(iteration, operator, 0),
        };
        let more: Vec<Showing> = more.unwrap_or_default();
        if showings.len() + more.len() <= SHOWINGS_MAX {
            showings.extend(more);
        }
    }
}

/// A proof of something, with everything that it must show.
fn any_proof(view: &View<'_>, draw: &mut Draw) -> Option<Proof> {
    let graph = &view.model().graph;
    let iteration = draw.below(u64::from(view.book.iterations())) as u32;
    let operator = draw.below(graph.nodes.len() as u64) as u32;
    let layer = draw.below(graph.layers.len() as u64) as u32;
    let output = &graph.nodes[operator as usize].output;
    let kind = draw.below(9);
    match kind {
        0 => view.binding(iteration, operator),
        1 => {
            let live = &graph.layers[layer as usize].live_in;
            view.carry(iteration, layer, *draw.pick(live)?)
        }
        2 => {
            let boundary = layer + draw.below(2) as u32;
            let count = view.book.states.get(&(iteration, boundary))?.len();
            view.state_value(iteration, boundary, draw.below(count as u64) as u32)
        }
        3 => {
            let leaves = output.tree_shape()?.leaves();
            view.leaf_proof(iteration, operator, draw.below(leaves))
        }
        4 => view.link(iteration, draw.below(graph.inputs.len() as u64) as u32),
        5 => view.entry_proof(iteration),
        6 => view.stop(iteration),
        _ => {
            let node = law::check(&graph.nodes[operator as usize]).ok()?;
            let segments = law::segment_count(node);
            let most = if segments > 1 { segments + 1 } else { 1 };
            let element = draw.below(output.shape.count());
            view.step((iteration, operator, element, draw.below(most)))
        }
    }
}
