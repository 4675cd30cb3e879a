from watchword.edge.replies import JSON_HEADERS, Reply


def test_a_value_is_encoded_once() -> None:
    assert Reply.json({"a": "é"}) == Reply(200, '{"a":"é"}'.encode(), JSON_HEADERS)


def test_headers_join_the_content_type() -> None:
    assert Reply.json([], 429, {"retry-after": "1"}).headers == {"content-type": "application/json", "retry-after": "1"}


def test_stored_bytes_go_out_as_they_are() -> None:
    assert Reply.encoded(b'{"a": 1}').body == b'{"a": 1}'
    assert Reply.EMPTY.body == b"{}"
