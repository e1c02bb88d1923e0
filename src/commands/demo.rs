//! `rebut demo`: one claim, one lie, one conviction, told move by move.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use challenger::Policy;
use inference::{Engine, Honest, Model, Runner, Tensor, Trace};
use ledger::verdict::Verdict;
use protocol::facts::{Request, Reveal};
use protocol::settlement::{ClaimStatus, Event, Parameters};
use protocol::tensor::Shape;
use protocol::transaction::Action;
use serde::Serialize;
use simulation::{Cast, Lie, Lying, Outcome, Played, Role, Stage, actor_key, parse_lie};

use super::dispute::{runtime, tell};
use crate::arguments::{Demo, ImportChoices};
use crate::error::{CommandError, system};
use crate::shipped::{IMAGES, SHIPPED, image_bits};
use crate::{load, print, summary};

/// The first model's verdict, and all of them by name.
#[derive(Debug, Serialize)]
struct Report<'a> {
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

pub(crate) fn run(arguments: &Demo, as_json: bool) -> Result<bool, CommandError> {
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
            print::json(&Report { verdict: first.verdict.clone(), models: &models })?;
        }
    }
    Ok(false)
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
        let bits: Vec<u64> = match image {
            true => image_bits(IMAGES[0]),
            false => (0..count)
                .map(|index| match kind.element {
                    protocol::tensor::ElementType::F32 => {
                        u64::from((((index % 17) as f32 - 8.0) / 8.0).to_bits())
                    }
                    _ => index % 2,
                })
                .collect(),
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
            let folds = protocol::law::run_count(model.node(operator)?) > 1;
            let element = model.node(operator)?.output.shape.count() / 2;
            folds.then_some(Lie::Ulps { layer, operator: position, element, ulps: 1 })
        });
        let Some(lie) = found else { continue };
        let conduct = Lying::new(&lie, model, honest)?;
        let runner = Runner { engine, model, conduct: &conduct };
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
    let mut cast = Cast::new(engine.clone(), Arc::clone(&model), inputs, Arc::new(Honest));
    let honest = cast.run(&Honest)?;
    let lie = match arguments.lie.as_deref() {
        Some("none") => None,
        Some(text) => Some(parse_lie(&load::placed(text, &model))?),
        None => Some(default_lie(engine, &model, &cast.input, &honest)?),
    };
    match &lie {
        Some(lie) => {
            cast.executor = Arc::new(Lying::new(lie, &model, &honest)?);
            cast.rival = true;
        }
        None => {
            // A frivolous challenger: its own view is corrupt, and it challenges everything.
            let corrupt = default_lie(engine, &model, &cast.input, &honest)?;
            cast.challenger = Arc::new(Lying::new(&corrupt, &model, &honest)?);
            cast.policy = Policy::Everything;
        }
    }
    let mut narrator = Narrator { model: Arc::clone(&model), quiet: as_json };
    narrator.open(name, lie.as_ref(), &honest);
    let folder = tempfile::tempdir().map_err(|error| system("a temporary folder", error))?;
    let (stage, outcome) = runtime()?.block_on(async {
        let stage = Stage::open(folder.path(), Parameters::default()).await?;
        let outcome = stage.play(&cast, &mut |played| narrator.tell(played)).await?;
        Ok::<_, CommandError>((stage, outcome))
    })?;
    let Some(claim) = outcome.claim else {
        return Err(CommandError::Argument {
            argument: "--lie",
            reason: outcome.refused.unwrap_or_default(),
        });
    };
    let verdict = summary::verdict_of(&stage, &cast, &outcome, &claim)
        .ok_or_else(|| system("the verdict", "the log has no such claim"))?;
    if !as_json {
        println!();
        tell(&verdict);
        accounts(&outcome);
    }
    Ok(verdict)
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
                Some(ClaimStatus::Fallen { .. }) => "its claim fell",
                Some(ClaimStatus::Final { .. }) => "its claim is final: fee and stake",
                Some(ClaimStatus::Released { .. }) => "stake released",
                Some(ClaimStatus::Standing) => "its claim stands",
                None => "",
            };
            vec![role.name().to_owned(), print::ether(free as i128), status.to_owned()]
        })
        .collect();
    print::table(&["account", "free (2 ETH deposited)", "claim"], rows);
}

/// Tells the story.
struct Narrator {
    model: Arc<Model>,
    quiet: bool,
}

impl Narrator {
    fn open(&self, name: &str, lie: Option<&Lie>, honest: &Trace) {
        if self.quiet {
            return;
        }
        let header = self.model.header();
        println!("━━ {name}: {} operators in {} layers", header.operator_count, header.layer_count);
        println!("   model root {}", self.model.root());
        println!(
            "   one honest run: {:.2} ms, {:.2} ms to hash {} bytes",
            honest.inference.as_secs_f64() * 1e3,
            honest.commit.as_secs_f64() * 1e3,
            honest.hashed_bytes()
        );
        match lie {
            Some(Lie::Ulps { layer, operator, element, ulps }) => println!(
                "   the executor will lie by {ulps:+} unit in the last place: layer {layer}, \
                 operator {operator} in it, element {element}"
            ),
            Some(lie) => println!("   the executor will lie: {lie}"),
            None => println!("   the executor is honest; the challenger's own view is corrupt"),
        }
        println!();
    }

    fn tell(&mut self, played: &Played) {
        if self.quiet {
            return;
        }
        let who = format!("{:>11}", played.role.name());
        let receipt = match &played.outcome {
            Ok(receipt) => receipt,
            Err(error) => return println!("{who}  {} refused: {error}", played.action.name()),
        };
        let at = format!("{:>6.1} s", receipt.at_ms as f64 / 1e3);
        println!("{at} {who}  {}", self.sentence(played));
        for event in &receipt.events {
            if let Some(line) = consequence(event) {
                println!("{:>21}  {line}", "→");
            }
        }
    }

    fn sentence(&self, played: &Played) -> String {
        match &played.action {
            Action::PostClaim { terms } => {
                format!("claims the run, trace root {}, with its stake", short(&terms.trace_root))
            }
            Action::Challenge { .. } => format!("challenges with a bond: {}", played.reason),
            Action::Demand { request, showings, .. } => {
                let shown = match showings.len() {
                    0 => String::new(),
                    count => format!(", showing {count} proofs,"),
                };
                format!("demands{shown} {}: {}", self.request(request), played.reason)
            }
            Action::Reveal { request, reveal, .. } => {
                format!("opens {} ({})", self.request(request), size(reveal))
            }
            Action::Refute { .. } => format!("refutes: {}", played.reason),
            Action::CallTime { .. } => format!("calls time: {}", played.reason),
            Action::Finalise { .. } => format!("settles the job: {}", played.reason),
            other => other.name().to_owned(),
        }
    }

    fn request(&self, request: &Request) -> String {
        let named =
            |operator: u32| format!("operator {operator} ({})", self.model.operator_name(operator));
        match request {
            Request::Node { tree, depth, .. } => match tree {
                protocol::facts::TreeId::Trace {} => format!("the trace at depth {depth}"),
                protocol::facts::TreeId::State { boundary } => {
                    format!("the state at boundary {boundary}")
                }
                protocol::facts::TreeId::Subtrace { layer } => {
                    format!("layer {layer}'s operators at depth {depth}")
                }
                protocol::facts::TreeId::Tensor { operator } => {
                    format!("the output of {} at depth {depth}", named(*operator))
                }
            },
            Request::Subtrace { layer } => format!("the inside of layer {layer}"),
            Request::Leaf { operator, leaf } => format!("leaf {leaf} of {}", named(*operator)),
            Request::Accumulators { operator, element } => {
                format!("the running sums of element {element} of {}", named(*operator))
            }
        }
    }
}

fn short(digest: &protocol::hash::Digest) -> String {
    digest.to_string().chars().take(12).collect::<String>() + "…"
}

fn size(reveal: &Reveal) -> String {
    let children = |children: &protocol::facts::Children| match children {
        protocol::facts::Children::Hashes { hashes } => format!("{} hashes", hashes.len()),
        protocol::facts::Children::Roots { roots } => format!("{} roots", roots.len()),
        protocol::facts::Children::Values { values } => format!("{} values", values.len()),
    };
    match reveal {
        Reveal::Node { children: inside } => children(inside),
        Reveal::Subtrace { children: inside, .. } => {
            format!("a new commitment with {}", children(inside))
        }
        Reveal::Leaf { bytes } => format!("{} bytes", bytes.len()),
        Reveal::Accumulators { words } => format!("{} words", words.len()),
    }
}

fn consequence(event: &Event) -> Option<String> {
    Some(match event {
        Event::ClaimPosted { last_finality_ms, .. } => {
            format!("settled by {} s at the latest, whatever anybody does", last_finality_ms / 1000)
        }
        Event::ClaimFallen { burned_wei, .. } => {
            format!(
                "the referee convicts: the claim falls, {} burned",
                print::ether(*burned_wei as i128)
            )
        }
        Event::ChallengeWon { reward_wei, .. } => format!(
            "the challenger gets bond and fees back and {} of the stake",
            print::ether(*reward_wei as i128)
        ),
        Event::ChallengeLost { burned_wei, .. } => format!(
            "the claim is upheld: fees to the executor, {} of the bond burned",
            print::ether(*burned_wei as i128)
        ),
        Event::ClaimFinal { .. } => {
            "the claim is the job's answer: fee and stake are paid".to_owned()
        }
        Event::StakeReleased { .. } => "a stake goes back".to_owned(),
        _ => return None,
    })
}
