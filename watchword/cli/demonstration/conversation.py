"""What is said in the demonstration: both ways, in many scripts, and a picture."""

import struct
import zlib
from collections.abc import Sequence

LINES: Sequence[tuple[str, str, str]] = (
    ("English", "alice", "The source is safe. We publish at noon."),
    ("Arabic", "bob", "وصلت الوثائق بأمان إلى المكتب"),
    ("Chinese", "alice", "明天上午十点在老地方见面"),
    ("Hindi", "bob", "कृपया इस संदेश को किसी के साथ साझा न करें"),
    ("Japanese", "alice", "写真は暗号化して送ります"),
    ("Lithuanian", "bob", "Šaltinis paprašė apsaugoti jo tapatybę"),
    ("Dutch", "alice", "We hebben het bestand ontvangen en gecontroleerd"),
    ("French", "bob", "La réunion est déplacée à vingt heures précises"),
    ("Russian", "alice", "Не отвечайте на звонки с неизвестных номеров"),
    ("Thai", "bob", "พบกันที่สำนักงานพรุ่งนี้เช้า"),
    ("Hebrew", "alice", "הקובץ נמחק מכל המכשירים הישנים"),
    ("Ukrainian", "bob", "Зустріч перенесено на п'ятницю ввечері"),
    ("Greek", "alice", "Το κλειδί άλλαξε σήμερα το πρωί"),
    ("Korean", "bob", "회의실 비밀번호가 바뀌었습니다"),
    ("Amharic", "alice", "ሰነዱ በደህና ደርሷል እናመሰግናለን"),
    ("Georgian", "bob", "გთხოვთ დაადასტუროთ მიღება"),
    ("emoji", "alice", "🕊️🔐🌍 → ✅"),
)
"""(language, who says it, what)."""


def picture(seed: bytes, side: int = 96) -> bytes:
    """A PNG of side × side coloured squares, different for every seed (32 bytes)."""
    rows = []
    for y in range(side):
        row = bytearray(b"\0")
        for x in range(side):
            shade = seed[(x // 12 + 8 * (y // 12)) % len(seed)]
            row += bytes((shade, (shade * 3 + x) & 255, (shade * 7 + y) & 255))
        rows.append(bytes(row))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(b"".join(rows), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
