//! Games about runs of the recurrent model.

use protocol::settlement::{ETHER, Parameters, job_id};
use protocol::transaction::{Action, JobTerms};

use super::answers::Proof;
use super::sequence::{Course, Form, Machine};
use super::{Game, Who, address};

pub const FORMS: [Form; 3] = [Form::Stopping, Form::Endless, Form::Batch];
pub const RECORD_WEI: i128 = ETHER as i128 / 10_000;
pub const FEE_WEI: i128 = ETHER as i128 / 10;

pub fn machine(form: Form) -> Machine {
    Machine::new(form, 3)
}

/// A ledger that knows the model, and its job: as many iterations as the run has, with its input.
pub fn game_of(
    course: &Course,
    parameters: Parameters,
    change: impl FnOnce(&mut JobTerms),
) -> Game {
    let header = course.machine.header().clone();
    let game = Game::without_job(parameters.clone())
        .accepts(Who::Client, Action::RegisterModel { header });
    posts(game, course, change)
}

pub fn job_terms(game: &Game, course: &Course) -> JobTerms {
    JobTerms {
        model_root: course.machine.header().root(),
        input_root: course.statement.terms.input_root,
        iterations_max: course.iterations(),
        ..game.job_terms()
    }
}

pub fn posts(mut game: Game, course: &Course, change: impl FnOnce(&mut JobTerms)) -> Game {
    let mut terms = job_terms(&game, course);
    change(&mut terms);
    // Whoever checks a claim needs time for all iterations.
    let least_ms = game.state.parameters().window_ms_of(terms.iterations_max);
    terms.window_ms = terms.window_ms.max(least_ms);
    game.job = job_id(address(Who::Client), &terms);
    game.accepts(Who::Client, Action::PostJob { terms })
}

pub fn claims(game: Game, who: Who, course: &Course) -> Game {
    let statement = course.claimed(game.job);
    game.accepts(who, Action::PostClaim { statement })
}

/// A claim of the run, and a challenge of it.
pub fn disputed(course: &Course, change: impl FnOnce(&mut JobTerms)) -> Game {
    claims(game_of(course, Parameters::default(), change), Who::Executor, course)
        .challenges(Who::Challenger, Who::Executor)
}

pub fn refute(game: &Game, course: &Course, proof: Proof) -> Action {
    course.refute(game.claim(Who::Executor), address(Who::Challenger), proof)
}

pub fn cut(terms: &mut JobTerms) {
    (terms.may_cut, terms.executor) = (true, address(Who::Executor));
}
