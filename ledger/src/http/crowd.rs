//! Who is connected: so many at a time, and once all places are taken, whoever has most gives one up to
//! those who have fewer. A few addresses that take all there are keep nobody out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::limits::Source;

/// Places for connections.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    seats: Arc<Mutex<Seats>>,
    most: usize,
    /// Whose places are those of many, and are not given away.
    spared: Option<Source>,
}

#[derive(Debug, Default)]
struct Seats {
    taken: usize,
    next: u64,
    /// Of each source its connections, the oldest first, and how each is told to end.
    of: HashMap<Source, BTreeMap<u64, Arc<Notify>>>,
}

/// A connection's place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Crowd,
    source: Source,
    number: u64,
    /// Told when the place is given to somebody else: the connection ends then.
    pub(super) ended: Arc<Notify>,
}

impl Seats {
    fn leave(&mut self, source: Source, number: u64) -> Option<Arc<Notify>> {
        let own = self.of.get_mut(&source)?;
        let ended = own.remove(&number)?;
        if own.is_empty() {
            self.of.remove(&source);
        }
        self.taken = self.taken.saturating_sub(1);
        Some(ended)
    }

    /// Ends the oldest connection of the source that has most, if it has more than another one of
    /// somebody with `own` would make that one have.
    fn make_room(&mut self, own: usize, spared: Option<Source>) -> bool {
        let others = self.of.iter().filter(|(source, _)| Some(**source) != spared);
        let largest = others.max_by_key(|(_, seats)| seats.len());
        let Some((source, seats)) = largest.filter(|(_, seats)| seats.len() > own + 1) else {
            #[cfg(test)]
            cov_mark::hit!(nobody_has_more_connections);
            return false;
        };
        #[cfg(test)]
        cov_mark::hit!(oldest_connection_gives_way);
        let (source, oldest) = (*source, seats.keys().next().copied());
        let ended = oldest.and_then(|number| self.leave(source, number));
        ended.inspect(|ended| ended.notify_one()).is_some()
    }
}

impl Crowd {
    pub(super) fn new(most: usize, spared: Option<Source>) -> Self {
        Self { seats: Arc::default(), most, spared }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        // The counts are whole at any time: what a panic left is as good.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection of a source that may have `most_of_one`; `None` when it has them,
    /// or has as many as anybody while all places are taken.
    pub(super) fn seat(&self, source: Source, most_of_one: usize) -> Option<Seat> {
        let mut seats = self.lock();
        let own = seats.of.get(&source).map_or(0, BTreeMap::len);
        if own >= most_of_one || (seats.taken >= self.most && !seats.make_room(own, self.spared)) {
            return None;
        }
        let (number, ended) = (seats.next, Arc::new(Notify::new()));
        seats.next += 1;
        seats.taken += 1;
        seats.of.entry(source).or_default().insert(number, Arc::clone(&ended));
        Some(Seat { crowd: self.clone(), source, number, ended })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Whose place was given away has left already.
        self.crowd.lock().leave(self.source, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u8) -> Source {
        Source::V4([number; 4])
    }

    async fn is_ended(seat: &Seat) -> bool {
        let told = seat.ended.notified();
        tokio::time::timeout(std::time::Duration::ZERO, told).await.is_ok()
    }

    #[tokio::test]
    async fn audit_a7_who_has_most_connections_gives_its_oldest_to_who_has_fewer() {
        cov_mark::check!(oldest_connection_gives_way);
        cov_mark::check!(nobody_has_more_connections);
        let crowd = Crowd::new(16, None);
        let greedy: Vec<Vec<Seat>> =
            [1, 2].map(|one| (0..8).map(|_| crowd.seat(of(one), 8).unwrap()).collect()).into();
        // All places are taken; nobody has more than its own.
        assert!(crowd.seat(of(1), 8).is_none());
        assert!(crowd.seat(of(1), 100).is_none());
        let honest: Vec<Seat> = (0..4).map(|_| crowd.seat(of(3), 8).unwrap()).collect();
        let mut ended = Vec::new();
        for seats in &greedy {
            for (place, seat) in seats.iter().enumerate() {
                if is_ended(seat).await {
                    ended.push(place);
                }
            }
        }
        assert_eq!(ended, [0, 1, 0, 1]);
        for seat in &honest {
            assert!(!is_ended(seat).await);
        }
        // It ends where all have as many.
        let more: Vec<Option<Seat>> = (0..8).map(|_| crowd.seat(of(3), 100)).collect();
        assert_eq!(more.iter().flatten().count(), 1);
        assert_eq!(crowd.lock().taken, 16);
        drop((greedy, honest, more));
        let seats = crowd.lock();
        assert_eq!((seats.taken, seats.of.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_proxy_s_connections_are_those_of_many_and_stay() {
        let crowd = Crowd::new(8, Some(of(9)));
        let proxied: Vec<Seat> = (0..8).map(|_| crowd.seat(of(9), usize::MAX).unwrap()).collect();
        assert!(crowd.seat(of(1), 8).is_none());
        for seat in &proxied {
            assert!(!is_ended(seat).await);
        }
    }

    #[test]
    fn nobody_is_ended_while_there_are_places_and_one_address_has_few() {
        let crowd = Crowd::new(16, None);
        let seats: Vec<Option<Seat>> = (0..9).map(|_| crowd.seat(of(1), 8)).collect();
        assert_eq!(seats.iter().flatten().count(), 8);
        assert!(crowd.seat(of(2), 8).is_some());
        drop(seats);
        assert!(crowd.seat(of(1), 8).is_some());
    }
}
