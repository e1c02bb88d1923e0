//! Reading the state on threads of its own, few at a time: moves never wait for readers, and who reads
//! little does not wait for those who read much.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::StatusCode;
use tokio::sync::oneshot;

use super::failure::{Failure, busy, failure};
use super::limits::Source;

/// Those who wait for a place, for each that there is.
const WAITING: usize = 64;
/// Of them, those of one source.
const SHARE: usize = 8;

/// Places for those who read, given to the sources that wait in turn.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    hall: Arc<Mutex<Hall>>,
    waiting_max: usize,
}

/// Places, and who waits for them.
#[derive(Debug, Default)]
struct Hall {
    free: usize,
    waiting: usize,
    queues: HashMap<Source, VecDeque<oneshot::Sender<Place>>>,
    /// Sources that wait, the next one first.
    turns: VecDeque<Source>,
}

/// A place, given on when it is dropped; an empty one is nobody's.
#[derive(Debug)]
struct Place(Option<Arc<Mutex<Hall>>>);

fn lock(hall: &Mutex<Hall>) -> MutexGuard<'_, Hall> {
    // Counts and queues are whole at any time: what a panic left can be used.
    hall.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else {
            return;
        };
        let mut hall = lock(&shared);
        while let Some(next) = hall.next() {
            match next.send(Self(Some(Arc::clone(&shared)))) {
                Ok(()) => return,
                // Whoever went away while it waited is passed over.
                Err(mut returned) => {
                    #[cfg(test)]
                    cov_mark::hit!(reader_left_while_it_waited);
                    returned.0 = None;
                }
            }
        }
        hall.free += 1;
    }
}

impl Hall {
    /// The first who waits of the source whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let source = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&source)?;
        let next = queue.pop_front();
        self.waiting = self.waiting.saturating_sub(usize::from(next.is_some()));
        if queue.is_empty() {
            drop(self.queues.remove(&source))
        } else {
            self.turns.push_back(source)
        }
        next
    }

    /// Queues whoever asks for a source; `None` when too many of it wait. When too many of all wait, the
    /// last of the source that has most is sent away for a source that has fewer.
    fn queue(&mut self, source: Source, waiting_max: usize) -> Option<oneshot::Receiver<Place>> {
        let own = self.queues.get(&source).map_or(0, VecDeque::len);
        let is_full = self.waiting >= waiting_max;
        if own >= waiting_max.div_ceil(SHARE) || (is_full && !self.send_away(own)) {
            #[cfg(test)]
            cov_mark::hit!(too_many_readers_wait);
            return None;
        }
        let (given, place) = oneshot::channel();
        if own == 0 {
            self.turns.push_back(source);
        }
        self.queues.entry(source).or_default().push_back(given);
        self.waiting += 1;
        Some(place)
    }
}

impl Hall {
    fn send_away(&mut self, own: usize) -> bool {
        let largest = self.queues.iter_mut().max_by_key(|(_, queue)| queue.len());
        let Some((_, queue)) = largest.filter(|(_, queue)| queue.len() > own + 1) else {
            return false;
        };
        // Two or more are there: its turn stays. Who waits there is told to come again.
        #[cfg(test)]
        cov_mark::hit!(waiting_reader_is_sent_away);
        drop(queue.pop_back());
        self.waiting = self.waiting.saturating_sub(1);
        true
    }
}

impl Readers {
    pub(super) fn new(places: usize) -> Self {
        let free = places.max(1);
        let waiting_max = free.saturating_mul(WAITING);
        Self { hall: Arc::new(Mutex::new(Hall { free, ..Hall::default() })), waiting_max }
    }

    /// A place, as soon as there is one and it is the source's turn.
    async fn place(&self, source: Source) -> Option<Place> {
        let waiting = {
            let mut hall = lock(&self.hall);
            if hall.free > 0 {
                hall.free -= 1;
                return Some(Place(Some(Arc::clone(&self.hall))));
            }
            hall.queue(source, self.waiting_max)
        };
        waiting?.await.ok()
    }

    /// Does work that takes time on a thread that nobody else waits for.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        source: Source,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let place = self.place(source).await;
        metrics::histogram!("rebut_http_waited_seconds").record(begun.elapsed());
        let place =
            place.ok_or_else(|| busy("too many requests are reading; try again in a moment"))?;
        // The place is given back by the thread, also when nobody waits for the answer any more.
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.map_err(|error| {
            failure(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    const GREEDY: Source = Source::V4([1; 4]);
    const MODEST: Source = Source::V4([2; 4]);

    fn of(number: usize) -> Source {
        Source::V4([3, 0, 0, number as u8])
    }

    /// A reader with one place, which is taken until something is sent.
    async fn taken() -> (Readers, Sender<()>, tokio::task::JoinHandle<bool>) {
        let readers = Readers::new(1);
        let (release, held): (_, Receiver<()>) = channel();
        let first = readers.clone();
        let first =
            tokio::spawn(async move { first.run(GREEDY, move || held.recv()).await.is_ok() });
        tokio::time::sleep(Duration::from_millis(50)).await;
        (readers, release, first)
    }

    async fn at_once<T: Send + 'static>(readers: &Readers, source: Source, value: T) -> Option<T> {
        let run = readers.run(source, move || value);
        tokio::time::timeout(Duration::from_secs(5), run).await.ok()?.ok()
    }

    #[tokio::test]
    async fn audit_a7_few_read_at_a_time_many_wait_and_the_rest_is_told_to_come_again() {
        cov_mark::check!(too_many_readers_wait);
        let (readers, release, first) = taken().await;
        let waiting: Vec<_> = (0..WAITING)
            .map(|number| {
                let readers = readers.clone();
                tokio::spawn(async move { readers.run(of(number), move || number).await.is_ok() })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(at_once(&readers, MODEST, 0).await, None);
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        for one in waiting {
            assert!(one.await.unwrap());
        }
        assert_eq!(at_once(&readers, MODEST, 7).await, Some(7));
        assert_eq!(lock(&readers.hall).free, 1);
    }

    #[tokio::test]
    async fn audit_a7_who_reads_much_waits_for_himself_and_not_before_others() {
        let (readers, release, first) = taken().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let ask = |source: Source, times: usize| {
            (0..times)
                .map(|_| {
                    let (readers, order) = (readers.clone(), Arc::clone(&order));
                    let work = move || order.lock().unwrap().push(source);
                    tokio::spawn(async move { readers.run(source, work).await.is_ok() })
                })
                .collect::<Vec<_>>()
        };
        // More than its share of those who wait is refused, while others still may.
        let greedy = ask(GREEDY, 3 * WAITING);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let modest = ask(MODEST, 2);
        tokio::time::sleep(Duration::from_millis(50)).await;
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        for one in modest {
            assert!(one.await.unwrap());
        }
        let mut served = 0;
        for one in greedy {
            served += usize::from(one.await.unwrap());
        }
        assert_eq!(served, WAITING.div_ceil(SHARE));
        let order = order.lock().unwrap().clone();
        let places: Vec<usize> = (0..order.len()).filter(|at| order[*at] == MODEST).collect();
        assert_eq!(places, [1, 3], "{order:?}");
    }

    #[tokio::test]
    async fn audit_a7_a_few_sources_that_fill_the_hall_make_room_for_one_that_waits_less() {
        cov_mark::check!(waiting_reader_is_sent_away);
        let (readers, release, first) = taken().await;
        let mut greedy = Vec::new();
        for source in 0..SHARE {
            for _ in 0..2 * WAITING / SHARE {
                let readers = readers.clone();
                let work = async move { readers.run(of(source), || ()).await.is_ok() };
                greedy.push(tokio::spawn(work));
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(lock(&readers.hall).waiting, WAITING);
        let modest = readers.clone();
        let modest = tokio::spawn(async move { modest.run(MODEST, || ()).await.is_ok() });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(lock(&readers.hall).waiting, WAITING);
        release.send(()).unwrap();
        assert!(first.await.unwrap() && modest.await.unwrap());
        let mut served = 0;
        for one in greedy {
            served += usize::from(one.await.unwrap());
        }
        assert_eq!(served, WAITING - 1);
    }

    #[tokio::test]
    async fn whoever_goes_away_while_it_waits_takes_no_place_with_it() {
        let (readers, release, first) = taken().await;
        for _ in 0..3 {
            let gone = readers.run(MODEST, || ());
            assert!(tokio::time::timeout(Duration::from_millis(20), gone).await.is_err());
        }
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        assert_eq!(at_once(&readers, MODEST, 7).await, Some(7));
        let hall = lock(&readers.hall);
        assert_eq!((hall.free, hall.waiting, hall.queues.len(), hall.turns.len()), (1, 0, 0, 0));
    }

    #[tokio::test]
    async fn a_place_passes_those_who_left_and_comes_to_who_still_waits() {
        cov_mark::check!(reader_left_while_it_waited);
        let readers = Readers::new(1);
        let place = readers.place(GREEDY).await;
        let gone = tokio::time::timeout(Duration::ZERO, readers.place(MODEST)).await;
        assert!(gone.is_err());
        let patient = readers.clone();
        let waiting = tokio::spawn(async move { patient.place(GREEDY).await.is_some() });
        tokio::task::yield_now().await;
        assert_eq!(lock(&readers.hall).waiting, 2);
        drop(place);
        assert!(waiting.await.unwrap());
        let hall = lock(&readers.hall);
        assert_eq!((hall.free, hall.waiting), (1, 0));
    }
}
