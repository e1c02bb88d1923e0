//! A world: one ledger stand-in, many parties, one clock, one seed. Plain data: cloning it clones
//! the future.

mod ledger;
mod party;
mod setup;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use ::ledger::View;
use protocol::hash::{Commitment, Digest};
use protocol::settlement::{ClaimStatus, JobStatus, Settlement};
use protocol::transaction::{Action, Address};

use crate::dice::Dice;
use crate::invariants::{Audit, Books, Invariant, ShapeBounds, Sometimes, Surroundings, Violation};
use crate::library::{Known, Library};
use crate::scenario::{OutageKind, Scenario, Side};
use crate::strategy::habits::{Forge, Forgery};
use crate::strategy::{Catalogue, Intent, Pending, Sight};

pub(crate) use party::{Party, PartyCore};
pub use setup::outcome_matches;

use party::{InFlight, fingerprint};

/// Everything that worlds share.
#[derive(Debug)]
pub struct Arena<C: Commitment> {
    /// Models and runs.
    pub library: Library<C>,
    /// Strategies.
    pub catalogue: Catalogue<C>,
}

/// Something that is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// The client posts a job.
    Job(usize),
    /// A party learns of a job.
    Heard { party: usize, job: usize },
    /// A party has run the model.
    Computed { party: usize, job: usize },
    /// A party's late publication is complete.
    Published { party: usize, job: usize },
    /// A party looks at the ledger.
    Look(usize),
    /// The ledger makes a block.
    Block,
}

/// A job of a world.
#[derive(Clone, Debug)]
struct WorldJob {
    input: usize,
    id: Option<Digest>,
}

/// What a searched attacker does at one of its looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// What its strategy plans.
    #[default]
    AsPlanned,
    /// Nothing at all.
    Nothing,
    /// No answers, everything else.
    NoAnswers,
    /// Everything, but shortly before each deadline.
    LastSecond,
    /// Answers with flipped bits.
    Forged,
    /// Everything but challenges.
    NoChallenges,
}

impl Choice {
    /// All of them; the first is as planned.
    pub const ALL: &'static [Self] = &[
        Self::AsPlanned,
        Self::Nothing,
        Self::NoAnswers,
        Self::LastSecond,
        Self::Forged,
        Self::NoChallenges,
    ];

    fn apply(self, mut intents: Vec<Intent>) -> Vec<Intent> {
        match self {
            Self::AsPlanned => {}
            Self::Nothing => intents.clear(),
            Self::NoAnswers => {
                intents.retain(|intent| !matches!(intent.action, Action::Reveal { .. }));
            }
            Self::NoChallenges => {
                intents.retain(|intent| !matches!(intent.action, Action::Challenge { .. }));
            }
            Self::LastSecond => intents.iter_mut().for_each(|intent| {
                let late_ms = intent.deadline_ms.map(|at_ms| at_ms.saturating_sub(2_500));
                intent.not_before_ms = late_ms.unwrap_or(intent.not_before_ms);
            }),
            Self::Forged => intents.iter_mut().for_each(|intent| {
                if let Action::Reveal { reveal, .. } = &mut intent.action {
                    Forge { forgery: Forgery::Garbage }.forge(reveal);
                }
            }),
        }
        intents
    }
}

/// One line of a world's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at_ms: u64,
    /// Number of the submission, for dropping it.
    pub submission: u64,
    /// Which group of parties, and which of its identities.
    pub group: usize,
    /// Identity in the world.
    pub party: usize,
    /// What was tried.
    pub action: Action,
    /// What came of it.
    pub outcome: Result<(), String>,
}

/// A state of the ledger that a reorganisation can return to.
#[derive(Clone, Debug)]
struct Snapshot<C: Commitment> {
    at_ms: u64,
    settlement: Arc<Settlement<C>>,
    books: Books<C>,
    accepted: usize,
    withdrawn: BTreeMap<Address, u128>,
    taken: Vec<Pending>,
}

/// A world.
#[derive(Clone, Debug)]
pub struct World<C: Commitment> {
    arena: Arc<Arena<C>>,
    scenario: Arc<Scenario>,
    now_ms: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    settlement: Arc<Settlement<C>>,
    height: u64,
    parties: Vec<Party<C>>,
    by_address: BTreeMap<Address, usize>,
    allies: Vec<Address>,
    jobs: Vec<WorldJob>,
    runs: BTreeMap<(Digest, Address), Arc<Known<C>>>,
    waiting: Vec<Pending>,
    block_at_ms: Option<u64>,
    history: VecDeque<Snapshot<C>>,
    accepted: Vec<(u64, Address, u64, Arc<Action>)>,
    withdrawn: BTreeMap<Address, u128>,
    network: Dice,
    order: Dice,
    attack: Dice,
    sampling: Dice,
    audit_dice: Dice,
    submissions: u64,
    events: u64,
    disputes: u64,
    bounds: ShapeBounds,
    slack_ms: u64,
    guarded: bool,
    check_replay: bool,
    log_hash: u64,
    log: Option<Vec<LogLine>>,
    /// What the audit found.
    pub audit: Audit<C>,
}

/// Everything that is left of a world that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its seed.
    pub seed: u64,
    /// Challenges that were opened and ended.
    pub disputes: u64,
    /// Transactions and other events.
    pub events: u64,
    /// When it ended.
    pub end_ms: u64,
    /// Hash over every event in order.
    pub log_hash: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What happened, as bits.
    pub sometimes: u64,
    /// How often each invariant was checked.
    pub checks: Vec<u64>,
    /// Each group of parties.
    pub groups: Vec<GroupEnd>,
    /// From post to finality of each claim that became final.
    pub finality_ms: Vec<u64>,
    /// Most openings that an honest claim gave.
    pub honest_openings_max: u32,
    /// The log, when it was kept.
    pub log: Vec<LogLine>,
}

/// How a group of parties ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEnd {
    /// Name of the group.
    pub name: String,
    /// Its strategy.
    pub strategy: String,
    /// Whether it is honest.
    pub honest: bool,
    /// Who it is.
    pub side: Side,
    /// What its money changed by, fees outside the protocol included.
    pub profit_wei: i128,
    /// Outcome code.
    pub outcome: String,
    /// Disputes that it took part in, and how many ended as the truth demands.
    pub disputes: (u64, u64),
    /// Whether a false claim of it became final.
    pub false_final: bool,
}

impl<C: Commitment> World<C> {
    /// Keeps a log from now on.
    pub fn keep_log(&mut self) {
        self.log = Some(Vec::new());
    }

    /// Checks at the end that a replay of the accepted transactions gives the same ledger.
    pub fn check_replay(&mut self) {
        self.check_replay = true;
    }

    /// Stops auditing: a search plays worlds that may break, and looks at the money only.
    pub fn without_audit(&mut self) {
        self.audit.stop();
    }

    /// Plays on until a dishonest party is about to look; false at the end.
    pub fn to_next_choice(&mut self) -> bool {
        loop {
            let next = self.queue.peek().map(|Reverse((at_ms, _, happening))| (*at_ms, *happening));
            let Some((at_ms, happening)) = next else {
                return false;
            };
            if let Happening::Look(index) = happening
                && self.parties.get(index).is_some_and(|one| {
                    !one.plan.honest && one.look_at_ms == Some(at_ms) && one.choice.is_none()
                })
            {
                return true;
            }
            if !self.step() {
                return false;
            }
        }
    }

    /// Decides what the party does that is about to look.
    pub fn choose(&mut self, choice: Choice) {
        if let Some(Reverse((_, _, Happening::Look(index)))) = self.queue.peek().copied()
            && let Some(one) = self.parties.get_mut(index)
        {
            one.choice = Some(choice);
        }
    }

    /// The world's time.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The ledger.
    pub fn settlement(&self) -> &Settlement<C> {
        &self.settlement
    }

    fn schedule(&mut self, at_ms: u64, happening: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((at_ms.max(self.now_ms), self.sequence, happening)));
    }

    fn delay_ms(&mut self) -> u64 {
        let network = &self.scenario.network;
        self.network.between(network.delay_ms_min, network.delay_ms_max)
    }

    fn faults(&self) -> bool {
        self.scenario.faults_until_ms == 0 || self.now_ms < self.scenario.faults_until_ms
    }

    /// Plays on to the end, or to the first violation.
    pub fn play(&mut self) {
        while self.step() {}
        self.finish();
    }

    /// Lets the next thing happen; false at the end.
    pub fn step(&mut self) -> bool {
        if !self.audit.violations.is_empty() {
            return false;
        }
        let Some(Reverse((at_ms, _, happening))) = self.queue.pop() else {
            return false;
        };
        self.now_ms = at_ms;
        match happening {
            Happening::Job(job) => self.post_job(job),
            Happening::Heard { party, job } => self.heard(party, job),
            Happening::Computed { party, job } => self.computed(party, job),
            Happening::Published { party, job } => self.published(party, job),
            Happening::Look(party) => self.look(party),
            Happening::Block => self.block(),
        }
        self.now_ms <= self.horizon_ms() && !(happening == Happening::Block && self.is_settled())
    }

    /// Whether every job has its answer and nothing stands.
    fn is_settled(&self) -> bool {
        let answered = |job: &WorldJob| {
            let job = job.id.and_then(|id| self.settlement.job(&id));
            job.is_some_and(|job| job.status != JobStatus::Open)
        };
        self.jobs.iter().all(answered)
            && self.settlement.claims().all(|(_, claim)| claim.status != ClaimStatus::Standing)
    }

    /// When nothing can be under way any more, whatever anybody does.
    fn horizon_ms(&self) -> u64 {
        let parameters = self.settlement.parameters();
        let jobs_ms = self.scenario.job_every_ms.saturating_mul(u64::from(self.scenario.jobs));
        jobs_ms
            .saturating_add(3 * parameters.window_ms_min)
            .saturating_add(3 * parameters.challenge_ms_max())
            .saturating_add(4 * self.slack_ms)
    }

    fn outage(&self, group: usize, kind: OutageKind, at_ms: u64) -> Option<u64> {
        if self.scenario.outage.is_empty() {
            return None;
        }
        let name = self.scenario.party.get(group).map(|party| party.name.as_str())?;
        self.scenario
            .outage
            .iter()
            .filter(|outage| outage.kind == kind && outage.party == name)
            .find_map(|outage| {
                let slice_ms = (outage.for_ms / u64::from(outage.slices)).max(1);
                let into_ms = at_ms.checked_sub(outage.from_ms)?;
                let (slice, rest_ms) = (into_ms / slice_ms, into_ms % slice_ms);
                let last = 2 * u64::from(outage.slices) - 1;
                (slice < last && slice.is_multiple_of(2)).then_some(at_ms + slice_ms - rest_ms)
            })
    }

    /// When a party can be reached again, if it cannot now.
    fn away_until_ms(&self, party: usize) -> Option<u64> {
        let one = self.parties.get(party)?;
        if one.down_until_ms > self.now_ms {
            return Some(one.down_until_ms);
        }
        let kinds = [OutageKind::Partitioned, OutageKind::Crashed];
        kinds.into_iter().find_map(|kind| self.outage(one.group, kind, self.now_ms))
    }

    /// A party looks again at `at_ms`, unless it looks before anyway.
    fn wake(&mut self, party: usize, at_ms: u64) {
        let Some(one) = self.parties.get_mut(party) else {
            return;
        };
        if one.look_at_ms.is_some_and(|planned| planned <= at_ms && planned >= self.now_ms) {
            return;
        }
        one.look_at_ms = Some(at_ms);
        self.schedule(at_ms, Happening::Look(party));
    }

    fn wake_soon(&mut self, party: usize) {
        let think_ms = self.parties.get(party).map_or(0, |one| one.plan.think_ms);
        let at_ms = self.now_ms + self.delay_ms() + think_ms;
        self.wake(party, at_ms);
    }

    fn view(&self, party: usize) -> View<C> {
        let now_ms = self.parties.get(party).map_or(0, |one| one.clock_ms(self.now_ms));
        View { height: self.height, now_ms, settlement: Arc::clone(&self.settlement) }
    }

    /// A party looks at the ledger, decides, and sends.
    fn look(&mut self, index: usize) {
        if self.parties.get(index).and_then(|one| one.look_at_ms) != Some(self.now_ms) {
            return;
        }
        if let Some(one) = self.parties.get_mut(index) {
            one.look_at_ms = None;
        }
        let spent = |one: &Party<C>| one.transactions >= one.plan.transactions_max;
        if self.parties.get(index).is_some_and(spent) {
            return;
        }
        if let Some(back_ms) = self.away_until_ms(index) {
            self.note_absence(index);
            self.wake(index, back_ms);
            return;
        }
        let view = self.view(index);
        let ledger_nonce =
            self.parties.get(index).map_or(0, |one| view.settlement.nonce(&one.address));
        let repeat = self.audit_dice.chance(20);
        let faults = self.faults();
        let Some(one) = self.parties.get_mut(index) else {
            return;
        };
        one.in_flight.retain(|sent| sent.nonce >= ledger_nonce);
        // Nothing behind a gap can ever count: it is numbered anew.
        if one.in_flight.iter().all(|sent| sent.nonce > ledger_nonce) {
            one.in_flight.clear();
        }
        if let Some(crashes) = one.plan.crashes
            && faults
            && self.attack.chance(crashes.permille)
        {
            self.crash(index, crashes);
            return;
        }
        let decisions = one.core.decide(&view);
        if one.plan.honest {
            let limit = work_max(&view);
            let count = decisions.len();
            self.audit.hold(Invariant::WorkBounded, self.now_ms, count <= limit, || {
                format!("{count} decisions at once, {limit} things are under way")
            });
            if repeat {
                let again = one.core.clone().decide(&view);
                let same = again == decisions;
                self.audit.hold(Invariant::SameViewSameActions, self.now_ms, same, || {
                    "the same core decided otherwise on the same view".to_owned()
                });
            }
        }
        let next_ms = one.core.next_look_ms(&view);
        let skew_ms = one.clock_skew_ms;
        let mut intents = self.intents(index, &view, decisions);
        let choice = self.parties.get_mut(index).and_then(|one| one.choice.take());
        if let Some(choice) = choice {
            intents = choice.apply(intents);
        }
        drop(view);
        let held_ms = self.send_all(index, intents);
        // The core's times are on its own clock.
        let next_ms = next_ms.map(|at_ms| at_ms.saturating_add_signed(-skew_ms));
        let resend_ms = self.parties.get_mut(index).and_then(|one| {
            // What is old and was not sent again is no longer wanted.
            let after_ms = self.scenario.network.resend_ms;
            one.in_flight.retain(|sent| sent.sent_ms + after_ms > self.now_ms);
            let oldest = one.in_flight.iter().map(|sent| sent.sent_ms).min()?;
            Some(oldest + after_ms)
        });
        let patient_ms = self.parties.get(index).and_then(|one| {
            let times = one.patience.iter().map(|(_, until_ms, _)| *until_ms);
            times.filter(|at_ms| *at_ms > self.now_ms).min()
        });
        let times = [next_ms, held_ms, resend_ms, patient_ms];
        if let Some(at_ms) = times.into_iter().flatten().min() {
            self.wake(index, at_ms.max(self.now_ms + 1));
        }
    }

    fn note_absence(&mut self, index: usize) {
        let honest = self.parties.get(index).is_some_and(|one| one.plan.honest);
        let disputed = self.settlement.challenges().any(|(_, challenge)| challenge.is_open());
        if honest && disputed {
            let down = self.parties.get(index).is_some_and(|one| one.down_until_ms > self.now_ms);
            self.audit.saw(if down { Sometimes::Restarted } else { Sometimes::Partitioned });
        }
    }

    /// A party goes down and forgets what its journal did not keep.
    fn crash(&mut self, index: usize, crashes: crate::strategy::Crashes) {
        let now_ms = self.now_ms;
        let Some(one) = self.parties.get_mut(index) else {
            return;
        };
        one.down_until_ms = now_ms + crashes.down_ms;
        match crashes.before_sending {
            // The whole tail is torn off: it knows only what the ledger says.
            true => one.in_flight.clear(),
            false => drop(one.in_flight.pop()),
        }
        self.note_absence(index);
        self.wake(index, now_ms + crashes.down_ms);
    }

    fn intents(
        &mut self,
        index: usize,
        view: &View<C>,
        decisions: Vec<::ledger::Decision>,
    ) -> Vec<Intent> {
        let Some(one) = self.parties.get_mut(index) else {
            return Vec::new();
        };
        let mut intents: Vec<Intent> = decisions.into_iter().map(Intent::from).collect();
        if one.plan.honest {
            // An operator bids for a place where places are scarce.
            if !one.patience.is_empty() {
                intents.retain(|intent| !one.is_patient(fingerprint(&intent.action), self.now_ms));
            }
            let soon_ms = view.now_ms.saturating_add(URGENT_MS);
            for intent in &mut intents {
                let urgent = intent.deadline_ms.is_some_and(|at_ms| at_ms < soon_ms);
                intent.bid = if urgent { URGENT_BID } else { HONEST_BID };
            }
        }
        if one.plan.habits.is_empty() {
            return intents;
        }
        let cases = match &one.core {
            PartyCore::Challenger(core) => Some(core),
            PartyCore::Executor(_) | PartyCore::Client { .. } => None,
        };
        let mut sight = Sight {
            now_ms: view.now_ms,
            me: one.address,
            allies: &self.allies,
            view,
            queue: if one.plan.watches_queue { &self.waiting } else { &[] },
            cases,
            dice: &mut self.attack,
        };
        for habit in &mut one.plan.habits {
            intents = habit.play(&mut sight, intents);
        }
        intents
    }

    /// Sends what is due; says when the next held move is.
    fn send_all(&mut self, index: usize, intents: Vec<Intent>) -> Option<u64> {
        let mut held_ms: Option<u64> = None;
        let slots = self.parties.get(index).map_or(0, |one| one.plan.slots as usize);
        let mut sent = 0;
        for intent in intents {
            if intent.not_before_ms > self.now_ms {
                held_ms =
                    Some(held_ms.map_or(intent.not_before_ms, |at| at.min(intent.not_before_ms)));
                continue;
            }
            if sent >= slots {
                self.audit.saw(Sometimes::Saturated);
                let next_ms = self.now_ms + self.scenario.ledger.block_ms;
                held_ms = Some(held_ms.map_or(next_ms, |at| at.min(next_ms)));
                break;
            }
            sent += usize::from(self.send(index, intent));
        }
        held_ms
    }

    /// Sends one move, unless it is under way; true when something left.
    fn send(&mut self, index: usize, intent: Intent) -> bool {
        let content = fingerprint(&intent.action);
        let (now_ms, resend_ms) = (self.now_ms, self.scenario.network.resend_ms);
        let Some(one) = self.parties.get_mut(index) else {
            return false;
        };
        if one.transactions >= one.plan.transactions_max {
            return false;
        }
        one.transactions += 1;
        let ledger_nonce = self.settlement.nonce(&one.address);
        let known = one.in_flight.iter_mut().find(|sent| sent.fingerprint == content);
        let sending = match known {
            Some(sent) if now_ms < sent.sent_ms + resend_ms => {
                one.transactions -= 1;
                return false;
            }
            Some(sent) => {
                sent.sent_ms = now_ms;
                sent.bid = sent.bid.max(intent.bid);
                self.audit.saw(Sometimes::MessageLost);
                sent.clone()
            }
            None => {
                const IN_FLIGHT_MAX: usize = 4_096;
                if one.in_flight.len() >= IN_FLIGHT_MAX {
                    return false;
                }
                let nonce = one.next_nonce(ledger_nonce);
                let (action, bid) = (Arc::new(intent.action), intent.bid);
                let sent = InFlight { nonce, fingerprint: content, action, bid, sent_ms: now_ms };
                one.in_flight.push(sent.clone());
                sent
            }
        };
        if one.plan.honest {
            let consistent = one.says(&sending.action, content);
            self.audit.hold(Invariant::NoEquivocation, now_ms, consistent, || {
                format!("an honest party says two things: now {:?}", sending.action)
            });
        }
        self.submit(index, &sending);
        self.outbid_own(index, &sending);
        true
    }

    /// A high bid is worth nothing behind a low one of the same sender: those before it are sent
    /// again with the same bid.
    fn outbid_own(&mut self, index: usize, sending: &InFlight) {
        let Some(one) = self.parties.get_mut(index) else {
            return;
        };
        let mut again = Vec::new();
        for earlier in &mut one.in_flight {
            if earlier.nonce < sending.nonce && earlier.bid < sending.bid {
                (earlier.bid, earlier.sent_ms) = (sending.bid, self.now_ms);
                again.push(earlier.clone());
            }
        }
        for earlier in &again {
            self.submit(index, earlier);
        }
    }

    /// Hands a transaction to the network.
    fn submit(&mut self, index: usize, sending: &InFlight) {
        let submission = self.submissions;
        self.submissions += 1;
        let Some((sender, honest)) =
            self.parties.get(index).map(|one| (one.address, one.plan.honest))
        else {
            return;
        };
        // Only of dishonest parties: an honest message that is lost for ever proves nothing.
        if !honest && self.scenario.dropped.binary_search(&submission).is_ok() {
            return;
        }
        let network = self.scenario.network.clone();
        let faults = self.faults();
        let copies = 1 + u32::from(faults && self.network.chance(network.duplicate_permille));
        if copies > 1 {
            self.audit.saw(Sometimes::MessageDoubled);
        }
        for _ in 0..copies {
            let delay_ms = self.delay_ms();
            if faults && self.network.chance(network.loss_permille) {
                continue;
            }
            let arrives_ms = self.now_ms + delay_ms;
            self.waiting.push(Pending {
                sender,
                nonce: sending.nonce,
                action: Arc::clone(&sending.action),
                bid: sending.bid,
                arrives_ms,
                submission,
                fingerprint: sending.fingerprint,
            });
            self.plan_block(arrives_ms);
            self.show_queue(arrives_ms);
        }
    }

    /// Wakes those who look at the queue.
    fn show_queue(&mut self, at_ms: u64) {
        for index in 0..self.parties.len() {
            if self.parties.get(index).is_some_and(|one| one.plan.watches_queue) {
                self.wake(index, at_ms + 1);
            }
        }
    }

    fn surroundings<'a>(&self, honest: &'a dyn Fn(&Address) -> bool) -> Surroundings<'a> {
        Surroundings {
            now_ms: self.now_ms,
            slack_ms: self.slack_ms,
            guarded: self.guarded,
            honest,
            bounds: self.bounds,
        }
    }
}

/// What honest parties offer for a place in a block; others offer 1 unless it is their habit.
const HONEST_BID: u32 = 10;
/// What they offer when the deadline is near.
const URGENT_BID: u32 = 100_000;
/// How near.
const URGENT_MS: u64 = 60_000;

/// Decisions that a party can have at once: a few for everything that is under way.
fn work_max<C: Commitment>(view: &View<C>) -> usize {
    let settlement = &view.settlement;
    let (jobs, claims) = (settlement.jobs().count(), settlement.claims().count());
    2 * (jobs + claims + settlement.challenges().count()) + 2
}
