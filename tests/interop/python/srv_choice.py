"""Two clients that choose among SRV records as RFC 2782 has it: dnspython, and GLib's GResolver (libgio), by way of ctypes.
Before this comes the prelude, then what is asked of it: RESOLVER (address and port), CHOICES (how many are made for each pool),
EVERY (how many of them from one answer) and POOLS. For each pool and client it prints pool, client, how often each member was
the first to be tried, and how often the second."""

import ctypes
import itertools
import socket

import dns.rdatatype

gio, glib = ctypes.CDLL("libgio-2.0.so.0"), ctypes.CDLL("libglib-2.0.so.0")


class Link(ctypes.Structure):
    pass


Links = ctypes.POINTER(Link)
Link._fields_ = [("data", ctypes.c_void_p), ("next", Links), ("prev", Links)]

for function, result, *arguments in (
    (gio.g_srv_target_new, ctypes.c_void_p, ctypes.c_char_p, *[ctypes.c_uint16] * 3),
    (gio.g_srv_target_free, None, ctypes.c_void_p),
    (gio.g_srv_target_list_sort, Links, Links),
    (glib.g_list_prepend, Links, Links, ctypes.c_void_p),
    (glib.g_list_free, None, Links),
):
    function.restype, function.argtypes = result, arguments


def place(target):
    """Of m1 to m4, from 0 on."""
    return int(target.labels[0][1:]) - 1


class Dnspython:
    name = "dnspython"

    def __init__(self, records):
        self.records = records

    def choose(self):
        return [place(record.target) for record in self.records.processing_order()[:2]]


class Glib:
    name = "GLib"

    def __init__(self, records):
        self.places = {
            gio.g_srv_target_new(str(record.target).encode(), record.port, record.priority, record.weight):
            place(record.target)
            for record in records
        }

    def choose(self):
        links = None
        for target in self.places:
            links = glib.g_list_prepend(links, target)
        links = gio.g_srv_target_list_sort(links)
        chosen = [self.places[links[0].data], self.places[links[0].next[0].data]]
        glib.g_list_free(links)
        return chosen

    def __del__(self):
        for target in self.places:
            gio.g_srv_target_free(target)


resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
resolver.connect(RESOLVER)
resolver.setblocking(False)


def ask(pool):
    question = dns.message.make_query(f"_http._tcp.{pool}.{ZONE}", "SRV")
    reply = dns.query.udp(question, RESOLVER[0], PATIENCE_S, RESOLVER[1], sock=resolver)
    records = reply.find_rrset(reply.answer, question.question[0].name, 1, dns.rdatatype.SRV)
    assert reply.rcode() == 0 and len(records) == 4, reply
    return records


for pool in POOLS:
    # Both at once: what a resolver keeps, the second is given too.
    for client, records in [(client, ask(pool)) for client in (Dnspython, Glib)]:
        tried = [0] * 4, [0] * 4
        for number in range(CHOICES):
            if number % EVERY == 0:
                chooser = client(records if number == 0 else ask(pool))
            for counts, member in zip(tried, chooser.choose()):
                counts[member] += 1
        print(pool, client.name, *itertools.chain(*tried))
