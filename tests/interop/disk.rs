//! Disk trouble: full, read-only, failing, and a store that something else has damaged. Answers and leases go on, nobody is told
//! what is not so, and when the disk is back so is everything, with nobody's help.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::clients::{or_say, text};
use super::server::{RENEWALS, Server, Site, rollcall, wait};
use super::strace::{self, Failing};

const PATIENCE: Duration = Duration::from_secs(20);

/// A small disk of a server's own, mounted at its state directory, in a mount namespace that is held by a process: nothing is
/// left mounted by a test that is stopped half-way.
struct Disk {
    holder: Child,
    is_root: bool,
    site: PathBuf,
}

impl Disk {
    /// Mounts one of so many KiB. `None`, said loudly, where that is not allowed.
    fn new(site: &Path, kib: u32) -> Option<Disk> {
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut unshare = Command::new("unshare");
        if !is_root {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.args(["--mount", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = unshare.spawn().expect("unshare is missing: apt-get install -y util-linux");
        // What is written comes back once the namespace is there; nothing does if it was not allowed.
        _ = holder.stdin.as_mut().unwrap().write_all(b"!");
        let is_there = holder.stdout.as_mut().unwrap().read(&mut [0]).is_ok_and(|length| length == 1);
        fs::create_dir(site.join("state")).unwrap();
        let disk = Disk { holder, is_root, site: site.to_owned() };
        let lacking =
            "mount namespaces are not allowed: run this as root with CAP_SYS_ADMIN, or with user namespaces";
        let size = format!("size={kib}k");
        let is_mounted =
            is_there && disk.run(&["mount", "-t", "tmpfs", "-o", &size, "none", "state"]).status.success();
        or_say(is_mounted, lacking).then_some(disk)
    }

    /// What runs a command inside, in the site's directory, without a process of its own.
    fn before(&self) -> Vec<String> {
        let (target, dir) = (self.holder.id().to_string(), format!("--chdir={}", self.site.display()));
        let users: &[&str] = if self.is_root { &[] } else { &["--user", "--preserve-credentials"] };
        let words = [&["nsenter", "--target", &target, "--mount"], users, &["--", "env", &dir]].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    fn run(&self, command: &[&str]) -> Output {
        let before = self.before();
        Command::new(&before[0]).args(&before[1..]).args(command).output().unwrap()
    }

    /// Mounts it again with this option. Not while a file is open for writing there, so this waits for that.
    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        until("it can be mounted again", || self.run(&["mount", "-o", &options, "state"]).status.success());
    }

    /// Fills it to the last octet.
    fn fill(&self) {
        let filled = self.run(&["sh", "-c", "cat /dev/zero >state/filler"]);
        assert!(text(filled.stderr).contains("No space left"));
    }

    fn free(&self) {
        assert!(self.run(&["rm", "state/filler"]).status.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        _ = self.holder.kill();
        _ = self.holder.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn join(n: u32) -> String {
    format!("update add m{n}.web.pool.example. 30 A 10.0.0.{n}")
}

fn addresses(members: &[u32]) -> Vec<String> {
    let mut addresses: Vec<_> = members.iter().map(|n| format!("10.0.0.{n}")).collect();
    addresses.sort();
    addresses
}

/// Servers join until one is refused for the disk's sake. Who has joined, the number of the one refused after them.
fn join_until_refused(server: &Server, from: u32) -> (Vec<u32>, u32) {
    let mut joined = Vec::new();
    for n in from..200 {
        match server.try_update(&[], &join(n)) {
            Ok(()) => joined.push(n),
            Err(said) => {
                assert!(said.contains("SERVFAIL"), "{said}");
                return (joined, n);
            }
        }
    }
    panic!("the disk takes everything");
}

/// While the disk fails: everybody who has joined is answered and renews, nobody else joins, and the counters say so.
fn goes_on_without_the_disk(server: &Server, joined: &[u32], refused: u32) {
    assert_eq!(server.web(), addresses(joined));
    for n in joined {
        server.update(&[], &join(*n));
    }
    assert!(server.try_update(&[], &join(refused)).unwrap_err().contains("SERVFAIL"));
    server.counts(&[("/store/failing", 1)]);
}

/// The disk is back: within the time after which the store is tried again, it works by itself.
fn joins_again(server: &Server, n: u32) {
    let from = server.log.len();
    until("the store works again", || server.try_update(&[], &join(n)).is_ok());
    let line = server.log.wait_from(from.saturating_sub(1), &["the store can be written again"]);
    assert!(line.contains("failed_s=") && line.contains("refused="), "{line}");
    server.counts(&[("/store/failing", 0), ("/store/unsaved", 0)]);
}

#[test]
fn a_full_disk_refuses_joins_and_loses_nobody() {
    let site = Site::new("");
    let Some(disk) = Disk::new(site.path(), 1024) else { return };
    let Some(server) = site.started_by(disk.before()).serve() else { return };
    server.update(&[], &join(1));
    disk.fill();
    let (mut joined, refused) = join_until_refused(&server, 2);
    joined.insert(0, 1);
    let reason = ["the store cannot be written", "state/rollcall.redb", "No space left", "has room"];
    server.log.wait(&reason);
    goes_on_without_the_disk(&server, &joined, refused);
    disk.free();
    joins_again(&server, refused);
    joined.push(refused);
    // A crash finds what was acknowledged, and nothing else.
    let server = server.crash();
    assert_eq!(server.web(), addresses(&joined));
    server.log.wait(&["members from the last run", &format!("restored={}", joined.len()), "grace_over=0"]);
}

#[test]
fn a_disk_that_is_read_only_for_a_while_refuses_joins_and_loses_nobody() {
    let site = Site::new("");
    let Some(disk) = Disk::new(site.path(), 1024) else { return };
    let Some(server) = site.started_by(disk.before()).serve() else { return };
    disk.fill();
    let (joined, refused) = join_until_refused(&server, 1);
    // Nothing is mounted read-only under a file that is open for writing. After a failure the server has closed it.
    disk.remount("ro");
    let from = server.log.len();
    until("it is tried again", || {
        assert!(server.try_update(&[], &join(refused)).is_err());
        !server
            .log
            .lines_from(from, &["the store cannot be written", "Read-only file system", "may read and write"])
            .is_empty()
    });
    goes_on_without_the_disk(&server, &joined, refused);
    disk.remount("rw");
    disk.free();
    joins_again(&server, refused);
    let server = server.crash();
    assert_eq!(server.web(), addresses(&[joined, vec![refused]].concat()));
}

/// Calls of the server fail while it runs, and work again.
fn fails_and_works_again(calls: &str, errno: &str, says: &str) {
    if !strace::is_here() {
        return;
    }
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], &join(1));
    let failing = Failing::new(&server, calls, errno);
    assert!(server.try_update(&[], &join(2)).unwrap_err().contains("SERVFAIL"));
    server.log.wait(&["the store cannot be written", "state/rollcall.redb", says]);
    goes_on_without_the_disk(&server, &[1], 2);
    // Who leaves hears that it could not, and stays.
    let leave = "update delete m1.web.pool.example.";
    assert!(server.try_update(&[], leave).unwrap_err().contains("SERVFAIL"));
    assert_eq!(server.web(), ["10.0.0.1"]);
    // The disk was not asked for that, as long as it does not take what it failed at: it is right about m1.
    server.update(&[], &join(1));
    drop(failing);
    joins_again(&server, 2);
    server.update(&[], &join(1));
    let server = server.crash();
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"], "{calls} {errno}");
}

#[test]
fn a_sync_that_fails_is_no_commit() {
    fails_and_works_again("fdatasync", "EIO", "Input/output error");
}

#[test]
fn a_write_that_fails_is_no_commit() {
    fails_and_works_again("pwrite64", "EIO", "Input/output error");
}

#[test]
fn a_disk_that_becomes_read_only_under_the_open_file_is_no_commit() {
    fails_and_works_again("pwrite64", "EROFS", "Read-only file system");
}

#[test]
fn after_a_crash_on_a_failing_disk_the_first_heartbeats_keep_their_members_and_are_acknowledged_later() {
    if !strace::is_here() {
        return;
    }
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], &join(1));
    let server = server.crash();
    let failing = Failing::new(&server, "fdatasync", "EIO");
    for _ in 0..2 {
        assert!(server.try_update(&[], &join(1)).unwrap_err().contains("SERVFAIL"));
        assert_eq!(server.web(), ["10.0.0.1"]);
    }
    server.counts(&[("/store/unsaved", 1), (RENEWALS, 2)]);
    drop(failing);
    until("its heartbeat is acknowledged", || server.try_update(&[], &join(1)).is_ok());
    server.counts(&[("/store/unsaved", 0), ("/store/failing", 0)]);
}

/// Somebody does something to the store's file while it is in use, and takes it back.
fn refuses_until_it_is_put_back(harm: impl FnOnce(&Path), says: &[&str], mend: impl FnOnce(&Path)) {
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], &join(1));
    let file = server.path().join("state/rollcall.redb");
    harm(&file);
    assert!(server.try_update(&[], &join(2)).unwrap_err().contains("SERVFAIL"));
    server.log.wait(&[&["the store cannot be written", "state/rollcall.redb: "], says].concat());
    goes_on_without_the_disk(&server, &[1], 2);
    mend(&file);
    joins_again(&server, 2);
    let server = server.crash();
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn nothing_is_acknowledged_into_a_file_that_was_removed() {
    refuses_until_it_is_put_back(
        |file| fs::rename(file, file.with_extension("aside")).unwrap(),
        &["removed or replaced while rollcall was using it; put it back"],
        |file| fs::rename(file.with_extension("aside"), file).unwrap(),
    );
}

#[test]
fn nothing_is_acknowledged_into_a_file_that_was_replaced() {
    let aside = |file: &Path| file.with_extension("aside");
    refuses_until_it_is_put_back(
        |file| {
            fs::rename(file, aside(file)).unwrap();
            fs::copy(aside(file), file).unwrap();
        },
        &["removed or replaced while rollcall was using it; put it back"],
        |file| fs::rename(aside(file), file).unwrap(),
    );
}

#[test]
fn nothing_is_acknowledged_into_a_file_that_was_cut_short() {
    let whole = std::cell::RefCell::new(Vec::new());
    refuses_until_it_is_put_back(
        |file| {
            *whole.borrow_mut() = fs::read(file).unwrap();
            fs::File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_len(whole.borrow().len() as u64 / 2)
                .unwrap();
        },
        &["damaged: cut from ", " octets while rollcall was using it; put a backup in its place"],
        // The same file, as it was.
        |file| fs::File::options().write(true).open(file).unwrap().write_all(&whole.borrow()).unwrap(),
    );
}

/// Runs `rollcall serve` that does not come to serve. What it says.
fn does_not_start(before: &[String], site: &Path) -> String {
    let mut command = match before {
        [] => rollcall(site),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(env!("CARGO_BIN_EXE_rollcall"));
            command
        }
    };
    command.args(["serve", "--config", "rollcall.toml", "--listen", "127.0.0.2:0", "--state", "state"]);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait(&mut child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

/// A member whose records are easily found in the file.
const MARKED: &str = "update add m1.web.pool.example. 30 A 10.0.0.1
                      update add m1.web.pool.example. 30 TXT site=flipped-by-a-cosmic-ray";

#[test]
fn a_damaged_store_is_named_at_a_start_and_left_as_it_was() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [(Harm, &str); 4] = [
        (|octets| octets.truncate(octets.len() / 2), "damaged: "),
        (|octets| octets.truncate(100), "damaged: "),
        (|octets| octets.clear(), "not a rollcall store "),
        (
            |octets| {
                let mark = b"cosmic-ray";
                let places: Vec<_> = (0..octets.len()).filter(|&at| octets[at..].starts_with(mark)).collect();
                assert!(!places.is_empty());
                places.into_iter().for_each(|at| octets[at] ^= 4);
            },
            "damaged: ",
        ),
    ];
    for (harm, says) in harms {
        let site = Site::new("");
        let path = site.path().to_owned();
        let Some(mut server) = site.serve() else { return };
        server.update(&[], MARKED);
        server.signal("TERM");
        assert_eq!(server.ended().code(), Some(0));
        let file = path.join("state/rollcall.redb");
        let mut octets = fs::read(&file).unwrap();
        harm(&mut octets);
        fs::write(&file, &octets).unwrap();
        for _ in 0..2 {
            let said = does_not_start(&[], &path);
            assert!(said.contains(&format!("state/rollcall.redb: {says}")), "{said}");
            assert!(said.contains("move it away") || said.contains("move the file away"), "{said}");
        }
        assert!(fs::read(&file).unwrap() == octets, "{says}: it is as it was");
    }
}

#[test]
fn a_bit_that_flips_under_a_running_server_is_found_by_the_next_start() {
    let Some(mut server) = Site::new("").serve() else { return };
    server.update(&[], MARKED);
    let file = server.path().join("state/rollcall.redb");
    let mut octets = fs::read(&file).unwrap();
    let mark = b"cosmic-ray";
    let places: Vec<_> = (0..octets.len()).filter(|&at| octets[at..].starts_with(mark)).collect();
    places.iter().for_each(|&at| octets[at] ^= 4);
    fs::File::options().write(true).open(&file).unwrap().write_all(&octets).unwrap();
    // The server has read it before: nothing is amiss.
    server.update(&[], MARKED);
    assert_eq!(server.web(), ["10.0.0.1"]);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    let said = does_not_start(&[], server.path());
    assert!(said.contains("state/rollcall.redb: damaged: "), "{said}");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named_at_a_start() {
    let site = Site::new("");
    let Some(disk) = Disk::new(site.path(), 1024) else { return };
    disk.remount("ro");
    let said = does_not_start(&disk.before(), site.path());
    assert!(said.contains("state/rollcall.new: Read-only file system"), "{said}");
    assert!(said.contains("check that this user may read and write there"), "{said}");
    disk.remount("rw");
    disk.fill();
    let said = does_not_start(&disk.before(), site.path());
    assert!(said.contains("No space left on device") && said.contains("that the disk has room"), "{said}");
    disk.free();
    // A start that failed left nothing that is in the way of the next.
    let Some(mut server) = site.started_by(disk.before()).serve() else { return };
    server.update(&[], &join(1));
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    // A store that is there, on a disk that is read-only by now.
    disk.remount("ro");
    let said = does_not_start(&disk.before(), server.path());
    assert!(said.contains("state/rollcall.redb: Read-only file system"), "{said}");
    disk.remount("rw");
    let server = server.again();
    assert_eq!(server.web(), ["10.0.0.1"]);
}
