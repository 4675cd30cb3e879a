"""The Authorization header of servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.protocol.ids import ServerName
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, format_x_matrix, parse_x_matrix

EXPECTED = XMatrix(ServerName("b.example:8448"), "ed25519:a_1", "ABC+/", ServerName("a.example"))


@pytest.mark.parametrize(
    "header",
    [
        'X-Matrix origin="b.example:8448",destination="a.example",key="ed25519:a_1",sig="ABC+/"',
        'x-matrix  ORIGIN = "b.example:8448" , Destination="a.example",\tKey="ed25519:a_1", SIG="ABC+/"',
        "X-Matrix origin=b.example:8448,destination=a.example,key=ed25519:a_1,sig=ABC+/",
        r'X-Matrix origin="b\.example:8448",destination="a.example",key="ed25519\:a_1",sig="ABC\+/"',
        'X-Matrix sig="ABC+/",future="x,y",key="ed25519:a_1",,destination=a.example,origin=b.example:8448,',
    ],
)
def test_headers_are_read_liberally(header: str) -> None:
    assert parse_x_matrix(header) == EXPECTED


@pytest.mark.parametrize(
    "header",
    [
        "",
        "X-Matrix",
        'Bearer origin="b"',
        'X-Matrix origin="b",key="k"',
        'X-Matrix origin="b",origin="c",key="k",sig="s"',
        'X-Matrix origin="b,key="k",sig="s"',
        'X-Matrix origin="",key="k",sig="s"',
        'X-Matrix =b,key="k",sig="s"',
        "X-Matrix " + ",".join(f"a{n}=b" for n in range(20)),
        'X-Matrix origin="' + "b" * 70_000 + '"',
    ],
)
def test_what_is_no_such_header_is_none(header: str) -> None:
    assert parse_x_matrix(header) is None


@given(st.text())
def test_the_parser_never_crashes(text: str) -> None:
    parse_x_matrix(text)
    parse_x_matrix("X-Matrix " + text)


@given(*(st.text(min_size=1, max_size=50) for _ in range(4)))
def test_what_is_written_is_read_back(origin: str, key: str, signature: str, destination: str) -> None:
    header = XMatrix(ServerName(origin), key, signature, ServerName(destination))
    assert parse_x_matrix(format_x_matrix(header)) == header


def test_a_request_without_body_has_no_content_key() -> None:
    request = SignedRequest("GET", "/x?y=1", ServerName("b"), ServerName("a"), None)
    assert request.signed_bytes() == b'{"destination":"a","method":"GET","origin":"b","uri":"/x?y=1"}'
    request = SignedRequest("PUT", "/x", ServerName("b"), None, b'{"z":1}')
    assert request.signed_bytes() == b'{"content":{"z":1},"method":"PUT","origin":"b","uri":"/x"}'
