//! Who has a connection: so many in all, so many for each client, and room for whoever comes next.
//!
//! When every place is taken, the connection that has rested longest makes room. It has nothing outstanding, so its client
//! loses nothing but the connection; turning newcomers away instead would let whoever came first, and then says nothing, keep
//! everybody else out. A newcomer is refused only if no connection rests, or if its own client has enough of them.
//!
//! Places get scarce before they run out: from half of them on, connections may rest the shorter the fewer are left, and
//! clients that ask are told so (RFC 7828).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::super::clock;
use super::super::limiter::host;

/// A connection may rest so long, or as long as is configured if that is less, however scarce places are: long enough for a
/// client that has its next question at hand.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// The unit of RFC 7828 section 3.1.
const TOLD_UNIT_MS: u128 = 100;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The client has as many as one may have.
    Client,
    /// All are taken, and each has a request open.
    All,
}

/// How long a connection may rest from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Until it is closed.
    pub wait: Duration,
    /// What a client that asks is told, in units of 100 ms: never more than `wait`. 0 asks it to close (RFC 7828 section
    /// 3.3.2).
    pub told: u16,
}

/// The places of all listeners.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    all: u32,
    each: usize,
    idle: Duration,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Connections of each client that has any: never more entries than connections.
    clients: HashMap<IpAddr, usize>,
    /// By the order in which they came.
    places: BTreeMap<u64, Arc<Place>>,
    came: u64,
}

impl Places {
    /// `all` places, which are the permits of `free`, `each` of them for one client, and the time that one may rest in.
    pub fn new(free: Arc<Semaphore>, all: u32, each: usize, idle: Duration) -> Arc<Self> {
        Arc::new(Places { free, all, each, idle, table: Mutex::default() })
    }

    /// A place for a connection of this client. Waits at most for the connection that makes room, which has nothing to do
    /// but that.
    pub async fn take(self: &Arc<Self>, client: IpAddr) -> Result<Held, Full> {
        let entry = self.enter(host(client)).ok_or(Full::Client)?;
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if !self.make_room() => return Err(Full::All),
            // Never closed.
            Err(_) => Arc::clone(&self.free).acquire_owned().await.map_err(|_| Full::All)?,
        };
        let place = Arc::new(Place { since_ms: AtomicU64::new(clock::now_ms()), given_up: Notify::new() });
        let mut table = self.table();
        table.came += 1;
        let number = table.came;
        table.places.insert(number, Arc::clone(&place));
        drop(table);
        Ok(Held { place, number, entry, _permit: permit })
    }

    /// Tells the connection that has rested longest to end. `false` if none rests.
    pub fn make_room(&self) -> bool {
        let table = self.table();
        loop {
            let resting = table.places.values().filter_map(|place| Some((place.since_ms()?, place)));
            let Some((since_ms, place)) = resting.min_by_key(|(since_ms, _)| *since_ms) else { return false };
            // It may have woken up meanwhile; then the next one.
            if place.give_up(since_ms) {
                return true;
            }
        }
    }

    /// As [`Places::make_room`], unless one is about to end already: with it goes its descriptor, and one is enough.
    pub fn free_descriptor(&self) -> bool {
        let ends = |place: &Arc<Place>| place.since_ms.load(Ordering::Relaxed) == GIVEN_UP;
        let about_to = self.table().places.values().any(ends);
        about_to || self.make_room()
    }

    /// How long a connection may rest now.
    pub fn idle(&self) -> Idle {
        let all = self.all.max(1);
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        let scarce = self.idle.saturating_mul(free.saturating_mul(2).min(all)) / all;
        Idle {
            wait: scarce.max(IDLE_MIN).min(self.idle),
            told: u16::try_from(scarce.as_millis() / TOLD_UNIT_MS).unwrap_or(u16::MAX),
        }
    }

    fn enter(self: &Arc<Self>, client: IpAddr) -> Option<Entry> {
        let mut table = self.table();
        let count = table.clients.get(&client).copied().unwrap_or_default();
        if count >= self.each {
            return None;
        }
        table.clients.insert(client, count + 1);
        drop(table);
        Some(Entry { places: Arc::clone(self), client })
    }

    /// Every change of the table is whole before anything can fail, so a thread that panicked has left it in order.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's connection, counted.
#[derive(Debug)]
struct Entry {
    places: Arc<Places>,
    client: IpAddr,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut table = self.places.table();
        match table.clients.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = table.clients.remove(&self.client),
        }
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Held {
    place: Arc<Place>,
    number: u64,
    entry: Entry,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    /// The connection has something to do. `false` if it has made room already: then it has to end.
    pub fn wake(&self) -> bool {
        let awake = |since_ms: u64| (since_ms != GIVEN_UP).then_some(BUSY);
        self.place.since_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, awake).is_ok()
    }

    /// The connection has nothing to do, since now unless it had nothing before.
    pub fn rest(&self) {
        let (busy, now_ms) = (BUSY, clock::now_ms());
        // If it fails it rests already, or has made room.
        _ = self.place.since_ms.compare_exchange(busy, now_ms, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Waits until it has to make room, which it has to only while it rests.
    pub async fn given_up(&self) {
        self.place.given_up.notified().await;
    }

    /// As [`Places::idle`].
    pub fn idle(&self) -> Idle {
        self.entry.places.idle()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.entry.places.table().places.remove(&self.number);
    }
}

/// It has something to do. The clock never says 0.
const BUSY: u64 = 0;
/// It makes room. Nor this.
const GIVEN_UP: u64 = u64::MAX;

#[derive(Debug)]
struct Place {
    /// Since when it rests, on the monotonic clock, or one of the two above.
    since_ms: AtomicU64,
    given_up: Notify,
}

impl Place {
    /// Since when it rests; `None` if it does not.
    fn since_ms(&self) -> Option<u64> {
        Some(self.since_ms.load(Ordering::Relaxed)).filter(|since_ms| ![BUSY, GIVEN_UP].contains(since_ms))
    }

    /// Makes it give its place up, if it has rested since then.
    fn give_up(&self, since_ms: u64) -> bool {
        let given_up =
            self.since_ms.compare_exchange(since_ms, GIVEN_UP, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if given_up {
            self.given_up.notify_one();
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all: u32, each: usize) -> Arc<Places> {
        Places::new(Arc::new(Semaphore::new(all as usize)), all, each, Duration::from_secs(10))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Polls once: `None` if it would wait.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(ready) => Some(ready),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_client_has_so_many_and_with_ipv6_it_is_a_network() {
        for (client, same, other) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ] {
            let places = places(8, 2);
            let take = |client: &str| now(places.take(ip(client))).unwrap();
            let held = [take(client), take(same)].map(Result::unwrap);
            assert_eq!(take(same).err(), Some(Full::Client), "{same}");
            take(other).unwrap();
            drop(held);
            take(same).unwrap();
            assert!(places.table().clients.is_empty() && places.table().places.is_empty());
        }
    }

    #[test]
    fn who_has_rested_longest_makes_room_and_who_is_busy_does_not() {
        let places = places(3, 3);
        let client = ip("192.0.2.1");
        let held: Vec<_> = (0..3).map(|_| now(places.take(client)).unwrap().unwrap()).collect();
        // As if they had come one after the other.
        for (held, since_ms) in held.iter().zip([BUSY, 7, 5]) {
            held.place.since_ms.store(since_ms, Ordering::Relaxed);
        }
        let newcomer = ip("192.0.2.2");
        let mut waiting = Box::pin(places.take(newcomer));
        assert!(now(&mut waiting).is_none(), "the other is not gone yet");
        assert!(now(held[2].given_up()).is_some() && !held[2].wake());
        held[2].rest();
        assert!(!held[2].wake(), "once given up it stays given up");
        let [busy, resting, given_up] = <[Held; 3]>::try_from(held).unwrap();
        drop(given_up);
        let came = now(waiting).unwrap().unwrap();
        assert!(now(busy.given_up()).is_none() && now(resting.given_up()).is_none());
        assert!(came.wake() && resting.wake());
        assert_eq!(now(places.take(newcomer)).unwrap().err(), Some(Full::All));
        came.rest();
        assert!(places.make_room() && !places.make_room());
    }

    #[test]
    fn one_descriptor_is_freed_at_a_time() {
        let places = places(3, 3);
        let held: Vec<_> = (0..2).map(|_| now(places.take(ip("192.0.2.1"))).unwrap().unwrap()).collect();
        assert!(places.free_descriptor() && places.free_descriptor());
        let (ending, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|held| !held.wake());
        assert_eq!((ending.len(), others.len()), (1, 1));
        drop(ending);
        assert!(!places.free_descriptor(), "the other is busy");
        others[0].rest();
        assert!(places.free_descriptor() && !others[0].wake());
    }

    #[test]
    fn a_newcomer_that_gives_up_waiting_leaves_nothing_behind() {
        let places = places(1, 2);
        let held = now(places.take(ip("192.0.2.1"))).unwrap().unwrap();
        let mut waiting = Box::pin(places.take(ip("192.0.2.2")));
        assert!(now(&mut waiting).is_none());
        drop((waiting, held));
        assert!(places.table().clients.is_empty() && places.table().places.is_empty());
        now(places.take(ip("192.0.2.3"))).unwrap().unwrap();
    }

    #[test]
    fn from_half_of_the_places_on_connections_rest_the_shorter_the_fewer_are_left() {
        let places = places(8, 8);
        let mut held = Vec::new();
        let mut seen = Vec::new();
        loop {
            let Idle { wait, told } = places.idle();
            seen.push((wait.as_millis(), told));
            if held.len() == 8 {
                break;
            }
            held.push(now(places.take(ip("192.0.2.1"))).unwrap().unwrap());
        }
        let full = [(10_000, 100); 5];
        assert_eq!(seen, [&full[..], &[(7_500, 75), (5_000, 50), (2_500, 25), (1_000, 0)]].concat());
    }

    #[test]
    fn what_is_told_is_never_more_than_is_meant() {
        for (idle_ms, told) in [(100, 1), (199, 1), (6_553_599, 65_535), (10_000_000, 65_535)] {
            let free = Arc::new(Semaphore::new(2));
            let places = Places::new(free, 2, 2, Duration::from_millis(idle_ms));
            assert_eq!(places.idle(), Idle { wait: Duration::from_millis(idle_ms), told });
        }
    }
}
