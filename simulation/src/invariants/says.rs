//! What each invariant says, for people; `docs/simulation.md` says it at more length.

use super::Invariant;

impl Invariant {
    /// What must hold, in a sentence.
    pub const fn says(self) -> &'static str {
        match self {
            Self::NoFalseFinal => {
                "no false claim becomes final while somebody honest, in funds, watches"
            }
            Self::TrueFinal => {
                "every true claim of an honest executor becomes final, or is answered by another"
            }
            Self::NoHonestLoss => {
                "nobody honest loses more than fees, and no honest executor is silenced"
            }
            Self::Conservation => "what is on the ledger is what came in and did not go out",
            Self::DisputesEnd => "disputes and claims end by the time that was printed with them",
            Self::AsksProven => "whatever is asked was proven to be part of the claim",
            Self::ClocksMonotone => "a party's time only shrinks, by what its moves took",
            Self::NoEquivocation => "nobody honest says two things about the same",
            Self::SameViewSameActions => "the same view makes a party decide the same",
            Self::DelayIndependent => "how long finality takes does not depend on how many attack",
            Self::RewardCoversCost => {
                "whoever convicts is paid for its work, whatever crowd joined"
            }
            Self::HalfBurned => "at least half of the stake of a claim that fell burns",
            Self::VerdictIsTruth => "nothing true is refuted",
            Self::HonestRefutationWins => "an honest challenge of a lie is never lost",
            Self::VerdictEndsAll => "after a claim fell, its disputes are only collected",
            Self::DescentContainsDivergence => {
                "an honest challenger asks only where two runs differ"
            }
            Self::DemandsBounded => "an honest challenger asks no more often than the model needs",
            Self::AnswersShared => "one answer serves everybody whom it names",
            Self::WindowRespected => "nothing is final before its time for challenges is over",
            Self::WorkBounded => "what a party does at a look is bounded by what is under way",
            Self::PendingAnswerable => {
                "whatever is asked of a true claim has an answer that is accepted"
            }
            Self::KnowledgeConsistent => "no answer contradicts an earlier one",
            Self::FactsAreCommitted => "an answer leads to what was asked about",
            Self::ReplayIsIdentical => "the same transactions give the same ledger again",
            Self::Counters => "what the ledger counts and lists is what a scan of everything finds",
            Self::BurnedIsTold => "what burned is what fees and events say",
            Self::EndsRightly => "stakes and jobs end only when nothing is disputed or waits",
            Self::NoRunNoPass => "no claim becomes final where the model has no result",
            Self::NoCoalitionProfit => {
                "all attackers of a world together win nothing but what they earned"
            }
            Self::Challengeable => {
                "whoever has the largest bond and all fees can challenge any claim"
            }
            Self::NoFreeLock => "whatever locks or delays others has its price",
            Self::NoForeignSignature => "what is signed for one ledger counts on no other",
            Self::NumbersCountOnce => "no transaction counts twice",
            Self::EndsInsideItsParameters => {
                "jobs have windows, stakes and times inside the ledger's parameters"
            }
            Self::PaidByTheRules => "everybody has, to the wei, what the rules give",
        }
    }
}
