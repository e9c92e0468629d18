"""Other spellings of ids: what two exports of one id differ by, as SQL."""

from collections.abc import Sequence

from missrec_pl.errors import ConfigError

FORMS = {  # by the word that ``--id-form`` takes: SQL with {0} for the id, and what is taken off
    "zeros": (
        "CASE WHEN {0} SIMILAR TO '0+[0-9]+([.]0+)?' THEN coalesce(nullif(ltrim({0}, '0'), ''), '0') ELSE {0} END",
        "leading zeros lost",
    ),
    "point-zero": ("regexp_replace({0}, '^([0-9]+)[.,]0+$', '\\1')", "whole numbers written as 7.0"),
    "case": ("lower({0})", "other capitals"),
    "unicode": ("nfc_normalize({0})", "accents as one letter or as two"),
    "spaces": ("regexp_replace({0}, '[\\s\\x{{00a0}}\\x{{200b}}\\x{{feff}}]+', '', 'g')", "white space within"),
    "marks": ("regexp_replace({0}, '[^\\pL\\pM\\pN]+', '', 'g')", "hyphens and other marks"),
    "digits": ("coalesce(nullif(regexp_extract({0}, '([0-9]+)$', 1), ''), {0})", "words before a number"),
}


def form_sql(names: Sequence[str], text: str) -> str:
    """SQL of an id in other forms, one after the other.

    Raises:
        ConfigError: There is no such form.
    """
    for name in names:
        if name not in FORMS:
            raise ConfigError(f"--id-form {name}: choose among {', '.join(FORMS)}")
        text = FORMS[name][0].format(f"({text})")
    return text
