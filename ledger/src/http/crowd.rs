//! Who is connected: so many at a time, and once all places are taken, whoever has most gives one up to
//! those who have fewer, and the oldest to who has none. A few addresses that take all there are keep nobody out, and
//! many that take one each keep out nobody who has a place ([`Places`]), and everybody else for a moment only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::limits::Source;
use super::places::{KEPT_OF_ONE, Places};

/// Places for connections.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    seats: Arc<Mutex<Seats>>,
    most: usize,
    /// Whose places are those of many, and are not given away.
    spared: Option<Source>,
    /// Whose first connections are not given away either.
    places: Places,
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
    /// Whether somebody else's connection was ended for it.
    pub(super) is_in_place_of_another: bool,
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

    /// Ends the oldest connection of the source that has most, if it has more than another one of somebody with `own`
    /// would make that one have; for who has none, or is kept, the oldest of all.
    fn make_room(&mut self, own: usize, is_kept: bool, stay: &dyn Fn(&Source) -> usize) -> bool {
        let others = self.of.iter().filter(|(source, seats)| seats.len() > stay(source));
        let first = |seats: &BTreeMap<u64, Arc<Notify>>| seats.keys().next().copied();
        // Of those who have most the oldest.
        let largest =
            others.max_by_key(|(_, seats)| (seats.len(), std::cmp::Reverse(first(seats))));
        let gives =
            |seats: &BTreeMap<u64, Arc<Notify>>| is_kept || own == 0 || seats.len() > own + 1;
        let Some((source, seats)) = largest.filter(|(_, seats)| gives(seats)) else {
            #[cfg(test)]
            cov_mark::hit!(nobody_has_more_connections);
            return false;
        };
        #[cfg(test)]
        cov_mark::hit!(oldest_connection_gives_way);
        let (source, oldest) = (*source, first(seats));
        let ended = oldest.and_then(|number| self.leave(source, number));
        ended.inspect(|ended| ended.notify_one()).is_some()
    }
}

impl Crowd {
    pub(super) fn new(most: usize, spared: Option<Source>, places: Places) -> Self {
        Self { seats: Arc::default(), most, spared, places }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        // The counts are whole at any time: what a panic left is as good.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection of a source that may have `most_of_one`; `None` when it has them,
    /// or has one and as many as anybody while all places are taken.
    pub(super) fn seat(&self, source: Source, most_of_one: usize) -> Option<Seat> {
        let (mut seats, now) = (self.lock(), Instant::now());
        let own = seats.of.get(&source).map_or(0, BTreeMap::len);
        if own >= most_of_one {
            return None;
        }
        let is_full = seats.taken >= self.most;
        if is_full {
            // How many connections of a source stay whoever comes: a proxy's are those of many.
            let stay = |one: &Source| match self.places.has(one, now) {
                _ if Some(*one) == self.spared => usize::MAX,
                true => KEPT_OF_ONE,
                false => 0,
            };
            if !seats.make_room(own, own < stay(&source), &stay) {
                return None;
            }
        }
        let (number, ended) = (seats.next, Arc::new(Notify::new()));
        seats.next += 1;
        seats.taken += 1;
        seats.of.entry(source).or_default().insert(number, Arc::clone(&ended));
        let crowd = self.clone();
        Some(Seat { crowd, source, number, ended, is_in_place_of_another: is_full })
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
        let crowd = Crowd::new(16, None, Places::none());
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
    async fn audit_a7_a_crowd_of_one_connection_each_ends_nobody_who_has_a_place() {
        let places = Places::of_connections(16);
        let crowd = Crowd::new(16, None, places.clone());
        let has_place = of(200);
        let account = protocol::transaction::Address([1; 20]);
        assert!(places.take(
            has_place,
            account,
            7,
            super::super::places::PLACE_TIME_MAX,
            Instant::now()
        ));
        let kept: Vec<Seat> = (0..3).map(|_| crowd.seat(has_place, 99).unwrap()).collect();
        let mut strangers: Vec<Seat> =
            (0..100).map(|one| crowd.seat(of(one), 99).unwrap()).collect();
        // Whoever comes with nothing is let in, in the place of the stranger that came first.
        assert_eq!(crowd.lock().taken, 16);
        for seat in &kept {
            assert!(!is_ended(seat).await);
        }
        for (number, seat) in strangers.iter().enumerate() {
            assert_eq!(is_ended(seat).await, number < 87, "{number}");
        }
        // Nobody gets a second one that way; who has a place gets those that are kept for it.
        assert!(crowd.seat(of(99), 99).is_none());
        let more: Vec<Option<Seat>> = (0..9).map(|_| crowd.seat(has_place, 99)).collect();
        assert_eq!(more.iter().flatten().count(), KEPT_OF_ONE - kept.len());
        // What it has beyond is anybody's.
        strangers.clear();
        let greedy: Vec<Seat> = (0..8).map(|_| crowd.seat(has_place, 99).unwrap()).collect();
        assert!(crowd.seat(of(1), 99).is_some());
        assert!(is_ended(&kept[0]).await);
        drop((more, greedy));
    }

    #[tokio::test]
    async fn a_proxy_s_connections_are_those_of_many_and_stay() {
        let crowd = Crowd::new(8, Some(of(9)), Places::none());
        let proxied: Vec<Seat> = (0..8).map(|_| crowd.seat(of(9), usize::MAX).unwrap()).collect();
        assert!(crowd.seat(of(1), 8).is_none());
        for seat in &proxied {
            assert!(!is_ended(seat).await);
        }
    }

    #[test]
    fn nobody_is_ended_while_there_are_places_and_one_address_has_few() {
        let crowd = Crowd::new(16, None, Places::none());
        let seats: Vec<Option<Seat>> = (0..9).map(|_| crowd.seat(of(1), 8)).collect();
        assert_eq!(seats.iter().flatten().count(), 8);
        assert!(crowd.seat(of(2), 8).is_some());
        drop(seats);
        assert!(crowd.seat(of(1), 8).is_some());
    }
}
