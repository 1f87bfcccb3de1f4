"""Who wakes and who sleeps: whatever the state, and however things go on from there."""

from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smart_router.decide.swap import RESIDENT, STATES, Occupant, Plan, Room, State, plan

GROUPS = ("g0", "g1", "g2")
SECONDS = st.integers(0, 40).map(lambda quarters: quarters / 4)  # exact, so that sums are


@st.composite
def an_occupant(draw: st.DrawFn, model: str) -> Occupant:
    state = draw(st.sampled_from(STATES))
    served = state in ("awake", "draining")
    waiting = draw(st.integers(0, 2))
    return Occupant(
        model,
        draw(st.sampled_from(GROUPS)),
        state,
        in_flight=draw(st.integers(0, 2)) if served else 0,
        waiting=waiting,
        waiting_for_s=draw(SECONDS) if waiting else 0.0,
        wanted=draw(st.booleans()),
        kept=draw(st.integers(0, 3)) == 0,
        idle_s=draw(SECONDS),
        awake_for_s=draw(SECONDS) if served else 0.0,
        sessions=draw(st.integers(0, 3)),
        wake_s=draw(SECONDS),
    )


OCCUPANTS = st.integers(0, 8).flatmap(lambda many: st.tuples(*(an_occupant(f"m{n}") for n in range(many))))
ROOMS = st.builds(Room, st.fixed_dictionaries({g: st.integers(0, 3) for g in GROUPS}), st.integers(0, 6), SECONDS)


def taken(models: tuple[Occupant, ...]) -> Counter[str]:
    return Counter(model.group for model in models if model.state in RESIDENT)


def full(models: tuple[Occupant, ...], room: Room, group: str) -> bool:
    there = taken(models)
    return there[group] >= room.groups[group] or there.total() >= room.total


def later(models: tuple[Occupant, ...], by_s: float) -> tuple[Occupant, ...]:
    """The same, had nothing happened meanwhile."""
    return tuple(
        replace(
            model,
            idle_s=model.idle_s + by_s,
            awake_for_s=model.awake_for_s + by_s if model.state == "awake" else model.awake_for_s,
            waiting_for_s=model.waiting_for_s + by_s if model.waiting else 0.0,
        )
        for model in models
    )


@given(OCCUPANTS, ROOMS)
def test_nobody_is_woken_beyond_the_room(models: tuple[Occupant, ...], room: Room) -> None:
    woken = plan(models, room).wake
    after = taken(tuple(replace(m, state="waking") if m.model in woken else m for m in models))
    for model in models:
        if model.model in woken:
            assert model.state not in RESIDENT
            assert after[model.group] <= room.groups[model.group]
            assert after.total() <= room.total


@given(OCCUPANTS, ROOMS)
def test_busy_ones_are_not_put_to_sleep_and_kept_and_new_ones_stay(models: tuple[Occupant, ...], room: Room) -> None:
    found = plan(models, room)
    for model in models:
        if model.model in found.sleep + found.drain:
            assert not model.kept
            assert model.state == "draining" or model.awake_for_s >= room.min_residency_s
            assert bool(model.in_flight) == (model.model in found.drain)
            assert model.state in ("awake", "draining")


@given(OCCUPANTS, ROOMS)
def test_each_model_is_named_once_and_as_it_stands(models: tuple[Occupant, ...], room: Room) -> None:
    found = plan(models, room)
    named = found.wake + found.sleep + found.drain + found.resume + found.refuse
    assert len(named) == len(set(named))
    state = {model.model: model.state for model in models}
    assert all(state[model] == "awake" for model in found.drain)
    assert all(state[model] == "draining" for model in found.resume)


@given(OCCUPANTS, ROOMS)
def test_no_more_leave_than_somebody_needs(models: tuple[Occupant, ...], room: Room) -> None:
    found = plan(models, room)
    leave = sum(m.model in found.sleep + found.drain for m in models) + sum(
        m.state == "draining" and m.model not in found.resume + found.sleep for m in models
    )
    there = taken(models)
    surplus = max(sum(max(0, there[g] - room.groups[g]) for g in GROUPS), 0) + max(0, there.total() - room.total)
    claims = sum(m.state not in RESIDENT and (m.waiting > 0 or m.wanted) and m.model not in found.wake for m in models)
    assert leave <= surplus + claims


@given(OCCUPANTS, ROOMS)
def test_exactly_those_are_refused_whose_room_is_full_of_kept_ones(models: tuple[Occupant, ...], room: Room) -> None:
    kept = tuple(model for model in models if model.kept)
    vain = {m.model for m in models if m.waiting and m.state not in RESIDENT and full(kept, room, m.group)}
    assert set(plan(models, room).refuse) == vain


@given(OCCUPANTS, ROOMS)
def test_nobody_of_a_group_is_woken_before_one_that_waits_longer(models: tuple[Occupant, ...], room: Room) -> None:
    found = plan(models, room)
    waiting = [model for model in models if model.waiting and model.state not in RESIDENT]
    for first in waiting:
        after = [m for m in models if m.group == first.group and m.waiting_for_s < first.waiting_for_s]
        assert first.model in found.wake or not any(m.model in found.wake for m in after)


@given(OCCUPANTS, ROOMS, st.randoms(use_true_random=False))
def test_the_order_of_those_who_wait_does_not_matter(models: tuple[Occupant, ...], room: Room, chance: object) -> None:
    waiting = [replace(model, wanted=False) for model in models]
    shuffled = list(waiting)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _sets(plan(shuffled, room)) == _sets(plan(waiting, room))


def _sets(found: Plan) -> tuple[object, ...]:
    named = (found.wake, found.sleep, found.drain, found.resume, found.refuse)
    return (*map(frozenset, named), found.look_again_s)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=6), st.integers(0, 4), st.floats(0, 100), st.data())
def test_with_equal_sessions_and_costs_it_is_lru(
    idle_s: list[float], sessions: int, wake_s: float, data: st.DataObject
) -> None:
    models = [
        Occupant(f"m{n}", "g0", "awake", idle_s=idle, sessions=sessions, wake_s=wake_s)
        for n, idle in enumerate(idle_s)
    ]  # fmt: skip
    many = data.draw(st.integers(1, len(models)))
    new = [Occupant(f"new{n}", "g0", "sleeping", waiting=1) for n in range(many)]
    found = plan([*models, *new], Room({"g0": len(models)}, 100, 0.0))
    gone = [m.idle_s for m in models if m.model in found.sleep]
    assert sorted(gone, reverse=True) == sorted(idle_s, reverse=True)[:many]


@given(OCCUPANTS, ROOMS, SECONDS)
def test_where_there_is_nothing_to_look_for_time_changes_nothing(
    models: tuple[Occupant, ...], room: Room, by_s: float
) -> None:
    models = tuple(model for model in models if model.state != "draining")
    found = plan(models, room)
    if found == replace(Plan(), refuse=found.refuse):
        assert plan(later(models, by_s), room) == found


@given(OCCUPANTS, ROOMS)
def test_when_it_is_looked_again_something_follows_and_not_before(models: tuple[Occupant, ...], room: Room) -> None:
    models = tuple(model for model in models if model.state != "draining")
    found = plan(models, room)
    if found == replace(Plan(), refuse=found.refuse, look_again_s=found.look_again_s) and found.look_again_s:
        before = plan(later(models, found.look_again_s - 0.125), room)
        assert before.sleep + before.drain == ()
        after = plan(later(models, found.look_again_s), room)
        assert after.sleep + after.drain != ()


# Runs


@dataclass
class _Model:
    group: str
    wake_s: float
    state: State = "sleeping"
    in_flight: int = 0
    waiting: list[float] = field(default_factory=list)  # since when
    used: float = 0.0
    since: float = 0.0  # in this state
    kept: bool = False
    wanted: bool = False
    answered: int = 0


class _World:
    """Models and those who ask them; each plan is carried out at once, though waking and answering take their time."""

    def __init__(self, models: dict[str, _Model], room: Room) -> None:
        self.models = models
        self.room = room
        self.now = 0.0
        self.wakes: list[tuple[float, str]] = []
        self.refused: set[str] = set()
        self.longest_wait_s = 0.0

    def arrive(self, name: str) -> None:
        model = self.models[name]
        model.used = self.now
        if model.state == "awake":
            model.in_flight += 1
        else:
            model.waiting.append(self.now)

    def finish(self, name: str) -> None:
        model = self.models[name]
        if model.in_flight:
            model.in_flight -= 1
            model.answered += 1

    def passes(self, seconds: float) -> None:
        self.now += seconds
        for model in self.models.values():
            if model.state == "waking" and self.now - model.since >= model.wake_s:
                self.admit(model)
                model.since = self.now

    def admit(self, model: _Model) -> None:
        model.state = "awake"
        model.wanted = False
        model.in_flight += len(model.waiting)
        self.longest_wait_s = max([self.longest_wait_s, *(self.now - since for since in model.waiting)])
        model.waiting.clear()

    def becomes(self, name: str, state: State) -> None:
        model = self.models[name]
        model.state, model.since = state, self.now
        if state == "awake":
            self.admit(model)

    def occupants(self) -> tuple[Occupant, ...]:
        return tuple(
            Occupant(
                name, m.group, m.state, in_flight=m.in_flight, waiting=len(m.waiting),
                waiting_for_s=self.now - m.waiting[0] if m.waiting else 0.0, wanted=m.wanted, kept=m.kept,
                idle_s=self.now - m.used, awake_for_s=self.now - m.since, wake_s=m.wake_s,
            )
            for name, m in self.models.items()
        )  # fmt: skip

    def act(self) -> Plan:
        found = plan(self.occupants(), self.room)
        for name in found.sleep:
            assert not self.models[name].in_flight
            self.models[name].state = "sleeping"
        for name in found.drain:
            self.models[name].state = "draining"
        for name in found.resume:
            self.admit(self.models[name])
        for name in found.wake:
            self.becomes(name, "waking")
            self.wakes.append((self.now, name))
        for name in found.refuse:
            self.models[name].waiting.clear()
            self.refused.add(name)
        return found

    def crowded(self) -> bool:
        """More are there than there is room, though not all of them are kept."""
        there = Counter(m.group for m in self.models.values() if m.state in RESIDENT)
        kept = Counter(m.group for m in self.models.values() if m.state in RESIDENT and m.kept)
        over = any(there[g] > max(self.room.groups[g], kept[g]) for g in GROUPS)
        return over or there.total() > max(self.room.total, kept.total())

    def moves(self) -> bool:
        return any(m.waiting or m.in_flight or m.state in ("waking", "draining") for m in self.models.values())

    def settle(self, within: int) -> None:
        """Nobody asks any more; all that run end within two steps of a second each."""
        for step in range(within):
            found = self.act()
            if found == Plan(refuse=found.refuse) and not self.moves():
                return
            self.passes(1.0)
            for name in self.models:
                for _ in range(self.models[name].in_flight if step % 2 else 0):
                    self.finish(name)
        raise AssertionError(f"not settled within {within} steps: {self.occupants()}")


NAMES = tuple(f"m{n}" for n in range(7))
NAME = st.sampled_from(NAMES)


class Runs(RuleBasedStateMachine):
    """Whatever callers, servers and people do."""

    world: _World
    crowded_by_people: bool

    @initialize(room=st.builds(
        Room, st.fixed_dictionaries({g: st.integers(1, 3) for g in GROUPS}), st.integers(1, 5), st.integers(0, 4)
    ), wakes_s=st.lists(st.integers(0, 5), min_size=7, max_size=7))  # fmt: skip
    def begins(self, room: Room, wakes_s: list[int]) -> None:
        models = {name: _Model(GROUPS[n % 3], wakes_s[n]) for n, name in enumerate(NAMES)}
        self.world, self.crowded_by_people = _World(models, room), False

    @rule(name=NAME, many=st.integers(1, 3))
    def callers_ask(self, name: str, many: int) -> None:
        for _ in range(many):
            self.world.arrive(name)
        self.world.act()

    @rule(name=NAME)
    def an_answer_ends(self, name: str) -> None:
        self.world.finish(name)
        self.world.act()

    @rule(seconds=st.integers(1, 8).map(lambda halves: halves / 2))
    def time_passes(self, seconds: float) -> None:
        self.world.passes(seconds)
        self.world.act()

    @rule(name=NAME)
    def callers_leave(self, name: str) -> None:
        self.world.models[name].waiting.clear()
        self.world.act()

    @rule(name=NAME)
    def an_operator_wants_it(self, name: str) -> None:
        self.world.models[name].wanted = self.world.models[name].state not in RESIDENT
        self.world.act()

    @rule(name=NAME, kept=st.booleans())
    def an_operator_pins_it(self, name: str, kept: bool) -> None:
        self.world.models[name].kept = kept
        self.world.act()

    @rule(name=NAME)
    def somebody_wakes_it(self, name: str) -> None:
        self.world.becomes(name, "awake")
        self.crowded_by_people = True
        self.world.act()

    @rule(name=NAME, state=st.sampled_from(["sleeping", "failed", "unknown"]))
    def it_is_put_to_sleep_or_crashes(self, name: str, state: State) -> None:
        self.world.becomes(name, state)
        self.world.models[name].in_flight = 0
        self.world.act()

    @precondition(lambda self: not self.crowded_by_people)
    @invariant()
    def there_is_room_for_all(self) -> None:
        assert not hasattr(self, "world") or not self.world.crowded()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._every_waiter_is_served()
            self._and_nobody_is_too_many()

    def _every_waiter_is_served(self) -> None:
        waited = {name: m.answered + m.in_flight + len(m.waiting) for name, m in self.world.models.items()}
        self.world.refused.clear()
        self.world.settle(within=len(NAMES) * (2 + 5 + 4 + 2))  # an answer, a wake, the residency, a step for each plan
        for name, many in waited.items():
            assert self.world.models[name].answered == many or name in self.world.refused

    def _and_nobody_is_too_many(self) -> None:
        assert not self.world.crowded()


TestRuns = Runs.TestCase


def two_for_one_place(min_residency_s: float, wake_s: float) -> _World:
    models = {"a": _Model("g0", wake_s), "b": _Model("g0", wake_s)}
    return _World(models, Room(dict.fromkeys(GROUPS, 1), 1, min_residency_s))


@given(st.integers(0, 10), st.integers(1, 5), st.integers(1, 4))
def test_two_that_are_asked_in_turn_neither_thrash_nor_starve(residency_s: int, wake_s: int, answer_s: int) -> None:
    """Row O4: each second asks the other one, and an answer takes *answer_s*."""
    world, seconds, until = two_for_one_place(residency_s, wake_s), 200, dict[int, list[str]]()
    for second in range(seconds):
        for name in until.pop(second, []):
            world.finish(name)
        world.arrive("ab"[second % 2])
        _act_and_answer(world, second + answer_s, until)
        world.passes(1.0)
        _act_and_answer(world, second + 1 + answer_s, until)
    stay_s = max(residency_s, 0) + wake_s
    assert len(world.wakes) <= seconds / stay_s + 1
    assert world.longest_wait_s <= 2 * (stay_s + answer_s + 2)
    assert len(world.wakes) >= seconds / (stay_s + answer_s + 3)


def _act_and_answer(world: _World, ends: int, until: dict[int, list[str]]) -> None:
    """What is served from now on, ends then."""
    world.act()
    for name, model in world.models.items():
        begun = model.in_flight - sum(some.count(name) for some in until.values())
        until.setdefault(ends, []).extend([name] * begun)


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 5))
def test_constant_traffic_does_not_keep_the_place_from_another(residency_s: int, wake_s: int, answer_s: int) -> None:
    world, until = two_for_one_place(residency_s, wake_s), dict[int, list[str]]()
    for second in range(60):
        for name in until.pop(second, []):
            world.finish(name)
        world.arrive("a")
        if second == 20:
            world.arrive("b")
        _act_and_answer(world, second + answer_s, until)
        world.passes(1.0)
    assert world.models["b"].answered + world.models["b"].in_flight == 1
