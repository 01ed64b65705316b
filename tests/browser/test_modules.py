"""Unit tests of the page's modules: coordinates, colours, counts, hit tests, keys, journal."""

import numpy as np
import pytest

rng = np.random.default_rng(7)


@pytest.fixture(scope="module")
def run(browser, files):
    """Evaluate a function of a module: `run(path, "m => ...", argument)`."""
    page = browser.new_page()
    page.goto(files + "favicon.svg")

    def evaluate(module, function, argument=None):
        script = f"async (given) => ({function})(await import('{files}js/{module}'), given)"
        return page.evaluate(script, argument)

    yield evaluate
    page.close()


def test_coordinates_survive_conversion_to_the_screen_and_back(run):
    views = [[1000.5, 20.25, 0.2], [0, 0, 1], [3710, 3838, 16]]
    points = rng.uniform(-50, 4000, (20, 2)).tolist()

    errors = run(
        "viewer/view.js",
        """(m, {views, points}) => views.map(([cx, cy, zoom]) => {
            const size = {width: 1101, height: 733};
            return Math.max(...points.map(([x, y]) => {
              const there = m.toScreen({cx, cy, zoom}, size, x, y);
              const back = m.toImage({cx, cy, zoom}, size, ...there);
              return Math.hypot(back[0] - x, back[1] - y);
            }));
        })""",
        {"views": views, "points": points},
    )

    assert max(errors) < 1e-9


def test_zooming_keeps_the_position_under_the_pointer(run):
    before, after = run(
        "viewer/view.js",
        """(m) => {
            const size = {width: 900, height: 600}, view = {cx: 2000, cy: 1500, zoom: 0.3};
            const next = m.zoomAt(view, size, 100, 550, 1.7);
            return [m.toImage(view, size, 100, 550), m.toImage(next, size, 100, 550)];
        }""",
    )

    np.testing.assert_allclose(before, after, atol=1e-9)


@pytest.mark.parametrize(
    ("ang_per_px", "text"), [(1.0, "10 nm"), (0.05, "5 Å"), (11.0, "100 nm"), (900.0, "10 µm")]
)
def test_the_scale_bar_has_a_round_length_that_fits(run, ang_per_px, text):
    bar = run("viewer/view.js", "(m, a) => m.scaleBar(a, 180)", ang_per_px)

    number, unit = bar["text"].split()
    ang = float(number) * {"Å": 1, "nm": 10, "µm": 10_000}[unit]
    assert bar["text"] == text
    assert bar["width"] == pytest.approx(ang / ang_per_px)
    assert bar["width"] <= 180


def test_contrast_is_a_ramp_between_black_and_white(run):
    table, inverted = run(
        "viewer/lut.js",
        """(m) => [false, true].map((invert) =>
            Array.from(m.greyTable({black: 40, white: 200, invert}), (c) => c & 255))""",
    )

    expected = np.clip((np.arange(256) - 40) / 160, 0, 1) * 255
    np.testing.assert_allclose(table, expected, atol=0.51)
    np.testing.assert_array_equal(np.array(inverted), 255 - np.array(table))


def test_a_threshold_on_an_edge_counts_as_numpy_does(run):
    scores = rng.normal(size=5000)
    counts, edges = np.histogram(scores, bins=257)

    kept, nearest = run(
        "histogram.js",
        "(m, g) => [m.countsAbove(g.counts), g.at.map((t) => m.nearestEdge(g.edges, t))]",
        {"counts": counts.tolist(), "edges": edges.tolist(), "at": edges[::20].tolist()},
    )

    assert nearest == list(range(0, 258, 20))
    assert kept[:-1] == [int((scores >= edge).sum()) for edge in edges[:-1]]


def test_merged_bins_contain_the_same_number_of_picks(run):
    counts = rng.integers(0, 90, 2048)

    bars = run("histogram.js", "(m, c) => m.mergeBins(c, 128)", counts.tolist())

    np.testing.assert_array_equal(bars, counts.reshape(128, 16).sum(axis=1))


def test_points_near_the_pointer_are_sorted_by_distance(run):
    points = rng.uniform(0, 1000, (600, 2))
    positions = rng.uniform(0, 1000, (25, 2))

    found = run(
        "viewer/grid.js",
        """(m, {points, positions}) => {
            const grid = new m.Grid({length: points.length, x: (i) => points[i][0],
                                     y: (i) => points[i][1]}, 37);
            return positions.map(([x, y]) => grid.within(x, y, 60));
        }""",
        {"points": points.tolist(), "positions": positions.tolist()},
    )

    for place, indices in zip(positions, found, strict=True):
        distance = np.hypot(*(points - place).T)
        order = np.argsort(distance, kind="stable")
        assert indices == [i for i in order.tolist() if distance[i] <= 60]


@pytest.mark.parametrize(
    ("press", "combo"),
    [
        ({"key": "p", "code": "KeyP"}, "P"),
        ({"key": "Z", "code": "KeyZ", "ctrlKey": True, "shiftKey": True}, "Ctrl+Shift+Z"),
        ({"key": "?", "code": "Slash", "shiftKey": True}, "?"),
        ({"key": "{", "code": "BracketLeft", "shiftKey": True}, "Shift+["),
        ({"key": "¡", "code": "Digit1", "altKey": True}, "Alt+1"),
        ({"key": "z", "code": "KeyZ", "metaKey": True}, "Ctrl+Z"),
    ],
)
def test_a_key_press_has_a_name(run, press, combo):
    assert run("keys.js", "(m, p) => m.combo(new KeyboardEvent('keydown', p))", press) == combo


def test_no_two_actions_of_one_context_share_a_key(run):
    actions = run("keys.js", "(m) => m.ACTIONS")

    taken = [
        (key, action.get("stage", False), action.get("review", False))
        for action in actions
        for key in action["keys"]
    ]
    assert len(set(taken)) == len(taken)


JOURNAL = """async (m, {fail}) => {
    sessionStorage.clear(); localStorage.clear();
    const sent = [], applied = [], states = [];
    let broken = fail;
    const journal = new m.Journal("test", {
        send: async (ops) => {
            if (broken-- > 0) throw Object.assign(new Error("away"), {status: 503});
            sent.push(...ops);
        },
        apply: (op) => applied.push(op.op), state: (n, failed) => states.push([n, failed]),
        onRejected: (message) => states.push(message), pause: 8,
    });
    journal.act("add", [{op: "add", id: "a"}], [{op: "delete", id: "a"}], 1);
    journal.act("add", [{op: "add", id: "b"}], [{op: "delete", id: "b"}], 1);
    journal.undo(); journal.redo(); journal.undo();
    const kept = JSON.parse(localStorage.getItem(Object.keys(localStorage)
        .find((k) => k.startsWith("cryopick.ops")))).length;
    for (let i = 0; i < 200 && journal.waiting.length; i++)
        await new Promise((wake) => setTimeout(wake, 5));
    const idle = {send: async () => {}, apply() {}, state() {}, onRejected() {}};
    const again = new m.Journal("test", idle);
    return {sent, applied, states, kept, undone: again.undone.length, done: again.done.length};
}"""


@pytest.mark.parametrize("fail", [0, 3])
def test_edits_arrive_once_and_in_order_after_a_connection_failure(run, fail):
    result = run("journal.js", JOURNAL, {"fail": fail})

    assert [op["op"] for op in result["sent"]] == ["add", "add", "delete", "add", "delete"]
    assert result["applied"] == ["add", "add", "delete", "add", "delete"]
    assert len({op["cid"] for op in result["sent"]}) == 5
    assert result["kept"] == 5
    assert result["states"][-1] == [0, False]
    assert ([True for _, failed in result["states"] if failed] != []) == (fail > 0)


def test_undo_works_after_reloading_the_page(run):
    result = run("journal.js", JOURNAL, {"fail": 0})

    assert (result["done"], result["undone"]) == (1, 1)


def test_undoing_every_edit_restores_the_initial_state(run):
    """Undoing any sequence of edits step by step restores the initial state."""
    start, end, middle = run(
        "edits.js",
        """async (m) => {
            const store = await import(new URL("store.js", m_url).href);
            const {Journal} = await import(new URL("journal.js", m_url).href);
            sessionStorage.clear(); localStorage.clear();
            store.micrograph.value = {id: 5, width_px: 500, height_px: 400};
            store.labels.value = new Map([["k", {id: "k", mid: 5, x: 1, y: 2, kind: "pos"}]]);
            m.useJournal(new Journal("t2", {send: async () => {}, apply: m.apply,
                                            state() {}, onRejected() {}}));
            const snap = () => JSON.stringify([
                [...store.labels.value.values()].map(({id, x, y, kind}) => [id, x, y, kind]).sort(),
                [...store.regions.value.values()].map((r) => r.points)]);
            const start = snap();
            m.add(10.25, 20.5, "pos"); m.add(30, 40, "neg");
            m.move("k", 100, 120, {x: 1, y: 2}); m.change("k", "unsure");
            m.addRegion([[0, 0], [50, 0], [50, 50]]);
            m.remove([...store.labels.value.keys()], [[77, 88]],
                     [...store.regions.value.values()]);
            const middle = snap();
            while (m.lastStep()) m.undo();
            return [start, snap(), middle];
        }""".replace("m_url", "location.origin + '/js/'"),
    )

    assert start == end
    assert middle != start


def test_no_label_is_outside_its_micrograph(run):
    count = run(
        "edits.js",
        """async (m) => {
            const store = await import(location.origin + "/js/store.js");
            const {Journal} = await import(location.origin + "/js/journal.js");
            m.useJournal(new Journal("t3", {send: async () => {}, apply: m.apply,
                                            state() {}, onRejected() {}}));
            store.micrograph.value = {id: 6, width_px: 500, height_px: 400};
            store.labels.value = new Map();
            m.add(-3, 10, "pos"); m.add(10, 400, "pos"); m.add(499.4, 399.4, "pos");
            return store.labels.value.size;
        }""",
    )

    assert count == 1


@pytest.mark.parametrize(
    ("width_px", "zoom", "fine"),
    [(4096, 0.2, False), (4096, 0.35, True), (1100, 0.5, False), (1100, 0.65, True), (0, 1, False)],
)
def test_a_finer_image_is_requested_only_if_the_screen_can_show_it(run, width_px, zoom, fine):
    size = {"width_px": width_px, "height_px": width_px}
    is_fine = run("planes.js", "(m, [size, zoom]) => m.wantsFine(size, zoom)", [size, zoom])

    assert is_fine is fine
