"""A meter for the client's tests: TCP on a port, which is printed. MODE: none, low, gmac (suite 0), gmac1, gmac2 (suites 1, 2),
gmac_replaying (sends its second sealed answer again). Messages are taken apart and sealed, and HDLC frames written, by the
package dlms-cosem, so that the client is not tested against its own understanding. Keys are made up.

--hdlc: HDLC instead of the wrapper. --live: the clock runs, registers rise, and the profile ends at the last quarter of an
hour; else everything stands still. --port: this one instead of a free one. --state FILE: counters survive a kill, as a
meter's do. --no-list: keeps the list of its objects to itself. --selects: how rows of the profile may be asked for. The public client reads the invocation counter and nothing
else of a meter that seals.

Keys: transfer under the master key, and agreement in suites 1 and 2 (curves by the package cryptography). --says SUITE: the
suite that the security setup names, and that keys which are taken belong to. --half: takes only the first key of each
transfer, and says that all are taken. --deaf: takes none, and says so. --lies: takes none, and says that all are taken.
"""

import argparse
import json
import os
import socket
import struct
import sys
from datetime import datetime, timedelta, timezone

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from dlms_cosem import crc, enumerations, security
from dlms_cosem.hdlc import address, frames
from dlms_cosem.protocol import acse, xdlms
from dlms_cosem.time import datetime_to_bytes

TITLE = b"XYZ\0\0\0\0\x02"
ROWS = 30 * 96
PERIOD = timedelta(minutes=15)
BLOCK = 900
LDN = b"XYZ0000000000002"
PUBLIC = 16


def length(count):
    if count < 128:
        return bytes([count])
    return b"\x82" + struct.pack(">H", count)


def take(data):
    """Octets with their length in front."""
    if data[0] < 128:
        return data[1 : 1 + data[0]]
    size = data[0] & 0x7F
    count = int.from_bytes(data[1 : 1 + size], "big")
    return data[1 + size : 1 + size + count]


def stamp(moment):
    return b"\x09\x0c" + datetime_to_bytes(moment)


def octets(text):
    return b"\x09" + length(len(text)) + text


def number(value):
    return b"\x06" + struct.pack(">I", value)


class Standing:
    """The first of March 2026, for ever."""

    start = now = datetime(2026, 3, 1, tzinfo=timezone.utc)

    def register(self):
        return 123_456


class Running:
    """Now. A register rises by 7 every quarter of an hour."""

    @property
    def now(self):
        return datetime.now(timezone.utc).replace(microsecond=0)

    @property
    def start(self):
        return self.now.replace(minute=self.now.minute // 15 * 15, second=0) - (ROWS - 1) * PERIOD

    def register(self):
        return registered(self.now)


def registered(moment):
    return 100_000 + 7 * int((moment - Standing.start) / PERIOD)


def row(moment, value):
    return b"\x02\x02" + stamp(moment) + number(value)


def column(kind, code):
    return b"\x02\x04\x12" + struct.pack(">H", kind) + b"\x09\x06" + bytes(code) + b"\x0f\x02\x12\0\0"


def listed(kind, code):
    """An object as the association lists it: no rights told."""
    return b"\x02\x04\x12" + struct.pack(">H", kind) + b"\x11\0\x09\x06" + bytes(code) + b"\x02\x02\x01\0\x01\0"


def parts(data):
    """Key and octets of an array of pairs."""
    place = 2
    for _ in range(data[1]):
        if data[place : place + 3] != b"\x02\x02\x16" or data[place + 4] != 9:
            raise ValueError("no pair of key and octets")
        octets = take(data[place + 5 :])
        yield data[place + 3], octets
        place += 6 + (data[place + 5] & 0x7F if data[place + 5] & 0x80 else 0) + len(octets)


class Curve:
    """What suites 1 and 2 reckon with. The private keys of both sides are made up, so the test knows them too."""

    def __init__(self, suite):
        self.curve, self.hash, self.half, self.size, arc = {
            1: (ec.SECP256R1(), hashes.SHA256(), 32, 16, 0),
            2: (ec.SECP384R1(), hashes.SHA384(), 48, 32, 1),
        }[suite]
        self.algorithm = b"\x60\x85\x74\x05\x08\x03" + bytes([arc])
        self.signing, client = (
            ec.derive_private_key(int.from_bytes(byte * self.half, "big"), self.curve) for byte in (b"\x21", b"\x22")
        )
        self.client = client.public_key()

    def public(self, key):
        numbers = key.public_key().public_numbers()
        return numbers.x.to_bytes(self.half, "big") + numbers.y.to_bytes(self.half, "big")

    def agree(self, number, offer, title):
        """Our part, and the key. The offer's signature has to hold."""
        public, signature = offer[: 2 * self.half], offer[2 * self.half :]
        halves = [int.from_bytes(signature[place : place + self.half], "big") for place in (0, self.half)]
        self.client.verify(encode_dss_signature(*halves), bytes([number]) + public, ec.ECDSA(self.hash))
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(self.curve, b"\x04" + public)
        ephemeral = ec.generate_private_key(self.curve)
        digest = hashes.Hash(self.hash)
        digest.update(b"\0\0\0\x01" + ephemeral.exchange(ec.ECDH(), theirs) + self.algorithm + title + TITLE)
        ours = self.public(ephemeral)
        signature = decode_dss_signature(self.signing.sign(bytes([number]) + ours, ec.ECDSA(self.hash)))
        return ours + b"".join(half.to_bytes(self.half, "big") for half in signature), digest.finalize()[: self.size]


class Meter:
    keys = {0: b"\x01" * 16, 2: b"\x02" * 16, 3: b"\xaa" * 16}
    suite = 0
    highest = -1
    counter = 0

    def __init__(self, options):
        self.mode, self.options, self.client = options.mode, options, 0
        self.rest, self.sealed, self.last, self.answers, self.new = b"", False, b"", 0, None
        self.time = Running() if options.live else Standing()

    @property
    def control(self):
        return security.SecurityControlField(security_suite=Meter.suite, authenticated=True, encrypted=True)

    @property
    def tag(self):
        return security.SecurityControlField(security_suite=Meter.suite, authenticated=True, encrypted=False)

    def keep(self):
        if self.options.state:
            keys = {number: key.hex() for number, key in Meter.keys.items()}
            with open(self.options.state + ".new", "w") as file:
                json.dump([Meter.highest, Meter.counter, Meter.suite, keys], file)
            os.replace(self.options.state + ".new", self.options.state)

    def seal(self, plain):
        Meter.counter += 1
        self.keep()
        text = security.encrypt(
            self.control, TITLE, Meter.counter, Meter.keys[0], bytes(plain), Meter.keys[2]
        )
        return self.control.to_bytes() + struct.pack(">I", Meter.counter) + text

    def open(self, sealed):
        counter = int.from_bytes(sealed[1:5], "big")
        if counter <= Meter.highest:
            raise ValueError("replayed")
        control = security.SecurityControlField.from_bytes(sealed[:1])
        plain = security.decrypt(control, self.title, counter, Meter.keys[0], bytes(sealed[5:]), Meter.keys[2])
        Meter.highest = counter
        self.keep()
        return bytes(plain)

    def proof(self, title, counter, challenge):
        tag = security.gmac(self.tag, title, counter, Meter.keys[0], Meter.keys[2], challenge)
        return self.tag.to_bytes() + struct.pack(">I", counter) + tag

    def associate(self, apdu):
        request = acse.ApplicationAssociationRequest.from_bytes(apdu)
        self.title, content, more = request.system_title, request.user_information.content, {}
        result, reason = enumerations.AssociationResult.ACCEPTED, enumerations.AcseServiceUserDiagnostics.NULL
        self.sealed = self.mode.startswith("gmac") and self.client != PUBLIC
        if self.sealed:
            text = content.security_control.to_bytes() + struct.pack(">I", content.invocation_counter)
            xdlms.InitiateRequest.from_bytes(self.open(text + content.ciphered_text))
            self.theirs, self.ours = request.authentication_value, b"the meter's word"
            reason = enumerations.AcseServiceUserDiagnostics.AUTHENTICATION_REQUIRED
            more = {
                "authentication": enumerations.AuthenticationMechanism.HLS_GMAC,
                "authentication_value": self.ours,
                "system_title": TITLE,
            }
        if self.mode == "low" and request.authentication_value != b"made up":
            result = enumerations.AssociationResult.REJECTED_PERMANENT
            reason = enumerations.AcseServiceUserDiagnostics.AUTHENTICATION_FAILED
        if self.client not in (1, PUBLIC):
            result = enumerations.AssociationResult.REJECTED_PERMANENT
            reason = enumerations.AcseServiceUserDiagnostics.NO_REASON_GIVEN
        conformance = xdlms.Conformance(
            get=True, action=True, selective_access=True, block_transfer_with_get_or_read=True,
            multiple_references=True, general_protection=self.sealed,
        )
        answer = xdlms.InitiateResponse(negotiated_conformance=conformance, server_max_receive_pdu_size=1024)
        if self.sealed:
            text = self.seal(answer.to_bytes())
            answer = xdlms.GlobalCipherInitiateResponse(self.control, Meter.counter, text[5:])
        return acse.ApplicationAssociationResponse(
            result=result, result_source_diagnostics=reason, ciphered=self.sealed,
            user_information=acse.UserInformation(content=answer), **more,
        ).to_bytes()

    def profile(self, selection):
        allowed = {"time": b"\x01\x02", "place": b"\x02", "nothing": b""}[self.options.selects]
        if selection and selection[0] not in allowed:
            return None
        start = self.time.start
        at = [(start + place * PERIOD, place) for place in range(ROWS)]
        if selection[:1] == b"\x02":
            first, last = struct.unpack(">xxxxIxI", selection[:13])
            at = at[first - 1 : last or ROWS]
        elif selection[:1] == b"\x01":
            ends = [selection[place + 2 : place + 14] for place in (21, 35)]
            first, last = (datetime(*struct.unpack(">HBBxBBB", end[:8]), tzinfo=timezone.utc) for end in ends)
            deviations = [struct.unpack(">h", end[9:11])[0] for end in ends]
            first, last = (end + timedelta(minutes=more) for end, more in zip((first, last), deviations))
            at = [(moment, place) for moment, place in at if first <= moment <= last]
        value = (lambda moment, _: registered(moment)) if self.options.live else (lambda _, place: 100_000 + 7 * place)
        return b"\x01" + length(len(at)) + b"".join(row(moment, value(moment, place)) for moment, place in at)

    def value(self, kind, code, attribute, selection):
        code = tuple(code[:5])
        if (kind, code, attribute) == (1, (0, 0, 43, 1, 0), 2):
            return number(max(Meter.highest, 0))
        if self.mode.startswith("gmac") and not self.sealed:
            return None
        if (kind, code, attribute) == (7, (1, 0, 99, 1, 0), 2):
            return self.profile(selection)
        if (kind, code, attribute) == (15, (0, 0, 40, 0, 0), 2) and not self.options.no_list:
            objects = [(1, (0, 0, 42, 0, 0, 255)), (8, (0, 0, 1, 0, 0, 255)), (3, (1, 0, 1, 8, 0, 255))]
            objects += [(7, (1, 0, 99, 1, 0, 255)), (70, (0, 0, 96, 3, 10, 255)), (3, (1, 0, 99, 99, 9, 255))]
            return b"\x01" + length(len(objects)) + b"".join(listed(*one) for one in objects)
        if (kind, code, attribute) == (64, (0, 0, 43, 0, 0), 3):
            return b"\x16" + bytes([Meter.suite if self.options.says is None else self.options.says])
        columns = column(8, (0, 0, 1, 0, 0, 255)) + column(3, (1, 0, 1, 8, 0, 255))
        return {
            (1, (0, 0, 42, 0, 0), 2): octets(LDN),
            (8, (0, 0, 1, 0, 0), 2): stamp(self.time.now),
            (3, (1, 0, 1, 8, 0), 2): number(self.time.register()),
            (3, (1, 0, 1, 8, 0), 3): b"\x02\x02\x0f\x01\x16\x1e",
            (7, (1, 0, 99, 1, 0), 3): b"\x01\x02" + columns,
            (7, (1, 0, 99, 1, 0), 4): number(900),
            (7, (1, 0, 99, 1, 0), 7): number(ROWS),
        }.get((kind, code, attribute))

    def get(self, apdu):
        invoke = apdu[2:3]
        if apdu[1] == 2:
            block = int.from_bytes(apdu[3:7], "big") + 1
        else:
            requests, many = apdu[3:], apdu[1] == 3
            if many:
                requests = requests[1:]
            answers = []
            while requests:
                kind, code, attribute = int.from_bytes(requests[:2], "big"), requests[2:8], requests[8]
                selection = requests[10:] if requests[9] else b""
                requests = b"" if selection else requests[10:]
                value = self.value(kind, code, attribute, selection)
                answers.append(b"\x01\x04" if value is None else b"\x00" + value)
            if many:
                return b"\xc4\x03" + invoke + length(len(answers)) + b"".join(answers)
            if len(answers[0]) <= BLOCK:
                return b"\xc4\x01" + invoke + answers[0]
            self.rest, block = answers[0][1:], 1
        part, self.rest = self.rest[:BLOCK], self.rest[BLOCK:]
        is_last = bytes([not self.rest])
        return b"\xc4\x02" + invoke + is_last + struct.pack(">I", block) + b"\0" + length(len(part)) + part

    def act(self, apdu):
        request = xdlms.ActionRequestFactory.from_bytes(apdu)
        kind, method, data = request.cosem_method.interface.value, request.cosem_method.method, bytes(request.data)
        if (kind, method) == (15, 1):
            proof = take(data[1:])
            if proof != self.proof(self.title, int.from_bytes(proof[1:5], "big"), self.ours):
                return b"\xc7\x01" + apdu[2:3] + b"\x03\0"
            Meter.counter += 1
            proof = self.proof(TITLE, Meter.counter, self.theirs)
            return b"\xc7\x01" + apdu[2:3] + b"\0\x01\0\x09" + length(len(proof)) + proof
        if (kind, method) == (64, 2):
            return b"\xc7\x01" + apdu[2:3] + bytes([self.transfer(data), 0])
        if (kind, method) == (64, 3) and Meter.suite:
            ((number, offer),) = parts(data)
            try:
                answer, self.new = Curve(Meter.suite).agree(number, offer, self.title)
            except InvalidSignature:
                return b"\xc7\x01" + apdu[2:3] + b"\xfa\0"
            self.new = {number: self.new}
            pair = b"\x01\x01\x02\x02\x16" + bytes([number]) + b"\x09" + length(len(answer)) + answer
            return b"\xc7\x01" + apdu[2:3] + b"\0\x01\0" + pair
        return b"\xc7\x01" + apdu[2:3] + b"\x04\0"

    def transfer(self, data):
        """The result. Nothing is taken of keys whose wrapping does not hold, or whose length no suite of ours has."""
        if self.options.deaf:
            return 3
        try:
            new = {number: aes_key_unwrap(Meter.keys[3], wrapped) for number, wrapped in parts(data)}
        except InvalidUnwrap:
            return 250
        if not self.options.lies:
            self.new = dict(list(new.items())[: 1 if self.options.half else None])
        return 0

    def adopt(self):
        """From the next message on."""
        Meter.keys = {**Meter.keys, **self.new}
        if self.options.says is not None and set(self.new) & {0, 2}:
            Meter.suite = self.options.says
        self.keep()

    def plain(self, apdu):
        return self.get(apdu) if apdu[0] == 0xC0 else self.act(apdu)

    def answer(self, apdu):
        if apdu[0] == 0x60:
            return self.associate(apdu)
        if apdu[0] == 0x62:
            return b"\x63\x03\x80\x01\0"
        if not self.sealed:
            return self.plain(apdu)
        self.new, general = None, apdu[0] == 0xDB
        answer = self.plain(self.open(take(apdu[10:] if general else apdu[1:])))
        sealed = self.seal(answer)
        head = b"\xdb\x08" + TITLE if general else bytes([answer[0] + 8])
        whole = head + length(len(sealed)) + sealed
        if self.new:
            self.adopt()
        self.answers += 1
        if self.mode == "gmac_replaying" and self.answers > 2:
            return self.last
        self.last = whole
        return whole

    def asked(self, client, apdu):
        self.client = client
        try:
            return self.answer(apdu)
        except Exception as error:
            print(type(error).__name__, error, file=sys.stderr)
            return b"\xd8\x01\x02"


def serve(connection, meter):
    buffer = b""
    while chunk := connection.recv(4096):
        buffer += chunk
        while len(buffer) >= 8 and len(buffer) >= 8 + (size := int.from_bytes(buffer[6:8], "big")):
            source, target, apdu, buffer = buffer[2:4], buffer[4:6], buffer[8 : 8 + size], buffer[8 + size :]
            answer = meter.asked(int.from_bytes(source, "big"), apdu)
            connection.sendall(b"\0\x01" + target + source + struct.pack(">H", len(answer)) + answer)


def frames_of(buffer):
    """Whole frames, without their flags, and what is left. All addresses here are of one byte."""
    found = []
    while (start := buffer.find(b"\x7e")) >= 0 and len(buffer) >= start + 3:
        if buffer[start + 1] == 0x7E:
            buffer = buffer[start + 1 :]
            continue
        size = int.from_bytes(buffer[start + 1 : start + 3], "big") & 0x7FF
        if len(buffer) < start + size + 2:
            return found, buffer[start:]
        frame, buffer = buffer[start + 1 : start + 1 + size], buffer[start + 1 + size :]
        if frame and crc.CRCCCITT().calculate_for(frame[:-2]) == frame[-2:]:
            found.append(frame)
    return found, buffer


def serve_hdlc(connection, meter):
    """One client at a time, window 1, 128 bytes per frame: what both sides do unless they agree on more."""
    buffer, message, parts, sending, expecting = b"", b"", [], 0, 0
    server = address.HdlcAddress(1, None, "server")

    def part():
        nonlocal sending
        payload, parts[:] = parts[0], parts[1:]
        frame = frames.InformationFrame(client, server, payload, bool(parts), True, sending, expecting)
        sending = (sending + 1) % 8
        connection.sendall(frame.to_bytes())

    while chunk := connection.recv(4096):
        found, buffer = frames_of(buffer + chunk)
        for frame in found:
            client, control = address.HdlcAddress(frame[3] >> 1), frame[4]
            if control in (0x93, 0x53):
                message, parts, sending, expecting = b"", [], 0, 0
                connection.sendall(frames.UnNumberedAcknowledgmentFrame(client, server, b"\x81\x80\0").to_bytes())
            elif control & 0x0F == 1 and control >> 5 == sending and parts:
                part()
            elif control & 1 == 0 and control >> 1 & 7 == expecting:
                expecting = (expecting + 1) % 8
                message += frame[7:-2]
                if frame[0] & 8:
                    connection.sendall(
                        frames.ReceiveReadyFrame(client, server, receive_sequence_number=expecting).to_bytes()
                    )
                    continue
                answer, message = b"\xe6\xe7\0" + meter.asked(client.logical_address, message[3:]), b""
                parts = [answer[place : place + 128] for place in range(0, len(answer), 128)]
                part()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("mode")
    parser.add_argument("--hdlc", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--no-list", action="store_true")
    parser.add_argument("--selects", choices=["time", "place", "nothing"], default="time")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--lies", action="store_true")
    parser.add_argument("--says", type=int)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state")
    options = parser.parse_args()
    Meter.suite = {"gmac1": 1, "gmac2": 2}.get(options.mode, 0)
    if options.mode == "gmac2":
        Meter.keys = {number: key * 2 for number, key in Meter.keys.items()}
    if options.state and os.path.exists(options.state):
        with open(options.state) as file:
            Meter.highest, Meter.counter, Meter.suite, keys = json.load(file)
            Meter.keys = {int(number): bytes.fromhex(key) for number, key in keys.items()}
    listener = socket.create_server(("127.0.0.1", options.port))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection = listener.accept()[0]
        try:
            (serve_hdlc if options.hdlc else serve)(connection, Meter(options))
        except ConnectionError:
            pass
        connection.close()
