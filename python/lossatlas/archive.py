"""A zip whose members can be mapped into memory."""

from __future__ import annotations

import ctypes
import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

LIMIT = 0xFFFFFFFF  # sizes and offsets from here on are written with 64 bits
ALIGNMENT = 64  # bytes


@dataclass
class Member:
    name: str
    size: int
    header: int  # where its local header is
    offset: int  # where its bytes are
    done: int = 0
    crc: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)


class Archive:
    """Stored members whose bytes begin at multiples of ALIGNMENT. Their sizes are known beforehand, so that several can
    be written piece by piece side by side. Dates are fixed: equal problems make equal files."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "wb")
        self.members: dict[str, Member] = {}
        self.end = 0

    def reserve(self, name: str, size: int) -> Member:
        head = 30 + len(name.encode()) + len(self._zip64(size)) + 6
        offset = -(-(self.end + head) // ALIGNMENT) * ALIGNMENT
        member = self.members[name] = Member(name, size, self.end, offset)
        self.end = offset + size
        return member

    def append(self, member: Member, content: Any) -> None:
        view = memoryview(content).cast("B")
        self.file.seek(member.offset + member.done)
        self.file.write(view)
        member.done += len(view)
        member.crc = zlib.crc32(view, member.crc)
        member.sha256.update(view)

    def append_tensor(self, member: Member, tensor: Tensor) -> None:
        tensor = tensor.detach().cpu().contiguous()
        if tensor.numel():
            self.append(member, (ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr()))

    def add(self, name: str, content: Tensor | bytes) -> Member:
        if isinstance(content, Tensor):
            member = self.reserve(name, content.numel() * content.element_size())
            self.append_tensor(member, content)
        else:
            member = self.reserve(name, len(content))
            self.append(member, content)
        return member

    @staticmethod
    def _zip64(size: int, header: int = 0) -> bytes:
        """The extra field for what does not fit into 32 bits: both sizes, and in the directory where the header is."""
        numbers = [size] * 2 * (size >= LIMIT) + [header] * (header >= LIMIT)
        return struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""

    def close(self) -> None:
        directory = b""
        for member in self.members.values():
            if member.done != member.size:
                raise RuntimeError(f"{member.name}: {member.done} of {member.size} bytes were written")
            name, size = member.name.encode(), _short(member.size)

            def fields(extra: bytes) -> bytes:  # UTF-8 names, stored, 1 January 1980
                return struct.pack("<HHHHHIIIHH", 45, 0x800, 0, 0, 0x21, member.crc, size, size, len(name), len(extra))

            extra = self._zip64(member.size)
            padding = member.offset - member.header - 30 - len(name) - len(extra)
            extra += struct.pack("<HHH", 0xD935, padding - 4, ALIGNMENT) + bytes(padding - 6)
            self.file.seek(member.header)
            self.file.write(b"PK\3\4" + fields(extra) + name + extra)
            extra = self._zip64(member.size, member.header)
            directory += (b"PK\1\2" + struct.pack("<H", 45) + fields(extra)
                          + struct.pack("<HHHII", 0, 0, 0, 0, _short(member.header)) + name + extra)
        size, number, short = len(directory), len(self.members), min(len(self.members), 0xFFFF)
        end64 = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, number, number, size, self.end)
        locator = b"PK\6\7" + struct.pack("<IQI", 0, self.end + size, 1)
        end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, short, short, _short(size), _short(self.end), 0)
        self.file.seek(self.end)
        self.file.write(directory + end64 + locator + end)
        self.file.close()


def _short(number: int) -> int:
    """What stands in a field of 32 bits."""
    return number if number < LIMIT else 0xFFFFFFFF
