//! A world: one ledger stand-in, many parties, one clock, one seed. Plain data: cloning it clones
//! the future.

mod choice;
mod ending;
mod jobs;
mod ledger;
mod party;
mod setup;
mod shapes;
mod shell;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use ::ledger::View;
use protocol::hash::{Commitment, Digest};
use protocol::ids::JobId;
use protocol::settlement::{JobStatus, Settlement};
use protocol::transaction::{Action, Address};

use crate::bounds::ShapeBounds;
use crate::fixtures::{Fixtures, Known};
use crate::invariants::{Audit, Books, Surroundings, Violation};
use crate::rng::WorldRng;
use crate::scenario::{OutageKind, Scenario, Side};
use crate::strategy::{Catalogue, Pending};
use crate::worst_cases::WorstCases;

pub use choice::Choice;
pub use ending::outcome_matches;
pub(crate) use party::{Party, PartyCore};

/// Everything that worlds share.
#[derive(Debug)]
pub struct Environment<C: Commitment> {
    /// Models and runs.
    pub fixtures: Fixtures<C>,
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
    Announcement { party: usize, job: usize },
    /// A party looks at the ledger.
    Look(usize),
    /// The ledger makes a block.
    Block,
}

/// A job of a world.
#[derive(Clone, Debug)]
struct WorldJob {
    input: usize,
    id: Option<JobId>,
}

/// One line of a world's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at_ms: u64,
    /// Number of the submission, for dropping it.
    pub submission: u64,
    /// Which group of parties sent it.
    pub group: usize,
    /// Which identity of the world.
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
    environment: Arc<Environment<C>>,
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
    runs: BTreeMap<(JobId, Address), Arc<Known<C>>>,
    /// Every run that somebody made, by its trace root.
    known_runs: BTreeMap<Digest, Arc<Known<C>>>,
    /// When the last job that somebody posted takes no claims any more, at the latest.
    jobs_until_ms: u64,
    waiting: Vec<Pending>,
    block_at_ms: Option<u64>,
    history: VecDeque<Snapshot<C>>,
    accepted: Vec<(u64, Address, u64, Arc<Action>)>,
    withdrawn: BTreeMap<Address, u128>,
    network: WorldRng,
    order: WorldRng,
    attack: WorldRng,
    sampling: WorldRng,
    audit_dice: WorldRng,
    submissions: u64,
    events: u64,
    disputes: u64,
    bounds: ShapeBounds,
    slack_ms: u64,
    check_replay: bool,
    log_hash: u64,
    log: Option<Vec<LogLine>>,
    /// What was reached, when somebody looks for what is new.
    shapes: Option<BTreeSet<u64>>,
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
    /// Whether its model, its inputs or its parameters are such as honest parties cannot help.
    pub hostile: bool,
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
    /// What was reached, when somebody looked: moves with what came of them and the shape of the state.
    pub shapes: BTreeSet<u64>,
    /// What all dishonest parties won together beyond what they earned, in wei.
    pub coalition_excess_wei: i128,
    /// What came nearest to the bounds of money and time.
    pub worst_cases: WorstCases,
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
    /// Notes what is reached from now on.
    pub fn note_shapes(&mut self) {
        self.shapes = Some(BTreeSet::new());
    }

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
            Happening::Announcement { party, job } => self.published(party, job),
            Happening::Look(party) => self.look(party),
            Happening::Block => self.block(),
        }
        self.now_ms <= self.horizon_ms() && !(happening == Happening::Block && self.is_settled())
    }

    /// Whether every job is over, nothing stands, and nobody honest has anything left to collect.
    fn is_settled(&self) -> bool {
        // A job that was replaced with its block is nobody's concern any more.
        let over = |job: &WorldJob| {
            job.id.is_some_and(|id| {
                self.settlement.job(&id).is_none_or(|job| job.status != JobStatus::Open)
            })
        };
        let honest = honesty(&self.parties, &self.by_address);
        let mut challenges = self.settlement.open_challenges();
        self.jobs.iter().all(over)
            && self.settlement.standing_claims().next().is_none()
            && !challenges.any(|(_, one)| honest(&one.challenger))
    }

    /// When nothing can be under way any more, whatever anybody does.
    fn horizon_ms(&self) -> u64 {
        let parameters = self.settlement.parameters();
        let jobs_ms = self.scenario.job_every_ms.saturating_mul(u64::from(self.scenario.jobs));
        jobs_ms
            .saturating_add(self.scenario.open_ms)
            .max(self.jobs_until_ms)
            .saturating_add(parameters.window_ms_min.saturating_mul(2))
            .saturating_add(parameters.challenge_ms_max().saturating_mul(2))
            .saturating_add(self.slack_ms.saturating_mul(4))
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

    fn surroundings<'a>(&self, honest: &'a dyn Fn(&Address) -> bool) -> Surroundings<'a> {
        Surroundings { now_ms: self.now_ms, slack_ms: self.slack_ms, honest, bounds: self.bounds }
    }
}

/// Who is honest by the plan of the party that has an address.
fn honesty<'a, C: Commitment>(
    parties: &'a [Party<C>],
    by_address: &'a BTreeMap<Address, usize>,
) -> impl Fn(&Address) -> bool + Copy + 'a {
    |address| {
        let party = by_address.get(address).and_then(|index| parties.get(*index));
        party.is_some_and(|one| one.plan.honest)
    }
}
