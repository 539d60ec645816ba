//! The log's way to standard error. Whoever reads that may stall, a full pipe or a journal that hangs, and nobody who answers,
//! judges or accepts is to wait for it: the registrar writes a line for each member that comes or goes, and while it waits no
//! lease ends.
//!
//! ```text
//!  any thread --> bounded queue --> one thread --> standard error
//! ```
//!
//! A queue that is full is waited for, 100 ms in all, so that a mass of expiries is logged to the last line where somebody reads. If
//! that does not help, lines are dropped and counted, and nobody waits any more until the queue has been emptied.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::clock;

/// Lines that wait to be written: some 150 octets each, so a megabyte; twice what one look for due leases can say.
const LINES_MAX: usize = 8192;
/// How long threads wait for room in all, until the queue has been empty again. A reader that is there makes room for hundreds
/// of lines in that.
const PATIENCE_MS: u64 = 100;
/// How long the end of the program waits for its last lines to be taken.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The process's log, once it has one.
static LOG: OnceLock<Lines> = OnceLock::new();

/// Logs to standard error from now on.
pub fn log_to_stderr(verbose: bool) -> io::Result<()> {
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let (lines, entries) = Lines::new(LINES_MAX);
    let ours = LOG.get_or_init(|| lines);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write(&entries, &ours.lost, &mut io::stderr(), told))?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || ours)
        .init();
    Ok(())
}

/// Waits until what was logged is written, but not for long.
pub fn flush_log() {
    if let Some(lines) = LOG.get() {
        lines.flush_within(LAST_WORDS);
    }
}

/// Lines of the log that were dropped.
pub fn lines_lost() -> u64 {
    LOG.get().map_or(0, |lines| lines.lost.all.load(Ordering::Relaxed))
}

enum Entry {
    Line(Box<[u8]>),
    /// Everything before this is written: say so.
    Flush(Sender<()>),
}

/// The line that says so, as the log's own are: it does not go through the queue, which may be full again.
fn told(lines: u64) -> String {
    let mut time = String::new();
    // Without the time it is told all the same.
    _ = SystemTime.format_time(&mut format::Writer::new(&mut time));
    format!("{time}  WARN lines of the log were lost: nobody took them from standard error lines={lines}\n")
}

struct Lost {
    all: AtomicU64,
    /// Those that the log does not tell of yet.
    untold: AtomicU64,
    /// How long a full queue may still be waited for, milliseconds: nothing, once it has been full for that long and not been
    /// empty since.
    patience_ms: AtomicU64,
}

impl Default for Lost {
    fn default() -> Self {
        Lost { all: AtomicU64::new(0), untold: AtomicU64::new(0), patience_ms: AtomicU64::new(PATIENCE_MS) }
    }
}

impl Lost {
    /// Whether a line is put into the queue. Of several that wait at a time each may use up what is left.
    fn put(&self, queue: &Sender<Entry>, line: Entry) -> bool {
        let line = match queue.try_send(line) {
            Ok(()) => return true,
            Err(refused) => refused.into_inner(),
        };
        let left_ms = self.patience_ms.load(Ordering::Relaxed);
        if left_ms == 0 {
            return false;
        }
        let before_ms = clock::now_ms();
        let is_queued = queue.send_timeout(line, Duration::from_millis(left_ms)).is_ok();
        let took_ms = if is_queued { clock::now_ms().saturating_sub(before_ms) } else { left_ms };
        self.patience_ms.store(left_ms.saturating_sub(took_ms), Ordering::Relaxed);
        is_queued
    }

    /// Those that are lost and not told of yet are told of now.
    fn tell(&self, out: &mut impl Write, told: impl Fn(u64) -> String) {
        let untold = self.untold.swap(0, Ordering::Relaxed);
        if untold > 0 {
            _ = out.write_all(told(untold).as_bytes());
        }
    }
}

/// The way into the queue.
struct Lines {
    queue: Sender<Entry>,
    lost: Arc<Lost>,
}

impl Lines {
    fn new(most: usize) -> (Self, Receiver<Entry>) {
        let (queue, entries) = bounded(most);
        (Lines { queue, lost: Arc::default() }, entries)
    }

    fn put(&self, line: &[u8]) {
        if !self.lost.put(&self.queue, Entry::Line(line.into())) {
            self.lost.all.fetch_add(1, Ordering::Relaxed);
            self.lost.untold.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush_within(&self, wait: Duration) {
        let (done, is_done) = bounded(1);
        if self.queue.send_timeout(Entry::Flush(done), wait).is_ok() {
            // Whoever does not take them in this time does not get them.
            _ = is_done.recv_timeout(wait);
        }
    }
}

/// A line is one call: the formatter hands it over whole.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what comes, in order, until nobody can log any more; tells how many lines were lost as soon as all others are written.
fn write(entries: &Receiver<Entry>, lost: &Lost, out: &mut impl Write, told: impl Fn(u64) -> String) {
    while let Ok(entry) = entries.recv() {
        match entry {
            // Nobody is left to tell if it cannot be written.
            Entry::Line(line) => _ = out.write_all(&line),
            Entry::Flush(done) => {
                lost.tell(out, &told);
                // Nobody waits for it any more if that has taken too long.
                _ = done.try_send(());
            }
        }
        if entries.is_empty() {
            lost.patience_ms.store(PATIENCE_MS, Ordering::Relaxed);
            lost.tell(out, &told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many lines when it is told to, and keeps them.
    struct Reader {
        takes: Receiver<()>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Told no more, it takes everything.
            _ = self.takes.recv();
            _ = self.taken.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_logs_waits_once_for_a_reader_that_stalls_and_every_lost_line_is_told_of() {
        let (lines, entries) = Lines::new(8);
        let lost = Arc::clone(&lines.lost);
        let (take, takes) = bounded(64);
        let (taken, written) = bounded(1_000);
        let (told, losses) = bounded(8);
        let writer = thread::spawn(move || {
            let mut reader = Reader { takes, taken };
            write(&entries, &lost, &mut reader, |count| {
                told.send(count).unwrap();
                String::new()
            });
        });
        let log = |n: u32| (&lines).write_all(format!("{n}\n").as_bytes()).unwrap();
        let before_ms = clock::now_ms();
        (0..500).for_each(log);
        let took_ms = clock::now_ms() - before_ms;
        assert!((PATIENCE_MS..20 * PATIENCE_MS).contains(&took_ms), "{took_ms} ms for 500 lines");
        // Eight wait, and the one that is being written.
        let all = lines.lost.all.load(Ordering::Relaxed);
        assert!((491..=492).contains(&all), "{all}");

        drop(take);
        assert_eq!(losses.recv().unwrap(), all, "told once the others are written");
        let kept: Vec<Vec<u8>> = written.try_iter().collect();
        let first: Vec<Vec<u8>> = (0..500 - all).map(|n| format!("{n}\n").into_bytes()).collect();
        assert_eq!(kept, first, "in order, none of them in part");

        (500..600).for_each(log);
        lines.flush_within(Duration::from_secs(10));
        assert_eq!(written.try_iter().count(), 100, "with a reader there, a full queue is waited for");
        assert_eq!(lines.lost.all.load(Ordering::Relaxed), all);
        drop(lines);
        writer.join().unwrap();
        assert!(losses.try_recv().is_err());
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_stalls() {
        let (lines, entries) = Lines::new(8);
        (&lines).write_all(b"line\n").unwrap();
        let before_ms = clock::now_ms();
        lines.flush_within(Duration::from_millis(20));
        assert!(clock::now_ms() - before_ms < 5_000);
        assert_eq!(entries.len(), 2, "the line, and who waits for it");
    }
}
