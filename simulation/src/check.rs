//! What a scenario file names that its world does not have: numbers that no strategy takes, lies outside the
//! model. Worlds that are made up from seeds are not asked: there a lie without a place becomes another.

use protocol::hash::Commitment;

use crate::fixtures::FixtureError;
use crate::scenario::{PartySpec, Scenario, ScenarioError, Side};
use crate::strategy::{Numbers, Plan};
use crate::world::Environment;
use dispute::lies::{Lie, parse_lie};

fn field(party: &PartySpec, field: &str, bounds: impl Into<String>) -> ScenarioError {
    let (field, bounds) = (format!("party {}: {field}", party.name), bounds.into());
    ScenarioError::Field { field, bounds }
}

/// Checks what a scenario says of strategies and models.
///
/// # Errors
/// The first field that names what the environment does not have, with what may stand there.
pub(crate) fn check<C: Commitment>(
    environment: &Environment<C>,
    scenario: &Scenario,
) -> Result<(), ScenarioError> {
    for party in &scenario.party {
        let entry = environment.catalogue.get(&party.strategy).ok_or_else(|| {
            let (party, name) = (party.name.clone(), party.strategy.clone());
            ScenarioError::UnknownStrategy { party, name }
        })?;
        let taken = entry.numbers();
        for (name, value) in &party.with {
            if !taken.iter().any(|(known, _)| known == name) {
                return Err(unknown_number(party, name, &taken));
            }
            if *value > u64::from(u32::MAX) {
                return Err(field(party, &format!("with.{name}"), format!("at most {}", u32::MAX)));
            }
        }
        let plan = (entry.plan)(Numbers::of(&party.with));
        if plan.honest && party.script.is_some() {
            return Err(field(party, "script", "left out: an honest party decides itself"));
        }
        for (number, one) in party.script.iter().flatten().enumerate() {
            let name = format!("script, move {number}");
            if one.identity >= party.count {
                return Err(field(party, &name, format!("an identity below {}", party.count)));
            }
            if one.action().is_none() {
                return Err(field(
                    party,
                    &name,
                    "a canonical encoding of an action, in hexadecimal",
                ));
            }
        }
        let placed = ["layer", "operator", "element"];
        match (&party.lie, &plan.lie) {
            (Some(text), _) => lie(environment, scenario, party, &plan, text)?,
            // The strategy's own lie, put elsewhere by numbers.
            (None, Some(lie)) if placed.iter().any(|name| party.with.contains_key(*name)) => {
                place(environment, scenario, party, "with", lie)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn unknown_number(party: &PartySpec, name: &str, taken: &[(&str, u64)]) -> ScenarioError {
    let strategy = &party.strategy;
    let bounds = match taken {
        [] => format!("left out: {strategy} takes no numbers"),
        taken => {
            let list: Vec<String> =
                taken.iter().map(|(name, default)| format!("{name} (default {default})")).collect();
            format!("one of the numbers that {strategy} takes: {}", list.join(", "))
        }
    };
    field(party, &format!("with.{name}"), bounds)
}

fn lie<C: Commitment>(
    environment: &Environment<C>,
    scenario: &Scenario,
    party: &PartySpec,
    plan: &Plan<C>,
    text: &str,
) -> Result<(), ScenarioError> {
    let lie = parse_lie(text).map_err(|_| {
        let names = Lie::names().join(", ");
        field(party, "lie", format!("LAYER:OPERATOR:ELEMENT:+ULPS or one of {names}; it is {text}"))
    })?;
    let lies = !plan.honest && (plan.side == Side::Executor || plan.corrupt_view);
    if !lies {
        let strategy = &party.strategy;
        return Err(field(party, "lie", format!("left out: {strategy} never uses a false run")));
    }
    place(environment, scenario, party, "lie", &lie)
}

/// Whether the model has the lie's place.
fn place<C: Commitment>(
    environment: &Environment<C>,
    scenario: &Scenario,
    party: &PartySpec,
    name: &str,
    lie: &Lie,
) -> Result<(), ScenarioError> {
    let number = scenario.model;
    let model = environment.fixtures.model(number as usize)?;
    let Lie::Ulps { layer, operator, element, .. } = lie else {
        return match environment.fixtures.run(number as usize, 0, Some(lie))? {
            Some(_) => Ok(()),
            None => Err(field(party, name, format!("a lie that model {number} has a place for"))),
        };
    };
    let layers = model.header().layer_count;
    let missing = || FixtureError::Missing { what: format!("layer {layer}") };
    if *layer >= layers {
        let last = layers.saturating_sub(1);
        let bounds = format!("inside model {number}: its layers are 0 to {last}, not {layer}");
        return Err(field(party, name, bounds));
    }
    let definition = model.layer(*layer).ok_or_else(missing)?;
    if *operator >= definition.operator_count {
        let last = definition.operator_count.saturating_sub(1);
        let bounds = format!(
            "inside model {number}: the operators of layer {layer} are 0 to {last}, not {operator}"
        );
        return Err(field(party, name, bounds));
    }
    let node = model.node(definition.first_operator.saturating_add(*operator));
    let elements = node.ok_or_else(missing)?.output.shape.count();
    if *element >= elements {
        let last = elements.saturating_sub(1);
        let bounds = format!(
            "inside model {number}: the elements of layer {layer}, operator {operator} are 0 to \
             {last}, not {element}"
        );
        return Err(field(party, name, bounds));
    }
    Ok(())
}

/// Writes a made-up scenario as a file would have to: what the world does not take is left out, a lie without
/// a place becomes the one that is told instead. It plays as before.
pub(crate) fn tidy<C: Commitment>(environment: &Environment<C>, scenario: &mut Scenario) {
    let before = scenario.clone();
    for party in &mut scenario.party {
        let Some(entry) = environment.catalogue.get(&party.strategy) else { continue };
        let taken = entry.numbers();
        party.with.retain(|name, _| taken.iter().any(|(known, _)| known == name));
        let plan = (entry.plan)(Numbers::of(&party.with));
        let lies = !plan.honest && (plan.side == Side::Executor || plan.corrupt_view);
        let parsed = party.lie.as_ref().and_then(|text| parse_lie(text).ok());
        match parsed {
            _ if !lies => party.lie = None,
            Some(told) if place(environment, &before, party, "lie", &told).is_err() => {
                party.lie = Some(Lie::Selective.to_string());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use inference::{Engine, Isa};

    use protocol::transaction::Action;

    use super::*;
    use crate::environments::Environments;

    fn refusal(party: &str) -> Option<String> {
        let environments =
            Environments::new(&Engine::new(Isa::PORTABLE, 1).unwrap(), Vec::new()).unwrap();
        let text = format!(
            "[[party]]\nname = \"executor\"\nstrategy = \"honest\"\n[[party]]\nname = \"other\"\n{party}"
        );
        let scenario = Scenario::parse(&text).unwrap();
        environments.check(&scenario).err().map(|error| error.to_string())
    }

    #[test]
    fn numbers_that_the_strategy_does_not_take_are_named_with_those_it_takes() {
        let of = |strategy: &str, with: &str| {
            refusal(&format!("strategy = \"{strategy}\"\nwith = {{ {with} }}"))
        };
        assert_eq!(of("silent-after", "after = 3"), None);
        assert_eq!(of("one-ulp-middle", "layer = 1, operator = 2, element = 149"), None);
        assert_eq!(
            of("silent-after", "afterr = 3").unwrap(),
            "party other: with.afterr must be one of the numbers that silent-after takes: after \
             (default 2)"
        );
        assert_eq!(
            of("silent", "after = 3").unwrap(),
            "party other: with.after must be left out: silent takes no numbers"
        );
        assert!(of("silent-after", "after = 4294967296").unwrap().contains("at most 4294967295"));
        let outside = of("one-ulp-middle", "layer = 3").unwrap();
        assert!(outside.contains("its layers are 0 to 2, not 3"), "{outside}");
    }

    #[test]
    fn scripts_of_honest_parties_unknown_identities_and_other_bytes_are_refused() {
        let of = |strategy: &str, identity: u32, action: &str| {
            refusal(&format!(
                "strategy = \"{strategy}\"\nscript = [{{ at_ms = 7, identity = {identity}, \
                 action = \"{action}\" }}]"
            ))
        };
        let moves = Action::Withdraw { amount_wei: 1 };
        let action = crate::scenario::ScriptedMove::new(7, 0, &moves).action;
        assert_eq!(of("silent", 0, &action), None);
        let honest = of("prompt", 0, &action).unwrap();
        assert!(honest.ends_with("script must be left out: an honest party decides itself"));
        let other = of("silent", 1, &action).unwrap();
        assert_eq!(other, "party other: script, move 0 must be an identity below 1");
        for text in ["", "0x", "0xzz", "0xff00", &action[..action.len() - 2]] {
            assert!(of("silent", 0, text).unwrap().contains("a canonical encoding"), "{text}");
        }
    }

    #[test]
    fn lies_outside_the_model_or_without_effect_are_refused_with_what_is_inside() {
        let of = |strategy: &str, lie: &str| {
            refusal(&format!("strategy = \"{strategy}\"\nlie = \"{lie}\""))
        };
        for lie in ["0:0:0:+1", "2:1:149:-3", "weight-bit", "zero-trace"] {
            assert_eq!(of("selective", lie), None, "{lie}");
        }
        for (lie, named) in [
            ("9:0:0:+1", "layers are 0 to 2, not 9"),
            ("1:90:0:+1", "operators of layer 1 are 0 to"),
            ("1:0:99999:+1", "elements of layer 1, operator 0 are 0 to 149, not 99999"),
            ("white-lie", "one of weight-bit"),
        ] {
            let said = of("selective", lie).unwrap();
            assert!(
                said.starts_with("party other: lie must be ") && said.contains(named),
                "{said}"
            );
        }
        assert!(of("honest", "weight-bit").unwrap().contains("honest never uses a false run"));
        assert!(of("prompt", "weight-bit").unwrap().contains("prompt never uses a false run"));
        assert_eq!(of("frivolous", "weight-bit"), None);
    }

    #[test]
    fn a_strategy_tells_which_numbers_it_takes() {
        let environments =
            Environments::new(&Engine::new(Isa::PORTABLE, 1).unwrap(), Vec::new()).unwrap();
        let numbers = |name: &str| environments.toy().catalogue.get(name).unwrap().numbers();
        assert_eq!(numbers("silent-after"), [("after", 2)]);
        assert_eq!(numbers("honest-slow"), [("inference_ms", 4_000), ("think_ms", 800)]);
        assert_eq!(numbers("one-ulp-middle"), [("layer", 1), ("operator", 1), ("element", 8)]);
        assert_eq!(numbers("lazy"), []);
    }
}
