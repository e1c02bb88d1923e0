//! A party that knows no list of attacks: it draws among everything that the ledger would take from it now, and
//! among what the ledger nearly would.
//!
//! What is legal is not listed either: a move of any kind is made up, and tried on a copy of the ledger.

mod attention;
mod disputes;
mod money;
mod near;
mod refutations;

use protocol::hash::Commitment;
use protocol::settlement::Settlement;
use protocol::transaction::Action;

use super::super::{Intent, Sight, Strategy};
use crate::rng::{Purpose, WorldRng};

/// Kinds of moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Withdraw,
    Register,
    PostJob,
    PostTrue,
    PostFalse,
    Challenge,
    /// To say a root.
    Say,
    Open,
    Leaves,
    /// Inputs and outputs of the run.
    End,
    /// Built on what was asked last.
    Below,
    /// With more shown than is needed.
    Beside,
    /// What others wait for.
    Same,
    Answer,
    /// Another answer than the claim's own run gives.
    AnswerOtherwise,
    /// A refutation of any place.
    Refute,
    /// What the solver would do.
    Sane,
    /// Withdraws a challenge.
    Leave,
    Seal,
    Attest,
    OpenSeal,
    Prove,
    /// What anybody may do.
    Chore,
    /// A move of another kind with one thing changed, or at another time.
    Near,
}

const KINDS: [Kind; 24] = [
    Kind::Withdraw,
    Kind::Register,
    Kind::PostJob,
    Kind::PostTrue,
    Kind::PostFalse,
    Kind::Challenge,
    Kind::Say,
    Kind::Open,
    Kind::Leaves,
    Kind::End,
    Kind::Below,
    Kind::Beside,
    Kind::Same,
    Kind::Answer,
    Kind::AnswerOtherwise,
    Kind::Refute,
    Kind::Sane,
    Kind::Leave,
    Kind::Seal,
    Kind::Attest,
    Kind::OpenSeal,
    Kind::Prove,
    Kind::Chore,
    Kind::Near,
];

/// Kinds that a crowd does which disputes what stands.
const OF_CROWDS: [Kind; 9] = [
    Kind::Challenge,
    Kind::Say,
    Kind::Open,
    Kind::Leaves,
    Kind::End,
    Kind::Same,
    Kind::Answer,
    Kind::Sane,
    Kind::PostFalse,
];

/// How often a party draws a kind, and how often it looks.
#[derive(Clone, Debug)]
struct Habits {
    weights: [u64; KINDS.len()],
    waits_ms: [u64; 3],
}

impl Habits {
    fn draw(rng: &mut WorldRng) -> Self {
        let weights = match rng.below(4) {
            0 => [1; KINDS.len()],
            1 => KINDS.map(|kind| if OF_CROWDS.contains(&kind) { 12 } else { 1 }),
            _ => KINDS.map(|_| rng.pick(&[0, 1, 1, 8]).copied().unwrap_or(1)),
        };
        let weights = if weights.iter().all(|one| *one == 0) { [1; KINDS.len()] } else { weights };
        let paces = [[200, 1_000, 3_000], [1_000, 8_000, 30_000], [500, 5_000, 90_000]];
        let waits_ms = rng.pick(&paces).copied().unwrap_or_default();
        Self { weights, waits_ms }
    }

    fn kind(&self, rng: &mut WorldRng) -> Option<Kind> {
        let mut number = rng.below(self.weights.iter().sum());
        KINDS.iter().zip(self.weights).find_map(|(kind, weight)| {
            let is_it = number < weight;
            number = number.saturating_sub(weight);
            is_it.then_some(*kind)
        })
    }
}

/// Draws its moves.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// After this time of the ledger it does nothing any more.
    pub until_ms: u64,
    /// Its own stream of chance; the world's without one.
    draws: Option<WorldRng>,
    habits: Option<Habits>,
    /// Moves that wait for a moment about the end of somebody's time.
    held: Vec<Intent>,
    next_ms: Option<u64>,
}

impl Chaos {
    /// A party that plays until a time of the ledger; how it plays is drawn at its first look. `draw` other than 0
    /// decides what it draws, whatever else happens by chance.
    pub fn new(until_ms: u64, draw: u64) -> Self {
        let draws = (draw != 0).then(|| WorldRng::new(draw, Purpose::Attack));
        Self { until_ms, draws, habits: None, held: Vec::new(), next_ms: None }
    }
}

/// Moves that one look sends at most.
const MOVES_MAX: u64 = 3;
/// Moves that are made up until one is legal, for one that is sent.
const TRIES: usize = 10;

impl<C: Commitment> Strategy<C> for Chaos {
    fn play(&mut self, sight: &mut Sight<'_, C>, intents: Vec<Intent>) -> Vec<Intent> {
        if let Some(draws) = &mut self.draws {
            std::mem::swap(draws, sight.rng);
        }
        let chosen = self.choose(sight, intents);
        if let Some(draws) = &mut self.draws {
            std::mem::swap(draws, sight.rng);
        }
        chosen
    }

    fn next_look_ms(&self) -> Option<u64> {
        self.next_ms
    }

    boxed!();
}

impl Chaos {
    fn choose<C: Commitment>(
        &mut self,
        sight: &mut Sight<'_, C>,
        intents: Vec<Intent>,
    ) -> Vec<Intent> {
        if sight.now_ms > self.until_ms {
            self.next_ms = None;
            self.held.clear();
            return Vec::new();
        }
        let habits = self.habits.get_or_insert_with(|| Habits::draw(sight.rng));
        let wait_ms = sight.rng.pick(&habits.waits_ms).copied().unwrap_or(1_000);
        self.next_ms = Some(sight.now_ms.saturating_add(wait_ms));
        let now_ms = sight.now_ms;
        let (due, later) =
            self.held.drain(..).partition(|one: &Intent| one.not_before_ms <= now_ms);
        self.held = later;
        let state = Settlement::clone(&sight.view.settlement);
        let count = 1 + sight.rng.below(MOVES_MAX);
        let mut table = Table { state, sane: intents, sight, for_anybody: false };
        let mut chosen: Vec<Intent> = due;
        let mut near: Vec<Intent> = Vec::new();
        for _ in 0..count {
            let found = (0..TRIES).find_map(|_| {
                let kind = habits.kind(table.sight.rng)?;
                match kind {
                    Kind::Near => table.near().map(|intent| (intent, true)),
                    _ => table.legal(kind).map(|intent| (intent, false)),
                }
            });
            match found {
                Some((intent, false)) => chosen.push(intent),
                Some((intent, true)) if intent.not_before_ms > now_ms => self.held.push(intent),
                Some((intent, true)) => near.push(intent),
                None => break,
            }
        }
        // What is sent after a move that is refused is out of turn.
        chosen.append(&mut near);
        let first_ms = self.held.iter().map(|one| one.not_before_ms).min();
        self.next_ms = self.next_ms.into_iter().chain(first_ms).min();
        chosen
    }
}

/// What a party has before it while it draws: the ledger as it is after the moves drawn so far.
struct Table<'s, 'a, C: Commitment> {
    state: Settlement<C>,
    /// What its core would do.
    sane: Vec<Intent>,
    sight: &'s mut Sight<'a, C>,
    /// Whether it also makes up what only others may do: answers for other executors, moves in others' disputes.
    for_anybody: bool,
}

impl<C: Commitment> Table<'_, '_, C> {
    fn now_ms(&self) -> u64 {
        self.sight.now_ms.max(self.state.now_ms())
    }

    fn rng(&mut self) -> &mut WorldRng {
        self.sight.rng
    }

    fn free_wei(&self) -> u128 {
        self.state.money().free_wei(&self.sight.me)
    }

    /// A move of a kind that the ledger would take now.
    fn legal(&mut self, kind: Kind) -> Option<Intent> {
        let intent = self.made_up(kind)?;
        let mut copy = self.state.clone();
        copy.perform(self.now_ms(), self.sight.me, 0, &intent.action).ok()?;
        self.state = copy;
        Some(intent)
    }

    /// A move of a kind, whether the ledger takes it or not.
    fn made_up(&mut self, kind: Kind) -> Option<Intent> {
        let action = match kind {
            Kind::Withdraw => self.withdraw(),
            Kind::Register => self.register(),
            Kind::PostJob => self.post_job(),
            Kind::PostTrue => self.post_claim(true),
            Kind::PostFalse => self.post_claim(false),
            Kind::Challenge => self.challenge(),
            Kind::Say | Kind::Open | Kind::Leaves | Kind::End | Kind::Below | Kind::Beside => {
                self.demand(kind)
            }
            Kind::Same => self.same(),
            Kind::Answer => self.answer(false),
            Kind::AnswerOtherwise => self.answer(true),
            Kind::Refute => self.refute(),
            Kind::Sane => return self.sight.rng.pick(&self.sane).cloned(),
            Kind::Leave => self.leave(),
            Kind::Seal => self.seal(),
            Kind::Attest => self.attest(),
            Kind::OpenSeal => self.open_seal(),
            Kind::Prove => self.prove(),
            Kind::Chore => self.chore(),
            Kind::Near => None,
        };
        action.map(Intent::new)
    }

    /// One of some things.
    fn pick<T>(&mut self, mut things: Vec<T>) -> Option<T> {
        let place = self.sight.rng.below(things.len() as u64) as usize;
        (place < things.len()).then(|| things.swap_remove(place))
    }

    fn action(&mut self, kind: Kind) -> Option<Action> {
        self.made_up(kind).map(|intent| intent.action)
    }
}
