//! `rebut tui`: a ledger in a terminal, live.

use std::time::Duration;

use ::ledger::{Ledger as _, LedgerError, View, words};
use protocol::settlement::{ChallengeStatus, ClaimStatus, Event, JobStatus, Turn};
use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEventKind, poll, read};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Paragraph, Row, Table};

use crate::arguments::Tui;
use crate::error::{CommandError, system};
use crate::print;

/// Lines of the log that are kept.
const LOG_MAX: usize = 500;

/// What is drawn, and nothing else.
#[derive(Clone, Debug, Default)]
struct Screen {
    title: String,
    money: String,
    counts: String,
    disputes: Vec<[String; 6]>,
    claims: Vec<[String; 5]>,
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
        let (floor_ms, now_ms) = (settlement.parameters().move_floor_ms, view.now_ms);
        let money = settlement.money();
        self.trouble = None;
        self.title = format!("{url}  height {}  {}", view.height, words::moment(now_ms));
        self.money = format!(
            "free {}  locked {}  burned {}",
            ether(money.free_total_wei()),
            ether(money.locked_wei()),
            ether(money.burned_wei())
        );
        let open = settlement.jobs().filter(|(_, job)| job.status == JobStatus::Open).count();
        let count = |wanted: fn(&ClaimStatus) -> bool| {
            settlement.claims().filter(|(_, claim)| wanted(&claim.status)).count()
        };
        self.counts = format!(
            "jobs {open} open of {}  claims {} standing, {} final, {} fallen",
            settlement.jobs().count(),
            count(|status| matches!(status, ClaimStatus::Standing)),
            count(|status| matches!(status, ClaimStatus::Final { .. })),
            count(|status| matches!(status, ClaimStatus::Fallen { .. })),
        );
        let mut disputes: Vec<(u64, [String; 6])> = settlement
            .challenges()
            .filter_map(|(id, challenge)| {
                let ChallengeStatus::Open { turn, .. } = &challenge.status else {
                    return None;
                };
                let (turn, step) = match turn {
                    Turn::Challenger => ("challenger", String::new()),
                    Turn::Executor(request) => ("executor", words::request(request)),
                };
                let deadline_ms = challenge.deadline_ms(floor_ms)?;
                let bond = ether(challenge.bond_wei.saturating_add(challenge.fees_wei));
                let left = seconds(deadline_ms, now_ms);
                let row = [short(id), short(challenge.claim), turn.to_owned(), left, bond, step];
                Some((deadline_ms, row))
            })
            .collect();
        disputes.sort();
        self.disputes = disputes.into_iter().map(|(_, row)| row).collect();
        let mut claims: Vec<(u64, [String; 5])> = settlement
            .claims()
            .filter(|(_, claim)| claim.status == ClaimStatus::Standing)
            .map(|(id, claim)| {
                let left = seconds(claim.window_end_ms, now_ms);
                let challenges = claim.challenges.len().to_string();
                let stake = ether(claim.stake_wei);
                (claim.window_end_ms, [short(id), short(claim.executor), stake, challenges, left])
            })
            .collect();
        claims.sort();
        self.claims = claims.into_iter().map(|(_, row)| row).collect();
    }

    fn tell(&mut self, height: u64, events: &[Event]) {
        for event in events {
            self.log.push(format!("{height:>8}  {}", line(event)));
        }
        let over = self.log.len().saturating_sub(LOG_MAX);
        self.log.drain(..over);
    }
}

fn line(event: &Event) -> String {
    match event {
        Event::Deposited { account, amount_wei } => {
            format!("{} was credited {}", short(account), ether(*amount_wei))
        }
        Event::JobPosted { job } => format!("job {} posted", short(job)),
        Event::ClaimPosted { claim, job, .. } => {
            format!("claim {} on job {}", short(claim), short(job))
        }
        Event::Challenged { challenge, claim } => {
            format!("challenge {} of claim {}", short(challenge), short(claim))
        }
        Event::Demanded { challenge, request } => {
            format!("challenge {} demands {}", short(challenge), words::request(request))
        }
        Event::Revealed { claim, .. } => format!("claim {} answered", short(claim)),
        Event::ClaimFallen { claim, burned_wei, .. } => {
            format!("claim {} FELL, {} burned", short(claim), ether(*burned_wei))
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
    let title = format!(" disputes: {} ", screen.disputes.len());
    let header = ["challenge", "claim", "to move", "left", "bond and fees", "asked"];
    let widths = [Length(10), Length(10), Length(10), Length(9), Length(14), Min(10)];
    frame.render_widget(table(&title, header, &screen.disputes, widths), disputes);
    let title = format!(" standing claims: {} ", screen.claims.len());
    let header = ["claim", "executor", "stake", "challenges", "window"];
    let widths = [Length(10), Length(10), Length(12), Length(10), Min(9)];
    frame.render_widget(table(&title, header, &screen.claims, widths), claims);
    let fits = usize::from(log.height.saturating_sub(2));
    let last = screen.log.len().saturating_sub(screen.back).max(fits.min(screen.log.len()));
    let first = last.saturating_sub(fits);
    let shown = screen.log.get(first..last).unwrap_or_default();
    let text: Text<'_> = shown.iter().map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title(" log ")), log);
    let foot_text = match &screen.trouble {
        Some(trouble) => trouble.as_str(),
        None => "q quits, up and down scroll the log",
    };
    frame.render_widget(Paragraph::new(foot_text), foot);
}

pub(crate) fn run(arguments: &Tui) -> Result<bool, CommandError> {
    let runtime = super::runtime()?;
    let ledger = runtime.block_on(super::connect(&arguments.at))?;
    let mut screen = Screen::default();
    let mut told = 0;
    let mut look = |screen: &mut Screen| {
        let seen = runtime.block_on(async {
            let view = ledger.view().await?;
            // What was before the terminal opened is not told event by event.
            let after = if told == 0 { view.height.saturating_sub(LOG_MAX as u64) } else { told };
            Ok::<_, LedgerError>((ledger.events_after(after, LOG_MAX).await?, view))
        });
        match seen {
            Ok((receipts, view)) => {
                for receipt in receipts {
                    told = receipt.height;
                    screen.tell(receipt.height, &receipt.events);
                }
                screen.see(&arguments.at.ledger, &view);
                Ok(())
            }
            Err(LedgerError::Unreachable { reason, .. }) => {
                screen.trouble = Some(format!("the ledger is not reached: {reason}"));
                Ok(())
            }
            Err(error) => Err(CommandError::from(error)),
        }
    };
    look(&mut screen)?;
    if let Some(size) = &arguments.once {
        print!("{}", once(size, &screen)?);
        return Ok(false);
    }
    let fail = |error: std::io::Error| system("the terminal", error);
    let mut terminal = ratatui::try_init().map_err(fail)?;
    let ended = loop {
        if let Err(error) = terminal.draw(|frame| draw(frame, &screen)) {
            break Err(fail(error));
        }
        match poll(Duration::from_millis(250)).and_then(|some| some.then(read).transpose()) {
            Err(error) => break Err(fail(error)),
            Ok(Some(Input::Key(key))) if key.kind == KeyEventKind::Press => match key.code {
                KeyCode::Char('q') | KeyCode::Esc => break Ok(()),
                KeyCode::Up => screen.back = (screen.back + 1).min(screen.log.len()),
                KeyCode::Down => screen.back = screen.back.saturating_sub(1),
                _ => {}
            },
            Ok(_) => {}
        }
        if let Err(error) = look(&mut screen) {
            break Err(error);
        }
    };
    ratatui::restore();
    ended.map(|()| false)
}

/// The screen as text.
fn once(size: &str, screen: &Screen) -> Result<String, CommandError> {
    let parsed = size.split_once('x').and_then(|(columns, lines)| {
        let size: (u16, u16) = (columns.parse().ok()?, lines.parse().ok()?);
        (size.0 <= 1_000 && size.1 <= 1_000).then_some(size)
    });
    let (columns, lines) = parsed.ok_or_else(|| CommandError::Argument {
        argument: "--once",
        reason: format!("{size} is not COLUMNSxLINES, such as 100x30"),
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
mod tests {
    use super::*;

    #[test]
    fn a_screen_reads_as_it_did_wide_and_narrow() {
        let text = |word: &str| word.to_owned();
        let mut screen = Screen {
            title: text("http://127.0.0.1:8645  height 12  2026-11-25 07:30:12 UTC"),
            money: text("free 99 ETH  locked 1.1 ETH  burned 0 ETH"),
            counts: text("jobs 1 open of 1  claims 1 standing, 0 final, 0 fallen"),
            disputes: vec![
                ["0xaa", "0xbb", "executor", "19.5 s", "0.101 ETH", "operators inside layer 1"]
                    .map(text),
            ],
            claims: vec![["0xbb", "0xcc", "1 ETH", "1", "over"].map(text)],
            ..Screen::default()
        };
        for height in 0..40 {
            screen.log.push(format!("{height:>8}  claim 0xbb answered"));
        }
        insta::assert_snapshot!("tui_wide", once("90x24", &screen).unwrap());
        screen.back = 40;
        screen.trouble = Some(text("the ledger is not reached: refused"));
        insta::assert_snapshot!("tui_narrow", once("50x20", &screen).unwrap());
        // No size makes it fall over.
        for size in ["0x0", "1x1", "3x2", "1000x3"] {
            once(size, &screen).unwrap();
        }
        assert!(once("9", &screen).is_err() && once("2000x2", &screen).is_err());
    }
}
