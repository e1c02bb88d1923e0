//! Parameters of a ledger as flags: each of them, by its name in the protocol.

use clap::Args;
use protocol::settlement::Parameters;

use crate::amount;

/// A list of parameters, each with its help, its flag and how it is read, as flags that may be given.
macro_rules! parameter_choices {
    ($($(#[doc = $about:literal])+ $name:ident: $kind:ty, $flag:literal, $value:literal, $parser:expr;)+) => {
        /// Parameters of a ledger that are to differ from its preset's.
        #[derive(Debug, Clone, Default, Args)]
        #[command(next_help_heading = "Parameters of a new ledger, in place of its preset's")]
        pub(crate) struct ParameterChoices {
            $($(#[doc = $about])+
            #[arg(long = $flag, value_name = $value, value_parser = $parser)]
            pub(crate) $name: Option<$kind>,)+
        }

        impl ParameterChoices {
            /// The parameters with what was chosen in place of their own.
            pub(crate) fn over(&self, others: Parameters) -> Parameters {
                Parameters { $($name: self.$name.unwrap_or(others.$name),)+ }
            }

            /// Whether any was given.
            pub(crate) fn is_any(&self) -> bool {
                false $(|| self.$name.is_some())+
            }

            /// The first flag that says something else than these parameters, with what they say.
            pub(crate) fn differing(&self, held: &Parameters) -> Option<(&'static str, String)> {
                $(if self.$name.is_some_and(|chosen| chosen != held.$name) {
                    let text = format!("{} {}", stringify!($name), held.$name);
                    return Some((concat!("--", $flag), text));
                })+
                None
            }

            /// The flag of a parameter.
            pub(crate) fn flag(name: &str) -> &'static str {
                match name {
                    $(stringify!($name) => concat!("--", $flag),)+
                    _ => "--preset",
                }
            }
        }

        /// Every parameter in the order of the protocol: its name, its value, and what it is.
        pub(crate) fn parameter_rows(held: &Parameters) -> Vec<(&'static str, u128, String)> {
            vec![$((stringify!($name), held.$name.into(), [$($about),+].concat().trim().to_owned()),)+]
        }
    };
}

parameter_choices! {
    /// Least time for challenges of a claim of one iteration.
    window_ms_min: u64, "window-ms-min", "MS", clap::value_parser!(u64);
    /// Most time for challenges that a job may name.
    window_ms_max: u64, "window-ms-max", "MS", clap::value_parser!(u64);
    /// Added to the least time for challenges for each iteration that a job allows.
    window_iteration_ms: u64, "window-iteration-ms", "MS", clap::value_parser!(u64);
    /// Time that the executor has for all its answers in one challenge.
    executor_clock_ms: u64, "executor-clock-ms", "MS", clap::value_parser!(u64);
    /// Time that the challenger has for all its moves in one challenge.
    challenger_clock_ms: u64, "challenger-clock-ms", "MS", clap::value_parser!(u64);
    /// Time that an executor takes at most for one answer, when it gives one after the other.
    reply_ms: u64, "reply-ms", "MS", clap::value_parser!(u64);
    /// Time that each move has at least, whatever is left of a clock.
    move_floor_ms: u64, "move-floor-ms", "MS", clap::value_parser!(u64);
    /// Time for attesting to a sealed claim, and then again for opening it.
    seal_ms: u64, "seal-ms", "MS", clap::value_parser!(u64);
    /// Least stake of a claim.
    stake_wei_min: u128, "stake-wei-min", "AMOUNT", amount::parse;
    /// Largest stake of a claim.
    stake_wei_max: u128, "stake-wei-max", "AMOUNT", amount::parse;
    /// Thousandths of the stake that a challenge's bond is, between its least and its most.
    bond_permille: u32, "bond-permille", "PERMILLE", clap::value_parser!(u32);
    /// Least bond of a challenge.
    bond_wei_min: u128, "bond-wei-min", "AMOUNT", amount::parse;
    /// Largest bond of a challenge, whatever is at stake.
    bond_wei_max: u128, "bond-wei-max", "AMOUNT", amount::parse;
    /// Paid by the challenger for each demand.
    demand_fee_wei: u128, "demand-fee-wei", "AMOUNT", amount::parse;
    /// Paid to the executor out of the bond for each answer, when its claim is upheld.
    reply_cost_wei: u128, "reply-cost-wei", "AMOUNT", amount::parse;
    /// Paid out of the stake of a rejected claim for each piece of a challenge's work: two, and one for each
    /// demand.
    work_cost_wei: u128, "work-cost-wei", "AMOUNT", amount::parse;
    /// Thousandths of the stake of a rejected claim that its challengers share.
    reward_permille: u32, "reward-permille", "PERMILLE", clap::value_parser!(u32);
    /// Thousandths of the bond that burn when a challenge is withdrawn.
    withdraw_permille: u32, "withdraw-permille", "PERMILLE", clap::value_parser!(u32);
    /// Burned for each model, job, seal, word, challenge, and claim that no seal paid for.
    record_fee_wei: u128, "record-fee-wei", "AMOUNT", amount::parse;
    /// Locked by an attester.
    attest_bond_wei: u128, "attest-bond-wei", "AMOUNT", amount::parse;
    /// Least deposit and least withdrawal.
    transfer_wei_min: u128, "transfer-wei-min", "AMOUNT", amount::parse;
    /// Levels that one opening shows: 6 are 64 children.
    arity_log2: u32, "arity-log2", "LEVELS", clap::value_parser!(u32);
    /// Demands of one challenge.
    demands_max: u32, "demands-max", "COUNT", clap::value_parser!(u32);
    /// Demands for a run's inputs and outputs of one challenge, beside the others.
    end_asks_max: u32, "end-asks-max", "COUNT", clap::value_parser!(u32);
    /// Levels of leaves that one demand for an input or output may show.
    end_log2: u32, "end-log2", "LEVELS", clap::value_parser!(u32);
    /// Deepest tree of an input or output that can be demanded.
    end_depth_max: u32, "end-depth-max", "LEVELS", clap::value_parser!(u32);
    /// Challenges of one claim that are served at once; later ones wait their turn.
    served_max: u32, "served-max", "COUNT", clap::value_parser!(u32);
    /// Attesters of one sealed claim.
    attestations_max: u32, "attestations-max", "COUNT", clap::value_parser!(u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_replaces_its_own_parameter_and_one_that_differs_is_named() {
        let held = Parameters::fast();
        let none = ParameterChoices::default();
        assert_eq!(none.over(held.clone()), held);
        assert!(!none.is_any() && none.differing(&held).is_none());
        let chosen = ParameterChoices { demands_max: Some(28), ..none };
        assert_eq!(chosen.over(held.clone()), Parameters { demands_max: 28, ..held.clone() });
        assert!(chosen.is_any());
        let found = chosen.differing(&held);
        assert_eq!(found, Some(("--demands-max", format!("demands_max {}", held.demands_max))));
        assert_eq!(chosen.differing(&chosen.over(held)), None);
    }

    #[test]
    fn every_parameter_has_a_flag_of_its_name() {
        let rows = parameter_rows(&Parameters::default());
        assert_eq!(rows.len(), 28);
        for (name, _, about) in rows {
            assert_eq!(ParameterChoices::flag(name), format!("--{}", name.replace('_', "-")));
            assert!(about.ends_with('.'), "{name}: {about}");
        }
    }
}
