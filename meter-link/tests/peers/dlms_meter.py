"""A meter for the client's tests: TCP wrapper on a free port, which is printed. MODE: none, low, gmac (suite 0), gmac1
(suite 1), gmac_replaying (sends its second sealed answer again). Messages are taken apart and sealed by the package
dlms-cosem, so that the client is not tested against its own understanding. Keys are made up.
"""

import socket
import struct
import sys
from datetime import datetime, timedelta, timezone

from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from dlms_cosem import enumerations, security
from dlms_cosem.protocol import acse, xdlms
from dlms_cosem.time import datetime_to_bytes

TITLE = b"XYZ\0\0\0\0\x02"
MASTER = b"\xaa" * 16
START = datetime(2026, 3, 1, tzinfo=timezone.utc)
ROWS = 30 * 96
BLOCK = 900
LDN = b"XYZ0000000000002"


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


def row(number):
    return b"\x02\x02" + stamp(START + number * timedelta(minutes=15)) + b"\x06" + struct.pack(">I", 100_000 + 7 * number)


def column(kind, code):
    return b"\x02\x04\x12" + struct.pack(">H", kind) + b"\x09\x06" + bytes(code) + b"\x0f\x02\x12\0\0"


def rows(first, last):
    return b"\x01" + length(last - first) + b"".join(map(row, range(first, last)))


class Meter:
    keys = {0: b"\x01" * 16, 2: b"\x02" * 16}
    highest = -1
    counter = 0

    def __init__(self, mode):
        self.mode, self.rest, self.sealed, self.last, self.answers = mode, b"", False, b"", 0
        suite = 1 if mode == "gmac1" else 0
        self.control = security.SecurityControlField(security_suite=suite, authenticated=True, encrypted=True)
        self.tag = security.SecurityControlField(security_suite=suite, authenticated=True, encrypted=False)

    def seal(self, plain):
        Meter.counter += 1
        text = security.encrypt(
            self.control, TITLE, Meter.counter, Meter.keys[0], bytes(plain), Meter.keys[2]
        )
        return self.control.to_bytes() + struct.pack(">I", Meter.counter) + text

    def open(self, sealed):
        counter = int.from_bytes(sealed[1:5], "big")
        if counter <= Meter.highest:
            raise ValueError("replayed")
        control = security.SecurityControlField.from_bytes(sealed[:1])
        plain = security.decrypt(control, self.client, counter, Meter.keys[0], bytes(sealed[5:]), Meter.keys[2])
        Meter.highest = counter
        return bytes(plain)

    def proof(self, title, counter, challenge):
        tag = security.gmac(self.tag, title, counter, Meter.keys[0], Meter.keys[2], challenge)
        return self.tag.to_bytes() + struct.pack(">I", counter) + tag

    def associate(self, apdu):
        request = acse.ApplicationAssociationRequest.from_bytes(apdu)
        self.client, content, more = request.system_title, request.user_information.content, {}
        result, reason = enumerations.AssociationResult.ACCEPTED, enumerations.AcseServiceUserDiagnostics.NULL
        self.sealed = self.mode.startswith("gmac")
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

    def value(self, kind, code, attribute, selection):
        code = tuple(code[:5])
        if (kind, code, attribute) == (7, (1, 0, 99, 1, 0), 2):
            if not selection:
                return rows(0, ROWS)
            first, last = struct.unpack(">xxxxIxI", selection[:13])
            return rows(first - 1, last or ROWS)
        return {
            (1, (0, 0, 42, 0, 0), 2): b"\x09" + length(len(LDN)) + LDN,
            (8, (0, 0, 1, 0, 0), 2): stamp(START),
            (3, (1, 0, 1, 8, 0), 2): b"\x06" + struct.pack(">I", 123_456),
            (3, (1, 0, 1, 8, 0), 3): b"\x02\x02\x0f\x01\x16\x1e",
            (7, (1, 0, 99, 1, 0), 3): b"\x01\x02" + column(8, (0, 0, 1, 0, 0, 255)) + column(3, (1, 0, 1, 8, 0, 255)),
            (7, (1, 0, 99, 1, 0), 4): b"\x06" + struct.pack(">I", 900),
        }.get((kind, code, attribute))

    def get(self, apdu):
        invoke = apdu[2:3]
        if apdu[1] == 2:
            number = int.from_bytes(apdu[3:7], "big") + 1
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
            self.rest, number = answers[0][1:], 1
        part, self.rest = self.rest[:BLOCK], self.rest[BLOCK:]
        is_last = bytes([not self.rest])
        return b"\xc4\x02" + invoke + is_last + struct.pack(">I", number) + b"\0" + length(len(part)) + part

    def act(self, apdu):
        request = xdlms.ActionRequestFactory.from_bytes(apdu)
        kind, method, data = request.cosem_method.interface.value, request.cosem_method.method, bytes(request.data)
        if (kind, method) == (15, 1):
            proof = take(data[1:])
            if proof != self.proof(self.client, int.from_bytes(proof[1:5], "big"), self.ours):
                return b"\xc7\x01" + apdu[2:3] + b"\x03\0"
            Meter.counter += 1
            proof = self.proof(TITLE, Meter.counter, self.theirs)
            return b"\xc7\x01" + apdu[2:3] + b"\0\x01\0\x09" + length(len(proof)) + proof
        if (kind, method) == (64, 2):
            self.new = {}
            for part in data[2:].split(b"\x02\x02\x16")[1:]:
                self.new[part[0]] = aes_key_unwrap(MASTER, take(part[2:]))
            return b"\xc7\x01" + apdu[2:3] + b"\0\0"
        return b"\xc7\x01" + apdu[2:3] + b"\x04\0"

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
            Meter.keys = {**Meter.keys, **self.new}
        self.answers += 1
        if self.mode == "gmac_replaying" and self.answers > 2:
            return self.last
        self.last = whole
        return whole


def serve(connection, mode):
    meter, buffer = Meter(mode), b""
    while chunk := connection.recv(4096):
        buffer += chunk
        while len(buffer) >= 8 and len(buffer) >= 8 + (size := int.from_bytes(buffer[6:8], "big")):
            source, target, apdu, buffer = buffer[2:4], buffer[4:6], buffer[8 : 8 + size], buffer[8 + size :]
            try:
                answer = meter.answer(apdu)
            except Exception as error:
                print(type(error).__name__, error, file=sys.stderr)
                answer = b"\xd8\x01\x02"
            connection.sendall(b"\0\x01" + target + source + struct.pack(">H", len(answer)) + answer)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        serve(listener.accept()[0], sys.argv[1])
