"""What comes before the program of each test that runs Python: where the server is, and what dnspython takes many words
for. Arguments: the server's address and port. The working directory has the key files."""

import sys
import time

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update

SERVER, PORT = sys.argv[1], int(sys.argv[2])
ZONE = "pool.example."
PATIENCE_S = 10


def secret(name):
    with open(name + ".key") as file:
        return file.read().split('"')[3]


def update(key=None, algorithm="hmac-sha256", named=None):
    """An empty UPDATE, signed with the secret in a key's file if there is one, in that key's name or another."""
    message = dns.update.UpdateMessage(ZONE)
    if key:
        message.use_tsig(dns.tsig.Key(named or key, secret(key), algorithm))
    return message


def udp(message, **more):
    return dns.query.udp(message, SERVER, PATIENCE_S, PORT, **more)


def tcp(message, **more):
    return dns.query.tcp(message, SERVER, PATIENCE_S, PORT, **more)


def options(reply, code):
    """The octets of each EDNS option of this code."""
    return [option.to_wire() for option in reply.options if option.otype == code]


def told(reply):
    """The RCODE, and what a refusal says in words."""
    words = [option.text for option in reply.options if option.otype == dns.edns.OptionType.EDE]
    return " ".join([dns.rcode.to_text(reply.rcode()), *words])
