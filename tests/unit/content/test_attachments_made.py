"""What an attachment is made of: photos upright, arrays, open files, text in other encodings."""

import io

import numpy as np
import pytest
from PIL import Image

from llmkit import InvalidRequestError, attach
from llmkit.content.attachments import Attachment
from tests.support.former import DATA


def opened(attachment):
    return Image.open(io.BytesIO(attachment.data))


def photo(orientation, kind="JPEG"):
    """24 x 16 pixels, the left half red, as a camera writes them that was held so."""
    picture = Image.new("RGB", (24, 16), "white")
    picture.paste((200, 0, 0), (0, 0, 12, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture.save(file, format=kind, exif=exif)
    return file.getvalue()


class TestPhotos:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize(
        ("orientation", "size", "red"),
        [(3, (24, 16), (20, 8)), (6, (16, 24), (8, 3)), (8, (16, 24), (8, 20)), (2, (24, 16), (20, 8))],
    )
    def test_are_sent_upright(self, kind, orientation, size, red):
        sent = opened(attach(photo(orientation, kind)))
        assert sent.format == kind
        assert sent.size == size
        r, g, b = sent.convert("RGB").getpixel(red)
        assert r > 150 > g + b
        assert sent.getexif().get(0x0112, 1) == 1

    @pytest.mark.parametrize("data", [photo(1), photo(6)[:200], b"\xff\xd8\xffExif nothing"])
    def test_that_need_no_turning_or_cannot_be_read_stay_as_they_are(self, data):
        assert attach(data).data == data

    def test_are_known_to_a_replay_by_the_file(self):
        file = (DATA / "turned.jpg").read_bytes()
        plain = Attachment("image/jpeg", file)
        sent = attach(DATA / "turned.jpg")
        assert sent.data != file
        assert sent.digest == attach(sent, "other.jpg").digest == plain.digest

    def test_of_pillow_are_turned_as_well(self):
        assert opened(attach(Image.open(io.BytesIO(photo(6))))).size == (16, 24)


class TestArrays:
    @pytest.mark.parametrize(
        ("array", "mode"),
        [
            (np.full((4, 6, 3), 200, np.uint8), "RGB"),
            (np.full((4, 6, 4), 200), "RGBA"),
            (np.full((4, 6), 200, np.int32), "L"),
            (np.full((4, 6, 1), 0.5), "L"),
            (np.full((4, 6, 3), 0.5, np.float32), "RGB"),
            (np.ones((4, 6), bool), "L"),
        ],
    )
    def test_are_pictures(self, array, mode):
        sent = attach(array, "a.png")
        assert (sent.media_type, opened(sent).size, opened(sent).mode) == ("image/png", (6, 4), mode)

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros(5),
            np.zeros((4, 4, 2)),
            np.full((4, 4), 300),
            np.full((4, 4), 1.5),
            np.full((4, 4), np.nan),
            np.full((4, 4), -1),
            np.zeros((0, 4)),
            np.array([["a"]]),
        ],
    )
    def test_that_are_no_pictures_are_refused(self, array):
        with pytest.raises(InvalidRequestError, match="is not a picture"):
            attach(array)


class TestOpenFiles:
    def test_are_read_from_their_beginning_if_they_are_in_memory(self):
        file = io.BytesIO(b"a,b\n")
        file.read()
        assert attach(file, "t.csv").text == "a,b\n"
        assert attach(io.StringIO("ü")).text == "ü"

    def test_have_their_name(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_bytes(b"a,b\n")
        with path.open("rb") as file:
            assert attach(file) == attach(path)


class TestEncodings:
    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("Größe;Straße\n1;2\n", "cp1252"),
            ("price: 5 €\n", "cp1252"),
            ("naïve café – “quotes” were in this line\n", "cp1252"),
            ("name,city\nZoë,Köln\nRené,Orléans\n", "latin-1"),
            ("Привет, мир! Как дела?\n", "cp1251"),
            ("日本語のテキストです。\n", "shift_jis"),
            ('<?xml version="1.0" encoding="iso-8859-15"?><a>€ œ</a>', "iso-8859-15"),
            ('<html><meta charset="koi8-r">Да</html>', "koi8-r"),
            ("# -*- coding: cp437 -*-\nx = 'é'\n", "cp437"),
            ("ü", "utf-16"),
        ],
    )
    def test_are_read(self, text, encoding):
        assert attach(text.encode(encoding), "t.txt").text == text

    @pytest.mark.parametrize(
        "data", [b"PK\x03\x04\xff\xfe\xfd", b"\xff\x00\x01\x02" * 50, b"\x81\x02\x03 \xff"]
    )
    def test_of_what_is_no_text_are_not_guessed(self, data):
        with pytest.raises(InvalidRequestError):
            attach(data)
