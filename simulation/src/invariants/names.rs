//! What must hold, and what must happen now and then, by stable names.

macro_rules! named {
    ($(#[$meta:meta])* $kind:ident { $($variant:ident => $name:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each is explained by its name and in docs/simulation.md")]
        pub enum $kind { $($variant),* }

        impl $kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

named! {
    /// What must always hold.
    Invariant {
        NoFalseFinal => "no-false-final",
        TrueFinal => "true-final",
        NoHonestLoss => "no-honest-loss",
        Conservation => "conservation",
        DisputesEnd => "disputes-end",
        AsksProven => "asks-proven",
        ClocksMonotone => "clocks-monotone",
        NoEquivocation => "no-equivocation",
        SameViewSameActions => "same-view-same-actions",
        DelayIndependent => "delay-independent",
        RewardCoversCost => "reward-covers-cost",
        HalfBurned => "half-burned",
        VerdictIsTruth => "verdict-is-truth",
        HonestRefutationWins => "honest-refutation-wins",
        VerdictEndsAll => "verdict-ends-all",
        DescentContainsDivergence => "descent-contains-divergence",
        DemandsBounded => "demands-bounded",
        AnswersShared => "answers-shared",
        WindowRespected => "window-respected",
        WorkBounded => "work-bounded",
        PendingAnswerable => "pending-answerable",
        KnowledgeConsistent => "knowledge-consistent",
        FactsAreCommitted => "facts-are-committed",
        ReplayIsIdentical => "replay-is-identical",
        Counters => "counters",
        BurnedIsTold => "burned-is-told",
        EndsRightly => "ends-rightly",
        NoRunNoPass => "no-run-no-pass",
        NoCoalitionProfit => "no-coalition-profit",
        Challengeable => "challengeable",
        NoFreeLock => "no-free-lock",
        NoForeignSignature => "no-foreign-signature",
        NumbersCountOnce => "numbers-count-once",
        EndsInsideItsParameters => "ends-inside-its-parameters",
        PaidByTheRules => "paid-by-the-rules",
    }
}

/// What breaks when an invariant does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Something happened that must not: a verdict, a payment, an answer.
    Safety,
    /// Something did not happen, or not in time.
    Liveness,
}

impl Invariant {
    /// What breaks when it does not hold.
    pub const fn failure(self) -> Failure {
        match self {
            Self::TrueFinal | Self::DisputesEnd | Self::DelayIndependent => Failure::Liveness,
            Self::NoFalseFinal
            | Self::NoHonestLoss
            | Self::Conservation
            | Self::AsksProven
            | Self::ClocksMonotone
            | Self::NoEquivocation
            | Self::SameViewSameActions
            | Self::RewardCoversCost
            | Self::HalfBurned
            | Self::VerdictIsTruth
            | Self::HonestRefutationWins
            | Self::VerdictEndsAll
            | Self::DescentContainsDivergence
            | Self::DemandsBounded
            | Self::AnswersShared
            | Self::WindowRespected
            | Self::WorkBounded
            | Self::PendingAnswerable
            | Self::KnowledgeConsistent
            | Self::FactsAreCommitted
            | Self::ReplayIsIdentical
            | Self::Counters
            | Self::BurnedIsTold
            | Self::EndsRightly
            | Self::NoRunNoPass
            | Self::NoCoalitionProfit
            | Self::Challengeable
            | Self::NoFreeLock
            | Self::NoForeignSignature
            | Self::NumbersCountOnce
            | Self::EndsInsideItsParameters
            | Self::PaidByTheRules => Failure::Safety,
        }
    }
}

named! {
    /// What must happen now and then, or the worlds are too tame.
    Sometimes {
        RefutedByStep => "refuted by a step",
        RefutedBySegment => "refuted by one segment of several",
        RefutedByBinding => "refuted by a contradiction of commitments",
        FellBySilence => "a claim fell by silence",
        ChallengeUpheld => "a challenge was lost by a wrong refutation",
        ChallengerTimedOut => "a challenger ran out of time",
        ClaimFinal => "a claim became final undisputed",
        FinalAfterDispute => "a claim became final after a dispute",
        RivalFinal => "a later claim became final after an earlier one fell",
        StakeReleased => "a standing claim's stake went back",
        TwoHonestChallengers => "two honest challengers won on one claim",
        AnswerShared => "one answer served several challenges",
        NamedSkipped => "an answer named one that no longer waited",
        AskedAgain => "what was open was asked for again",
        ChallengeWithdrawn => "a challenge was withdrawn",
        Published => "published data saved openings",
        Withheld => "a dispute had to open everything",
        Reorganised => "blocks were replaced in mid-dispute",
        Restarted => "an honest party restarted in mid-dispute",
        Partitioned => "an honest party was cut off in mid-dispute",
        Censored => "an honest move was censored",
        MessageLost => "a message was lost and sent again",
        MessageDoubled => "a message arrived twice",
        NonceTaken => "a transaction came with a used nonce",
        CopiedMove => "a copied move was refused",
        TooEarly => "time was called too early",
        TooLate => "a move came too late",
        Unbound => "an unbound claim was refused",
        BadAnswer => "a false answer was refused",
        BadProof => "a false proof was refused",
        DemandRefused => "an impossible demand was refused",
        DemandsUsed => "a challenge used up its demands",
        OutOfMoney => "a party ran out of money",
        FloorSaved => "a move was in time only thanks to the floor",
        Withdrawn => "money was withdrawn during a dispute",
        JobExpired => "a job expired",
        Collected => "a challenge of a fallen claim was collected",
        Passed => "fallen claims were passed",
        Queued => "a challenge waited for its turn and was served",
        Saturated => "a party had more moves than slots",
        QueueFull => "a block was full",
        InputShown => "executors showed an input that nobody published",
        FalseFinalUnwatched => "a false claim became final where nobody watched",
    }
}
