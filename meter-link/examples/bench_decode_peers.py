"""The peers written in Python: `PEER FILE` prints frames, sum of watts, and nanoseconds of the fastest pass.

`cargo xtask bench decode` runs it. One function for each peer takes the bytes and gives frames and watts.
"""

import sys
import time


def dsmr_parser(data):
    """Framing, checksum, all objects of its DSMR 5 specification. A line not in it is passed over."""
    from dsmr_parser import obis_references, telegram_specifications
    from dsmr_parser.clients.telegram_buffer import TelegramBuffer
    from dsmr_parser.parsers import TelegramParser

    parser = TelegramParser(telegram_specifications.V5)
    buffer, frames, watts = TelegramBuffer(), 0, 0
    text = data.decode("ascii")
    for start in range(0, len(text), 4096):
        buffer.append(text[start : start + 4096])
        for telegram in buffer.get_all():
            read = parser.parse(telegram)
            frames += 1
            watts += int(read[obis_references.CURRENT_ELECTRICITY_USAGE].value * 1000)
    return frames, watts


PEERS = {"dsmr-parser": dsmr_parser}

if __name__ == "__main__":
    peer, path = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    fastest = None
    for _ in range(3):
        start = time.perf_counter_ns()
        frames, watts = PEERS[peer](data)
        taken = time.perf_counter_ns() - start
        fastest = taken if fastest is None else min(fastest, taken)
    print(frames, watts, fastest)
