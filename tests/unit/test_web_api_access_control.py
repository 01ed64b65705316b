"""Who may ask the labelling server, and how: everything else is refused in a few words."""

import asyncio
import gzip
import socket
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import pytest

from cryopick.web.api.access_control import Door, Shell
from cryopick.web.assets import Assets
from cryopick.web.server import _bound

HOST = "127.0.0.1:8000"
STATIC = files("cryopick") / "web" / "static"


@pytest.fixture
def door():
    return Door(frozenset({HOST}), "cryopick_8000", token="secret-token", session="session")


def finish(coroutine):
    """Run a coroutine to its end, in a thread: the browser's tests keep a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def inner(scope, receive, send):
    """Answers whatever comes through, with the length of what was sent."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = [(b"x-path", scope["path"].encode()), (b"x-body", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def ask(door, path="/api/state", method="GET", prefix="", body=(b"",), **headers):
    """Status and headers of the answer to a request with a session."""
    given = {"host": HOST, "cookie": "cryopick_8000=session"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent = [(name.encode(), value.encode()) for name, value in given.items() if value is not None]
    scope = {"type": "http", "method": method, "path": path, "headers": sent}
    parts = iter(body)

    async def receive():
        part = next(parts)
        return {"type": "http.request", "body": part, "more_body": part is not body[-1]}

    answers = []

    async def send(message):
        answers.append(message)

    finish(Shell(inner, door, prefix)(scope, receive, send))
    return answers[0]["status"], {k.decode(): v.decode() for k, v in answers[0]["headers"]}


def test_a_session_may_read_and_every_answer_forbids_foreign_content(door):
    status, headers = ask(door)

    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize(
    ("expected", "request_"),
    [
        (401, {"cookie": None}),
        (401, {"cookie": "cryopick_8000=guess"}),
        (401, {"cookie": "cryopick_8001=session"}),  # of a server on another port
        (401, {"cookie": None, "authorization": "Bearer guess"}),
        (200, {"cookie": None, "authorization": "Bearer secret-token"}),
        (421, {"host": "evil.example:8000"}),
        (421, {"host": "127.0.0.1:9000"}),
        (421, {"host": None}),
        (421, {"host": "evil.example", "path": "/index.html"}),
        (403, {"origin": "http://evil.example"}),
        (403, {"origin": "null"}),
        (403, {"sec_fetch_site": "cross-site"}),
        (403, {"sec_fetch_site": "same-site"}),  # a page on another port: it has our cookie
        (403, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}),
        (403, {"sec_fetch_site": "cross-site", "path": "/js/main.js"}),
        (200, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "path": "/"}),
        (200, {"sec_fetch_site": "same-origin"}),
        (200, {"origin": f"http://{HOST}"}),
        (403, {"method": "POST"}),
        (200, {"method": "POST", "x_cryopick": "1"}),
        (403, {"method": "DELETE"}),
        (405, {"method": "TRACE"}),
        (413, {"method": "POST", "x_cryopick": "1", "content_length": str(2 << 20)}),
        (413, {"method": "POST", "x_cryopick": "1", "content_length": "-1"}),
        (200, {"cookie": None, "path": "/api/healthz"}),
        (200, {"cookie": None, "path": "/index.html"}),
    ],
)
def test_what_is_let_in_and_what_is_not(door, expected, request_):
    assert ask(door, **request_)[0] == expected


def test_two_hosts_are_one_too_many(door):
    scope = {"type": "http", "method": "GET", "path": "/"}
    scope["headers"] = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    answers = []

    async def send(message):
        answers.append(message)

    finish(Shell(inner, door)(scope, None, send))
    assert answers[0]["status"] == 421


def test_a_body_without_a_length_is_cut_off_where_it_grows_too_large(door):
    parts = [b"x" * (1 << 19)] * 6 + [b"end"]

    _, headers = ask(door, method="POST", x_cryopick="1", body=parts)

    assert int(headers["x-body"]) <= (1 << 20) + (1 << 13)


def test_a_prefix_is_taken_off_whether_or_not_a_proxy_has_done_so(door):
    assert ask(door, "/node/a/api/state", prefix="/node/a")[1]["x-path"] == "/api/state"
    assert ask(door, "/node/a", prefix="/node/a")[1]["location"] == "/node/a/"
    assert ask(door, "/api/state", prefix="/node/a")[1]["x-path"] == "/api/state"
    assert ask(door, "/node/ab/api/state", prefix="/node/a")[1]["x-path"] == "/node/ab/api/state"
    assert ask(door, "/node/a/api/state", prefix="/node/a", cookie=None)[0] == 401
    assert ask(door, "/api/state", prefix="/node/a", cookie=None)[0] == 401


def test_a_proxy_may_know_the_server_by_another_of_its_names():
    door = Door(frozenset({"node12:8000", "ood.example.org"}), "c", session="s")
    headers = {"host": "node12:8000", "cookie": "c=s"}

    assert ask(door, origin="https://ood.example.org", **headers)[0] == 200
    assert ask(door, origin="https://evil.example.org", **headers)[0] == 403


def test_a_socket_in_a_folder_of_ones_own_goes_by_any_name():
    door = Door(frozenset(), "cryopick_socket", session="s")

    assert ask(door, host="localhost:8000", cookie="cryopick_socket=s")[0] == 200


def test_web_sockets_are_closed(door):
    answers = []

    async def send(message):
        answers.append(message)

    finish(Shell(inner, door)({"type": "websocket"}, None, send))
    assert answers == [{"type": "websocket.close", "code": 1008}]


def test_only_the_token_opens():
    door = Door(frozenset(), "c")

    assert door.opens(door.token)
    assert not door.opens(door.token[:-1])
    assert len(door.token) >= 43  # 256 bits
    assert Door(frozenset(), "c").token != door.token


def asset(path, method="GET", **headers):
    """Status, headers and body of one of the page's own files."""
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    answers = []

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": sent}
    finish(Assets()(scope, None, send))
    told = {name.decode(): value.decode() for name, value in answers[0]["headers"]}
    return answers[0]["status"], told, answers[1]["body"]


def test_a_file_comes_packed_where_that_is_understood_and_once():
    _, plainly, plain = asset("/js/main.js")
    _, headers, packed = asset("/js/main.js", accept_encoding="br, gzip")

    assert plain == (STATIC / "js/main.js").read_bytes() == gzip.decompress(packed)
    assert plainly["content-type"] == "text/javascript; charset=utf-8"
    assert headers["content-encoding"] == "gzip"
    assert asset("/js/main.js", if_none_match=headers["etag"])[0::2] == (304, b"")
    assert asset("/")[2] == (STATIC / "index.html").read_bytes()
    assert asset("/js/main.js", "HEAD")[0::2] == (200, b"")
    assert asset("/js/main.js", "POST")[0] == 405
    assert asset("/js")[0] == asset("/../desk.py")[0] == 404


def test_answers_do_not_wait_for_the_acknowledgement_of_their_headers():
    async def accepted():
        delays = asyncio.get_running_loop().create_future()

        async def meet(_, writer):
            own = writer.get_extra_info("socket")
            delays.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(meet, sock=_bound("127.0.0.1", 0))
        async with server:
            with socket.create_connection(server.sockets[0].getsockname()):
                return await delays

    assert finish(accepted()) is False
