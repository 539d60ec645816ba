//! What `check --explain-update` prints: two lines for each line of the script, or one JSON object.

use std::io::{self, Write};

use serde::Serialize;

use super::super::nsupdate_script::{ScriptMessage, ScriptRecord};
use super::{ExplainArgs, source};
use crate::config::ZoneConfig;
use crate::update::{Explanation, Judgement, Reason, Stay, Told};
use crate::wire::{Name, lower, name_text};

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Report {
    /// Whether every line is allowed.
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    script: String,
    from: String,
    transport: &'static str,
    messages: Vec<MessageReport>,
}

/// One message of the script.
#[derive(Serialize)]
pub(super) struct MessageReport {
    first_line: usize,
    last_line: usize,
    /// Whether the script sends it.
    sent: bool,
    /// `None` if the script names none, and no zone of the configuration holds its first name.
    zone: Option<String>,
    /// `None` for an unsigned one.
    key: Option<String>,
    allowed: bool,
    /// The reply's; `None` if there is nobody to reply.
    rcode: Option<String>,
    /// Why it is refused as a whole.
    refusal: Option<String>,
    /// Its records, in the order of the script.
    lines: Vec<LineReport>,
}

/// One record of the script.
#[derive(Serialize)]
struct LineReport {
    line: usize,
    text: String,
    /// What it is to rollcall.
    what: Option<String>,
    pool: Option<String>,
    member: Option<String>,
    /// `None` for a condition, which depends on what is there.
    allowed: Option<bool>,
    refusal: Option<String>,
    /// Which grant allows it; `None` if it needs none.
    grant: Option<GrantPlace>,
    owner: Option<String>,
    /// `None` if nothing stays, or stays until it is deleted.
    lease_s: Option<u64>,
    permanent: bool,
    /// Why it is refused unless the member is there by then.
    unless_there: Option<String>,
}

/// A grant, and where it stands.
#[derive(Serialize)]
struct GrantPlace {
    number: usize,
    file: String,
    line: usize,
}

impl Report {
    pub fn of(script: String, args: &ExplainArgs, explained: Result<Vec<MessageReport>, String>) -> Self {
        let (messages, error) = match explained {
            Ok(messages) => (messages, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Report {
            ok: error.is_none() && messages.iter().all(|message| message.allowed),
            error,
            script,
            from: source(args).to_string(),
            transport: if args.tcp { "tcp" } else { "udp" },
            messages,
        }
    }

    pub fn is_ok(&self) -> bool {
        self.ok
    }

    /// Error and warnings, for standard error.
    pub fn write_messages(&self, err: &mut dyn Write) -> io::Result<()> {
        let script = &self.script;
        if let Some(error) = &self.error {
            return writeln!(err, "{error}");
        }
        if self.messages.is_empty() {
            writeln!(err, "{script}: warning: it has no update")?;
        }
        for MessageReport { last_line, .. } in self.messages.iter().filter(|message| !message.sent) {
            let text = "no `send` or blank line follows, so nsupdate sends nothing of this message";
            writeln!(err, "{script}:{last_line}: warning: {text}")?;
        }
        Ok(())
    }

    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for message in &self.messages {
            for line in &message.lines {
                writeln!(out, "{}:{}: {}\n    {}", self.script, line.line, line.text, line.verdict())?;
            }
            message.write_refusal(&self.script, out)?;
        }
        Ok(())
    }
}

impl MessageReport {
    /// Without an explanation, no zone is there that could explain it.
    pub fn of(
        message: &ScriptMessage,
        zone: Option<&Name>,
        key: Option<&Name>,
        explanation: Option<Explanation>,
        config: Option<&ZoneConfig>,
    ) -> Self {
        let name = |name: &Name| name_text(&lower(name.as_slice()));
        let (rcode, refusal, lines) = match explanation {
            Some(Explanation { refusal, prerequisites, updates }) => {
                let told = prerequisites.into_iter().chain(updates);
                let lines = message.records().zip(told);
                let lines = lines.map(|(record, told)| LineReport::of(record, told, config)).collect();
                let (rcode, refusal) = refusal
                    .map_or((None, None), |Reason { rcode, text }| (Some(rcode.to_string()), Some(text)));
                (rcode.or(Some("NOERROR".to_owned())), refusal, lines)
            }
            None => {
                let first = message.first_name().map(name).unwrap_or_default();
                let text = format!("no zone of this configuration holds {first}");
                let lines = message.records().map(|record| LineReport::refused(record, &text)).collect();
                (None, Some(text), lines)
            }
        };
        let mut lines: Vec<LineReport> = lines;
        lines.sort_by_key(|line| line.line);
        let at = |line: Option<&LineReport>| line.map_or(0, |line| line.line);
        MessageReport {
            first_line: at(lines.first()),
            last_line: at(lines.last()),
            sent: message.is_sent,
            zone: zone.map(name),
            key: key.map(name),
            allowed: refusal.is_none(),
            rcode,
            refusal,
            lines,
        }
    }

    /// One line refuses all of its message (RFC 2136 section 3.4): said where it is not plain to see.
    fn write_refusal(&self, script: &str, out: &mut dyn Write) -> io::Result<()> {
        let MessageReport { first_line, last_line, .. } = self;
        let (Some(refusal), Some(rcode), true) = (&self.refusal, &self.rcode, first_line != last_line) else {
            return Ok(());
        };
        writeln!(out, "{script}:{first_line}-{last_line}: {rcode}, and nothing of it is done: {refusal}")
    }
}

impl LineReport {
    fn refused(record: &ScriptRecord, text: &str) -> Self {
        LineReport { allowed: Some(false), refusal: Some(text.to_owned()), ..LineReport::blank(record) }
    }

    fn blank(record: &ScriptRecord) -> Self {
        LineReport {
            line: record.line,
            text: record.text.clone(),
            what: None,
            pool: None,
            member: None,
            allowed: None,
            refusal: None,
            grant: None,
            owner: None,
            lease_s: None,
            permanent: false,
            unless_there: None,
        }
    }

    fn of(record: &ScriptRecord, told: Told, config: Option<&ZoneConfig>) -> Self {
        let Told { what, pool, member, judgement } = told;
        let line = LineReport { what, pool, member, ..LineReport::blank(record) };
        match judgement {
            Judgement::Depends => line,
            Judgement::Refused(reason) => {
                LineReport { allowed: Some(false), refusal: Some(reason.text), ..line }
            }
            Judgement::Allowed { grant, owner, stay, unless_there } => LineReport {
                allowed: Some(true),
                grant: grant.and_then(|number| GrantPlace::of(number, config?)),
                owner: owner.map(String::from),
                lease_s: match stay {
                    Stay::Seconds(lease_s) => Some(lease_s),
                    Stay::Permanent | Stay::Nothing => None,
                },
                permanent: stay == Stay::Permanent,
                unless_there: unless_there.map(|reason| reason.text),
                ..line
            },
        }
    }

    fn verdict(&self) -> String {
        let what = self.what.as_ref().map(|what| format!("{what}: ")).unwrap_or_default();
        if let Some(refusal) = &self.refusal {
            return format!("{what}refused: {refusal}");
        }
        if self.allowed.is_none() {
            return format!("{what}not judged, it depends on what is there");
        }
        let mut parts = vec![match &self.grant {
            Some(GrantPlace { number, file, line }) => format!("allowed by grant {number} ({file}:{line})"),
            None => "allowed, there is nothing that it could change".to_owned(),
        }];
        parts.extend(self.owner.as_ref().map(|owner| format!("owner {owner}")));
        parts.extend(self.lease_s.map(|lease_s| format!("lease {lease_s} s")));
        parts.extend(self.permanent.then(|| "permanent".to_owned()));
        parts.extend(
            self.unless_there.as_ref().map(|text| format!("if the member is there; else refused: {text}")),
        );
        format!("{what}{}", parts.join(", "))
    }
}

impl GrantPlace {
    fn of(number: usize, config: &ZoneConfig) -> Option<Self> {
        let line = *config.grant_lines.get(number.checked_sub(1)?)?;
        let file = config.toml_file.as_ref()?.display().to_string();
        Some(GrantPlace { number, file, line })
    }
}
