//! How a ledger begins in a folder, or goes on there.

use std::path::Path;

use ledger::{Clock as _, SystemClock};
use protocol::encoding::Canonical as _;
use protocol::hash::Digest;
use protocol::settlement::{Genesis, Parameters};
use protocol::transaction::Address;

use super::key::dev_key;
use crate::arguments::{LedgerServe, ParameterChoices, Preset};
use crate::error::{CommandError, system};
use crate::folders::foreign;

/// Clocks and money of a preset, and a chain id of its own: what is signed for one is none of another.
pub(super) fn preset(preset: Preset) -> (Parameters, u64) {
    match preset {
        Preset::Devnet => (Parameters::default(), 31_337),
        Preset::Fast => (Parameters::fast(), 31_338),
        Preset::MainnetLike => (Parameters::mainnet_like(), 31_339),
    }
}

/// The genesis of a folder, or the one that it will begin with.
pub(super) enum Beginning {
    Continued(Genesis),
    New(Genesis),
}

/// That no flag contradicts what the ledger began with.
fn fits(arguments: &LedgerServe, genesis: &Genesis) -> Result<(), CommandError> {
    let folder = arguments.folder.display();
    let differs = |argument: &'static str, found: String| {
        let reason = format!(
            "the ledger in {folder} began with {found}, which cannot be changed; leave the flag out, \
             or begin a ledger in another folder"
        );
        Err(CommandError::Argument { argument, reason })
    };
    if let Some(text) = &arguments.bank
        && super::ids::address("--bank", text)? != genesis.bank
    {
        return differs("--bank", format!("bank {}", genesis.bank));
    }
    if arguments.chain_id.is_some_and(|id| id != genesis.chain_id) {
        return differs("--chain-id", format!("chain id {}", genesis.chain_id));
    }
    let choices = &arguments.parameters;
    if let Some((flag, value)) = choices.differing(&genesis.parameters) {
        return differs(flag, value);
    }
    let wanted = arguments.preset.map(|named| choices.over(preset(named).0));
    if wanted.is_some_and(|wanted| choices.over(genesis.parameters.clone()) != wanted) {
        return differs("--preset", "another preset".to_owned());
    }
    Ok(())
}

/// That a new ledger does not begin among other files, which may be a claim's or an executor's. What a start
/// that was killed left is its own.
fn refuse_foreign(folder: &Path) -> Result<(), CommandError> {
    match foreign(folder, &["genesis.partial"])? {
        None => Ok(()),
        Some(found) => {
            let reason = format!(
                "holds {found} and no ledger; name the folder of a ledger, or a new one to begin a \
                 ledger in"
            );
            Err(system(folder.display().to_string(), reason))
        }
    }
}

/// Parameters under which every dispute can be finished and honesty pays; others are refused by their flag.
pub(super) fn checked(parameters: Parameters) -> Result<Parameters, CommandError> {
    match parameters.check() {
        Ok(()) => Ok(parameters),
        Err(error) => Err(CommandError::Argument {
            argument: ParameterChoices::flag(error.name),
            reason: format!(
                "is outside its bounds: {}; `rebut ledger parameters` prints all of them, and is given \
                 the same flags",
                error.bounds
            ),
        }),
    }
}

/// Reads or draws a genesis; nothing is written yet, so that a start that fails fixes nothing.
pub(super) fn beginning(arguments: &LedgerServe) -> Result<Beginning, CommandError> {
    let file = arguments.folder.join("genesis");
    if file.exists() {
        let name = file.display().to_string();
        let bytes = std::fs::read(&file).map_err(|error| system(name.clone(), error))?;
        let help = "it is of another version, or damaged; begin a ledger in another folder";
        let genesis = Genesis::from_canonical(&bytes)
            .map_err(|error| system(name, format!("{error}: {help}")))?;
        return fits(arguments, &genesis).map(|()| Beginning::Continued(genesis));
    }
    refuse_foreign(&arguments.folder)?;
    let (bank, named) = match (&arguments.bank, arguments.dev) {
        (_, true) => (dev_key("bank").address(), Preset::Fast),
        (Some(text), false) => {
            (super::ids::address("--bank", text)?, arguments.preset.unwrap_or_default())
        }
        (None, false) => {
            return Err(CommandError::Argument {
                argument: "--bank",
                reason: "a new ledger needs the address that may credit deposits; make a key with \
                         `rebut key new FILE`, or use --dev to try things"
                    .to_owned(),
            });
        }
    };
    let (parameters, own_id) = preset(named);
    let parameters = checked(arguments.parameters.over(parameters))?;
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| system("the random source", error))?;
    Ok(Beginning::New(Genesis {
        chain_id: arguments.chain_id.unwrap_or(own_id),
        salt: Digest(salt),
        begun_ms: SystemClock.now_ms(),
        bank,
        parameters,
    }))
}

impl Beginning {
    /// Fixes the genesis in the folder.
    pub(super) fn fixed(self, folder: &Path) -> Result<Genesis, CommandError> {
        let genesis = match self {
            Self::Continued(genesis) => return Ok(genesis),
            Self::New(genesis) => genesis,
        };
        let fail = |error| system(folder.display().to_string(), error);
        std::fs::create_dir_all(folder).map_err(fail)?;
        let file = folder.join("genesis");
        ::ledger::durable::replace(&file, &genesis.to_canonical()).map_err(fail)?;
        Ok(genesis)
    }

    pub(super) fn bank(&self) -> Address {
        match self {
            Self::Continued(genesis) | Self::New(genesis) => genesis.bank,
        }
    }
}

/// A ledger that has run has a log: one that is gone would begin again at nothing, and what was signed for it
/// would count once more.
pub(super) fn refuse_lost_log(folder: &Path) -> Result<(), CommandError> {
    let (log, clock) = (folder.join("log"), folder.join("clock"));
    let is_lost = clock.exists() && foreign(&log, &[])?.is_none();
    if is_lost {
        Err(system(
            log.display().to_string(),
            format!(
                "the log of a ledger that has run is not there: mount or bring it back; to give it up, \
                 begin a ledger in another folder (this one's clock stands in {})",
                clock.display()
            ),
        ))
    } else {
        Ok(())
    }
}

/// A ledger whose bank's key is public is for this machine only.
pub(super) fn check_dev(arguments: &LedgerServe, bank: Address) -> Result<(), CommandError> {
    let wrong =
        |reason: &str| Err(CommandError::Argument { argument: "--dev", reason: reason.to_owned() });
    let is_public = bank == dev_key("bank").address();
    match (arguments.dev, is_public, arguments.listen.ip().is_loopback()) {
        (true, false, _) => {
            wrong("the ledger in this folder has a bank of its own; leave --dev out")
        }
        (_, true, false) => wrong(
            "everybody can compute the key of this ledger's bank: it is served on loopback only; \
             listen on 127.0.0.1, or begin a ledger with --bank ADDRESS in another folder",
        ),
        _ => Ok(()),
    }
}
