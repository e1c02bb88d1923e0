//! `rebut tui`: a ledger in a terminal, live.

use std::sync::Arc;
use std::time::Duration;

use ::ledger::http::HttpLedger;
use ::ledger::{Ledger as _, LedgerError, View, words};
use protocol::ids::ClaimId;
use protocol::settlement::{
    ChallengeStatus, Claim, ClaimStatus, Event, FallReason, JobStatus, Settlement, Turn,
};
use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEventKind, poll, read};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Paragraph, Row, Table, TableState, Wrap};

use crate::arguments::Tui;
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::print;

/// Lines of the log that are kept.
const LOG_MAX: usize = 500;

/// Most columns and most lines of what is drawn once.
const SIDE_MAX: u16 = 1_000;

/// Claims that are listed: those that stand, then the newest of the others.
const CLAIMS_MAX: usize = 500;

/// What is drawn, and nothing else.
#[derive(Clone, Debug, Default)]
struct Screen {
    title: String,
    money: String,
    counts: String,
    disputes: Vec<[String; 6]>,
    claims: Vec<(ClaimId, [String; 6])>,
    standing: usize,
    /// The claim that is marked.
    selected: Option<ClaimId>,
    /// The marked claim is shown whole.
    is_open: bool,
    detail: Vec<String>,
    log: Vec<String>,
    /// Lines that the log is scrolled back by.
    back: usize,
    trouble: Option<String>,
}

fn short(id: impl std::fmt::Display) -> String {
    id.to_string().chars().take(10).collect()
}

fn seconds(at_ms: u64, now_ms: u64) -> String {
    match at_ms.checked_sub(now_ms) {
        Some(left_ms) => format!("{}.{} s", left_ms / 1_000, left_ms % 1_000 / 100),
        None => "over".to_owned(),
    }
}

fn ether(wei: u128) -> String {
    print::ether(i128::try_from(wei).unwrap_or(i128::MAX))
}

impl Screen {
    /// Brings the screen up to a view; the log is kept.
    fn see(&mut self, url: &str, view: &View) {
        let settlement = &view.settlement;
        let now_ms = view.now_ms;
        let money = settlement.money();
        self.trouble = None;
        self.title = format!("{url}  height {}  {}", view.height, words::moment(now_ms));
        self.money = format!(
            "free {}  locked {}  burned {}",
            ether(money.free_total_wei()),
            ether(money.locked_wei()),
            ether(money.burned_wei())
        );
        self.counts = counts(settlement);
        self.disputes = disputes(settlement, now_ms);
        let standing = Claim::stands;
        let mut claims: Vec<_> = settlement.claims().collect();
        self.standing = claims.iter().filter(|(_, claim)| standing(claim)).count();
        // Standing ones by the end of their windows, then the others, the newest first.
        claims.sort_by_key(|(id, claim)| {
            if standing(claim) {
                (false, claim.window_end_ms, **id)
            } else {
                (true, u64::MAX - claim.posted_ms, **id)
            }
        });
        claims.truncate(CLAIMS_MAX);
        let row = |(id, claim): (&ClaimId, &Claim)| {
            let left =
                if standing(claim) { seconds(claim.window_end_ms, now_ms) } else { String::new() };
            let (challenges, stake) = (claim.challenges.to_string(), ether(claim.stake_wei));
            let status = words::claim_status(&claim.status).to_owned();
            (*id, [short(id), status, short(claim.executor), stake, challenges, left])
        };
        self.claims = claims.into_iter().map(row).collect();
        self.detail = match self.selected.and_then(|id| Some((id, settlement.claim(&id)?))) {
            Some((id, claim)) => detail(&id, claim, settlement, now_ms),
            None => Vec::new(),
        };
        self.is_open &= !self.detail.is_empty();
    }

    /// Marks the claim so many rows further down; the first when none is marked.
    fn select(&mut self, by: isize) {
        let place = self.place().map_or(0, |place| place.saturating_add_signed(by));
        let place = place.min(self.claims.len().saturating_sub(1));
        self.selected = self.claims.get(place).map(|(id, _)| *id);
    }

    /// Does what a key asks for; true when it asks for the end.
    fn press(&mut self, key: KeyCode) -> bool {
        match key {
            KeyCode::Char('q') => return true,
            KeyCode::Esc | KeyCode::Backspace if self.is_open => self.is_open = false,
            KeyCode::Esc => return true,
            KeyCode::Enter => self.is_open = self.selected.is_some(),
            KeyCode::Up if !self.is_open => self.select(-1),
            KeyCode::Down if !self.is_open => self.select(1),
            KeyCode::PageUp => self.back = (self.back + 10).min(self.log.len()),
            KeyCode::PageDown => self.back = self.back.saturating_sub(10),
            _ => {}
        }
        false
    }

    fn place(&self) -> Option<usize> {
        let selected = self.selected?;
        self.claims.iter().position(|(id, _)| *id == selected)
    }

    fn tell(&mut self, height: u64, events: &[Event]) {
        for event in events {
            self.log.push(format!("{height:>8}  {}", line(event)));
        }
        let over = self.log.len().saturating_sub(LOG_MAX);
        self.log.drain(..over);
    }
}

/// How many of what there are.
fn counts(settlement: &Settlement) -> String {
    let open = settlement.jobs().filter(|(_, job)| job.status == JobStatus::Open).count();
    let count = |wanted: fn(&ClaimStatus) -> bool| {
        settlement.claims().filter(|(_, claim)| wanted(&claim.status)).count()
    };
    let to_collect = settlement
        .challenges()
        .filter(|(_, one)| one.is_open() && !settlement.is_under_way(one))
        .count();
    format!(
        "jobs {open} open of {}  claims {} standing, {} final, {} rejected  challenges {to_collect} \
         to collect",
        settlement.jobs().count(),
        count(|status| matches!(status, ClaimStatus::Standing)),
        count(|status| matches!(status, ClaimStatus::Final { .. })),
        count(|status| matches!(status, ClaimStatus::Fallen { .. })),
    )
}

/// Challenges under way, the first deadline first. Of a claim that was rejected they wait for nobody.
fn disputes(settlement: &Settlement, now_ms: u64) -> Vec<[String; 6]> {
    let floor_ms = settlement.parameters().move_floor_ms;
    let mut disputes: Vec<(u64, [String; 6])> = settlement
        .challenges()
        .filter(|(_, challenge)| settlement.is_under_way(challenge))
        .filter_map(|(id, challenge)| {
            let (turn, step) = match &challenge.status {
                ChallengeStatus::Open { turn: Turn::Challenger, .. } => {
                    ("challenger", String::new())
                }
                ChallengeStatus::Open { turn: Turn::Executor, .. } => {
                    ("executor", challenge.pending().map(words::ask).unwrap_or_default())
                }
                ChallengeStatus::Queued => ("nobody", "queued behind others".to_owned()),
                ChallengeStatus::Won { .. }
                | ChallengeStatus::Lost
                | ChallengeStatus::Withdrawn => return None,
            };
            let deadline_ms = challenge.deadline_ms(floor_ms);
            let left = deadline_ms.map_or_else(String::new, |at_ms| seconds(at_ms, now_ms));
            let bond = ether(challenge.bond_wei.saturating_add(challenge.fees_wei));
            let row = [short(id), short(challenge.claim), turn.to_owned(), left, bond, step];
            Some((deadline_ms.unwrap_or(u64::MAX), row))
        })
        .collect();
    disputes.sort();
    disputes.into_iter().map(|(_, row)| row).collect()
}

/// A value with its name.
fn pair(name: &str, value: String) -> String {
    format!("{name:<14}{value}")
}

/// All that the ledger holds of a claim, line by line.
fn detail(id: &ClaimId, claim: &Claim, settlement: &Settlement, now_ms: u64) -> Vec<String> {
    let mut lines = vec![
        pair("claim", id.to_string()),
        pair("status", words::claim_status(&claim.status).to_owned()),
        pair("executor", claim.executor.to_string()),
        pair("job", claim.terms.job.to_string()),
        pair("number", claim.number.to_string()),
    ];
    if let Some(job) = settlement.job(&claim.terms.job) {
        lines.push(pair("model", job.terms.model_root.to_string()));
        lines.push(pair("fee", ether(job.terms.fee_wei)));
    }
    lines.extend([
        pair("stake", ether(claim.stake_wei)),
        pair("posted", words::moment(claim.posted_ms)),
        pair(
            "window ends",
            format!(
                "{}, {}",
                words::moment(claim.window_end_ms),
                seconds(claim.window_end_ms, now_ms)
            ),
        ),
        pair(
            "input root",
            settlement
                .job(&claim.terms.job)
                .map_or_else(String::new, |job| job.terms.input_root.to_string()),
        ),
        pair("output root", claim.terms.output_root.to_string()),
        pair("sequence root", claim.terms.sequence_root.to_string()),
    ]);
    match claim.terms.iterations {
        1 => lines.push(pair("trace root", claim.trace_root.to_string())),
        count => {
            lines.push(pair("iterations", count.to_string()));
            lines.push(pair("trace root", format!("{} (of the first)", claim.trace_root)));
        }
    }
    let mut descent: Vec<String> = claim.knowledge.opened_trees().iter().map(words::tree).collect();
    if let ClaimStatus::Fallen { reason, .. } = &claim.status {
        match reason {
            FallReason::Refuted(found) => {
                let verdict = words::verdict(found, claim.knowledge.operator_of(found));
                lines.push(pair("convicted at", verdict.place.clone()));
                lines.push(pair("claimed", verdict.claimed));
                lines.push(pair(
                    "correct",
                    verdict.correct.unwrap_or_else(|| "no result".to_owned()),
                ));
                descent.push(verdict.place);
            }
            FallReason::Silence(_) => lines.push(pair("why", words::fallen(reason, None))),
        }
    }
    if !descent.is_empty() {
        lines.push(pair("descent", descent.join(" › ")));
    }
    lines.extend(challenge_lines(id, settlement, now_ms));
    lines
}

/// The challenges of a claim, line by line.
fn challenge_lines(id: &ClaimId, settlement: &Settlement, now_ms: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let floor_ms = settlement.parameters().move_floor_ms;
    for challenge_id in settlement.challenges_of(id) {
        let Some(challenge) = settlement.challenge(challenge_id) else {
            continue;
        };
        let under_way = settlement.is_under_way(challenge);
        lines.push(pair("challenge", challenge_id.to_string()));
        let state = match &challenge.status {
            ChallengeStatus::Open { turn, .. } if under_way => {
                let left = challenge.deadline_ms(floor_ms).map(|at_ms| seconds(at_ms, now_ms));
                format!("{}, {}", words::turn(challenge, *turn), left.unwrap_or_default())
            }
            other => words::challenge_status(other, under_way).to_owned(),
        };
        lines.push(pair("  by", challenge.challenger.to_string()));
        lines.push(pair("  state", state));
    }
    lines
}

fn line(event: &Event) -> String {
    match event {
        Event::Deposited { account, amount_wei } => {
            format!("{} was credited {}", short(account), ether(*amount_wei))
        }
        Event::JobPosted { job } => format!("job {} posted", short(job)),
        Event::JobExpired { job } => format!("job {} expired", short(job)),
        Event::ClaimPosted { claim, job, .. } => {
            format!("claim {} on job {}", short(claim), short(job))
        }
        Event::Challenged { challenge, claim } => {
            format!("challenge {} of claim {}", short(challenge), short(claim))
        }
        Event::Demanded { challenge, ask } => {
            format!("challenge {} demands {}", short(challenge), words::ask(ask))
        }
        Event::Revealed { claim, .. } => format!("claim {} answered", short(claim)),
        Event::ClaimFallen { claim, burned_wei, .. } => {
            format!("claim {} REJECTED, {} burned", short(claim), ether(*burned_wei))
        }
        Event::ChallengeWon { challenge, reward_wei, .. } => {
            format!("challenge {} won {}", short(challenge), ether(*reward_wei))
        }
        Event::ChallengeLost { challenge, .. } => format!("challenge {} lost", short(challenge)),
        Event::ClaimFinal { claim, .. } => format!("claim {} is FINAL", short(claim)),
        Event::StakeReleased { claim } => format!("stake of claim {} released", short(claim)),
        other => words::event(other, None),
    }
}

fn table<'a, const N: usize>(
    title: &'a str,
    header: [&'a str; N],
    rows: &'a [[String; N]],
    widths: [Constraint; N],
) -> Table<'a> {
    let rows = rows.iter().map(|row| Row::new(row.iter().map(String::as_str)));
    Table::new(rows, widths)
        .header(Row::new(header).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(title))
}

fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    use Constraint::{Length, Min, Percentage};
    let [head, disputes, claims, log, foot] =
        Layout::vertical([Length(3), Percentage(30), Percentage(25), Min(3), Length(1)])
            .areas(frame.area());
    let lines = [&screen.title, &screen.money, &screen.counts];
    let text: Text<'_> = lines.into_iter().map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(text), head);
    let help = if screen.is_open {
        "Esc goes back, q quits"
    } else {
        "up and down mark a claim, Enter shows it, PgUp and PgDn scroll the log, q quits"
    };
    let foot_text = screen.trouble.as_deref().unwrap_or(help);
    frame.render_widget(Paragraph::new(foot_text), foot);
    if screen.is_open {
        let text: Text<'_> = screen.detail.iter().map(|line| Line::from(line.as_str())).collect();
        let whole = disputes.union(claims).union(log);
        let shown = Paragraph::new(text).wrap(Wrap { trim: false });
        frame.render_widget(shown.block(Block::bordered().title(" claim ")), whole);
        return;
    }
    let title = format!(" disputes: {} ", screen.disputes.len());
    let header = ["challenge", "claim", "to move", "left", "bond and fees", "asked"];
    let widths = [Length(10), Length(10), Length(10), Length(9), Length(14), Min(10)];
    frame.render_widget(table(&title, header, &screen.disputes, widths), disputes);
    let title = format!(" claims: {} standing ", screen.standing);
    let header = ["claim", "status", "executor", "stake", "challenges", "window"];
    let widths = [Length(10), Length(9), Length(10), Length(12), Length(10), Min(9)];
    let rows: Vec<[String; 6]> = screen.claims.iter().map(|(_, row)| row.clone()).collect();
    let marked = table(&title, header, &rows, widths)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .highlight_symbol("› ");
    let mut state = TableState::default().with_selected(screen.place());
    frame.render_stateful_widget(marked, claims, &mut state);
    let fits = usize::from(log.height.saturating_sub(2));
    let last = screen.log.len().saturating_sub(screen.back).max(fits.min(screen.log.len()));
    let first = last.saturating_sub(fits);
    let shown = screen.log.get(first..last).unwrap_or_default();
    let text: Text<'_> = shown.iter().map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title(" log ")), log);
}

pub(crate) fn run(arguments: &Tui, as_json: bool) -> Result<Ending, CommandError> {
    if as_json {
        let reason = "this is a view for people; `rebut --json ledger status` and `ledger list` say \
                      the same to programs";
        return Err(CommandError::Argument { argument: "--json", reason: reason.to_owned() });
    }
    let runtime = super::process::runtime()?;
    let ledger = runtime.block_on(super::connection::connect(&arguments.at))?;
    let mut screen = Screen::default();
    if let Some(text) = &arguments.claim {
        let view = runtime.block_on(ledger.view())?;
        let claims = view.settlement.claims().map(|(id, _)| id);
        screen.selected = Some(super::ids::named("--claim", text, "claim", claims)?);
        screen.is_open = true;
    }
    let mut feed = Feed { runtime, ledger, url: arguments.at.ledger.clone(), told: 0 };
    feed.look(&mut screen)?;
    if let Some(size) = &arguments.once {
        print!("{}", once(size, &screen)?);
        return Ok(Ending::Done);
    }
    let fail = |error: std::io::Error| system("the terminal", error);
    let mut terminal = ratatui::try_init().map_err(fail)?;
    let ended = loop {
        if let Err(error) = terminal.draw(|frame| draw(frame, &screen)) {
            break Err(fail(error));
        }
        match poll(Duration::from_millis(250)).and_then(|some| some.then(read).transpose()) {
            Err(error) => break Err(fail(error)),
            Ok(Some(Input::Key(key))) if key.kind == KeyEventKind::Press => {
                if screen.press(key.code) {
                    break Ok(());
                }
            }
            Ok(_) => {}
        }
        if let Err(error) = feed.look(&mut screen) {
            break Err(error);
        }
    };
    ratatui::restore();
    ended.map(|()| Ending::Done)
}

/// Where the screen has its news from.
struct Feed {
    runtime: tokio::runtime::Runtime,
    ledger: Arc<HttpLedger>,
    url: String,
    /// Height of the last receipt that was shown.
    told: u64,
}

impl Feed {
    /// Shows what is new; a ledger that is not reached is shown as trouble.
    fn look(&mut self, screen: &mut Screen) -> Result<(), CommandError> {
        let told = self.told;
        let seen = self.runtime.block_on(async {
            let view = self.ledger.view().await?;
            // What was before the terminal opened is not told event by event.
            let after = if told == 0 { view.height.saturating_sub(LOG_MAX as u64) } else { told };
            Ok::<_, LedgerError>((self.ledger.events_after(after, LOG_MAX).await?, view))
        });
        match seen {
            Ok((receipts, view)) => {
                for receipt in receipts {
                    self.told = receipt.height;
                    screen.tell(receipt.height, &receipt.events);
                }
                screen.see(&self.url, &view);
                Ok(())
            }
            Err(error) if error.is_away() => {
                screen.trouble = Some(error.to_string());
                Ok(())
            }
            Err(error) => Err(CommandError::from(error)),
        }
    }
}

/// The screen as text.
fn once(size: &str, screen: &Screen) -> Result<String, CommandError> {
    let wrong = |reason: String| CommandError::Argument { argument: "--once", reason };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (columns, lines) = size
        .split_once('x')
        .filter(|(columns, lines)| is_number(columns) && is_number(lines))
        .ok_or_else(|| wrong(format!("{size} is not COLUMNSxLINES, such as 100x30")))?;
    let side = |text: &str| text.parse::<u16>().ok().filter(|number| *number <= SIDE_MAX);
    let (columns, lines) = side(columns).zip(side(lines)).ok_or_else(|| {
        wrong(format!("{size} is too large; {SIDE_MAX}x{SIDE_MAX} at most, such as 100x30"))
    })?;
    let fail = |error: std::convert::Infallible| system("the terminal", error);
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).map_err(fail)?;
    terminal.draw(|frame| draw(frame, screen)).map_err(fail)?;
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for line in buffer.content().chunks(usize::from(columns).max(1)) {
        let line: String = line.iter().map(|cell| cell.symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
