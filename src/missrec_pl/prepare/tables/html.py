"""What a reader of a web page would see of a text that was cut from one."""

import html
import re

# In this order: programs and notes with all that stands in them, to the end where they are not closed; then tags.
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|noscript|template|head|svg)\b[^>]*>.*?(?:</\1\s*>|\Z)"
    r"|<!\[CDATA\[|\]\]>|<[!?][a-z][^>]*>",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(r"</?[a-zA-Z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>|</?[a-zA-Z][^<>]*>")
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ud800-\udfff]")
_SPACE = re.compile(r"[\s\"\x00-\x1f\x7f-\x9f]+")


def visible_text(text: str) -> str:
    """A text without tags, scripts, styles, comments, character references, quotation marks and line ends.

    Letters that cannot be seen, and halves of letters, go, too.
    """
    if "&" in text:
        text = html.unescape(text)
        if "&" in text and ";" in text:  # some shops write &amp;amp;
            text = html.unescape(text)
    if "<" in text or "]]>" in text:
        text = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    return _SPACE.sub(" ", _INVISIBLE.sub("", text)).strip()
