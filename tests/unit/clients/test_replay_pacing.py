"""How fast a recorded answer is played back, and that it stays the same text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import ConfigurationError
from llmkit.clients.cassettes.pacing import Player, checked, pieces

PROSE = "To be, or not to be, that is the question. " * 10


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


async def play(text, pace):
    clock = Clock()
    player = Player(text, pace, clock=clock, sleep=clock.sleep)
    texts = []
    while (some := await player.next()) is not None:
        texts.append(some)
    return texts, clock


@given(st.text(st.characters(exclude_categories=())))
def test_joined_pieces_are_the_text(text):
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


@given(st.text(st.sampled_from("ab \n\u0301\u200d\u093f\ufe0f")))
def test_a_letter_and_its_accents_stay_together(text):
    for piece in pieces(text)[1:]:
        assert not unicodedata.category(piece[0]).startswith("M")
        assert piece[0] != "\u200d"


def test_a_piece_is_about_a_word():
    assert pieces("To be,  or\nnot") == ["To ", "be,  ", "or\n", "not"]
    assert pieces("  To") == ["  ", "To"]
    assert pieces("一" * 40) == ["一" * 16, "一" * 16, "一" * 8]
    assert pieces("") == []


@pytest.mark.parametrize("pace", ["instant", "natural", 5, 2000.5])
async def test_the_text_is_played_whole(pace):
    texts, _ = await play(PROSE, pace)
    assert "".join(piece for some in texts for piece in some) == PROSE


async def test_at_once_is_one_piece_without_a_pause():
    texts, clock = await play(PROSE, "instant")
    assert texts == [[PROSE]]
    assert clock.slept == []


@pytest.mark.parametrize("pace", ["instant", "natural", 5])
async def test_an_empty_answer_has_no_pieces(pace):
    texts, clock = await play("", pace)
    assert texts == clock.slept == []


async def test_a_number_is_tokens_per_second():
    texts, clock = await play("abcd" * 4 + " " + "abc " * 4, 2)
    assert texts == [["abcdabcdabcdabcd "], ["abc "], ["abc "], ["abc "], ["abc "]]
    assert clock.slept == [17 / 8, 0.5, 0.5, 0.5]


async def test_a_natural_pace_is_60_tokens_per_second():
    text = "abc " * 60
    texts, clock = await play(text, "natural")
    assert len(texts) == 60
    assert clock.now - 100 == pytest.approx(59 / 60)


@pytest.mark.parametrize("words", [600, 601, 5_000, 100_000])
async def test_a_natural_replay_takes_at_most_ten_seconds(words):
    _, clock = await play("abc " * words, "natural")
    assert 9.9 < clock.now - 100 <= 10


async def test_the_first_piece_comes_at_once():
    clock = Clock()
    await Player(PROSE, 1, clock=clock, sleep=clock.sleep).next()
    assert clock.slept == []


async def test_a_reader_who_was_away_gets_all_that_is_due():
    clock = Clock()
    player = Player("abc " * 10, 1, clock=clock, sleep=clock.sleep)
    assert await player.next() == ["abc "]
    clock.now += 3
    assert await player.next() == ["abc "] * 3
    assert await player.next() == ["abc "]
    assert clock.slept == [1]


async def test_real_time_passes_by_default():
    player = Player("abc def", 1_000)
    assert await player.next() == ["abc "]
    assert await player.next() == ["def"]
    assert await player.next() is None


async def test_a_closed_player_plays_no_more():
    player = Player(PROSE, 1_000)
    await player.next()
    await player.aclose()
    assert await player.next() is None


def test_what_a_pace_may_be():
    assert [checked(pace) for pace in (None, "instant", "natural", 5, 0.5)] == [
        "instant",
        "instant",
        "natural",
        5,
        0.5,
    ]


@pytest.mark.parametrize("pace", ["fast", 0, -1, float("inf"), float("nan"), True, False, [], "60"])
def test_what_is_no_pace_is_refused(pace):
    with pytest.raises(ConfigurationError, match=r"must be .instant., .natural. or a positive number"):
        checked(pace)
