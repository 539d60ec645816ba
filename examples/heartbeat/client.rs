//! The fleet's socket: what is on the way, and what became of it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rollcall::wire::{HEADER_LEN, Header, Rcode};

use super::Result;

/// After this a heartbeat is lost. A server that is merely slow answers long before.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// How often heartbeats without a reply are looked for while none arrives.
const RECEIVE_TIMEOUT: Duration = Duration::from_millis(100);
/// How often what is due is sent, at the most: in small bursts, as from many sources.
const BURST_EVERY: Duration = Duration::from_micros(500);

/// For how long before its lease is over a member is asked for.
const WATCH_BEFORE: Duration = Duration::from_millis(5);
/// Messages on the way, at most: there are 65,536 ids.
const OPEN_MAX: usize = 60_000;

/// What became of a run's messages.
#[derive(Default)]
pub struct Tally {
    pub accepted: u64,
    pub refused: u64,
    pub lost: u64,
    /// From sending to reply, all accepted together; in an attack, all refused.
    pub waited: Duration,
    pub took: Duration,
}

impl Tally {
    pub fn a_second(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }
}

/// The fleet's socket, and what is on the way.
pub struct Client {
    socket: UdpSocket,
    window: usize,
    last_id: u16,
    /// By message id: which member, and since when.
    open: HashMap<u16, (usize, Instant)>,
    /// When each member's message was sent, by number; none of one that had to be sent again.
    pub sent: Vec<Option<Instant>>,
}

/// What a reply, or its absence, says of a member's message.
enum Heard {
    Accepted(Duration),
    Refused(Rcode, Duration),
    Lost,
}

impl Client {
    /// A socket of its own, and so many messages on the way at most.
    pub fn connect(server: SocketAddr, window: u16) -> Result<Self> {
        let socket = UdpSocket::bind(match server {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        })?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
        Ok(Client { socket, window: usize::from(window), last_id: 0, open: HashMap::new(), sent: Vec::new() })
    }

    /// Registers every member once, again where a reply is lost. The first refusal ends it.
    pub fn join(&mut self, messages: &mut [Vec<u8>]) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut waiting: VecDeque<usize> = (0..messages.len()).collect();
        self.sent = vec![None; messages.len()];
        let started = Instant::now();
        while !waiting.is_empty() || !self.open.is_empty() {
            self.fill(&mut waiting, messages)?;
            for (member, heard) in self.hear()? {
                match heard {
                    Heard::Accepted(waited) => {
                        tally.accepted += 1;
                        tally.waited += waited;
                    }
                    Heard::Lost if tally.lost >= messages.len() as u64 => {
                        return Err("the server does not reply".into());
                    }
                    Heard::Lost => {
                        tally.lost += 1;
                        waiting.push_back(member);
                    }
                    Heard::Refused(rcode, _) => {
                        return Err(format!("a registration got {rcode}; the server's log says why").into());
                    }
                }
            }
        }
        tally.took = started.elapsed();
        Ok(tally)
    }

    /// Lets the members send in turn for so long. `fleet` has a round of messages for each second.
    pub fn beat(&mut self, fleet: &mut [Vec<Vec<u8>>], time: Duration) -> Result<Tally> {
        let mut tally = Tally::default();
        let members = fleet.first().map_or(0, Vec::len);
        let mut waiting: VecDeque<usize> = (0..members).collect();
        let started = Instant::now();
        let mut elapsed = Duration::ZERO;
        while elapsed < time || !self.open.is_empty() {
            if elapsed < time {
                let messages =
                    fleet.get_mut(elapsed.as_secs() as usize).ok_or("a second without messages")?;
                self.fill(&mut waiting, messages)?;
            }
            for (member, heard) in self.hear()? {
                waiting.push_back(member);
                match heard {
                    Heard::Accepted(waited) => {
                        tally.accepted += 1;
                        tally.waited += waited;
                        // The last replies, not the wait for one that is lost.
                        tally.took = started.elapsed();
                    }
                    Heard::Refused(..) => tally.refused += 1,
                    Heard::Lost => tally.lost += 1,
                }
            }
            elapsed = started.elapsed();
        }
        Ok(tally)
    }

    /// Sends so many messages at this rate, and waits for the last replies. Each of them must say what is wanted.
    pub fn pace(
        &mut self,
        total: usize,
        rate: u32,
        wanted: Rcode,
        mut send: impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<Tally> {
        self.socket.set_nonblocking(true)?;
        let time = Duration::from_secs_f64(total as f64 / f64::from(rate));
        let pause = BURST_EVERY.max(Duration::from_secs(1) / rate / 2);
        let mut tally = Tally::default();
        let mut sent = 0;
        let started = Instant::now();
        while sent < total || !self.open.is_empty() {
            let due = ((started.elapsed().as_secs_f64() * f64::from(rate)) as usize).min(total);
            for number in sent..due {
                send(self, number)?;
            }
            sent = due;
            thread::sleep(pause);
            self.hear_all(wanted, &mut tally)?;
            tally.took = started.elapsed().min(time);
        }
        Ok(tally)
    }

    /// Takes every reply that is there.
    fn hear_all(&mut self, wanted: Rcode, tally: &mut Tally) -> Result<()> {
        loop {
            let heard = self.hear()?;
            if heard.is_empty() {
                return Ok(());
            }
            for (_, heard) in heard {
                let (rcode, waited) = match heard {
                    Heard::Accepted(waited) => (Rcode::NOERROR, waited),
                    Heard::Refused(rcode, waited) => (rcode, waited),
                    Heard::Lost => {
                        tally.lost += 1;
                        continue;
                    }
                };
                if rcode != wanted {
                    return Err(
                        format!("an UPDATE got {rcode}, not {wanted}; the server's log says why").into()
                    );
                }
                tally.waited += waited;
                *(if rcode == Rcode::NOERROR { &mut tally.accepted } else { &mut tally.refused }) += 1;
            }
        }
    }

    /// Sends for the members that wait, up to the window.
    fn fill(&mut self, waiting: &mut VecDeque<usize>, messages: &mut [Vec<u8>]) -> Result<()> {
        while self.open.len() < self.window {
            let Some(member) = waiting.pop_front() else { break };
            self.send(member, messages)?;
        }
        Ok(())
    }

    /// Sends a member's message. The id is new each time; a TSIG does not cover it.
    pub fn send(&mut self, member: usize, messages: &mut [Vec<u8>]) -> Result<()> {
        let message = messages.get_mut(member).ok_or("a member without a message")?;
        if self.open.len() >= OPEN_MAX {
            return Err("the server answers too little of it: 60000 messages are on the way".into());
        }
        // Ids go round, and one may still be waited for.
        self.last_id = self.last_id.wrapping_add(1);
        while self.open.contains_key(&self.last_id) {
            self.last_id = self.last_id.wrapping_add(1);
        }
        message.get_mut(..2).ok_or("an empty message")?.copy_from_slice(&self.last_id.to_be_bytes());
        self.socket.send(message).map_err(unreachable)?;
        let now = Instant::now();
        self.open.insert(self.last_id, (member, now));
        if let Some(sent) = self.sent.get_mut(member) {
            *sent = if sent.is_some() { None } else { Some(now) };
        }
        Ok(())
    }

    /// Asks questions, each again and again from shortly before its moment on until its answer is empty. How long after its moment
    /// that was. They come in the order of their moments.
    pub fn watch(&mut self, questions: Vec<(Instant, Vec<u8>)>) -> Result<Vec<Duration>> {
        let (mut later, mut now): (VecDeque<_>, VecDeque<_>) = (questions.into(), VecDeque::new());
        let mut late = Vec::new();
        self.socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
        while !later.is_empty() || !now.is_empty() {
            let near = Instant::now() + WATCH_BEFORE;
            while let Some(next) = later.pop_front_if(|(moment, _)| *moment <= near) {
                now.push_back(next);
            }
            let Some((moment, mut question)) = now.pop_front() else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            if self.is_empty(&mut question)? {
                let gone = Instant::now();
                // The server's clock has whole milliseconds.
                if gone + Duration::from_millis(1) < moment {
                    let early_us = (moment - gone).as_micros();
                    return Err(format!("a member was gone {early_us} us before its lease was over").into());
                }
                late.push(gone.saturating_duration_since(moment));
            } else {
                now.push_back((moment, question));
            }
        }
        Ok(late)
    }

    /// Asks one question, and waits for its answer: whether nothing is in it.
    fn is_empty(&mut self, question: &mut [u8]) -> Result<bool> {
        let mut reply = [0; 1232];
        for _ in 0..10 {
            self.last_id = self.last_id.wrapping_add(1);
            question.get_mut(..2).ok_or("an empty question")?.copy_from_slice(&self.last_id.to_be_bytes());
            self.socket.send(question).map_err(unreachable)?;
            while let Ok(len) = self.socket.recv(&mut reply) {
                let header = Header::read(reply.get(..len).unwrap_or_default()).filter(Header::is_response);
                if let Some(header) = header.filter(|header| header.id == self.last_id) {
                    return Ok(header.counts[1] == 0);
                }
            }
        }
        Err("the server does not answer".into())
    }

    /// Waits for one reply. When none comes, says which messages are lost.
    fn hear(&mut self) -> Result<Vec<(usize, Heard)>> {
        let mut reply = [0; 1232];
        match self.socket.recv(&mut reply) {
            Ok(len) if len >= HEADER_LEN => {
                let Some(header) = Header::read(&reply).filter(Header::is_response) else {
                    return Ok(Vec::new());
                };
                // An id that nobody waits for: its message was given up.
                let Some((member, sent)) = self.open.remove(&header.id) else { return Ok(Vec::new()) };
                let rcode = Rcode::masked_from_int(header.flags as u8);
                let waited = sent.elapsed();
                let is_accepted = rcode == Rcode::NOERROR;
                let heard = if is_accepted { Heard::Accepted(waited) } else { Heard::Refused(rcode, waited) };
                Ok(vec![(member, heard)])
            }
            Ok(_) => Ok(Vec::new()),
            Err(error) if is_silence(&error) => {
                let late = self.open.extract_if(|_, (_, sent)| sent.elapsed() >= REPLY_TIMEOUT);
                Ok(late.map(|(_, (member, _))| (member, Heard::Lost)).collect())
            }
            Err(error) => Err(unreachable(error).into()),
        }
    }
}

/// A connected UDP socket learns from the kernel that nobody listens, on the next call whichever it is.
fn unreachable(error: io::Error) -> String {
    format!("cannot reach the server: {error}; is it running, and this its address?")
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
