"""What the topics of a bag hold, by a first message of each, and which field each could be."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.data.readers.bag_file import Bag, Topic, no_schema
from core.data.readers.bag_numbers import chosen, leaves, names, unit_of
from core.data.readers.bag_pictures import dtype_of, is_picture, picture
from core.data.readers.base import ALIASES, Aliases, Column, Field
from core.data.readers.ros_messages import Message, MessageError

_ACTIONS = ("action", "cmd", "command", "target", "control", "goal")
_STATES = ("joint_state", "state", "odom", "pose", "position")


@dataclass(frozen=True)
class Key:
    """A part of a topic that a mapping may name: `/joint_states.position`."""

    topic: str
    type: str
    shape: tuple[int, ...]
    dtype: str
    paths: tuple[str, ...] | None
    """Where the numbers lie in a message; None for pictures."""
    names: tuple[str, ...] = ()
    unit: str | None = None

    def column(self, key: str) -> Column:
        """What a user is told."""
        return Column(
            key=key,
            shape=self.shape,
            dtype=self.dtype,
            image=self.paths is None,
            names=self.names,
            unit=self.unit,
        )


Known = dict[str, Key]


def surveyed(bag: Bag) -> Known:
    """Keys of all topics with messages, from the first one of each."""
    found: Known = {}
    wanted = {t for t, topic in bag.topics.items() if topic.count}
    firsts: dict[str, Message] = {}
    for stamp in bag.scan(wanted):
        if stamp.topic not in firsts:
            try:
                firsts[stamp.topic] = bag.decode(stamp.topic, stamp.data)
            except MessageError as error:
                firsts[stamp.topic] = {}
                bag.remarks.append(no_schema(bag.name, stamp.topic, f"a message {error}"))
            if len(firsts) == len(wanted):
                break
    for topic in sorted(firsts):
        found |= dict(_keys(bag.topics[topic], firsts[topic]))
    return found


def usual_keys(known: Known) -> Aliases:
    """Keys that are likely to be each field, the most telling first."""
    pictures = [k for k, key in known.items() if key.paths is None]
    numbers = [k for k, key in known.items() if key.paths is not None]
    whole = [k for k in numbers if k == known[k].topic]
    likely: dict[Field, tuple[str, ...]] = {
        "image": tuple(pictures),
        "action": tuple(_best(known, k) for k in _named(whole, _ACTIONS)),
    }
    taken = {known[k].topic for k in likely["action"]}
    states = [k for k in whole if known[k].topic not in taken]
    typed = [k for k in states if known[k].type.endswith("/JointState")]
    likely["state"] = tuple(
        _best(known, k) for k in dict.fromkeys([*typed, *_named(states, _STATES)])
    )
    for field in ("reward", "terminated", "success"):
        last = {k: k.rsplit("/", 1)[-1] for k in whole}
        likely[field] = tuple(k for k, name in last.items() if name in ALIASES[field])
    return likely


def _keys(topic: Topic, message: Message) -> Iterator[tuple[str, Key]]:
    if is_picture(topic.type):
        try:
            shape = picture(message).shape
        except MessageError:
            return
        yield topic.name, Key(topic.name, topic.type, shape, dtype_of(message), None)
        return
    try:
        found = leaves(message)
    except ValueError:
        return
    for path in ("", *_prefixes(found)):
        paths = tuple(chosen(found, path))
        told = names(found, list(paths))
        if told:
            key = f"{topic.name}.{path}" if path else topic.name
            unit = unit_of(topic.type, path)
            yield key, Key(topic.name, topic.type, (len(told),), "float64", paths, told, unit)


def _prefixes(found: Iterable[str]) -> list[str]:
    """Every path and what lies above it, in order."""
    out: dict[str, None] = {}
    for path in found:
        pieces = path.split(".")
        for i in range(1, len(pieces) + 1):
            out[".".join(pieces[:i])] = None
    return list(out)


def _named(topics: list[str], words: tuple[str, ...]) -> list[str]:
    return [t for w in words for t in topics if w in t.lower()]


def _best(known: Known, topic: str) -> str:
    """Of joints the positions: speeds and efforts are often empty or zero."""
    positions = f"{topic}.position"
    is_joints = known[topic].type.endswith("/JointState")
    return positions if is_joints and positions in known else topic
