"""The pure parts of the file room: forms, ranges, names, tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.files.errors import NotMultipart
from ocppd.net.files.multipart import MAX_HEAD_BYTES, FormFile, boundary_of
from ocppd.net.files.room import MAX_NAME_LENGTH, digest_of, shown_name, token_of
from ocppd.net.files.serving import disposition, range_of

HEAD = b'Content-Disposition: form-data; name="f"; filename="a.log"\r\nContent-Type: text/plain\r\n\r\n'


def form(content: bytes, boundary: bytes = b"zz") -> bytes:
    """A body with a field before the file, and another file behind it."""
    field = b'--%b\r\nContent-Disposition: form-data; name="n"\r\n\r\nvalue' % boundary
    second = b'--%b\r\nContent-Disposition: form-data; name="g"; filename="b.log"\r\n\r\nother' % boundary
    return b"preamble\r\n%b\r\n--%b\r\n%b%b\r\n%b\r\n--%b--\r\nepilogue" % (field, boundary, HEAD, content, second, boundary)


class FormTests(SynchronousTestCase):
    """The file in a multipart/form-data body."""

    @given(
        content=st.binary(max_size=60).filter(lambda each: b"\r\n--zz" not in each and not each.startswith(b"--zz")),
        cuts=st.lists(st.integers(0, 400), max_size=8),
    )
    def test_however_it_comes(self, content: bytes, cuts: list[int]) -> None:
        """The first file of a form is found whole, wherever its body is cut into pieces."""
        body, parser, found, begin = form(content), FormFile(b"zz"), b"", 0
        for end in [*sorted(cuts), len(body)]:
            found += parser.feed(body[begin:end])
            begin = max(begin, end)
        parser.close()
        self.assertEqual((found, parser.name), (content, "a.log"))

    @given(content=st.text(alphabet="\r\n-z", max_size=30).map(str.encode))
    def test_what_looks_like_a_boundary(self, content: bytes) -> None:
        """Content made of the letters of the boundary is found, byte by byte as at once."""
        if b"\r\n--zz" in b"\r\n" + content:
            return
        body = form(content)
        at_once, slowly = FormFile(b"zz"), FormFile(b"zz")
        self.assertEqual(at_once.feed(body), content)
        self.assertEqual(b"".join(slowly.feed(body[i : i + 1]) for i in range(len(body))), content)

    @given(body=st.binary(max_size=200))
    def test_anything(self, body: bytes) -> None:
        """Whatever comes, it is a file, part of one, or NotMultipart."""
        parser = FormFile(b"z")
        try:
            self.assertLessEqual(len(parser.feed(b"--z\r\n" + body)), len(body))
            parser.close()
        except NotMultipart:
            pass

    def test_a_file_that_breaks_off(self) -> None:
        """A form without its end, without a file, or with an endless head is refused; its memory is bounded."""
        for body in (form(b"abc")[:-60], b"", b'--zz\r\nContent-Disposition: form-data; name="n"\r\n\r\nx\r\n--zz--\r\n'):
            parser = FormFile(b"zz")
            parser.feed(body[: body.find(b"abc") + 2] if b"abc" in body else body)
            self.assertRaises(NotMultipart, parser.close)
        self.assertRaises(NotMultipart, FormFile(b"zz").feed, b"--zz\r\n" + b"x" * (MAX_HEAD_BYTES + 9))

    def test_boundaries(self) -> None:
        """The boundary of a form, quoted or not; a form without a good one is refused; other types have none."""
        for kind, boundary in (
            ("multipart/form-data; boundary=abc", b"abc"),
            ('Multipart/Form-Data; charset=x; Boundary="a b"', b"a b"),
            ("application/octet-stream", None),
            ("", None),
        ):
            self.assertEqual(boundary_of(kind), boundary)
        for kind in ("multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'a' * 71}"):
            self.assertRaises(NotMultipart, boundary_of, kind)


class RangeTests(SynchronousTestCase):
    """Range headers (RFC 9110 section 14.1.2)."""

    def test_ranges(self) -> None:
        """One range of bytes is understood; what is none, or several, is ignored; a count of 0 is beyond the end."""
        for header, found in (
            ("bytes=0-0", (0, 1)),
            ("bytes=0-99", (0, 10)),
            ("bytes=9-", (9, 1)),
            ("bytes=-3", (7, 3)),
            ("bytes=-99", (0, 10)),
            ("BYTES=2-3 ", (2, 2)),
            ("bytes=10-", (10, 0)),
            ("bytes=-0", (10, 0)),
            ("bytes=3-2", None),
            ("bytes=-", None),
            ("bytes=0-1,3-4", None),
            ("bytes=+1-2", None),
            ("bytes=٣-", None),
            ("items=0-1", None),
            ("bytes=" + "9" * 40 + "-", None),
        ):
            self.assertEqual(range_of(header, 10), found, header)

    @given(header=st.from_regex(r"bytes=\d{0,3}-\d{0,3}", fullmatch=True), size=st.integers(0, 100))
    def test_a_range_is_of_the_file(self, header: str, size: int) -> None:
        """Whatever is asked for, what is given is within the file."""
        found = range_of(header, size)
        if found is not None and found[1]:
            self.assertTrue(found[0] >= 0 and found[0] + found[1] <= size)


class NameTests(SynchronousTestCase):
    """What others call a file, and tokens."""

    @given(name=st.text())
    def test_names_are_shown_safely(self, name: str) -> None:
        """A shown name is no path, can be printed and is short; the header made of it is one line of ASCII."""
        shown = shown_name(name)
        self.assertTrue(len(shown) <= MAX_NAME_LENGTH and "/" not in shown and "\\" not in shown)
        self.assertTrue(shown.isprintable())
        header = disposition(shown)
        self.assertTrue(header.isascii() and header.isprintable() and header.count('"') == 2, header)

    def test_tokens_in_paths(self) -> None:
        """What follows a token is a name, or nothing; a digest is no token."""
        for path, found in (
            (b"/files/abc", ("abc", "")),
            (b"/files/abc/", ("abc", "")),
            (b"/files/abc/d.log", ("abc", "d.log")),
            (b"/files/abc//x/../d.log", ("abc", "d.log")),
            (b"/files/", ("", "")),
            (b"/files/\xff/\xfe", ("ÿ", "þ")),
        ):
            self.assertEqual(token_of(path), found)
        self.assertEqual((len(digest_of("abc")), digest_of("abc") == digest_of("abd")), (64, False))
