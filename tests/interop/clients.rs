//! nsupdate and dig, run as people run them, and their words read back.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::server::Server;

/// Whether nsupdate and dig are on this machine. If not, a test passes over with a loud line; in CI it fails.
pub fn are_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    let here = *HERE.get_or_init(|| {
        let runs = |program: &str, version: &str| Command::new(program).arg(version).output().is_ok();
        runs("dig", "-v") && runs("nsupdate", "-V")
    });
    or_say(here, "nsupdate and dig are missing: apt-get install -y bind9-dnsutils")
}

/// Returns what it is given, having said loudly what a test lacks where that is `false`; in CI it fails.
pub fn or_say(here: bool, lacking: &str) -> bool {
    if !here {
        assert!(std::env::var_os("CI").is_none(), "{lacking}");
        eprintln!("\n!!! NOT TESTED: {lacking}\n");
    }
    here
}

/// What a program wrote.
pub fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets).unwrap()
}

impl Server {
    /// Runs nsupdate with these arguments on a script, with this server named and `send` at the end. An error is what
    /// nsupdate says of it.
    pub fn try_update(&self, arguments: &[&str], script: &str) -> Result<(), String> {
        let mut client = self
            .client("nsupdate")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (ip, port) = (self.address.ip(), self.address.port());
        let lines: Vec<_> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let script = format!("server {ip} {port}\n{}\nsend\n", lines.join("\n"));
        client.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let Output { status, stderr, .. } = client.wait_with_output().unwrap();
        let stderr = text(stderr);
        match status.code() {
            Some(0) if stderr.is_empty() => Ok(()),
            Some(2) => Err(stderr),
            _ => panic!("nsupdate ended with {status}: {stderr}\n{}", self.log.text()),
        }
    }

    /// An update that has to be taken.
    pub fn update(&self, arguments: &[&str], script: &str) {
        if let Err(error) = self.try_update(arguments, script) {
            panic!("nsupdate: {error}{script}\n{}", self.log.text());
        }
    }

    /// An update that has to be turned away with these words of nsupdate's, and a line in the log that has `reason`.
    pub fn refused(&self, arguments: &[&str], script: &str, words: &str, reason: &[&str]) {
        let from = self.log.len();
        let error = self.try_update(arguments, script).expect_err("it was taken");
        assert!(error.contains(&format!("update failed: {words}")), "{error}");
        self.log.wait_from(from, &[&["UPDATE ", "source=127.0."], reason].concat());
    }

    /// What dig prints. `question` is its arguments after the server's.
    pub fn dig_text(&self, question: &str) -> String {
        self.dig_text_at(self.address, question)
    }

    /// The same, of another server.
    pub fn dig_text_at(&self, address: SocketAddr, question: &str) -> String {
        // -r: nobody's ~/.digrc changes what is asked.
        let (at, port) = (format!("@{}", address.ip()), address.port().to_string());
        let fixed = ["-r", &at, "-p", &port, "+tries=2", "+time=5"];
        let output = self.client("dig").args(fixed).args(question.split_whitespace()).output().unwrap();
        let text = text(output.stdout);
        assert!(output.status.success(), "dig {question}: {}\n{text}\n{}", output.status, self.log.text());
        text
    }

    /// One question, one answer.
    pub fn dig(&self, question: &str) -> Answer {
        self.dig_at(self.address, question)
    }

    /// The same, of another server.
    pub fn dig_at(&self, address: SocketAddr, question: &str) -> Answer {
        let mut answers = Answer::all(&self.dig_text_at(address, question));
        assert_eq!(answers.len(), 1, "dig {question}");
        answers.remove(0)
    }

    /// The addresses of `web.pool.example.`, sorted.
    pub fn web(&self) -> Vec<String> {
        self.dig("web.pool.example A").sorted()
    }
}

/// A record as dig prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub name: String,
    pub ttl_s: u32,
    pub rtype: String,
    pub data: String,
}

/// An answer as dig prints it.
#[derive(Debug, Default)]
pub struct Answer {
    /// Such as `NOERROR`.
    pub status: String,
    /// Such as `qr aa rd`.
    pub flags: String,
    pub question: String,
    pub answer: Vec<Shown>,
    pub authority: Vec<Shown>,
    pub additional: Vec<Shown>,
    /// Over which transport it came at last: `UDP` or `TCP`.
    pub transport: String,
    /// Octets.
    pub size: usize,
    /// All of it.
    pub text: String,
}

impl Answer {
    fn all(text: &str) -> Vec<Answer> {
        let starts: Vec<_> = text.match_indices(";; ->>HEADER<<-").map(|(at, _)| at).collect();
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        starts.iter().zip(ends).map(|(&start, end)| Answer::read(&text[start..end], text)).collect()
    }

    fn read(part: &str, text: &str) -> Answer {
        let between = |before: &str, after: char| {
            let rest = part.split_once(before).map_or("", |(_, rest)| rest);
            rest.split(after).next().unwrap_or_default().to_owned()
        };
        let mut answer = Answer {
            status: between("status: ", ','),
            flags: between(";; flags: ", ';'),
            transport: between(") (", ')'),
            size: between("MSG SIZE  rcvd: ", '\n').trim().parse().unwrap_or_default(),
            text: text.to_owned(),
            ..Answer::default()
        };
        let mut section = "";
        for line in part.lines() {
            match line.strip_prefix(";; ").and_then(|line| line.strip_suffix(" SECTION:")) {
                Some(name) => section = name,
                None if line.is_empty() => section = "",
                None if section == "QUESTION" => answer.question = line.trim_start_matches(';').to_owned(),
                None if line.starts_with(';') => {}
                None => answer.file(section, line),
            }
        }
        answer
    }

    fn file(&mut self, section: &str, line: &str) {
        let place = match section {
            "ANSWER" => &mut self.answer,
            "AUTHORITY" => &mut self.authority,
            "ADDITIONAL" => &mut self.additional,
            _ => return,
        };
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap_or_else(|| panic!("{line}")).to_owned();
        let (name, ttl_s) = (next(), next().parse().unwrap());
        assert_eq!(next(), "IN", "{line}");
        let rtype = next();
        place.push(Shown { name, ttl_s, rtype, data: words.collect::<Vec<_>>().join(" ") });
    }

    /// Rdata of the answer section, in the order sent.
    pub fn data(&self) -> Vec<String> {
        self.answer.iter().map(|record| record.data.clone()).collect()
    }

    /// The same, sorted.
    pub fn sorted(&self) -> Vec<String> {
        let mut data = self.data();
        data.sort();
        data
    }

    /// Checks status and flags, the flags without `rd`, which is the client's.
    pub fn is(&self, status: &str, flags: &str) {
        let found: Vec<_> = self.flags.split(' ').filter(|flag| *flag != "rd").collect();
        assert_eq!((self.status.as_str(), found.join(" ").as_str()), (status, flags), "{}", self.text);
    }

    /// An empty answer with the zone's SOA, which may be remembered for 2 s.
    pub fn is_nothing(&self, status: &str) {
        self.is(status, "qr aa");
        assert!(self.answer.is_empty(), "{}", self.text);
        let [soa] = self.authority.as_slice() else { panic!("{}", self.text) };
        assert_eq!((soa.name.as_str(), soa.rtype.as_str(), soa.ttl_s), ("pool.example.", "SOA", 2));
        assert!(soa.data.ends_with(" 2"), "MINIMUM is what is remembered too: {}", soa.data);
    }
}
