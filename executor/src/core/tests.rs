//! The executor's core at a ledger whose time passes by hand.

mod housekeeping;
mod others;
mod replies;

use protocol::asks::{Place, Showing, Tree, TreeKind};
use protocol::hash::leaf;
use protocol::settlement::{ETHER, JobStatus};

use super::*;
use crate::testing::{Court, OPEN_MS, WINDOW_MS, Who, honest, model, sequence_root, wrong};

/// Budget of either side, and what each move has at least.
const CLOCK_MS: u64 = 120_000;

/// Burned for each object.
const RECORD_FEE_WEI: u128 = ETHER / 10_000;

/// What is demanded in these tests.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// The states of the run.
    Trace,
    /// The inside of a layer.
    Inside { layer: u32 },
}

const TRACE: Wanted = Wanted::Trace;

/// The ask of a claim, and what is shown for it.
fn ask(court: &Court, claim: ClaimId, wanted: Wanted) -> (Ask, Vec<Showing>) {
    let (claim, iteration) = (court.settlement.claim(&claim).unwrap(), 0);
    match wanted {
        Wanted::Trace => {
            let (tree, count) = (Tree::Trace { iteration }, model().header().state_count());
            let (kind, root) = (TreeKind::List { count }, claim.trace_root);
            let place = Place { tree, kind, depth: 0, index: 0, hash: root };
            let showing = Showing::SequenceLeaf { iteration, root, path: Vec::new() };
            (Ask::Open { place }, vec![showing])
        }
        Wanted::Inside { layer } => {
            let count = model().layer(layer).unwrap().operator_count;
            let (tree, kind) = (Tree::Subtrace { iteration, layer }, TreeKind::List { count });
            let proof = model().layer_proof(layer).unwrap();
            (Ask::Say { tree, kind }, vec![Showing::Layer { proof }])
        }
    }
}

/// The demand of a claim that is made first in its challenge.
fn demanding(court: &Court, claim: ClaimId, wanted: Wanted) -> Action {
    let (ask, showings) = ask(court, claim, wanted);
    Action::Demand { claim, showings, ask, path: Vec::new(), from: None }
}

/// What an answer is to.
fn is_to(ask: &Ask, wanted: Wanted) -> bool {
    match wanted {
        Wanted::Trace => matches!(ask.tree(), Tree::Trace { .. }),
        Wanted::Inside { layer } => *ask.tree() == Tree::Subtrace { iteration: 0, layer },
    }
}

/// Levels of one opening.
fn arity_log2() -> u32 {
    protocol::settlement::Parameters::default().arity_log2
}

/// What the core wants. Asked twice, and asked of a copy, it must want the same.
fn decisions(core: &mut ExecutorCore, court: &Court) -> Vec<Decision> {
    let view = court.view();
    let decided = core.clone().decide(&view);
    assert_eq!(decided, core.decide(&view));
    assert_eq!(decided, core.decide(&view));
    decided
}

fn actions(core: &mut ExecutorCore, court: &Court) -> Vec<Action> {
    decisions(core, court).into_iter().map(|decision| decision.action).collect()
}

/// Does all that the core wants.
fn perform(core: &mut ExecutorCore, court: &mut Court) {
    for action in actions(core, court) {
        court.does(Who::Executor, &action);
    }
}

/// An executor that ran an input for a job and offers to claim it.
fn offering(court: &mut Court, input: u64, stake_wei: u128) -> (ExecutorCore, JobId) {
    let mut core = ExecutorCore::new(Who::Executor.address());
    let job = court.job(input, stake_wei);
    offer(&mut core, job, input);
    (core, job)
}

fn offer(core: &mut ExecutorCore, job: JobId, input: u64) {
    let run = honest(input);
    core.offer(statement_of(job, model().root(), run.trace()).unwrap());
    core.remember(run, arity_log2());
}

/// An executor with a claim on a job.
fn claiming() -> (Court, ExecutorCore, ClaimId) {
    claiming_on(Court::funded())
}

fn claiming_on(mut court: Court) -> (Court, ExecutorCore, ClaimId) {
    let (mut core, _) = offering(&mut court, 1, ETHER);
    perform(&mut core, &mut court);
    let claim = *court.settlement.claims().next().unwrap().0;
    (court, core, claim)
}

fn post(job: JobId, input: u64) -> Action {
    let statement = statement_of(job, model().root(), honest(input).trace()).unwrap();
    Action::PostClaim { statement }
}

#[test]
fn a_claim_states_the_run_and_binds_it_to_input_and_output() {
    let run = honest(1);
    let (job, trace) = (JobId(leaf(b"job")), run.trace());
    let Statement { terms, binding } = statement_of(job, model().root(), trace).unwrap();
    assert_eq!((terms.job, terms.model_root, terms.iterations), (job, model().root(), 1));
    assert_eq!(Some(terms.input_root), trace.state_roots().first().copied());
    assert_eq!(Some(terms.output_root), trace.state_roots().last().copied());
    let sequence = protocol::roots::sequence_tree::<Keccak>(&[trace.root()]).unwrap();
    assert_eq!(terms.sequence_root, sequence.root());
    let tree = trace.tree().tree();
    let ends = [(0, binding.input), (u64::from(model().header().layer_count), binding.output)];
    for (boundary, bound) in ends {
        assert_eq!(bound.trace_root, trace.root());
        assert_eq!(Some(bound.state_path), tree.path(boundary));
        assert_eq!(Some(bound.sequence_path), sequence.path(0));
    }
}

#[test]
fn an_open_job_that_was_run_is_claimed_once() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, post(job, 1));
    assert_eq!(decision.reason, "the job is open and the run is done");
    assert_eq!(decision.deadline_ms, None);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
    // Offered again, it is the same claim.
    offer(&mut core, job, 1);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn nothing_is_claimed_without_an_offer_or_on_a_job_that_the_ledger_does_not_know() {
    let mut court = Court::funded();
    court.job(1, ETHER);
    let mut core = ExecutorCore::new(Who::Executor.address());
    core.remember(honest(1), arity_log2());
    assert_eq!(actions(&mut core, &court), []);
    offer(&mut core, JobId(leaf(b"no job")), 1);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn a_job_that_is_over_is_not_claimed() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let mut expired = court.clone();
    expired.now_ms += OPEN_MS + 1;
    expired.does(Who::Client, &Action::ExpireJob { job });
    assert_eq!(actions(&mut core, &expired), []);
    // Another's other claim became final.
    let claim = court.claim(Who::Rival, job, &wrong(1));
    court.now_ms += WINDOW_MS + 1;
    court.does(Who::Rival, &Action::Finalise { claim });
    assert!(matches!(court.settlement.job(&job).unwrap().status, JobStatus::Done { .. }));
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn a_standing_claim_that_says_the_same_is_not_repeated() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let root = sequence_root(&honest(1));
    assert!(core.would_claim(&court.view(), &job, &root));
    let claim = court.claim(Who::Rival, job, &honest(1));
    assert!(!core.would_claim(&court.view(), &job, &root));
    assert_eq!(actions(&mut core, &court), []);
    // It falls, though it is true, because its executor is silent: then it is said again.
    court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, claim, TRACE);
    court.now_ms += CLOCK_MS + 1;
    court.does(Who::Challenger, &call_time(claim, Who::Challenger));
    assert!(core.would_claim(&court.view(), &job, &root));
    assert_eq!(actions(&mut core, &court), [post(job, 1)]);
}

#[test]
fn a_standing_claim_that_says_something_else_is_answered_by_a_claim() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    court.claim(Who::Rival, job, &wrong(1));
    assert!(core.would_claim(&court.view(), &job, &honest(1).trace().root()));
    assert_eq!(actions(&mut core, &court), [post(job, 1)]);
}

#[test]
fn an_account_claims_a_job_once_whatever_it_claimed() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    court.claim(Who::Executor, job, &wrong(1));
    assert!(!core.would_claim(&court.view(), &job, &honest(1).trace().root()));
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn a_job_that_names_another_executor_is_not_claimed() {
    let mut court = Court::funded();
    let root = honest(1).trace().root();
    for (named, claimed) in [(Who::Rival, false), (Who::Executor, true)] {
        court.named = named.address();
        let (mut core, job) = offering(&mut court, 1, ETHER);
        assert_eq!(core.would_claim(&court.view(), &job, &root), claimed, "{named:?}");
        let expected = if claimed { vec![post(job, 1)] } else { Vec::new() };
        assert_eq!(actions(&mut core, &court), expected);
        perform(&mut core, &mut court);
    }
}

#[test]
fn a_job_is_claimed_until_its_time_for_claims_is_over() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    court.now_ms += OPEN_MS;
    assert_eq!(actions(&mut core, &court), [post(job, 1)]);
    let mut late = court.clone();
    late.now_ms += 1;
    assert_eq!(actions(&mut core, &late), []);
    // As the ledger sees it too.
    assert!(late.submit(Who::Executor, &post(job, 1)).is_err());
    court.does(Who::Executor, &post(job, 1));
}

#[test]
fn would_claim_is_no_question_of_money_or_of_an_offer() {
    let mut court = Court::new();
    let job = court.job(1, ETHER);
    let core = ExecutorCore::new(Who::Executor.address());
    let root = honest(1).trace().root();
    assert!(core.would_claim(&court.view(), &job, &root));
    assert!(!core.would_claim(&court.view(), &JobId::default(), &root));
}

#[test]
fn claims_are_made_as_far_as_the_money_reaches() {
    // The record fee burns beside the stake.
    let least_wei = ETHER + RECORD_FEE_WEI;
    for (amount_wei, claimed) in [(least_wei, true), (least_wei - 1, false)] {
        let mut court = Court::new();
        court.deposit(Who::Executor, amount_wei);
        let (mut core, job) = offering(&mut court, 1, ETHER);
        let expected = if claimed { vec![post(job, 1)] } else { Vec::new() };
        assert_eq!(actions(&mut core, &court), expected);
    }
}

#[test]
fn the_money_is_spent_once_and_what_is_too_dear_is_passed_over() {
    cov_mark::check!(offer_is_too_dear);
    let mut court = Court::new();
    court.deposit(Who::Executor, 3 * (ETHER + RECORD_FEE_WEI));
    let (mut core, first) = offering(&mut court, 1, ETHER);
    let mut cheap = vec![(first, 1)];
    for input in 2..5 {
        let job = court.job(input, ETHER);
        offer(&mut core, job, input);
        cheap.push((job, input));
    }
    // In the order of the jobs' ids; of four that are affordable, three.
    cheap.sort_unstable();
    // Until a job that is too dear stands before all of them.
    loop {
        let dear = court.job(5, 4 * ETHER);
        offer(&mut core, dear, 5);
        if dear < cheap[0].0 {
            break;
        }
    }
    let expected: Vec<Action> =
        cheap.into_iter().take(3).map(|(job, input)| post(job, input)).collect();
    assert_eq!(actions(&mut core, &court), expected);
    perform(&mut core, &mut court);
    assert_eq!(court.settlement.money().free_wei(&Who::Executor.address()), 0);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn an_offer_that_is_not_wanted_takes_no_money_from_one_that_is() {
    let mut court = Court::new();
    court.deposit(Who::Executor, ETHER + RECORD_FEE_WEI);
    let (mut core, first) = offering(&mut court, 1, ETHER);
    let second = court.job(2, ETHER);
    offer(&mut core, second, 2);
    // Whichever comes first, the one that another claimed already does not count.
    for (taken, input, left) in [(first, 1, post(second, 2)), (second, 2, post(first, 1))] {
        let mut court = court.clone();
        court.claim(Who::Rival, taken, &honest(input));
        assert_eq!(actions(&mut core.clone(), &court), [left]);
    }
}

#[test]
fn a_forgotten_job_is_not_offered_and_its_run_goes_unless_another_needs_it() {
    let (mut court, mut core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, claim, TRACE);
    let job = court.settlement.claim(&claim).unwrap().terms.job;
    core.forget(&job, None);
    assert_eq!(actions(&mut core, &court).len(), 1, "the run is still there");
    core.forget(&job, Some((model().root(), Digest::default())));
    assert_eq!(actions(&mut core, &court).len(), 1);
    core.forget(&job, Some((model().root(), sequence_root(&honest(1)))));
    assert_eq!(actions(&mut core, &court), []);
    // An offer goes with its job, though the job is open.
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    core.forget(&job, None);
    assert_eq!(actions(&mut core, &court), []);
}

fn call_time(claim: ClaimId, challenger: Who) -> Action {
    Action::CallTime { claim, challenger: challenger.address() }
}

/// Demands the trace's opening or the inside of a layer.
fn demand(court: &mut Court, who: Who, claim: ClaimId, wanted: Wanted) {
    let action = demanding(court, claim, wanted);
    court.does(who, &action);
}

#[test]
fn an_honest_executor_defends_its_claim_and_is_paid() {
    let (mut court, mut core, claim) = claiming();
    let before_wei = court.settlement.money().free_wei(&Who::Executor.address());
    court.challenge(Who::Challenger, claim);
    for wanted in [TRACE, Wanted::Inside { layer: 1 }, Wanted::Inside { layer: 0 }] {
        demand(&mut court, Who::Challenger, claim, wanted);
        perform(&mut core, &mut court);
        assert_eq!(actions(&mut core, &court), [], "{wanted:?} is answered");
    }
    court.now_ms += CLOCK_MS + 1;
    perform(&mut core, &mut court);
    perform(&mut core, &mut court);
    let job = court.settlement.claim(&claim).unwrap().terms.job;
    assert_eq!(court.settlement.job(&job).unwrap().status, JobStatus::Done { claim });
    let after_wei = court.settlement.money().free_wei(&Who::Executor.address());
    // Stake and fee, three demand fees, and the cost of three replies out of the bond.
    assert_eq!(after_wei - before_wei, ETHER + ETHER / 100 + 6 * ETHER / 1_000);
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), None);
}
