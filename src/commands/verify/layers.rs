//! `rebut verify --layers` and `--sample`: single layers, each from the state published before it.

use challenger::sampling::{detection_probability, draw};
use inference::{EngineError, RunError, Runner};
use protocol::hash::Digest;
use rayon::prelude::*;
use serde::Serialize;

use crate::arguments::Verify;
use crate::ending::Ending;
use crate::error::CommandError;
use crate::{archive, load, print};

#[derive(Debug, Serialize)]
struct LayersReport {
    verdict: &'static str,
    layers: u32,
    checked: Vec<u32>,
    false_layers: Vec<FalseLayer>,
    /// That one false layer is found, among all machines that draw; only of layers drawn at random.
    detection_probability: Option<f64>,
    seed: Option<String>,
}

#[derive(Debug, Serialize)]
struct FalseLayer {
    layer: u32,
    reason: &'static str,
    claimed: String,
    found: String,
}

pub(super) fn run(arguments: &Verify, as_json: bool) -> Result<Ending, CommandError> {
    let (model, import) = (arguments.model.as_deref(), &arguments.import);
    let claim = load::claim(&arguments.folder, model, import, &arguments.engine)?;
    let count = claim.model.header().layer_count;
    super::bound::bound(&claim.claim, &claim.model).map_err(|reason| CommandError::Argument {
        argument: "FOLDER",
        reason: reason.to_owned(),
    })?;
    let (checked, seed) = chosen(arguments, count)?;
    let runner = Runner::honest(&claim.engine, &claim.model);
    let check = |layer: &u32| -> Result<Option<FalseLayer>, CommandError> {
        let before = archive::read(&arguments.folder, &claim.model, *layer)?;
        let root = |boundary: u32| {
            claim.claim.state_roots.get(boundary as usize).copied().unwrap_or_default()
        };
        let differs = |reason, claimed: Digest, found: Digest| {
            (claimed != found).then(|| FalseLayer {
                layer: *layer,
                reason,
                claimed: claimed.to_string(),
                found: found.to_string(),
            })
        };
        if let Some(other) =
            differs("the published state is not the claimed one", root(*layer), before.root())
        {
            return Ok(Some(other));
        }
        let after = match runner.next_state(*layer, &before) {
            Err(error @ RunError::Operator { error: EngineError::Undefined { .. }, .. }) => {
                return Ok(Some(FalseLayer {
                    layer: *layer,
                    reason: "the layer has no result",
                    claimed: root(*layer + 1).to_string(),
                    found: error.to_string(),
                }));
            }
            after => after?,
        };
        Ok(differs("the layer gives another state", root(*layer + 1), after.root()))
    };
    let found: Vec<Option<FalseLayer>> =
        claim.engine.install(|| checked.par_iter().map(check).collect::<Result<_, _>>())?;
    let false_layers: Vec<FalseLayer> = found.into_iter().flatten().collect();
    let falls = !false_layers.is_empty();
    let report = LayersReport {
        verdict: if falls { "falls" } else { "nothing-found" },
        layers: count,
        detection_probability: seed
            .is_some()
            .then(|| detection_probability(count, checked.len() as u32, 1, arguments.machines)),
        checked,
        false_layers,
        seed,
    };
    if as_json {
        print::json(&report)?;
    } else {
        tell(&report, arguments.machines);
    }
    Ok(Ending::falls_if(falls))
}

/// The layers that are checked, and the seed by which they were drawn.
fn chosen(arguments: &Verify, count: u32) -> Result<(Vec<u32>, Option<String>), CommandError> {
    Ok(match (&arguments.layers, arguments.sample) {
        (Some(text), _) => (parse(text, count)?, None),
        (None, wanted) => {
            let seed = match &arguments.seed {
                Some(seed) => seed.clone(),
                None => random_seed()?,
            };
            (draw(count, wanted.unwrap_or(count), seed.as_bytes()), Some(seed))
        }
    })
}

fn tell(report: &LayersReport, machines: u32) {
    let checked: Vec<String> = report.checked.iter().map(ToString::to_string).collect();
    println!(
        "checked   {} of {} layers: {}",
        report.checked.len(),
        report.layers,
        checked.join(", ")
    );
    if let Some(seed) = &report.seed {
        println!("seed      {seed}");
    }
    match (report.detection_probability, machines) {
        (Some(chance), 1) => println!("chance    {:.2} % to find one false layer", 100.0 * chance),
        (Some(chance), machines) => println!(
            "chance    {:.2} % that one of {machines} such machines finds one false layer",
            100.0 * chance
        ),
        // Whoever names the layers is sure of them and of no other.
        (None, _) => {}
    }
    for one in &report.false_layers {
        println!(
            "layer {}: {}\n  claimed {}\n  found   {}",
            one.layer, one.reason, one.claimed, one.found
        );
    }
    println!(
        "the claim {}",
        if report.false_layers.is_empty() { "was not found false" } else { "is false" }
    );
}

fn random_seed() -> Result<String, CommandError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| crate::error::system("the random source".to_owned(), error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Which layers a model has, and how they are written.
fn those_there(count: u32) -> String {
    match count {
        0 | 1 => "only layer 0 is there; write it as 0".to_owned(),
        2 => "layers 0 and 1 are there; write them like 1 or 0-1".to_owned(),
        _ => format!("layers 0 to {} are there; write them like 0-1,2", count - 1),
    }
}

/// `0-1,2` as layers.
fn parse(text: &str, count: u32) -> Result<Vec<u32>, CommandError> {
    let wrong = || CommandError::Argument {
        argument: "--layers",
        reason: format!("{}: {}", print::quoted(text), those_there(count)),
    };
    let mut layers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.trim().parse().map_err(|_| wrong())?;
        let last: u32 = last.trim().parse().map_err(|_| wrong())?;
        if first > last || last >= count {
            return Err(wrong());
        }
        layers.extend(first..=last);
    }
    layers.sort_unstable();
    layers.dedup();
    Ok(layers)
}
