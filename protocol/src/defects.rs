//! Deliberate defects, for proving that the simulation's invariants can fail.
//!
//! Without the feature `defects`, which only the simulation's own tests switch on, [`active`] is
//! constantly false and the compiler removes every trace of them.

/// A deliberate defect. Each makes exactly one invariant of the simulation fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is named by what it does, and explained where it stands")]
pub enum Defect {
    FinalThoughDisputed = 1,
    NeverFinal,
    BondNotReturned,
    MoneyAppears,
    ClocksNeverRunOut,
    OpenedAgain,
    ClockCredited,
    AnswersChange,
    ForgetfulCore,
    RivalsWaitInTurn,
    OneWinner,
    StakeNotBurned,
    RefereeSaysFraud,
    RefereeSaysSound,
    OnlyOneChallengeEnds,
    SolverGoesAstray,
    SmallOpenings,
    AnswersNotShared,
    WindowCutShort,
    EndlessWork,
    OpeningsNotChecked,
    LedgerForgets,
}

/// Whether a defect is switched on in this process.
#[cfg(not(feature = "defects"))]
#[inline(always)]
pub const fn active(_: Defect) -> bool {
    false
}

#[cfg(feature = "defects")]
static ACTIVE: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// Whether a defect is switched on in this process.
#[cfg(feature = "defects")]
pub fn active(defect: Defect) -> bool {
    ACTIVE.load(core::sync::atomic::Ordering::Relaxed) == defect as u8
}

/// Switches one defect on, or all off.
#[cfg(feature = "defects")]
pub fn switch(defect: Option<Defect>) {
    let code = defect.map_or(0, |defect| defect as u8);
    ACTIVE.store(code, core::sync::atomic::Ordering::Relaxed);
}

/// The defect [`Defect::LedgerForgets`]: true now and then, whatever the state is.
#[cfg(not(feature = "defects"))]
pub(crate) const fn forgets() -> bool {
    false
}

/// The defect [`Defect::LedgerForgets`]: true now and then, whatever the state is.
#[cfg(feature = "defects")]
pub(crate) fn forgets() -> bool {
    static CALLS: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);
    let calls = CALLS.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    active(Defect::LedgerForgets) && calls.is_multiple_of(2)
}
