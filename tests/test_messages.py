"""What crosses the pipes arrives whole, however it is cut.

Owns: both ends' reading of messages: the worker's `Incoming`, and `Worker.messages` in the pool.

May not know: what is in a message. Its neighbour is test_engine.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from flowy.local.mailbox import Mailbox
from flowy.local.process import Worker
from flowy.local.worker import HEADER, Incoming

SENT = [(0, 7, b"function"), (1, 8, b""), (1, 9, bytes(range(256)) * 2000), (1, 10, b"last")]
STREAM = b"".join(HEADER.pack(kind, number, len(data)) + data for kind, number, data in SENT)


def pieces(size: int) -> Iterator[bytes]:
    return (STREAM[at : at + size] for at in range(0, len(STREAM), size))


@pytest.mark.parametrize("size", [1, HEADER.size - 1, HEADER.size, 25, 4096, len(STREAM)])
def test_replies_arrive_whole(size: int) -> None:
    worker = Worker.__new__(Worker)
    worker.input, worker.wanted = bytearray(), HEADER.size
    buffer = bytearray(len(STREAM))  # the same for each piece, as in the pool
    found = []
    for piece in pieces(size):
        buffer[: len(piece)] = piece
        for kind, number, payload in worker.messages(memoryview(buffer)[: len(piece)]):
            found.append((kind, number, bytes(payload)))
    assert found == SENT
    assert not worker.input


@pytest.mark.parametrize("size", [HEADER.size - 1, 25, 4096, len(STREAM)])
def test_batches_arrive_whole(size: int) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        for piece in pieces(size):
            left = memoryview(piece)
            while left:
                left = left[os.write(writing, left) :]
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    incoming = Incoming(reading)
    try:
        assert [incoming.take() for _ in SENT] == SENT
        assert incoming.take() is None
    finally:
        writer.join()
        os.close(reading)


@pytest.mark.parametrize("end", [HEADER.size - 1, HEADER.size + 3])
def test_half_a_message_is_none(end: int) -> None:
    reading, writing = os.pipe()
    os.write(writing, STREAM[:end])
    os.close(writing)
    assert Incoming(reading).take() is None
    os.close(reading)


def test_a_nudge_is_kept_and_an_item_found() -> None:
    mailbox = Mailbox()
    mailbox.nudge()
    mailbox.wait(None)  # does not sleep
    mailbox.put("item")
    mailbox.wait(None)
    assert mailbox.take() == ["item"]
    asleep = threading.Thread(target=mailbox.wait, args=(None,))
    asleep.start()
    mailbox.put("another")
    asleep.join(60)
    assert not asleep.is_alive()
    assert mailbox.take() == ["another"]
