from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import DeviceId, UserId


def test_only_a_guest_is_a_guest() -> None:
    for kind in Kind:
        requester = Requester(UserId("@a:b"), DeviceId("D"), 1, kind=kind)
        assert requester.is_guest is (kind is Kind.GUEST)
