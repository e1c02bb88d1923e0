//! `rebut demo`: one claim, one lie, one conviction, told move by move.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use challenger::Policy;
use dispute::verdict::Verdict;
use dispute::{Devnet, Lie, Lying, Outcome, Participants, PlayedMove, Role, actor_key};
use inference::{Engine, Honest, Model, Runner, Tensor, Trace};
use ledger::words;
use protocol::asks::{Ask, Tree};
use protocol::settlement::{ChallengeStatus, ClaimStatus, Event, FallReason, Parameters};
use protocol::tensor::{ElementType, Shape};
use protocol::transaction::Action;
use serde::Serialize;

use super::dispute::{runtime, tell, tell_parties};
use crate::arguments::{Demo, ImportChoices};
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::shipped::{IMAGES, SHIPPED, image_bits};
use crate::{load, print, verdict_report};

/// The first model's verdict, and all of them by name.
#[derive(Debug, Serialize)]
struct DemoReport<'a> {
    #[serde(flatten)]
    verdict: Verdict,
    models: &'a [Named],
}

#[derive(Debug, Serialize)]
struct Named {
    model: String,
    #[serde(flatten)]
    verdict: Verdict,
}

pub(crate) fn run(arguments: &Demo, as_json: bool) -> Result<Ending, CommandError> {
    let engine = load::engine(&arguments.engine)?;
    let names: Vec<&str> = match &arguments.model {
        Some(name) => vec![name],
        None => SHIPPED.iter().map(|(name, _)| *name).collect(),
    };
    let mut verdicts = Vec::new();
    for name in &names {
        verdicts.push(stage_lie(name, arguments, &engine, as_json)?);
    }
    if as_json {
        let models: Vec<Named> = names
            .iter()
            .zip(&verdicts)
            .map(|(name, verdict)| Named { model: (*name).to_owned(), verdict: verdict.clone() })
            .collect();
        if let Some(first) = models.first() {
            print::json(&DemoReport { verdict: first.verdict.clone(), models: &models })?;
        }
    }
    Ok(Ending::Done)
}

fn open_model(
    name: &str,
    choices: &ImportChoices,
    engine: &Engine,
) -> Result<Arc<Model>, CommandError> {
    match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        Some((_, bytes)) => {
            let options = load::import_flags(choices)?;
            Ok(Arc::new(inference::import_bytes(bytes, name, None, engine, &options)?))
        }
        None => load::model(Path::new(name), choices, engine),
    }
}

/// The shipped image where it fits, otherwise a ramp of small numbers.
fn input_for(model: &Model) -> Result<HashMap<String, Tensor>, CommandError> {
    let mut inputs = HashMap::new();
    for (name, kind) in load::input_types(model) {
        let count = kind.shape.count();
        let image = Shape::new(&[1, 1, 8, 8]).is_some_and(|shape| shape == kind.shape);
        let bits: Vec<u64> = if image {
            image_bits(IMAGES[0])
        } else {
            (0..count)
                .map(|index| match kind.element {
                    ElementType::F32 => u64::from((((index % 17) as f32 - 8.0) / 8.0).to_bits()),
                    _ => index % 2,
                })
                .collect()
        };
        let tensor = Tensor::from_bits(&kind, &bits)
            .ok_or_else(|| system(format!("input {name}"), "no example fits it"))?;
        inputs.insert(name, tensor);
    }
    Ok(inputs)
}

/// The first lie of one unit from the middle of the model on that changes the trace.
fn default_lie(
    engine: &Engine,
    model: &Arc<Model>,
    inputs: &HashMap<String, Tensor>,
    honest: &Trace,
) -> Result<Lie, CommandError> {
    let operators = model.header().operator_count;
    for operator in (operators / 2..operators).chain(0..operators) {
        let found = model.layer_of(operator).and_then(|layer| {
            let position = model.layer(layer)?.position(operator)?;
            let folds = protocol::law::segment_count(model.checked(operator)?) > 1;
            let element = model.node(operator)?.output.shape.count() / 2;
            folds.then_some(Lie::Ulps { layer, operator: position, element, ulps: 1 })
        });
        let Some(lie) = found else { continue };
        let compute_policy = Lying::new(&lie, model, honest)?;
        let runner = Runner { engine, model, compute_policy: &compute_policy };
        if runner.run(runner.input_state(inputs)?)?.root() != honest.root() {
            return Ok(lie);
        }
    }
    Ok(Lie::OutputOnly)
}

fn stage_lie(
    name: &str,
    arguments: &Demo,
    engine: &Engine,
    as_json: bool,
) -> Result<Verdict, CommandError> {
    let model = open_model(name, &arguments.import, engine)?;
    let inputs = input_for(&model)?;
    let mut participants =
        Participants::new(engine.clone(), Arc::clone(&model), inputs, Arc::new(Honest));
    let honest = participants.run(&Honest)?;
    let lie = match arguments.lie.as_deref() {
        Some("none") => None,
        Some(text) => Some(load::named_lie(text, &model)?),
        None => Some(default_lie(engine, &model, &participants.input, &honest)?),
    };
    match &lie {
        Some(lie) => {
            participants.executor = Arc::new(Lying::new(lie, &model, &honest)?);
            participants.rival = true;
        }
        None => {
            // A frivolous challenger: its own view is corrupt, and it challenges everything.
            let corrupt = default_lie(engine, &model, &participants.input, &honest)?;
            participants.challenger = Arc::new(Lying::new(&corrupt, &model, &honest)?);
            participants.policy = Policy::Everything;
        }
    }
    let mut narrator = Narrator { model: Arc::clone(&model), quiet: as_json, refused: None };
    narrator.open(name, lie.as_ref(), &honest);
    let folder = tempfile::tempdir().map_err(|error| system("a temporary folder", error))?;
    let (devnet, outcome) = runtime()?.block_on(async {
        let devnet = Devnet::open_live(folder.path(), Parameters::default()).await?;
        let outcome = devnet.dispute(&participants, &mut |played| narrator.tell(played)).await?;
        Ok::<_, CommandError>((devnet, outcome))
    })?;
    let Some(claim) = outcome.claim else {
        return Err(CommandError::Argument {
            argument: "--lie",
            reason: outcome.refused.unwrap_or_default(),
        });
    };
    let verdict = verdict_report::verdict_of(&devnet, &participants, &outcome, &claim)
        .ok_or_else(|| system("the verdict", "the log has no such claim"))?;
    if !as_json {
        println!();
        tell_parties(&verdict);
        tell(&verdict);
        for line in element_lines(&participants, &verdict).into_iter().flatten() {
            println!("{}", print::wrapped(&line, 14));
        }
        println!("{}", print::wrapped(&moral(&outcome, &verdict), 0));
        accounts(&outcome);
    }
    Ok(verdict)
}

/// What came of it, in a sentence.
fn moral(outcome: &Outcome, verdict: &Verdict) -> String {
    let settlement = &outcome.view.settlement;
    let lost = settlement.challenges().any(|(_, one)| one.status == ChallengeStatus::Lost);
    let money = &verdict.money;
    match (verdict.verdict.as_str(), lost) {
        ("fraud", _) => format!(
            "The lie cost the executor {}; the challenger gained {}.",
            print::ether(-money.executor_delta_wei),
            print::ether(money.challenger_delta_wei)
        ),
        ("upheld", true) => format!(
            "The frivolous challenge cost the challenger {}: bond and fees. The honest claim is \
             final, and its executor gained {}: the job's fee and a fee for each answer.",
            print::ether(-money.challenger_delta_wei),
            print::ether(money.executor_delta_wei)
        ),
        ("upheld", false) => "The claim is final: nobody found anything false in it.".to_owned(),
        _ => "The claim is still open.".to_owned(),
    }
}

/// Who has what at the end.
fn accounts(outcome: &Outcome) {
    let settlement = &outcome.view.settlement;
    let roles = [Role::Executor, Role::Rival, Role::Challenger, Role::Client];
    let rows = roles
        .into_iter()
        .map(|role| {
            let address = actor_key(role).address();
            let free = settlement.money().free_wei(&address);
            let claim = settlement.claims().find(|(_, claim)| claim.executor == address);
            let status = match claim.map(|(_, claim)| &claim.status) {
                Some(ClaimStatus::Fallen { .. }) => "rejected: the stake is gone",
                Some(ClaimStatus::Final { .. }) => "final: fee and stake paid",
                Some(ClaimStatus::Released { .. }) => "released: the stake went back",
                Some(ClaimStatus::Standing) => "standing",
                None => "",
            };
            vec![role.name().to_owned(), print::ether(free as i128), status.to_owned()]
        })
        .collect();
    print::table(&["account", "free (2 ETH deposited)", "claim"], rows);
}

/// What the refuted step says of the element: an executor that lies about an element bends a running sum so
/// that they add up to it, and one unit of their sum may be several of a smaller running sum.
fn element_lines(participants: &Participants, verdict: &Verdict) -> Option<[String; 2]> {
    let (segment, segments) = (verdict.segment?, verdict.segments?);
    if verdict.verdict != "fraud" || segments < 2 || segment >= segments {
        return None;
    }
    let operator = verdict.operator.as_ref()?.index;
    let node = participants.model.node(operator)?;
    let element = node.output.shape.ravel(verdict.element.as_ref()?);
    let claimed = verdict.element_bits.as_deref()?.strip_prefix("0x")?;
    let claimed = u64::from_str_radix(claimed, 16).ok()?;
    let honest = participants.run_of(Arc::new(Honest), participants.run(&Honest).ok()?);
    let layer = verdict.layer.as_ref()?.index;
    let correct = honest.inside(layer).ok()?;
    let position = participants.model.layer(layer)?.position(operator)? as usize;
    let correct =
        *correct.tensors().get(position)?.all_bits().get(usize::try_from(element).ok()?)?;
    let kind = node.output.element;
    // Bits count units only on one side of zero, whose neighbours are far away (rule Q).
    let units = |one: u64, other: u64| {
        let same_side = (one ^ other) >> 31 == 0 && one << 33 != 0 && other << 33 != 0;
        (same_side && kind == ElementType::F32).then(|| one.abs_diff(other))
    };
    let text = |bits| format!("{} ({})", words::number(kind, bits), words::hexadecimal(bits));
    let word =
        |text: &Option<String>| u64::from_str_radix(text.as_deref()?.strip_prefix("0x")?, 16).ok();
    let bent = units(word(&verdict.claimed_bits)?, word(&verdict.true_bits)?);
    let apart = units(claimed, correct).map_or_else(String::new, |units| {
        let units = words::count(units, "unit in the last place", "units in the last place");
        format!(": {units} apart")
    });
    let by = bent.map_or_else(String::new, |units| {
        let own = "in its own last place";
        format!(" by {} {own}", words::count(units, "unit", "units"))
    });
    let (claimed, correct) = (text(claimed), text(correct));
    let bent =
        format!("The executor bent running sum {segment}{by} so that the sums add up to it.");
    Some([
        format!("the element   claimed {claimed}, correct {correct}{apart}"),
        format!("{:14}{bent}", ""),
    ])
}

/// Tells the story.
struct Narrator {
    model: Arc<Model>,
    quiet: bool,
    /// The last refusal, and how often it came again.
    refused: Option<(String, u64)>,
}

impl Narrator {
    fn open(&self, name: &str, lie: Option<&Lie>, honest: &Trace) {
        if self.quiet {
            return;
        }
        let header = self.model.header();
        let operators = words::count(u64::from(header.operator_count), "operator", "operators");
        let layers = words::count(u64::from(header.layer_count), "layer", "layers");
        println!("━━ {name}: {operators} in {layers}");
        println!("   model root {}", self.model.root());
        println!(
            "   one honest run: {:.2} ms, {:.2} ms to hash {} bytes",
            honest.inference.as_secs_f64() * 1e3,
            honest.commit.as_secs_f64() * 1e3,
            honest.hashed_bytes()
        );
        match lie {
            Some(Lie::Ulps { layer, operator, element, ulps }) => println!(
                "   the executor will lie by {}{} in the last place:\n   layer {layer}, operator \
                 {operator} in it, element {element}",
                if *ulps > 0 { "+" } else { "-" },
                words::count(ulps.unsigned_abs(), "unit", "units")
            ),
            Some(lie) => println!("   the executor will lie: {lie}"),
            None => {
                println!("   the executor is honest; the challenger's own run is corrupt");
            }
        }
        println!();
    }

    fn tell(&mut self, played: &PlayedMove) {
        if self.quiet {
            return;
        }
        let who = format!("{:>11}", played.role.name());
        let receipt = match &played.outcome {
            Ok(receipt) => receipt,
            Err(error) => {
                let text = format!("{:>10} {who}  {}: {error}", "", played.action.name());
                match &mut self.refused {
                    Some((last, again)) if *last == text => *again += 1,
                    _ => {
                        self.repeated();
                        println!("{}", print::wrapped(&text, 26));
                        self.refused = Some((text, 0));
                    }
                }
                return;
            }
        };
        self.repeated();
        let at = format!("{:>8.3} s", receipt.at_ms as f64 / 1e3);
        let (what, because) = self.sentence(played);
        println!("{}", print::wrapped(&format!("{at} {who}  {what}"), 26));
        if let Some(because) = because {
            println!("{}", print::wrapped(&format!("{:24}because {because}", ""), 26));
        }
        for event in &receipt.events {
            if let Some(line) = consequence(event) {
                println!("{}", print::wrapped(&format!("{:>22}  {line}", "→"), 24));
            }
        }
    }

    /// How often the last refusal came again.
    fn repeated(&mut self) {
        if let Some((_, again @ 1..)) = self.refused.take() {
            println!("{:>24}(and {} more)", "", words::count(again, "time", "times"));
        }
    }

    /// What was done, and why where that says more.
    fn sentence(&self, played: &PlayedMove) -> (String, Option<String>) {
        let because = Some(played.reason.clone());
        match &played.action {
            Action::PostClaim { statement } => {
                let root = words::short(statement.trace_root());
                (format!("claims the run {root} with its stake"), None)
            }
            Action::Challenge { .. } => ("challenges with a bond".to_owned(), because),
            Action::Demand { ask, showings, .. } => {
                let shown = match showings.len() as u64 {
                    0 => String::new(),
                    count => format!(", showing {}", words::count(count, "proof", "proofs")),
                };
                (format!("demands the {}{shown}", self.asked(ask)), because)
            }
            Action::Reveal { ask, answer, .. } => {
                let size = words::answer(answer);
                (format!("opens the {} ({size})", self.asked(ask)), None)
            }
            Action::Refute { .. } => ("refutes".to_owned(), because),
            Action::CallTime { .. } => ("calls time".to_owned(), because),
            Action::Finalise { .. } => ("settles the job".to_owned(), because),
            Action::Pass { .. } => ("passes claims that were rejected".to_owned(), because),
            Action::WithdrawChallenge { .. } => ("withdraws its challenge".to_owned(), because),
            Action::Collect { .. } => ("collects".to_owned(), because),
            Action::Release { .. } => ("releases its stake".to_owned(), because),
            other => (other.name().to_owned(), None),
        }
    }

    /// What is asked, with the operator's name in the ONNX file.
    fn asked(&self, ask: &Ask) -> String {
        let operator = match *ask.tree() {
            Tree::Tensor { operator, .. } | Tree::Accumulators { operator, .. } => Some(operator),
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::State { .. }
            | Tree::Subtrace { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => None,
        };
        let text = words::ask(ask);
        match operator.map(|operator| self.model.operator_name(operator)) {
            None | Some("") => text,
            Some(name) => {
                let number = format!("operator {}", operator.unwrap_or_default());
                text.replacen(&number, &format!("{number} ({})", words::printable(name)), 1)
            }
        }
    }
}

fn consequence(event: &Event) -> Option<String> {
    Some(match event {
        Event::ClaimPosted { last_finality_ms, .. } => {
            let latest_s = last_finality_ms / 1000;
            format!("settled by {latest_s} s at the latest, however slow they play")
        }
        Event::ClaimFallen { reason: FallReason::Silence(_), burned_wei, .. } => {
            format!("the claim is rejected unanswered, {} burned", words::ether(*burned_wei))
        }
        Event::ClaimFallen { burned_wei, .. } => {
            format!("the referee convicts: claim rejected, {} burned", words::ether(*burned_wei))
        }
        Event::ChallengeWon { reward_wei, .. } => format!(
            "the challenger gets bond and fees back and {} of the stake",
            words::ether(*reward_wei)
        ),
        Event::ChallengeLost { burned_wei, .. } => format!(
            "the claim is right there: fees to the executor, {} of the bond burned",
            words::ether(*burned_wei)
        ),
        Event::ChallengeWithdrawn { burned_wei, .. } => format!(
            "the challenge is withdrawn: fees to the executor, {} of the bond burned",
            words::ether(*burned_wei)
        ),
        Event::ClaimFinal { .. } => {
            "the claim is the job's answer: fee and stake are paid".to_owned()
        }
        Event::StakeReleased { .. } => "a stake goes back".to_owned(),
        _ => return None,
    })
}
