"""Access control of the labelling server: requests without access are rejected."""

import asyncio
import gzip
import socket
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import pytest

from cryopick.web.api.access_control import AccessControl, Credentials
from cryopick.web.assets import Assets, strip_script
from cryopick.web.listener import bind_port

HOST = "127.0.0.1:8000"
STATIC = files("cryopick") / "web" / "static"


@pytest.fixture
def credentials():
    return Credentials(frozenset({HOST}), "cryopick_8000", token="secret-token", session="session")


def finish(coroutine):
    """Run a coroutine in a thread, because browser tests have an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def inner(scope, receive, send):
    """Respond to every request with the length of its body."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = [(b"x-path", scope["path"].encode()), (b"x-body", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def ask(credentials, path="/api/state", method="GET", prefix="", body=(b"",), **headers):
    """Return status and headers of the response to a request with a session."""
    all_headers = {"host": HOST, "cookie": "cryopick_8000=session"}
    all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent = [
        (name.encode(), value.encode()) for name, value in all_headers.items() if value is not None
    ]
    scope = {"type": "http", "method": method, "path": path, "headers": sent}
    parts = iter(body)

    async def receive():
        part = next(parts)
        return {"type": "http.request", "body": part, "more_body": part is not body[-1]}

    answers = []

    async def send(message):
        answers.append(message)

    finish(AccessControl(inner, credentials, prefix)(scope, receive, send))
    return answers[0]["status"], {k.decode(): v.decode() for k, v in answers[0]["headers"]}


def test_a_session_may_read_and_every_response_forbids_foreign_content(credentials):
    status, headers = ask(credentials)

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
def test_requests_are_accepted_or_rejected_by_their_headers(credentials, expected, request_):
    assert ask(credentials, **request_)[0] == expected


def test_a_second_host_header_is_rejected(credentials):
    scope = {"type": "http", "method": "GET", "path": "/"}
    scope["headers"] = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    answers = []

    async def send(message):
        answers.append(message)

    finish(AccessControl(inner, credentials)(scope, None, send))
    assert answers[0]["status"] == 421


@pytest.mark.parametrize("stated", [None, str(3 << 20)])
def test_a_body_above_the_limit_is_answered_with_413(credentials, stated):
    parts = [b"x" * (1 << 19)] * 6 + [b"end"]
    length = {} if stated is None else {"content_length": stated}

    status, headers = ask(credentials, method="POST", x_cryopick="1", body=parts, **length)

    assert status == 413
    assert "x-body" not in headers


def test_an_application_that_handles_the_error_of_a_long_body_is_overruled(credentials):
    async def tolerant(scope, receive, send):
        try:
            await inner(scope, receive, send)
        except BaseException:  # noqa: BLE001  # as a framework may
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    statuses = []

    async def receive():
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    async def send(message):
        statuses.append(message.get("status"))

    headers = {"host": HOST, "cookie": "cryopick_8000=session", "x-cryopick": "1"}
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/api/ops", "headers": sent}
    finish(AccessControl(tolerant, credentials)(scope, receive, send))

    assert statuses == [413, None]


def test_a_prefix_is_removed_unless_a_proxy_has_removed_it(credentials):
    assert ask(credentials, "/node/a/api/state", prefix="/node/a")[1]["x-path"] == "/api/state"
    assert ask(credentials, "/node/a", prefix="/node/a")[1]["location"] == "/node/a/"
    assert ask(credentials, "/api/state", prefix="/node/a")[1]["x-path"] == "/api/state"
    assert (
        ask(credentials, "/node/ab/api/state", prefix="/node/a")[1]["x-path"]
        == "/node/ab/api/state"
    )
    assert ask(credentials, "/node/a/api/state", prefix="/node/a", cookie=None)[0] == 401
    assert ask(credentials, "/api/state", prefix="/node/a", cookie=None)[0] == 401


def test_a_proxy_may_use_another_name_of_the_server():
    credentials = Credentials(frozenset({"node12:8000", "ood.example.org"}), "c", session="s")
    headers = {"host": "node12:8000", "cookie": "c=s"}

    assert ask(credentials, origin="https://ood.example.org", **headers)[0] == 200
    assert ask(credentials, origin="https://evil.example.org", **headers)[0] == 403


def test_a_private_socket_accepts_any_host_name():
    credentials = Credentials(frozenset(), "cryopick_socket", session="s")

    assert ask(credentials, host="localhost:8000", cookie="cryopick_socket=s")[0] == 200


def test_web_sockets_are_closed(credentials):
    answers = []

    async def send(message):
        answers.append(message)

    finish(AccessControl(inner, credentials)({"type": "websocket"}, None, send))
    assert answers == [{"type": "websocket.close", "code": 1008}]


def test_only_the_exact_token_is_accepted():
    credentials = Credentials(frozenset(), "c")

    assert credentials.session_of(credentials.token) == credentials.session
    assert credentials.session_of(credentials.view_token) == credentials.view_session
    assert credentials.session_of(credentials.token[:-1]) is None
    assert len({credentials.token, credentials.view_token, credentials.session}) == 3
    assert len(credentials.token) >= 43  # 256 bits
    assert Credentials(frozenset(), "c").token != credentials.token


def test_the_viewing_link_allows_no_change():
    credentials = Credentials(frozenset({HOST}), "c")
    view = {"cookie": f"c={credentials.view_session}", "x_cryopick": "1"}
    bearer = {"cookie": None, "authorization": f"Bearer {credentials.view_token}"}

    assert ask(credentials, **view)[0] == ask(credentials, **bearer)[0] == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert ask(credentials, method=method, **view)[0] == 403
        assert ask(credentials, method=method, **bearer)[0] == 403


def asset(path, method="GET", **headers):
    """Return status, headers and body of a file of the page."""
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    answers = []

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": sent}
    finish(Assets()(scope, None, send))
    headers_out = {name.decode(): value.decode() for name, value in answers[0]["headers"]}
    return answers[0]["status"], headers_out, answers[1]["body"]


def test_a_file_is_compressed_on_request_and_cached():
    _, plain_headers, plain = asset("/js/main.js")
    _, headers, compressed = asset("/js/main.js", accept_encoding="br, gzip")

    assert plain == strip_script((STATIC / "js/main.js").read_text()).encode()
    assert plain == gzip.decompress(compressed)
    assert plain_headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["content-encoding"] == "gzip"
    assert asset("/js/main.js", if_none_match=headers["etag"])[0::2] == (304, b"")
    assert asset("/")[2] == (STATIC / "index.html").read_bytes()
    assert asset("/js/main.js", "HEAD")[0::2] == (200, b"")
    assert asset("/js/main.js", "POST")[0] == 405
    assert asset("/js")[0] == asset("/../server.py")[0] == 404


def test_the_page_is_small():
    plain_bytes, compressed_bytes = Assets().sizes()

    assert plain_bytes <= 300 * 1024
    assert compressed_bytes <= 120 * 1024


def test_scripts_keep_their_lines_without_comments_and_indentation():
    for file in (STATIC / "js").rglob("*.js"):
        script = file.read_text()
        served = strip_script(script)

        assert "/**" not in served
        assert served.count("\n") == script.count("\n")
        for line in served.split("\n"):
            assert not line.startswith((" ", "\t", "//", "*/", "* @"))


def test_responses_do_not_wait_for_the_acknowledgement_of_their_headers():
    async def accept_connection():
        delays = asyncio.get_running_loop().create_future()

        async def on_connection(_, writer):
            connection = writer.get_extra_info("socket")
            delays.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(on_connection, sock=bind_port("127.0.0.1", 0))
        async with server:
            with socket.create_connection(server.sockets[0].getsockname()):
                return await delays

    assert finish(accept_connection()) is False
