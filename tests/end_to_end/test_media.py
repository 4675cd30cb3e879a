"""Media through real sockets: parts of files, thumbnails of a real limited process, deletion."""

import io
from collections.abc import Mapping

from PIL import Image

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.people import Person, fresh
from tests.end_to_end.harness.servers import Server
from tests.end_to_end.harness.wire import Answer

_V1 = "/_matrix/client/v1/media"


def _asks(person: Person, server: Server, method: str, target: str, headers: Mapping[str, str] | None = None) -> Answer:
    return wire.ask(server.client, method, target, None, {"authorization": f"Bearer {person.token}", **(headers or {})})


def _uploads(person: Person, server: Server, data: bytes, kind: str) -> str:
    headers = {"authorization": f"Bearer {person.token}", "content-type": kind}
    answer = wire.ask(server.client, "POST", "/_matrix/media/v3/upload", data, headers)
    return str(answer.json["content_uri"]).removeprefix("mxc://")


def _photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (1_600, 1_200), (90, 120, 200)).save(out, "JPEG")
    return out.getvalue()


def test_a_file_comes_in_parts_and_only_if_it_is_not_known(north: Server) -> None:
    alice = Person.provisioned(north, fresh("alice"))
    content = bytes(range(256)) * 4_000
    target = f"{_V1}/download/{_uploads(alice, north, content, 'application/octet-stream')}"
    whole = _asks(alice, north, "GET", target)
    assert (whole.status, whole.body, whole.headers["accept-ranges"]) == (200, content, "bytes")
    part = _asks(alice, north, "GET", target, {"range": "bytes=1000-500999"})
    assert (part.status, part.body) == (206, content[1_000:501_000])
    assert part.headers["content-range"] == f"bytes 1000-500999/{len(content)}"
    assert _asks(alice, north, "GET", target, {"range": f"bytes={len(content)}-"}).status == 416
    known = _asks(alice, north, "GET", target, {"if-none-match": whole.headers["etag"]})
    assert (known.status, known.body) == (304, b"")
    head = _asks(alice, north, "HEAD", target)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(content)))


def test_a_photo_has_thumbnails_on_its_server_and_on_others(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, fresh("alice")), Person.provisioned(south, fresh("bob"))
    target = f"{_V1}/thumbnail/{_uploads(alice, north, _photo(), 'image/jpeg')}?width=800&height=600&method=scale"
    for person, server in ((alice, north), (bob, south)):
        found = _asks(person, server, "GET", target)
        assert (found.status, found.headers["content-type"]) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(found.body)).size == (800, 600)


def test_a_page_that_calls_itself_a_picture_is_not_shown(north: Server) -> None:
    alice = Person.provisioned(north, fresh("alice"))
    media = _uploads(alice, north, b"<html><script>alert(1)</script>", "image/png")
    found = _asks(alice, north, "GET", f"{_V1}/download/{media}")
    assert found.headers["content-disposition"] == "attachment"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert _asks(alice, north, "GET", f"{_V1}/thumbnail/{media}?width=32&height=32").refusal == (400, "M_UNKNOWN")


def test_who_uploaded_may_delete(north: Server) -> None:
    alice = Person.provisioned(north, fresh("alice"))
    media = _uploads(alice, north, b"words", "text/plain")
    media_id = media.partition("/")[2]
    assert _asks(alice, north, "DELETE", f"/_watchword/client/v1/media/{media_id}").json == {}
    assert _asks(alice, north, "GET", f"{_V1}/download/{media}").refusal == (404, "M_NOT_FOUND")


def test_a_file_goes_with_its_event(north: Server) -> None:
    alice = Person.provisioned(north, fresh("alice"))
    media = _uploads(alice, north, b"regretted", "text/plain")
    room_id = alice.makes_room()
    content = {"msgtype": "m.file", "body": "file", "url": f"mxc://{media}"}
    event_id = alice.sends(room_id, "m.room.message", content)
    alice.sees(room_id, event_id)
    # The follower gathers for a moment before it writes down what is shown.
    alice.syncs(500)
    alice.put("rooms", room_id, "redact", event_id, "once")
    alice.waits_for(lambda: _asks(alice, north, "GET", f"{_V1}/download/{media}").status == 404 or None)


def test_previews_are_off(north: Server) -> None:
    alice = Person.provisioned(north, fresh("alice"))
    asked = _asks(alice, north, "GET", f"{_V1}/preview_url?url=https%3A%2F%2Fexample.org%2F")
    assert asked.refusal == (403, "M_FORBIDDEN")
    assert alice.get("capabilities")["capabilities"]["m.preview_url"] == {"enabled": False}
