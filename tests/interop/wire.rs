//! Two hosts with a wire between them, for what loopback cannot show: it is trusted where other networks are not.
//!
//! ```text
//! namespace of the server           namespace of the clients
//!    192.0.2.1, .9   wire0 ============ wire0  192.0.2.2, .3
//! 2001:db8::1, ::9                             2001:db8::2, ::3
//! ```
//!
//! Each namespace is held by a process that waits for its input to end, so that nothing is left behind by a test that is
//! stopped half-way: the kernel closes the pipe, the process ends, and with it the namespace and its end of the wire.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use super::clients;

/// A network namespace, and the process that holds it.
struct Host {
    holder: Child,
    has_own_users: bool,
}

impl Host {
    /// A host, made from within another if there is one: with the rights there.
    fn new(within: Option<&Host>) -> Option<Host> {
        // Root may make network namespaces. Others may where the kernel lets them be root in a namespace of users.
        let is_root =
            std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut unshare = Command::new("unshare");
        if within.is_none() && !is_root {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.args(["--net", "cat"]);
        let mut command = match within {
            Some(host) => host.enter(unshare),
            None => unshare,
        };
        let mut holder =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        // What is written comes back once the namespace is there; nothing does if it was not allowed.
        _ = holder.stdin.as_mut()?.write_all(b"!");
        let is_there = holder.stdout.as_mut()?.read(&mut [0]).is_ok_and(|len| len == 1);
        let host = Host { holder, has_own_users: !is_root };
        is_there.then_some(host)
    }

    /// The same command, run here.
    fn enter(&self, command: Command) -> Command {
        let mut here = Command::new("nsenter");
        here.stdin(Stdio::null());
        here.args(["--target", &self.holder.id().to_string(), "--net"]);
        if self.has_own_users {
            here.args(["--user", "--preserve-credentials"]);
        }
        here.arg("--").arg(command.get_program()).args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            here.current_dir(dir);
        }
        here
    }

    fn ip(&self, arguments: &str) {
        let mut ip = Command::new("ip");
        ip.args(arguments.split(' '));
        let output = self.enter(ip).output().unwrap();
        assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        _ = self.holder.kill();
        _ = self.holder.wait();
    }
}

/// The two hosts.
pub struct Wire {
    server: Host,
    clients: Host,
}

impl Wire {
    /// Where a server listens.
    pub const LISTEN: &'static str = "192.0.2.1:0";

    /// Lays a wire. `None`, said loudly, where that is not allowed.
    pub fn new() -> Option<Wire> {
        let has_ip = Command::new("ip").arg("-V").output().is_ok();
        if !clients::or_say(has_ip, "ip is missing: apt-get install -y iproute2") {
            return None;
        }
        let hosts = Host::new(None).and_then(|server| Some((Host::new(Some(&server))?, server)));
        let lacking = "network namespaces are not allowed: run this as root, or with user namespaces, or with CAP_SYS_ADMIN";
        clients::or_say(hosts.is_some(), lacking);
        let (clients, server) = hosts?;
        server.ip(&format!("link add wire0 type veth peer name wire0 netns {}", clients.holder.id()));
        for (host, addresses) in
            [(&server, &["192.0.2.1/24", "192.0.2.9/24"][..]), (&clients, &["192.0.2.2/24", "192.0.2.3/24"])]
        {
            addresses.iter().for_each(|address| host.ip(&format!("address add {address} dev wire0")));
            host.ip("link set wire0 up");
            host.ip("link set lo up");
        }
        // Nobody else is there: no need to find out whether an address is taken.
        for (host, address) in [(&server, "1"), (&server, "9"), (&clients, "2"), (&clients, "3")] {
            host.ip(&format!("address add 2001:db8::{address}/64 dev wire0 nodad"));
        }
        Some(Wire { server, clients })
    }

    /// Makes the wire take no packets longer than so many octets. Under 1,280 it has no IPv6 (RFC 8200 section 5).
    pub fn narrow(&self, octets: u32) {
        [&self.server, &self.clients]
            .into_iter()
            .for_each(|host| host.ip(&format!("link set wire0 mtu {octets}")));
    }

    /// The same command, where the server is.
    pub fn on_server(&self, command: Command) -> Command {
        self.server.enter(command)
    }

    /// The same command, where the clients are.
    pub fn on_client(&self, command: Command) -> Command {
        self.clients.enter(command)
    }
}
