//! Deliberate defects, for proving that the simulation's invariants can fail. This file and the patches beside
//! it are no part of the program: they are applied to a copy of it (`simulation/defects/copy`).

extern crate std;

use core::sync::atomic::{AtomicU8, Ordering};
use std::sync::OnceLock;

/// Which defect a process has: its number below; none, or 0, is none.
pub const VARIABLE: &str = "REBUT_DEFECT";

/// A deliberate defect. Each makes exactly one invariant of the simulation fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is named by what it does, and explained where it stands")]
pub enum Defect {
    FinalThoughDisputed = 1,
    NeverFinal,
    StakeNotReturned,
    MoneyAppears,
    ClocksNeverRunOut,
    AsksNotChecked,
    ClockCredited,
    AnswersChange,
    ForgetfulCore,
    RivalsWaitInTurn,
    OneWinner,
    StakeNotBurned,
    RefereeSaysFraud,
    RefereeSaysSound,
    MovesAfterFall,
    SolverGoesAstray,
    SmallOpenings,
    AnswersNotShared,
    WindowCutShort,
    EndlessWork,
    OpeningsNotChecked,
    LedgerForgets,
    ConvictorUnpaid,
    CollectPaysTwice,
    PlaceNotFreed,
    QueueIgnored,
    PassOverStanding,
    RecordFeeKept,
    ReleasedThoughDisputed,
    ExpiredThoughClaimed,
    OpenRefused,
    SaidTwice,
    BondsForTheRich,
    BondsNotHeld,
    DomainForgetsSalt,
    AnyWindow,
    NoRunUnseen,
    FeeGoesAstray,
    NumbersCountAgain,
    RepliesUnpaid,
}

/// Whether this process has a defect.
pub fn active(defect: Defect) -> bool {
    static NUMBER: OnceLock<u8> = OnceLock::new();
    let number = || std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    *NUMBER.get_or_init(number) == defect as u8
}

/// The defect [`Defect::LedgerForgets`]: true now and then, whatever the state is.
pub(crate) fn forgets() -> bool {
    static CALLS: AtomicU8 = AtomicU8::new(0);
    active(Defect::LedgerForgets) && CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
}
