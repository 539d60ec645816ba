use std::os::unix::fs::PermissionsExt as _;

use super::super::{CheckArgs, check};
use super::*;

const SERVER: &str = "state = '/s'\n\
    [[key]]\nname = 'fleet'\nsecret = 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='\n\
    [[key]]\nname = 'acme'\nsecret = 'MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='\n\
    [[key]]\nname = 'stranger'\nsecret = 'MjEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='\n";
const TOML: &str = "\
create_pools = true
[[pool]]
name = 'web'
[[pool]]
name = 'game.eu'
default_lease = 60
# 1: line 7
[[grant]]
unsigned = true
addresses = ['127.0.0.0/8', '10.0.0.0/8']
# 2: line 11
[[grant]]
key = 'fleet'
pools = ['web', 'game.*']
addresses = ['10.0.0.0/8']
targets = ['*.example.net.']
owner = 'ops'
lease = 120
# 3
[[grant]]
key = 'fleet'
pools = ['web']
addresses = ['192.0.2.0/24']
lease = 'none'
# 4
[[grant]]
key = 'acme'
names = ['_acme-challenge', '_acme-challenge.*', 'host', '@', '*.web']
types = ['TXT', 'A', 'HTTPS', 'CAA', 'MX', 'SOA', 'NS']
addresses = ['10.0.0.0/8']
lease = 600
# 5
[[grant]]
unsigned = true
sources = ['192.0.2.0/24']
pools = ['web']
own_address = true
";
const ZONE: &str = "@ 60 SOA ns hostmaster 42 1200 180 1209600 2\n@ 60 NS ns\nns 60 A 192.0.2.1\nwww 60 CNAME web\n\
    taken 60 A 192.0.2.2\n";

/// A configuration in a directory of its own.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::create_dir(dir.path().join("zones")).unwrap();
        write("rollcall.toml", SERVER);
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(dir.path().join("rollcall.toml"), private).unwrap();
        write("zones/pool.example.zone", ZONE);
        write("zones/pool.example.toml", TOML);
        write("zones/sub.pool.example.toml", "");
        Site { dir }
    }

    fn check(&self, script: &str, explain: ExplainArgs, json: bool) -> (u8, String, String) {
        let path = self.dir.path().join("script");
        std::fs::write(&path, script).unwrap();
        let explain = ExplainArgs { script: Some(path), ..explain };
        let args =
            CheckArgs { file: Some(self.dir.path().join("rollcall.toml")), json, explain, zones: None };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = check(&args, &mut out, &mut err).unwrap();
        let dir = self.dir.path().to_str().unwrap();
        let text = |octets| String::from_utf8(octets).unwrap().replace(&format!("{dir}/"), "");
        // Warnings about the configuration are others' to test.
        let err = text(err);
        let err: Vec<_> =
            err.lines().filter(|line| line.starts_with("script") || line.starts_with("--")).collect();
        (code, text(out), err.join("\n"))
    }
}

/// Who sends it.
fn sender(key: &str, from: &str, tcp: bool) -> ExplainArgs {
    let key = Some(key).filter(|key| !key.is_empty()).map(|key| Name::bytes_from_str(key).unwrap());
    ExplainArgs { script: None, from: Some(from.parse().unwrap()), key, tcp }
}

fn explained(script: &str, args: ExplainArgs) -> (u8, String) {
    let (code, out, err) = Site::new().check(script, args, false);
    assert_eq!(err, "", "{script}");
    (code, out)
}

#[test]
fn each_line_says_what_it_is_and_which_grant_allows_it() {
    let (code, out) = explained(
        "zone pool.example\n; join\nprereq nxdomain m1.web.pool.example\n\
         update add m1.web.pool.example 30 A 10.0.0.1\n\
         update add _http._tcp.web.pool.example 30 SRV 0 10 8080 m1.web.pool.example\n\
         update add _sip._udp.web.pool.example 30 SRV 0 0 5060 a.example.net\n\
         update add m1.game.eu.pool.example 30 A 10.0.0.2\n\
         update add web.pool.example 30 A 192.0.2.9\nsend\n\
         update delete m1.web.pool.example\nupdate delete web.pool.example A\n\
         update delete _http._tcp.web.pool.example\nupdate delete all.web.pool.example A\nsend\n\
         update delete _http._tcp.web.pool.example\nsend\n",
        sender("fleet", "198.51.100.1", false),
    );
    let toml = "zones/pool.example.toml";
    let wanted = format!(
        "script:3: prereq nxdomain m1.web.pool.example
    condition that m1.web is not in use: not judged, it depends on what is there
script:4: update add m1.web.pool.example 30 A 10.0.0.1
    an address of member m1 of pool web: allowed by grant 2 ({toml}:12), owner ops, lease 120 s
script:5: update add _http._tcp.web.pool.example 30 SRV 0 10 8080 m1.web.pool.example
    service _http._tcp of member m1 of pool web: allowed by grant 2 ({toml}:12), owner ops, lease 120 s
script:6: update add _sip._udp.web.pool.example 30 SRV 0 0 5060 a.example.net
    service _sip._udp of member a.example.net. of pool web: allowed by grant 2 ({toml}:12), owner ops, lease 120 s
script:7: update add m1.game.eu.pool.example 30 A 10.0.0.2
    an address of member m1 of pool game.eu: allowed by grant 2 ({toml}:12), owner ops, lease 120 s
script:8: update add web.pool.example 30 A 192.0.2.9
    an address of member 192-0-2-9 of pool web: allowed by grant 3 ({toml}:20), owner fleet., permanent
script:10: update delete m1.web.pool.example
    deletion of member m1 of pool web: allowed by grant 2 ({toml}:12), owner ops
script:11: update delete web.pool.example A
    deletion of the addresses of the sender's members of pool web: allowed by grant 2 ({toml}:12), owner ops
script:12: update delete _http._tcp.web.pool.example
    deletion of service _http._tcp of the sender's members of pool web: allowed by grant 2 ({toml}:12), owner ops
script:13: update delete all.web.pool.example A
    deletion of what pool web answers by itself: allowed, there is nothing that it could change
script:15: update delete _http._tcp.web.pool.example
    deletion of service _http._tcp of the sender's members of pool web: allowed by grant 2 ({toml}:12), owner ops
"
    );
    assert_eq!((code, out.as_str()), (EXIT_OK, wanted.as_str()));
}

#[test]
fn ordinary_records_have_no_owner_and_a_lease_only_if_granted() {
    let (code, out) = explained(
        "add _acme-challenge.pool.example 60 TXT x\nadd pool.example 60 MX 10 ns.pool.example\n\
         delete host.pool.example\ndelete host.pool.example A\nsend\n",
        sender("acme", "198.51.100.1", false),
    );
    let verdicts: Vec<_> = out.lines().filter(|line| line.starts_with("  ")).collect();
    let grant = "allowed by grant 4 (zones/pool.example.toml:26)";
    let wanted = [
        format!("    ordinary record _acme-challenge TXT: {grant}, lease 600 s"),
        format!("    ordinary record @ MX: {grant}, lease 600 s"),
        format!("    deletion of all ordinary records of host: {grant}"),
        format!("    deletion of ordinary records host A: {grant}"),
    ];
    assert_eq!((code, verdicts), (EXIT_OK, wanted.iter().map(String::as_str).collect()));
}

#[test]
fn one_refusal_refuses_its_message_and_no_other() {
    let (code, out) = explained(
        "add m1.web.pool.example 30 A 172.16.0.1\nadd m2.web.pool.example 30 A 10.0.0.2\n\n\
         add n1.fresh.pool.example 30 A 10.0.0.3\nsend\nadd n1.fresh.pool.example 30 TXT load=0.5\nsend\n",
        sender("", "127.0.0.1", false),
    );
    let refusal = "address 172.16.0.1 is not granted; add 172.16.0.0/24 to `addresses` of the grant for unsigned updates";
    let grant = "allowed by grant 1 (zones/pool.example.toml:8), owner 127.0.0.1, lease 30 s";
    let wanted = format!(
        "script:1: add m1.web.pool.example 30 A 172.16.0.1
    an address of member m1 of pool web: refused: {refusal}
script:2: add m2.web.pool.example 30 A 10.0.0.2
    an address of member m2 of pool web: {grant}
script:1-2: REFUSED, and nothing of it is done: {refusal}
script:4: add n1.fresh.pool.example 30 A 10.0.0.3
    an address of member n1 of pool fresh: {grant}
script:6: add n1.fresh.pool.example 30 TXT load=0.5
    attributes of member n1 of pool fresh: {grant}, if the member is there; else refused: n1 is not a member of \
         fresh.pool.example.: register again, with its address
"
    );
    assert_eq!((code, out.as_str()), (EXIT_FAILED, wanted.as_str()));
}

#[test]
fn keys_of_the_script_and_of_the_command_line() {
    let site = Site::new();
    let line = "add m1.web.pool.example 30 A 10.0.0.1\nsend\n";
    let run = |key: &str, args| site.check(&format!("{key}{line}"), args, false).1;
    let any = || sender("", "127.0.0.1", false);
    assert!(run("key hmac-sha256:FLEET c2VjcmV0\n", any()).contains("grant 2 "));
    assert!(run("key fleet c2VjcmV0\n", any()).contains("grant 2 "));
    assert!(run("key nobody c2VjcmV0\n", sender("fleet", "::1", false)).contains("grant 2 "));
    let unknown = run("key nobody c2VjcmV0\n", any());
    assert!(
        unknown
            .contains("refused: TSIG: BADKEY: no key nobody. (hmac-sha256.) on this server; check the name"),
        "{unknown}"
    );
    let other = run("key hmac-md5.sig-alg.reg.int:fleet c2VjcmV0\n", any());
    assert!(
        other.contains("BADKEY: key fleet. (hmac-sha256) does not take what is signed with hmac-md5.sig-alg.reg.int.; sign"),
        "{other}"
    );
    let (code, out, err) = site.check(line, sender("nobody", "::1", false), false);
    let wanted = "--key: the configuration has no key nobody.; it has: acme., fleet., stranger.";
    assert_eq!((code, out.as_str(), err.as_str()), (EXIT_FAILED, "", wanted));
}

#[test]
fn what_is_never_sent_and_what_is_no_script() {
    let site = Site::new();
    let any = || sender("", "127.0.0.1", false);
    let (code, _, err) = site.check("add m1.web.pool.example 30 A 10.0.0.1\n", any(), false);
    let unsent =
        "script:1: warning: no `send` or blank line follows, so nsupdate sends nothing of this message";
    assert_eq!((code, err.as_str()), (EXIT_OK, unsent));
    assert_eq!(site.check("server ::1\n", any(), false).2, "script: warning: it has no update");
    let (code, out, err) = site.check("send\nadd x 1h A ::1\n", any(), true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["ok"], &json["messages"]), (EXIT_FAILED, &false.into(), &serde_json::json!([])));
    assert!(json["error"].as_str().unwrap().contains(&err), "{err}");
    assert!(err.starts_with("script:2: `1h` is not a TTL"), "{err}");
    let (code, out, _) = site.check("add x.example.org 30 A 10.0.0.1\nsend\n", any(), false);
    let nowhere = "    refused: no zone of this configuration holds x.example.org.\n";
    assert!(code == EXIT_FAILED && out.ends_with(nowhere), "{out}");
}

#[test]
fn a_report_for_programs() {
    let (code, out, _) = Site::new().check(
        "add m1.web.pool.example 30 A 192.0.2.7\nadd host.pool.example 30 A 192.0.2.7\nsend\n",
        sender("", "192.0.2.7", true),
        true,
    );
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let message = &json["messages"][0];
    assert_eq!((code, &json["ok"], &json["transport"]), (EXIT_FAILED, &false.into(), &"tcp".into()));
    assert_eq!((&message["zone"], &message["key"]), (&"pool.example.".into(), &serde_json::Value::Null));
    assert_eq!((&message["first_line"], &message["last_line"]), (&1.into(), &2.into()));
    assert_eq!((&message["rcode"], &message["allowed"]), (&"REFUSED".into(), &false.into()));
    let wanted = serde_json::json!({
        "line": 1, "text": "add m1.web.pool.example 30 A 192.0.2.7",
        "what": "an address of member m1 of pool web", "pool": "web", "member": "m1", "allowed": true,
        "refusal": null, "owner": "192.0.2.7", "lease_s": 30, "permanent": false, "unless_there": null,
        "grant": {"number": 5, "file": "zones/pool.example.toml", "line": 33},
    });
    assert_eq!(message["lines"][0], wanted);
    assert_eq!(message["lines"][1]["refusal"], message["refusal"]);
}

mod as_the_server;
