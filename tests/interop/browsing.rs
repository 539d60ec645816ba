//! Browsing over unicast (RFC 6763) as its clients do it: Avahi and Perl's Net::Bonjour from Debian, and dig; and what a pool
//! says of its members.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::clients::{or_say, text};
use super::server::{Server, Site};

/// The zone of the tour, in which unsigned updates may change any name.
const ANY_NAME: &str =
    "[[grant]]\nunsigned = true\nnames = ['*']\ntypes = ['*']\naddresses = ['10.0.0.0/8']\n";

fn bonjour_is_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    let here = *HERE.get_or_init(|| {
        let loads = Command::new("perl").args(["-MNet::Bonjour", "-e", "1"]).stderr(Stdio::null()).status();
        loads.is_ok_and(|status| status.success())
    });
    or_say(here, "Net::Bonjour is missing: apt-get install -y libnet-bonjour-perl")
}

/// Runs a Perl script that asks this server, and returns the lines that it prints.
fn perl(server: &Server, script: &str) -> Vec<String> {
    let mut client = server.client("perl");
    client.env("RES_NAMESERVERS", server.address.ip().to_string());
    client.env("RES_OPTIONS", format!("port:{}", server.address.port()));
    let output = client.args(["-MNet::Bonjour", "-e", script]).output().unwrap();
    assert!(output.status.success(), "{}\n{}", text(output.stderr), server.log.text());
    text(output.stdout).lines().map(str::to_owned).collect()
}

/// Joins `member` of `pool`, which offers a service at a port.
fn join(server: &Server, pool: &str, member: &str, ip: &str, service: &str, port: u16) {
    let (pool, member) = (format!("{pool}.pool.example."), format!("{member}.{pool}.pool.example."));
    let script =
        format!("update add {member} 30 A {ip}\nupdate add {service}.{pool} 30 SRV 0 10 {port} {member}");
    server.update(&[], &script);
}

#[test]
fn net_bonjour_finds_types_instances_hosts_and_ports() {
    if !bonjour_is_here() {
        return;
    }
    let Some(server) = Site::new(ANY_NAME).serve() else { return };
    join(&server, "web", "m1", "10.0.0.1", "_http._tcp", 8080);
    join(&server, "shop", "m1", "10.0.0.2", "_http._tcp", 8081);
    join(&server, "print", "m1", "10.0.0.3", "_ipp._tcp", 631);
    server.update(&[], "update add shop._http._tcp.pool.example. 60 TXT \"path=/buy\" \"room=2\"");
    let found = perl(
        &server,
        r#"for my $type (Net::Bonjour->all_services('pool.example')) {
            $type->discover;
            for ($type->entries) {
                my $path = $_->attribute('path') // '';
                printf "%s %s %s %s:%s %s\n", $type->fqdn, $_->name, $_->hostname, $_->address, $_->port, $path;
            }
        }"#,
    );
    let wanted = [
        "_http._tcp.pool.example shop m1.shop.pool.example 10.0.0.2:8081 /buy",
        "_http._tcp.pool.example web m1.web.pool.example 10.0.0.1:8080 ",
        "_ipp._tcp.pool.example print m1.print.pool.example 10.0.0.3:631 ",
    ];
    assert_eq!(found, wanted);
    let browse = "my $found = Net::Bonjour->new('http', 'tcp', 'pool.example');
        print join(' ', map { $_->name } $found->entries), \"\\n\";";
    assert_eq!(perl(&server, browse), ["shop web"]);
    server.update(&[], "update delete m1.shop.pool.example.");
    assert_eq!(perl(&server, browse), ["web"]);
}

fn avahi_is_here() -> bool {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let here = ["avahi-daemon", "avahi-browse", "dbus-daemon"].map(runs) == [true; 3];
    or_say(here, "Avahi is missing: apt-get install -y avahi-daemon avahi-utils dbus")
}

/// Runs a command as process 1 of a host that has no network but its own loopback, and ends with it.
fn on_a_host_of_its_own() -> Command {
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", "60", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    command.stdin(Stdio::null());
    command
}

#[test]
fn avahi_browses_the_zone_over_unicast() {
    let is_allowed = || on_a_host_of_its_own().args(["ip", "link", "set", "lo", "up"]).output().unwrap();
    if !avahi_is_here()
        || !or_say(is_allowed().status.success(), "namespaces are not allowed: run this as root")
        || !super::clients::are_here()
    {
        return;
    }
    let site = Site::new("");
    let join = |pool: &str, ip: &str, service: &str, port: u16| {
        format!(
            "update add m1.{pool}.pool.example. 30 A {ip}\n\
             update add {service}.{pool}.pool.example. 30 SRV 0 10 {port} m1.{pool}.pool.example.\n"
        )
    };
    let script = [
        "server 127.0.0.1 53\n".to_owned(),
        join("web", "10.0.0.1", "_http._tcp", 8080),
        join("shop", "10.0.0.2", "_http._tcp", 8081),
        join("print", "10.0.0.3", "_ipp._tcp", 631),
        "send\n".to_owned(),
    ];
    std::fs::write(site.path().join("join"), script.concat()).unwrap();
    let avahi = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/avahi/browse.sh");
    let mut browse = on_a_host_of_its_own();
    browse.current_dir(site.path()).args(["bash", avahi, env!("CARGO_BIN_EXE_rollcall")]);
    let output = browse.output().unwrap();
    let logs = || {
        let read = |name: &str| std::fs::read_to_string(site.path().join(name)).unwrap_or_default();
        ["rollcall.log", "nsupdate.log", "bus.log", "avahi.log"].map(read).join("\n")
    };
    assert!(output.status.success(), "{}\n{}", text(output.stderr), logs());
    let mut lines: Vec<_> = text(output.stdout).lines().map(str::to_owned).collect();
    // Once for all service types, and once for one of them.
    lines.sort();
    lines.dedup();
    let wanted = [
        "+;n/a;n/a;print;_ipp._tcp;pool.example",
        "+;n/a;n/a;shop;_http._tcp;pool.example",
        "+;n/a;n/a;web;_http._tcp;pool.example",
        "=;n/a;n/a;shop;_http._tcp;pool.example;m1.shop.pool.example;10.0.0.2;8081;",
        "=;n/a;n/a;web;_http._tcp;pool.example;m1.web.pool.example;10.0.0.1;8080;",
    ];
    assert_eq!(lines, wanted, "{}", logs());
}

#[test]
fn dig_reads_listings_and_instances() {
    let Some(server) = Site::new("").serve() else { return };
    join(&server, "web", "m1", "10.0.0.1", "_http._tcp", 8080);
    let types = server.dig("_services._dns-sd._udp.pool.example PTR");
    types.is("NOERROR", "qr aa");
    assert_eq!(types.data(), ["_http._tcp.pool.example."]);
    assert_eq!(server.dig("_http._tcp.pool.example PTR").data(), ["web._http._tcp.pool.example."]);
    let instance = server.dig("web._http._tcp.pool.example SRV");
    assert_eq!(instance.data(), ["0 10 8080 m1.web.pool.example."]);
    assert_eq!(
        (instance.additional[0].name.as_str(), instance.additional[0].data.as_str()),
        ("m1.web.pool.example.", "10.0.0.1")
    );
    assert_eq!(server.dig("web._http._tcp.pool.example TXT").data(), ["\"\""]);
    server.dig("_tcp.pool.example PTR").is_nothing("NOERROR");
    server.dig("game._http._tcp.pool.example SRV").is_nothing("NXDOMAIN");
}

#[test]
fn a_pools_status_is_for_debug_from_networks() {
    let site = Site::new("");
    // Before the zone's first table.
    let file = site.path().join("zones/pool.example.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("debug_from = ['127.0.0.1']\n{toml}")).unwrap();
    let Some(server) = site.serve() else { return };
    join(&server, "web", "m1", "10.0.0.1", "_http._tcp", 8080);
    let status = server.dig("-b 127.0.0.1 _status.web.pool.example TXT");
    status.is("NOERROR", "qr aa");
    let [pool, line] = &status.data()[..] else { panic!("{}", status.text) };
    assert_eq!(pool, "\"web.pool.example. pool policy=round-robin answers=all ttl=5s up=1 out=0 gone=0\"");
    assert!(
        line.starts_with("\"m1 up registered lease=")
            && line.ends_with(" weight=10 rank=1 share=100% 10.0.0.1\""),
        "{line}"
    );
    for transport in ["+notcp", "+tcp"] {
        let refused = server.dig(&format!("{transport} -b 127.0.0.3 _status.web.pool.example TXT"));
        refused.is("REFUSED", "qr");
        assert!(refused.text.contains("; EDE: 18 (Prohibited)"), "{}", refused.text);
        assert!(
            !server
                .dig(&format!("{transport} +noedns -b 127.0.0.3 _status.web.pool.example TXT"))
                .text
                .contains("EDE")
        );
    }
}

#[test]
fn a_big_pool_comes_whole_over_tcp_in_the_same_order() {
    let Some(server) = Site::new("").serve() else { return };
    for group in 0..4 {
        let join = |number: u32| {
            let (member, number) = (format!("m{group}{number:03}.web.pool.example."), group * 250 + number);
            let ip = format!("10.0.{}.{}", number >> 8, number & 255);
            format!(
                "update add {member} 600 A {ip}\nupdate add _http._tcp.web.pool.example. 600 SRV 0 10 {} {member}\n",
                1 + number
            )
        };
        let script: String = (0..250).map(join).collect();
        server.update(&["-v"], &script);
    }
    for (name, rtype) in [("all.web", "A"), ("_http._tcp.all.web", "SRV"), ("_status.web", "TXT")] {
        let cut = server.dig(&format!("+ignore {name}.pool.example {rtype}"));
        assert!(cut.flags.contains("tc") && cut.size <= 1232, "{name}: {}", cut.text);
        let ask = || {
            let answer = server.dig(&format!("+tcp {name}.pool.example {rtype}"));
            assert_eq!(answer.transport, "TCP");
            answer
                .data()
                .iter()
                .map(|data| data.split(" lease=").next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let (one, other) = (ask(), ask());
        assert_eq!(one, other, "{name}");
        assert_eq!(one.iter().collect::<std::collections::BTreeSet<_>>().len(), one.len(), "{name}");
        if rtype != "TXT" {
            assert_eq!(one.len(), 1_000, "{name}");
            continue;
        }
        // The pool first, then as many as 64 KB hold, then how many more there are.
        let last = one.last().unwrap();
        assert!(one.len() > 700, "{}", one.len());
        assert_eq!(
            *last,
            format!("\"{} more members are not shown: they do not fit\"", 1_000 - (one.len() - 2))
        );
    }
}
