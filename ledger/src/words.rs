//! What people read of the protocol's objects: one place for the words, used by the ledger's pages and by
//! the command. Programs read ids and enums elsewhere; nothing here is parsed again.

mod asks;
mod attention;
mod common;

use std::fmt;

use protocol::asks::Evidence;
use protocol::graph::Node;
use protocol::knowledge::Known;
use protocol::law;
use protocol::settlement::{
    Challenge, ChallengeStatus, ClaimStatus, Event, FallReason, JobStatus, SealedStatus,
    Settlement, Turn,
};
use protocol::tensor::ElementType;
use protocol::transaction::Action;

pub use self::asks::{answer, ask, refutation, tree};
use self::asks::{at_iteration, within};
pub use self::common::{count, printable, state};

/// The beginning of an id, a hash or an account's address, where the whole one stands elsewhere.
pub fn short(id: impl fmt::Display) -> String {
    id.to_string().chars().take(10).collect::<String>() + "…"
}

/// Wei as ether, exact.
///
/// ```
/// assert_eq!(ledger::words::ether(1_500_000_000_000_000_000), "1.5 ETH");
/// ```
pub fn ether(wei: u128) -> String {
    protocol::settlement::Ether(wei).to_string()
}

/// Time of day of a moment, given in milliseconds since 1970: `07:30:12 UTC`.
pub fn time_of_day(at_ms: u64) -> String {
    let second = at_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

/// A moment, given in milliseconds since 1970: `2026-11-25 07:30:12 UTC`.
pub fn moment(at_ms: u64) -> String {
    let (year, month, day) = date(at_ms / 86_400_000);
    format!("{year:04}-{month:02}-{day:02} {}", time_of_day(at_ms))
}

/// Year, month and day of a day counted from 1970-01-01, by the Gregorian calendar.
fn date(day: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the leap day is their last; eras have 400 years. 1970-01-01 is day
    // 719,468 of the era that began in March of the year 0.
    let day = day.saturating_add(719_468);
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day - first + 1)
}

/// Coordinates of an element: `(0, 3)`; `()` is a scalar's.
pub fn coordinates(place: &[u64]) -> String {
    let places: Vec<String> = place.iter().map(ToString::to_string).collect();
    format!("({})", places.join(", "))
}

/// Statuses of jobs, as [`job_status`] gives them.
pub const JOB_STATUSES: [&str; 3] = ["open", "done", "expired"];
/// Statuses of claims, as [`claim_status`] gives them.
pub const CLAIM_STATUSES: [&str; 4] = ["standing", "rejected", "final", "released"];
/// Statuses of challenges, as [`challenge_status`] gives them.
pub const CHALLENGE_STATUSES: [&str; 6] =
    ["queued", "open", "to-collect", "won", "lost", "withdrawn"];

/// Progress of a job.
pub fn job_status(status: &JobStatus) -> &'static str {
    match status {
        JobStatus::Open => "open",
        JobStatus::Done { .. } => "done",
        JobStatus::Expired => "expired",
    }
}

/// Progress of a claim.
pub fn claim_status(status: &ClaimStatus) -> &'static str {
    match status {
        ClaimStatus::Standing => "standing",
        ClaimStatus::Fallen { .. } => "rejected",
        ClaimStatus::Final { .. } => "final",
        ClaimStatus::Released { .. } => "released",
    }
}

/// Progress of a sealed claim.
pub fn sealed_status(status: &SealedStatus) -> &'static str {
    match status {
        SealedStatus::Waiting => "sealed",
        SealedStatus::Opened { .. } => "opened",
        SealedStatus::Expired => "expired",
    }
}

/// Progress of a challenge; `under_way` says whether its claim still stands
/// ([`Settlement::is_under_way`]).
pub fn challenge_status(status: &ChallengeStatus, under_way: bool) -> &'static str {
    match status {
        ChallengeStatus::Queued | ChallengeStatus::Open { .. } if !under_way => "to-collect",
        ChallengeStatus::Queued => "queued",
        ChallengeStatus::Open { .. } => "open",
        ChallengeStatus::Won { .. } => "won",
        ChallengeStatus::Lost => "lost",
        ChallengeStatus::Withdrawn => "withdrawn",
    }
}

/// Whose move it is in a challenge under way, and what must be done.
pub fn turn(challenge: &Challenge, turn: Turn) -> String {
    match (turn, challenge.pending()) {
        (Turn::Executor, Some(asked)) => format!("the executor must open {}", ask(asked)),
        (Turn::Executor | Turn::Challenger, _) => "the challenger must demand or refute".to_owned(),
    }
}

/// An element as people write it: the shortest decimal that reads back as the same float.
pub fn number(kind: ElementType, bits: u64) -> String {
    match kind {
        ElementType::F32 => match u32::try_from(bits).map(f32::from_bits) {
            Ok(float) if float.is_nan() => "NaN".to_owned(),
            Ok(float) if float.is_infinite() => (if float > 0.0 { "+∞" } else { "-∞" }).to_owned(),
            // `Debug` of a float writes exponents where `Display` would write rows of zeros.
            Ok(float) => format!("{float:?}"),
            Err(_) => hexadecimal(bits),
        },
        ElementType::Bool if bits <= 1 => (bits == 1).to_string(),
        ElementType::Bf16 | ElementType::F16 => {
            number(ElementType::F32, u64::from(kind.to_f32(bits)))
        }
        _ => kind.to_integer(bits).to_string(),
    }
}

/// Stored bits.
pub fn hexadecimal(bits: u64) -> String {
    match u32::try_from(bits) {
        Ok(narrow) => format!("0x{narrow:08x}"),
        Err(_) => format!("0x{bits:016x}"),
    }
}

/// An element beside another that it may look like: with its bits where only they differ. Without a type
/// only bits are known.
pub fn number_beside(kind: Option<ElementType>, bits: u64, other: u64) -> String {
    let Some(kind) = kind else {
        return hexadecimal(bits);
    };
    let text = number(kind, bits);
    if bits != other && text == number(kind, other) {
        format!("{text} ({})", hexadecimal(bits))
    } else {
        text
    }
}

/// What convicted a claim, in parts: where, what it claimed there, and what is correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceWords {
    /// The operator and element, or the value.
    pub place: String,
    /// What the claim says.
    pub claimed: String,
    /// What the law says; without it the operator has no result there.
    pub correct: Option<String>,
}

/// What the referee found, in parts: the same as [`evidence`] says in one line.
pub fn verdict(evidence: &Evidence, node: Option<&Node>) -> EvidenceWords {
    match evidence {
        Evidence::Step { iteration, operator, element, segment, claimed, expected, .. } => {
            let kind = node.map(|node| node.output.element);
            let at = sum_within(node, *segment);
            let place = format!("{}, element {element}{at}", named(*operator, node));
            let place = within(*iteration, place);
            let (lane, claimed, correct) = claimed_and_correct(kind, claimed, expected.as_deref());
            EvidenceWords { place: place + &lane, claimed, correct }
        }
        Evidence::Contradiction { iteration, value, claimed, expected } => EvidenceWords {
            place: within(*iteration, format!("value {value}")),
            claimed: claimed.to_string(),
            correct: Some(expected.to_string()),
        },
        Evidence::StateValue { iteration, boundary, claimed, expected } => EvidenceWords {
            place: within(*iteration, state(*boundary)),
            claimed: format!("value {claimed}"),
            correct: Some(format!("value {expected}")),
        },
        Evidence::Leaf { iteration, operator, leaf } => EvidenceWords {
            place: within(*iteration, format!("{}, leaf {leaf}", named(*operator, node))),
            claimed: "bits that no value has".to_owned(),
            correct: None,
        },
        Evidence::Link { iteration, input, claimed, expected } => EvidenceWords {
            place: at_iteration(*iteration, format!("input {input}")),
            claimed: claimed.to_string(),
            correct: Some(expected.to_string()),
        },
        Evidence::Entry { iteration, claimed, expected } => EvidenceWords {
            place: at_iteration(*iteration, "the entry that it begins with".to_owned()),
            claimed: claimed.to_string(),
            correct: Some(expected.to_string()),
        },
        Evidence::Stop { iteration, is_last, .. } => {
            let (ends, goes_on) = ("the run ends here", "the run goes on");
            let (claimed, correct) = if *is_last { (ends, goes_on) } else { (goes_on, ends) };
            EvidenceWords {
                place: at_iteration(*iteration, "end of the run".to_owned()),
                claimed: claimed.to_owned(),
                correct: Some(correct.to_owned()),
            }
        }
    }
}

/// The lane, what was claimed there, and what is correct.
fn claimed_and_correct(
    kind: Option<ElementType>,
    claimed: &[u64],
    correct: Option<&[u64]>,
) -> (String, String, Option<String>) {
    let Some(correct) = correct else {
        let claimed = claimed.first().copied().unwrap_or_default();
        return (String::new(), number_beside(kind, claimed, claimed), None);
    };
    let lanes = claimed.len() > 1;
    let mut pairs = claimed.iter().zip(correct).enumerate();
    match pairs.find(|(_, (claimed, correct))| claimed != correct) {
        Some((lane, (claimed, correct))) => {
            let lane = if lanes { format!(", lane {lane}") } else { String::new() };
            let left = number_beside(kind, *claimed, *correct);
            (lane, left, Some(number_beside(kind, *correct, *claimed)))
        }
        None => {
            let words = |number: usize| count(number as u64, "word", "words");
            (String::new(), words(claimed.len()), Some(words(correct.len())))
        }
    }
}

/// What the referee found. With the operator (`Knowledge::operator_of` finds it) it names
/// the kind and shows numbers; without it, bits.
pub fn evidence(evidence: &Evidence, node: Option<&Node>) -> String {
    match evidence {
        Evidence::Step { .. } => {
            let EvidenceWords { place, claimed, correct } = verdict(evidence, node);
            match correct {
                Some(correct) => format!("{place}: claimed {claimed}, correct {correct}"),
                None => {
                    format!("{place}: claimed {claimed}, but the operator has no result there")
                }
            }
        }
        Evidence::Contradiction { iteration, value, claimed, expected } => {
            let said = format!(
                "the claim contradicts itself about value {value}: {} in the state, {} by what it \
                 follows from",
                short(claimed),
                short(expected)
            );
            within(*iteration, said)
        }
        Evidence::StateValue { iteration, boundary, claimed, expected } => {
            let place = within(*iteration, state(*boundary));
            format!("{place} holds value {claimed} where the model has value {expected}")
        }
        Evidence::Leaf { iteration, operator, leaf } => {
            let named = named(*operator, node);
            within(*iteration, format!("{named}, leaf {leaf} holds bits that no value has"))
        }
        Evidence::Link { iteration, input, claimed, expected } => {
            let (claimed, expected) = (short(claimed), short(expected));
            format!(
                "iteration {iteration} begins with {claimed} as input {input}, and the iteration \
                 before it handed on {expected}"
            )
        }
        Evidence::Entry { iteration, claimed, expected } => {
            let (claimed, expected) = (short(claimed), short(expected));
            format!(
                "iteration {iteration} begins with {claimed}, and the job's entry for it is {expected}"
            )
        }
        Evidence::Stop { iteration, is_last: true, .. } => {
            format!("the run ends with iteration {iteration}, where the model does not end it")
        }
        Evidence::Stop { iteration, is_last: false, .. } => {
            format!("the run goes on after iteration {iteration}, where the model ends it")
        }
    }
}

fn named(operator: u32, node: Option<&Node>) -> String {
    match node {
        Some(node) => format!("operator {operator} ({})", node.operator.kind()),
        None => format!("operator {operator}"),
    }
}

/// Which running sum a step is about; nothing where the step gives the element itself.
fn sum_within(node: Option<&Node>, segment: u64) -> String {
    let segments = node.and_then(|node| law::check(node).ok()).map(law::segment_count);
    match (segments, segment) {
        (None, 0) | (Some(0 | 1), _) => String::new(),
        (Some(segments), segment) if segment >= segments => String::new(),
        (_, segment) => format!(", running sum {segment}"),
    }
}

/// That a claim was rejected, and why: with what is known of the claim by numbers, without it by bits.
pub fn fall(reason: &FallReason, known: Option<&Known>) -> String {
    format!("rejected: {}", fallen(reason, known))
}

/// Why a claim was rejected, as in [`fall`], where the text before says that it was.
pub fn fallen(reason: &FallReason, known: Option<&Known>) -> String {
    match reason {
        FallReason::Refuted(found) => {
            let node = known.and_then(|known| known.operator_of(found));
            evidence(found, node)
        }
        FallReason::Silence(asked) => format!("no answer about {}", ask(asked)),
    }
}

/// What a transaction did, as a line of a history.
pub fn action(action: &Action) -> String {
    match action {
        Action::Deposit { account, amount_wei } => {
            format!("{} deposited to {}", ether(*amount_wei), short(account))
        }
        Action::Withdraw { amount_wei } => format!("{} withdrawn", ether(*amount_wei)),
        Action::RegisterModel { header } => format!("model {} registered", short(header.root())),
        Action::PostJob { terms } => format!("job posted for model {}", short(terms.model_root)),
        Action::ExpireJob { job } => format!("job {} expired", short(job)),
        Action::PostClaim { statement } | Action::OpenClaim { statement, .. } => {
            format!("claim of the run {} posted", short(statement.terms.sequence_root))
        }
        Action::Challenge { claim } => format!("claim {} challenged", short(claim)),
        Action::Demand { ask: asked, .. } => format!("demanded: {}", ask(asked)),
        Action::Reveal { ask: asked, answer: given, .. } => {
            format!("opened: {} ({})", ask(asked), answer(given))
        }
        Action::Refute { refutation: said, .. } => format!("refuted: {}", refutation(said)),
        Action::CallTime { claim, challenger } => {
            format!(
                "time called on the challenge of claim {} by {}",
                short(claim),
                short(challenger)
            )
        }
        Action::Finalise { claim } => format!("claim {} made the answer of its job", short(claim)),
        Action::SealClaim { job, .. } => format!("claim on job {} sealed", short(job)),
        Action::Attest { sealed, .. } => format!("sealed claim {} attested", short(sealed)),
        Action::ProveAttention { claim, .. } => {
            format!("attention proven for claim {}", short(claim))
        }
        Action::WithdrawChallenge { claim } => {
            format!("challenge of claim {} withdrawn", short(claim))
        }
        Action::ExpireSeal { sealed } => format!("sealed claim {} expired", short(sealed)),
        Action::Collect { claim, challenger } => {
            format!(
                "what {} won by the fall of claim {} collected",
                short(challenger),
                short(claim)
            )
        }
        Action::Release { claim } => format!("stake of claim {} released", short(claim)),
        Action::Pass { job, claims } => format!(
            "{} of job {} passed",
            count(claims.len() as u64, "rejected claim", "rejected claims"),
            short(job)
        ),
        Action::CollectAttention { sealed, attester } => format!(
            "what {} is due for its attention to sealed claim {} collected",
            short(attester),
            short(sealed)
        ),
    }
}

/// What happened. With the ledger's state a rejected claim is told with numbers.
pub fn event(event: &Event, settlement: Option<&Settlement>) -> String {
    match event {
        Event::Deposited { account, amount_wei } => {
            format!("{} deposited to {}", ether(*amount_wei), short(account))
        }
        Event::Withdrawn { account, amount_wei } => {
            format!("{} withdrawn by {}", ether(*amount_wei), short(account))
        }
        Event::ModelRegistered { model_root } => format!("model {} registered", short(model_root)),
        Event::JobPosted { job } => format!("job {} posted", short(job)),
        Event::JobExpired { job } => format!("job {} expired", short(job)),
        Event::JobPassed { job, first_standing } => {
            format!("job {}: its claim number {first_standing} is next", short(job))
        }
        Event::ClaimPosted { claim, job, .. } => {
            format!("claim {} on job {} posted", short(claim), short(job))
        }
        Event::Challenged { challenge, claim } => {
            format!("claim {} challenged ({})", short(claim), short(challenge))
        }
        Event::ChallengeServed { challenge } => {
            format!("challenge {} is served now", short(challenge))
        }
        Event::Demanded { challenge, ask: asked } => {
            format!("challenge {} demands {}", short(challenge), ask(asked))
        }
        Event::Revealed { claim, ask: asked } => {
            format!("claim {}: {} opened", short(claim), ask(asked))
        }
        Event::ClaimFallen { claim, reason, burned_wei } => {
            let claim_of = settlement.and_then(|state| state.claim(claim));
            let (known, burned) = (claim_of.map(|claim| &claim.knowledge), ether(*burned_wei));
            format!("claim {} {}; {burned} burned", short(claim), fall(reason, known))
        }
        Event::ChallengeWon { challenge, challenger, reward_wei } => format!(
            "challenge {} won: {} to {}",
            short(challenge),
            ether(*reward_wei),
            short(challenger)
        ),
        Event::ChallengeLost { challenge, burned_wei, .. } => {
            format!("challenge {} lost; {} burned", short(challenge), ether(*burned_wei))
        }
        Event::ChallengeWithdrawn { challenge, burned_wei, .. } => {
            format!("challenge {} withdrawn; {} burned", short(challenge), ether(*burned_wei))
        }
        Event::ClaimFinal { claim, job } => {
            format!("claim {} is the answer of job {}", short(claim), short(job))
        }
        Event::StakeReleased { claim } => format!("stake of claim {} released", short(claim)),
        Event::ClaimSealed { sealed, job } => {
            format!("claim {} on job {} sealed", short(sealed), short(job))
        }
        Event::Attested { sealed, attester } => {
            format!("sealed claim {} attested by {}", short(sealed), short(attester))
        }
        Event::SealExpired { sealed, burned_wei } => {
            format!("sealed claim {} expired; {} burned", short(sealed), ether(*burned_wei))
        }
        Event::AttentionProven { claim, attester } => {
            format!("attention for claim {} proven by {}", short(claim), short(attester))
        }
        Event::AttentionCollected { sealed, attester, share_wei, burned_wei } => {
            attention::collected(&short(sealed), &short(attester), *share_wei, *burned_wei)
        }
    }
}

#[cfg(test)]
mod tests;
