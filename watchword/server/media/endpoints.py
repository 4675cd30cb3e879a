"""The door of the content repository, for clients and for servers."""

from collections.abc import AsyncIterator

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound, Refused, TooLarge
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import AnyReply, Reply, StreamReply
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester
from watchword.protocol.ids import parse_server_name
from watchword.server.media import decide, decide_ranges
from watchword.server.media.commands import Media, MediaName, Uploader
from watchword.server.media.decide import Wanted
from watchword.server.media.door import MediaDoor
from watchword.server.media.multipart import multipart_reply

# Uploading


async def upload(request: Request, requester: Requester, door: MediaDoor) -> Reply:
    """POST /_matrix/media/v3/upload."""
    _refuse_large(request, door)
    media_id = await door.service.upload(_uploader(requester), _described(request), request.stream())
    return Reply.json({"content_uri": f"mxc://{door.server_name}/{media_id}"})


async def create(request: Request, requester: Requester, door: MediaDoor) -> Reply:
    """POST /_matrix/media/v1/create."""
    media_id, expires_ts = await door.service.create(_uploader(requester))
    return Reply.json({"content_uri": f"mxc://{door.server_name}/{media_id}", "unused_expires_at": expires_ts})


async def fill(request: Request, requester: Requester, door: MediaDoor) -> Reply:
    """PUT /_matrix/media/v3/upload/{serverName}/{mediaId}."""
    _refuse_large(request, door)
    await door.service.fill(_uploader(requester), _name(request), _described(request), request.stream())
    return Reply.EMPTY


async def config(request: Request, requester: Requester, door: MediaDoor) -> Reply:
    """GET /_matrix/client/v1/media/config, /_matrix/media/v3/config."""
    return Reply.json({"m.upload.size": door.service.settings.upload_bytes_max})


async def delete(request: Request, requester: Requester, door: MediaDoor) -> Reply:
    """DELETE /_watchword/client/v1/media/{mediaId}: what I uploaded."""
    await door.removal.delete_own(requester.user_id, request.params["mediaId"])
    return Reply.EMPTY


# Downloading


async def download(request: Request, requester: Requester, door: MediaDoor) -> AnyReply:
    """GET /_matrix/client/v1/media/download/{serverName}/{mediaId}, …/{fileName}."""
    media = await door.service.find(_name(request), _timeout_ms(request))
    return _file(request, door, media)


async def thumbnail(request: Request, requester: Requester, door: MediaDoor) -> AnyReply:
    """GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}."""
    wanted, name = _wanted(request), _name(request)
    media = await door.service.find(name, _timeout_ms(request))
    is_remote = name.server_name != door.server_name
    return _file(request, door, await door.thumbnails.of(media, wanted, is_remote=is_remote), is_thumbnail=True)


async def frozen_download(request: Request, requester: None, door: MediaDoor) -> AnyReply:
    """GET /_matrix/media/v3/download/{serverName}/{mediaId}, …/{fileName}."""
    return _file(request, door, await door.service.find_frozen(_name(request)))


async def frozen_thumbnail(request: Request, requester: None, door: MediaDoor) -> AnyReply:
    """GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}."""
    wanted = _wanted(request)
    media = await door.service.find_frozen(_name(request))
    return _file(request, door, await door.thumbnails.of(media, wanted, is_remote=False), is_thumbnail=True)


async def preview(request: Request, requester: Requester, door: MediaDoor) -> Reply:
    """GET /_matrix/client/v1/media/preview_url, /_matrix/media/v3/preview_url."""
    wanted_ts = request.query_int("ts", 0) if request.query_one("ts") is not None else None
    found = await door.previews.of(requester, request.query_one("url"), wanted_ts, request.headers.get("accept-language"))
    return Reply.encoded(found)


# For other servers


async def download_for_server(request: Request, requester: ServerRequester, door: MediaDoor) -> StreamReply:
    """GET /_matrix/federation/v1/media/download/{mediaId}."""
    return _parts(door, await _local(request, door))


async def thumbnail_for_server(request: Request, requester: ServerRequester, door: MediaDoor) -> StreamReply:
    """GET /_matrix/federation/v1/media/thumbnail/{mediaId}."""
    wanted = _wanted(request)
    return _parts(door, await door.thumbnails.of(await _local(request, door), wanted, is_remote=False))


async def _local(request: Request, door: MediaDoor) -> Media:
    media_id = request.params["mediaId"]
    if not decide.is_media_id(media_id):
        raise NotFound("There is no such file.")
    return await door.service.find_local(media_id, _timeout_ms(request))


# Wire


def _uploader(requester: Requester) -> Uploader:
    return Uploader(requester.user_id, requester.is_admin)


def _name(request: Request) -> MediaName:
    return MediaName(request.param("serverName", parse_server_name), request.params["mediaId"])


def _described(request: Request) -> tuple[str | None, str | None]:
    return request.headers.get("content-type"), request.query_one("filename")


def _refuse_large(request: Request, door: MediaDoor) -> None:
    """Before the first byte, where the client says how many will come."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > door.service.settings.upload_bytes_max:
        raise TooLarge("The file is too large.")


def _timeout_ms(request: Request) -> int:
    return request.query_int("timeout_ms", limits.media_wait_ms_default, most=limits.media_wait_ms_max)


def _wanted(request: Request) -> Wanted:
    animated = request.query_bool("animated") if request.query_one("animated") is not None else None
    sizes = []
    for name in ("width", "height"):
        if request.query_one(name) is None:
            raise BadRequest("M_MISSING_PARAM", f"{name} is missing.")
        try:
            sizes.append(request.query_int(name, 0))
        except BadRequest as error:
            raise BadRequest("M_UNKNOWN", f"{name} must be a positive integer.") from error
    method = request.query_one("method") or "scale"
    wanted = decide.wanted_thumbnail(Wanted(sizes[0], sizes[1], method, animated, request.headers.get("accept", "")))
    if isinstance(wanted, Refused):
        raise wanted.refusal()
    return wanted


def _file(request: Request, door: MediaDoor, media: Media, *, is_thumbnail: bool = False) -> AnyReply:
    """The file, the part of it that is asked for, or word that the client has it already."""
    headers = decide.headers(media, decide.file_name(request.params.get("fileName")))
    if is_thumbnail:
        headers["vary"] = "Accept"
    tag = headers["etag"]
    if decide_ranges.is_known(request.headers, tag):
        kept = {name: value for name, value in headers.items() if name not in ("content-length", "content-type")}
        return StreamReply(304, _nothing(), kept)
    if request.method == "HEAD":
        return StreamReply(200, _nothing(), headers)
    part = decide_ranges.wanted_part(request.headers, media.file.size_bytes, tag)
    if part is None:
        return StreamReply(200, door.service.files.read(media.file), headers)
    if part is decide_ranges.UNSATISFIABLE:
        body = {"errcode": "M_INVALID_PARAM", "error": "The file has no such part."}
        return Reply.json(body, 416, {"content-range": f"bytes */{media.file.size_bytes}"})
    headers["content-range"] = f"bytes {part.first}-{part.last}/{media.file.size_bytes}"
    headers["content-length"] = str(part.length)
    return StreamReply(206, door.service.files.read(media.file, part), headers)


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for piece in empty:
        yield piece


def _parts(door: MediaDoor, media: Media) -> StreamReply:
    pieces = door.service.files.read(media.file)
    return multipart_reply(decide.headers(media), media.file.size_bytes, pieces, door.entropy.token(32))


_CLIENT = "/_matrix/client/v1/media/"
_OLD = "/_matrix/media/v3/"
_SERVER = "/_matrix/federation/v1/media/"
_UNSTABLE = "/_matrix/client/unstable/org.matrix.msc3916/media/"
_SPEC = "client-server-api#"


def _get(path: str, handler: object, anchor: str, auth: Auth = Auth.CLIENT) -> Endpoint:
    rate = Rate.FEDERATION if auth is Auth.SERVER else Rate.MEDIA
    assert callable(handler)
    return Endpoint("GET", path, handler, anchor, auth=auth, rate=rate, guests=handler is not config)


_UPLOADS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        _OLD + "upload",
        upload,
        _SPEC + "post_matrixmediav3upload",
        rate=Rate.MEDIA,
        body=Body.STREAM,
        body_bytes_max=limits.media_body_bytes_max,
    ),
    Endpoint(
        "PUT",
        _OLD + "upload/{serverName}/{mediaId}",
        fill,
        _SPEC + "put_matrixmediav3uploadservernamemediaid",
        rate=Rate.MEDIA,
        body=Body.STREAM,
        body_bytes_max=limits.media_body_bytes_max,
    ),
    Endpoint("POST", "/_matrix/media/v1/create", create, _SPEC + "post_matrixmediav1create", rate=Rate.MEDIA),
    Endpoint("DELETE", "/_watchword/client/v1/media/{mediaId}", delete, _SPEC + "content-repository", rate=Rate.MEDIA),
)
# Path and anchor of what a client reads, below each of its prefixes.
_READS = (
    ("config", config, "get_matrixclientv1mediaconfig"),
    ("download/{serverName}/{mediaId}", download, "get_matrixclientv1mediadownloadservernamemediaid"),
    (
        "download/{serverName}/{mediaId}/{fileName}",
        download,
        "get_matrixclientv1mediadownloadservernamemediaidfilename",
    ),
    ("thumbnail/{serverName}/{mediaId}", thumbnail, "get_matrixclientv1mediathumbnailservernamemediaid"),
)

ENDPOINTS: tuple[Endpoint, ...] = (
    *_UPLOADS,
    *(_get(_CLIENT + path, handler, _SPEC + anchor) for path, handler, anchor in _READS),
    # COMPAT(clients of 2024, until 2028): the names before the proposal was accepted.
    *(_get(_UNSTABLE + path, handler, "proposals/3916") for path, handler, _ in _READS),
    Endpoint("GET", _CLIENT + "preview_url", preview, _SPEC + "get_matrixclientv1mediapreview_url", rate=Rate.MEDIA),
    Endpoint("GET", _UNSTABLE + "preview_url", preview, "proposals/3916", rate=Rate.MEDIA),
    Endpoint("GET", _OLD + "preview_url", preview, _SPEC + "get_matrixmediav3preview_url", rate=Rate.MEDIA),
    _get(_OLD + "config", config, _SPEC + "get_matrixmediav3config"),
    _get(
        _OLD + "download/{serverName}/{mediaId}",
        frozen_download,
        _SPEC + "get_matrixmediav3downloadservernamemediaid",
        Auth.NONE,
    ),
    _get(
        _OLD + "download/{serverName}/{mediaId}/{fileName}",
        frozen_download,
        _SPEC + "get_matrixmediav3downloadservernamemediaidfilename",
        Auth.NONE,
    ),
    _get(
        _OLD + "thumbnail/{serverName}/{mediaId}",
        frozen_thumbnail,
        _SPEC + "get_matrixmediav3thumbnailservernamemediaid",
        Auth.NONE,
    ),
    _get(
        _SERVER + "download/{mediaId}",
        download_for_server,
        "server-server-api#get_matrixfederationv1mediadownloadmediaid",
        Auth.SERVER,
    ),
    _get(
        _SERVER + "thumbnail/{mediaId}",
        thumbnail_for_server,
        "server-server-api#get_matrixfederationv1mediathumbnailmediaid",
        Auth.SERVER,
    ),
)
